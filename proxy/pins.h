/*
 * pins.h: what a client's session holds on its backend beyond a transaction.
 *
 * Settings follow the client from backend to backend (settings.h). What cannot, such as a
 * temporary table or LISTEN, pins the backend to the client until it is gone. Which of the two
 * a statement may have led to is in its verdict; whether it did is asked of the server when the
 * transaction is over (handover.c), since only the server knows what was rolled back, and what
 * else a function did.
 */
#ifndef PROXY_PINS_H
#define PROXY_PINS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "policy/statement.h"

struct client;

/* Why a client keeps its backend. The first few are bits of what the server answers. */
enum pin {
	PIN_TEMP = 1 << 0,
	PIN_LISTEN = 1 << 1,
	PIN_CURSOR = 1 << 2,
	PIN_PREPARED = 1 << 3,
	PIN_LOCK = 1 << 4,
	PIN_ROLE = 1 << 5,
	PINS_ASKED = 0x3f,

	PIN_MODE = 1 << 8,       /* pool_mode = session */
	PIN_SETTING = 1 << 9,    /* a setting that cannot be followed */
	PIN_SEED = 1 << 10,      /* setseed */
	PIN_SEQUENCE = 1 << 11,  /* the client asks for the last value of a sequence */
	PIN_STATEMENT = 1 << 12, /* a prepared statement that cannot be kept here */
	PIN_NATIVE = 1 << 13,    /* its statements are on the backend under its own names */
	PIN_UNKNOWN = 1 << 14,   /* the server could not say */
};

struct pins {
	uint32_t held;      /* of enum pin */
	int64_t since_us;   /* when it began to hold any */
	uint32_t doubts;    /* pins that may have come or gone since the server was last asked */
	struct buf touched; /* names of settings that may have changed, each with its NUL */
	/* A statement failed, or set_config was one that may not have been carried out: a setting
	 * need not have been set at all. */
	bool failed;
	uint32_t transactions; /* of its backend, and one, when the server could not say; or 0 */
};

/* Names of one of the pins, for people; NULL for none. */
const char *pin_name(uint32_t pins);

static inline bool pins_are_in_doubt(const struct pins *pins)
{
	return pins->doubts || buf_len(&pins->touched);
}

/* The client keeps its backend for this, until it leaves or says DISCARD ALL. */
void pins_add(struct client *client, enum pin pin);

/* It keeps it for these no longer. */
void pins_drop(struct client *client, uint32_t pins);

/* The verdict's effects without those of statements that reset the session. */
uint32_t pins_effects(const struct verdict *verdict);

/* A statement with this verdict goes to the client's backend. False when memory is out. */
bool pins_note(struct client *client, const struct verdict *verdict);

/* This setting has changed, the statement did not say so. False when memory is out. */
bool pins_note_setting(struct client *client, const char *name);

/*
 * The one statement of a transaction that is over was this: what it did to a setting is known
 * without asking. False when it is not.
 */
bool pins_settle(struct client *client, const struct sql_statement *statement);

/* RESET ALL or DISCARD ALL took effect: the settings are those of the startup packet again. */
void pins_settings_reset(struct client *client);

/* DISCARD ALL took effect: nothing is held but by pool_mode. */
void pins_discarded(struct client *client);

/* Appends the query that asks what is held, and the touched settings. False when memory is out.
 */
bool pins_append_question(const struct client *client, struct buf *out);

/*
 * Takes the answer, the body of a DataRow. False when it cannot be read, or memory is out.
 */
bool pins_take_answer(struct client *client, const uint8_t *body, size_t len);

/* There was no answer: the backend is kept until there is one to a later question. */
void pins_not_known(struct client *client);

/* Is something in doubt, and was no answer given since the last transaction? */
bool pins_are_to_be_asked(const struct client *client);

/* Does it keep its backend while more clients of its tenant do so than max_tenant_pinned? */
bool pins_are_too_many(const struct client *client);

/* The client is leaving. */
void pins_fini(struct client *client);

#endif
