/* The audit log: what was changed and seen, whether the log is whole, and what is not removed.
 */
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>

#include "admin/api/api_internal.h"
#include "admin/api/call_internal.h"
#include "admin/api/events.h"
#include "admin/api/routes.h"
#include "admin/api/server.h"

/* clang-format off */
static const char *const kinds[] = {"created", "changed", "deleted", "noted", "event", NULL};
static const char *const formats[] = {"ndjson", "csv", NULL};

#define HEAD_PATTERN "^[0-9]+:[0-9a-f]{64}$"

/* ---- what is answered ---- */

static const struct api_field record_fields[] = {
	{.name = "id", .type = API_INTEGER, .doc = "Its place in the chain, from 1."},
	{.name = "at", .type = API_TIME, .doc = "When; never before that of the record in front."},
	{.name = "kind", .type = API_TEXT, .choices = kinds, .doc = "What became of a row; `noted`: a sensitive read, or an order; `event`: what a sidecar saw."},
	{.name = "action", .type = API_TEXT, .doc = "What was asked: a route, as in tenant.suspend, or what the database saw, as in tenant.changed."},
	{.name = "actor", .type = API_TEXT, .doc = "Who: api-key:NAME, sql:LOGIN or sidecar:LOGIN."},
	{.name = "actor_id", .type = API_TEXT, .flags = API_NULLABLE, .doc = "The id of the API key."},
	{.name = "login", .type = API_TEXT, .doc = "The login of the database session that wrote it, whatever the actor is."},
	{.name = "address", .type = API_TEXT, .flags = API_NULLABLE, .doc = "From where it was asked."},
	{.name = "request_id", .type = API_TEXT, .flags = API_NULLABLE, .doc = "X-Request-Id of the request."},
	{.name = "tenant_id", .type = API_UUID, .flags = API_NULLABLE, .doc = "The tenant it is of, which may be gone; null: of none."},
	{.name = "tenant_slug", .type = API_TEXT, .flags = API_NULLABLE, .doc = "The slug of that tenant at that time."},
	{.name = "subject", .type = API_TEXT, .doc = "What it is of, as in setting:proxy.gate."},
	{.name = "before", .type = API_JSON, .flags = API_NULLABLE, .doc = "What was there; of a change only what differs. Secrets are \"(secret)\"."},
	{.name = "after", .type = API_JSON, .flags = API_NULLABLE, .doc = "What is there now."},
	{.name = "hash", .type = API_TEXT, .pattern = "^[0-9a-f]{64}$", .doc = "SHA-256 of the hash before it and of this record."},
	{.name = NULL}};
static const struct api_schema record_schema = {.name = "AuditRecord", .fields = record_fields};

static const struct api_field head_fields[] = {
	{.name = "id", .type = API_INTEGER, .doc = "The last place; 0: there is none."},
	{.name = "hash", .type = API_TEXT, .pattern = "^[0-9a-f]{64}$"},
	{.name = "head", .type = API_TEXT, .pattern = HEAD_PATTERN, .doc = "Both, as `bulkhead audit verify --head` takes them."},
	{.name = "at", .type = API_TIME, .flags = API_NULLABLE, .doc = "When that was."},
	{.name = "first_id", .type = API_INTEGER, .flags = API_NULLABLE, .doc = "The oldest record that is there."},
	{.name = "removed", .type = API_INTEGER, .doc = "Up to this place records were removed by retention; 0: none were."},
	{.name = NULL}};
static const struct api_schema head_schema = {.name = "AuditHead", .fields = head_fields};

static const struct api_field fault_fields[] = {
	{.name = "id", .type = API_INTEGER, .doc = "The place."},
	{.name = "detail", .type = API_TEXT, .doc = "What is wrong with it."},
	{.name = NULL}};
static const struct api_field verification_fields[] = {
	{.name = "fits", .type = API_BOOLEAN, .doc = "Whether all that was looked at is as it was written."},
	{.name = "from", .type = API_INTEGER, .doc = "The first place that was looked at."},
	{.name = "to", .type = API_INTEGER, .doc = "The last."},
	{.name = "fault", .type = API_OBJECT, .flags = API_NULLABLE, .fields = fault_fields, .doc = "The first place that does not fit."},
	{.name = "head", .type = API_TEXT, .pattern = HEAD_PATTERN},
	{.name = "next", .type = API_TEXT, .flags = API_NULLABLE, .doc = "The cursor to go on with; null: this was the end, or there is a fault."},
	{.name = NULL}};
