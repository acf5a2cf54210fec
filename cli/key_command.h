/*
 * key_command.h: `bulkhead key`, for the files of its verbs (key.c, key_logins.c,
 * key_master.c).
 */
#ifndef CLI_KEY_COMMAND_H
#define CLI_KEY_COMMAND_H

#include <stdbool.h>
#include <stddef.h>

#include "cli/cli.h"
#include "cli/key_db.h"
#include "policy/guard/guard.h"

struct key_command {
	const char *dsns[KEY_DBS_MAX];
	size_t dsn_count;
	const char *keys, *file, *kid, *tenant, *out;
	const char *name; /* of the file in the folder */
	bool json, help;
	char *path; /* of the key file, without symbolic links: it is replaced, not what leads to it
				 */
	int lock;   /* on its folder, or -1 */
	struct guard_keyring *keyring;
	struct key_dbs dbs;
};

/* False, with a line printed. */
bool key_complain(const char *what, const char *why);

/* Finds, locks and reads the key file. False, with a line printed, when that cannot be done. */
bool key_load_file(struct key_command *command);

/* Has the file a key of this name? */
bool key_is_taken(const struct key_command *command, const char *kid);

/* A name that neither the file nor a database has; false when one cannot be asked. */
bool key_choose_kid(const struct key_command *command, char kid[GUARD_KID_MAX + 1]);

/* ---- keys that no database holds ---- */

/* Loads the file and draws a key that stands before all others in it. False, with a line
 * printed. */
bool key_add_new(struct key_command *command, char kid[GUARD_KID_MAX + 1]);

/* What a key of a file is still needed for. */
struct key_use {
	const char *first;     /* why the first of the file cannot be retired */
	const char *count_sql; /* how many need the key $1, in the control database */
	const char *words;     /* what stands behind that number when it is none */
};

/* Takes a key out of the file where the control database needs it no more. */
enum cli_exit key_retire_unused(struct key_command *command, const char *kid,
								const struct key_use *use);

/* The control database's connection string, never printed; NULL, with a line printed. */
const char *key_control_dsn(const struct key_command *command, const char *what);

/* ---- the verbs of other files ---- */

enum cli_exit key_rotate_logins(struct key_command *command);
enum cli_exit key_retire_logins(struct key_command *command, const char *kid);

enum cli_exit key_list_masters(struct key_command *command);
enum cli_exit key_rotate_master(struct key_command *command);
enum cli_exit key_rewrap_master(struct key_command *command);
enum cli_exit key_retire_master(struct key_command *command, const char *kid);
enum cli_exit key_rotate_data(struct key_command *command);

#endif
