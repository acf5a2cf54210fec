#include "router/clusters.h"

#include <stdlib.h>
#include <string.h>

static void free_list(struct cluster_said *list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(list[i].name);
	free(list);
}

void clusters_init(struct clusters *clusters)
{
	memset(clusters, 0, sizeof *clusters);
	pthread_mutex_init(&clusters->lock, NULL);
}

void clusters_fini(struct clusters *clusters)
{
	free_list(clusters->list, clusters->count);
	pthread_mutex_destroy(&clusters->lock);
}

static enum cluster_status find(const struct cluster_said *list, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++) {
		if (strcmp(list[i].name, name) == 0)
			return list[i].status;
	}
	return CLUSTER_ACTIVE;
}

/* Both hold none that is active. */
static bool is_same(const struct clusters *clusters, const struct cluster_said *list,
					size_t count)
{
	if (clusters->count != count)
		return false;
	for (size_t i = 0; i < count; i++) {
		if (find(clusters->list, clusters->count, list[i].name) != list[i].status)
			return false;
	}
	return true;
}

bool clusters_replace(struct clusters *clusters, const struct cluster_said *list, size_t count)
{
	struct cluster_said *copy = calloc(count + 1, sizeof *copy);
	size_t copied = 0;

	for (size_t i = 0; copy && i < count; i++) {
		if (list[i].status == CLUSTER_ACTIVE)
			continue;
		copy[copied].status = list[i].status;
		copy[copied].name = strdup(list[i].name);
		if (!copy[copied++].name) {
			free_list(copy, copied);
			return false;
		}
	}
	if (!copy)
		return false;
	pthread_mutex_lock(&clusters->lock);
	bool same = is_same(clusters, copy, copied);
	struct cluster_said *old = same ? copy : clusters->list;
	size_t old_count = same ? copied : clusters->count;
	if (!same) {
		clusters->list = copy;
		clusters->count = copied;
	}
	pthread_mutex_unlock(&clusters->lock);
	if (!same)
		atomic_fetch_add(&clusters->age, 1);
	free_list(old, old_count);
	return true;
}

enum cluster_status clusters_status(struct clusters *clusters, const char *name)
{
	pthread_mutex_lock(&clusters->lock);
	enum cluster_status status = find(clusters->list, clusters->count, name);
	pthread_mutex_unlock(&clusters->lock);
	return status;
}
