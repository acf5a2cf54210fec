#include "cli/api_nouns.h"

const struct api_noun *const api_nouns[] = {
	&api_tenant,    &api_setting, &api_setting_key, &api_permission, &api_permission_key,
	&api_principal, &api_api_key, &api_audit,       &api_job,        &api_cluster,
	&api_session,   &api_pool,    &api_statement,
};
const size_t api_noun_count = sizeof api_nouns / sizeof *api_nouns;
