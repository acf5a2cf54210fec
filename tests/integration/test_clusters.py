"""Clusters of several hosts: which of them serves, what their names stand for, and what is told of them."""

import socket
import subprocess
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg
import pytest
from harness.postgres import HOST, Standby
from harness.probe import probed, text
from harness.program import INSTRUMENTED
from harness.stand import DATABASE, Proxy
from harness.wait import wait_for
from harness.wire import WireError, errors, rows

TOOLS = Path(__file__).parents[1] / "harness" / "name_tools"
ELSEWHERE = "127.0.0.2"  # where another server may have the same port


@pytest.fixture(name="standby", scope="module")
def fixture_standby(stand):
    standby = Standby(stand.postgres)
    standby.settings["listen_addresses"] = f"{HOST},{ELSEWHERE}"
    standby.start()
    yield standby
    standby.remove()


def hosts(*servers, **more):
    """The section of the default cluster with these servers in this order."""
    return {"host": ", ".join([HOST] * len(servers)), "port": ", ".join(str(server.port) for server in servers), **more}


def is_standby(wire):
    (((answer,),)) = rows(wire.query("SELECT pg_is_in_recovery()"))
    return answer == "t"


def show_hosts(stand, proxy):
    """But for clusters that other tests have made."""
    with proxy.connect(dbname="bulkhead", user="hosts-boss") as console:
        cursor = console.execute("SHOW HOSTS")
        names = [column.name for column in cursor.description]
        found = [dict(zip(names, row)) for row in cursor.fetchall()]
    return [host for host in found if host["cluster"] in ("default", "second")]


@pytest.fixture(name="boss", scope="module")
def fixture_boss(stand):
    stand.principal("hosts-boss")
    return {"bulkhead": {"admin_users": "hosts-boss"}}


@pytest.mark.parametrize("target, expected", [
    ("any", [False, True]), ("read-write", [False, False]), ("read-only", [True, True]), ("primary", [False, False]),
    ("standby", [True, True]), ("prefer-standby", [True, True])])
def test_which_host_serves(stand, standby, target, expected):
    """With the primary in front, and with the standby."""
    for servers, is_there in zip(((stand.postgres, standby), (standby, stand.postgres)), expected):
        with stand.proxy(cluster__default=hosts(*servers, target_session_attrs=target)) as proxy, \
                proxy.wire("acme") as wire:
            assert is_standby(wire) == is_there
            assert rows(wire.query("SELECT count(*) FROM orders")) == [["20"]]


def test_a_standby_is_preferred_and_not_insisted_on(stand):
    with stand.proxy(cluster__default=hosts(stand.postgres, target_session_attrs="prefer-standby")) as proxy, \
            proxy.wire("acme") as wire:
        assert not is_standby(wire)


def test_no_host_is_what_is_wanted(stand):
    settings = {"cluster__default": hosts(stand.postgres, target_session_attrs="standby"),
                "pool": {"failover_timeout": 0}}
    with stand.proxy(**settings) as proxy:
        with pytest.raises(WireError) as refused, proxy.wire("acme"):
            pass
        assert refused.value.why == ("08001", "BH-NET-BACKEND-DOWN")
        assert proxy.events("backend.refused")[-1]["why"] == "it is no standby"


def test_the_good_host_is_remembered(stand, standby, boss):
    """Only the first connection tries the host that is no good."""
    settings = hosts(standby, stand.postgres, target_session_attrs="read-write")
    with stand.proxy(cluster__default=settings, **boss) as proxy:
        before = standby.log_text().count("connection authorized")
        with proxy.wire("acme") as one, proxy.wire("globex") as other:
            one.query("BEGIN; SELECT 1")
            other.query("BEGIN; SELECT 1")
        assert standby.log_text().count("connection authorized") - before <= 1
        assert [(host["kind"], host["state"], host["in_use"]) for host in show_hosts(stand, proxy)] == \
            [("standby", "up", 0), ("primary", "up", 1)]


