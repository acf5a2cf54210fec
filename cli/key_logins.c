/* bulkhead key rotate|retire logins, and what they share with other keys that no database
 * holds. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/secret.h"
#include "cli/dsn.h"
#include "cli/key_command.h"
#include "cli/key_file.h"

bool key_add_new(struct key_command *command, char kid[GUARD_KID_MAX + 1])
{
	unsigned char key[GUARD_KEY_SIZE];
	const char *why = NULL;

	*kid = '\0';
	if (!key_load_file(command) || (!command->kid && !key_choose_kid(command, kid)))
		return false;
	if (command->kid)
		snprintf(kid, GUARD_KID_MAX + 1, "%s", command->kid);
	if ((command->kid && strlen(command->kid) > GUARD_KID_MAX) || key_is_taken(command, kid))
		return key_complain(command->kid ? command->kid : kid,
							"a key's name is 1 to 32 of a-z, 0-9, _ and -, and not there yet");
	secret_random(key, sizeof key);
	bool done = key_file_add(command->path, kid, key, &why);
	secret_wipe(key, sizeof key);
	return done || key_complain(command->path, why);
}

const char *key_control_dsn(const struct key_command *command, const char *what)
{
	const char *dsn =
		command->dsn_count ? command->dsns[0] : getenv("CONTROL_DSN"); /* not in `ps` */

	if (dsn && *dsn)
		return dsn;
	key_complain(what, "name the control database with --dsn or CONTROL_DSN");
	return NULL;
}

/* True, too, when the control database cannot be asked; a line says which. */
static bool is_in_use(const char *dsn, const char *kid, const struct key_use *use)
{
	PGconn *control = dsn_connect(dsn, "bulkhead key");
	PGresult *result;
	bool in_use = true;

	if (!control)
		return true;
	result = PQexecParams(control, use->count_sql, 1, NULL, &kid, NULL, NULL, 0);
	if (PQresultStatus(result) != PGRES_TUPLES_OK)
		fprintf(stderr, "bulkhead key: %s", PQerrorMessage(control));
	else if (strcmp(PQgetvalue(result, 0, 0), "0") == 0)
		in_use = false;
	else
		fprintf(stderr, "bulkhead key: %s: %s %s\n", kid, PQgetvalue(result, 0, 0), use->words);
	PQclear(result);
	PQfinish(control);
	return in_use;
}

enum cli_exit key_retire_unused(struct key_command *command, const char *kid,
								const struct key_use *use)
{
	const char *dsn = key_control_dsn(command, kid), *why = NULL;

	if (!dsn || !key_load_file(command))
		return CLI_FAILED;
	if (strcmp(guard_keyring_kid(command->keyring, 0), kid) == 0)
		why = use->first;
	else if (!key_is_taken(command, kid))
		why = "there is no such key in the file";
	if (why) {
		key_complain(kid, why);
		return CLI_FAILED;
	}
	if (is_in_use(dsn, kid, use))
		return CLI_FAILED;
	if (key_file_remove(command->path, kid, &why))
		return CLI_DONE;
	key_complain(command->path, why);
	return CLI_FAILED;
}

/* No database has to know a key of these: logins keep their passwords until they are given
 * others. */
enum cli_exit key_rotate_logins(struct key_command *command)
{
	char kid[GUARD_KID_MAX + 1];

	if (!key_add_new(command, kid))
		return CLI_FAILED;
	printf("Passwords are derived from the key %s from now on, in %s.\n"
		   "Give the file to all sidecars of the cluster, and derive the keys of those for one "
		   "tenant again.\n"
		   "When all have read it:\n"
		   "\n"
		   "\tbulkhead job rotate CLUSTER -c FILE\n"
		   "\n"
		   "gives the logins their new passwords, and then\n"
		   "\n"
		   "\tbulkhead key retire logins %s --file %s\n"
		   "\n"
		   "takes the old key away.\n",
		   kid, command->path, guard_keyring_kid(command->keyring, 0), command->path);
	return CLI_DONE;
}

enum cli_exit key_retire_logins(struct key_command *command, const char *kid)
{
	static const struct key_use use = {
		.first =
			"new passwords are of this key; make another first: bulkhead key rotate logins",
		.count_sql = "SELECT pg_catalog.count(*) FROM bulkhead_control.tenant"
					 " WHERE login_kid OPERATOR(pg_catalog.=) $1",
		.words = "logins have passwords of this key; bulkhead job rotate gives them others"};

	return key_retire_unused(command, kid, &use);
}
