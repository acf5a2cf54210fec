/* bulkhead tenant create. */
#include <strings.h>

#include "base/clock.h"
#include "base/secret.h"
#include "cli/control_db.h"
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

enum cli_exit tenant_create(PGconn *control, const struct arguments *arguments)
{
	static const char sql[] =
		"INSERT INTO bulkhead_control.tenant (id, parent_id, slug, external_key, name, cluster,"
		" pool_weight, strategy, region) "
		"VALUES ($1::uuid, $2::uuid, $3, $4, coalesce($5, $3), coalesce($6, 'default'),"
		" coalesce($7::smallint, 1::smallint), upper(coalesce($8, 'shared_rls')), $9) "
		"RETURNING id, slug, external_key AS key, name, status";
	const char *const *value = arguments->value;
	char drawn[UUID_TEXT_SIZE];
	struct named_tenant parent;

	if (value[ARG_STRATEGY] && strcasecmp(value[ARG_STRATEGY], "shared_rls") != 0 &&
		strcasecmp(value[ARG_STRATEGY], "database_per_tenant") != 0) {
		print_complaint(
			"the strategies of this version are shared_rls and database_per_tenant");
		return CLI_FAILED;
	}
	if (value[ARG_PARENT] && !control_db_find_tenant(control, value[ARG_PARENT], &parent))
		return CLI_FAILED;
	draw_id(drawn);
	const char *const values[] = {value[ARG_ID] ? value[ARG_ID] : drawn,
								  value[ARG_PARENT] ? parent.id : NULL,
								  arguments->word,
								  value[ARG_KEY],
								  value[ARG_NAME],
								  value[ARG_CLUSTER],
								  value[ARG_WEIGHT],
								  value[ARG_STRATEGY],
								  value[ARG_REGION]};
	return verbs_end(control_db_change(control, sql, 9, values, false), arguments);
}
