#include "admin/migrate_crew.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "admin/migrate_apply.h"

#define GLANCE_MS 200 /* how often the watcher is called when nothing happens */

struct crew {
	struct migrate *migrate;
	struct migrate_ledger *ledger;
	pthread_mutex_t mutex; /* for the rest */
	size_t next, ended, told;
	size_t *order;  /* places of targets, as they ended */
	size_t working; /* threads */
	bool stopping;
	int bell; /* an eventfd: something of that has changed */
};

static void ring(struct crew *crew)
{
	const uint64_t one = 1;

	/* It can only fail when the bell rings already. */
	if (write(crew->bell, &one, sizeof one) < 0)
		return;
}

/* The next target, or NULL when there is none or it is to end. */
static struct migrate_target *take(struct crew *crew, size_t *place)
{
	struct migrate_target *target = NULL;
	bool is_broken = ledger_is_broken(crew->ledger);

	pthread_mutex_lock(&crew->mutex);
	if (!is_broken && !crew->stopping && crew->next < crew->migrate->target_count) {
		*place = crew->next++;
		target = crew->migrate->targets[*place];
	}
	pthread_mutex_unlock(&crew->mutex);
	return target;
}

static void *work(void *arg)
{
	struct crew *crew = arg;
	const struct migrate *migrate = crew->migrate;
	struct migrate_target *target;
	size_t place;

	while ((target = take(crew, &place)) != NULL) {
		migrate_apply(target, migrate->versions, migrate->version_count, migrate->options,
					  crew->ledger);
		pthread_mutex_lock(&crew->mutex);
		crew->order[crew->ended++] = place;
		pthread_mutex_unlock(&crew->mutex);
		ring(crew);
	}
	pthread_mutex_lock(&crew->mutex);
	crew->working--;
	pthread_mutex_unlock(&crew->mutex);
	ring(crew);
	return NULL;
}

/* ---- watching ---- */

/* Tells of the targets that have ended since the last time. */
static void tell(struct crew *crew, const struct migrate_watcher *watcher)
{
	const struct migrate *migrate = crew->migrate;

	pthread_mutex_lock(&crew->mutex);
	size_t ended = crew->ended;
	pthread_mutex_unlock(&crew->mutex);
	if (crew->told == ended)
		watcher->moved(watcher->arg, NULL, ended, migrate->target_count);
	for (; crew->told < ended; crew->told++)
		watcher->moved(watcher->arg, migrate->targets[crew->order[crew->told]], crew->told + 1,
					   migrate->target_count);
}

/* Is the connection that holds the turn still there? Without it another run may begin. */
static bool has_turn(const struct migrate *migrate)
{
	return PQconsumeInput(migrate->turn) && PQstatus(migrate->turn) == CONNECTION_OK;
}

static bool is_at_work(struct crew *crew)
{
	pthread_mutex_lock(&crew->mutex);
	bool at_work = crew->working > 0;
	pthread_mutex_unlock(&crew->mutex);
	return at_work;
}

static void stop(struct crew *crew)
{
	pthread_mutex_lock(&crew->mutex);
	crew->stopping = true;
	pthread_mutex_unlock(&crew->mutex);
}

static void watch(struct crew *crew, const struct migrate_watcher *watcher)
{
	struct pollfd bell = {.fd = crew->bell, .events = POLLIN};
	uint64_t count;

	while (is_at_work(crew)) {
		if (poll(&bell, 1, GLANCE_MS) > 0 && read(crew->bell, &count, sizeof count) < 0 &&
			errno != EAGAIN && errno != EINTR)
			break;
		tell(crew, watcher);
		if (watcher->stopping(watcher->arg) || !has_turn(crew->migrate))
			stop(crew);
	}
}

/* ---- all of it ---- */

static size_t start(struct crew *crew, pthread_t *threads, size_t wanted)
{
	size_t count = 0;

	for (; count < wanted; count++) {
		pthread_mutex_lock(&crew->mutex);
		crew->working++;
		pthread_mutex_unlock(&crew->mutex);
		if (pthread_create(&threads[count], NULL, work, crew) != 0) {
			pthread_mutex_lock(&crew->mutex);
			crew->working--;
			pthread_mutex_unlock(&crew->mutex);
			break;
		}
	}
	return count;
}

bool migrate_crew_run(struct migrate *migrate, size_t first, struct migrate_ledger *ledger,
					  const struct migrate_watcher *watcher)
{
	size_t left = migrate->target_count - first, jobs = (size_t)migrate->options->jobs;
	size_t wanted = left < jobs ? left : jobs, count = 0;
	struct crew crew = {.migrate = migrate,
						.ledger = ledger,
						.next = first,
						.ended = first,
						.told = first,
						.order = calloc(migrate->target_count + 1, sizeof *crew.order),
						.bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
	pthread_t *threads = calloc(wanted + 1, sizeof *threads);

	pthread_mutex_init(&crew.mutex, NULL);
	if (threads && crew.order && crew.bell >= 0)
		count = start(&crew, threads, wanted);
	if (count > 0)
		watch(&crew, watcher);
	for (size_t i = 0; i < count; i++)
		pthread_join(threads[i], NULL);
	if (count > 0)
		tell(&crew, watcher);
	if (crew.bell >= 0)
		close(crew.bell);
	pthread_mutex_destroy(&crew.mutex);
	free(crew.order);
	free(threads);
	return count > 0 || wanted == 0;
}
