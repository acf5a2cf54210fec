"""How long a seal holds, who may touch it, and that nobody reads the keys that sign for it."""

import psycopg
import pytest
from harness.guard import ACME, GLOBEX, Guard, assert_enters, enter, plain, refused, run_init, seal, seal_of


# ---- how long the seal holds ----

def test_no_other_tenant_until_the_seal_is_emptied(shared_guard, pool):
    enter(pool, shared_guard.token(pool, ACME))
    with refused("42501", "another tenant is in this backend"):
        enter(pool, shared_guard.token(pool, GLOBEX))
    assert seal(pool) == seal_of(ACME)
    pool.execute("DISCARD ALL")
    assert_enters(shared_guard, pool, GLOBEX)


@pytest.mark.parametrize("statement", ["RESET ALL", "DISCARD ALL", "DO $$ BEGIN EXECUTE 'RESET ALL'; END $$"])
def test_what_empties_the_seal_leaves_no_context(shared_guard, pool, statement):
    enter(pool, shared_guard.token(pool, ACME))
    pool.execute(statement)
    assert seal(pool) == ""
    with refused("BH001"):
        pool.execute("SELECT bulkhead.tenant_id()")
    assert_enters(shared_guard, pool)


TAMPERING = [
    "SET backtrace_functions = '{seal}'",
    "SET LOCAL backtrace_functions = '{seal}'",
    "SET SESSION backtrace_functions TO DEFAULT",
    "RESET backtrace_functions",
    "SELECT set_config('backtrace_functions', '{seal}', false)",
    "SELECT set_config('backtrace_functions', '', true)",
    "UPDATE pg_settings SET setting = '{seal}' WHERE name = 'backtrace_functions'",
    "DO $$ BEGIN PERFORM set_config('backtrace_functions', '{seal}', false); END $$",
    "CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql SET backtrace_functions = '{seal}' AS 'SELECT 1'",
    "CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql SET backtrace_functions FROM CURRENT AS 'SELECT 1'",
    "ALTER ROLE CURRENT_USER SET backtrace_functions = '{seal}'",
    "SET ROLE bulkhead_guard",
    "SET SESSION AUTHORIZATION postgres",
    "ALTER FUNCTION bulkhead.enter(text, text, text, text, text) RESET ALL",
    "CREATE FUNCTION bulkhead.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "GRANT bulkhead_guard TO CURRENT_USER",
]


@pytest.mark.parametrize("statement", TAMPERING)
def test_the_pool_cannot_set_the_seal_itself(shared_guard, pool, statement):
    enter(pool, shared_guard.token(pool, ACME))
    with refused("42501"):
        pool.execute(statement.replace("{seal}", seal_of(GLOBEX)))
    assert seal(pool) == seal_of(ACME)


def test_startup_options_cannot_set_the_seal(shared_guard):
    with pytest.raises(psycopg.OperationalError, match='permission denied to set parameter "backtrace_functions"'):
        shared_guard.connect(options=f"-c backtrace_functions={plain(GLOBEX)}")


def test_the_seal_outlives_transactions_and_errors(shared_guard, pool):
    enter(pool, shared_guard.token(pool, ACME, "42"))
    for statements in (["BEGIN", "COMMIT"], ["BEGIN", "ROLLBACK"], ["BEGIN", "SELECT 1", "COMMIT AND CHAIN", "ROLLBACK"],
                       ["BEGIN", "SAVEPOINT s", "ROLLBACK TO s", "COMMIT"],
                       ["DISCARD TEMP", "DISCARD PLANS", "DEALLOCATE ALL"]):
        for statement in statements:
            pool.execute(statement)
        assert seal(pool) == seal_of(ACME, "42")
    with refused("22012"):
        pool.execute("SELECT 1/0")
    assert seal(pool) == seal_of(ACME, "42")
    with refused("22012"), pool.transaction():
        pool.execute("SELECT 1/0")
    assert seal(pool) == seal_of(ACME, "42")


def test_entered_in_a_transaction_it_ends_with_a_rollback(shared_guard, pool):
    with pool.transaction(force_rollback=True):
        assert_enters(shared_guard, pool)
        assert seal(pool) == seal_of(ACME)
    assert seal(pool) == ""
    with pool.transaction():
        with pool.transaction(force_rollback=True):
            assert_enters(shared_guard, pool, GLOBEX)
        assert seal(pool) == ""
        assert_enters(shared_guard, pool)
    assert seal(pool) == seal_of(ACME)


def test_a_rollback_leads_back_to_the_tenant_before(shared_guard, pool):
    enter(pool, shared_guard.token(pool, ACME))
    with pool.transaction(force_rollback=True):
        pool.execute("RESET ALL")
        assert_enters(shared_guard, pool, GLOBEX)
    assert seal(pool) == seal_of(ACME)


