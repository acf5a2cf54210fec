#include "cli/api_options.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

/* In the order of enum api_own. */
static const struct {
	const char *name, *metavar, *doc;
} owns[] = {
	{"api", "URL",
	 "where the API is: http://HOST:PORT, https://HOST:PORT or unix:/PATH; default "
	 "BULKHEAD_API "
	 "of the environment, then http://127.0.0.1:6480"},
	{"api-key-file", "FILE",
	 "the file that holds the API key; default BULKHEAD_API_KEY_FILE, then BULKHEAD_API_KEY of "
	 "the environment, which holds the key itself"},
	{"ca-file", "FILE",
	 "certificates of those who may sign the server's, in PEM; default BULKHEAD_API_CA_FILE, "
	 "then the system's"},
	{"cert-file", "FILE",
	 "a certificate to show to the server; default BULKHEAD_API_CERT_FILE"},
	{"cert-key-file", "FILE", "its key; default BULKHEAD_API_CERT_KEY_FILE"},
	{"allow-http", "", "send the key to other machines without TLS"},
	{"timeout", "SECONDS", "how long a request may take; default 60"},
	{"json", "", "the API's JSON, in one document"},
	{"help", "", "this text"},
	{"if-match", "ETAG",
	 "change it only if this is still its ETag; without it, whatever it is now is changed"},
	{"idempotency-key", "KEY",
	 "a command with the same one is carried out once; without it, one is drawn"},
	{"dry-run", "", "say what would change, and change nothing"},
	{"limit", "N", "at most so many; default 1000"},
	{"cursor", "CURSOR", "go on behind those that an earlier answer ended with (its \"next\")"},
	{"data", "JSON",
	 "the request's body, or @FILE, or @- for standard input; options go over it"},
	{"accept", "TYPE", "the type of answer to ask for, as in text/csv, written as it comes"},
	{"follow", "", "go on with what happens from now on; without it, what has happened"},
	{"out", "FILE", "write the secret into this new file (0600) and do not print it"},
	{"wait", "", "wait until the job that does it has ended"},
};

_Static_assert(sizeof owns / sizeof *owns == OWN_COUNT, "a row for each option of its own");

/* ---- routes ---- */

const struct api_route *api_find_route(const char *method_and_path)
{
	size_t method = strcspn(method_and_path, " ");

	for (size_t i = 0; i < api_topic_count; i++) {
		for (size_t j = 0; j < api_topics[i]->count; j++) {
			const struct api_route *route = &api_topics[i]->routes[j];

			if (strlen(route->method) == method &&
				strncmp(route->method, method_and_path, method) == 0 &&
				method_and_path[method] == ' ' &&
				strcmp(route->path, method_and_path + method + 1) == 0)
				return route;
		}
	}
	return NULL;
}

bool api_is_change(const struct api_grammar *grammar)
{
	const struct api_route *route = grammar->route;

	return strcmp(route->method, "PUT") == 0 || strcmp(route->method, "PATCH") == 0 ||
		   strcmp(route->method, "DELETE") == 0 || grammar->verb->is_conditional;
}

static const struct api_field *find_field(const struct api_field *fields, const char *name)
{
	for (; fields && fields->name; fields++) {
		if (strcmp(fields->name, name) == 0)
			return fields;
	}
	return NULL;
}

bool api_route_has_job(const struct api_route *route)
{
	const struct api_field *fields = route->answer ? route->answer->fields : NULL;

	return strcmp(route->method, "POST") == 0 &&
		   (route->status == 202 || (route->status == 201 && find_field(fields, "job")));
}

const char *api_secret_of(const struct api_route *route)
{
	const struct api_field *field = route->answer ? route->answer->fields : NULL;

	for (; field && field->name; field++) {
		if (field->flags & API_SECRET)
			return field->name;
	}
	return NULL;
}

static bool is_in_path(const struct api_route *route, const char *name)
{
	size_t len = strlen(name);

	for (const char *at = strchr(route->path, '{'); at; at = strchr(at + 1, '{')) {
		if (strncmp(at + 1, name, len) == 0 && at[1 + len] == '}')
			return true;
	}
	return false;
}

/* ---- words ---- */

static bool place_word(const struct api_route *route, struct api_word *word)
{
	if (is_in_path(route, word->name)) {
		word->place = API_PLACE_PATH;
		word->field = find_field(route->params, word->name);
		return true;
	}
	word->place = API_PLACE_QUERY;
	word->field = find_field(route->query, word->name);
	if (word->field)
		return true;
	word->place = API_PLACE_BODY;
	word->field = find_field(route->body, word->name);
	return word->field != NULL;
}

