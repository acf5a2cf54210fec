/*
 * bulkhead key: the keys that hand-overs are signed with, in their file and in the databases.
 *
 * A rotation has three steps, and at each of them every sidecar can sign with what it has: the
 * new key goes into the databases beside the old, then into the file as the first; when all
 * sidecars have read that, the old one is retired.
 */
#include <errno.h>
#include <getopt.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "base/secret.h"
#include "cli/cli.h"
#include "cli/dsn.h"
#include "cli/init_keys.h"
#include "cli/key_command.h"
#include "cli/key_db.h"
#include "cli/key_file.h"

static void usage(FILE *out)
{
	fputs(
		"Usage: bulkhead key list guard [--dsn DSN]... [--keys DIR|--file FILE] [--json]\n"
		"       bulkhead key rotate guard --dsn DSN... [--keys DIR|--file FILE] [--kid NAME]\n"
		"       bulkhead key retire guard KID --dsn DSN... [--keys DIR|--file FILE]\n"
		"       bulkhead key derive guard|logins --tenant ID --out FILE [--keys DIR|--file "
		"FILE]\n"
		"       bulkhead key rotate logins [--keys DIR|--file FILE] [--kid NAME]\n"
		"       bulkhead key retire logins KID [--dsn CONTROL] [--keys DIR|--file FILE]\n"
		"       bulkhead key list|rewrap master [--dsn CONTROL] [--keys DIR|--file FILE]\n"
		"       bulkhead key rotate master [--keys DIR|--file FILE] [--kid NAME]\n"
		"       bulkhead key retire master KID [--dsn CONTROL] [--keys DIR|--file FILE]\n"
		"       bulkhead key rotate data --tenant ID [--dsn CONTROL] [--keys DIR|--file FILE]\n"
		"\n"
		"  list    names of the keys, and where each of them is\n"
		"  rotate  a new key: into the databases, then into the file, where it signs from now "
		"on\n"
		"  retire  takes an old key out of databases and file; what it signed is refused then\n"
		"  derive  the key file of a sidecar that serves one tenant and can sign for no "
		"other\n"
		"  logins  the same for cluster.secret, of which the passwords of tenants' own logins "
		"are\n"
		"          derived: a new key is for the passwords that bulkhead job rotate gives "
		"them\n"
		"  master  the same for master.key, by which the tenants' data keys are wrapped;\n"
		"          rewrap wraps all of them by the first of the file\n"
		"  data    a tenant's data key: another one, by which its sensitive settings are "
		"sealed "
		"anew\n"
		"\n"
		"      --dsn DSN     a database that the keys sign for, as superuser; name all of "
		"them;\n"
		"                    of logins, master and data, the control database (default: "
		"CONTROL_DSN\n"
		"                    of the environment)\n"
		"      --keys DIR    the folder of guard.key, cluster.secret and master.key (default: "
		"the\n"
		"                    current one)\n"
		"      --file FILE   the key file itself\n"
		"      --kid NAME    name of the new key (default: the next of k1, k2 …)\n"
		"      --tenant ID   the tenant's UUID\n"
		"      --out FILE    where the derived keys go\n"
		"      --json        list as JSON\n"
		"  -h, --help        this text\n",
		out);
}

bool key_complain(const char *what, const char *why)
{
	fprintf(stderr, "bulkhead key: %s: %s\n", what, why);
	return false;
}

/* ---- the command line ---- */

static bool add_dsn(struct key_command *command, const char *dsn)
{
	if (command->dsn_count == KEY_DBS_MAX)
		return false;
	command->dsns[command->dsn_count++] = dsn;
	return true;
}

