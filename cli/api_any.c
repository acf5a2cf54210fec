/* bulkhead api: any request, for what no noun has. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/secret.h"
#include "cli/api_client.h"
#include "cli/api_compose.h"
#include "cli/api_help.h"
#include "cli/api_options.h"
#include "cli/api_show.h"
#include "cli/api_where.h"
#include "cli/cli.h"
#include "cli/print.h"

static const struct api_field words[] = {
	{"method", API_TEXT, .doc = "GET, POST, PUT, PATCH or DELETE"},
	{"path", API_TEXT,
	 .doc =
		 "/v1/... with its query, percent-encoded; what does not begin with / is below /v1/"},
	{0}};

static const struct api_route route = {
	.method = "",
	.path = "",
	.summary = "Makes any request of the admin API, and prints what it answers.",
	.doc = "The document at /v1/openapi.json says what there is.",
};

static const struct api_verb verb = {.name = ""};

bool api_grammar_of_any(struct api_grammar *grammar, const char **why)
{
	*why = NULL;
	*grammar = (struct api_grammar){.verb = &verb, .route = &route, .word_count = 2};
	for (size_t i = 0; i < grammar->word_count; i++) {
		grammar->words[i].field = &words[i];
		snprintf(grammar->words[i].name, sizeof grammar->words[i].name, "%s", words[i].name);
	}
	api_grammar_add_own(grammar, OWN_DATA);
	api_grammar_add_own(grammar, OWN_IF_MATCH);
	api_grammar_add_own(grammar, OWN_IDEMPOTENCY_KEY);
	api_grammar_add_own(grammar, OWN_ACCEPT);
	api_grammar_add_common(grammar);
	return true;
}

static bool is_method(const char *word)
{
	static const char *const methods[] = {"GET", "POST", "PUT", "PATCH", "DELETE"};

	for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
		if (strcmp(word, methods[i]) == 0)
			return true;
	}
	print_complaint("the method is GET, POST, PUT, PATCH or DELETE");
	return false;
}

static bool is_path(const char *word)
{
	for (const char *at = word; *at; at++) {
		if (*at <= ' ' || *at > '~' || *at == '#') {
			print_complaint("the path is to be percent-encoded");
			return false;
		}
	}
	return true;
}

static bool write_out(void *context, const char *bytes, size_t len)
{
	(void)context;
	return fwrite(bytes, 1, len, stdout) == len;
}

static enum cli_exit show(struct api_reply *reply)
{
	if (!api_reply_succeeded(reply)) {
		api_reply_complain(reply);
		return CLI_FAILED;
	}
	if (reply->json)
		return api_show(reply->json, NULL, true) ? CLI_DONE : CLI_FAILED;
	if (buf_len(&reply->body))
		write_out(NULL, (char *)buf_data(&reply->body), buf_len(&reply->body));
	return CLI_DONE;
}

static enum cli_exit make(struct api_client *client, const struct api_given *given,
						  const char *path, const char *body)
{
	const char *method = given->words[0], *key = given->own[OWN_IDEMPOTENCY_KEY];
	char drawn[API_IDEMPOTENCY_KEY_SIZE];
	struct api_reply reply;
	enum cli_exit result = CLI_FAILED;

	api_draw_idempotency_key(drawn);
	struct api_request request = {.method = method,
								  .path = path,
								  .body = body,
								  .accept = given->own[OWN_ACCEPT],
								  .take = given->own[OWN_ACCEPT] ? write_out : NULL,
								  .if_match = given->own[OWN_IF_MATCH],
								  .idempotency_key = strcmp(method, "POST") != 0 ? NULL
													 : key                       ? key
																				 : drawn};
	if (api_client_send(client, &request, &reply))
		result = show(&reply);
	api_reply_fini(&reply);
	return result;
}

/* The body as text, "" for none; NULL with the reason printed. */
static char *read_body(const struct api_given *given)
{
	const char *data = given->own[OWN_DATA];
	json_t *value = data ? api_json_of_word("--data", data) : NULL;
	char *text = NULL;

	if (!data)
		return strdup("");
	if (value)
		text = api_body_text(value);
	api_wipe_json(value);
	json_decref(value);
	return text;
}

static enum cli_exit run(const struct api_given *given)
{
	const char *word = given->words[1];
	enum cli_exit result = CLI_FAILED;
	char *path = NULL, *body;

	if (!is_method(given->words[0]) || !is_path(word))
		return CLI_USAGE;
	body = read_body(given);
	if (asprintf(&path, "%s%s", *word == '/' ? "" : "/v1/", word) < 0)
		path = NULL;
	struct api_client *client = body && path ? api_where_open(given, &result) : NULL;
	if (client)
		result = make(client, given, path, *body ? body : NULL);
	api_client_destroy(client);
	secret_free(body);
	free(path);
	return result;
}

int cmd_api(int argc, char **argv)
{
	struct api_grammar *grammar = malloc(sizeof *grammar);
	struct api_given given;
	enum cli_exit result = CLI_DONE;
	const char *why;

	if (!grammar || !api_grammar_of_any(grammar, &why))
		result = CLI_FAILED;
	else if (!api_given_read(&given, grammar, argc, argv))
		result = CLI_USAGE;
	else if (given.own[OWN_HELP])
		api_help_command(stdout, "api", grammar);
	else
		result = run(&given);
	if (result == CLI_USAGE)
		fputs("See bulkhead api --help\n", stderr);
	free(grammar);
	return (int)result;
}
