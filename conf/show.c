/* The settings in force, one by one, for those who show them. */
#include <string.h>

#include "conf/settings.h"

static bool write_key(const struct conf_section *section, const char *name,
					  const struct conf_setting *setting, struct buf *out)
{
	return buf_appendf(out, "%s%s%s.%s", section->name, name ? ":" : "", name ? name : "",
					   setting->key) &&
		   buf_append_byte(out, '\0');
}

static bool visit_section(const struct conf_section *section, const char *name,
						  const void *home, conf_visitor visit, void *arg)
{
	struct buf key, value;
	bool ok = true;

	for (size_t i = 0; ok && i < conf_setting_count; i++) {
		const struct conf_setting *setting = &conf_settings[i];

		if (strcmp(setting->section, section->name) != 0)
			continue;
		buf_init(&key);
		buf_init(&value);
		ok = write_key(section, name, setting, &key) &&
			 conf_value_write(setting, home, &value) && buf_append_byte(&value, '\0') &&
			 visit(arg, (const char *)buf_data(&key), (const char *)buf_data(&value),
				   setting->preset, setting->reloadable);
		buf_fini(&key);
		buf_fini(&value);
	}
	return ok;
}

bool conf_each(const struct conf *conf, conf_visitor visit, void *arg)
{
	bool ok = true;

	for (size_t i = 0; ok && i < conf_section_count; i++) {
		const struct conf_section *section = &conf_sections[i];

		switch (section->home) {
		case HOME_CONF:
			ok = visit_section(section, NULL, conf, visit, arg);
			break;
		case HOME_LISTEN:
			for (size_t j = 0; ok && j < conf->listen_count; j++)
				ok = visit_section(section, conf->listens[j].name, &conf->listens[j], visit,
								   arg);
			break;
		case HOME_CLUSTER:
			for (size_t j = 0; ok && j < conf->cluster_count; j++)
				ok = visit_section(section, conf->clusters[j].name, &conf->clusters[j], visit,
								   arg);
			break;
		}
	}
	return ok;
}
