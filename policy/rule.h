/*
 * rule.h: what no tenant may say, whatever it is permitted.
 *
 * A rule keeps tenants apart, or keeps Bulkhead and the server out of their hands. rules.inc
 * is the list of them: what each matches, where it is in force, why, and what to do instead.
 * Which rules a text hits is part of its verdict (statement.h), the same for all tenants; which
 * of them count is decided for the tenant at hand (gate.h).
 *
 * Rules see names as they are written. What is called under another name, or inside of a
 * function, a view or a trigger, is the database's to refuse; docs/threat-model.md says which
 * half stops what.
 */
#ifndef POLICY_RULE_H
#define POLICY_RULE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/uuid.h"
#include "policy/reason.h"

enum rule {
	RULE_UNREADABLE, /* these three: of a text that was not read */
	RULE_TOO_DEEP,
	RULE_TOO_LONG,
	RULE_CONTEXT,
	RULE_GUARD,
	RULE_COMPUTED_SETTING,
	RULE_SETTINGS_VIEW,
	RULE_ROLE,
	RULE_ROLES,
	RULE_DO,
	RULE_DYNAMIC_SQL,
	RULE_SERVER,
	RULE_DATABASES,
	RULE_LOAD,
	RULE_FILES,
	RULE_REMOTE,
	RULE_REPLICATION,
	RULE_DDL,
	RULE_DDL_OR_TEMPORARY,
	RULE_TEMPORARY_FUNCTIONS,
	RULE_TRUNCATE,
	RULE_SEQUENCES,
	RULE_LOCK,
	RULE_ADVISORY_LOCKS,
	RULE_SLEEP,
	RULE_SEED,
	RULE_SIGNALS,
	RULE_LARGE_OBJECTS,
	RULE_PREPARED_TRANSACTIONS,
	RULE_LISTEN,
	RULE_SCHEMA,
	RULE_CATALOG,
	RULE_WAL_POSITION,
	RULE_ACTIVITY,
	RULE_ROW_VERSIONS,
	RULE_EXPLAIN_ANALYZE,
	RULE_FASTPATH,
	RULE_COUNT
};

#define RULE_BIT(rule) ((uint64_t)1 << (rule))

/* Where a rule is in force, by how a tenant is kept apart from others. */
enum rule_place {
	ON_SHARED = 1 << 0,   /* in tables with others */
	ON_SCHEMA = 1 << 1,   /* in a schema of its own */
	ON_DATABASE = 1 << 2, /* in a database of its own */
	EVERYWHERE = ON_SHARED | ON_SCHEMA | ON_DATABASE,
};

struct rule_text {
	const char *name;    /* stable; what operators, logs and metrics call it */
	unsigned places;     /* of enum rule_place */
	enum reason reason;  /* its code and SQLSTATE */
	const char *message; /* the error's; a clause without a full stop */
	const char *why;
	const char *instead;    /* the error's hint: what to do */
	const char *statements; /* for the documentation: what is not matched by name */
	/* Names that hit it, with blanks between; a "*" at the end stands for any rest. */
	const char *functions; /* in whatever schema */
	const char *relations; /* the same */
	const char *settings;
};

const struct rule_text *rule_text(enum rule rule);

/* False when there is no rule of this name. */
bool rule_by_name(const char *name, enum rule *out);

/* The rules in force in one place. */
uint64_t rules_in(enum rule_place place);

/* RULE_BIT of each rule that the name hits. */
uint64_t rules_of_function(const char *name);
uint64_t rules_of_relation(const char *name);
uint64_t rules_of_setting(const char *name); /* in lower case */

/*
 * The schemas that a text names and that may be another's: Bulkhead's, the server's own
 * storage, a tenant's (t_ and 32 hexadecimal digits). Zeroed, it has none. RULE_SCHEMA is hit
 * where it has any; whose schema a tenant's is, is for the gate to know.
 */
struct rule_schemas {
	bool has_tenant, has_others; /* one tenant's; anything besides that */
	struct uuid tenant;
};

/* True where the schema, which may be NULL, is such a one. */
bool rule_schemas_note(struct rule_schemas *schemas, const char *schema);

/* Is there one among them that is not this tenant's own? NULL: it has none. */
bool rule_schemas_are_foreign(const struct rule_schemas *schemas, const struct uuid *own);

/* As rules_of_setting, and those for this value; NULL when it is not known. `goes_back`: to
 * what it was. Schemas in the value are noted. */
uint64_t rules_of_setting_to(const char *name, const char *value, bool goes_back,
							 struct rule_schemas *schemas);

#endif