static const struct api_schema verification_schema = {.name = "AuditVerification", .fields = verification_fields};

static const struct api_field hold_fields[] = {
	{.name = "id", .type = API_INTEGER},
	{.name = "tenant_id", .type = API_UUID, .flags = API_NULLABLE, .doc = "Whose records, and those of tenants below it; null: all."},
	{.name = "tenant_slug", .type = API_TEXT, .flags = API_NULLABLE, .doc = "Its slug when the hold was made."},
	{.name = "reason", .type = API_TEXT},
	{.name = "until", .type = API_TIME, .flags = API_NULLABLE, .doc = "null: until it is released."},
	{.name = "made_by", .type = API_TEXT},
	{.name = "made_at", .type = API_TIME},
	{.name = "released_by", .type = API_TEXT, .flags = API_NULLABLE},
	{.name = "released_at", .type = API_TIME, .flags = API_NULLABLE},
	{.name = "holds", .type = API_BOOLEAN, .doc = "Whether it still does."},
	{.name = NULL}};
static const struct api_schema hold_schema = {.name = "AuditHold", .fields = hold_fields};

/* ---- what is asked ---- */

#define FILTERS                                                                                                                \
	{.name = "tenant", .type = API_TENANT_WORD, .doc = "Of this tenant."},                                                     \
	{.name = "tenant_id", .type = API_UUID, .doc = "The same by its id, also of a tenant that is gone. One of both."},         \
	{.name = "subtree", .type = API_BOOLEAN, .preset = "false", .doc = "And of those that were below it at that time."},       \
	{.name = "actor", .type = API_TEXT, .min = 1, .max = 300, .doc = "Of one actor, as in api-key:ci."},                       \
	{.name = "action", .type = API_TEXT, .min = 1, .max = 127, .doc = "What begins with this, as in tenant."},                 \
	{.name = "kind", .type = API_TEXT, .choices = kinds}

#define PERIOD                                                                                                                 \
	{.name = "from", .type = API_TIME, .doc = "From then on."},                                                                \
	{.name = "to", .type = API_TIME, .doc = "Before then."}

static const struct api_field list_query[] = {FILTERS, PERIOD, {.name = NULL}};
static const struct api_field export_query[] = {
	FILTERS, PERIOD,
	{.name = "format", .type = API_TEXT, .choices = formats, .preset = "\"ndjson\"", .doc = "CSV begins with a line of names, where there is no cursor. A cell that a spreadsheet would take for a formula has an apostrophe in front."},
	{.name = "limit", .type = API_INTEGER, .min = 1, .max = 10000, .preset = "1000", .doc = "How many records at most; a megabyte is the other limit."},
	{.name = "cursor", .type = API_TEXT, .min = 1, .max = 2000, .pattern = "^[A-Za-z0-9_-]+$", .doc = "Where to go on: the header Next-Cursor of the part before."},
	{.name = NULL}};
static const struct api_field events_query[] = {
	FILTERS,
	{.name = "after", .type = API_INTEGER, .min = 0, .max = (int64_t)1 << 53, .doc = "Begin behind this place; without it and without Last-Event-ID with what comes from now on."},
	{.name = NULL}};
static const struct api_field verify_query[] = {
	{.name = "from", .type = API_INTEGER, .min = 1, .max = (int64_t)1 << 53, .doc = "Begin with this place; the one before it is taken for true."},
	{.name = "limit", .type = API_INTEGER, .min = 1, .max = 10000, .preset = "1000", .doc = "How many records to look at."},
	{.name = "cursor", .type = API_TEXT, .min = 1, .max = 2000, .pattern = "^[A-Za-z0-9_-]+$", .doc = "Where to go on."},
	{.name = NULL}};
static const struct api_field id_param[] = {
	{.name = "id", .type = API_INTEGER, .min = 1, .max = (int64_t)1 << 53, .doc = "The place of a record."},
	{.name = NULL}};
