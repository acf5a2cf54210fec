/*
 * migrate_select.h: which targets there are, and which of them are meant.
 *
 * A selector is a list of words with commas between them. A word is a tenant's id, slug or key;
 * one with a slash and two stars behind it means the tenant and all below it;
 * `strategy:schema`, `strategy:database` and `cluster:NAME` mean what they say. A tenant is
 * meant by any of the words. Where there is a selector, shared tables and templates are not
 * meant.
 */
#ifndef ADMIN_MIGRATE_SELECT_H
#define ADMIN_MIGRATE_SELECT_H

#include <stdbool.h>
#include <stddef.h>

#include "admin/migrate_ledger.h"
#include "base/buf.h"

/* What a selector comes to: arrays in PostgreSQL's form, each NUL-terminated. */
struct migrate_selection {
	bool is_all;
	struct buf ids, roots, strategies, clusters;
};

/*
 * Looks its tenants up; NULL selects all. False, with a line on the ledger's `err`, when there
 * is no such tenant, or it is one of shared tables. To be given to selection_fini either way.
 */
bool selection_read(struct migrate_selection *selection, const char *selector,
					struct migrate_ledger *ledger);
void selection_fini(struct migrate_selection *selection);

/*
 * Appends to the run's targets those that are missing there: of shared tables and templates, by
 * the settings; or of tenants, by the control schema. Tenants that are being made or purged are
 * none. `recorded` of each is filled in. False, with a line said, on failure.
 */
bool migrate_find_operators(struct migrate *migrate, struct migrate_ledger *ledger);
bool migrate_find_tenants(struct migrate *migrate, const struct migrate_selection *selection,
						  struct migrate_ledger *ledger);

/*
 * How many of the selected tenants are being made, and may have copied a template of before.
 * Of those whose job has not begun, or has to begin anew, the copy is still to come. False on
 * failure.
 */
bool migrate_count_unborn(const struct migrate_selection *selection,
						  struct migrate_ledger *ledger, size_t *count);

void migrate_target_destroy(struct migrate_target *target);

#endif
