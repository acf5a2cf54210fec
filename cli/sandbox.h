/*
 * sandbox.h: the parts of `bulkhead sandbox`, for each other.
 *
 * A sandbox is one folder. What is in it, and nothing else, is the sandbox's own:
 *
 *	lock			held (flock(2)) by the program that runs; also marks the folder as a sandbox
 *	state			what later starts must know: see struct sandbox
 *	data/, run/		the PostgreSQL cluster and its unix sockets, unless they must be elsewhere
 *	keys/			guard key, the cluster's secret and logins' passwords, as `bulkhead init`
 *					writes them
 *	*.password		of the superuser and of the principal `shop`
 *	bulkhead.ini, env	written anew by every start
 *	setup.log, postgres.log, bulkhead.log
 *
 * The cluster cannot be under the folder when the server's user cannot get there (a clone in
 *root's home), and sockets cannot be where the path is too long for sun_path (unix(7)): those
 *then get a folder of their own, whose name is in `state`.
 *
 * Functions return false after having said what is wrong on standard error, unless they say
 *otherwise.
 */
#ifndef CLI_SANDBOX_H
#define CLI_SANDBOX_H

#include <stdbool.h>
#include <sys/types.h>

#include <libpq-fe.h>

#include "cli/watch.h"

#define SANDBOX_HOST      "127.0.0.1"
#define SANDBOX_PORT      6432
#define SANDBOX_API_PORT  6480
#define SANDBOX_DATABASE  "shop"
#define SANDBOX_PRINCIPAL "shop"
#define SANDBOX_OWNER     "shop_owner"
#define SANDBOX_TEMPLATE  "shop_template"

struct sandbox {
	char *dir; /* absolute */
	int lock;  /* descriptor of the held lock file, or -1 */

	/* What `state` keeps. */
	char *data;        /* the cluster's folder, absolute; it need not exist yet */
	char *run;         /* the folder of unix sockets; the same */
	int postgres_port; /* on loopback; 0 before one is chosen */
	bool complete;     /* database, tenants and rows are there: a later start reuses them */

	int port, api_port; /* Bulkhead's, and its admin API's */
	char *programs;     /* folder of initdb and postgres */
	bool other_account; /* PostgreSQL refuses to run as root: it runs as `account` */
	struct account account;
	char *superuser_password, *password; /* secrets: postgres, and the principal */
	struct watch watch;
	struct process postgres, bulkhead;
};

/* ---- sandbox_text.c: strings ---- */

/* A formatted string from malloc. Ends the program when memory is out; its children end with
 * it. */
char *sandbox_text(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Says "bulkhead sandbox: …" on standard error; always false. */
bool sandbox_complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Connection strings (libpq's keyword form, with the password) for the superuser in a database.
 */
char *sandbox_superuser_dsn(const struct sandbox *sandbox, const char *database);

/* ---- sandbox_dir.c: the folder ---- */

/*
 * Opens or makes the folder, takes its lock and reads `state`. Refused: a folder that holds
 * anything but is no sandbox, one whose name could not be written into a configuration, one
 * that another runs in.
 */
bool sandbox_dir_open(struct sandbox *sandbox, const char *dir);

/* Gives the lock up and frees the strings; secrets are wiped. */
void sandbox_dir_close(struct sandbox *sandbox);

/* The path of a file in the folder, from malloc. */
char *sandbox_path(const struct sandbox *sandbox, const char *name);

/* Removes everything that the sandbox made, but for folder and lock. Nothing may run in it. */
bool sandbox_dir_reset(struct sandbox *sandbox);

/* Finds or makes the places of data and sockets, reachable for the account. */
bool sandbox_dir_places(struct sandbox *sandbox);

/* Removes the sockets' folder when it is not under the sandbox's own. */
void sandbox_dir_leave_run(struct sandbox *sandbox);

/* Writes a file of the folder, mode 0600, whole or not at all; it belongs to the folder's
 * owner. */
bool sandbox_write_file(const struct sandbox *sandbox, const char *name, const char *content,
						size_t length);

bool sandbox_state_write(const struct sandbox *sandbox);

/* Reads the two passwords, or draws them and writes their files. */
bool sandbox_secrets(struct sandbox *sandbox);

/*
 * Opens a log of the folder for appending, mode 0600; -1 after saying why not. The descriptor
 * carries a lock (flock(2)), which the programs that write to it inherit: it is not to be had
 * before the last of them is gone, also those that an earlier run started. Waits for that, but
 * not for ever.
 */
int sandbox_log_open(struct sandbox *sandbox, const char *name);

/* Waits until no program of an earlier run writes to any log, so that none is left. */
bool sandbox_logs_wait(struct sandbox *sandbox);

/* ---- sandbox_files.c: what every start writes anew ---- */

/* bulkhead.ini and env. */
bool sandbox_files_write(const struct sandbox *sandbox);

/*
 * The variables of `env` as name, value pairs ended by NULL; each value, and the array, from
 * malloc. sandbox_environment_free wipes them.
 */
char **sandbox_environment(const struct sandbox *sandbox);
void sandbox_environment_free(char **pairs);

/* Prints what to type. */
bool sandbox_announce(const struct sandbox *sandbox, PGconn *superuser);

/* ---- sandbox_cluster.c: PostgreSQL ---- */

/* Finds PostgreSQL's programs and decides as whom they run. */
bool sandbox_cluster_find(struct sandbox *sandbox);

/* Is there a cluster? Says nothing. */
bool sandbox_cluster_exists(const struct sandbox *sandbox);

/*
 * Waits for what an earlier run that was killed left in the cluster: its programs were told to
 * end when it did.
 */
bool sandbox_cluster_clear(struct sandbox *sandbox);

/* Makes the cluster. */
bool sandbox_cluster_create(struct sandbox *sandbox);

/* Starts PostgreSQL, on its port of before when that is still free, and waits until it answers.
 */
bool sandbox_cluster_start(struct sandbox *sandbox);

/* Stops it as `pg_ctl stop -m fast` does, and waits. */
void sandbox_cluster_stop(struct sandbox *sandbox);

/* Is nobody listening there? */
bool sandbox_port_is_free(int port);

/* A free port on loopback, or 0. */
int sandbox_port_choose(void);

/* ---- sandbox_shop.c: what is in the database ---- */

/* A superuser's connection, or NULL. */
PGconn *sandbox_connect(const struct sandbox *sandbox, const char *database);

/* Database, guard, control schema, shop, tenants, rows and principal: all of it the first time.
 */
bool sandbox_shop_create(struct sandbox *sandbox);

/* Brings guard and control schema of an earlier run to this program's version. */
bool sandbox_shop_upgrade(struct sandbox *sandbox);

#endif
