"""The console: who gets in, what it shows, what it does, and that it is no way to anybody's data."""

import contextlib
import signal
import struct
import threading
import time

import psycopg
import pytest
from harness.postgres import HOST
from harness.stand import DATABASE
from harness.threads import held, workers
from harness.wait import wait_for
from harness.wire import (Wire, WireError, bind, close, describe, execute, flush, function_call, message, parse,
                          query, rows, startup, sync, types, why)

CONSOLE = "bulkhead"
TABLES = ["CLIENTS", "CONFIG", "DATABASES", "HELP", "LISTS", "PINS", "POOLS", "PRINCIPALS", "SERVERS", "STATE", "STATS",
          "TENANTS", "USERS", "VERSION"]
ADMIN_COMMANDS = ["PAUSE", "PAUSE acme", "RESUME", "RESUME acme", "KILL acme", "RECONNECT", "RECONNECT acme", "RELOAD",
                  "SHUTDOWN"]


@pytest.fixture(scope="module")
def people(stand):
    """`shop`, the tenants' own principal, is none of them."""
    for name in ("root", "watch", "left"):
        stand.principal(name)
    yield
    with stand.admin() as admin:
        admin.execute("DELETE FROM bulkhead_control.principal WHERE name IN ('root', 'watch', 'left')")


def console_proxy(stand, **sections):
    return stand.proxy(bulkhead={"admin_users": "root", "stats_users": "watch, left", **sections.pop("bulkhead", {})},
                       **sections)


@pytest.fixture(scope="module")
def proxy(stand, people):
    with console_proxy(stand) as proxy:
        yield proxy


def console(proxy, user="root", **more):
    return proxy.connect(user=user, dbname=CONSOLE, **more)


def wire_of(proxy, user="root", dbname=CONSOLE, **keys):
    wire = Wire.connect(HOST, proxy.port)
    try:
        return wire.login({"user": user, "database": dbname, **keys}, proxy.stand.password)
    except BaseException:
        wire.close()
        raise


def table(connection, sql):
    """The rows as dictionaries."""
    cursor = connection.execute(sql)
    return [dict(zip([column.name for column in cursor.description], row)) for row in cursor.fetchall()]


def refusal(proxy, **more):
    """SQLSTATE and reason code of a login that fails."""
    with pytest.raises(WireError) as failed:
        wire_of(proxy, **more).close()
    return failed.value.why


def failures(messages):
    """The fields of the errors among them."""
    return [m.fields for m in messages if m.type == "E"]


# ---- who gets in ----

@pytest.mark.parametrize("user", ["shop", "shop.acme", "shop.root", "shop.nosuch"])
def test_a_principal_of_neither_list_is_refused(proxy, user):
    assert refusal(proxy, user=user) == ("42501", "BH-ID-CONSOLE")


@pytest.mark.parametrize("user", ["root", "root.acme", "root.nosuch", "watch"])
def test_those_of_the_lists_are_let_in_whatever_tenant_they_name(proxy, user):
    with console(proxy, user) as connection:
        assert connection.execute("SHOW VERSION").fetchone()[0].startswith("Bulkhead ")


@pytest.mark.parametrize("dbname", ["BULKHEAD", "Bulkhead", "bulkhead ", " bulkhead", "bulkhead\t", "bulkhead.",
                                    "bulkhea", "\"bulkhead\"", "bulkhead\xa0", "bulkhead/", "'bulkhead'"])
@pytest.mark.parametrize("user", ["shop.acme", "root.acme", "root"])
def test_only_the_very_name_is_the_console(proxy, user, dbname):
    wanted = ("3D000", "BH-ID-DATABASE") if user != "root" else ("28000", "BH-ID-NO-TENANT")
    assert refusal(proxy, user=user, dbname=dbname.encode()) == wanted


def test_who_has_a_wrong_password_is_told_nothing_else(proxy):
    """Not even that there is a console, or whom it is for."""
    found = []
    for user, dbname in [(user, CONSOLE) for user in ("root", "watch", "shop", "nobody")] + [("shop", DATABASE)]:
        with Wire.connect(HOST, proxy.port) as wire:
            with pytest.raises(WireError) as failed:
                wire.login({"user": user, "database": dbname}, "wrong")
            found.append(failed.value.fields)
    assert all(fields == found[0] for fields in found) and found[0]["C"] == "28P01"


