"""What becomes of open sessions when their tenant or principal changes: those that could not be begun now are ended at
once and told why, whatever they are doing; nobody else notices."""

import time
import uuid
from contextlib import ExitStack

import pytest
from harness.load import Swarm
from harness.postgres import HOST
from harness.program import INSTRUMENTED
from harness.stand import DATABASE
from harness.wait import wait_for
from harness.wire import (AUTH_SASL, AUTH_SASL_CONTINUE, ScramClient, Wire, WireError, bind, copy_data, execute, flush,
                          parse, password_message, query, rows, sasl_initial, startup, types, why)

SOON = 3.0 if INSTRUMENTED else 1.0  # seconds from the commit of a change to its effect

# Columns that change, and why sessions end because of that.
OF_TENANT = {
    "suspended": ({"status": "suspended"}, "BH-ID-SUSPENDED"),
    "archived": ({"status": "archived"}, "BH-ID-SUSPENDED"),
    "purging": ({"status": "purging"}, "BH-ID-SUSPENDED"),
    "not ready": ({"status": "provisioning"}, "BH-ID-SUSPENDED"),
    "deleted": (None, "BH-ID-SUSPENDED"),
    "another key": ({"external_key": "new-{}"}, "BH-ID-MOVED"),
    "another cluster": ({"cluster": "elsewhere"}, "BH-ID-MOVED"),
    "another strategy": ({"strategy": "SCHEMA_PER_TENANT"}, "BH-ID-MOVED"),
    "moved away": ({"parent_id": "globex"}, "BH-ID-REACH-LOST"),
}
OF_PRINCIPAL = {
    "disabled": ({"disabled": True}, "BH-ID-REVOKED"),
    "another password": ({"verifier": "another"}, "BH-ID-REVOKED"),
    "no password": ({"verifier": None}, "BH-ID-REVOKED"),
    "expired": ({"valid_until": "2001-01-01"}, "BH-ID-REVOKED"),
    "expires": ({"valid_until": "soon"}, "BH-ID-REVOKED"),
    "deleted principal": (None, "BH-ID-REVOKED"),
    "renamed": ({"name": "{}-new"}, "BH-ID-REVOKED"),
    "reach narrowed": ({"reach": "self"}, "BH-ID-REACH-LOST"),
    "home moved": ({"home_id": "globex"}, "BH-ID-REACH-LOST"),
}
CHANGES = [*OF_TENANT, *OF_PRINCIPAL]

# What changes nothing for a session.
HARMLESS_OF_TENANT = {
    "name": {"name": "Another"}, "slug": {"slug": "{}-new"}, "weight": {"pool_weight": 7}, "region": {"region": "eu"},
    "moved within": {"parent_id": "acme-labs"},
}
HARMLESS_OF_PRINCIPAL = {
    "reach widened": {"reach": "all"}, "expires later": {"valid_until": "2100-01-01"},
}
HARMLESS = [*HARMLESS_OF_TENANT, *HARMLESS_OF_PRINCIPAL]


