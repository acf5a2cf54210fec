#include "cli/input.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/secret.h"

static bool is_input(const char *file)
{
	return strcmp(file, "-") == 0;
}

const char *input_name(const char *file)
{
	return is_input(file) ? "standard input" : file;
}

/* All that comes, up to `size` bytes; -1 with errno on failure. */
static ssize_t read_all(int fd, char *out, size_t size)
{
	size_t len = 0;

	while (len < size) {
		ssize_t got = read(fd, out + len, size - len);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -1;
		if (got == 0)
			break;
		len += (size_t)got;
	}
	return (ssize_t)len;
}

static char *take(int fd, size_t max, const char **why)
{
	char *text = calloc(1, max + 2);
	ssize_t len = text ? read_all(fd, text, max + 1) : -1;

	if (len < 0)
		*why = strerror(text ? errno : ENOMEM);
	else if ((size_t)len > max)
		*why = "it is too large";
	else if (strlen(text) != (size_t)len)
		*why = "it holds a NUL byte";
	else
		return text;
	if (text)
		secret_wipe(text, max + 2);
	free(text);
	return NULL;
}

static void cut_end_of_line(char *text)
{
	size_t len = strlen(text);

	if (len > 0 && text[len - 1] == '\n')
		text[--len] = '\0';
	if (len > 0 && text[len - 1] == '\r')
		text[--len] = '\0';
}

char *input_secret(const char *file, size_t max, const char **why)
{
	char *secret = NULL;

	if (!is_input(file))
		return secret_read_file(file, max, why);
	if (isatty(STDIN_FILENO))
		*why = "it is a terminal, which would show the password";
	else
		secret = take(STDIN_FILENO, max, why);
	if (secret)
		cut_end_of_line(secret);
	return secret;
}

char *input_text(const char *file, size_t max, const char **why)
{
	int fd = is_input(file) ? dup(STDIN_FILENO) : open(file, O_RDONLY | O_CLOEXEC);
	char *text;

	if (fd < 0) {
		*why = strerror(errno);
		return NULL;
	}
	text = take(fd, max, why);
	close(fd);
	return text;
}
