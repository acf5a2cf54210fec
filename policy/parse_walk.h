/*
 * parse_walk.h: the walk over a raw parse tree; private to policy/parse*.c.
 *
 * Nodes that are still to be visited stand on a stack of our own, so that no depth of nesting
 * needs the thread's. Of each kind of node a *shape* says what is below it; a node without a
 * shape is not known here, and makes the text unreadable. What a node means beyond having
 * children is said in parse_visit.c and parse_settings.c.
 */
#ifndef POLICY_PARSE_WALK_H
#define POLICY_PARSE_WALK_H

/* First of all headers, since it redefines what others define. */
#include <postgres.h>

#include <nodes/parsenodes.h>
#include <nodes/primnodes.h>

#include <pg_query.h>
#include <pg_query/pg_query_internal.h>

#include <string.h>

#include "base/buf.h"
#include "policy/reading.h"
#include "policy/rule.h"

/* How a child is to be looked at; with its offset in the node, in one number. */
#define CHILD_OFFSET  0x0fff
#define CHILD_WRITTEN 0x8000 /* relations below are written, or changed by DDL */
#define CHILD_STORED  0x4000 /* it is kept for later and not carried out now */
#define CHILD_NEW     0x2000 /* the name of what is created: a RangeVar or a list of strings */

#define SHAPE_CHILDREN 15

struct shape {
	bool is_known;
	uint16_t classes; /* of a statement, unless it is stored */
	uint32_t effects;
	uint16_t children[SHAPE_CHILDREN]; /* ends with a 0, when it is shorter */
};

/* NULL for a node that no raw parse tree has. */
const struct shape *shape_of(NodeTag tag);

struct walk {
	struct reading *reading;
	struct buf pending; /* of struct pending: nodes to visit, the next one last */
	struct buf scopes;  /* of struct scope: numbered from 1 */
	uint32_t scope;     /* where the node that is visited stands; 0 is outside of any WITH */
	const Node *root;   /* the statement, or the one that it explains */
	const char *pinned; /* the one row of pg_settings that the statement is about, or NULL */
	uint32_t marks;     /* CHILD_WRITTEN and CHILD_STORED, as far as they hold for it */
	uint32_t scope_checks;
};

/* The common table expressions that can be named somewhere. */
struct scope {
	const List *expressions;
	uint32_t visible; /* the first so many */
	uint32_t parent;
};

struct pending {
	const Node *node;
	uint32_t scope, marks;
};

/* Has a node visited later, in this scope and with these marks besides those that hold. */
void walk_push(struct walk *walk, const void *node, uint32_t marks);

/* Adds to the statement, unless what is visited is only stored. */
void walk_add_classes(struct walk *walk, uint32_t classes);
void walk_add_effects(struct walk *walk, uint32_t effects);

/* A rule is hit, also by what is only stored. */
void walk_add_rule(struct walk *walk, enum rule rule);

/* Visits a statement and everything below. */
void walk_statement(struct walk *walk, const Node *statement);

/* ---- names ---- */

static inline const char *string_of(const void *node)
{
	return node && IsA(node, String) ? ((const String *)node)->sval : NULL;
}

/* The last of a list of strings, and the one before it, which is the schema. NULL otherwise. */
static inline const char *nth_from_end(const List *names, int n)
{
	return names && names->length > n
			   ? string_of(names->elements[names->length - 1 - n].ptr_value)
			   : NULL;
}

static inline bool is_of_catalog(const char *schema)
{
	return !schema || strcmp(schema, "pg_catalog") == 0;
}

/* ---- parse_visit.c ---- */

/* Notes what a node means besides having children, and pushes what its shape leaves out. */
void visit_node(struct walk *walk, const Node *node);

/* Notes that something is created under this name, a RangeVar or a list of strings. */
void visit_new(struct walk *walk, const Node *name);

/* ---- parse_rules.c ---- */

/* Notes the rules that a node hits by what it is, and the classes of DDL that is, or may be,
 * of temporary things only. */
void visit_for_rules(struct walk *walk, const Node *node);

/* The same for what is named; the schema may be NULL. */
void note_rules_of_schema(struct walk *walk, const char *schema);
void note_rules_of_relation(struct walk *walk, const char *schema, const char *name,
							bool is_written);
void note_rules_of_function(struct walk *walk, const char *schema, const char *name,
							int arguments);
void note_rules_of_setting(struct walk *walk, const char *name, const char *value,
						   bool goes_back);

/* ---- parse_settings.c ---- */

void visit_set(struct walk *walk, const VariableSetStmt *set);

/* A SELECT; notes which setting it is about, if it is FROM pg_settings WHERE name = 'literal'.
 */
void visit_settings_row(struct walk *walk, const SelectStmt *select);
void visit_set_config(struct walk *walk, const FuncCall *call);

/* What a statement's action is that is SET or RESET, once it has been visited. */
enum sql_action set_action(const VariableSetStmt *set);

#endif
