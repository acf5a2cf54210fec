"""Live resources of the admin API: who sees which sessions, backends and pools, and whom an order reaches."""

import json
import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta, timezone

import psycopg
import pytest
from harness.api import Api
from harness.threads import held, workers
from harness.wait import wait_for

MARK = "a_text_that_nobody_else_says"


@pytest.fixture(scope="module", params=[1, 2], ids=["one worker", "two workers"])
def api(stand, request):
    with Api(stand, proxy={"bulkhead": {"workers": request.param}, "gate": {"mode": "enforce"}}) as api:
        yield api


@pytest.fixture
def proxy(api):
    return api.proxy


@pytest.fixture(scope="module")
def root(api):
    return api.client()


@pytest.fixture(scope="module")
def labs_admin(api):
    return api.client("admin", "acme-labs")


@pytest.fixture
def people(proxy):
    """A session of each tenant."""
    with ExitStack() as stack:
        yield {slug: stack.enter_context(proxy.connect(slug, application_name=f"of {slug}"))
               for slug in ("acme", "acme-labs", "globex")}


def pid_of(connection):
    return connection.info.backend_pid


def port_of(connection):
    with socket.fromfd(connection.pgconn.socket, socket.AF_INET, socket.SOCK_STREAM) as copy:
        return copy.getsockname()[1]


def tenants(items):
    return {item["tenant"] for item in items}


def alive(connection):
    return connection.execute("SELECT 1").fetchone() == (1,)


def killed(connection):
    """How it ended."""
    with pytest.raises(psycopg.OperationalError) as failed:
        connection.execute("SELECT 1")
    return "terminating connection" in str(failed.value), "BH-NET-KILLED" in str(failed.value)


@contextmanager
def running(call):
    """The future of a call that is made meanwhile; awaited at the end."""
    with ThreadPoolExecutor(1) as executor:
        yield executor.submit(call)


def records(api, action):
    with api.admin() as admin:
        return admin.execute("SELECT actor, tenant_slug, subject, after FROM bulkhead_control.audit "
                             "WHERE action = %s ORDER BY id", (action,)).fetchall()


# ---- sessions ----

def test_a_session_is_shown_as_it_is(root, people, proxy):
    before = datetime.now(timezone.utc)
    answer = root.get(f"/v1/sessions/{pid_of(people['acme'])}")
    assert answer.status == 200, answer
    assert {name: answer[name] for name in ("pid", "tenant", "principal", "cluster", "state", "application_name",
                                            "address", "waited_ms", "backend_pid", "pin", "tls")} == {
        "pid": pid_of(people["acme"]), "tenant": "acme", "principal": "shop", "cluster": "default", "state": "idle",
        "application_name": "of acme", "address": "127.0.0.1", "waited_ms": None, "backend_pid": None, "pin": None,
        "tls": None}
    assert answer["port"] == port_of(people["acme"])
    assert abs(datetime.fromisoformat(answer["connected_at"].replace("Z", "+00:00")) - before) < timedelta(minutes=1)
    assert answer["instance"] == f"{socket.gethostname()}:{proxy.process.pid}"


def test_sessions_change_state(root, people):
    path = f"/v1/sessions/{pid_of(people['acme'])}"
    with people["acme"].transaction():
        people["acme"].execute("SELECT 1")
        answer = root.get(path)
        assert answer["state"] == "idle_in_transaction" and answer["backend_pid"]
    assert root.get(path)["state"] == "idle"


@pytest.mark.parametrize("query,wanted", [
    ("", {"acme", "acme-labs", "globex"}), ("tenant=acme", {"acme"}),
    ("tenant=acme&subtree=true", {"acme", "acme-labs"}),
    ("tenant=102", {"acme-labs"}), ("principal=shop&tenant=globex", {"globex"}), ("principal=nobody", set()),
    ("state=idle", {"acme", "acme-labs", "globex"}), ("state=active", set()), ("pinned=true", set()),
    ("pinned=false&state=idle&tenant=acme", {"acme"})])
