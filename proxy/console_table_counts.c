/* Tables of the console: what is counted by tenant or principal. */
#include <stdlib.h>
#include <string.h>

#include "proxy/console_table.h"
#include "proxy/limits.h"

#define GATHER_SLICE 1000 /* sessions that are counted at one turn */

struct group {
	char *key;
	const struct tenant *tenant;       /* the answer's */
	const struct principal *principal; /* the same */
	struct uuid id;
	size_t sessions, waiting, pinned, active, idle;
	bool paused;
	UT_hash_handle hh;
};

/* The group of that key, made when it is missing; NULL when memory is out. */
static struct group *group_of(struct console_rows *rows, const void *key, size_t len)
{
	struct group *group;

	HASH_FIND(hh, rows->groups, key, len, group);
	if (group)
		return group;
	group = calloc(1, sizeof *group);
	if (group)
		group->key = malloc(len + 1);
	if (group && group->key) {
		memcpy(group->key, key, len);
		HASH_ADD_KEYPTR(hh, rows->groups, group->key, len, group);
		if (group->hh.tbl)
			return group;
	}
	if (group)
		free(group->key);
	free(group);
	rows->failed = true;
	return NULL;
}

static struct group *group_of_tenant(struct console_rows *rows, const struct tenant *tenant)
{
	struct group *group = group_of(rows, &tenant->id, sizeof tenant->id);

	if (group) {
		/* A backend may be in the context of a tenant that has changed since. */
		if (!group->tenant || group->tenant->moment < tenant->moment)
			group->tenant = tenant;
		group->id = tenant->id;
	}
	return group;
}

/* Counts what a slice of sessions has; true when none is left. */
static bool count_sessions(struct console_rows *rows)
{
	for (int i = 0; i < GATHER_SLICE && !rows->failed; i++) {
		const struct live_session *session = next_session(rows);
		struct group *group;

		if (!session)
			return true;
		if (!session->tenant || !(group = group_of_tenant(rows, session->tenant)))
			continue;
		group->sessions++;
		group->waiting += session->state == SESSION_WAITING;
		group->pinned += *session->pin != '\0';
	}
	return rows->failed;
}

static void count_backends(struct console_rows *rows)
{
	const struct live_backend *backend;

	while ((backend = next_backend(rows)) != NULL) {
		struct group *group = backend->tenant ? group_of_tenant(rows, backend->tenant) : NULL;

		if (!group)
			continue;
		group->active += backend->state != BACKEND_IDLE;
		group->idle += backend->state == BACKEND_IDLE;
	}
}

/* Also those that have no session here. */
static void note_paused(struct console_rows *rows)
{
	for (size_t i = 0; i < rows->answer->count; i++) {
		const struct live_view *view = rows->answer->views[i];

		for (size_t j = 0; j < view->paused_count; j++) {
			const struct uuid *id = &view->paused[j].tenant;
			struct group *group = group_of(rows, id, sizeof *id);

			if (!group)
				return;
			group->id = *id;
			group->paused = true;
		}
	}
}

static bool gather_tenants(struct console_rows *rows)
{
	if (!count_sessions(rows))
		return false;
	rows->view = rows->at = 0;
	count_backends(rows);
	note_paused(rows);
	rows->group = rows->groups;
	return true;
}

/* By an order for it, or for one above it and all below. */
static bool is_paused(const struct console_rows *rows, const struct group *group)
{
	return group->paused || all_paused(rows) ||
		   (group->tenant && live_view_pause_of(rows->answer->views[0], group->tenant));
}

static const struct console_column tenant_columns[] = {
	{"tenant", CELL_TEXT},
	{"tenant_id", CELL_TEXT},
	{"cluster", CELL_TEXT},
	{"sessions", CELL_INT8},
	{"cl_waiting", CELL_INT8},
	{"sv_active", CELL_INT8},
	{"sv_idle", CELL_INT8},
	{"pinned", CELL_INT8},
	{"weight", CELL_INT8},
	{"paused", CELL_INT8},
	{"max_connections", CELL_INT8},
	{"pool_size", CELL_INT8},
	{"statement_timeout", CELL_INT8},
	{"rate_limit", CELL_INT8},
};

