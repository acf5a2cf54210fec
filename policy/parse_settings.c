/* SET, RESET and set_config: which setting becomes what, and for how long. */
#include "policy/parse_walk.h"

#include <common/keywords.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "policy/session.h"

/* These are the current transaction's, however they are set. */
static bool is_of_transaction(const char *name)
{
	return strcasecmp(name, "transaction_isolation") == 0 ||
		   strcasecmp(name, "transaction_read_only") == 0 ||
		   strcasecmp(name, "transaction_deferrable") == 0;
}

static uint32_t effects_of(const char *name, bool is_local)
{
	if (strcmp(name, "seed") == 0)
		return EFFECT_SEED; /* no end of a transaction takes that back */
	if (is_local || is_of_transaction(name))
		return 0;
	if (strcmp(name, "role") == 0 || strcmp(name, "session_authorization") == 0)
		return EFFECT_ROLE;
	return EFFECT_SETTING;
}

static void note_setting(struct walk *walk, const struct sql_setting *setting)
{
	const char *name = reading_look_up(walk->reading, setting->name);

	if (!name)
		return;
	if (walk->marks & CHILD_STORED) {
		reading_add_stored_setting(walk->reading, setting);
		return;
	}
	walk_add_effects(walk, effects_of(name, setting->how == SETTING_SET_LOCAL));
	if (!is_of_transaction(name))
		reading_add_setting(walk->reading, setting);
}

/* ---- the values of SET ---- */

