#include "proxy/gatekeeper.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "conf/conf.h"
#include "proxy/client.h"
#include "proxy/client_log.h"
#include "proxy/pins.h"
#include "proxy/seen.h"
#include "proxy/server.h"
#include "proxy/settings.h"
#include "proxy/startup.h"
#include "proxy/wire.h"
#include "proxy/worker.h"

#define LINES_PER_SECOND 20 /* of refusals, per worker */

/* ---- settings ---- */

bool gatekeeper_take_settings(struct worker *worker, const struct conf *conf)
{
	struct gate_settings settings;
	char *unknown;

	if (!gate_settings_init(&settings, (enum gate_mode)conf->gate_mode, conf->gate_exceptions,
							conf->gate_schemas, conf->gate_protected_settings, &unknown)) {
		log_event(LOG_ERROR, "gate.settings", "problem",
				  unknown ? "[gate] exceptions names a rule that does not exist"
						  : "out of memory",
				  "rule", unknown, NULL);
		free(unknown);
		return false;
	}
	gatekeeper_fini(&worker->gatekeeper);
	worker->gatekeeper.settings = settings;
	return true;
}

void gatekeeper_fini(struct gatekeeper *gatekeeper)
{
	gate_settings_fini(&gatekeeper->settings);
}

/* ---- transactions that may not write ---- */

#define READ_ONLY_SETTING "default_transaction_read_only"

static bool replace(const struct settings **settings, const char *value)
{
	const struct settings *other = settings_with(*settings, READ_ONLY_SETTING, value);

	if (!other)
		return false;
	settings_unref(*settings);
	*settings = other;
	return true;
}

bool gatekeeper_settle_read_only(struct client *client)
{
	bool must = client->gate.mode == GATE_ENFORCE && client->tenant->permissions.is_read_only;
	const char *own;

	if (must == (client->given_settings != NULL))
		return true;
	client->settings_are_ordered = client->server != NULL;
	if (must) {
		client->given_settings = settings_ref(client->startup_settings);
		return local_hold_read_only(client) && replace(&client->startup_settings, "on") &&
			   replace(&client->settings, "on");
	}
	own = settings_get(client->given_settings, READ_ONLY_SETTING);
	if (!replace(&client->startup_settings, own) || !replace(&client->settings, own))
		return false;
	settings_unref(client->given_settings);
	client->given_settings = NULL;
	return true;
}

void gatekeeper_renew(struct client *client)
{
	gate_init(&client->gate, tenant_place(client->tenant->strategy), &client->tenant->id,
			  &client->worker->gatekeeper.settings, &client->tenant->permissions);
	if (client->tenant->limits.rate_limit)
		gate_count(&client->gate);
	client->gate_version++;
	if (!client->settings)
		return;
	if (!gatekeeper_settle_read_only(client))
		client_fatal(client, REASON_MEMORY, NULL);
	else if (client->settings_are_ordered && client->server)
		relay_settle(client->server);
}

/* ---- refusing ---- */

/* At most so many lines a second; the first one after that says how many are missing. */
static bool may_log(struct gatekeeper *gatekeeper, uint64_t *missed)
{
	int64_t second = clock_monotonic_us() / 1000000;

	*missed = 0;
	if (second != gatekeeper->second) {
		*missed = gatekeeper->suppressed;
		gatekeeper->second = second;
		gatekeeper->lines = 0;
		gatekeeper->suppressed = 0;
	}
	if (gatekeeper->lines++ < LINES_PER_SECOND)
		return true;
	gatekeeper->suppressed++;
	return false;
}

static void log_statement(struct client *client, const char *event,
						  const struct gate_refusal *refusal)
{
	uint64_t missed;

	if (!may_log(&client->worker->gatekeeper, &missed))
		return;
	if (missed)
		log_message(LOG_INFO, "statement.not_logged", "%" PRIu64 " more were refused", missed);
	client_log_statement(client, event, reason_code(refusal->reason), refusal->what,
						 refusal->name);
}

static void note_refused(struct client *client, const struct gate_refusal *refusal)
{
	client->worker->counters.statements_refused[refusal->reason]++;
	seen_statement(client, refusal->reason);
	log_statement(client, "statement.refused", refusal);
}

static void report(struct client *client, const struct gate_refusal *refusal)
{
	if (client->gate.mode != GATE_OBSERVE) {
		note_refused(client, refusal);
		return;
	}
	client->worker->counters.statements_observed[refusal->reason]++;
	log_statement(client, "statement.observed", refusal);
}

