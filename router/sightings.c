#include "router/sightings.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"

#define SLOTS 1024 /* a power of two, and twice as many as there can be sightings */

struct sightings {
	pthread_mutex_t lock;
	size_t count;
	uint64_t dropped;
	int64_t dropped_first_ms, dropped_last_ms;
	uint16_t slots[SLOTS]; /* place in `seen` and one; 0: free */
	struct sighting seen[SIGHTINGS_MAX];
};

_Static_assert(sizeof(struct sighting_key) ==
				   sizeof(struct uuid) + SIGHTING_NAME_SIZE + 4 + sizeof(uint32_t),
			   "a key is compared as bytes");

const char *const sighting_names[] = {"session.opened", "session.refused", "statement.refused",
									  "events.dropped"};

struct sightings *sightings_create(void)
{
	struct sightings *sightings = calloc(1, sizeof *sightings);

	if (sightings && pthread_mutex_init(&sightings->lock, NULL) != 0) {
		free(sightings);
		return NULL;
	}
	return sightings;
}

void sightings_destroy(struct sightings *sightings)
{
	if (!sightings)
		return;
	pthread_mutex_destroy(&sightings->lock);
	free(sightings);
}

/* Names are UTF-8: one that is too long ends before a character that would not be whole. */
static void take_name(char out[SIGHTING_NAME_SIZE], const char *name)
{
	size_t len = strnlen(name, SIGHTING_NAME_SIZE);

	if (len == SIGHTING_NAME_SIZE) {
		len--;
		while (len && ((unsigned char)name[len] & 0xc0) == 0x80)
			len--;
	}
	memcpy(out, name, len);
}

/* The slot that has the key, or the free one where it belongs. */
static size_t find_slot(const struct sightings *sightings, const struct sighting_key *key)
{
	size_t slot = hash_bytes(key, sizeof *key) % SLOTS;

	while (sightings->slots[slot] &&
		   memcmp(&sightings->seen[sightings->slots[slot] - 1].key, key, sizeof *key) != 0)
		slot = (slot + 1) % SLOTS;
	return slot;
}

static void drop(struct sightings *sightings, int64_t now_ms)
{
	if (!sightings->dropped++)
		sightings->dropped_first_ms = now_ms;
	sightings->dropped_last_ms = now_ms;
}

static void add(struct sightings *sightings, const struct sighting_key *key, int64_t now_ms)
{
	size_t slot = find_slot(sightings, key);
	struct sighting *sighting;

	if (!sightings->slots[slot] && sightings->count == SIGHTINGS_MAX) {
		drop(sightings, now_ms);
		return;
	}
	if (!sightings->slots[slot]) {
		sighting = &sightings->seen[sightings->count++];
		*sighting = (struct sighting){.first_ms = now_ms};
		sighting->key = *key;
		sightings->slots[slot] = (uint16_t)sightings->count;
	}
	sighting = &sightings->seen[sightings->slots[slot] - 1];
	sighting->count++;
	sighting->last_ms = now_ms;
}

void sightings_add(struct sightings *sightings, enum sighting_kind kind,
				   const struct uuid *tenant, const char *principal, enum reason reason)
{
	struct sighting_key key = {.kind = (uint16_t)kind, .reason = (uint16_t)reason};

	if (!sightings)
		return;
	if (tenant) {
		key.tenant = *tenant;
		key.has_tenant = 1;
	}
	if (principal)
		take_name(key.principal, principal);
	const int64_t now_ms = clock_wall_ms();
	pthread_mutex_lock(&sightings->lock);
	add(sightings, &key, now_ms);
	pthread_mutex_unlock(&sightings->lock);
}

size_t sightings_take(struct sightings *sightings, struct sighting *out)
{
	size_t count;

	pthread_mutex_lock(&sightings->lock);
	count = sightings->count;
	memcpy(out, sightings->seen, count * sizeof *out);
	if (sightings->dropped) {
		out[count] = (struct sighting){.count = sightings->dropped,
									   .first_ms = sightings->dropped_first_ms,
									   .last_ms = sightings->dropped_last_ms};
		out[count].key.kind = SIGHTING_DROPPED;
		out[count].key.reason = SIGHTING_NO_REASON;
		count++;
	}
	sightings->dropped = 0;
	if (sightings->count) {
		sightings->count = 0;
		memset(sightings->slots, 0, sizeof sightings->slots);
	}
	pthread_mutex_unlock(&sightings->lock);
	return count;
}
