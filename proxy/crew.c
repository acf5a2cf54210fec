#include "proxy/crew.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/list.h"
#include "proxy/limits.h"
#include "proxy/upstream.h"
#include "proxy/worker.h"

/* How many of those that have spent their tokens are looked at when a tenant comes: their list
 * does not grow for long. */
#define SPENT_LOOKS 4

/* ---- life ---- */

static void wake_deliver(struct letter *letter)
{
	struct crew_member *member = list_entry(letter, struct crew_member, wake);

	/* Before the look: what happens from here on is worth another letter. */
	atomic_store(&member->woken, false);
	if (member->worker && !member->worker->stopping)
		upstreams_wake(member->worker);
}

/* Of those that nobody holds, looks at so many: who has all tokens again needs no remembering.
 */
static void forget_spent(struct crew *crew, int64_t now_ns, size_t looks)
{
	struct common **tenants = &crew->commons[COMMON_TENANT], *first;

	while (*tenants && looks-- &&
		   (first = list_first(&crew->spent, struct common, spent)) != NULL) {
		list_remove(&first->spent);
		if (atomic_load(&first->spent_ns) > now_ns) {
			list_append(&crew->spent, &first->spent);
			continue;
		}
		HASH_DEL(*tenants, first);
		free(first);
	}
}

struct crew *crew_create(size_t workers)
{
	struct crew *crew = calloc(1, sizeof *crew);

	if (!crew)
		return NULL;
	crew->count = workers;
	pthread_mutex_init(&crew->lock, NULL);
	penalties_init(&crew->penalties);
	list_init(&crew->spent);
	for (size_t i = 0; i < workers; i++)
		crew->members[i].wake.deliver = wake_deliver;
	return crew;
}

void crew_destroy(struct crew *crew)
{
	if (!crew)
		return;
	forget_spent(crew, INT64_MAX, SIZE_MAX);
	penalties_fini(&crew->penalties);
	pthread_mutex_destroy(&crew->lock);
	free(crew);
}

void crew_join(struct crew *crew, struct worker *worker)
{
	size_t number = 0;

	while (crew->members[number].worker)
		number++;
	crew->members[number].worker = worker;
	worker->number = number;
}

void crew_leave(struct crew *crew, struct worker *worker)
{
	if (crew->members[worker->number].worker == worker)
		crew->members[worker->number].worker = NULL;
}

/* ---- letters ---- */

bool crew_post(struct crew *crew, size_t number, struct letter *letter)
{
	struct worker *worker = crew->members[number].worker;

	if (!worker)
		return false;
	mailbox_post(worker->mailbox, letter);
	return true;
}

void crew_wake(struct crew *crew, uint64_t workers)
{
	for (size_t i = 0; i < crew->count; i++) {
		struct crew_member *member = &crew->members[i];

		if (workers & crew_bit(i) && member->worker && !atomic_exchange(&member->woken, true))
			mailbox_post(member->worker->mailbox, &member->wake);
	}
}

/* ---- connections ---- */

size_t crew_choose(struct crew *crew)
{
	size_t found = crew->next;

	for (size_t i = 1; i < crew->count; i++) {
		size_t other = (crew->next + i) % crew->count;

		if (atomic_load(&crew->members[other].clients) <
			atomic_load(&crew->members[found].clients))
			found = other;
	}
	crew->next = (found + 1) % crew->count;
	atomic_fetch_add(&crew->members[found].clients, 1);
	return found;
}

void crew_departed(struct crew *crew, const struct worker *worker)
{
	atomic_fetch_sub(&crew->members[worker->number].clients, 1);
}

/* Goes from worker to worker until one of them has a login to end, and comes back if none has.
 */
struct end_letter {
	struct letter letter;
	struct crew *crew;
	size_t at, origin;
	uint32_t newcomer; /* client->pid */
};

static void end_pass(struct end_letter *end)
{
	do
		end->at = (end->at + 1) % end->crew->count;
	while (end->at != end->origin && !atomic_load(&end->crew->members[end->at].logins));
	if (!crew_post(end->crew, end->at, &end->letter))
		free(end);
}

static void end_deliver(struct letter *letter)
{
	struct end_letter *end = (struct end_letter *)(void *)letter;
	struct worker *worker = end->crew->members[end->at].worker;
	bool is_back = end->at == end->origin;

	if (worker->stopping || limits_end_login(worker, is_back ? end->newcomer : 0) || is_back)
		free(end);
	else
		end_pass(end);
}

