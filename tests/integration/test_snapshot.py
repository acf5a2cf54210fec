"""The file in which a proxy keeps what it knows, for a start while the control database is away."""

import os
import shutil
import signal
import stat
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from harness.postgres import HOST
from harness.program import INSTRUMENTED, write_secret
from harness.relay import Relay
from harness.stand import DATABASE
from harness.wait import wait_for
from harness.wire import WireError

CAUGHT_UP = 6.0 if INSTRUMENTED else 2.0  # seconds from the return of the control database
WRITTEN = 6.0 if INSTRUMENTED else 2.0  # seconds until a change is in the file
MAGIC = b"bulkhead-directory-3 "


class Scene:
    """One file, one relay to the control database, and any number of proxies one after the other."""

    def __init__(self, stand, folder):
        self.stand = stand
        self.file = folder / "directory"
        self.relay = Relay(stand.postgres.port)
        self.slug = "s" + uuid.uuid4().hex[:8]
        self.execute("INSERT INTO bulkhead_control.tenant (id, slug, name) VALUES (gen_random_uuid(), %s, 'x')", self.slug)
        self.execute("INSERT INTO bulkhead_control.principal (name, verifier, home_id, reach) SELECT %s, verifier, home_id, "
                     "'all' FROM bulkhead_control.principal WHERE name = 'shop'", self.slug)

    def execute(self, sql, *parameters):
        with self.stand.admin() as admin:
            admin.execute(sql, parameters or None)

    def close(self):
        self.execute("DELETE FROM bulkhead_control.principal WHERE name = %s", self.slug)
        self.execute("DELETE FROM bulkhead_control.tenant WHERE slug = %s", self.slug)
        self.relay.close()

    @contextmanager
    def proxy(self, guard=None, **control):
        control = {"dsn": f"host={HOST} port={self.relay.port} dbname={DATABASE} user=bulkhead_sidecar",
                   "directory_ttl": "1h", "snapshot_file": self.file, **control}
        with self.stand.proxy(control=control, **({"guard": guard} if guard else {})) as proxy:
            yield proxy

    def wire(self, proxy, tenant=None):
        return proxy.wire(tenant or self.slug, principal=self.slug)

    def outcome(self, proxy, tenant=None, **more):
        """`served`, or the reason why not."""
        try:
            with proxy.wire(tenant or self.slug, **{"principal": self.slug, **more}) as wire:
                assert wire.query("SELECT bulkhead.tenant_id()")[-1].status == "I"
                return "served"
        except WireError as error:
            return error.why[1]

    def write(self):
        """A file that knows the scene's tenant under two words, and its principal."""
        with self.proxy() as proxy:
            assert self.outcome(proxy) == self.outcome(proxy, "acme") == self.outcome(proxy, "101") == "served"
            assert self.outcome(proxy, "acme", principal="shop") == "served"
        return self.file.read_bytes()


@pytest.fixture
def scene(stand, tmp_path):
    scene = Scene(stand, tmp_path)
    yield scene
    scene.close()


def assert_ended(wire, reason):
    last = wire.until_end()[-1]
    assert last.type == "E" and last.fields["C"] == "57P01" and reason in last.fields["D"]


# ---- a start without the control database ----

def test_who_was_known_is_served(scene):
    scene.write()
    scene.relay.cut()
    with scene.proxy() as proxy:
        for tenant in (scene.slug, "acme", "101", str(uuid.UUID(scene.stand.ids["acme"])).replace("-", "")):
            assert scene.outcome(proxy, tenant) == "served", tenant
        assert scene.outcome(proxy, password="wrong") == "BH-ID-PASSWORD"
        began = time.monotonic()
        assert scene.outcome(proxy, "globex") == "BH-ID-CONTROL-DOWN"
        assert scene.outcome(proxy, principal="nobody") == "BH-ID-CONTROL-DOWN"
        assert time.monotonic() - began < 1
        scene.relay.mend()
        wait_for(lambda: scene.outcome(proxy, "globex") == "served", "the return")


def test_the_file_is_closed_to_others_and_holds_no_password(scene):
    text = scene.write()
    about = scene.file.stat()
    assert stat.S_IMODE(about.st_mode) == 0o600 and stat.S_ISREG(about.st_mode)
    assert text.startswith(MAGIC) and scene.slug.encode() in text and b"SCRAM-SHA-256$" in text
    secrets = [scene.stand.password, *(path.read_text().split()[-1] for path in scene.stand.keys.iterdir())]
    assert not [secret for secret in secrets if secret.encode() in text]
    assert [path.name for path in scene.file.parent.iterdir()] == ["directory"], "nothing half-written is left"


