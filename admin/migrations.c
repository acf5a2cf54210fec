#include "admin/migrations.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "admin/api/functions.h"
#include "base/embed.h"
#include "base/encode.h"

EMBED_TEXT(install_sql, "admin/migrations/install.sql");
EMBED_TEXT(tree_sql, "admin/migrations/0001_tree.sql");
EMBED_TEXT(token_sql, "admin/migrations/0002_token.sql");
EMBED_TEXT(principal_sql, "admin/migrations/0003_principal.sql");
EMBED_TEXT(lookup_sql, "admin/migrations/0004_lookup.sql");
EMBED_TEXT(pool_weight_sql, "admin/migrations/0005_pool_weight.sql");
EMBED_TEXT(change_sql, "admin/migrations/0006_change.sql");
EMBED_TEXT(changed_sql, "admin/migrations/0007_changed.sql");
EMBED_TEXT(departed_sql, "admin/migrations/0008_departed.sql");
EMBED_TEXT(changed_rows_sql, "admin/migrations/0009_changed_rows.sql");
EMBED_TEXT(permission_key_sql, "admin/migrations/0010_permission_key.sql");
EMBED_TEXT(permission_grant_sql, "admin/migrations/0011_permission_grant.sql");
EMBED_TEXT(setting_sql, "admin/migrations/0012_setting.sql");
EMBED_TEXT(policy_lookup_sql, "admin/migrations/0013_policy_lookup.sql");
EMBED_TEXT(own_login_sql, "admin/migrations/0014_own_login.sql");
EMBED_TEXT(job_sql, "admin/migrations/0015_job.sql");
EMBED_TEXT(migrate_sql, "admin/migrations/0016_migrate.sql");
EMBED_TEXT(cluster_sql, "admin/migrations/0017_cluster.sql");
EMBED_TEXT(soft_revocation_sql, "admin/migrations/0018_soft_revocation.sql");
EMBED_TEXT(job_cluster_sql, "admin/migrations/0019_job_cluster.sql");
EMBED_TEXT(keep_key_sql, "admin/migrations/0020_keep_key.sql");
EMBED_TEXT(api_key_sql, "admin/migrations/0021_api_key.sql");
EMBED_TEXT(audit_sql, "admin/migrations/0022_audit.sql");
EMBED_TEXT(data_key_sql, "admin/migrations/0023_data_key.sql");
EMBED_TEXT(principal_limits_sql, "admin/migrations/0024_principal_limits.sql");
EMBED_TEXT(tree_order_sql, "admin/migrations/0025_tree_order.sql");
EMBED_TEXT(permission_history_sql, "admin/migrations/0026_permission_history.sql");
EMBED_TEXT(job_path_sql, "admin/migrations/0027_job_path.sql");
EMBED_TEXT(principal_tenants_sql, "admin/migrations/0028_principal_tenants.sql");
EMBED_TEXT(limits_sql, "admin/migrations/0029_limits.sql");
EMBED_TEXT(access_sql, "admin/migrations/access.sql");

#define CHECKSUM_HEX_SIZE 65

/* A numbered step; the number is its place in the list, from 1. Steps are appended, never
 * changed. */
struct step {
	const char *name;
	const char *sql;
};

#define STEP_COUNT 29