def test_reset_all_of_the_guard_keeps_the_seal_and_resets_the_rest(shared_guard, pool):
    enter(pool, shared_guard.token(pool, ACME, "42"))
    pool.execute("SET work_mem = '77MB'; SET search_path = pg_temp")
    pool.execute("CALL bulkhead.reset_all()")
    assert seal(pool) == seal_of(ACME, "42")
    assert pool.execute("SHOW work_mem").fetchone() != ("77MB",)
    assert pool.execute("SHOW search_path").fetchone() == ('"$user", public',)
    with pool.transaction(force_rollback=True):
        pool.execute("SET work_mem = '78MB'")
        pool.execute("CALL bulkhead.reset_all()")
    assert seal(pool) == seal_of(ACME, "42")


def test_reset_all_of_the_guard_seals_nothing_by_itself(shared_guard, pool):
    pool.execute("CALL bulkhead.reset_all()")
    assert seal(pool) == ""
    assert_enters(shared_guard, pool)


# ---- the keys ----

READS = ["SELECT * FROM bulkhead.{table}", "COPY bulkhead.{table} TO STDOUT", "SELECT * FROM bulkhead.{table} FOR UPDATE"]
TABLES = ["signing_key", "installation", "revoked_tenant", "protection"]


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("statement", [*READS, "DELETE FROM bulkhead.{table}", "TRUNCATE bulkhead.{table}"])
def test_the_pool_cannot_reach_the_guards_tables(shared_guard, pool, table, statement):
    with refused("42501", f"permission denied for table {table}"):
        pool.execute(statement.replace("{table}", table))


@pytest.fixture(scope="module")
def reader_and_writer(shared_guard):
    """A login that PostgreSQL lets read and write every table."""
    with shared_guard.admin() as admin:
        admin.execute("CREATE ROLE everywhere LOGIN; GRANT pg_read_all_data, pg_write_all_data TO everywhere")
        admin.execute("ANALYZE bulkhead.signing_key; CREATE TABLE control (x text); INSERT INTO control VALUES ('seen')")
        yield "everywhere"
        admin.execute("DROP ROLE everywhere; DROP TABLE control")


def test_reading_all_data_does_not_read_keys(shared_guard, reader_and_writer):
    with shared_guard.admin() as admin:
        assert admin.execute("SELECT count(*) FROM bulkhead.signing_key").fetchone() == (1,)
    with shared_guard.connect(reader_and_writer) as connection:
        assert connection.execute("SELECT x FROM control").fetchone() == ("seen",)
        for table in TABLES:
            assert connection.execute(f"SELECT count(*) FROM bulkhead.{table}").fetchone() == (0,)
        assert connection.execute(
            "SELECT count(*) FROM pg_statistic AS s JOIN pg_attribute AS a ON (a.attrelid, a.attnum) = (s.starelid, "
            "s.staattnum) WHERE s.starelid = 'bulkhead.signing_key'::regclass AND a.attname LIKE '%block'"
        ).fetchone() == (0,)


@pytest.mark.parametrize("table, columns", [
    ("signing_key", "SELECT 'mine', sha256('') || sha256(''), sha256('') || sha256(''), now()"),
    ("revoked_tenant", f"SELECT '{ACME}'::uuid, now()"),
])
def test_writing_all_data_does_not_write_keys(shared_guard, reader_and_writer, table, columns):
    with shared_guard.connect(reader_and_writer) as connection:
        connection.execute("INSERT INTO control VALUES ('written')")
        with refused("42501", "violates row-level security policy"):
            connection.execute(f"INSERT INTO bulkhead.{table} {columns}")
        assert connection.execute(f"DELETE FROM bulkhead.{table}").rowcount == 0
    with shared_guard.admin() as admin, admin.transaction(force_rollback=True):
        assert admin.execute(f"INSERT INTO bulkhead.{table} {columns}").rowcount == 1
    with shared_guard.connect() as connection:
        assert_enters(shared_guard, connection)


def test_a_second_key_signs_as_well_and_a_known_name_keeps_its_key(guard, tmp_path):
    folder = tmp_path / "next"
    folder.mkdir(0o700)
    for name in ("pool.password", "sidecar.password", "api.password"):
        (folder / name).write_bytes((guard.keys / name).read_bytes())
        (folder / name).chmod(0o600)
    line = "k2 " + "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWY="
    key_file = folder / "guard.key"
    key_file.write_text(line + "\n")
    key_file.chmod(0o600)
    assert run_init("--dsn", guard.database.conninfo(), "--keys", folder).returncode == 0
    second = Guard(guard.database, folder)
    for signer in (second, guard):
        with guard.connect() as connection:
            assert enter(connection, signer.token(connection, ACME)) == seal_of(ACME)

    key_file.write_text(line.replace("QUJD", "QUJE") + "\n")
    done = run_init("--dsn", guard.database.conninfo(), "--keys", folder)
    assert done.returncode == 1 and 'another key is registered under the name "k2"' in done.stderr
    with guard.connect() as connection:
        assert_enters(second, connection)
