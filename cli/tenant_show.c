/* bulkhead tenant list and show. */
#include "cli/control_db.h"
#include "cli/tenant.h"

enum cli_exit tenant_list(PGconn *control, const struct arguments *arguments)
{
	/* Siblings in the order of their slugs, each below its parent. */
	static const char sql[] =
		"WITH RECURSIVE tree AS ("
		"  SELECT t.*, 0 AS level, ARRAY[slug] AS place"
		"  FROM bulkhead_control.tenant t WHERE parent_id IS NULL"
		"  UNION ALL SELECT t.*, tree.level + 1, tree.place || t.slug"
		"  FROM bulkhead_control.tenant t JOIN tree ON t.parent_id = tree.id) "
		"SELECT CASE WHEN $1 THEN slug ELSE repeat('  ', level) || slug END AS slug, id,"
		" external_key AS key, strategy, cluster, status, name FROM tree ORDER BY place";
	const char *const values[] = {arguments->value[ARG_JSON] ? "true" : "false"};

	return verbs_end(control_db_query(control, sql, 1, values), arguments);
}

enum cli_exit tenant_show(PGconn *control, const struct arguments *arguments)
{
	static const char sql[] =
		"SELECT t.slug, t.id, t.external_key AS key, t.name,"
		" bulkhead_control.path_slugs(t.path) AS path, parent.slug AS parent, t.status,"
		" suspender.slug AS suspended_with, archiver.slug AS archived_with, t.archived_from,"
		" t.strategy, t.cluster, t.region, t.pool_weight AS weight,"
		" (SELECT count(*) FROM bulkhead_control.tenant c WHERE c.parent_id = t.id) AS "
		"children,"
		" (SELECT count(*) - 1 FROM bulkhead_control.tenant d"
		"  WHERE bulkhead_control.path_is_within(d.path, t.path)) AS descendants,"
		" (SELECT coalesce(json_agg(p.name ORDER BY p.name), '[]')"
		"  FROM bulkhead_control.principal p WHERE p.home_id = t.id) AS principals,"
		" t.version, " CONTROL_DB_TIME(
			"t.created_at") " AS created_at,"
							" " CONTROL_DB_TIME(
								"t.updated_at") " AS updated_at "
												"FROM bulkhead_control.tenant t"
												" LEFT JOIN bulkhead_control.tenant parent ON "
												"parent.id = t.parent_id"
												" LEFT JOIN bulkhead_control.tenant suspender "
												"ON suspender.id = t.suspended_with"
												" LEFT JOIN bulkhead_control.tenant archiver "
												"ON archiver.id = t.archived_with "
												"WHERE t.id = $1::uuid";
	struct named_tenant tenant;

	if (!control_db_find_tenant(control, arguments->word, &tenant))
		return CLI_FAILED;

	const char *const values[] = {tenant.id};
	return verbs_end_show(control_db_query(control, sql, 1, values), arguments,
						  "there is no such tenant any more");
}