def test_the_name_of_the_user_does_not_open_it(stand, people):
    """PostgreSQL's default for the database is the user's name."""
    stand.principal("bulkhead")
    try:
        with console_proxy(stand) as proxy, Wire.connect(HOST, proxy.port) as wire:
            with pytest.raises(WireError) as failed:
                wire.login({"user": "bulkhead"}, stand.password)
            assert failed.value.why == ("42501", "BH-ID-CONSOLE")
    finally:
        with stand.admin() as admin:
            admin.execute("DELETE FROM bulkhead_control.principal WHERE name = 'bulkhead'")


def test_the_selector_database_does_not_lead_to_a_tenant_of_that_name(stand, people):
    with console_proxy(stand, listen__default={"selectors": "database"}) as proxy:
        assert refusal(proxy, user="shop") == ("42501", "BH-ID-CONSOLE")
        with console(proxy) as connection:
            assert table(connection, "SHOW STATE")


def test_a_fixed_tenant_and_its_key_are_no_way_round(stand, people):
    with console_proxy(stand, listen__default={"tenant": "acme"}) as proxy:
        assert refusal(proxy, user="shop") == ("42501", "BH-ID-CONSOLE")


def test_no_cluster_may_have_the_consoles_name(stand):
    with pytest.raises(RuntimeError, match="is the name of Bulkhead's own console"):
        with stand.proxy(cluster__default={"database": "bulkhead"}):
            pass


@pytest.mark.parametrize("command", ADMIN_COMMANDS)
def test_stats_users_may_only_look(proxy, command):
    with wire_of(proxy, "watch") as wire:
        assert [why(fields) for fields in failures(wire.query(command))] == [("42501", "BH-PERM-CONSOLE")]
        wire.send(parse(command), bind(), execute(), sync())
        assert [why(fields) for fields in failures(wire.until_ready())] == [("42501", "BH-PERM-CONSOLE")]
        for name in TABLES:
            assert "E" not in types(wire.query(f"SHOW {name}"))
    assert proxy.process.poll() is None


def test_who_is_taken_off_the_lists_is_ended(stand, people):
    with console_proxy(stand) as proxy:
        with wire_of(proxy, "left") as left, wire_of(proxy, "root") as root:
            proxy.reload(bulkhead={"stats_users": "watch", "admin_users": "shop"})
            for wire in (left, root):
                found = wire.send(query("SHOW CLIENTS")) or wire.until_end()
                assert [why(m.fields) for m in found] == [("42501", "BH-ID-CONSOLE")]


def test_who_is_disabled_is_ended(stand, proxy):
    with wire_of(proxy, "left") as wire, stand.admin() as admin:
        admin.execute("UPDATE bulkhead_control.principal SET disabled = true WHERE name = 'left'")
        try:
            assert why(wire.until_end()[-1].fields) == ("57P01", "BH-ID-REVOKED")
        finally:
            admin.execute("UPDATE bulkhead_control.principal SET disabled = false WHERE name = 'left'")


def test_it_takes_reserved_places_and_no_tenants(stand, people):
    limits = {"max_client_conn": 3, "reserved_client_conn": 1, "max_tenant_client_connections": 1,
              "max_user_client_connections": 1}
    with console_proxy(stand, bulkhead=limits) as proxy:
        with proxy.connect("acme"), console(proxy), wire_of(proxy, "root"):
            assert refusal(proxy, user="root") == ("53300", "BH-LIM-CLIENTS")
        wait_for(lambda: proxy.connect("acme", user="root.acme").close() is None, "a place")
        with proxy.connect("acme"), console(proxy, "watch"):
            assert refusal(proxy, user="left") == ("53300", "BH-LIM-CLIENTS")  # the last is for admin_users
            console(proxy).close()


# ---- what it shows ----

