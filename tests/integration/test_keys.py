"""`bulkhead key`: making, retiring and deriving the keys that hand-overs are signed with."""

import base64
import json
import os
import subprocess

import pytest
from harness.guard import ACME, GLOBEX, Guard, assert_enters, enter, refused
from harness.program import DONE, FAILED, PROGRAM, USAGE, bulkhead
from harness.wait import wait_for


@pytest.fixture
def keys(tmp_path, guard_keys, guard):  # pylint: disable=unused-argument
    """The guard's key file in a folder of the test's own."""
    folder = tmp_path / "keys"
    folder.mkdir()
    write(folder / "guard.key", (guard_keys / "guard.key").read_text())
    return folder


def write(path, text):
    path.touch(0o600)
    path.write_text(text)
    return path


def lines(keys):
    return (keys / "guard.key").read_text().splitlines()


def key(guard, keys, *words, **environment):
    return bulkhead("key", *words, "--dsn", guard.database.conninfo(), "--keys", keys, **environment)


def must(done):
    assert done.returncode == DONE, done.stderr
    return done.stdout


def assert_failed(done, words):
    assert done.returncode == FAILED, done.stdout
    assert words in done.stderr


def signer(guard, line):
    """The guard as one that signs with the key of this line sees it."""
    copy = object.__new__(Guard)
    kid, encoded = line.split()[:2]
    copy.__dict__.update(guard.__dict__, kid=kid, key=base64.b64decode(encoded))
    return copy


def listed(guard, keys):
    return {row["kid"]: row for row in json.loads(must(key(guard, keys, "list", "guard", "--json")))}


def registered(guard):
    with guard.admin() as admin:
        return [kid for (kid,) in admin.execute("SELECT kid FROM bulkhead.signing_key ORDER BY created_at")]


# ---- rotate and retire ----

def test_a_rotation(guard, keys):
    old, = lines(keys)
    said = must(key(guard, keys, "rotate", "guard"))
    new, kept = lines(keys)
    assert new.startswith("k2 ") and kept == old
    assert new.split()[1] not in said and "k2" in said
    assert (keys / "guard.key").stat().st_mode & 0o777 == 0o600
    with guard.connect() as connection:
        for line in (old, new):
            assert_enters(signer(guard, line), connection)
    assert registered(guard) == ["k1", "k2"]

    must(key(guard, keys, "retire", "guard", "k1"))
    assert lines(keys) == [new] and registered(guard) == ["k2"]
    with guard.connect() as connection:
        with refused("42501", "unknown signing key"):
            enter(connection, signer(guard, old).token(connection, ACME))
        assert_enters(signer(guard, new), connection)


def test_each_key_gets_a_name_of_its_own(guard, keys):
    for number in range(2, 5):
        must(key(guard, keys, "rotate", "guard"))
        assert lines(keys)[0].startswith(f"k{number} ")
    must(key(guard, keys, "retire", "guard", "k3"))
    must(key(guard, keys, "rotate", "guard", "--kid", "by-hand"))
    must(key(guard, keys, "rotate", "guard"))
    assert [line.split()[0] for line in lines(keys)] == ["k5", "by-hand", "k4", "k2", "k1"]
    assert len({line.split()[1] for line in lines(keys)}) == 5


def test_what_else_stands_in_the_file_stays(guard, keys):
    old, = lines(keys)
    write(keys / "guard.key", f"# ours\n\n{old}\n# the end\n")
    must(key(guard, keys, "rotate", "guard"))
    assert lines(keys)[1:] == ["# ours", "", old, "# the end"]
    must(key(guard, keys, "retire", "guard", "k1"))
    assert lines(keys)[1:] == ["# ours", "", "# the end"]


def test_a_symbolic_link_stays_one(guard, keys):
    real = keys / "real.key"
    (keys / "guard.key").rename(real)
    (keys / "guard.key").symlink_to("real.key")
    must(key(guard, keys, "rotate", "guard"))
    assert (keys / "guard.key").is_symlink() and len(real.read_text().splitlines()) == 2


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_the_files_owner_stays(guard, keys):
    """The sidecar, which reads it, is seldom root."""
    os.chown(keys / "guard.key", 65534, 65534)
    must(key(guard, keys, "rotate", "guard"))
    about = (keys / "guard.key").stat()
    assert (about.st_uid, about.st_gid, about.st_mode & 0o777) == (65534, 65534, 0o600)


