/*
 * problem.h: what a request is refused with (RFC 9457, Problem Details for HTTP APIs).
 *
 * Each has a stable reason; its type is urn:bulkhead:problem:REASON. docs/errors.md lists them.
 */
#ifndef ADMIN_API_PROBLEM_H
#define ADMIN_API_PROBLEM_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>
#include <libpq-fe.h>

struct api_problem {
	int status;
	char reason[48];
	char detail[512];
	json_t *errors; /* [{field, detail}] or NULL; the problem's */
	bool over;      /* the API key was a true one, which is revoked or has expired; not told */
};

void api_problem_fini(struct api_problem *problem);

/* `field` may be NULL. */
void api_problem_set(struct api_problem *problem, int status, const char *reason,
					 const char *field, const char *format, ...)
	__attribute__((format(printf, 5, 6)));

/*
 * What a failed statement comes to: what a function of bulkhead_api refused, a constraint that
 * did not hold, or a value that PostgreSQL could not read; all else is a fault of ours (500),
 * or of the database's (503). NULL is a database that did not answer.
 */
void api_problem_of(struct api_problem *problem, const PGresult *result);

/* Would the same statement succeed when it is tried again? */
bool api_is_transient(const PGresult *result);

/* The body, with all there is to say. NULL: out of memory. */
json_t *api_problem_body(const struct api_problem *problem, const char *request_id);

/* What a status is called (RFC 9110, section 15). */
const char *api_status_phrase(int status);

/* The reasons and what they mean, for the documentation; ends with NULL. */
struct api_reason {
	const char *name;
	int status; /* the usual one */
	const char *title;
};

extern const struct api_reason api_reasons[];

#endif
