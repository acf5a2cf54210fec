/* Decisions on statements: rules, permissions and lists together. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "policy/gate.h"

struct stage {
	struct gate_settings settings;
	struct permissions permissions;
	enum rule_place place;
	bool has_temporary;
	struct uuid tenant;
};

static struct stage stage_of(enum rule_place place)
{
	return (struct stage){.permissions = *permissions_of_place(place), .place = place};
}

/* NULL when it may run, else what was in the way. */
static const char *judge(const struct stage *stage, const char *text)
{
	const struct verdict *verdict = sql_read(text, strlen(text));
	struct gate_refusal refusal;
	struct gate gate;
	bool is_refused;

	cr_assert(verdict != NULL);
	gate_init(&gate, stage->place, &stage->tenant, &stage->settings, &stage->permissions);
	is_refused = gate_judge(&gate, verdict, stage->has_temporary, &refusal);
	if (gate_passes(&gate, verdict->needs, verdict->rules))
		cr_expect_not(is_refused, "%s: passes at a glance, and is refused", text);
	if (is_refused)
		cr_expect(refusal.message && refusal.what && refusal.reason < REASON_COUNT);
	verdict_unref(verdict);
	return is_refused ? refusal.what : NULL;
}

#define EXPECT_PASS(stage, text)                                                               \
	cr_expect_null(judge(stage, text), "%s: %s", text, judge(stage, text))
#define EXPECT_REFUSED(stage, text, by)                                                        \
	do {                                                                                       \
		const char *what = judge(stage, text);                                                 \
		cr_expect(what &&strcmp(what, by) == 0, "%s: %s", text, what ? what : "passes");       \
	} while (0)

Test(gate, defaults_by_place)
{
	struct stage shared = stage_of(ON_SHARED), schema = stage_of(ON_SCHEMA),
				 database = stage_of(ON_DATABASE);

	EXPECT_PASS(&shared, "SELECT 1");
	EXPECT_PASS(&shared, "INSERT INTO t VALUES (1)");
	EXPECT_PASS(&shared, "CALL p()");
	EXPECT_PASS(&shared, "COPY t TO STDOUT");
	EXPECT_PASS(&shared, "CREATE TEMP TABLE t (a int)");
	EXPECT_REFUSED(&shared, "CREATE TABLE t (a int)", "ddl");
	EXPECT_REFUSED(&shared, "VACUUM", "sql.maintenance");
	EXPECT_REFUSED(&shared, "LISTEN x", "listen");
	EXPECT_REFUSED(&shared, "SELEC", "unreadable");
	EXPECT_PASS(&schema, "CREATE TABLE t (a int)");
	EXPECT_PASS(&schema, "DO $$ BEGIN END $$");
	EXPECT_PASS(&schema, "VACUUM");
	EXPECT_REFUSED(&schema, "LISTEN x", "listen");
	EXPECT_REFUSED(&schema, "SET ROLE x", "role");
	EXPECT_REFUSED(&schema, "SELEC", "unreadable");
	EXPECT_PASS(&database, "LISTEN x");
	EXPECT_PASS(&database, "SELEC"); /* the server says what is wrong with it */
	EXPECT_PASS(&database, "SET ROLE x");
	EXPECT_REFUSED(&database, "ALTER ROLE x PASSWORD 'y'", "roles");
	EXPECT_REFUSED(&database, "ALTER SYSTEM SET a = 1", "server");
}