def test_filters(root, people, query, wanted):
    assert tenants(root.pages(f"/v1/sessions?{query}")) == wanted


def test_a_key_of_a_subtree_sees_no_other_sessions(api, people):
    for tenant, wanted in [("acme", {"acme", "acme-labs"}), ("acme-labs", {"acme-labs"}), ("globex", {"globex"})]:
        client = api.client("viewer", tenant)
        assert tenants(client.pages("/v1/sessions")) == wanted
        for slug, connection in people.items():
            status = 200 if slug in wanted else 404
            assert client.get(f"/v1/sessions/{pid_of(connection)}").status == status
            assert client.get(f"/v1/sessions?tenant={slug}").status == status
            assert client.get(f"/v1/pins?tenant={slug}").status == status
            assert client.get(f"/v1/backends?tenant={slug}").status == status
            assert client.get(f"/v1/tenants/{slug}/live").status == status


def test_who_logs_in_is_seen_by_operators_alone(api, root, proxy):
    with socket.create_connection(("127.0.0.1", proxy.port)):
        wait_for(lambda: root.pages("/v1/sessions?state=login"), "the login")
        (session,) = root.pages("/v1/sessions?state=login")
        assert (session["tenant"], session["tenant_id"], session["principal"]) == (None, None, None)
        assert api.client("viewer", "acme").get(f"/v1/sessions/{session['pid']}").status == 404
    wait_for(lambda: not root.pages("/v1/sessions?state=login"), "its end")


@pytest.mark.parametrize("path", ["/v1/sessions/0", "/v1/sessions/x", "/v1/sessions/2147483648", "/v1/sessions/-1",
                                  "/v1/sessions?state=asleep", "/v1/sessions?pinned=1", "/v1/sessions?limit=0",
                                  "/v1/sessions?limit=201", "/v1/sessions?subtree=yes", "/v1/sessions?principal=",
                                  "/v1/backends?state=dead", "/v1/sessions?cursor=e30", "/v1/sessions?cursor=!",
                                  "/v1/sessions?cursor=WzEsMiwzXQ", "/v1/backends?cursor=WyJ4IiwxXQ"])
def test_bad_questions_are_refused(root, path):
    answer = root.get(path)
    assert answer.status == 400 and answer.fields[0].startswith(("path.pid", "query.")), answer


def test_a_session_that_does_not_exist(root):
    answer = root.get("/v1/sessions/2147483647")
    assert (answer.status, answer.reason, answer.fields) == (404, "BH-API-NOT-FOUND", ["path.pid"])


def test_pages_have_each_session_once(root, proxy):
    with ExitStack() as stack:
        pids = {pid_of(stack.enter_context(proxy.connect("globex"))) for _ in range(90)}
        for limit in (1, 7, 50, 89, 90, 91, 200):
            items = root.pages("/v1/sessions?tenant=globex", limit) if limit > 1 else \
                root.pages("/v1/sessions?tenant=globex", 40)
            found = [item["pid"] for item in items]
            assert sorted(found) == found and set(found) == pids and len(found) == 90
        first = root.get("/v1/sessions?tenant=globex&limit=10")
        assert len(first.items) == 10 and first["next"]
        assert root.get("/v1/sessions?tenant=globex&limit=90")["next"] is None


# ---- pins and backends ----

