"""What `standard` and `strict` take from the pool's login, and what goes on working."""

import subprocess

import pytest
from harness.guard import POOL, Guard, enter, must_init, refused
from harness.postgres import PG_BIN
from harness.stand import DATABASE, ROWS

# Each is one statement. In STANDARD are those that both levels take.
STANDARD = """
SELECT * FROM pg_stat_activity
SELECT * FROM pg_stat_ssl
SELECT * FROM pg_stat_gssapi
SELECT * FROM pg_stat_replication
SELECT * FROM pg_stat_progress_vacuum
SELECT * FROM pg_stat_progress_create_index
SELECT pg_stat_get_activity(NULL)
SELECT pg_stat_get_backend_activity(1)
SELECT pg_stat_get_backend_idset()
SELECT pg_stat_get_backend_client_addr(1)
SELECT pg_stat_get_progress_info('VACUUM')
SELECT pg_cancel_backend(0)
SELECT pg_terminate_backend(0)
SELECT lo_creat(-1)
SELECT lo_create(0)
SELECT lo_from_bytea(0, 'x')
SELECT lo_get(4711)
SELECT lo_put(4711, 0, 'x')
SELECT lo_open(4711, 131072)
SELECT lo_unlink(4711)
SELECT loread(0, 1)
SELECT lowrite(0, 'x')
SELECT lo_truncate(0, 0)
CREATE TABLE public.mine ()
CREATE FUNCTION public.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'
CREATE SCHEMA mine
TRUNCATE orders
CREATE TRIGGER spy BEFORE UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()
ALTER TABLE orders DISABLE ROW LEVEL SECURITY
DROP POLICY bulkhead_tenant ON orders
""".strip().splitlines()

STRICT = """
SELECT set_config('app.x', 'y', false)
SELECT query_to_xml('SELECT 1', true, true, '')
SELECT query_to_xmlschema('SELECT 1', true, true, '')
SELECT query_to_xml_and_xmlschema('SELECT 1', true, true, '')
SELECT cursor_to_xml('c', 1, true, true, '')
SELECT table_to_xml('orders', true, true, '')
SELECT schema_to_xml('public', true, true, '')
SELECT database_to_xml(true, true, '')
SELECT ts_stat('SELECT NULL::tsvector')
SELECT ts_rewrite('a & b'::tsquery, 'SELECT NULL::tsquery, NULL::tsquery')
SELECT pg_advisory_lock(1)
SELECT pg_advisory_lock(1, 2)
SELECT pg_advisory_lock_shared(1)
SELECT pg_advisory_xact_lock(1)
SELECT pg_advisory_xact_lock_shared(1)
SELECT pg_try_advisory_lock(1)
SELECT pg_try_advisory_lock_shared(1)
SELECT pg_try_advisory_xact_lock(1)
SELECT pg_try_advisory_xact_lock_shared(1, 2)
SELECT pg_advisory_unlock(1)
SELECT pg_advisory_unlock_shared(1)
SELECT pg_notify('x', 'y')
SELECT pg_notification_queue_usage()
SELECT pg_logical_emit_message(false, 'x', 'y')
SELECT pg_sleep(0)
SELECT pg_sleep_for('0')
SELECT pg_sleep_until(now())
SELECT setseed(0)
SELECT pg_export_snapshot()
SELECT setval('counter', 1)
SELECT pg_relation_size('orders')
SELECT pg_table_size('orders')
SELECT pg_indexes_size('orders')
SELECT pg_total_relation_size('orders')
SELECT pg_database_size(current_database())
SELECT pg_tablespace_size('pg_default')
SELECT pg_relation_filepath('orders')
SELECT pg_relation_filenode('orders')
SELECT pg_stat_get_live_tuples('orders'::regclass)
SELECT pg_stat_get_db_xact_commit(1)
SELECT pg_lock_status()
SELECT pg_blocking_pids(1)
SELECT pg_safe_snapshot_blocking_pids(1)
SELECT pg_prepared_xact()
SELECT pg_prepared_statement()
SELECT pg_show_all_settings()
SELECT * FROM pg_settings
UPDATE pg_settings SET setting = '8MB' WHERE name = 'work_mem'
SELECT * FROM pg_locks
SELECT * FROM pg_prepared_xacts
SELECT * FROM pg_prepared_statements
SELECT * FROM pg_stat_user_tables
SELECT * FROM pg_stat_all_indexes
SELECT * FROM pg_stat_database
SELECT * FROM pg_stat_user_functions
SELECT * FROM pg_statio_user_tables
SELECT * FROM pg_db_role_setting
CREATE TEMP TABLE mine ()
SELECT 1 INTO TEMP mine
CREATE TEMP VIEW mine AS SELECT 1
""".strip().splitlines()

