/*
 * clusters.h: which clusters the control database says are out of service.
 *
 * They are few, and all are held; who is not named is active, as is everybody while the control
 * database has not been asked yet.
 */
#ifndef ROUTER_CLUSTERS_H
#define ROUTER_CLUSTERS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

enum cluster_status { CLUSTER_ACTIVE, CLUSTER_DRAINING, CLUSTER_DOWN };

struct cluster_said {
	char *name;
	enum cluster_status status;
};

struct clusters {
	pthread_mutex_t lock;
	struct cluster_said *list; /* those that are not active */
	size_t count;
	atomic_uint age; /* counts changes */
};

void clusters_init(struct clusters *clusters);
void clusters_fini(struct clusters *clusters);

/* This is how it is now; names are copied. False when memory is out, and all is as before. */
bool clusters_replace(struct clusters *clusters, const struct cluster_said *list, size_t count);

/* From any thread. */
enum cluster_status clusters_status(struct clusters *clusters, const char *name);

static inline unsigned clusters_age(struct clusters *clusters)
{
	return atomic_load(&clusters->age);
}

#endif
