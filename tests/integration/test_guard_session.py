"""What the guard tells of a session and sets in it: bulkhead.session_state, session_setting, reset_all and set_all."""

from contextlib import nullcontext

import psycopg
import pytest
from harness.guard import ACME, GLOBEX, assert_enters, enter, refused, seal, seal_of

TEMP, LISTEN, CURSOR, PREPARED, LOCK, ROLE = KINDS = (1, 2, 4, 8, 16, 32)
ALL = sum(KINDS)

# What leaves something, and what takes it away again.
LEFTOVERS = {
    "table": (TEMP, "CREATE TEMP TABLE t (x int)", "DROP TABLE t"),
    "view": (TEMP, "CREATE TEMP VIEW v AS SELECT 1", "DROP VIEW v"),
    "sequence": (TEMP, "CREATE TEMP SEQUENCE s", "DROP SEQUENCE s"),
    "type": (TEMP, "CREATE TYPE pg_temp.t AS ENUM ('a')", "DROP TYPE pg_temp.t"),
    "function": (TEMP, "CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql AS 'SELECT 1'", "DROP FUNCTION pg_temp.f()"),
    "temporaries": (TEMP, "CREATE TEMP TABLE t (x int)", "DISCARD TEMP"),
    "listen": (LISTEN, "LISTEN x", "UNLISTEN x"),
    "listen all": (LISTEN, "LISTEN x; LISTEN y", "UNLISTEN *"),
    "cursor": (CURSOR, "DECLARE c CURSOR WITH HOLD FOR SELECT 1", "CLOSE c"),
    "cursors": (CURSOR, "DECLARE c CURSOR WITH HOLD FOR SELECT 1", "CLOSE ALL"),
    "prepared": (PREPARED, "PREPARE p AS SELECT 1", "DEALLOCATE p"),
    "lock": (LOCK, "SELECT pg_advisory_lock(4711)", "SELECT pg_advisory_unlock(4711)"),
    "shared lock": (LOCK, "SELECT pg_advisory_lock_shared(1, 2)", "SELECT pg_advisory_unlock_all()"),
    "role": (ROLE, "SET ROLE bulkhead_app", "RESET ROLE"),
}
NEEDED = "TEMP ON DATABASE shop", ("EXECUTE ON FUNCTION pg_advisory_lock(bigint), pg_advisory_unlock(bigint), "
                                   "pg_advisory_lock_shared(int, int)")


@pytest.fixture(name="login", scope="module", params=["stand", "strict_stand"])
def fixture_login(request):
    """A connection of the pool's login under each hardening; of what strict takes, it has what leaves something."""
    stand = request.getfixturevalue(request.param)
    with stand.admin() as admin:
        for right in NEEDED if request.param == "strict_stand" else ():
            admin.execute(f"GRANT {right} TO bulkhead_pool")
        try:
            with stand.admin(user="bulkhead_pool") as connection:
                connection.prepare_threshold = None
                yield connection
        finally:
            for right in NEEDED if request.param == "strict_stand" else ():
                admin.execute(f"REVOKE {right} FROM bulkhead_pool")


def state(connection, asked=ALL):
    return connection.execute(f"SELECT bulkhead.session_state({asked})").fetchone()[0]


@pytest.mark.parametrize("kind", LEFTOVERS)
def test_a_leftover_shows_and_goes(login, kind):
    bit, leave, take = LEFTOVERS[kind]
    login.execute("DISCARD ALL")
    assert state(login) == 0
    login.execute(leave)
    assert state(login) == state(login, bit) == bit
    assert state(login, ALL - bit) == 0, "only what is asked for is looked for"
    login.execute(take)
    assert state(login) == 0


def test_all_of_them_at_once(login):
    login.execute("DISCARD ALL")
    for kind in ("table", "listen", "cursor", "prepared", "lock", "role"):
        login.execute(LEFTOVERS[kind][1])
    assert state(login) == ALL
    assert state(login, 0) == 0
    login.execute("DISCARD ALL")
    assert state(login) == 0


def test_what_ends_with_its_transaction_is_no_leftover(login):
    login.execute("DISCARD ALL")
    with login.transaction():
        login.execute("DECLARE c CURSOR FOR SELECT 1")
        login.execute("SET LOCAL ROLE bulkhead_app")
    with login.transaction(force_rollback=True):
        for kind in ("table", "listen", "prepared", "role"):
            login.execute(LEFTOVERS[kind][1])
    assert state(login) == PREPARED, "a PREPARE is not undone by a rollback"


