/* Routes of what this process does now: sessions, backends, pools, orders to them. */
#include "admin/api/routes.h"

#include "admin/api/live_json.h"
#include "admin/api/live_run.h"
#include "policy/statement.h"

#define PID_MAX INT32_MAX /* of a cancel key: 31 bits */

static const struct api_field no_fields[] = {{NULL}};

/* ---- what is asked ---- */

#define OF_TENANT                                                                              \
	{.name = "tenant", .type = API_TENANT_WORD, .doc = "of this tenant"},                      \
	{                                                                                          \
		.name = "subtree", .type = API_BOOLEAN, .preset = "false",                             \
		.doc = "and of those below it"                                                         \
	}

static const struct api_field by_pid[] = {
	{.name = "pid",
	 .type = API_INTEGER,
	 .flags = API_REQUIRED,
	 .min = 1,
	 .max = PID_MAX,
	 .doc = "the session's process id, as its client knows it from BackendKeyData"},
	{NULL}};

static const struct api_field session_query[] = {
	OF_TENANT,
	{.name = "principal", .type = API_TEXT, .min = 1, .max = 63, .doc = "of this principal"},
	{.name = "state",
	 .type = API_TEXT,
	 .choices = live_json_sessions,
	 .doc = "that does this now"},
	{.name = "pinned", .type = API_BOOLEAN, .doc = "that keeps its backend, or does not"},
	{NULL}};

static const struct api_field pin_query[] = {
	OF_TENANT,
	{.name = "principal", .type = API_TEXT, .min = 1, .max = 63, .doc = "of this principal"},
	{NULL}};

static const struct api_field backend_query[] = {OF_TENANT,
												 {.name = "state",
												  .type = API_TEXT,
												  .choices = live_json_backends,
												  .doc = "that does this now"},
												 {NULL}};

static const struct api_field session_order_query[] = {
	{.name = "tenant",
	 .type = API_TENANT_WORD,
	 .doc = "only if it is this tenant's; the audit log names it then"},
	{NULL}};

static const struct api_field tenant_query[] = {
	{.name = "subtree", .type = API_BOOLEAN, .preset = "false", .doc = "and of those below it"},
	{NULL}};

static const struct api_field order_body[] = {
	{.name = "subtree",
	 .type = API_BOOLEAN,
	 .preset = "false",
	 .doc = "for those below it too; a pause also for those that come below it later"},
	{NULL}};

static const struct api_field explain_body[] = {
	{.name = "tenant",
	 .type = API_TENANT_WORD,
	 .flags = API_REQUIRED,
	 .doc = "whose statement it is"},
	{.name = "sql",
	 .type = API_TEXT,
	 .flags = API_REQUIRED | API_LINES | API_SECRET,
	 .max = LIVE_SQL_MAX,
	 .doc = "one statement or several; up to 1 MiB. It is not run, kept or logged"},
	{NULL}};

/* ---- what is answered ---- */

#define INTEGER(called, text)                                                                  \
	{                                                                                          \
		.name = (called), .type = API_INTEGER, .flags = API_REQUIRED, .doc = (text)            \
	}
#define INTEGER_OR_NULL(called, text)                                                          \
	{                                                                                          \
		.name = (called), .type = API_INTEGER, .flags = API_REQUIRED | API_NULLABLE,           \
		.doc = (text)                                                                          \
	}
#define TEXT(called, text)                                                                     \
	{                                                                                          \
		.name = (called), .type = API_TEXT, .flags = API_REQUIRED, .doc = (text)               \
	}
#define TEXT_OR_NULL(called, text)                                                             \
	{                                                                                          \
		.name = (called), .type = API_TEXT, .flags = API_REQUIRED | API_NULLABLE,              \
		.doc = (text)                                                                          \
	}
#define TIME(called, text)                                                                     \
	{                                                                                          \
		.name = (called), .type = API_TIME, .flags = API_REQUIRED, .doc = (text)               \
	}
#define TRUTH(called, text)                                                                    \
	{                                                                                          \
		.name = (called), .type = API_BOOLEAN, .flags = API_REQUIRED, .doc = (text)            \
	}

#define WHOSE                                                                                  \
	{.name = "tenant_id",                                                                      \
	 .type = API_UUID,                                                                         \
	 .flags = API_REQUIRED | API_NULLABLE,                                                     \
	 .doc = "null: nobody's yet"},                                                             \
		TEXT_OR_NULL("tenant", "its slug")

#define INSTANCE TEXT("instance", "the process that says so: host name and process id")
#define WHERE    INTEGER("worker", "the thread, from 1 on"), INSTANCE

