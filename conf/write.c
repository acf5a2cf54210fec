/* What is made from the settings' table: the dump, the sample file and the documentation. */
#include <stdlib.h>
#include <string.h>

#include "conf/settings.h"

/* ---- the effective settings ---- */

/* Where a comment could end too early, a ? stands instead. */
static void print_path(const char *path, FILE *out)
{
	for (; *path; path++)
		fputc((unsigned char)*path < 0x20 || *path == 0x7f ? '?' : *path, out);
}

static void print_origin(const struct conf *conf, const struct conf_setting *setting,
						 const struct conf_origin *origin, FILE *out)
{
	struct buf variable;

	fputs("; ", out);
	switch (origin->source) {
	case FROM_DEFAULT:
		fputs("default", out);
		break;
	case FROM_FILE:
		print_path(conf->path, out);
		fprintf(out, ":%u", origin->line);
		break;
	case FROM_ENVIRONMENT:
		buf_init(&variable);
		if (conf_write_variable(setting, &variable))
			fprintf(out, "environment: %.*s", (int)buf_len(&variable),
					(const char *)buf_data(&variable));
		buf_fini(&variable);
		break;
	case FROM_FLAG:
		fputs("flag", out);
		break;
	}
	fputc('\n', out);
}

static bool needs_quotes(const char *value)
{
	size_t len = strlen(value);

	return len && (*value == '"' || strchr(" \t", *value) || strchr(" \t", value[len - 1]));
}

static void print_value(const char *value, FILE *out)
{
	bool quoted = needs_quotes(value);

	if (*value)
		fputc(' ', out);
	if (quoted)
		fputc('"', out);
	for (const char *at = value; *at; at++) {
		if (quoted && (*at == '"' || *at == '\\'))
			fputc('\\', out);
		fputc(*at, out);
	}
	if (quoted)
		fputc('"', out);
	fputc('\n', out);
}

static void dump_setting(const struct conf *conf, const struct conf_setting *setting,
						 const void *home, const struct conf_origin *origin, FILE *out)
{
	struct buf value, escaped;

	buf_init(&value);
	buf_init(&escaped);
	if (conf_value_write(setting, home, &value) && buf_append_byte(&value, '\0') &&
		conf_unexpand((const char *)buf_data(&value), &escaped) &&
		buf_append_byte(&escaped, '\0')) {
		print_origin(conf, setting, origin, out);
		if (setting->type == TYPE_SECRET)
			fputs("; ", out);
		fprintf(out, "%s =", setting->key);
		print_value((const char *)buf_data(&escaped), out);
	}
	buf_fini(&value);
	buf_fini(&escaped);
}

static void dump_section(const struct conf *conf, const struct conf_section *section,
						 const char *name, const void *home, const struct conf_origin *origins,
						 FILE *out)
{
	fprintf(out, "[%s%s%s]\n", section->name, name ? ":" : "", name ? name : "");
	for (size_t i = 0; i < conf_setting_count; i++) {
		const struct conf_setting *setting = &conf_settings[i];

		if (strcmp(setting->section, section->name) != 0)
			continue;
		if (setting->type == TYPE_SECRET && origins[i].source == FROM_DEFAULT)
			continue;
		dump_setting(conf, setting, home, &origins[i], out);
	}
	fputc('\n', out);
}

void conf_dump(const struct conf *conf, FILE *out)
{
	for (size_t i = 0; i < conf_section_count; i++) {
		const struct conf_section *section = &conf_sections[i];

		switch (section->home) {
		case HOME_CONF:
			dump_section(conf, section, NULL, conf, conf->origins, out);
			break;
		case HOME_LISTEN:
			for (size_t j = 0; j < conf->listen_count; j++)
				dump_section(conf, section, conf->listens[j].name, &conf->listens[j],
							 conf->listens[j].origins, out);
			break;
		case HOME_CLUSTER:
			for (size_t j = 0; j < conf->cluster_count; j++)
				dump_section(conf, section, conf->clusters[j].name, &conf->clusters[j],
							 conf->clusters[j].origins, out);
			break;
		}
	}
}

/* ---- text made for people ---- */

static void print_bounds(const struct conf_setting *setting, FILE *out)
{
	struct buf bounds;

	buf_init(&bounds);
	if (conf_value_bounds(setting, &bounds))
		fprintf(out, "%.*s", (int)buf_len(&bounds), (const char *)buf_data(&bounds));
	buf_fini(&bounds);
}

static void print_variable(const struct conf_setting *setting, FILE *out)
{
	struct buf variable;

	buf_init(&variable);
	if (conf_write_variable(setting, &variable))
		fprintf(out, "%.*s", (int)buf_len(&variable), (const char *)buf_data(&variable));
	buf_fini(&variable);
}

static const char *type_name(const struct conf_setting *setting)
{
	switch (setting->type) {
	case TYPE_INT:
		return "number";
	case TYPE_MODE:
		return "mode";
	case TYPE_DURATION:
		return setting->unit == 1 ? "time, in ms" : "time, in s";
	case TYPE_SIZE:
		return "size, in bytes";
	case TYPE_BOOL:
		return "boolean";
	case TYPE_ENUM:
		return "word";
	case TYPE_STRING:
		return "text";
	case TYPE_SEPARATOR:
		return "character";
	case TYPE_SELECTORS:
		return "list of words";
	case TYPE_SECRET:
		return "secret";
	}
	return "";
}

