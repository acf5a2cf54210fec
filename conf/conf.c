#include "conf/conf.h"

#include <stdlib.h>
#include <string.h>

#include "conf/hosts.h"
#include "conf/ini.h"
#include "conf/settings.h"

/* One structure of settings, being filled. */
struct home {
	const struct conf_section *section; /* NULL: what comes now belongs to no known section */
	const char *name;                   /* of the listener or cluster; NULL elsewhere */
	void *values;
	struct conf_origin *origins;
};

struct loader {
	struct conf *conf;
	char *const *environment;
	struct conf_errors *errors;
	struct home home; /* of the section that the file is in */
};

static bool out_of_memory(struct loader *loader)
{
	loader->errors->out_of_memory = true;
	return false;
}

/* ---- structures with their defaults ---- */

static bool set_defaults(struct loader *loader, enum conf_home home, void *values)
{
	struct buf why;
	bool done = true;

	buf_init(&why);
	for (size_t i = 0; i < conf_setting_count && done; i++) {
		const struct conf_setting *setting = &conf_settings[i];

		if (conf_find_section(setting->section)->home != home || !setting->preset)
			continue;
		done = conf_value_read(setting, setting->preset, values, &why);
	}
	buf_fini(&why);
	return done || out_of_memory(loader);
}

static struct conf_origin *create_origins(void)
{
	return calloc(CONF_ORIGIN_COUNT, sizeof(struct conf_origin));
}

static bool append_listen(struct loader *loader, const char *name)
{
	struct conf *conf = loader->conf;
	struct conf_listen *grown =
		realloc(conf->listens, (conf->listen_count + 1) * sizeof *conf->listens);
	struct conf_listen listen = {.name = strdup(name), .origins = create_origins()};

	if (grown)
		conf->listens = grown;
	if (!grown || !listen.name || !listen.origins) {
		free(listen.name);
		free(listen.origins);
		return out_of_memory(loader);
	}
	grown[conf->listen_count++] = listen;
	return set_defaults(loader, HOME_LISTEN, &grown[conf->listen_count - 1]);
}

static bool append_cluster(struct loader *loader, const char *name)
{
	struct conf *conf = loader->conf;
	struct conf_cluster *grown =
		realloc(conf->clusters, (conf->cluster_count + 1) * sizeof *conf->clusters);
	struct conf_cluster cluster = {.name = strdup(name), .origins = create_origins()};

	if (grown)
		conf->clusters = grown;
	if (!grown || !cluster.name || !cluster.origins) {
		free(cluster.name);
		free(cluster.origins);
		return out_of_memory(loader);
	}
	grown[conf->cluster_count++] = cluster;
	return set_defaults(loader, HOME_CLUSTER, &grown[conf->cluster_count - 1]);
}

static bool create_conf(struct loader *loader, const char *path)
{
	struct conf *conf = calloc(1, sizeof *conf);

	if (!conf)
		return out_of_memory(loader);
	loader->conf = conf;
	conf->origins = create_origins();
	if (path)
		conf->path = strdup(path);
	if (!conf->origins || (path && !conf->path))
		return out_of_memory(loader);
	return set_defaults(loader, HOME_CONF, conf);
}

/* The structure that holds a section's settings; false when there is none of that name. */
static bool find_home(struct conf *conf, const struct conf_section *section, const char *name,
					  struct home *home)
{
	*home = (struct home){.section = section};
	switch (section->home) {
	case HOME_CONF:
		home->values = conf;
		home->origins = conf->origins;
		break;
	case HOME_LISTEN:
		for (size_t i = 0; i < conf->listen_count; i++) {
			if (strcmp(conf->listens[i].name, name) == 0) {
				home->values = &conf->listens[i];
				home->origins = conf->listens[i].origins;
				home->name = conf->listens[i].name;
			}
		}
		break;
	case HOME_CLUSTER:
		for (size_t i = 0; i < conf->cluster_count; i++) {
			if (strcmp(conf->clusters[i].name, name) == 0) {
				home->values = &conf->clusters[i];
				home->origins = conf->clusters[i].origins;
				home->name = conf->clusters[i].name;
			}
		}
		break;
	}
	return home->values != NULL;
}

