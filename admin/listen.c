#include "admin/listen.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include <event2/listener.h>

#include "base/log.h"

bool listen_fail(const char *event, const char *where, const char *port, const char *why)
{
	log_event(LOG_ERROR, event, "address", where, "port", port, "error", why, NULL);
	return false;
}

unsigned listen_flags(const struct sockaddr *address, bool is_shared)
{
	return LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_REUSEABLE |
		   (address->sa_family == AF_INET6 ? LEV_OPT_BIND_IPV6ONLY : 0) |
		   (is_shared && address->sa_family != AF_UNIX ? LEV_OPT_REUSEABLE_PORT : 0);
}

static bool visit_name(const char *name, int port, const char *event, listen_visitor visit,
					   void *self)
{
	struct addrinfo hints = {
		.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
	struct addrinfo *found = NULL;
	char service[16];
	bool ok = true;

	snprintf(service, sizeof service, "%d", port);
	int error = getaddrinfo(strcmp(name, "*") == 0 ? NULL : name, service, &hints, &found);
	if (error)
		return listen_fail(event, name, service, gai_strerror(error));
	for (const struct addrinfo *at = found; at && ok; at = at->ai_next)
		ok = visit(self, name, service, at->ai_addr, at->ai_addrlen);
	freeaddrinfo(found);
	return ok;
}

bool listen_each_name(const char *names, int port, const char *event, listen_visitor visit,
					  void *self)
{
	char *copy = strdup(names), *rest = copy;
	bool ok = copy != NULL;

	for (char *name; ok && (name = strsep(&rest, ", ")) != NULL;) {
		if (*name)
			ok = visit_name(name, port, event, visit, self);
	}
	free(copy);
	return ok;
}

static void clear_stale(const struct sockaddr_un *address, bool is_shared)
{
	if (is_shared) {
		unlink(address->sun_path);
		return;
	}
	int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (probe < 0)
		return;
	if (connect(probe, (const struct sockaddr *)address, sizeof *address) != 0 &&
		errno == ECONNREFUSED)
		unlink(address->sun_path);
	close(probe);
}

bool listen_at_path(const char *path, bool is_shared, const char *event, listen_visitor visit,
					void *self)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	if (strlen(path) >= sizeof address.sun_path)
		return listen_fail(event, path, NULL, "the path is too long for a unix socket");
	memcpy(address.sun_path, path, strlen(path) + 1);
	clear_stale(&address, is_shared);
	return visit(self, path, NULL, (const struct sockaddr *)&address, sizeof address);
}
