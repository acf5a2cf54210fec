"""The audit log over the admin API: who sees what of it, export, verification, holds and the stream of events."""

import csv
import http.client
import io
import json
import time
from contextlib import contextmanager

import pytest
from harness.api import Api
from harness.postgres import HOST
from harness.stand import Stand
from harness.wait import wait_for


# Makes all records older, with the chain that they would have.
AGE = """
DO $$ DECLARE a bulkhead_control.audit; prev bytea; BEGIN
    SET LOCAL session_replication_role = replica;
    FOR a IN SELECT * FROM bulkhead_control.audit ORDER BY id LOOP
        a.at := a.at - interval '40 days';
        a.prev_hash := coalesce(prev, a.prev_hash);
        a.hash := bulkhead_control.audit_hash(a);
        prev := a.hash;
        UPDATE bulkhead_control.audit SET at = a.at, prev_hash = a.prev_hash, hash = a.hash WHERE id = a.id;
    END LOOP;
    UPDATE bulkhead_control.audit_head SET at = a.at, hash = prev;
END $$
"""


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


def set_app(api, slug, key="app.audited", value="1"):
    with api.admin() as root:
        root.execute("SELECT bulkhead_control.set_setting(id, %s, %s, false) FROM bulkhead_control.tenant WHERE slug = %s",
                     (key, value, slug))


def head(root):
    return root.get("/v1/audit:head").json


def test_a_change_is_told_with_who_asked(api, root, ids):
    answer = root.request("POST", "/v1/tenants", {"slug": "audited", "name": "x", "parent": "acme"},
                          {"X-Request-Id": "r-77"})
    assert answer.status == 201, answer
    record = root.get("/v1/audit?limit=1&action=tenant.").items[0]
    assert (record["kind"], record["action"], record["actor"], record["subject"], record["request_id"]) == (
        "created", "tenant.create", "api-key:operator of all", "tenant:audited", "r-77")
    assert (record["address"], record["login"], record["actor_id"]) == (HOST, "test_api", root.key[4:20])
    assert record["before"] is None and record["after"]["parent_id"] == ids["acme"]
    assert root.get(f"/v1/audit/{record['id']}").json == record
    assert record["at"].endswith("Z") and "T" in record["at"]


def test_a_caller_sees_its_own_part_of_the_tree(api, root, ids):
    for slug in ("acme", "acme-labs", "globex"):
        set_app(api, slug, value=str(time.time_ns()))
    mine = api.client("admin", "acme")
    seen = {item["tenant_id"] for item in mine.pages("/v1/audit", 200)}
    assert ids["globex"] not in seen and None not in seen and {ids["acme"], ids["acme-labs"]} <= seen
    assert {item["tenant_slug"] for item in root.get("/v1/audit?action=setting.&limit=3").items} == {
        "acme", "acme-labs", "globex"}
    other = root.get("/v1/audit?tenant=globex&limit=1").items[0]
    assert mine.get(f"/v1/audit/{other['id']}").reason == "BH-API-NOT-FOUND"
    assert mine.get("/v1/audit?tenant=globex").reason == "BH-API-TENANT"
    assert mine.get(f"/v1/audit?tenant_id={ids['globex']}").items == []
    assert mine.get(f"/v1/audit?tenant_id={ids['globex']}&subtree=true").items == []
    exported = [json.loads(line) for line in mine.get("/v1/audit:export").text.split("\n")[:-1]]
    assert ids["globex"] not in {record["tenant_id"] for record in exported}
    # What the caller asked for itself is in its own log alone, in its own words.
    assert {r["action"] for r in exported if ids["globex"] in json.dumps(r)} == {"audit.read"}
    for path in ("/v1/audit:verify", "/v1/audit:head", "/v1/audit-holds"):
        assert mine.get(path).status == 403
    assert api.client("editor", "acme").get("/v1/audit").reason == "BH-API-ROLE"


def test_a_caller_learns_nothing_of_what_is_above(api, root, ids):
    """Not even from records of its own part of the tree, which somebody from above has made."""
    assert root.post("/v1/tenants", {"slug": "wanderer", "name": "x", "parent": "globex"}).status == 201
    assert root.post("/v1/tenants/wanderer:move", {"parent": "acme-labs"}).status == 200
    mine = api.client("admin", "acme-labs")
    records = mine.pages("/v1/audit?tenant=wanderer&action=tenant.move")
    assert [(r["before"]["parent_id"], r["after"]["parent_id"]) for r in records] == [(None, ids["acme-labs"])]
    assert (records[0]["actor"], records[0]["actor_id"], records[0]["address"]) == ("api-key:operator of all", None, None)
    text = mine.get("/v1/audit?limit=200").text + mine.get("/v1/audit:export?format=csv").text
    assert ids["acme"] not in text and ids["globex"] not in text and root.key[4:20] not in text
    assert mine.key[4:20] in text  # its own reading


