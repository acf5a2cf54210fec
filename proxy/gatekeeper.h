/*
 * gatekeeper.h: the gate (policy/gate.h) of a client's session.
 *
 * A session has the gate of its tenant, made anew when the tenant, its permissions or [gate]
 * change; so every statement is judged by what holds when it comes. A statement that was
 * prepared is judged again when it is bound or executed.
 */
#ifndef PROXY_GATEKEEPER_H
#define PROXY_GATEKEEPER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "policy/gate.h"
#include "policy/reason.h"

struct client;
struct conf;
struct startup_setting;
struct worker;

/* A worker's part: [gate] as it is read, and how many lines were logged lately. */
struct gatekeeper {
	struct gate_settings settings;
	int64_t second;      /* of the clock, in which these were counted */
	unsigned lines;      /* logged */
	uint64_t suppressed; /* and not */
};

/* Reads [gate]. False when memory is out, or a rule is named that does not exist (logged);
 * then what there was stays. */
bool gatekeeper_take_settings(struct worker *worker, const struct conf *conf);
void gatekeeper_fini(struct gatekeeper *gatekeeper);

/* The client's tenant is known, or has changed, or the settings have. May end the session when
 * memory is out. */
void gatekeeper_renew(struct client *client);

/*
 * The client's own settings are known: where its tenant may only read, its transactions are
 * begun so, and it cannot change that; then the server refuses what the gate does not see.
 * Again when that has changed; on the backend it is at the next transaction. False when memory
 * is out.
 */
bool gatekeeper_settle_read_only(struct client *client);

/*
 * May the session begin with these settings, which every backend will be given? If not,
 * *refusal says why, and it is counted and logged as of a statement.
 */
bool gatekeeper_lets_begin(struct client *client, const struct startup_setting *settings,
						   size_t count, struct gate_refusal *refusal);

/*
 * May the client run a statement with this verdict? If not, *error becomes the whole
 * ErrorResponse (empty when memory is out), and it is counted and logged. What is only
 * observed is counted, logged, and may run.
 */
bool gatekeeper_lets_pass(struct client *client, const struct verdict *verdict,
						  struct buf *error);

/* A statement was refused, or cancelled, for another reason than the gate's: is counted and
 * logged likewise. `what` is static. */
void gatekeeper_note_refused(struct client *client, enum reason reason, const char *what);
void gatekeeper_note_cancelled(struct client *client, enum reason reason, const char *what);

/* The same for an EXECUTE, or a Bind of what SQL's PREPARE has prepared, in this session: of
 * what may be meant nothing is known but what all of it together needed. */
bool gatekeeper_lets_execute(struct client *client, struct buf *error);

/* A statement with this verdict, which may run, prepares another, or is prepared itself under a
 * name that EXECUTE can say. */
void gatekeeper_note_prepare(struct client *client, const struct verdict *verdict);

/* All of them are gone. */
void gatekeeper_forget_prepared(struct client *client);

#endif
