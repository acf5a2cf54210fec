"""What was tried against the admin API: each of these was found open, or could have been."""

import http.client
import socket
import threading
import time

import pytest
from harness.api import Api
from harness.postgres import HOST
from harness.wait import wait_for


@pytest.fixture(scope="module")
def api(stand):
    with Api(stand) as api:
        yield api


@pytest.fixture(scope="module")
def ids(api):
    with api.admin() as root:
        return dict(root.execute("SELECT slug, id::text FROM bulkhead_control.tenant").fetchall())


@pytest.fixture(scope="module")
def root(api):
    return api.client()


# ---- the audit log ----

def test_who_asks_about_a_foreign_tenant_writes_nothing_into_its_log(api, root, ids):
    foreign = root.post("/v1/tenants", {"slug": "asked-about"})["id"]
    mine, theirs = api.client("admin", "acme", name="graffiti"), api.client("admin", "asked-about")
    for path in ("/v1/audit", "/v1/audit:export"):
        assert mine.get(f"{path}?tenant_id={foreign}&actor=was-here").status == 200
    assert [r for r in theirs.get("/v1/audit?limit=200").items if "graffiti" in r["actor"]] == []
    # It is recorded all the same, where the caller is at home.
    asked = [r for r in mine.get("/v1/audit?limit=200&action=audit.read").items if r["after"].get("actor") == "was-here"]
    assert {r["tenant_id"] for r in asked} == {ids["acme"]}


def test_why_a_job_failed_is_in_no_log_of_its_tenant(api, root, ids):
    with api.admin() as admin:
        admin.execute("INSERT INTO bulkhead_control.job (kind, tenant_id, cluster, slug) "
                      "SELECT 'provision', id, cluster, slug FROM bulkhead_control.tenant "
                      "WHERE slug = 'acme-labs'")
        job = admin.execute("SELECT max(id) FROM bulkhead_control.job").fetchone()[0]
        admin.execute("UPDATE bulkhead_control.job SET state = 'failed', error = 'host db-17.internal said no', "
                      "finished_at = now() WHERE id = %s", (job,))
    mine = api.client("admin", "acme")
    assert "db-17" not in mine.get(f"/v1/jobs/{job}").text
    for path in ("/v1/audit?limit=20", "/v1/audit:export?limit=10000", "/v1/audit:export?format=csv&limit=10000"):
        assert "db-17" not in mine.get(path).text, path
        assert f"job:{job}" in mine.get(path).text, path
    assert "db-17" in root.get("/v1/audit?limit=20").text


# ---- secrets ----

def test_a_principal_that_is_refused_leaves_nothing_of_its_password_in_the_servers_log(api, root):
    """PostgreSQL writes the row that breaks a CHECK into its log: of a verifier enough to guess a password by."""
    before = len(api.stand.postgres.log.read_text())
    for body in ({"name": "ä" * 40}, {"name": "long-names", "certificate_names": ["ä" * 200]}):
        answer = root.post("/v1/principals", {"home": "acme", "reach": "self", "password": "hunter2", **body})
        assert answer.status == 422 and answer.fields[0].startswith(f"body.{list(body)[-1]}"), answer
    assert "Failing row" not in api.stand.postgres.log.read_text()[before:]


def test_a_slug_that_changes_hands_takes_no_data_key_along(api, root):
    """A value is sealed for the tenant that its slug meant; when it is stored, the slug may mean another."""
    for slug in ("hands-a", "hands-b"):
        assert root.post("/v1/tenants", {"slug": slug, "parent": "acme"}).status == 201
    answers = []
    with api.admin() as holder, holder.transaction():
        holder.execute("LOCK TABLE bulkhead_control.tree_lock IN EXCLUSIVE MODE")
        put = threading.Thread(target=lambda: answers.append(
            root.put("/v1/tenants/hands-a/settings/app.secret", {"value": "x", "sensitive": True})))
        put.start()
        with api.admin() as other:
            wait_for(lambda: other.execute("SELECT 1 FROM pg_locks WHERE NOT granted").fetchone(), "the request to wait")
        for old, new in (("hands-a", "hands-c"), ("hands-b", "hands-a")):
            holder.execute("UPDATE bulkhead_control.tenant SET slug = %s WHERE slug = %s", (new, old))
    put.join()
    assert answers[0].status == 200, answers
    reader = api.client("admin", "acme", reveal=True)
    assert reader.get("/v1/tenants/hands-a/settings/app.secret?reveal=true")["value"] == "x"
    assert root.put("/v1/tenants/hands-a/settings/app.other", {"value": "y", "sensitive": True}).status == 200


