#include "cli/init_protect.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "cli/findings.h"
#include "cli/print.h"
#include "policy/guard/findings.h"

#define COMMAND "bulkhead init"

enum { COLUMN_STEP, COLUMN_OBJECT, COLUMN_WHY, COLUMN_STATEMENT };

/* Protecting takes a table for itself. Others wait behind whoever waits for that, so not for
 * long. */
#define BEGIN_SQL                                                                              \
	"BEGIN; SET LOCAL lock_timeout = '500ms'; SET LOCAL client_min_messages = 'error'"
#define SQLSTATE_LOCK_NOT_AVAILABLE "55P03"

/* ---- the plan ---- */

static PGresult *ask(PGconn *admin, bool (*text)(struct buf *), int count,
					 const char *const values[])
{
	struct buf sql;
	PGresult *result = NULL;

	buf_init(&sql);
	if (text(&sql) && buf_append_byte(&sql, '\0'))
		result = findings_query(admin, COMMAND, (const char *)buf_data(&sql), count, values);
	else
		fputs(COMMAND ": out of memory\n", stderr);
	buf_fini(&sql);
	return result;
}

static bool owner_exists(PGconn *admin, const char *owner)
{
	const char *const values[] = {owner};
	PGresult *result =
		findings_query(admin, COMMAND, "SELECT FROM pg_roles WHERE rolname = $1", 1, values);
	bool exists = PQntuples(result) > 0;

	if (result && !exists)
		fprintf(stderr, COMMAND ": role \"%s\", which is to own the tables, does not exist\n",
				owner);
	PQclear(result);
	return exists;
}

static void complain_of_guesses(const char *owner, const PGresult *guesses)
{
	fprintf(stderr, COMMAND ": which column names the tenant? Say it with --column.\n");
	if (PQntuples(guesses) == 0)
		fprintf(stderr, "No table of %s has one of a usual name.\n", owner);
	for (int row = 0; row < PQntuples(guesses); row++)
		print_line(stderr, "  %s is in %s of the tables of %s", PQgetvalue(guesses, row, 0),
				   PQgetvalue(guesses, row, 1), owner);
}

static PGresult *plan_with(PGconn *admin, const struct init_protect *what, const char *column)
{
	const char *const values[] = {what->owner, column, what->by};

	return ask(admin, guard_plan_query, 3, values);
}

/* Rows of one step, each with its object, reason and statement. */
static int print_step(const PGresult *plan, const char *step, const char *title)
{
	int count = 0;

	for (int row = 0; row < PQntuples(plan); row++) {
		const char *why = PQgetvalue(plan, row, COLUMN_WHY);
		const char *statement = PQgetvalue(plan, row, COLUMN_STATEMENT);

		if (strcmp(PQgetvalue(plan, row, COLUMN_STEP), step) != 0)
			continue;
		if (count++ == 0)
			printf("%s\n", title);
		findings_print_text(PQgetvalue(plan, row, COLUMN_OBJECT), 2);
		if (*why)
			findings_print_text(why, 4);
		if (*statement)
			findings_print_text(statement, 6);
	}
	if (count)
		putchar('\n');
	return count;
}

static void print_plan(const PGresult *plan, const char *column, const char *owner)
{
	printf("The tables of %s, by column %s\n\n", owner, column);
	if (print_step(plan, "protect", "To be protected") == 0)
		puts("No table is to be protected.\n");
	print_step(plan, "done", "Protected already");
	print_step(plan, "skip", "Left as they are");
	print_step(plan, "later", "To be mended afterwards, by hand");
}

PGresult *init_protect_plan(PGconn *admin, const struct init_protect *what, bool *decided)
{
	const char *const owner[] = {what->owner};
	const char *column = what->column;
	PGresult *guesses = NULL, *plan = NULL;

	*decided = column != NULL;
	if (!owner_exists(admin, what->owner))
		return NULL;
	if (!column) {
		guesses = ask(admin, guard_plan_guess, 1, owner);
		if (guesses && PQntuples(guesses) == 1)
			column = PQgetvalue(guesses, 0, 0);
		else if (guesses)
			complain_of_guesses(what->owner, guesses);
	}
	if (column)
		plan = plan_with(admin, what, column);
	if (plan)
		print_plan(plan, column, what->owner);
	if (plan && !*decided)
		print_line(stdout, "Column %s is a guess. If it names the tenant, say so: --column %s",
				   column, column);
	PQclear(guesses);
	return plan;
}

/* ---- the plan applied ---- */

static bool run(PGconn *admin, const char *sql, const char *object)
{
	PGresult *result = PQexec(admin, sql);
	ExecStatusType status = PQresultStatus(result);
	const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
	const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
	bool done = status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK;

	if (!done && state && strcmp(state, SQLSTATE_LOCK_NOT_AVAILABLE) == 0)
		print_line(stderr,
				   COMMAND
				   ": table %s is in use; no table was protected. Try again when nothing "
				   "runs on it for long.",
				   object);
	else if (!done)
		print_line(stderr, COMMAND ": %s: %s; no table was protected", object,
				   message ? message : PQerrorMessage(admin));
	PQclear(result);
	return done;
}

static bool run_steps(PGconn *admin, const PGresult *plan)
{
	bool done = true;

	for (int row = 0; done && row < PQntuples(plan); row++) {
		if (strcmp(PQgetvalue(plan, row, COLUMN_STEP), "protect") == 0)
			done = run(admin, PQgetvalue(plan, row, COLUMN_STATEMENT),
					   PQgetvalue(plan, row, COLUMN_OBJECT));
	}
	return done;
}

bool init_protect_apply(PGconn *admin, const PGresult *plan)
{
	bool done = run(admin, BEGIN_SQL, "the transaction") && run_steps(admin, plan) &&
				run(admin, "COMMIT", "the transaction");

	if (!done) {
		PQclear(PQexec(admin, "ROLLBACK"));
		return false;
	}

	PGresult *findings = findings_ask(admin, COMMAND);
	if (findings) {
		puts("The plan is carried out. What is left to mend:\n");
		findings_print(findings);
	}
	PQclear(findings);
	return findings != NULL;
}
