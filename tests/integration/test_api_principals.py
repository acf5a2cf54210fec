"""Principals over HTTP, and what comes of it on the data port."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from urllib.parse import quote

import pytest
from harness.api import Api
from harness.stand import DATABASE, ROWS
from harness.tls import listen, make_pki, secure
from harness.wait import wait_for
from harness.wire import WireError, rows, types, why

PASSWORD = "hunter2-never-to-be-seen"
COUNT = "SELECT count(*) FROM orders"
WRONG = ("28P01", "BH-ID-PASSWORD")
LATE = "2999-01-01T00:00:00+00:00"


@pytest.fixture(scope="module")
def api(stand):
    with Api(stand, proxy={"bulkhead": {"admin_users": "boss", "stats_users": "watcher"}}) as api:
        yield api


@pytest.fixture(scope="module")
def root(api):
    return api.client()


@pytest.fixture(scope="module")
def acme(api):
    return api.client("admin", "acme")


def made(client, name, home="acme", reach="self", **more):
    answer = client.post("/v1/principals", {"name": name, "home": home, "reach": reach, **more})
    assert answer.status == 201, answer
    return answer


def path(name, verb=""):
    return f"/v1/principals/{quote(name, safe='')}{verb}"


def refused(answer, status, reason, *fields):
    assert (answer.status, answer.reason, answer.fields) == (status, reason, list(fields)), answer


def outcome(api, name, password=PASSWORD, tenant="acme"):
    """`served`, or SQLSTATE and reason."""
    try:
        with api.proxy.wire(tenant, principal=name, password=password) as wire:
            return "served" if rows(wire.query(COUNT)) == [[str(ROWS)]] else "odd"
    except WireError as refusal:
        return why(refusal.fields)
    except EOFError:  # it was in when it ended
        return None


def ends(wire):
    """The reason for which a session ends that waits for its client."""
    (message,) = wire.until_end()
    return why(message.fields)


# ---- making ----

def test_a_principal_is_made_and_logs_in(api, acme, stand):
    answer = made(acme, "clerk", reach="subtree", password=PASSWORD, valid_until="2999-01-01T01:00:00+01:00",
                  max_connections=7, certificate_names=["clerk.example", "clerk@example"], tenants=["acme"])
    assert answer.headers["Location"] == "/v1/principals/clerk" and answer.etag == '"1"'
    times = [answer.json.pop(name) for name in ("created_at", "updated_at")]
    assert times[0] == times[1] and answer.json == {
        "name": "clerk", "home_id": stand.ids["acme"], "home": "acme", "reach": "subtree", "state": "active",
        "disabled": False, "has_password": True, "valid_until": LATE, "max_connections": 7,
        "certificate_names": ["clerk.example", "clerk@example"], "tenants": [stand.ids["acme"]], "version": 1}
    assert outcome(api, "clerk") == outcome(api, "clerk", tenant="acme-labs") == "served"
    assert outcome(api, "clerk", tenant="globex") == ("28000", "BH-ID-REACH")
    assert outcome(api, "clerk", "wrong") == WRONG
    assert acme.get("/v1/principals/clerk")["max_connections"] == 7


def test_a_password_is_drawn_and_shown_once(api, acme):
    body = {"name": "drawn", "home": "acme", "reach": "self", "generate_password": True}
    first, second = (acme.post("/v1/principals", body, {"Idempotency-Key": "drawn"}) for _ in range(2))
    assert first.status == second.status == 201 and len(first["password"]) == 24 and "password" not in second.json
    assert outcome(api, "drawn", first["password"]) == "served"
    again = acme.post(path("drawn", ":set-password"), {"generate_password": True})
    wait_for(lambda: outcome(api, "drawn", again["password"]) == "served", "the new one works")
    assert outcome(api, "drawn", first["password"]) == WRONG
    assert "password" not in acme.get(path("drawn")).json


def test_no_password_is_kept_or_logged(api, acme):
    secret = "a-password-that-stands-nowhere"
    body = {"name": "quiet", "home": "acme", "reach": "self", "password": secret}
    assert acme.post("/v1/principals", body, {"Idempotency-Key": "quiet"}).status == 201
    assert acme.post("/v1/principals", {**body, "reach": "nonsense"}).status == 422
    assert acme.post("/v1/principals", body).status == 409
    drawn = acme.post(path("quiet", ":set-password"), {"generate_password": True})["password"]
    with api.admin() as admin:
        tables = admin.execute("SELECT c.oid::regclass::text FROM pg_class c WHERE relkind = 'r' "
                               "AND relnamespace = 'bulkhead_control'::regnamespace").fetchall()
        kept = "".join(str(admin.execute(f"SELECT string_agg(to_json(t)::text, '') FROM {name} t").fetchone())
                       for name, in tables)
    assert '"quiet"' in kept
    for text in (secret, drawn):
        assert text not in kept and text not in api.proxy.log_text() and text not in api.stand.postgres.log_text()


def test_without_a_password_nobody_logs_in(api, acme):
    assert made(acme, "mute")["has_password"] is False
    assert outcome(api, "mute") == outcome(api, "mute", "") == WRONG
    assert acme.post(path("mute", ":set-password"), {"password": PASSWORD})["has_password"] is True
    wait_for(lambda: outcome(api, "mute") == "served", "the password is known")
    assert acme.post(path("mute", ":set-password"), {"password": None})["has_password"] is False
    wait_for(lambda: outcome(api, "mute") == WRONG, "the password is gone")


@pytest.mark.parametrize("name", ["a/b:c%2F é\"'\\?#", "..", ".", "ü" * 31, ":", "x:set-password"])
def test_odd_names(acme, name):
    answer = made(acme, name)
    assert acme.get(answer.headers["Location"])["name"] == acme.get(path(name))["name"] == name
    assert acme.post(path(name, ":disable"))["state"] == "disabled"
    assert acme.delete(path(name)).status == 204 and acme.get(path(name)).status == 404


@pytest.mark.parametrize("more, field", [
    ({"name": ""}, "body.name"), ({"name": "ü" * 32}, "body.name"), ({"name": "a\tb"}, "body.name"),
    ({"name": 1}, "body.name"),
    ({"home": "nosuch"}, "body.home"), ({"home": None}, "body.home"), ({"reach": "everything"}, "body.reach"),
    ({"verifier": "SCRAM-SHA-256$…"}, "body.verifier"), ({"password": ""}, "body.password"),
    ({"password": 1}, "body.password"),
    ({"password": "x" * 1001}, "body.password"), ({"password": "x", "generate_password": True}, "body.password"),
    ({"generate_password": "yes"}, "body.generate_password"), ({"valid_until": "infinity"}, "body.valid_until"),
    ({"disabled": None}, "body.disabled"), ({"max_connections": 0}, "body.max_connections"),
    ({"max_connections": 1000001}, "body.max_connections"), ({"certificate_names": []}, "body.certificate_names"),
    ({"certificate_names": ["x"] * 21}, "body.certificate_names"),
    ({"certificate_names": [""]}, "body.certificate_names[0]"),
    ({"certificate_names": ["é" * 255]}, "body.certificate_names"),
    ({"certificate_names": ["ok", "a\nb"]}, "body.certificate_names[1]"),
    ({"certificate_names": [None]}, "body.certificate_names[0]"), ({"token_subjects": ["x"]}, "body.token_subjects"),
    ({"tenants": []}, "body.tenants"), ({"tenants": ["acme"] * 101}, "body.tenants"),
    ({"tenants": "acme"}, "body.tenants"),
    ({"tenants": ["acme", "nosuch"]}, "body.tenants[1]"), ({"tenants": ["globex"]}, "body.tenants[0]"),
    ({"tenants": [None]}, "body.tenants[0]"),
])
def test_malformed_principals_are_refused(acme, more, field):
    answer = acme.post("/v1/principals", {"name": "malformed", "home": "acme", "reach": "self", **more})
    assert answer.status in (404, 422) and field in answer.fields, answer
    assert acme.get(path("malformed")).status == 404


def test_a_password_is_said_or_drawn(acme):
    made(acme, "asked")
    for body in ({}, {"password": "x", "generate_password": True}, {"generate_password": False}):
        refused(acme.post(path("asked", ":set-password"), body), 422, "BH-API-VALUE", "body.password")


def test_names_are_taken_once(acme, root):
    made(acme, "taken")
    refused(root.post("/v1/principals", {"name": "taken", "home": "globex", "reach": "self"}),
            409, "BH-API-EXISTS", "body.name")


# ---- not beyond one's own ----

def test_nobody_makes_a_principal_outside_their_part(acme):
    refused(acme.post("/v1/principals", {"name": "x", "home": "globex", "reach": "self"}),
            404, "BH-API-TENANT", "body.home")
    made(acme, "inside")
    refused(acme.patch(path("inside"), {"home": "globex"}), 404, "BH-API-TENANT", "body.home")
    assert acme.patch(path("inside"), {"home": "acme-labs"})["home"] == "acme-labs"


def test_only_whoever_has_the_whole_tree_lets_one_reach_all(api, acme, root):
    operator = api.client("operator", "acme")
    made(acme, "modest")
    for client in (acme, operator):
        body = {"name": "x", "home": "acme", "reach": "all"}
        refused(client.post("/v1/principals", body), 403, "BH-API-BEYOND", "body.reach")
        refused(client.patch(path("modest"), {"reach": "all"}), 403, "BH-API-BEYOND", "body.reach")
    assert root.patch(path("modest"), {"reach": "all"}).status == 200


def changes_of(client, name):
    return [client.patch(path(name), {"disabled": True}), client.post(path(name, ":disable")),
            client.post(path(name, ":enable")), client.post(path(name, ":set-password"), {"password": PASSWORD}),
            client.delete(path(name))]


def test_one_that_reaches_all_is_not_taken_over(acme, root):
    made(root, "great", reach="all")
    assert acme.get(path("great"))["reach"] == "all"
    for answer in [*changes_of(acme, "great"), acme.patch(path("great"), {"reach": "self"})]:
        refused(answer, 403, "BH-API-BEYOND", "path.name")
    assert root.get(path("great"))["version"] == 1


@pytest.mark.parametrize("name", ["boss", "watcher"])
def test_who_operates_the_console_is_not_made_or_taken_over(api, acme, root, name):
    """It would see and end what others do."""
    body = {"name": name, "home": "acme", "reach": "self", "password": PASSWORD}
    refused(acme.post("/v1/principals", body), 403, "BH-API-BEYOND", "body.name")
    assert root.post("/v1/principals", body).status == 201
    for answer in changes_of(acme, name):
        refused(answer, 403, "BH-API-BEYOND", "path.name")
    assert root.delete(path(name)).status == 204


def test_others_principals_do_not_exist(acme, root):
    made(root, "theirs", home="globex")
    for answer in (acme.get(path("theirs")), *changes_of(acme, "theirs")):
        refused(answer, 404, "BH-API-NOT-FOUND", "path.name")


@pytest.mark.parametrize("role", ["viewer", "editor"])
def test_lower_roles_look_and_do_not_touch(api, acme, role):
    made(acme, f"seen-by-{role}")
    client = api.client(role, "acme")
    assert client.get(path(f"seen-by-{role}")).status == client.get("/v1/principals").status == 200
    for answer in [*changes_of(client, f"seen-by-{role}"), client.post("/v1/principals", {})]:
        assert answer.reason == "BH-API-ROLE"


def test_lists(acme, root):
    for name, home in (("list-1", "acme"), ("list-2", "acme-labs"), ("list-3", "globex")):
        made(root, name, home=home)
    mine = [item["name"] for item in acme.pages("/v1/principals", 4)]
    assert {"list-1", "list-2"} <= set(mine) and "list-3" not in mine
    assert mine == sorted(mine) and len(mine) == len(set(mine))
    assert [item["name"] for item in root.pages("/v1/principals?q=list-", 2)] == ["list-1", "list-2", "list-3"]
    assert [item["name"] for item in root.pages("/v1/principals?q=list-&home=acme")] == ["list-1"]
    assert [item["name"] for item in root.pages("/v1/principals?q=list-&home=acme&subtree=true")] == [
        "list-1", "list-2"]
    assert {item["reach"] for item in root.pages("/v1/principals?reach=all")} == {"all"}
    assert acme.get("/v1/principals?home=globex").reason == "BH-API-TENANT"


# ---- changing, and what running sessions see of it ----

def test_a_change_says_which_version_it_means(acme):
    made(acme, "edited")
    assert acme.patch(path("edited"), {"disabled": True}, match=None).status == 428
    assert acme.patch(path("edited"), {"max_connections": 3}, match='"1"').etag == '"2"'
    assert acme.patch(path("edited"), {"max_connections": 4}, match='"1"').reason == "BH-API-CHANGED"
    assert acme.patch(path("edited"), {"max_connections": None, "valid_until": None}).json["max_connections"] is None
    assert acme.delete(path("edited"), match=None).status == 428


def test_of_two_edits_of_one_version_one_is_made(acme):
    for round in range(50):
        made(acme, f"twice-{round}")
        with ThreadPoolExecutor(2) as executor:
            answers = list(executor.map(
                lambda limit: acme.patch(path(f"twice-{round}"), {"max_connections": limit}, match='"1"'), (1, 2)))
        assert sorted(answer.status for answer in answers) == [200, 412]


CHANGES = {
    "disabled": (lambda acme, name: acme.post(path(name, ":disable")), "BH-ID-REVOKED"),
    "expired": (lambda acme, name: acme.patch(path(name), {"valid_until": "2020-01-01T00:00:00Z"}), "BH-ID-REVOKED"),
    "another password": (lambda acme, name: acme.post(path(name, ":set-password"), {"password": "x"}), "BH-ID-REVOKED"),
    "deleted": (lambda acme, name: acme.delete(path(name)), "BH-ID-REVOKED"),
    "moved away": (lambda acme, name: acme.patch(path(name), {"home": "acme-labs"}), "BH-ID-REACH-LOST"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_sessions_end_with_what_let_them_in(api, acme, change):
    name, (make, reason) = f"ended-{change}", CHANGES[change]
    made(acme, name, password=PASSWORD)
    with api.proxy.wire("acme", principal=name, password=PASSWORD) as wire:
        assert rows(wire.query(COUNT)) == [[str(ROWS)]]
        assert make(acme, name).status in (200, 204)
        assert ends(wire) == ("57P01", reason)
    assert outcome(api, name) != "served"


def test_enabled_again(api, acme):
    made(acme, "switched", password=PASSWORD, disabled=True)
    assert outcome(api, "switched") == WRONG
    assert acme.post(path("switched", ":enable"))["state"] == "active"
    wait_for(lambda: outcome(api, "switched") == "served", "it is enabled")


# ---- for whom it may speak ----

def test_of_its_reach_a_principal_speaks_for_those_that_are_listed(api, root, stand):
    made(root, "picky", reach="all", password=PASSWORD, tenants=["acme-labs", "globex"])

    def served():
        tenants = {}
        for tenant in ("acme", "acme-labs", "globex"):
            tenants[tenant] = outcome(api, "picky", tenant=tenant)
        assert set(tenants.values()) <= {"served", ("28000", "BH-ID-REACH")}, tenants
        return {tenant for tenant, found in tenants.items() if found == "served"}

    assert served() == {"acme-labs", "globex"}
    with api.proxy.wire("globex", principal="picky", password=PASSWORD) as goes, \
            api.proxy.wire("acme-labs", principal="picky", password=PASSWORD) as stays:
        assert rows(goes.query(COUNT)) == rows(stays.query(COUNT)) == [[str(ROWS)]]
        answer = root.patch(path("picky"), {"tenants": ["acme"]})  # and those below it
        assert answer["tenants"] == [stand.ids["acme"]]
        assert ends(goes) == ("57P01", "BH-ID-REACH-LOST")
        assert rows(stays.query(COUNT)) == [[str(ROWS)]]
    assert served() == {"acme", "acme-labs"}
    assert root.patch(path("picky"), {"reach": "self", "home": "globex"}).status == 200
    wait_for(lambda: served() == set(), "home and list have nothing in common")
    assert root.patch(path("picky"), {"tenants": None})["tenants"] is None
    wait_for(lambda: served() == {"globex"}, "there is no list")


def test_a_list_whose_tenants_are_gone_is_not_everybody(api, root, stand):
    stand.command("tenant", "create", "passing")
    made(root, "bereft", reach="all", password=PASSWORD, tenants=["passing"])
    with api.admin() as admin:
        admin.execute("DELETE FROM bulkhead_control.tenant WHERE slug = 'passing'")
    assert len(root.get(path("bereft"))["tenants"]) == 1
    assert outcome(api, "bereft") == ("28000", "BH-ID-REACH")


# ---- limits ----

def served_at_once(stand, limit, **settings):
    """Of twelve logins at once, how many are served?"""
    with Api(stand, proxy={"bulkhead": settings}) as api:
        acme, name = api.client("admin", "acme"), f"limited-{api.port}"
        for other, more in ((name, {"max_connections": limit}), (f"beside-{api.port}", {})):
            made(acme, other, password=PASSWORD, **more)

        def login(_):
            try:
                return api.proxy.wire("acme", principal=name, password=PASSWORD)
            except WireError as refusal:
                assert why(refusal.fields) == ("53300", "BH-LIM-USER-CLIENTS")
                return None

        with ThreadPoolExecutor(12) as executor, ExitStack() as stack:
            served = [stack.enter_context(wire) for wire in executor.map(login, range(12)) if wire]
            assert all(types(wire.query("SELECT 1"))[-1] == "Z" for wire in served)
            assert outcome(api, f"beside-{api.port}") == "served"
            assert acme.patch(path(name), {"max_connections": len(served) + 1}).status == 200
            if not settings.get("max_user_client_connections"):
                stack.enter_context(wait_for(lambda: login(0), "there is room for one more"))
            assert login(0) is None
            return len(served)


@pytest.mark.parametrize("workers", [1, 4])
def test_a_principal_has_so_many_connections(stand, workers):
    assert served_at_once(stand, 3, workers=workers) == 3


def test_what_the_settings_say_of_all_is_not_exceeded(stand):
    assert served_at_once(stand, 100, max_user_client_connections=5) == 5


# ---- certificates ----

@pytest.fixture(scope="module")
def pki(tmp_path_factory):
    return make_pki(tmp_path_factory.mktemp("pki"))


def test_names_of_certificates(stand, pki):
    """Where a principal has some, a certificate must bear one of them; its own name is one only if it is listed."""
    section = listen(pki.server, "verify-full", ca_file=pki.ca.cert) | {"auth": "cert", "unix_socket_dir": ""}
    certificates = {name: pki.ca.issue(name) for name in ("robot", "robot.example", "robot-b.example")}
    certificates["alternative"] = pki.ca.issue("someone", names=("DNS:robot.example",))
    with Api(stand, proxy={"listen:default": section}) as api:
        acme = api.client("admin", "acme")
        made(acme, "robot")

        def connect(certificate):
            wire = secure(api.proxy.port, certificate=certificates[certificate])
            try:
                wire.login({"user": "robot.acme", "database": DATABASE})
                return wire
            except BaseException:
                wire.close()
                raise

        def served():
            found = set()
            for certificate in certificates:
                try:
                    with connect(certificate) as wire:
                        assert rows(wire.query(COUNT)) == [[str(ROWS)]]
                    found.add(certificate)
                except WireError as refusal:
                    assert why(refusal.fields) == ("28000", "BH-ID-CERTIFICATE")
            return found

        assert served() == {"robot"}
        with connect("robot") as wire:
            assert acme.patch(path("robot"), {"certificate_names": ["robot.example", "robot-b.example"]}).status == 200
            assert ends(wire) == ("57P01", "BH-ID-REVOKED")
        assert served() == {"robot.example", "robot-b.example", "alternative"}
        with connect("robot.example") as stays, connect("robot-b.example") as goes:
            assert acme.patch(path("robot"), {"certificate_names": ["robot.example", "robot"]}).status == 200
            assert ends(goes) == ("57P01", "BH-ID-REVOKED")
            assert rows(stays.query(COUNT)) == [[str(ROWS)]]
        assert served() == {"robot", "robot.example", "alternative"}
        assert acme.patch(path("robot"), {"certificate_names": None}).status == 200
        wait_for(lambda: served() == {"robot"}, "its own name again")


# ---- the snapshot ----

def test_a_snapshot_has_them_too(stand, acme):
    """A sidecar that starts while the control database is away holds to limits and lists."""
    made(acme, "stored", reach="subtree", password=PASSWORD, max_connections=1, tenants=["acme-labs"])
    snapshot = stand.folder / "principals.snapshot"
    snapshot.unlink(missing_ok=True)

    def refusal(proxy, tenant):
        with pytest.raises(WireError) as refused:
            proxy.wire(tenant, principal="stored", password=PASSWORD)
        return why(refused.value.fields)

    with stand.proxy(control={"snapshot_file": snapshot}) as proxy:
        proxy.wire("acme-labs", principal="stored", password=PASSWORD).close()
        assert refusal(proxy, "acme") == ("28000", "BH-ID-REACH")
        wait_for(lambda: snapshot.exists() and all(
            word in snapshot.read_bytes() for word in (b'"stored"', b'"acme"', b'"acme-labs"')), "it is written")
    away = {"snapshot_file": snapshot, "dsn": "host=127.0.0.1 port=1 dbname=x user=bulkhead_sidecar"}
    with stand.proxy(control=away) as proxy, proxy.wire("acme-labs", principal="stored", password=PASSWORD) as wire:
        assert rows(wire.query(COUNT)) == [[str(ROWS)]]
        assert refusal(proxy, "acme-labs") == ("53300", "BH-LIM-USER-CLIENTS")
        assert refusal(proxy, "acme") == ("28000", "BH-ID-REACH")