# Fail for other reasons, or not at all, where privileges allow them.
OTHER_ERRORS = {"lo_get": "42704", "lo_put": "42704", "lo_open": "42704", "lo_unlink": "42704", "loread": "42704",
                "lowrite": "42704", "lo_truncate": "42704", "cursor_to_xml": "34000", "ts_stat": None}


class Level:
    """A stand, its pool's login in acme's context, and the superuser."""

    def __init__(self, stand):
        self.stand = stand
        self.guard = Guard(stand.postgres.database(DATABASE), stand.keys)
        self.pool = self.guard.connect()
        self.admin = self.guard.admin()
        self.admin.execute("CREATE SEQUENCE IF NOT EXISTS counter; GRANT ALL ON SEQUENCE counter TO bulkhead_app")

    def enter(self):
        self.pool.execute("DISCARD ALL")
        enter(self.pool, self.guard.token(self.pool, self.stand.ids["acme"], "101"))
        return self.pool

    def close(self):
        self.admin.execute("DROP SEQUENCE counter")
        self.pool.close()
        self.admin.close()


@pytest.fixture(scope="module")
def standard(stand):
    level = Level(stand)
    yield level
    level.close()


@pytest.fixture(scope="module")
def strict(strict_stand):
    level = Level(strict_stand)
    yield level
    level.close()


def assert_allowed(connection, statement):
    """The control: with the privilege the statement works, or fails for a reason of its own."""
    expected = next((code for name, code in OTHER_ERRORS.items() if name in statement), None)
    with connection.transaction(force_rollback=True):
        if expected:
            with refused(expected):
                connection.execute(statement)
        else:
            connection.execute(statement)


@pytest.mark.parametrize("statement", STANDARD)
def test_standard_refuses(standard, statement):
    with refused("42501"):
        standard.enter().execute(statement)
    assert_allowed(standard.admin, statement)


@pytest.mark.parametrize("statement", [*STANDARD, *STRICT])
def test_strict_refuses(strict, statement):
    with refused("42501"):
        strict.enter().execute(statement)
    assert_allowed(strict.admin, statement)


@pytest.mark.parametrize("statement", STRICT)
def test_standard_leaves_the_rest(standard, statement):
    assert_allowed(standard.enter(), statement)


def test_strict_leaves_no_function_of_these_families(strict):
    """Releases add functions: none that looks like those above may come in unseen."""
    left = strict.admin.execute(
        "SELECT p.oid::regprocedure::text FROM pg_proc AS p WHERE p.pronamespace = 'pg_catalog'::regnamespace "
        "AND p.proname ~ '^(set_config|setval|setseed|lo_|loread|lowrite|pg_sleep|pg_notify|pg_advisory|pg_try_advisory|"
        "pg_stat_get_|pg_cancel|pg_terminate|pg_.*_size$|pg_show_all|pg_lock_status|pg_export|ts_stat)|_to_xml' "
        "AND has_function_privilege('bulkhead_pool', p.oid, 'EXECUTE') ORDER BY 1").fetchall()
    assert [name for (name,) in left] == ["pg_advisory_unlock_all()", "pg_column_size(\"any\")"]


