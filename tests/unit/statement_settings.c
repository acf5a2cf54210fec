/* SET, RESET and set_config as they are read. */
#include "statement_case.h"

struct expected {
	const char *text;
	enum sql_action action;
	const char *name, *value;
	enum sql_setting_how how;
	uint32_t effects;
};

static const struct expected sets[] = {
	{"SET x = 1", SQL_SET, "x", "1", SETTING_SET, EFFECT_SETTING},
	{"SET SESSION App.Tenant TO 'A''b'", SQL_SET, "app.tenant", "A'b", SETTING_SET,
	 EFFECT_SETTING},
	{"SET \"App\".\"Tenant\" = Abc", SQL_SET, "app.tenant", "abc", SETTING_SET, EFFECT_SETTING},
	{"SET LOCAL x = -1.50", SQL_SET, "x", "-1.50", SETTING_SET_LOCAL, 0},
	{"SET x = off", SQL_SET, "x", "off", SETTING_SET, EFFECT_SETTING},
	{"SET x = ''", SQL_SET, "x", "", SETTING_SET, EFFECT_SETTING},
	{"SET x TO DEFAULT", SQL_SET, "x", NULL, SETTING_RESET, EFFECT_SETTING},
	{"SET LOCAL x TO DEFAULT", SQL_SET, "x", NULL, SETTING_SET_LOCAL, 0},
	{"SET x FROM CURRENT", SQL_SET, "x", NULL, SETTING_SET, EFFECT_SETTING},
	{"RESET X", SQL_RESET, "x", NULL, SETTING_RESET, EFFECT_SETTING},

	/* Lists: as the server puts them together. */
	{"SET search_path TO a, \"B c\", \"user\", '$user', \"select\", public, \"x\"\"y\"",
	 SQL_SET, "search_path", "a, \"B c\", \"user\", \"$user\", \"select\", public, \"x\"\"y\"",
	 SETTING_SET, EFFECT_SETTING},
	{"SET search_path = 'A, b'", SQL_SET, "search_path", "\"A, b\"", SETTING_SET,
	 EFFECT_SETTING},
	{"SET SEARCH_PATH = ''", SQL_SET, "search_path", "\"\"", SETTING_SET, EFFECT_SETTING},
	{"SET DateStyle = ISO, DMY", SQL_SET, "datestyle", "iso, dmy", SETTING_SET, EFFECT_SETTING},

	/* Those with a grammar of their own. */
	{"SET TIME ZONE 'Europe/Vienna'", SQL_SET, "timezone", "Europe/Vienna", SETTING_SET,
	 EFFECT_SETTING},
	{"SET TIME ZONE -7", SQL_SET, "timezone", "-7", SETTING_SET, EFFECT_SETTING},
	{"SET TIME ZONE LOCAL", SQL_SET, "timezone", NULL, SETTING_RESET, EFFECT_SETTING},
	{"SET LOCAL TIME ZONE DEFAULT", SQL_SET, "timezone", NULL, SETTING_SET_LOCAL, 0},
	{"SET TIME ZONE INTERVAL '-8' HOUR", SQL_SET, "timezone", NULL, SETTING_SET,
	 EFFECT_SETTING},
	{"SET NAMES 'latin1'", SQL_SET, "client_encoding", "latin1", SETTING_SET, EFFECT_SETTING},
	{"SET NAMES", SQL_SET, "client_encoding", NULL, SETTING_RESET, EFFECT_SETTING},
	{"SET SCHEMA 'a b'", SQL_SET, "search_path", "\"a b\"", SETTING_SET, EFFECT_SETTING},
	{"SET XML OPTION CONTENT", SQL_SET, "xmloption", "CONTENT", SETTING_SET, EFFECT_SETTING},
	{"SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL READ COMMITTED", SQL_SET,
	 "default_transaction_isolation", "read committed", SETTING_SET, EFFECT_SETTING},

	/* Roles, and the seed. */
	{"SET ROLE x", SQL_SET, "role", "x", SETTING_SET, EFFECT_ROLE},
	{"SET LOCAL ROLE x", SQL_SET, "role", "x", SETTING_SET_LOCAL, 0},
	{"SET ROLE NONE", SQL_SET, "role", "none", SETTING_SET, EFFECT_ROLE},
	{"RESET ROLE", SQL_RESET, "role", NULL, SETTING_RESET, EFFECT_ROLE},
	{"SET SESSION AUTHORIZATION x", SQL_SET, "session_authorization", "x", SETTING_SET,
	 EFFECT_ROLE},
	{"SET SESSION AUTHORIZATION DEFAULT", SQL_SET, "session_authorization", NULL, SETTING_RESET,
	 EFFECT_ROLE},
	{"RESET SESSION AUTHORIZATION", SQL_RESET, "session_authorization", NULL, SETTING_RESET,
	 EFFECT_ROLE},
	{"SET LOCAL seed = 0.5", SQL_SET, "seed", "0.5", SETTING_SET_LOCAL, EFFECT_SEED},
};