/* ---- one value ---- */

/* The origin is kept also when the value is refused: what follows then knows that one was
 * given. */
static void set_value(struct loader *loader, const struct home *home,
					  const struct conf_setting *setting, struct conf_origin origin,
					  const char *text)
{
	struct conf_origin *kept = &home->origins[conf_setting_index(setting)];
	struct buf why;

	*kept = origin;
	buf_init(&why);
	if (!conf_value_read(setting, text, home->values, &why)) {
		struct conf_place place =
			conf_place_of(loader->conf, setting, home->name, home->origins);

		conf_error_at(loader->errors, &place, "%.*s", (int)buf_len(&why),
					  (const char *)buf_data(&why));
	}
	buf_fini(&why);
}

/* ---- the file ---- */

/* Unnamed sections are there from the beginning. */
static bool append_home(struct loader *loader, const struct conf_section *section,
						const char *name)
{
	switch (section->home) {
	case HOME_CONF:
		break;
	case HOME_LISTEN:
		return append_listen(loader, name);
	case HOME_CLUSTER:
		return append_cluster(loader, name);
	}
	return false;
}

static void open_section(struct loader *loader, unsigned line,
						 const struct conf_section *section, const char *name)
{
	struct conf *conf = loader->conf;
	struct home *home = &loader->home;

	if (find_home(conf, section, name, home)) {
		struct conf_origin *header =
			&home->origins[conf_setting_count + (size_t)(section - conf_sections)];

		if (header->line)
			conf_error_line(loader->errors, conf->path, line,
							"the section [%s%s%s] was already opened at line %u", section->name,
							name ? ":" : "", name ? name : "", header->line);
		else
			header->line = line;
		return;
	}
	home->section = NULL;
	if (append_home(loader, section, name) && find_home(conf, section, name, home))
		home->origins[conf_setting_count + (size_t)(section - conf_sections)].line = line;
}

static void take_section(void *self, unsigned line, const char *kind, const char *name)
{
	struct loader *loader = self;
	const struct conf_section *section = conf_find_section(kind);

	loader->home.section = NULL;
	if (!*kind)
		return;
	if (!section)
		conf_error_line(loader->errors, loader->conf->path, line,
						"there is no section [%s%s%s]", kind, name ? ":" : "",
						name ? name : "");
	else if (section->home == HOME_CONF && name)
		conf_error_line(loader->errors, loader->conf->path, line,
						"the section [%s] takes no name", kind);
	else if (section->home != HOME_CONF && !name)
		conf_error_line(loader->errors, loader->conf->path, line,
						"the section [%s] needs a name, as in [%s:default]", kind, kind);
	else if (name && strlen(name) > 63)
		conf_error_line(loader->errors, loader->conf->path, line,
						"the section's name is longer than 63 bytes");
	else
		open_section(loader, line, section, name);
}

static void set_from_file(struct loader *loader, const struct conf_setting *setting,
						  unsigned line, const char *value)
{
	const struct home *home = &loader->home;
	const struct conf_origin origin = {FROM_FILE, line};
	struct buf why;
	char *expanded;

	buf_init(&why);
	expanded = conf_expand(value, loader->environment, &why);
	if (expanded) {
		set_value(loader, home, setting, origin, expanded);
	} else {
		home->origins[conf_setting_index(setting)] = origin;
		conf_error_line(loader->errors, loader->conf->path, line, "%s: %.*s", setting->key,
						(int)buf_len(&why), (const char *)buf_data(&why));
	}
	free(expanded);
	buf_fini(&why);
}