class Case:
    """A tenant below acme and a principal of that name at home in acme, whose reach is its subtree."""

    def __init__(self, stand, proxy, is_roomy=True):
        self.stand, self.proxy, self.is_roomy = stand, proxy, is_roomy
        self.name = "c" + uuid.uuid4().hex[:10]
        self.admin = stand.admin()
        self.tenant = self.new_tenant(self.name)
        self.new_principal(self.name)

    def new_tenant(self, slug, parent="acme"):
        self.admin.execute("INSERT INTO bulkhead_control.tenant (id, parent_id, slug, name) "
                           "VALUES (gen_random_uuid(), %s, %s, 'x')", (self.stand.ids[parent], slug))
        return slug

    def new_principal(self, name, reach="subtree"):
        self.admin.execute("INSERT INTO bulkhead_control.principal (name, verifier, home_id, reach) SELECT %s, verifier, "
                           "home_id, %s FROM bulkhead_control.principal WHERE name = 'shop'", (name, reach))

    def remove(self):
        self.admin.execute("DELETE FROM bulkhead_control.principal WHERE starts_with(name, %s)", (self.name,))
        self.admin.execute("DELETE FROM bulkhead_control.tenant WHERE starts_with(slug, %s)", (self.name,))
        self.admin.close()

    def wire(self, tenant=None, principal=None, **keys):
        return self.proxy.wire(tenant or self.name, principal=principal or self.name, **keys)

    def value(self, column, value):
        if value == "another":
            return self.admin.execute("SELECT verifier FROM bulkhead_control.principal WHERE name = 'other'").fetchone()[0]
        if value == "soon":
            return self.admin.execute("SELECT clock_timestamp() + interval '200 ms'").fetchone()[0]
        if column in ("parent_id", "home_id"):
            return self.stand.ids[value]
        return value.format(self.name) if isinstance(value, str) else value

    def change(self, what):
        """Commits it; returns the reason that sessions are to be given, or None."""
        of_tenant = what in OF_TENANT or what in HARMLESS_OF_TENANT
        table, name = ("tenant", "slug") if of_tenant else ("principal", "name")
        known = {**OF_TENANT, **OF_PRINCIPAL}
        columns, reason = known[what] if what in known else ({**HARMLESS_OF_TENANT, **HARMLESS_OF_PRINCIPAL}[what], None)
        if columns is None:
            self.admin.execute(f"DELETE FROM bulkhead_control.{table} WHERE {name} = %s", (self.name,))
        else:
            values = [self.value(*pair) for pair in columns.items()]
            self.admin.execute(f"UPDATE bulkhead_control.{table} SET {', '.join(f'{c} = %s' for c in columns)} "
                               f"WHERE {name} = %s", (*values, self.name))
        return reason

    def is_running(self, text):
        return self.admin.execute("SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND "
                                  f"{self.stand.installation.backends} AND strpos(query, %s) > 0", (text,)).fetchone()[0]


@pytest.fixture(scope="module")
def proxies(stand):
    """One that remembers for an hour: what it sees, it was told. The other lends each tenant a single backend."""
    with stand.admin() as admin:
        admin.execute("INSERT INTO bulkhead_control.cluster (name) VALUES ('elsewhere')")
        admin.execute("INSERT INTO bulkhead_control.principal (name, verifier, home_id, reach) SELECT 'other', "
                      "regexp_replace(verifier, '[^$]*=:', repeat('A', 43) || '=:'), home_id, 'self' "
                      "FROM bulkhead_control.principal WHERE name = 'shop'")
    control = {"directory_ttl": "1h"}
    with stand.proxy(control=control, pool={"default_pool_size": 8}) as roomy, \
            stand.proxy(control=control, pool={"default_pool_size": 8, "max_tenant_connections": 1}) as narrow:
        yield {"roomy": roomy, "narrow": narrow}
    with stand.admin() as admin:
        admin.execute("DELETE FROM bulkhead_control.principal WHERE name = 'other'")
        admin.execute("DELETE FROM bulkhead_control.cluster WHERE name = 'elsewhere'")


# ---- what a session does; each returns the clients that are in that state ----

def idle(case):
    wire = case.wire()
    wire.query("SELECT 1")
    return [wire]


def untouched(case):
    return [case.wire()]


def begun(case):
    wire = case.wire()
    assert wire.query("BEGIN")[-1].status == "T"
    return [wire]


def in_transaction(case):
    wire = case.wire()
    wire.query("BEGIN")
    wire.query("SELECT 1")
    return [wire]


def in_failed_transaction(case):
    wire = case.wire()
    wire.query("BEGIN")
    assert wire.query("SELECT 1/0")[-1].status == "E"
    return [wire]


def running(case):
    wire = case.wire()
    wire.send(query(f"SELECT pg_sleep(60), '{case.name}'"))
    wait_for(lambda: case.is_running(case.name), "the statement to run")
    return [wire]


def answering(case):
    """Rows without end, that the client does not read."""
    wire = case.wire()
    wire.send(query(f"SELECT repeat('x', 1000), '{case.name}' FROM generate_series(1, 100000000)"))
    wait_for(lambda: case.is_running(case.name), "the statement to run")
    time.sleep(0.1)
    return [wire]


