"""Settings that change under a running proxy: each takes effect at once, or says that it needs a restart."""

import os
import signal
import threading
import time

import pytest
from harness.program import INSTRUMENTED
from harness.wait import wait_for
from harness.wire import WireError, query, rows, types

CLIENTS = ("53300", "BH-LIM-CLIENTS")


def is_served(wire):
    return rows(wire.query("SELECT 'here'")) == [["here"]]


def refusal(connect, *arguments, **more):
    with pytest.raises(WireError) as refused:
        connect(*arguments, **more)
    return refused.value.why


def names(line):
    return set(line["changed"].split(", ")) - {""}


def ended(wire, seconds=5):
    """The SQLSTATE of the FATAL that ends a silent session."""
    wire.socket.settimeout(seconds)
    return wire.read().fields["C"]


# ---- what is said ----

def test_nothing_changed(stand):
    with stand.proxy() as proxy:
        line = proxy.reload()
        assert line["level"] == "info" and line["changed"] == "" and line["signing_key"] == "k1"
        assert not proxy.events("serve.needs_restart")


def test_changes_are_named_and_never_shown(stand, tmp_path):
    secret = tmp_path / "other.password"
    secret.touch(0o600)
    secret.write_text("not-to-be-seen\n")
    with stand.proxy() as proxy:
        line = proxy.reload(pool={"default_pool_size": 7, "query_timeout": "3s"}, bulkhead={"max_client_conn": 17},
                            cluster__default={"password_file": secret})
        assert names(line) == {"pool.default_pool_size", "pool.query_timeout", "bulkhead.max_client_conn",
                               "cluster:default.password_file", "cluster:default.password"}
        assert "not-to-be-seen" not in proxy.log_text()


@pytest.mark.parametrize("sections, words", [
    ({"pool": {"pool_mode": "statement"}}, 'pool_mode: "statement" is not one of transaction, session'),
    ({"pool": {"no_such": "1"}}, "the section [pool] has no setting no_such"),
    ({"nonsense": {"a": "1"}}, "there is no section [nonsense]"),
    ({"cluster__default": {"password_file": "/nosuch"}}, "password_file: /nosuch: No such file or directory"),
    ({"guard": {"key_file": "/nosuch"}}, "key_file: /nosuch: No such file or directory"),
    ({"bulkhead": {"max_client_conn": 2, "reserved_client_conn": 2}}, "leaves nothing of max_client_conn"),
])
def test_a_bad_file_changes_nothing(stand, sections, words):
    with stand.proxy(pool={"default_pool_size": 1}) as proxy:
        wire = proxy.wire("acme")
        line = proxy.reload("serve.reload_failed", **{"bulkhead": {"max_client_conn": 1}, **sections})
        assert line["level"] == "error" and words in line["error"]
        assert line["error"].startswith(f"{proxy.config}:")
        int(line["error"][len(f"{proxy.config}:"):].split(":")[0])  # the line's number
        # max_client_conn = 1 of the same file was not taken either
        with_other = proxy.wire("acme")
        assert is_served(wire) and is_served(with_other)
        assert not proxy.events("serve.reloaded")
        wire.close()
        with_other.close()


def test_every_fault_is_named(stand):
    with stand.proxy() as proxy:
        proxy.reload("serve.reload_failed", pool={"pool_mode": "x", "query_timeout": "y"})
        wait_for(lambda: len(proxy.events("serve.reload_failed")) == 2, "two faults")


def test_a_file_that_is_gone(stand):
    with stand.proxy(bulkhead={"file_check_period": 0}) as proxy:
        proxy.config.rename(str(proxy.config) + ".away")
        proxy.process.send_signal(signal.SIGHUP)
        line = wait_for(lambda: proxy.events("serve.reload_failed"), "the complaint")[0]
        assert "No such file or directory" in line["error"]
        with proxy.connect("acme") as connection:
            connection.execute("SELECT 1")


