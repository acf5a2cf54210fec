#include "admin/api/live_run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "admin/api/api_internal.h"
#include "admin/api/call_internal.h"
#include "admin/api/live_json.h"
#include "admin/api/live_page.h"
#include "base/clock.h"
#include "router/live.h"

/*
 * Whoever asks the workers is the call itself: it holds all there is to know of the question,
 * and lives until it is answered, also when its client has gone.
 */

/* ---- what is asked ---- */

static json_t *member(const json_t *request, const char *part, const char *name)
{
	return json_object_get(json_object_get(request, part), name);
}

static bool is_true(const json_t *request, const char *part, const char *name)
{
	return json_is_true(member(request, part, name));
}

/* False for null. */
static bool read_id(const json_t *value, struct uuid *out)
{
	return json_is_string(value) &&
		   uuid_parse(json_string_value(value), json_string_length(value), out);
}

/* Null, said to be, is no id; what is not said at all is not to be taken for null. */
static bool is_id_or_null(const json_t *value)
{
	struct uuid id;

	return json_is_null(value) || read_id(value, &id);
}

bool live_prepare(struct api_call *call, json_t *request, json_t *before)
{
	if (is_id_or_null(json_object_get(before, "home")) &&
		is_id_or_null(json_object_get(before, "tenant")) &&
		json_object_set(json_object_get(request, "more"), "live", before) == 0)
		return true;
	api_refuse(call, 500, "BH-API-INTERNAL", NULL, "it is not known who may see what");
	return false;
}

static json_t *scope_of(const json_t *request)
{
	return member(request, "more", "live");
}

/* All that the caller may touch, as far as the request does not name one tenant. */
static struct live_target target_of(const json_t *request, bool below)
{
	struct live_target target = {.below = below};

	target.has_within = read_id(json_object_get(scope_of(request), "home"), &target.within);
	target.has_tenant = read_id(json_object_get(scope_of(request), "tenant"), &target.tenant);
	return target;
}

static uint32_t pid_of(const json_t *request)
{
	return (uint32_t)json_integer_value(member(request, "path", "pid"));
}

static uint32_t state_of(const json_t *request)
{
	const char *word = json_string_value(member(request, "query", "state"));

	for (int i = 0; word && i < SESSION_STATES; i++) {
		if (strcmp(live_json_sessions[i], word) == 0)
			return (uint32_t)1 << i;
	}
	return 0;
}

static struct live_filter filter_of(const json_t *request)
{
	struct live_filter filter = {.whom =
									 target_of(request, is_true(request, "query", "subtree")),
								 .states = state_of(request)};
	const char *principal = json_string_value(member(request, "query", "principal"));
	const json_t *pinned = member(request, "query", "pinned");

	snprintf(filter.principal, sizeof filter.principal, "%s", principal ? principal : "");
	if (json_is_boolean(pinned))
		filter.pins = json_is_true(pinned) ? LIVE_PINNED : LIVE_NOT_PINNED;
	return filter;
}

/* ---- asking the workers ---- */

static void refuse_busy(struct api_call *call)
{
	api_refuse(call, 503, "BH-API-BUSY", NULL, "the workers cannot be asked now");
}

static void look(struct api_call *call, enum live_scope scope, const struct live_filter *filter,
				 live_answered answered)
{
	struct api *api = api_call_api(call);

	if (!live_look(api->live, scope, filter, api->mailbox, answered, call))
		refuse_busy(call);
}

static void order(struct api_call *call, enum live_verb verb, const struct live_target *target,
				  live_answered answered)
{
	struct api *api = api_call_api(call);

	if (!live_order(api->live, verb, target, api->mailbox, answered, call))
		refuse_busy(call);
}

/* Nobody waits for it any more: the API has ended while the workers were asked. */
static bool is_over(struct api_call *call, struct live_answer *answer)
{
	if (!api_call_api(call)->is_stopping)
		return false;
	live_answer_free(answer);
	return true;
}