Test(gate, permissions)
{
	struct stage stage = stage_of(ON_DATABASE);

	stage.permissions.held &= ~PERMISSION_BIT(PERMISSION_DDL);
	EXPECT_REFUSED(&stage, "CREATE TABLE t (a int)", "sql.ddl");
	EXPECT_REFUSED(&stage, "DROP TABLE t", "sql.ddl");
	EXPECT_REFUSED(&stage, "SELECT 1 INTO t", "sql.ddl");
	EXPECT_REFUSED(&stage, "SELEC", "unreadable");
	EXPECT_PASS(&stage, "CREATE TEMP TABLE t (a int)");
	stage.has_temporary = true;
	EXPECT_PASS(&stage, "ALTER TABLE t ADD a int");
	stage.permissions.held &= ~PERMISSION_BIT(PERMISSION_WRITE);
	EXPECT_REFUSED(&stage, "INSERT INTO t VALUES (1)", "sql.write");
	EXPECT_REFUSED(&stage, "WITH x AS (DELETE FROM t RETURNING 1) SELECT * FROM x",
				   "sql.write");
	EXPECT_REFUSED(&stage, "SELECT 1 FROM t FOR UPDATE", "sql.write");
	EXPECT_REFUSED(&stage, "CREATE TEMP TABLE t (a int)", "sql.write");
	EXPECT_REFUSED(&stage, "ALTER TABLE t ADD a int", "sql.write");
	EXPECT_REFUSED(&stage, "SELECT nextval('x')", "sql.write");
	stage.permissions.held &= ~PERMISSION_BIT(PERMISSION_COPY);
	EXPECT_REFUSED(&stage, "COPY t TO STDOUT", "sql.copy");
	EXPECT_PASS(&stage, "BEGIN; SET a.b = 1; COMMIT");
}

Test(gate, read_only)
{
	struct stage stage = stage_of(ON_DATABASE);

	stage.permissions.is_read_only = true;
	EXPECT_PASS(&stage, "SELECT 1");
	EXPECT_PASS(&stage, "COPY t TO STDOUT");
	EXPECT_REFUSED(&stage, "UPDATE t SET a = 1", "read_only");
	EXPECT_REFUSED(&stage, "COPY t FROM STDIN", "read_only");
	EXPECT_REFUSED(&stage, "CREATE TABLE t (a int)", "read_only");
	EXPECT_REFUSED(&stage, "CALL p()", "read_only");
	EXPECT_REFUSED(&stage, "DO $$ BEGIN END $$", "read_only");
	EXPECT_PASS(&stage, "SET default_transaction_read_only = true");
	EXPECT_REFUSED(&stage, "SET default_transaction_read_only = false", "read_only");
	EXPECT_REFUSED(&stage, "SELECT set_config('default_transaction' || $1, 'off', false)",
				   "read_only");
}

Test(gate, something_temporary_makes_ddl_of_a_bare_name_possible)
{
	struct stage stage = stage_of(ON_SHARED);

	EXPECT_REFUSED(&stage, "ALTER TABLE t ADD a int", "ddl-or-temporary");
	EXPECT_REFUSED(&stage, "DROP TABLE t", "ddl-or-temporary");
	EXPECT_PASS(&stage, "DROP TABLE IF EXISTS t");
	EXPECT_PASS(&stage, "CREATE TEMP TABLE t (a int); ALTER TABLE t ADD b int");
	EXPECT_REFUSED(&stage, "DROP TABLE IF EXISTS none; ALTER TABLE t ADD a int",
				   "ddl-or-temporary");
	EXPECT_REFUSED(&stage, "ALTER TABLE IF EXISTS pg_temp.none ADD a int; DROP TABLE t",
				   "ddl-or-temporary");
	stage.has_temporary = true;
	EXPECT_PASS(&stage, "ALTER TABLE t ADD a int");
	EXPECT_PASS(&stage, "CREATE INDEX ON t (a)");
	EXPECT_REFUSED(&stage, "ALTER TABLE public.t ADD a int", "ddl");
	EXPECT_REFUSED(&stage, "ALTER TABLE t DISABLE ROW LEVEL SECURITY", "ddl");
	EXPECT_REFUSED(&stage, "CREATE TABLE t (a int)", "ddl");
}

