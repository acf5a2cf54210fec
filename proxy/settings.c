#include "proxy/settings.h"

#include <stdlib.h>
#include <string.h>

#include "policy/session.h"

#define APPLICATION_NAME "application_name"
#define NAMEDATALEN      64 /* the server cuts application_name there */

struct settings_table {
	struct settings *sets;
};

struct settings_table *settings_table_create(void)
{
	return calloc(1, sizeof(struct settings_table));
}

void settings_table_destroy(struct settings_table *table)
{
	if (!table)
		return;
	struct settings *set, *next;

	HASH_ITER (hh, table->sets, set, next) {
		HASH_DEL(table->sets, set);
		free(set->bytes);
		free(set);
	}
	free(table);
}

static int by_name(const void *a, const void *b)
{
	const struct startup_setting *const *x = a, *const *y = b;

	return strcmp((*x)->name, (*y)->name);
}

static bool append_pair(struct buf *bytes, const char *name, const char *value)
{
	return buf_append_cstr(bytes, name) && buf_append_cstr(bytes, value);
}

/* Writes all pairs but application_name in order, and returns that one's value. */
static const char *append_sorted(struct buf *bytes, const struct startup_setting *list,
								 size_t count, bool *ok)
{
	const struct startup_setting **sorted = calloc(count + 1, sizeof *sorted);
	const char *application_name = "";

	*ok = sorted != NULL;
	for (size_t i = 0; *ok && i < count; i++)
		sorted[i] = &list[i];
	if (*ok && count)
		qsort(sorted, count, sizeof *sorted, by_name);
	for (size_t i = 0; *ok && i < count; i++) {
		if (strcmp(sorted[i]->name, APPLICATION_NAME) == 0)
			application_name = sorted[i]->value;
		else
			*ok = append_pair(bytes, sorted[i]->name, sorted[i]->value);
	}
	free(sorted);
	return application_name;
}

static const char *next_string(const char *at)
{
	return at + strlen(at) + 1;
}

static void describe(struct settings *set)
{
	const char *at = set->bytes, *end = set->bytes + set->len;

	set->is_plain = true;
	while (at < end) {
		const char *value = next_string(at);

		set->count++;
		set->is_plain &= session_value_is_plain(value);
		set->application_name = value; /* the last pair is the name */
		at = next_string(value);
	}
	set->name_is_clean = strlen(set->application_name) < NAMEDATALEN;
	for (const char *c = set->application_name; *c; c++)
		set->name_is_clean &= *c >= 0x20 && *c < 0x7f;
}

const struct settings *settings_intern(struct settings_table *table,
									   const struct startup_setting *list, size_t count)
{
	struct buf bytes;
	struct settings *set = NULL;
	bool ok;

	buf_init(&bytes);
	const char *application_name = append_sorted(&bytes, list, count, &ok);
	size_t base_len = buf_len(&bytes);

	if (!ok || !append_pair(&bytes, APPLICATION_NAME, application_name))
		goto out;
	HASH_FIND(hh, table->sets, buf_data(&bytes), buf_len(&bytes), set);
	if (set) {
		set->references++;
		goto out;
	}
	set = calloc(1, sizeof *set);
	if (!set)
		goto out;
	set->bytes = malloc(buf_len(&bytes));
	if (!set->bytes) {
		free(set);
		set = NULL;
		goto out;
	}
	memcpy(set->bytes, buf_data(&bytes), buf_len(&bytes));
	set->len = buf_len(&bytes);
	set->base_len = base_len;
	set->table = table;
	set->references = 1;
	describe(set);
	HASH_ADD_KEYPTR(hh, table->sets, set->bytes, set->len, set);
	if (!set->hh.tbl) { /* out of memory inside uthash */
		free(set->bytes);
		free(set);
		set = NULL;
	}
out:
	buf_fini(&bytes);
	return set;
}

const struct settings *settings_ref(const struct settings *settings)
{
	((struct settings *)settings)->references++;
	return settings;
}

void settings_unref(const struct settings *settings)
{
	struct settings *set = (struct settings *)settings;

	if (!set || --set->references)
		return;
	HASH_DEL(set->table->sets, set);
	free(set->bytes);
	free(set);
}

const char *settings_get(const struct settings *settings, const char *name)
{
	const char *at = settings->bytes, *end = settings->bytes + settings->len;

	for (; at < end; at = next_string(next_string(at))) {
		if (strcmp(at, name) == 0)
			return next_string(at);
	}
	return NULL;
}

const struct settings *settings_with(const struct settings *settings, const char *name,
									 const char *value)
{
	const char *at = settings->bytes, *end = settings->bytes + settings->len;
	struct startup_setting *list;
	size_t count = 0;

	if (settings->count >= SETTINGS_MAX || settings->len >= SETTINGS_BYTES_MAX)
		return NULL;
	list = calloc(settings->count + 1, sizeof *list);
	if (!list)
		return NULL;
	for (; at < end; at = next_string(next_string(at))) {
		if (strcmp(at, name) != 0)
			list[count++] = (struct startup_setting){(char *)at, (char *)next_string(at)};
	}
	if (value)
		list[count++] = (struct startup_setting){(char *)name, (char *)value};
	const struct settings *with = settings_intern(settings->table, list, count);
	free(list);
	return with;
}

/* Walks both sorted lists side by side; application_name is the last of each and handled by the
 * caller. */
static bool append_differences(struct buf *sql, const struct settings *from,
							   const struct settings *to, bool guarded)
{
	const char *old = from ? from->bytes : NULL,
			   *old_end = from ? from->bytes + from->base_len : NULL;
	const char *new = to->bytes, *new_end = to->bytes + to->base_len;

	while (old < old_end || new < new_end) {
		int order = old == old_end ? 1 : new == new_end ? -1 : strcmp(old, new);

		if (order < 0) {
			if (!session_append_reset(sql, old))
				return false;
		} else if (order > 0 || strcmp(next_string(old), next_string(new)) != 0) {
			if (!session_append_follow(sql, new, next_string(new), guarded))
				return false;
		}
		if (order <= 0)
			old = next_string(next_string(old));
		if (order >= 0)
			new = next_string(next_string(new));
	}
	return true;
}

bool settings_append_change(struct buf *sql, const struct settings *from,
							const struct settings *to, bool guarded)
{
	if (!append_differences(sql, from, to, guarded))
		return false;
	if (from && strcmp(from->application_name, to->application_name) == 0)
		return true;
	return session_append_follow(sql, APPLICATION_NAME, to->application_name, guarded);
}
