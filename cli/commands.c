#include "cli/commands.h"

#include <string.h>

#include "cli/api_nouns.h"
#include "cli/api_where.h"
#include "cli/cli.h"

const struct command commands[] = {
	{"serve", cmd_serve, NULL, "run the proxy in the foreground"},
	{"init", cmd_init, NULL, "install guard and control schema into a database"},
	{"lint", cmd_lint, NULL, "say what is unsafe in a database"},
	{"check", cmd_check, NULL, "say what is wrong with a configuration"},
	{"healthcheck", cmd_healthcheck, NULL, "ask a Bulkhead that runs whether it is ready"},
	{"sandbox", cmd_sandbox, NULL,
	 "run a private PostgreSQL with five tenants behind the proxy"},
	{"tenant", cmd_tenant, &api_tenant, "create, list, suspend, move and change tenants"},
	{"cluster", cmd_cluster, &api_cluster,
	 "create, list, change and take down the servers that tenants are placed on"},
	{"principal", cmd_principal, &api_principal,
	 "create, list, disable and change principals, who log in for tenants"},
	{"permission", cmd_permission, &api_permission,
	 "grant and revoke what tenants may do, and show it"},
	{"permission-key", NULL, &api_permission_key, "register what can be permitted"},
	{"setting", cmd_setting, &api_setting, "set, lock and show settings that tenants inherit"},
	{"settings", cmd_setting, &api_setting, NULL},
	{"setting-key", NULL, &api_setting_key, "register what can be set"},
	{"api-key", cmd_api_key, &api_api_key,
	 "create, list, rotate and revoke keys of the admin API"},
	{"audit", cmd_audit, &api_audit,
	 "list, export and verify the log of what was changed, and by whom"},
	{"events", cmd_events, NULL, "follow what is changed, as it happens"},
	{"job", cmd_job, &api_job,
	 "carry out, list and retry what is made and removed for tenants"},
	{"session", NULL, &api_session, "list and end the sessions of clients"},
	{"pool", NULL, &api_pool, "list pools and connections to servers"},
	{"statement", NULL, &api_statement, "ask a running gate what it makes of a statement"},
	{"api", cmd_api, NULL, "make any request of the admin API"},
	{"key", cmd_key, NULL,
	 "list, rotate, retire and derive the keys that hand-overs are signed with"},
	{"migrate", cmd_migrate, NULL,
	 "run DDL on shared tables and in all tenants' schemas and databases"},
	{"explain-statement", cmd_explain_statement, NULL,
	 "say what the gate makes of a statement, and why"},
	{"completion", cmd_completion, NULL, "write the completion of a shell"},
	{"conf", cmd_conf, NULL, NULL},
	{"man", cmd_man, NULL, NULL},
};
const size_t command_count = sizeof commands / sizeof *commands;

const struct command *command_find(const char *name)
{
	for (size_t i = 0; i < command_count; i++) {
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	}
	return NULL;
}

int command_run(const struct command *command, int argc, char **argv)
{
	return command->run ? command->run(argc, argv)
						: (int)api_where_run(NULL, command->noun, argc, argv);
}