Test(gate, modes_and_exceptions)
{
	struct stage stage = stage_of(ON_SHARED);
	char *unknown;

	cr_assert(gate_settings_init(&stage.settings, GATE_OFF, "", "", "", &unknown));
	EXPECT_PASS(&stage, "DO $$ BEGIN END $$");
	EXPECT_PASS(&stage, "SELEC");
	stage.permissions.gate = GATE_ENFORCE; /* the tenant's own goes before */
	EXPECT_REFUSED(&stage, "DO $$ BEGIN END $$", "do");
	gate_settings_fini(&stage.settings);

	cr_assert(gate_settings_init(&stage.settings, GATE_ENFORCE, "do, sleep", "", "", &unknown));
	EXPECT_PASS(&stage, "DO $$ BEGIN END $$");
	EXPECT_PASS(&stage, "SELECT pg_sleep(1)");
	EXPECT_REFUSED(&stage, "SELECT setseed(1)", "seed");
	gate_settings_fini(&stage.settings);

	cr_expect_not(
		gate_settings_init(&stage.settings, GATE_ENFORCE, "do nothing", "", "", &unknown));
	cr_expect_str_eq(unknown, "nothing");
	free(unknown);
}

#define TEMPORARY_FUNCTION "CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql AS ''"

Test(gate, temporary_functions)
{
	struct stage stage = stage_of(ON_SHARED);
	char *unknown;

	EXPECT_REFUSED(&stage, TEMPORARY_FUNCTION, "temporary-functions");
	stage.has_temporary = true;
	EXPECT_REFUSED(&stage, TEMPORARY_FUNCTION, "temporary-functions");
	stage.has_temporary = false;

	cr_assert(gate_settings_init(&stage.settings, GATE_ENFORCE, "temporary-functions", "", "",
								 &unknown));
	EXPECT_PASS(&stage, TEMPORARY_FUNCTION);
	EXPECT_PASS(&stage, "DROP FUNCTION pg_temp.f()");
	EXPECT_REFUSED(&stage, "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS ''", "ddl");
	EXPECT_REFUSED(&stage, "CREATE TYPE pg_temp.t AS ENUM ('a')", "ddl");
	EXPECT_REFUSED(&stage, "CREATE TABLE t (a int)", "ddl");
	EXPECT_REFUSED(&stage, TEMPORARY_FUNCTION "; DROP FUNCTION f()", "ddl");
	EXPECT_REFUSED(&stage, TEMPORARY_FUNCTION "; ALTER TABLE t ADD a int", "ddl-or-temporary");
	stage.permissions.is_read_only = true;
	EXPECT_REFUSED(&stage, TEMPORARY_FUNCTION, "read_only");
	stage.permissions.is_read_only = false;
	stage.permissions.held &= ~PERMISSION_BIT(PERMISSION_WRITE);
	EXPECT_REFUSED(&stage, TEMPORARY_FUNCTION, "sql.write");

	/* Where DDL is permitted it is one kind of that; an exception for shared tables is none. */
	stage.place = ON_SCHEMA;
	stage.permissions = *permissions_of_place(ON_SCHEMA);
	EXPECT_PASS(&stage, TEMPORARY_FUNCTION);
	stage.permissions.held &= ~PERMISSION_BIT(PERMISSION_DDL);
	EXPECT_REFUSED(&stage, TEMPORARY_FUNCTION, "sql.ddl");
	EXPECT_PASS(&stage, "DROP FUNCTION pg_temp.f()");
	gate_settings_fini(&stage.settings);
}

