/* A service manager is told what it asked for, wherever its socket is. */
#include <criterion/criterion.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/notify.h"

static int manager(const char *name)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);

	memcpy(address.sun_path, name, strlen(name));
	if (*name == '@')
		address.sun_path[0] = '\0';
	cr_assert(bind(fd, (const struct sockaddr *)&address,
				   (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name))) == 0);
	setenv("NOTIFY_SOCKET", name, 1);
	return fd;
}

static void expect(int fd, const char *lines)
{
	char heard[256];
	ssize_t n = recv(fd, heard, sizeof heard - 1, MSG_DONTWAIT);

	cr_assert(n >= 0, "nothing was said");
	heard[n] = '\0';
	cr_expect_str_eq(heard, lines);
}

Test(base_notify, an_abstract_socket)
{
	char name[64];

	snprintf(name, sizeof name, "@bulkhead-unit-%d", (int)getpid());
	int fd = manager(name);
	notify_ready();
	expect(fd, "READY=1\n");
	notify_stopping();
	expect(fd, "STOPPING=1\n");
	notify_alive();
	expect(fd, "WATCHDOG=1\n");
	close(fd);
}

Test(base_notify, nobody_wants_to_know)
{
	unsetenv("NOTIFY_SOCKET");
	notify_ready();
	setenv("NOTIFY_SOCKET", "", 1);
	notify_ready();
	setenv("NOTIFY_SOCKET", "vsock:2:1", 1);
	notify_ready();
}

Test(base_notify, whose_watchdog_it_is)
{
	char pid[16];

	unsetenv("WATCHDOG_USEC");
	cr_expect(notify_watchdog_us() == 0);
	setenv("WATCHDOG_USEC", "2000000", 1);
	unsetenv("WATCHDOG_PID");
	cr_expect(notify_watchdog_us() == 2000000);
	setenv("WATCHDOG_PID", "1", 1);
	cr_expect(notify_watchdog_us() == 0, "it is another process's");
	snprintf(pid, sizeof pid, "%d", (int)getpid());
	setenv("WATCHDOG_PID", pid, 1);
	cr_expect(notify_watchdog_us() == 2000000);
	setenv("WATCHDOG_USEC", "-1", 1);
	cr_expect(notify_watchdog_us() == 0);
}
