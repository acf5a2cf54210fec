/* The lines that say what is wrong and where. */
#include <stdarg.h>
#include <stdlib.h>

#include "conf/settings.h"

static void add_line(struct conf_errors *errors, struct buf *line, bool done)
{
	char **lines = realloc(errors->lines, (errors->count + 1) * sizeof *lines);

	if (lines)
		errors->lines = lines;
	if (!lines || !done || !buf_append_byte(line, '\0')) {
		errors->out_of_memory = true;
		buf_fini(line);
		return;
	}
	/* The line starts where its memory starts, since nothing was consumed from the buffer. */
	errors->lines[errors->count++] = (char *)buf_data(line);
}

__attribute__((format(printf, 2, 0))) static bool
append_message(struct buf *line, const char *format, va_list args)
{
	char *message = NULL;
	bool done = vasprintf(&message, format, args) >= 0 && buf_appendf(line, "%s", message);

	free(message);
	return done;
}

void conf_error(struct conf_errors *errors, const char *where, const char *format, ...)
{
	struct buf line;
	va_list args;

	buf_init(&line);
	bool done = buf_appendf(&line, "%s: ", where);
	va_start(args, format);
	done = done && append_message(&line, format, args);
	va_end(args);
	add_line(errors, &line, done);
}

void conf_error_line(struct conf_errors *errors, const char *path, unsigned number,
					 const char *format, ...)
{
	struct buf line;
	va_list args;

	buf_init(&line);
	bool done = buf_appendf(&line, "%s:%u: ", path, number);
	va_start(args, format);
	done = done && append_message(&line, format, args);
	va_end(args);
	add_line(errors, &line, done);
}

struct conf_place conf_place_of(const struct conf *conf, const struct conf_setting *setting,
								const char *name, const struct conf_origin *origins)
{
	struct conf_place place = {conf, setting, name, origins[conf_setting_index(setting)]};
	const struct conf_section *section = conf_find_section(setting->section);

	if (place.origin.source == FROM_DEFAULT)
		place.origin.line =
			origins[conf_setting_count + (size_t)(section - conf_sections)].line;
	return place;
}

static bool append_place(struct buf *line, const struct conf_place *place)
{
	const struct conf_setting *setting = place->setting;
	const char *colon = place->name ? ":" : "", *name = place->name ? place->name : "";

	switch (place->origin.source) {
	case FROM_DEFAULT:
		if (place->conf->path)
			return buf_appendf(line, "%s:%u: [%s%s%s] %s: ", place->conf->path,
							   place->origin.line ? place->origin.line : 1, setting->section,
							   colon, name, setting->key);
		break;
	case FROM_FILE:
		return buf_appendf(line, "%s:%u: %s: ", place->conf->path, place->origin.line,
						   setting->key);
	case FROM_ENVIRONMENT:
		break;
	case FROM_FLAG:
		return buf_appendf(line, "flags: %s%s%s.%s: ", setting->section, colon, name,
						   setting->key);
	}
	return buf_appendf(line, "environment: ") && conf_write_variable(setting, line) &&
		   buf_appendf(line, ": ");
}

void conf_error_at(struct conf_errors *errors, const struct conf_place *place,
				   const char *format, ...)
{
	struct buf line;
	va_list args;

	buf_init(&line);
	bool done = append_place(&line, place);
	va_start(args, format);
	done = done && append_message(&line, format, args);
	va_end(args);
	add_line(errors, &line, done);
}

__attribute__((format(printf, 3, 0))) static void
print_line(FILE *out, const struct conf_place *place, const char *format, va_list args)
{
	struct buf line;

	buf_init(&line);
	if (append_place(&line, place) && append_message(&line, format, args))
		fprintf(out, "%.*s\n", (int)buf_len(&line), (const char *)buf_data(&line));
	else
		fputs("out of memory\n", out);
	buf_fini(&line);
}

void conf_complain(FILE *out, const struct conf *conf, const char *section, const char *key,
				   const char *format, ...)
{
	struct conf_place place =
		conf_place_of(conf, conf_find_setting(section, key), NULL, conf->origins);
	va_list args;

	va_start(args, format);
	print_line(out, &place, format, args);
	va_end(args);
}

void conf_complain_listen(FILE *out, const struct conf *conf, const struct conf_listen *listen,
						  const char *key, const char *format, ...)
{
	struct conf_place place =
		conf_place_of(conf, conf_find_setting("listen", key), listen->name, listen->origins);
	va_list args;

	va_start(args, format);
	print_line(out, &place, format, args);
	va_end(args);
}

void conf_complain_cluster(FILE *out, const struct conf *conf,
						   const struct conf_cluster *cluster, const char *key,
						   const char *format, ...)
{
	struct conf_place place =
		conf_place_of(conf, conf_find_setting("cluster", key), cluster->name, cluster->origins);
	va_list args;

	va_start(args, format);
	print_line(out, &place, format, args);
	va_end(args);
}

void conf_errors_fini(struct conf_errors *errors)
{
	for (size_t i = 0; i < errors->count; i++)
		free(errors->lines[i]);
	free(errors->lines);
	*errors = (struct conf_errors){0};
}