Test(gate, settings_that_are_protected)
{
	struct stage stage = stage_of(ON_SHARED);
	char *unknown;

	cr_assert(gate_settings_init(&stage.settings, GATE_ENFORCE, "", "", "app.tenant_id, my.*",
								 &unknown));
	EXPECT_REFUSED(&stage, "SET app.tenant_id = 'x'", "context");
	EXPECT_REFUSED(&stage, "SET App.Tenant_Id = 'x'", "context");
	EXPECT_REFUSED(&stage, "RESET app.tenant_id", "context");
	EXPECT_REFUSED(&stage, "SELECT set_config('app.tenant_id', $1, true)", "context");
	EXPECT_REFUSED(&stage, "SET LOCAL my.own = 1", "context");
	EXPECT_PASS(&stage, "SET app.who = 'x'");
	stage.place = ON_DATABASE;
	EXPECT_PASS(&stage, "SET app.tenant_id = 'x'");
	gate_settings_fini(&stage.settings);
}

Test(gate, schemas_that_are_listed)
{
	struct stage stage = stage_of(ON_SHARED);
	char *unknown;

	cr_assert(
		gate_settings_init(&stage.settings, GATE_ENFORCE, "", "public app_*", "", &unknown));
	EXPECT_PASS(&stage, "SELECT * FROM orders, public.orders, app_1.t, pg_catalog.pg_class");
	EXPECT_PASS(&stage, "SELECT public.f(), f(), bulkhead.tenant_id() FROM pg_temp.t");
	EXPECT_REFUSED(&stage, "SELECT * FROM other.t", "schema");
	EXPECT_REFUSED(&stage, "SELECT other.f()", "schema");
	gate_settings_fini(&stage.settings);
}

static void add(struct permission_names *names, const char *name)
{
	cr_assert(permission_names_add(names, name, strlen(name)));
}

/* The names of schemas, of this tenant and of others. */
#define OWN   "t_0102030405060708090a0b0c0d0e0f10"
#define OTHER "t_0102030405060708090a0b0c0d0e0f11"

Test(gate, ones_own_schema)
{
	struct stage schema = stage_of(ON_SCHEMA), shared = stage_of(ON_SHARED);

	for (int i = 0; i < 16; i++)
		schema.tenant.b[i] = shared.tenant.b[i] = (uint8_t)(i + 1);
	EXPECT_PASS(&schema, "SELECT " OWN ".f(a) FROM " OWN ".t JOIN " OWN ".u USING (a)");
	EXPECT_PASS(&schema, "LOCK TABLE " OWN ".t IN ACCESS SHARE MODE");
	EXPECT_PASS(&schema, "CREATE TABLE " OWN ".t (a " OWN ".mood)");
	EXPECT_PASS(&schema, "SELECT '" OWN ".t'::regclass");
	EXPECT_PASS(&schema, "SET search_path = " OWN ", public");
	EXPECT_REFUSED(&schema, "SELECT FROM " OTHER ".t", "schema");
	EXPECT_REFUSED(&schema, "SELECT FROM " OWN ".t, " OTHER ".t", "schema");
	EXPECT_REFUSED(&schema, "SELECT FROM " OTHER ".t, " OWN ".t", "schema");
	EXPECT_REFUSED(&schema, "SELECT FROM " OWN ".t, bulkhead_control.tenant", "schema");
	EXPECT_REFUSED(&schema, "SET search_path = " OWN ", " OTHER, "schema");
	EXPECT_REFUSED(&schema, "SELECT bulkhead.tenant_id(), " OWN ".enter(), bulkhead.enter()",
				   "guard");
	EXPECT_REFUSED(&shared, "SELECT FROM " OWN ".t", "schema"); /* it has none */

	char *unknown;
	cr_assert(gate_settings_init(&schema.settings, GATE_ENFORCE, "", "common", "", &unknown));
	EXPECT_PASS(&schema, "SELECT FROM " OWN ".t, common.t");
	EXPECT_REFUSED(&schema, "SELECT FROM public.t", "schema");
	EXPECT_REFUSED(&schema, "SELECT FROM " OTHER ".t", "schema");
	gate_settings_fini(&schema.settings);
}