static bool parse(struct key_command *command, int argc, char **argv)
{
	enum { DSN = 1, KEYS, FILE_, KID, TENANT, OUT, JSON };
	static const struct option longs[] = {{"dsn", required_argument, NULL, DSN},
										  {"keys", required_argument, NULL, KEYS},
										  {"file", required_argument, NULL, FILE_},
										  {"kid", required_argument, NULL, KID},
										  {"tenant", required_argument, NULL, TENANT},
										  {"out", required_argument, NULL, OUT},
										  {"json", no_argument, NULL, JSON},
										  {"help", no_argument, NULL, 'h'},
										  {NULL, 0, NULL, 0}};
	const char **targets[] = {
		[KEYS] = &command->keys,     [FILE_] = &command->file, [KID] = &command->kid,
		[TENANT] = &command->tenant, [OUT] = &command->out,
	};
	int option;

	while ((option = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
		if (option == 'h')
			command->help = true;
		else if (option == JSON)
			command->json = true;
		else if (option == DSN && !add_dsn(command, optarg))
			return false;
		else if (option >= KEYS && option <= OUT)
			*targets[option] = optarg;
		else if (option != DSN)
			return false;
	}
	return !command->keys || !command->file;
}

/* ---- file and databases ---- */

static bool find_file(struct key_command *command)
{
	char *named = NULL;

	if (command->file)
		named = strdup(command->file);
	else if (asprintf(&named, "%s/%s", command->keys ? command->keys : ".", command->name) < 0)
		named = NULL;
	if (!named)
		return key_complain("key file", "out of memory");
	command->path = realpath(named, NULL);
	bool found = command->path || key_complain(named, strerror(errno));
	free(named);
	return found;
}

static bool lock_folder(struct key_command *command)
{
	char *copy = strdup(command->path);

	if (copy)
		command->lock = key_folder_lock(dirname(copy));
	free(copy);
	return command->lock >= 0 || key_complain(command->path, strerror(errno));
}

bool key_load_file(struct key_command *command)
{
	const char *why = NULL;

	if (!find_file(command) || !lock_folder(command))
		return false;
	command->keyring = guard_keyring_load(command->path, &why);
	if (!command->keyring)
		return key_complain(command->path, why);
	if (guard_keyring_tenant(command->keyring))
		return key_complain(command->path,
							"it holds the keys of one tenant; the installation's are needed");
	return true;
}

static bool open_databases(struct key_command *command)
{
	return key_dbs_open(&command->dbs, command->dsns, command->dsn_count);
}

static void close_all(struct key_command *command)
{
	key_dbs_close(&command->dbs);
	guard_keyring_destroy(command->keyring);
	if (command->lock >= 0)
		close(command->lock);
	free(command->path);
}

/* ---- list ---- */

static json_t *find_key(json_t *keys, const char *kid)
{
	json_t *key = json_object_get(keys, kid);

	if (!key) {
		key = json_pack("{s:s, s:s, s:[], s:n}", "kid", kid, "file", "missing", "databases",
						"created_at");
		json_object_set_new(keys, kid, key);
	}
	return key;
}

static bool list_database(const struct key_command *command, size_t i, json_t *keys)
{
	PGresult *result = key_dbs_list(&command->dbs, i);

	for (int row = 0; row < PQntuples(result); row++) {
		json_t *key = find_key(keys, PQgetvalue(result, row, 0));

		json_array_append_new(json_object_get(key, "databases"),
							  json_string(PQdb(command->dbs.connections[i])));
		if (json_is_null(json_object_get(key, "created_at")))
			json_object_set_new(key, "created_at", json_string(PQgetvalue(result, row, 1)));
	}
	PQclear(result);
	return result != NULL;
}

static const char *text_of(json_t *key, const char *name)
{
	const char *text = json_string_value(json_object_get(key, name));

	return text ? text : "-";
}

static void print_key(json_t *key)
{
	json_t *databases = json_object_get(key, "databases"), *database;
	size_t i;

	printf("%-32s  %-7s  %-20s  ", text_of(key, "kid"), text_of(key, "file"),
		   text_of(key, "created_at"));
	json_array_foreach(databases, i, database)
		printf("%s%s", i ? ", " : "", json_string_value(database));
	puts(json_array_size(databases) ? "" : "-");
}

static void print_list(json_t *keys, bool as_json)
{
	json_t *list = json_array(), *key;
	const char *kid;

	json_object_foreach(keys, kid, key) json_array_append(list, key);
	if (as_json) {
		json_dumpf(list, stdout, JSON_INDENT(2));
		putchar('\n');
	} else {
		size_t i;

		printf("%-32s  %-7s  %-20s  %s\n", "kid", "file", "created", "databases");
		json_array_foreach(list, i, key) print_key(key);
	}
	json_decref(list);
}

static enum cli_exit list(struct key_command *command)
{
	json_t *keys = json_object();
	bool done = key_load_file(command) && open_databases(command);
	const char *kid;

	for (size_t i = 0; done && (kid = guard_keyring_kid(command->keyring, i)) != NULL; i++)
		json_object_set_new(find_key(keys, kid), "file", json_string(i ? "kept" : "signs"));
	for (size_t i = 0; done && i < command->dbs.count; i++)
		done = list_database(command, i, keys);
	if (done)
		print_list(keys, command->json);
	json_decref(keys);
	return done ? CLI_DONE : CLI_FAILED;
}

/* ---- rotate ---- */

/* The number of a name as k7, or 0. */
static unsigned number_of(const char *kid)
{
	size_t len = strlen(kid);

	return kid[0] == 'k' && len >= 2 && len <= 9 && strspn(kid + 1, "0123456789") == len - 1
			   ? (unsigned)strtoul(kid + 1, NULL, 10)
			   : 0;
}

static void note_number(const char *kid, unsigned *highest)
{
	unsigned number = number_of(kid);

	if (number > *highest)
		*highest = number;
}

/* A name that neither the file nor a database has. */
bool key_choose_kid(const struct key_command *command, char kid[GUARD_KID_MAX + 1])
{
	unsigned highest = 0;
	const char *known;

	for (size_t i = 0; (known = guard_keyring_kid(command->keyring, i)) != NULL; i++)
		note_number(known, &highest);
	for (size_t i = 0; i < command->dbs.count; i++) {
		PGresult *result = key_dbs_list(&command->dbs, i);

		if (!result)
			return false;
		for (int row = 0; row < PQntuples(result); row++)
			note_number(PQgetvalue(result, row, 0), &highest);
		PQclear(result);
	}
	snprintf(kid, GUARD_KID_MAX + 1, "k%u", highest + 1);
	return true;
}

bool key_is_taken(const struct key_command *command, const char *kid)
{
	const char *known;

	for (size_t i = 0; (known = guard_keyring_kid(command->keyring, i)) != NULL; i++) {
		if (strcmp(known, kid) == 0)
			return true;
	}
	return false;
}

/* The databases first: the moment the file has the key, sidecars sign with it. */
static bool put_in_force(struct key_command *command, const char *kid,
						 const unsigned char key[GUARD_KEY_SIZE])
{
	const char *why = NULL;

	if (!key_dbs_register(&command->dbs, kid, key))
		return false;
	if (!key_dbs_commit(&command->dbs)) {
		key_dbs_take_back(&command->dbs, kid);
		return false;
	}
	if (key_file_add(command->path, kid, key, &why))
		return true;
	key_complain(command->path, why);
	key_dbs_take_back(&command->dbs, kid);
	return false;
}

static enum cli_exit rotate(struct key_command *command)
{
	char kid[GUARD_KID_MAX + 1] = "";
	unsigned char key[GUARD_KEY_SIZE];

	if (!key_load_file(command) || !open_databases(command) ||
		!key_dbs_hold(&command->dbs, guard_keyring_kid(command->keyring, 0),
					  guard_keyring_key(command->keyring, 0)))
		return CLI_FAILED;
	if (!command->kid && !key_choose_kid(command, kid))
		return CLI_FAILED;
	if (command->kid && strlen(command->kid) > GUARD_KID_MAX) {
		key_complain(command->kid, "a key's name is 1 to 32 of a-z, 0-9, _ and -");
		return CLI_FAILED;
	}
	if (command->kid)
		snprintf(kid, sizeof kid, "%s", command->kid);
	if (key_is_taken(command, kid)) {
		key_complain(kid, "there is a key of this name");
		return CLI_FAILED;
	}
	secret_random(key, sizeof key);
	bool done = put_in_force(command, kid, key);
	secret_wipe(key, sizeof key);
	if (!done)
		return CLI_FAILED;
	printf("The key %s signs from now on, in %s; %s is still accepted.\n"
		   "Sidecars that read this file take it within seconds, or on SIGHUP; give it to all "
		   "others, and derive\n"
		   "the keys of sidecars for one tenant again. When every sidecar has logged "
		   "serve.reloaded with\n"
		   "signing_key %s:\n"
		   "\n"
		   "\tbulkhead key retire guard %s --file %s --dsn …\n",
		   kid, command->path, guard_keyring_kid(command->keyring, 0), kid,
		   guard_keyring_kid(command->keyring, 0), command->path);
	return CLI_DONE;
}

/* ---- retire ---- */

static enum cli_exit retire(struct key_command *command, const char *kid)
{
	const char *why = NULL;

	if (!key_load_file(command))
		return CLI_FAILED;

	bool in_file = key_is_taken(command, kid), found = in_file;
	const char *signer = guard_keyring_kid(command->keyring, 0);
	if (strcmp(signer, kid) == 0) {
		key_complain(kid, "this key signs; make another first: bulkhead key rotate guard");
		return CLI_FAILED;
	}
	/* Where the key that signs is missing, the old one may be all that there is. */
	if (!open_databases(command) ||
		!key_dbs_hold(&command->dbs, signer, guard_keyring_key(command->keyring, 0)) ||
		!key_dbs_retire(&command->dbs, kid, &found))
		return CLI_FAILED;
	if (!found) {
		key_complain(kid, "there is no such key, neither in the file nor in a database");
		return CLI_FAILED;
	}
	if (!key_dbs_commit(&command->dbs))
		return CLI_FAILED;
	if (in_file && !key_file_remove(command->path, kid, &why)) {
		key_complain(command->path, why);
		return CLI_FAILED;
	}
	printf("The key %s is accepted no more; %s signs.\n", kid, signer);
	return CLI_DONE;
}

/* ---- derive ---- */

/* Not over the very keys that it is derived from. */
static bool may_write(const struct key_command *command)
{
	char *out = realpath(command->out, NULL);
	bool same = out && strcmp(out, command->path) == 0;

	free(out);
	return !same || key_complain(command->out, "this is the file of the installation's keys");
}

static enum cli_exit derive(struct key_command *command)
{
	struct guard_keyring *derived = NULL;
	const char *why = "out of memory";
	struct uuid tenant;
	struct buf content;

	if (!uuid_parse(command->tenant, strlen(command->tenant), &tenant)) {
		key_complain(command->tenant, "a tenant is named by its UUID here");
		return CLI_FAILED;
	}
	if (!key_load_file(command) || !may_write(command))
		return CLI_FAILED;
	buf_init(&content);
	derived = guard_keyring_derive(command->keyring, &tenant);
	bool done = derived && guard_keyring_write(derived, &content) &&
				secret_write_file(command->out, (const char *)buf_data(&content),
								  buf_len(&content), &why);
	buf_wipe(&content);
	guard_keyring_destroy(derived);
	if (!done)
		key_complain(command->out, why);
	return done ? CLI_DONE : CLI_FAILED;
}

/* Verbs on master.key and what it wraps. */
static enum cli_exit run_master(struct key_command *command, int words, char **word)
{
	bool master = strcmp(word[1], "master") == 0;

	command->name = INIT_MASTER_KEY;
	if (master && words == 2 && strcmp(word[0], "list") == 0 && command->dsn_count <= 1)
		return key_list_masters(command);
	if (master && words == 2 && strcmp(word[0], "rotate") == 0 && !command->dsn_count)
		return key_rotate_master(command);
	if (master && words == 2 && strcmp(word[0], "rewrap") == 0 && command->dsn_count <= 1)
		return key_rewrap_master(command);
	if (master && words == 3 && strcmp(word[0], "retire") == 0 && command->dsn_count <= 1)
		return key_retire_master(command, word[2]);
	if (!master && words == 2 && strcmp(word[0], "rotate") == 0 && command->tenant &&
		command->dsn_count <= 1)
		return key_rotate_data(command);
	usage(stderr);
	return CLI_USAGE;
}

static enum cli_exit run(struct key_command *command, int words, char **word)
{
	bool guard = words >= 2 && strcmp(word[1], "guard") == 0;
	bool logins = words >= 2 && strcmp(word[1], "logins") == 0;

	if (words >= 2 && (strcmp(word[1], "master") == 0 || strcmp(word[1], "data") == 0))
		return run_master(command, words, word);
	command->name = logins ? INIT_CLUSTER_SECRET : INIT_GUARD_KEY;
	if (guard && words == 2 && strcmp(word[0], "list") == 0)
		return list(command);
	if (guard && words == 2 && strcmp(word[0], "rotate") == 0 && command->dsn_count)
		return rotate(command);
	if (guard && words == 3 && strcmp(word[0], "retire") == 0 && command->dsn_count)
		return retire(command, word[2]);
	if ((guard || logins) && words == 2 && strcmp(word[0], "derive") == 0 && command->tenant &&
		command->out)
		return derive(command);
	if (logins && words == 2 && strcmp(word[0], "rotate") == 0 && !command->dsn_count)
		return key_rotate_logins(command);
	if (logins && words == 3 && strcmp(word[0], "retire") == 0 && command->dsn_count <= 1)
		return key_retire_logins(command, word[2]);
	usage(stderr);
	return CLI_USAGE;
}

int cmd_key(int argc, char **argv)
{
	struct key_command command = {.lock = -1};
	enum cli_exit result;

	if (!parse(&command, argc, argv)) {
		usage(stderr);
		return CLI_USAGE;
	}
	if (command.help) {
		usage(stdout);
		return CLI_DONE;
	}
	result = run(&command, argc - optind, argv + optind);
	close_all(&command);
	return result;
}
