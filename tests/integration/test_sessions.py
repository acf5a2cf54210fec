"""Tenants' sessions over shared backends, through the real proxy: nobody sees a foreign row, or none at all."""

import threading
import time

import psycopg
import pytest
from harness.stand import ROWS, TENANTS, Stand
from harness.unseen import unseen
from harness.wire import errors, rows

ONE_BACKEND = {"pool": {"default_pool_size": 1}}


def items(connection, table="orders", column="item"):
    """How many rows the tenant sees, and the words their texts begin with."""
    rows = connection.execute(f"SELECT {column} FROM {table}").fetchall()
    return len(rows), {text.rsplit(" ", 1)[0] for (text,) in rows}


def assert_served(proxy, tenant):
    with proxy.connect(tenant) as connection:
        assert items(connection) == (ROWS, {tenant})


@pytest.mark.parametrize("mode", ["simple", "extended", "mixed"])
def test_two_tenants_on_one_backend(stand, mode):
    """10,000 transactions in all three runs, from four clients that take turns on a single backend."""
    wrong, done = [], []

    def work(proxy, tenant):
        try:
            with proxy.connect(tenant, prepare_threshold=None) as connection:
                cursors = {"simple": [psycopg.ClientCursor(connection)], "extended": [connection.cursor()]}
                cursors["mixed"] = cursors["simple"] + cursors["extended"]
                for n in range(834):
                    cursor = cursors[mode][n % len(cursors[mode])]
                    if n % 10 == 3:
                        with connection.transaction():
                            row = cursor.execute("SELECT count(*), min(item), max(item) FROM orders").fetchone()
                    else:
                        row = cursor.execute("SELECT count(*), min(item), max(item) FROM orders").fetchone()
                    assert row[0] == ROWS and all(text.startswith(tenant + " ") for text in row[1:]), row
                    done.append(1)
        except Exception as error:  # reported by the test's own thread
            wrong.append(error)

    with stand.proxy(**ONE_BACKEND) as proxy:
        threads = [threading.Thread(target=work, args=(proxy, tenant)) for tenant in ("acme", "globex") * 2]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(proxy.backends()) == (1 if stand.installation.is_shared else 2)
    assert not wrong
    assert len(done) == 4 * 834


TAMPERING = [
    "SET backtrace_functions = '{globex},'",
    "SET LOCAL backtrace_functions = '{globex},'",
    "SELECT set_config('backtrace_functions', '{globex},', false)",
    "RESET backtrace_functions",
    "DO $$ BEGIN EXECUTE 'SET backtrace_functions = ''{globex},'''; END $$",
    "CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql SET backtrace_functions = '{globex},' AS 'SELECT 1'",
    "ALTER ROLE bulkhead_pool SET backtrace_functions = '{globex},'",
    "ALTER ROLE CURRENT_USER SET backtrace_functions = '{globex},'",
    "UPDATE pg_settings SET setting = '{globex},' WHERE name = 'backtrace_functions'",
    "SELECT bulkhead.enter('k1', '{globex}', '', '99999999999999', repeat('0', 64))",
    "SELECT bulkhead.enter(NULL, '{globex}', NULL, NULL, NULL)",
    "SET ROLE bulkhead_guard",
    "SET ROLE shop_owner",
    "SET SESSION AUTHORIZATION postgres",
    "SELECT * FROM bulkhead.key",
]

HARMLESS = [
    "PREPARE TRANSACTION 'x'",
    "RESET ALL",
    "DISCARD ALL",
    "BEGIN; SELECT 1; COMMIT AND CHAIN; SELECT 2; COMMIT",
    "SELECT 'a; COMMIT; b'",
    "BEGIN; SAVEPOINT s; SET LOCAL work_mem = 100; ROLLBACK TO s; ROLLBACK",
    "BEGIN; RESET ALL; ROLLBACK",
    "SET row_security = off; RESET row_security",
    "SET search_path = pg_temp",
]


