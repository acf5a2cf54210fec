/*
 * permission.h: what a tenant may do with SQL, as the gate asks for it.
 *
 * The control plane decides it (grants of the tenant and its ancestors, settings, defaults of
 * its strategy) and the directory brings it here, resolved: nothing is inherited any more.
 * Isolation does not depend on it; rules (policy/rule.h) stand beside it.
 */
#ifndef POLICY_PERMISSION_H
#define POLICY_PERMISSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/rule.h"

/*       name                    key */
#define PERMISSIONS(X)                                                                         \
	X(PERMISSION_READ, "sql.read")                                                             \
	X(PERMISSION_WRITE, "sql.write")                                                           \
	X(PERMISSION_DDL, "sql.ddl")                                                               \
	X(PERMISSION_COPY, "sql.copy")                                                             \
	X(PERMISSION_CALL, "sql.call")                                                             \
	X(PERMISSION_LISTEN, "sql.listen")                                                         \
	X(PERMISSION_MAINTENANCE, "sql.maintenance")                                               \
	X(PERMISSION_FASTPATH, "sql.fastpath")

enum permission {
#define PERMISSION_NAME(name, key) name,
	PERMISSIONS(PERMISSION_NAME)
#undef PERMISSION_NAME
		PERMISSION_COUNT
};

#define PERMISSION_BIT(permission) ((uint32_t)1 << (permission))
#define PERMISSIONS_ALL            (PERMISSION_BIT(PERMISSION_COUNT) - 1)

/* The key of DESIGN's grants, as "sql.read". */
const char *permission_key(enum permission permission);

/* False when there is no permission of this key. */
bool permission_by_key(const char *key, enum permission *out);

enum gate_mode {
	GATE_ENFORCE, /* what may not be is refused */
	GATE_OBSERVE, /* it is counted and logged, and runs */
	GATE_OFF,
	GATE_AS_CONFIGURED, /* of a tenant: what [gate] mode says */
};

/*
 * Names of relations or functions, each "name" or "schema.name"; a "*" at the end stands for
 * any rest. A name without a schema is meant in every schema. At most PERMISSION_NAMES_MAX.
 */
#define PERMISSION_NAMES_MAX 1000

struct permission_names {
	size_t count;
	char **names; /* owned, and so is each of them */
};

struct permissions {
	uint32_t held;       /* PERMISSION_BIT of each */
	bool is_read_only;   /* nothing that writes, whatever is held */
	enum gate_mode gate; /* GATE_AS_CONFIGURED without a setting of the tenant's */
	/* A list that is not limited lets all names pass that are not denied. */
	bool relations_are_limited, functions_are_limited;
	struct permission_names relations, functions;
	struct permission_names denied_relations, denied_functions;
};

/* What a tenant that lives there holds where nothing was granted: of static memory. */
const struct permissions *permissions_of_place(enum rule_place place);

/* Frees the lists. */
void permissions_fini(struct permissions *permissions);

/* Adds a copy of the name; false when there are too many or memory is out. */
bool permission_names_add(struct permission_names *names, const char *name, size_t len);

/* Is this one of them? `schema` is NULL when the statement does not say it: then a name with
 * a schema fits as well, since search_path may lead there; but not one that is "schema.*",
 * which would be all names. */
bool permission_names_have(const struct permission_names *names, const char *schema,
						   const char *name);

/*
 * Is one of them "schema.*", of a schema that this search_path names, in whatever case? A path
 * of NULL names any. What holds the schema's name as a part of a longer one does not count.
 */
bool permission_names_meet_path(const struct permission_names *names, const char *path);

#endif
