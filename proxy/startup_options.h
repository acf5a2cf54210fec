/*
 * startup_options.h: the `options` field of a startup packet, a command line of the server's.
 *
 * Read as the server's pg_split_opts and process_postgres_switches do it: words are separated
 * by white space, a backslash takes the meaning from the character behind it, `-c name=value`,
 * `-cname=value` and
 * `--name=value` are settings. In a name `-` stands for `_`.
 */
#ifndef PROXY_STARTUP_OPTIONS_H
#define PROXY_STARTUP_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

enum startup_option {
	STARTUP_OPTION,        /* *name and *value are set */
	STARTUP_OPTION_END,    /* there is nothing more */
	STARTUP_OPTION_SWITCH, /* *name is a word that is no setting */
	STARTUP_OPTION_VALUE,  /* *name has no value */
};

struct startup_options {
	char *at; /* what is still to be read */
};

/* `text` belongs to the caller; words are unescaped in place, so it is used up. */
void startup_options_init(struct startup_options *options, char *text);

/* The next setting. The strings live in the text; they are valid as long as it is. */
enum startup_option startup_options_next(struct startup_options *options, const char **name,
										 const char **value);

#endif