static const struct api_field hold_param[] = {
	{.name = "hold", .type = API_INTEGER, .min = 1, .max = (int64_t)1 << 53, .doc = "The number of a hold."},
	{.name = NULL}};
static const struct api_field hold_body[] = {
	{.name = "tenant", .type = API_TENANT_WORD, .flags = API_NULLABLE, .doc = "Whose records, and those of tenants below it; null: all."},
	{.name = "tenant_id", .type = API_UUID, .doc = "The same by its id, also of a tenant that is gone. One of both."},
	{.name = "reason", .type = API_TEXT, .flags = API_REQUIRED, .min = 1, .max = 250},
	{.name = "until", .type = API_TIME, .flags = API_NULLABLE, .doc = "When it ends by itself; null: when it is released."},
	{.name = NULL}};
/* clang-format on */

/* ---- a part of the log as lines ---- */

struct part {
	struct api_call *call;
	struct store_ask ask;
	char *caller, *request;
	bool is_csv;
};

static void free_part(struct part *part)
{
	free(part->caller);
	free(part->request);
	free(part);
}

static void send_part(struct api_call *call, json_t *answer, bool is_csv)
{
	const char *text = json_string_value(json_object_get(answer, "text"));
	const char *next = json_string_value(json_object_get(answer, "next"));
	struct api *api = call->api;
	struct evhttp_request *http = api_call_detach(call);
	struct evkeyvalq *headers = evhttp_request_get_output_headers(http);
	struct evbuffer *body = evbuffer_new();

	evhttp_add_header(headers, "Content-Type",
					  is_csv ? "text/csv; charset=utf-8; header=present"
							 : "application/x-ndjson");
	if (is_csv)
		evhttp_add_header(headers, "Content-Disposition", "attachment; filename=\"audit.csv\"");
	if (next)
		evhttp_add_header(headers, "Next-Cursor", next);
	if (body && text)
		evbuffer_add(body, text, strlen(text));
	api_server_busy(api->server, http, false);
	evhttp_send_reply(http, 200, api_status_phrase(200), body);
	if (body)
		evbuffer_free(body);
}

static void on_part(struct store_ask *ask, const PGresult *result)
{
	struct part *part = list_entry(ask, struct part, ask);
	struct api_call *call = part->call;
	bool is_csv = part->is_csv;
	json_t *answer = NULL;

	free_part(part);
	/* Whoever drops all calls has this one. */
	if (!result && call->api->is_stopping)
		return;
	if (result && PQresultStatus(result) == PGRES_TUPLES_OK && PQntuples(result) == 1)
		answer = json_loads(PQgetvalue(result, 0, 0), 0, NULL);
	if (answer) {
		send_part(call, answer, is_csv);
		json_decref(answer);
		return;
	}
	api_problem_of(&call->problem, result);
	api_call_refuse(call);
}

static void export_part(struct api_call *call, json_t *request)
{
	static const char sql[] =
		"SELECT body FROM bulkhead_api.call('audit_export', $1::jsonb, $2::jsonb)";
	const json_t *format = json_object_get(json_object_get(request, "query"), "format");
	struct part *part = calloc(1, sizeof *part);

	if (part) {
		part->call = call;
		part->caller = api_call_caller(call);
		part->request = json_dumps(request, JSON_COMPACT);
		part->is_csv = strcmp(json_string_value(format), "csv") == 0;
	}
	if (!part || !part->caller || !part->request) {
		if (part)
			free_part(part);
		api_refuse(call, 500, "BH-API-INTERNAL", NULL, "out of memory");
		return;
	}
	part->ask = (struct store_ask){.sql = sql,
								   .param_count = 2,
								   .params = {part->caller, part->request},
								   .answered = on_part};
	store_ask(api_store(call->api), &part->ask);
}

/* ---- routes ---- */

static const char *const export_media[] = {"application/x-ndjson", "text/csv", NULL};
static const char *const events_media[] = {"text/event-stream", NULL};