Test(gate, lists_of_names)
{
	struct stage stage = stage_of(ON_SHARED);

	add(&stage.permissions.denied_relations, "payroll.*");
	add(&stage.permissions.denied_relations, "audit*");
	add(&stage.permissions.denied_relations, "secret.plans");
	add(&stage.permissions.denied_functions, "lower");
	EXPECT_PASS(&stage, "SELECT * FROM orders");
	EXPECT_REFUSED(&stage, "SELECT * FROM payroll.x", "sql.relations");
	EXPECT_REFUSED(&stage, "SELECT * FROM audit_log", "sql.relations");
	EXPECT_REFUSED(&stage, "SELECT * FROM plans",
				   "sql.relations"); /* search_path leads there */
	permissions_fini(&stage.permissions);

	stage = stage_of(ON_SHARED);
	add(&stage.permissions.denied_functions, "lower");
	stage.permissions.relations_are_limited = stage.permissions.functions_are_limited = true;
	add(&stage.permissions.relations, "public.orders");
	add(&stage.permissions.functions, "total");
	EXPECT_PASS(&stage, "SELECT total(), upper('x') FROM orders");
	EXPECT_PASS(&stage, "WITH orders2 AS (SELECT 1) SELECT * FROM orders2, public.orders");
	EXPECT_PASS(&stage, "SELECT relname FROM pg_catalog.pg_class");
	EXPECT_REFUSED(&stage, "SELECT * FROM other.orders", "sql.relations");
	EXPECT_REFUSED(&stage, "INSERT INTO customers VALUES (1)", "sql.relations");
	EXPECT_REFUSED(&stage, "SELECT mine()", "sql.functions");
	EXPECT_REFUSED(&stage, "SELECT lower('x')", "sql.functions");
	permissions_fini(&stage.permissions);
}

/* A name without a schema is not known to be of one: so search_path may not lead there. */
Test(gate, schemas_that_are_denied)
{
	struct stage stage = stage_of(ON_SHARED);
	struct gate_refusal refusal;
	struct gate gate;

	EXPECT_PASS(&stage, "SET search_path = payroll");
	add(&stage.permissions.denied_relations, "payroll.*");
	add(&stage.permissions.denied_functions, "Sums.*");
	EXPECT_PASS(&stage, "SELECT * FROM wages");
	EXPECT_PASS(&stage, "SET search_path = public, payroll_old, \"not_payroll\"");
	EXPECT_PASS(&stage, "SET work_mem = '1MB'; RESET search_path");
	EXPECT_PASS(&stage, "SET LOCAL search_path TO DEFAULT");
	EXPECT_PASS(&stage, "SELECT set_config('work_mem', $1, false)");
	EXPECT_REFUSED(&stage, "SET search_path = public, payroll", "sql.relations");
	EXPECT_REFUSED(&stage, "SET LOCAL search_path = \"PayRoll\"", "sql.relations");
	EXPECT_REFUSED(&stage, "SET search_path TO 'public, payroll'", "sql.relations");
	EXPECT_REFUSED(&stage, "SELECT set_config('search_path', 'a,payroll', true)",
				   "sql.relations");
	EXPECT_REFUSED(&stage, "SELECT set_config('search_path', $1, true)", "sql.relations");
	EXPECT_REFUSED(&stage,
				   "CREATE TEMP VIEW v AS SELECT set_config('search_path', 'sums', true)",
				   "sql.functions");
	gate_init(&gate, ON_SHARED, NULL, &stage.settings, &stage.permissions);
	cr_expect(gate_judge_setting(&gate, "search_path", "payroll", &refusal));
	cr_expect_not(gate_judge_setting(&gate, "search_path", "public", &refusal));
	permissions_fini(&stage.permissions);
}

Test(gate, so_many_names_and_no_more)
{
	struct permission_names names = {0};

	for (int i = 0; i < PERMISSION_NAMES_MAX; i++)
		add(&names, "x");
	cr_expect_not(permission_names_add(&names, "x", 1));
	struct permissions permissions = {.relations = names};
	permissions_fini(&permissions);
}
