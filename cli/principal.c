/* bulkhead principal: who may log in, on the control schema. */
#include "cli/principal.h"
#include "cli/api_nouns.h"
#include "cli/api_where.h"

#include <string.h>

static const char usage[] =
	"Usage: bulkhead principal create NAME --home TENANT --reach self|subtree|all\n"
	"                [--password-file FILE|-]\n"
	"       bulkhead principal list [--home TENANT]\n"
	"       bulkhead principal show NAME\n"
	"       bulkhead principal disable|enable NAME [--dry-run]\n"
	"       bulkhead principal password NAME [--password-file FILE|-]\n"
	"       bulkhead principal set NAME [--home TENANT] [--reach self|subtree|all]\n"
	"                [--valid-until TIME|never] [--max-connections NUMBER|none]\n"
	"                [--certificate-names NAME,…|none] [--tenants TENANT,…|none]\n"
	"                [--dry-run]\n"
	"       bulkhead principal delete NAME [--dry-run]\n"
	"\n"
	"TENANT is a slug, an id or a key.\n"
	"\n"
	"  --home           the tenant it belongs to\n"
	"  --reach          for whom it may speak: its home, the subtree from there, or all\n"
	"  --password-file  a file of mode 0600, or - for standard input; without it a password "
	"is\n"
	"                   drawn and printed once\n"
	"  --valid-until    when its logins end, as PostgreSQL reads times; without a zone in UTC\n"
	"  --max-connections    at one time in one Bulkhead, and at most what its settings say of "
	"all\n"
	"  --certificate-names  of which its clients' certificates must bear one, where they must "
	"name\n"
	"                   the principal; none: its own name\n"
	"  --tenants        of those within its reach, for whom it may speak: these and all below\n"
	"                   them; none: all\n"
	"  --dry-run        say what would change, and change nothing\n"
	"  --json           an array of objects, one for each row\n"
	"  --control-dsn    the control database; default CONTROL_DSN of the environment\n"
	"\n"
	"Only the SCRAM-SHA-256 verifier of the password is stored.\n";

static const struct verb verbs[] = {
	{"create", 1, ARG(HOME) | ARG(REACH) | ARG(PASSWORD_FILE), principal_create_check,
	 principal_create},
	{"list", 0, ARG(HOME), NULL, principal_list},
	{"show", 1, 0, NULL, principal_show},
	{"disable", 1, ARG(DRY_RUN), NULL, principal_disable},
	{"enable", 1, ARG(DRY_RUN), NULL, principal_enable},
	{"password", 1, ARG(PASSWORD_FILE), NULL, principal_password},
	{"set", 1,
	 ARG(HOME) | ARG(REACH) | ARG(VALID_UNTIL) | ARG(MAX_CONNECTIONS) | ARG(CERTIFICATE_NAMES) |
		 ARG(TENANTS) | ARG(DRY_RUN),
	 principal_set_check, principal_set},
	{"delete", 1, ARG(DRY_RUN), NULL, principal_delete},
};

bool principal_is_reach(const char *word)
{
	return strcmp(word, "self") == 0 || strcmp(word, "subtree") == 0 ||
		   strcmp(word, "all") == 0;
}

int cmd_principal(int argc, char **argv)
{
	const struct noun noun = {"principal", usage, verbs, sizeof verbs / sizeof *verbs, NULL};

	return api_where_run(&noun, &api_principal, argc, argv);
}
