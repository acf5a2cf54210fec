"""Tenants with logins of their own: the login is the context, and nothing else.

Where nobody is a superuser, and beside a seal: there the installation is such a one that a superuser has sealed since.
"""

from contextlib import nullcontext

import pytest
from harness.guard import ACME, GLOBEX, Guard, enter, must_init, plain, refused, run_init
from harness.guard_login import HALF, login_of, make_login
from test_guard_context import (
    KEYS, ODD_NUMBERS, PARALLEL, ROWS, STATEMENTS, TABLES, column_of, explain, make_tables, run)

STRANGER = "33333333-3333-4333-8333-333333333333"  # a tenant without a key and without rows


@pytest.fixture(name="mode", scope="module", params=["login", "sealed"])
def fixture_mode(request):
    return request.param


@pytest.fixture(name="folder", scope="module")
def fixture_folder(managed, tmp_path_factory):
    return tmp_path_factory.getbasetemp() / f"logins-{managed.major}"


@pytest.fixture(name="database", scope="module")
def fixture_database(managed, mode, folder):
    """half has installed the guard and owns the tables; acme, globex and the stranger have logins."""
    database = managed.database()
    managed.let_half_manage()
    managed.must_init(database, folder)
    if mode == "sealed":
        must_init("--dsn", database.conninfo(), "--keys", folder)
    with database.connect(HALF) as half:
        make_tables(half)
        for tenant in (ACME, GLOBEX, STRANGER):
            make_login(half, tenant)
    yield database
    database.drop()


@pytest.fixture(name="half", scope="module")
def fixture_half(database):
    with database.connect(HALF) as half:
        yield half


@pytest.fixture(name="keys")
def fixture_keys(half):
    """As the tenants of the tables' rows have them."""
    half.execute("SELECT bulkhead.drop_login_key(t) FROM unnest(%s::uuid[]) AS t", ([ACME, GLOBEX, STRANGER],))
    for tenant, key in KEYS.items():
        half.execute("SELECT bulkhead.set_login_key(%s, %s)", (tenant, key))


@pytest.fixture(name="acme")
def fixture_acme(database, keys):
    with database.connect(login_of(ACME), prepare_threshold=None) as connection:
        yield connection


def as_tenant(database, tenant):
    return database.connect(login_of(tenant))


# ---- who speaks ----

@pytest.mark.parametrize("table", TABLES)
def test_each_has_its_own_rows(database, keys, table):
    for tenant, item in ((ACME, "acme"), (GLOBEX, "globex")):
        with as_tenant(database, tenant) as connection:
            count = f"SELECT count(*), min(item), max(item) FROM {table}"
            assert connection.execute(count).fetchone() == (ROWS, item, item)
            with connection.transaction(force_rollback=True):
                connection.execute(f"INSERT INTO {table} (id, item) VALUES (9999, 'x')")
                assert connection.execute(f"UPDATE {table} SET item = 'x'").rowcount == ROWS + 1
                assert connection.execute(f"DELETE FROM {table}").rowcount == ROWS + 1


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("statement", STATEMENTS)
def test_a_login_that_is_no_tenants_has_none(database, half, table, statement):
    half.execute("DROP ROLE IF EXISTS nobody; CREATE ROLE nobody LOGIN IN ROLE bulkhead_app")
    with database.connect("nobody") as connection, refused("BH001", "no tenant is set for this session"):
        run(connection, statement.replace("{table}", table))
    half.execute("DROP ROLE nobody")


@pytest.mark.parametrize("name", ["t_" + "A" * 32, "t_" + plain(ACME)[:-1], "t_" + plain(ACME) + "1",
                                  "x_" + plain(ACME), "T_" + plain(ACME)])
def test_names_that_are_almost_a_tenants_are_no_context(database, half, name):
    half.execute(f'CREATE ROLE "{name}" LOGIN IN ROLE bulkhead_app')
    try:
        with database.connect(name) as connection, refused("BH001"):
            connection.execute("SELECT * FROM by_id")
    finally:
        half.execute(f'DROP ROLE "{name}"')