def test_list(guard, keys):
    must(key(guard, keys, "rotate", "guard"))
    with guard.admin() as admin:
        admin.execute("SELECT bulkhead.register_key('stray', %s)", (base64.b64encode(bytes(32)).decode(),))
    rows = listed(guard, keys)
    assert {kid: row["file"] for kid, row in rows.items()} == {"k2": "signs", "k1": "kept", "stray": "missing"}
    assert all(row["databases"] == [guard.database.name] and row["created_at"].endswith("Z") for row in rows.values())
    text = must(key(guard, keys, "list", "guard"))
    assert "signs" in text and not any(line.split()[1] in text for line in lines(keys))
    without = must(bulkhead("key", "list", "guard", "--file", keys / "guard.key", "--json"))
    assert [row["databases"] for row in json.loads(without)] == [[], []]
    must(key(guard, keys, "retire", "guard", "stray"))
    assert set(listed(guard, keys)) == {"k1", "k2"}


def test_several_databases(guard, guard_original, keys):
    other = guard_original.clone()
    both = ("--dsn", other.database.conninfo())
    must(key(guard, keys, "rotate", "guard", *both))
    assert registered(guard) == registered(other) == ["k1", "k2"]
    must(key(guard, keys, "retire", "guard", "k1", *both))
    assert registered(guard) == registered(other) == ["k2"]
    other.drop()


# ---- what is refused ----

def test_the_key_that_signs_is_not_retired(guard, keys):
    before = lines(keys)
    assert_failed(key(guard, keys, "retire", "guard", "k1"), "this key signs")
    assert lines(keys) == before and registered(guard) == ["k1"]


def test_a_key_that_is_not_there(guard, keys):
    must(key(guard, keys, "rotate", "guard"))
    assert_failed(key(guard, keys, "retire", "guard", "k9"), "there is no such key")


def test_one_database_of_two_refuses(guard, guard_original, keys):
    """None of them is changed, and neither is the file."""
    other = guard_original.clone()
    with other.admin() as admin:
        admin.execute("SELECT bulkhead.register_key('k2', %s)", (base64.b64encode(bytes(32)).decode(),))
    before = lines(keys)
    done = key(guard, keys, "rotate", "guard", "--kid", "k2", "--dsn", other.database.conninfo())
    assert_failed(done, "another key is registered")
    assert lines(keys) == before and registered(guard) == ["k1"]
    other.drop()


def test_a_database_of_another_installation(guard, keys):
    write(keys / "guard.key", f"k7 {base64.b64encode(bytes(range(32))).decode()}\n")
    assert_failed(key(guard, keys, "rotate", "guard"), "does not have the key k7")
    write(keys / "guard.key", f"k1 {base64.b64encode(bytes(range(32))).decode()}\n")
    assert_failed(key(guard, keys, "rotate", "guard"), "another key is registered")
    assert registered(guard) == ["k1"]


def test_a_file_that_cannot_be_written(guard, keys):
    """The new key does not stay behind in the database."""
    before = lines(keys)
    real = keys / "sealed"
    real.mkdir()
    write(real / "guard.key", before[0] + "\n")
    subprocess.run(["chattr", "+i", real], check=False)
    try:
        (real / "probe").touch()
    except OSError:
        done = bulkhead("key", "rotate", "guard", "--dsn", guard.database.conninfo(), "--keys", real)
        assert_failed(done, "guard.key")
        assert registered(guard) == ["k1"]
    else:
        pytest.skip("this file system cannot refuse root")
    finally:
        subprocess.run(["chattr", "-i", real], check=False)


@pytest.mark.parametrize("words", [
    (), ("rotate",), ("rotate", "guard"), ("rotate", "master", "--dsn", "x"), ("retire", "guard", "--dsn", "x"),
    ("derive", "guard"), ("derive", "guard", "--tenant", ACME), ("list",), ("list", "guard", "more"),
    ("list", "guard", "--keys", "a", "--file", "b"), ("list", "guard", "--no-such")])
def test_wrong_usage(words):
    assert bulkhead("key", *words).returncode == USAGE


@pytest.mark.parametrize("content, words", [
    ("k1 short\n", "line 1: behind the key's name"), ("", "there is no key in it"), (None, "No such file")])
def test_a_file_that_is_no_key_file(guard, keys, content, words):
    if content is None:
        (keys / "guard.key").unlink()
    else:
        write(keys / "guard.key", content)
    assert_failed(key(guard, keys, "rotate", "guard"), words)