@pytest.mark.parametrize("sections, waiting", [
    ({"listen__default": {"listen_port": 1}}, "listen:default.listen_port"),
    ({"listen__default": {"listen_addr": "127.0.0.1, ::1"}}, "listen:default.listen_addr"),
    ({"cluster__default": {"port": 1}}, "cluster:default.port"),
    ({"cluster__default": {"host": "localhost"}}, "cluster:default.host"),
    ({"cluster__default": {"database": "other"}}, "cluster:default.database"),
    ({"cluster__default": {"login": "other"}}, "cluster:default.login"),
    ({"cluster__reloaded": {"database": "other"}}, "cluster:reloaded"),  # no cluster that other files make
    ({"listen__second": {"listen_port": 1}}, "listen:second"),
    # A section is taken as a whole or not at all: the new password would not fit the old login.
    pytest.param({"cluster__default": {"login": "other", "password_file": ""}},
                 "cluster:default.login, cluster:default.password_file, cluster:default.password",
                 marks=pytest.mark.sealed("it is the pool login's")),
])
def test_what_needs_a_restart(stand, sections, waiting):
    with stand.proxy() as proxy:
        line = proxy.reload("serve.needs_restart", **sections, pool={"query_timeout": "9s"})
        assert line["settings"] == waiting and line["level"] == "warning"
        assert names(proxy.events("serve.reloaded")[-1]) == {"pool.query_timeout"}
        with proxy.connect("acme") as connection:
            connection.execute("SELECT 1")


def test_a_section_that_went_is_kept(stand):
    with stand.proxy(listen__trusted={}) as proxy:
        del proxy.settings["listen:trusted"]
        assert proxy.reload("serve.needs_restart")["settings"] == "listen:trusted"
        wire = proxy.wire("acme", trusted=True)
        assert is_served(wire)
        wire.close()


def test_settings_of_sections_in_another_order(stand):
    """Sections are known by their names and not by their places."""
    with stand.proxy(listen__trusted={}) as proxy:
        proxy.settings = dict(reversed(proxy.settings.items()))
        assert proxy.reload(bulkhead={"max_client_conn": 9})["changed"] == "bulkhead.max_client_conn"
        wires = [proxy.wire("acme"), proxy.wire("globex", trusted=True)]
        assert all(map(is_served, wires))
        for wire in wires:
            wire.close()


# ---- limits ----

def test_fewer_clients_bind_new_ones_only(stand):
    with stand.proxy() as proxy:
        wires = [proxy.wire("acme") for _ in range(3)]
        proxy.reload(bulkhead={"max_client_conn": 3, "reserved_client_conn": 0})
        assert refusal(proxy.wire, "acme") == CLIENTS
        assert all(map(is_served, wires))
        proxy.reload(bulkhead={"max_client_conn": 4})
        wires.append(proxy.wire("acme"))
        for wire in wires:
            wire.close()


@pytest.mark.parametrize("setting, reason", [
    ("max_tenant_client_connections", "BH-LIM-TENANT-CLIENTS"), ("max_user_client_connections", "BH-LIM-USER-CLIENTS")])
def test_clients_of_one(stand, setting, reason):
    with stand.proxy() as proxy:
        wires = [proxy.wire("acme") for _ in range(2)]
        proxy.reload(bulkhead={setting: 2})
        assert refusal(proxy.wire, "acme") == ("53300", reason)
        proxy.reload(bulkhead={setting: 0})
        wires.append(proxy.wire("acme"))
        assert all(map(is_served, wires))
        for wire in wires:
            wire.close()


def test_a_smaller_message(stand):
    with stand.proxy() as proxy:
        wire = proxy.wire("acme")
        statement = f"SELECT length('{'x' * 20000}')"
        assert rows(wire.query(statement)) == [["20000"]]
        proxy.reload(bulkhead={"max_packet_size": "16kB"})
        wire.send(query(statement))
        assert ended(wire) == "54000"
        wire.close()


# ---- backends ----

def ask(proxy):
    """A client that waits for its answer."""
    wire = proxy.wire("acme")
    wire.send(query("SELECT 'served'"))
    return wire


def assert_served_now(wire):
    wire.socket.settimeout(5)
    assert rows(wire.until_ready()) == [["served"]]


def busy(proxy, count):
    """Clients that hold a backend each, in a transaction."""
    wires = [proxy.wire("acme") for _ in range(count)]
    for wire in wires:
        wire.query("BEGIN")
        wire.query("SELECT 1")
    return wires


def test_a_smaller_pool_closes_what_is_too_much(stand):
    with stand.proxy(pool={"default_pool_size": 4}) as proxy:
        wires = busy(proxy, 4)
        assert len(proxy.backends()) == 4
        for wire in wires[:2]:
            wire.query("COMMIT")
        proxy.reload(pool={"default_pool_size": 1})
        wait_for(lambda: len(proxy.backends()) == 2, "the idle ones to be closed")
        assert all(map(is_served, wires[2:]))  # those in use are not
        wires[2].query("COMMIT")
        wait_for(lambda: len(proxy.backends()) == 1, "one that became free to be closed")
        wires[3].query("COMMIT")
        assert all(map(is_served, wires))
        assert len(proxy.backends()) == 1
        for wire in wires:
            wire.close()


