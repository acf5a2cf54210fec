#include "admin/api/live_json.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/buf.h"
#include "base/utf8.h"

/* Words that need no quoting in a query: else those of the console. */
const char *const live_json_sessions[SESSION_STATES + 1] = {
	[SESSION_LOGIN] = "login",
	[SESSION_IDLE] = "idle",
	[SESSION_WAITING] = "waiting",
	[SESSION_ACTIVE] = "active",
	[SESSION_IDLE_IN_TRANSACTION] = "idle_in_transaction",
	[SESSION_LEAVING] = "leaving",
	[SESSION_CONSOLE] = "console",
};

const char *const live_json_backends[BACKEND_STATES + 1] = {
	[BACKEND_OPENING] = "opening",     [BACKEND_IDLE] = "idle",
	[BACKEND_PREPARING] = "preparing", [BACKEND_ACTIVE] = "active",
	[BACKEND_CLEANING] = "cleaning",   [BACKEND_HELD] = "held",
};

/* ---- values ---- */

#define REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */

/* An application_name is what a client sends, in whatever encoding, and cut short. */
static json_t *repaired(const char *text)
{
	json_t *value = NULL;
	struct buf out;
	bool ok = true;

	buf_init(&out);
	for (size_t left = strlen(text), step; ok && left; text += step, left -= step) {
		size_t valid = utf8_character(text, left);

		step = valid ? valid : 1;
		ok = valid ? buf_append(&out, text, valid)
				   : buf_append(&out, REPLACEMENT, sizeof REPLACEMENT - 1);
	}
	if (ok)
		value = json_stringn((const char *)buf_data(&out), buf_len(&out));
	buf_fini(&out);
	return value;
}

json_t *live_json_text(const char *text)
{
	if (!text)
		return json_null();
	json_t *value = json_string(text); /* NULL where it is no UTF-8 */
	return value ? value : repaired(text);
}

/* NULL and "" are both none. */
static json_t *text_or_null(const char *text)
{
	return live_json_text(text && *text ? text : NULL);
}

json_t *live_json_since(const struct live_scene *scene, int64_t ago_us)
{
	int64_t ms = scene->wall_ms - ago_us / 1000;
	time_t seconds = (time_t)(ms / 1000);
	char text[48];
	struct tm tm;

	gmtime_r(&seconds, &tm);
	size_t len = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(text + len, sizeof text - len, ".%03dZ", (int)(ms % 1000));
	return json_string(text);
}

static json_t *id_or_null(const struct uuid *id)
{
	char text[UUID_TEXT_SIZE];

	if (!id)
		return json_null();
	uuid_text(id, text);
	return json_string(text);
}

/* Process ids and ports: 0 is none. */
static json_t *number_or_null(uint32_t number)
{
	return number ? json_integer(number) : json_null();
}

/* Counters of very long lives stop at what a JSON number holds exactly. */
static json_t *count(uint64_t number)
{
	const uint64_t max = (uint64_t)1 << 53;

	return json_integer((json_int_t)(number < max ? number : max));
}

static json_t *tls(const char *version, const char *cipher)
{
	return version ? json_pack("{s:s, s:s?}", "version", version, "cipher", cipher)
				   : json_null();
}

/* Who it is: members that sessions, pins and backends share. */
static bool add_tenant(json_t *object, const struct tenant *tenant)
{
	return json_object_set_new(object, "tenant_id", id_or_null(tenant ? &tenant->id : NULL)) ==
			   0 &&
		   json_object_set_new(object, "tenant",
							   live_json_text(tenant ? tenant->slug : NULL)) == 0;
}

static bool add_place(json_t *object, const struct live_scene *scene, size_t worker)
{
	return json_object_set_new(object, "worker", json_integer((json_int_t)worker + 1)) == 0 &&
		   json_object_set_new(object, "instance", live_json_text(scene->instance)) == 0;
}

/* The object, or NULL and nothing left of it when something was missing. */
static json_t *complete(json_t *object, bool ok)
{
	if (ok)
		return object;
	json_decref(object);
	return NULL;
}

struct member {
	const char *name;
	json_t *value; /* taken over */
};

