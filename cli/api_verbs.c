#include "cli/api_verbs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/secret.h"
#include "cli/api_nouns.h"
#include "cli/api_run.h"
#include "cli/api_show.h"
#include "cli/api_where.h"
#include "cli/print.h"

#define LIMIT_DEFAULT 1000
#define PAGE_MAX      200 /* of the API */

/* How often a change is made upon what was read just before, when others change it too. */
#define ATTEMPTS 8

const struct api_noun *api_find_noun(const char *name)
{
	for (size_t i = 0; i < api_noun_count; i++) {
		if (strcmp(api_nouns[i]->name, name) == 0)
			return api_nouns[i];
	}
	return NULL;
}

const struct api_verb *api_find_verb(const struct api_noun *noun, const char *name)
{
	for (size_t i = 0; i < noun->count; i++) {
		if (strcmp(noun->verbs[i].name, name) == 0)
			return &noun->verbs[i];
	}
	return NULL;
}

/* ---- requests ---- */

char *api_run_path(const struct api_run *run, const char *more)
{
	const char *query = run->composed.query;
	char *path = NULL;

	more = more ? more : "";
	if (asprintf(&path, "%s%s%s%s%s", run->composed.path, *query || *more ? "?" : "", query,
				 *query && *more ? "&" : "", more) >= 0)
		return path;
	print_complaint("out of memory");
	return NULL;
}

/* Prints what is wrong with it, if anything is. */
static bool has_succeeded(const struct api_reply *reply)
{
	if (!api_reply_succeeded(reply)) {
		api_reply_complain(reply);
		return false;
	}
	if (reply->json || buf_len(&reply->body) == 0)
		return true;
	print_complaint("the answer is no JSON: is this the address of the API?");
	return false;
}

/* Whatever comes of it. */
static bool exchange(struct api_run *run, const char *if_match, struct api_reply *reply)
{
	const char *method = run->grammar->route->method;
	char drawn[API_IDEMPOTENCY_KEY_SIZE];
	const char *key = run->given->own[OWN_IDEMPOTENCY_KEY];
	char *body = run->composed.body ? api_body_text(run->composed.body) : NULL;
	char *path = api_run_path(run, NULL);
	bool sent = false;

	*reply = (struct api_reply){.status = 0};
	api_draw_idempotency_key(drawn);
	if (path && (body || !run->composed.body)) {
		struct api_request request = {.method = method,
									  .path = path,
									  .body = body,
									  .if_match = if_match,
									  .idempotency_key = strcmp(method, "POST") != 0 ? NULL
														 : key                       ? key
																					 : drawn};

		sent = api_client_send(run->client, &request, reply);
	}
	secret_free(body);
	free(path);
	return sent;
}

bool api_run_send(struct api_run *run, const char *if_match, struct api_reply *reply)
{
	return exchange(run, if_match, reply) && has_succeeded(reply);
}

bool api_run_get(struct api_run *run, const char *path, struct api_reply *reply)
{
	return api_client_send(run->client, &(struct api_request){.method = "GET", .path = path},
						   reply) &&
		   has_succeeded(reply);
}

/* ---- changes of what has an ETag ---- */

/* Where what is changed is to be read: without what a POST does with it. */
static int resource_length(const char *path)
{
	const char *colon = strrchr(path, ':');

	return (int)(colon && !strchr(colon, '/') ? (size_t)(colon - path) : strlen(path));
}

static bool is_readable(const struct api_route *route)
{
	char *name = NULL;
	bool is = asprintf(&name, "GET %.*s", resource_length(route->path), route->path) >= 0 &&
			  api_find_route(name);

	free(name);
	return is;
}

/* The ETag of what is to be changed, from malloc; NULL in *etag where it has none, as what is
 * not there yet. What cannot be read is changed whatever it is. */
static bool read_etag(struct api_run *run, char **etag)
{
	const struct api_route *route = run->grammar->route;
	const char *full = run->composed.path;
	char *path = NULL;
	struct api_reply reply;
	bool known;

	*etag = NULL;
	if (!is_readable(route))
		return !(route->flags & API_IF_MATCH) || (*etag = strdup("*"));
	if (asprintf(&path, "%.*s", resource_length(full), full) < 0)
		return false;
	struct api_request request = {.method = "GET", .path = path};
	known = api_client_send(run->client, &request, &reply);
	if (known && reply.status == 404 && strcmp(route->method, "PUT") == 0)
		*etag = NULL;
	else if (known && has_succeeded(&reply))
		*etag = reply.etag ? strdup(reply.etag) : NULL;
	else
		known = false;
	api_reply_fini(&reply);
	free(path);
	return known;
}

