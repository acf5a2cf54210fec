#include "cli/control_db.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/secret.h"
#include "cli/dsn.h"
#include "cli/print.h"

/* How often a change is tried when others are in its way; the pauses between add up to four
 * seconds or so. */
#define ATTEMPTS       9
#define FIRST_PAUSE_MS 10

/* ---- what went wrong ---- */

/* What a refusal by the database means in words. */
static const struct {
	const char *constraint, *sentence;
} sentences[] = {
	{"tenant_slug", "this slug is taken"},
	{"tenant_pkey", "this id is taken"},
	{"tenant_external_key", "this key is taken"},
	{"tenant_token_taken", "another tenant has this slug, key or id already"},
	{"tenant_slug_form", "a slug is 1 to 63 of a-z, 0-9, - and _, and begins with a letter"},
	{"tenant_slug_reserved", "this slug is reserved"},
	{"tenant_slug_no_id", "a slug may not look like an id"},
	{"tenant_external_key_form", "a key is 1 to 255 bytes without control characters"},
	{"tenant_name_form", "a name is 1 to 255 bytes without control characters"},
	{"tenant_cluster", "there is no such cluster"},
	{"tenant_region", "a region is 1 to 63 bytes"},
	{"cluster_pkey", "this cluster exists already"},
	{"cluster_name",
	 "a cluster's name is 1 to 63 of a-z, 0-9, - and _, and begins with a letter"},
	{"cluster_region", "a region is 1 to 63 bytes"},
	{"cluster_status", "a status is active, draining or down"},
	{"tenant_pool_weight", "a weight is 1 to 100"},
	{"tenant_depth", "the tree is at most 20 levels deep"},
	{"tenant_parent_active", "the parent is not active"},
	{"permission_grant_mode", "a mode is LOCKED, INHERITED or DELEGATED"},
	{"permission_grant_revocation", "a revocation is CASCADE, SOFT or PERMANENT"},
	{"job_unfinished", "another job of this tenant is queued or running"},
	{"setting_size", "a value is at most 64 KiB"},
	{"setting_app_key",
	 "a key of the application's own is app. and words of letters, digits, - and _"},
	{"principal_pkey", "this principal exists already"},
	{"principal_name_form", "a principal's name is 1 to 63 bytes without control characters"},
	{"api_key_tenant", "there is no such tenant"},
	{"api_key_name_form", "a key's name is 1 to 255 bytes without control characters"},
	{"api_key_role", "a role is viewer, editor, admin or operator"},
	{"api_key_everything",
	 "a key that is no operator's is for one tenant and all below: --tenant"},
	{"api_key_reveal", "only an admin's or operator's key may read sensitive settings"},
	{"api_key_addresses", "there are at most 100 addresses"},
	{"api_key_expires_at", "the end of validity is a point in time"},
	{"principal_max_connections", "the number of connections is 1 to 1000000, or none"},
	{"principal_tenants", "there are 1 to 100 tenants, each of which must exist"},
	{"principal_certificate_names", "there are 1 to 20 names of 1 to 255 bytes"},
	{"principal_valid_until", "the end of validity is a point in time, or never"},
};

/* Added to the database's own words: what to do about it. */
static const struct {
	const char *constraint, *advice;
} advices[] = {
	{"tenant_status_below", "--subtree takes them along"},
	{"tenant_status_above", "resume or restore that one first"},
	{"tenant_purge_below", "move or purge them first"},
};

/* The schema is older than this program, or not there at all. */
static bool is_missing(const char *sqlstate)
{
	static const char *const states[] = {"42883", "42P01", "42703", "3F000"};

	for (size_t i = 0; sqlstate && i < sizeof states / sizeof *states; i++) {
		if (strcmp(sqlstate, states[i]) == 0)
			return true;
	}
	return false;
}

static const char *find_advice(const PGresult *result, const char *constraint)
{
	for (size_t i = 0; i < sizeof advices / sizeof *advices; i++) {
		if (strcmp(constraint, advices[i].constraint) == 0)
			return advices[i].advice;
	}
	if (is_missing(PQresultErrorField(result, PG_DIAG_SQLSTATE)))
		return "bulkhead init brings the control schema up to this version";
	return NULL;
}

