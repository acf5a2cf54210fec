#include "proxy/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <event2/event.h>

#include "base/activation.h"
#include "base/clock.h"
#include "base/list.h"
#include "proxy/client.h"
#include "proxy/crew.h"
#include "proxy/takeover.h"
#include "proxy/worker.h"

struct listener {
	struct worker *worker;
	const struct conf_listen *section;
	struct list node;
	struct event acceptable;
	int fd;
	bool paused;
	bool is_unix;
	bool is_shared;        /* the socket lives on in whoever opened it for us */
	int64_t complained_us; /* when it last said that nothing can be accepted */
	char *socket_path;     /* of a unix socket, or NULL */
	struct takeover_file file;
};

/* Connections taken in one turn of the loop, so that a flood of them does not starve those who
 * talk. */
#define ACCEPT_BATCH 64

/* And of those that wait when the socket is about to be closed: more than any backlog holds. */
#define REST_BATCHES (65536 / ACCEPT_BATCH)

#define COMPLAIN_EVERY_US 10000000

static void complain(struct listener *listener, const char *why)
{
	int64_t now_us = clock_monotonic_us();

	if (listener->complained_us && now_us - listener->complained_us < COMPLAIN_EVERY_US)
		return;
	listener->complained_us = now_us;
	log_event(LOG_ERROR, "listen.accept", "error", why, NULL);
}

/* A connection on its way to the worker that is to have it. */
struct newcomer {
	struct letter letter;
	struct worker *worker;
	size_t section; /* its number: the two workers may have different settings at the moment */
	int fd;
	bool is_unix;
};

static void deliver(struct letter *letter)
{
	struct newcomer *newcomer = (struct newcomer *)(void *)letter;
	struct worker *worker = newcomer->worker;

	if (worker->stopping)
		close(newcomer->fd);
	else
		client_create(worker, &worker->conf->listens[newcomer->section], newcomer->fd,
					  newcomer->is_unix);
	free(newcomer);
}

/* The worker with the fewest connections has it. */
static void give_away(struct listener *listener, int fd)
{
	struct worker *worker = listener->worker;
	struct crew *crew = worker->crew;
	size_t number = crew_choose(crew);
	bool is_unix = listener->is_unix;

	if (number == worker->number) {
		client_create(worker, listener->section, fd, is_unix);
		return;
	}
	struct newcomer *newcomer = malloc(sizeof *newcomer);
	struct worker *other = crew->members[number].worker;
	if (!newcomer) {
		close(fd);
		crew_departed(crew, other);
		return;
	}
	*newcomer = (struct newcomer){{NULL, deliver},
								  other,
								  (size_t)(listener->section - worker->conf->listens),
								  fd,
								  is_unix};
	mailbox_post(other->mailbox, &newcomer->letter);
}

/* Takes a batch of connections; false when no more of them are there, or can be taken. */
static bool accept_some(struct listener *listener)
{
	for (int i = 0; i < ACCEPT_BATCH; i++) {
		int client = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (client >= 0) {
			give_away(listener, client);
			continue;
		}
		if (errno == EINTR || errno == ECONNABORTED)
			continue;
		if (errno == EAGAIN || errno == EWOULDBLOCK)
			return false;
		/* Out of descriptors or memory: the connection stays in the backlog until some are
		 * free. */
		complain(listener, strerror(errno));
		listener->paused = true;
		event_del(&listener->acceptable);
		return false;
	}
	return true;
}

static void on_acceptable(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	accept_some(arg);
}

/* NULL when memory is out; the descriptor is closed then. */
static struct listener *start(struct worker *worker, const struct conf_listen *section, int fd,
							  char *socket_path)
{
	struct listener *listener = calloc(1, sizeof *listener);

	if (!listener) {
		close(fd);
		free(socket_path);
		return NULL;
	}
	listener->worker = worker;
	listener->section = section;
	listener->fd = fd;
	listener->socket_path = socket_path;
	listener->is_unix = socket_path != NULL;
	if (socket_path)
		takeover_note(socket_path, &listener->file);
	list_append(&worker->listeners, &listener->node);
	event_assign(&listener->acceptable, worker->base, fd, EV_READ | EV_PERSIST, on_acceptable,
				 listener);
	event_add(&listener->acceptable, NULL);
	return listener;
}