static void list_steps(struct step steps[STEP_COUNT])
{
	steps[0] = (struct step){"tree", tree_sql};
	steps[1] = (struct step){"token", token_sql};
	steps[2] = (struct step){"principal", principal_sql};
	steps[3] = (struct step){"lookup", lookup_sql};
	steps[4] = (struct step){"pool_weight", pool_weight_sql};
	steps[5] = (struct step){"change", change_sql};
	steps[6] = (struct step){"changed", changed_sql};
	steps[7] = (struct step){"departed", departed_sql};
	steps[8] = (struct step){"changed_rows", changed_rows_sql};
	steps[9] = (struct step){"permission_key", permission_key_sql};
	steps[10] = (struct step){"permission_grant", permission_grant_sql};
	steps[11] = (struct step){"setting", setting_sql};
	steps[12] = (struct step){"policy_lookup", policy_lookup_sql};
	steps[13] = (struct step){"own_login", own_login_sql};
	steps[14] = (struct step){"job", job_sql};
	steps[15] = (struct step){"migrate", migrate_sql};
	steps[16] = (struct step){"cluster", cluster_sql};
	steps[17] = (struct step){"soft_revocation", soft_revocation_sql};
	steps[18] = (struct step){"job_cluster", job_cluster_sql};
	steps[19] = (struct step){"keep_key", keep_key_sql};
	steps[20] = (struct step){"api_key", api_key_sql};
	steps[21] = (struct step){"audit", audit_sql};
	steps[22] = (struct step){"data_key", data_key_sql};
	steps[23] = (struct step){"principal_limits", principal_limits_sql};
	steps[24] = (struct step){"tree_order", tree_order_sql};
	steps[25] = (struct step){"permission_history", permission_history_sql};
	steps[26] = (struct step){"job_path", job_path_sql};
	steps[27] = (struct step){"principal_tenants", principal_tenants_sql};
	steps[28] = (struct step){"limits", limits_sql};
}

/* The first eight letters of "bulkhead": nobody else's advisory lock is likely to have this
 * key. */
#define LOCK_SQL "SELECT pg_catalog.pg_advisory_xact_lock(7094695996560859492)"

#define BEGIN_SQL "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"
#define SELECT_STEP_SQL                                                                        \
	"SELECT checksum FROM bulkhead_control.migration WHERE number = $1::integer"
#define INSERT_STEP_SQL                                                                        \
	"INSERT INTO bulkhead_control.migration (number, name, checksum) "                         \
	"VALUES ($1::integer, $2, $3)"
#define COUNT_NEWER_SQL                                                                        \
	"SELECT pg_catalog.count(*) FROM bulkhead_control.migration WHERE number > $1::integer"
#define SET_SQL "SELECT pg_catalog.set_config($1, $2, true)"

static bool checksum(const char *text, char out[CHECKSUM_HEX_SIZE])
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned int len;

	if (!EVP_Digest(text, strlen(text), digest, &len, EVP_sha256(), NULL))
		return false;
	hex_encode(digest, len, out);
	return true;
}

/* One line: libpq's texts end with a line break and may hold DETAIL and CONTEXT lines. */
static void complain(FILE *err, const char *doing, const char *text)
{
	fprintf(err, "control schema: %s: %.*s\n", doing, (int)strcspn(text, "\n"), text);
}

/* The server's message, or the connection's where there is none. */
static void complain_result(FILE *err, const char *doing, PGconn *admin, const PGresult *result)
{
	const char *text = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);

	complain(err, doing, text ? text : PQerrorMessage(admin));
}

/* Runs statements without parameters; their rows are dropped. */
static bool run(PGconn *admin, const char *sql, const char *doing, FILE *err)
{
	PGresult *result = PQexec(admin, sql);
	ExecStatusType status = PQresultStatus(result);
	bool done = status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK;

	if (!done)
		complain_result(err, doing, admin, result);
	PQclear(result);
	return done;
}

/* Runs one statement with text parameters. NULL, with a line printed, when it failed. */
static PGresult *query(PGconn *admin, const char *sql, int count, const char *const values[],
					   const char *doing, FILE *err)
{
	PGresult *result = PQexecParams(admin, sql, count, NULL, values, NULL, NULL, 0);
	ExecStatusType status = PQresultStatus(result);

	if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK)
		return result;
	complain_result(err, doing, admin, result);
	PQclear(result);
	return NULL;
}

static bool query_done(PGconn *admin, const char *sql, int count, const char *const values[],
					   const char *doing, FILE *err)
{
	PGresult *result = query(admin, sql, count, values, doing, err);

	PQclear(result);
	return result != NULL;
}

