/*
 * migrate_apply.h: all files to one target.
 */
#ifndef ADMIN_MIGRATE_APPLY_H
#define ADMIN_MIGRATE_APPLY_H

#include <stdbool.h>
#include <stddef.h>

#include "admin/migrate.h"
#include "admin/migrate_ledger.h"

/*
 * Gives the target what its mark lacks of the versions, one after the other, each in a
 * transaction of its own, and tells the ledger. Sets the target's state and what belongs to it.
 * A version that is not among the files ends it: what is behind must wait. After a timeout on a
 * lock, a deadlock or a serialization failure the same is tried again. Blocks; may be called
 * for several targets at once.
 */
void migrate_apply(struct migrate_target *target, const struct migrate_version *versions,
				   size_t count, const struct migrate_options *options,
				   struct migrate_ledger *ledger);

#endif
