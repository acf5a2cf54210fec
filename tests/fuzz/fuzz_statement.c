/*
 * Any bytes as a text of SQL: what the verdict says must be consistent, the same the second
 * time, and the same of each statement when that is read alone.
 */
#include <stdlib.h>
#include <string.h>

#include "policy/fold.h"
#include "policy/gate.h"
#include "policy/statement.h"
#include "tests/fuzz/fuzz.h"

static bool is_equal(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

/* Whole inside the verdict's memory, its NUL included. */
static void check_string(const struct verdict *verdict, const char *string)
{
	const char *start = (const char *)verdict;

	if (string)
		require(string > start && string + strlen(string) < start + verdict->size);
}

static void check_names(const struct verdict *verdict)
{
	for (uint32_t i = 0; i < verdict->setting_count; i++) {
		const struct sql_setting *setting = &verdict->settings[i];

		require(setting->name && setting->statement < verdict->statement_count);
		require(setting->param >= 0 && !(setting->param && setting->value));
		check_string(verdict, setting->name);
		check_string(verdict, setting->value);
		require(!strpbrk(setting->name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"));
	}
	for (uint32_t i = 0; i < verdict->relation_count; i++) {
		require(verdict->relations[i].name);
		check_string(verdict, verdict->relations[i].schema);
		check_string(verdict, verdict->relations[i].name);
	}
	for (uint32_t i = 0; i < verdict->function_count; i++) {
		const struct sql_function *function = &verdict->functions[i];

		require(function->name);
		check_string(verdict, function->schema);
		check_string(verdict, function->name);
		require(!function->is_known || is_equal(function->schema, "pg_catalog") ||
				!function->schema);
	}
}

static void check_statements(const struct verdict *verdict, const char *text, size_t size)
{
	uint32_t classes = 0, effects = 0, end = 0;
	bool is_plain = true;

	for (uint32_t i = 0; i < verdict->statement_count; i++) {
		const struct sql_statement *statement = &verdict->statements[i];

		require(statement->start >= end && statement->len > 0);
		end = statement->start + statement->len;
		require(end <= size);
		require(!memchr(" \t\n\r\f;", text[statement->start], 6));
		require(!memchr(" \t\n\r\f;", text[end - 1], 6));
		require(statement->classes && !(statement->classes & ~(uint32_t)SQL_CLASSES_ALL));
		require(!(statement->effects & ~(uint32_t)EFFECTS_ALL));
		require((statement->action != SQL_SET && statement->action != SQL_RESET) ||
				statement->name);
		check_string(verdict, statement->name);
		check_string(verdict, statement->value);
		classes |= statement->classes;
		effects |= statement->effects;
		is_plain &= (statement->action < SQL_SET || statement->action == SQL_COPY_IN) &&
					!statement->effects;
	}
	require(verdict->classes == classes && verdict->effects == effects);
	require(verdict->is_plain == is_plain);
}

static void check_equal(const struct sql_statement *a, const struct sql_statement *b)
{
	require(a->action == b->action && a->classes == b->classes && a->effects == b->effects);
	require(a->len == b->len && a->is_local == b->is_local);
	require(is_equal(a->name, b->name) && is_equal(a->value, b->value));
}

static void check_again(const struct verdict *verdict, const char *text, size_t size)
{
	const struct verdict *again = sql_read(text, size);

	require(again && again->statement_count == verdict->statement_count);
	require(again->setting_count == verdict->setting_count);
	require(again->relation_count == verdict->relation_count);
	require(again->function_count == verdict->function_count);
	require(again->size == verdict->size);
	require(again->needs == verdict->needs && again->rules == verdict->rules);
	for (uint32_t i = 0; i < verdict->statement_count; i++)
		check_equal(&again->statements[i], &verdict->statements[i]);
	verdict_unref(again);
}

/* The rules of all statements are those of each, which a text cannot hide from. */
static void check_alone(const struct verdict *verdict, const char *text)
{
	uint64_t rules = 0;
	uint32_t needs = GATE_NEEDS_COUNTING;

	for (uint32_t i = 0; i < verdict->statement_count && i < 10; i++) {
		const struct sql_statement *statement = &verdict->statements[i];
		const struct verdict *alone = sql_read(text + statement->start, statement->len);

		require(alone && alone->reading == SQL_READ && alone->statement_count == 1);
		require(alone->statements->start == 0);
		check_equal(alone->statements, statement);
		rules |= alone->rules;
		needs |= alone->needs;
		verdict_unref(alone);
	}
	if (verdict->statement_count <= 10)
		require(rules == verdict->rules && needs == verdict->needs);
}

static void check_same_names(const struct verdict *a, const struct verdict *b)
{
	require(a->relation_count == b->relation_count && a->function_count == b->function_count);
	for (uint32_t i = 0; i < a->relation_count; i++) {
		require(is_equal(a->relations[i].schema, b->relations[i].schema));
		require(is_equal(a->relations[i].name, b->relations[i].name));
		require(a->relations[i].is_written == b->relations[i].is_written);
	}
	for (uint32_t i = 0; i < a->function_count; i++) {
		require(is_equal(a->functions[i].schema, b->functions[i].schema));
		require(is_equal(a->functions[i].name, b->functions[i].name));
		require(a->functions[i].is_known == b->functions[i].is_known);
	}
}

/* A text's verdict goes for all that fold to the same: so for the fold itself, and back. */
static void check_fold(const struct verdict *verdict, const char *text, size_t size)
{
	static char folded[FOLD_MAX], again[FOLD_MAX];
	size_t len = size <= FOLD_MAX && !memchr(text, 0, size) ? fold(text, size, folded) : 0;
	size_t again_len = len ? fold(folded, len, again) : 0;

	if (!len)
		return;
	require(len <= size);
	require(!again_len || (again_len == len && memcmp(again, folded, len) == 0));
	const struct verdict *of_fold = sql_read(folded, len);
	require(of_fold && of_fold->is_of_fold == verdict->is_of_fold);
	if (verdict->is_of_fold) {
		require(of_fold->classes == verdict->classes && of_fold->effects == verdict->effects);
		require(of_fold->needs == verdict->needs && of_fold->rules == verdict->rules);
		check_same_names(of_fold, verdict);
	}
	verdict_unref(of_fold);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;
	const struct verdict *verdict = sql_read(text, size);

	require(verdict && verdict->references == 1);
	if (verdict->reading == SQL_READ) {
		check_statements(verdict, text, size);
		check_names(verdict);
		check_again(verdict, text, size);
		check_alone(verdict, text);
	} else {
		require(verdict->effects == EFFECTS_ALL && verdict->classes == SQL_CLASSES_ALL);
		require(verdict->statement_count == 0 && !verdict->is_plain);
	}
	if (size)
		check_fold(verdict, text, size);
	verdict_unref(verdict);
	return 0;
}
