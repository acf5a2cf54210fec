/* Statements that are replaced: which of a text, by what, and that all around them stays. */
#include <criterion/criterion.h>
#include <string.h>

#include "proxy/client.h"
#include "proxy/pool.h"
#include "proxy/rewrite.h"
#include "proxy/settings.h"

/* The settings of a client, as far as statements are kept by them. */
#define UNDER(text) (&(struct settings){.bytes = (char *)(text), .base_len = strlen(text)})

struct stand {
	struct pool pool;
	struct client client;
	struct settings_table *settings;
	struct prepared_table *prepared;
};

static void begin(struct stand *stand, enum route_kind kind)
{
	static struct startup_setting startup[] = {
		{"search_path", "\"TENANTA\", b"}, {"timezone", "it's"}, {"application_name", "x"}};

	memset(stand, 0, sizeof *stand);
	stand->pool.key.kind = kind;
	stand->client.pool = &stand->pool;
	stand->settings = settings_table_create();
	stand->prepared = prepared_table_create();
	stand->client.startup_settings = settings_intern(stand->settings, startup, 3);
	struct prepared *prepared =
		prepared_intern(stand->prepared, UNDER(""), (const uint8_t *)"SELECT\0\0", 9);
	cr_assert_not_null(statements_define(&stand->client.statements, "known", prepared, NULL));
}

static void end(struct stand *stand)
{
	statements_clear(&stand->client.statements);
	settings_unref(stand->client.startup_settings);
	settings_table_destroy(stand->settings);
	prepared_table_destroy(stand->prepared);
}

static void expect(const struct stand *stand, const struct verdict *verdict, const char *text,
				   const char *replaced)
{
	struct buf out;

	buf_init(&out);
	cr_assert_eq(rewrite_is_wanted(&stand->client, verdict), strcmp(text, replaced) != 0);
	cr_assert(rewrite_append(&stand->client, verdict, text, strlen(text), &out));
	cr_assert(buf_append_byte(&out, 0));
	cr_assert_str_eq((const char *)buf_data(&out), replaced);
	buf_fini(&out);
}

/* The statement of this action and name, where `part` stands in the text. */
static struct sql_statement statement(enum sql_action action, const char *name,
									  const char *text, const char *part)
{
	const char *at = strstr(text, part);

	cr_assert_not_null(at);
	return (struct sql_statement){.action = action,
								  .name = name,
								  .start = (uint32_t)(at - text),
								  .len = (uint32_t)strlen(part)};
}

static struct verdict verdict_of(const struct sql_statement *statements, uint32_t count)
{
	return (struct verdict){.statements = statements, .statement_count = count};
}

#define GUARDED_RESET                                                                          \
	"CALL bulkhead.reset_all(ARRAY[E'search_path', E'\"TENANTA\", b', E'timezone', E'it''s',"  \
	" E'application_name', E'x']::pg_catalog.text[])"

Test(rewrite, reset_all_and_what_stands_around_it)
{
	static const char text[] =
		" /* \xc3\xa9 */ SELECT 'RESET ALL' ;\n RESET  ALL;; SELECT 2 -- x";
	struct stand stand;

	begin(&stand, ROUTE_SEALED);
	const struct sql_statement statements[] = {
		statement(SQL_PLAIN, NULL, text, "SELECT 'RESET ALL'"),
		statement(SQL_RESET_ALL, NULL, text, "RESET  ALL"),
		statement(SQL_PLAIN, NULL, text, "SELECT 2"),
	};
	const struct verdict verdict = verdict_of(statements, 3);
	expect(&stand, &verdict, text,
		   " /* \xc3\xa9 */ SELECT 'RESET ALL' ;\n " GUARDED_RESET ";; SELECT 2 -- x");
	cr_assert_str_eq(rewrite_tag(&statements[1]), "RESET");
	end(&stand);
}

Test(rewrite, reset_all_without_the_guard)
{
	static const char text[] = "RESET ALL";
	struct stand stand;

	begin(&stand, ROUTE_CLUSTER);
	const struct sql_statement all = statement(SQL_RESET_ALL, NULL, text, text);
	const struct verdict verdict = verdict_of(&all, 1);
	expect(&stand, &verdict, text,
		   "DO $bulkhead$BEGIN RESET ALL;"
		   "PERFORM pg_catalog.set_config(E'search_path', E'\"TENANTA\", b', false);"
		   "PERFORM pg_catalog.set_config(E'timezone', E'it''s', false);"
		   "PERFORM pg_catalog.set_config(E'application_name', E'x', false);END$bulkhead$");
	end(&stand);
}

