/* What nodes mean: names, calls, WITH, and the statements that differ by what is in them. */
#include "policy/parse_walk.h"

#include <catalog/pg_class_d.h>
#include <string.h>

#include "policy/functions.h"

/*
 * Comparisons of names with those of WITH, in one text. Beyond them a name is taken for a
 * relation's.
 */
#define SCOPE_CHECKS_MAX 1000000

/* ---- names ---- */

static void note_relation(struct walk *walk, const char *schema, const char *name,
						  bool is_written)
{
	if (!name)
		return;
	reading_add_relation(walk->reading, schema, name, is_written);
	note_rules_of_relation(walk, schema, name, is_written);
	if (!is_of_catalog(schema))
		return;
	if (is_written && strcmp(name, "pg_settings") == 0)
		walk_add_effects(walk, EFFECT_SETTINGS);
	else if (strcmp(name, "pg_prepared_statements") == 0)
		walk_add_effects(walk, EFFECT_SEES_PREPARED);
}

/* Is the name one of WITH, where it stands? */
static bool is_in_scope(struct walk *walk, const char *name)
{
	const struct scope *scopes = (const struct scope *)(void *)walk->scopes.memory;

	for (uint32_t at = walk->scope; at; at = scopes[at - 1].parent) {
		const struct scope *scope = &scopes[at - 1];

		for (uint32_t i = 0; i < scope->visible; i++) {
			const CommonTableExpr *expression = scope->expressions->elements[i].ptr_value;

			if (++walk->scope_checks > SCOPE_CHECKS_MAX)
				return false;
			if (strcmp(expression->ctename, name) == 0)
				return true;
		}
	}
	return false;
}

static void visit_relation(struct walk *walk, const RangeVar *relation)
{
	bool is_written = walk->marks & CHILD_WRITTEN;

	if (!is_written && !relation->schemaname && walk->scope &&
		is_in_scope(walk, relation->relname))
		return;
	note_relation(walk, relation->schemaname, relation->relname, is_written);
}

/*
 * A session's own schema can be the one where things are created without being named: when
 * search_path begins with it.
 */
static bool may_be_temporary(const char *schema)
{
	return !schema || strncmp(schema, "pg_temp", 7) == 0;
}

void visit_new(struct walk *walk, const Node *name)
{
	const char *schema;

	if (IsA(name, RangeVar)) {
		const RangeVar *relation = (const RangeVar *)(const void *)name;

		schema = relation->schemaname;
		note_relation(walk, schema, relation->relname, true);
		if (relation->relpersistence == RELPERSISTENCE_TEMP)
			walk_add_effects(walk, EFFECT_TEMP);
	} else {
		schema = nth_from_end((const List *)(const void *)name, 1);
		note_rules_of_schema(walk, schema);
	}
	if (may_be_temporary(schema))
		walk_add_effects(walk, EFFECT_TEMP);
}

/* ---- functions ---- */

static void note_function(struct walk *walk, const char *schema, const char *name,
						  int arguments)
{
	bool is_known = is_of_catalog(schema) && function_is_builtin(name);
	const struct function_trait *trait = is_known ? function_trait(name) : NULL;

	reading_add_function(walk->reading, schema, name, is_known);
	note_rules_of_function(walk, schema, name, arguments);
	if (trait) {
		walk_add_classes(walk, trait->classes);
		walk_add_effects(walk, trait->effects);
	}
	if (!is_known)
		walk_add_effects(walk, EFFECT_UNKNOWN);
}

static void visit_call(struct walk *walk, const FuncCall *call)
{
	const char *schema = nth_from_end(call->funcname, 1);
	const char *name = nth_from_end(call->funcname, 0);

	if (!name) {
		reading_fail(walk->reading);
		return;
	}
	note_function(walk, schema, name, list_length(call->args));
	if (is_of_catalog(schema) && strcmp(name, "set_config") == 0)
		visit_set_config(walk, call);
}

/*
 * `x.f` is `f(x)` where x has no field f. That goes for every function of one argument, and so
 * for every field; only those are looked for that are known to do something, or that a rule
 * is about.
 */
static void visit_field(struct walk *walk, const char *name)
{
	if (name && (function_trait(name) || rules_of_function(name)))
		note_function(walk, NULL, name, 1);
}

static void visit_fields(struct walk *walk, const List *fields, int from)
{
	for (int i = from; fields && i < fields->length; i++)
		visit_field(walk, string_of(fields->elements[i].ptr_value));
}

/* ---- queries ---- */

static void add_scope(struct walk *walk, const List *expressions, uint32_t visible,
					  uint32_t parent)
{
	const struct scope scope = {expressions, visible, parent};

	if (!buf_append(&walk->scopes, &scope, sizeof scope))
		walk->reading->memory_is_out = true;
	walk->scope = (uint32_t)(buf_len(&walk->scopes) / sizeof scope);
}

/* An expression sees those before it, and all of them in WITH RECURSIVE; the query sees all. */
static void visit_with(struct walk *walk, const WithClause *with)
{
	uint32_t outside = walk->scope;
	uint32_t count = with ? (uint32_t)with->ctes->length : 0;

	for (uint32_t i = 0; i < count; i++) {
		const CommonTableExpr *expression = with->ctes->elements[i].ptr_value;

		add_scope(walk, with->ctes, with->recursive ? count : i, outside);
		walk_push(walk, expression->ctequery, 0);
		walk_push(walk, expression->search_clause, 0);
		walk_push(walk, expression->cycle_clause, 0);
	}
	if (count)
		add_scope(walk, with->ctes, count, outside);
}

