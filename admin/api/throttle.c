#include "admin/api/throttle.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <uthash.h>

#include "base/list.h"

#define NAME_SIZE 64

struct bucket {
	char name[NAME_SIZE];
	double tokens;
	int64_t at_us; /* when there were so many */
	struct list node;
	UT_hash_handle hh;
};

struct throttle {
	struct bucket *by_name;
	struct list seen; /* the one that was seen last stands last */
	struct list unused;
	struct bucket *buckets;
};

struct throttle *throttle_create(int size)
{
	struct throttle *throttle = calloc(1, sizeof *throttle);

	if (!throttle)
		return NULL;
	list_init(&throttle->seen);
	list_init(&throttle->unused);
	throttle->buckets = calloc((size_t)size, sizeof *throttle->buckets);
	if (!throttle->buckets) {
		free(throttle);
		return NULL;
	}
	for (int i = 0; i < size; i++)
		list_append(&throttle->unused, &throttle->buckets[i].node);
	return throttle;
}

void throttle_destroy(struct throttle *throttle)
{
	if (!throttle)
		return;
	HASH_CLEAR(hh, throttle->by_name);
	free(throttle->buckets);
	free(throttle);
}

static struct bucket *find(struct throttle *throttle, const char *name,
						   const struct throttle_rate *rate, int64_t now_us)
{
	struct bucket *bucket;
	char cut[NAME_SIZE];

	snprintf(cut, sizeof cut, "%s", name);
	HASH_FIND_STR(throttle->by_name, cut, bucket);
	if (!bucket) {
		bucket = list_first(&throttle->unused, struct bucket, node);
		if (!bucket) {
			bucket = list_first(&throttle->seen, struct bucket, node);
			HASH_DEL(throttle->by_name, bucket);
		}
		memcpy(bucket->name, cut, sizeof cut);
		bucket->tokens = rate->burst;
		bucket->at_us = now_us;
		HASH_ADD_STR(throttle->by_name, name, bucket);
	}
	list_remove(&bucket->node);
	list_append(&throttle->seen, &bucket->node);
	bucket->tokens += (double)(now_us - bucket->at_us) / 1e6 * rate->per_second;
	if (bucket->tokens > rate->burst)
		bucket->tokens = rate->burst;
	bucket->at_us = now_us;
	return bucket;
}

bool throttle_allows(struct throttle *throttle, const char *name,
					 const struct throttle_rate *rate, int64_t now_us)
{
	return rate->per_second <= 0 || find(throttle, name, rate, now_us)->tokens >= 1;
}

bool throttle_take(struct throttle *throttle, const char *name,
				   const struct throttle_rate *rate, int64_t now_us)
{
	struct bucket *bucket;

	if (rate->per_second <= 0)
		return true;
	bucket = find(throttle, name, rate, now_us);
	if (bucket->tokens < 1)
		return false;
	bucket->tokens -= 1;
	return true;
}

void throttle_charge(struct throttle *throttle, const char *name,
					 const struct throttle_rate *rate, double count, int64_t now_us)
{
	if (rate->per_second > 0)
		find(throttle, name, rate, now_us)->tokens -= count;
}

/* ---- names alone ---- */

void throttle_keep(struct throttle *throttle, const char *name)
{
	find(throttle, name, &(struct throttle_rate){0, 0}, 0);
}

static struct bucket *look_for(const struct throttle *throttle, const char *name)
{
	struct bucket *bucket;

	HASH_FIND_STR(throttle->by_name, name, bucket);
	return bucket;
}

bool throttle_has(const struct throttle *throttle, const char *name)
{
	return look_for(throttle, name) != NULL;
}

void throttle_drop(struct throttle *throttle, const char *name)
{
	struct bucket *bucket = look_for(throttle, name);

	if (!bucket)
		return;
	HASH_DEL(throttle->by_name, bucket);
	list_remove(&bucket->node);
	list_append(&throttle->unused, &bucket->node);
}
