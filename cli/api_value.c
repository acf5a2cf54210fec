#include "cli/api_value.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/secret.h"
#include "base/utf8.h"
#include "cli/api_compose.h"
#include "cli/input.h"
#include "cli/print.h"

#define SECRET_MAX 65536
#define FILE_MAX   (4u << 20) /* the most that any route takes */

static json_t *wrong(enum cli_exit *result, const char *name, const char *why)
{
	print_complaint("%s: %s", name, why);
	*result = CLI_USAGE;
	return NULL;
}

static json_t *text(const char *name, const char *word, enum cli_exit *result)
{
	json_t *value = utf8_valid(word, strlen(word)) ? json_string(word) : NULL;

	return value ? value : wrong(result, name, "it is no UTF-8");
}

/* ---- choices ---- */

/* Of several that begin so the one that is no longer. */
static const char *find_choice(const char *const *choices, const char *word)
{
	const char *found = NULL;
	size_t len = strlen(word);

	for (; *choices; choices++) {
		if (strcasecmp(*choices, word) == 0)
			return *choices;
		if (strncasecmp(*choices, word, len) != 0)
			continue;
		if (found)
			return NULL;
		found = *choices;
	}
	return found;
}

/* In any case, and cut short where no other begins so: shared is SHARED_RLS. */
static json_t *choice(const struct api_field *field, const char *name, const char *word,
					  enum cli_exit *result)
{
	const char *found = *word ? find_choice(field->choices, word) : NULL;
	char list[512] = "";

	if (found)
		return json_string(found);
	for (const char *const *one = field->choices; *one; one++)
		snprintf(list + strlen(list), sizeof list - strlen(list), "%s%s", *list ? ", " : "",
				 *one);
	print_complaint("%s: it is one of %s", name, list);
	*result = CLI_USAGE;
	return NULL;
}

/* ---- numbers and JSON ---- */

static json_t *number(const char *name, const char *word, bool whole, enum cli_exit *result)
{
	json_t *value = json_loads(word, JSON_DECODE_ANY, NULL);

	if (json_is_integer(value) || (!whole && json_is_number(value)))
		return value;
	json_decref(value);
	return wrong(result, name, whole ? "it is no whole number" : "it is no number");
}

static json_t *boolean(const char *name, const char *word, enum cli_exit *result)
{
	if (strcasecmp(word, "true") == 0 || strcasecmp(word, "yes") == 0)
		return json_true();
	if (strcasecmp(word, "false") == 0 || strcasecmp(word, "no") == 0)
		return json_false();
	return wrong(result, name, "it is true or false");
}

static json_t *any(const char *name, const char *word, enum cli_exit *result)
{
	json_t *value = json_loads(word, JSON_DECODE_ANY, NULL);

	return value ? value : text(name, word, result);
}

json_t *api_json_of_word(const char *what, const char *word)
{
	const char *why = "out of memory", *file = *word == '@' ? word + 1 : NULL;
	char *read = file ? input_text(file, FILE_MAX, &why) : strdup(word);
	json_error_t error;
	json_t *value;

	if (!read) {
		print_complaint("%s: %s", file ? input_name(file) : what, why);
		return NULL;
	}
	value = json_loads(read, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, &error);
	if (!value)
		print_complaint("%s: it is no JSON: line %d, column %d", what, error.line,
						error.column);
	secret_free(read); /* it may be one */
	return value;
}

static json_t *structure(const char *name, const char *word, enum cli_exit *result)
{
	json_t *value = api_json_of_word(name, word);

	if (!value)
		*result = *word == '@' ? CLI_FAILED : CLI_USAGE;
	return value;
}

/* ---- lists ---- */

static json_t *list(const struct api_field *field, const char *name, const char *word,
					enum cli_exit *result)
{
	json_t *values;

	if (*word == '[' || *word == '@')
		return structure(name, word, result);
	values = json_array();
	for (const char *at = word; values && *word; at++) {
		size_t len = strcspn(at, ",");
		char *one = strndup(at, len);
		json_t *value = one ? api_value_of_word(field->fields, name, one, result) : NULL;

		free(one);
		if (!value || json_array_append_new(values, value) != 0) {
			json_decref(values);
			return NULL;
		}
		at += len;
		if (!*at)
			break;
	}
	return values;
}

json_t *api_value_of_word(const struct api_field *field, const char *name, const char *word,
						  enum cli_exit *result)
{
	if (field->choices && field->type == API_TEXT)
		return choice(field, name, word, result);
	switch (field->type) {
	case API_TEXT:
	case API_TENANT_WORD:
	case API_UUID:
	case API_TIME:
		return text(name, word, result);
	case API_INTEGER:
		return number(name, word, true, result);
	case API_NUMBER:
		return number(name, word, false, result);
	case API_BOOLEAN:
		return boolean(name, word, result);
	case API_JSON:
		return any(name, word, result);
	case API_OBJECT:
	case API_MAP:
		return structure(name, word, result);
	case API_ARRAY:
		return list(field, name, word, result);
	}
	return NULL;
}

/* ---- files ---- */

static char *read_secret_or_text(const struct api_option *option, const char *file)
{
	unsigned flags = option->field->flags;
	bool is_secret = flags & API_SECRET && !(flags & API_LINES);
	const char *why = "out of memory";
	char *read =
		is_secret ? input_secret(file, SECRET_MAX, &why) : input_text(file, FILE_MAX, &why);

	if (read && is_secret && !*read) {
		why = "it is empty";
		secret_free(read);
		read = NULL;
	}
	if (!read)
		print_complaint("%s: %s", input_name(file), why);
	return read;
}

static json_t *of_file(const struct api_option *option, const char *file, enum cli_exit *result)
{
	char *read = read_secret_or_text(option, file);
	json_t *value = NULL;

	*result = CLI_FAILED;
	if (read && option->field->type == API_JSON)
		value = any(input_name(file), read, result);
	else if (read)
		value = text(input_name(file), read, result);
	secret_free(read);
	return value;
}

json_t *api_value_of_option(const struct api_option *option, const char *word,
							enum cli_exit *result)
{
	char name[sizeof option->name + 2];

	if (option->constant)
		return json_loads(option->constant, JSON_DECODE_ANY, NULL);
	if (option->is_file)
		return of_file(option, word, result);
	snprintf(name, sizeof name, "--%s", option->name);
	return api_value_of_word(option->field, name, word, result);
}