static const struct api_field tls_fields[] = {
	TEXT("version", NULL), TEXT("cipher", NULL), {NULL}};

#define TLS                                                                                    \
	{                                                                                          \
		.name = "tls", .type = API_OBJECT, .flags = API_REQUIRED | API_NULLABLE,               \
		.fields = tls_fields, .doc = "null: none"                                              \
	}

static const struct api_field pin_fields[] = {
	TEXT("cause", "what keeps it: temporary, listen, cursor …"),
	TIME("since", NULL),
	INTEGER("held_ms", NULL),
	{NULL}};

static const struct api_field session_fields[] = {
	INTEGER("pid", "as its client knows it"),
	WHOSE,
	TEXT_OR_NULL("principal", "who is still logging in has only said so"),
	TEXT_OR_NULL("cluster", NULL),
	{.name = "state", .type = API_TEXT, .flags = API_REQUIRED, .choices = live_json_sessions},
	TEXT("application_name", "its first 63 bytes"),
	TEXT_OR_NULL("address", "of the client; unix for a socket's file"),
	INTEGER_OR_NULL("port", NULL),
	TLS,
	TIME("connected_at", NULL),
	INTEGER("age_ms", NULL),
	INTEGER_OR_NULL("waited_ms", "for a backend; null: it does not wait"),
	INTEGER("prepared_statements", "with names"),
	INTEGER_OR_NULL("backend_pid", "the process that works for it in PostgreSQL"),
	{.name = "pin",
	 .type = API_OBJECT,
	 .flags = API_REQUIRED | API_NULLABLE,
	 .fields = pin_fields,
	 .doc = "why it keeps its backend beyond transactions; null: it does not"},
	WHERE,
	{NULL}};

static const struct api_field pinned_fields[] = {
	INTEGER("pid", "of the session"),
	WHOSE,
	TEXT_OR_NULL("principal", NULL),
	{.name = "state", .type = API_TEXT, .flags = API_REQUIRED, .choices = live_json_sessions},
	TEXT("cause", "what keeps it: temporary, listen, cursor …"),
	TIME("since", NULL),
	INTEGER("held_ms", NULL),
	INTEGER_OR_NULL("backend_pid", "the process that works for it in PostgreSQL"),
	WHERE,
	{NULL}};

static const struct api_field backend_fields[] = {
	INTEGER_OR_NULL("pid", "of the process in PostgreSQL; null: it is being opened"),
	WHOSE,
	TEXT_OR_NULL("cluster", NULL),
	TEXT_OR_NULL("host", "this and the next three: null for keys of a part of the tree"),
	INTEGER_OR_NULL("port", NULL),
	TEXT_OR_NULL("database", NULL),
	TEXT_OR_NULL("login", NULL),
	{.name = "state", .type = API_TEXT, .flags = API_REQUIRED, .choices = live_json_backends},
	INTEGER_OR_NULL("session_pid", "the session that it works for"),
	TLS,
	TIME("opened_at", NULL),
	INTEGER("age_ms", NULL),
	TRUTH("leaving", "it is closed as soon as it is free"),
	WHERE,
	{NULL}};

static const struct api_field wait_fields[] = {INTEGER("p50_us", "to within a factor of two"),
											   INTEGER("p99_us", "the same"),
											   INTEGER("max_us", NULL),
											   {NULL}};

static const struct api_field pool_fields[] = {
	TEXT("cluster", NULL),
	TEXT_OR_NULL("database", "null: each tenant's own"),
	TEXT_OR_NULL("login", "null: each tenant's own"),
	TRUTH("own_database", NULL),
	TRUTH("own_login", NULL),
	INTEGER("sessions", NULL),
	INTEGER("waiting", "of these, for a backend"),
	INTEGER("longest_wait_ms", "of those that wait now"),
	INTEGER("tenants", "one that has sessions on several workers counts on each"),
	INTEGER("backends", NULL),
	INTEGER("active", "of these, that work for a session"),
	INTEGER("idle", NULL),
	INTEGER("opening", NULL),
	INTEGER("requests", "for a backend, so far"),
	INTEGER("queries", NULL),
	INTEGER("transactions", NULL),
	INTEGER("waited_us", "all waits together"),
	{.name = "wait", .type = API_OBJECT, .flags = API_REQUIRED, .fields = wait_fields},
	INTEGER("handovers", "to another tenant, or after one that kept it"),
	INTEGER("handover_failures", NULL),
	INTEGER("opened", "backends, so far"),
	INTEGER("closed", NULL),
	INSTANCE,
	{NULL}};

