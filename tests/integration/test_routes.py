"""Each strategy has its route: cluster, database and login, and the client cannot tell."""

import threading

import psycopg
import pytest

from harness.control_server import assert_ended
from harness.own_login import OwnLogins
from harness.stand import DATABASE, ROWS, Stand
from harness.wait import wait_for

OWN = ("hooli", "initech", "umbrella")  # by login, schema, database
ALL = ("acme", *OWN)


@pytest.fixture(scope="module")
def stand(template):
    stand = Stand(template, hardening="strict").start()
    yield stand
    stand.remove()


@pytest.fixture(scope="module")
def own(stand):
    own = OwnLogins(stand)
    own.login("hooli", external_key="900")
    own.schema("initech")
    own.database("umbrella")
    return own


@pytest.fixture(scope="module")
def shared_proxy(stand, own):
    with stand.proxy(**own.sections()) as proxy:
        yield proxy


@pytest.fixture(params=ALL)
def tenant(request):
    return request.param


def items(connection):
    return sorted(row[0] for row in connection.execute("SELECT item FROM orders").fetchall())


def expected(tenant):
    return sorted(f"{tenant} {n}" for n in range(1, ROWS + 1))


def test_each_sees_its_own_rows_under_the_same_name(shared_proxy, tenant):
    with shared_proxy.connect(tenant) as connection:
        assert items(connection) == expected(tenant)


def test_backends_are_of_the_login_and_the_database_of_the_route(shared_proxy, own):
    wanted = {"acme": ("bulkhead_pool", DATABASE), "hooli": (own.name("hooli"), DATABASE),
              "initech": (own.name("initech"), DATABASE), "umbrella": (own.name("umbrella"),) * 2}
    for tenant, (login, database) in wanted.items():
        with shared_proxy.connect(tenant) as connection:
            row = connection.execute("SELECT session_user, current_database()").fetchone()
            assert row == (login, database), tenant


def test_a_schema_is_the_only_one_in_the_search_path(shared_proxy, own):
    with shared_proxy.connect("initech") as connection:
        assert connection.execute("SHOW search_path").fetchone()[0] == own.name("initech")
        connection.execute("SET search_path = pg_catalog")
        connection.execute("RESET ALL")
        assert connection.execute("SHOW search_path").fetchone()[0] == own.name("initech")
        connection.execute("DISCARD ALL")
        assert items(connection) == expected("initech")


@pytest.mark.parametrize("other", ALL)
def test_nothing_of_another_is_to_be_had_by_its_full_name(shared_proxy, own, tenant, other):
    if tenant == other:
        pytest.skip("is the same tenant")
    relation = f'"{own.name(other)}".orders' if other in OWN[1:] else "public.orders"
    with shared_proxy.connect(tenant) as connection:
        try:
            found = [row[0] for row in connection.execute(f"SELECT item FROM {relation}")]
        except psycopg.Error as error:
            assert error.sqlstate in ("42501", "3F000", "42P01"), error
            return
        assert set(found) <= set(expected(tenant))


def test_statements_without_a_context_of_ones_own_are_as_elsewhere(shared_proxy, tenant):
    """Everything that a session can hold, over two transactions each."""
    with shared_proxy.connect(tenant) as connection, connection.transaction():
        connection.execute("SET LOCAL work_mem = '8MB'")
    with shared_proxy.connect(tenant) as connection:
        connection.execute("SET work_mem = '9MB'")
        assert connection.execute("SHOW work_mem").fetchone()[0] == "9MB"
        connection.execute("RESET ALL")
        assert connection.execute("SHOW work_mem").fetchone()[0] == "4MB"
        connection.execute("PREPARE one AS SELECT count(*) FROM orders")
        assert connection.execute("EXECUTE one").fetchone()[0] == ROWS
        connection.execute("BEGIN")
        connection.execute("DECLARE held CURSOR WITH HOLD FOR SELECT item FROM orders ORDER BY id")
        connection.execute("COMMIT")
        assert connection.execute("FETCH 1 FROM held").fetchone()[0] == f"{tenant} 1"
        connection.execute("CLOSE held")
        with connection.cursor() as cursor, cursor.copy("COPY (SELECT item FROM orders) TO STDOUT") as copy:
            assert sorted(bytes(part).decode().rstrip("\n") for part in copy) == expected(tenant)


