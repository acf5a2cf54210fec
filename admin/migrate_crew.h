/*
 * migrate_crew.h: several targets at one time, each on a thread of its own.
 */
#ifndef ADMIN_MIGRATE_CREW_H
#define ADMIN_MIGRATE_CREW_H

#include <stdbool.h>
#include <stddef.h>

#include "admin/migrate.h"
#include "admin/migrate_ledger.h"

/*
 * Gives all targets from place `first` on what they lack, options->jobs at a time, and waits
 * for the end. The watcher is called on this thread. Targets that nobody came to, because it
 * was to stop or the ledger broke, are still MIGRATE_PENDING. False when not one thread could
 * be started.
 */
bool migrate_crew_run(struct migrate *migrate, size_t first, struct migrate_ledger *ledger,
					  const struct migrate_watcher *watcher);

#endif
