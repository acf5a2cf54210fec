"""The log: what a line has, which lines there are, and what is never in one."""

import json
import re

import psycopg
import pytest

from harness.postgres import HOST
from harness.stand import DATABASE
from harness.wait import wait_for
from harness.wire import (Wire, WireError, bind, copy_data, copy_done, describe, execute, parse, password_message,
                          query, ssl_request, startup, sync)

PLANT = "Zq7plantedX"  # in everything that may hold a value


def lines(proxy, event):
    return wait_for(lambda: proxy.events(event), event)



# ---- what a line has ----

def test_connections_and_disconnections(stand):
    with stand.proxy(log={"connections": "yes", "disconnections": "yes", "level": "info"}, listen__trusted={}) as proxy:
        proxy.wire("acme").close()
        proxy.wire("globex", trusted=True).close()
        with pytest.raises(WireError):
            proxy.wire("acme", password="wrong")
        wait_for(lambda: len(proxy.events("client.disconnected")) == 2, "both ends")
        first, second = lines(proxy, "client.connected")
        assert (first["tenant"], first["principal"], first["listener"], first["address"]) == (
            "acme", "shop", "default", HOST)
        assert (second["tenant"], second["listener"], second["address"]) == ("globex", "trusted", "local")
        ends = {line["session"]: line for line in proxy.events("client.disconnected")}
        assert set(ends) == {first["session"], second["session"]}
        assert all(int(line["duration_ms"]) >= 0 for line in ends.values())
        (refused,) = lines(proxy, "client.ended")
        assert (refused["sqlstate"], refused["reason"], refused["principal"]) == ("28P01", "BH-ID-PASSWORD", "shop")
        assert re.fullmatch(r"\d+", refused["session"]) and re.fullmatch(r"\d+", refused["duration_ms"])


def test_they_are_off_unless_asked_for(stand):
    with stand.proxy() as proxy:
        proxy.wire("acme").close()
        wait_for(lambda: proxy.events("client.welcome"), "the login")
        proxy.reload(log={"connections": "yes"})
        proxy.wire("acme").close()
        assert len(lines(proxy, "client.connected")) == 1
        assert not proxy.events("client.disconnected")


def test_a_sample_of_sessions(stand):
    """Both lines of a session or none; about as many sessions as were asked for."""
    with stand.proxy(log={"connections": "yes", "disconnections": "yes", "sample": 50, "level": "info"},
                     listen__trusted={}) as proxy:
        for _ in range(200):
            proxy.wire("acme", trusted=True).close()
        wait_for(lambda: len(proxy.events("client.connected")) == len(proxy.events("client.disconnected")), "all ends")
        begun = {line["session"] for line in proxy.events("client.connected")}
        assert begun == {line["session"] for line in proxy.events("client.disconnected")}
        assert 60 < len(begun) < 140
        proxy.reload(log={"sample": 0})
        before = len(proxy.events("client.connected"))
        for _ in range(20):
            proxy.wire("acme", trusted=True).close()
        assert len(proxy.events("client.connected")) == before


def test_ends_have_the_session_and_its_sqlstate(stand):
    with stand.proxy() as proxy:
        wire = proxy.wire("acme")
        wire.send(b"?\0\0\0\4")
        wire.until_end()
        line = lines(proxy, "client.ended")[-1]
        assert (line["sqlstate"], line["reason"], line["tenant"]) == ("08P01", "BH-NET-PROTOCOL", "acme")


# ---- what is never in one ----

