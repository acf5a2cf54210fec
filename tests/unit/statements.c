/* Prepared statements: texts kept once, the names of clients, and what backends have. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/settings.h"
#include "proxy/statements.h"
#include "proxy/wire.h"

/* The settings of a client, as far as statements are kept by them. */
#define UNDER(text) (&(struct settings){.bytes = (char *)(text), .base_len = strlen(text)})

/* What follows the name in a Parse message: a text and no parameter types. */
static struct prepared *intern(struct prepared_table *table, const char *path, const char *text)
{
	uint8_t body[256] = {0};
	size_t len = strlen(text);

	cr_assert_lt(len + 3, sizeof body);
	memcpy(body, text, len);
	struct prepared *prepared = prepared_intern(table, UNDER(path), body, len + 3);
	cr_assert_not_null(prepared);
	return prepared;
}

static struct statement *define(struct statements *statements, struct prepared_table *table,
								const char *name, const char *text)
{
	return statements_define(statements, name, intern(table, "", text), NULL);
}

/* ---- texts ---- */

Test(prepared, equal_texts_are_one)
{
	struct prepared_table *table = prepared_table_create();
	struct prepared *a = intern(table, "", "SELECT 1"), *b = intern(table, "", "SELECT 1"),
					*other = intern(table, "", "SELECT 2"),
					*path = intern(table, "tenanta", "SELECT 1");
	static const uint8_t typed[] = "SELECT 1\0\0\1\0\0\0\27";
	struct prepared *parameter = prepared_intern(table, UNDER(""), typed, sizeof typed - 1);

	cr_assert_eq(a, b);
	cr_assert_eq(a->references, 2);
	cr_assert_neq(a, other);
	cr_assert_neq(a, path, "one text under two schemas is two statements");
	cr_assert_neq(a, parameter, "and so is one with other types");
	prepared_unref(a);
	prepared_unref(b);
	struct prepared *anew = intern(table, "", "SELECT 1");
	cr_assert_neq(anew->number, other->number);
	for (size_t i = 0; i < 4; i++)
		prepared_unref((struct prepared *[]){other, path, parameter, anew}[i]);
	prepared_table_destroy(table);
}

/* A search_path that runs into its text must not look like another pair. */
Test(prepared, path_and_text_do_not_run_together)
{
	struct prepared_table *table = prepared_table_create();
	struct prepared *a = intern(table, "a", "bSELECT"), *b = intern(table, "ab", "SELECT");

	cr_assert_neq(a, b);
	prepared_unref(a);
	prepared_unref(b);
	prepared_table_destroy(table);
}

Test(prepared, names_are_not_to_be_guessed)
{
	struct prepared_table *one = prepared_table_create(), *two = prepared_table_create();
	struct prepared *a = intern(one, "", "SELECT 1"), *b = intern(two, "", "SELECT 1");
	char first[PREPARED_NAME_MAX], second[PREPARED_NAME_MAX];

	prepared_name(a, a->number, first);
	prepared_name(b, b->number, second);
	cr_assert_eq(strncmp(first, PREPARED_PREFIX, strlen(PREPARED_PREFIX)), 0);
	cr_assert_str_neq(first, second);
	cr_assert_lt(strlen(first), 64, "PostgreSQL cuts names there");
	prepared_name(a, UINT64_MAX, first);
	cr_assert_lt(strlen(first), PREPARED_NAME_MAX - 1);
	prepared_unref(a);
	prepared_unref(b);
	prepared_table_destroy(one);
	prepared_table_destroy(two);
}

Test(prepared, renewed_it_has_another_name)
{
	struct prepared_table *table = prepared_table_create();
	struct prepared *a = intern(table, "", "SELECT 1"), *b = intern(table, "", "SELECT 2");
	uint64_t before = a->number;

	prepared_renew(a);
	cr_assert_neq(a->number, before);
	cr_assert_neq(a->number, b->number);
	struct prepared *same = intern(table, "", "SELECT 1");
	cr_assert_eq(same, a, "the text is the same");
	prepared_unref(a);
	prepared_unref(same);
	prepared_unref(b);
	prepared_table_destroy(table);
}