def test_filters(api, root, ids):
    set_app(api, "acme", value="10")
    since = root.get("/v1/audit?limit=1").items[0]["at"]
    set_app(api, "acme-labs", value="11")
    set_app(api, "acme", value="12")
    newer = [item for item in root.get(f"/v1/audit?from={since}&action=setting.").items]
    assert [item["tenant_slug"] for item in newer][:2] == ["acme", "acme-labs"]
    assert {item["tenant_slug"] for item in root.pages("/v1/audit?tenant=acme")} == {"acme"}
    assert {item["tenant_slug"] for item in root.pages("/v1/audit?tenant=acme&subtree=true")} >= {"acme", "acme-labs"}
    assert {item["kind"] for item in root.pages("/v1/audit?kind=changed", 200)} == {"changed"}
    actor = newer[0]["actor"]
    assert {item["actor"] for item in root.pages(f"/v1/audit?actor={actor}", 200)} == {actor}
    assert root.get("/v1/audit?to=2020-01-01T00:00:00Z").items == []
    assert root.get("/v1/audit?from=2120-01-01T00:00:00Z").items == []
    for bad, field in (("from=yesterday", "query.from"), ("kind=x", "query.kind"), ("tenant_id=x", "query.tenant_id"),
                       ("cursor=x", "query.cursor"), ("limit=0", "query.limit"), ("x=1", "query.x")):
        answer = root.get(f"/v1/audit?{bad}")
        assert 400 <= answer.status < 500 and field in answer.fields, answer


def test_pages_go_through_all_of_it_once(root):
    places = [item["id"] for item in root.pages("/v1/audit", 7)]
    assert places == sorted(places, reverse=True) and len(places) == len(set(places))
    assert places[-1] == 1 and len(places) == places[0]


def test_reading_is_recorded_once(api, ids):
    mine = api.client("admin", "acme", name="reader")
    before = head(api.client())["id"]
    for _ in range(3):
        mine.pages("/v1/audit?action=setting.", 2)
    mine.get("/v1/audit:export?action=setting.")
    notes = [item for item in api.client().get("/v1/audit?kind=noted&limit=200").items
             if item["id"] > before and item["actor"] == "api-key:reader"]
    assert [(n["action"], n["after"]["action"], n["tenant_id"]) for n in notes] == 2 * [
        ("audit.read", "setting.", ids["acme"])]


def export(client, query=""):
    parts, cursor = [], None
    while True:
        answer = client.get(f"/v1/audit:export?limit=9{query}" + (f"&cursor={cursor}" if cursor else ""))
        assert answer.status == 200, answer
        parts.append(answer)
        cursor = answer.headers["Next-Cursor"]
        if not cursor:
            return parts


def test_export_as_ndjson(root):
    parts = export(root)
    assert {part.headers["Content-Type"] for part in parts} == {"application/x-ndjson"}
    records = [json.loads(line) for part in parts for line in part.text.splitlines()]
    assert [r["id"] for r in records] == list(range(1, len(records) + 1))
    listed = root.pages("/v1/audit", 200)
    assert records == [r for r in reversed(listed) if r["id"] <= len(records)]


def test_export_as_csv_is_no_formula(api, root):
    for name in ("=1+1", "+x", "-x", "@x", '"q",\r\n'):
        set_app(api, "acme", key="app.csv", value=json.dumps(name))
    with api.admin() as admin:
        admin.execute("SELECT bulkhead_control.audit_note('=cmd', NULL, '@SUM(1)', NULL)")
    text = "".join(part.text for part in export(root, "&format=csv"))
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert [int(row["id"]) for row in rows] == list(range(1, len(rows) + 1))
    evil = [row for row in rows if row["action"].endswith("=cmd")]
    assert [(row["action"], row["subject"]) for row in evil] == [("'=cmd", "'@SUM(1)")]
    for row in rows:
        assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for cell in row.values())
    listed = {item["id"]: item for item in root.pages("/v1/audit", 200)}
    for row in rows:
        assert (json.loads(row["after"]) if row["after"] else None) == listed[int(row["id"])]["after"]