static const struct api_field session_counts[] = {
	INTEGER("login", NULL),   INTEGER("idle", NULL),
	INTEGER("waiting", NULL), INTEGER("active", NULL),
	INTEGER("leaving", NULL), INTEGER("idle_in_transaction", NULL),
	INTEGER("console", NULL), {NULL}};

static const struct api_field backend_counts[] = {INTEGER("opening", NULL),
												  INTEGER("idle", NULL),
												  INTEGER("preparing", NULL),
												  INTEGER("active", NULL),
												  INTEGER("cleaning", NULL),
												  INTEGER("held", NULL),
												  {NULL}};

static const struct api_field tenant_fields[] = {
	{.name = "sessions",
	 .type = API_OBJECT,
	 .flags = API_REQUIRED,
	 .fields = session_counts,
	 .doc = "by what they do"},
	INTEGER("pinned", "sessions that keep their backends"),
	{.name = "backends",
	 .type = API_OBJECT,
	 .flags = API_REQUIRED,
	 .fields = backend_counts,
	 .doc = "in its context, by what they do"},
	TRUTH("paused", "the tenant itself"),
	{.name = "paused_by",
	 .type = API_UUID,
	 .flags = API_REQUIRED | API_NULLABLE,
	 .doc = "the tenant that the order named: itself, or one above it"},
	INSTANCE,
	{NULL}};

static const struct api_field order_fields[] = {
	INTEGER("concerned", "how many sessions, queues or backends"), INSTANCE, {NULL}};

static const struct api_field word[] = {{.name = "", .type = API_TEXT}, {NULL}};

#define WORDS(called, text)                                                                    \
	{                                                                                          \
		.name = (called), .type = API_ARRAY, .flags = API_REQUIRED, .fields = word,            \
		.doc = (text)                                                                          \
	}

static const struct api_field explanation_fields[] = {
	TEXT("tenant", NULL),
	TEXT("strategy", NULL),
	TEXT("gate", "enforce, observe or off"),
	INTEGER("statements", "in the text"),
	WORDS("classes", NULL),
	WORDS("reads", "relations"),
	WORDS("writes", "relations"),
	WORDS("functions", NULL),
	WORDS("settings", "that it sets or resets"),
	WORDS("effects", "what it may leave in the session"),
	WORDS("rewrites", "what Bulkhead makes of it"),
	WORDS("needs", "permissions"),
	WORDS("rules_hit", "isolation rules, in force or not"),
	WORDS("rules_in_force", NULL),
	{.name = "error", .type = API_TEXT, .doc = "of the parser"},
	TEXT("decision", "allowed or refused; under observe and off it may run all the same"),
	{.name = "reason", .type = API_TEXT, .doc = "as in docs/errors.md"},
	{.name = "sqlstate", .type = API_TEXT},
	{.name = "message", .type = API_TEXT},
	{.name = "instead", .type = API_TEXT, .doc = "what to do"},
	{NULL}};

static const struct api_schema session = {"Session", session_fields, false},
							   pinned = {"Pin", pinned_fields, false},
							   backend = {"Backend", backend_fields, false},
							   pool = {"Pool", pool_fields, false},
							   of_tenant = {"TenantLive", tenant_fields, false},
							   order = {"LiveOrder", order_fields, false},
							   explanation = {"Explanation", explanation_fields, false};

/* ---- routes ---- */

#define TAG  "Live"
#define LOOK .before = "find_live", .prepare = live_prepare, .tag = TAG
#define NOTE .before = "note_live", .prepare = live_prepare, .tag = TAG

static const char here[] =
	"This process alone answers, for all its workers: where several run, ask each.";

