#include "proxy/pins.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "policy/session.h"
#include "proxy/client.h"
#include "proxy/crew.h"
#include "proxy/pool.h"
#include "proxy/server.h"
#include "proxy/settings.h"
#include "proxy/wire.h"
#include "proxy/worker.h"

/* Settings of one transaction that are asked for by name; with more the backend is kept. */
#define TOUCHED_MAX_BYTES 4096

/* Who is pinned by one of these stays so, whatever the server would answer. */
#define PINS_LASTING (~(uint32_t)(PINS_ASKED | PIN_NATIVE | PIN_UNKNOWN))

const char *pin_name(uint32_t pins)
{
	static const struct {
		enum pin pin;
		const char *name;
	} names[] = {
		{PIN_MODE, "pool_mode"},
		{PIN_NATIVE, "prepared statements by name"},
		{PIN_STATEMENT, "long prepared statement"},
		{PIN_TEMP, "temporary objects"},
		{PIN_LISTEN, "LISTEN"},
		{PIN_CURSOR, "cursor WITH HOLD"},
		{PIN_PREPARED, "PREPARE"},
		{PIN_LOCK, "advisory lock"},
		{PIN_ROLE, "role"},
		{PIN_SETTING, "setting"},
		{PIN_SEED, "random seed"},
		{PIN_SEQUENCE, "value of a sequence"},
		{PIN_UNKNOWN, "not known"},
	};

	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		if (pins & names[i].pin)
			return names[i].name;
	}
	return NULL;
}

/* Counted are those that keep a backend for what they did, and not for pool_mode. */
static void count(struct client *client, uint32_t before, uint32_t pins)
{
	bool was = before & ~(uint32_t)PIN_MODE, is = pins & ~(uint32_t)PIN_MODE;

	if (client->pool_tenant && is && !was)
		pool_tenant_pin(client->pool_tenant, 1);
	else if (client->pool_tenant && was && !is)
		pool_tenant_pin(client->pool_tenant, -1);
}

static void hold(struct client *client, uint32_t pins)
{
	uint32_t before = client->pins.held;

	client->pins.held = pins;
	if (pins && !before)
		client->pins.since_us = clock_monotonic_us();
	count(client, before, pins);
	if (pins != before)
		log_event(LOG_DEBUG, pins ? "client.pinned" : "client.unpinned", "cause",
				  pin_name(pins ? pins : before), "tenant",
				  client->tenant ? client->tenant->slug : NULL, NULL);
}

void pins_add(struct client *client, enum pin pin)
{
	hold(client, client->pins.held | pin);
}

void pins_drop(struct client *client, uint32_t pins)
{
	hold(client, client->pins.held & ~pins);
}

static void forget_doubts(struct pins *pins)
{
	pins->failed = false;
	pins->doubts = pins->transactions = 0;
	buf_fini(&pins->touched);
}

/* Nothing is in doubt any more. */
static void be_sure(struct client *client)
{
	forget_doubts(&client->pins);
	pins_drop(client, PIN_UNKNOWN);
}

void pins_fini(struct client *client)
{
	forget_doubts(&client->pins);
	hold(client, 0);
}

bool pins_are_too_many(const struct client *client)
{
	int limit = client->worker->conf->max_tenant_pinned;

	return limit && client->pins.held & ~(uint32_t)PIN_MODE &&
		   atomic_load(&client->pool_tenant->common->pinned) > limit;
}

/* ---- what may have changed ---- */

static bool is_touched(const struct pins *pins, const char *name)
{
	struct buf *touched = (struct buf *)&pins->touched;
	const char *names = (const char *)buf_data(touched);

	for (size_t at = 0; at < buf_len(touched); at += strlen(names + at) + 1) {
		if (strcmp(names + at, name) == 0)
			return true;
	}
	return false;
}

bool pins_note_setting(struct client *client, const char *name)
{
	struct pins *pins = &client->pins;

	if (pins->held & PINS_LASTING)
		return true;
	switch (session_setting_kind(name)) {
	case SETTING_FOLLOWS:
	case SETTING_PARTIAL:
		break;
	case SETTING_ROLE:
		pins->doubts |= PIN_ROLE;
		return true;
	case SETTING_MOMENTARY:
		return true;
	case SETTING_ROUNDED:
		pins_add(client, PIN_SETTING);
		return true;
	}
	if (is_touched(pins, name))
		return true;
	if (buf_len(&pins->touched) + strlen(name) >= TOUCHED_MAX_BYTES) {
		pins_add(client, PIN_SETTING);
		return true;
	}
	return buf_append_cstr(&pins->touched, name);
}

