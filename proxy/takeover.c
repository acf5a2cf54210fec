#include "proxy/takeover.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* ---- TCP ---- */

bool takeover_share(int fd)
{
	int on = 1;

	return setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) == 0;
}

/* The flags of a TCP header (RFC 9293, 3.1), where a filter of a TCP socket begins to count. */
#define FLAGS_AT 13
#define FLAG_SYN 0x02
#define FLAG_ACK 0x10

void takeover_turn_away(int fd)
{
	/* Drops what has SYN and no ACK, and takes all else whole. */
	struct sock_filter steps[] = {
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, FLAGS_AT),
		BPF_STMT(BPF_ALU | BPF_AND | BPF_K, FLAG_SYN | FLAG_ACK),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, FLAG_SYN, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, 0),
		BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
	};
	const struct sock_fprog program = {sizeof steps / sizeof *steps, steps};

	setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program);
}

/* ---- unix sockets ---- */

/* Others may lock the directory too, for as long as they like: a loop that waits here serves
 * nobody. What is done under the lock takes microseconds. */
#define LOCK_TRIES    50
#define LOCK_PAUSE_NS 1000000L

/* The directory, locked until it is closed; -1 when that cannot be had. */
static int lock_directory(const char *path)
{
	char directory[sizeof((struct sockaddr_un *)0)->sun_path];
	const char *slash = strrchr(path, '/');

	snprintf(directory, sizeof directory, "%.*s", slash ? (int)(slash - path) + 1 : 0, path);
	int fd = open(*directory ? directory : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (int i = 0; fd >= 0 && i < LOCK_TRIES; i++) {
		if (flock(fd, LOCK_EX | LOCK_NB) == 0)
			return fd;
		nanosleep(&(struct timespec){.tv_nsec = LOCK_PAUSE_NS}, NULL);
	}
	if (fd >= 0)
		close(fd);
	return -1;
}

static void unlock_directory(int fd)
{
	if (fd >= 0)
		close(fd);
}

/* Under a name of its own first, which is shorter than that of the socket. */
static bool bind_aside(int fd, const struct sockaddr_un *address, mode_t mode,
					   struct sockaddr_un *aside)
{
	const char *slash = strrchr(address->sun_path, '/');
	int directory = slash ? (int)(slash - address->sun_path) + 1 : 0;
	int len;

	*aside = (struct sockaddr_un){.sun_family = AF_UNIX};
	len = snprintf(aside->sun_path, sizeof aside->sun_path, "%.*s.bh%d", directory,
				   address->sun_path, (int)getpid());
	if (len < 0 || (size_t)len >= sizeof aside->sun_path) {
		errno = ENAMETOOLONG;
		return false;
	}
	unlink(aside->sun_path); /* of an earlier process with our number */
	return bind(fd, (const struct sockaddr *)aside, sizeof *aside) == 0 &&
		   chmod(aside->sun_path, mode) == 0;
}

bool takeover_listen(int fd, const struct sockaddr_un *address, mode_t mode, int backlog)
{
	struct sockaddr_un aside;
	int lock = lock_directory(address->sun_path);
	/* Whoever finds it there must be able to connect. */
	bool done = bind_aside(fd, address, mode, &aside) && listen(fd, backlog) == 0 &&
				rename(aside.sun_path, address->sun_path) == 0;
	int error = errno;

	if (!done)
		unlink(aside.sun_path);
	unlock_directory(lock);
	errno = error;
	return done;
}

void takeover_note(const char *path, struct takeover_file *file)
{
	struct stat about;

	*file = (struct takeover_file){0, 0};
	if (lstat(path, &about) == 0)
		*file = (struct takeover_file){about.st_dev, about.st_ino};
}

bool takeover_is_ours(const char *path, const struct takeover_file *file)
{
	struct takeover_file now;

	takeover_note(path, &now);
	return now.inode == file->inode && now.device == file->device;
}

void takeover_unlink(const char *path, const struct takeover_file *file)
{
	int lock = lock_directory(path);

	/* Without the lock it may be another's by the time it is gone: then it stays, and is
	 * replaced by who comes next. */
	if (lock >= 0 && takeover_is_ours(path, file))
		unlink(path);
	unlock_directory(lock);
}
