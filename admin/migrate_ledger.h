/*
 * migrate_ledger.h: what the control schema knows of migrations, and is told.
 *
 * All functions but ledger_open may be called from any thread; they take turns on the one
 * connection. Once a statement has failed the ledger is broken and every further call fails: a
 * run ends then, and what is true is in the targets' marks.
 */
#ifndef ADMIN_MIGRATE_LEDGER_H
#define ADMIN_MIGRATE_LEDGER_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include <libpq-fe.h>

#include "admin/migrate.h"

/* A version that the control schema or a file has. */
struct migrate_version {
	int64_t version;
	char checksum[MIGRATE_SUM_SIZE];
	const struct migrate_file *file; /* NULL: not given, so nobody can be given it */
	bool is_new;                     /* the control schema did not have it before this run */
};

struct migrate_ledger {
	PGconn *control;
	FILE *err;      /* where the one line goes that says why it is broken */
	bool is_silent; /* nothing is written: a dry run */
	bool is_broken;
	pthread_mutex_t mutex;
};

void ledger_open(struct migrate_ledger *ledger, PGconn *control, bool is_silent, FILE *err);
void ledger_close(struct migrate_ledger *ledger);

/*
 * Writes the files down, and gives all versions that there are, in their order, from malloc.
 * False, with a line said, when a number was used for another text that has run somewhere, or
 * is lower than one that is known already.
 */
bool ledger_register(struct migrate_ledger *ledger, const struct migrate_file *files,
					 size_t count, struct migrate_version **versions, size_t *version_count);

/* What has happened on a target. False when the ledger is broken. */
bool ledger_begun(struct migrate_ledger *ledger, const struct migrate_target *target,
				  int64_t version);
bool ledger_done(struct migrate_ledger *ledger, const struct migrate_target *target,
				 int64_t version, bool found);
/* By the target's state, version, sqlstate and error. */
bool ledger_failed(struct migrate_ledger *ledger, const struct migrate_target *target);

/* For whoever asks while others tell. */
bool ledger_is_broken(struct migrate_ledger *ledger);

/* The same as ledger's own statements, for those who list targets: NULL when it failed. */
PGresult *ledger_query(struct migrate_ledger *ledger, const char *sql, int count,
					   const char *const values[]);

#endif
