/* Which isolation rules a parse tree hits: see rule.h for what they are. */
#include "policy/parse_walk.h"

#include <catalog/pg_class_d.h>
#include <storage/lockdefs.h>
#include <string.h>
#include <strings.h>

#define AS(type) ((const type *)(const void *)node)

static void hit(struct walk *walk, uint64_t rules)
{
	walk->reading->rules |= rules;
}

static bool is_temporary(const char *schema)
{
	return schema && strcmp(schema, "pg_temp") == 0;
}

/* ---- names ---- */

void note_rules_of_schema(struct walk *walk, const char *schema)
{
	if (rule_schemas_note(&walk->reading->schemas, schema))
		walk_add_rule(walk, RULE_SCHEMA);
}

void note_rules_of_relation(struct walk *walk, const char *schema, const char *name,
							bool is_written)
{
	note_rules_of_schema(walk, schema);
	hit(walk, rules_of_relation(name)); /* extensions put theirs into any schema */
	if (is_of_catalog(schema) && is_written && strcmp(name, "pg_settings") == 0)
		walk_add_rule(walk, RULE_SETTINGS_VIEW);
}

/* What every tenant may ask the guard. */
static bool is_of_guard_for_all(const char *name)
{
	return strcmp(name, "tenant_id") == 0 || strcmp(name, "tenant_key") == 0;
}

void note_rules_of_function(struct walk *walk, const char *schema, const char *name,
							int arguments)
{
	hit(walk, rules_of_function(name));
	if (schema && strcmp(schema, "bulkhead") == 0) {
		if (!is_of_guard_for_all(name))
			walk_add_rule(walk, RULE_GUARD);
	} else {
		note_rules_of_schema(walk, schema);
	}
	if (schema && (strcmp(schema, "cron") == 0 || strcmp(schema, "net") == 0))
		walk_add_rule(walk, RULE_REMOTE);
	if (is_of_catalog(schema) && strcmp(name, "ts_rewrite") == 0 && arguments == 2)
		walk_add_rule(walk, RULE_DYNAMIC_SQL);
}

static bool is_on(const char *value)
{
	return strcasecmp(value, "on") == 0 || strcasecmp(value, "true") == 0 ||
		   strcasecmp(value, "yes") == 0 || strcmp(value, "1") == 0;
}

void note_rules_of_setting(struct walk *walk, const char *name, const char *value,
						   bool goes_back)
{
	hit(walk, rules_of_setting_to(name, value, goes_back, &walk->reading->schemas));
	if (strcmp(name, "transaction_read_only") == 0 ||
		strcmp(name, "default_transaction_read_only") == 0)
		walk->reading->asks_to_write |= !value || !is_on(value);
}

/* The schema of a qualified name: a type's, an operator's, a collation's. */
static void note_qualified(struct walk *walk, const List *names)
{
	note_rules_of_schema(walk, nth_from_end(names, 1));
}

/* ---- DDL and what is temporary ---- */

static void become(struct walk *walk, uint32_t classes)
{
	struct sql_statement *statement = reading_statement(walk->reading);

	statement->classes &= ~(uint32_t)SQL_CLASS_DDL;
	statement->classes |= classes;
}

/* What is created, under this name: is it the session's alone? */
static void note_created(struct walk *walk, const RangeVar *relation)
{
	if (relation &&
		(relation->relpersistence == RELPERSISTENCE_TEMP || is_temporary(relation->schemaname)))
		become(walk, SQL_CLASS_TEMP);
}

/* What is changed, under this name. With IF EXISTS that is no sign of something temporary. */
static void note_changed(struct walk *walk, const RangeVar *relation, bool missing_ok)
{
	if (relation && is_temporary(relation->schemaname))
		become(walk, missing_ok ? SQL_CLASS_WRITE : SQL_CLASS_TEMP);
	else if (relation && !relation->schemaname)
		become(walk, SQL_CLASS_DDL_OR_TEMP);
}

/* Whose table it is and which rows it shows: no matter of temporary ones. */
static bool concerns_security(const AlterTableStmt *alter)
{
	for (int i = 0; i < list_length(alter->cmds); i++) {
		const AlterTableCmd *cmd = alter->cmds->elements[i].ptr_value;

		switch (cmd->subtype) {
		case AT_ChangeOwner:
		case AT_EnableRowSecurity:
		case AT_DisableRowSecurity:
		case AT_ForceRowSecurity:
		case AT_NoForceRowSecurity:
			return true;
		default:
			break;
		}
	}
	return false;
}

static bool is_relation(ObjectType type)
{
	return type == OBJECT_TABLE || type == OBJECT_VIEW || type == OBJECT_SEQUENCE ||
		   type == OBJECT_INDEX;
}

