#include "cli/control_db.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "cli/dsn.h"

PGconn *control_db_open(const char *dsn)
{
	const char *where = dsn ? dsn : getenv("CONTROL_DSN");

	if (!where || !*where) {
		fputs("bulkhead: name the control database with --control-dsn or CONTROL_DSN\n", stderr);
		return NULL;
	}

	PGconn *connection = dsn_connect(where, "bulkhead");
	if (connection)
		PQclear(PQexec(connection, "SET search_path = pg_catalog"));
	return connection;
}

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
    {"tenant_pool_weight", "a weight is 1 to 100"},
    {"tenant_depth", "the tree is at most 20 levels deep"},
    {"tenant_parent_active", "the parent is not active"},
    {"principal_pkey", "this principal exists already"},
    {"principal_name_form", "a principal's name is 1 to 63 bytes without control characters"},
};

static void complain(const PGconn *connection, const PGresult *result)
{
	const char *constraint = PQresultErrorField(result, PG_DIAG_CONSTRAINT_NAME);
	const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);

	for (size_t i = 0; constraint && i < sizeof sentences / sizeof *sentences; i++) {
		if (strcmp(constraint, sentences[i].constraint) == 0)
			message = sentences[i].sentence;
	}
	if (message)
		fprintf(stderr, "bulkhead: %s\n", message);
	else
		fprintf(stderr, "bulkhead: %s", PQerrorMessage(connection));
}

PGresult *control_db_query(PGconn *connection, const char *sql, int count, const char *const values[])
{
	PGresult *result = PQexecParams(connection, sql, count, NULL, values, NULL, NULL, 0);
	ExecStatusType status = PQresultStatus(result);

	if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK)
		return result;
	complain(connection, result);
	PQclear(result);
	return NULL;
}

static void print_json(const PGresult *result)
{
	json_t *rows = json_array();

	for (int row = 0; row < PQntuples(result); row++) {
		json_t *object = json_object();

		for (int column = 0; column < PQnfields(result); column++)
			json_object_set_new(object, PQfname(result, column),
					    PQgetisnull(result, row, column)
						? json_null()
						: json_string(PQgetvalue(result, row, column)));
		json_array_append_new(rows, object);
	}
	json_dumpf(rows, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(rows);
}

static int column_width(const PGresult *result, int column)
{
	int width = (int)strlen(PQfname(result, column));

	for (int row = 0; row < PQntuples(result); row++) {
		int len = PQgetlength(result, row, column);

		width = len > width ? len : width;
	}
	return width;
}

/* The last column is not padded: no line ends in blanks. */
static void print_cell(const PGresult *result, int column, const char *text)
{
	if (column + 1 < PQnfields(result))
		printf("%-*s  ", column_width(result, column), text);
	else
		puts(text);
}

void control_db_print(const PGresult *result, int as_json)
{
	if (as_json) {
		print_json(result);
		return;
	}
	for (int column = 0; column < PQnfields(result); column++)
		print_cell(result, column, PQfname(result, column));
	for (int row = 0; row < PQntuples(result); row++) {
		for (int column = 0; column < PQnfields(result); column++)
			print_cell(result, column, PQgetvalue(result, row, column));
	}
}