def test_what_the_console_shows(stand, standby, boss):
    with socket.socket() as closed:
        closed.bind((HOST, 0))
        port = closed.getsockname()[1]
        settings = {"host": f"{HOST},{HOST}", "port": f"{port}, {standby.port}",
                    "target_session_attrs": "prefer-standby"}
        with stand.proxy(cluster__default=settings, **boss) as proxy:
            with proxy.wire("acme") as wire:
                assert is_standby(wire)
                with proxy.connect(dbname="bulkhead", user="hosts-boss") as console:
                    cursor = console.execute("SHOW SERVERS")
                    names = [column.name for column in cursor.description]
                    assert {(row["addr"], row["port"]) for row in
                            (dict(zip(names, row)) for row in cursor.fetchall())} == {(HOST, standby.port)}
            down, up = show_hosts(stand, proxy)
            assert (down["cluster"], down["host"], down["port"], down["state"], down["in_use"], down["last_failure"]) \
                == ("default", HOST, port, "down", 0, "Connection refused")
            assert down["last_failure_time"] and down["kind"] == "unknown"
            assert (up["port"], up["kind"], up["state"], up["in_use"], up["addresses"], up["last_failure"]) \
                == (standby.port, "standby", "up", 1, 1, None)
            assert up["target_session_attrs"] == "prefer-standby"


def test_what_the_metrics_show(stand, standby):
    settings = hosts(standby, stand.postgres, target_session_attrs="read-write")
    with stand.proxy(cluster__default=settings, **probed()) as proxy:
        with proxy.wire("acme"):
            pass
        lines = text(proxy).splitlines()
        for server, in_use in ((standby, 0), (stand.postgres, 1)):
            labels = f'{{cluster="default",host="{HOST}",port="{server.port}"}}'
            assert f"bulkhead_host_in_use{labels} {in_use}" in lines and f"bulkhead_host_down{labels} 0" in lines


def accept(silent, said, kept):
    with suppress(OSError):
        while True:
            kept.append(silent.accept()[0])
            kept[-1].sendall(said)


@pytest.mark.parametrize("said", [b"", b"R\0\0\0"], ids=["nothing", "a piece of an answer"])
def test_a_host_that_does_not_answer(stand, said):
    """It is given up after server_connect_timeout, tried last from then on, and costs other clients nothing."""
    with socket.socket() as silent:
        silent.bind((HOST, 0))
        silent.listen(16)
        threading.Thread(target=accept, args=(silent, said, []), daemon=True).start()
        settings = {"cluster__default": {"host": f"{HOST},{HOST}",
                                         "port": f"{silent.getsockname()[1]},{stand.postgres.port}",
                                         "server_tls_sslmode": "disable"},
                    "pool": {"server_connect_timeout": "1s"}}
        with stand.proxy(**settings) as proxy:
            began = time.monotonic()
            with proxy.wire("acme") as wire:
                assert time.monotonic() - began < (20 if INSTRUMENTED else 4)
                wire.query("BEGIN; SELECT 1")
                began = time.monotonic()
                with proxy.wire("globex") as other:
                    assert rows(other.query("SELECT 1")) == [["1"]]
                assert time.monotonic() - began < (20 if INSTRUMENTED else 0.9)


def test_a_socket_among_hosts(stand, standby):
    settings = {"host": f"{standby.socket_dir}, {HOST}", "port": f"{standby.port}, {stand.postgres.port}",
                "server_tls_sslmode": "prefer"}
    for target, is_there in (("standby", True), ("primary", False)):
        with stand.proxy(cluster__default={**settings, "target_session_attrs": target}) as proxy, \
                proxy.wire("acme") as wire:
            assert is_standby(wire) == is_there


def test_a_cancel_request_goes_to_the_host_that_serves(stand, standby):
    with stand.proxy(cluster__default=hosts(standby, stand.postgres, target_session_attrs="primary")) as proxy, \
            proxy.connect("acme") as connection:
        began = time.monotonic()
        timer = threading.Timer(0.5, connection.cancel)
        timer.start()
        with pytest.raises(psycopg.errors.QueryCanceled):
            connection.execute("SELECT pg_sleep(30)")
        assert time.monotonic() - began < 10
        timer.join()


def test_sections_of_the_same_hosts_share_a_budget(stand, standby):
    stand.cluster("second")
    stand.tenant("seconded", cluster="second")
    settings = {"cluster__default": hosts(stand.postgres, standby, max_server_connections=1),
                "cluster__second": hosts(standby, stand.postgres, target_session_attrs="read-write"),
                "pool": {"query_wait_timeout": "500ms"}}
    with stand.proxy(**settings) as proxy, proxy.wire("acme") as wire:
        wire.query("BEGIN; SELECT 1")
        with pytest.raises(WireError) as refused, proxy.wire("seconded", dbname="second") as other:
            other.query("SELECT 1")
        assert refused.value.why == ("57014", "BH-LIM-WAIT-TIMEOUT")


