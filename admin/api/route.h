/*
 * route.h: the table of the admin API's routes.
 *
 * A route says all there is to say of a request: its path, who may make it, what it takes and
 * answers, which SQL function does it (admin/api/sql), and its documentation. From the table
 * come the checks of every request, the OpenAPI document (openapi.h) and what is refused:
 * what no route allows. Each topic has a file routes_TOPIC.c with a list; routes.c joins them.
 */
#ifndef ADMIN_API_ROUTE_H
#define ADMIN_API_ROUTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

struct api_call;

/* What a caller must be at least, as column `rank` of bulkhead_control.api_key has it. */
enum api_role { API_ANYONE, API_VIEWER, API_EDITOR, API_ADMIN, API_OPERATOR };

enum api_type {
	API_TEXT,        /* min and max: characters; without max 1000. No control characters */
	API_TENANT_WORD, /* a tenant's id, slug or key; it must be within the caller's subtree */
	API_UUID,
	API_INTEGER, /* min and max: the value; both 0: anything a JSON number may be up to 2^53 */
	API_NUMBER,
	API_BOOLEAN,
	API_TIME,   /* RFC 3339, with a zone */
	API_JSON,   /* anything; max: bytes when written, without it 64 KiB; depth 32 */
	API_OBJECT, /* of `fields`, and no others */
	API_ARRAY,  /* max elements (without it 1000), min; each as the first of `fields` says */
	API_MAP,    /* an object of any names, up to max of them; values as the first of `fields` */
};

enum {
	API_REQUIRED = 1 << 0,
	API_NULLABLE = 1 << 1, /* null is a value, and means "none" */
	API_SECRET = 1 << 2,   /* never kept, logged or audited; wiped behind the request */
	API_LINES = 1 << 3,    /* a text that may hold line breaks and tabs */
};

struct api_field {
	const char *name; /* NULL ends a list; of an array's element anything */
	enum api_type type;
	unsigned flags;
	int64_t min, max;
	const char *pattern;        /* POSIX extended, which JSON Schema's understands too */
	const char *const *choices; /* ends with NULL */
	const char *preset;         /* its value, as JSON, where it is not given; NULL: none */
	const struct api_field *fields;
	const char *doc;
};

/* What a route answers, for the documentation and the tests. */
struct api_schema {
	const char *name; /* `Tenant`: the key under components/schemas */
	const struct api_field *fields;
	bool is_open; /* there may be more members than these */
};

enum {
	API_EVERYWHERE = 1 << 0, /* for keys of the whole tree only */
	API_IF_MATCH = 1 << 1,   /* 428 without If-Match */
	API_DRY_RUN = 1 << 2,    /* takes ?dry_run=true */
	API_PAGED = 1 << 3,      /* takes ?limit= and ?cursor=, answers {items: [answer], next} */
	API_LARGE = 1 << 4,      /* a body of up to 4 MiB, not one of 256 KiB */
	API_MAY_MATCH = 1 << 6,  /* wants If-Match where there is something that it replaces */
	API_STREAM = 1 << 5,     /* `run` answers in a form of its own: not application/json */
};

/*
 * A route with `run` is answered there, on the API's thread, when the check has passed. All
 * others are answered by bulkhead_api.HANDLER(request). Where there is a `before`, that
 * function is called first, and `prepare` gets what it answered: it may put things into
 * request["more"], or refuse. Of a route with `prepare` the database is not told those fields
 * of the body that are API_SECRET, only what `prepare` made of them; that may have to be done
 * again, where the database has changed meanwhile. `finish` may add to what the client sees, or
 * have it refused after all (api_fail). With `run` only `before` and `prepare` are looked at.
 *
 * prepare returns false when it has refused (api_refuse).
 */
struct api_route {
	const char *id;     /* operationId, and the action in the audit log: tenant.suspend */
	const char *method; /* GET, POST, PUT, PATCH, DELETE */
	const char *path;   /* /v1/tenants/{tenant}/settings/{key}, /v1/tenants/{tenant}:suspend */
	enum api_role role;
	unsigned flags;
	const struct api_field *params; /* of the path, but {tenant} */
	const struct api_field *query;  /* but limit, cursor and dry_run */
	const struct api_field *body;   /* members of the object; NULL: there is no body */
	const char *handler;
	const char *before;
	bool (*prepare)(struct api_call *call, json_t *request, json_t *before);
	void (*finish)(struct api_call *call, json_t *request, json_t *answer);
	void (*run)(struct api_call *call, json_t *request);
	const struct api_schema *answer; /* NULL: no body */
	const char *const *media;        /* with API_STREAM: in which types; ends with NULL */
	int status;                      /* when all goes well; 0: 200 */
	const char *tag;                 /* the topic, for the documentation */
	const char *summary;             /* one line */
	const char *doc;                 /* more, or NULL */
};

struct api_topic {
	const struct api_route *routes;
	size_t count;
};

/* All topics; see routes.c. */
extern const struct api_topic *const api_topics[];
extern const size_t api_topic_count;

/* What many routes take: {tenant} of a path; with API_PAGED; with API_DRY_RUN. */
extern const struct api_field api_tenant_param[];
extern const struct api_field api_page_query[];
extern const struct api_field api_dry_run_query[];

/* ---- for `prepare`, `finish` and `run`; see call.h ---- */

struct api;

struct api *api_call_api(struct api_call *call);
const struct api_route *api_call_route(const struct api_call *call);

/* {"caller": {id, name, role, tenant_id}, "home": path or null}; of routes with `run`. */
const json_t *api_call_entered(const struct api_call *call);

/*
 * A secret that `prepare` has for `finish`, of which the database is to see nothing: copied,
 * and wiped behind the request. False when memory is out. NULL where none was kept.
 */
bool api_call_keep(struct api_call *call, const char *secret);
const char *api_call_kept(const struct api_call *call);

/* Answers; each at most once for a call. `body` is taken over; NULL for none. */
void api_answer(struct api_call *call, int status, json_t *body);

/* Answers with a problem. `field`, or NULL: body.slug, query.limit, path.tenant, header.X. */
void api_refuse(struct api_call *call, int status, const char *reason, const char *field,
				const char *format, ...) __attribute__((format(printf, 5, 6)));

/* For `finish`: what is answered instead. */
void api_fail(struct api_call *call, int status, const char *reason, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

#endif