static bool add(json_t *object, const struct member *members, size_t n)
{
	bool ok = object != NULL;

	for (size_t i = 0; i < n; i++) {
		/* A NULL is refused, and what is not set is freed. */
		if (json_object_set_new(object, members[i].name, members[i].value) != 0)
			ok = false;
	}
	return ok;
}

#define ADD(object, members) add(object, members, sizeof(members) / sizeof *(members))

/* ---- sessions ---- */

/* What keeps its backend, or null. */
static json_t *pin(const struct live_scene *scene, const struct live_session *session)
{
	if (!*session->pin)
		return json_null();
	json_t *object = json_object();
	const struct member members[] = {
		{"cause", json_string(session->pin)},
		{"since", live_json_since(scene, session->pinned_us)},
		{"held_ms", json_integer(session->pinned_us / 1000)},
	};
	return complete(object, ADD(object, members));
}

static const char *principal_name(const struct live_session *session)
{
	return session->principal ? session->principal->name : NULL;
}

json_t *live_json_session(const struct live_scene *scene, const struct live_session *session,
						  size_t worker)
{
	const struct tenant *tenant = session->tenant;
	bool is_waiting = session->state == SESSION_WAITING;
	json_t *object = json_object();
	bool ok = object && json_object_set_new(object, "pid", json_integer(session->pid)) == 0 &&
			  add_tenant(object, tenant);
	const struct member members[] = {
		{"principal", live_json_text(principal_name(session))},
		{"cluster", live_json_text(tenant ? tenant->cluster : NULL)},
		{"state", json_string(live_json_sessions[session->state])},
		{"application_name", live_json_text(session->application_name)},
		{"address", text_or_null(session->address)},
		{"port", number_or_null(session->port)},
		{"tls", tls(session->tls_version, session->tls_cipher)},
		{"connected_at", live_json_since(scene, session->age_us)},
		{"age_ms", json_integer(session->age_us / 1000)},
		{"waited_ms", is_waiting ? json_integer(session->waited_us / 1000) : json_null()},
		{"prepared_statements", count(session->statements)},
		{"backend_pid", number_or_null(session->backend)},
		{"pin", pin(scene, session)},
	};
	ok = ADD(object, members) && ok;
	return complete(object, ok && add_place(object, scene, worker));
}

json_t *live_json_pin(const struct live_scene *scene, const struct live_session *session,
					  size_t worker)
{
	json_t *object = json_object();
	bool ok = object && json_object_set_new(object, "pid", json_integer(session->pid)) == 0 &&
			  add_tenant(object, session->tenant);
	const struct member members[] = {
		{"principal", live_json_text(principal_name(session))},
		{"state", json_string(live_json_sessions[session->state])},
		{"cause", json_string(session->pin)},
		{"since", live_json_since(scene, session->pinned_us)},
		{"held_ms", json_integer(session->pinned_us / 1000)},
		{"backend_pid", number_or_null(session->backend)},
	};
	ok = ADD(object, members) && ok;
	return complete(object, ok && add_place(object, scene, worker));
}

/* ---- backends and pools ---- */

static const struct conf_cluster *cluster_of(const struct live_scene *scene, const char *name)
{
	return scene->conf && name ? conf_find_cluster(scene->conf, name) : NULL;
}

json_t *live_json_backend(const struct live_scene *scene, const struct live_backend *backend,
						  size_t worker)
{
	const struct conf_cluster *cluster = cluster_of(scene, backend->cluster);
	const char *login = *backend->own ? backend->own : cluster ? cluster->login : NULL;
	const char *database = backend->own_database ? backend->own
						   : cluster             ? cluster->database
												 : NULL;
	bool all = scene->everything;
	json_t *object = json_object();
	bool ok = object && json_object_set_new(object, "pid", number_or_null(backend->pid)) == 0 &&
			  add_tenant(object, backend->tenant);
	const struct member members[] = {
		{"cluster", live_json_text(backend->cluster)},
		{"host", live_json_text(all ? backend->host : NULL)},
		{"port", all ? json_integer(backend->port) : json_null()},
		{"database", live_json_text(all ? database : NULL)},
		{"login", live_json_text(all ? login : NULL)},
		{"state", json_string(live_json_backends[backend->state])},
		{"session_pid", number_or_null(backend->session)},
		{"tls", tls(backend->tls_version, backend->tls_cipher)},
		{"opened_at", live_json_since(scene, backend->age_us)},
		{"age_ms", json_integer(backend->age_us / 1000)},
		{"leaving", json_boolean(backend->leaving)},
	};
	ok = ADD(object, members) && ok;
	return complete(object, ok && add_place(object, scene, worker));
}