static const struct api_route routes[] = {
	{.id = "session.list",
	 .method = "GET",
	 .path = "/v1/sessions",
	 .role = API_VIEWER,
	 .flags = API_PAGED,
	 .query = session_query,
	 .run = live_run_sessions,
	 LOOK,
	 .answer = &session,
	 .summary = "Sessions of clients, in the order of their process ids",
	 .doc = here},
	{.id = "session.get",
	 .method = "GET",
	 .path = "/v1/sessions/{pid}",
	 .role = API_VIEWER,
	 .params = by_pid,
	 .run = live_run_session,
	 LOOK,
	 .answer = &session,
	 .summary = "One session",
	 .doc = here},
	{.id = "session.kill",
	 .method = "POST",
	 .path = "/v1/sessions/{pid}:kill",
	 .role = API_ADMIN,
	 .params = by_pid,
	 .query = session_order_query,
	 .run = live_run_kill,
	 NOTE,
	 .answer = &order,
	 .summary = "End a session, with 57P01 (BH-NET-KILLED)",
	 .doc = here},
	{.id = "session.cancel",
	 .method = "POST",
	 .path = "/v1/sessions/{pid}:cancel",
	 .role = API_ADMIN,
	 .params = by_pid,
	 .query = session_order_query,
	 .run = live_run_cancel,
	 NOTE,
	 .answer = &order,
	 .summary = "Cancel what a session has under way, with 57014",
	 .doc = "What it sends behind that is not hit. `concerned` is 0 where it had nothing under "
			"way. This process alone is asked."},
	{.id = "pin.list",
	 .method = "GET",
	 .path = "/v1/pins",
	 .role = API_VIEWER,
	 .flags = API_PAGED,
	 .query = pin_query,
	 .run = live_run_pins,
	 LOOK,
	 .answer = &pinned,
	 .summary = "Sessions that keep their backends, and why",
	 .doc = here},
	{.id = "backend.list",
	 .method = "GET",
	 .path = "/v1/backends",
	 .role = API_VIEWER,
	 .flags = API_PAGED,
	 .query = backend_query,
	 .run = live_run_backends,
	 LOOK,
	 .answer = &backend,
	 .summary = "Connections to PostgreSQL, the oldest first",
	 .doc = "Keys of a part of the tree see those in the context of its tenants. This process "
			"alone answers, for all its workers: where several run, ask each."},
	{.id = "pool.list",
	 .method = "GET",
	 .path = "/v1/pools",
	 .role = API_OPERATOR,
	 .flags = API_PAGED | API_EVERYWHERE,
	 .query = no_fields,
	 .run = live_run_pools,
	 LOOK,
	 .answer = &pool,
	 .summary = "Pools of backends, by cluster and kind of login and database",
	 .doc = here},
	{.id = "tenant.live",
	 .method = "GET",
	 .path = "/v1/tenants/{tenant}/live",
	 .role = API_VIEWER,
	 .query = tenant_query,
	 .run = live_run_tenant,
	 LOOK,
	 .answer = &of_tenant,
	 .summary = "How many sessions and backends a tenant has, and whether it is paused",
	 .doc = here},
	{.id = "tenant.pause",
	 .method = "POST",
	 .path = "/v1/tenants/{tenant}:pause",
	 .role = API_ADMIN,
	 .body = order_body,
	 .run = live_run_pause,
	 NOTE,
	 .answer = &order,
	 .summary = "Give a tenant's sessions no backend any more",
	 .doc = "Transactions that run may end; statements behind them wait, up to "
			"query_wait_timeout. It is over when `backends` of …/live are all idle. "
			"This process alone does so, and until it ends; where several run, tell each."},
	{.id = "tenant.unpause",
	 .method = "POST",
	 .path = "/v1/tenants/{tenant}:unpause",
	 .role = API_ADMIN,
	 .body = order_body,
	 .run = live_run_unpause,
	 NOTE,
	 .answer = &order,
	 .summary = "End a pause that named this tenant, of whichever kind",
	 .doc = "A tenant below one that was paused with its subtree stays paused. This process "
			"alone does so."},
	{.id = "tenant.kill-sessions",
	 .method = "POST",
	 .path = "/v1/tenants/{tenant}:kill-sessions",
	 .role = API_ADMIN,
	 .body = order_body,
	 .run = live_run_kill_all,
	 NOTE,
	 .answer = &order,
	 .summary = "End a tenant's sessions, with 57P01 (BH-NET-KILLED)",
	 .doc = "They may come again: to keep a tenant out, suspend it. This process alone does "
			"so."},
	{.id = "tenant.reconnect",
	 .method = "POST",
	 .path = "/v1/tenants/{tenant}:reconnect",
	 .role = API_ADMIN,
	 .body = order_body,
	 .run = live_run_reconnect,
	 NOTE,
	 .answer = &order,
	 .summary = "Replace backends in a tenant's context: idle ones now, others when free",
	 .doc = here},
	{.id = "statement.explain",
	 .method = "POST",
	 .path = "/v1/statements:explain",
	 .role = API_VIEWER,
	 .flags = API_LARGE,
	 .body = explain_body,
	 .run = explain_run,
	 .before = "note_statement",
	 .prepare = live_prepare,
	 .tag = TAG,
	 .answer = &explanation,
	 .summary = "What the gate would say of a statement, and why",
	 .doc = "Nothing is run. It is the gate of this process, with its [gate] settings."},
};

const struct api_topic api_routes_live = {routes, sizeof routes / sizeof *routes};