/* "3" and 3 are the same ETag. */
static char *quote(const char *etag)
{
	char *quoted = NULL;

	if (*etag == '"' || strcmp(etag, "*") == 0)
		return strdup(etag);
	return asprintf(&quoted, "\"%s\"", etag) >= 0 ? quoted : NULL;
}

static bool change(struct api_run *run, struct api_reply *reply)
{
	const char *given = run->given->own[OWN_IF_MATCH];
	char *etag = given ? quote(given) : NULL;
	bool done = false;

	*reply = (struct api_reply){.status = 0};
	for (int attempts = 1;; attempts++) {
		if (!given && !read_etag(run, &etag))
			return false;
		done = exchange(run, etag, reply);
		free(etag);
		if (given || !done || reply->status != 412 || attempts == ATTEMPTS)
			break;
		api_reply_fini(reply);
	}
	return done && has_succeeded(reply);
}

/* ---- lists ---- */

static bool read_limit(const struct api_given *given, size_t *out)
{
	const char *word = given->own[OWN_LIMIT];
	char *end = NULL;
	unsigned long long limit = word ? strtoull(word, &end, 10) : LIMIT_DEFAULT;

	*out = (size_t)limit;
	if (!word || (*word >= '0' && *word <= '9' && !*end && limit >= 1 && limit <= 1000000))
		return true;
	print_complaint("--limit: it is 1 to 1000000");
	return false;
}

/* The page behind `cursor`; NULL: the first. */
static bool get_page(struct api_run *run, const char *cursor, size_t wanted,
					 struct api_reply *reply)
{
	char *encoded = cursor ? api_percent(cursor) : NULL, *more = NULL, *path = NULL;
	bool got = false;

	*reply = (struct api_reply){.status = 0};
	if ((!cursor || encoded) &&
		asprintf(&more, "limit=%zu%s%s", wanted < PAGE_MAX ? wanted : PAGE_MAX,
				 cursor ? "&cursor=" : "", cursor ? encoded : "") >= 0)
		path = api_run_path(run, more);
	else
		print_complaint("out of memory");
	got = path && api_run_get(run, path, reply);
	free(encoded);
	free(more);
	free(path);
	return got;
}

/* Puts the items of pages together; `answer` is the first page. */
static bool follow(struct api_run *run, json_t *answer, size_t limit)
{
	json_t *items = json_object_get(answer, "items");
	const char *next = json_string_value(json_object_get(answer, "next"));

	while (json_is_array(items) && next && json_array_size(items) < limit) {
		struct api_reply reply;
		bool got = get_page(run, next, limit - json_array_size(items), &reply);
		json_t *more = json_object_get(reply.json, "items");
		bool is_page = json_is_array(more);

		got = got && is_page && json_array_extend(items, more) == 0 &&
			  json_object_set(answer, "next", json_object_get(reply.json, "next")) == 0;
		api_reply_fini(&reply);
		if (!got)
			return false;
		next = json_string_value(json_object_get(answer, "next"));
	}
	return true;
}

static enum cli_exit list(struct api_run *run, struct api_reply *reply)
{
	size_t limit;

	*reply = (struct api_reply){.status = 0};
	if (!read_limit(run->given, &limit))
		return CLI_USAGE;
	return get_page(run, NULL, limit, reply) && follow(run, reply->json, limit) ? CLI_DONE
																				: CLI_FAILED;
}

/* ---- answers ---- */

/* The members of a list's items, so that an empty one has its columns too; "" for another. */
static void write_columns(char *out, size_t size, const struct api_route *route)
{
	const struct api_field *field = route->answer ? route->answer->fields : NULL;
	size_t len = 0;

	*out = '\0';
	for (; route->flags & API_PAGED && field && field->name && len < size; field++) {
		if (field->type != API_OBJECT && field->type != API_MAP)
			len += (size_t)snprintf(out + len, size - len, "%s ", field->name);
	}
}

/* Takes the secret out of the answer, into the file that --out names. */
static bool take_secret(struct api_run *run, json_t *answer)
{
	const char *file = run->given->own[OWN_OUT], *why = "out of memory";
	const char *name = api_secret_of(run->grammar->route);
	json_t *secret = name ? json_object_get(answer, name) : NULL;
	char *line = NULL;
	bool written;

	if (!file || !json_is_string(secret))
		return true;
	written = asprintf(&line, "%s\n", json_string_value(secret)) >= 0 &&
			  secret_write_file(file, line, strlen(line), &why);
	if (!written)
		print_complaint("%s: %s; what it was to hold is lost: make another", file, why);
	secret_free(line);
	api_wipe_json(secret);
	json_object_del(answer, name);
	return written;
}

