/*
 * client.h: one connection of an application.
 *
 *	STARTUP ──► PRINCIPAL ──► AUTH ──► TENANT ──► WELCOME ──► IDLE ◄──► WAITING ──► LINKED
 *
 * login.c takes a client from STARTUP to IDLE; local.c answers what needs no backend; relay.c
 *carries bytes while LINKED. Any state may go to LEAVING (an error is on its way out) and
 *CLOSED.
 */
#ifndef PROXY_CLIENT_H
#define PROXY_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/hash.h"
#include "base/list.h"
#include "policy/gate.h"
#include "policy/reason.h"
#include "policy/session.h"
#include "proxy/params.h"
#include "proxy/pins.h"
#include "proxy/statements.h"
#include "proxy/stream.h"
#include "router/directory.h"

#include <uthash.h>

struct console;
struct login;
struct scram_binding;
struct pool;
struct pool_tenant;
struct server;
struct settings;
struct tally;
struct worker;

enum client_state {
	CLIENT_STARTUP,   /* startup packets are read */
	CLIENT_PRINCIPAL, /* the directory is asked who this is */
	CLIENT_AUTH,      /* SASL messages are read */
	CLIENT_SLOWED,    /* its proof is looked at later; see penalty.h */
	CLIENT_TENANT,    /* the directory is asked for the tenant */
	CLIENT_WELCOME,   /* waits for a backend, to learn its ParameterStatus */
	CLIENT_IDLE,      /* no backend, none needed */
	CLIENT_WAITING,   /* waits for a backend, or for one that is being prepared for it */
	CLIENT_LINKED,    /* has a backend */
	CLIENT_CONSOLE,   /* is answered by Bulkhead itself; see console.h */
	CLIENT_LEAVING,   /* the last bytes are going out; what comes in is thrown away */
	CLIENT_CLOSED,
};

/* A portal of a statement that is not plain; where statements are counted (rate.h), any. */
struct portal {
	char *name;
	const struct verdict *verdict; /* NULL: it is not known */
	bool rewritten;
};

#define NAMES_PORTALS_MAX 64 /* of them, per client */

/* Bytes of a cancel key's secret part: of protocol 3.0, and of 3.2. */
#define CLIENT_SECRET_3_0 4
#define CLIENT_SECRET_MAX 32

#define CLIENT_HELD_MAX 4 /* statements held back before a backend is taken */

struct client {
	struct worker *worker;
	struct stream stream;
	enum client_state state;
	struct list node;  /* worker->clients */
	struct list queue; /* worker->logins, ->idle_clients or ->leaving, by state */
	int64_t queue_since_us;
	int64_t since_us; /* when it connected */

	struct buf in;        /* bytes read and not yet used */
	uint64_t body_left;   /* of a message that is passing through, still to come */
	bool body_is_refused; /* and is not passed on */
	bool is_amid_walk;    /* bytes of its are accounted for that were not sent on yet */

	uint64_t serial;         /* clients of a worker are counted; its list is in that order */
	struct login *login;     /* while logging in */
	struct console *console; /* in CLIENT_CONSOLE, else NULL */
	bool is_local;           /* it came over a unix socket */
	bool trusted;            /* no password is asked for */
	const struct conf_listen *listen;
	const struct principal *principal;
	const struct tenant *tenant;
	struct gate gate;          /* of its tenant, once it is admitted; gatekeeper.h */
	uint64_t gate_version;     /* counts how often it was made anew */
	bool logging_in, admitted; /* how limits.c counts it */
	struct tally *of_tenant, *of_principal;
	struct list in_tenant, in_principal;                /* their members */
	const struct settings *startup_settings, *settings; /* as it began, and as they are now */
	/* As it began, where its transactions have to be read-only and both of these say so. */
	const struct settings *given_settings;
	bool settings_are_ordered; /* and its backend does not have them yet */
	struct pool *pool;
	struct pool_tenant *pool_tenant;
	uint32_t pid; /* of our own cancel key */
	uint8_t secret[CLIENT_SECRET_MAX];
	uint8_t secret_len; /* by the version of the protocol */
	UT_hash_handle hh;  /* worker->by_pid */