@pytest.mark.parametrize("kind", ["stand", "strict_stand"])
def test_tampering_through_psql(kind, request):
    """The database half alone: whatever acme says in psql, it never sees globex, and the next client is served."""
    stand = request.getfixturevalue(kind)
    globex = stand.ids["globex"].replace("-", "")
    look = ("-c", "SELECT item FROM public.orders", "-c", f"SELECT item FROM public.orders WHERE tenant_id = '{globex}'")
    with stand.proxy(**ONE_BACKEND) as proxy:
        for statement in TAMPERING + HARMLESS:
            done = proxy.psql("acme", "-At", "-c", statement.format(globex=globex), *look, *look)
            assert "globex" not in done.stdout, statement
            assert done.stdout.count("acme 1\n") >= 1, (statement, done.stdout, done.stderr)
            if statement in TAMPERING:
                assert "ERROR" in done.stderr, (statement, done.stdout, done.stderr)
            assert_served(proxy, "globex")
        option = proxy.psql(None, "-c", "SELECT 1", user="shop.acme", options=f"-c backtrace_functions={globex},")
        assert option.returncode != 0 and "permission denied to set parameter" in option.stderr
        assert_served(proxy, "globex")


@pytest.mark.parametrize("name", ["psql", "", "bulkhead: no client", "it's"])
@pytest.mark.parametrize("emptying", [
    "RESET ALL",
    "DISCARD ALL",
    "DO $$ BEGIN EXECUTE 'RESET ALL'; END $$",
    "DO $$ BEGIN EXECUTE 'RESET ALL'; PERFORM set_config('application_name', '{name}', false); END $$",
])
def test_an_emptied_seal_heals(stand, emptying, name):
    with stand.proxy(**ONE_BACKEND) as proxy:
        with proxy.connect("acme", application_name=name) as connection:
            connection.execute("SELECT 1")
            connection.execute(emptying.format(name=name.replace("'", "''")))
            try:
                connection.execute("SELECT count(*) FROM orders")
            except psycopg.Error as error:
                assert error.sqlstate == "25000"
                assert "reason=BH-CTX-LOST" in error.diag.message_detail
            assert items(connection) == (ROWS, {"acme"})
            assert connection.execute("SHOW application_name").fetchone() == (name,)
        assert_served(proxy, "globex")


def test_nothing_is_left_for_the_next_tenant(stand):
    with stand.proxy(**ONE_BACKEND) as proxy:
        with proxy.connect("acme") as acme:
            acme.execute("SET app.secret = 'acme only'")
            acme.execute("SET work_mem = '77MB'")
            acme.execute("CREATE TEMP TABLE orders (LIKE public.orders)")
            acme.execute("CREATE TEMP VIEW tickets AS SELECT 1 AS id")
            acme.execute("PREPARE spy AS SELECT 'acme'")
            acme.execute("SELECT pg_advisory_lock(4711)")
            acme.execute("LISTEN gossip")
            with acme.transaction():
                acme.execute("DECLARE kept CURSOR WITH HOLD FOR SELECT item FROM public.orders")
        with proxy.connect("globex") as globex:
            assert items(globex) == (ROWS, {"globex"})
            assert globex.execute("SELECT to_regclass('orders')::text, to_regclass('tickets')::text").fetchone() \
                == ("orders", "tickets")
            assert globex.execute("SELECT current_setting('app.secret', true)").fetchone()[0] in (None, "")
            assert globex.execute("SHOW work_mem").fetchone() != ("77MB",)
            assert globex.execute("SELECT count(*) FROM pg_prepared_statements WHERE name = 'spy'").fetchone() == (0,)
            assert globex.execute("SELECT count(*) FROM pg_cursors WHERE name = 'kept'").fetchone() == (0,)
            assert globex.execute("SELECT count(*) FROM pg_listening_channels()").fetchone() == (0,)
            assert globex.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'").fetchone() == (0,)


@pytest.mark.parametrize("statement", ["CREATE TEMP TABLE t (x int)", "SELECT pg_advisory_lock(1)",
                                       "SELECT set_config('app.x', 'y', false)"])
def test_strict_refuses_what_could_be_left(strict_stand, statement):
    with strict_stand.proxy() as proxy, proxy.connect("acme") as connection:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(statement)


# What views leave shows in no text, so it is not asked for, and no client keeps its backend for it.
LEAVINGS = """
CREATE ROLE left_role;
GRANT left_role TO bulkhead_app;
CREATE SEQUENCE counted;
GRANT USAGE ON SEQUENCE counted TO bulkhead_app;
CREATE FUNCTION mislabelled() RETURNS uuid LANGUAGE sql IMMUTABLE AS 'SELECT bulkhead.tenant_id()';
CREATE FUNCTION who() RETURNS uuid LANGUAGE plpgsql AS 'BEGIN RETURN mislabelled(); END';
"""
UNSEEN = {"path": "SELECT set_config('search_path', 'pg_temp', false)",
          "role": "SELECT set_config('role', 'left_role', false)",
          "planner": "SELECT set_config('enable_seqscan', 'off', false)",
          "number": "SELECT currval('public.counted')"}