def test_verification(api, root):
    cursor, seen = "", 0
    while cursor is not None:
        answer = root.get("/v1/audit:verify?limit=10" + (f"&cursor={cursor}" if cursor else ""))
        assert answer.status == 200 and answer["fits"] and answer["fault"] is None, answer
        assert answer["from"] == seen + 1
        seen, cursor = answer["to"], answer["next"]
    assert seen == head(root)["id"] and answer["head"] == head(root)["head"]
    last = seen
    with api.admin() as admin:
        try:
            admin.execute("SET session_replication_role = replica")
            admin.execute("UPDATE bulkhead_control.audit SET actor = actor || '!' WHERE id = 5")
            assert root.get("/v1/audit:verify")["fault"]["id"] == 5
            assert root.get("/v1/audit:verify?from=6")["fits"]
            admin.execute("UPDATE bulkhead_control.audit SET actor = rtrim(actor, '!') WHERE id = 5")
            admin.execute("CREATE TEMP TABLE kept AS SELECT * FROM bulkhead_control.audit WHERE id IN (7, 8, %s)" % last)
            admin.execute("DELETE FROM bulkhead_control.audit WHERE id IN (7, 8)")
            assert root.get("/v1/audit:verify")["fault"]["id"] == 7
            admin.execute("INSERT INTO bulkhead_control.audit SELECT * FROM kept WHERE id < 9")
        finally:
            admin.execute("RESET session_replication_role")
    assert root.get("/v1/audit:verify?limit=10000")["fits"]


def test_holds(api, root, ids):
    made = root.post("/v1/audit-holds", {"tenant": "acme", "reason": "a lawsuit", "until": "2100-01-01T00:00:00Z"})
    assert (made.status, made["tenant_slug"], made["holds"]) == (201, "acme", True), made
    assert made["until"] == "2100-01-01T00:00:00Z" and made["made_by"] == "api-key:operator of all"
    path = made.headers["Location"]
    assert root.get(path).json == made.json
    assert made.json in root.pages("/v1/audit-holds", 1)
    assert root.delete(path).status == 204
    assert root.delete(path).status == 404
    assert root.get(path)["holds"] is False
    gone = root.post("/v1/audit-holds", {"tenant_id": "00000000-0000-4000-8000-00000000dead", "reason": "x"})
    assert gone.status == 201 and root.delete(gone.headers["Location"]).status == 204
    for body, field in (({}, "body.reason"), ({"reason": ""}, "body.reason"), ({"reason": "x", "y": 1}, "body.y"),
                        ({"reason": "x", "tenant": "none"}, "body.tenant"), ({"reason": "x", "until": "x"}, "body.until")):
        answer = root.post("/v1/audit-holds", body)
        assert 400 <= answer.status < 500 and field in answer.fields, answer
    assert [r["action"] for r in root.get("/v1/audit?action=audit_hold.&limit=4").items] == [
        "audit_hold.release", "audit_hold.create", "audit_hold.release", "audit_hold.create"]


# ---- events ----

class Stream:
    def __init__(self, client, query="", last=None):
        self.connection = http.client.HTTPConnection(HOST, client.port, timeout=20)
        headers = {"Authorization": f"Bearer {client.key}", **({"Last-Event-ID": str(last)} if last is not None else {})}
        self.connection.request("GET", f"/v1/events{query}", headers=headers)
        self.response = self.connection.getresponse()
        self.status = self.response.status

    def next(self):
        """(id, event, data); comments are left out. None at the end."""
        fields = {}
        while True:
            line = self.response.readline().decode()
            if not line:
                return None
            name, _, value = line.rstrip("\n").partition(": ")
            if name:
                fields[name] = value
            elif "data" in fields:
                return fields.get("id"), fields["event"], json.loads(fields["data"])
            else:
                fields = {}

    def close(self):
        self.response.close()
        self.connection.close()


@contextmanager
def streaming(*arguments, **more):
    stream = Stream(*arguments, **more)
    try:
        yield stream
    finally:
        stream.close()


def test_a_stream_tells_of_changes_as_they_are_made(api, root, ids):
    with streaming(api.client("admin", "acme")) as stream:
        assert stream.status == 200 and stream.response.headers["Content-Type"] == "text/event-stream"
        assert stream.next()[1] == "audit.read"  # its own beginning
        set_app(api, "globex", value="20")
        set_app(api, "acme-labs", value="21")
        began = time.monotonic()
        place, event, record = stream.next()
        assert time.monotonic() - began < 1
        assert (event, record["tenant_id"], int(place)) == (record["action"], ids["acme-labs"], record["id"])
        last = int(place)
    set_app(api, "acme-labs", value="22")
    set_app(api, "acme", value="23")
    with streaming(api.client("admin", "acme"), last=last) as stream:
        resumed = [stream.next()[2] for _ in range(2)]
    assert [r["tenant_slug"] for r in resumed] == ["acme-labs", "acme"] and resumed[0]["id"] > last


