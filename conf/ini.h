/*
 * ini.h: reading the form of an INI file, not its meaning.
 *
 * A line is blank, a comment (`;` or `#` as its first character other than blanks), a section
 * (`[name]` or
 * `[kind:name]`) or `key = value`. A value is the rest of its line without the blanks around
 * it, so that
 * `;` and `#` may stand in passwords and paths; or it stands between double quotes, where \"
 * and \\ are a quote and a backslash. Lines may have any length; a file is at most INI_SIZE_MAX
 * bytes, is UTF-8 and holds no NUL.
 */
#ifndef CONF_INI_H
#define CONF_INI_H

#include <stdbool.h>
#include <stddef.h>

#define INI_SIZE_MAX 1048576

struct ini_reader {
	void *self;
	/*
	 * A section begins; `name` is NULL for `[kind]`. Strings are valid during the call only.
	 * After a header that cannot be read `kind` is empty, so that its settings do not fall to
	 * the section before.
	 */
	void (*section)(void *self, unsigned line, const char *kind, const char *name);
	/* One value of the section that began last. Not called before the first section. */
	void (*setting)(void *self, unsigned line, const char *key, const char *value);
	/* A line that is none of these; reading goes on with the next. */
	void (*wrong)(void *self, unsigned line, const char *message);
};

/* Reads `len` bytes. False only when memory is out. */
bool ini_read(const char *text, size_t len, const struct ini_reader *reader);

/*
 * Reads a whole file into memory from malloc. NULL, with the reason in *why (a static text, or
 * one that is valid until the next call on this thread), when it cannot be read or is too
 * large.
 */
char *ini_read_file(const char *path, size_t *len, const char **why);

#endif