def test_a_larger_pool_serves_those_who_wait(stand):
    with stand.proxy(pool={"default_pool_size": 1}) as proxy:
        holder, = busy(proxy, 1)
        waiter = ask(proxy)
        proxy.reload(pool={"default_pool_size": 2})
        assert_served_now(waiter)
        holder.close()
        waiter.close()


@pytest.mark.sealed("min_pool_size is for backends that tenants share")
def test_a_minimum_is_filled_up(stand):
    with stand.proxy() as proxy:
        wire = proxy.wire("acme")
        assert is_served(wire)
        proxy.reload(pool={"min_pool_size": 3})
        wait_for(lambda: len(proxy.backends()) == 3, "min_pool_size")
        wire.close()


def test_more_backends_for_a_tenant(stand):
    with stand.proxy(pool={"max_tenant_connections": 1}) as proxy:
        holder, = busy(proxy, 1)
        waiter = ask(proxy)
        time.sleep(0.3)
        proxy.reload(pool={"max_tenant_connections": 0})
        assert_served_now(waiter)
        holder.close()
        waiter.close()


def test_fewer_backends_for_a_tenant(stand):
    """The tenant that has too many gets no further one; another does."""
    with stand.proxy(pool={"default_pool_size": 4}) as proxy:
        holders = busy(proxy, 2)
        proxy.reload(pool={"max_tenant_connections": 1})
        waiter = ask(proxy)
        other = proxy.wire("globex")
        assert is_served(other)
        holders[0].query("COMMIT")
        assert waiter.is_silent(0.5)
        holders[1].query("COMMIT")
        assert_served_now(waiter)
        for wire in (*holders, waiter, other):
            wire.close()


def test_a_servers_limit(stand):
    with stand.proxy(pool={"default_pool_size": 4}) as proxy:
        wires = busy(proxy, 4)
        for wire in wires:
            wire.query("COMMIT")
        proxy.reload(cluster__default={"max_server_connections": 2})
        wait_for(lambda: len(proxy.backends()) == 2, "max_server_connections")
        proxy.reload(cluster__default={"max_server_connections": 3})
        for wire in wires[:3]:
            wire.query("BEGIN")
            assert is_served(wire)
        assert len(proxy.backends()) == 3
        for wire in wires:
            wire.close()


def test_session_mode(stand):
    with stand.proxy(pool={"default_pool_size": 1, "query_wait_timeout": 1}) as proxy:
        first, second = proxy.wire("acme"), proxy.wire("acme")
        assert is_served(first) and is_served(second)
        proxy.reload(pool={"pool_mode": "session"})
        assert is_served(first)
        assert "E" in types(second.query("SELECT 1"))
        first.close()
        second.close()


# ---- time ----

def test_a_shorter_idle_timeout(stand):
    """None before, and of clients that are idle already: counted from the reload."""
    with stand.proxy() as proxy:
        silent, linked = proxy.wire("acme"), proxy.wire("acme")
        assert is_served(silent)
        proxy.reload(bulkhead={"client_idle_timeout": "400ms"})
        assert ended(silent) == "57P05"
        assert ended(linked) == "57P05"
        silent.close()
        linked.close()


def test_no_idle_timeout_any_more(stand):
    with stand.proxy(bulkhead={"client_idle_timeout": "1500ms"}) as proxy:
        wire = proxy.wire("acme")
        proxy.reload(bulkhead={"client_idle_timeout": 0})
        time.sleep(2)
        assert is_served(wire)
        wire.close()


@pytest.mark.parametrize("setting, begin, sqlstate", [
    ("idle_transaction_timeout", ["BEGIN", "SELECT 1"], "25P03"),
    ("transaction_timeout", ["BEGIN", "SELECT 1"], "25P04")])
def test_a_timeout_that_has_begun(stand, setting, begin, sqlstate):
    with stand.proxy(pool={setting: "1h"}) as proxy:
        wire = proxy.wire("acme")
        for statement in begin:
            wire.query(statement)
        time.sleep(0.5)
        before = time.monotonic()
        proxy.reload(pool={setting: "500ms"})
        assert ended(wire) == sqlstate
        assert time.monotonic() - before < 2
        wire.close()


