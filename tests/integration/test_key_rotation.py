"""Keys that change under a running proxy, and a proxy that holds the key of one tenant only."""

import base64
import threading

import pytest
from harness.program import FAILED, bulkhead
from harness.stand import DATABASE, Proxy, Stand, run
from harness.wait import wait_for
from harness.wire import WireError, query, rows, types, why

SOON = {"file_check_period": "50ms"}
KEY = ("28000", "BH-ID-KEY")


@pytest.fixture(scope="module")
def stand(template):
    """One of this module's own: its keys come and go."""
    stand = Stand(template).start()
    yield stand
    stand.remove()


def key(stand, *words):
    return run("key", *words, "--dsn", stand.postgres.conninfo(DATABASE), "--keys", stand.keys)


def rotate(stand):
    key(stand, "rotate", "guard")
    return kids(stand)


def kids(stand):
    return [line.split()[0] for line in (stand.keys / "guard.key").read_text().splitlines()]


def item(wire):
    """Whose rows the client sees; the answer when it is none."""
    found = wire.query("SELECT DISTINCT split_part(item, ' ', 1) FROM orders")
    return rows(found)[0][0] if types(found) == "TDCZ" else found


def wait_for_signer(proxy, kid):
    wait_for(lambda: any(line["signing_key"] == kid for line in proxy.events("serve.reloaded")), f"{kid} to sign")


class Traffic:
    """Clients of two tenants that take turns with whatever backends there are, until the block ends."""

    def __init__(self, proxy, clients=4):
        self.stop = threading.Event()
        self.failures, self.statements = [], 0
        self.threads = [threading.Thread(target=self.work, args=(proxy, ("acme", "globex")[n % 2]))
                        for n in range(clients)]

    def work(self, proxy, tenant):
        wire = proxy.wire(tenant)
        while not self.stop.is_set():
            found = item(wire)
            if found != tenant:
                self.failures.append((tenant, found))
                return
            self.statements += 1
        wire.close()

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        for thread in self.threads:
            thread.join(30)
        assert not self.failures, self.failures


def handovers(proxy):
    lines = proxy.events("pool.stats")
    return int(lines[-1]["handovers"]) if lines else 0


def wait_for_handovers(proxy):
    """Until one that was under way, signed with the old key, has ended: on one backend two more have begun."""
    lines = len(proxy.events("pool.stats"))
    wait_for(lambda: len(proxy.events("pool.stats")) > lines, "a count")
    first = int(proxy.events("pool.stats")[lines]["handovers"])
    wait_for(lambda: handovers(proxy) >= first + 2, "two more hand-overs")


# ---- rotation ----

@pytest.mark.one_worker("a backend goes from worker to worker ten times a second: thousands of hand-overs take minutes")
def test_rotations_under_traffic(stand):
    """One backend, two tenants, keys that come and go: thousands of hand-overs, and not one statement is refused."""
    with stand.proxy(bulkhead=SOON, pool={"default_pool_size": 1}, log={"stats_period": "200ms"}) as proxy:
        with Traffic(proxy) as traffic:
            turns = 0
            while turns < 12 or handovers(proxy) < 5000:
                new, old = rotate(stand)
                wait_for_signer(proxy, new)
                wait_for_handovers(proxy)
                key(stand, "retire", "guard", old)
                turns += 1
        assert not proxy.events("handover.failed") and not proxy.events("backend.refused")
        print(f"{turns} rotations, {handovers(proxy)} hand-overs, {traffic.statements} statements")


def test_the_old_key_is_good_until_it_is_retired(stand):
    """A sidecar that does not hear of the new one goes on, by hand-overs signed with the old."""
    with stand.proxy(bulkhead={"file_check_period": 0}, pool={"default_pool_size": 1}) as proxy:
        wires = {tenant: proxy.wire(tenant) for tenant in ("acme", "globex")}
        new, old = rotate(stand)
        for _ in range(20):
            assert {tenant: item(wire) for tenant, wire in wires.items()} == {"acme": "acme", "globex": "globex"}
        assert proxy.reload()["signing_key"] == new
        key(stand, "retire", "guard", old)
        assert {tenant: item(wire) for tenant, wire in wires.items()} == {"acme": "acme", "globex": "globex"}
        assert not proxy.events("handover.failed")
        for wire in wires.values():
            wire.close()


def test_a_retired_key_enters_nobody(stand):
    with stand.proxy(bulkhead={"file_check_period": 0}, pool={"default_pool_size": 1}) as proxy:
        wire = proxy.wire("acme")
        assert item(wire) == "acme"
        key(stand, "retire", "guard", rotate(stand)[1])
        other = proxy.wire("globex")
        other.send(query("SELECT 1"))
        assert [why(found.fields) for found in other.until_end()] == [("08001", "BH-CTX-HANDOVER")]
        proxy.reload()
        other = proxy.wire("globex")
        assert item(other) == "globex"
        wire.close()
        other.close()


def test_a_key_file_that_is_no_good(stand):
    good = (stand.keys / "guard.key").read_text()
    with stand.proxy(bulkhead=SOON, pool={"default_pool_size": 1}) as proxy:
        wires = {tenant: proxy.wire(tenant) for tenant in ("acme", "globex")}
        (stand.keys / "guard.key").write_text("k1 nonsense\n")
        line = wait_for(lambda: proxy.events("serve.reload_failed"), "the complaint")[0]
        assert "line 1: behind the key's name must stand 32 bytes in base64" in line["error"]
        assert {tenant: item(wire) for tenant, wire in wires.items()} == {"acme": "acme", "globex": "globex"}
        (stand.keys / "guard.key").write_text(good)
        wait_for(lambda: proxy.events("serve.reloaded"), "a reload")
        for wire in wires.values():
            wire.close()