static json_t *wait_of(const struct histogram *wait)
{
	json_t *object = json_object();
	const struct member members[] = {
		{"p50_us", count(histogram_quantile(wait, 0.5))},
		{"p99_us", count(histogram_quantile(wait, 0.99))},
		{"max_us", count(wait->max_us)},
	};

	return complete(object, ADD(object, members));
}

json_t *live_json_pool(const struct live_scene *scene, const struct live_pool *pool)
{
	const struct conf_cluster *cluster = cluster_of(scene, pool->cluster);
	json_t *object = json_object();
	const struct member members[] = {
		{"cluster", live_json_text(pool->cluster)},
		{"database", live_json_text(cluster && !pool->own_database ? cluster->database : NULL)},
		{"login", live_json_text(cluster && !pool->own_login ? cluster->login : NULL)},
		{"own_database", json_boolean(pool->own_database)},
		{"own_login", json_boolean(pool->own_login)},
		{"sessions", count(pool->sessions)},
		{"waiting", count(pool->waiting)},
		{"longest_wait_ms", json_integer(pool->longest_wait_us / 1000)},
		{"tenants", count(pool->tenants)},
		{"backends", count(pool->backends)},
		{"active", count(pool->active)},
		{"idle", count(pool->idle)},
		{"opening", count(pool->opening)},
		{"requests", count(pool->work.requests)},
		{"queries", count(pool->work.queries)},
		{"transactions", count(pool->work.transactions)},
		{"waited_us", count(pool->work.waited_us)},
		{"wait", wait_of(&pool->wait)},
		{"handovers", count(pool->handovers)},
		{"handover_failures", count(pool->handover_failures)},
		{"opened", count(pool->opened)},
		{"closed", count(pool->closed)},
		{"instance", live_json_text(scene->instance)},
	};

	return complete(object, ADD(object, members));
}

/* ---- a tenant's ---- */

static json_t *states_of(const size_t numbers[], const char *const names[], size_t n)
{
	json_t *object = json_object();
	bool ok = object != NULL;

	for (size_t i = 0; i < n; i++)
		ok = json_object_set_new(object, names[i], count(numbers[i])) == 0 && ok;
	return complete(object, ok);
}

/* Orders reach all workers: any one knows. */
static const struct live_view *any_view(const struct live_answer *answer)
{
	for (size_t i = 0; i < answer->count; i++) {
		if (answer->views[i])
			return answer->views[i];
	}
	return NULL;
}

json_t *live_json_counts(const struct live_scene *scene, const struct live_answer *answer,
						 const struct tenant *tenant)
{
	const struct live_view *any = any_view(answer);
	const struct live_pause *pause = any ? live_view_pause_of(any, tenant) : NULL;
	size_t sessions[SESSION_STATES] = {0}, backends[BACKEND_STATES] = {0}, pinned = 0;

	for (size_t i = 0; i < answer->count; i++) {
		const struct live_view *view = answer->views[i];

		for (size_t at = 0; view && at < SESSION_STATES; at++)
			sessions[at] += view->fitting[at];
		for (size_t at = 0; view && at < view->backend_count; at++)
			backends[view->backends[at].state]++;
		pinned += view ? view->fitting_pinned : 0;
	}
	json_t *object = json_object();
	const struct member members[] = {
		{"sessions", states_of(sessions, live_json_sessions, SESSION_STATES)},
		{"pinned", count(pinned)},
		{"backends", states_of(backends, live_json_backends, BACKEND_STATES)},
		{"paused", json_boolean(pause || (any && any->all_paused))},
		{"paused_by", id_or_null(pause ? &pause->tenant : NULL)},
		{"instance", live_json_text(scene->instance)},
	};
	return complete(object, ADD(object, members));
}
