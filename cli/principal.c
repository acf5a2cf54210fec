/* bulkhead principal: who may log in, on the control schema. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/encode.h"
#include "base/secret.h"
#include "cli/cli.h"
#include "cli/control_db.h"
#include "proxy/scram.h"

#define PASSWORD_MAX 1024		/* bytes of a password file */
#define GENERATED_BYTES 18		/* random bytes of a generated password */

struct arguments {
	const char *home, *reach, *password_file, *control_dsn;
	int json, help;
};

static void usage(FILE *out)
{
	fputs("Usage: bulkhead principal create NAME --home TENANT --reach self|subtree|all\n"
	      "                [--password-file FILE] [--json]\n"
	      "       bulkhead principal password NAME [--password-file FILE]\n"
	      "\n"
	      "  --home           the tenant it belongs to: slug, id or key\n"
	      "  --reach          for whom it may speak\n"
	      "  --password-file  a file of mode 0600; without it a password is drawn and printed once\n"
	      "  --control-dsn    the control database; default CONTROL_DSN of the environment\n"
	      "\n"
	      "Only the SCRAM-SHA-256 verifier of the password is stored.\n",
	      out);
}

static bool parse(int argc, char **argv, struct arguments *arguments)
{
	enum { HOME = 1, REACH, FILE_, DSN, JSON };
	static const struct option longs[] = {{"home", required_argument, NULL, HOME},
					      {"reach", required_argument, NULL, REACH},
					      {"password-file", required_argument, NULL, FILE_},
					      {"control-dsn", required_argument, NULL, DSN},
					      {"json", no_argument, NULL, JSON},
					      {"help", no_argument, NULL, 'h'},
					      {NULL, 0, NULL, 0}};
	const char **targets[] = {NULL, &arguments->home, &arguments->reach, &arguments->password_file,
				  &arguments->control_dsn};
	int option;

	while ((option = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
		if (option == 'h')
			arguments->help = 1;
		else if (option == JSON)
			arguments->json = 1;
		else if (option >= HOME && option <= DSN)
			*targets[option] = optarg;
		else
			return false;
	}
	return true;
}

static char *draw_password(void)
{
	unsigned char bytes[GENERATED_BYTES];
	char *password = malloc(BASE64_SIZE(sizeof bytes));

	if (!password)
		return NULL;
	secret_random(bytes, sizeof bytes);
	base64_encode(bytes, sizeof bytes, password);
	secret_wipe(bytes, sizeof bytes);
	return password;
}

/* The password from the file or a new one; *drawn says which. NULL with the reason printed. */
static char *get_password(const char *file, bool *drawn)
{
	const char *why = "out of memory";
	char *password = file ? secret_read_file(file, PASSWORD_MAX, &why) : draw_password();

	*drawn = !file;
	if (password && !*password) {
		why = "it is empty";
		secret_free(password);
		password = NULL;
	}
	if (!password)
		fprintf(stderr, "bulkhead: %s: %s\n", file ? file : "password", why);
	return password;
}

/* Stores what `sql` says with the verifier as $1 and three more values; prints a drawn password. */
static enum cli_exit store(const char *sql, const char *const more[3], const struct arguments *arguments,
			   const char *nothing)
{
	bool drawn, stored = false;
	char *password = get_password(arguments->password_file, &drawn);
	char *verifier = password ? scram_verifier_create(password, SCRAM_ITERATIONS_DEFAULT) : NULL;
	PGconn *connection = verifier ? control_db_open(arguments->control_dsn) : NULL;

	if (connection) {
		const char *const values[] = {verifier, more[0], more[1], more[2]};
		PGresult *result = control_db_query(connection, sql, more[2] ? 4 : 2, values);

		stored = result && PQntuples(result) == 1;
		if (stored)
			control_db_print(result, arguments->json);
		else if (result)
			fprintf(stderr, "bulkhead: %s\n", nothing);
		PQclear(result);
		PQfinish(connection);
	}
	/* On standard error, so that what parses the result does not log the password with it. */
	if (stored && drawn)
		fprintf(stderr, "password (shown once): %s\n", password);
	secret_free(verifier);
	secret_free(password);
	return stored ? CLI_DONE : CLI_FAILED;
}

static enum cli_exit create(const char *name, const struct arguments *arguments)
{
	static const char sql[] =
	    "INSERT INTO bulkhead_control.principal (name, verifier, home_id, reach) "
	    "SELECT $2, $1, t.id, $4 FROM bulkhead_control.lookup_tenant($3) t "
	    "RETURNING name, (SELECT slug FROM bulkhead_control.tenant WHERE id = home_id) AS home, reach";
	const char *const more[] = {name, arguments->home, arguments->reach};

	return store(sql, more, arguments, "there is no such home tenant");
}

static enum cli_exit change_password(const char *name, const struct arguments *arguments)
{
	static const char sql[] =
	    "UPDATE bulkhead_control.principal SET verifier = $1 WHERE name = $2 RETURNING name, reach";
	const char *const more[] = {name, NULL, NULL};

	return store(sql, more, arguments, "there is no such principal");
}

static bool is_reach(const char *word)
{
	return strcmp(word, "self") == 0 || strcmp(word, "subtree") == 0 || strcmp(word, "all") == 0;
}

int cmd_principal(int argc, char **argv)
{
	struct arguments arguments = {0};

	if (!parse(argc, argv, &arguments)) {
		usage(stderr);
		return CLI_USAGE;
	}
	char **word = argv + optind;

	if (arguments.help) {
		usage(stdout);
		return CLI_DONE;
	}
	if (argc - optind == 2 && strcmp(word[0], "create") == 0 && arguments.home && arguments.reach &&
	    is_reach(arguments.reach))
		return create(word[1], &arguments);
	if (argc - optind == 2 && strcmp(word[0], "password") == 0)
		return change_password(word[1], &arguments);
	usage(stderr);
	return CLI_USAGE;
}