# ---- one tenant's key ----

@pytest.fixture
def acme_key(stand):
    path = stand.folder / "acme.key"
    run("key", "derive", "guard", "--tenant", stand.ids["acme"], "--keys", stand.keys, "--out", path)
    return path


def bound(stand, acme_key, **listen):
    return stand.proxy(guard={"key_file": acme_key}, bulkhead=SOON, pool={"default_pool_size": 2},
                       listen__default={"tenant": "acme", **listen})


def refusal(connect, *arguments):
    with pytest.raises(WireError) as refused:
        connect(*arguments)
    return refused.value.why


def test_a_sidecar_of_one_tenant(stand, acme_key):
    with bound(stand, acme_key) as proxy:
        wires = [proxy.wire("acme") for _ in range(2)]
        assert [item(wire) for wire in wires] == ["acme"] * 2
        for wire in wires:
            wire.close()


def test_it_serves_nobody_below_it(stand, acme_key):
    """The listener would let acme's own children in; the key does not."""
    with bound(stand, acme_key) as proxy:
        assert refusal(proxy.wire, "acme-labs") == KEY
        assert proxy.events("client.ended")[-1]["reason"] == "BH-ID-KEY"
        assert proxy.events("client.ended")[-1]["tenant"] == "acme-labs"


def test_it_serves_no_other_tenant_of_a_listener(stand, acme_key):
    with bound(stand, acme_key, tenant="globex") as proxy:
        assert refusal(proxy.wire, "globex") == KEY
        assert not proxy.events("handover.failed")


def test_a_forged_name_behind_the_key(stand, acme_key):
    """Whoever owns the sidecar writes globex behind acme's key: the database refuses."""
    acme_key.write_text(acme_key.read_text().replace(stand.ids["acme"], stand.ids["globex"]))
    with bound(stand, acme_key, tenant="globex") as proxy:
        assert refusal(lambda: item(proxy.wire("globex"))) == ("08001", "BH-CTX-HANDOVER")


def test_a_forged_key_of_the_installation(stand, acme_key):
    """Or takes the name away, as if the key were the installation's: it signs for nobody then."""
    acme_key.write_text("".join(" ".join(line.split()[:2]) + "\n" for line in acme_key.read_text().splitlines()))
    for tenant in ("acme", "globex"):
        with bound(stand, acme_key, tenant=tenant) as proxy:
            assert refusal(lambda: item(proxy.wire(tenant))) == ("08001", "BH-CTX-HANDOVER")


@pytest.mark.parametrize("tenant, words", [("", "names no tenant"), ("globex", "names another")])
def test_a_listener_that_does_not_fit(stand, acme_key, tenant, words):
    proxy = Proxy(stand, {"guard": {"key_file": acme_key}, "listen__default": {"tenant": stand.ids.get(tenant, "")}})
    done = bulkhead("check", "-c", proxy.config)
    assert done.returncode == FAILED and words in done.stderr
    assert done.stderr.startswith(f"{proxy.config}:") and "key_file: " in done.stderr
    with pytest.raises(RuntimeError) as refused:
        proxy.start()
    assert proxy.process.wait(10) == FAILED
    assert "serve.keys" in str(refused.value) and words in str(refused.value)


def test_a_tenants_key_in_the_place_of_all(stand, acme_key):
    """Sessions of others end; the tenant's own go on."""
    with stand.proxy(listen__trusted={}) as proxy:
        mine, idle = proxy.wire("acme"), proxy.wire("acme-labs")
        others = [proxy.wire("globex", trusted=True), proxy.wire("globex")]
        assert [item(wire) for wire in (mine, *others)] == ["acme", "globex", "globex"]
        listeners = {f"listen__{name}": {"tenant": stand.ids["acme"], "selectors": "user, fixed"}
                     for name in ("default", "trusted")}
        line = proxy.reload(guard={"key_file": acme_key}, **listeners)
        assert "guard.key_file" in line["changed"]
        for wire in (*others, idle):
            error = wire.read().fields
            assert error["C"] == "28000" and "BH-ID-KEY" in error["D"]
        assert item(mine) == "acme"
        assert refusal(proxy.wire, "globex") in (KEY, ("42501", "BH-ID-CONFLICT"))


def test_a_reload_with_listeners_that_do_not_fit(stand, acme_key):
    with stand.proxy() as proxy:
        wire = proxy.wire("globex")
        line = proxy.reload("serve.reload_failed", guard={"key_file": acme_key})
        assert "[listen:default] names no tenant" in line["error"]
        assert item(wire) == "globex"
        wire.close()


def test_a_derived_key_is_rotated_too(stand, acme_key):
    derive = ("derive", "guard", "--tenant", stand.ids["acme"], "--keys", stand.keys, "--out", acme_key)
    with bound(stand, acme_key) as proxy:
        new, old = rotate(stand)
        wire = proxy.wire("acme")
        assert item(wire) == "acme"  # signed with what was derived from the old one
        run("key", *derive)
        wait_for_signer(proxy, new)
        key(stand, "retire", "guard", old)
        with stand.admin() as admin:
            admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'bulkhead_pool'")
        wait_for(lambda: proxy.events("backend.closed"), "Bulkhead to see that its backend is gone")
        wire.close()
        other = proxy.wire("acme")
        assert item(other) == "acme"
        other.close()


def test_check_knows_both_forms(stand, acme_key):
    with bound(stand, acme_key) as proxy:
        assert "ok" in run("check", "-c", proxy.config)
        encoded = acme_key.read_text().split()[1]
        assert len(base64.b64decode(encoded)) == 32 and encoded not in proxy.log_text()
