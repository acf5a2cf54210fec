/*
 * directory_state.h: the directory from inside; private to directory.c, feed.c and snapshot.c.
 */
#ifndef ROUTER_DIRECTORY_STATE_H
#define ROUTER_DIRECTORY_STATE_H

#include <pthread.h>

#include "router/cache.h"
#include "router/clusters.h"
#include "router/directory.h"

#define KINDS 2

/* One of those who are told of changes. */
struct watch {
	struct list node;
	struct mailbox *mailbox;
	directory_watcher told;
	void *self;
};

struct directory {
	pthread_mutex_t lock; /* guards the caches, and all that questions and lookups share */
	struct mailbox *control;
	struct directory_source source;
	struct directory_limits limits;
	struct cache caches[KINDS];
	struct directory_question *questions[KINDS]; /* under way, by token */
	struct list to_compare[KINDS];               /* holdings */
	struct list watches;
	struct clusters clusters; /* has a lock of its own */
	bool fed;                 /* announcements come */
	bool missed;              /* something announced could not be taken in: compare again */
	int64_t proved_us; /* when what is held was last known to be true, on the monotonic clock */
	uint64_t moment;   /* of what was taken in last */
	uint64_t changes;  /* of what is held: has the snapshot on disk become old? */
	struct directory_counts counts;
};

/* Is an old answer still good enough while nothing can be asked? The caller holds the lock. */
bool directory_may_serve_stale(const struct directory *directory);

/*
 * Takes in what the control database says of this subject, and tells those who watch when it is
 * not what was held. Takes no reference over. NULL when memory is out. The caller holds the
 * lock, and names the holding before it lets it go.
 */
struct holding *directory_take_in(struct directory *directory, enum directory_kind kind,
								  struct subject subject);

/* The subject of this key is gone: drops it, and tells. The caller holds the lock. */
void directory_take_out(struct directory *directory, enum directory_kind kind, const char *key);

/* Asks the source for the token, unless that is under way; for no asker. On the control thread,
 * without the lock. */
void directory_refresh(struct directory *directory, enum directory_kind kind,
					   const char *token);

#endif