def test_a_change_is_in_the_file_soon(scene):
    with scene.proxy() as proxy:
        assert scene.outcome(proxy) == "served"
        wait_for(lambda: scene.file.exists() and scene.slug.encode() in scene.file.read_bytes(), "the tenant", WRITTEN)
        before = scene.file.read_bytes()
        scene.execute("UPDATE bulkhead_control.tenant SET status = 'suspended', external_key = %s WHERE slug = %s",
                      scene.slug + "-key", scene.slug)
        wait_for(lambda: (scene.slug + "-key").encode() in scene.file.read_bytes(), "the change", WRITTEN)
        assert scene.file.read_bytes() != before
        scene.execute("UPDATE bulkhead_control.principal SET disabled = true WHERE name = %s", scene.slug)
        written = scene.file.read_bytes()
        wait_for(lambda: scene.file.read_bytes() != written, "the other change", WRITTEN)
        proxy.process.send_signal(signal.SIGKILL)
        proxy.process.wait()
        proxy.process = None
    scene.relay.cut()
    with scene.proxy() as proxy:
        assert scene.outcome(proxy) == "BH-ID-PASSWORD"
        assert scene.outcome(proxy, principal="nobody") == "BH-ID-CONTROL-DOWN"


def test_what_is_not_let_in_any_more_is_not_let_in_from_the_file(scene):
    scene.write()
    scene.execute("UPDATE bulkhead_control.tenant SET status = 'suspended' WHERE slug = %s", scene.slug)
    with scene.proxy() as proxy:
        assert scene.outcome(proxy) == "BH-ID-INACTIVE", "it is asked first where it can be"
    scene.relay.cut()
    with scene.proxy() as proxy:
        assert scene.outcome(proxy) == "BH-ID-INACTIVE"
        assert scene.outcome(proxy, "acme") == "served"


@pytest.mark.parametrize("change, reason", [
    ("UPDATE bulkhead_control.tenant SET status = 'suspended' WHERE slug = %s", "BH-ID-SUSPENDED"),
    ("UPDATE bulkhead_control.principal SET verifier = NULL WHERE name = %s", "BH-ID-REVOKED"),
    ("DELETE FROM bulkhead_control.principal WHERE name = %s", "BH-ID-REVOKED"),
    ("DELETE FROM bulkhead_control.tenant WHERE slug = %s", "BH-ID-SUSPENDED"),
])
def test_who_was_let_in_from_an_old_file_goes_when_the_truth_comes(scene, change, reason):
    scene.write()
    scene.relay.cut()
    scene.execute(change, scene.slug)
    with scene.proxy() as proxy, scene.wire(proxy) as wire, proxy.wire("acme", principal="shop") as other:
        other.query("SELECT 1")
        assert wire.query("SELECT 1")[-1].status == "I"
        scene.relay.mend()
        began = time.monotonic()
        assert_ended(wire, reason)
        assert time.monotonic() - began < CAUGHT_UP
        assert scene.outcome(proxy) != "served"
        assert other.query("SELECT 1")[-1].status == "I"


def test_one_that_was_made_again_meanwhile_is_another(scene):
    """Also with as many changes behind it as the one that is gone."""
    scene.write()
    scene.relay.cut()
    with scene.stand.admin() as admin, admin.transaction():
        admin.execute("DELETE FROM bulkhead_control.principal WHERE name = %s", (scene.slug,))
        admin.execute("INSERT INTO bulkhead_control.principal (name, verifier, home_id, reach) SELECT %s, regexp_replace("
                      "verifier, '[^$]*=:', repeat('A', 43) || '=:'), home_id, 'all' FROM bulkhead_control.principal "
                      "WHERE name = 'shop'", (scene.slug,))
    with scene.proxy() as proxy, scene.wire(proxy) as wire:
        scene.relay.mend()
        assert_ended(wire, "BH-ID-REVOKED")
        assert scene.outcome(proxy) == "BH-ID-PASSWORD"


def test_it_serves_no_longer_than_directory_max_stale(scene):
    scene.write()
    scene.relay.cut()
    with scene.proxy(directory_max_stale="1h") as proxy:
        assert scene.outcome(proxy) == "served"
    time.sleep(1.5)
    with scene.proxy(directory_max_stale="1s") as proxy:
        assert scene.outcome(proxy) == "BH-ID-CONTROL-DOWN", "a restart makes nothing younger"
        scene.relay.mend()
        wait_for(lambda: scene.outcome(proxy) == "served", "the return", CAUGHT_UP)


def test_many_starts_with_one_file(scene):
    """Several proxies read and write it at once; it is whole whenever it is read."""
    scene.write()

    def one(n):
        with scene.proxy() as proxy:
            served = scene.outcome(proxy), scene.outcome(proxy, "globex" if n % 2 else "acme-labs")
            return served, proxy.events("serve.snapshot")

    with ThreadPoolExecutor(4) as executor:
        for served, complaints in executor.map(one, range(12)):
            assert served == ("served", "served") and not complaints
    assert [path.name for path in scene.file.parent.iterdir()] == ["directory"]
    scene.relay.cut()
    with scene.proxy() as proxy:
        assert scene.outcome(proxy) == "served" and not proxy.events("serve.snapshot")


def test_a_smaller_cache_takes_what_it_can(scene):
    scene.write()
    scene.relay.cut()
    with scene.proxy(directory_cache_size=1) as proxy:
        assert not proxy.events("serve.snapshot")
        outcomes = {scene.outcome(proxy, tenant) for tenant in (scene.slug, "acme")}
        assert outcomes <= {"served", "BH-ID-CONTROL-DOWN"}


