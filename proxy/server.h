/*
 * server.h: one connection to PostgreSQL, a backend.
 *
 *	CONNECTING ──► LOGIN ──► CHECK ──► IDLE ──► PREPARING ──► LINKED ──► IDLE
 *	                                     ▲                       │
 *	                                     └── CLEANING, HELD ◄────┘
 *
 * backend.c takes it from CONNECTING to IDLE (authentication and the guard's self-check),
 * handover.c through PREPARING and CLEANING, relay.c carries bytes while LINKED.
 */
#ifndef PROXY_SERVER_H
#define PROXY_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/list.h"
#include "base/mailbox.h"
#include "policy/guard/guard.h"
#include "policy/reason.h"
#include "proxy/hosts.h"
#include "proxy/params.h"
#include "proxy/replies.h"
#include "proxy/statements.h"
#include "proxy/stream.h"
#include "router/directory.h"

struct backend_login;
struct client;
struct lost_refusals;
struct crew_route;
struct pool;
struct pool_tenant;
struct settings;
struct worker;

/* One whole message, its body borrowed from the receive buffer. */
struct server_message {
	char type;
	const uint8_t *body;
	size_t len;
};

enum server_state {
	SERVER_CONNECTING,
	SERVER_LOGIN,
	SERVER_CHECK,     /* the guard's self-check is out */
	SERVER_IDLE,      /* in the pool */
	SERVER_PREPARING, /* being put into the context of its client: not one client byte goes out
					   */
	SERVER_LINKED,
	SERVER_CLEANING, /* DISCARD ALL behind a client that kept it */
	SERVER_HELD,     /* free, but a cancel request may still be on its way to it */
	SERVER_CLOSED,
};

/* Exchanges that put a backend into a client's context, in this order. */
enum handover_step {
	STEP_DISCARD,
	STEP_ENTER,
	STEP_SETTINGS,
	STEP_BEGIN,
	STEP_FAIL,  /* the transaction is to be one that has failed */
	STEP_STATE, /* what its client has left in it; see handover_ask */
	STEP_ROLE,  /* is the server read-only; see handover_doubt */
};

#define HANDOVER_STEPS_MAX 10
#define CANCEL_KEY_MAX     256

/* What timeouts.c saw at its last look at a linked backend, and since when it has been so. */
enum watch_phase { WATCH_NOTHING, WATCH_QUERY, WATCH_IDLE_TRANSACTION };

struct server_watch {
	uint32_t client_pid; /* for whom it worked, as client->pid */
	enum watch_phase phase;
	uint32_t readies, idle_readies;
	int64_t phase_since_us, transaction_since_us;
	bool is_asked;            /* an answer was owed */
	uint32_t answers;         /* how many had come by then, as replies.first */
	int64_t answer_since_us;  /* since when it has been so */
	bool cancelled;           /* the query, or batch, ran into query_timeout */
	bool statement_cancelled; /* a statement ran into its tenant's limit */
	bool blamed;              /* the cancel that this led to may still hit a statement */
	enum reason blame;        /* for which limit */
};

struct server {
	struct pool *pool;
	struct worker *worker;
	struct stream stream;
	enum server_state state;
	struct endpoint endpoint; /* where it is connected, or tries to */
	struct host_walk *walk;   /* while CONNECTING, LOGIN, CHECK: the others */
	bool wants_tls;           /* this attempt asks for TLS */
	size_t passwords;         /* that were tried before this attempt's: pool_password */
	size_t password_first;    /* where they begin */
	bool tried_other;         /* the one before it was refused with, or without, TLS */
	bool tried_again;         /* this is the second at this host: backend_try_on */
	struct list node;         /* pool->servers */
	struct list idle_node;    /* pool->idle, least recently used first */
	struct list tenant_node;  /* its tenant's idle list, or pool->unsealed */
	struct list deadline_node;
	struct list age_node;    /* worker->idle, while idle */
	struct list opened_node; /* worker->opened, until it is too old */
	struct list linked_node; /* worker->linked, while linked */
	int64_t deadline_since_us, opened_us, idle_since_us;
	int64_t usable_us;     /* when it first became idle */
	int64_t turn_began_us; /* when its tenant got it, as far as others waited; see pool.c */
	const char *given_up;  /* why it is closed as soon as it is free; NULL: it is kept */
	bool doubted;          /* ... unless the server says that it is not read-only; failover.h */