def test_statements_of_the_protocol_are_no_leftover(login):
    login.execute("DISCARD ALL")
    with psycopg.connect(login.info.dsn, autocommit=True) as other:
        for _ in range(2):
            other.execute("SELECT 1", prepare=True)
        assert state(other) == 0
        assert other.execute("EXECUTE _pg3_0").fetchone() == (1,), "one is there"


def test_other_sessions_do_not_show(stand):
    with stand.admin(user="bulkhead_pool") as one, stand.admin(user="bulkhead_pool") as other:
        for kind in ("table", "listen", "cursor", "prepared", "lock", "role"):
            one.execute(LEFTOVERS[kind][1])
        assert state(other) == 0


@pytest.mark.parametrize("trap", [
    "SET search_path = pg_temp, pg_catalog",
    "CREATE FUNCTION pg_temp.pg_listening_channels() RETURNS SETOF text LANGUAGE sql AS 'SELECT NULL WHERE false'; "
    "SET search_path = pg_temp, pg_catalog",
    "CREATE TEMP TABLE pg_depend (refclassid oid, refobjid oid)",
])
def test_what_it_looks_at_is_not_the_sessions_choice(stand, trap):
    with stand.admin(user="bulkhead_pool") as connection:
        connection.execute("LISTEN x; CREATE TEMP TABLE t (x int)")
        connection.execute(trap)
        assert state(connection) == LISTEN + TEMP


# ---- session_setting ----

def test_a_setting_shows_where_the_session_has_set_it(login):
    login.execute("DISCARD ALL")

    def shown(name):
        return login.execute("SELECT bulkhead.session_setting(%s)", (name,)).fetchone()[0]

    assert shown("work_mem") is None
    login.execute("SET work_mem = '5MB'")
    assert shown("work_mem") == "5120", "in its own unit"
    with login.transaction(force_rollback=True):
        login.execute("SET work_mem = '6MB'")
    assert shown("work_mem") == "5120"
    login.execute("RESET work_mem")
    assert shown("work_mem") is None
    login.execute("SET TimeZone = 'UTC'; SET search_path = \"A\", b")
    assert shown("timezone") == "UTC" and shown("search_path") == '"A", b'
    assert shown("nowhere") is None and shown("backtrace_functions") is None
    login.execute("DISCARD ALL")


# ---- reset_all and set_all ----

PROCEDURES = ["bulkhead.reset_all", "bulkhead.set_all"]


@pytest.fixture(name="procedure", params=PROCEDURES)
def fixture_procedure(request):
    return request.param


def test_it_sets_what_it_is_told(shared_guard, pool):
    enter(pool, shared_guard.token(pool, ACME, "42"))
    pool.execute("SET work_mem = '77MB'; SET timezone = 'Asia/Tokyo'; SET app.x = 'old'")
    values = ["timezone", "Asia/Karachi", "app.y", "it's \\ \"quoted\" é $1", "search_path", '"TENANTA", b']
    pool.execute("CALL bulkhead.reset_all(%s::text[])", (values,))
    assert pool.execute("SELECT current_setting('timezone'), current_setting('app.y'), current_setting('search_path'), "
                        "current_setting('app.x'), current_setting('work_mem')").fetchone() \
        == ("Asia/Karachi", "it's \\ \"quoted\" é $1", '"TENANTA", b', "", "4MB")
    assert seal(pool) == seal_of(ACME, "42")


def test_its_search_path_does_not_bend_it(shared_guard, pool, procedure):
    """Names that it uses are found where they belong, whatever it sets on its way."""
    enter(pool, shared_guard.token(pool, ACME))
    pool.execute("CREATE FUNCTION pg_temp.set_config(text, text, boolean) RETURNS text LANGUAGE sql AS $$ SELECT 'x' $$")
    pool.execute(f"CALL {procedure}(ARRAY['search_path', 'pg_temp, pg_catalog', 'work_mem', '78MB'])")
    assert pool.execute("SELECT pg_catalog.current_setting('work_mem')").fetchone() == ("78MB",)
    assert seal(pool) == seal_of(ACME)
    pool.execute("DISCARD ALL")


