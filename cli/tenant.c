/* bulkhead tenant: the tree of tenants, on the control schema. */
#include "cli/tenant.h"
#include "cli/api_nouns.h"
#include "cli/api_where.h"

static const char usage[] =
	"Usage: bulkhead tenant create SLUG [--parent TENANT] [--id UUID] [--key KEY] [--name "
	"TEXT]\n"
	"                [--cluster NAME] [--region R] [--strategy S] [--dedicated-login]\n"
	"                [--weight N] [-c FILE] [--no-wait] [--no-provision]\n"
	"       bulkhead tenant list\n"
	"       bulkhead tenant show TENANT\n"
	"       bulkhead tenant suspend|resume TENANT [--subtree] [--dry-run]\n"
	"       bulkhead tenant archive|restore TENANT [--subtree] [--dry-run]\n"
	"       bulkhead tenant move TENANT --under TENANT|--to-root [--dry-run]\n"
	"       bulkhead tenant set TENANT [--slug SLUG] [--key KEY|--no-key] [--name TEXT]\n"
	"                [--weight N] [--cluster NAME] [--region R|--no-region] [--dry-run]\n"
	"       bulkhead tenant purge TENANT --confirm SLUG [-c FILE] [--no-wait]\n"
	"\n"
	"TENANT is a slug, an id or a key.\n"
	"\n"
	"  --parent, --under  the tenant above; without --parent the new one is a root\n"
	"  --id               its uuid; drawn when not given\n"
	"  --key              the application's own name for it (bulkhead.tenant_key())\n"
	"  --strategy         shared (the default): tables with those of others; schema or "
	"database:\n"
	"                     one of its own, which is made\n"
	"  --dedicated-login  a tenant of shared tables gets a login of its own there\n"
	"  --region           where its data must be, if that is not its cluster's to say\n"
	"  -c, --config FILE  the settings, whose [cluster:NAME] has an admin_login: what is to "
	"be\n"
	"                     made or removed is done at once, and waited for\n"
	"  --no-wait          only queue that: see bulkhead job\n"
	"  --no-provision     what it needs is there: nothing is made, and it is active at once\n"
	"  --confirm          the tenant's slug once more: all that it has is removed\n"
	"  --weight           its share when tenants wait for backends, 1 to 100; default 1\n"
	"  --subtree          the tenants below as well; resume and restore take back what went\n"
	"                     along, and leave what was suspended or archived on its own\n"
	"  --dry-run          say what would change, and change nothing\n"
	"  --json             an array of objects, one for each row\n"
	"  --control-dsn      the control database; default CONTROL_DSN of the environment\n";

static const struct verb verbs[] = {
	{"create", 1,
	 ARG(PARENT) | ARG(ID) | ARG(KEY) | ARG(NAME) | ARG(CLUSTER) | ARG(REGION) | ARG(STRATEGY) |
		 ARG(WEIGHT) | ARG(CONFIG) | ARG(DEDICATED_LOGIN) | ARG(NO_PROVISION) | ARG(NO_WAIT),
	 NULL, tenant_create},
	{"list", 0, 0, NULL, tenant_list},
	{"show", 1, 0, NULL, tenant_show},
	{"suspend", 1, ARG(SUBTREE) | ARG(DRY_RUN), NULL, tenant_change_status},
	{"resume", 1, ARG(SUBTREE) | ARG(DRY_RUN), NULL, tenant_change_status},
	{"archive", 1, ARG(SUBTREE) | ARG(DRY_RUN), NULL, tenant_change_status},
	{"restore", 1, ARG(SUBTREE) | ARG(DRY_RUN), NULL, tenant_change_status},
	{"move", 1, ARG(UNDER) | ARG(TO_ROOT) | ARG(DRY_RUN), tenant_move_check, tenant_move},
	{"set", 1,
	 ARG(SLUG) | ARG(KEY) | ARG(NO_KEY) | ARG(NAME) | ARG(WEIGHT) | ARG(CLUSTER) | ARG(REGION) |
		 ARG(NO_REGION) | ARG(DRY_RUN),
	 tenant_set_check, tenant_set},
	{"purge", 1, ARG(CONFIRM) | ARG(CONFIG) | ARG(NO_WAIT), tenant_purge_check, tenant_purge},
};

int cmd_tenant(int argc, char **argv)
{
	const struct noun noun = {"tenant", usage, verbs, sizeof verbs / sizeof *verbs, NULL};

	return api_where_run(&noun, &api_tenant, argc, argv);
}