def test_it_shows_a_session_its_backend_and_what_keeps_it(stand, proxy):
    with proxy.connect("acme", application_name="till 3") as client, console(proxy, application_name="desk") as desk:
        client.execute("CREATE TEMPORARY TABLE kept (n int)")
        mine, = wait_for(lambda: [row for row in table(desk, "SHOW CLIENTS") if row["application_name"] == "till 3"
                                  and row["state"] == "idle"], "the server to have said what is kept")
        assert mine["tenant"] == "acme" and mine["tenant_id"] == stand.ids["acme"] and mine["user"] == "shop"
        assert mine["database"] == DATABASE and mine["addr"] == HOST and mine["type"] == "C"
        assert mine["state"] == "idle" and mine["pin"] == "temporary objects"
        assert mine["pid"] == client.info.backend_pid
        assert mine["backend"] == client.execute("SELECT pg_backend_pid()").fetchone()[0]
        server, = [row for row in table(desk, "SHOW SERVERS") if row["remote_pid"] == mine["backend"]]
        assert (server["tenant"], server["client"], server["state"]) == ("acme", mine["pid"], "active")
        pin, = [row for row in table(desk, "SHOW PINS") if row["client"] == mine["pid"]]
        assert (pin["cause"], pin["user"], pin["backend"]) == ("temporary objects", "shop", mine["backend"])
        assert 0 <= pin["seconds"] < 60
        own, = [row for row in table(desk, "SHOW CLIENTS") if row["application_name"] == "desk"]
        assert (own["state"], own["database"], own["tenant"]) == ("console", CONSOLE, None)
        tenant, = [row for row in table(desk, "SHOW TENANTS") if row["tenant"] == "acme"]
        assert tenant["pinned"] == 1 and tenant["sessions"] >= 1 and tenant["paused"] == 0


def test_counts_agree(stand, people):
    with console_proxy(stand, log={"stats_period": "1s"}) as proxy:
        clients = [proxy.connect(slug) for slug in ("acme", "acme", "globex")]
        with console(proxy) as desk:
            for client in clients:
                for _ in range(5):
                    client.execute("SELECT 1")
            with clients[0].transaction():
                clients[0].execute("SELECT 1")
                clients[0].execute("SELECT 1")
                pool, = table(desk, "SHOW POOLS")
                assert (pool["database"], pool["cluster"], pool["pool_mode"]) == (DATABASE, "default", "transaction")
                assert (pool["cl_active"], pool["cl_waiting"], pool["sv_active"]) == (3, 0, 1)
                servers = table(desk, "SHOW SERVERS")
                assert len(servers) == pool["sv_active"] + pool["sv_idle"]
            stats, = table(desk, "SHOW STATS")
            assert stats["total_query_count"] >= 3 * 5 + 3 and stats["total_xact_count"] >= 3 * 5 + 1
            lists = {row["list"]: row["items"] for row in table(desk, "SHOW LISTS")}
            # Tests before this one may have added clusters to the stand, which nobody uses here.
            assert (lists["used_clients"], lists["databases"], lists["pools"]) == (4, len(stand.clusters), 1)
            assert lists["free_servers"] == len(servers) and lists["used_servers"] == 0
            assert {row["tenant"]: row["sessions"] for row in table(desk, "SHOW TENANTS")} == {"acme": 2, "globex": 1}
            users = {row["name"]: row["current_client_connections"] for row in table(desk, "SHOW PRINCIPALS")}
            assert users == {"shop": 3, "root": 1}
            database, = [row for row in table(desk, "SHOW DATABASES") if row["name"] == "default"]
            assert database["current_client_connections"] == 3 and database["force_user"] == "bulkhead_pool"
            busy = wait_for(lambda: [clients[0].execute("SELECT 1")] and [
                row for row in table(desk, "SHOW STATS") if row["avg_query_count"] > 0], "an average")
            assert busy[0]["avg_xact_count"] > 0
            for client in clients:
                client.close()


def test_settings_are_shown_and_no_secret(stand, people):
    with console_proxy(stand, pool={"default_pool_size": 7}) as proxy, console(proxy, "watch") as desk:
        shown = {row["key"]: row for row in table(desk, "SHOW CONFIG")}
        assert shown["pool.default_pool_size"] == {"key": "pool.default_pool_size", "value": "7", "default": "20",
                                                   "changeable": "yes"}
        assert shown["listen:default.listen_port"]["changeable"] == "no"
        assert shown["cluster:default.password" if stand.installation.is_shared else "cluster:default.secret"]["value"] == "(set)"
        for secret in stand.installation.secrets():
            assert secret and not any(secret in str(row) for row in shown.values())
        proxy.reload(pool={"default_pool_size": 8})
        shown = {row["key"]: row["value"] for row in table(desk, "SHOW CONFIG")}
        assert shown["pool.default_pool_size"] == "8"


# ---- the protocol ----