static void complain(const PGconn *connection, const PGresult *result)
{
	const char *constraint = PQresultErrorField(result, PG_DIAG_CONSTRAINT_NAME);
	const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
	const char *advice = find_advice(result, constraint ? constraint : "");

	for (size_t i = 0; constraint && i < sizeof sentences / sizeof *sentences; i++) {
		if (strcmp(constraint, sentences[i].constraint) == 0)
			message = sentences[i].sentence;
	}
	if (!message)
		fprintf(stderr, "bulkhead: %s", PQerrorMessage(connection));
	else if (advice)
		print_complaint("%s; %s", message, advice);
	else
		print_complaint("%s", message);
}

/* ---- statements ---- */

static bool is_done(const PGresult *result)
{
	ExecStatusType status = PQresultStatus(result);

	return status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK;
}

PGresult *control_db_query(PGconn *connection, const char *sql, int count,
						   const char *const values[])
{
	PGresult *result = PQexecParams(connection, sql, count, NULL, values, NULL, NULL, 0);

	if (is_done(result))
		return result;
	complain(connection, result);
	PQclear(result);
	return NULL;
}

PGconn *control_db_open(const char *dsn)
{
	static const char sql[] = "SET search_path = pg_catalog; SET client_encoding = 'UTF8'; "
							  "SET timezone = 'UTC'; SET datestyle = 'ISO'";
	const char *where = dsn ? dsn : getenv("CONTROL_DSN");

	if (!where || !*where) {
		print_complaint("name the control database with --control-dsn or CONTROL_DSN");
		return NULL;
	}

	PGconn *connection = dsn_connect(where, "bulkhead");
	if (!connection)
		return NULL;

	PGresult *result = PQexec(connection, sql);
	bool set = is_done(result);
	if (!set)
		complain(connection, result);
	PQclear(result);
	if (set)
		return connection;
	PQfinish(connection);
	return NULL;
}

/* ---- changes ---- */

/* Runs a statement behind the one that `result` came from. Keeps `result` when it succeeds,
 * else gives its own. */
static PGresult *followed_by(PGconn *connection, PGresult *result, const char *sql)
{
	if (!is_done(result))
		return result;

	PGresult *next = PQexec(connection, sql);
	if (is_done(next)) {
		PQclear(next);
		return result;
	}
	PQclear(result);
	return next;
}

/* One attempt: the change's result, or the first failure's, with the transaction ended. */
static PGresult *attempt(PGconn *connection, const char *sql, int count,
						 const char *const values[], bool dry_run)
{
	PGresult *result = PQexec(connection, "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE");

	if (!is_done(result))
		return result;
	PQclear(result);
	result = PQexecParams(connection, sql, count, NULL, values, NULL, NULL, 0);
	result = followed_by(connection, result, "SET CONSTRAINTS ALL IMMEDIATE");
	result = followed_by(connection, result, dry_run ? "ROLLBACK" : "COMMIT");
	if (!is_done(result))
		PQclear(PQexec(connection, "ROLLBACK"));
	return result;
}

/* Deadlocks and serialization failures. */
static bool is_worth_again(const PGresult *result)
{
	const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);

	return state && (strcmp(state, "40P01") == 0 || strcmp(state, "40001") == 0);
}

/* Each pause is up to twice as long as the one before, and drawn: those who met once should not
 * meet again. */
static void pause_after(int attempts)
{
	uint32_t drawn;
	unsigned longest = FIRST_PAUSE_MS << attempts;

	secret_random(&drawn, sizeof drawn);
	long ms = longest / 2 + drawn % (longest / 2);
	struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
	nanosleep(&pause, NULL);
}

PGresult *control_db_change(PGconn *connection, const char *sql, int count,
							const char *const values[], bool dry_run)
{
	PGresult *result = attempt(connection, sql, count, values, dry_run);

	for (int attempts = 1; attempts < ATTEMPTS && is_worth_again(result); attempts++) {
		PQclear(result);
		pause_after(attempts);
		result = attempt(connection, sql, count, values, dry_run);
	}
	if (is_done(result))
		return result;
	complain(connection, result);
	PQclear(result);
	return NULL;
}

/* ---- tenants ---- */

bool control_db_find_tenant(PGconn *connection, const char *word, struct named_tenant *out)
{
	PGresult *result = control_db_query(
		connection, "SELECT id, slug FROM bulkhead_control.lookup_tenant($1)", 1, &word);
	bool found = result && PQntuples(result) == 1;

	if (found) {
		snprintf(out->id, sizeof out->id, "%s", PQgetvalue(result, 0, 0));
		snprintf(out->slug, sizeof out->slug, "%s", PQgetvalue(result, 0, 1));
	} else if (result) {
		print_complaint("there is no tenant \"%s\"", word);
	}
	PQclear(result);
	return found;
}