@pytest.mark.parametrize("discard_plans", ["yes", "no"])
def test_nothing_unseen_is_left_for_the_next_tenant(stand, discard_plans):
    with stand.admin() as admin:
        admin.execute(LEAVINGS)
    try:
        with unseen(stand, **UNSEEN) as look, \
                stand.proxy(pool={"default_pool_size": 1, "discard_plans": discard_plans}) as proxy, \
                proxy.wire("acme") as acme, proxy.wire("globex") as globex:
            shown = {}
            for tenant, wire in (("acme", acme), ("globex", globex)):
                assert errors(wire.query(look["number"])) == ["55000"]
                shown[tenant] = rows(wire.query("SELECT nextval('counted'), bulkhead.tenant_id(), who()"))[0]
                assert rows(wire.query("SELECT current_user, current_setting('search_path'), "
                                       "current_setting('enable_seqscan')")) == [[stand.login(tenant), '"$user", public', "on"]]
                for name in ("path", "role", "planner"):
                    assert not errors(wire.query(look[name]))
            assert shown["acme"][1] == shown["acme"][2] != shown["globex"][1]
            if discard_plans == "yes":  # else the one thing that is told of the setting
                assert shown["globex"][1] == shown["globex"][2]
    finally:
        with stand.admin() as admin:
            admin.execute("DROP FUNCTION who(), mislabelled(); DROP SEQUENCE counted; DROP ROLE left_role")


def test_writes_stay_inside(stand):
    globex, acme_id = stand.ids["globex"], stand.ids["acme"]
    with stand.proxy() as proxy, proxy.connect("acme") as acme:
        with acme.transaction(force_rollback=True):
            acme.execute("INSERT INTO orders (id, item) VALUES (900, 'acme 900')")
            acme.execute("INSERT INTO tickets (id, body) VALUES (900, 'acme 900')")
            assert str(acme.execute("SELECT tenant_id FROM orders WHERE id = 900").fetchone()[0]) == acme_id
            assert acme.execute("SELECT account FROM tickets WHERE id = 900").fetchone() == (TENANTS["acme"],)
        for statement, value in (("INSERT INTO orders VALUES (%s, 901, 'x')", globex),
                                 ("UPDATE orders SET tenant_id = %s", globex),
                                 ("INSERT INTO tickets VALUES (%s, 901, 'x')", TENANTS["globex"]),
                                 ("UPDATE tickets SET account = %s", TENANTS["globex"])):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                acme.execute(statement, (value,))
        assert acme.execute("UPDATE orders SET item = item").rowcount == ROWS
        assert items(acme, "tickets", "body") == (ROWS, {"acme"})


@pytest.mark.parametrize("command", ["\\d orders", "\\dt", "\\l", "\\du"])
def test_psql_describes_under_strict(strict_stand, command):
    with strict_stand.proxy() as proxy:
        done = proxy.psql("acme", "-v", "ON_ERROR_STOP=1", "-c", command)
        assert done.returncode == 0 and not done.stderr
        assert ("shop" if command == "\\l" else "bulkhead_pool" if command == "\\du" else "orders") in done.stdout


def test_settled_clients_cost_no_statement(template):
    """Between transactions of clients with equal settings the server sees theirs and nothing else."""
    stand = Stand(template, settings={"log_statement": "all"}).start()
    try:
        with stand.proxy() as proxy:
            first, second = (proxy.connect("acme", application_name="same", prepare_threshold=None) for _ in "ab")
            with first, second:
                for connection in (first, second):
                    connection.execute("SELECT 0")
                before = len(stand.postgres.log_text())
                for n in range(50):
                    for connection in (first, second):
                        connection.execute(f"SELECT {n} FROM orders LIMIT 1")
                log = stand.postgres.log_text()[before:]
        statements = [line for line in log.splitlines() if f"{stand.login('acme')}@" in line and
                      ("statement: " in line or "execute " in line)]
        assert len(statements) == 100, statements[:10]
        assert all("FROM orders LIMIT 1" in line for line in statements)
    finally:
        stand.remove()