static const struct api_route routes[] = {
	{.id = "audit.list",
	 .method = "GET",
	 .path = "/v1/audit",
	 .role = API_ADMIN,
	 .flags = API_PAGED,
	 .query = list_query,
	 .handler = "audit_list",
	 .answer = &record_schema,
	 .tag = "Audit",
	 .summary = "List records of the audit log, the newest first",
	 .doc = "What happened to tenants that were in your part of the tree at that time; what "
			"concerns no tenant is for keys of the whole tree. Reading is recorded itself, "
			"once in ten minutes for the same question."},
	{.id = "audit.show",
	 .method = "GET",
	 .path = "/v1/audit/{id}",
	 .role = API_ADMIN,
	 .params = id_param,
	 .handler = "audit_get",
	 .answer = &record_schema,
	 .tag = "Audit",
	 .summary = "Show a record of the audit log"},
	{.id = "audit.export",
	 .method = "GET",
	 .path = "/v1/audit:export",
	 .role = API_ADMIN,
	 .flags = API_STREAM,
	 .query = export_query,
	 .run = export_part,
	 .media = export_media,
	 .tag = "Audit",
	 .summary = "Export records of the audit log, the oldest first, as NDJSON or CSV",
	 .doc = "In parts: the header Next-Cursor is there as long as there is more."},
	{.id = "audit.verify",
	 .method = "GET",
	 .path = "/v1/audit:verify",
	 .role = API_OPERATOR,
	 .flags = API_EVERYWHERE,
	 .query = verify_query,
	 .handler = "audit_verify",
	 .answer = &verification_schema,
	 .tag = "Audit",
	 .summary = "Compute a part of the chain of hashes anew",
	 .doc = "The database computes it. Who does not trust it uses `bulkhead audit verify`."},
	{.id = "audit.head",
	 .method = "GET",
	 .path = "/v1/audit:head",
	 .role = API_OPERATOR,
	 .flags = API_EVERYWHERE,
	 .handler = "audit_head",
	 .answer = &head_schema,
	 .tag = "Audit",
	 .summary = "Show the last place of the chain and its hash, to be kept elsewhere"},
	{.id = "audit_hold.create",
	 .method = "POST",
	 .path = "/v1/audit-holds",
	 .role = API_OPERATOR,
	 .flags = API_EVERYWHERE,
	 .body = hold_body,
	 .handler = "audit_hold_create",
	 .answer = &hold_schema,
	 .status = 201,
	 .tag = "Audit",
	 .summary = "Keep records from being removed by retention",
	 .doc = "Records are removed from the old end alone: the oldest one that is held keeps all "
			"behind it, too."},
	{.id = "audit_hold.list",
	 .method = "GET",
	 .path = "/v1/audit-holds",
	 .role = API_OPERATOR,
	 .flags = API_EVERYWHERE | API_PAGED,
	 .handler = "audit_hold_list",
	 .answer = &hold_schema,
	 .tag = "Audit",
	 .summary = "List holds, also those that are over, the newest first"},
	{.id = "audit_hold.show",
	 .method = "GET",
	 .path = "/v1/audit-holds/{hold}",
	 .role = API_OPERATOR,
	 .flags = API_EVERYWHERE,
	 .params = hold_param,
	 .handler = "audit_hold_get",
	 .answer = &hold_schema,
	 .tag = "Audit",
	 .summary = "Show a hold"},
	{.id = "audit_hold.release",
	 .method = "DELETE",
	 .path = "/v1/audit-holds/{hold}",
	 .role = API_OPERATOR,
	 .flags = API_EVERYWHERE,
	 .params = hold_param,
	 .handler = "audit_hold_release",
	 .status = 204,
	 .tag = "Audit",
	 .summary = "Release a hold",
	 .doc = "It stays in the list, as released."},
	{.id = "events.stream",
	 .method = "GET",
	 .path = "/v1/events",
	 .role = API_ADMIN,
	 .flags = API_STREAM,
	 .query = events_query,
	 .run = events_begin,
	 .media = events_media,
	 .tag = "Audit",
	 .summary = "Follow the audit log, as server-sent events",
	 .doc = "`id` is the place of a record, `event` its action, `data` the record. "
			"Last-Event-ID goes on where a stream broke off. It ends with an event `end` when "
			"the API key is not valid any more."},
};

const struct api_topic api_routes_audit = {routes, sizeof routes / sizeof *routes};
