/* bulkhead audit, over the API. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/api_nouns.h"
#include "cli/api_run.h"
#include "cli/api_show.h"
#include "cli/print.h"

#define RECORD "id at action actor tenant=tenant_slug subject address"
#define HOLD   "/v1/audit-holds/{hold}"

static bool is_given(const struct api_run *run, const char *name)
{
	for (size_t i = 0; i < run->grammar->option_count; i++) {
		if (strcmp(run->grammar->options[i].name, name) == 0)
			return run->given->values[i] != NULL;
	}
	return false;
}

/* The path of the part behind the cursor; NULL: the first one. */
static char *part_path(const struct api_run *run, const char *cursor)
{
	char *encoded = cursor ? api_percent(cursor) : NULL, *more = NULL, *path = NULL;

	if (!cursor)
		return api_run_path(run, NULL);
	if (encoded && asprintf(&more, "cursor=%s", encoded) >= 0)
		path = api_run_path(run, more);
	else
		print_complaint("out of memory");
	free(encoded);
	free(more);
	return path;
}

/* ---- export ---- */

static bool write_out(void *context, const char *bytes, size_t len)
{
	(void)context;
	return fwrite(bytes, 1, len, stdout) == len;
}

static bool get_part(struct api_run *run, const char *cursor, struct api_reply *reply)
{
	char *path = part_path(run, cursor);
	struct api_request request = {
		.method = "GET", .path = path, .accept = "*/*", .take = write_out};
	bool got = path && api_client_send(run->client, &request, reply);

	if (got && !api_reply_succeeded(reply)) {
		api_reply_complain(reply);
		got = false;
	}
	free(path);
	return got;
}

/* Part by part as they come; with --limit or --cursor one part alone. */
static enum cli_exit export_all(struct api_run *run)
{
	bool is_one = is_given(run, "limit") || is_given(run, "cursor");
	char *cursor = NULL;
	bool got;

	do {
		struct api_reply reply = {.status = 0};

		got = get_part(run, cursor, &reply) && !ferror(stdout);
		free(cursor);
		cursor = got && reply.next ? strdup(reply.next) : NULL;
		api_reply_fini(&reply);
	} while (got && cursor && !is_one);
	if (got && cursor)
		fprintf(stderr, "bulkhead: there is more: --cursor %s\n", cursor);
	free(cursor);
	return got ? CLI_DONE : CLI_FAILED;
}

/* ---- verify ---- */

/* Puts what a part says behind what those before it said. */
static bool join(json_t *all, const json_t *part)
{
	static const char *const last[] = {"fits", "to", "fault", "head", "next"};
	bool whole = true;

	if (!json_object_get(all, "from"))
		return json_object_update(all, (json_t *)part) == 0;
	for (size_t i = 0; i < sizeof last / sizeof *last; i++)
		whole = whole && json_object_set(all, last[i], json_object_get(part, last[i])) == 0;
	return whole;
}

static bool verify_part(struct api_run *run, json_t *all)
{
	const char *cursor = json_string_value(json_object_get(all, "next"));
	char *path = part_path(run, cursor);
	struct api_reply reply = {.status = 0};
	bool got = path && api_run_get(run, path, &reply) && join(all, reply.json);

	api_reply_fini(&reply);
	free(path);
	return got;
}

/* Part by part, to the end or to what does not fit, which is a failure. */
static enum cli_exit verify_all(struct api_run *run)
{
	bool is_one = is_given(run, "limit") || is_given(run, "cursor");
	json_t *all = json_object();
	bool got, shown = false, fits;

	do {
		got = all && verify_part(run, all);
	} while (got && !is_one && json_is_string(json_object_get(all, "next")));
	fits = json_is_true(json_object_get(all, "fits"));
	if (got)
		shown = api_show(all, NULL, run->given->own[OWN_JSON]);
	json_decref(all);
	return got && shown && fits ? CLI_DONE : CLI_FAILED;
}

/* ---- verbs ---- */

static const struct api_verb verbs[] = {
	{.name = "list", .route = "GET /v1/audit", .columns = RECORD},
	{.name = "show", .route = "GET /v1/audit/{id}", .words = "id"},
	{.name = "export", .route = "GET /v1/audit:export", .run = export_all},
	{.name = "verify", .route = "GET /v1/audit:verify", .run = verify_all},
	{.name = "head", .route = "GET /v1/audit:head"},
	{.name = "holds",
	 .route = "GET /v1/audit-holds",
	 .columns = "id tenant=tenant_slug reason until made_by made_at holds"},
	{.name = "show-hold", .route = "GET " HOLD, .words = "hold"},
	{.name = "hold", .route = "POST /v1/audit-holds"},
	{.name = "release", .route = "DELETE " HOLD, .words = "hold"},
};

const struct api_noun api_audit = {
	"audit", "What was changed, and by whom: a chain that nobody can change unseen.", verbs,
	sizeof verbs / sizeof *verbs};
