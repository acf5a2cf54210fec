/* bulkhead tenant create. */
#include <strings.h>

#include "admin/job.h"
#include "base/clock.h"
#include "base/secret.h"
#include "cli/control_db.h"
#include "cli/job_wait.h"
#include "cli/print.h"
#include "cli/tenant.h"

/* UUID version 7 (RFC 9562): milliseconds since the epoch, then random bits, so that ids sort
 * by age. */
static void draw_id(char out[UUID_TEXT_SIZE])
{
	struct uuid id;
	uint64_t now = (uint64_t)clock_wall_ms();

	secret_random(id.b, sizeof id.b);
	for (int i = 0; i < 6; i++)
		id.b[i] = (uint8_t)(now >> (40 - 8 * i));
	id.b[6] = (uint8_t)(0x70 | (id.b[6] & 0x0f));
	id.b[8] = (uint8_t)(0x80 | (id.b[8] & 0x3f));
	uuid_text(&id, out);
}

/* By their words; a strategy's own name, in any case, will do as well. NULL when it is none. */
static const char *strategy_of(const char *word)
{
	static const char *const names[][2] = {{"shared", "SHARED_RLS"},
										   {"schema", "SCHEMA_PER_TENANT"},
										   {"database", "DATABASE_PER_TENANT"}};

	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		if (strcasecmp(word, names[i][0]) == 0 || strcasecmp(word, names[i][1]) == 0)
			return names[i][1];
	}
	return NULL;
}

struct creation {
	const struct arguments *arguments;
	struct conf *conf; /* NULL: no settings were named */
	const char *strategy, *cluster;
	const char *id,
		*parent; /* of the command line, or in what is behind; parent NULL: a root */
	char drawn[UUID_TEXT_SIZE];
	struct named_tenant above;
	bool provisions;
};

static PGresult *insert(PGconn *control, const struct creation *creation)
{
	static const char sql[] =
		"INSERT INTO bulkhead_control.tenant (id, parent_id, slug, external_key, name, cluster,"
		" pool_weight, strategy, dedicated_login, status, region) "
		"VALUES ($1::uuid, $2::uuid, $3, $4, coalesce($5, $3), $6,"
		" coalesce($7::smallint, 1::smallint), $8, $9::boolean, $10, $11) "
		"RETURNING id, slug, external_key AS key, name, status";
	const struct arguments *arguments = creation->arguments;
	const char *const *value = arguments->value;
	const char *const values[] = {creation->id,
								  creation->parent,
								  arguments->word,
								  value[ARG_KEY],
								  value[ARG_NAME],
								  creation->cluster,
								  value[ARG_WEIGHT],
								  creation->strategy,
								  value[ARG_DEDICATED_LOGIN] ? "true" : "false",
								  creation->provisions ? "provisioning" : "active",
								  value[ARG_REGION]};

	return control_db_change(control, sql, 11, values, false);
}

/* The row is as it was when the tenant was made: when that has taken effect, it is another. */
static enum cli_exit provision(PGconn *control, const struct creation *creation, PGresult *made)
{
	const char *const values[] = {PQgetvalue(made, 0, 0)};
	enum job_wait_end end = job_wait_for_tenant(control, creation->conf, values[0],
												creation->arguments->value[ARG_NO_WAIT]);

	if (end == JOB_WAIT_FAILED) {
		PQclear(made);
		return CLI_FAILED;
	}
	if (end == JOB_WAIT_DONE) {
		PGresult *now = control_db_query(control,
										 "SELECT id, slug, external_key AS key, name, status"
										 " FROM bulkhead_control.tenant WHERE id = $1::uuid",
										 1, values);

		PQclear(made);
		made = now;
	}
	return verbs_end(made, creation->arguments);
}

static enum cli_exit create(PGconn *control, struct creation *creation)
{
	const char *const *value = creation->arguments->value;

	if (value[ARG_PARENT] &&
		!control_db_find_tenant(control, value[ARG_PARENT], &creation->above))
		return CLI_FAILED;
	creation->parent = value[ARG_PARENT] ? creation->above.id : NULL;
	creation->cluster = value[ARG_CLUSTER] ? value[ARG_CLUSTER] : "default";
	creation->provisions =
		!value[ARG_NO_PROVISION] &&
		job_is_needed(creation->conf ? conf_find_cluster(creation->conf, creation->cluster)
									 : NULL,
					  creation->strategy, value[ARG_DEDICATED_LOGIN]);
	draw_id(creation->drawn);
	creation->id = value[ARG_ID] ? value[ARG_ID] : creation->drawn;

	PGresult *made = insert(control, creation);
	if (!made)
		return CLI_FAILED;
	return creation->provisions ? provision(control, creation, made)
								: verbs_end(made, creation->arguments);
}

enum cli_exit tenant_create(PGconn *control, const struct arguments *arguments)
{
	const char *word = arguments->value[ARG_STRATEGY];
	struct creation creation = {.arguments = arguments,
								.strategy = strategy_of(word ? word : "shared")};
	enum cli_exit result = CLI_FAILED;

	if (!creation.strategy) {
		print_complaint("the strategies are shared, schema and database");
		return CLI_FAILED;
	}
	if (job_wait_load(arguments, &creation.conf))
		result = create(control, &creation);
	conf_destroy(creation.conf);
	return result;
}