def test_a_file_that_cannot_be_written_is_told_of_once(scene):
    with scene.proxy(snapshot_file=scene.file.parent / "nowhere" / "file") as proxy:
        assert scene.outcome(proxy) == "served"
        wait_for(lambda: proxy.events("control.snapshot"), "the complaint")
        scene.execute("UPDATE bulkhead_control.tenant SET name = 'y' WHERE slug = %s", scene.slug)
        time.sleep(1.3)
        assert len(proxy.events("control.snapshot")) == 1
        assert scene.outcome(proxy) == "served"


# ---- tampering ----

def flipped(place):
    def spoil(text):
        at = place if place >= 0 else len(text) + place
        return text[:at] + bytes([text[at] ^ 1]) + text[at + 1:]
    return spoil


SPOILED = {
    **{f"byte {place}": flipped(place) for place in (0, 19, 20, 21, 40, 84, 85, 86, 100, 200, -2, -1)},
    "a capital digit": lambda text: text[:21] + text[21:85].upper() + text[85:],
    "status": lambda text: text.replace(b'"status":1', b'"status":2'),
    "reach": lambda text: text.replace(b'"reach":2', b'"reach":0'),
    "age": lambda text: text.replace(b'"proved_ms":1', b'"proved_ms":2'),
    "cut in the middle": lambda text: text[:len(text) // 2],
    "cut by two": lambda text: text[:-2],
    "cut behind the signature": lambda text: text[:86],
    "cut in the signature": lambda text: text[:60],
    "the word alone": lambda text: MAGIC,
    "longer": lambda text: text + b"x",
    "longer by lines": lambda text: text + b"\n\n",
    "longer behind a NUL": lambda text: text[:-1] + b"\0x",
    "a space more": lambda text: text[:86] + b" " + text[86:],
    "empty": lambda text: b"",
    "a line": lambda text: b"\n",
    "twice": lambda text: text + text,
    "zeros": lambda text: bytes(len(text)),
    "a newer format": lambda text: text.replace(b"directory-3", b"directory-4"),
    "an older format": lambda text: text.replace(b"directory-3", b"directory-2"),
    "permissions": lambda text: text.replace(b'"sql.read"', b'"sql.ddl"'),
    "unsigned": lambda text: MAGIC + text[86:],
}


def assert_not_used(scene, then="served", **more):
    """It is refused with a line in the log, and the proxy serves as one without a file."""
    scene.relay.cut()
    with scene.proxy(**more) as proxy:
        (line,) = proxy.events("serve.snapshot")
        assert line["file"] == str(scene.file) and line["error"]
        assert scene.outcome(proxy) == "BH-ID-CONTROL-DOWN"
        assert scene.outcome(proxy, "acme", principal="shop") == "BH-ID-CONTROL-DOWN"
        scene.relay.mend()
        wait_for(lambda: scene.outcome(proxy) == then, "the return")


@pytest.mark.parametrize("how", SPOILED)
def test_what_was_tampered_with_is_not_used(scene, how):
    text = scene.write()
    spoiled = SPOILED[how](text)
    assert spoiled != text, "the test did not spoil anything"
    scene.file.write_bytes(spoiled)
    assert_not_used(scene)


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o620])
def test_a_file_that_others_could_read_or_write_is_not_used(scene, mode):
    scene.write()
    scene.file.chmod(mode)
    assert_not_used(scene)


def test_what_is_no_file_is_not_used(scene):
    scene.file.mkdir()
    assert_not_used(scene)
    scene.file.rmdir()
    os.mkfifo(scene.file, 0o600)
    assert_not_used(scene)


def test_a_file_of_another_installation_is_not_used(scene):
    scene.write()
    other = write_secret(scene.file.parent / "guard.key", "a " + "A" * 43 + "=\n")
    then = "BH-CTX-HANDOVER" if scene.stand.installation.is_shared else "served"  # no key is asked for
    assert_not_used(scene, then=then, guard={"key_file": other})


def test_an_older_key_of_the_ring_is_good_enough(scene):
    """While keys are rotated the file was written under the one before."""
    scene.write()
    new = write_secret(scene.file.parent / "guard.key",
                       "new " + "A" * 43 + "=\n" + (scene.stand.keys / "guard.key").read_text())
    scene.relay.cut()
    with scene.proxy(guard={"key_file": new}) as proxy:
        assert not proxy.events("serve.snapshot")


def test_a_refused_file_is_replaced(scene):
    scene.write()
    scene.file.write_bytes(b"nonsense")
    with scene.proxy() as proxy:
        assert proxy.events("serve.snapshot")
        assert scene.outcome(proxy) == "served"
    shutil.copy(scene.file, scene.file.with_suffix(".copy"))
    scene.relay.cut()
    with scene.proxy() as proxy:
        assert not proxy.events("serve.snapshot") and scene.outcome(proxy) == "served"
