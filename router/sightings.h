/*
 * sightings.h: what workers saw, on its way into the audit log: sessions opened and refused,
 * statements refused. Never a text, or a piece of one.
 *
 * What is alike is counted together: the same kind, tenant, principal and reason are one
 * sighting until it is taken. There is room for a bounded number of them; what is new when that
 * is full is only counted. Any thread may add, under a lock that is held for one look into a
 * hash table: a statement that is carried out comes nowhere near.
 */
#ifndef ROUTER_SIGHTINGS_H
#define ROUTER_SIGHTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/uuid.h"
#include "policy/reason.h"

struct sightings;

enum sighting_kind {
	SIGHTING_SESSION_OPENED,
	SIGHTING_SESSION_REFUSED,
	SIGHTING_STATEMENT_REFUSED,
	SIGHTING_DROPPED, /* there was no room for so many */
};

/* As the audit log has them. */
extern const char *const sighting_names[SIGHTING_DROPPED + 1];

#define SIGHTINGS_MAX      512
#define SIGHTING_NAME_SIZE 64 /* of a principal's name, cut short, and its NUL */
#define SIGHTING_NO_REASON REASON_COUNT

struct sighting {
	/* What makes it one; without gaps, and zero where nothing stands. */
	struct sighting_key {
		struct uuid tenant;
		char principal[SIGHTING_NAME_SIZE]; /* empty: not known */
		uint16_t kind, reason;              /* enum sighting_kind, enum reason */
		uint32_t has_tenant;
	} key;
	uint64_t count;
	int64_t first_ms, last_ms; /* of the wall clock */
};

/* NULL when memory is out. */
struct sightings *sightings_create(void);
void sightings_destroy(struct sightings *sightings); /* NULL is fine */

/* `tenant` and `principal` may be NULL. NULL `sightings`: nothing is wanted. */
void sightings_add(struct sightings *sightings, enum sighting_kind kind,
				   const struct uuid *tenant, const char *principal, enum reason reason);

/*
 * Takes all there are, the oldest first, and what was dropped as one more. Returns how many.
 * Out of room for SIGHTINGS_MAX + 1.
 */
size_t sightings_take(struct sightings *sightings, struct sighting *out);

#endif