Test(prepared, its_parse_is_what_the_client_sent)
{
	static const uint8_t body[] = "SELECT $1\0\0\1\0\0\0\27";
	static const char expected[] = "P\0\0\0\27name\0SELECT $1\0\0\1\0\0\0\27";
	struct prepared_table *table = prepared_table_create();
	struct prepared *a = prepared_intern(table, UNDER("some, path"), body, sizeof body - 1);
	struct buf out;

	buf_init(&out);
	cr_assert(prepared_append_parse(a, "name", &out));
	cr_assert_eq(buf_len(&out), 5 + 5 + sizeof body - 1);
	cr_assert_eq(wire_u32(buf_data(&out) + 1), buf_len(&out) - 1);
	cr_assert_arr_eq(buf_data(&out) + 5, expected + 5, 5 + sizeof body - 1);
	buf_fini(&out);
	prepared_unref(a);
	prepared_table_destroy(table);
}

/* ---- of a client ---- */

Test(statements, are_found_by_their_names)
{
	struct prepared_table *table = prepared_table_create();
	struct statements statements = {0};
	struct statement *a = define(&statements, table, "a", "SELECT 1"),
					 *b = define(&statements, table, "A", "SELECT 1");

	cr_assert(a && b && a != b);
	cr_assert_eq(a->prepared, b->prepared);
	cr_assert_eq(statements_find(&statements, "a"), a);
	cr_assert_eq(statements_find(&statements, "A"), b);
	cr_assert_null(statements_find(&statements, "b"));
	statements_remove(&statements, a);
	cr_assert_null(statements_find(&statements, "a"));
	cr_assert_eq(statements_find(&statements, "A"), b);
	statements_clear(&statements);
	cr_assert_null(statements_find(&statements, "A"));
	cr_assert_eq(statements.bytes, 0);
	prepared_table_destroy(table);
}

Test(statements, what_was_removed_comes_back)
{
	struct prepared_table *table = prepared_table_create();
	struct statements statements = {0};
	struct statement *a = statement_ref(define(&statements, table, "a", "SELECT 1"));
	size_t bytes = statements.bytes;

	statements_remove(&statements, a);
	statements_remove(&statements, a);
	cr_assert_eq(statements.bytes, 0);
	statements_restore(&statements, a);
	statements_restore(&statements, a);
	cr_assert_eq(statements_find(&statements, "a"), a);
	cr_assert_eq(statements.bytes, bytes);
	statement_unref(a);
	cr_assert_eq(a->references, 1);
	statements_clear(&statements);
	prepared_table_destroy(table);
}

Test(statements, a_name_in_use_again_is_left)
{
	struct prepared_table *table = prepared_table_create();
	struct statements statements = {0};
	struct statement *first = statement_ref(define(&statements, table, "a", "SELECT 1"));

	statements_remove(&statements, first);
	struct statement *second = define(&statements, table, "a", "SELECT 2");
	statements_restore(&statements, first);
	cr_assert_eq(statements_find(&statements, "a"), second);
	statements_remove(&statements, first);
	cr_assert_eq(statements_find(&statements, "a"), second, "one of the same name stays");
	statement_unref(first);
	statements_clear(&statements);
	cr_assert_eq(statements.bytes, 0);
	prepared_table_destroy(table);
}

Test(statements, there_are_only_so_many)
{
	struct prepared_table *table = prepared_table_create();
	struct statements statements = {0};
	char name[16];

	for (int i = 0; i < STATEMENTS_CLIENT_MAX; i++) {
		cr_assert(statements_have_room(&statements, 8, SIZE_MAX));
		snprintf(name, sizeof name, "s%d", i);
		cr_assert_not_null(define(&statements, table, name, "SELECT 1"));
	}
	cr_assert_not(statements_have_room(&statements, 8, SIZE_MAX));
	statements_remove(&statements, statements_find(&statements, "s0"));
	cr_assert(statements_have_room(&statements, 8, SIZE_MAX));
	statements_clear(&statements);
	prepared_table_destroy(table);
}

Test(statements, and_only_so_many_bytes)
{
	struct prepared_table *table = prepared_table_create();
	struct statements statements = {0};
	size_t len = STATEMENTS_CLIENT_BYTES_MAX / 4, count = 0;
	uint8_t *body = calloc(1, len);
	char name[16];

	memset(body, 'x', len - 3);
	for (; statements_have_room(&statements, len, SIZE_MAX); count++) {
		struct prepared *prepared = prepared_intern(table, UNDER(""), body, len);

		cr_assert_not_null(prepared);
		snprintf(name, sizeof name, "s%zu", count);
		cr_assert_not_null(statements_define(&statements, name, prepared, NULL));
	}
	cr_assert_eq(count, 3, "one text counts as often as it is named, and so do names");
	statements_clear(&statements);
	free(body);
	prepared_table_destroy(table);
}

