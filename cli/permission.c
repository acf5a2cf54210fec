/* bulkhead permission: what tenants may do, on the control schema. */
#include <strings.h>

#include "cli/api_nouns.h"
#include "cli/api_where.h"
#include "cli/tenant_key.h"
#include "cli/value.h"

static const char usage[] =
	"Usage: bulkhead permission set TENANT KEY VALUE [--mode locked|inherited|delegated]\n"
	"                [--revocation cascade|soft|permanent] [--dry-run]\n"
	"       bulkhead permission revoke TENANT KEY [--dry-run]\n"
	"       bulkhead permission show TENANT\n"
	"\n"
	"TENANT is a slug, an id or a key. VALUE is JSON; what is not is a list with commas, as "
	"in\n"
	"shop.orders,shop.items. A tenant holds what its parent holds at the most.\n"
	"\n"
	"  --mode         what tenants below may do with it: nothing (locked), lower it for\n"
	"                 themselves (inherited), or that and lock or delegate it in their turn\n"
	"                 (delegated). Of a new grant: inherited\n"
	"  --revocation   what becomes of those below when it is revoked: grants of the key go\n"
	"                 too (cascade), they keep what they hold (soft), or it is never revoked\n"
	"                 or changed (permanent). Of a new grant: cascade\n"
	"  --dry-run      say what would change, and change nothing\n"
	"  --json         an array of objects, one for each row\n"
	"  --control-dsn  the control database; default CONTROL_DSN of the environment\n"
	"\n"
	"revoke takes the grant, and with it what it gave or took; what the tenant holds without\n"
	"one is what comes from above, or its strategy's default. set KEY false takes a key "
	"away.\n";

/* NULL, which is none, is one of them. */
static bool is_one_of(const char *word, const char *const words[3])
{
	for (int i = 0; word && i < 3; i++) {
		if (strcasecmp(word, words[i]) == 0)
			return true;
	}
	return !word;
}

static const char *check_set(const struct arguments *arguments)
{
	static const char *const modes[] = {"locked", "inherited", "delegated"};
	static const char *const revocations[] = {"cascade", "soft", "permanent"};

	if (!is_one_of(arguments->value[ARG_MODE], modes))
		return "a mode is locked, inherited or delegated";
	if (!is_one_of(arguments->value[ARG_REVOCATION], revocations))
		return "a revocation is cascade, soft or permanent";
	return NULL;
}

static enum cli_exit set(PGconn *control, const struct arguments *arguments)
{
	static const char sql[] =
		"SELECT slug, id, key, value::json AS value, mode, revocation, version"
		" FROM bulkhead_control.set_permission($1::uuid, $2, $3::jsonb, upper($4), upper($5))";
	const char *const texts[] = {arguments->value[ARG_MODE], arguments->value[ARG_REVOCATION]};

	return tenant_key_set(control, arguments, sql, value_list(arguments->text), 2, texts);
}

static enum cli_exit revoke(PGconn *control, const struct arguments *arguments)
{
	static const char sql[] = "SELECT slug, id, key, became, value::json AS value, version"
							  " FROM bulkhead_control.revoke_permission($1::uuid, $2)";

	return tenant_key_take(control, arguments, sql, "without a grant of its own");
}

static enum cli_exit show(PGconn *control, const struct arguments *arguments)
{
	static const char sql_json[] =
		"SELECT key, value::json AS value, source, source_id AS source_tenant_id, inherited,"
		" frozen, locked_by, own::json AS own, mode, revocation"
		" FROM bulkhead_control.resolve_permissions($1::uuid)";
	static const char sql[] =
		"SELECT key, value::json AS value, CASE WHEN frozen THEN '(frozen)'"
		"  ELSE coalesce(source, '(default)') END AS source, inherited, locked_by,"
		" own::json AS own, mode, revocation"
		" FROM bulkhead_control.resolve_permissions($1::uuid)";

	return tenant_key_show(control, arguments, sql_json, sql);
}

static const struct verb verbs[] = {
	{"set", 3, ARG(MODE) | ARG(REVOCATION) | ARG(DRY_RUN), check_set, set},
	{"revoke", 2, ARG(DRY_RUN), NULL, revoke},
	{"show", 1, 0, NULL, show},
};

int cmd_permission(int argc, char **argv)
{
	const struct noun noun = {"permission", usage, verbs, sizeof verbs / sizeof *verbs, NULL};

	return api_where_run(&noun, &api_permission, argc, argv);
}
