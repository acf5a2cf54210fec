/* bulkhead api-key: keys of the admin API, on the control schema: for the first ones, and where
 * no key is left that would do. */
#include "cli/api_key.h"

#include "cli/api_nouns.h"
#include "cli/api_where.h"
#include "cli/control_db.h"
#include "cli/print.h"

static const char usage[] =
	"Usage: bulkhead api-key create NAME --role operator|admin|editor|viewer [--tenant "
	"TENANT]\n"
	"                [--valid-until TIME] [--addresses NETWORK,…] [--reveal]\n"
	"                --pepper-file FILE|-c FILE [--key-file FILE]\n"
	"       bulkhead api-key list [--tenant TENANT]\n"
	"       bulkhead api-key show ID\n"
	"       bulkhead api-key rotate ID [--overlap SECONDS] --pepper-file FILE|-c FILE\n"
	"                [--key-file FILE]\n"
	"       bulkhead api-key revoke ID\n"
	"\n"
	"Keys of the admin API. The key is shown once: it cannot be had from the database.\n"
	"\n"
	"  --role           what it may do\n"
	"  --tenant         for which part of the tree: this tenant (slug, id or key) and all "
	"below;\n"
	"                   without it for everything, which is for operators alone\n"
	"  --valid-until    when it ends, as PostgreSQL reads times; without a zone in UTC\n"
	"  --addresses      from where it may be used, as 10.0.0.0/8,fd00::/8; without it from\n"
	"                   anywhere\n"
	"  --reveal         it may read sensitive settings\n"
	"  --overlap        for how many seconds the secret before goes on working (default: 0; "
	"at\n"
	"                   most 604800, a week)\n"
	"  --pepper-file    the key file that hashes are made with, as `bulkhead init` writes it\n"
	"                   (api.pepper)\n"
	"  -c, --config     the file of the server that serves the API, whose [admin] pepper_file\n"
	"                   that is\n"
	"  --key-file       write the key into this new file (0600) and do not print it\n"
	"  --json           an array of objects, one for each row\n"
	"  --control-dsn    the control database; default CONTROL_DSN of the environment\n";

/* What is shown of a key, from a row k of the table. */
#define COLUMNS_SQL                                                                            \
	"k.id, k.name, k.role, (SELECT t.slug FROM bulkhead_control.tenant t"                      \
	" WHERE t.id = k.tenant_id) AS tenant, k.reveal, to_json(k.addresses::text[]) AS "         \
	"addresses,"                                                                               \
	" CASE WHEN k.revoked_at IS NOT NULL THEN 'revoked' WHEN k.expires_at <= now()"            \
	" THEN 'expired' ELSE 'active' END AS state,"                                              \
	" " CONTROL_DB_TIME("k.expires_at") " AS expires_at,"                                      \
										" " CONTROL_DB_TIME(                                   \
											"k.last_used_at") " AS last_used_at"

static enum cli_exit list(PGconn *control, const struct arguments *arguments)
{
	static const char sql[] =
		"SELECT " COLUMNS_SQL " FROM bulkhead_control.api_key k"
		" WHERE $1::uuid IS NULL OR k.tenant_id = $1::uuid ORDER BY k.name, k.id";
	const char *word = arguments->value[ARG_TENANT];
	struct named_tenant tenant;

	if (word && !control_db_find_tenant(control, word, &tenant))
		return CLI_FAILED;

	const char *const values[] = {word ? tenant.id : NULL};
	return verbs_end(control_db_query(control, sql, 1, values), arguments);
}

static enum cli_exit show(PGconn *control, const struct arguments *arguments)
{
	static const char sql[] =
		"SELECT " COLUMNS_SQL ", k.hash_kid AS pepper, CASE WHEN k.previous_until > now()"
		" THEN " CONTROL_DB_TIME(
			"k.previous_until") " END AS previous_until,"
								" k.created_by, " CONTROL_DB_TIME(
									"k.created_at") " AS created_at,"
													" " CONTROL_DB_TIME(
														"k.revoked_at") " AS revoked_at"
																		" FROM "
																		"bulkhead_control.api_"
																		"key k WHERE k.id = $1";
	PGresult *result = control_db_query(control, sql, 1, &arguments->word);

	return verbs_end_show(result, arguments, "there is no such API key");
}

static enum cli_exit revoke(PGconn *control, const struct arguments *arguments)
{
	static const char sql[] =
		"UPDATE bulkhead_control.api_key k"
		" SET revoked_at = coalesce(revoked_at, pg_catalog.clock_timestamp())"
		" WHERE k.id = $1 RETURNING " COLUMNS_SQL;
	PGresult *result = control_db_change(control, sql, 1, &arguments->word, false);

	if (result && PQntuples(result) == 0) {
		print_complaint("there is no such API key");
		PQclear(result);
		return CLI_FAILED;
	}
	return verbs_end(result, arguments);
}

int cmd_api_key(int argc, char **argv)
{
	static const struct verb verbs[] = {
		{"create", 1,
		 ARG(ROLE) | ARG(TENANT) | ARG(VALID_UNTIL) | ARG(ADDRESSES) | ARG(REVEAL) |
			 ARG(PEPPER_FILE) | ARG(CONFIG) | ARG(KEY_FILE),
		 api_key_create_check, api_key_create},
		{"list", 0, ARG(TENANT), NULL, list},
		{"show", 1, 0, NULL, show},
		{"rotate", 1, ARG(OVERLAP) | ARG(PEPPER_FILE) | ARG(CONFIG) | ARG(KEY_FILE),
		 api_key_rotate_check, api_key_rotate},
		{"revoke", 1, 0, NULL, revoke},
	};
	const struct noun noun = {"api-key", usage, verbs, sizeof verbs / sizeof *verbs, NULL};

	return api_where_run(&noun, &api_api_key, argc, argv);
}