/* `port` is NULL for a unix socket. */
static bool fail(const char *where, const char *port, const char *why)
{
	log_event(LOG_ERROR, "listen.failed", "address", where, "port", port, "error", why, NULL);
	return false;
}

static bool open_tcp(struct worker *worker, const struct conf_listen *section,
					 const struct addrinfo *address, const char *name, const char *port)
{
	int on = 1;
	int fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return fail(name, port, strerror(errno));
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	if (address->ai_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
	if ((worker->conf->reuse_port && !takeover_share(fd)) ||
		bind(fd, address->ai_addr, address->ai_addrlen) != 0 ||
		listen(fd, section->listen_backlog) != 0) {
		int error = errno;

		close(fd);
		return fail(name, port, strerror(error));
	}
	return start(worker, section, fd, NULL) != NULL;
}

static bool open_addresses(struct worker *worker, const struct conf_listen *section, char *name)
{
	struct addrinfo hints = {
		.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
	struct addrinfo *found = NULL;
	char port[16];
	bool ok = true;

	snprintf(port, sizeof port, "%d", section->listen_port);
	int error = getaddrinfo(strcmp(name, "*") == 0 ? NULL : name, port, &hints, &found);
	if (error)
		return fail(name, port, gai_strerror(error));
	for (struct addrinfo *address = found; address && ok; address = address->ai_next)
		ok = open_tcp(worker, section, address, name, port);
	freeaddrinfo(found);
	return ok;
}

/*
 * A socket file of an earlier run is in the way when nobody answers on it; one that answers
 * belongs to a living process and is left alone, also when its queue is full (EAGAIN). False
 * with errno.
 */
static bool clear_stale_socket(const struct sockaddr_un *address)
{
	int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (probe < 0)
		return false;
	bool stale = connect(probe, (const struct sockaddr *)address, sizeof *address) != 0 &&
				 errno == ECONNREFUSED;

	close(probe);
	if (stale)
		return unlink(address->sun_path) == 0;
	errno = EADDRINUSE;
	return false;
}

static bool listen_unix(int fd, const struct conf_listen *section,
						const struct sockaddr_un *address)
{
	bool bound = bind(fd, (const struct sockaddr *)address, sizeof *address) == 0;

	if (!bound && errno == EADDRINUSE && clear_stale_socket(address))
		bound = bind(fd, (const struct sockaddr *)address, sizeof *address) == 0;
	return bound && chmod(address->sun_path, (mode_t)section->unix_socket_mode) == 0 &&
		   listen(fd, section->listen_backlog) == 0;
}

static bool open_unix(struct worker *worker, const struct conf_listen *section)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int len = snprintf(address.sun_path, sizeof address.sun_path, "%s/.s.PGSQL.%d",
					   section->unix_socket_dir, section->listen_port);

	if (len < 0 || (size_t)len >= sizeof address.sun_path)
		return fail(section->unix_socket_dir, NULL, "the path is too long for a unix socket");
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return fail(address.sun_path, NULL, strerror(errno));
	if (!(worker->conf->reuse_port
			  ? takeover_listen(fd, &address, (mode_t)section->unix_socket_mode,
								section->listen_backlog)
			  : listen_unix(fd, section, &address))) {
		int error = errno;

		close(fd);
		return fail(address.sun_path, NULL, strerror(error));
	}
	return start(worker, section, fd, strdup(address.sun_path)) != NULL;
}

/* Each worker has a descriptor of its own for the same socket. */
static bool take_over(struct worker *worker, const struct conf_listen *section,
					  const struct activation_socket *given)
{
	int fd = fcntl(given->fd, F_DUPFD_CLOEXEC, 0);
	struct listener *listener = fd >= 0 ? start(worker, section, fd, NULL) : NULL;

	if (!listener)
		return fail(section->name, NULL, strerror(errno));
	listener->is_unix = given->is_unix;
	listener->is_shared = true;
	return true;
}

/* How many sockets of the section's name were opened for us; -1 when one cannot be had. */
static int take_over_all(struct worker *worker, const struct conf_listen *section)
{
	const struct activation *activation = worker->activation;
	int count = 0;

	for (size_t i = 0; activation && i < activation->count; i++) {
		if (strcmp(activation->sockets[i].name, section->name) != 0)
			continue;
		if (!take_over(worker, section, &activation->sockets[i]))
			return -1;
		count++;
	}
	return count;
}

bool listener_open(struct worker *worker, const struct conf_listen *section)
{
	int given = take_over_all(worker, section);

	if (given)
		return given > 0;
	char *names = strdup(section->listen_addr), *rest = names;
	bool ok = names != NULL;

	for (char *name; ok && (name = strsep(&rest, ",")) != NULL;) {
		while (*name == ' ')
			name++;
		name[strcspn(name, " ")] = '\0';
		if (*name)
			ok = open_addresses(worker, section, name);
	}
	free(names);
	return ok && (!*section->unix_socket_dir || open_unix(worker, section));
}

int64_t listener_retire(struct worker *worker)
{
	if (!worker->conf->reuse_port)
		return 0;
	list_each (node, next, &worker->listeners) {
		struct listener *listener = list_entry(node, struct listener, node);

		if (!listener->socket_path && !listener->is_shared)
			takeover_turn_away(listener->fd);
	}
	return TAKEOVER_US;
}

void listener_accept_rest(struct worker *worker)
{
	list_each (node, next, &worker->listeners) {
		struct listener *listener = list_entry(node, struct listener, node);

		/* Those of a shared one wait for who comes after us. */
		for (int batch = 0;
			 !listener->is_shared && batch < REST_BATCHES && accept_some(listener); batch++)
			continue;
	}
}

void listener_close_all(struct worker *worker)
{
	list_each (node, next, &worker->listeners) {
		struct listener *listener = list_entry(node, struct listener, node);

		list_remove(&listener->node);
		event_del(&listener->acceptable);
		close(listener->fd);
		if (listener->socket_path)
			takeover_unlink(listener->socket_path, &listener->file);
		free(listener->socket_path);
		free(listener);
	}
	if (worker->number == 0)
		atomic_store(&worker->crew->closed, true);
}

void listener_tick(struct worker *worker)
{
	list_each (node, next, &worker->listeners) {
		struct listener *listener = list_entry(node, struct listener, node);

		if (listener->paused) {
			listener->paused = false;
			event_add(&listener->acceptable, NULL);
		}
	}
}

/* Neither of the two is worth more than a line when it fails: the listener works as it did. */
static void take_settings(struct listener *listener, const struct conf_listen *section)
{
	const struct conf_listen *old = listener->section;
	bool done = true;

	listener->section = section;
	if (old->listen_backlog != section->listen_backlog)
		done = listen(listener->fd, section->listen_backlog) == 0;
	if (listener->socket_path && old->unix_socket_mode != section->unix_socket_mode &&
		takeover_is_ours(listener->socket_path, &listener->file))
		done = chmod(listener->socket_path, (mode_t)section->unix_socket_mode) == 0 && done;
	if (!done)
		log_event(LOG_ERROR, "listen.settings", "listener", section->name, "error",
				  strerror(errno), NULL);
}

void listener_take_settings(struct worker *worker, const struct conf_listen *old,
							const struct conf_listen *sections)
{
	list_each (node, next, &worker->listeners) {
		struct listener *listener = list_entry(node, struct listener, node);

		take_settings(listener, &sections[listener->section - old]);
	}
}