	struct client *client;
	const struct tenant *tenant;     /* whose context it is in, or NULL */
	struct pool_tenant *pool_tenant; /* that tenant's part of the pool, or NULL */
	const struct settings *settings; /* applied, or NULL: as after DISCARD ALL */
	bool opening;                    /* counted in pool->opening */
	bool needs_discard;              /* something may be left of an earlier client */
	bool seal_lost;                  /* the context was emptied, or may have been */
	bool settings_lost;              /* and so were the client's settings */
	bool told;                       /* it sent a FATAL of its own, which the client has */

	struct buf carry;   /* an incomplete message that must be seen whole */
	uint64_t body_left; /* of a message that is passing through, still to come */
	bool body_is_ours;  /* and is thrown away */
	struct replies replies;
	uint32_t refused; /* messages that were made to fail so far: names_refuse.c */
	struct lost_refusals *lost_refusals; /* NULL in nearly every backend */
	char status;                         /* of the last ReadyForQuery: I, T or E */
	uint32_t readies;      /* ReadyForQuery messages so far, and those among them that */
	uint32_t idle_readies; /* said "idle": how timeouts.c knows that something ended */
	struct server_watch watch;
	uint32_t counted_readies, counted_idle_readies; /* in the pool's sums: measure.h */
	int64_t asked_us;          /* when what is under way was sent, if that is measured, or 0 */
	int64_t handover_since_us; /* when its present exchanges began */

	struct backend_statements statements;
	size_t uncertain; /* Parses and Closes by name that are not answered, and the batch of the
						 last */
	uint64_t uncertain_batch;
	uint32_t last_client; /* who worked with it last, as client->pid */
	uint64_t
		unnamed_id; /* of the unnamed statement in it, as client->unnamed_id; 0: nobody's */

	struct params params;
	struct guard_server guard;
	struct backend_login *login; /* while CONNECTING, LOGIN, CHECK */
	uint32_t pid;
	uint8_t cancel_key[CANCEL_KEY_MAX];
	size_t cancel_key_len;
	int cancels; /* cancel connections that are not done */
	bool hold;   /* one of them is Bulkhead's own: no further statement until it is done */

	enum handover_step steps[HANDOVER_STEPS_MAX]; /* sent, not yet answered */
	size_t step_count, step_at;
	bool step_ok; /* what the current step must see was seen */
	size_t begun; /* of the client's held statements */
	struct buf step_error;

	struct letter letter;     /* on its way to another worker, see move.h */
	size_t moves_to;          /* that one's number */
	struct crew_route *route; /* its pool's, which is held */
};

/* The backend works for the client from now on, whose tenant has taken room for it
 * (pool_tenant_take), or does so no more. */
void server_link(struct server *server, struct client *client);
void server_unlink(struct server *server);

/* It is in this client's tenant's context now, or (NULL) in nobody's. */
void server_set_tenant(struct server *server, const struct client *client);

/* Opens a connection for the pool, which has taken a place for it in the budget; NULL with the
 * reason in `why` when it fails at once. Ends in pool_server_ready or pool_server_gone. */
struct server *server_open(struct pool *pool, char *why, size_t size);

/*
 * Takes the backend out of everything and ends its connection; the place in the budget is given
 * back when the server has closed its end. What becomes of its client is decided by the state:
 * being prepared, it is sent back to the queue; linked, it is told. `why` is for the log.
 */
void server_close(struct server *server, const char *why);

/* It is closed as soon as it is free, whatever else was to become of it; `why` is static. */
static inline void server_give_up(struct server *server, const char *why)
{
	server->given_up = why;
	server->doubted = false;
}

/* It has come from another worker: is read on this one's loop from now on. */
void server_attach(struct server *server);

/* The memory; only from the worker's reaper. */
void server_free(struct server *server);

/*
 * Takes one whole message off the bytes: returns its size, or 0 when more bytes are needed, or
 * when the message is malformed or longer than WIRE_INSPECT_MAX (the server is closed then).
 * For the states in which every message must be seen whole.
 */
size_t server_next_message(struct server *server, const uint8_t *data, size_t len,
						   struct server_message *message);

/* Gives up the connection, which is not logged in, for another one to the same place; closes
 * the server when there can be none. */
void server_connect_again(struct server *server);

/*
 * The host did not serve: goes on to the next of the cluster's. False where there is none, or
 * the backend has been in use: then it is to be closed.
 */
bool server_try_next_host(struct server *server, const char *why);

/* The same where a session has begun, if the server is not what is wanted. True when it is, and
 * the session may go on; else another attempt has begun, or the server is closed. */
bool server_is_wanted(struct server *server);