/* Runs the step unless the database has it; then its text must be the one that was run. */
static bool apply_step(PGconn *admin, int number, const struct step *step, FILE *err)
{
	char digits[16], sum[CHECKSUM_HEX_SIZE];
	const char *values[] = {digits, step->name, sum};

	snprintf(digits, sizeof digits, "%d", number);
	if (!checksum(step->sql, sum)) {
		complain(err, step->name, "cannot compute a checksum");
		return false;
	}

	PGresult *known = query(admin, SELECT_STEP_SQL, 1, values, step->name, err);
	if (!known)
		return false;
	if (PQntuples(known) > 0) {
		bool same = strcmp(PQgetvalue(known, 0, 0), sum) == 0;

		if (!same)
			complain(err, step->name,
					 "this step was applied with another text; use the program that made this "
					 "schema, or a later one");
		PQclear(known);
		return same;
	}
	PQclear(known);
	return run(admin, step->sql, step->name, err) &&
		   query_done(admin, INSERT_STEP_SQL, 3, values, step->name, err);
}

/* A schema with steps that this program does not know was made by a later one. */
static bool refuse_newer(PGconn *admin, FILE *err)
{
	char digits[16];
	const char *values[] = {digits};

	snprintf(digits, sizeof digits, "%d", STEP_COUNT);
	PGresult *result = query(admin, COUNT_NEWER_SQL, 1, values, "steps", err);
	if (!result)
		return false;
	bool newer = strcmp(PQgetvalue(result, 0, 0), "0") != 0;
	PQclear(result);
	if (newer)
		complain(err, "steps", "the schema was made by a later version of this program");
	return !newer;
}

static bool set_option(PGconn *admin, const char *name, const char *value, FILE *err)
{
	const char *values[] = {name, value ? value : ""};

	return query_done(admin, SET_SQL, 2, values, name, err);
}

/* The first of them takes the old ones away: before the numbered steps, which may change what
 * they rest on. */
static bool clear_functions(PGconn *admin, FILE *err)
{
	struct api_functions files[API_FUNCTIONS_MAX];

	api_functions_list(files);
	return run(admin, files[0].sql, files[0].name, err);
}

static bool apply_functions(PGconn *admin, FILE *err)
{
	struct api_functions files[API_FUNCTIONS_MAX];
	size_t count = api_functions_list(files);

	for (size_t i = 1; i < count; i++)
		if (!run(admin, files[i].sql, files[i].name, err))
			return false;
	return true;
}

static bool apply_all(PGconn *admin, const struct migrations_options *options, FILE *err)
{
	struct step steps[STEP_COUNT];

	list_steps(steps);
	if (!run(admin, LOCK_SQL, "lock", err) || !run(admin, install_sql, "install", err) ||
		!refuse_newer(admin, err) || !clear_functions(admin, err))
		return false;
	for (int i = 0; i < STEP_COUNT; i++)
		if (!apply_step(admin, i + 1, &steps[i], err))
			return false;
	return apply_functions(admin, err) &&
		   set_option(admin, "bulkhead.sidecar_login", options->sidecar_login, err) &&
		   set_option(admin, "bulkhead.sidecar_verifier", options->sidecar_verifier, err) &&
		   set_option(admin, "bulkhead.api_login", MIGRATIONS_API_LOGIN, err) &&
		   set_option(admin, "bulkhead.api_verifier", options->api_verifier, err) &&
		   run(admin, access_sql, "access", err);
}

bool migrations_apply(PGconn *admin, const struct migrations_options *options, FILE *err)
{
	if (PQtransactionStatus(admin) != PQTRANS_IDLE) {
		complain(err, "begin", "the connection is not idle");
		return false;
	}
	if (!run(admin, BEGIN_SQL, "begin", err))
		return false;
	if (apply_all(admin, options, err))
		return run(admin, "COMMIT", "commit", err);
	PQclear(PQexec(admin, "ROLLBACK"));
	return false;
}