Test(statements, those_of_a_tenant_count_together)
{
	struct prepared_table *table = prepared_table_create();
	size_t of_tenant = 0;
	struct statements one = {.of_tenant = &of_tenant}, two = {.of_tenant = &of_tenant};
	struct statement *a = define(&one, table, "a", "SELECT 1");

	cr_assert_eq(of_tenant, one.bytes);
	define(&two, table, "b", "SELECT 2");
	cr_assert_eq(of_tenant, one.bytes + two.bytes);
	cr_assert(statements_have_room(&one, 100, of_tenant + 100));
	cr_assert_not(statements_have_room(&two, 101, of_tenant + 100));
	statement_ref(a);
	statements_remove(&one, a);
	cr_assert_eq(of_tenant, two.bytes);
	statements_restore(&one, a);
	statement_unref(a);
	cr_assert_eq(of_tenant, one.bytes + two.bytes);
	statements_clear(&one);
	statements_clear(&two);
	cr_assert_eq(of_tenant, 0);
	prepared_table_destroy(table);
}

/* ---- of a backend ---- */

Test(backend_statements, the_least_recently_used_goes_first)
{
	struct prepared_table *table = prepared_table_create();
	struct backend_statements statements;
	struct prepared *a = intern(table, "", "a"), *b = intern(table, "", "b"),
					*c = intern(table, "", "c");

	backend_statements_init(&statements);
	cr_assert_null(backend_statements_oldest(&statements, 2));
	cr_assert(backend_statements_add(&statements, a, a->number));
	cr_assert(backend_statements_add(&statements, b, b->number));
	cr_assert_null(backend_statements_oldest(&statements, 3));
	cr_assert_eq(backend_statements_oldest(&statements, 2)->prepared, a);
	cr_assert_not_null(backend_statements_find(&statements, a));
	cr_assert_eq(backend_statements_oldest(&statements, 2)->prepared, b);
	cr_assert_null(backend_statements_find(&statements, c));
	backend_statements_remove(&statements, b);
	cr_assert_null(backend_statements_find(&statements, b));
	cr_assert_null(backend_statements_oldest(&statements, 2));
	backend_statements_remove(&statements, b);
	backend_statements_clear(&statements);
	for (size_t i = 0; i < 3; i++) {
		struct prepared *each = (struct prepared *[]){a, b, c}[i];

		cr_assert_eq(each->references, 1);
		prepared_unref(each);
	}
	prepared_table_destroy(table);
}

/* The text is kept as long as a backend has it under its name. */
Test(backend_statements, hold_what_they_have)
{
	struct prepared_table *table = prepared_table_create();
	struct backend_statements statements;
	struct prepared *a = intern(table, "", "a");
	uint64_t number = a->number;

	backend_statements_init(&statements);
	cr_assert(backend_statements_add(&statements, a, number));
	prepared_unref(a);
	struct prepared *again = intern(table, "", "a");
	cr_assert_eq(again, a);
	prepared_renew(again);
	cr_assert_eq(backend_statements_find(&statements, again)->number, number);
	cr_assert(backend_statements_add(&statements, again, again->number));
	cr_assert_eq(backend_statements_find(&statements, again)->number, again->number);
	cr_assert_eq(HASH_COUNT(statements.set), 1);
	prepared_unref(again);
	backend_statements_clear(&statements);
	prepared_table_destroy(table);
}

Test(backend_statements, in_doubt_nothing_is_known_to_be_there)
{
	struct prepared_table *table = prepared_table_create();
	struct backend_statements statements;
	struct prepared *a = intern(table, "", "a");

	backend_statements_init(&statements);
	cr_assert(backend_statements_add(&statements, a, a->number));
	backend_statements_doubt(&statements);
	cr_assert(statements.doubtful);
	cr_assert_null(backend_statements_find(&statements, a));
	backend_statements_clear(&statements);
	cr_assert(!statements.doubtful, "behind DISCARD ALL it is known again");
	prepared_unref(a);
	prepared_table_destroy(table);
}