# ---- servers that become read-only ----

UPDATE = "UPDATE orders SET item = item WHERE id = 1"


@contextmanager
def read_only(server):
    with server.connect() as admin:
        admin.execute("ALTER SYSTEM SET default_transaction_read_only = on")
        admin.execute("SELECT pg_reload_conf()")
    try:
        yield
    finally:
        with server.connect(options="-c default_transaction_read_only=off") as admin:
            admin.execute("ALTER SYSTEM RESET default_transaction_read_only")
            admin.execute("SELECT pg_reload_conf()")


@pytest.mark.parametrize("target", ["read-write", "primary", "any"])
def test_a_tenants_own_read_only_transaction_keeps_the_backend(stand, target):
    settings = {"cluster__default": hosts(stand.postgres, target_session_attrs=target),
                "pool": {"default_pool_size": 1}}
    with stand.proxy(**settings) as proxy, proxy.wire("acme") as wire:
        (((before,),)) = rows(wire.query("SELECT pg_backend_pid()"))
        for begin in (["BEGIN READ ONLY"], ["SET default_transaction_read_only = on", "BEGIN"]):
            for statement in begin:
                wire.query(statement)
            assert errors(wire.query("DELETE FROM orders")) == ["25006"]
            wire.query("ROLLBACK")
        assert rows(wire.query("SHOW default_transaction_read_only")) == [["on"]]
        assert rows(wire.query("SELECT pg_backend_pid()")) == [[before]]
        assert not proxy.events("backend.refused") and not proxy.events("backend.closed")


def test_a_backend_that_has_become_read_only_is_not_used_further(stand, boss):
    settings = {"cluster__default": hosts(stand.postgres, target_session_attrs="read-write"),
                "pool": {"default_pool_size": 1, "failover_timeout": "20s", "server_login_retry": "100ms"}, **boss}
    with stand.proxy(**settings) as proxy, proxy.wire("acme") as wire:
        wire.query("SELECT 1")
        with read_only(stand.postgres):
            wait_for(lambda: errors(wire.query(UPDATE)) == ["25006"], "the setting")
            why = "its server has become read-only"
            wait_for(lambda: why in [line["why"] for line in proxy.events("backend.closed")], "the backend's end")
        # The next statement waits for the server to take writes again.
        assert errors(wire.query(UPDATE)) == []


def test_a_standby_that_is_promoted_is_not_used_further(stand, template):
    standby = Standby(stand.postgres).start()
    settings = {"cluster__default": hosts(standby, target_session_attrs="standby"),
                "pool": {"default_pool_size": 2, "failover_timeout": 0}}
    try:
        with stand.proxy(**settings) as proxy, proxy.wire("acme") as wire:
            assert is_standby(wire)
            standby.promote()
            assert not is_standby(wire)  # it is told by this answer
            why = "its server is not what target_session_attrs asks for any more"
            wait_for(lambda: why in [line["why"] for line in proxy.events("backend.closed")], "the backend's end")
            wire.send(b"Q\0\0\0\rSELECT 1\0")
            assert errors(wire.until_end()) == ["08001"]
    finally:
        standby.remove()


# ---- names ----

class Names:
    def __init__(self, library, path):
        self.library, self.path = library, path
        self.names = {}

    def put(self, **names):
        self.names.update(names)
        new = self.path.with_suffix(".new")
        new.write_text("".join(f"{name} {address}\n" for name, address in self.names.items()))
        new.rename(self.path)

    @contextmanager
    def proxy(self, stand, **sections):
        proxy = Proxy(stand, sections)
        proxy.wrapper = ["env", f"LD_PRELOAD={self.library}", f"NAMES={self.path}"]
        try:
            yield proxy.start()
        finally:
            proxy.stop()


@pytest.fixture(name="names")
def fixture_names(tmp_path):
    if INSTRUMENTED:
        pytest.skip("a sanitizer's library has to be loaded before any other")
    subprocess.run(["cc", "-O1", "-shared", "-fPIC", "-o", tmp_path / "names.so", TOOLS / "names.c"], check=True)
    return Names(tmp_path / "names.so", tmp_path / "names")


@pytest.fixture(name="other", scope="module")
def fixture_other(stand):
    stand.cluster("other")
    stand.tenant("away", cluster="other")
    return stand