def test_the_gate_lets_a_schema_be_named_by_its_tenant_alone(stand, own):
    mine, others = own.name("initech"), own.name("hooli")
    with stand.proxy(**own.sections(gate={"mode": "enforce"})) as proxy, proxy.connect("initech") as connection:
        assert connection.execute(f"SELECT count(*) FROM {mine}.orders").fetchone()[0] == ROWS
        connection.execute(f"CREATE TABLE {mine}.notes (body text)")
        connection.execute(f"SET search_path = {mine}")
        connection.execute("DROP TABLE notes")
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="BH-STMT-SCHEMA"):
            connection.execute(f"SELECT * FROM {others}.orders")


def test_the_console_shows_whose_backends_there_are(stand, own):
    with stand.proxy(**own.sections(bulkhead={"admin_users": "shop"})) as proxy:
        for tenant in ALL:
            with proxy.connect(tenant) as connection:
                items(connection)
        with proxy.connect(dbname="bulkhead", prepare_threshold=None) as console:
            cursor = console.execute("SHOW SERVERS")
            places = [[column.name for column in cursor.description].index(name) for name in ("user", "database")]
            servers = {tuple(row[place] for place in places) for row in cursor}
            assert servers == {("bulkhead_pool", DATABASE), (own.name("hooli"), DATABASE),
                               (own.name("initech"), DATABASE), (own.name("umbrella"),) * 2}
            pools = {row[:2] for row in console.execute("SHOW POOLS").fetchall()}
            assert pools == {(DATABASE, "bulkhead_pool"), (DATABASE, "t_*"), ("t_*", "t_*")}


def test_writes_go_where_reads_come_from(shared_proxy, tenant):
    with shared_proxy.connect(tenant) as connection:
        connection.execute("INSERT INTO orders (id, item) VALUES (1000, 'new')")
        assert connection.execute("UPDATE orders SET item = 'newer' WHERE id = 1000").rowcount == 1
        assert connection.execute("DELETE FROM orders WHERE id = 1000 RETURNING item").fetchone()[0] == "newer"
    for other in ALL:
        with shared_proxy.connect(other) as connection:
            assert items(connection) == expected(other)


def test_a_login_that_shares_tables_is_its_own_context(shared_proxy, stand):
    with shared_proxy.connect("hooli") as connection:
        assert str(connection.execute("SELECT bulkhead.tenant_id()").fetchone()[0]) == stand.ids["hooli"]
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("SELECT bulkhead.enter('a', 'b', 'c', 'd', 'e')")


def test_clients_wait_for_the_one_place_of_the_server_and_all_are_served(stand, own):
    """Two places, four routes, sixteen clients: backends of one route make room for those of another."""
    failures, done = [], []

    def backends():
        with stand.admin() as admin:
            return admin.execute("SELECT count(*) FROM pg_stat_activity WHERE usename = 'bulkhead_pool' "
                                 "OR usename ~ '^t_'").fetchone()[0]

    def hop(proxy, number):
        try:
            for turn in range(10):
                tenant = ALL[(number + turn) % len(ALL)]
                with proxy.connect(tenant) as connection:
                    assert items(connection) == expected(tenant)
                    done.append(tenant)
        except Exception as error:  # noqa: BLE001 (is reported by the test's own thread)
            failures.append(error)

    before = backends()  # of the other proxy
    cluster = {"secret_file": own.file, "max_server_connections": 2}
    with stand.proxy(cluster__default=cluster) as proxy:
        threads = [threading.Thread(target=hop, args=(proxy, number)) for number in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not failures and len(done) == 160
        assert backends() - before <= 2


def test_idle_pools_are_freed(stand, own):
    with stand.proxy(**own.sections(pool={"server_idle_timeout": 1, "default_pool_size": 4})) as proxy:
        for tenant in ALL:
            with proxy.connect(tenant) as connection:
                items(connection)
        proxy.configure(bulkhead={"admin_users": "shop"})
        proxy.reload()
        with proxy.connect(dbname="bulkhead", prepare_threshold=None) as console:
            wait_for(lambda: not console.execute("SHOW POOLS").fetchall(), "no pool")
            sums = console.execute("SHOW STATS").fetchall()
            assert sums and sums[0][1] >= len(ALL), "what was counted is still counted"


# ---- passwords ----

def outcome(proxy, tenant):
    """Why it is not let in, or None."""
    try:
        proxy.connect(tenant).close()
    except psycopg.OperationalError as error:
        return str(error)
    return None


def refused(proxy, tenant):
    with pytest.raises(psycopg.OperationalError) as failed:
        proxy.connect(tenant)
    return str(failed.value)


def test_a_login_whose_password_is_of_another_key_is_found(stand, own):
    own.add_key("k2")  # its record says k1, and so does the server
    try:
        with stand.proxy(**own.sections()) as proxy:
            with proxy.connect("initech") as connection:
                assert items(connection) == expected("initech")
            own.set_password("initech", "k2")  # what the record says is not true any more
            with stand.admin() as admin:
                admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s",
                              (own.name("initech"),))
            wait_for(lambda: proxy.events("backend.closed"), "the backend is gone")
            for _ in range(3):
                with proxy.connect("initech") as connection:
                    assert items(connection) == expected("initech")
    finally:
        own.set_password("initech", "k1")
        own.drop_key("k2")