/* ---- the script ---- */

static void print_quoted(FILE *out, const char *text)
{
	putc('\'', out);
	for (; *text; text++) {
		if (*text == '\'')
			putc('\'', out);
		putc(*text, out);
	}
	putc('\'', out);
}

/*
 * psql has no way to stop with a message of ours but an error of the server's, hence the DO
 * block for a step that was applied with another text.
 */
static bool print_step(FILE *out, int number, const struct step *step)
{
	char sum[CHECKSUM_HEX_SIZE];

	if (!checksum(step->sql, sum))
		return false;
	fprintf(out,
			"\n-- Step %d: %s\n"
			"DO $$\nBEGIN\n"
			"\tIF EXISTS (SELECT FROM bulkhead_control.migration\n"
			"\t\t\t   WHERE number = %d AND checksum <> '%s') THEN\n"
			"\t\tRAISE EXCEPTION 'step %d was applied with another text';\n"
			"\tEND IF;\nEND\n$$;\n"
			"SELECT NOT EXISTS (SELECT FROM bulkhead_control.migration WHERE number = %d)"
			" AS bulkhead_pending \\gset\n"
			"\\if :bulkhead_pending\n",
			number, step->name, number, sum, number, number);
	fputs(step->sql, out);
	fprintf(out,
			"INSERT INTO bulkhead_control.migration (number, name, checksum)\n"
			"VALUES (%d, '%s', '%s');\n"
			"\\endif\n",
			number, step->name, sum);
	return true;
}

static void print_functions(FILE *out)
{
	struct api_functions files[API_FUNCTIONS_MAX];
	size_t count = api_functions_list(files);

	for (size_t i = 1; i < count; i++)
		fprintf(out, "\n%s", files[i].sql);
}

bool migrations_print(const struct migrations_options *options, FILE *out)
{
	struct step steps[STEP_COUNT];
	struct api_functions files[API_FUNCTIONS_MAX];

	list_steps(steps);
	fputs(
		"-- The control schema of Bulkhead, for psql.\n"
		"-- psql -v sidecar_verifier='SCRAM-SHA-256$...' sets the sidecars' password as well,\n"
		"-- and -v api_verifier=... that of the admin API's login.\n"
		"\\set ON_ERROR_STOP on\n\\o /dev/null\n" BEGIN_SQL ";\n" LOCK_SQL ";\n\n",
		out);
	fputs(install_sql, out);
	fprintf(out,
			"\nDO $$\nBEGIN\n"
			"\tIF EXISTS (SELECT FROM bulkhead_control.migration WHERE number > %d) THEN\n"
			"\t\tRAISE EXCEPTION 'the schema was made by a later version of this program';\n"
			"\tEND IF;\nEND\n$$;\n",
			STEP_COUNT);
	api_functions_list(files);
	fprintf(out, "\n%s", files[0].sql); /* see clear_functions */
	for (int i = 0; i < STEP_COUNT; i++)
		if (!print_step(out, i + 1, &steps[i]))
			return false;
	print_functions(out);
	fputs("\nSELECT pg_catalog.set_config('bulkhead.sidecar_login', ", out);
	print_quoted(out, options->sidecar_login);
	fputs(", true);\n"
		  "SELECT pg_catalog.set_config('bulkhead.api_login', '" MIGRATIONS_API_LOGIN
		  "', true);\n"
		  "\\if :{?api_verifier}\n"
		  "SELECT pg_catalog.set_config('bulkhead.api_verifier', :'api_verifier', true);\n"
		  "\\endif\n"
		  "\\if :{?sidecar_verifier}\n"
		  "SELECT pg_catalog.set_config('bulkhead.sidecar_verifier', :'sidecar_verifier', "
		  "true);\n"
		  "\\endif\n\n",
		  out);
	fputs(access_sql, out);
	fputs("\nCOMMIT;\n\\o\n", out);
	return fflush(out) == 0 && !ferror(out);
}
