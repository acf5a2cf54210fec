"""tenant_id and tenant_key: never NULL, never called for each row, and right in every kind of plan."""

import json

import pytest
from harness.guard import ACME, GLOBEX, enter, plain, refused

ROWS = 3000  # of each tenant in each table

# table: (its tenant column, by, acme's value, globex's value); the keys of the tenants are below
TABLES = {
    "by_id": ("tenant_id uuid", "id", ACME, GLOBEX),
    "by_id_text": ("tenant_id text", "id", ACME, GLOBEX),
    "by_bigint": ("account bigint", "key", "42", "43"),
    "by_integer": ("account integer", "key", "42", "43"),
    "by_smallint": ("account smallint", "key", "42", "43"),
    "by_text": ("account text", "key", "42", "43"),
}
KEYS = {ACME: "42", GLOBEX: "43"}


def make_tables(admin):
    for table, (column, by, *values) in TABLES.items():
        name, kind = column.split()
        admin.execute(f"CREATE TABLE {table} ({column}, id bigint, item text, PRIMARY KEY ({name}, id))")
        for tenant, value in zip(("acme", "globex"), values):
            admin.execute(f"INSERT INTO {table} SELECT %s::{kind}, n, %s FROM generate_series(1, {ROWS}) AS n",
                          (value, tenant))
        admin.execute(f"ANALYZE {table}")
        admin.execute("SELECT bulkhead.protect(%s, %s, %s)", (table, name, by))
        admin.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO bulkhead_app")


@pytest.fixture(scope="module")
def shop(guard_original):
    guard = guard_original.clone()
    with guard.admin() as admin:
        make_tables(admin)
    yield guard
    guard.drop()


@pytest.fixture(scope="module")
def _connection(shop):
    with shop.connect() as connection:
        yield connection


@pytest.fixture
def connection(_connection):
    """A connection of the pool's login in nobody's context."""
    _connection.execute("DISCARD ALL")
    return _connection


def enter_as(shop, connection, tenant):
    connection.execute("RESET ALL")
    enter(connection, shop.token(connection, tenant, KEYS[tenant]))


def column_of(table):
    return TABLES[table][0].split()[0]


def nodes(plan):
    """All nodes of a plan in JSON."""
    yield plan
    for child in plan.get("Plans", []):
        yield from nodes(child)


def explain(connection, statement, *options):
    (rows,) = connection.execute(f"EXPLAIN (FORMAT JSON, {', '.join(options) or 'COSTS OFF'}) {statement}").fetchone()
    return list(nodes((rows if isinstance(rows, list) else json.loads(rows))[0]["Plan"]))


# ---- no context, no key ----

STATEMENTS = [
    "SELECT * FROM {table}",
    "SELECT count(*) FROM {table}",
    "SELECT * FROM {table} WHERE id = 1",
    "INSERT INTO {table} (id, item) VALUES (9999, 'x')",
    "UPDATE {table} SET item = 'x'",
    "DELETE FROM {table}",
    "COPY {table} TO STDOUT",
]


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("statement", STATEMENTS)
def test_without_a_context_nothing_runs(shop, connection, table, statement):
    with refused("BH001", "no tenant is set for this session"):
        run(connection, statement.replace("{table}", table))
    enter_as(shop, connection, ACME)
    with connection.transaction(force_rollback=True):
        run(connection, statement.replace("{table}", table))


def run(connection, statement):
    if not statement.startswith("COPY"):
        return connection.execute(statement)
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        return list(copy)


@pytest.mark.parametrize("call", ["tenant_id", "tenant_key", "tenant_key_smallint", "tenant_key_integer",
                                  "tenant_key_bigint", "tenant_key_uuid"])
def test_without_a_context_the_functions_raise(connection, call):
    with refused("BH001"):
        connection.execute(f"SELECT bulkhead.{call}()")


@pytest.mark.parametrize("table", [name for name, (_, by, *_) in TABLES.items() if by == "key"])
def test_without_a_key_a_table_by_key_is_closed(shop, connection, table):
    enter(connection, shop.token(connection, ACME))
    with refused("BH002", f"tenant {ACME} has no external key"):
        connection.execute(f"SELECT count(*) FROM {table}")
    assert connection.execute("SELECT count(*) FROM by_id").fetchone() == (ROWS,)


