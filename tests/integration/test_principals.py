"""Principals at the door: who is let in, and how little a stranger learns about those who are not."""

import base64
import re

import psycopg
import pytest
from harness.postgres import HOST
from harness.stand import DATABASE
from harness.wire import ScramClient, Wire, password_message, sasl_initial, startup

NONCE = "abcdefghijklmnopqrstuvwx"

# Of the principals that cannot log in, what stands in the columns that say so.
KEPT_OUT = {
    "disabled": {"disabled": True},
    "expired": {"valid_until": "2020-01-01Z"},
    "just-expired": {"valid_until": "now"},
    "no-password": {"verifier": None},
}


def execute(stand, sql, *parameters):
    with stand.admin() as admin:
        return admin.execute(sql, parameters or None)


def set_columns(stand, name, **columns):
    execute(stand, f"UPDATE bulkhead_control.principal SET {', '.join(f'{column} = %s' for column in columns)} "
                   "WHERE name = %s", *columns.values(), name)


@pytest.fixture(scope="module")
def people(stand):
    """They have the password of the stand's own principal, and some more are like that."""
    names = [*KEPT_OUT, "good", "valid"]
    for name in names:
        execute(stand, "INSERT INTO bulkhead_control.principal (name, verifier, home_id, reach) SELECT %s, verifier, "
                       "home_id, 'all' FROM bulkhead_control.principal WHERE name = 'shop'", name)
    for name, columns in KEPT_OUT.items():
        set_columns(stand, name, **columns)
    set_columns(stand, "valid", valid_until="2999-01-01Z")
    yield
    execute(stand, "DELETE FROM bulkhead_control.principal WHERE name = ANY(%s)", names)


@pytest.fixture(scope="module")
def proxy(stand, people):
    with stand.proxy(control={"directory_ttl": 0}, listen__trust={
            "listen_addr": "", "unix_socket_dir": stand.folder, "listen_port": 6999, "auth": "trust"}) as proxy:
        yield proxy


def exchange(proxy, user, password):
    """All that the proxy sends to somebody who tries this, with the same nonce as everybody else."""
    user = user if isinstance(user, bytes) else user.encode()
    with Wire.connect(HOST, proxy.port) as wire:
        wire.send(startup({"user": user, "database": DATABASE}))
        scram = ScramClient(password, nonce=NONCE)
        found = [wire.read()]
        if found[-1].type == "R":
            wire.send(sasl_initial(scram.first()))
            found.append(wire.read())
        if found[-1].type == "R":
            wire.send(password_message(scram.final(found[-1].body[4:])))
            found += wire.until_end()
        return found


def server_first(messages):
    assert messages[1].type == "R"
    return dict(part.split(b"=", 1) for part in messages[1].body[4:].split(b","))


def masked(messages):
    """Nonce and salt are random; all else is compared, lengths too."""
    parts = server_first(messages)
    assert parts[b"r"].startswith(NONCE.encode())
    nonce, salt = parts[b"r"][len(NONCE):], parts[b"s"]
    assert len(base64.b64decode(salt)) == 16
    return [(m.type, m.body.replace(nonce, b"N" * len(nonce)).replace(b"s=" + salt, b"s=" + b"S" * len(salt)))
            for m in messages]


STRANGERS = [("nobody.acme", "right"), ("nobody.nosuch", "right"), ("nobody", "right"), ("good.acme", "wrong"),
             ("good.nosuch", "wrong"), ("good", "wrong"), ("good.acme", ""), ("disabled.acme", "right"),
             ("disabled.acme", "wrong"), ("expired.acme", "right"), ("just-expired.acme", "right"),
             ("no-password.acme", "right"), ("no-password.acme", ""), (b"\xff\xfe.acme", "right"),
             (b"x" * 64 + b".acme", "right"), ("'.acme", "right"), ("GOOD.acme", "right")]


@pytest.mark.parametrize("user, password", STRANGERS)
def test_all_who_are_kept_out_are_told_the_same(stand, proxy, user, password):
    """Byte by byte what somebody with a wrong password is told."""
    found = masked(exchange(proxy, user, stand.password if password == "right" else password))
    assert found == masked(exchange(proxy, "shop.acme", "wrong"))
    assert [kind for kind, _ in found] == ["R", "R", "E"]
    assert b"C28P01\0" in found[-1][1] and b"reason=BH-ID-PASSWORD\0" in found[-1][1]


@pytest.mark.parametrize("user", ["good.acme", "valid.globex"])
def test_the_right_password_opens(stand, proxy, user):
    kinds = [m.type for m in exchange_until_ready(proxy, user, stand.password)]
    assert kinds[:4] == ["R", "R", "R", "R"] and kinds[-1] == "Z"


