/* The verbs of the admin API on the command line: each has a route, each route has a verb, and
 * what words and options come to is what the route's fields say. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "cli/api_compose.h"
#include "cli/api_options.h"

/* What `bulkhead api` and commands of their own are for. */
static const char *const others[] = {"GET /v1/events", "GET /v1/version",
									 "GET /v1/openapi.json"};

static bool is_other(const struct api_route *route)
{
	for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
		if (api_find_route(others[i]) == route)
			return true;
	}
	return false;
}

static bool has_verb(const struct api_route *route)
{
	for (size_t i = 0; i < api_noun_count; i++) {
		for (size_t j = 0; j < api_nouns[i]->count; j++) {
			if (api_find_route(api_nouns[i]->verbs[j].route) == route)
				return true;
		}
	}
	return false;
}

Test(api_verbs, each_has_a_route)
{
	struct api_grammar *grammar = malloc(sizeof *grammar);

	for (size_t i = 0; i < api_noun_count; i++) {
		for (size_t j = 0; j < api_nouns[i]->count; j++) {
			const struct api_verb *verb = &api_nouns[i]->verbs[j];
			const char *why = NULL;

			cr_expect(api_grammar_make(grammar, verb, &why), "%s %s: %s", api_nouns[i]->name,
					  verb->name, why);
		}
	}
	free(grammar);
}

Test(api_verbs, each_route_has_one)
{
	for (size_t i = 0; i < api_topic_count; i++) {
		for (size_t j = 0; j < api_topics[i]->count; j++) {
			const struct api_route *route = &api_topics[i]->routes[j];

			cr_expect(is_other(route) || has_verb(route), "%s %s", route->method, route->path);
		}
	}
}

/* Words of the aliases and of `list` and `fixed` that no field has would be without effect. */
Test(api_verbs, each_alias_has_its_field)
{
	struct api_grammar *grammar = malloc(sizeof *grammar);

	for (size_t i = 0; i < api_noun_count; i++) {
		for (size_t j = 0; j < api_nouns[i]->count; j++) {
			const struct api_verb *verb = &api_nouns[i]->verbs[j];
			const struct api_alias *alias = verb->aliases;
			const char *why = NULL;

			if (!api_grammar_make(grammar, verb, &why))
				continue;
			/* A list of aliases is for several verbs; some of them must be of use. */
			bool is_of_use = !alias || !alias->option;
			for (; alias && alias->option; alias++) {
				for (size_t k = 0; k < grammar->option_count; k++)
					is_of_use =
						is_of_use || strcmp(grammar->options[k].name, alias->option) == 0;
			}
			cr_expect(is_of_use, "%s %s: its aliases", api_nouns[i]->name, verb->name);
		}
	}
	free(grammar);
}

/* ---- requests ---- */

static const char *const strategies[] = {"SHARED_RLS", "SCHEMA_PER_TENANT", NULL};
static const struct api_field text[] = {{.name = "", .type = API_TEXT}, {.name = NULL}};
static const struct api_field number[] = {{.name = "", .type = API_INTEGER}, {.name = NULL}};
static const struct api_field query[] = {{.name = "a_filter", .type = API_TEXT},
										 {.name = "depth", .type = API_INTEGER},
										 {.name = NULL}};
static const struct api_field body[] = {
	{.name = "slug", .type = API_TEXT, .flags = API_REQUIRED},
	{.name = "external_key", .type = API_TEXT, .flags = API_NULLABLE},
	{.name = "strategy", .type = API_TEXT, .choices = strategies},
	{.name = "pool_weight", .type = API_INTEGER},
	{.name = "subtree", .type = API_BOOLEAN},
	{.name = "value", .type = API_JSON},
	{.name = "names", .type = API_ARRAY, .fields = text},
	{.name = "numbers", .type = API_ARRAY, .fields = number},
	{.name = NULL}};

static const struct api_route route = {.method = "POST",
									   .path = "/v1/things/{tenant}/of/{key}:make",
									   .query = query,
									   .body = body};

static const struct api_alias aliases[] = {
	{"key", "external_key", NULL}, {"heavy", "pool_weight", "100"}, {0}};
static const struct api_verb verb = {
	.name = "make", .words = "tenant key slug", .aliases = aliases};

/* As api_grammar_make does, with a route that is in no table. */
static void make(struct api_grammar *grammar)
{
	const char *why;

	cr_assert(api_grammar_make_for(grammar, &verb, &route, &why), "%s", why);
}

static enum cli_exit compose(struct api_composed *out, int argc, char **argv)
{
	struct api_grammar *grammar = malloc(sizeof *grammar);
	struct api_given given;
	enum cli_exit result = CLI_USAGE;

