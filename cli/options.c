#include "cli/options.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char options_help[] =
	"  -c, --config FILE            settings; without it defaults and environment only\n"
	"      --set SECTION.KEY=VALUE  one setting over file and environment; may be repeated\n";

void options_init(struct options *options)
{
	*options = (struct options){.config = NULL};
}

void options_fini(struct options *options)
{
	for (size_t i = 0; i < options->override_count; i++)
		free(options->texts[i]);
	free(options->texts);
	free(options->overrides);
	options_init(options);
}

/* Cuts the text into its three parts, in place. */
static bool split_override(char *text, struct conf_override *out)
{
	char *equals = strchr(text, '='), *dot;

	if (!equals)
		return false;
	*equals = '\0';
	dot = strchr(text, '.');
	if (!dot || dot == text || !dot[1])
		return false;
	*dot = '\0';
	*out = (struct conf_override){.section = text, .key = dot + 1, .value = equals + 1};
	return true;
}

static bool reserve_override(struct options *options)
{
	size_t count = options->override_count + 1;
	struct conf_override *overrides =
		realloc(options->overrides, count * sizeof *options->overrides);
	if (overrides)
		options->overrides = overrides;

	char **texts = realloc(options->texts, count * sizeof *options->texts);
	if (texts)
		options->texts = texts;
	return overrides && texts;
}

bool options_add_override(struct options *options, const char *text, const char **why)
{
	char *copy = strdup(text);

	if (!copy || !reserve_override(options)) {
		*why = "out of memory";
		free(copy);
		return false;
	}
	if (!split_override(copy, &options->overrides[options->override_count])) {
		*why = "is not SECTION.KEY=VALUE";
		free(copy);
		return false;
	}
	options->texts[options->override_count++] = copy;
	return true;
}

bool options_take(struct options *options, int option, const char *argument)
{
	const char *why = NULL;

	switch (option) {
	case 'c':
		options->config = argument;
		return true;
	case OPTION_SET:
		if (options_add_override(options, argument, &why))
			return true;
		/* Not what was given: it may be a password. */
		fprintf(stderr, "--set: what follows %s\n", why);
		return false;
	default:
		return false; /* getopt_long has said what is wrong with any other */
	}
}

/* Prints what there is; true when there is nothing. */
static bool print_errors(struct conf_errors *errors, FILE *err)
{
	bool none = !errors->count && !errors->out_of_memory;

	for (size_t i = 0; i < errors->count; i++)
		fprintf(err, "%s\n", errors->lines[i]);
	if (errors->out_of_memory)
		fputs("out of memory\n", err);
	conf_errors_fini(errors);
	return none;
}

struct conf *options_load_faulty(const struct options *options, FILE *err, bool *sound)
{
	struct conf_errors errors = {.count = 0};
	struct conf *conf = conf_load_faulty(options->config, environ, options->overrides,
										 options->override_count, &errors);

	*sound = print_errors(&errors, err) && conf;
	return conf;
}

struct conf *options_load(const struct options *options, FILE *err)
{
	bool sound;
	struct conf *conf = options_load_faulty(options, err, &sound);

	if (sound)
		return conf;
	conf_destroy(conf);
	return NULL;
}