bool crew_end_login(struct crew *crew, const struct worker *worker, uint32_t newcomer)
{
	struct end_letter *end = malloc(sizeof *end);

	if (!end)
		return false;
	*end = (struct end_letter){
		{NULL, end_deliver}, crew, worker->number, worker->number, newcomer};
	end_pass(end);
	return true;
}

/* ---- routes ---- */

static struct crew_route *route_create(struct crew *crew, const struct route_key *key)
{
	struct crew_route *route = calloc(1, sizeof *route);

	if (!route)
		return NULL;
	route->key = *key;
	route->serial = ++crew->last_serial;
	HASH_ADD(hh, crew->routes, key, sizeof route->key, route);
	if (!route->hh.tbl) {
		free(route);
		return NULL;
	}
	return route;
}

struct crew_route *crew_hold_route(struct crew *crew, const struct route_key *key)
{
	struct crew_route *route;

	pthread_mutex_lock(&crew->lock);
	HASH_FIND(hh, crew->routes, key, sizeof *key, route);
	if (!route)
		route = route_create(crew, key);
	if (route)
		route->holders++;
	pthread_mutex_unlock(&crew->lock);
	return route;
}

void crew_keep_route(struct crew *crew, struct crew_route *route)
{
	pthread_mutex_lock(&crew->lock);
	route->holders++;
	pthread_mutex_unlock(&crew->lock);
}

void crew_drop_route(struct crew *crew, struct crew_route *route)
{
	pthread_mutex_lock(&crew->lock);
	if (--route->holders == 0) {
		HASH_DEL(crew->routes, route);
		welcomes_fini(&route->welcomes);
		free(route);
	}
	pthread_mutex_unlock(&crew->lock);
}

/* ---- what is found by a key ---- */

static struct common *common_create(struct common **commons, const void *key, size_t len)
{
	struct common *common = calloc(1, sizeof *common + len);

	if (!common)
		return NULL;
	memcpy(common->key, key, len);
	common->key_len = len;
	list_init(&common->spent);
	HASH_ADD_KEYPTR(hh, *commons, common->key, common->key_len, common);
	if (!common->hh.tbl) {
		free(common);
		return NULL;
	}
	return common;
}

struct common *crew_hold(struct crew *crew, enum common_kind kind, const void *key, size_t len)
{
	struct common **commons = &crew->commons[kind], *common;

	pthread_mutex_lock(&crew->lock);
	HASH_FIND(hh, *commons, key, len, common);
	if (!common && kind == COMMON_TENANT)
		forget_spent(crew, clock_monotonic_us() * 1000, SPENT_LOOKS);
	if (!common)
		common = common_create(commons, key, len);
	if (common) {
		common->holders++;
		list_remove(&common->spent);
	}
	pthread_mutex_unlock(&crew->lock);
	return common;
}

/* The lock is held. */
static void let_go(struct crew *crew, enum common_kind kind, struct common *common)
{
	if (atomic_load(&common->spent_ns) > clock_monotonic_us() * 1000) {
		list_append(&crew->spent, &common->spent);
		return;
	}
	HASH_DEL(crew->commons[kind], common);
	free(common);
}

void crew_drop(struct crew *crew, enum common_kind kind, struct common *common)
{
	if (!common)
		return;
	pthread_mutex_lock(&crew->lock);
	if (--common->holders == 0)
		let_go(crew, kind, common);
	pthread_mutex_unlock(&crew->lock);
}

/* ---- places of one key ---- */

void common_wait(struct crew *crew, struct common *common, size_t number)
{
	if (atomic_load(&common->waiting) & crew_bit(number))
		return;
	pthread_mutex_lock(&crew->lock);
	atomic_fetch_or(&common->waiting, crew_bit(number));
	pthread_mutex_unlock(&crew->lock);
}

/* The next of these workers behind this one, round and round; -1: none. */
static int next_in_turn(const struct crew *crew, uint64_t workers, size_t number)
{
	for (size_t i = 1; i < crew->count; i++) {
		size_t other = (number + i) % crew->count;

		if (workers & crew_bit(other))
			return (int)other;
	}
	return -1;
}

