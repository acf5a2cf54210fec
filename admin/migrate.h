/*
 * migrate.h: DDL for everybody.
 *
 * A file of SQL runs once on each target: the shared tables of a cluster, the templates that
 * new tenants are made from, each tenant's own schema and each tenant's own database. Each
 * target has it in a transaction of its own, in which its mark is written too (migrate_mark.h),
 * so what a target has is always true, whenever this process ends. The control schema
 * (admin/migrations/0016_migrate.sql) is what is reported; a run that finds it behind a
 * target's mark brings it up to date.
 *
 * In a tenant's schema or database everything runs as that tenant, never as an administrator:
 * triggers and functions that are the tenant's run with no more than the tenant's rights. On
 * shared tables and templates it runs as the owner, by SET ROLE of the cluster's admin_login.
 */
#ifndef ADMIN_MIGRATE_H
#define ADMIN_MIGRATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <libpq-fe.h>

#include "admin/migrate_file.h"
#include "base/uuid.h"
#include "conf/conf.h"

/* In the order in which they run. */
enum migrate_kind {
	MIGRATE_SHARED,
	MIGRATE_TEMPLATE_SCHEMA,
	MIGRATE_TEMPLATE_DATABASE,
	MIGRATE_SCHEMA,
	MIGRATE_DATABASE,
};

/* As the control schema and people call it: `template_schema`. */
const char *migrate_kind_name(enum migrate_kind kind);

enum migrate_state {
	MIGRATE_PENDING, /* nobody has come to it yet */
	MIGRATE_DONE,    /* has all versions; of a dry run: would have them */
	MIGRATE_FAILED,  /* one version failed; those before it are done */
	MIGRATE_BEHIND,  /* lacks a version that is not among the files, so later ones wait */
	MIGRATE_SKIPPED, /* was not tried, because something before it failed */
};

const char *migrate_state_name(enum migrate_state state);

#define MIGRATE_ERROR_MAX 500 /* bytes of a message that are kept */

struct migrate_target {
	enum migrate_kind kind;
	char *cluster_name;
	const struct conf_cluster *cluster; /* NULL: the settings have no such section */
	struct uuid tenant;                 /* of schemas and databases, and the next two */
	char *slug;
	char *login_kid; /* NULL when it is not known */
	char *schema, *database;
	const char *fault; /* why it cannot be reached at all; NULL where it can be tried */
	int64_t recorded;  /* the newest version that the control schema has as done; 0: none */

	/* What came of it. */
	enum migrate_state state;
	int64_t reached; /* the newest version that it has, as far as is known; 0: none */
	int64_t version; /* FAILED, BEHIND: the version that it did not get */
	int ran;         /* how many files ran */
	int attempts;    /* transactions that were begun for the last one */
	char sqlstate[6];
	char *error; /* FAILED, BEHIND: why; one line. NULL elsewhere */
};

struct migrate_options {
	int jobs;                     /* targets at one time */
	int64_t lock_timeout_ms;      /* longest wait for one lock */
	int lock_retries;             /* how often a target is tried again after such a timeout */
	int64_t statement_timeout_ms; /* of one statement; 0: no limit */
	int64_t target_timeout_ms;    /* of one file on one target, all in all */
	const char *tenants;          /* whose schemas and databases alone (migrate_select.h); NULL:
									 all, shared tables and templates too */
	bool retry;                   /* only what failed, or was left unfinished, before */
	bool keep_going;   /* tenants have their turn even if shared tables or templates fail */
	bool dry_run;      /* everything is rolled back, and nothing recorded */
	bool look;         /* only read what the marks say; no files */
	int64_t settle_ms; /* how long tenants that are being made are waited for */
};

/* Whoever wants to see it go on. Called on the thread of migrate_run. */
struct migrate_watcher {
	/* A target has ended; or `target` is NULL, some five times a second. */
	void (*moved)(void *arg, const struct migrate_target *target, size_t ended, size_t total);
	/* Is it to stop? Targets that are begun end, no other begins. */
	bool (*stopping)(void *arg);
	void *arg;
};

/* All a run needs and leaves. Zeroed before, then given to migrate_fini whatever came of it. */
struct migrate {
	const struct conf *conf;
	PGconn *control; /* member of bulkhead_admin */
	PGconn *turn;    /* another such connection, for nothing but holding the run's turn */
	const struct migrate_options *options;
	struct migrate_file *files; /* sorted by version */
	size_t file_count;

	struct migrate_version *versions; /* private: those of the control schema and the files' */
	size_t version_count;
	struct migrate_target **targets; /* in the order in which they were found */
	size_t target_count;
	size_t unborn; /* tenants that were still being made when it ended */
	bool stopped;  /* it was told to stop, and something was left */
};

/*
 * Takes the turn, writes the files down, runs them wherever they have not run, and goes on
 * until no target is left. False, with a line on `err`, when it could not begin or had to end:
 * another run is on, a file is not the one that was run under its number, the control database
 * went away. What failed on targets is in the targets; true says nothing of that.
 */
bool migrate_run(struct migrate *migrate, const struct migrate_watcher *watcher, FILE *err);

/* Did every target get everything? */
bool migrate_is_done(const struct migrate *migrate);

void migrate_fini(struct migrate *migrate);

#endif
