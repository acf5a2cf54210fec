#include "cli/api_where.h"

#include <stdlib.h>
#include <string.h>

#include "base/secret.h"
#include "cli/api_help.h"
#include "cli/input.h"
#include "cli/print.h"

#define KEY_MAX           4096 /* bytes of a key file */
#define TIMEOUT_DEFAULT_S 60
#define TIMEOUT_MAX_S     86400

static const char *from_environment(const char *name)
{
	const char *value = getenv(name);

	return value && *value ? value : NULL;
}

static const char *given_or(const char *given, const char *variable)
{
	return given ? given : from_environment(variable);
}

/* ---- the client ---- */

/* The key, from malloc; NULL where there is none, or with the reason printed and *result. */
static char *read_key(const struct api_given *given, enum cli_exit *result)
{
	const char *file = given_or(given->own[OWN_API_KEY_FILE], "BULKHEAD_API_KEY_FILE");
	const char *key = from_environment("BULKHEAD_API_KEY"), *why = "out of memory";
	char *read;

	if (!file && !key)
		return NULL;
	read = file ? input_secret(file, KEY_MAX, &why) : strdup(key);
	if (read && *read)
		return read;
	print_complaint("%s: %s", file ? input_name(file) : "BULKHEAD_API_KEY",
					read ? "it is empty" : why);
	secret_free(read);
	*result = CLI_FAILED;
	return NULL;
}

static bool read_timeout(const char *word, long *out)
{
	char *end = NULL;

	*out = word ? strtol(word, &end, 10) : TIMEOUT_DEFAULT_S;
	if (!word || (*word && !*end && *out >= 1 && *out <= TIMEOUT_MAX_S))
		return true;
	print_complaint("--timeout: it is 1 to %d seconds", TIMEOUT_MAX_S);
	return false;
}

struct api_client *api_where_open(const struct api_given *given, enum cli_exit *result)
{
	const char *url = given_or(given->own[OWN_API], "BULKHEAD_API");
	struct api_target target = {
		.url = url ? url : API_DEFAULT_URL,
		.ca_file = given_or(given->own[OWN_CA_FILE], "BULKHEAD_API_CA_FILE"),
		.cert_file = given_or(given->own[OWN_CERT_FILE], "BULKHEAD_API_CERT_FILE"),
		.cert_key_file = given_or(given->own[OWN_CERT_KEY_FILE], "BULKHEAD_API_CERT_KEY_FILE"),
		.allow_http = given->own[OWN_ALLOW_HTTP] != NULL};
	struct api_client *client = NULL;
	char *key;

	*result = CLI_USAGE;
	if (!read_timeout(given->own[OWN_TIMEOUT], &target.timeout))
		return NULL;
	*result = CLI_DONE;
	key = read_key(given, result);
	target.key = key;
	if (*result == CLI_DONE)
		client = api_client_create(&target);
	if (!client)
		*result = CLI_FAILED;
	secret_free(key);
	return client;
}

/* ---- which of the two ---- */

/* As getopt_long takes it: with its value behind =, or cut short where no other begins so. */
static bool is_option(const char *word, const char *name, size_t shortest)
{
	size_t len = strcspn(word, "=");

	return len >= shortest && len <= strlen(name) && strncmp(word, name, len) == 0;
}

static bool has_option(int argc, char **argv, const char *name, size_t shortest)
{
	for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
		if (is_option(argv[i], name, shortest))
			return true;
	}
	return false;
}

static bool has_help(int argc, char **argv)
{
	for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
		if (strcmp(argv[i], "-h") == 0 || strcmp(argv[i], "--help") == 0)
			return true;
	}
	return false;
}

static bool has_direct_verb(const struct noun *noun, const char *name)
{
	for (size_t i = 0; noun && i < noun->verb_count; i++) {
		if (strcmp(noun->verbs[i].name, name) == 0)
			return true;
	}
	return false;
}

/* The first word that is a verb; the first word where none is, for options may stand before it
 * with their values. 0 where there is no word. */
static int find_verb_place(const struct noun *direct, const struct api_noun *api, int argc,
						   char **argv)
{
	int first = 0;

	for (int i = 1; i < argc; i++) {
		if (argv[i][0] == '-')
			continue;
		if (has_direct_verb(direct, argv[i]) || (api && api_find_verb(api, argv[i])))
			return i;
		first = first ? first : i;
	}
	return first;
}

