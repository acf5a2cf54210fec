#include "admin/api/problem.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "admin/api/refusals.h"
#include "base/log.h"
#include "base/utf8.h"

/* clang-format off */
const struct api_reason api_reasons[] = {
	{"BH-API-KEY", 401, "The API key is missing or not valid"},
	{"BH-API-ADDRESS", 403, "The API key may not be used from this address"},
	{"BH-API-SUSPENDED", 403, "The tenant of the API key is not active"},
	{"BH-API-ROLE", 403, "The role of the API key does not allow it"},
	{"BH-API-SUBTREE", 403, "The API key is for a part of the tree"},
	{"BH-API-HOME", 403, "It is decided above the tenant of the API key"},
	{"BH-API-BEYOND", 403, "It goes further than the API key does"},
	{"BH-API-PATH", 404, "There is no such path"},
	{"BH-API-TENANT", 404, "There is no such tenant"},
	{"BH-API-NOT-FOUND", 404, "There is no such thing"},
	{"BH-API-METHOD", 405, "The path does not have this method"},
	{"BH-API-SYNTAX", 400, "The request is malformed"},
	{"BH-API-CURSOR", 400, "The cursor is none of this list"},
	{"BH-API-VALUE", 422, "A value is not allowed"},
	{"BH-API-EXISTS", 409, "It exists already"},
	{"BH-API-IN-USE", 409, "It is in use"},
	{"BH-API-FIXED", 409, "It cannot be changed"},
	{"BH-API-STATE", 409, "Its state does not allow it"},
	{"BH-API-STATUS", 409, "The status of a tenant does not allow it"},
	{"BH-API-LOCKED", 409, "A tenant above has locked it"},
	{"BH-API-BOUND", 409, "The parent does not hold, or does not pass on, so much"},
	{"BH-API-DEPTH", 409, "The tree would be too deep"},
	{"BH-API-CYCLE", 409, "The tree would have a cycle"},
	{"BH-API-PARENT", 409, "The parent is not there any more"},
	{"BH-API-BATCH", 422, "Changes of a batch cannot be made, and none was"},
	{"BH-API-REVEAL", 403, "The API key may not read sensitive values"},
	{"BH-API-DATA-KEY", 409, "The tenant's data key was rotated meanwhile"},
	{"BH-API-KEY-MISSING", 503, "The master key is not at hand"},
	{"BH-API-SECRET-BROKEN", 503, "A sensitive value cannot be opened"},
	{"BH-API-CHANGED", 412, "It has changed since it was read"},
	{"BH-API-CONDITION", 428, "If-Match is missing"},
	{"BH-API-SIZE", 413, "The request is too large"},
	{"BH-API-TYPE", 415, "The body is not JSON"},
	{"BH-API-IDEMPOTENCY", 422, "The Idempotency-Key was used for another request"},
	{"BH-API-RATE", 429, "There are too many requests"},
	{"BH-API-BUSY", 503, "Others are at it, or the control database does not answer"},
	{"BH-API-UNKNOWN", 503, "The connection was lost before the answer: it may be done"},
	{"BH-API-INTERNAL", 500, "Something went wrong that should not have"},
	{NULL, 0, NULL},
};

static const struct { int status; const char *phrase; } phrases[] = {
	{200, "OK"}, {201, "Created"}, {202, "Accepted"}, {204, "No Content"}, {207, "Multi-Status"},
	{400, "Bad Request"}, {401, "Unauthorized"}, {403, "Forbidden"}, {404, "Not Found"},
	{405, "Method Not Allowed"}, {409, "Conflict"}, {412, "Precondition Failed"},
	{413, "Content Too Large"}, {415, "Unsupported Media Type"}, {422, "Unprocessable Content"},
	{428, "Precondition Required"}, {429, "Too Many Requests"}, {500, "Internal Server Error"},
	{503, "Service Unavailable"},
};
/* clang-format on */

const char *api_status_phrase(int status)
{
	for (size_t i = 0; i < sizeof phrases / sizeof *phrases; i++) {
		if (phrases[i].status == status)
			return phrases[i].phrase;
	}
	return "Unknown";
}

void api_problem_fini(struct api_problem *problem)
{
	json_decref(problem->errors);
	problem->errors = NULL;
}

static void set(struct api_problem *problem, int status, const char *reason, const char *field)
{
	problem->status = status;
	snprintf(problem->reason, sizeof problem->reason, "%s", reason);
	/* What was cut may have lost a part of a character. */
	while (!utf8_valid(problem->detail, strlen(problem->detail)))
		problem->detail[strlen(problem->detail) - 1] = '\0';
	json_decref(problem->errors);
	problem->errors =
		field ? json_pack("[{s:s, s:s}]", "field", field, "detail", problem->detail) : NULL;
}

void api_problem_set(struct api_problem *problem, int status, const char *reason,
					 const char *field, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(problem->detail, sizeof problem->detail, format, arguments);
	va_end(arguments);
	set(problem, status, reason, field);
}

