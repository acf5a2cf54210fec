/* bulkhead tenant move and set. */
#include "cli/control_db.h"
#include "cli/print.h"
#include "cli/tenant.h"

const char *tenant_move_check(const struct arguments *arguments)
{
	if (!arguments->value[ARG_UNDER] == !arguments->value[ARG_TO_ROOT])
		return "either --under or --to-root is wanted";
	return NULL;
}

enum cli_exit tenant_move(PGconn *control, const struct arguments *arguments)
{
	static const char sql[] = "SELECT slug, id, path, version"
							  " FROM bulkhead_control.move_tenant($1::uuid, $2::uuid)";
	const char *under = arguments->value[ARG_UNDER];
	struct named_tenant tenant, parent;

	if (!control_db_find_tenant(control, arguments->word, &tenant) ||
		(under && !control_db_find_tenant(control, under, &parent)))
		return CLI_FAILED;

	const char *const values[] = {tenant.id, under ? parent.id : NULL};
	return verbs_end_change(
		control_db_change(control, sql, 2, values, arguments->value[ARG_DRY_RUN]), arguments,
		tenant.slug, "there");
}

const char *tenant_set_check(const struct arguments *arguments)
{
	const char *const *value = arguments->value;

	if (value[ARG_KEY] && value[ARG_NO_KEY])
		return "--key and --no-key are one too many";
	if (value[ARG_REGION] && value[ARG_NO_REGION])
		return "--region and --no-region are one too many";
	if (!value[ARG_SLUG] && !value[ARG_KEY] && !value[ARG_NO_KEY] && !value[ARG_NAME] &&
		!value[ARG_WEIGHT] && !value[ARG_CLUSTER] && !value[ARG_REGION] &&
		!value[ARG_NO_REGION])
		return "there is nothing to set";
	return NULL;
}

enum cli_exit tenant_set(PGconn *control, const struct arguments *arguments)
{
	/* The old row is locked first, so that what is returned is this change and no other's. */
	static const char sql[] =
		"WITH old AS MATERIALIZED ("
		"  SELECT id, version FROM bulkhead_control.tenant WHERE id = $1::uuid FOR NO KEY "
		"UPDATE),"
		" new AS ("
		"  UPDATE bulkhead_control.tenant t SET slug = coalesce($2, t.slug),"
		"   external_key = CASE WHEN $4::boolean THEN NULL"
		"    ELSE coalesce($3, t.external_key) END,"
		"   name = coalesce($5, t.name), pool_weight = coalesce($6::smallint, t.pool_weight),"
		"   cluster = coalesce($7, t.cluster),"
		"   region = CASE WHEN $9::boolean THEN NULL ELSE coalesce($8, t.region) END"
		"  FROM old WHERE t.id = old.id"
		"  RETURNING t.*, old.version AS old_version) "
		"SELECT slug, id, external_key AS key, name, pool_weight AS weight, cluster, region, "
		"version"
		" FROM new WHERE version <> old_version";
	const char *const *value = arguments->value;
	struct named_tenant tenant;

	if (!control_db_find_tenant(control, arguments->word, &tenant))
		return CLI_FAILED;

	const char *const values[] = {tenant.id,
								  value[ARG_SLUG],
								  value[ARG_KEY],
								  value[ARG_NO_KEY] ? "true" : "false",
								  value[ARG_NAME],
								  value[ARG_WEIGHT],
								  value[ARG_CLUSTER],
								  value[ARG_REGION],
								  value[ARG_NO_REGION] ? "true" : "false"};
	PGresult *result = control_db_change(control, sql, 9, values, value[ARG_DRY_RUN]);

	/* None is changed also where it was deleted meanwhile. */
	if (result && PQntuples(result) == 0 &&
		!control_db_find_tenant(control, tenant.id, &tenant)) {
		PQclear(result);
		return CLI_FAILED;
	}
	return verbs_end_change(result, arguments, tenant.slug, "so");
}