Test(statement_settings, set_and_reset)
{
	for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) {
		const struct expected *expected = &sets[i];
		const struct verdict *verdict = read_text(expected->text);

		cr_assert_eq(verdict->reading, SQL_READ, "%s", expected->text);
		cr_assert_eq(verdict->setting_count, 1, "%s", expected->text);
		const struct sql_statement *statement = verdict->statements;
		const struct sql_setting *setting = verdict->settings;
		cr_expect_eq(statement->action, expected->action, "%s", expected->text);
		cr_expect_eq(statement->classes, SQL_CLASS_SESSION, "%s", expected->text);
		cr_expect_eq(statement->effects, expected->effects, "%s", expected->text);
		cr_expect_str_eq(statement->name, expected->name, "%s", expected->text);
		cr_expect(is_equal(statement->value, expected->value), "%s: %s", expected->text,
				  statement->value);
		cr_expect_eq(statement->is_local, strstr(expected->text, "SET LOCAL") != NULL, "%s",
					 expected->text);
		cr_expect_str_eq(setting->name, expected->name, "%s", expected->text);
		cr_expect(is_equal(setting->value, expected->value), "%s", expected->text);
		cr_expect_eq(setting->how, expected->how, "%s", expected->text);
		cr_expect_not(setting->is_call, "%s", expected->text);
		verdict_unref(verdict);
	}
}

Test(statement_settings, some_statements_set_several_or_none)
{
	const struct verdict *verdict = read_text(
		"SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY, NOT DEFERRABLE; RESET ALL; "
		"SET TRANSACTION ISOLATION LEVEL SERIALIZABLE; SET \"Transaction_Read_Only\" = on");

	cr_assert_eq(verdict->setting_count, 2);
	cr_assert_str_eq(verdict->settings[0].name, "default_transaction_read_only");
	cr_assert_str_eq(verdict->settings[0].value, "1");
	cr_assert_str_eq(verdict->settings[1].name, "default_transaction_deferrable");
	cr_assert_str_eq(verdict->settings[1].value, "0");
	cr_assert_eq(verdict->statements[1].action, SQL_RESET_ALL);
	cr_assert_eq(verdict->statements[1].effects, EFFECT_SETTINGS);
	cr_assert_eq(verdict->statements[3].action, SQL_SET_TRANSACTION);
	cr_assert_eq(verdict->statements[3].effects, 0);
	verdict_unref(verdict);
}

/* ---- set_config ---- */

struct call {
	const char *text;
	const char *name, *value; /* NULL: none is noted */
	int32_t param;
	enum sql_setting_how how;
	uint32_t effects;
};

#define SET   SETTING_SET
#define LOCAL SETTING_SET_LOCAL