static void take_setting(void *self, unsigned line, const char *key, const char *value)
{
	struct loader *loader = self;
	const struct home *home = &loader->home;
	const char *path = loader->conf->path;
	const struct conf_setting *setting;
	const struct conf_origin *origin;

	if (!home->section)
		return;
	setting = conf_find_setting(home->section->name, key);
	if (!setting) {
		conf_error_line(loader->errors, path, line, "the section [%s] has no setting %s",
						home->section->name, key);
		return;
	}
	if (setting->type == TYPE_SECRET) {
		conf_error_line(loader->errors, path, line,
						"%s: must not stand in this file; use %s_file", key, key);
		return;
	}
	origin = &home->origins[conf_setting_index(setting)];
	if (origin->source == FROM_FILE) {
		conf_error_line(loader->errors, path, line, "%s: was already set at line %u", key,
						origin->line);
		return;
	}
	set_from_file(loader, setting, line, value);
}

static void take_wrong(void *self, unsigned line, const char *message)
{
	struct loader *loader = self;

	conf_error_line(loader->errors, loader->conf->path, line, "%s", message);
}

/* False when there is nothing to read. */
static bool load_file(struct loader *loader)
{
	const struct ini_reader reader = {loader, take_section, take_setting, take_wrong};
	const char *path = loader->conf->path, *why = NULL;
	size_t len = 0;
	char *text = ini_read_file(path, &len, &why);

	if (!text) {
		conf_error(loader->errors, path, "%s", why);
		return false;
	}
	if (!ini_read(text, len, &reader))
		out_of_memory(loader);
	free(text);
	return true;
}

/* ---- environment ---- */

static const struct conf_setting *find_by_variable(const char *name, size_t len)
{
	for (size_t i = 0; i < conf_setting_count; i++) {
		if (conf_is_variable(&conf_settings[i], name, len))
			return &conf_settings[i];
	}
	return NULL;
}

static void warn_unknown(const char *name, size_t len)
{
	char *copy = strndup(name, len);

	log_event(LOG_WARNING, "conf.unknown_variable", "name", copy, NULL);
	free(copy);
}

static void take_variable(struct loader *loader, const char *name, size_t len,
						  const char *value)
{
	const struct conf_setting *setting = find_by_variable(name, len);
	struct home home;

	if (!setting)
		warn_unknown(name, len);
	else if (!find_home(loader->conf, conf_find_section(setting->section), "default", &home))
		conf_error(loader->errors, "environment",
				   "%.*s: there is no section [%s:default] that it could belong to", (int)len,
				   name, setting->section);
	else
		set_value(loader, &home, setting, (struct conf_origin){FROM_ENVIRONMENT, 0}, value);
}

/* Variables of commands that ask the admin API (cli/api_where.c) are no settings. */
static bool is_of_commands(const char *entry)
{
	static const char prefix[] = "BULKHEAD_API";
	char next = strncmp(entry, prefix, sizeof prefix - 1) == 0 ? entry[sizeof prefix - 1] : 'x';

	return next == '_' || next == '=';
}

static void load_environment(struct loader *loader)
{
	for (char *const *entry = loader->environment; entry && *entry; entry++) {
		const char *equals = strchr(*entry, '=');

		if (equals && strncmp(*entry, "BULKHEAD_", 9) == 0 && !is_of_commands(*entry))
			take_variable(loader, *entry, (size_t)(equals - *entry), equals + 1);
	}
}

/* ---- flags ---- */

static void load_override(struct loader *loader, const struct conf_override *override)
{
	const char *colon = strchr(override->section, ':');
	size_t kind_len = colon ? (size_t)(colon - override->section) : strlen(override->section);
	char *kind = strndup(override->section, kind_len);
	const struct conf_section *section = kind ? conf_find_section(kind) : NULL;
	const struct conf_setting *setting = kind ? conf_find_setting(kind, override->key) : NULL;
	struct home home;

	if (!kind)
		out_of_memory(loader);
	else if (!section || (section->home == HOME_CONF && colon) ||
			 !find_home(loader->conf, section, colon ? colon + 1 : "default", &home))
		conf_error(loader->errors, "flags", "there is no section [%s]", override->section);
	else if (!setting)
		conf_error(loader->errors, "flags", "the section [%s] has no setting %s", kind,
				   override->key);
	else if (setting->type == TYPE_SECRET)
		conf_error(loader->errors, "flags",
				   "%s.%s: must not stand on a command line; use password_file",
				   override->section, override->key);
	else
		set_value(loader, &home, setting, (struct conf_origin){FROM_FLAG, 0}, override->value);
	free(kind);
}