def test_a_statement_that_runs(stand):
    with stand.proxy() as proxy:
        wire = proxy.wire("acme")
        wire.send(query("SELECT pg_sleep(20)"))
        wait_for(lambda: proxy.backends(), "the backend")
        proxy.reload(pool={"query_timeout": "300ms"})
        wire.socket.settimeout(5)
        kinds = types(wire.until_ready())
        assert "E" in kinds
        assert is_served(wire)
        wire.close()


def test_a_wait(stand):
    with stand.proxy(pool={"default_pool_size": 1, "query_wait_timeout": "1h"}) as proxy:
        holder, = busy(proxy, 1)
        waiter = proxy.wire("acme")
        waiter.send(query("SELECT 1"))
        proxy.reload(pool={"query_wait_timeout": "300ms"})
        waiter.socket.settimeout(5)
        assert "E" in types(waiter.until_ready())
        holder.close()
        waiter.close()


def test_idle_backends(stand):
    with stand.proxy() as proxy:
        wire = proxy.wire("acme")
        assert is_served(wire)
        proxy.reload(pool={"server_idle_timeout": "300ms"})
        wait_for(lambda: not proxy.backends(), "server_idle_timeout")
        assert is_served(wire)
        proxy.reload(pool={"server_idle_timeout": 0, "server_lifetime": "300ms"})
        pid = proxy.backends()
        wait_for(lambda: proxy.backends() != pid, "server_lifetime")
        wire.close()


@pytest.mark.sealed("the password is the pool login's")
def test_a_pause_after_a_failure_ends_with_a_reload(stand, tmp_path):
    wrong = tmp_path / "wrong"
    wrong.touch(0o600)
    wrong.write_text("wrong\n")
    with stand.proxy(cluster__default={"password_file": wrong}, pool={"server_login_retry": "1h"}) as proxy:
        assert refusal(proxy.wire, "acme") == ("08001", "BH-NET-BACKEND-DOWN")
        proxy.reload(cluster__default={"password_file": stand.keys / "pool.password"})
        wire = proxy.wire("acme")
        assert is_served(wire)
        wire.close()


# ---- listeners ----

def test_a_tenant_is_fixed(stand):
    """New connections go by it; one that is there keeps its tenant."""
    with stand.proxy() as proxy:
        wire = proxy.wire("globex")
        line = proxy.reload(listen__default={"tenant": "acme", "selectors": "fixed, user", "unset": "home"})
        assert names(line) == {"listen:default.tenant", "listen:default.selectors", "listen:default.unset"}
        assert rows(wire.query("SELECT DISTINCT split_part(item, ' ', 1) FROM orders")) == [["globex"]]
        assert refusal(proxy.wire, "globex") == ("42501", "BH-ID-CONFLICT")
        fixed = proxy.wire("acme")
        assert rows(fixed.query("SELECT DISTINCT split_part(item, ' ', 1) FROM orders")) == [["acme"]]
        wire.close()
        fixed.close()


def test_the_mode_of_a_unix_socket(stand):
    with stand.proxy() as proxy:
        path = f"{stand.folder}/.s.PGSQL.{proxy.port}"
        assert os.stat(path).st_mode & 0o777 == 0o777
        proxy.reload(listen__default={"unix_socket_mode": "0700", "listen_backlog": 7})
        assert os.stat(path).st_mode & 0o777 == 0o700
        with proxy.connect("acme", unix=True) as connection:
            connection.execute("SELECT 1")


def test_trust_ends(stand):
    with stand.proxy(listen__trusted={}) as proxy:
        wire = proxy.wire("acme", trusted=True, password="wrong")
        assert is_served(wire)
        proxy.reload(listen__trusted={"auth": "scram-sha-256"})
        assert refusal(proxy.wire, "acme", trusted=True, password="wrong") == ("28P01", "BH-ID-PASSWORD")
        assert is_served(wire)
        wire.close()


# ---- the log, the control database ----

def test_the_level_of_the_log(stand):
    with stand.proxy(log={"level": "info"}) as proxy:
        proxy.wire("acme").close()
        assert not proxy.events("client.welcome")
        proxy.reload(log={"level": "debug"})
        proxy.wire("acme").close()
        assert proxy.events("client.welcome")
        proxy.configure(log={"format": "text"})
        proxy.process.send_signal(signal.SIGHUP)
        wait_for(lambda: " info serve.reloaded changed=log.format " in proxy.log_text(), "a line of text")