def test_pins_say_why(api, root, people):
    with people["acme"] as pinned:
        pinned.execute("CREATE TEMP TABLE t (x int)")
        wait_for(lambda: root.pages("/v1/pins"), "that the server is asked what is left")
        (pin,) = root.pages("/v1/pins")
        assert (pin["pid"], pin["tenant"], pin["principal"]) == (pid_of(pinned), "acme", "shop")
        assert "temp" in pin["cause"] and pin["backend_pid"] and pin["held_ms"] >= 0
        session = root.get(f"/v1/sessions/{pid_of(pinned)}")
        assert (session["pin"]["cause"], session["pin"]["since"]) == (pin["cause"], session["pin"]["since"])
        assert tenants(root.pages("/v1/sessions?pinned=true")) == {"acme"}
        assert api.client("viewer", "globex").pages("/v1/pins") == []
        assert root.get("/v1/tenants/acme/live")["pinned"] == 1
        backend = [b for b in root.pages("/v1/backends") if b["session_pid"] == pid_of(pinned)]
        assert [b["pid"] for b in backend] == [pin["backend_pid"]]


def test_backends_are_shown_and_where_they_are_to_operators(api, root, people, stand):
    with ExitStack() as stack:
        for connection in people.values():
            stack.enter_context(connection.transaction())
            alive(connection)
        everything, one_by_one = root.pages("/v1/backends"), root.pages("/v1/backends", 1)
        mine = api.client("admin", "acme").pages("/v1/backends")
        active = root.pages("/v1/backends?state=active")
    assert {"acme", "acme-labs", "globex"} == tenants(active) <= tenants(everything)
    assert {b["session_pid"] for b in active} == {pid_of(connection) for connection in people.values()}
    assert {(b["host"], b["port"]) for b in everything} == {("127.0.0.1", stand.postgres.port)}
    assert [b["pid"] for b in everything] == [b["pid"] for b in one_by_one]
    assert tenants(mine) == {"acme", "acme-labs"}
    assert all(b[name] is None for b in mine for name in ("host", "port", "database", "login"))


def test_pools_are_for_operators_of_everything(api, root, people):
    alive(people["acme"])
    pools = root.pages("/v1/pools")
    assert sum(pool["sessions"] for pool in pools) >= 3 and sum(pool["opened"] for pool in pools) >= 1
    assert pools == root.pages("/v1/pools", 1) or len(pools) == len(root.pages("/v1/pools", 1))
    assert api.client("operator", "acme").get("/v1/pools").reason == "BH-API-SUBTREE"
    assert api.client("viewer", "acme").get("/v1/pools").status == 403


# ---- orders to one session ----

def test_a_session_is_killed(api, root, people):
    pid = pid_of(people["acme"])
    answer = root.post(f"/v1/sessions/{pid}:kill")
    assert (answer.status, answer["concerned"]) == (200, 1), answer
    assert killed(people["acme"]) == (True, True)
    assert alive(people["acme-labs"]) and alive(people["globex"])
    assert root.post(f"/v1/sessions/{pid}:kill").reason == "BH-API-NOT-FOUND"
    actor, tenant, subject, after = records(api, "session.kill")[-2]
    assert actor == "api-key:operator of all" and tenant is None
    assert subject == f"session/{pid}" and after == {"pid": pid}


def test_a_session_of_another_tenant_is_not_hit(api, people, labs_admin):
    """Not by its pid, and not by what the caller says that it is."""
    for slug in ("acme", "globex"):
        path = f"/v1/sessions/{pid_of(people[slug])}"
        for order in ("kill", "cancel"):
            for query in ("", "?tenant=acme-labs"):
                answer = labs_admin.post(f"{path}:{order}{query}")
                assert (answer.status, answer.reason) == (404, "BH-API-NOT-FOUND"), answer
            assert labs_admin.post(f"{path}:{order}?tenant={slug}").reason == "BH-API-TENANT"
        assert alive(people[slug])
    labs = people["acme-labs"]
    assert api.client("admin", "acme").post(f"/v1/sessions/{pid_of(labs)}:kill?tenant=acme").status == 404
    assert alive(labs)
    assert labs_admin.post(f"/v1/sessions/{pid_of(labs)}:kill?tenant=acme-labs")["concerned"] == 1
    assert killed(labs) == (True, True)
    assert records(api, "session.kill")[-1][:2] == ("api-key:admin of acme-labs", "acme-labs")