/* ---- the database's errors ---- */

#define REFUSED_FIELD_SIZE 128

/* Of bulkhead_api.refuse(). */
static bool take_refusal(struct api_problem *problem, const PGresult *result)
{
	const char *detail = PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL);
	json_t *more = detail ? json_loads(detail, 0, NULL) : NULL;
	const char *reason = json_string_value(json_object_get(more, "reason"));
	int status = (int)json_integer_value(json_object_get(more, "status"));
	json_t *errors = json_object_get(more, "errors");

	if (reason && status >= 400 && status < 600) {
		api_problem_set(problem, status, reason, NULL, "%s",
						PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY));
		problem->errors = json_is_array(errors) ? json_incref(errors) : NULL;
		problem->over = json_is_true(json_object_get(more, "over"));
	}
	json_decref(more);
	return reason != NULL;
}

/* Where there is a list in the body, the error's column says whose member it was:
 * `body.tenants[3].` */
static void name_field(const struct api_refusal *refusal, const PGresult *result,
					   char out[REFUSED_FIELD_SIZE])
{
	const char *place = PQresultErrorField(result, PG_DIAG_COLUMN_NAME),
			   *field = refusal->field;

	if (place && strncmp(place, "body.", 5) == 0 && strncmp(field, "body.", 5) == 0)
		snprintf(out, REFUSED_FIELD_SIZE, "%s%s", place, field + 5);
	else
		snprintf(out, REFUSED_FIELD_SIZE, "%s", field);
}

static bool take_constraint(struct api_problem *problem, const PGresult *result)
{
	const struct api_refusal *refusal =
		api_find_refusal(PQresultErrorField(result, PG_DIAG_CONSTRAINT_NAME));
	char field[REFUSED_FIELD_SIZE];

	if (!refusal)
		return false;
	if (refusal->field)
		name_field(refusal, result, field);
	api_problem_set(problem, refusal->status, refusal->reason, refusal->field ? field : NULL,
					"%s",
					refusal->detail ? refusal->detail
									: PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY));
	return true;
}

static void log_fault(const PGresult *result, const char *state)
{
	const char *context = PQresultErrorField(result, PG_DIAG_CONTEXT);

	log_event(LOG_ERROR, "api.fault", "sqlstate", state, "error",
			  PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY), "context", context, NULL);
}

bool api_is_transient(const PGresult *result)
{
	const char *state = result ? PQresultErrorField(result, PG_DIAG_SQLSTATE) : NULL;

	return state && (strcmp(state, "40001") == 0 || strcmp(state, "40P01") == 0);
}

void api_problem_of(struct api_problem *problem, const PGresult *result)
{
	const char *state = result ? PQresultErrorField(result, PG_DIAG_SQLSTATE) : NULL;

	if (!state) {
		api_problem_set(problem, 503, "BH-API-BUSY", NULL,
						"the control database does not answer");
	} else if (strcmp(state, "BHAPI") == 0 && take_refusal(problem, result)) {
		return;
	} else if (take_constraint(problem, result)) {
		return;
	} else if (strcmp(state, "P0002") == 0) {
		api_problem_set(problem, 404, "BH-API-NOT-FOUND", NULL, "%s",
						PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY));
	} else if (strncmp(state, "22", 2) == 0) {
		log_fault(result, state);
		api_problem_set(problem, 422, "BH-API-VALUE", NULL,
						"a value cannot be read as what it should be");
	} else if (api_is_transient(result) || strcmp(state, "57014") == 0 ||
			   strcmp(state, "55P03") == 0) {
		api_problem_set(problem, 503, "BH-API-BUSY", NULL,
						"others are at it: try again in a moment");
	} else if (strncmp(state, "57", 2) == 0 || strncmp(state, "08", 2) == 0 ||
			   strncmp(state, "53", 2) == 0) {
		log_fault(result, state);
		api_problem_set(problem, 503, "BH-API-BUSY", NULL, "the control database is not fit");
	} else {
		log_fault(result, state);
		api_problem_set(problem, 500, "BH-API-INTERNAL", NULL,
						"something went wrong that should not have; it is in the log");
	}
}

static const char *title_of(const char *reason)
{
	for (const struct api_reason *known = api_reasons; known->name; known++) {
		if (strcmp(known->name, reason) == 0)
			return known->title;
	}
	return "The request was refused";
}

json_t *api_problem_body(const struct api_problem *problem, const char *request_id)
{
	char type[80];

	snprintf(type, sizeof type, "urn:bulkhead:problem:%s", problem->reason);
	return json_pack("{s:s, s:s, s:i, s:s, s:s, s:s, s:O*}", "type", type, "title",
					 title_of(problem->reason), "status", problem->status, "detail",
					 problem->detail, "reason", problem->reason, "request_id", request_id,
					 "errors", problem->errors);
}