/* A RESET ALL that may be rolled back: all that the client has set is in question. */
static bool note_all_settings(struct client *client)
{
	const struct settings *settings = client->settings;
	const char *at = settings->bytes, *end = at + settings->len;

	while (at < end) {
		if (!pins_note_setting(client, at))
			return false;
		at += strlen(at) + 1;
		at += strlen(at) + 1;
	}
	return true;
}

static bool note_settings(struct client *client, const struct verdict *verdict)
{
	for (uint32_t i = 0; i < verdict->setting_count; i++) {
		const struct sql_setting *setting = &verdict->settings[i];

		if (setting->how == SETTING_SET_LOCAL)
			continue;
		client->pins.failed |= setting->is_call;
		if (!pins_note_setting(client, setting->name))
			return false;
	}
	for (uint32_t i = 0; i < verdict->statement_count; i++) {
		if (verdict->statements[i].action == SQL_RESET_ALL && !note_all_settings(client))
			return false;
	}
	return true;
}

/* The pins that may come or go with these effects. */
static uint32_t pins_of(uint32_t effects)
{
	static const uint32_t map[][2] = {
		{EFFECT_TEMP, PIN_TEMP},      {EFFECT_LISTEN, PIN_LISTEN},
		{EFFECT_CURSOR, PIN_CURSOR},  {EFFECT_PREPARED, PIN_PREPARED},
		{EFFECT_LOCK, PIN_LOCK},      {EFFECT_ROLE, PIN_ROLE},
		{EFFECT_UNKNOWN, PINS_ASKED},
	};
	uint32_t pins = 0;

	for (size_t i = 0; i < sizeof map / sizeof *map; i++) {
		if (effects & map[i][0])
			pins |= map[i][1];
	}
	return pins;
}

/*
 * What a statement may leave that is to be noted when it is sent. Of those that reset the
 * session it is known what they do, once they are complete (names.c).
 */
static uint32_t effects_to_note(const struct sql_statement *statement)
{
	switch (statement->action) {
	case SQL_RESET_ALL:
		return statement->effects & ~(uint32_t)(EFFECT_SETTINGS | EFFECT_SEED);
	case SQL_DISCARD_ALL:
	case SQL_DISCARD:
		return statement->effects & ~(uint32_t)(EFFECT_SETTINGS | EFFECT_SEED |
												EFFECT_SEES_SEQUENCE | EFFECT_SEES_PREPARED);
	default:
		return statement->effects;
	}
}

uint32_t pins_effects(const struct verdict *verdict)
{
	uint32_t effects = 0;

	/* A text that was not read has all effects, but most likely none of those that last. */
	if (verdict->reading != SQL_READ)
		return EFFECT_UNKNOWN;
	for (uint32_t i = 0; i < verdict->statement_count; i++)
		effects |= effects_to_note(&verdict->statements[i]);
	return effects;
}

bool pins_note(struct client *client, const struct verdict *verdict)
{
	if (!verdict->effects || client->pins.held & PINS_LASTING)
		return true;
	uint32_t effects = pins_effects(verdict);

	client->pins.doubts |= pins_of(effects);
	if (effects & EFFECT_SETTINGS)
		pins_add(client, PIN_SETTING);
	if (effects & EFFECT_SEED)
		pins_add(client, PIN_SEED);
	if (effects & EFFECT_SEES_SEQUENCE)
		pins_add(client, PIN_SEQUENCE);
	return note_settings(client, verdict);
}

/* ---- what has changed ---- */

/* Takes a set, with its reference, for the client; its backend has the same. */
static bool take_settings(struct client *client, const struct settings *settings)
{
	if (!settings)
		return false;
	settings_unref(client->settings);
	client->settings = settings;
	if (client->server) {
		settings_unref(client->server->settings);
		client->server->settings = settings_ref(settings);
	}
	return true;
}

static bool set(struct client *client, const char *name, const char *value)
{
	const char *now = settings_get(client->settings, name);

	if (now && value && strcmp(now, value) == 0)
		return true;
	if (!value && strcmp(name, "application_name") == 0)
		value = "";
	return take_settings(client, settings_with(client->settings, name, value));
}