/* Not so policies, triggers and rules, which are everybody's. */
static bool is_part_of_relation(ObjectType type)
{
	return is_relation(type) || type == OBJECT_COLUMN || type == OBJECT_TABCONSTRAINT;
}

static bool is_function(ObjectType type)
{
	return type == OBJECT_FUNCTION || type == OBJECT_PROCEDURE || type == OBJECT_ROUTINE;
}

/* The name of what is dropped; NULL for what has none in a schema. */
static const List *name_dropped(const void *object)
{
	if (IsA(object, List))
		return object;
	return IsA(object, ObjectWithArgs) ? ((const ObjectWithArgs *)object)->objname : NULL;
}

/*
 * Dropping what is not there is no more than a notice, and no sign of something temporary.
 * Neither is dropping a temporary function, which stands in for no table.
 */
static void note_dropped(struct walk *walk, const DropStmt *drop)
{
	bool of_functions = is_function(drop->removeType);
	bool all_temporary = true, none_qualified = !of_functions;

	if (!is_relation(drop->removeType) && !of_functions)
		return;
	for (int i = 0; i < drop->objects->length; i++) {
		const char *schema =
			nth_from_end(name_dropped(drop->objects->elements[i].ptr_value), 1);

		all_temporary &= is_temporary(schema);
		none_qualified &= !schema;
	}
	if (all_temporary ? drop->missing_ok || of_functions : drop->missing_ok && none_qualified)
		become(walk, SQL_CLASS_WRITE);
	else if (all_temporary)
		become(walk, SQL_CLASS_TEMP);
	else if (none_qualified)
		become(walk, SQL_CLASS_DDL_OR_TEMP);
}

static void note_truncated(struct walk *walk, const TruncateStmt *truncate)
{
	for (int i = 0; i < truncate->relations->length; i++) {
		const RangeVar *relation = truncate->relations->elements[i].ptr_value;

		if (!is_temporary(relation->schemaname))
			walk_add_rule(walk, RULE_TRUNCATE);
	}
}

/* ---- statements ---- */

/* READ WRITE among the modes of a transaction. */
static void note_modes(struct walk *walk, const List *modes)
{
	for (int i = 0; modes && i < modes->length; i++) {
		const DefElem *mode = modes->elements[i].ptr_value;

		if (!IsA(mode, DefElem)) /* of SET TRANSACTION SNAPSHOT */
			continue;
		const A_Const *value = mode->arg && IsA(mode->arg, A_Const)
								   ? (const A_Const *)(const void *)mode->arg
								   : NULL;
		if (strcmp(mode->defname, "transaction_read_only") == 0)
			walk->reading->asks_to_write |=
				!value || !IsA(&value->val.node, Integer) || !value->val.ival.ival;
	}
}

static void note_transaction(struct walk *walk, const TransactionStmt *statement)
{
	note_modes(walk, statement->options);
	if (statement->kind == TRANS_STMT_PREPARE ||
		statement->kind == TRANS_STMT_COMMIT_PREPARED ||
		statement->kind == TRANS_STMT_ROLLBACK_PREPARED)
		walk_add_rule(walk, RULE_PREPARED_TRANSACTIONS);
}

static bool is_off(const Node *value)
{
	const char *word = string_of(value);

	if (value && IsA(value, Integer))
		return ((const Integer *)(const void *)value)->ival == 0;
	return word && (strcasecmp(word, "false") == 0 || strcasecmp(word, "off") == 0);
}

/* An option counts unless it is switched off in a way that is known. */
static void note_explain(struct walk *walk, const ExplainStmt *explain)
{
	walk->root = explain->query;
	for (int i = 0; explain->options && i < explain->options->length; i++) {
		const DefElem *option = explain->options->elements[i].ptr_value;

		walk->reading->has_looked_at_values |= option->arg != NULL;
		if (strcmp(option->defname, "analyze") == 0 && !is_off(option->arg))
			walk_add_rule(walk, RULE_EXPLAIN_ANALYZE);
	}
}

/* A table that is created by SELECT … INTO is seen here only. */
static void note_select(struct walk *walk, const SelectStmt *select)
{
	const IntoClause *into = select->intoClause;

	if (!into)
		return;
	walk_add_classes(walk, SQL_CLASS_DDL);
	if (walk->root == (const Node *)(const void *)select)
		note_created(walk, into->rel);
}