/* Sends bytes. */
void server_send(struct server *server, const void *data, size_t len);

/* Must finish within server_connect_timeout; server_on_time says that it did. */
void server_hurry(struct server *server);
void server_on_time(struct server *server);

/* Has all been answered, and is no transaction open? Then and only then it may leave its
 * client. */
bool server_is_settled(const struct server *server);

/* Was it the client's last, and has nobody else worked with it since? The last values of the
 * client's sequences are there then. */
bool server_is_last_of(const struct server *server, const struct client *client);

/* Is it in this tenant's context, with nothing of anyone else's left? */
bool server_is_sealed_to(const struct server *server, const struct tenant *tenant);

/* ---- backend.c: login and self-check; bytes used ---- */
size_t backend_consume(struct server *server, const uint8_t *data, size_t len);
void backend_connected(struct server *server);

/* The connection has ended in SERVER_LOGIN. True when another attempt takes its place. */
bool backend_lost(struct server *server, const char *why);

/*
 * The server is going away, or is too slow: another attempt at the next host; or at the same,
 * once, where the tenant whose own login it is may be the reason. False when there is none.
 */
bool backend_try_on(struct server *server, const char *why);
void backend_login_free(struct server *server);
const char *backend_failure(const struct server *server);

/* The password has changed: what the login under way derives from the old one is not kept. */
void backend_keep_no_keys(struct server *server);
enum reason backend_failure_reason(const struct server *server);

/* ---- backend_tls.c ---- */

/* Does a first attempt ask for TLS? */
bool server_wants_tls(const struct server *server);

/* May it do without, when the server has none or TLS fails? */
bool server_may_be_plain(const struct server *server);

/* The state of a TLS connection to the server; NULL: there is to be none, or memory is out. */
struct ssl_st *server_make_tls(const struct server *server);

/*
 * The server refused the connection before it asked for anything, or TLS failed: connects
 * again, with TLS under `allow`, without it under `prefer`. False where the mode or an earlier
 * attempt leaves nothing to try.
 */
bool server_try_other(struct server *server);

/* ---- handover.c ---- */

/* The backend, idle in the pool a moment ago, is to serve this client. */
void handover_start(struct server *server, struct client *client);
size_t handover_consume(struct server *server, const uint8_t *data, size_t len);

/* A linked backend lost its context: restores it under the client that keeps it. */
void handover_restore(struct server *server);

/*
 * The client's transaction is over, and may have left something: the server is asked, and then
 * the backend is released or stays with its client.
 */
void handover_ask(struct server *server);

/* A client that kept the backend has left: DISCARD ALL, then back to the pool. */
void handover_clean(struct server *server);

/* The same for a free backend whose server may have become read-only: that is asked, too, and
 * it goes back to the pool only if it has not. */
void handover_doubt(struct server *server);

/* ---- relay.c ---- */
size_t relay_from_server(struct server *server, const uint8_t *data, size_t len);

/* The linked backend is settled: gives it back unless its client keeps it. */
void relay_settle(struct server *server);

/* Reads the client again that waited for answers, if enough of them have come. */
void relay_go_on(struct server *server);

/* A settled backend that has no client any more goes to the pool, at the latest when no cancel
 * request is on its way to it. */
void server_give_back(struct server *server);

/* Unlinks a settled backend from its client, which becomes IDLE, and hands it to the pool. */
void server_release(struct server *server);

/*
 * Records a ParameterStatus body and gives its name and value, which stay in the body. False
 * when it is malformed or out of bounds.
 */
bool server_note_parameter(struct server *server, const uint8_t *body, size_t len,
						   const char **name, const char **value);

/* ---- cancel.c ---- */

/* Asks PostgreSQL to cancel what the backend is doing; the backend stays held until that is
 * done, also under a client that keeps it. False when no request can be made. */
bool cancel_backend(struct server *server);

/* A CancelRequest came in on this connection, which is taken over and closed when all is done.
 */
void cancel_request(struct worker *worker, struct stream_held from, uint32_t pid,
					const uint8_t *key, size_t key_len);

/* Ends what the session has under way, as its own CancelRequest would. False when there is
 * nothing, or no request can be made. */
bool cancel_statement(struct client *client);

/* The backend is closed: requests for it go on, but hold nothing any more. */
void cancel_forget(struct server *server);

/* Ends all cancel connections (at shutdown). */
void cancel_stop(struct worker *worker);

/* Closes cancel connections that got no answer in time. */
void cancel_tick(struct worker *worker, int64_t now_us);

#endif
