/* bulkhead principal create and password: what sets a verifier. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/secret.h"
#include "cli/control_db.h"
#include "cli/principal.h"
#include "cli/print.h"
#include "router/scram_verifier.h"

#define PASSWORD_MAX 1024 /* bytes of a password file */

/* What both verbs print of the principal. */
#define RETURNING_SQL                                                                          \
	" RETURNING name, (SELECT slug FROM bulkhead_control.tenant WHERE id = home_id) AS home,"  \
	" reach"

/* All of standard input, up to `size` bytes; -1 with errno on failure. */
static ssize_t read_input(char *out, size_t size)
{
	size_t len = 0;

	while (len < size) {
		ssize_t got = read(STDIN_FILENO, out + len, size - len);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -1;
		if (got == 0)
			break;
		len += (size_t)got;
	}
	return (ssize_t)len;
}

/* The password that a pipe or file on standard input holds, under the rules of
 * secret_read_file but for the mode. */
static char *take_input(const char **why)
{
	if (isatty(STDIN_FILENO)) {
		*why = "it is a terminal, which would show the password";
		return NULL;
	}

	char *password = calloc(1, PASSWORD_MAX + 2);
	ssize_t len = password ? read_input(password, PASSWORD_MAX + 1) : -1;

	if (len < 0)
		*why = strerror(password ? errno : ENOMEM);
	else if (len > PASSWORD_MAX)
		*why = "too large for a secret";
	else if (strlen(password) != (size_t)len)
		*why = "it holds a NUL byte";
	else {
		if (len > 0 && password[len - 1] == '\n')
			password[--len] = '\0';
		if (len > 0 && password[len - 1] == '\r')
			password[--len] = '\0';
		return password;
	}
	if (password)
		secret_wipe(password, PASSWORD_MAX + 2);
	free(password);
	return NULL;
}

/* The password from the file, from standard input or a new one; *drawn says which. NULL with
 * the reason printed. */
static char *get_password(const char *file, bool *drawn)
{
	bool input = file && strcmp(file, "-") == 0;
	const char *why = "out of memory";
	char *password = input  ? take_input(&why)
					 : file ? secret_read_file(file, PASSWORD_MAX, &why)
							: secret_draw_password();

	*drawn = !file;
	if (password && !*password) {
		why = "it is empty";
		secret_free(password);
		password = NULL;
	}
	if (!password)
		print_complaint("%s: %s", input ? "standard input" : file ? file : "password", why);
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