/* What another statement holds is not what that statement is. */
static void visit_ddl(struct walk *walk, const Node *node)
{
	if (nodeTag(node) == T_TruncateStmt)
		note_truncated(walk, AS(TruncateStmt));
	if (node != walk->root)
		return;
	switch (nodeTag(node)) {
	case T_CreateStmt:
		note_created(walk, AS(CreateStmt)->relation);
		break;
	case T_CreateTableAsStmt:
		note_created(walk, AS(CreateTableAsStmt)->into->rel);
		break;
	case T_ViewStmt:
		note_created(walk, AS(ViewStmt)->view);
		break;
	case T_CreateSeqStmt:
		note_created(walk, AS(CreateSeqStmt)->sequence);
		break;
	case T_CreateFunctionStmt:
		if (is_temporary(nth_from_end(AS(CreateFunctionStmt)->funcname, 1)))
			become(walk, SQL_CLASS_TEMP_FUNCTION);
		break;
	case T_IndexStmt:
		note_changed(walk, AS(IndexStmt)->relation, false);
		break;
	case T_AlterTableStmt:
		if (!concerns_security(AS(AlterTableStmt)))
			note_changed(walk, AS(AlterTableStmt)->relation, AS(AlterTableStmt)->missing_ok);
		break;
	case T_RenameStmt:
		if (is_part_of_relation(AS(RenameStmt)->renameType))
			note_changed(walk, AS(RenameStmt)->relation, AS(RenameStmt)->missing_ok);
		break;
	case T_DropStmt:
		note_dropped(walk, AS(DropStmt));
		break;
	default:
		break;
	}
}

/* The rule for which a statement needs no more than to be what it is. */
static bool rule_of_statement(NodeTag tag, enum rule *out)
{
	switch (tag) {
	case T_DoStmt:
		*out = RULE_DO;
		return true;
	case T_LoadStmt:
		*out = RULE_LOAD;
		return true;
	case T_AlterSystemStmt:
	case T_CheckPointStmt:
		*out = RULE_SERVER;
		return true;
	case T_CreatedbStmt:
	case T_DropdbStmt:
	case T_AlterDatabaseStmt:
	case T_AlterDatabaseSetStmt:
	case T_AlterDatabaseRefreshCollStmt:
	case T_CreateTableSpaceStmt:
	case T_DropTableSpaceStmt:
	case T_AlterTableSpaceOptionsStmt:
	case T_AlterTableMoveAllStmt:
		*out = RULE_DATABASES;
		return true;
	case T_CreateRoleStmt:
	case T_AlterRoleStmt:
	case T_AlterRoleSetStmt:
	case T_DropRoleStmt:
	case T_GrantRoleStmt:
	case T_DropOwnedStmt:
	case T_ReassignOwnedStmt:
		*out = RULE_ROLES;
		return true;
	case T_CreateFdwStmt:
	case T_AlterFdwStmt:
	case T_CreateForeignServerStmt:
	case T_AlterForeignServerStmt:
	case T_CreateUserMappingStmt:
	case T_AlterUserMappingStmt:
	case T_CreateForeignTableStmt:
	case T_ImportForeignSchemaStmt:
	case T_CreateSubscriptionStmt:
	case T_AlterSubscriptionStmt:
		*out = RULE_REMOTE;
		return true;
	case T_ListenStmt:
	case T_NotifyStmt:
		*out = RULE_LISTEN;
		return true;
	default:
		return false;
	}
}

void visit_for_rules(struct walk *walk, const Node *node)
{
	enum rule rule;

	if (rule_of_statement(nodeTag(node), &rule)) {
		walk_add_rule(walk, rule);
		return;
	}
	switch (nodeTag(node)) {
	case T_SelectStmt:
		note_select(walk, AS(SelectStmt));
		break;
	case T_SubLink:
		note_qualified(walk, AS(SubLink)->operName);
		break;
	case T_TypeName:
		note_qualified(walk, AS(TypeName)->names);
		break;
	case T_A_Expr:
		note_qualified(walk, AS(A_Expr)->name);
		break;
	case T_SortBy:
		note_qualified(walk, AS(SortBy)->useOp);
		break;
	case T_CollateClause:
		note_qualified(walk, AS(CollateClause)->collname);
		break;
	case T_LockStmt:
		if (AS(LockStmt)->mode > RowExclusiveLock)
			walk_add_rule(walk, RULE_LOCK);
		break;
	case T_TransactionStmt:
		note_transaction(walk, AS(TransactionStmt));
		break;
	case T_VariableSetStmt:
		if (AS(VariableSetStmt)->kind == VAR_SET_MULTI)
			note_modes(walk, AS(VariableSetStmt)->args);
		break;
	case T_ExplainStmt:
		note_explain(walk, AS(ExplainStmt));
		break;
	case T_CopyStmt:
		if (AS(CopyStmt)->filename)
			walk_add_rule(walk, RULE_FILES);
		break;
	case T_RenameStmt:
		if (AS(RenameStmt)->renameType == OBJECT_ROLE)
			walk_add_rule(walk, RULE_ROLES);
		if (AS(RenameStmt)->renameType == OBJECT_DATABASE ||
			AS(RenameStmt)->renameType == OBJECT_TABLESPACE)
			walk_add_rule(walk, RULE_DATABASES);
		visit_ddl(walk, node);
		break;
	default:
		visit_ddl(walk, node);
		break;
	}
}
