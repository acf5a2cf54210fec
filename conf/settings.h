/*
 * settings.h: the one table of everything that can be set, and how its values are read and
 * written.
 *
 * Private to conf/. A row names a member of struct conf, struct conf_listen or struct
 * conf_cluster by its offset; the loader, the dump, the sample file and the documentation all
 * walk the same rows.
 */
#ifndef CONF_SETTINGS_H
#define CONF_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "conf/conf.h"

/* Which structure a section's members are in. */
enum conf_home { HOME_CONF, HOME_LISTEN, HOME_CLUSTER };

struct conf_section {
	const char *name; /* `listen` and `cluster` are written [NAME:name] */
	enum conf_home home;
	const char *doc;
};

enum conf_type {
	TYPE_INT,       /* int */
	TYPE_MODE,      /* int, written in octal */
	TYPE_DURATION,  /* int64_t, milliseconds; a bare number counts in the row's unit */
	TYPE_SIZE,      /* int64_t, bytes */
	TYPE_BOOL,      /* bool */
	TYPE_ENUM,      /* an enum whose values are the indices of the row's words */
	TYPE_STRING,    /* char *, never NULL; bounds are bytes */
	TYPE_SEPARATOR, /* char *, one character that can stand in no slug */
	TYPE_SELECTORS, /* selectors and selector_count of struct conf_listen */
	TYPE_SECRET,    /* char *, NULL when not set; only from the environment */
};

struct conf_setting {
	const char *section, *key;
	enum conf_type type;
	int64_t unit;        /* TYPE_DURATION: milliseconds that a bare number counts in */
	int64_t min, max;    /* in what is stored; bytes for strings */
	const char *preset;  /* the default as text; NULL when it must be given (but for secrets) */
	const char *example; /* what the sample file shows where there is no default */
	bool lines;          /* may have several */
	bool reloadable;     /* takes effect without a restart; see conf_merge */
	size_t offset;       /* in the section's structure */
	const char *const *words; /* TYPE_ENUM, TYPE_SELECTORS; NULL ends them */
	const char *doc;          /* one line */
};

extern const struct conf_section conf_sections[];
extern const size_t conf_section_count;
extern const struct conf_setting conf_settings[];
extern const size_t conf_setting_count;

/* NULL when there is none. */
const struct conf_section *conf_find_section(const char *name);
const struct conf_setting *conf_find_setting(const char *section, const char *key);

/* Where a value in force came from. */
enum conf_source { FROM_DEFAULT, FROM_FILE, FROM_ENVIRONMENT, FROM_FLAG };

/*
 * Each structure has an array of these: one per row of the table, behind them one per section,
 * whose line is that of the section's header.
 */
struct conf_origin {
	enum conf_source source;
	unsigned line; /* FROM_FILE only; 0 when there is none */
};

#define CONF_ORIGIN_COUNT (conf_setting_count + conf_section_count)

static inline size_t conf_setting_index(const struct conf_setting *setting)
{
	return (size_t)(setting - conf_settings);
}

/*
 * Reads `text` into the setting's member of the structure at `home`; strings are replaced.
 * False, with the reason appended to *why and nothing changed, when it does not fit. The reason
 * never quotes a secret.
 */
bool conf_value_read(const struct conf_setting *setting, const char *text, void *home,
					 struct buf *why);

/*
 * Appends the value as a text that conf_value_read takes back; nothing for a secret that is not
 * set,
 * "(set)" for one that is. False when memory is out.
 */
bool conf_value_write(const struct conf_setting *setting, const void *home, struct buf *out);

/* Are the setting's values in two structures of its kind the same? */
bool conf_value_equal(const struct conf_setting *setting, const void *a, const void *b);

/* Puts a copy of the value at `from` into the structure at `to`, which owns it; a secret that
 * is not set leaves what is there. False when memory is out. */
bool conf_value_copy(const struct conf_setting *setting, const void *from, void *to);

/* Frees what the structure's settings own; secrets are wiped. */
void conf_values_free(enum conf_home home_kind, void *home);

/* Appends what a value may be ("500ms .. 1h", "one of text, json") for people; false: memory is
 * out. */
bool conf_value_bounds(const struct conf_setting *setting, struct buf *out);

/*
 * Replaces each ${VAR} by the variable's value and each $${ by ${. A string from malloc, or
 * NULL with the reason appended to *why.
 */
char *conf_expand(const char *text, char *const *environment, struct buf *why);

/* Appends the text with each ${ doubled to $${, so that conf_expand gives it back. False:
 * memory is out. */
bool conf_unexpand(const char *text, struct buf *out);

/* A setting in one of the structures, for error lines. */
struct conf_place {
	const struct conf *conf;
	const struct conf_setting *setting;
	const char *name; /* of the listener or cluster; NULL elsewhere */
	struct conf_origin origin;
};

/* Where the value in force came from; for a default, the line is that of the section's header.
 */
struct conf_place conf_place_of(const struct conf *conf, const struct conf_setting *setting,
								const char *name, const struct conf_origin *origins);

/* Adds "WHERE: message". */
void conf_error(struct conf_errors *errors, const char *where, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Adds the message at a line of the configuration file. */
void conf_error_line(struct conf_errors *errors, const char *path, unsigned line,
					 const char *format, ...) __attribute__((format(printf, 4, 5)));

/* Adds the message at the setting's line, variable or flag, behind the setting's name. */
void conf_error_at(struct conf_errors *errors, const struct conf_place *place,
				   const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Is `name` (of `len` bytes) the environment variable of this setting? */
bool conf_is_variable(const struct conf_setting *setting, const char *name, size_t len);

/* Appends the name of the setting's environment variable. False when memory is out. */
bool conf_write_variable(const struct conf_setting *setting, struct buf *out);

/* Reads the password files that are in force. */
void conf_read_secrets(struct conf *conf, struct conf_errors *errors);

/* What must be set, and what must fit together. */
void conf_validate(const struct conf *conf, struct conf_errors *errors);

#endif