def test_statistics(stand):
    with stand.proxy(log={"stats_period": 0}) as proxy:
        wire = proxy.wire("acme")
        assert is_served(wire)
        proxy.reload(log={"stats_period": "200ms"})
        assert is_served(wire)
        wait_for(lambda: proxy.events("pool.stats"), "pool.stats")
        wire.close()


def test_what_is_remembered_is_asked_again_by_the_new_age(stand):
    slug = stand.tenant("short-lived")
    with stand.proxy(control={"directory_ttl": "1h"}) as proxy:
        proxy.wire(slug).close()
        with stand.admin() as admin:
            admin.execute("UPDATE bulkhead_control.tenant SET status = 'suspended' WHERE slug = %s", (slug,))
        try:
            proxy.reload(control={"directory_ttl": 0})
            wait_for(lambda: is_refused(proxy, slug), "the new status")
        finally:
            with stand.admin() as admin:
                admin.execute("UPDATE bulkhead_control.tenant SET status = 'active' WHERE slug = %s", (slug,))


def is_refused(proxy, tenant):
    try:
        proxy.wire(tenant).close()
        return False
    except WireError as error:
        assert error.why == ("28000", "BH-ID-INACTIVE")
        return True


def test_another_control_database(stand):
    """One that is not there first: what is known is served; then the right one again, without the pause of failures."""
    dsn = f"host=127.0.0.1 port={stand.postgres.port} dbname=shop user=bulkhead_sidecar"
    with stand.proxy(control={"dsn": "host=127.0.0.1 port=1 dbname=x user=y"}) as proxy:
        assert refusal(proxy.wire, "acme") == ("57P03", "BH-ID-CONTROL-DOWN")
        assert proxy.reload(control={"dsn": dsn})["changed"] == "control.dsn"
        wait_for(lambda: proxy.events("control.connected"), "the control database", seconds=3)
        proxy.wire("acme").close()
        proxy.reload(control={"directory_timeout": "7s"})
        wait_for(lambda: len(proxy.events("control.connected")) == 2, "a connection with the new timeout")
        proxy.wire("globex").close()


def test_a_new_password_for_the_control_database(stand, tmp_path):
    wrong = tmp_path / "wrong"
    wrong.touch(0o600)
    wrong.write_text("wrong\n")
    with stand.proxy(control={"password_file": wrong}) as proxy:
        assert refusal(proxy.wire, "acme") == ("57P03", "BH-ID-CONTROL-DOWN")
        line = proxy.reload(control={"password_file": stand.keys / "sidecar.password"})
        assert names(line) == {"control.password_file", "control.password"}
        wait_for(lambda: proxy.events("control.connected"), "the control database", seconds=3)
        proxy.wire("acme").close()


# ---- under load ----

def test_reloads_under_traffic(stand):
    """Nobody notices a hundred reloads, of which some are refused."""
    with stand.proxy(pool={"default_pool_size": 2}) as proxy:
        stop, failures = threading.Event(), []

        def work(tenant):
            wire = proxy.wire(tenant)
            while not stop.is_set():
                found = wire.query("SELECT DISTINCT split_part(item, ' ', 1) FROM orders")
                if "E" in types(found) or rows(found) != [[tenant]]:
                    failures.append(found)
                    break
            wire.close()

        threads = [threading.Thread(target=work, args=(tenant,)) for tenant in ("acme", "globex", "acme", "globex")]
        for thread in threads:
            thread.start()
        try:
            for turn in range(100):
                bad = turn % 5 == 4
                proxy.reload("serve.reload_failed" if bad else "serve.reloaded",
                             pool={"default_pool_size": 1 + turn % 3, "max_tenant_connections": turn % 2,
                                   "query_timeout": "x" if bad else "20s"},
                             cluster__default={"max_server_connections": turn % 4})
        finally:
            stop.set()
            for thread in threads:
                thread.join(20)
        assert not failures, failures


@pytest.mark.alone
@pytest.mark.skipif(INSTRUMENTED, reason="instrumented memory is not given back")
def test_memory_does_not_grow(stand):
    with stand.proxy(listen__trusted={}) as proxy:
        proxy.wire("acme").close()
        for turn in range(30):
            proxy.reload(pool={"default_pool_size": 1 + turn % 2})
        before, open_before = proxy.resident(), proxy.descriptors()
        for turn in range(200):
            proxy.reload(pool={"default_pool_size": 1 + turn % 2})
        assert proxy.resident() < before + 2 * 1024 * 1024
        assert proxy.descriptors() <= open_before
