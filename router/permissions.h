/*
 * permissions.h: what a tenant may do, between the control database, the directory and its
 * snapshot.
 *
 * All three write it as one JSON object (admin/migrations/0013_policy_lookup.sql):
 *
 *	{"held": ["sql.read", …], "read_only": false, "gate": null, "relations": null,
 *	 "functions": null, "relations_denied": [], "functions_denied": []}
 *
 * `gate` is "enforce", "observe", "off", or null where the configuration says it; a list that
 * is null is not limited. Keys of permissions that this program does not know are passed over.
 */
#ifndef ROUTER_PERMISSIONS_H
#define ROUTER_PERMISSIONS_H

#include <stdbool.h>

#include <jansson.h>

#include "policy/permission.h"
#include "router/directory.h"

/* What a tenant of this strategy holds where nothing was granted, and where the control schema
 * does not know permissions yet. */
void permissions_default(struct permissions *out, enum tenant_strategy strategy);

bool permissions_equal(const struct permissions *a, const struct permissions *b);

/*
 * Reads the object into *out, which is empty (all zero). False when it is no such object, has
 * more names than PERMISSION_NAMES_MAX in a list, or memory is out: then *out holds a part of
 * it, to be freed with permissions_fini.
 */
bool permissions_read(const json_t *value, struct permissions *out);

/* A new reference, or NULL when memory is out. */
json_t *permissions_write(const struct permissions *permissions);

#endif
