/*
 * limits.h: how many clients there may be, of all, of one tenant, of one principal.
 *
 * The numbers are those of all workers together (crew.h); whose they are, each worker knows for
 * its own.
 *
 * Connections that have not logged in are counted apart from those that have, so that strangers
 * who connect and keep silent take nobody's place: they only drive each other out, the oldest
 * first.
 */
#ifndef PROXY_LIMITS_H
#define PROXY_LIMITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/hash.h"
#include "base/list.h"
#include "policy/reason.h"

#include <uthash.h>

struct client;
struct conf;
struct common;
struct directory_change;
struct principal;
struct tenant;
struct worker;

/* The stricter of what the configuration says for all and the own limit of one; 0 is none. */
static inline int64_t limits_stricter(int64_t of_all, int64_t own)
{
	return own && (!of_all || own < of_all) ? own : of_all;
}

/* One tenant's or principal's clients of this worker; exists while it has any. */
struct tally {
	struct common *common; /* has the key, and counts those of all workers */
	size_t count;
	struct list members; /* by their in_tenant or in_principal */
	UT_hash_handle hh;
};

struct limits {
	size_t logging_in; /* connections of this worker's that are not sessions yet */
	size_t sessions;   /* clients of its that were admitted */
	struct tally *tenants, *principals;
	bool waits_differ; /* a tenant has had a query_wait_timeout of its own; timeouts.c */
};

/* A connection came in; the oldest login that waits for its peer makes room where there are too
 * many. */
void limits_connected(struct client *client);

/* Another worker has a connection too many, and nobody there to blame: the oldest login here
 * that waits for its peer makes room, or, where there is nobody anywhere, the newcomer itself
 * by its pid. False when there is nobody here, though there are still too many. */
bool limits_end_login(struct worker *worker, uint32_t newcomer);

/* Might one more client be admitted, whoever it is? Asked before it is known who it is. */
bool limits_may_admit(const struct worker *worker);

/*
 * The client has proved who it is and its tenant is known: counts it as a session. False, with
 * the reason, when it is one too many.
 */
bool limits_admit(struct client *client, enum reason *why);

/*
 * As limits_admit for a session on the console, which is of no tenant. It counts for its
 * principal, but is held to no limit of it.
 */
bool limits_admit_console(struct client *client, enum reason *why);

/* How many clients this principal may have: its own limit, but no more than the settings say of
 * all. 0: no limit. */
int limits_of_principal(const struct conf *conf, const struct principal *principal);

/* Sessions of this tenant are there, or it has changed. */
void limits_note_tenant(struct worker *worker, const struct tenant *tenant);

/* The client's login has ended, one way or the other. */
void limits_logged_in(struct client *client);

/* The client is going: takes it out of all counts. */
void limits_departed(struct client *client);

/*
 * The sessions of the tenant or principal that has changed, or NULL when there are none. The
 * tally stays until it is let go, whoever departs meanwhile.
 */
struct tally *limits_hold(struct worker *worker, const struct directory_change *change);
void limits_let_go(struct worker *worker, const struct directory_change *change,
				   struct tally *tally);

#endif