def test_strict_leaves_no_view_of_these_families(strict):
    left = strict.admin.execute(
        "SELECT c.relname FROM pg_class AS c WHERE c.relnamespace = 'pg_catalog'::regnamespace "
        "AND c.relname ~ '^(pg_stat_|pg_statio_|pg_settings|pg_locks|pg_prepared|pg_db_role)' AND c.relkind IN ('r', 'v') "
        "AND has_table_privilege('bulkhead_pool', c.oid, 'SELECT, UPDATE')").fetchall()
    assert left == []


@pytest.mark.parametrize("level", ["standard", "strict"])
def test_monitoring_keeps_its_rights(level, request):
    """What PUBLIC loses, PostgreSQL's roles for monitoring and signalling keep."""
    admin = request.getfixturevalue(level).admin
    admin.execute("CREATE ROLE watcher; GRANT pg_monitor, pg_signal_backend TO watcher; SET ROLE watcher")
    try:
        assert admin.execute("SELECT count(*) FROM pg_stat_activity WHERE query IS NOT NULL").fetchone()[0] > 0
        admin.execute("SELECT pg_cancel_backend(0)")
        admin.execute("SELECT count(*) FROM pg_locks; SELECT count(*) FROM pg_stat_database")
        admin.execute("SELECT pg_database_size(current_database())")
    finally:
        admin.execute("RESET ROLE; DROP ROLE watcher")


def test_pg_stat_statements_is_closed_where_it_is_installed(guard, guard_keys):
    """The texts of all tenants' statements."""
    may = "SELECT has_table_privilege('bulkhead_pool', 'pg_stat_statements', 'SELECT'), " \
          "has_table_privilege('bulkhead_pool', 'pg_stat_statements_info', 'SELECT')"
    with guard.admin() as admin:
        admin.execute("CREATE EXTENSION pg_stat_statements")
        assert admin.execute(may).fetchone() == (True, True)
        must_init("--dsn", guard.database.conninfo(), "--keys", guard_keys)
        assert admin.execute(may).fetchone() == (False, False)


# ---- what must go on working ----

DESCRIBE = r"""
\d \dt \dv \dm \ds \di \dE \dn \dn+ \df \da \dT \dD \do \dx \dp \z \ddp \du \du+ \dg \l \db \dc \dC \dO \dF \dFd \dFp
\dFt \dL \dy \dRp \dRs \des \dew \deu \det \dP \dA \dAc \dAf \dX \dd \dtS \conninfo \encoding
""".split() + [r"\d orders", r"\d+ orders", r"\d orders_pkey", r"\d pg_class", r"\sf bulkhead.tenant_id", r"\df+ bulkhead.*"]


@pytest.mark.parametrize("level", ["stand", "strict_stand"])
def test_psql_describes(level, request):
    """One psql for all; each command must answer without an error."""
    database = request.getfixturevalue(level).postgres.database(DATABASE)
    done = database.psql(user=POOL, stdin="\n".join(DESCRIBE), check=False)
    assert done.returncode == 0, done.stderr
    assert "ERROR" not in done.stderr
    assert 'Policies (forced row security enabled)' in done.stdout and "bulkhead_pool" in done.stdout