BECOMING = [
    "SET SESSION AUTHORIZATION {globex}", "SET ROLE {globex}", "SET ROLE bulkhead_guard", "SET ROLE half",
    "SELECT set_config('session_authorization', '{globex}', false)", "SELECT set_config('role', '{globex}', false)",
    "SET backtrace_functions = '{id},'", "SELECT set_config('backtrace_functions', '{id},', false)",
    "CALL bulkhead.set_all(ARRAY['backtrace_functions', '{id},'])",
    "CALL bulkhead.reset_all(ARRAY['backtrace_functions', '{id},'])",
    "ALTER ROLE {globex} PASSWORD 'mine'", "ALTER ROLE {acme} SET backtrace_functions = '{id},'",
    "GRANT {globex} TO {acme}", "GRANT bulkhead_guard TO {acme}",
    "SELECT bulkhead.set_login_key('{uuid}', 'mine')", "SELECT bulkhead.drop_login_key('{uuid}')",
    "SELECT * FROM bulkhead.login_key", "INSERT INTO bulkhead.login_key VALUES ('{uuid}', 'x')",
    "UPDATE bulkhead.login_key SET key = '43'", "COPY bulkhead.login_key TO STDOUT",
    "SELECT * FROM bulkhead.tenant_login_faults('{globex}')",
    "CREATE OR REPLACE FUNCTION bulkhead.no_context() RETURNS text LANGUAGE sql AS 'SELECT ''{id}'''",
    "CREATE FUNCTION bulkhead.mine() RETURNS text LANGUAGE sql AS 'SELECT 1'",
]


@pytest.mark.parametrize("statement", BECOMING)
def test_nobody_becomes_another(acme, statement):
    """Where there is a seal on the server, the guard may set it, and puts back what was: nothing."""
    may_seal, = acme.execute(
        "SELECT has_parameter_privilege('bulkhead_guard', 'backtrace_functions', 'SET')").fetchone()
    sealing = may_seal and statement.startswith("CALL")
    with nullcontext() if sealing else refused("42501"):
        run(acme, statement.format(globex=login_of(GLOBEX), acme=login_of(ACME), id=plain(GLOBEX), uuid=GLOBEX))
    assert acme.execute("SHOW backtrace_functions").fetchone() == ("",)
    assert acme.execute("SELECT DISTINCT item FROM by_id").fetchall() == [("acme",)]
    assert acme.execute("SELECT bulkhead.tenant_id()::text, bulkhead.tenant_key()").fetchone() == (ACME, "42")


def test_no_token_seals_a_tenants_own_login(managed, database, mode, folder, acme):
    if mode == "login":
        pytest.skip("there is no enter")
    guard = Guard(database, folder)
    for tenant in (GLOBEX, ACME):
        with refused("42501", "permission denied for function enter"):
            enter(acme, guard.token(acme, tenant))
    with managed.postgres.connect(database.name) as superuser:
        superuser.execute(f"GRANT EXECUTE ON FUNCTION bulkhead.enter(text, text, text, text, text) TO {login_of(ACME)}")
        try:
            for tenant in (GLOBEX, ACME):
                with refused("42501", "this login is a tenant's own"):
                    enter(acme, guard.token(acme, tenant))
        finally:
            superuser.execute("REVOKE EXECUTE ON FUNCTION bulkhead.enter(text, text, text, text, text) "
                              f"FROM {login_of(ACME)}")
    with database.connect("bulkhead_pool", prepare_threshold=None) as pool:  # the control
        enter(pool, guard.token(pool, GLOBEX, "43"))
        assert pool.execute("SELECT DISTINCT item FROM by_bigint").fetchall() == [("globex",)]


def test_a_seal_without_a_key_does_not_take_a_logins(database, mode, folder, keys):
    """What is sealed speaks, and a key of the tenant's login is for that login's sessions."""
    if mode == "login":
        pytest.skip("there is no seal")
    guard = Guard(database, folder)
    with database.connect("bulkhead_pool", prepare_threshold=None) as pool:
        enter(pool, guard.token(pool, ACME))
        with refused("BH002"):
            pool.execute("SELECT * FROM by_bigint")


def test_a_group_that_one_may_act_as_changes_nothing(acme):
    acme.execute("SET ROLE bulkhead_app")
    assert acme.execute("SELECT DISTINCT item FROM by_bigint").fetchall() == [("acme",)]
    acme.execute("RESET ROLE")


def test_a_function_with_its_owners_rights_still_speaks_for_the_tenant(acme, half):
    half.execute("CREATE FUNCTION public.whose() RETURNS text LANGUAGE sql SECURITY DEFINER "
                 "SET search_path = public, pg_temp AS $$ SELECT concat_ws(' ', min(item), max(item), "
                 "bulkhead.tenant_id(), bulkhead.tenant_key()) FROM by_bigint $$")
    try:
        assert acme.execute("SELECT public.whose()").fetchone() == (f"acme acme {ACME} 42",)
        with refused("BH001"):
            half.execute("SELECT public.whose()")
    finally:
        half.execute("DROP FUNCTION public.whose()")


# ---- keys ----

def test_without_a_key_a_table_by_key_is_closed(database, keys):
    with as_tenant(database, STRANGER) as connection:
        assert connection.execute("SELECT count(*) FROM by_id").fetchone() == (0,)
        with refused("BH002", f"tenant {STRANGER} has no external key"):
            connection.execute("SELECT * FROM by_bigint")