@pytest.mark.parametrize("transaction", [False, True])
@pytest.mark.parametrize("entered", [False, True])
@pytest.mark.parametrize("name", ["backtrace_functions", "BACKTRACE_FUNCTIONS", "Backtrace_Functions"])
def test_it_forges_no_seal(shared_guard, pool, procedure, name, entered, transaction):
    if entered:
        enter(pool, shared_guard.token(pool, ACME))
    before = seal(pool)
    with pool.transaction() if transaction else nullcontext():
        pool.execute(f"CALL {procedure}(ARRAY[%s, %s])", (name, seal_of(GLOBEX)))
        assert seal(pool) == before
    assert seal(pool) == before


@pytest.mark.parametrize("settings", [
    ["backtrace_functions", seal_of(GLOBEX), "no_such_setting", "x"],
    ["backtrace_functions", seal_of(GLOBEX), "work_mem", "nonsense"],
    ["backtrace_functions", seal_of(GLOBEX), None, "x"],
    ["backtrace_functions", seal_of(GLOBEX), "log_statement", "all"],
])
def test_an_error_on_its_way_leaves_the_seal(shared_guard, pool, procedure, settings):
    """Nothing of it is left, also behind a savepoint, and where somebody's code catches the error."""
    enter(pool, shared_guard.token(pool, ACME))
    with pytest.raises(psycopg.Error):
        pool.execute(f"CALL {procedure}(%s::text[])", (settings,))
    assert seal(pool) == seal_of(ACME)
    with pool.transaction():
        with pytest.raises(psycopg.Error), pool.transaction():
            pool.execute(f"CALL {procedure}(%s::text[])", (settings,))
        assert seal(pool) == seal_of(ACME)
    array = ", ".join("NULL" if value is None else f"''{value}''" for value in settings)
    pool.execute(f"DO $$ BEGIN EXECUTE 'CALL {procedure}(ARRAY[{array}])'; "
                 "EXCEPTION WHEN OTHERS THEN NULL; END $$")
    assert seal(pool) == seal_of(ACME)


@pytest.mark.parametrize("name, value", [("role", "bulkhead_guard"), ("role", "bulkhead_app"), ("role", "none"),
                                         ("session_authorization", "postgres"), ("Role", "bulkhead_app")])
def test_it_changes_nobodys_role(shared_guard, pool, procedure, name, value):
    """PostgreSQL refuses it within a function of another's rights."""
    enter(pool, shared_guard.token(pool, ACME))
    with refused("42501"):
        pool.execute(f"CALL {procedure}(ARRAY[%s, %s])", (name, value))
    assert pool.execute("SELECT current_user, session_user").fetchone() == ("bulkhead_pool", "bulkhead_pool")


@pytest.mark.parametrize("name", ["log_statement", "session_replication_role", "lc_messages", "session_preload_libraries"])
def test_it_lends_no_rights(shared_guard, pool, procedure, name):
    """What the login may not set it may not set through the guard."""
    with refused("42501", "permission denied to set parameter"):
        pool.execute(f"CALL {procedure}(ARRAY[%s, ''])", (name,))
    assert_enters(shared_guard, pool)


def test_an_odd_name_is_left_out(shared_guard, pool, procedure):
    pool.execute("RESET work_mem")
    pool.execute(f"CALL {procedure}(ARRAY['work_mem', '77MB', 'timezone'])")
    assert pool.execute("SHOW work_mem").fetchone() == ("77MB",)
    pool.execute(f"CALL {procedure}('{{}}')")
    assert pool.execute("SHOW work_mem").fetchone() == ("4MB" if procedure == "bulkhead.reset_all" else "77MB",)


def test_set_all_leaves_the_rest(shared_guard, pool):
    enter(pool, shared_guard.token(pool, ACME))
    pool.execute("SET work_mem = '77MB'; SET app.x = 'kept'")
    pool.execute("CALL bulkhead.set_all(%s::text[])", (["search_path", '"TENANTA", "it\'s"', "app.y", "y"],))
    assert pool.execute("SELECT current_setting('work_mem'), current_setting('app.x'), current_setting('app.y'), "
                        "current_setting('search_path')").fetchone() == ("77MB", "kept", "y", '"TENANTA", "it\'s"')
    with pool.transaction(force_rollback=True):
        pool.execute("CALL bulkhead.set_all(ARRAY['app.x', 'undone'])")
    assert pool.execute("SELECT current_setting('app.x')").fetchone() == ("kept",)
    assert seal(pool) == seal_of(ACME)
