#include "proxy/farewell.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/event.h>

#include "base/clock.h"
#include "base/list.h"
#include "proxy/upstream.h"
#include "proxy/worker.h"

struct farewell {
	struct list node; /* worker->farewells or ->resets, oldest first */
	struct upstream *upstream;
	struct event readable;
	int fd; /* -1: reset */
	int64_t since_us;
};

static void finish(struct farewell *farewell)
{
	struct upstream *upstream = farewell->upstream;

	list_remove(&farewell->node);
	if (farewell->fd >= 0) {
		event_del(&farewell->readable);
		close(farewell->fd);
	}
	free(farewell);
	upstream_parting(upstream, -1);
	upstream_give(upstream);
}

/* What the server still had to say is thrown away; its end is what is waited for. */
static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct farewell *farewell = arg;
	char ignored[4096];
	ssize_t n = recv((int)fd, ignored, sizeof ignored, 0);

	(void)what;
	if (n > 0 || (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)))
		return;
	finish(farewell);
}

/* NULL when memory is out: the place is given back then. */
static struct farewell *create(struct list *list, struct upstream *upstream)
{
	struct farewell *farewell = calloc(1, sizeof *farewell);

	if (!farewell) {
		upstream_give(upstream);
		return NULL;
	}
	farewell->upstream = upstream;
	upstream_parting(upstream, 1);
	farewell->fd = -1;
	farewell->since_us = clock_monotonic_us();
	list_append(list, &farewell->node);
	return farewell;
}

void farewell_reset(struct worker *worker, struct upstream *upstream, int fd)
{
	struct linger at_once = {.l_onoff = 1, .l_linger = 0};

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
	close(fd);
	create(&worker->resets, upstream);
}

void farewell_start(struct worker *worker, struct upstream *upstream, int fd)
{
	struct farewell *farewell = create(&worker->farewells, upstream);

	if (!farewell) {
		close(fd);
		return;
	}
	farewell->fd = fd;
	event_assign(&farewell->readable, worker->base, fd, EV_READ | EV_PERSIST, on_readable,
				 farewell);
	if (event_add(&farewell->readable, NULL) != 0)
		finish(farewell);
}

static void finish_older(struct list *list, int64_t born_us)
{
	struct farewell *farewell;

	while ((farewell = list_first(list, struct farewell, node)) != NULL &&
		   farewell->since_us <= born_us)
		finish(farewell);
}

void farewell_tick(struct worker *worker, int64_t now_us)
{
	finish_older(&worker->farewells, now_us - FAREWELL_US);
	finish_older(&worker->resets, now_us - FAREWELL_BLIND_US);
}

void farewell_stop(struct worker *worker)
{
	finish_older(&worker->farewells, INT64_MAX);
	finish_older(&worker->resets, INT64_MAX);
}