def test_a_key_holds_from_the_next_statement_on(database, half, keys, acme):
    half.execute("SELECT bulkhead.drop_login_key(%s)", (GLOBEX,))
    half.execute("SELECT bulkhead.set_login_key(%s, '43')", (ACME,))
    assert acme.execute("SELECT DISTINCT item FROM by_bigint").fetchall() == [("globex",)]
    assert half.execute("SELECT bulkhead.drop_login_key(%s)", (ACME,)).fetchone() == (True,)
    assert half.execute("SELECT bulkhead.drop_login_key(%s)", (ACME,)).fetchone() == (False,)
    with refused("BH002"):
        acme.execute("SELECT * FROM by_bigint")


def test_two_tenants_have_not_the_same_key(half, keys):
    with refused("23505"):
        half.execute("SELECT bulkhead.set_login_key(%s, '43')", (ACME,))
    half.execute("SELECT bulkhead.set_login_key(%s, '42')", (ACME,))  # as it is


@pytest.mark.parametrize("arguments", [(ACME, ""), (ACME, None), (None, "42")])
def test_a_key_that_is_none_is_refused(half, keys, arguments):
    with refused("22023"):
        half.execute("SELECT bulkhead.set_login_key(%s, %s)", arguments)


@pytest.mark.parametrize("key", [key for key in ODD_NUMBERS if key])
def test_a_key_in_another_form_is_no_key(half, acme, key):
    half.execute("SELECT bulkhead.set_login_key(%s, %s)", (ACME, key))
    with refused("BH002", "is not"):
        acme.execute("SELECT * FROM by_bigint")
    assert acme.execute("SELECT bulkhead.tenant_key()").fetchone() == (key,)


def test_those_who_read_everything_read_no_key(managed, database, keys):
    """What a tenant's login is given by mistake, the self-check finds; the keys are closed even so."""
    with managed.postgres.connect(database.name) as superuser:
        superuser.execute("CREATE ROLE reader LOGIN IN ROLE pg_read_all_data, pg_write_all_data")
        try:
            with database.connect("reader") as reader:
                assert reader.execute("SELECT * FROM bulkhead.login_key").fetchall() == []
                with refused("42501"):
                    reader.execute("INSERT INTO bulkhead.login_key VALUES (%s, 'x')", (STRANGER,))
        finally:
            superuser.execute("DROP ROLE reader")


# ---- plans ----

@pytest.mark.parametrize("table", TABLES)
def test_the_condition_is_an_index_condition(acme, table):
    for node in explain(acme, f"SELECT item FROM {table} WHERE id = 7"):
        if node["Node Type"].startswith("Index"):
            condition = node["Index Cond"]
            assert f"{column_of(table)} = " in condition and "id = 7" in condition
            break
    else:
        pytest.fail("no index is used")


@pytest.mark.parametrize("table", TABLES)
def test_the_context_is_read_once_for_a_statement(acme, table):
    acme.execute("SET enable_indexscan = off; SET enable_bitmapscan = off; SET enable_indexonlyscan = off")
    found = explain(acme, f"SELECT item FROM {table}", "ANALYZE", "VERBOSE")
    scan, = [node for node in found if node["Node Type"] == "Seq Scan"]
    assert (scan["Actual Rows"], scan["Rows Removed by Filter"]) == (ROWS, ROWS)
    context, = [node for node in found if node.get("Parent Relationship") == "InitPlan"]
    assert context["Node Type"] == "Result" and context["Actual Loops"] == 1


@pytest.mark.parametrize("table", TABLES)
def test_parallel_workers_speak_for_the_tenant(acme, table):
    acme.execute(PARALLEL)
    count = f"SELECT count(*), min(item), max(item) FROM {table}"
    gather, = [node for node in explain(acme, count, "ANALYZE") if node["Node Type"] == "Gather"]
    assert gather["Workers Launched"] > 0
    assert acme.execute(count).fetchone() == (ROWS, "acme", "acme")


def test_the_accessors_run_in_a_worker(acme, managed):
    acme.execute("SET force_parallel_mode = on" if managed.major < 16 else "SET debug_parallel_query = on")
    call = "SELECT bulkhead.tenant_id()::text, bulkhead.tenant_key(), bulkhead.tenant_key_bigint()"
    assert explain(acme, call)[0]["Node Type"] == "Gather"
    assert acme.execute(call).fetchone() == (ACME, "42", 42)


@pytest.mark.parametrize("cache", ["auto", "force_generic_plan", "force_custom_plan"])
def test_prepared_plans_follow_the_key(half, acme, cache):
    acme.execute(f"SET plan_cache_mode = {cache}; PREPARE p AS SELECT count(*), min(item) FROM by_bigint WHERE id <= "
                 f"$1")
    half.execute("SELECT bulkhead.drop_login_key(%s)", (GLOBEX,))
    for key, item in (("42", "acme"), ("43", "globex"), ("42", "acme")):
        half.execute("SELECT bulkhead.set_login_key(%s, %s)", (ACME, key))
        for _ in range(6):
            assert acme.execute("EXECUTE p(7)").fetchone() == (7, item)


