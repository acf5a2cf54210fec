/*
 * migrate.h: the parts of `bulkhead migrate`.
 */
#ifndef CLI_MIGRATE_H
#define CLI_MIGRATE_H

#include <stdbool.h>

#include <libpq-fe.h>

#include "admin/migrate.h"
#include "cli/cli.h"

/* How a run is shown while it goes on, and afterwards: migrate_show.c. */
struct migrate_show {
	bool json;     /* nothing on standard output before the end */
	bool terminal; /* standard error is one: a bar there, instead of lines on standard output */
	bool tries;    /* a dry run */
	bool look;     /* marks are only read */
	size_t failed; /* so far */
	int signals;   /* a signalfd, or -1 */
	bool stopping; /* a signal came: what was begun ends, and then all does */
};

void migrate_show_init(struct migrate_show *show, const struct migrate_options *options,
					   bool json);
void migrate_show_fini(struct migrate_show *show);

/* The callbacks of a run; borrowed. */
struct migrate_watcher migrate_show_watcher(struct migrate_show *show);

/* What came of it, for people or programs. False when memory is out. */
bool migrate_show_result(struct migrate_show *show, const struct migrate *migrate);

/* `bulkhead migrate status`: what the control schema has. */
enum cli_exit migrate_status(PGconn *control, bool json);

#endif