# ---- rank ----

def test_the_gate_is_not_opened_from_within(api, root):
    """Permissions act in the gate: who could switch it off would hold them all."""
    for slug in ("gated", "gated-low"):
        assert root.post("/v1/tenants", {"slug": slug, "parent": "gated" if slug != "gated" else None}).status == 201
    assert root.put("/v1/tenants/gated-low/settings/proxy.gate", {"value": "enforce"}).status == 200
    for role in ("editor", "admin", "operator"):
        own = api.client(role, "gated")
        for slug in ("gated", "gated-low"):
            of = f"/v1/tenants/{slug}/settings"
            for value in ("observe", "off"):
                answer = own.put(f"{of}/proxy.gate", {"value": value}, "*" if slug != "gated" else None)
                assert answer.status == 403, answer
                batch = own.post(f"{of}:batch", {"mode": "partial", "set": [{"key": "proxy.gate", "value": value}]})
                assert batch.items[0]["done"] == "refused", batch
        assert own.delete("/v1/tenants/gated-low/settings/proxy.gate").status == 403
        assert own.post("/v1/tenants/gated-low/settings:batch", {"mode": "partial", "delete": [{"key": "proxy.gate"}]}
                        ).items[0]["done"] == "refused"
    assert root.put("/v1/tenants/gated-low/settings/proxy.gate", {"value": "off"}, "*").status == 200
    assert root.put("/v1/tenants/gated-low/settings/proxy.gate", {"value": "enforce"}, "*").status == 200
    answer = api.client("admin", "gated").request(
        "POST", "/v1/tenants/gated-low/settings/proxy.gate:rollback", {"revision": 2}, {"If-Match": "*"})
    assert answer.status == 403, answer
    assert api.client("editor", "gated").put("/v1/tenants/gated-low/settings/proxy.gate", {"value": "enforce"},
                                             "*").status == 200


def test_a_limit_of_a_tenant_is_not_its_own_to_lift(api, root):
    assert root.post("/v1/tenants", {"slug": "limited"}).status == 201
    limit = "/v1/tenants/limited/settings/proxy.max_connections"
    assert root.put(limit, {"value": 3}).status == 200
    for role in ("editor", "admin", "operator"):
        own = api.client(role, "limited")
        for answer in (own.put(limit, {"value": 4}, "*"), own.delete(limit), own.patch(limit, {"locked": True})):
            assert (answer.status, answer.reason) == (403, "BH-API-HOME"), answer
        assert own.put("/v1/tenants/limited/settings/app.mine", {"value": 4}, "*" if role != "editor" else None).status == 200


# ---- bounds ----

def test_strangers_do_not_lock_out_who_has_a_key(stand):
    """They may share an address: on the same machine, behind one proxy; a page in a browser is enough."""
    with Api(stand, failure_limit=3) as api:
        known = api.client()
        assert known.get("/v1/version").status == 200
        for _ in range(6):
            last = api.stranger(api.key()[:21] + "A" * 43).get("/v1/version").status
        assert last == 429
        assert known.get("/v1/version").status == 200
        # A key that was known, and is not any more, is a stranger's.
        with api.admin() as admin:
            admin.execute("UPDATE bulkhead_control.api_key SET revoked_at = now() WHERE id = %s", (known.key[4:20],))
        assert [known.get("/v1/version").status for _ in range(2)] == [401, 429]