enum side { SIDE_NONE, SIDE_DATABASE, SIDE_API };

/* What the command line and the environment ask for. */
struct wish {
	bool dsn, api;                   /* on the command line */
	bool dsn_variable, api_variable; /* in the environment */
	bool key;
	bool in_database, in_api; /* there is such a verb */
};

static enum side choose(const struct wish *wish)
{
	if (wish->dsn)
		return SIDE_DATABASE;
	if (wish->api)
		return SIDE_API;
	if (wish->api_variable && (wish->in_api || !wish->dsn_variable))
		return SIDE_API;
	if (wish->dsn_variable && (wish->in_database || !wish->key))
		return SIDE_DATABASE;
	return wish->key ? SIDE_API : SIDE_NONE;
}

static enum cli_exit complain(const char *noun, const char *verb, const struct wish *wish)
{
	if (wish->dsn && wish->api)
		print_complaint("--control-dsn and --api are one too many");
	else if (!wish->in_database && !wish->in_api && verb)
		print_complaint("%s has no verb \"%s\"", noun, verb);
	else if (!verb)
		print_complaint("%s wants a verb", noun);
	else if (!wish->in_api)
		print_complaint("%s %s: name the control database with --control-dsn or CONTROL_DSN",
						noun, verb);
	else if (!wish->in_database)
		print_complaint("%s %s: name the API with --api or BULKHEAD_API, and its key with "
						"--api-key-file or BULKHEAD_API_KEY",
						noun, verb);
	else
		print_complaint("%s %s: name the API with --api or BULKHEAD_API, or the control "
						"database with --control-dsn or CONTROL_DSN",
						noun, verb);
	return CLI_USAGE;
}

static struct wish read_wish(const struct noun *direct, const struct api_noun *api,
							 const char *verb, int argc, char **argv)
{
	return (struct wish){
		.dsn = has_option(argc, argv, "--control-dsn", strlen("--cont")),
		.api = has_option(argc, argv, "--api", strlen("--api")),
		.dsn_variable = from_environment("CONTROL_DSN"),
		.api_variable = from_environment("BULKHEAD_API"),
		.key = has_option(argc, argv, "--api-key-file", strlen("--api-key-file")) ||
			   from_environment("BULKHEAD_API_KEY_FILE") ||
			   from_environment("BULKHEAD_API_KEY"),
		.in_database = verb && has_direct_verb(direct, verb),
		.in_api = verb && api && api_find_verb(api, verb),
	};
}

/* Of one verb where it is named and the API has it, else of the noun. */
static enum cli_exit help(const struct noun *direct, const struct api_noun *api,
						  const char *word)
{
	const struct api_verb *verb = word && api ? api_find_verb(api, word) : NULL;

	if (verb)
		return api_help_verb(stdout, api, verb) ? CLI_DONE : CLI_FAILED;
	api_where_help(stdout, direct, api);
	return CLI_DONE;
}

void api_where_help(FILE *out, const struct noun *direct, const struct api_noun *api)
{
	if (api)
		api_help_noun(out, api);
	if (api && direct)
		fputs("\nOn the control database, without the API (--control-dsn or CONTROL_DSN):\n\n",
			  out);
	if (direct)
		fputs(direct->usage, out);
}

enum cli_exit api_where_run(const struct noun *direct, const struct api_noun *api, int argc,
							char **argv)
{
	const char *name = api ? api->name : direct->name;
	int at = find_verb_place(direct, api, argc, argv);
	const char *verb = at ? argv[at] : NULL;
	struct wish wish = read_wish(direct, api, verb, argc, argv);
	enum cli_exit result;

	if (has_help(argc, argv))
		return help(direct, api, verb);

	enum side side = wish.dsn && wish.api ? SIDE_NONE : choose(&wish);
	if (side == SIDE_DATABASE && direct && (wish.in_database || !wish.in_api))
		return direct->run ? (enum cli_exit)direct->run(argc, argv)
						   : verbs_run(direct, argc, argv);
	result = side == SIDE_API && wish.in_api ? api_verbs_run(api, at, argc, argv)
											 : complain(name, verb, &wish);
	if (result == CLI_USAGE)
		print_line(stderr, "See bulkhead %s%s%s --help", name, wish.in_api ? " " : "",
				   wish.in_api ? verb : "");
	return result;
}
