#include "cli/api_compose.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/secret.h"
#include "cli/api_value.h"
#include "cli/print.h"
#include "cli/value.h"

static enum cli_exit no_memory(void)
{
	print_complaint("out of memory");
	return CLI_FAILED;
}

/* ---- texts ---- */

char *api_percent(const char *text)
{
	static const char plain[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
	char *out = malloc(3 * strlen(text) + 1), *at = out;

	if (!out)
		return NULL;
	for (; *text; text++) {
		if (strchr(plain, *text))
			*at++ = *text;
		else
			at += snprintf(at, 4, "%%%02X", (unsigned char)*text);
	}
	*at = '\0';
	return out;
}

void api_wipe_json(json_t *value)
{
	const char *name;
	json_t *member;
	size_t nth;

	if (json_is_string(value))
		secret_wipe((char *)json_string_value(value), json_string_length(value));
	json_array_foreach(value, nth, member) api_wipe_json(member);
	json_object_foreach(value, name, member) api_wipe_json(member);
}

char *api_body_text(const json_t *body)
{
	char *text = json_dumps(body, JSON_COMPACT | JSON_ENCODE_ANY);

	if (!text)
		print_complaint("out of memory");
	return text;
}

/* ---- the path ---- */

static const char *word_of(const struct api_grammar *grammar, const struct api_given *given,
						   const char *name, size_t len)
{
	for (size_t i = 0; i < grammar->word_count; i++) {
		if (strlen(grammar->words[i].name) == len &&
			strncmp(grammar->words[i].name, name, len) == 0)
			return given->words[i];
	}
	return NULL;
}

/* An empty word would be another path. */
static enum cli_exit append_word(struct buf *path, const char *name, size_t len,
								 const char *word)
{
	char *encoded;
	bool whole;

	if (!word || !*word) {
		print_complaint("the word %.*s is empty", (int)len, name);
		return CLI_USAGE;
	}
	encoded = api_percent(word);
	whole = encoded && buf_append(path, encoded, strlen(encoded));
	free(encoded);
	return whole ? CLI_DONE : no_memory();
}

static enum cli_exit write_path(struct buf *path, const struct api_grammar *grammar,
								const struct api_given *given)
{
	const char *at = grammar->route->path;
	enum cli_exit result = CLI_DONE;

	while (result == CLI_DONE && *at) {
		size_t plain = strcspn(at, "{"), len;

		if (!buf_append(path, at, plain))
			return no_memory();
		at += plain;
		if (!*at)
			break;
		len = strcspn(++at, "}");
		result = append_word(path, at, len, word_of(grammar, given, at, len));
		at += len + 1;
	}
	return result == CLI_DONE && !buf_append_byte(path, '\0') ? no_memory() : result;
}

/* ---- query and body ---- */

/* What is being made. */
struct making {
	struct buf query;
	json_t *body;
};

static bool append_query(struct buf *query, const char *name, const json_t *value)
{
	char *text = json_is_string(value) ? strdup(json_string_value(value))
									   : json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
	char *encoded = text ? api_percent(text) : NULL;
	bool whole =
		encoded && buf_appendf(query, "%s%s=%s", buf_len(query) ? "&" : "", name, encoded);

	free(text);
	free(encoded);
	return whole;
}

/* Takes the value over. */
static enum cli_exit put(struct making *making, enum api_place place, const char *name,
						 json_t *value)
{
	bool whole = true;

	switch (place) {
	case API_PLACE_QUERY:
		whole = append_query(&making->query, name, value);
		break;
	case API_PLACE_BODY:
		whole = json_object_set(making->body, name, value) == 0;
		break;
	case API_PLACE_PATH:
	case API_PLACE_OWN:
		break;
	}
	json_decref(value);
	return whole ? CLI_DONE : no_memory();
}

static enum cli_exit put_option(struct making *making, const struct api_option *option,
								const char *word)
{
	enum cli_exit result = CLI_DONE;
	json_t *value;

	if (!option->field)
		return CLI_DONE;
	value = api_value_of_option(option, word, &result);
	return value ? put(making, option->place, option->field->name, value) : result;
}

static json_t *value_of_word(const struct api_grammar *grammar, const struct api_word *word,
							 const char *text, enum cli_exit *result)
{
	const char *list = grammar->verb->list;
	char *json;
	json_t *value;

	if (!list || strcmp(list, word->name) != 0)
		return api_value_of_word(word->field, word->name, text, result);
	json = value_list(text);
	value = json ? json_loads(json, JSON_DECODE_ANY, NULL) : NULL;
	if (!value)
		*result = CLI_FAILED;
	free(json);
	return value;
}

static enum cli_exit put_words(struct making *making, const struct api_grammar *grammar,
							   const struct api_given *given)
{
	enum cli_exit result = CLI_DONE;

	for (size_t i = 0; result == CLI_DONE && i < grammar->word_count; i++) {
		const struct api_word *word = &grammar->words[i];
		json_t *value;

		if (!given->words[i] || word->place == API_PLACE_PATH)
			continue;
		value = value_of_word(grammar, word, given->words[i], &result);
		if (value)
			result = put(making, word->place, word->field->name, value);
	}
	return result;
}

/* What is no field of the table: the same on all routes that have it. */
static enum cli_exit put_own(struct making *making, const struct api_given *given)
{
	const char *cursor = given->own[OWN_CURSOR];
	enum cli_exit result = CLI_DONE;

	if (cursor)
		result = put(making, API_PLACE_QUERY, "cursor", json_string_nocheck(cursor));
	if (result == CLI_DONE && given->own[OWN_DRY_RUN])
		result = put(making, API_PLACE_QUERY, "dry_run", json_true());
	return result;
}

static enum cli_exit put_all(struct making *making, const struct api_grammar *grammar,
							 const struct api_given *given)
{
	enum cli_exit result = put_words(making, grammar, given);

	for (size_t i = 0; result == CLI_DONE && i < grammar->option_count; i++) {
		if (given->values[i])
			result = put_option(making, &grammar->options[i], given->values[i]);
	}
	if (result == CLI_DONE && grammar->verb->fixed)
		result = put(making, API_PLACE_BODY, grammar->verb->fixed,
					 json_loads(grammar->verb->fixed_value, JSON_DECODE_ANY, NULL));
	return result == CLI_DONE ? put_own(making, given) : result;
}

/* The object that options are put into. */
static json_t *begin_body(const struct api_given *given, enum cli_exit *result)
{
	const char *data = given->own[OWN_DATA];
	json_t *body = data ? api_json_of_word("--data", data) : json_object();

	*result = body || data ? CLI_FAILED : no_memory();
	if (body && !json_is_object(body)) {
		print_complaint("--data: it is no JSON object");
		*result = CLI_USAGE;
		json_decref(body);
		return NULL;
	}
	return body;
}

static enum cli_exit make(struct making *making, struct buf *path,
						  const struct api_grammar *grammar, const struct api_given *given)
{
	enum cli_exit result = write_path(path, grammar, given);

	if (result == CLI_DONE && grammar->route->body)
		making->body = begin_body(given, &result);
	if (making->body || (result == CLI_DONE && !grammar->route->body))
		result = put_all(making, grammar, given);
	if (result == CLI_DONE && strcmp(grammar->route->method, "PATCH") == 0 &&
		json_object_size(making->body) == 0) {
		print_complaint("there is nothing to change");
		return CLI_USAGE;
	}
	return result == CLI_DONE && !buf_append_byte(&making->query, '\0') ? no_memory() : result;
}

enum cli_exit api_compose(struct api_composed *out, const struct api_grammar *grammar,
						  const struct api_given *given)
{
	struct making making = {.body = NULL};
	struct buf path;
	enum cli_exit result;

	*out = (struct api_composed){.path = NULL};
	buf_init(&making.query);
	buf_init(&path);
	result = make(&making, &path, grammar, given);
	out->body = making.body;
	if (result == CLI_DONE) {
		out->path = strdup((char *)buf_data(&path));
		out->query = strdup((char *)buf_data(&making.query));
		if (!out->path || !out->query)
			result = no_memory();
	}
	buf_fini(&making.query);
	buf_fini(&path);
	return result;
}

void api_composed_fini(struct api_composed *composed)
{
	free(composed->path);
	free(composed->query);
	api_wipe_json(composed->body);
	json_decref(composed->body);
	*composed = (struct api_composed){.path = NULL};
}