def test_a_name_with_several_addresses(stand):
    """Where the server does not listen at each of them, the others are tried."""
    with stand.proxy(cluster__default={"host": "localhost"}, pool={"dns_max_ttl": "1s"}) as proxy:
        with proxy.wire("acme") as wire:
            time.sleep(1.5)  # it is asked for again meanwhile
            assert rows(wire.query("SELECT 1")) == [["1"]]


@pytest.mark.parametrize("trouble", ["none", "silent"])
def test_a_name_that_cannot_be_resolved_at_start(other, names, trouble):
    """The others are served, that cluster's clients are told, and served when the name is there."""
    names.put(nowhere=trouble)
    with names.proxy(other, cluster__other={"host": "nowhere"}) as proxy:
        with proxy.wire("acme") as wire:
            assert rows(wire.query("SELECT 1")) == [["1"]]
        with pytest.raises(WireError) as refused, proxy.wire("away", dbname="other"):
            pass
        assert refused.value.why == ("08001", "BH-NET-BACKEND-DOWN")
        assert proxy.events("backend.refused")[-1]["why"] == "nowhere cannot be resolved"
        if trouble == "none":
            assert "nowhere" in proxy.events("dns.failed")[0]["error"]
        names.put(nowhere=HOST)
        wait_for(lambda: serves(proxy, "away", "other"), "the name", 15)


def test_a_name_server_that_is_silent_holds_nobody_up(other, names):
    names.put(one=HOST, two=HOST)
    settings = {"cluster__default": {"host": "one"}, "cluster__other": {"host": "two"}, "pool": {"dns_max_ttl": "1s"}}
    with names.proxy(other, **settings) as proxy, proxy.wire("acme") as wire, \
            proxy.wire("away", dbname="other") as away:
        names.put(two="silent")
        time.sleep(1.5)
        deadline, slowest = time.monotonic() + 2, 0
        while time.monotonic() < deadline:
            began = time.monotonic()
            assert rows(wire.query("SELECT 1")) == rows(away.query("SELECT 1")) == [["1"]]
            slowest = max(slowest, time.monotonic() - began)
        print(f"slowest: {slowest:.3f} s")
        assert slowest < 0.5
        names.put(two=HOST)


def test_a_name_that_moves(stand, names, standby):
    """Backends of the old address are closed: idle ones soon, others when their clients are done."""
    other = Standby(stand.postgres)
    other.settings["listen_addresses"] = ELSEWHERE
    other.port = stand.postgres.port
    other.start()
    names.put(db=HOST)
    settings = {"cluster__default": {"host": "db", "port": stand.postgres.port}, "pool": {"dns_max_ttl": "1s"}}
    try:
        with names.proxy(stand, **settings) as proxy, proxy.wire("acme") as wire, proxy.wire("globex") as busy:
            assert not is_standby(wire)
            busy.query("BEGIN; SELECT 1")
            names.put(db=ELSEWHERE)
            wait_for(lambda: is_standby(wire), "the other address")
            (((inside,),)) = rows(busy.query("SELECT pg_is_in_recovery()"))
            assert inside == "f" and errors(busy.query("COMMIT")) == []
            wait_for(lambda: is_standby(busy), "the other address")
            why = "its address is none of the host's any more"
            assert [line["why"] for line in proxy.events("backend.closed")].count(why) >= 2
            # Nobody knows the name any more: what it stood for goes on.
            names.put(db="none")
            wait_for(lambda: proxy.events("dns.failed"), "the next question")
            assert is_standby(wire) and serves(proxy, "acme-labs", DATABASE)
    finally:
        other.remove()


def test_a_name_is_asked_for_again_when_connecting_fails(stand, names):
    names.put(db="127.0.0.3")  # where nobody listens
    settings = {"cluster__default": {"host": "db"},
                "pool": {"dns_max_ttl": "1h", "server_login_retry": "100ms"}}
    with names.proxy(stand, **settings) as proxy:
        assert not serves(proxy, "acme", DATABASE)
        names.put(db=HOST)
        wait_for(lambda: serves(proxy, "acme", DATABASE), "the new address")


def serves(proxy, tenant, dbname):
    try:
        with proxy.wire(tenant, dbname=dbname) as wire:
            return errors(wire.query("SELECT 1")) == []
    except (WireError, OSError, EOFError, psycopg.Error):
        return False
