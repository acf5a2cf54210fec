#include "base/activation.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define FIRST_FD    3
#define SOCKETS_MAX 64

/* A number that is all of the text; -1: it is none. */
static long number(const char *text)
{
	char *end;

	if (!text || !*text)
		return -1;
	errno = 0;
	long value = strtol(text, &end, 10);
	return errno || *end || value < 0 ? -1 : value;
}

static int option(int fd, int name)
{
	socklen_t len = sizeof(int);
	int value;

	return getsockopt(fd, SOL_SOCKET, name, &value, &len) == 0 ? value : -1;
}

static bool take_socket(struct activation_socket *taken, int fd, char **names)
{
	const char *name = *names ? strsep(names, ":") : "";

	if (option(fd, SO_TYPE) != SOCK_STREAM || option(fd, SO_ACCEPTCONN) != 1)
		return false;
	int flags = fcntl(fd, F_GETFL);
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0 ||
		fcntl(fd, F_SETFD, FD_CLOEXEC) != 0)
		return false;
	taken->fd = fd;
	taken->is_unix = option(fd, SO_DOMAIN) == AF_UNIX;
	taken->name = strdup(name);
	return taken->name != NULL;
}

static bool take_all(struct activation *activation, long count, const char *names,
					 const char **why)
{
	char *copy = strdup(names ? names : ""), *rest = copy;
	bool ok = true;

	activation->sockets = calloc((size_t)count, sizeof *activation->sockets);
	if (!copy || !activation->sockets) {
		*why = "out of memory";
		free(copy);
		return false;
	}
	for (long i = 0; ok && i < count; i++) {
		ok = take_socket(&activation->sockets[i], FIRST_FD + (int)i, &rest);
		activation->count += ok;
	}
	if (!ok)
		*why = "one of LISTEN_FDS is no listening stream socket";
	free(copy);
	return ok;
}

bool activation_take(struct activation *activation, const char **why)
{
	const char *count_text = getenv("LISTEN_FDS");
	bool ok = true;

	*activation = (struct activation){NULL, 0};
	if (count_text && number(getenv("LISTEN_PID")) == (long)getpid()) {
		long count = number(count_text);

		*why = "LISTEN_FDS is not a number of sockets";
		ok = count >= 0 && count <= SOCKETS_MAX &&
			 (count == 0 || take_all(activation, count, getenv("LISTEN_FDNAMES"), why));
	}
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
	return ok;
}

void activation_fini(struct activation *activation)
{
	for (size_t i = 0; i < activation->count; i++) {
		close(activation->sockets[i].fd);
		free(activation->sockets[i].name);
	}
	free(activation->sockets);
	*activation = (struct activation){NULL, 0};
}