def test_a_stream_is_filtered(api, root):
    with streaming(root, "?tenant=acme&subtree=true&action=setting.") as stream:
        wait_for(lambda: root.get("/v1/audit?action=audit.read&limit=1").items[0]["after"].get("events"), "the beginning")
        set_app(api, "globex", value="30")
        root.patch("/v1/tenants/acme", {"name": "Acme Corp"})
        set_app(api, "acme-labs", value="31")
        assert stream.next()[2]["tenant_slug"] == "acme-labs"


def test_a_stream_begins_where_it_is_told(api, root):
    with api.admin() as admin:
        admin.execute("SELECT bulkhead_control.audit_note('x', NULL, 'x', NULL) FROM generate_series(1, 160)")
    last = head(root)["id"]
    with streaming(root, f"?after={last - 150}") as stream:
        places = [int(stream.next()[0]) for _ in range(150)]
    assert places == list(range(last - 149, last + 1))


@pytest.mark.parametrize("end", ["revoke", "suspend", "expire"])
def test_a_stream_ends_with_its_key(api, stand, end):
    client = api.client("admin", "acme-labs", **({"expires_at": time.strftime(
        "%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 2))} if end == "expire" else {}))
    with streaming(client) as stream:
        assert stream.next()[1] == "audit.read"
        try:
            began = time.monotonic()
            if end == "revoke":
                with api.admin() as root:
                    root.execute("UPDATE bulkhead_control.api_key SET revoked_at = now() WHERE id = %s", (client.key[4:20],))
            elif end == "suspend":
                stand.command("tenant", "suspend", "acme-labs", "--subtree")
            events = []
            while (event := stream.next()) is not None:
                events.append(event)
            assert time.monotonic() - began < (5 if end == "expire" else 2)
            assert events[-1][1:] == ("end", {"reason": "BH-API-SUSPENDED" if end == "suspend" else "BH-API-KEY"})
            assert len(events) == 1  # not even what ended it
        finally:
            if end == "suspend":
                stand.command("tenant", "resume", "acme-labs", "--subtree")


def test_streams_are_bounded_and_places_come_back(stand):
    with Api(stand, event_streams=2) as api:
        root, other = api.client(), api.client()
        with streaming(root):
            assert Stream(root).status == 503  # half of them
            with streaming(other) as stream:
                assert stream.status == 200
                assert Stream(api.client()).status == 503
        wait_for(lambda: Stream(root).status == 200, "a place")


def test_a_bad_place_is_refused(root):
    assert Stream(root, last="x").status == 400
    assert Stream(root, "?after=-1").status in (400, 422)


def test_a_reader_who_does_not_read_is_cut(stand):
    """And the others go on meanwhile."""
    with Api(stand, event_streams=4) as api:
        root = api.client()
        with api.admin() as admin:
            with streaming(api.client()) as other, streaming(api.client()) as slow:
                assert slow.status == 200 and other.status == 200
                for n in range(150):
                    admin.execute("SELECT bulkhead_control.audit_note('x.y', NULL, %s, to_jsonb(repeat('x', 60000)))",
                                  (str(n),))
                while other.next()[2]["subject"] != "149":
                    pass
                seen = 0
                began = time.monotonic()
                assert root.get("/v1/version").status == 200
                time.sleep(12)
                try:
                    while slow.next() is not None:
                        seen += 1
                except (http.client.HTTPException, OSError, json.JSONDecodeError, KeyError):
                    pass
                assert seen < 150 and time.monotonic() - began < 30


@pytest.mark.longer
def test_old_records_are_removed_while_it_serves(template):
    stand = Stand(template).start()
    try:
        with stand.admin() as admin:
            admin.execute(AGE)
            young = admin.execute("SELECT id FROM bulkhead_control.tenant WHERE slug = 'acme'").fetchone()[0]
            admin.execute("SELECT bulkhead_control.set_setting(%s, 'app.x', '1', false)", (young,))
            with Api(stand, audit_retention="30d") as api:
                root = api.client()
                wait_for(lambda: head(root)["removed"] > 0, "the first removal", seconds=80)
                left = root.pages("/v1/audit", 200)
                assert left[-1]["subject"] == "setting:app.x"
                notes = [item for item in left if item["action"] == "audit.prune"]
                assert [(n["after"]["from"], n["after"]["to"]) for n in notes] == [(1, left[-1]["id"] - 1)]
                assert root.get("/v1/audit:verify?limit=10000")["fits"]
    finally:
        stand.remove()
