/*
 * api_value.h: the JSON that a word or an option of the command line stands for, by its field.
 */
#ifndef CLI_API_VALUE_H
#define CLI_API_VALUE_H

#include <jansson.h>

#include "cli/api_options.h"

/* NULL with *result, and the reason printed, when the word cannot be the field's. */
json_t *api_value_of_word(const struct api_field *field, const char *name, const char *word,
						  enum cli_exit *result);
json_t *api_value_of_option(const struct api_option *option, const char *word,
							enum cli_exit *result);

#endif
