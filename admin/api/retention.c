#include "admin/api/retention.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "admin/api/api_internal.h"
#include "admin/store.h"
#include "base/clock.h"
#include "base/log.h"

#define PERIOD_US INT64_C(86400000000)
#define DAY_MS    INT64_C(86400000)
#define MOST      5000 /* of one statement */
#define TEXT_(n)  #n
#define TEXT(n)   TEXT_(n)

struct retention {
	struct api *api;
	struct store_ask ask;
	char age[24]; /* milliseconds */
	bool is_asking;
	int64_t next_us; /* 0: at once */
	int64_t removed; /* in this round */
};

struct retention *retention_create(struct api *api)
{
	struct retention *retention = calloc(1, sizeof *retention);

	if (retention)
		retention->api = api;
	return retention;
}

void retention_destroy(struct retention *retention)
{
	free(retention);
}

static void ask(struct retention *retention);

static void end_round(struct retention *retention)
{
	char count[24];

	retention->next_us = clock_monotonic_us() + PERIOD_US;
	if (!retention->removed)
		return;
	snprintf(count, sizeof count, "%" PRId64, retention->removed);
	log_event(LOG_INFO, "audit.retention", "removed", count, NULL);
}

static void on_answered(struct store_ask *asked, const PGresult *result)
{
	struct retention *retention = list_entry(asked, struct retention, ask);

	retention->is_asking = false;
	if (retention->api->is_stopping)
		return;
	if (!result || PQresultStatus(result) != PGRES_TUPLES_OK) {
		log_event(LOG_WARNING, "audit.retention", "error",
				  result ? PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY)
						 : "the control database does not answer",
				  NULL);
		return; /* again at the next tick */
	}
	int64_t removed = strtoll(PQgetvalue(result, 0, 0), NULL, 10);
	retention->removed += removed;
	if (removed == MOST)
		ask(retention);
	else
		end_round(retention);
}

static void ask(struct retention *retention)
{
	static const char sql[] = "SELECT bulkhead_control.audit_prune(pg_catalog.now()"
							  " - $1::bigint * interval '1 ms', " TEXT(MOST) ")";
	int64_t age_ms = retention->api->conf->admin_audit_retention_ms;

	/* What is as young as that moment is not younger than a day when the database looks. */
	snprintf(retention->age, sizeof retention->age, "%" PRId64,
			 (age_ms < DAY_MS ? DAY_MS : age_ms) + 60000);
	retention->ask = (struct store_ask){.sql = sql,
										.param_count = 1,
										.params = {retention->age},
										.once = true,
										.answered = on_answered};
	retention->is_asking = true;
	store_ask(api_store(retention->api), &retention->ask);
}

void retention_tick(struct retention *retention)
{
	if (!retention || retention->is_asking || !retention->api->conf->admin_audit_retention_ms ||
		clock_monotonic_us() < retention->next_us)
		return;
	retention->removed = 0;
	ask(retention);
}
