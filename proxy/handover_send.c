/* What a hand-over sends: see handover.c. */
#include "base/clock.h"
#include "conf/conf.h"
#include "policy/session.h"
#include "proxy/handover_internal.h"
#include "proxy/settings.h"
#include "proxy/wire.h"
#include "proxy/worker.h"

/* There is no such savepoint. */
static const char fail_sql[] = "ROLLBACK TO SAVEPOINT \"bulkhead: cancelled\"";

static bool append_enter(struct server *server, struct buf *out)
{
	const struct conf *conf = server->worker->conf;
	const struct tenant *tenant = server->client->tenant;
	int64_t expires =
		clock_wall_ms() + server->guard.clock_offset_ms + conf->guard_token_lifetime_ms;
	struct guard_enter enter;

	if (!guard_enter_init(&enter, server->worker->keyring, &server->guard,
						  pool_database(server->pool), (int)server->pid, &tenant->id,
						  tenant->key, expires))
		return false;
	bool ok = wire_execute(out, guard_enter_sql, (const char *const *)enter.values,
						   GUARD_ENTER_PARAMS);
	guard_enter_fini(&enter);
	return ok;
}

/* A Query is read in one encoding from beginning to end: where values are not ASCII, that is
 * set in one of its own. */
static bool append_encoding(struct server *server, struct buf *out)
{
	const struct settings *to = server->client->settings;
	const char *encoding = to->is_plain ? NULL : settings_get(to, "client_encoding");
	struct buf sql;

	if (!encoding)
		return true;
	buf_init(&sql);
	bool ok = session_append_set(&sql, "client_encoding", encoding, false) &&
			  buf_append_byte(&sql, 0) && wire_query(out, (const char *)buf_data(&sql));
	buf_fini(&sql);
	handover_add_step(server, STEP_SETTINGS);
	return ok;
}

static bool append_settings(struct server *server, struct buf *out)
{
	const struct settings *from = server->settings;
	struct buf sql;

	if (!append_encoding(server, out))
		return false;
	handover_add_step(server, STEP_SETTINGS);
	buf_init(&sql);
	bool ok = settings_append_change(&sql, from, server->client->settings,
									 pool_is_guarded(server->pool)) &&
			  buf_append_byte(&sql, 0) && wire_query(out, (const char *)buf_data(&sql));
	buf_fini(&sql);
	return ok;
}

/*
 * Appends the exchanges that are due. Values that could be read in two ways (other than plain
 * ASCII) wait until the backend is known to be clean: behind a DISCARD ALL that failed they
 * would be read under an earlier client's encoding.
 */
bool handover_append_due(struct server *server, struct buf *out)
{
	const struct client *client = server->client;
	bool fresh = false;

	if (handover_needs_discard(server)) {
		if (!wire_query(out, server->worker->conf->discard_plans ? guard_clear_sql
																 : guard_clear_but_plans_sql))
			return false;
		handover_add_step(server, STEP_DISCARD);
		fresh = true;
	}
	if (handover_needs_enter(server)) {
		if (!append_enter(server, out))
			return false;
		handover_add_step(server, STEP_ENTER);
		if (fresh && !client->settings->is_plain)
			return true;
	}
	if (fresh) {
		settings_unref(server->settings);
		server->settings = NULL;
	}
	if (handover_needs_settings(server)) {
		if (!append_settings(server, out))
			return false;
		if (!client->settings->is_plain)
			return true;
	}
	for (size_t i = server->begun; i < client->held_count; i++) {
		if (!wire_query(out, client->held[i]))
			return false;
		handover_add_step(server, STEP_BEGIN);
	}
	if (client->has_failed && server->status != 'E') {
		handover_add_step(server, STEP_FAIL);
		return wire_query(out, fail_sql);
	}
	return true;
}
