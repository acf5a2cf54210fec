/* What a pool's logins are told: its own worker's, and what the pools of others have noted. */
#include <pthread.h>
#include <stdatomic.h>

#include "proxy/crew.h"
#include "proxy/pool.h"
#include "proxy/worker.h"

static void copy_welcome(struct pool *pool, const struct settings *settings)
{
	struct crew *crew = pool->worker->crew;

	pthread_mutex_lock(&crew->lock);
	unsigned age = atomic_load(&pool->route->welcomes_age);
	const struct params *known = welcomes_find(&pool->route->welcomes, settings);
	if (age != pool->welcomes_age)
		welcomes_drop(&pool->welcomes);
	pool->welcomes_age = age;
	if (known)
		welcomes_add(&pool->welcomes, settings, known);
	pthread_mutex_unlock(&crew->lock);
}

const struct params *pool_find_welcome(struct pool *pool, const struct settings *settings)
{
	const struct params *own = welcomes_find(&pool->welcomes, settings);

	if (crew_is_one(pool->worker->crew) ||
		(own && pool->welcomes_age == atomic_load(&pool->route->welcomes_age)))
		return own;
	copy_welcome(pool, settings);
	return welcomes_find(&pool->welcomes, settings);
}

void pool_add_welcome(struct pool *pool, const struct settings *settings,
					  const struct params *params)
{
	struct crew *crew = pool->worker->crew;

	welcomes_add(&pool->welcomes, settings, params);
	if (crew_is_one(crew))
		return;
	pthread_mutex_lock(&crew->lock);
	welcomes_add(&pool->route->welcomes, settings, params);
	pthread_mutex_unlock(&crew->lock);
}

void pool_note_base(struct pool *pool, const struct params *params)
{
	struct crew *crew = pool->worker->crew;

	welcomes_note_base(&pool->welcomes, params);
	if (crew_is_one(crew))
		return;
	pthread_mutex_lock(&crew->lock);
	if (welcomes_note_base(&pool->route->welcomes, params))
		atomic_fetch_add(&pool->route->welcomes_age, 1);
	pthread_mutex_unlock(&crew->lock);
}