	*out = (struct api_composed){.path = NULL};
	make(grammar);
	if (api_given_read(&given, grammar, argc, argv))
		result = api_compose(out, grammar, &given);
	free(grammar);
	return result;
}

#define COMPOSE(out, ...)                                                                      \
	compose(out, (int)(sizeof((char *[]){"make", __VA_ARGS__}) / sizeof(char *)),              \
			(char *[]){"make", __VA_ARGS__})

static void expect(struct api_composed *composed, const char *path, const char *queried,
				   const char *json)
{
	char *text_of_body = json_dumps(composed->body, JSON_COMPACT);

	cr_expect_str_eq(composed->path, path);
	cr_expect_str_eq(composed->query, queried);
	cr_expect_str_eq(text_of_body, json);
	free(text_of_body);
	api_composed_fini(composed);
}

Test(api_verbs, words_and_options_become_fields)
{
	struct api_composed composed;

	cr_assert_eq(COMPOSE(&composed, "a/b", "../x y", "acme", "--key", "1\"2", "--strategy",
						 "shared", "--a-filter=ä", "--depth", "3"),
				 CLI_DONE);
	expect(&composed, "/v1/things/a%2Fb/of/..%2Fx%20y:make", "a_filter=%C3%A4&depth=3",
		   "{\"slug\":\"acme\",\"external_key\":\"1\\\"2\",\"strategy\":\"SHARED_RLS\"}");
	cr_assert_eq(COMPOSE(&composed, "t", "--no-key", "k", "--subtree", "--", "--slug"),
				 CLI_DONE);
	expect(&composed, "/v1/things/t/of/k:make", "",
		   "{\"slug\":\"--slug\",\"external_key\":null,\"subtree\":true}");
	cr_assert_eq(COMPOSE(&composed, "t", "k", "s", "--heavy", "--names", "a,b", "--numbers",
						 "1,2", "--value", "-5"),
				 CLI_DONE);
	expect(&composed, "/v1/things/t/of/k:make", "",
		   "{\"slug\":\"s\",\"pool_weight\":100,\"value\":-5,\"names\":[\"a\",\"b\"],"
		   "\"numbers\":[1,2]}");
}

Test(api_verbs, values_are_json_or_texts)
{
	static const char *const pairs[][2] = {{"true", "true"},
										   {"a word", "\"a word\""},
										   {"[1, {\"a\": null}]", "[1,{\"a\":null}]"},
										   {"\"x\"", "\"x\""},
										   {"", "\"\""}};

	for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
		struct api_composed composed;
		char json[128];

		cr_assert_eq(COMPOSE(&composed, "t", "k", "s", "--value", (char *)pairs[i][0]),
					 CLI_DONE);
		snprintf(json, sizeof json, "{\"slug\":\"s\",\"value\":%s}", pairs[i][1]);
		expect(&composed, "/v1/things/t/of/k:make", "", json);
	}
}

Test(api_verbs, options_go_over_data)
{
	struct api_composed composed;

	cr_assert_eq(COMPOSE(&composed, "t", "k", "s", "--data", "{\"slug\":\"x\",\"other\":1}"),
				 CLI_DONE);
	expect(&composed, "/v1/things/t/of/k:make", "", "{\"slug\":\"s\",\"other\":1}");
}

Test(api_verbs, what_does_not_fit_is_wrong_usage)
{
	struct api_composed composed;

#define REFUSED(...)                                                                           \
	do {                                                                                       \
		cr_expect_eq(COMPOSE(&composed, __VA_ARGS__), CLI_USAGE);                              \
		api_composed_fini(&composed);                                                          \
	} while (0)
	REFUSED("t", "k");
	REFUSED("t", "k", "s", "more");
	REFUSED("t", "", "s");
	REFUSED("t", "k", "s", "--nosuch");
	REFUSED("t", "k", "s", "--key");
	REFUSED("t", "k", "s", "--subtree=yes");
	REFUSED("t", "k", "s", "--key", "1", "--no-key");
	REFUSED("t", "k", "s", "--key", "1", "--key", "2");
	REFUSED("t", "k", "s", "--strategy", "s");
	REFUSED("t", "k", "s", "--strategy", "");
	REFUSED("t", "k", "s", "--depth", "many");
	REFUSED("t", "k", "s", "--depth", "1.5");
	REFUSED("t", "k", "s", "--numbers", "1,x");
	REFUSED("t", "k", "s", "--data", "[]");
	REFUSED("t", "k", "s", "--key", "\xff");
	REFUSED("t", "k", "s", "-x");
}