# ---- what a proxy calls in such a session ----

def test_resets_and_settings_work_without_a_seal(acme):
    acme.execute("SET work_mem = '77MB'; CALL bulkhead.reset_all(ARRAY['timezone', 'Asia/Tokyo'])")
    assert acme.execute("SELECT current_setting('work_mem'), current_setting('timezone')").fetchone() == \
        ("4MB", "Asia/Tokyo")
    acme.execute("CALL bulkhead.set_all(ARRAY['search_path', 'a, \"B\"'])")
    assert acme.execute("SHOW search_path").fetchone() == ('a, "B"',)
    acme.execute("CREATE TEMP TABLE t (x int); LISTEN x")
    assert acme.execute("SELECT bulkhead.session_state(63)").fetchone() == (3,)
    acme.execute("DISCARD ALL")
    assert acme.execute("SELECT bulkhead.session_state(63)").fetchone() == (0,)
    assert acme.execute("SELECT DISTINCT item FROM by_bigint").fetchall() == [("acme",)]


# ---- sessions of others ----

def test_others_sessions_are_closed_to_a_login(database, mode, acme):
    """Why a guard by logins does without what a superuser alone could take from PUBLIC."""
    if mode == "sealed":
        with refused("42501"):
            acme.execute("SELECT * FROM pg_stat_activity")
        return
    with as_tenant(database, GLOBEX) as globex:
        globex.execute("SELECT 'globex secret'")
        pid = globex.info.backend_pid
        assert acme.execute("SELECT query FROM pg_stat_activity WHERE pid = %s", (pid,)).fetchone() == \
            ("<insufficient privilege>",)
        for call in ("pg_cancel_backend", "pg_terminate_backend"):
            with refused("42501"):
                acme.execute(f"SELECT {call}(%s)", (pid,))
        large, = globex.execute("SELECT lo_from_bytea(0, 'globex secret')").fetchone()
        for call in (f"lo_get({large})", f"lo_open({large}, 131072)", f"lo_unlink({large})"):
            with refused("42501"):
                acme.execute(f"SELECT {call}")
        globex.execute(f"SELECT lo_unlink({large})")


# ---- what init did ----

def test_lint_says_what_is_left(database, mode, half):
    if mode == "sealed":
        assert half.execute("SELECT id, object FROM bulkhead.findings() WHERE severity = 'critical'").fetchall() == []
        return
    rows = half.execute("SELECT id, severity, count(*) FROM bulkhead.findings() GROUP BY 1, 2").fetchall()
    found = {(kind, severity) for kind, severity, _ in rows}
    assert ("hardening-function", "notice") in found and ("hardening-relation", "notice") in found
    assert not [one for one in found if one[1] == "critical"], rows
    assert ("owner-without-bypass", "notice") in found
    assert not {kind for kind, severity in found if severity == "warning"}, rows


def test_who_administers_a_tenants_login_does_not_speak_for_it(managed, mode, half):
    """As provisioning needs it, and as PostgreSQL 16 and later have it of themselves."""
    managed.let_half_manage()
    with managed.postgres.connect() as superuser:
        superuser.execute(f"GRANT {login_of(ACME)} TO {HALF}")
    try:
        half.execute("CREATE TABLE admins (tenant_id uuid PRIMARY KEY); "
                     "SELECT bulkhead.protect('admins', 'tenant_id'); DROP TABLE admins")
        critical = half.execute("SELECT id, object FROM bulkhead.findings() WHERE severity = 'critical'").fetchall()
        assert critical == ([("guard-membership", HALF)] if mode == "sealed" and managed.major >= 16 else [])
    finally:
        with managed.postgres.connect() as superuser:
            superuser.execute(f"REVOKE {login_of(ACME)} FROM {HALF}")
            if mode == "sealed" and managed.major >= 16:
                superuser.execute(f"REVOKE bulkhead_guard FROM {HALF}")


def test_a_guard_tells_which_it_is(half, mode):
    assert half.execute("SELECT bulkhead.guard_mode()").fetchone() == (mode,)
    enters = "SELECT to_regprocedure('bulkhead.enter(text,text,text,text,text)') IS NOT NULL"
    assert half.execute(enters).fetchone() == (mode == "sealed",)


def test_a_guard_by_logins_has_no_pools_login(database, tmp_path):
    done = run_init("--dsn", database.conninfo(HALF), "--guard", "login", "--pool-login", "x", "--keys", tmp_path)
    assert done.returncode == 2