/* It is there before the secret is, which is shown only once. What is there already is not
 * written over: it may be the only copy of another. */
static bool create_out(const struct api_given *given)
{
	const char *file = given->own[OWN_OUT];
	int fd = file ? open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600) : -1;

	if (file && fd < 0)
		print_complaint("%s: %s", file, strerror(errno));
	if (fd >= 0)
		close(fd);
	return !file || fd >= 0;
}

/* What people read of it. */
static bool show_people(struct api_run *run, const json_t *answer)
{
	const struct api_verb *verb = run->grammar->verb;
	const json_t *part = verb->part ? json_object_get(answer, verb->part) : NULL;
	const char *columns = verb->columns;
	bool dry = run->given->own[OWN_DRY_RUN];
	char own[1024];

	write_columns(own, sizeof own, run->grammar->route);
	if (!columns && *own)
		columns = own;
	/* What a change would do takes other forms than what it does. */
	if (dry && !part && !json_object_get(answer, "items"))
		columns = NULL;
	if (part && json_array_size(json_object_get(part, "items")) == 0)
		puts("nothing was changed: it is so already");
	else if (!api_show(part ? part : answer, part ? NULL : columns, false))
		return false;
	else if (dry)
		puts("nothing was changed: this was a dry run");
	if (json_is_string(json_object_get(answer, "next")))
		fputs("bulkhead: there are more: --limit shows them\n", stderr);
	return true;
}

static enum cli_exit show(struct api_run *run, const struct api_reply *reply)
{
	bool taken = take_secret(run, reply->json);
	bool shown = run->given->own[OWN_JSON] ? api_show(reply->json, NULL, true)
										   : show_people(run, reply->json);

	return shown && taken ? CLI_DONE : CLI_FAILED;
}

enum cli_exit api_run_and_show(struct api_run *run)
{
	const struct api_route *route = run->grammar->route;
	enum cli_exit result;
	struct api_reply reply;

	if (!create_out(run->given))
		return CLI_FAILED;
	if (route->flags & API_PAGED)
		result = list(run, &reply);
	else if (api_is_change(run->grammar))
		result = change(run, &reply) ? CLI_DONE : CLI_FAILED;
	else
		result = api_run_send(run, NULL, &reply) ? CLI_DONE : CLI_FAILED;
	if (result == CLI_DONE && run->given->own[OWN_WAIT] && !api_wait(run, &reply))
		result = CLI_FAILED;
	else if (result == CLI_DONE)
		result = show(run, &reply);
	else if (run->given->own[OWN_OUT])
		unlink(run->given->own[OWN_OUT]);
	api_reply_fini(&reply);
	return result;
}

/* ---- verbs ---- */

static enum cli_exit run_verb(const struct api_grammar *grammar, const struct api_given *given)
{
	struct api_run run = {.grammar = grammar, .given = given};
	enum cli_exit result = api_compose(&run.composed, grammar, given);

	if (result == CLI_DONE)
		run.client = api_where_open(given, &result);
	if (run.client)
		result = grammar->verb->run ? grammar->verb->run(&run) : api_run_and_show(&run);
	api_client_destroy(run.client);
	api_composed_fini(&run.composed);
	return result;
}

/* The verb goes to the front, so that what is behind it are words and options alone. */
static void bring_forward(int at, char **argv)
{
	char *verb = argv[at];

	memmove(argv + 2, argv + 1, (size_t)(at - 1) * sizeof *argv);
	argv[1] = verb;
}

enum cli_exit api_verbs_run(const struct api_noun *noun, int at, int argc, char **argv)
{
	struct api_grammar *grammar = malloc(sizeof *grammar);
	struct api_given *given = malloc(sizeof *given);
	const struct api_verb *verb = api_find_verb(noun, argv[at]);
	enum cli_exit result = CLI_FAILED;
	const char *why = "out of memory";

	bring_forward(at, argv);
	if (!grammar || !given || !api_grammar_make(grammar, verb, &why))
		print_complaint("%s %s: %s", noun->name, verb->name, why);
	else if (!api_given_read(given, grammar, argc - 1, argv + 1))
		result = CLI_USAGE;
	else
		result = run_verb(grammar, given);
	free(grammar);
	free(given);
	return result;
}