void gatekeeper_note_refused(struct client *client, enum reason reason, const char *what)
{
	note_refused(client, &(struct gate_refusal){.reason = reason, .what = what});
}

void gatekeeper_note_cancelled(struct client *client, enum reason reason, const char *what)
{
	client->worker->counters.statements_cancelled[reason]++;
	log_statement(client, "statement.cancelled",
				  &(struct gate_refusal){.reason = reason, .what = what});
}

/* Of a text that is no SQL the client is told what the server itself would say. */
static struct wire_error error_of(const struct gate_refusal *refusal,
								  const struct verdict *verdict)
{
	struct wire_error error = {
		.severity = "ERROR",
		.sqlstate = reason_sqlstate(refusal->reason),
		.message = refusal->message,
		.hint = refusal->hint,
	};

	if (refusal->reason == REASON_STMT_UNREADABLE && verdict->error) {
		error.message = verdict->error;
		error.hint = NULL;
		error.position = verdict->error_position;
	}
	return error;
}

static void write_error(const struct gate_refusal *refusal, const struct verdict *verdict,
						struct buf *error)
{
	const struct wire_error what = error_of(refusal, verdict);
	struct buf detail;

	buf_init(&detail);
	if (!buf_appendf(&detail, "reason=%s %s", reason_code(refusal->reason), refusal->what) ||
		(refusal->name &&
		 !buf_appendf(&detail, " name=%s%s%s", refusal->schema ? refusal->schema : "",
					  refusal->schema ? "." : "", refusal->name)) ||
		!buf_append_byte(&detail, 0) ||
		!wire_error_full(error, &what, (const char *)buf_data(&detail)))
		buf_fini(error);
	buf_fini(&detail);
}

static bool has_temporary(const struct client *client)
{
	return (client->pins.held | client->pins.doubts) & PIN_TEMP;
}

bool gatekeeper_lets_pass(struct client *client, const struct verdict *verdict,
						  struct buf *error)
{
	struct gate_refusal refusal;

	if (gate_passes(&client->gate, verdict->needs, verdict->rules) ||
		!gate_judge(&client->gate, verdict, has_temporary(client), &refusal))
		return true;
	report(client, &refusal);
	if (client->gate.mode == GATE_OBSERVE)
		return true;
	write_error(&refusal, verdict, error);
	return false;
}

bool gatekeeper_lets_begin(struct client *client, const struct startup_setting *settings,
						   size_t count, struct gate_refusal *refusal)
{
	for (size_t i = 0; i < count; i++) {
		if (!gate_judge_setting(&client->gate, settings[i].name, settings[i].value, refusal))
			continue;
		report(client, refusal);
		if (client->gate.mode != GATE_OBSERVE)
			return false;
	}
	return true;
}

/* ---- SQL's PREPARE ---- */

/* Nothing has changed since it was judged, or nothing that it needed has been taken away. */
static bool is_as_prepared(const struct client *client)
{
	const uint32_t looks = GATE_NEEDS_SETTINGS | GATE_NEEDS_TEMP_OR_DDL | GATE_NEEDS_COUNTING;

	return client->prepared_version == client->gate_version ||
		   gate_passes(&client->gate, client->prepared_needs & ~looks,
					   client->prepared_rules & ~RULE_BIT(RULE_DDL_OR_TEMPORARY));
}

/* That this one may run says nothing of those before it. */
void gatekeeper_note_prepare(struct client *client, const struct verdict *verdict)
{
	if (is_as_prepared(client))
		client->prepared_version = client->gate_version;
	client->prepared_needs |= verdict->needs;
	client->prepared_rules |= gate_hits(&client->gate, verdict);
}

void gatekeeper_forget_prepared(struct client *client)
{
	client->prepared_needs = 0;
	client->prepared_rules = 0;
}

bool gatekeeper_lets_execute(struct client *client, struct buf *error)
{
	const struct gate_refusal refusal = {.reason = REASON_PERM_STALE,
										 .message = reason_message(REASON_PERM_STALE),
										 .what = "execute"};

	if (is_as_prepared(client))
		return true;
	report(client, &refusal);
	if (client->gate.mode == GATE_OBSERVE)
		return true;
	write_error(&refusal, NULL, error);
	return false;
}
