/*
 * api_nouns.h: the nouns of the API, a file for each, and the forms of answer that some verbs
 * have.
 */
#ifndef CLI_API_NOUNS_H
#define CLI_API_NOUNS_H

#include "cli/api_verbs.h"

/* The verbs of a registry of keys at this path, whose items are named by {key}. */
#define API_REGISTRY_VERBS(path)                                                               \
	{.name = "list", .route = "GET " path},                                                    \
		{.name = "show", .route = "GET " path "/{key}", .words = "key"},                       \
		{.name = "create", .route = "POST " path, .words = "key"},                             \
		{.name = "set", .route = "PATCH " path "/{key}", .words = "key"},                      \
	{                                                                                          \
		.name = "delete", .route = "DELETE " path "/{key}", .words = "key"                     \
	}

extern const struct api_noun api_tenant, api_setting, api_setting_key, api_permission,
	api_permission_key, api_principal, api_api_key, api_audit, api_job, api_cluster,
	api_session, api_pool, api_statement;

#endif