@pytest.mark.parametrize("arguments, words", [
    ({"user": "nobody.acme"}, "reason=BH-ID-PASSWORD"),
    ({"tenant": "acme", "password": "wrong"}, "reason=BH-ID-PASSWORD"),
    ({"tenant": "nosuch"}, "reason=BH-ID-UNKNOWN-TENANT"),
    ({"tenant": None}, "reason=BH-ID-NO-TENANT"),
    ({"tenant": "acme", "dbname": "template1"}, "reason=BH-ID-DATABASE"),
    ({"tenant": "acme", "options": "-c bulkhead.tenant=globex"}, "reason=BH-ID-CONFLICT"),
    ({"tenant": "acme", "options": "-c timezone=Nowhere/Land"}, 'invalid value for parameter "TimeZone"'),
])
def test_refused_logins(stand, arguments, words):
    with stand.proxy() as proxy:
        with pytest.raises(psycopg.OperationalError) as refused:
            proxy.connect(**arguments)
        assert words in str(refused.value)
        assert_served(proxy, "acme")


def test_a_descendant_may_be_chosen_below_the_first_choice(stand):
    with stand.proxy() as proxy:
        with proxy.connect("acme", options="-c bulkhead.tenant=acme-labs") as connection:
            assert items(connection) == (ROWS, {"acme-labs"})


def test_a_killed_backend_is_told_to_its_client_alone(stand):
    with stand.proxy() as proxy, proxy.connect("globex") as bystander:
        with proxy.connect("acme") as victim:
            victim.execute("BEGIN")
            (pid,) = victim.execute("SELECT pg_backend_pid()").fetchone()
            with stand.admin() as admin:
                admin.execute("SELECT pg_terminate_backend(%s)", (pid,))
            with pytest.raises(psycopg.OperationalError) as ended:
                for _ in range(20):
                    victim.execute("SELECT 1")
                    time.sleep(0.05)
            assert ended.value.sqlstate in ("57P01", None)
        assert items(bystander) == (ROWS, {"globex"})
        assert_served(proxy, "acme")


def test_cancel_hits_its_own_statement_only(stand):
    with stand.proxy() as proxy, proxy.connect("acme") as sleeper, proxy.connect("globex") as other:
        timer = threading.Timer(0.5, sleeper.cancel)
        timer.start()
        with pytest.raises(psycopg.errors.QueryCanceled):
            sleeper.execute("SELECT pg_sleep(20)")
        timer.join()
        assert items(other) == (ROWS, {"globex"})
        assert items(sleeper) == (ROWS, {"acme"})


def test_late_cancels_never_move_a_statement(stand):
    """An administrator's cancels rain on the pool while tenants change places on it."""
    stop, wrong = threading.Event(), []

    def rain(proxy):
        with stand.admin() as admin:
            while not stop.is_set():
                admin.execute(f"SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE {stand.installation.backends}")

    def work(proxy, tenant):
        deadline = time.monotonic() + 4
        while time.monotonic() < deadline:
            try:
                with proxy.connect(tenant, prepare_threshold=None) as connection:
                    for _ in range(50):
                        seen = items(connection)
                        if seen != (ROWS, {tenant}):
                            wrong.append((tenant, seen))
            except psycopg.Error:
                continue  # cancelled, or no backend could be prepared: told the truth

    with stand.proxy(pool={"default_pool_size": 2, "server_login_retry": "10ms"}) as proxy:
        threads = [threading.Thread(target=work, args=(proxy, tenant)) for tenant in TENANTS]
        weather = threading.Thread(target=rain, args=(proxy,))
        for thread in [weather, *threads]:
            thread.start()
        for thread in threads:
            thread.join()
        stop.set()
        weather.join()
        time.sleep(0.1)  # the longest pause, when the last new backend was hit
        for tenant in TENANTS:
            assert_served(proxy, tenant)
    assert not wrong


def test_the_server_restarts(template):
    stand = Stand(template).start()
    try:
        with stand.proxy(pool={"server_login_retry": "100ms"}) as proxy:
            assert_served(proxy, "acme")
            stand.postgres.stop()
            with pytest.raises(psycopg.OperationalError):
                proxy.connect("acme").execute("SELECT 1")
            stand.postgres.start()
            for tenant in ("acme", "globex"):  # globex is not known yet: the directory has to be back as well
                deadline = time.monotonic() + 20
                while True:
                    try:
                        assert_served(proxy, tenant)
                        break
                    except psycopg.OperationalError:
                        assert time.monotonic() < deadline
                        time.sleep(0.1)
    finally:
        stand.remove()