static bool add_words(struct api_grammar *grammar, const char **why)
{
	const char *at = grammar->verb->words ? grammar->verb->words : "";

	for (at += strspn(at, " "); *at; at += strspn(at, " ")) {
		struct api_word *word = &grammar->words[grammar->word_count];
		size_t len = strcspn(at, " ");
		bool is_optional = *at == '[';

		if (grammar->word_count == API_WORDS_MAX) {
			*why = "it has too many words";
			return false;
		}
		snprintf(word->name, sizeof word->name, "%.*s", (int)len - 2 * is_optional,
				 at + is_optional);
		word->is_optional = is_optional;
		if (!place_word(grammar->route, word)) {
			*why = "the route has no field of a word's name";
			return false;
		}
		grammar->word_count++;
		at += len;
	}
	return true;
}

static bool is_word(const struct api_grammar *grammar, const char *name)
{
	for (size_t i = 0; i < grammar->word_count; i++) {
		if (strcmp(grammar->words[i].name, name) == 0)
			return true;
	}
	return false;
}

/* ---- options ---- */

static const char *metavar_of(const struct api_field *field)
{
	switch (field->type) {
	case API_TEXT:
		return "TEXT";
	case API_TENANT_WORD:
		return "TENANT";
	case API_UUID:
		return "UUID";
	case API_INTEGER:
	case API_NUMBER:
		return "N";
	case API_BOOLEAN:
		return "";
	case API_TIME:
		return "TIME";
	case API_JSON:
	case API_OBJECT:
	case API_MAP:
		return "JSON";
	case API_ARRAY:
		return "LIST";
	}
	return "";
}

/* The choices with bars between, or what the type says. */
static void write_metavar(char *out, size_t size, const struct api_field *field)
{
	size_t len = 0;

	snprintf(out, size, "%s", metavar_of(field));
	for (const char *const *choice = field->choices; choice && *choice; choice++) {
		int more = snprintf(out + len, size - len, "%s%s", len ? "|" : "", *choice);

		if (more < 0 || (size_t)more >= size - len) {
			snprintf(out, size, "%s", metavar_of(field));
			return;
		}
		len += (size_t)more;
	}
}

/* Underscores become dashes. */
static void write_name(char out[64], const char *prefix, const char *name, const char *suffix)
{
	snprintf(out, 64, "%s%s%s", prefix, name, suffix);
	for (; *out; out++) {
		if (*out == '_')
			*out = '-';
	}
}

static struct api_option *add_option(struct api_grammar *grammar, enum api_place place,
									 const struct api_field *field)
{
	/* One more than there is room for is found out when all are there. */
	size_t last = API_OPTIONS_MAX - 1;
	size_t nth = grammar->option_count < last ? grammar->option_count++ : last;
	struct api_option *option = &grammar->options[nth];

	if (nth == last)
		grammar->option_count = API_OPTIONS_MAX;
	*option =
		(struct api_option){.place = place, .field = field, .doc = field ? field->doc : ""};
	if (!option->doc)
		option->doc = "";
	return option;
}

static const struct api_alias *next_alias(const struct api_alias *alias, const char *field)
{
	for (; alias && alias->option; alias++) {
		if (strcmp(alias->field, field) == 0)
			return alias;
	}
	return NULL;
}

/* What stands for null or false. */
static void add_opposite(struct api_grammar *grammar, enum api_place place,
						 const struct api_field *field, const char *name, const char *constant)
{
	struct api_option *option = add_option(grammar, place, field);

	write_name(option->name, "no-", name, "");
	option->constant = constant;
	option->doc = field->type == API_BOOLEAN ? "the opposite" : "none";
}

static bool is_false_of_interest(const struct api_grammar *grammar,
								 const struct api_field *field)
{
	return strcmp(grammar->route->method, "PATCH") == 0 ||
		   (field->preset && strcmp(field->preset, "true") == 0);
}

static void add_file(struct api_grammar *grammar, enum api_place place,
					 const struct api_field *field, const char *name)
{
	struct api_option *option = add_option(grammar, place, field);

	write_name(option->name, "", name, "-file");
	snprintf(option->metavar, sizeof option->metavar, "FILE");
	option->is_file = true;
	if (!(field->flags & API_SECRET))
		option->doc = "the file that holds it, - for standard input";
}

static void add_value(struct api_grammar *grammar, enum api_place place,
					  const struct api_field *field, const char *name)
{
	struct api_option *option = add_option(grammar, place, field);

	write_name(option->name, "", name, "");
	if (field->type == API_BOOLEAN)
		option->constant = "true";
	else
		write_metavar(option->metavar, sizeof option->metavar, field);
}