/* Has every worker said what it has? If not, the call is refused, and all is freed. */
static bool is_whole(struct api_call *call, struct live_answer *answer)
{
	bool whole = answer != NULL;

	if (is_over(call, answer))
		return false;
	for (size_t i = 0; whole && i < answer->count; i++)
		whole = answer->views[i] != NULL;
	if (whole)
		return true;
	live_answer_free(answer);
	refuse_busy(call);
	return false;
}

/* ---- answers ---- */

#define INSTANCE_SIZE 300

static const char *instance(char out[INSTANCE_SIZE])
{
	char host[256] = "";

	gethostname(host, sizeof host - 1);
	snprintf(out, INSTANCE_SIZE, "%s:%ld", host, (long)getpid());
	return out;
}

static struct live_scene scene_of(struct api_call *call, char text[INSTANCE_SIZE])
{
	const json_t *home = json_object_get(scope_of(call->request), "home");

	return (struct live_scene){.conf = api_call_api(call)->conf,
							   .instance = instance(text),
							   .wall_ms = clock_wall_ms(),
							   .everything = json_is_null(home)};
}

/* NULL: memory is out. */
static void answer_or_fail(struct api_call *call, json_t *body)
{
	if (body)
		api_answer(call, 200, body);
	else
		api_refuse(call, 500, "BH-API-INTERNAL", NULL, "out of memory");
}

static void answer_page(struct api_call *call, struct live_page *page, live_page_shower show)
{
	char text[INSTANCE_SIZE];
	const struct live_scene scene = scene_of(call, text);

	answer_or_fail(call, live_page_json(page, &scene, show));
}

/* The place behind which the page begins, and how many it may have; false when the cursor is of
 * another list, and then the call is refused. */
static bool read_page(struct api_call *call, struct live_key *after, size_t *limit)
{
	const json_t *cursor = json_object_get(scope_of(call->request), "after");

	*limit = (size_t)json_integer_value(member(call->request, "query", "limit"));
	if (live_key_read(cursor, after))
		return true;
	api_refuse(call, 400, "BH-API-CURSOR", "query.cursor", "this is no cursor of this list");
	return false;
}

/* ---- sessions ---- */

static void list_sessions(struct api_call *call, struct live_filter filter,
						  live_answered answered)
{
	struct live_key after;
	size_t limit;

	if (!read_page(call, &after, &limit))
		return;
	if (after.first > 0)
		filter.after = after.first < UINT32_MAX ? (uint32_t)after.first : UINT32_MAX;
	filter.max = limit + 1;
	look(call, LIVE_ALL, &filter, answered);
}

static void answer_sessions(struct api_call *call, struct live_answer *answer,
							live_page_shower show)
{
	struct live_page page;
	struct live_key after;
	size_t limit;

	if (!is_whole(call, answer))
		return;
	if (read_page(call, &after, &limit)) {
		live_page_init(&page, &after, limit);
		for (size_t i = 0; i < answer->count; i++) {
			const struct live_view *view = answer->views[i];

			for (size_t at = 0; at < view->session_count; at++)
				live_page_add(&page, &(struct live_key){.first = view->sessions[at].pid},
							  &view->sessions[at], i);
		}
		answer_page(call, &page, show);
		live_page_fini(&page);
	}
	live_answer_free(answer);
}

static json_t *show_session(const struct live_scene *scene, const void *what, size_t worker)
{
	return live_json_session(scene, what, worker);
}

static json_t *show_pin(const struct live_scene *scene, const void *what, size_t worker)
{
	return live_json_pin(scene, what, worker);
}

static void on_sessions(void *asker, struct live_answer *answer)
{
	answer_sessions(asker, answer, show_session);
}

static void on_pins(void *asker, struct live_answer *answer)
{
	answer_sessions(asker, answer, show_pin);
}

void live_run_sessions(struct api_call *call, json_t *request)
{
	list_sessions(call, filter_of(request), on_sessions);
}

void live_run_pins(struct api_call *call, json_t *request)
{
	struct live_filter filter = filter_of(request);

	filter.pins = LIVE_PINNED;
	list_sessions(call, filter, on_pins);
}