def test_a_tenants_own_login_has_no_key(shop):
    login = "t_" + plain(GLOBEX)
    with shop.admin() as admin:
        admin.execute(f"CREATE ROLE {login} LOGIN IN ROLE bulkhead_app")
        try:
            with shop.connect(login) as connection:
                assert connection.execute("SELECT count(*), min(item), max(item) FROM by_id").fetchone() == \
                    (ROWS, "globex", "globex")
                with refused("BH002"):
                    connection.execute("SELECT count(*) FROM by_bigint")
        finally:
            admin.execute(f"DROP ROLE {login}")


ODD_NUMBERS = ["042", "+42", " 42", "42 ", "42\n", "-0", "42.0", "4e1", "0x2a", "", "abc", "٤٢", "-",
               "9223372036854775808", "-9223372036854775809", "1" * 30]
ODD_UUIDS = [ACME.upper().replace("1", "A"), plain(ACME), "{" + ACME + "}", ACME + " ", "abc", "42"]


@pytest.mark.parametrize("call, key", [("bigint", key) for key in ODD_NUMBERS if key] +
                         [("uuid", key) for key in ODD_UUIDS])
def test_a_key_in_another_form_is_no_key(shop, connection, call, key):
    """'042' must not be tenant '42', who may be someone else."""
    enter(connection, shop.token(connection, ACME, key))
    with refused("BH002", "is not"):
        connection.execute(f"SELECT bulkhead.tenant_key_{call}()")
    assert connection.execute("SELECT bulkhead.tenant_key()").fetchone() == (key,)


@pytest.mark.parametrize("call, key", [
    ("bigint", "0"), ("bigint", "-7"), ("bigint", "9223372036854775807"), ("bigint", "-9223372036854775808"),
    ("uuid", ACME)])
def test_a_key_in_its_own_form_is_taken(shop, connection, call, key):
    enter(connection, shop.token(connection, ACME, key))
    assert connection.execute(f"SELECT bulkhead.tenant_key_{call}()::text").fetchone() == (key,)


@pytest.mark.parametrize("table, key", [("by_integer", "2147483648"), ("by_integer", "-2147483649"),
                                        ("by_smallint", "32768"), ("by_smallint", "-32769"),
                                        ("by_bigint", "042"), ("by_integer", "042"), ("by_smallint", "042")])
def test_a_key_that_does_not_fit_the_column_closes_the_table(shop, connection, table, key):
    enter(connection, shop.token(connection, ACME, key))
    with refused("BH002"):
        connection.execute(f"SELECT * FROM {table}")


# ---- plans ----

@pytest.mark.parametrize("table", TABLES)
def test_the_condition_is_an_index_condition(shop, connection, table):
    enter_as(shop, connection, ACME)
    for node in explain(connection, f"SELECT item FROM {table} WHERE id = 7"):
        if node["Node Type"].startswith("Index"):
            assert f"{column_of(table)} = $" in node["Index Cond"] and "id = 7" in node["Index Cond"]
            break
    else:
        pytest.fail("no index is used")


@pytest.mark.parametrize("table", TABLES)
def test_the_context_is_read_once_for_a_statement(shop, connection, table):
    enter_as(shop, connection, ACME)
    connection.execute("SET enable_indexscan = off; SET enable_bitmapscan = off; SET enable_indexonlyscan = off")
    found = explain(connection, f"SELECT item FROM {table}", "ANALYZE", "VERBOSE")
    scan, = [node for node in found if node["Node Type"] == "Seq Scan"]
    assert (scan["Actual Rows"], scan["Rows Removed by Filter"]) == (ROWS, ROWS)
    context, = [node for node in found if node.get("Parent Relationship") == "InitPlan"]
    assert context["Node Type"] == "Result" and context["Actual Loops"] == 1


