/* bulkhead setting: values that tenants inherit, on the control schema. */
#include "cli/api_nouns.h"
#include "cli/api_where.h"
#include "cli/tenant_key.h"
#include "cli/value.h"

static const char usage[] =
	"Usage: bulkhead setting set TENANT KEY VALUE [--lock] [--dry-run]\n"
	"       bulkhead setting unset TENANT KEY [--dry-run]\n"
	"       bulkhead setting show TENANT\n"
	"\n"
	"TENANT is a slug, an id or a key. VALUE is JSON; what is not is a string. Keys that "
	"begin\n"
	"with app. are the application's own and take any value.\n"
	"\n"
	"  --lock         it holds for all tenants below, whatever they have set; without it the\n"
	"                 nearest tenant's value holds\n"
	"  --dry-run      say what would change, and change nothing\n"
	"  --json         an array of objects, one for each row\n"
	"  --control-dsn  the control database; default CONTROL_DSN of the environment\n";

/* A sealed value is nobody's to read here. */
#define SHOWN(column)                                                                          \
	"CASE WHEN bulkhead_control.setting_data_kid(" column ") IS NULL THEN " column             \
	" ELSE '\"(sealed)\"' END::json"

#define CHANGED "SELECT slug, id, key, " SHOWN("value") " AS value, locked, version FROM "

static enum cli_exit set(PGconn *control, const struct arguments *arguments)
{
	static const char sql[] =
		CHANGED "bulkhead_control.set_setting($1::uuid, $2, $3::jsonb, $4::boolean)";
	const char *const texts[] = {arguments->value[ARG_LOCK] ? "true" : "false"};

	return tenant_key_set(control, arguments, sql, value_text(arguments->text), 1, texts);
}

static enum cli_exit unset(PGconn *control, const struct arguments *arguments)
{
	static const char sql[] = CHANGED "bulkhead_control.unset_setting($1::uuid, $2)";

	return tenant_key_take(control, arguments, sql, "without a value of its own");
}

static enum cli_exit show(PGconn *control, const struct arguments *arguments)
{
	static const char sql_json[] = "SELECT key, " SHOWN(
		"value") " AS value, source, source_id AS source_tenant_id, inherited,"
				 " locked_by, " SHOWN(
					 "own") " AS own, masked"
							" FROM bulkhead_control.resolve_settings($1::uuid)";
	static const char sql[] = "SELECT key, " SHOWN(
		"value") " AS value, coalesce(source, '(default)') AS source,"
				 " inherited, locked_by, CASE WHEN masked THEN " SHOWN(
					 "own") " END AS masked"
							" FROM bulkhead_control.resolve_settings($1::uuid)";

	return tenant_key_show(control, arguments, sql_json, sql);
}

static const struct verb verbs[] = {
	{"set", 3, ARG(LOCK) | ARG(DRY_RUN), NULL, set},
	{"unset", 2, ARG(DRY_RUN), NULL, unset},
	{"show", 1, 0, NULL, show},
};

int cmd_setting(int argc, char **argv)
{
	const struct noun noun = {"setting", usage, verbs, sizeof verbs / sizeof *verbs, NULL};

	return api_where_run(&noun, &api_setting, argc, argv);
}
