/* Environment variables: as settings of their own, and as ${VAR} inside values. */
#include <string.h>

#include "conf/ini.h"
#include "conf/settings.h"

#define PREFIX "BULKHEAD_"

static char upper(char c)
{
	return c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
}

/* Moves *name behind `part` in upper case; false when it does not start with it. */
static bool skip_upper(const char **name, const char *end, const char *part)
{
	const char *at = *name;

	for (; *part; part++, at++) {
		if (at == end || *at != upper(*part))
			return false;
	}
	*name = at;
	return true;
}

bool conf_is_variable(const struct conf_setting *setting, const char *name, size_t len)
{
	const char *end = name + len;

	return skip_upper(&name, end, PREFIX) && skip_upper(&name, end, setting->section) &&
		   skip_upper(&name, end, "_") && skip_upper(&name, end, setting->key) && name == end;
}

static bool append_upper(struct buf *out, const char *text)
{
	bool done = true;

	for (; *text && done; text++)
		done = buf_append_byte(out, (uint8_t)upper(*text));
	return done;
}

bool conf_write_variable(const struct conf_setting *setting, struct buf *out)
{
	return append_upper(out, PREFIX) && append_upper(out, setting->section) &&
		   append_upper(out, "_") && append_upper(out, setting->key);
}

static const char *find_variable(char *const *environment, const char *name, size_t len)
{
	for (; environment && *environment; environment++) {
		if (strncmp(*environment, name, len) == 0 && (*environment)[len] == '=')
			return *environment + len + 1;
	}
	return NULL;
}

static size_t variable_name_length(const char *text)
{
	size_t len =
		strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789");

	return len && (*text < '0' || *text > '9') ? len : 0;
}

/* `text` stands behind "${". Returns what stands behind "}", or NULL with the reason in *why.
 */
static const char *expand_one(const char *text, char *const *environment, struct buf *out,
							  struct buf *why)
{
	size_t len = variable_name_length(text);
	const char *value;

	if (!len || text[len] != '}') {
		buf_appendf(why, "${ must be followed by a variable's name and }; $${ stands for ${");
		return NULL;
	}
	value = find_variable(environment, text, len);
	if (!value) {
		buf_appendf(why, "the environment variable %.*s is not set", (int)len, text);
		return NULL;
	}
	/* A file of many references to a large variable must not eat the memory. */
	if (buf_len(out) + strlen(value) > INI_SIZE_MAX) {
		buf_appendf(why, "is longer than 1 MiB with its variables replaced");
		return NULL;
	}
	if (!buf_append(out, value, strlen(value))) {
		buf_appendf(why, "out of memory");
		return NULL;
	}
	return text + len + 1;
}

char *conf_expand(const char *text, char *const *environment, struct buf *why)
{
	struct buf out;

	buf_init(&out);
	while (*text) {
		const char *dollar = strchr(text, '$');
		size_t len = dollar ? (size_t)(dollar - text) : strlen(text);

		if (!buf_append(&out, text, len))
			goto memory;
		text += len;
		if (strncmp(text, "${", 2) == 0) {
			text = expand_one(text + 2, environment, &out, why);
			if (!text)
				goto failed;
		} else if (*text) {
			bool escaped = strncmp(text, "$${", 3) == 0;

			if (!buf_append(&out, escaped ? "${" : "$", escaped ? 2 : 1))
				goto memory;
			text += escaped ? 3 : 1;
		}
	}
	if (buf_append_byte(&out, '\0'))
		return (char *)buf_data(&out);
memory:
	buf_appendf(why, "out of memory");
failed:
	buf_wipe(&out);
	return NULL;
}

bool conf_unexpand(const char *text, struct buf *out)
{
	bool done = true;

	for (; *text && done; text++) {
		if (strncmp(text, "${", 2) == 0)
			done = buf_append_byte(out, '$');
		done = done && buf_append_byte(out, (uint8_t)*text);
	}
	return done;
}