void common_give(struct crew *crew, struct common *common, size_t number, int limit)
{
	const uint64_t rest = ~crew_bit(number);
	int next = -1;

	if (atomic_load(&common->used) <= limit && atomic_load(&common->waiting) & rest) {
		pthread_mutex_lock(&crew->lock);
		next = next_in_turn(crew, atomic_load(&common->waiting), number);
		if (next >= 0) {
			atomic_fetch_and(&common->waiting, ~crew_bit((size_t)next));
			atomic_fetch_or(&common->granted, crew_bit((size_t)next));
		}
		pthread_mutex_unlock(&crew->lock);
	}
	if (next >= 0) {
		crew_wake(crew, crew_bit((size_t)next));
		return;
	}
	atomic_fetch_sub(&common->used, 1);
	/* Who began to wait in between has seen the place taken; and others may have given back too
	 * many at this moment, each for itself. */
	uint64_t late = atomic_load(&common->waiting) & rest;
	if (late)
		crew_wake(crew, late);
}

bool common_take_grant(struct crew *crew, struct common *common, size_t number)
{
	uint64_t bit = crew_bit(number), before;

	if (!(atomic_load(&common->granted) & bit))
		return false;
	pthread_mutex_lock(&crew->lock);
	before = atomic_fetch_and(&common->granted, ~bit);
	pthread_mutex_unlock(&crew->lock);
	return before & bit;
}

void common_leave(struct crew *crew, struct common *common, size_t number, int limit)
{
	pthread_mutex_lock(&crew->lock);
	atomic_fetch_and(&common->waiting, ~crew_bit(number));
	pthread_mutex_unlock(&crew->lock);
	if (common_take_grant(crew, common, number))
		common_give(crew, common, number, limit);
}

/* ---- lines ---- */

static uint64_t others(const struct crew *crew, size_t number)
{
	uint64_t all = crew->count == WORKERS_MAX ? UINT64_MAX : crew_bit(crew->count) - 1;

	return all & ~crew_bit(number);
}

void line_ask(struct crew *crew, struct budget_line *line, size_t number, size_t backends)
{
	uint64_t bit = crew_bit(number);

	atomic_store(&line->backends[number], (int)backends);
	if (!(atomic_load(&line->waiting) & bit))
		line_stand_back(line, number);
	atomic_fetch_or(&line->waiting, bit);
	if (!(atomic_fetch_or(&line->asking, bit) & bit))
		crew_wake(crew, others(crew, number));
}

void line_leave(struct budget_line *line, size_t number)
{
	uint64_t bit = crew_bit(number);

	atomic_fetch_and(&line->asking, ~bit);
	atomic_fetch_and(&line->waiting, ~bit);
}

void line_stand_back(struct budget_line *line, size_t number)
{
	atomic_store(&line->since_us[number], clock_monotonic_us());
}

void line_wake(struct crew *crew, const struct budget_line *line, size_t number)
{
	uint64_t waiting = atomic_load(&line->waiting) & others(crew, number);

	if (waiting)
		crew_wake(crew, waiting);
}

bool line_is_before(const struct first *one, const struct first *other)
{
	if (one->number < 0 || other->number < 0)
		return one->number >= 0;
	if (one->backends != other->backends)
		return one->backends < other->backends;
	return one->since_us < other->since_us;
}

static struct first first_of(const struct budget_line *line, uint64_t workers)
{
	struct first first = {.number = -1};

	for (int i = 0; workers; i++, workers >>= 1) {
		const struct first next = {i, (size_t)atomic_load(&line->backends[i]),
								   atomic_load(&line->since_us[i])};

		if (workers & 1 && line_is_before(&next, &first))
			first = next;
	}
	return first;
}

struct first line_first_waiting(const struct budget_line *line, size_t number)
{
	return first_of(line, atomic_load(&line->waiting) & ~crew_bit(number));
}

struct first line_first_asking(const struct budget_line *line, size_t number)
{
	return first_of(line, atomic_load(&line->asking) & ~crew_bit(number));
}

void line_grant(struct crew *crew, struct budget_line *line, int number)
{
	atomic_fetch_add(&line->grants[number], 1);
	crew_wake(crew, crew_bit((size_t)number));
}

bool line_take_grant(struct budget_line *line, size_t number)
{
	if (!line_has_grant(line, number)) /* only this worker takes them */
		return false;
	atomic_fetch_sub(&line->grants[number], 1);
	return true;
}

bool line_claim(struct budget_line *line, int asker)
{
	uint64_t bit = crew_bit((size_t)asker);

	return atomic_fetch_and(&line->asking, ~bit) & bit;
}