/* Is this the one setting that is in doubt? */
static bool is_only_doubt(struct pins *pins, const char *name)
{
	return buf_len(&pins->touched) == strlen(name) + 1 && is_touched(pins, name);
}

bool pins_settle(struct client *client, const struct sql_statement *statement)
{
	const char *value = statement->value;

	if (client->pins.held & PINS_LASTING || client->pins.doubts)
		return false;
	switch (statement->action) {
	case SQL_SET:
		if (statement->effects != EFFECT_SETTING || statement->is_local || !value ||
			session_setting_kind(statement->name) != SETTING_FOLLOWS)
			return false;
		break;
	case SQL_RESET:
		value = settings_get(client->startup_settings, statement->name);
		break;
	case SQL_RESET_ALL:
		be_sure(client);
		return take_settings(client, settings_ref(client->startup_settings));
	default:
		return false;
	}
	if (!is_only_doubt(&client->pins, statement->name) || !set(client, statement->name, value))
		return false;
	be_sure(client);
	return true;
}

/* As when the client's own statement_timeout hits the question. */
void pins_not_known(struct client *client)
{
	client->pins.transactions = client->server->idle_readies + 1;
	pins_add(client, PIN_UNKNOWN);
}

bool pins_are_to_be_asked(const struct client *client)
{
	return pins_are_in_doubt(&client->pins) &&
		   client->pins.transactions != client->server->idle_readies + 1;
}

void pins_settings_reset(struct client *client)
{
	buf_fini(&client->pins.touched);
	if (!client->pins.doubts)
		be_sure(client);
	settings_unref(client->settings);
	client->settings = settings_ref(client->startup_settings);
}

void pins_discarded(struct client *client)
{
	forget_doubts(&client->pins);
	hold(client, client->pins.held & PIN_MODE);
}

/* ---- asking ---- */

bool pins_append_question(const struct client *client, struct buf *out)
{
	struct buf *touched = (struct buf *)&client->pins.touched;
	struct buf sql;

	buf_init(&sql);
	bool ok = session_append_question(&sql, client->pins.doubts, client->pins.failed,
									  pool_is_guarded(client->pool),
									  (const char *)buf_data(touched), buf_len(touched)) &&
			  buf_append_byte(&sql, 0) && wire_query(out, (const char *)buf_data(&sql));
	buf_fini(&sql);
	return ok;
}

/* The next value of the answer as text; NULL for NULL. */
static bool take_text(const uint8_t *body, size_t len, size_t *at, char **text)
{
	const uint8_t *value;
	size_t size;

	*text = NULL;
	if (!wire_value(body, len, at, &value, &size))
		return false;
	*text = value ? strndup((const char *)value, size) : NULL;
	return !value || *text;
}

static bool take_value(struct client *client, const char *name, const uint8_t *body, size_t len,
					   size_t *at)
{
	char *value;
	bool ok = take_text(body, len, at, &value);

	/* More settings than can be followed keep the backend. */
	if (ok && !set(client, name, value))
		pins_add(client, PIN_SETTING);
	free(value);
	return ok;
}

bool pins_take_answer(struct client *client, const uint8_t *body, size_t len)
{
	struct pins *pins = &client->pins;
	const char *names = (const char *)buf_data(&pins->touched);
	size_t at = 2;
	char *state;

	if (!take_text(body, len, &at, &state) || !state)
		return false;
	uint32_t found = (uint32_t)strtoul(state, NULL, 10);
	free(state);
	for (size_t i = 0; i < buf_len(&pins->touched); i += strlen(names + i) + 1) {
		if (!take_value(client, names + i, body, len, &at))
			return false;
	}
	if (at != len)
		return false;
	hold(client, (pins->held & ~pins->doubts) | (found & pins->doubts));
	/* The statements under its own names are all that is left of a PREPARE that is gone. */
	if (pins->doubts & PIN_PREPARED && (pins->held & ~(uint32_t)PIN_UNKNOWN) == PIN_NATIVE) {
		client->server->needs_discard = true;
		statements_own(&client->statements);
		hold(client, pins->held & PIN_UNKNOWN);
	}
	be_sure(client);
	return true;
}