/* ---- conf/bulkhead.ini ---- */

static const char sample_head[] =
	"; A commented sample, made from the table of settings (bulkhead conf --sample).\n"
	"; What starts with a semicolon shows a default; the few other lines must be set.\n"
	";\n"
	"; Comments stand on lines of their own. A value is the rest of its line, or stands "
	"between\n"
	"; double quotes, with \\\" and \\\\ for a quote and a backslash. ${VAR} is replaced by "
	"the\n"
	"; environment variable, $${ stands for ${. Times take ms, s, min, h, d; sizes B, kB, MB, "
	"GB.\n"
	"; Over this file go environment variables (BULKHEAD_SECTION_KEY; for sections with a "
	"name,\n"
	"; those named default), over them --set SECTION.KEY=VALUE.\n";

static void sample_setting(const struct conf_setting *setting, FILE *out)
{
	if (setting->type == TYPE_SECRET)
		return;
	fprintf(out, "\n; %s\n; (", setting->doc);
	print_bounds(setting, out);
	fputs(")\n", out);
	fprintf(out, "%s%s =", setting->preset ? ";" : "", setting->key);
	print_value(setting->preset ? setting->preset : setting->example, out);
}

void conf_write_sample(FILE *out)
{
	fputs(sample_head, out);
	for (size_t i = 0; i < conf_section_count; i++) {
		const struct conf_section *section = &conf_sections[i];

		fprintf(out, "\n; %s\n[%s%s]\n", section->doc, section->name,
				section->home == HOME_CONF ? "" : ":default");
		for (size_t j = 0; j < conf_setting_count; j++) {
			if (strcmp(conf_settings[j].section, section->name) == 0)
				sample_setting(&conf_settings[j], out);
		}
	}
}

/* ---- docs/configuration.md ---- */

static const char docs_head[] =
	"# Configuration\n"
	"\n"
	"<!-- Made from the table of settings by `bulkhead conf --docs`; edit conf/settings.c "
	"instead. -->\n"
	"\n"
	"Settings come from an INI file (`-c FILE`), from environment variables over it, and from\n"
	"`--set SECTION.KEY=VALUE` over both. `bulkhead check -c FILE` says what is wrong, a line "
	"each as\n"
	"`file:line: message`; `bulkhead serve --dump-config` prints the effective settings and "
	"where each\n"
	"came from. conf/bulkhead.ini is a commented sample.\n"
	"\n"
	"- **File.** UTF-8, at most 1 MiB. Comments start with `;` or `#` and stand on lines of "
	"their own. A value\n"
	"  is the rest of its line without the blanks around it, or stands between double quotes, "
	"with `\\\"` and\n"
	"  `\\\\` for a quote and a backslash. `${VAR}` is replaced by the environment variable, "
	"which must be set;\n"
	"  `$${` stands for `${`. An unknown section or setting, and one that comes twice, is an "
	"error.\n"
	"- **Named sections.** `[listen:NAME]` and `[cluster:NAME]` may come more than once. "
	"Without any, there is\n"
	"  one named `default`, to which the environment variables belong.\n"
	"- **Times** take `ms`, `s`, `min`, `h` and `d`; a bare number counts in the unit that the "
	"table names.\n"
	"  **Sizes** take `B`, `kB`, `MB` and `GB` (steps of 1024). Fractions are fine. "
	"**Booleans** are `yes` and\n"
	"  `no`, `on` and `off`, `true` and `false`, `1` and `0`.\n"
	"- **Secrets** never stand in the file or on the command line: a `password_file` names a "
	"file of mode\n"
	"  0600, or the environment holds the password itself.\n"
	"- **Live**: takes effect without a restart, on SIGHUP or when the file changes; how, is "
	"in\n"
	"  [operations](operations.md#changing-settings-while-it-runs).\n";

static void docs_setting(const struct conf_setting *setting, FILE *out)
{
	fprintf(out, "| `%s` | %s | ", setting->key, type_name(setting));
	if (setting->type == TYPE_SECRET)
		fputs("none", out);
	else if (!setting->preset)
		fputs("**must be set**", out);
	else if (!*setting->preset)
		fputs("empty", out);
	else
		fprintf(out, "`%s`", setting->preset);
	fputs(" | ", out);
	print_bounds(setting, out);
	fprintf(out, " | %s | `", setting->reloadable ? "yes" : "no");
	print_variable(setting, out);
	fprintf(out, "` | %s |\n", setting->doc);
}

void conf_write_docs(FILE *out)
{
	fputs(docs_head, out);
	for (size_t i = 0; i < conf_section_count; i++) {
		const struct conf_section *section = &conf_sections[i];

		fprintf(out, "\n## [%s%s]\n\n%s\n\n", section->name,
				section->home == HOME_CONF ? "" : ":NAME", section->doc);
		fputs("| setting | type | default | may be | live | environment | meaning |\n"
			  "|---|---|---|---|---|---|---|\n",
			  out);
		for (size_t j = 0; j < conf_setting_count; j++) {
			if (strcmp(conf_settings[j].section, section->name) == 0)
				docs_setting(&conf_settings[j], out);
		}
	}
}
