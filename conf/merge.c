/* What a reload takes from a file that was loaded anew, and what it must leave to a restart. */
#include <stdlib.h>
#include <string.h>

#include "conf/settings.h"

void conf_changes_init(struct conf_changes *changes)
{
	buf_init(&changes->taken);
	buf_init(&changes->deferred);
}

void conf_changes_fini(struct conf_changes *changes)
{
	buf_fini(&changes->taken);
	buf_fini(&changes->deferred);
}

/* Appends one name; `key` NULL: the section itself. */
static bool note(struct buf *names, const char *section, const char *name, const char *key)
{
	return buf_appendf(names, "%s%s%s%s%s%s", buf_len(names) ? ", " : "", section,
					   name ? ":" : "", name ? name : "", key ? "." : "", key ? key : "");
}

/* ---- sections without a name ---- */

static bool merge_unnamed(struct conf *fresh, const struct conf *running,
						  struct conf_changes *changes)
{
	bool done = true;

	for (size_t i = 0; i < conf_setting_count && done; i++) {
		const struct conf_setting *setting = &conf_settings[i];

		if (conf_find_section(setting->section)->home != HOME_CONF ||
			conf_value_equal(setting, running, fresh))
			continue;
		if (setting->reloadable)
			done = note(&changes->taken, setting->section, NULL, setting->key);
		else
			done = note(&changes->deferred, setting->section, NULL, setting->key) &&
				   conf_value_copy(setting, running, fresh);
	}
	return done;
}

/* ---- sections with a name ---- */

/* An array of such sections; the structures of both kinds begin with their name. */
struct kind {
	enum conf_home home;
	const char *section;
	size_t size, origins; /* of one, and where its origins are */
};

static const struct kind listens = {HOME_LISTEN, "listen", sizeof(struct conf_listen),
									offsetof(struct conf_listen, origins)};
static const struct kind clusters = {HOME_CLUSTER, "cluster", sizeof(struct conf_cluster),
									 offsetof(struct conf_cluster, origins)};

_Static_assert(offsetof(struct conf_listen, name) == 0, "names come first");
_Static_assert(offsetof(struct conf_cluster, name) == 0, "names come first");

struct sections {
	const struct kind *kind;
	char *first;
	size_t count;
};

static void *section_at(const struct sections *sections, size_t i)
{
	return sections->first + i * sections->kind->size;
}

static char **name_of(void *section)
{
	return section;
}

static struct conf_origin **origins_of(const struct kind *kind, void *section)
{
	return (void *)((char *)section + kind->origins);
}

static void *find_section(const struct sections *sections, const char *name)
{
	for (size_t i = 0; i < sections->count; i++) {
		char *candidate = *name_of(section_at(sections, i));

		if (candidate && strcmp(candidate, name) == 0)
			return section_at(sections, i);
	}
	return NULL;
}

static void free_section(const struct kind *kind, void *section)
{
	conf_values_free(kind->home, section);
	free(*name_of(section));
	free(*origins_of(kind, section));
	memset(section, 0, kind->size);
}

static void free_sections(struct sections *sections)
{
	for (size_t i = 0; i < sections->count; i++)
		free_section(sections->kind, section_at(sections, i));
	free(sections->first);
}

/* False when memory is out; free_section is for what was copied either way. */
static bool copy_section(const struct kind *kind, void *from, void *to)
{
	size_t origins_size = CONF_ORIGIN_COUNT * sizeof(struct conf_origin);
	bool done = true;

	*name_of(to) = strdup(*name_of(from));
	*origins_of(kind, to) = malloc(origins_size);
	if (!*name_of(to) || !*origins_of(kind, to))
		return false;
	memcpy(*origins_of(kind, to), *origins_of(kind, from), origins_size);
	for (size_t i = 0; i < conf_setting_count && done; i++) {
		const struct conf_setting *setting = &conf_settings[i];

		if (conf_find_section(setting->section)->home == kind->home)
			done = conf_value_copy(setting, from, to);
	}
	return done;
}

/* Appends the names of all settings that differ; *fixed tells whether one of them needs a
 * restart. */
static bool compare(const struct kind *kind, void *running, const void *fresh,
					struct buf *names, bool *fixed)
{
	bool done = true;

	*fixed = false;
	for (size_t i = 0; i < conf_setting_count && done; i++) {
		const struct conf_setting *setting = &conf_settings[i];

		if (conf_find_section(setting->section)->home != kind->home ||
			conf_value_equal(setting, running, fresh))
			continue;
		*fixed = *fixed || !setting->reloadable;
		done = note(names, kind->section, *name_of(running), setting->key);
	}
	return done;
}

static bool append_names(struct buf *to, struct buf *names)
{
	return !buf_len(names) || buf_appendf(to, "%s%.*s", buf_len(to) ? ", " : "",
										  (int)buf_len(names), (const char *)buf_data(names));
}

/*
 * One section of the merged conf: the fresh one, moved there, or a copy of the running one.
 * False when memory is out.
 */
static bool merge_section(const struct kind *kind, void *running, void *fresh, void *merged,
						  struct conf_changes *changes)
{
	struct buf names;
	bool fixed = true, done;

	buf_init(&names);
	if (fresh)
		done = compare(kind, running, fresh, &names, &fixed);
	else
		done = note(&names, kind->section, *name_of(running), NULL);
	if (fixed) {
		done = done && append_names(&changes->deferred, &names) &&
			   copy_section(kind, running, merged);
	} else {
		done = done && append_names(&changes->taken, &names);
		memcpy(merged, fresh, kind->size);
		memset(fresh, 0, kind->size);
	}
	buf_fini(&names);
	return done;
}

/* What the file has and the running conf has not. */
static bool note_added(const struct sections *fresh, const struct sections *running,
					   struct conf_changes *changes)
{
	bool done = true;

	for (size_t i = 0; i < fresh->count && done; i++) {
		const char *name = *name_of(section_at(fresh, i));

		if (!find_section(running, name))
			done = note(&changes->deferred, fresh->kind->section, name, NULL);
	}
	return done;
}

/* Puts the merged sections in the place of the fresh ones. */
static bool merge_named(struct sections *fresh, const struct sections *running,
						struct conf_changes *changes)
{
	struct sections merged = {running->kind, calloc(running->count + 1, running->kind->size),
							  running->count};

	if (!merged.first)
		return false;
	bool done = note_added(fresh, running, changes);
	for (size_t i = 0; i < running->count && done; i++) {
		void *section = section_at(running, i);

		done = merge_section(running->kind, section, find_section(fresh, *name_of(section)),
							 section_at(&merged, i), changes);
	}
	free_sections(fresh);
	*fresh = merged;
	return done;
}

static struct sections listens_of(const struct conf *conf)
{
	return (struct sections){&listens, (char *)conf->listens, conf->listen_count};
}

static struct sections clusters_of(const struct conf *conf)
{
	return (struct sections){&clusters, (char *)conf->clusters, conf->cluster_count};
}

bool conf_merge(struct conf *fresh, const struct conf *running, struct conf_changes *changes)
{
	const struct sections old_listens = listens_of(running),
						  old_clusters = clusters_of(running);
	struct sections new_listens = listens_of(fresh), new_clusters = clusters_of(fresh);
	bool done = merge_unnamed(fresh, running, changes) &&
				merge_named(&new_listens, &old_listens, changes);

	fresh->listens = (void *)new_listens.first;
	fresh->listen_count = new_listens.count;
	done = done && merge_named(&new_clusters, &old_clusters, changes);
	fresh->clusters = (void *)new_clusters.first;
	fresh->cluster_count = new_clusters.count;
	return done;
}