def test_psql_works(proxy):
    script = "SHOW STATE;\n\\x\nshow lists\\; SHOW VERSION;\n\\x\n\\pset format csv\nSHOW HELP;\n\\q\n"
    done = proxy.psql(None, stdin=script, user="root", dbname=CONSOLE)
    assert done.returncode == 0 and done.stderr == ""
    assert "suspended | no" in done.stdout and "Bulkhead" in done.stdout and "command,meaning" in done.stdout


@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize("prepared", [None, 0])
def test_psycopg_works(proxy, binary, prepared):
    with console(proxy, autocommit=False, prepare_threshold=prepared) as connection:
        for name in TABLES * 2:
            cursor = connection.execute(f"SHOW {name}", binary=binary)
            for row in cursor.fetchall():
                for column, value in zip(cursor.description, row):
                    kind = {20: int, 701: float, 25: str}[column.type_code]
                    assert value is None or isinstance(value, kind)
        connection.commit()
        with pytest.raises(psycopg.errors.SyntaxError, match="SHOW HELP"):
            connection.execute("SELECT 1")
        connection.rollback()
        assert connection.execute("SHOW VERSION").fetchone()


def test_several_commands_in_one_query(proxy):
    with wire_of(proxy) as wire:
        assert types(wire.query("SHOW VERSION; SET x = 1; SHOW STATE;")) == "TDCCTDDDCZ"
        assert types(wire.query("SHOW VERSION; nonsense; SHOW STATE")) == "TDCEZ"
        assert types(wire.query("")) == types(wire.query(" ;; -- nothing")) == "IZ"
        assert [m.status for m in wire.query("BEGIN") if m.type == "Z"] == ["T"]
        assert [m.status for m in wire.query("COMMIT") if m.type == "Z"] == ["I"]


def test_an_unknown_command_says_what_there_is(proxy):
    with wire_of(proxy) as wire:
        fields, = failures(wire.query("SELECT * FROM orders"))
        assert why(fields) == ("42601", "BH-STMT-CONSOLE") and "SHOW HELP" in fields["H"]


def test_extended_messages_work(proxy):
    with wire_of(proxy) as wire:
        wire.send(parse("SHOW STATE", "s"), describe("s"), bind(statement="s", portal="p"), describe("p", "P"),
                  execute("p"), close("p", "P"), close("s"), sync())
        assert types(wire.until_ready()) == "1tT2TDDDC33Z"
        wire.send(parse("SHOW HELP"), bind(), execute(max_rows=2), execute(max_rows=2), flush(), execute(), sync())
        found = types(wire.until_ready())
        assert found.startswith("12DDsDDsDDD") and found.endswith("DCZ")
        wire.send(parse(""), bind(), execute(), parse("SET a = 1"), bind(), describe("", "P"), execute(), sync())
        assert types(wire.until_ready()) == "12I12nCZ"
        wire.send(parse("SHOW LISTS"), bind(result_formats=(0, 1)), execute(), sync())
        for name, items in [m.row for m in wire.until_ready() if m.type == "D"]:
            assert name.decode().islower() and struct.unpack("!q", items)[0] >= 0


@pytest.mark.parametrize("parts, sqlstate", [
    ([parse("nonsense")], "42601"), ([parse("SHOW STATE; SHOW STATE")], "42601"), ([parse("SHOW STATE $1")], "42601"),
    ([bind(statement="none")], "26000"), ([describe("none")], "26000"), ([execute("none")], "34000"),
    ([describe("none", "P")], "34000"), ([parse("SHOW STATE"), bind(values=("x",))], "08P01"),
    ([parse("SHOW STATE", "s"), parse("SHOW STATE", "s")], "42P05"),
])
def test_what_fails_is_skipped_to_the_sync(proxy, parts, sqlstate):
    with wire_of(proxy) as wire:
        wire.send(*parts, parse("SHOW VERSION"), bind(), execute(), sync())
        found = wire.until_ready()
        assert [fields["C"] for fields in failures(found)] == [sqlstate]
        assert types(found).endswith("EZ")
        assert types(wire.query("SHOW VERSION")) == "TDCZ"


def test_statements_are_bounded(proxy):
    with wire_of(proxy) as wire:
        wire.send(*[parse("SHOW STATE", f"s{n}") for n in range(101)], sync())
        assert [fields["C"] for fields in failures(wire.until_ready())] == ["53400"]