@pytest.mark.parametrize("role", ["viewer", "editor"])
def test_who_only_reads_gives_no_orders(api, people, role):
    client = api.client(role, "acme")
    before = len(records(api, "session.kill"))
    for path in [f"/v1/sessions/{pid_of(people['acme'])}:{order}" for order in ("kill", "cancel")] + \
            [f"/v1/tenants/acme:{order}" for order in ("pause", "unpause", "kill-sessions", "reconnect")]:
        assert client.post(path).reason == "BH-API-ROLE"
    assert alive(people["acme"]) and len(records(api, "session.kill")) == before


def test_what_runs_is_cancelled_and_the_session_stays(root, people):
    # pg_sleep is refused by the gate on shared tables.
    slow = "SELECT count(*) FROM generate_series(1, 100000) a, generate_series(1, 100000) b"
    path = f"/v1/sessions/{pid_of(people['acme'])}"
    with running(lambda: people["acme"].execute(slow).fetchone()) as statement:
        wait_for(lambda: root.get(path)["state"] == "active", "the statement")
        assert root.post(f"{path}:cancel")["concerned"] == 1
        with pytest.raises(psycopg.errors.QueryCanceled):
            statement.result(20)
    assert alive(people["acme"])
    answer = root.post(f"{path}:cancel")
    assert (answer.status, answer["concerned"]) == (200, 0), "it had nothing under way"
    assert root.post("/v1/sessions/2147483647:cancel").status == 404


# ---- orders to a tenant ----

def test_sessions_of_a_tenant_are_killed(api, root, people):
    answer = root.post("/v1/tenants/acme:kill-sessions", {"subtree": False})
    assert answer["concerned"] == 1 and killed(people["acme"]) == (True, True)
    assert alive(people["acme-labs"]) and alive(people["globex"])
    assert root.post("/v1/tenants/acme:kill-sessions", {"subtree": True})["concerned"] == 1
    assert killed(people["acme-labs"]) == (True, True) and alive(people["globex"])
    assert records(api, "tenant.kill-sessions")[-1][1:] == (
        "acme", records(api, "tenant.kill-sessions")[-1][2], {"subtree": True})


def test_an_admin_of_a_subtree_reaches_no_further(api, labs_admin, people):
    for order in ("pause", "unpause", "kill-sessions", "reconnect"):
        for slug in ("acme", "globex"):
            assert labs_admin.post(f"/v1/tenants/{slug}:{order}", {"subtree": True}).reason == "BH-API-TENANT"
    assert all(alive(connection) for connection in people.values())


def waits(connection):
    return running(lambda: connection.execute("SELECT 7").fetchone())


def test_a_tenant_is_paused_and_goes_on(root, people):
    path = f"/v1/sessions/{pid_of(people['acme'])}"
    assert root.post("/v1/tenants/acme:pause").status == 200
    live = root.get("/v1/tenants/acme/live")
    assert live["paused"] and live["paused_by"] == root.get(path)["tenant_id"]
    assert not root.get("/v1/tenants/acme-labs/live")["paused"] and alive(people["acme-labs"])
    with waits(people["acme"]) as statement:
        wait_for(lambda: root.get(path)["state"] == "waiting", "that it waits")
        assert root.get(path)["waited_ms"] >= 0 and root.get("/v1/tenants/acme/live")["sessions"]["waiting"] == 1
        assert not statement.done()
        assert root.post("/v1/tenants/acme:unpause").status == 200
        assert statement.result(10) == (7,)
    assert not root.get("/v1/tenants/acme/live")["paused"]


