#include "conf/ini.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/utf8.h"

struct parse {
	const struct ini_reader *reader;
	unsigned line;
	bool in_section;
};

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

static bool is_name_character(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		   c == '_' || c == '-';
}

static bool is_name(const char *text)
{
	if (!*text)
		return false;
	while (is_name_character(*text))
		text++;
	return !*text;
}

/* Cuts blanks at both ends, in place. */
static char *trim(char *text)
{
	size_t len;

	while (is_blank(*text))
		text++;
	len = strlen(text);
	while (len && is_blank(text[len - 1]))
		text[--len] = '\0';
	return text;
}

static void wrong(const struct parse *parse, const char *message)
{
	parse->reader->wrong(parse->reader->self, parse->line, message);
}

static void read_section(struct parse *parse, char *text)
{
	size_t len = strlen(text);
	char *name;

	parse->in_section = true;
	if (text[len - 1] != ']') {
		parse->reader->section(parse->reader->self, parse->line, "", NULL);
		wrong(parse, "a section must end with ]");
		return;
	}
	text[len - 1] = '\0';
	text++;
	name = strchr(text, ':');
	if (name)
		*name++ = '\0';
	if (!is_name(text) || (name && !is_name(name))) {
		parse->reader->section(parse->reader->self, parse->line, "", NULL);
		wrong(parse, "a section is [name] or [kind:name], of letters, digits, _ and - only");
		return;
	}
	parse->reader->section(parse->reader->self, parse->line, text, name);
}

/* Takes the quotes off, in place; NULL with the fault in *message. `text` stands behind the
 * first quote. */
static char *unquote(char *text, const char **message)
{
	char *to = text, *from = text;

	while (*from && *from != '"') {
		if (*from == '\\' && *++from != '"' && *from != '\\') {
			*message = "between quotes, \\ must stand before \" or \\";
			return NULL;
		}
		*to++ = *from++;
	}
	if (!*from) {
		*message = "the closing quote is missing";
		return NULL;
	}
	if (from[1]) {
		*message = "there is something behind the closing quote";
		return NULL;
	}
	*to = '\0';
	return text;
}

static void read_setting(const struct parse *parse, char *text)
{
	char *value = strchr(text, '=');
	const char *message = NULL;

	if (!value) {
		wrong(parse, "neither [section] nor key = value");
		return;
	}
	*value++ = '\0';
	text = trim(text);
	value = trim(value);
	if (!is_name(text)) {
		wrong(parse, "a key consists of letters, digits, _ and - only");
		return;
	}
	if (!parse->in_section) {
		wrong(parse, "a setting must stand in a [section]");
		return;
	}
	if (*value == '"' && !(value = unquote(value + 1, &message))) {
		wrong(parse, message);
		return;
	}
	parse->reader->setting(parse->reader->self, parse->line, text, value);
}

static void read_line(struct parse *parse, char *line, size_t len)
{
	char *text;

	if (memchr(line, '\0', len)) {
		wrong(parse, "holds a NUL byte");
		return;
	}
	if (!utf8_valid(line, len)) {
		wrong(parse, "is not valid UTF-8");
		return;
	}
	text = trim(line);
	if (!*text || *text == ';' || *text == '#')
		return;
	if (*text == '[')
		read_section(parse, text);
	else
		read_setting(parse, text);
}

bool ini_read(const char *text, size_t len, const struct ini_reader *reader)
{
	struct parse parse = {.reader = reader};
	char *copy = malloc(len + 1);
	char *line = copy, *end;

	if (!copy)
		return false;
	if (len)
		memcpy(copy, text, len);
	copy[len] = '\0';
	end = copy + len;
	while (line < end) {
		char *stop = memchr(line, '\n', (size_t)(end - line));

		if (!stop)
			stop = end;
		*stop = '\0';
		parse.line++;
		read_line(&parse, line, (size_t)(stop - line));
		line = stop + 1;
	}
	free(copy);
	return true;
}

/* Reads until the end or until the bound is passed; -1 on an error. */
static ssize_t read_all(int fd, char *into, size_t size)
{
	size_t got = 0;

	while (got < size) {
		ssize_t n = read(fd, into + got, size - got);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		if (n == 0)
			break;
		got += (size_t)n;
	}
	return (ssize_t)got;
}

char *ini_read_file(const char *path, size_t *len, const char **why)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	char *content = NULL;
	ssize_t got;

	if (fd < 0) {
		*why = strerror(errno);
		return NULL;
	}
	content = malloc(INI_SIZE_MAX + 1);
	if (!content) {
		*why = "out of memory";
		close(fd);
		return NULL;
	}
	got = read_all(fd, content, INI_SIZE_MAX + 1);
	if (got < 0 || got > INI_SIZE_MAX) {
		*why = got < 0 ? strerror(errno) : "larger than 1 MiB";
		free(content);
		content = NULL;
	} else {
		*len = (size_t)got;
	}
	close(fd);
	return content;
}