def copying_in(case):
    wire = case.wire()
    wire.query("CREATE TEMP TABLE mine (id bigint, item text)")  # COPY FROM does not know row security
    wire.send(query(f"COPY mine FROM STDIN /* {case.name} */"))
    wire.until("G")
    wire.send(copy_data("1\tone\n2\ttwo\n"))
    return [wire]


def pinned(case):
    wire = case.wire()
    wire.query("SET work_mem = '1MB'")
    wire.query("CREATE TEMP TABLE mine ()")
    return [wire]


def in_a_pipeline(case):
    wire = case.wire()
    wire.send(*[parse("SELECT $1::text"), bind(["x"]), execute()] * 3, flush())
    assert types(wire.until("C")) == "12DC"
    return [wire]


def in_a_message(case):
    """Linked, and half a message on its way."""
    wire = case.wire()
    wire.query("BEGIN")
    wire.query("SELECT 1")
    wire.send(query("SELECT 2")[:7])
    return [wire]


def waiting(case):
    return [*running(case), *waiting_behind(case)]


def waiting_behind(case):
    wire = case.wire()
    wire.send(query("SELECT 1"))
    assert wire.is_silent(0.05)
    return [wire]


def being_welcomed(case):
    """Its settings are new here, so the greeting waits for a backend.

    New for each case: of several workers, one may greet it in the moment before it hears of the change.
    """
    first = running(case)
    wire = Wire.connect(HOST, case.proxy.port)
    wire.authenticate({"user": f"{case.name}.{case.name}", "database": DATABASE, "app.case": case.name,
                       "application_name": case.name}, case.stand.password)
    assert wire.is_silent(0.05)
    return [*first, wire]


STATES = {state.__name__: state for state in (
    untouched, idle, begun, in_transaction, in_failed_transaction, running, answering, copying_in, pinned, in_a_pipeline,
    in_a_message, waiting, being_welcomed)}


@pytest.fixture
def case(stand, proxies, request):
    state = request.node.callspec.params.get("state") if hasattr(request.node, "callspec") else None
    is_roomy = state not in ("waiting", "being_welcomed")
    case = Case(stand, proxies["roomy" if is_roomy else "narrow"], is_roomy)
    yield case
    case.remove()


class Bystanders:
    """Sessions that a change does not concern, in the middle of something that would be lost."""

    def __init__(self, case, of_tenant):
        other = case.new_tenant(case.name + "-other")
        case.new_principal(case.name + "-other")
        # Of a change of the tenant, another tenant's with the same principal; else another principal's.
        self.wire = case.wire(tenant=other, principal=case.name if of_tenant else case.name + "-other")
        self.wire.query("BEGIN")
        assert not errors_of(self.wire.query("CREATE TEMP TABLE kept AS SELECT 1 AS n"))
        self.same = None
        if not of_tenant and case.is_roomy:
            self.same = case.wire(principal=case.name + "-other")
            self.same.send(query("SELECT pg_sleep(1.2)"))

    def assert_untouched(self):
        assert rows(self.wire.query("SELECT n FROM kept")) == [["1"]]
        assert self.wire.query("COMMIT")[-1].status == "I"
        self.wire.close()
        if self.same:
            assert not errors_of(self.same.until_ready())
            self.same.close()


def errors_of(messages):
    return [message.fields for message in messages if message.type == "E"]


def assert_ended(wire, reason):
    """The connection ends with one message, which says why."""
    messages = wire.until_end()
    (error,) = errors_of(messages)
    assert messages[-1].type == "E" and error["S"] == "FATAL" and why(error) == ("57P01", reason), error


@pytest.mark.parametrize("state, what", [
    pytest.param(state, what, marks=pytest.mark.longer if (one + other) % 3 else ())
    for one, state in enumerate(STATES) for other, what in enumerate(CHANGES)])
def test_a_session_that_could_not_be_begun_now_is_ended(case, state, what):
    wires = STATES[state](case)
    bystanders = Bystanders(case, what in OF_TENANT) if state in ("running", "in_transaction", "waiting") else None
    reason = case.change(what)
    began = time.monotonic()
    if state == "answering":  # it must come to an end though the client does not read
        wait_for(lambda: not case.is_running(case.name), "the statement to be cancelled", SOON)
        wires[0].close()
    for wire in wires if state != "answering" else ():
        assert_ended(wire, reason)
    wait_for(lambda: not case.is_running(case.name), "the statement to be cancelled", SOON)
    assert time.monotonic() - began < SOON + (0.2 if what == "expires" else 0)
    for wire in wires:
        wire.close()
    if bystanders:
        bystanders.assert_untouched()