/* ---- one session ---- */

static void refuse_session(struct api_call *call)
{
	api_refuse(call, 404, "BH-API-NOT-FOUND", "path.pid", "there is no session %u here",
			   (unsigned)pid_of(call->request));
}

static const struct live_session *only_session(const struct live_answer *answer, size_t *worker)
{
	for (*worker = 0; *worker < answer->count; ++*worker) {
		if (answer->views[*worker]->session_count)
			return answer->views[*worker]->sessions;
	}
	return NULL;
}

static void on_session(void *asker, struct live_answer *answer)
{
	struct api_call *call = asker;
	char text[INSTANCE_SIZE];
	size_t worker;

	if (!is_whole(call, answer))
		return;
	const struct live_scene scene = scene_of(call, text);
	const struct live_session *session = only_session(answer, &worker);
	if (session)
		answer_or_fail(call, live_json_session(&scene, session, worker));
	else
		refuse_session(call);
	live_answer_free(answer);
}

/* Whoever may not see it is told what is told of one that does not exist. */
static struct live_filter filter_of_one(const json_t *request)
{
	struct live_filter filter = {.whom = target_of(request, false), .max = 1};

	filter.whom.pid = pid_of(request);
	return filter;
}

void live_run_session(struct api_call *call, json_t *request)
{
	const struct live_filter filter = filter_of_one(request);

	look(call, LIVE_ALL, &filter, on_session);
}

/* ---- backends ---- */

static struct live_key key_of_backend(const struct live_backend *backend, size_t worker)
{
	return (struct live_key){.first = backend->opened_us, .second = (int64_t)worker};
}

static bool is_wanted(const json_t *request, const struct live_backend *backend)
{
	const char *word = json_string_value(member(request, "query", "state"));

	return !word || strcmp(word, live_json_backends[backend->state]) == 0;
}

static json_t *show_backend(const struct live_scene *scene, const void *what, size_t worker)
{
	return live_json_backend(scene, what, worker);
}

static void on_backends(void *asker, struct live_answer *answer)
{
	struct api_call *call = asker;
	struct live_page page;
	struct live_key after;
	size_t limit;

	if (!is_whole(call, answer))
		return;
	if (read_page(call, &after, &limit)) {
		live_page_init(&page, &after, limit);
		for (size_t i = 0; i < answer->count; i++) {
			const struct live_view *view = answer->views[i];

			for (size_t at = 0; at < view->backend_count; at++) {
				const struct live_key key = key_of_backend(&view->backends[at], i);

				if (is_wanted(call->request, &view->backends[at]))
					live_page_add(&page, &key, &view->backends[at], i);
			}
		}
		answer_page(call, &page, show_backend);
		live_page_fini(&page);
	}
	live_answer_free(answer);
}

void live_run_backends(struct api_call *call, json_t *request)
{
	const struct live_filter filter = {
		.whom = target_of(request, is_true(request, "query", "subtree"))};

	look(call, LIVE_BACKENDS, &filter, on_backends);
}

/* ---- pools ---- */

static json_t *show_pool(const struct live_scene *scene, const void *what, size_t worker)
{
	(void)worker;
	return live_json_pool(scene, what);
}

static void answer_pools(struct api_call *call, struct live_pool *pools, size_t count)
{
	struct live_page page;
	struct live_key after;
	size_t limit;

	if (!read_page(call, &after, &limit))
		return;
	live_page_init(&page, &after, limit);
	for (size_t i = 0; i < count; i++) {
		const struct live_key key = {.name = pools[i].cluster,
									 .first = pools[i].own_login,
									 .second = pools[i].own_database};

		live_page_add(&page, &key, &pools[i], 0);
	}
	answer_page(call, &page, show_pool);
	live_page_fini(&page);
}

static void on_pools(void *asker, struct live_answer *answer)
{
	struct api_call *call = asker;
	size_t count;

	if (!is_whole(call, answer))
		return;
	struct live_pool *pools = live_sum_pools(answer, false, &count);
	if (pools)
		answer_pools(call, pools, count);
	else
		answer_or_fail(call, NULL);
	free(pools);
	live_answer_free(answer);
}

