#include "proxy/startup_options.h"

#include <string.h>

void startup_options_init(struct startup_options *options, char *text)
{
	options->at = text;
}

/* isspace of the C locale: what the server has before it knows its own. */
static bool is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

/* The next word, unescaped in place, or NULL. A backslash at the very end stands for nothing.
 */
static char *next_word(struct startup_options *options)
{
	char *at = options->at;

	while (is_space(*at))
		at++;
	options->at = at;
	if (!*at)
		return NULL;

	char *word = at, *to = at;
	while (*at && !is_space(*at)) {
		if (*at == '\\' && !*++at)
			break;
		*to++ = *at++;
	}
	options->at = *at ? at + 1 : at;
	*to = '\0';
	return word;
}

/* What a switch sets, from its own word or, for a bare -c, the next one; NULL when it sets
 * nothing. */
static char *find_setting(struct startup_options *options, char *word)
{
	if (word[0] != '-' || (word[1] != 'c' && word[1] != '-'))
		return NULL;
	if (word[2])
		return word + 2;
	return word[1] == 'c' ? next_word(options) : NULL;
}

enum startup_option startup_options_next(struct startup_options *options, const char **name,
										 const char **value)
{
	char *word = next_word(options);

	*name = word;
	if (!word)
		return STARTUP_OPTION_END;

	char *setting = find_setting(options, word);
	if (!setting)
		return STARTUP_OPTION_SWITCH;
	*name = setting;

	char *equals = strchr(setting, '=');
	if (equals) {
		*equals = '\0';
		*value = equals + 1;
	}
	for (char *c = setting; *c; c++)
		if (*c == '-')
			*c = '_';
	return equals ? STARTUP_OPTION : STARTUP_OPTION_VALUE;
}