WORKS = """
SELECT pg_advisory_unlock_all()
SELECT pg_advisory_unlock_all(); CLOSE ALL; UNLISTEN *; RESET ALL;
SELECT current_setting('server_version'), current_setting('app.none', true)
SHOW ALL
SHOW search_path
SET application_name = 'x'
SET LOCAL statement_timeout = 0
RESET work_mem
SELECT version(), current_database(), current_schema(), current_schemas(true), current_user, session_user, pg_backend_pid()
SELECT * FROM pg_roles
SELECT * FROM pg_database
SELECT * FROM pg_stats
SELECT * FROM pg_tables, pg_indexes, pg_views LIMIT 1
SELECT * FROM pg_sequences
SELECT * FROM pg_type AS t LEFT JOIN pg_range AS r ON r.rngtypid = t.oid LEFT JOIN pg_enum AS e ON e.enumtypid = t.oid
SELECT * FROM pg_cursors
SELECT * FROM pg_timezone_names LIMIT 1
SELECT * FROM pg_available_extensions
SELECT format_type(atttypid, atttypmod), col_description(attrelid, attnum) FROM pg_attribute WHERE attrelid = 'orders'::regclass
SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef
SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = 'orders'::regclass
SELECT pg_get_constraintdef(oid), obj_description(oid, 'pg_constraint') FROM pg_constraint
SELECT pg_get_viewdef('pg_tables'::regclass)
SELECT has_table_privilege('orders', 'SELECT'), to_regclass('orders'), pg_table_is_visible('orders'::regclass)
SELECT pg_get_serial_sequence('orders', 'id'), pg_get_userbyid(10), pg_encoding_to_char(6)
SELECT nextval('counter'), currval('counter'), lastval()
SELECT random(), gen_random_uuid(), now(), clock_timestamp(), txid_current(), pg_is_in_recovery(), pg_my_temp_schema()
SELECT pg_column_size('x'::text), pg_typeof(1), pg_postmaster_start_time(), inet_server_port()
SELECT to_tsvector('a') @@ 'a'::tsquery, ts_rewrite('a & b'::tsquery, 'a', 'c')
SELECT xmlelement(name x), json_agg(1), jsonb_path_query('[1]', '$[*]')
LISTEN x; UNLISTEN x
NOTIFY x
PREPARE p AS SELECT 1; EXECUTE p; DEALLOCATE p
DECLARE c CURSOR FOR SELECT * FROM orders; FETCH c; CLOSE c
EXPLAIN ANALYZE SELECT * FROM orders
DO 'BEGIN PERFORM 1; END'
INSERT INTO orders (id, item) VALUES (900, 'acme 900') RETURNING tenant_id
UPDATE orders SET item = item
DELETE FROM orders
MERGE INTO orders USING (VALUES (1)) AS v (n) ON id = n WHEN MATCHED THEN DO NOTHING
SELECT * FROM orders FOR UPDATE
LOCK TABLE orders IN ROW EXCLUSIVE MODE
SELECT bulkhead.tenant_id(), bulkhead.tenant_key(), bulkhead.guard_version()
CALL bulkhead.reset_all()
SET CONSTRAINTS ALL DEFERRED
SAVEPOINT s; ROLLBACK TO s; RELEASE s
""".strip().splitlines()

INFORMATION_SCHEMA = [f"SELECT * FROM information_schema.{name} LIMIT 1" for name in """
columns tables views table_constraints key_column_usage referential_constraints constraint_column_usage check_constraints
routines parameters schemata sequences domains triggers role_table_grants table_privileges column_privileges
applicable_roles enabled_roles collations character_sets element_types information_schema_catalog_name sql_features
""".split()]


@pytest.mark.parametrize("level", ["standard", "strict"])
@pytest.mark.parametrize("statement", WORKS + INFORMATION_SCHEMA)
def test_applications_go_on_working(level, statement, request):
    connection = request.getfixturevalue(level).enter()
    with connection.transaction(force_rollback=True):
        connection.execute(statement)


@pytest.mark.parametrize("level", ["standard", "strict"])
def test_copy_out_and_discard_all_work(level, request):
    connection = request.getfixturevalue(level).enter()
    with connection.cursor().copy("COPY (SELECT item FROM orders) TO STDOUT") as copy:
        assert len(list(copy.rows())) == ROWS
    connection.execute("DISCARD ALL")


def test_a_tenant_dumps_its_own_rows_under_standard(stand):
    """pg_dump calls set_config, which strict takes."""
    with stand.proxy() as proxy:
        done = subprocess.run(
            [PG_BIN / "pg_dump", "--enable-row-security", "--data-only", "--table=orders", "-d", proxy.conninfo("acme")],
            text=True, capture_output=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\tacme ") == ROWS and "globex" not in done.stdout