def provoke(proxy):
    """Everything that a client can put a value into, right and wrong."""
    wire = proxy.wire("acme", application_name=f"{PLANT}-name", options=f"-c work_mem=1MB -c search_path={PLANT}")
    for sql in (f"SELECT '{PLANT}'", f"SELECT '{PLANT}'::int", f"SELECT {PLANT}", f"SELECT '{PLANT}",
                f"SET application_name = '{PLANT}'", f"SET work_mem = '{PLANT}'", f"SET nothing.at_all = '{PLANT}'",
                f"SELECT set_config('search_path', '{PLANT}', false)",
                f"CREATE TEMP TABLE kept AS SELECT '{PLANT}' AS c", "RESET ALL", f"PREPARE p AS SELECT '{PLANT}'",
                f"DO $$BEGIN RAISE WARNING '{PLANT}'; END$$", f"DO $$BEGIN RAISE EXCEPTION '{PLANT}'; END$$",
                f"DO $$BEGIN EXECUTE 'RESET ALL'; RAISE NOTICE '{PLANT}'; END$$", "SELECT count(*) FROM orders",
                f"/*{PLANT}*/ SELECT 1", "DISCARD ALL"):
        wire.send(query(sql))
        wire.until_ready()
    wire.send(parse(f"SELECT $1, '{PLANT}'", name=f"{PLANT}-statement"), describe(f"{PLANT}-statement"),
              bind([PLANT], statement=f"{PLANT}-statement"), execute(), sync())
    wire.until_ready()
    wire.send(parse("SELECT $1::int"), bind([PLANT]), execute(), sync())
    wire.until_ready()
    wire.query("CREATE TEMP TABLE taken (t text, n int)")
    wire.send(query("COPY taken FROM STDIN"))
    wire.until("G")
    wire.send(copy_data(f"{PLANT}\tno number\n"), copy_done())
    wire.until_ready()
    wire.send(b"Q\0\0\0\1" + PLANT.encode())
    wire.until_end()
    wire.close()


def provoke_logins(proxy):
    def refused(**more):
        with pytest.raises((psycopg.OperationalError, WireError)):
            proxy.wire("acme", **more)

    refused(password=f"{PLANT}-password")
    refused(options=f"-c statement_timeout={PLANT}")
    refused(options=f"-c {PLANT}")
    refused(client_encoding=PLANT)
    refused(dbname=f"{PLANT}")
    refused(**{"replication": PLANT})
    for data in (startup({"user": "shop.acme", "user ": PLANT}), startup([("user", "a"), ("user", PLANT)]),
                 ssl_request() + PLANT.encode(), PLANT.encode() * 3,
                 startup({"user": "shop.acme", "database": DATABASE}) + password_message(PLANT)):
        with Wire.connect(HOST, proxy.port) as wire:
            wire.send(data)
            wire.socket.shutdown(1)
            try:
                wire.until_end()
            except (EOFError, OSError):
                pass


def secrets_of(stand):
    """Passwords and keys that this Bulkhead has."""
    found = [stand.password, *stand.installation.secrets(), (stand.keys / "sidecar.password").read_text().strip()]
    for line in (stand.keys / "guard.key").read_text().splitlines():
        if line.strip() and not line.startswith("#"):
            found.append(line.split()[1])
    with stand.admin() as admin:
        (verifier,) = admin.execute("SELECT verifier FROM bulkhead_control.principal WHERE name = 'shop'").fetchone()
    return found + verifier.split("$")[1:]


def test_neither_values_nor_secrets(stand):
    with stand.proxy(log={"level": "debug", "connections": "yes", "disconnections": "yes", "stats_period": "1s"},
                     pool={"default_pool_size": 2, "query_timeout": "1s"}) as proxy:
        provoke(proxy)
        provoke_logins(proxy)
        wire = proxy.wire("acme")
        wire.query(f"SELECT pg_sleep(3), '{PLANT}'")
        wire.query("BEGIN")
        wire.query(f"SELECT '{PLANT}'")
        proxy.reload(control={"directory_ttl": "4s"})
        proxy.process.send_signal(10)  # SIGUSR1
        wait_for(lambda: proxy.events("live.session"), "the report")
        proxy.process.send_signal(2)
        wire.until_end()
        wire.close()
        assert proxy.process.wait(10) == 0
        log = proxy.log_text()
    events = {json.loads(line)["event"] for line in log.splitlines()}
    assert {"client.connected", "client.disconnected", "client.ended", "client.pinned", "serve.reloaded",
            "live.session"} <= events
    found = [line for line in log.splitlines() if PLANT in line]
    assert found == []
    for secret in secrets_of(stand):
        assert len(secret) >= 8 and secret not in log