def exchange_until_ready(proxy, user, password):
    with Wire.connect(HOST, proxy.port) as wire:
        wire.send(startup({"user": user, "database": DATABASE}))
        scram = ScramClient(password)
        found = [wire.read()]
        wire.send(sasl_initial(scram.first()))
        found.append(wire.read())
        wire.send(password_message(scram.final(found[-1].body[4:])))
        return found + wire.until_ready()


def test_an_unknown_tenant_is_told_of_behind_the_password_only(stand, proxy):
    last = exchange(proxy, "good.nosuch", stand.password)[-1]
    assert last.fields["C"] == "3D000" and "BH-ID-UNKNOWN-TENANT" in last.fields["D"]
    assert exchange(proxy, "good.nosuch", "wrong")[-1] == exchange(proxy, "good.acme", "wrong")[-1]


# ---- salts ----

def salt(proxy, user):
    return server_first(exchange(proxy, user, "wrong"))[b"s"]


def test_a_name_keeps_its_salt(proxy):
    """Whether there is a principal of that name or not."""
    salts = {name: salt(proxy, f"{name}.acme") for name in ("shop", "good", "nobody", "noone", "disabled")}
    for name, first in salts.items():
        assert salt(proxy, f"{name}.acme") == salt(proxy, f"{name}.globex") == salt(proxy, name) == first
    assert len({salts["shop"], salts["nobody"], salts["noone"]}) == 3
    assert salts["shop"] == salts["good"]  # one verifier


def test_a_name_keeps_its_salt_in_every_process(stand, proxy):
    """Those who exist do, so that whoever asks two sidecars, or one before and after a restart, could tell."""
    with stand.proxy() as other:
        assert salt(other, "shop.acme") == salt(proxy, "shop.acme")
        assert salt(other, "nobody.acme") == salt(proxy, "nobody.acme")


# ---- changes ----

def may_connect(proxy, user, **more):
    try:
        proxy.connect(user=user, **more).close()
        return True
    except psycopg.OperationalError as error:
        assert "BH-ID-PASSWORD" in str(error)
        return False


@pytest.mark.parametrize("out, back", [
    ({"disabled": True}, {"disabled": False}),
    ({"valid_until": "2020-01-01Z"}, {"valid_until": None}),
])
def test_a_change_holds_for_the_next_login(stand, proxy, out, back):
    assert may_connect(proxy, "good.acme")
    set_columns(stand, "good", **out)
    assert not may_connect(proxy, "good.acme")
    set_columns(stand, "good", **back)
    assert may_connect(proxy, "good.acme")


def test_a_new_password_holds_for_the_next_login(stand, proxy, tmp_path):
    new = tmp_path / "password"
    new.touch(0o600)
    new.write_text("a new one: \u00fcn\u00efcode")
    (old,) = execute(stand, "SELECT verifier FROM bulkhead_control.principal WHERE name = 'good'").fetchone()
    stand.command("principal", "password", "good", "--password-file", new)
    assert not may_connect(proxy, "good.acme")
    assert may_connect(proxy, "good.acme", password=new.read_text())
    set_columns(stand, "good", verifier=old)


def test_an_end_of_validity_is_kept_to_the_moment(stand):
    """Also by a sidecar that has not asked again since: it knows the time itself."""
    with stand.proxy(control={"directory_ttl": "1h"}) as proxy:
        execute(stand, "UPDATE bulkhead_control.principal SET valid_until = clock_timestamp() + '1 s' WHERE name = 'good'")
        try:
            assert may_connect(proxy, "good.acme")
            with stand.admin() as admin:
                admin.execute("SELECT pg_sleep_until(valid_until) FROM bulkhead_control.principal WHERE name = 'good'")
            assert not may_connect(proxy, "good.acme")
        finally:
            set_columns(stand, "good", valid_until=None)


# ---- trust ----

@pytest.mark.parametrize("user, reason", [
    ("good.acme", None), ("disabled.acme", "BH-ID-LOGIN"), ("expired.acme", "BH-ID-LOGIN"),
    ("nobody.acme", "BH-ID-LOGIN"), ("good.nosuch", "BH-ID-UNKNOWN-TENANT"), ("good", "BH-ID-NO-TENANT")])
def test_trust_asks_for_no_password_and_for_all_else(stand, proxy, user, reason):
    conninfo = psycopg.conninfo.make_conninfo(host=str(stand.folder), port=6999, user=user, dbname=DATABASE)
    if reason is None:
        psycopg.connect(conninfo).close()
        return
    with pytest.raises(psycopg.OperationalError, match=re.escape(reason)):
        psycopg.connect(conninfo)