def test_connections_that_ask_nothing_take_no_descriptors_from_the_data_port(stand):
    with Api(stand, max_clients=5, request_timeout="3s") as api:
        before = api.proxy.descriptors()
        idle = [socket.create_connection((HOST, api.port), timeout=20) for _ in range(60)]
        time.sleep(0.5)
        took = api.proxy.descriptors() - before
        for one in idle:
            one.close()
        assert took <= 16, took
        wait_for(lambda: api.client().get("/v1/version").status == 200, "room again")


def test_headers_are_read_in_no_time(api, root):
    for name, value in (("If-Match", ", ".join(['"a"'] * 2500)), ("If-Match", '"' + "a" * 12000),
                        ("Idempotency-Key", "a" * 15000), ("If-Match", '"a"' + " " * 12000)):
        began = time.monotonic()
        connection = http.client.HTTPConnection(HOST, api.port, timeout=60)
        connection.request("POST", "/v1/tenants", "{}", {"Authorization": f"Bearer {root.key}", name: value,
                                                         "Content-Type": "application/json"})
        assert connection.getresponse().status in (400, 422)
        assert time.monotonic() - began < 0.5, (name, value[:10])


@pytest.mark.parametrize("line", ["Content-Length : 4", "Transfer-Encoding : chunked", "Content_Length\x0b: 4", "\x01: 4"])
def test_a_header_that_others_read_otherwise_ends_the_connection(api, root, line):
    with socket.create_connection((HOST, api.port), timeout=20) as raw:
        raw.sendall(f"GET /v1/version HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {root.key}\r\n{line}\r\n\r\n".encode())
        received = b""
        while part := raw.recv(65536):
            received += part
    assert received.startswith(b"HTTP/1.1 400"), received


@pytest.mark.parametrize("sql", [
    "select " + "(" * 30000, "select " + "-" * 60000, "/*" * 30000, "select " + "a+" * 30000 + "1", "select '" + "''" * 30000,
    "select " + "case when 1 then " * 4000, ";" * 60000, "select 1;" * 7000, "select " + "~" * 63 + ",", "select U&'" + "\\0041" * 10000 + "'"])
def test_a_statement_that_is_explained_does_not_hold_up_others(api, root, sql):
    began = time.monotonic()
    root.post("/v1/statements:explain", {"tenant": "acme", "sql": sql[:65000]})
    assert time.monotonic() - began < 1, sql[:20]


def test_what_is_asked_in_one_request_counts_as_what_it_is(stand):
    """A thousand tenants are made in the tree's turn, and nobody else changes anything meanwhile: also in a dry run."""
    with Api(stand, rate_limit=5) as api:
        admin, other = api.client("admin", "acme"), api.client()
        batch = {"tenants": [{"slug": f"counted-{n}", "parent": "acme"} for n in range(60)]}
        assert admin.post("/v1/tenants:batch?dry_run=true", batch).status == 201
        assert admin.post("/v1/tenants:batch?dry_run=true", batch).status == 429
        assert other.get("/v1/version").status == 200
        # Long texts, too.
        assert other.post("/v1/statements:explain", {"tenant": "acme", "sql": "select 1 --" + "x" * 200000}).status == 200
        assert other.get("/v1/version").status == 429


def test_a_pause_is_not_ended_by_who_is_paused(api, root):
    own = api.client("admin", "acme")
    assert root.post("/v1/tenants/acme:pause").status == 200
    try:
        answer = own.post("/v1/tenants/acme:unpause")
        assert (answer.status, answer.reason) == (403, "BH-API-HOME"), answer
        assert root.get("/v1/tenants/acme/live")["paused"]
        assert own.post("/v1/tenants/acme-labs:pause").status == own.post("/v1/tenants/acme-labs:unpause").status == 200
    finally:
        assert root.post("/v1/tenants/acme:unpause").status == 200
