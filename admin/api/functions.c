#include "admin/api/functions.h"

#include <string.h>

#include "base/embed.h"

EMBED_TEXT(api_begin_sql, "admin/api/sql/begin.sql");
EMBED_TEXT(api_core_sql, "admin/api/sql/core.sql");
EMBED_TEXT(api_settings_sql, "admin/api/sql/settings.sql");
EMBED_TEXT(api_setting_compare_sql, "admin/api/sql/setting_compare.sql");
EMBED_TEXT(api_setting_keys_sql, "admin/api/sql/setting_keys.sql");
EMBED_TEXT(api_live_sql, "admin/api/sql/live.sql");
EMBED_TEXT(api_audit_sql, "admin/api/sql/audit.sql");
EMBED_TEXT(api_keys_sql, "admin/api/sql/api_keys.sql");
EMBED_TEXT(api_principals_sql, "admin/api/sql/principals.sql");
EMBED_TEXT(api_tenants_sql, "admin/api/sql/tenants.sql");
EMBED_TEXT(api_tenant_changes_sql, "admin/api/sql/tenant_changes.sql");
EMBED_TEXT(api_permissions_sql, "admin/api/sql/permissions.sql");
EMBED_TEXT(api_jobs_sql, "admin/api/sql/jobs.sql");
EMBED_TEXT(api_clusters_sql, "admin/api/sql/clusters.sql");
EMBED_TEXT(api_end_sql, "admin/api/sql/end.sql");

size_t api_functions_list(struct api_functions out[API_FUNCTIONS_MAX])
{
	const struct api_functions all[] = {
		{"begin", api_begin_sql},
		{"core", api_core_sql},
		/* the topics */
		{"settings", api_settings_sql},
		{"setting_compare", api_setting_compare_sql},
		{"setting_keys", api_setting_keys_sql},
		{"live", api_live_sql},
		{"audit", api_audit_sql},
		{"api_keys", api_keys_sql},
		{"principals", api_principals_sql},
		{"tenants", api_tenants_sql},
		{"tenant_changes", api_tenant_changes_sql},
		{"permissions", api_permissions_sql},
		{"jobs", api_jobs_sql},
		{"clusters", api_clusters_sql},
		{"end", api_end_sql},
	};

	_Static_assert(sizeof all / sizeof *all <= API_FUNCTIONS_MAX, "room for all");
	memcpy(out, all, sizeof all);
	return sizeof all / sizeof *all;
}