/* ---- the whole ---- */

static bool add_missing_homes(struct loader *loader)
{
	struct conf *conf = loader->conf;

	return (conf->listen_count || append_listen(loader, "default")) &&
		   (conf->cluster_count || append_cluster(loader, "default"));
}

struct conf *conf_load_faulty(const char *path, char *const *environment,
							  const struct conf_override *overrides, size_t override_count,
							  struct conf_errors *errors)
{
	struct loader loader = {.environment = environment, .errors = errors};
	bool complete = create_conf(&loader, path);

	/* What the defaults alone lack would hide that the file is not there. */
	complete = complete && (!path || load_file(&loader));
	complete = complete && !errors->out_of_memory && add_missing_homes(&loader);
	if (complete) {
		load_environment(&loader);
		for (size_t i = 0; i < override_count; i++)
			load_override(&loader, &overrides[i]);
		for (size_t i = 0; i < loader.conf->cluster_count; i++) {
			conf_hosts_strip(loader.conf->clusters[i].host);
			conf_hosts_strip(loader.conf->clusters[i].port);
		}
		conf_read_secrets(loader.conf, errors);
		conf_validate(loader.conf, errors);
	}
	if (complete && !errors->out_of_memory)
		return loader.conf;
	conf_destroy(loader.conf);
	return NULL;
}

struct conf *conf_load(const char *path, char *const *environment,
					   const struct conf_override *overrides, size_t override_count,
					   struct conf_errors *errors)
{
	size_t before = errors->count;
	struct conf *conf = conf_load_faulty(path, environment, overrides, override_count, errors);

	if (errors->count == before)
		return conf;
	conf_destroy(conf);
	return NULL;
}

void conf_destroy(struct conf *conf)
{
	if (!conf)
		return;
	for (size_t i = 0; i < conf->listen_count; i++) {
		conf_values_free(HOME_LISTEN, &conf->listens[i]);
		free(conf->listens[i].name);
		free(conf->listens[i].origins);
	}
	for (size_t i = 0; i < conf->cluster_count; i++) {
		conf_values_free(HOME_CLUSTER, &conf->clusters[i]);
		free(conf->clusters[i].name);
		free(conf->clusters[i].origins);
	}
	free(conf->listens);
	free(conf->clusters);
	conf_values_free(HOME_CONF, conf);
	free(conf->origins);
	free(conf->path);
	free(conf);
}

bool conf_has_metrics(const struct conf *conf)
{
	return conf->metrics && (*conf->probes_listen_addr || *conf->probes_unix_socket);
}

static bool is_listed(const char *at, const char *word)
{
	while (*at) {
		size_t blanks = strspn(at, ", \t"), len = strcspn(at + blanks, ",");

		at += blanks;
		const char *next = at + len;
		while (len && (at[len - 1] == ' ' || at[len - 1] == '\t'))
			len--;
		if (len && strlen(word) == len && memcmp(at, word, len) == 0)
			return true;
		at = next;
	}
	return false;
}

bool conf_serves_region(const struct conf *conf, const char *region)
{
	return !*conf->regions || (region && is_listed(conf->regions, region));
}

bool conf_is_admin(const struct conf *conf, const char *principal)
{
	return is_listed(conf->admin_users, principal);
}

bool conf_is_watcher(const struct conf *conf, const char *principal)
{
	return is_listed(conf->stats_users, principal);
}

const struct conf_cluster *conf_find_cluster(const struct conf *conf, const char *name)
{
	for (size_t i = 0; i < conf->cluster_count; i++) {
		if (strcmp(conf->clusters[i].name, name) == 0)
			return &conf->clusters[i];
	}
	return NULL;
}