def test_no_key_that_fits_is_told_the_log_and_not_the_client(stand, own):
    with stand.proxy(**own.sections()) as proxy:
        own.set_password("umbrella", "k1")
        with stand.admin() as admin:
            own.run(admin, "ALTER ROLE {} PASSWORD {}", own.name("umbrella"), secret="another")
        text = refused(proxy, "umbrella")
        own.set_password("umbrella", "k1")
        assert "BH-NET-BACKEND-DOWN" in text and "password" not in text
        assert {event["login"] for event in proxy.events("backend.refused")} == {own.name("umbrella")}
        with proxy.connect("acme") as connection:  # nobody else is concerned
            assert items(connection) == expected("acme")


def test_without_a_secret_no_password_is_sent(stand, own):
    with stand.proxy() as proxy:
        assert "BH-NET-BACKEND-DOWN" in refused(proxy, "initech")
        assert "none is configured" in proxy.events("backend.refused")[0]["why"]


def test_a_file_of_one_tenant_serves_no_other(stand, own):
    file = stand.folder / "initech.secret"
    file.touch(0o600)
    file.write_text(own.derived("initech"))
    with stand.proxy(cluster__default={"secret_file": file}) as proxy:
        with proxy.connect("initech") as connection:
            assert items(connection) == expected("initech")
        assert "BH-NET-BACKEND-DOWN" in refused(proxy, "umbrella")
        assert "has no key for this login" in proxy.events("backend.refused")[0]["why"]


def test_a_secret_that_cannot_be_read_stops_the_start(stand, own):
    file = stand.folder / "bad.secret"
    file.touch(0o600)
    file.write_text("k1 short\n")
    with pytest.raises(RuntimeError, match="32 bytes in base64"):
        stand.proxy(cluster__default={"secret_file": file}).__enter__()


# ---- changes ----

def test_backends_of_a_suspended_tenant_go_at_once(stand, own):
    def backends():
        with stand.admin() as admin:
            return admin.execute("SELECT count(*) FROM pg_stat_activity WHERE usename = %s",
                                 (own.name("umbrella"),)).fetchone()[0]

    with stand.proxy(**own.sections()) as proxy, proxy.wire("umbrella") as wire:
        wire.query("SELECT item FROM orders")
        assert backends()
        stand.command("tenant", "suspend", "umbrella")
        try:
            assert_ended(wire, "BH-ID-SUSPENDED")
            wait_for(lambda: not backends(), "the backend is gone")
        finally:
            stand.command("tenant", "resume", "umbrella")
        wait_for(lambda: outcome(proxy, "umbrella") is None, "it is let in again")
        with proxy.connect("umbrella") as again:
            assert items(again) == expected("umbrella")


def test_a_tenant_that_gets_a_login_of_its_own_connects_again(stand, own):
    own.login("soylent", dedicated_login=False)
    with stand.proxy(**own.sections()) as proxy, proxy.wire("soylent") as wire:
        with stand.admin() as admin:
            admin.execute("UPDATE bulkhead_control.tenant SET dedicated_login = true WHERE slug = 'soylent'")
        assert_ended(wire, "BH-ID-MOVED")
        with proxy.connect("soylent") as again:
            assert again.execute("SELECT session_user").fetchone()[0] == own.name("soylent")
            assert items(again) == expected("soylent")


