#include "base/notify.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"

/* A name that begins with @ is of the abstract name space, whose first byte is NUL (unix(7)).
 */
static void tell(const char *lines)
{
	const char *name = getenv("NOTIFY_SOCKET");
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	size_t len = name ? strlen(name) : 0;

	if (!len || (*name != '/' && *name != '@') || len >= sizeof address.sun_path)
		return;
	memcpy(address.sun_path, name, len);
	if (*name == '@')
		address.sun_path[0] = '\0';
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	/* Nobody is left to be told when the manager itself cannot be. */
	(void)!sendto(fd, lines, strlen(lines), MSG_NOSIGNAL, (const struct sockaddr *)&address,
				  (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len));
	close(fd);
}

void notify_ready(void)
{
	tell("READY=1\n");
}

void notify_reloading(void)
{
	char lines[64];

	snprintf(lines, sizeof lines, "RELOADING=1\nMONOTONIC_USEC=%" PRId64 "\n",
			 clock_monotonic_us());
	tell(lines);
}

void notify_stopping(void)
{
	tell("STOPPING=1\n");
}

void notify_alive(void)
{
	tell("WATCHDOG=1\n");
}

int64_t notify_watchdog_us(void)
{
	const char *period = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
	long long us = period ? strtoll(period, NULL, 10) : 0;

	if (us <= 0 || (pid && strtoll(pid, NULL, 10) != (long long)getpid()))
		return 0;
	return us;
}