HOSTILE = {
    "function call": function_call(1),
    "no such message": message("?", b"x"),
    "password": message("p", b"x\0"),
    "query without an end": message("Q", b"SHOW STATE"),
    "query with two ends": message("Q", b"SHOW STATE\0KILL acme\0"),
    "empty query message": message("Q"),
    "bind without formats": message("B", b"\0\0"),
    "bind of a format there is none of": parse("SHOW STATE") + bind(result_formats=(7,)),
    "too many formats": parse("SHOW STATE") + bind(result_formats=(0,) * 3),
    "describe of nothing": message("D", b"Xs\0"),
    "execute without a limit": message("E", b"\0"),
    "parse with half a type": message("P", b"\0SHOW STATE\0\0\1\0\0"),
    "length 3": b"Q\0\0\0\3",
    "length of 2 GB": b"Q\x7f\xff\xff\xff",
    "length of 4 GB": b"Q\xff\xff\xff\xff",
    "long query": query("SHOW STATE" + " " * 20000),
    "second startup": startup({"user": "shop.acme", "database": "shop"}),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_bytes_end_the_session(proxy, case):
    with wire_of(proxy) as wire:
        wire.send(HOSTILE[case], query("SHOW VERSION"))
        found = wire.until_end()
        assert found[-1].type == "E" and found[-1].fields["S"] == "FATAL"
        assert found[-1].fields["C"] in ("08P01", "54000") and "T" not in types(found)
    with console(proxy) as desk:
        assert desk.execute("SHOW VERSION").fetchone()


def test_no_command_reaches_a_database(stand, proxy):
    """Nothing that is SQL runs, however it is sent, and backends see nothing of it."""
    with wire_of(proxy) as wire:
        for sql in ("SELECT item FROM orders", "TABLE orders", "COPY orders TO STDOUT", "DO $$BEGIN END$$", "LISTEN x",
                    "SET bulkhead.tenant = 'acme'; SELECT item FROM orders", "BEGIN; SELECT item FROM orders",
                    "KILL acme; SELECT 1", "PREPARE x AS SELECT 1", "EXECUTE x", "SHOW POOLS UNION SELECT 1",
                    "SHOW search_path", "FETCH 1 FROM c", "VALUES (1)", "SELECT bulkhead.enter(1,2,3,4,5)"):
            found = wire.query(sql)
            assert [fields["C"] for fields in failures(found)] == ["42601"] and "D" not in types(found), sql


def test_bytes_may_come_one_by_one(proxy):
    with wire_of(proxy) as wire:
        wire.send_slowly(query("SHOW VERSION") + parse("SHOW STATE") + bind() + execute() + sync())
        assert types(wire.until_ready(2)) == "TDCZ12DDDCZ"


def test_a_pipeline_is_answered_in_order(proxy):
    with wire_of(proxy) as wire:
        wire.send(*[query(f"SHOW {name}") for name in TABLES * 20])
        found = wire.until_ready(len(TABLES) * 20)
        assert types(found).replace("D", "") == "TCZ" * len(TABLES) * 20


# ---- what it does ----

def test_pause_waits_for_transactions_and_holds_up_the_next(stand, proxy):
    with proxy.connect("acme") as client, proxy.connect("globex") as other, console(proxy) as desk:
        with client.transaction():
            client.execute("SELECT 1")
            pausing = threading.Thread(target=desk.execute, args=("PAUSE acme",))
            pausing.start()
            pausing.join(1)
            assert pausing.is_alive()
            client.execute("SELECT 1")
        pausing.join(10)
        assert not pausing.is_alive()
        other.execute("SELECT 1")
        waiting = threading.Thread(target=client.execute, args=("SELECT 1",))
        waiting.start()
        row, = wait_for(lambda: [row for row in table(desk, "SHOW TENANTS") if row["cl_waiting"]], "one that waits")
        assert (row["tenant"], row["paused"]) == ("acme", 1)
        desk.execute("RESUME acme")
        waiting.join(10)
        assert not waiting.is_alive()


def test_pause_of_all_is_shown_and_can_be_taken_back(proxy):
    with console(proxy) as desk:
        desk.execute("PAUSE")
        try:
            assert {row["key"]: row["value"] for row in table(desk, "SHOW STATE")}["paused"] == "yes"
        finally:
            desk.execute("RESUME")
        assert {row["key"]: row["value"] for row in table(desk, "SHOW STATE")}["paused"] == "no"


def test_a_pause_that_waits_can_be_cancelled(proxy):
    with proxy.connect("acme") as client, wire_of(proxy) as wire, console(proxy) as desk:
        with client.transaction():
            client.execute("SELECT 1")
            wire.send(query("PAUSE acme; SHOW VERSION"))
            assert wire.is_silent()
            wire.cancel()
            found = wire.until_ready()
            assert types(found) == "EZ" and why(found[0].fields) == ("57014", "BH-NET-CANCELLED")
        assert [row["paused"] for row in table(desk, "SHOW TENANTS") if row["tenant"] == "acme"] == [1]
        desk.execute("RESUME acme")
        client.execute("SELECT 1")


def test_who_leaves_a_pause_that_waits_is_gone(proxy):
    with proxy.connect("acme") as client, console(proxy) as desk:
        with client.transaction():
            client.execute("SELECT 1")
            wire = wire_of(proxy, application_name="deserter")
            wire.send(query("PAUSE acme"))
            assert wire.is_silent()
            wire.close()
            wait_for(lambda: not any(row["application_name"] == "deserter" for row in table(desk, "SHOW CLIENTS")),
                     "its end")
        desk.execute("RESUME acme")


def test_kill_ends_a_tenants_sessions_and_no_others(proxy):
    with proxy.wire("acme") as mine, proxy.wire("globex") as other, wire_of(proxy) as desk:
        assert [m.tag for m in desk.query("KILL 'acme'") if m.type == "C"] == ["KILL 1"]
        assert why(mine.until_end()[-1].fields) == ("57P01", "BH-NET-KILLED")
        assert types(other.query("SELECT 1")) == "TDCZ"


def test_tenants_are_named_by_slug_id_and_key(stand, proxy):
    with wire_of(proxy) as desk:
        for name in ("acme", stand.ids["acme"], "101", "'acme'", '"101"'):
            assert [m.tag for m in desk.query(f"RESUME {name}") if m.type == "C"] == ["RESUME"]
        for name in ("nosuch", "'acme '", "ACME", "' OR true'"):
            fields, = failures(desk.query(f"KILL {name}"))
            assert why(fields) == ("3D000", "BH-ID-UNKNOWN-TENANT")


def test_reconnect_replaces_backends(proxy):
    with proxy.connect("acme") as client, console(proxy) as desk:
        before = client.execute("SELECT pg_backend_pid()").fetchone()
        desk.execute("RECONNECT acme")
        assert client.execute("SELECT pg_backend_pid()").fetchone() != before


def test_reload_and_shutdown(stand, people):
    with console_proxy(stand) as proxy:
        with console(proxy) as desk:
            proxy.configure(pool={"default_pool_size": 9})
            desk.execute("RELOAD")
            wait_for(lambda: any(row["key"] == "pool.default_pool_size" and row["value"] == "9"
                                 for row in table(desk, "SHOW CONFIG")), "the new setting")
            assert [line["command"] for line in proxy.events("console.command")] == ["RELOAD"]
            desk.execute("SHUTDOWN")
            assert proxy.process.wait(30) == 0


# ---- several workers ----

WORKERS = 4


def worker_of(wire):
    """From 1 up, as the tables have it: its number is the remainder of the pid (proxy/cancel.c)."""
    return wire.pid % WORKERS + 1


def names_of(description):
    """The columns' names, of a RowDescription."""
    names, rest = [], description.body[2:]
    while rest:
        name, rest = rest.split(b"\0", 1)
        names.append(name.decode())
        rest = rest[18:]
    return names


def shown(desk, sql):
    """The rows as dictionaries, all texts."""
    answer = desk.query(sql)
    assert types(answer).endswith("CZ"), answer
    return [dict(zip(names_of(answer[0]), row)) for row in rows(answer)]


@pytest.fixture
def office(stand, people):
    """Two sessions of acme on each of four workers, and an administrator's."""
    with contextlib.ExitStack() as stack:
        proxy = stack.enter_context(console_proxy(stand, bulkhead={"workers": WORKERS},
                                                  pool={"default_pool_size": 20}))
        desks = [stack.enter_context(wire_of(proxy)) for _ in range(WORKERS)]
        clients = [stack.enter_context(proxy.wire("acme")) for _ in range(2 * WORKERS)]
        assert {worker_of(desk) for desk in desks} == {worker_of(wire) for wire in clients} == {1, 2, 3, 4}
        yield desks, clients


def test_each_worker_shows_the_sessions_of_all(office):
    desks, clients = office
    backends = {}
    for wire in clients:
        wire.query("BEGIN")
        backends[wire.pid] = rows(wire.query("SELECT pg_backend_pid()"))[0][0]
    for desk in desks:
        found = {int(row["pid"]): row for row in shown(desk, "SHOW CLIENTS")}
        assert {pid: int(row["worker"]) for pid, row in found.items()} == {w.pid: worker_of(w) for w in desks + clients}
        assert {pid: row["backend"] for pid, row in found.items() if row["tenant"] == "acme"} == backends
        assert {row["state"] for row in found.values()} == {"idle in transaction", "console"}
        servers = {int(row["client"]): row for row in shown(desk, "SHOW SERVERS") if row["client"]}
        assert {pid: row["remote_pid"] for pid, row in servers.items()} == backends
        assert all(int(row["worker"]) == pid % WORKERS + 1 for pid, row in servers.items())
        pool, = shown(desk, "SHOW POOLS")
        assert (pool["cl_active"], pool["sv_active"]) == ("8", "8")
        lists = {row["list"]: row["items"] for row in shown(desk, "SHOW LISTS")}
        assert (lists["workers"], lists["used_clients"], lists["used_servers"]) == ("4", "12", "8")
        tenant, = [row for row in shown(desk, "SHOW TENANTS") if row["tenant"] == "acme"]
        assert (tenant["sessions"], tenant["sv_active"]) == ("8", "8")
        users = {row["name"]: row["current_client_connections"] for row in shown(desk, "SHOW USERS")}
        assert users == {"shop": "8", "root": "4"}
        assert int(shown(desk, "SHOW STATS")[0]["total_query_count"]) >= len(clients)


def test_orders_reach_all_workers(office):
    desks, clients = office
    assert types(desks[0].query("PAUSE acme")) == "CZ"
    for wire in clients:
        wire.send(query("SELECT 1"))
    wait_for(lambda: shown(desks[1], "SHOW TENANTS")[0]["cl_waiting"] == "8", "all of them to wait")
    assert all(wire.is_silent(0.01) for wire in clients)
    assert types(desks[2].query("RESUME acme")) == "CZ"
    assert [types(wire.until_ready()) for wire in clients] == ["TDCZ"] * 8
    before = {row["remote_pid"] for row in shown(desks[3], "SHOW SERVERS")}
    assert types(desks[3].query("RECONNECT")) == "CZ"
    wait_for(lambda: not before & {row["remote_pid"] for row in shown(desks[0], "SHOW SERVERS")}, "their end")
    assert [m.tag for m in desks[1].query("KILL acme") if m.type == "C"] == ["KILL 8"]
    assert {why(wire.until_end()[-1].fields) for wire in clients} == {("57P01", "BH-NET-KILLED")}


def test_a_pause_waits_for_the_transactions_of_all_workers(office):
    desks, clients = office
    for wire in clients:
        wire.query("BEGIN")
        wire.query("SELECT 1")
    desks[0].send(query("PAUSE"))
    for wire in clients:
        assert desks[0].is_silent(0.1)
        wire.query("COMMIT")
    assert types(desks[0].until_ready()) == "CZ"
    assert types(desks[1].query("RESUME")) == "CZ"


def test_a_cancel_request_finds_the_pause_from_any_worker(office):
    """The connection that brings it is any worker's: four in a row are one of each."""
    desks, clients = office
    clients[0].query("BEGIN")
    clients[0].query("SELECT 1")
    for _ in range(WORKERS):
        for desk in desks:
            desk.send(query("PAUSE acme"))
            assert desk.is_silent(0.1)
            desk.cancel()
            found = desk.until_ready()
            assert types(found) == "EZ" and why(found[0].fields) == ("57014", "BH-NET-CANCELLED")
    assert types(clients[0].query("COMMIT")) == "CZ"
    assert types(desks[0].query("RESUME acme")) == "CZ"
    assert types(clients[0].query("SELECT 1")) == "TDCZ"


def test_places_are_counted_over_all_workers(stand, people):
    with console_proxy(stand, bulkhead={"workers": WORKERS, "max_client_conn": 6, "reserved_client_conn": 1}) as proxy:
        with contextlib.ExitStack() as stack:
            for _ in range(5):
                stack.enter_context(wire_of(proxy, "watch"))
            assert refusal(proxy, user="watch") == ("53300", "BH-LIM-CLIENTS")
            stack.enter_context(wire_of(proxy))
            assert refusal(proxy, user="root") == ("53300", "BH-LIM-CLIENTS")
        wait_for(lambda: wire_of(proxy, "watch").close() is None, "a place")


# ---- stopping ----

DRAINED = ("57P01", "BH-NET-DRAINED")


def test_a_question_that_is_open_at_the_end(stand, people):
    """A worker stands still and does not answer. What the other keeps for the question is freed: a sanitizer sees."""
    with console_proxy(stand, bulkhead={"workers": 2}) as proxy, wire_of(proxy) as desk:
        with held(workers(proxy)[-1]):
            desk.send(query("SHOW POOLS"))
            assert desk.is_silent(0.5), "the other worker is asked"
            proxy.process.send_signal(signal.SIGINT)
            assert "FATAL" in [m.fields["S"] for m in desk.until_end() if m.type == "E"]
        assert proxy.process.wait(20) == 0


@pytest.mark.parametrize("workers", [1, WORKERS])
def test_a_shutdown_lets_transactions_end(stand, people, workers):
    with console_proxy(stand, bulkhead={"workers": workers}) as proxy:
        with wire_of(proxy) as desk, wire_of(proxy) as idle, wire_of(proxy) as begun, proxy.wire("acme") as client:
            client.query("BEGIN")
            client.query("SELECT 1")
            begun.query("BEGIN")
            assert types(desk.query("SHUTDOWN")) == "CZ"
            for wire in (desk, idle, begun):
                assert why(wire.until_end()[-1].fields) == DRAINED
            assert types(client.query("SELECT 1")) == "TDCZ"
            assert types(client.query("COMMIT")) == "CZ"
            assert why(client.until_end()[-1].fields) == DRAINED
        assert proxy.process.wait(10) == 0


@pytest.mark.parametrize("workers", [1, WORKERS])
def test_a_drain_lets_a_pause_and_a_batch_come_to_their_end(stand, people, workers):
    """Also where other workers have ended already."""
    with console_proxy(stand, bulkhead={"workers": workers}) as proxy:
        with wire_of(proxy) as pausing, wire_of(proxy) as batch, proxy.wire("acme") as client:
            client.query("BEGIN")
            client.query("SELECT 1")
            pausing.send(query("PAUSE acme"))
            batch.send(parse("SHOW VERSION"), bind(), execute(), flush())
            assert [batch.read().type for _ in range(4)] == list("12DC")
            assert pausing.is_silent()
            proxy.process.terminate()
            assert pausing.is_silent() and batch.is_silent()
            batch.send(sync())
            assert types(batch.until_ready()) == "Z"
            assert why(batch.until_end()[-1].fields) == DRAINED
            assert types(client.query("COMMIT")) == "CZ"
            assert types(pausing.until_ready()) == "CZ"
            assert why(pausing.until_end()[-1].fields) == DRAINED
            assert why(client.until_end()[-1].fields) == DRAINED
        assert proxy.process.wait(10) == 0


# ---- many ----

def test_thousands_of_clients_are_shown_and_hold_up_nobody(stand, people):
    """Rows go out as the client takes them; others are served in between, and the list can change under the look."""
    count = 3000
    with console_proxy(stand, bulkhead={"max_client_conn": 4000, "max_login_conn": 4000}, listen__trusted={}) as proxy:
        crowd = [proxy.wire("acme", trusted=True) for _ in range(count)]
        with wire_of(proxy) as desk, proxy.wire("globex", trusted=True) as other:
            found = rows(desk.query("SHOW CLIENTS"))
            assert len(found) == count + 2
            assert len({row[12] for row in found}) == count + 2
            desk.send(query("SHOW CLIENTS") * 20)
            slowest = 0
            for wire in crowd[::10]:
                began = time.monotonic()
                assert types(other.query("SELECT 1")) == "TDCZ"
                slowest = max(slowest, time.monotonic() - began)
                wire.close()
            assert slowest < 1
            for _ in range(20):
                answer = desk.until_ready()
                assert count * 0.9 <= len(rows(answer)) <= count + 2 and types(answer).endswith("CZ")
            counted = {row[0]: int(row[3]) for row in rows(desk.query("SHOW TENANTS"))}
            assert counted["acme"] == count - len(crowd[::10])
        for wire in crowd:
            wire.close()
