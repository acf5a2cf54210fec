/*
 * throttle.h: how often somebody may ask: a token bucket for each of many names.
 *
 * The names are strangers' (addresses, ids of keys): there is room for a fixed number, and when
 * it is full the one that was seen longest ago is forgotten, whose bucket is full again by then
 * if the rate is not tiny. One thread's.
 */
#ifndef ADMIN_API_THROTTLE_H
#define ADMIN_API_THROTTLE_H

#include <stdbool.h>
#include <stdint.h>

struct throttle;

/* Room for `size` names. NULL when memory is out. */
struct throttle *throttle_create(int size);
void throttle_destroy(struct throttle *throttle); /* NULL is fine */

struct throttle_rate {
	double per_second; /* tokens that come back; 0: no limit */
	double burst;      /* how many there are at the most; at least 1 */
};

/* Is there a token? It is not taken. */
bool throttle_allows(struct throttle *throttle, const char *name,
					 const struct throttle_rate *rate, int64_t now_us);

/* Takes a token; false, and nothing taken, where there is none. */
bool throttle_take(struct throttle *throttle, const char *name,
				   const struct throttle_rate *rate, int64_t now_us);

/* Takes so many tokens more behind one that was taken, also where they are not there: whoever
 * has cost too much waits the longer. */
void throttle_charge(struct throttle *throttle, const char *name,
					 const struct throttle_rate *rate, double count, int64_t now_us);

/*
 * The same as a memory of names, without tokens: nobody is forgotten for a name that is only
 * looked for.
 */
void throttle_keep(struct throttle *throttle, const char *name);
bool throttle_has(const struct throttle *throttle, const char *name);
void throttle_drop(struct throttle *throttle, const char *name);

#endif