def test_a_tenant_that_loses_its_login_leaves_no_backend_behind(stand, own):
    """What is kept of a role that is dropped would be taken up again when another of that name is made."""
    own.login("vandelay")

    def backends():
        with stand.admin() as admin:
            return admin.execute("SELECT count(*) FROM pg_stat_activity WHERE usename = %s",
                                 (own.name("vandelay"),)).fetchone()[0]

    def say(text):
        with stand.admin() as admin:
            admin.execute(text)

    with stand.proxy(**own.sections()) as proxy:
        with proxy.connect("vandelay") as connection:
            assert items(connection) == expected("vandelay")
        assert backends()
        say("UPDATE bulkhead_control.tenant SET name = 'Vandelay' WHERE slug = 'vandelay'")
        with proxy.connect("vandelay") as connection:
            assert items(connection) == expected("vandelay")
        assert not proxy.events("backend.closed") and backends()  # who stays where it is keeps them
        say("UPDATE bulkhead_control.tenant SET dedicated_login = false WHERE slug = 'vandelay'")
        wait_for(lambda: not backends(), "the backend is gone")
        with proxy.connect("vandelay") as connection:
            assert connection.execute("SELECT session_user").fetchone()[0] == "bulkhead_pool"
            assert items(connection) == expected("vandelay")


@pytest.mark.parametrize("named", ("eu", "us, eu"))
def test_regions_that_are_served(stand, own, named):
    with stand.admin() as admin:
        admin.execute("UPDATE bulkhead_control.tenant SET region = 'eu' WHERE slug = 'initech'")
        admin.execute("UPDATE bulkhead_control.tenant SET region = 'ap' WHERE slug = 'umbrella'")
    with stand.proxy(**own.sections(bulkhead={"regions": named})) as proxy:
        with proxy.connect("initech") as connection:
            assert items(connection) == expected("initech")
        for tenant in ("umbrella", "acme"):  # of another region, and of none
            assert "BH-ID-REGION" in refused(proxy, tenant)


def test_a_reload_or_a_move_out_of_the_regions_ends_sessions(stand, own):
    with stand.admin() as admin:
        admin.execute("UPDATE bulkhead_control.tenant SET region = 'eu' WHERE slug = 'initech'")
    with stand.proxy(**own.sections()) as proxy:
        with proxy.wire("initech") as kept, proxy.wire("acme") as ended:
            proxy.reload(bulkhead={"regions": "eu"})
            assert "BH-ID-REGION" in ended.until_end()[-1].fields["D"]
            kept.query("SELECT 1")
            with stand.admin() as admin:
                admin.execute("UPDATE bulkhead_control.tenant SET region = 'us' WHERE slug = 'initech'")
            assert_ended(kept, "BH-ID-MOVED")


def test_the_region_of_a_cluster_is_that_of_its_tenants(stand, own):
    with stand.admin() as admin:
        admin.execute("UPDATE bulkhead_control.tenant SET region = NULL WHERE region IS NOT NULL")
        admin.execute("UPDATE bulkhead_control.cluster SET region = 'eu'")
    try:
        with stand.proxy(**own.sections(bulkhead={"regions": "eu"})) as proxy:
            with proxy.connect("initech") as connection:
                assert items(connection) == expected("initech")
    finally:
        with stand.admin() as admin:
            admin.execute("UPDATE bulkhead_control.cluster SET region = NULL")


def test_a_client_s_database_is_the_cluster_s_whatever_the_strategy(shared_proxy, own, tenant):
    with pytest.raises(psycopg.OperationalError, match="BH-ID-DATABASE"):
        shared_proxy.connect(tenant, dbname=own.name("umbrella"))


def test_startup_options_cannot_name_another_schema(shared_proxy, own):
    with shared_proxy.connect("initech", options=f"-c search_path=public,{own.name('hooli')}") as connection:
        with pytest.raises(psycopg.errors.UndefinedTable):
            connection.execute("SELECT * FROM orders")


def test_cancel_requests_arrive(shared_proxy, tenant):
    with shared_proxy.connect(tenant) as connection:
        timer = threading.Timer(0.3, connection.cancel)
        timer.start()
        with pytest.raises(psycopg.errors.QueryCanceled):
            connection.execute("SELECT count(*) FROM generate_series(1, 10000000000)")
        assert items(connection) == expected(tenant)
