/*
 * settings.h: what a client asked for in its startup packet and has SET since, kept once for
 * all clients that asked the same.
 *
 * A set is immutable and counted. Two sets are the same when their bytes are the same, so
 * comparing pointers compares sets. application_name is always part of a set (empty when the
 * client sent none): backends carry Bulkhead's marker in its place, and a client must never see
 * that.
 */
#ifndef PROXY_SETTINGS_H
#define PROXY_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/hash.h"
#include "proxy/startup.h"

#include <uthash.h>

/*
 * What application_name holds on a backend while no client's settings are applied. It is in the
 * server's startup packet, so RESET ALL and DISCARD ALL return to it, and the server reports
 * that: see relay.c.
 */
#define SETTINGS_MARKER "bulkhead: no client"

/* Bounds of what is followed: settings of one client, and bytes of their names and values. */
#define SETTINGS_MAX       256
#define SETTINGS_BYTES_MAX 65536

struct settings_table; /* per worker */

struct settings {
	struct settings_table *table;
	size_t references;
	char *bytes; /* name NUL value NUL …, sorted by name, application_name last */
	size_t len;
	size_t base_len; /* of bytes without application_name */
	size_t count;
	const char *application_name;
	bool name_is_clean; /* application_name is what the server would report of it */
	bool is_plain;      /* no value that any encoding or quoting rule could read in two ways */
	UT_hash_handle hh;
};

struct settings_table *settings_table_create(void);
void settings_table_destroy(struct settings_table *table);

/* The set for these settings, with one reference; NULL when memory is out. */
const struct settings *settings_intern(struct settings_table *table,
									   const struct startup_setting *list, size_t count);
const struct settings *settings_ref(const struct settings *settings);
void settings_unref(const struct settings *settings); /* NULL is fine */

/* The value of a setting in the set, or NULL. */
const char *settings_get(const struct settings *settings, const char *name);

/*
 * The set that differs from this one in that setting alone: it has the value, or with NULL is
 * not there. One reference; NULL when memory is out or there would be too many.
 */
const struct settings *settings_with(const struct settings *settings, const char *name,
									 const char *value);

/*
 * Appends the SQL that leads from one set to another (`from` NULL: nothing applied, the marker
 * shows); `guarded`: in a database with the guard. What only `from` has is RESET, what differs
 * is SET, byte-exactly. False when memory is out.
 */
bool settings_append_change(struct buf *sql, const struct settings *from,
							const struct settings *to, bool guarded);

#endif
