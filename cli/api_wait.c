/* --wait: what a request begins is done by a job, which is asked for until it has ended. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/api_run.h"
#include "cli/print.h"

/* Pauses between two looks; they double. */
#define FIRST_PAUSE_MS 100
#define PAUSE_MAX_MS   2000

/* The answer is a job, or has one; -1: nothing is to be waited for. */
static json_int_t job_of(const struct api_run *run, const json_t *answer)
{
	const json_t *job =
		json_object_get(answer, run->grammar->route->status == 202 ? "id" : "job");

	if (!json_is_integer(job))
		job = json_object_get(answer, "job");
	return json_is_integer(job) ? json_integer_value(job) : -1;
}

/* Asks until it has ended. False, with the reason printed, when it failed or cannot be asked
 * for. */
static bool follow(struct api_run *run, json_int_t job, struct api_reply *reply)
{
	char path[64];

	snprintf(path, sizeof path, "/v1/jobs/%" JSON_INTEGER_FORMAT, job);
	for (long pause = FIRST_PAUSE_MS;;
		 pause = pause * 2 > PAUSE_MAX_MS ? PAUSE_MAX_MS : pause * 2) {
		bool got = api_run_get(run, path, reply);
		const char *state = json_string_value(json_object_get(reply->json, "state"));
		const char *error = json_string_value(json_object_get(reply->json, "error"));

		if (!got || !state)
			return false;
		if (strcmp(state, "done") == 0)
			return true;
		if (strcmp(state, "failed") == 0) {
			print_complaint("job %" JSON_INTEGER_FORMAT " failed%s%s", job, error ? ": " : "",
							error ? error : "; see bulkhead job show");
			return false;
		}
		api_reply_fini(reply);
		struct timespec rest = {.tv_sec = pause / 1000, .tv_nsec = pause % 1000 * 1000000};
		nanosleep(&rest, NULL);
	}
}

/* The tenant as it is now. */
static bool read_again(struct api_run *run, struct api_reply *reply)
{
	const char *id = json_string_value(json_object_get(reply->json, "id"));
	struct api_reply now = {.status = 0};
	char *path = NULL;
	bool got = id && asprintf(&path, "/v1/tenants/%s", id) >= 0 && api_run_get(run, path, &now);

	if (got) {
		struct api_reply before = *reply;

		*reply = now;
		now = before;
	}
	api_reply_fini(&now);
	free(path);
	return got;
}

bool api_wait(struct api_run *run, struct api_reply *reply)
{
	json_int_t job = job_of(run, reply->json);
	struct api_reply last = {.status = 0};
	bool done = job < 0 || follow(run, job, &last);

	if (done && job >= 0 && run->grammar->route->status == 202) {
		struct api_reply before = *reply;

		*reply = last;
		last = before;
	} else if (done && job >= 0) {
		done = read_again(run, reply);
	}
	api_reply_fini(&last);
	return done;
}