/* Aliases with constants; true when one of them is null. */
static bool add_constants(struct api_grammar *grammar, enum api_place place,
						  const struct api_field *field)
{
	const struct api_alias *alias = next_alias(grammar->verb->aliases, field->name);
	bool has_null = false;

	for (; alias; alias = next_alias(alias + 1, field->name)) {
		if (!alias->constant)
			continue;
		struct api_option *option = add_option(grammar, place, field);
		write_name(option->name, "", alias->option, "");
		option->constant = alias->constant;
		has_null = has_null || strcmp(alias->constant, "null") == 0;
	}
	return has_null;
}

static void add_field(struct api_grammar *grammar, enum api_place place,
					  const struct api_field *field)
{
	const struct api_alias *alias = next_alias(grammar->verb->aliases, field->name);
	size_t first = grammar->option_count;
	const char *name = field->name;
	bool is_wordy = is_word(grammar, field->name);

	while (alias && alias->constant)
		alias = next_alias(alias + 1, field->name);
	if (alias)
		name = alias->option;
	if (field->flags & API_SECRET)
		add_file(grammar, place, field, name);
	else if (!is_wordy)
		add_value(grammar, place, field, name);
	if ((field->type == API_JSON || field->flags & API_LINES) && !(field->flags & API_SECRET))
		add_file(grammar, place, field, name);
	bool has_null = add_constants(grammar, place, field);
	if (field->type == API_BOOLEAN && is_false_of_interest(grammar, field))
		add_opposite(grammar, place, field, name, "false");
	else if (field->type != API_BOOLEAN && field->flags & API_NULLABLE && !has_null &&
			 !is_wordy)
		add_opposite(grammar, place, field, name, "null");
	if (field->flags & API_REQUIRED && !field->preset && !is_wordy &&
		grammar->option_count == first + 1)
		grammar->options[first].is_required = true;
}

void api_grammar_add_own(struct api_grammar *grammar, enum api_own own)
{
	struct api_option *option = add_option(grammar, API_PLACE_OWN, NULL);

	snprintf(option->name, sizeof option->name, "%s", owns[own].name);
	snprintf(option->metavar, sizeof option->metavar, "%s", owns[own].metavar);
	option->doc = owns[own].doc;
	option->own = own;
}

void api_grammar_add_common(struct api_grammar *grammar)
{
	for (enum api_own own = OWN_API; own <= OWN_HELP; own++)
		api_grammar_add_own(grammar, own);
}

static void add_own_of_route(struct api_grammar *grammar)
{
	const struct api_route *route = grammar->route;

	if (api_is_change(grammar))
		api_grammar_add_own(grammar, OWN_IF_MATCH);
	if (strcmp(route->method, "POST") == 0)
		api_grammar_add_own(grammar, OWN_IDEMPOTENCY_KEY);
	if (route->flags & API_DRY_RUN)
		api_grammar_add_own(grammar, OWN_DRY_RUN);
	if (api_route_has_job(route))
		api_grammar_add_own(grammar, OWN_WAIT);
	if (route->flags & API_PAGED) {
		api_grammar_add_own(grammar, OWN_LIMIT);
		api_grammar_add_own(grammar, OWN_CURSOR);
	}
	if (route->body)
		api_grammar_add_own(grammar, OWN_DATA);
	if (api_secret_of(route))
		api_grammar_add_own(grammar, OWN_OUT);
}

static bool has_twice(const struct api_grammar *grammar)
{
	for (size_t i = 0; i < grammar->option_count; i++) {
		for (size_t j = 0; j < i; j++) {
			if (strcmp(grammar->options[i].name, grammar->options[j].name) == 0)
				return true;
		}
	}
	return false;
}

bool api_grammar_make(struct api_grammar *grammar, const struct api_verb *verb,
					  const char **why)
{
	const struct api_route *route = api_find_route(verb->route);

	*why = "there is no such route";
	return route && api_grammar_make_for(grammar, verb, route, why);
}

bool api_grammar_make_for(struct api_grammar *grammar, const struct api_verb *verb,
						  const struct api_route *route, const char **why)
{
	*grammar = (struct api_grammar){.verb = verb, .route = route};
	if (!add_words(grammar, why))
		return false;
	for (const struct api_field *field = grammar->route->query; field && field->name; field++)
		add_field(grammar, API_PLACE_QUERY, field);
	for (const struct api_field *field = grammar->route->body; field && field->name; field++) {
		if (!verb->fixed || strcmp(verb->fixed, field->name) != 0)
			add_field(grammar, API_PLACE_BODY, field);
	}
	add_own_of_route(grammar);
	api_grammar_add_common(grammar);
	*why = grammar->option_count == API_OPTIONS_MAX ? "it has too many options"
		   : has_twice(grammar)                     ? "two options have one name"
													: NULL;
	return !*why;
}