def test_a_subtree_is_paused_with_those_that_come_later(root, people, proxy):
    root.post("/v1/tenants/acme:pause", {"subtree": True})
    try:
        acme_id = root.get(f"/v1/sessions/{pid_of(people['acme'])}")["tenant_id"]
        assert root.get("/v1/tenants/acme-labs/live")["paused_by"] == acme_id
        assert alive(people["globex"])
        with waits(people["acme-labs"]) as statement:
            wait_for(lambda: root.get("/v1/tenants/acme/live?subtree=true")["sessions"]["waiting"] == 1, "it waits")
            root.post("/v1/tenants/acme-labs:unpause")
            assert root.get("/v1/tenants/acme-labs/live")["paused"], "the order was for acme"
            root.post("/v1/tenants/acme:unpause")
            assert statement.result(10) == (7,)
    finally:
        root.post("/v1/tenants/acme:unpause")


def test_backends_are_replaced(root, people):
    def backends():
        return {b["pid"] for b in root.pages("/v1/backends?tenant=globex")}

    assert alive(people["globex"])
    before = backends()
    assert before
    assert root.post("/v1/tenants/globex:reconnect")["concerned"] == len(before)
    assert alive(people["globex"]) and not backends() & before


# ---- explain ----

def test_a_statement_is_explained(api, root):
    answer = root.post("/v1/statements:explain", {"tenant": "acme", "sql": "SELECT * FROM orders"})
    assert answer.status == 200, answer
    assert (answer["decision"], answer["reads"], answer["needs"], answer["strategy"]) == (
        "allowed", ["orders"], ["sql.read"], "SHARED_RLS")
    refused = root.post("/v1/statements:explain", {"tenant": "acme", "sql": "DROP TABLE public.orders"})
    assert (refused["decision"], refused["sqlstate"]) == ("refused", "42501") and refused["reason"].startswith("BH-")
    assert "error" in root.post("/v1/statements:explain", {"tenant": "acme", "sql": "SELEC 1"}).json
    assert records(api, "statement.explain")[-1][:2] == ("api-key:operator of all", "acme")


def test_it_says_what_the_gate_says(root, people):
    for sql in ["SELECT 1", "SELECT pg_sleep(0)", "SET ROLE bulkhead_guard", "LISTEN x", "SELECT setseed(0)",
                "CREATE TABLE public.x (y int)",
                "INSERT INTO orders VALUES (bulkhead.tenant_id(), 900, 'x') ON CONFLICT DO NOTHING"]:
        said = root.post("/v1/statements:explain", {"tenant": "acme", "sql": sql}).json
        try:
            with people["acme"].transaction(force_rollback=True):
                people["acme"].execute(sql)
            reason = None
        except psycopg.Error as error:
            reason = error.diag.message_detail or ""
        if said["decision"] == "refused":
            assert f"reason={said['reason']}" in (reason or ""), sql
        else:
            assert "reason=BH-" not in (reason or ""), sql


def test_a_tenant_of_somebody_else_is_not_asked_about(api, labs_admin):
    for slug in ("acme", "globex", "nosuch"):
        answer = labs_admin.post("/v1/statements:explain", {"tenant": slug, "sql": "SELECT 1"})
        assert (answer.status, answer.reason, answer.fields) == (404, "BH-API-TENANT", ["body.tenant"])
    assert api.client("viewer", "acme-labs").post("/v1/statements:explain",
                                                  {"tenant": "acme-labs", "sql": "SELECT 1"}).status == 200


@pytest.mark.parametrize("body,field", [({"tenant": "acme"}, "body.sql"), ({"sql": "SELECT 1"}, "body.tenant"),
                                        ({"tenant": "acme", "sql": 1}, "body.sql"),
                                        ({"tenant": "acme", "sql": "SELECT 1", "x": 1}, "body.x"),
                                        ({"tenant": "acme", "sql": "a\0b"}, "body.sql"),
                                        ({"tenant": "acme", "sql": "\u00e9" * 600_000}, "body.sql"),
                                        ({"tenant": "acme", "sql": "x" * (1024 * 1024 + 1)}, "body.sql")])
