#include "admin/recorder.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "admin/store.h"
#include "base/clock.h"
#include "base/log.h"
#include "router/sightings.h"

#define INSTANCE_SIZE 65
#define REFUSED_US    60000000 /* until it is tried again: an older schema, say */

struct recorder {
	struct store *store;
	struct sightings *sightings;
	struct store_ask ask;
	char *text; /* what is to be recorded; NULL: nothing is */
	bool is_asking, was_refused;
	int64_t next_us;
	char instance[INSTANCE_SIZE];
	struct sighting taken[SIGHTINGS_MAX + 1];
};

struct recorder *recorder_create(struct store *store, struct sightings *sightings)
{
	struct recorder *recorder = calloc(1, sizeof *recorder);

	if (!recorder)
		return NULL;
	recorder->store = store;
	recorder->sightings = sightings;
	if (gethostname(recorder->instance, sizeof recorder->instance - 1) != 0)
		*recorder->instance = '\0';
	return recorder;
}

void recorder_destroy(struct recorder *recorder)
{
	if (recorder)
		free(recorder->text);
	free(recorder);
}

/* jansson takes no text that is not UTF-8: such a name is left out. */
static json_t *event_of(const struct recorder *recorder, const struct sighting *sighting)
{
	const struct sighting_key *key = &sighting->key;
	char tenant[UUID_TEXT_SIZE];

	uuid_text(&key->tenant, tenant);
	json_t *principal = *key->principal ? json_string(key->principal) : NULL;
	return json_pack(
		"{s:s, s:s*, s:o*, s:s*, s:I, s:I, s:I, s:s}", "kind", sighting_names[key->kind],
		"tenant", key->has_tenant ? tenant : NULL, "principal", principal, "reason",
		key->reason == SIGHTING_NO_REASON ? NULL : reason_code((enum reason)key->reason),
		"count", (json_int_t)sighting->count, "first_ms", (json_int_t)sighting->first_ms,
		"last_ms", (json_int_t)sighting->last_ms, "instance", recorder->instance);
}

static char *take_all(struct recorder *recorder)
{
	size_t count = sightings_take(recorder->sightings, recorder->taken);
	json_t *events = count ? json_array() : NULL;
	char *text;

	for (size_t i = 0; events && i < count; i++)
		json_array_append_new(events, event_of(recorder, &recorder->taken[i]));
	text = events ? json_dumps(events, JSON_COMPACT) : NULL;
	json_decref(events);
	return text;
}

static void note_refusal(struct recorder *recorder, const PGresult *result)
{
	const char *why = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);

	if (!recorder->was_refused)
		log_event(LOG_WARNING, "audit.events", "error", why, NULL);
	recorder->was_refused = true;
	/* What it cannot read it never will. */
	if (strncmp(PQresultErrorField(result, PG_DIAG_SQLSTATE), "22", 2) == 0) {
		free(recorder->text);
		recorder->text = NULL;
		return;
	}
	recorder->next_us = clock_monotonic_us() + REFUSED_US;
}

static void on_answered(struct store_ask *ask, const PGresult *result)
{
	struct recorder *recorder = list_entry(ask, struct recorder, ask);

	recorder->is_asking = false;
	if (!result)
		return;
	if (PQresultStatus(result) != PGRES_TUPLES_OK) {
		note_refusal(recorder, result);
		return;
	}
	recorder->was_refused = false;
	free(recorder->text);
	recorder->text = NULL;
}

void recorder_tick(struct recorder *recorder)
{
	static const char sql[] = "SELECT bulkhead_control.record_events($1::jsonb)";

	if (!recorder || recorder->is_asking || clock_monotonic_us() < recorder->next_us)
		return;
	if (!recorder->text)
		recorder->text = take_all(recorder);
	if (!recorder->text)
		return;
	recorder->ask = (struct store_ask){.sql = sql,
									   .param_count = 1,
									   .params = {recorder->text},
									   .once = true,
									   .answered = on_answered};
	recorder->is_asking = true;
	store_ask(recorder->store, &recorder->ask);
}