/* The default of a setting is what the client's startup packet had, if it had it. */
Test(rewrite, resets_of_one_setting)
{
	static const char text[] =
		"RESET timezone;RESET work_mem;SET search_path TO DEFAULT;SET timezone = 'UTC';"
		"SET LOCAL timezone TO DEFAULT";
	struct stand stand;

	begin(&stand, ROUTE_SEALED);
	struct sql_statement statements[] = {
		statement(SQL_RESET, "timezone", text, "RESET timezone"),
		statement(SQL_RESET, "work_mem", text, "RESET work_mem"),
		statement(SQL_SET, "search_path", text, "SET search_path TO DEFAULT"),
		statement(SQL_SET, "timezone", text, "SET timezone = 'UTC'"),
		statement(SQL_SET, "timezone", text, "SET LOCAL timezone TO DEFAULT"),
	};
	const struct sql_setting settings[] = {
		{.name = "timezone", .how = SETTING_RESET, .statement = 0},
		{.name = "work_mem", .how = SETTING_RESET, .statement = 1},
		{.name = "search_path", .how = SETTING_RESET, .statement = 2},
		{.name = "timezone", .how = SETTING_SET, .statement = 3},
		{.name = "timezone", .how = SETTING_RESET, .statement = 4},
	};
	struct verdict verdict = verdict_of(statements, 5);

	statements[3].value = "UTC";
	statements[4].is_local = true;
	verdict.settings = settings;
	verdict.setting_count = 5;
	expect(&stand, &verdict, text,
		   "SET \"timezone\" = E'it''s';;RESET work_mem;"
		   "SET \"search_path\" = E'TENANTA', E'b';;SET timezone = 'UTC';"
		   "SET LOCAL \"timezone\" = E'it''s';");
	cr_assert_str_eq(rewrite_tag(&statements[0]), "RESET");
	cr_assert_str_eq(rewrite_tag(&statements[2]), "SET");
	end(&stand);
}

Test(rewrite, deallocate_of_what_has_another_name_there)
{
	static const char text[] = "DEALLOCATE known; DEALLOCATE other; DEALLOCATE ALL";
	struct stand stand;

	begin(&stand, ROUTE_SEALED);
	const struct sql_statement statements[] = {
		statement(SQL_DEALLOCATE, "known", text, "DEALLOCATE known"),
		statement(SQL_DEALLOCATE, "other", text, "DEALLOCATE other"),
		statement(SQL_DEALLOCATE_ALL, NULL, text, "DEALLOCATE ALL"),
	};
	const struct verdict verdict = verdict_of(statements, 3);
	expect(&stand, &verdict, text,
		   "UNLISTEN \"bulkhead: nothing\"; DEALLOCATE other; DEALLOCATE ALL");
	cr_assert_str_eq(rewrite_tag(&statements[0]), "DEALLOCATE");
	stand.client.pins.held = PIN_NATIVE;
	expect(&stand, &verdict, text, text);
	end(&stand);
}

/* In whatever place; but so many of them and no more, since each grows. */
Test(rewrite, reset_all_behind_many_others)
{
	enum { MANY = 200, PER = sizeof "RESET ALL;" - 1 };
	static struct sql_statement statements[MANY];
	struct buf text, replaced;
	struct stand stand;

	begin(&stand, ROUTE_SEALED);
	for (uint32_t from = 0; from <= MANY; from += MANY / 2) {
		buf_init(&text);
		buf_init(&replaced);
		for (uint32_t i = 0; i < MANY; i++) {
			bool is_replaced = i >= from && i < from + REWRITE_MAX;

			statements[i] =
				(struct sql_statement){.action = i < from ? SQL_PLAIN : SQL_RESET_ALL,
									   .start = i * PER,
									   .len = PER - 1};
			cr_assert(buf_append(&text, "RESET ALL;", PER));
			cr_assert(buf_appendf(&replaced, "%s;", is_replaced ? GUARDED_RESET : "RESET ALL"));
		}
		cr_assert(buf_append_byte(&text, 0) && buf_append_byte(&replaced, 0));
		const struct verdict verdict = verdict_of(statements, MANY);
		expect(&stand, &verdict, (const char *)buf_data(&text),
			   (const char *)buf_data(&replaced));
		buf_fini(&text);
		buf_fini(&replaced);
	}
	end(&stand);
}

Test(rewrite, a_text_of_which_nothing_is_known_is_left)
{
	struct stand stand;
	const struct verdict unread = {.reading = SQL_UNREADABLE, .effects = EFFECTS_ALL};

	begin(&stand, ROUTE_SEALED);
	expect(&stand, &unread, "RESET ALL (", "RESET ALL (");
	end(&stand);
}
