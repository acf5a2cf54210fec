#include "admin/api/refusals.h"

#include <stddef.h>
#include <string.h>

/* clang-format off */
static const struct api_refusal refusals[] = {
	/* tenants */
	{"tenant_slug", 409, "BH-API-EXISTS", "body.slug", "there is a tenant of this slug"},
	{"tenant_external_key", 409, "BH-API-EXISTS", "body.external_key", "there is a tenant of this key"},
	{"tenant_pkey", 409, "BH-API-EXISTS", "body.id", "there is a tenant of this id"},
	{"tenant_token_taken", 409, "BH-API-EXISTS", "body.slug", "another tenant is called so: by its id, slug or key"},
	{"tenant_slug_form", 422, "BH-API-VALUE", "body.slug", "a slug is a letter and up to 62 letters, digits, _ and -, all lower case"},
	{"tenant_slug_reserved", 422, "BH-API-VALUE", "body.slug", "this slug is reserved"},
	{"tenant_slug_no_id", 422, "BH-API-VALUE", "body.slug", "what looks like an id is no slug"},
	{"tenant_external_key_form", 422, "BH-API-VALUE", "body.external_key", "a key has 1 to 255 bytes and no control characters"},
	{"tenant_name_form", 422, "BH-API-VALUE", "body.name", "a name has 1 to 255 bytes and no control characters"},
	{"tenant_region", 422, "BH-API-VALUE", "body.region", "a region has 1 to 63 bytes"},
	{"tenant_cluster", 422, "BH-API-VALUE", "body.cluster", "there is no cluster of this name"},
	{"tenant_depth", 409, "BH-API-DEPTH", "body.parent", "a tenant would be deeper than 20 levels"},
	{"tenant_acyclic", 409, "BH-API-CYCLE", "body.parent", "a tenant cannot be moved below itself"},
	{"tenant_parent", 409, "BH-API-PARENT", "body.parent", "there is no such parent any more"},
	{"tenant_parent_active", 409, "BH-API-STATUS", NULL, "a tenant cannot be active below one that is not"},
	{"tenant_status_from", 409, "BH-API-STATUS", NULL, NULL},
	{"tenant_status_above", 409, "BH-API-STATUS", NULL, NULL},
	{"tenant_status_below", 409, "BH-API-STATUS", "body.subtree", NULL},
	{"tenant_purge_below", 409, "BH-API-STATUS", NULL, NULL},
	{"tenant_keep_key", 409, "BH-API-FIXED", "body.external_key", NULL},
	{"tenant_keep_cluster", 409, "BH-API-FIXED", "body.cluster", NULL},
	{"tenant_sibling", 422, "BH-API-VALUE", NULL, "these two have not the same parent"},
	{"tenant_cluster_active", 409, "BH-API-STATE", "body.cluster", NULL},
	{"tenant_cluster_region", 422, "BH-API-VALUE", "body.region", NULL},
	/* permissions */
	{"permission_grant_value", 422, "BH-API-VALUE", "body.value", NULL},
	{"permission_grant_locked", 409, "BH-API-LOCKED", "path.key", "a tenant above has locked this permission"},
	{"permission_grant_passed_on", 409, "BH-API-BOUND", "body.mode", NULL},
	{"permission_grant_bound", 409, "BH-API-BOUND", "body.value", NULL},
	{"permission_grant_permanent", 409, "BH-API-FIXED", "path.key", NULL},
	{"permission_key_pkey", 409, "BH-API-EXISTS", "body.key", "there is a permission of this name"},
	{"permission_key_form", 422, "BH-API-VALUE", "body.key", "a key is two or more words of lower case letters, digits and _, with dots between them"},
	{"permission_key_reserved", 422, "BH-API-VALUE", "body.key", "bulkhead, proxy, settings and sql are reserved"},
	{"permission_key_default", 422, "BH-API-VALUE", "body.default", "a default is no value of this kind"},
	{"permission_key_description", 422, "BH-API-VALUE", "body.description", "a description has 1 to 1000 bytes"},
	{"permission_key_fixed", 409, "BH-API-FIXED", "path.key", NULL},
	{"permission_grant_key", 409, "BH-API-IN-USE", "path.key", "there are grants of this permission"},
	{"permission_frozen_key_fkey", 409, "BH-API-IN-USE", "path.key", "tenants keep this permission frozen"},
	/* clusters and jobs */
	{"cluster_pkey", 409, "BH-API-EXISTS", "body.name", "there is a cluster of this name"},
	{"cluster_region", 422, "BH-API-VALUE", "body.region", "a region has 1 to 63 bytes"},
	{"cluster_tenant_region", 409, "BH-API-IN-USE", "body.region", NULL},
	{"cluster_has_tenants", 409, "BH-API-IN-USE", "path.cluster", NULL},
	{"job_retry", 409, "BH-API-STATE", "path.job", NULL},
	{"job_unfinished", 409, "BH-API-STATE", NULL, "another job of the tenant is not finished"},
	/* principals */
	{"principal_home", 409, "BH-API-IN-USE", NULL, "principals have their home there"},
	/* settings: most are refused by their handlers, which know the field */
	{"setting_locked", 409, "BH-API-LOCKED", NULL, "a tenant above has locked this setting"},
	{"setting_size", 422, "BH-API-VALUE", "body.value", "a value has 64 KiB at most"},
	{"setting_value", 422, "BH-API-VALUE", "body.value", NULL},
	{"setting_app_key", 422, "BH-API-VALUE", "path.key", "behind app. stand letters, digits, _ and -, in parts with dots between them"},
	{"setting_key_registered", 409, "BH-API-NOT-FOUND", "path.key", "there is no such setting any more"},
	{"setting_data_key", 409, "BH-API-DATA-KEY", NULL, "the tenant's data key was rotated meanwhile: try again"},
	{"tenant_data_key_retired", 503, "BH-API-KEY-MISSING", NULL, "the master key that this Bulkhead has was retired: it needs the newer file"},
	{"tenant_data_key_tenant", 404, "BH-API-TENANT", "path.tenant", "there is no such tenant any more"},
	{"setting_key_pkey", 409, "BH-API-EXISTS", "body.key", "there is a setting of this name"},
	{"setting_key_form", 422, "BH-API-VALUE", "body.key", "a setting is words of a-z, 0-9 and _ with dots between them"},
	{"setting_key_reserved", 422, "BH-API-VALUE", "body.key", "app, bulkhead, proxy, settings and sql are not for registration"},
	{"setting_key_default", 422, "BH-API-VALUE", "body.default_value", "it does not fit the type and the bounds"},
	{"setting_key_sensitive_default", 422, "BH-API-VALUE", "body.default_value", "a sensitive setting has no default"},
	{"setting_key_description", 422, "BH-API-VALUE", "body.description", "a description has 1 to 1000 bytes"},
	{"setting_key_fixed", 409, "BH-API-FIXED", NULL, NULL},
	{"principal_pkey", 409, "BH-API-EXISTS", "body.name", "there is a principal of this name"},
	{"principal_name_form", 422, "BH-API-VALUE", "body.name", "a principal's name has 1 to 63 bytes and no control characters"},
	{"principal_reach", 422, "BH-API-VALUE", "body.reach", "a reach is self, subtree or all"},
	{"principal_max_connections", 422, "BH-API-VALUE", "body.max_connections", "it must be 1 to 1000000"},
	{"principal_tenants", 422, "BH-API-VALUE", "body.tenants", "there are 1 to 100 tenants"},
	{"principal_certificate_names", 422, "BH-API-VALUE", "body.certificate_names", "there are 1 to 20 names of 1 to 255 bytes, without control characters"},
	/* API keys */
	{"api_key_tenant", 409, "BH-API-TENANT", "body.tenant", "there is no such tenant any more"},
	{"api_key_everything", 422, "BH-API-VALUE", "body.tenant", "only operators may have the whole tree"},
	{"api_key_name_form", 422, "BH-API-VALUE", "body.name", "a name has 1 to 255 bytes and no control characters"},
	{"api_key_addresses", 422, "BH-API-VALUE", "body.addresses", "there are 1 to 100 addresses"},
	{"api_key_reveal", 422, "BH-API-VALUE", "body.reveal", "only admins and operators may read sensitive values"},
};
/* clang-format on */

const struct api_refusal *api_find_refusal(const char *constraint)
{
	for (size_t i = 0; constraint && i < sizeof refusals / sizeof *refusals; i++) {
		if (strcmp(refusals[i].constraint, constraint) == 0)
			return &refusals[i];
	}
	return NULL;
}
