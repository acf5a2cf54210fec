#include "base/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/crypto.h>
#include <openssl/rand.h>

#include "base/encode.h"

#define PASSWORD_BYTES 18

void secret_wipe(void *memory, size_t len)
{
	OPENSSL_cleanse(memory, len);
}

void secret_free(char *secret)
{
	if (secret) {
		secret_wipe(secret, strlen(secret));
		free(secret);
	}
}

bool secret_equal(const void *a, const void *b, size_t len)
{
	return CRYPTO_memcmp(a, b, len) == 0;
}

void secret_random(void *out, size_t len)
{
	if (RAND_bytes(out, (int)len) != 1) {
		fputs("bulkhead: the random generator failed\n", stderr);
		abort();
	}
}

char *secret_draw_password(void)
{
	unsigned char bytes[PASSWORD_BYTES];
	char *password = malloc(BASE64_SIZE(sizeof bytes));

	if (!password)
		return NULL;
	secret_random(bytes, sizeof bytes);
	base64_encode(bytes, sizeof bytes, password);
	secret_wipe(bytes, sizeof bytes);
	return password;
}

/*
 * Nobody but the owner, with the exception that libpq makes for keys: what root has put there
 * for another user to read, as Kubernetes does with a Secret and systemd with a credential, may
 * be readable by a group.
 */
static bool is_private(const struct stat *about)
{
	mode_t others = S_IRWXG | S_IRWXO;

	if (about->st_uid == 0 && geteuid() != 0)
		others &= ~(mode_t)S_IRGRP;
	return (about->st_mode & others) == 0;
}

static char *read_checked(int fd, size_t limit, const char **why)
{
	struct stat about;

	if (fstat(fd, &about) != 0) {
		*why = strerror(errno);
		return NULL;
	}
	if (!S_ISREG(about.st_mode)) {
		*why = "not a regular file";
		return NULL;
	}
	if (!is_private(&about)) {
		*why = "group or others have access to it; its mode must be 0600";
		return NULL;
	}
	if ((size_t)about.st_size > limit) {
		*why = "too large for a secret";
		return NULL;
	}

	char *content = calloc(1, (size_t)about.st_size + 1);
	if (!content) {
		*why = "out of memory";
		return NULL;
	}
	ssize_t got = read(fd, content, (size_t)about.st_size);
	if (got != about.st_size) {
		*why = got < 0 ? strerror(errno) : "it changed while it was read";
		secret_wipe(content, (size_t)about.st_size);
		free(content);
		return NULL;
	}
	if (memchr(content, '\0', (size_t)got)) {
		*why = "it holds a NUL byte";
		secret_wipe(content, (size_t)got);
		free(content);
		return NULL;
	}
	return content;
}

char *secret_read_file(const char *path, size_t limit, const char **why)
{
	/* O_NONBLOCK: opening a FIFO must not wait for a writer before it is found to be no regular
	 * file. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

	if (fd < 0) {
		*why = strerror(errno);
		return NULL;
	}
	char *content = read_checked(fd, limit, why);
	close(fd);
	if (!content)
		return NULL;

	size_t len = strlen(content);
	if (len && content[len - 1] == '\n')
		content[--len] = '\0';
	if (len && content[len - 1] == '\r')
		content[--len] = '\0';
	return content;
}

/* Whoever reads the file today must be able to read the next one, also when root writes it. */
static bool keep_owner(int fd, const char *path)
{
	struct stat old, new;

	if (stat(path, &old) != 0)
		return errno == ENOENT;
	if (fstat(fd, &new) != 0)
		return false;
	return (old.st_uid == new.st_uid &&old.st_gid == new.st_gid) ||
		   fchown(fd, old.st_uid, old.st_gid) == 0;
}

bool secret_write_file(const char *path, const char *content, size_t len, const char **why)
{
	char *temporary = NULL;
	int fd = -1;
	bool done = false;

	if (asprintf(&temporary, "%s.XXXXXX", path) < 0) {
		*why = "out of memory";
		return false;
	}
	fd = mkostemp(temporary, O_CLOEXEC); /* mode 0600 by its own promise */
	if (fd < 0) {
		*why = strerror(errno);
		free(temporary);
		return false;
	}
	for (size_t written = 0; written < len;) {
		ssize_t n = write(fd, content + written, len - written);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			goto out;
		written += (size_t)n;
	}
	done = keep_owner(fd, path) && fsync(fd) == 0 && rename(temporary, path) == 0;
out:
	if (!done) {
		*why = strerror(errno);
		unlink(temporary);
	}
	close(fd);
	free(temporary);
	return done;
}