@pytest.mark.parametrize("what", HARMLESS)
@pytest.mark.parametrize("state", ["idle", "begun", "in_transaction", "pinned", "copying_in"])
def test_what_does_not_matter_ends_nothing(case, state, what):
    (wire,) = STATES[state](case)
    case.change(what)
    assert wire.is_silent(0.1)
    if state == "copying_in":
        wire.send(b"c\0\0\0\4")
        wire.until_ready()
    elif state != "idle":
        assert not errors_of(wire.query("SELECT 1"))
    wire.query("ROLLBACK")
    assert rows(wire.query("SELECT bulkhead.tenant_id()"))
    wire.close()


# ---- in the middle of a login ----

def ask_for_scram(case, principal=None):
    wire = Wire.connect(HOST, case.proxy.port)
    wire.send(startup({"user": f"{principal or case.name}.{case.name}", "database": DATABASE}))
    wire.read_sasl(AUTH_SASL)
    return wire


def finish_scram(wire, password):
    scram = ScramClient(password)
    wire.send(sasl_initial(scram.first()))
    wire.send(password_message(scram.final(wire.read_sasl(AUTH_SASL_CONTINUE))))
    wire.read_greeting()


@pytest.mark.parametrize("what", OF_PRINCIPAL)
def test_a_password_that_is_not_right_any_more_is_wrong(case, what):
    """Also for one that was asked for it before. Who has not given it yet is told nothing else: strangers would learn
    that there is such a principal."""
    wire = ask_for_scram(case)
    case.change(what)
    time.sleep(0.3)
    assert wire.is_silent(0.05)
    with pytest.raises(WireError) as error:
        finish_scram(wire, case.stand.password)
        wire.read_greeting()
    expected = ("28000", "BH-ID-REACH") if OF_PRINCIPAL[what][1] == "BH-ID-REACH-LOST" else ("28P01", "BH-ID-PASSWORD")
    assert error.value.why == expected
    wire.close()


@pytest.mark.parametrize("what", OF_TENANT)
def test_a_tenant_that_changes_during_a_login_is_seen_as_it_is(case, what):
    case.wire().close()  # so that it is known
    wire = ask_for_scram(case)
    case.change(what)
    time.sleep(0.2)
    # Nobody has made what the other strategy takes: there is no login, or it may do what one with a schema must not.
    unmade = "BH-NET-BACKEND-DOWN" if case.stand.installation.is_shared else "BH-CTX-UNSAFE"
    expected = {"deleted": "BH-ID-UNKNOWN-TENANT", "another key": None, "another strategy": unmade,
                "another cluster": "BH-NET-BACKEND-DOWN", "moved away": "BH-ID-REACH"}.get(what, "BH-ID-INACTIVE")
    try:
        finish_scram(wire, case.stand.password)
        found = None
    except WireError as error:
        found = error.why[1]
    assert found == expected
    wire.close()


# ---- afterwards ----

@pytest.mark.parametrize("what, back", [
    ("suspended", ("tenant", "slug", "status", "active")), ("archived", ("tenant", "slug", "status", "active")),
    ("disabled", ("principal", "name", "disabled", False)),
])
def test_who_is_let_in_again_is_served_at_once(case, what, back):
    table, name, column, value = back
    for _ in range(5):
        wire = case.wire()
        case.change(what)
        wire.until_end()
        with pytest.raises(WireError):
            case.wire()
        case.admin.execute(f"UPDATE bulkhead_control.{table} SET {column} = %s WHERE {name} = %s", (value, case.name))
        wait_for(lambda: is_served(case), "the tenant to be served", SOON)


def is_served(case, **more):
    try:
        with case.wire(**more) as wire:
            return not errors_of(wire.query("SELECT bulkhead.tenant_id()"))
    except WireError:
        return False


