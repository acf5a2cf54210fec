/*
 * The call of libpg_query, and what each statement is as a whole.
 *
 * The library keeps CurrentMemoryContext and its stack of exceptions in variables of the
 * thread, the server's headers declare them as plain ones: nothing of ours may allocate with
 * palloc or catch with PG_TRY.
 */
#include "policy/parse_walk.h"

#include <stdlib.h>
#include <string.h>

#include "policy/bounds.h"
#include "policy/parse.h"
#include "policy/parse_memory.h"

#define AS(type) ((const type *)(const void *)node)

/* ---- actions ---- */

static void name_statement(struct walk *walk, const char *name)
{
	reading_string string = reading_copy(walk->reading, name);

	reading_statement(walk->reading)->name = string;
}

static enum sql_action transaction_action(const TransactionStmt *statement)
{
	switch (statement->kind) {
	case TRANS_STMT_BEGIN:
	case TRANS_STMT_START:
		return SQL_BEGIN;
	case TRANS_STMT_COMMIT:
		return SQL_COMMIT;
	case TRANS_STMT_ROLLBACK:
		return SQL_ROLLBACK;
	case TRANS_STMT_SAVEPOINT:
		return SQL_SAVEPOINT;
	case TRANS_STMT_RELEASE:
		return SQL_RELEASE;
	case TRANS_STMT_ROLLBACK_TO:
		return SQL_ROLLBACK_TO;
	case TRANS_STMT_PREPARE:
		return SQL_PREPARE_TRANSACTION;
	case TRANS_STMT_COMMIT_PREPARED:
	case TRANS_STMT_ROLLBACK_PREPARED:
		break;
	}
	return SQL_FINISH_PREPARED;
}

/* The first setting of the statement is the one it is about. */
static void describe_set(struct walk *walk, const VariableSetStmt *set, size_t setting_mark)
{
	const struct buf *settings = &walk->reading->settings;
	struct sql_statement *statement = reading_statement(walk->reading);

	statement->action = set_action(set);
	statement->is_local = set->is_local;
	if (statement->action == SQL_SET || statement->action == SQL_RESET) {
		const struct sql_setting *setting =
			(const struct sql_setting *)(const void *)(settings->memory + setting_mark);

		if (buf_len(settings) > setting_mark) {
			statement->name = setting->name;
			statement->value = setting->value;
		}
	}
}

static void describe(struct walk *walk, const Node *node, size_t setting_mark)
{
	struct sql_statement *statement = reading_statement(walk->reading);

	switch (nodeTag(node)) {
	case T_TransactionStmt:
		statement->action = transaction_action(AS(TransactionStmt));
		name_statement(walk, AS(TransactionStmt)->savepoint_name);
		break;
	case T_VariableSetStmt:
		describe_set(walk, AS(VariableSetStmt), setting_mark);
		break;
	case T_PrepareStmt:
		statement->action = SQL_PREPARE;
		name_statement(walk, AS(PrepareStmt)->name);
		break;
	case T_ExecuteStmt:
		statement->action = SQL_EXECUTE;
		name_statement(walk, AS(ExecuteStmt)->name);
		break;
	case T_DeallocateStmt:
		statement->action = AS(DeallocateStmt)->name ? SQL_DEALLOCATE : SQL_DEALLOCATE_ALL;
		name_statement(walk, AS(DeallocateStmt)->name);
		break;
	case T_DiscardStmt:
		statement->action =
			AS(DiscardStmt)->target == DISCARD_ALL ? SQL_DISCARD_ALL : SQL_DISCARD;
		break;
	case T_CopyStmt:
		if (AS(CopyStmt)->is_from && !AS(CopyStmt)->filename)
			statement->action = SQL_COPY_IN;
		break;
	default:
		break;
	}
}

/* ---- statements in the text ---- */

struct place {
	const struct segment *segments;
	size_t count, next;
};

/*
 * The place of a statement without what surrounds it. The parser and bounds_look have each
 * found its ends; where they do not agree, one of them is wrong and nothing is to be believed.
 */
static bool find_place(struct place *place, const RawStmt *raw, uint32_t *start, uint32_t *len)
{
	const struct segment *first, *last;
	size_t i = place->next;

	while (i < place->count && place->segments[i].start != (uint32_t)raw->stmt_location)
		i++;
	if (i == place->count || place->segments[i].is_empty)
		return false;
	first = &place->segments[i];
	if (raw->stmt_len) {
		uint32_t end = (uint32_t)(raw->stmt_location + raw->stmt_len);

		while (i < place->count && place->segments[i].end != end)
			i++;
	} else {
		i = place->count - 1;
	}
	if (i == place->count || place->segments[i].is_empty)
		return false;
	last = &place->segments[i];
	place->next = i + 1;
	*start = first->first;
	*len = last->last - first->first;
	return true;
}

static void read_statement(struct walk *walk, const RawStmt *raw, struct place *place)
{
	struct reading *reading = walk->reading;
	size_t setting_mark = buf_len(&reading->settings);
	uint32_t start, len;

	if (!find_place(place, raw, &start, &len)) {
		reading_fail(reading);
		return;
	}
	reading_begin(reading, start, len);
	if (reading->memory_is_out)
		return;
	walk_statement(walk, raw->stmt);
	if (reading->memory_is_out)
		return;
	describe(walk, raw->stmt, setting_mark);

	struct sql_statement *statement = reading_statement(reading);
	if (!statement->classes)
		statement->classes = SQL_CLASS_READ; /* VALUES, EXPLAIN VALUES */
}

static void read_tree(struct reading *reading, const List *tree, const struct buf *segments)
{
	struct walk walk = {.reading = reading};
	struct place place = {(const struct segment *)(const void *)segments->memory,
						  buf_len(segments) / sizeof(struct segment), 0};

	for (int i = 0; tree && i < tree->length; i++) {
		if (reading->outcome != SQL_READ || reading->memory_is_out)
			break;
		read_statement(&walk, tree->elements[i].ptr_value, &place);
	}
	buf_fini(&walk.pending);
	buf_fini(&walk.scopes);
}

/* ---- the library ---- */

struct parse {
	struct reading *reading;
	const char *text;
	const struct buf *segments;
	MemoryContext context;
	PgQueryInternalParsetreeAndError parsed;
};

static void enter(void *data)
{
	((struct parse *)data)->context = pg_query_enter_memory_context();
}

static void parse(void *data)
{
	struct parse *parse = data;

	parse->parsed = pg_query_raw_parse(parse->text);
}

static void read_parsed(struct parse *parse)
{
	const PgQueryError *error = parse->parsed.error;

	if (!error)
		read_tree(parse->reading, parse->parsed.tree, parse->segments);
	else if (!error->message || strcmp(error->message, "out of memory") == 0)
		parse->reading->memory_is_out = true;
	else
		reading_fail_with(parse->reading, error->message, error->cursorpos);
}

void parse_text(struct reading *reading, const char *text, const struct buf *segments)
{
	struct parse data = {.reading = reading, .text = text, .segments = segments};

	if (!parse_begin(pg_query_init) || !parse_or_recover(enter, &data)) {
		reading->memory_is_out = true;
		return;
	}
	if (parse_or_recover(parse, &data)) {
		read_parsed(&data);
	} else {
		reading->memory_is_out = true;
		FlushErrorState();
	}
	free(data.parsed.stderr_buffer);
	if (data.parsed.error)
		pg_query_free_error(data.parsed.error);
	pg_query_exit_memory_context(data.context);
}