/* As the server quotes it: only where it must. */
static bool needs_quotes(const char *text)
{
	int keyword;

	if (text[strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_")] || !*text ||
		(*text >= '0' && *text <= '9'))
		return true;
	keyword = ScanKeywordLookup(text, &ScanKeywords);
	return keyword >= 0 && ScanKeywordCategories[keyword] != UNRESERVED_KEYWORD;
}

static bool append_identifier(struct buf *value, const char *text)
{
	if (!needs_quotes(text))
		return buf_append(value, text, strlen(text));
	if (!buf_append_byte(value, '"'))
		return false;
	for (; *text; text++) {
		if (*text == '"' && !buf_append_byte(value, '"'))
			return false;
		if (!buf_append_byte(value, (uint8_t)*text))
			return false;
	}
	return buf_append_byte(value, '"');
}

static bool append_constant(struct buf *value, const A_Const *constant, bool is_identifier)
{
	const char *text;

	switch (nodeTag(&constant->val.node)) {
	case T_Integer:
		return buf_appendf(value, "%d", constant->val.ival.ival);
	case T_Float:
		text = constant->val.fval.fval;
		break;
	default:
		text = constant->val.sval.sval;
		if (is_identifier)
			return append_identifier(value, text);
		break;
	}
	return buf_append(value, text, strlen(text));
}

/*
 * What the server makes of the constants behind SET (flatten_set_variable_args). NULL when
 * there is none, or another thing than constants: SET TIME ZONE has an interval. Only
 * libpg_query's grammar takes a parameter.
 */
static reading_string value_of(struct walk *walk, const char *name, const ListCell *args,
							   int count)
{
	bool is_list = session_is_identifier_list(name), ok = true;
	reading_string string = NULL;
	struct buf value;

	buf_init(&value);
	for (int i = 0; i < count && ok; i++) {
		const Node *arg = args[i].ptr_value;

		if (!IsA(arg, A_Const)) {
			if (!IsA(arg, TypeCast))
				reading_fail(walk->reading);
			buf_fini(&value);
			return NULL;
		}
		ok = (!i || buf_append(&value, ", ", 2)) &&
			 append_constant(&value, (const A_Const *)(const void *)arg, is_list);
	}
	if (!ok)
		walk->reading->memory_is_out = true;
	else if (count)
		string = reading_text(walk->reading, buf_len(&value) ? (char *)buf_data(&value) : "",
							  buf_len(&value));
	buf_fini(&value);
	return string;
}

/* ---- SET and RESET ---- */

static enum sql_setting_how how_of(const VariableSetStmt *set)
{
	if (set->kind == VAR_RESET)
		return SETTING_RESET;
	if (set->is_local)
		return SETTING_SET_LOCAL;
	return set->kind == VAR_SET_DEFAULT ? SETTING_RESET : SETTING_SET;
}

/* SET … TO DEFAULT, RESET and SET ROLE NONE give up what was set. */
static bool goes_back(const VariableSetStmt *set)
{
	const Node *arg = set->args ? set->args->elements[0].ptr_value : NULL;
	const A_Const *value = arg && IsA(arg, A_Const) ? (const A_Const *)(const void *)arg : NULL;

	if (set->kind == VAR_RESET || set->kind == VAR_SET_DEFAULT)
		return true;
	return value && IsA(&value->val.node, String) && strcmp(value->val.sval.sval, "none") == 0;
}

static void visit_set_one(struct walk *walk, const VariableSetStmt *set)
{
	struct sql_setting setting = {.how = how_of(set)};
	char *name = NULL;

	setting.name = reading_folded(walk->reading, set->name);
	if (setting.name)
		name = strdup(reading_look_up(walk->reading, setting.name));
	if (!name) {
		walk->reading->memory_is_out = true;
		return;
	}
	walk_add_classes(walk, is_of_transaction(name) ? SQL_CLASS_TRANSACTION : SQL_CLASS_SESSION);
	if (set->args)
		setting.value = value_of(walk, name, set->args->elements, set->args->length);
	note_rules_of_setting(walk, name, reading_look_up(walk->reading, setting.value),
						  goes_back(set));
	note_setting(walk, &setting);
	free(name);
}

/* SET SESSION CHARACTERISTICS AS TRANSACTION sets default_transaction_isolation and others. */
static void visit_characteristics(struct walk *walk, const VariableSetStmt *set)
{
	walk_add_classes(walk, SQL_CLASS_SESSION);
	for (int i = 0; set->args && i < set->args->length; i++) {
		const DefElem *mode = set->args->elements[i].ptr_value;
		const ListCell value = {.ptr_value = mode->arg};
		struct sql_setting setting = {.how = how_of(set)};
		char name[64];

		snprintf(name, sizeof name, "default_%s", mode->defname);
		setting.name = reading_copy(walk->reading, name);
		setting.value = value_of(walk, name, &value, 1);
		note_setting(walk, &setting);
	}
}

void visit_set(struct walk *walk, const VariableSetStmt *set)
{
	switch (set->kind) {
	case VAR_RESET_ALL:
		walk_add_classes(walk, SQL_CLASS_SESSION);
		walk_add_effects(walk, EFFECT_SETTINGS);
		break;
	case VAR_SET_MULTI:
		if (strcmp(set->name, "SESSION CHARACTERISTICS") == 0)
			visit_characteristics(walk, set);
		else
			walk_add_classes(walk, SQL_CLASS_TRANSACTION);
		break;
	case VAR_SET_VALUE:
	case VAR_SET_DEFAULT:
	case VAR_SET_CURRENT:
	case VAR_RESET:
		visit_set_one(walk, set);
		break;
	}
}

enum sql_action set_action(const VariableSetStmt *set)
{
	switch (set->kind) {
	case VAR_RESET_ALL:
		return SQL_RESET_ALL;
	case VAR_RESET:
		return is_of_transaction(set->name) ? SQL_PLAIN : SQL_RESET;
	case VAR_SET_MULTI:
		if (strcmp(set->name, "SESSION CHARACTERISTICS") == 0)
			return SQL_SET;
		return strcmp(set->name, "TRANSACTION") == 0 ? SQL_SET_TRANSACTION : SQL_PLAIN;
	case VAR_SET_VALUE:
	case VAR_SET_DEFAULT:
	case VAR_SET_CURRENT:
		break;
	}
	return is_of_transaction(set->name) ? SQL_SET_TRANSACTION : SQL_SET;
}

/* ---- set_config ---- */

/* The expression below casts that leave a string or a truth value as it is. */
static const Node *below_casts(const Node *node)
{
	while (node && IsA(node, TypeCast)) {
		const TypeCast *cast = (const TypeCast *)(const void *)node;
		const TypeName *type = cast->typeName;
		const char *name = type->names ? strVal(llast(type->names)) : "";

		if (type->typmods || type->arrayBounds || type->setof ||
			(strcmp(name, "text") != 0 && strcmp(name, "varchar") != 0 &&
			 strcmp(name, "bool") != 0))
			return node;
		node = cast->arg;
	}
	return node;
}

static const A_Const *constant_of(const Node *node)
{
	node = below_casts(node);
	return node && IsA(node, A_Const) ? (const A_Const *)(const void *)node : NULL;
}

static const char *literal_of(const Node *node)
{
	const A_Const *constant = constant_of(node);

	return constant && !constant->isnull && IsA(&constant->val.node, String)
			   ? constant->val.sval.sval
			   : NULL;
}

static bool is_null(const Node *node)
{
	const A_Const *constant = constant_of(node);

	return constant && constant->isnull;
}

static bool is_true(const Node *node)
{
	const A_Const *constant = constant_of(node);
	const char *literal = literal_of(node);

	if (literal)
		return strcasecmp(literal, "true") == 0 || strcasecmp(literal, "t") == 0;
	return constant && !constant->isnull && IsA(&constant->val.node, Boolean) &&
		   constant->val.boolval.boolval;
}

/* 0 for what is no parameter, or none that a client can bind. */
static int32_t param_of(const Node *node)
{
	int number = 0;

	node = below_casts(node);
	if (node && IsA(node, ParamRef))
		number = ((const ParamRef *)(const void *)node)->number;
	return number > 0 && number <= UINT16_MAX ? number : 0;
}

/* ---- FROM pg_settings WHERE name = '…' ---- */

static bool is_column(const Node *node, const char *name)
{
	const ColumnRef *column = (const ColumnRef *)(const void *)node;

	return node && IsA(node, ColumnRef) && column->fields->length == 1 &&
		   IsA(linitial(column->fields), String) &&
		   strcmp(strVal(linitial(column->fields)), name) == 0;
}

static const char *equals_literal(const Node *where)
{
	const A_Expr *expression = (const A_Expr *)(const void *)where;

	if (!where || !IsA(where, A_Expr) || expression->kind != AEXPR_OP ||
		expression->name->length != 1 || strcmp(strVal(linitial(expression->name)), "=") != 0 ||
		!is_column(expression->lexpr, "name"))
		return NULL;
	return literal_of(expression->rexpr);
}

void visit_settings_row(struct walk *walk, const SelectStmt *select)
{
	const RangeVar *from;

	walk->pinned = NULL; /* in a query inside of another, the name may be of something else */
	if (walk->root != (const Node *)(const void *)select || select->withClause ||
		list_length(select->fromClause) != 1)
		return;
	from = linitial(select->fromClause);
	if (!IsA(from, RangeVar) || strcmp(from->relname, "pg_settings") != 0 || from->alias ||
		(from->schemaname && strcmp(from->schemaname, "pg_catalog") != 0))
		return;
	walk->pinned = equals_literal(select->whereClause);
	walk->reading->has_looked_at_values |= walk->pinned != NULL;
}

/* The name that set_config is given: a literal, or that of the row at hand, as pg_dump has it.
 */
static const char *name_of_setting(const struct walk *walk, const Node *node)
{
	return walk->pinned && is_column(node, "name") ? walk->pinned : literal_of(node);
}

struct arguments {
	const Node *name, *value, *is_local;
};

/* False unless there are three, in their order or by their names. */
static bool take_arguments(const FuncCall *call, struct arguments *out)
{
	static const char *const names[] = {"setting_name", "new_value", "is_local"};
	const Node *found[3] = {NULL};

	if (call->func_variadic || call->agg_star || list_length(call->args) != 3)
		return false;
	for (int i = 0; i < 3; i++) {
		const Node *arg = call->args->elements[i].ptr_value;
		int position = i;

		if (IsA(arg, NamedArgExpr)) {
			const NamedArgExpr *named = (const NamedArgExpr *)(const void *)arg;

			for (position = 0; position < 3; position++) {
				if (strcmp(named->name, names[position]) == 0)
					break;
			}
			arg = (const Node *)named->arg;
		}
		if (position == 3 || found[position])
			return false;
		found[position] = arg;
	}
	*out = (struct arguments){found[0], found[1], found[2]};
	return true;
}

/* A setting whose name is not to be seen may be the seed, which outlives its transaction. */
static void visit_unnamed(struct walk *walk, bool is_local)
{
	walk_add_effects(walk,
					 is_local ? EFFECT_SEED : EFFECT_SETTINGS | EFFECT_SEED | EFFECT_ROLE);
}

void visit_set_config(struct walk *walk, const FuncCall *call)
{
	struct sql_setting setting = {.is_call = true};
	struct arguments arguments;
	const char *name;

	walk->reading->has_looked_at_values = true;
	if (!take_arguments(call, &arguments)) {
		/* No function of PostgreSQL's; one of another schema, perhaps. */
		walk_add_effects(walk, EFFECT_UNKNOWN);
		return;
	}
	name = name_of_setting(walk, arguments.name);
	if (!name) {
		walk_add_rule(walk, RULE_COMPUTED_SETTING);
		walk->reading->asks_to_write = true; /* it may be that */
		visit_unnamed(walk, is_true(arguments.is_local));
		return;
	}
	setting.name = reading_folded(walk->reading, name);
	if (setting.name)
		note_rules_of_setting(walk, reading_look_up(walk->reading, setting.name),
							  literal_of(arguments.value), is_null(arguments.value));
	setting.value = reading_copy(walk->reading, literal_of(arguments.value));
	setting.param = param_of(arguments.value);
	if (is_true(arguments.is_local))
		setting.how = SETTING_SET_LOCAL;
	else
		setting.how = is_null(arguments.value) ? SETTING_RESET : SETTING_SET;
	note_setting(walk, &setting);
}