void live_run_pools(struct api_call *call, json_t *request)
{
	(void)request;
	look(call, LIVE_COUNTS, NULL, on_pools);
}

/* ---- a tenant ---- */

/* By its path alone. */
static void read_path(const json_t *scope, struct tenant *out)
{
	const json_t *path = json_object_get(scope, "path");

	memset(out, 0, sizeof *out);
	for (size_t i = 0; i < json_array_size(path) && i < TENANT_DEPTH_MAX; i++) {
		if (read_id(json_array_get(path, i), &out->path[i]))
			out->depth++;
	}
}

static void on_tenant(void *asker, struct live_answer *answer)
{
	struct api_call *call = asker;
	char text[INSTANCE_SIZE];
	struct tenant tenant;

	if (!is_whole(call, answer))
		return;
	const struct live_scene scene = scene_of(call, text);
	read_path(scope_of(call->request), &tenant);
	answer_or_fail(call, live_json_counts(&scene, answer, &tenant));
	live_answer_free(answer);
}

void live_run_tenant(struct api_call *call, json_t *request)
{
	const struct live_filter filter = {
		.whom = target_of(request, is_true(request, "query", "subtree"))};

	look(call, LIVE_SESSIONS, &filter, on_tenant);
}

/* ---- orders ---- */

static void answer_order(struct api_call *call, size_t concerned)
{
	char text[INSTANCE_SIZE];

	answer_or_fail(call, json_pack("{s:I, s:o}", "concerned", (json_int_t)concerned, "instance",
								   live_json_text(instance(text))));
}

static void on_obeyed(void *asker, struct live_answer *answer)
{
	if (is_over(asker, answer))
		return;
	if (answer)
		answer_order(asker, answer->concerned);
	else
		refuse_busy(asker);
	live_answer_free(answer);
}

static void on_killed(void *asker, struct live_answer *answer)
{
	if (is_over(asker, answer))
		return;
	if (answer && !answer->concerned)
		refuse_session(asker);
	else if (answer)
		answer_order(asker, answer->concerned);
	else
		refuse_busy(asker);
	live_answer_free(answer);
}

void live_run_kill(struct api_call *call, json_t *request)
{
	const struct live_filter one = filter_of_one(request);

	order(call, LIVE_KILL, &one.whom, on_killed);
}

/* It had nothing under way, or is not there. */
static void on_not_cancelled(void *asker, struct live_answer *answer)
{
	size_t worker;

	if (!is_whole(asker, answer))
		return;
	if (only_session(answer, &worker))
		answer_order(asker, 0);
	else
		refuse_session(asker);
	live_answer_free(answer);
}

static void on_cancelled(void *asker, struct live_answer *answer)
{
	struct api_call *call = asker;

	if (is_over(call, answer))
		return;
	if (answer && !answer->concerned) {
		const struct live_filter one = filter_of_one(call->request);

		live_answer_free(answer);
		look(call, LIVE_SESSIONS, &one, on_not_cancelled);
		return;
	}
	on_obeyed(asker, answer);
}

void live_run_cancel(struct api_call *call, json_t *request)
{
	const struct live_filter one = filter_of_one(request);

	order(call, LIVE_CANCEL, &one.whom, on_cancelled);
}

static void order_tenant(struct api_call *call, const json_t *request, enum live_verb verb)
{
	const struct live_target target = target_of(request, is_true(request, "body", "subtree"));

	order(call, verb, &target, on_obeyed);
}

void live_run_kill_all(struct api_call *call, json_t *request)
{
	order_tenant(call, request, LIVE_KILL);
}

void live_run_pause(struct api_call *call, json_t *request)
{
	order_tenant(call, request, LIVE_PAUSE);
}

void live_run_unpause(struct api_call *call, json_t *request)
{
	order_tenant(call, request, LIVE_RESUME);
}

void live_run_reconnect(struct api_call *call, json_t *request)
{
	order_tenant(call, request, LIVE_RECONNECT);
}