def test_all_sessions_of_a_subtree_are_ended(case):
    """A tenant can only be suspended together with all that is active below it."""
    below = case.name + "-below"
    case.admin.execute("INSERT INTO bulkhead_control.tenant (id, parent_id, slug, name) SELECT gen_random_uuid(), id, %s, 'x' "
                       "FROM bulkhead_control.tenant WHERE slug = %s", (below, case.name))
    with ExitStack() as stack:
        wires = [stack.enter_context(case.wire(tenant=tenant)) for tenant in (case.name, below) for _ in range(20)]
        other = stack.enter_context(case.wire(tenant="acme"))
        began = time.monotonic()
        case.admin.execute("UPDATE bulkhead_control.tenant SET status = 'suspended' WHERE slug IN (%s, %s)", (below, case.name))
        for wire in wires:
            assert_ended(wire, "BH-ID-SUSPENDED")
        assert time.monotonic() - began < SOON
        assert not errors_of(other.query("SELECT 1"))


def test_a_tenant_that_moves_takes_those_below_along(case):
    """Who reaches them through an ancestor loses them with it."""
    below = case.name + "-below"
    case.admin.execute("INSERT INTO bulkhead_control.tenant (id, parent_id, slug, name) SELECT gen_random_uuid(), id, %s, 'x' "
                       "FROM bulkhead_control.tenant WHERE slug = %s", (below, case.name))
    with case.wire(tenant=below) as wire:
        case.change("moved away")
        assert_ended(wire, "BH-ID-REACH-LOST")


@pytest.mark.parametrize("what", ["deleted principal", "deleted"])
def test_one_that_is_made_again_under_its_name_is_another(case, what):
    """Also when both happens at once, and the version would be the same again."""
    with case.wire() as wire:
        with case.admin.transaction():
            if what == "deleted":
                tenant, = case.admin.execute("DELETE FROM bulkhead_control.tenant WHERE slug = %s RETURNING id",
                                             (case.name,)).fetchone()
                case.admin.execute("INSERT INTO bulkhead_control.tenant (id, slug, name, parent_id) "
                                   "VALUES (%s, %s, 'x', %s)", (tenant, case.name, case.stand.ids["globex"]))
            else:
                case.admin.execute("DELETE FROM bulkhead_control.principal WHERE name = %s", (case.name,))
                case.admin.execute("INSERT INTO bulkhead_control.principal (name, verifier, home_id, reach) SELECT %s, "
                                   "verifier, home_id, reach FROM bulkhead_control.principal WHERE name = 'other'",
                                   (case.name,))
        assert_ended(wire, "BH-ID-REACH-LOST" if what == "deleted" else "BH-ID-REVOKED")
    assert not is_served(case)


# ---- the weight ----

@pytest.mark.sealed("weights are for a pool that tenants share")
@pytest.mark.one_worker("weights count within a worker")
@pytest.mark.skipif(INSTRUMENTED, reason="shares of time are measured")
def test_a_new_weight_is_in_force_for_open_sessions(stand, case):
    with stand.proxy(control={"directory_ttl": "1h"}, pool={"default_pool_size": 1}) as proxy:
        case.proxy = proxy
        other = case.new_tenant(case.name + "-other")
        with Swarm() as swarm:
            mine = [swarm.add(case.wire(), query("SELECT pg_sleep(0.003)")) for _ in range(8)]
            theirs = [swarm.add(case.wire(tenant=other), query("SELECT pg_sleep(0.003)")) for _ in range(8)]
            swarm.run(1.5)
            before = share(mine, theirs)
            case.admin.execute("UPDATE bulkhead_control.tenant SET pool_weight = 4 WHERE slug = %s", (case.name,))
            time.sleep(0.1)
            for member in (*mine, *theirs):
                member.times.clear()
            swarm.run(2.5)
            after = share(mine, theirs)
    print(f"share with weight 1: {before:.2f}, with weight 4: {after:.2f}")
    assert 0.4 < before < 0.6 and 0.7 < after < 0.9


def share(mine, theirs):
    mine, theirs = (sum(len(member.times) for member in members) for members in (mine, theirs))
    return mine / (mine + theirs)
