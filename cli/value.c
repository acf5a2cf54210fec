#include "cli/value.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "cli/print.h"

static bool is_json(const char *word)
{
	json_t *value = json_loads(word, JSON_DECODE_ANY, NULL);
	bool is = value != NULL;

	json_decref(value);
	return is;
}

/* Takes the reference over. */
static char *dump(json_t *value)
{
	char *text = value ? json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT) : NULL;

	json_decref(value);
	if (!text)
		print_complaint("the value is not UTF-8, or memory is out");
	return text;
}

static char *copy(const char *word)
{
	char *text = strdup(word);

	if (!text)
		print_complaint("out of memory");
	return text;
}

char *value_text(const char *word)
{
	return is_json(word) ? copy(word) : dump(json_string(word));
}

char *value_list(const char *word)
{
	json_t *list;

	if (is_json(word))
		return copy(word);
	list = json_array();
	for (const char *at = word;; at++) {
		size_t len = strcspn(at, ",");

		if (json_array_append_new(list, json_stringn(at, len)) != 0) {
			json_decref(list);
			return dump(NULL);
		}
		at += len;
		if (!*at)
			return dump(list);
	}
}