def test_the_accessors_are_inlined(shop, connection):
    enter_as(shop, connection, ACME)
    for table, call in (("by_id", "tenant_id"), ("by_text", "tenant_key")):
        context, = [node for node in explain(connection, f"SELECT * FROM {table}", "VERBOSE")
                    if node.get("Parent Relationship") == "InitPlan"]
        assert "current_setting('backtrace_functions'" in context["Output"][0]
        assert f"bulkhead.{call}" not in context["Output"][0]


PARALLEL = ("SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0; "
            "SET max_parallel_workers_per_gather = 2; SET enable_indexscan = off; SET enable_bitmapscan = off; "
            "SET enable_indexonlyscan = off")


@pytest.mark.parametrize("table", TABLES)
def test_parallel_workers_are_in_the_context(shop, connection, table):
    for tenant, item in ((ACME, "acme"), (GLOBEX, "globex")):
        enter_as(shop, connection, tenant)
        connection.execute(PARALLEL)
        count = f"SELECT count(*), min(item), max(item) FROM {table}"
        gather, = [node for node in explain(connection, count, "ANALYZE") if node["Node Type"] == "Gather"]
        assert gather["Workers Launched"] > 0
        assert connection.execute(count).fetchone() == (ROWS, item, item)


def test_the_accessors_run_in_a_worker(shop, connection):
    enter_as(shop, connection, ACME)
    connection.execute("SET force_parallel_mode = on")
    call = "SELECT bulkhead.tenant_id()::text, bulkhead.tenant_key(), bulkhead.tenant_key_bigint()"
    assert explain(connection, call)[0]["Node Type"] == "Gather"
    assert connection.execute(call).fetchone() == (ACME, "42", 42)
    connection.execute("RESET ALL")
    connection.execute("SET force_parallel_mode = on")
    with refused("BH001", "parallel worker"):
        connection.execute(call)


@pytest.mark.parametrize("mode", ["auto", "force_generic_plan", "force_custom_plan"])
@pytest.mark.parametrize("table", TABLES)
def test_prepared_plans_follow_the_context(shop, connection, table, mode):
    connection.execute(f"PREPARE p AS SELECT count(*), min(item), max(item) FROM {table} WHERE id <= $1")
    for tenant, item in ((ACME, "acme"), (GLOBEX, "globex"), (ACME, "acme")):
        enter_as(shop, connection, tenant)
        connection.execute(f"SET plan_cache_mode = {mode}")
        for _ in range(6):
            assert connection.execute("EXECUTE p(7)").fetchone() == (7, item, item)
    generic, = connection.execute("SELECT generic_plans FROM pg_prepared_statements WHERE name = 'p'").fetchone()
    assert mode == "auto" or (generic > 0) == (mode == "force_generic_plan")
    connection.execute("RESET ALL")
    with refused("BH001"):
        connection.execute("EXECUTE p(7)")


@pytest.mark.parametrize("mode", ["READ ONLY", "ISOLATION LEVEL REPEATABLE READ", "ISOLATION LEVEL SERIALIZABLE",
                                  "ISOLATION LEVEL SERIALIZABLE, READ ONLY, DEFERRABLE"])
def test_every_kind_of_transaction(shop, connection, mode):
    enter_as(shop, connection, GLOBEX)
    with connection.transaction(force_rollback=True):
        connection.execute(f"SET TRANSACTION {mode}")
        for table in TABLES:
            assert connection.execute(f"SELECT count(*), min(item), max(item) FROM {table}").fetchone() == \
                (ROWS, "globex", "globex")


def test_a_cursor_keeps_the_rows_that_it_was_opened_for(shop, connection):
    """What RESET ALL and another enter do later must neither widen a cursor nor narrow it."""
    enter_as(shop, connection, ACME)
    with connection.transaction():
        connection.execute("DECLARE c CURSOR WITH HOLD FOR SELECT item FROM by_id")
        assert {item for (item,) in connection.execute("FETCH 10 FROM c")} == {"acme"}
        enter_as(shop, connection, GLOBEX)
        assert {item for (item,) in connection.execute("FETCH 10 FROM c")} == {"acme"}
    assert {item for (item,) in connection.execute("FETCH ALL FROM c")} == {"acme"}
    assert connection.execute("SELECT DISTINCT item FROM by_id").fetchall() == [("globex",)]