/* The rows of INSERT are a SELECT, too, and one that reads nothing. */
static void visit_select(struct walk *walk, const SelectStmt *select)
{
	visit_settings_row(walk, select);
	if (!select->valuesLists)
		walk_add_classes(walk, SQL_CLASS_READ);
	visit_with(walk, select->withClause);
}

/* What a change takes its rows from is read. */
static void visit_change(struct walk *walk, const WithClause *with, const void *source)
{
	if (source)
		walk_add_classes(walk, SQL_CLASS_READ);
	visit_with(walk, with);
}

/* (a, b) = (SELECT …) is one assignment for each column, and all share the right side. */
static void visit_multiple_assignment(struct walk *walk, const MultiAssignRef *assignment)
{
	if (assignment->colno == 1)
		walk_push(walk, assignment->source, 0);
}

/* ---- statements ---- */

static void visit_copy(struct walk *walk, const CopyStmt *copy)
{
	if (copy->relation) {
		walk_add_classes(walk, copy->is_from ? SQL_CLASS_WRITE : SQL_CLASS_READ);
		walk_push(walk, copy->relation, copy->is_from ? CHILD_WRITTEN : 0);
	}
}

static void visit_discard(struct walk *walk, const DiscardStmt *discard)
{
	switch (discard->target) {
	case DISCARD_ALL:
		walk_add_effects(walk, EFFECT_TEMP | EFFECT_LISTEN | EFFECT_CURSOR | EFFECT_PREPARED |
								   EFFECT_LOCK | EFFECT_SETTINGS | EFFECT_ROLE |
								   EFFECT_SEES_SEQUENCE);
		break;
	case DISCARD_TEMP:
		walk_add_effects(walk, EFFECT_TEMP);
		break;
	case DISCARD_SEQUENCES:
		walk_add_effects(walk, EFFECT_SEES_SEQUENCE);
		break;
	case DISCARD_PLANS:
		break;
	}
}

static bool is_relation(ObjectType type)
{
	return type == OBJECT_TABLE || type == OBJECT_VIEW || type == OBJECT_MATVIEW ||
		   type == OBJECT_SEQUENCE || type == OBJECT_INDEX || type == OBJECT_FOREIGN_TABLE;
}

static void visit_drop(struct walk *walk, const DropStmt *drop)
{
	for (int i = 0; is_relation(drop->removeType) && i < drop->objects->length; i++) {
		const List *names = drop->objects->elements[i].ptr_value;

		if (IsA(names, List))
			note_relation(walk, nth_from_end(names, 1), nth_from_end(names, 0), true);
	}
}

static void visit_cursor(struct walk *walk, const DeclareCursorStmt *cursor)
{
	if (cursor->options & CURSOR_OPT_HOLD)
		walk_add_effects(walk, EFFECT_CURSOR);
}

#define AS(type) ((const type *)(const void *)node)

void visit_node(struct walk *walk, const Node *node)
{
	switch (nodeTag(node)) {
	case T_FuncCall:
		visit_call(walk, AS(FuncCall));
		break;
	case T_ColumnRef:
		visit_fields(walk, AS(ColumnRef)->fields, 1);
		break;
	case T_A_Indirection:
		visit_fields(walk, AS(A_Indirection)->indirection, 0);
		break;
	case T_RangeVar:
		visit_relation(walk, AS(RangeVar));
		break;
	case T_RangeTableSample:
		note_function(walk, nth_from_end(AS(RangeTableSample)->method, 1),
					  nth_from_end(AS(RangeTableSample)->method, 0), 0);
		break;
	case T_MultiAssignRef:
		visit_multiple_assignment(walk, AS(MultiAssignRef));
		break;
	case T_LockingClause: /* needs the privilege to UPDATE */
		walk_add_classes(walk, SQL_CLASS_WRITE);
		break;
	case T_SelectStmt:
		visit_select(walk, AS(SelectStmt));
		break;
	case T_InsertStmt:
		visit_with(walk, AS(InsertStmt)->withClause);
		break;
	case T_UpdateStmt:
		visit_change(walk, AS(UpdateStmt)->withClause, AS(UpdateStmt)->fromClause);
		break;
	case T_DeleteStmt:
		visit_change(walk, AS(DeleteStmt)->withClause, AS(DeleteStmt)->usingClause);
		break;
	case T_MergeStmt:
		visit_change(walk, AS(MergeStmt)->withClause, AS(MergeStmt)->sourceRelation);
		break;
	case T_VariableSetStmt:
		visit_set(walk, AS(VariableSetStmt));
		break;
	case T_DeclareCursorStmt:
		visit_cursor(walk, AS(DeclareCursorStmt));
		break;
	case T_DiscardStmt:
		visit_discard(walk, AS(DiscardStmt));
		break;
	case T_CopyStmt:
		visit_copy(walk, AS(CopyStmt));
		break;
	case T_DropStmt:
		visit_drop(walk, AS(DropStmt));
		break;
	default: /* nothing but what its shape says */
		break;
	}
}