def test_a_kid_that_is_no_name(guard, keys):
    for kid in ("K2", "k 2", "k" * 33, ""):
        assert key(guard, keys, "rotate", "guard", "--kid", kid).returncode == FAILED
    assert registered(guard) == ["k1"] and len(lines(keys)) == 1


def test_rotations_at_the_same_time(guard, keys):
    """Each adds a key; none is lost from file or database."""
    running = [subprocess.Popen([PROGRAM, "key", "rotate", "guard", "--dsn", guard.database.conninfo(),
                                 "--keys", keys], stdout=subprocess.DEVNULL) for _ in range(4)]
    assert [process.wait(60) for process in running] == [0] * 4
    assert sorted(registered(guard)) == sorted(line.split()[0] for line in lines(keys)) == ["k1", "k2", "k3", "k4", "k5"]


def test_the_last_key_stays_in_the_database(guard):
    with guard.admin() as admin, refused("P0001", "the last one"):
        admin.execute("SELECT bulkhead.retire_key('k1')")


@pytest.mark.parametrize("user", ["bulkhead_pool", "bulkhead_app"])
def test_tenants_retire_nothing(guard, user):
    with guard.admin() as admin:
        admin.execute(f"SET ROLE {user}")
        with refused("42501"):
            admin.execute("SELECT bulkhead.retire_key('k1')")


def test_the_key_is_not_in_the_servers_log(guard, keys):
    with guard.admin() as admin:
        admin.execute("ALTER SYSTEM SET log_statement = 'all'")
        admin.execute("ALTER SYSTEM SET log_min_duration_statement = 0")
        admin.execute("SELECT pg_reload_conf()")
        wait_for(lambda: admin.execute("SHOW log_statement").fetchone()[0] == "all", "the server's reload")
    try:
        must(key(guard, keys, "rotate", "guard"))
        log = guard.database.cluster.log_text()
        assert "statement: BEGIN" in log
        assert not any(line.split()[1] in log for line in lines(keys))
    finally:
        with guard.admin() as admin:
            admin.execute("ALTER SYSTEM RESET ALL")
            admin.execute("SELECT pg_reload_conf()")


# ---- keys of one tenant ----

def derived(keys, tenant=ACME):
    must(bulkhead("key", "derive", "guard", "--tenant", tenant, "--keys", keys, "--out", keys / "tenant.key"))
    return (keys / "tenant.key").read_text().splitlines()


def test_a_derived_key_is_the_tenants(guard, keys):
    line, = derived(keys)
    kid, encoded, tenant = line.split()
    assert (kid, tenant) == (guard.kid, ACME)
    assert base64.b64decode(encoded) == guard.derive(ACME)
    assert (keys / "tenant.key").stat().st_mode & 0o777 == 0o600
    with guard.connect() as connection:
        mine = base64.b64decode(encoded)
        enter(connection, guard.token(connection, ACME, signer=mine))
        connection.execute("DISCARD ALL")
        with refused("42501", "wrong mac"):
            enter(connection, guard.token(connection, GLOBEX, signer=mine))


def test_all_keys_are_derived_in_their_order(guard, keys):
    must(key(guard, keys, "rotate", "guard"))
    assert [line.split()[0] for line in derived(keys)] == ["k2", "k1"]


def test_what_is_derived_from_nothing(guard, keys):
    derive = ("key", "derive", "guard", "--keys", keys)
    assert_failed(bulkhead(*derive, "--tenant", "acme", "--out", keys / "x"), "by its UUID")
    assert_failed(bulkhead(*derive, "--tenant", ACME, "--out", keys / "guard.key"), "the installation's keys")
    assert_failed(bulkhead(*derive, "--tenant", ACME, "--out", "/nosuch/x"), "No such file")
    derived(keys)
    for verb in (("derive", "--tenant", GLOBEX, "--out", str(keys / "x")), ("rotate",), ("list",)):
        done = bulkhead("key", verb[0], "guard", *verb[1:], "--file", keys / "tenant.key",
                        *(("--dsn", guard.database.conninfo()) if verb[0] == "rotate" else ()))
        assert_failed(done, "the keys of one tenant")


def test_init_takes_no_derived_key(guard, keys):
    derived(keys)
    (keys / "tenant.key").rename(keys / "guard.key")
    done = bulkhead("init", "--dsn", guard.database.conninfo(), "--keys", keys)
    assert_failed(done, "the keys of one tenant")
