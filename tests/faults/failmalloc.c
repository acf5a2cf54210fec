/*
 * failmalloc.c: lets one allocation of a running program fail, to be preloaded into it.
 *
 * FAILMALLOC names a file of three 64-bit words that is shared with the test: how many
 * allocations there have been, the number of the one that is to fail (0: none), and how many
 * have failed. All of malloc, calloc and realloc counts, whoever calls it: the program,
 * libevent, OpenSSL, libpq.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *memory, size_t size);

struct control {
	_Atomic uint64_t made, fail_at, failed;
};

static struct control *control;

__attribute__((constructor)) static void attach(void)
{
	const char *path = getenv("FAILMALLOC");
	int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;

	if (fd < 0)
		return;
	void *memory = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (memory != MAP_FAILED)
		control = memory;
}

static int must_fail(void)
{
	if (!control)
		return 0;
	uint64_t number = atomic_fetch_add(&control->made, 1) + 1;
	if (number != atomic_load(&control->fail_at))
		return 0;
	atomic_fetch_add(&control->failed, 1);
	errno = ENOMEM;
	return 1;
}

void *malloc(size_t size)
{
	return must_fail() ? NULL : __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
	return must_fail() ? NULL : __libc_calloc(count, size);
}

void *realloc(void *memory, size_t size)
{
	return must_fail() ? NULL : __libc_realloc(memory, size);
}
