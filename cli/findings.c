#include "cli/findings.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "cli/print.h"
#include "policy/guard/findings.h"

enum { COLUMN_ID, COLUMN_SEVERITY, COLUMN_OBJECT, COLUMN_WHY, COLUMN_MEND };

#define TEXT_OID 25

static const char *const severities[] = {
	[SEVERITY_CRITICAL] = "critical",
	[SEVERITY_WARNING] = "warning",
	[SEVERITY_NOTICE] = "notice",
};
#define SEVERITY_COUNT (sizeof severities / sizeof *severities)

bool severity_parse(const char *name, enum severity *out)
{
	for (size_t i = 0; i < SEVERITY_COUNT; i++) {
		if (strcmp(name, severities[i]) == 0) {
			*out = (enum severity)i;
			return true;
		}
	}
	return false;
}

/* ---- asking ---- */

/* Passes the result on, or NULL with the server's words printed. */
static PGresult *sound(PGconn *admin, const char *command, PGresult *result)
{
	ExecStatusType status = PQresultStatus(result);
	const char *primary = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
	const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);

	if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK)
		return result;
	if (primary)
		fprintf(stderr, "%s: %s\n", command, primary);
	else
		fprintf(stderr, "%s: %s", command, PQerrorMessage(admin));
	if (state && strcmp(state, "42501") == 0)
		fprintf(stderr, "%s: connect as a superuser, who may read every catalogue\n", command);
	PQclear(result);
	return NULL;
}

static bool run(PGconn *admin, const char *command, const char *sql)
{
	PGresult *result = sound(admin, command, PQexec(admin, sql));

	PQclear(result);
	return result != NULL;
}

PGresult *findings_query(PGconn *admin, const char *command, const char *sql, int count,
						 const char *const values[])
{
	const Oid types[] = {TEXT_OID, TEXT_OID, TEXT_OID};
	PGresult *result = NULL;

	if (run(admin, command, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY") &&
		run(admin, command, guard_findings_begin))
		result = sound(admin, command,
					   PQexecParams(admin, sql, count, types, values, NULL, NULL, 0));
	PQclear(PQexec(admin, "ROLLBACK"));
	return result;
}

/* Are the tenants of the control schema here, to be held against the logins? */
static bool has_control(PGconn *admin, const char *command)
{
	PGresult *result = findings_query(
		admin, command,
		"SELECT FROM pg_class WHERE relnamespace = to_regnamespace('bulkhead_control') AND "
		"relname = 'tenant' AND has_schema_privilege(relnamespace, 'USAGE') AND "
		"has_table_privilege(oid, 'SELECT')",
		0, NULL);
	bool has = PQntuples(result) > 0;

	PQclear(result);
	return has;
}

PGresult *findings_ask(PGconn *admin, const char *command)
{
	struct buf sql;
	PGresult *result = NULL;

	buf_init(&sql);
	if (guard_findings_query(&sql, has_control(admin, command)) && buf_append_byte(&sql, '\0'))
		result = findings_query(admin, command, (const char *)buf_data(&sql), 0, NULL);
	else
		fprintf(stderr, "%s: out of memory\n", command);
	buf_fini(&sql);
	return result;
}

static enum severity severity_of(const PGresult *findings, int row)
{
	enum severity severity = SEVERITY_CRITICAL;

	severity_parse(PQgetvalue(findings, row, COLUMN_SEVERITY), &severity);
	return severity;
}

int findings_count(const PGresult *findings, enum severity bound)
{
	int count = 0;

	for (int row = 0; row < PQntuples(findings); row++)
		count += severity_of(findings, row) <= bound;
	return count;
}

/* ---- printing ---- */

void findings_print_text(const char *text, int indent)
{
	for (;;) {
		size_t len = strcspn(text, "\n");

		print_line(stdout, "%*s%.*s", indent, "", (int)len, text);
		if (!text[len])
			return;
		text += len + 1;
	}
}

static void print_group(const PGresult *findings, enum severity severity)
{
	bool is_first = true;

	for (int row = 0; row < PQntuples(findings); row++) {
		if (severity_of(findings, row) != severity)
			continue;
		if (is_first)
			printf("%s\n", severities[severity]);
		is_first = false;
		printf("  %s\n", PQgetvalue(findings, row, COLUMN_ID));
		findings_print_text(PQgetvalue(findings, row, COLUMN_OBJECT), 4);
		findings_print_text(PQgetvalue(findings, row, COLUMN_WHY), 4);
		findings_print_text(PQgetvalue(findings, row, COLUMN_MEND), 6);
		putchar('\n');
	}
}

void findings_print(const PGresult *findings)
{
	int critical = findings_count(findings, SEVERITY_CRITICAL);
	int warning = findings_count(findings, SEVERITY_WARNING) - critical;
	int notice = PQntuples(findings) - critical - warning;

	for (size_t i = 0; i < SEVERITY_COUNT; i++)
		print_group(findings, (enum severity)i);
	printf("%d critical, %d warning%s, %d notice%s\n", critical, warning,
		   warning == 1 ? "" : "s", notice, notice == 1 ? "" : "s");
}
