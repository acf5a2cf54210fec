/* bulkhead principal create and password: what sets a verifier. */
#include <stdio.h>

#include "base/secret.h"
#include "cli/control_db.h"
#include "cli/input.h"
#include "cli/principal.h"
#include "cli/print.h"
#include "router/scram_verifier.h"

#define PASSWORD_MAX 1024 /* bytes of a password file */

/* What both verbs print of the principal. */
#define RETURNING_SQL                                                                          \
	" RETURNING name, (SELECT slug FROM bulkhead_control.tenant WHERE id = home_id) AS home,"  \
	" reach"

/* The password from the file, from standard input or a new one; *drawn says which. NULL with
 * the reason printed. */
static char *get_password(const char *file, bool *drawn)
{
	const char *why = "out of memory";
	char *password = file ? input_secret(file, PASSWORD_MAX, &why) : secret_draw_password();

	*drawn = !file;
	if (password && !*password) {
		why = "it is empty";
		secret_free(password);
		password = NULL;
	}
	if (!password)
		print_complaint("%s: %s", file ? input_name(file) : "password", why);
	return password;
}

/* Stores what `sql` says with the verifier as $1 and more values; prints a drawn password. */
static enum cli_exit store(PGconn *control, const struct arguments *arguments, const char *sql,
						   int count, const char *values[], const char *nothing)
{
	bool drawn, stored = false;
	char *password = get_password(arguments->value[ARG_PASSWORD_FILE], &drawn);
	char *verifier =
		password ? scram_verifier_create(password, SCRAM_ITERATIONS_DEFAULT) : NULL;

	values[0] = verifier;
	if (verifier) {
		PGresult *result = control_db_change(control, sql, count, values, false);

		stored = result && PQntuples(result) == 1;
		if (result && !stored)
			print_complaint("%s", nothing);
		if (stored)
			print_rows(result, arguments->value[ARG_JSON]);
		PQclear(result);
	}
	/* On standard error, so that what parses the result does not log the password with it. */
	if (stored && drawn)
		fprintf(stderr, "password (shown once): %s\n", password);
	secret_free(verifier);
	secret_free(password);
	return stored ? CLI_DONE : CLI_FAILED;
}

const char *principal_create_check(const struct arguments *arguments)
{
	const char *reach = arguments->value[ARG_REACH];

	if (!arguments->value[ARG_HOME] || !reach)
		return "--home and --reach are wanted";
	return principal_is_reach(reach) ? NULL : "a reach is self, subtree or all";
}

enum cli_exit principal_create(PGconn *control, const struct arguments *arguments)
{
	static const char sql[] =
		"INSERT INTO bulkhead_control.principal (name, verifier, home_id, reach) "
		"SELECT $2, $1, t.id, $4 FROM bulkhead_control.lookup_tenant($3) t" RETURNING_SQL;
	const char *values[] = {NULL, arguments->word, arguments->value[ARG_HOME],
							arguments->value[ARG_REACH]};

	return store(control, arguments, sql, 4, values, "there is no such home tenant");
}

enum cli_exit principal_password(PGconn *control, const struct arguments *arguments)
{
	static const char sql[] =
		"UPDATE bulkhead_control.principal SET verifier = $1 WHERE name = $2" RETURNING_SQL;
	const char *values[] = {NULL, arguments->word};

	return store(control, arguments, sql, 2, values, "there is no such principal");
}