/* NULL: there is none, or it is not known. */
static void cell_limit(struct row *row, bool is_known, int64_t limit)
{
	if (is_known)
		cell_int(row, limit);
	else
		cell_text(row, NULL);
}

/* What holds for it here, of the settings' file and its own; times in milliseconds. */
static void cell_limits(const struct console_rows *rows, const struct tenant *tenant,
						struct row *row)
{
	static const struct tenant_limits nothing;
	const struct tenant_limits *own = tenant ? &tenant->limits : &nothing;
	const struct conf *conf = rows->conf;
	int64_t connections =
		limits_stricter(conf->max_tenant_client_connections, own->max_connections);
	int64_t backends = limits_stricter(conf->max_tenant_connections, own->pool_size);
	int64_t timeout_ms = limits_stricter(conf->query_timeout_ms, own->statement_timeout_ms);
	bool is_closed = own->has_max_connections && !own->max_connections;

	cell_limit(row, tenant && (connections || is_closed), is_closed ? 0 : connections);
	cell_limit(row, tenant && backends, backends);
	cell_limit(row, tenant && timeout_ms, timeout_ms);
	cell_limit(row, own->rate_limit != 0, own->rate_limit);
}

static bool next_tenant(struct console_rows *rows, struct row *row)
{
	const struct group *group = rows->group;

	if (!group)
		return false;
	rows->group = group->hh.next;
	cell_text(row, group->tenant ? group->tenant->slug : NULL);
	cell_id(row, &group->id);
	cell_text(row, group->tenant ? group->tenant->cluster : NULL);
	cell_count(row, group->sessions);
	cell_count(row, group->waiting);
	cell_count(row, group->active);
	cell_count(row, group->idle);
	cell_count(row, group->pinned);
	if (group->tenant)
		cell_int(row, group->tenant->pool_weight);
	else
		cell_text(row, NULL);
	cell_int(row, is_paused(rows, group));
	cell_limits(rows, group->tenant, row);
	return true;
}

static bool gather_users(struct console_rows *rows)
{
	for (int i = 0; i < GATHER_SLICE && !rows->failed; i++) {
		const struct live_session *session = next_session(rows);

		if (!session) {
			rows->group = rows->groups;
			return true;
		}
		const struct principal *principal = session->principal;
		/* Who logs in has not shown yet that it is this principal. */
		if (!principal || session->state == SESSION_LOGIN)
			continue;
		struct group *group = group_of(rows, principal->name, strlen(principal->name));
		if (group) {
			group->principal = principal;
			group->sessions++;
		}
	}
	return rows->failed;
}

static const struct console_column user_columns[] = {
	{"name", CELL_TEXT},
	{"pool_mode", CELL_TEXT},
	{"max_user_client_connections", CELL_INT8},
	{"current_client_connections", CELL_INT8},
	{"reach", CELL_TEXT},
	{"home_id", CELL_TEXT},
};

static bool next_user(struct console_rows *rows, struct row *row)
{
	static const char *const reaches[] = {
		[REACH_SELF] = "self", [REACH_SUBTREE] = "subtree", [REACH_ALL] = "all"};
	const struct group *group = rows->group;

	if (!group)
		return false;
	rows->group = group->hh.next;
	cell_text(row, group->principal->name);
	cell_text(row, pool_mode_name(rows));
	cell_int(row, limits_of_principal(rows->conf, group->principal));
	cell_count(row, group->sessions);
	cell_text(row, reaches[group->principal->reach]);
	cell_id(row, &group->principal->home);
	return true;
}

const struct console_table console_tenants = {COLUMNS(tenant_columns), true, LIVE_SESSIONS,
											  gather_tenants, next_tenant};

const struct console_table console_users = {COLUMNS(user_columns), true, LIVE_SESSIONS,
											gather_users, next_user};

void console_groups_fini(struct console_rows *rows)
{
	struct group *group, *next;

	HASH_ITER (hh, rows->groups, group, next) {
		HASH_DEL(rows->groups, group);
		free(group->key);
		free(group);
	}
}
