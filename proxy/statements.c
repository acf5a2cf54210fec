#include "proxy/statements.h"

#include <stdlib.h>
#include <string.h>

/* ---- of a client ---- */

static size_t name_length(const char *name)
{
	return strnlen(name, STATEMENT_NAME_MAX);
}

struct statement *statements_find(const struct statements *statements, const char *name)
{
	struct statement *statement;

	HASH_FIND(hh, statements->by_name, name, name_length(name), statement);
	return statement;
}

static size_t weight(const struct statement *statement)
{
	return sizeof *statement + strlen(statement->name) + statement->prepared->key_len -
		   statement->prepared->body_at;
}

struct statement *statement_ref(struct statement *statement)
{
	statement->references++;
	return statement;
}

void statement_unref(struct statement *statement)
{
	if (!statement || --statement->references)
		return;
	free(statement->name);
	prepared_unref(statement->prepared);
	verdict_unref(statement->verdict);
	free(statement);
}

static bool insert(struct statements *statements, struct statement *statement)
{
	HASH_ADD_KEYPTR(hh, statements->by_name, statement->name, strlen(statement->name),
					statement);
	if (!statement->hh.tbl)
		return false;
	statements->bytes += weight(statement);
	if (statements->of_tenant)
		*statements->of_tenant += weight(statement);
	return true;
}

bool statements_have_room(const struct statements *statements, size_t len, size_t tenant_max)
{
	return HASH_COUNT(statements->by_name) < STATEMENTS_CLIENT_MAX &&
		   statements->bytes + len <= STATEMENTS_CLIENT_BYTES_MAX &&
		   (!statements->of_tenant || *statements->of_tenant + len <= tenant_max);
}

struct statement *statements_define(struct statements *statements, const char *name,
									struct prepared *prepared, const struct verdict *verdict)
{
	struct statement *statement = calloc(1, sizeof *statement);

	if (!statement) {
		prepared_unref(prepared);
		verdict_unref(verdict);
		return NULL;
	}
	statement->references = 1;
	statement->prepared = prepared;
	statement->verdict = verdict;
	statement->name = strndup(name, STATEMENT_NAME_MAX);
	if (!statement->name || !prepared || !insert(statements, statement)) {
		statement_unref(statement);
		return NULL;
	}
	return statement;
}

void statements_remove(struct statements *statements, struct statement *statement)
{
	if (statements_find(statements, statement->name) != statement)
		return;
	HASH_DEL(statements->by_name, statement);
	statements->bytes -= weight(statement);
	if (statements->of_tenant)
		*statements->of_tenant -= weight(statement);
	statement_unref(statement);
}

void statements_restore(struct statements *statements, struct statement *statement)
{
	if (!statements_find(statements, statement->name) && insert(statements, statement))
		statement_ref(statement);
}

void statements_clear(struct statements *statements)
{
	struct statement *statement, *next;

	HASH_ITER (hh, statements->by_name, statement, next)
		statements_remove(statements, statement);
}

void statements_own(struct statements *statements)
{
	struct statement *statement, *next;

	HASH_ITER (hh, statements->by_name, statement, next)
		statement->is_native = false;
}

/* ---- of a backend ---- */

void backend_statements_init(struct backend_statements *statements)
{
	*statements = (struct backend_statements){.set = NULL};
	list_init(&statements->used);
}

static void drop(struct backend_statements *statements, struct backend_statement *statement)
{
	HASH_DEL(statements->set, statement);
	list_remove(&statement->used);
	prepared_unref(statement->prepared);
	free(statement);
}

void backend_statements_clear(struct backend_statements *statements)
{
	struct backend_statement *statement, *next;

	HASH_ITER (hh, statements->set, statement, next)
		drop(statements, statement);
	statements->doubtful = false;
}

void backend_statements_doubt(struct backend_statements *statements)
{
	backend_statements_clear(statements);
	statements->doubtful = true;
}

static struct backend_statement *find(const struct backend_statements *statements,
									  const struct prepared *prepared)
{
	struct backend_statement *statement;

	HASH_FIND_PTR(statements->set, &prepared, statement);
	return statement;
}

struct backend_statement *backend_statements_find(struct backend_statements *statements,
												  const struct prepared *prepared)
{
	struct backend_statement *statement = find(statements, prepared);

	if (statement && statement->used.next != &statements->used) {
		list_remove(&statement->used);
		list_append(&statements->used, &statement->used);
	}
	return statement;
}

bool backend_statements_add(struct backend_statements *statements, struct prepared *prepared,
							uint64_t number)
{
	struct backend_statement *statement = find(statements, prepared);

	if (statement) {
		statement->number = number;
		statement->result = RESULT_UNKNOWN;
		return true;
	}
	statement = calloc(1, sizeof *statement);
	if (!statement)
		return false;
	statement->prepared = prepared_ref(prepared);
	statement->number = number;
	list_append(&statements->used, &statement->used);
	HASH_ADD_PTR(statements->set, prepared, statement);
	if (statement->hh.tbl)
		return true;
	list_remove(&statement->used);
	prepared_unref(prepared);
	free(statement);
	return false;
}

void backend_statements_remove(struct backend_statements *statements,
							   const struct prepared *prepared)
{
	struct backend_statement *statement = find(statements, prepared);

	if (statement)
		drop(statements, statement);
}

struct backend_statement *backend_statements_oldest(const struct backend_statements *statements,
													size_t max)
{
	if (HASH_COUNT(statements->set) < max)
		return NULL;
	return list_first(&statements->used, struct backend_statement, used);
}