	struct list wait_node;   /* worker->waiting */
	struct list tenant_node; /* its pool_tenant's queue */
	int64_t waiting_since_us;
	int attempts; /* backends that failed while being prepared */

	struct server *server; /* while LINKED, and while it is prepared for us */
	struct pins pins;      /* why it keeps that */
	uint32_t last_backend; /* pid of the one before, or of this one */
	bool came_back;        /* it is the same, and nobody else has worked with it in between */
	bool has_run;          /* something on it, since it was linked */
	bool stalled;          /* not read until the backend has answered more */
	enum {
		BARRIER_NONE,
		BARRIER_ANSWER, /* nothing is passed on before a statement's, or a Sync's, answer */
		BARRIER_SYNC,   /* a DISCARD ALL of a batch is over, and its Sync not yet sent */
	} barrier;
	bool reads_nothing; /* its texts mean something else than Bulkhead would read in them */
	bool is_cancelled;  /* its statement, which waits for the backend to be prepared */
	size_t gathering;   /* bytes of a text that is collected, as worker->gathered counts */

	enum {
		SKIP_NOTHING,
		SKIP_STATEMENT, /* the next message is answered with an error instead */
		SKIP_TO_SYNC,   /* messages are thrown away up to the next Sync, as the server does */
	} skip;
	enum reason skip_reason;

	/* Transaction begun towards the client, not yet towards a backend. */
	char *held[CLIENT_HELD_MAX + 1]; /* the last may only be local_hold_read_only's */
	size_t held_count;
	bool has_failed;          /* that transaction, towards the client */
	enum session_begin bound; /* what the unnamed portal would execute, of that kind */
	char *bound_text;

	struct statements statements; /* with names */
	struct buf unnamed;  /* the last Parse without a name; empty: too long to be kept */
	uint64_t unnamed_id; /* of the unnamed statement; 0: there is none */
	bool unnamed_held;   /* the same, too long to be kept: the backend is */
	enum session_begin unnamed_begin;      /* the unnamed statement only begins a transaction */
	const struct verdict *unnamed_verdict; /* of it, when it is not plain */
	bool unnamed_rewritten;
	const struct verdict *unnamed_judged; /* of it, whatever it is; NULL: it was not read */
	/* What the statements that SQL's PREPARE has made need together, and when the last was. */
	uint32_t prepared_needs;
	uint64_t prepared_rules, prepared_version;
	struct portal *portals;
	size_t portal_count;
	struct buf reply; /* local answers of a batch, up to its Sync */
};

/* Takes over a connected descriptor, which crew_choose has given to this worker. NULL when
 * memory is out (the descriptor is closed). */
struct client *client_create(struct worker *worker, const struct conf_listen *listen, int fd,
							 bool is_unix);

/* Sends a FATAL and ends the session; `detail` may be NULL. The backend is given back or
 * closed. */
void client_fatal(struct client *client, enum reason reason, const char *detail);

/* As client_fatal with an error of the server's own: SQLSTATE and message. */
void client_fatal_text(struct client *client, const char *sqlstate, const char *message,
					   const char *detail);

/* Ends the session; the client has already been sent a FATAL of the server's own. */
void client_fatal_told(struct client *client);

/* Ends the session without a word (the client said good-bye, or is gone). */
void client_close(struct client *client);

/* Sends bytes to the client. */
void client_send(struct client *client, const void *data, size_t len);

/* Sends a whole NotificationResponse. Who sent it is shown by the pid of BackendKeyData, by
 * which programs know themselves, where it was a client of this worker. */
void client_send_notification(struct client *client, const uint8_t *message, size_t total);

/* Sends and empties a buffer. */
void client_send_buf(struct client *client, struct buf *buf);

/* Goes on with bytes that had to wait, then reads again if that is allowed. */
void client_resume(struct client *client);

/* Has the client, which waits for a backend, closed its connection meanwhile? */
bool client_is_gone(const struct client *client);