static const struct call calls[] = {
	{"SELECT set_config('App.X', 'Y', false)", "app.x", "Y", 0, SET, EFFECT_SETTING},
	{"SELECT set_config('x', 'y', true)", "x", "y", 0, LOCAL, 0},
	{"SELECT set_config('x', $1, true)", "x", NULL, 1, LOCAL, 0},
	{"SELECT set_config('x', $12::text, 't')", "x", NULL, 12, LOCAL, 0},
	{"SELECT set_config('x'::text, CAST('y' AS varchar), 'true'::bool)", "x", "y", 0, LOCAL, 0},
	{"SELECT pg_catalog.set_config(E'\\x78', 'y', $1)", "x", "y", 0, SET, EFFECT_SETTING},
	{"SELECT \"set_config\"('x', 'y' || 'z', NULL)", "x", NULL, 0, SET, EFFECT_SETTING},
	{"SELECT set_config('x', $1::varchar(2), false)", "x", NULL, 0, SET, EFFECT_SETTING},
	{"SELECT set_config('x', NULL, false)", "x", NULL, 0, SETTING_RESET, EFFECT_SETTING},
	{"SELECT set_config('x', NULL, true)", "x", NULL, 0, LOCAL, 0},
	{"SELECT set_config(is_local => false, new_value => 'y', setting_name => 'x')", "x", "y", 0,
	 SET, EFFECT_SETTING},
	{"SELECT set_config('x', is_local := true, new_value := 'y')", "x", "y", 0, LOCAL, 0},
	{"SELECT 1 FROM set_config('x', 'y', false)", "x", "y", 0, SET, EFFECT_SETTING},
	{"SELECT 1 WHERE lower(set_config('x', 'y', false)) = 'y'", "x", "y", 0, SET,
	 EFFECT_SETTING},
	{"INSERT INTO t VALUES (1) RETURNING set_config('x', 'y', false)", "x", "y", 0, SET,
	 EFFECT_SETTING},
	{"PREPARE p AS SELECT set_config('x', $1, false)", "x", NULL, 1, SET,
	 EFFECT_SETTING | EFFECT_PREPARED},
	{"SELECT set_config('role', 'x', false)", "role", "x", 0, SET, EFFECT_ROLE},
	{"SELECT set_config('role', 'x', true)", "role", "x", 0, LOCAL, 0},
	{"SELECT set_config('SEED', '0.5', true)", "seed", "0.5", 0, LOCAL, EFFECT_SEED},
	{"SELECT set_config('transaction_isolation', 'x', false)", NULL, NULL, 0, SET, 0},

	/* The name is not to be seen. */
	{"SELECT set_config($1, 'y', false)", NULL, NULL, 0, SET,
	 EFFECT_SETTINGS | EFFECT_ROLE | EFFECT_SEED},
	{"SELECT set_config('x'::varchar(1), 'y', false)", NULL, NULL, 0, SET,
	 EFFECT_SETTINGS | EFFECT_ROLE | EFFECT_SEED},
	{"SELECT set_config(name, 'y', true) FROM t", NULL, NULL, 0, SET, EFFECT_SEED},
	{"SELECT set_config(NULL, 'y', true)", NULL, NULL, 0, SET, EFFECT_SEED},

	/* No function of pg_catalog's. */
	{"SELECT s.set_config('x', 'y', true)", NULL, NULL, 0, SET, EFFECT_UNKNOWN},
	{"SELECT set_config('x', 'y')", NULL, NULL, 0, SET, EFFECT_UNKNOWN},
	{"SELECT set_config('x', 'y', a => true)", NULL, NULL, 0, SET, EFFECT_UNKNOWN},
	{"SELECT set_config('x', 'y', setting_name => 'z')", NULL, NULL, 0, SET, EFFECT_UNKNOWN},
	{"SELECT set_config('x', 'y', VARIADIC a)", NULL, NULL, 0, SET, EFFECT_UNKNOWN},
	{"SELECT \"SET_CONFIG\"('x', 'y', true)", NULL, NULL, 0, SET, EFFECT_UNKNOWN},
};

Test(statement_settings, set_config)
{
	for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
		const struct call *call = &calls[i];
		const struct verdict *verdict = read_text(call->text);

		cr_assert_eq(verdict->reading, SQL_READ, "%s", call->text);
		cr_expect_eq(verdict->effects, call->effects, "%s: %x", call->text, verdict->effects);
		cr_assert_eq(verdict->setting_count, call->name ? 1 : 0, "%s", call->text);
		if (call->name) {
			cr_expect_str_eq(verdict->settings->name, call->name, "%s", call->text);
			cr_expect(is_equal(verdict->settings->value, call->value), "%s", call->text);
			cr_expect_eq(verdict->settings->param, call->param, "%s", call->text);
			cr_expect_eq(verdict->settings->how, call->how, "%s", call->text);
			cr_expect(verdict->settings->is_call, "%s", call->text);
		}
		verdict_unref(verdict);
	}
}

Test(statement_settings, settings_stand_in_the_order_of_the_text)
{
	const struct verdict *verdict = read_text(
		"SELECT set_config('a', '1', true), (SELECT set_config('b', '2', true)), "
		"CASE WHEN true THEN set_config('c', '3', true) END "
		"FROM set_config('d', '4', true) WHERE set_config('e', '5', true) = '5'; SET f = 6");

	cr_assert_eq(verdict->setting_count, 6);
	for (uint32_t i = 0; i < 6; i++) {
		cr_expect_eq(verdict->settings[i].name[0], 'a' + (char)i);
		cr_expect_eq(verdict->settings[i].statement, i / 5);
	}
	cr_assert_str_eq(verdict->statements[1].name, "f");
	verdict_unref(verdict);
}
