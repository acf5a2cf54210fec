/*
 * postgres.h: a PostgreSQL of the fuzz targets': logs anybody in, has the guard's half of the
 * context, follows message_loop.h, and watches over what Bulkhead sends it.
 *
 * As long as it is honest it stops the target when a client's message reaches it in the context
 * of another tenant, in a session where another client has left something, under settings that
 * are not those of the client, or when it binds a statement that the client has not prepared. A
 * row of its own says whose context it was read in.
 */
#ifndef TESTS_FUZZ_POSTGRES_H
#define TESTS_FUZZ_POSTGRES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "policy/guard/keyring.h"
#include "router/directory.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/message_loop.h"
#include "tests/fuzz/postgres_state.h"

#define MARK_SECRET_SIZE 17
#define STATEMENTS_MAX   32
#define TEXT_NAME_MAX    64
#define TEXT_MAX         512
#define CLIENTS_MAX      128

struct postgres;

/* What all servers of a target have in common. */
struct postgres_world {
	struct postgres *servers;
	size_t server_count;
	const struct guard_keyring *keyring;
	const struct tenant *const *tenants;
	size_t tenant_count;
	const char *database;
	bool checks_settings; /* SQL that begins with SET is Bulkhead's, and must be nothing else */
	struct dice *dice;    /* decides what is not said by a statement's text */
	char secret[MARK_SECRET_SIZE]; /* in marks, so that no input contains one by chance */

	/* By their serials: what clients have asked for, in all, and in their startup packets.
	 * Where servers lie, nobody can know. */
	struct {
		bool is_known;
		struct state now, startup;
	} clients[CLIENTS_MAX];
	bool has_lied;
};

/*
 * A client's statement carries `from-SERIAL-TENANT-secret`, a row `row-TENANT-secret`; SERIAL
 * is two letters. The place of the secret of the first mark in the bytes, or NULL.
 */
const char *mark_find(const struct postgres_world *world, const void *data, size_t len);
#define MARK_MAX 64
void mark_client(const struct postgres_world *world, unsigned serial, size_t tenant,
				 char out[MARK_MAX]);

/* The serial of a client's mark, found by mark_find, and its tenant; 0 for any other. */
unsigned mark_client_of(const char *secret, const void *data, size_t *tenant);

/* The tenant of a row's mark, found by mark_find; -1 for any other. */
int mark_row_tenant(const char *secret, const void *data);

struct postgres {
	struct postgres_world *world;
	int fd;      /* -1 when it is closed */
	bool honest; /* has sent nothing but its own answers */
	bool started, is_cancel;
	uint32_t pid;
	struct loop_host host;
	struct loop loop;

	struct buf in, out;
	uint64_t skip; /* of a long message's body, still to come */

	const struct tenant *sealed;
	unsigned emptied_by;           /* the client that emptied the context itself; 0: nobody */
	struct state state, committed; /* with the transaction that is open, and without */
	const struct tenant *committed_seal;
	bool emptied, set_since; /* in this transaction: RESET ALL out of sight, and then a SET */
	unsigned runs,
		transaction_of; /* whose statement runs, whose the transaction is; 0: nobody's */
	unsigned portal_owner;
	unsigned left_by;       /* the client that left something in the session; 0: nobody */
	char told[STATE_VALUE]; /* the application_name that was last reported */

	struct prepared_text {
		char name[TEXT_NAME_MAX], text[TEXT_MAX];
	} statements[STATEMENTS_MAX], unnamed, portal, query;
	struct buf answer;        /* to Bulkhead's question */
	char values[5][TEXT_MAX]; /* of the last Bind */
	size_t value_count;
	enum { ROW_OWN, ROW_SEAL, ROW_CHECK, ROW_STATE } row; /* what the next row is */
	unsigned
		asked_by; /* the client whose message is being answered; 0: Bulkhead's, or not known */
	unsigned asked_last; /* the last one of which that was known */
	bool cancelled;      /* the next thing done fails */
	unsigned cancelled_for;
};

void postgres_open(struct postgres *postgres, struct postgres_world *world, int fd);
void postgres_close(struct postgres *postgres);

/* Takes in what Bulkhead has sent, and carries out at most `count` messages; false: there was
 * none. */
bool postgres_serve(struct postgres *postgres, unsigned count);

/* Sends bytes that no server would: it is honest no more. */
void postgres_lie(struct postgres *postgres, const void *data, size_t len);

#endif