/* The client has no backend and needs none: from its login, its release, or its last local
 * answer on. */
void client_is_idle(struct client *client);

/* A message broke the protocol. */
void client_violation(struct client *client, const char *what);

/* Does it keep its backend when a transaction is over? */
static inline bool client_is_pinned(const struct client *client)
{
	return client->pins.held != 0;
}

/* Are its prepared statements on its backend under the names that it gave them? */
static inline bool client_is_native(const struct client *client)
{
	return client->pins.held & PIN_NATIVE;
}

/* May a message of this length be collected, to be read as a whole? It is counted then, until
 * the client's bytes are used up. */
bool client_may_gather(struct client *client, uint64_t total);

/*
 * Visits the clients of a list that are linked by the member at `offset`. The visit may end the
 * client, and others with it: what is still to be visited is found each time anew.
 */
void client_each(struct list *list, size_t offset, void (*visit)(struct client *, void *),
				 void *arg);

/* The memory of a closed client; only from the worker's reaper. */
void client_free(struct client *client);

/* ---- login.c ---- */

/* Uses bytes while the client logs in; returns how many. */
size_t login_consume(struct client *client, const uint8_t *data, size_t len);

/* A backend with this client's settings is there: its parameters complete the login. */
void login_welcome(struct client *client, const struct params *params);
void login_free(struct client *client);

/* Appends the BackendKeyData. False when memory is out. */
bool login_append_key(const struct client *client, struct buf *out);

/* In CLIENT_AUTH: whatever password is given, it will have been wrong. */
void login_must_fail(struct client *client);

/* ---- login_tls.c ---- */

#define TLS_FIRST_BYTE 0x16 /* of a handshake record; no startup packet begins with it */

/* The client sent SSLRequest, and nothing behind it: answers, and begins TLS where it is
 * offered. */
void login_tls_asked(struct client *client);

/* The first bytes of a connection: begins TLS with them if they are that, and it is offered.
 * False when they are something else. */
bool login_tls_directly(struct client *client, const uint8_t *data, size_t len);

/* The client's stream is at its end: closes it; where TLS failed, so that the alert arrives. */
void login_tls_failed(struct client *client);

/* Is the connection as secure as the listener demands, and is the client's certificate good? */
bool login_tls_will_do(struct client *client, enum reason *why);

/* Where certificates must name the principal: does this one, by the names that the principal
 * has for it, or by `name`, its own? `principal` is NULL where there is none of that name. */
bool login_tls_names(const struct client *client, const char *name,
					 const struct principal *principal);

/* The tenant that TLS names, from malloc, or NULL; false with the reason when it cannot be
 * said. */
bool login_tls_tenant(struct client *client, char **token, enum reason *why);

/* Is the client's certificate for some tenants only? */
bool login_tls_names_tenants(const struct client *client);

/* What SCRAM can be bound to; empty without TLS. */
void login_tls_binding(struct client *client, struct scram_binding *binding);

/* ---- local.c ---- */

/* Answers one message of a client that has no backend, or asks for one; returns the bytes used.
 */
size_t local_consume(struct client *client, const uint8_t *data, size_t len);

/*
 * The client, which waits for a backend, is to wait no longer: its statement fails with the
 * reason, and so does the transaction that it was told has begun. One that logs in, or keeps a
 * backend, is ended.
 */
void local_give_up(struct client *client, enum reason reason);

/* Forgets the transaction that was begun towards the client alone. */
void local_clear_held(struct client *client);

/* A transaction that the client was told has begun, and no backend has seen, will be read-only.
 * False when memory is out. */
bool local_hold_read_only(struct client *client);

/* ---- relay.c ---- */

/* Passes messages of a linked client on; returns the bytes used. */
size_t relay_from_client(struct client *client, const uint8_t *data, size_t len);

/* Is this the header of a message that a client may send? If not, it is told and ended. `total`
 * is the whole message's length. */
bool relay_accepts(struct client *client, uint8_t type, uint64_t total);

#endif
