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
	struct list node; /* worker->farewells, oldest first */
	struct upstream *upstream;
	struct event readable;
	int fd;
	int64_t since_us;
};

static void finish(struct farewell *farewell)
{
	struct upstream *upstream = farewell->upstream;

	list_remove(&farewell->node);
	event_del(&farewell->readable);
	close(farewell->fd);
	free(farewell);
	upstream->farewell_count--;
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

void farewell_start(struct worker *worker, struct upstream *upstream, int fd)
{
	struct farewell *farewell = calloc(1, sizeof *farewell);

	if (!farewell) {
		close(fd);
		upstream_give(upstream);
		return;
	}
	farewell->upstream = upstream;
	upstream->farewell_count++;
	farewell->fd = fd;
	farewell->since_us = clock_monotonic_us();
	list_append(&worker->farewells, &farewell->node);
	event_assign(&farewell->readable, worker->base, fd, EV_READ | EV_PERSIST, on_readable,
				 farewell);
	if (event_add(&farewell->readable, NULL) != 0)
		finish(farewell);
}

void farewell_tick(struct worker *worker, int64_t now_us)
{
	struct farewell *farewell;

	while ((farewell = list_first(&worker->farewells, struct farewell, node)) != NULL &&
		   now_us - farewell->since_us >= FAREWELL_US)
		finish(farewell);
}

void farewell_stop(struct worker *worker)
{
	struct farewell *farewell;

	while ((farewell = list_first(&worker->farewells, struct farewell, node)) != NULL)
		finish(farewell);
}