def test_bad_statements_are_refused(root, body, field):
    answer = root.post("/v1/statements:explain", body)
    assert answer.status in (400, 422) and answer.fields == [field], answer


def test_large_and_deep_texts_are_read(root):
    million = "SELECT 1 FROM t WHERE x IN (" + ",".join(["12345678"] * 116_000) + ")"
    assert 1024 * 1024 - 10_000 < len(million) <= 1024 * 1024
    for sql in [million, "SELECT " + "(" * 100_000 + "1" + ")" * 100_000, "SELECT " + "+".join(["1"] * 400_000),
                "SELECT 1;" * 100_000]:
        answer = root.post("/v1/statements:explain", {"tenant": "acme", "sql": sql})
        assert answer.status == 200 and answer["decision"] in ("allowed", "refused"), answer.status


# ---- nothing else is shown ----

def test_no_text_of_a_statement_is_shown_or_kept(api, root, people, stand):
    with people["acme"].transaction():
        people["acme"].execute(f"SELECT '{MARK}'")
        shown = [root.get(path).text for path in ("/v1/sessions", "/v1/backends", "/v1/pins", "/v1/pools",
                                                  f"/v1/sessions/{pid_of(people['acme'])}")]
    sql = f"SELECT '{MARK}', * FROM orders WHERE item = '{MARK}'"
    shown.append(root.post("/v1/statements:explain", {"tenant": "acme", "sql": sql}).text)
    with api.admin() as admin:
        shown.append(json.dumps(admin.execute("SELECT json_agg(a) FROM bulkhead_control.audit a").fetchone()))
        # The last statements of the API's own connections, and what they were given.
        shown.append(json.dumps(admin.execute("SELECT json_agg(query) FROM pg_stat_activity "
                                              "WHERE application_name = 'bulkhead api'").fetchone()))
    assert MARK not in "".join(shown)
    assert MARK not in api.proxy.log_text()


# ---- many at once, and the end ----

def test_orders_and_looks_while_sessions_come_and_go(api, root, proxy):
    stop = threading.Event()

    def come_and_go():
        while not stop.is_set():
            try:
                with proxy.connect("globex") as connection:
                    connection.execute("SELECT 1")
            except psycopg.OperationalError:
                pass

    with ExitStack() as stack:
        comers = [stack.enter_context(running(come_and_go)) for _ in range(4)]
        try:
            for _ in range(40):
                for item in root.get("/v1/sessions?limit=200").items:
                    if item["tenant"] == "globex":
                        assert root.post(f"/v1/sessions/{item['pid']}:kill?tenant=globex").status in (200, 404)
                assert root.get("/v1/backends").status == 200
        finally:
            stop.set()
        for comer in comers:
            comer.result(20)


def test_it_ends_while_it_is_asked(stand):
    with Api(stand) as api:
        client, stop = api.client(), threading.Event()

        def ask():
            while not stop.is_set():
                try:
                    client.get("/v1/sessions")
                    client.get("/v1/pools")
                except OSError:
                    return

        with ExitStack() as stack:
            askers = [stack.enter_context(running(ask)) for _ in range(4)]
            wait_for(lambda: api.proxy.log_text().count("api.request") > 20, "requests")
            api.proxy.stop()  # asserts that it ends well
            stop.set()
            for asker in askers:
                asker.result(20)


def test_it_ends_before_a_worker_has_answered(stand):
    """The answer comes to nobody."""
    with Api(stand) as api:
        client = api.client()
        assert client.get("/v1/sessions").status == 200

        def ask():
            with pytest.raises(OSError):
                client.get("/v1/sessions")

        with running(ask) as asked:
            with held(workers(api.proxy)[0]):
                wait_for(lambda: not asked.done(), "the request")
                time.sleep(0.3)  # until it is with the worker
                api.proxy.process.send_signal(signal.SIGINT)
                time.sleep(0.3)
            asked.result(20)
        api.proxy.stop()
