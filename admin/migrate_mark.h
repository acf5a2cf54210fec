/*
 * migrate_mark.h: what a target has, written in the target itself.
 *
 * Table bulkhead_migration in the target's schema has a row for each version that ran there,
 * written in the same transaction. In a tenant's schema it is the tenant's, who may write what
 * it likes and fools nobody but itself; on shared tables and in templates nobody but the owner
 * may write it, or it is not believed.
 *
 * A schema that is copied from a template must be given the template's rows, read in one
 * transaction with the copy and after `LOCK TABLE … IN SHARE MODE` on the template's table: a
 * migration of the template waits for that, and the copy for a migration.
 */
#ifndef ADMIN_MIGRATE_MARK_H
#define ADMIN_MIGRATE_MARK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "admin/migrate_file.h"
#include "admin/migrate_session.h"

#define MIGRATE_MARK_TABLE "bulkhead_migration"

/* A row. What ran without a transaction is written down before, and again behind it. */
struct migrate_mark {
	int64_t version;
	char checksum[MIGRATE_SUM_SIZE]; /* "" when it is no checksum */
	bool is_whole;                   /* false: it was begun, and nobody knows how it ended */
};

/*
 * In a transaction: makes the table where it is missing, and locks it against all others who
 * would write it. False with the session's error.
 */
bool migrate_mark_lock(struct migrate_session *session, const struct migrate_target *target);

/*
 * The rows, the newest first, at most 10,000; none where there is no table. `*marks` is from
 * malloc. False with the session's error.
 */
bool migrate_mark_read(struct migrate_session *session, const struct migrate_target *target,
					   struct migrate_mark **marks, size_t *count);

/* Writes one down: as begun, or as whole. */
bool migrate_mark_write(struct migrate_session *session, const struct migrate_target *target,
						const struct migrate_file *file, bool is_whole);

/* Takes back that it was begun. */
bool migrate_mark_erase(struct migrate_session *session, const struct migrate_target *target,
						int64_t version);

#endif
