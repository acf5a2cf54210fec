/*
 * options.h: the options that every subcommand with a configuration shares.
 *
 *	-c, --config FILE		the INI file; without it, defaults and environment only
 *	    --set SECTION.KEY=VALUE	one setting over file and environment, as often as wanted
 */
#ifndef CLI_OPTIONS_H
#define CLI_OPTIONS_H

#include <getopt.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "conf/conf.h"

/* What getopt_long returns for --set; above every character, so that no short option meets it.
 */
#define OPTION_SET 0x1000

/* The short form of -c, to stand in front of a subcommand's own short options. */
#define OPTIONS_SHORT "c:"

/* Rows for a subcommand's `struct option` array. */
#define OPTIONS_LONG                                                                           \
	{"config", required_argument, NULL, 'c'},                                                  \
	{                                                                                          \
		"set", required_argument, NULL, OPTION_SET                                             \
	}

/* The lines of these two options for a subcommand's usage text. */
extern const char options_help[];

struct options {
	const char *config; /* borrowed from argv; NULL when not given */
	struct conf_override *overrides;
	size_t override_count;
	char **texts; /* what the overrides point into */
};

void options_init(struct options *options);
void options_fini(struct options *options);

/*
 * Takes one option that getopt_long returned. False when it is none of these, is malformed
 * (said on standard error) or memory is out: the subcommand then answers with its usage.
 */
bool options_take(struct options *options, int option, const char *argument);

/*
 * Splits "SECTION.KEY=VALUE" in place and appends it; `text` is copied first. False with a
 * reason in *why when it has another form.
 */
bool options_add_override(struct options *options, const char *text, const char **why);

/*
 * Loads the configuration that the options describe, with this process's environment. On
 * failure every error is printed to `err`, a line each, and NULL returned.
 */
struct conf *options_load(const struct options *options, FILE *err);

/* The same, but what has errors is returned all the same as far as conf_load_faulty does it. */
struct conf *options_load_faulty(const struct options *options, FILE *err, bool *sound);

#endif
