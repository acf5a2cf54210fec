"""The first key of the admin API, which `bulkhead init` makes, and `bulkhead api-key`, which needs no API."""

import base64
import hashlib
import hmac
import re
import stat
from concurrent.futures import ThreadPoolExecutor

import pytest
from harness.api import Api
from harness.postgres import Postgres
from harness.program import DONE, FAILED, USAGE, bulkhead, refusal, rows, succeed, write_secret
from harness.stand import DATABASE

KEY = re.compile(r"bhk_[a-z2-7]{16}_[A-Za-z0-9_-]{43}")
OPERATORS = "SELECT id, name, role, tenant_id, reveal, hash, hash_kid FROM bulkhead_control.api_key"


def hashed(key, pepper_file):
    """The pepper's name and the hash, as the database should have them."""
    kid, pepper = pepper_file.read_text().split()[:2]
    return hmac.new(base64.b64decode(pepper), b"bulkhead api key\0" + key.encode(), hashlib.sha256).digest(), kid


# ---- init ----

@pytest.fixture
def server(template):
    """One of its own: elsewhere logins have passwords already, and there are keys."""
    server = Postgres(template).start()
    yield server
    server.remove()


def init(database, keys):
    return bulkhead("init", "--dsn", database.conninfo(), "--keys", keys)


def test_init_makes_the_first_operator(server, tmp_path):
    database = server.create_database()
    done = init(database, tmp_path / "keys")
    assert (done.returncode, done.stderr) == (DONE, "")
    file, pepper = tmp_path / "keys/operator.key", tmp_path / "keys/api.pepper"
    key = file.read_text().strip()
    assert KEY.fullmatch(key) and done.stdout.count(key) == 1
    assert f"[admin]\npepper_file = {pepper}\n" in done.stdout and str(file) in done.stdout
    assert {stat.S_IMODE(path.stat().st_mode) for path in (file, pepper)} == {0o600}
    with database.connect() as admin:
        assert admin.execute(OPERATORS).fetchall() == [(key[4:20], "first operator", "operator", None, True,
                                                        *hashed(key, pepper))]
    assert key[21:] not in server.log_text()

    again = init(database, tmp_path / "keys")
    assert (again.returncode, file.read_text().strip()) == (DONE, key) and "operator" not in again.stdout
    with database.connect() as admin:
        assert len(admin.execute(OPERATORS).fetchall()) == 1


def test_init_makes_good_what_was_cut_short(server, tmp_path):
    """The file was written, and the database was not asked any more."""
    database = server.create_database()
    assert init(database, tmp_path).returncode == DONE
    with database.connect() as admin:
        admin.execute("DELETE FROM bulkhead_control.api_key")
        done = init(database, tmp_path)
        assert done.returncode == DONE and KEY.search(done.stdout) is None  # it was shown, or is in the file
        assert admin.execute(OPERATORS).fetchone()[0] == (tmp_path / "operator.key").read_text()[4:20]


@pytest.mark.parametrize("column", ["revoked_at", "expires_at"])
def test_init_brings_no_operator_back(server, tmp_path, column):
    database = server.create_database()
    assert init(database, tmp_path).returncode == DONE
    with database.connect() as admin:
        admin.execute(f"UPDATE bulkhead_control.api_key SET {column} = '2020-01-01'")
        before = admin.execute(OPERATORS).fetchall()
        assert init(database, tmp_path).returncode == DONE
        assert admin.execute(OPERATORS).fetchall() == before


def test_an_operator_of_a_part_is_not_the_first(server, tmp_path):
    database = server.create_database()
    assert init(database, tmp_path).returncode == DONE
    dsn = {"CONTROL_DSN": database.conninfo()}
    succeed("tenant", "create", "acme", **dsn)
    succeed("api-key", "create", "part", "--role", "operator", "--tenant", "acme", "--pepper-file",
            tmp_path / "api.pepper", **dsn)
    with database.connect() as admin:
        admin.execute("DELETE FROM bulkhead_control.api_key WHERE tenant_id IS NULL")
        assert init(database, tmp_path).returncode == DONE
        assert [row[3] is None for row in admin.execute(f"{OPERATORS} ORDER BY tenant_id")] == [False, True]


def test_init_with_another_pepper_says_so(server, tmp_path):
    database = server.create_database()
    assert init(database, tmp_path).returncode == DONE
    (tmp_path / "api.pepper").unlink()
    done = init(database, tmp_path)
    assert done.returncode == DONE and "there are API keys already" in done.stderr


def test_inits_at_once_make_one(server, tmp_path):
    database = server.create_database()
    with ThreadPoolExecutor(4) as executor:
        done = list(executor.map(lambda _: init(database, tmp_path / "keys"), range(4)))
    assert [one.returncode for one in done] == [DONE] * 4, [one.stderr for one in done]
    assert sum("it is shown once" in one.stdout for one in done) == 1
    with database.connect() as admin:
        ((key, *_),) = admin.execute(OPERATORS).fetchall()
    assert (tmp_path / "keys/operator.key").read_text()[4:20] == key


@pytest.mark.parametrize("text", ["", "bhk_", "hunter2-never-to-be-seen", "bhk_" + "a" * 16 + "_" + "b" * 42])
def test_init_refuses_a_malformed_key_before_it_changes_anything(server, tmp_path, text):
    database = server.create_database()
    write_secret(tmp_path / "operator.key", text + "\n")
    done = init(database, tmp_path)
    assert (done.returncode, done.stderr) == (FAILED, f"bulkhead init: {tmp_path}/operator.key: it holds no API key\n")
    with database.connect() as admin:
        assert admin.execute("SELECT 1 FROM pg_namespace WHERE nspname ~ '^bulkhead'").fetchall() == []


def test_the_first_operator_is_let_in(stand):
    with Api(stand, pepper_file=stand.keys / "api.pepper") as api:
        answer = api.stranger((stand.keys / "operator.key").read_text().strip()).get("/v1/whoami")
        assert (answer["role"], answer["tenant_id"], answer["reveal"]) == ("operator", None, True)


# ---- bulkhead api-key ----

@pytest.fixture
def pepper(tmp_path):
    return write_secret(tmp_path / "pepper", "p1 " + "A" * 43 + "=\n")


@pytest.fixture
def acme(control):
    control.admin.execute("DELETE FROM bulkhead_control.api_key")
    return control.create("acme")


def drawn(done):
    """The key that was shown, which stands on standard error alone."""
    assert done.returncode == DONE, done.stderr
    (key,) = KEY.findall(done.stderr)
    assert done.stderr == f"key (shown once): {key}\n" and key not in done.stdout
    return key


def make(dsn, pepper, name, *arguments):
    return drawn(bulkhead("api-key", "create", name, "--pepper-file", pepper, *arguments, **dsn))


def test_a_key_is_made(control, dsn, acme, pepper):
    key = make(dsn, pepper, "ci", "--role", "admin", "--tenant", "acme", "--valid-until", "2999-01-01", "--reveal",
               "--addresses", "10.0.0.0/8,::1")
    assert control.admin.execute(
        "SELECT id, name, role, tenant_id, reveal, addresses::text[], expires_at::text, hash, hash_kid, created_by "
        "FROM bulkhead_control.api_key").fetchall() == [
            (key[4:20], "ci", "admin", acme, True, ["10.0.0.0/8", "::1/128"], "2999-01-01 00:00:00+00",
             *hashed(key, pepper), None)]
    assert make(dsn, pepper, "boss", "--role", "operator")[4:20] in succeed("api-key", "list", **dsn)


def test_a_key_goes_into_a_file(dsn, acme, pepper, tmp_path):
    file = tmp_path / "made.key"
    done = bulkhead("api-key", "create", "ci", "--role", "viewer", "--tenant", "acme", "--pepper-file", pepper,
                    "--key-file", file, **dsn)
    assert (done.returncode, done.stderr) == (DONE, "")
    key = file.read_text().strip()
    assert KEY.fullmatch(key) and key not in done.stdout and stat.S_IMODE(file.stat().st_mode) == 0o600
    again = bulkhead("api-key", "create", "ci", "--role", "viewer", "--tenant", "acme", "--pepper-file", pepper,
                     "--key-file", file, **dsn)
    assert again.returncode == USAGE and file.read_text().strip() == key


def test_the_pepper_is_found_by_the_settings(stand):
    dsn = {"CONTROL_DSN": stand.postgres.conninfo(DATABASE)}
    create = ("api-key", "create", "ci", "--role", "operator", "-c")
    with Api(stand) as api:
        key = drawn(bulkhead(*create, api.proxy.config, **dsn))
        assert api.stranger(key).get("/v1/whoami").status == 200
    with stand.proxy() as proxy:
        assert "[admin] pepper_file is not set" in refusal(*create, proxy.config, **dsn)


def test_a_pepper_that_others_may_read_is_refused(dsn, acme, pepper):
    pepper.chmod(0o640)
    assert "its mode must be 0600" in refusal("api-key", "create", "x", "--role", "operator", "--pepper-file", pepper,
                                              **dsn)


def test_keys_are_listed_and_shown_without_secrets(control, dsn, acme, pepper):
    keys = {"a": make(dsn, pepper, "a", "--role", "viewer", "--tenant", "acme", "--addresses", "10.0.0.0/8"),
            "b": make(dsn, pepper, "b", "--role", "operator"),
            "c": make(dsn, pepper, "c", "--role", "editor", "--tenant", "acme", "--valid-until", "2001-01-01")}
    rows("api-key", "revoke", keys["b"][4:20], **dsn)
    listed = rows("api-key", "list", **dsn)
    assert [(row["name"], row["role"], row["tenant"], row["state"]) for row in listed] == [
        ("a", "viewer", "acme", "active"), ("b", "operator", None, "revoked"), ("c", "editor", "acme", "expired")]
    assert [row["name"] for row in rows("api-key", "list", "--tenant", "acme", **dsn)] == ["a", "c"]
    (shown,) = rows("api-key", "show", keys["a"][4:20], **dsn)
    assert (shown["pepper"], shown["addresses"], shown["created_by"]) == ("p1", ["10.0.0.0/8"], None)
    for text in (str(listed), str(shown), succeed("api-key", "show", keys["a"][4:20], **dsn)):
        assert keys["a"][21:] not in text and hashed(keys["a"], pepper)[0].hex() not in text
    assert refusal("api-key", "show", "nonsense", **dsn) == "bulkhead: there is no such API key\n"


def test_rotating(control, dsn, acme, pepper):
    key = make(dsn, pepper, "a", "--role", "viewer", "--tenant", "acme", "--addresses", "10.0.0.0/8")

    def state():
        return control.admin.execute("SELECT hash, previous_hash, previous_until > now() + interval '9 minutes', "
                                     "addresses::text[], role FROM bulkhead_control.api_key").fetchone()

    rotate = ("api-key", "rotate", key[4:20], "--pepper-file", pepper)
    second = drawn(bulkhead(*rotate, "--overlap", "600", **dsn))
    assert second[:21] == key[:21]
    assert state() == (hashed(second, pepper)[0], hashed(key, pepper)[0], True, ["10.0.0.0/8"], "viewer")
    assert "still works" in refusal(*rotate, "--overlap", "600", **dsn)
    third = drawn(bulkhead(*rotate, **dsn))
    assert state() == (hashed(third, pepper)[0], None, None, ["10.0.0.0/8"], "viewer")
    succeed("api-key", "revoke", key[4:20], **dsn)
    assert refusal(*rotate, **dsn) == "bulkhead: this API key is revoked or expired\n"
    assert refusal("api-key", "rotate", "a" * 16, "--pepper-file", pepper, **dsn
                   ) == "bulkhead: there is no such API key\n"


def test_revoking_twice_is_one(control, dsn, acme, pepper):
    key = make(dsn, pepper, "a", "--role", "operator")
    first, second = (rows("api-key", "revoke", key[4:20], **dsn) for _ in range(2))
    assert first == second and first[0]["state"] == "revoked"
    assert refusal("api-key", "revoke", "nonsense", **dsn) == "bulkhead: there is no such API key\n"


@pytest.mark.parametrize("arguments, words", [
    (["--role", "boss", "--tenant", "acme"], "a role is viewer, editor, admin or operator"),
    (["--role", "admin"], "a key that is no operator's is for one tenant"),
    (["--role", "viewer", "--tenant", "nosuch"], 'there is no tenant "nosuch"'),
    (["--role", "viewer", "--tenant", "acme", "--reveal"], "only an admin's or operator's key"),
    (["--role", "viewer", "--tenant", "acme", "--addresses", "10.0.0.1/8"], "invalid cidr value"),
    (["--role", "viewer", "--tenant", "acme", "--valid-until", "infinity"], "a point in time"),
])
def test_refused_keys(control, dsn, acme, pepper, arguments, words):
    assert words in refusal("api-key", "create", "x", "--pepper-file", pepper, *arguments, **dsn)
    assert control.value("SELECT count(*) FROM bulkhead_control.api_key") == 0


@pytest.mark.parametrize("arguments", [
    ["create", "x"], ["create", "x", "--role", "operator"], ["create", "--role", "operator", "--pepper-file", "x"],
    ["create", "x", "--role", "operator", "--pepper-file", "x", "-c", "y"], ["rotate", "x"], ["revoke"], ["list", "x"],
    ["rotate", "a" * 16, "--pepper-file", "x", "--overlap", "604801"],
    ["rotate", "a" * 16, "--pepper-file", "x", "--overlap", "1s"],
    ["rotate", "a" * 16, "--pepper-file", "x", "--role", "admin"], ["revoke", "x", "--reveal"], ["delete", "x"],
])
def test_wrong_usage(arguments):
    done = bulkhead("api-key", *arguments, CONTROL_DSN="host=127.0.0.1 port=1")
    assert (done.returncode, done.stdout) == (USAGE, "")
    assert "bulkhead api-key" in done.stderr and "refused" not in done.stderr


def test_a_principals_tenants(control, dsn, acme):
    control.principal("shop", acme, reach="subtree")
    labs = control.create("labs", acme)
    rows("principal", "set", "shop", "--tenants", f"acme,{labs}", **dsn)
    assert rows("principal", "show", "shop", **dsn)[0]["tenants"] == ["acme", "labs"]
    assert "must exist" in refusal("principal", "set", "shop", "--tenants", "acme,nosuch", **dsn)
    control.delete(labs)
    assert rows("principal", "show", "shop", **dsn)[0]["tenants"] == ["acme", str(labs)]
    rows("principal", "set", "shop", "--tenants", "none", **dsn)
    assert rows("principal", "show", "shop", **dsn)[0]["tenants"] is None


def test_principals_limits_and_certificates(control, dsn, acme):
    control.principal("shop", acme)
    (row,) = rows("principal", "set", "shop", "--max-connections", "5", "--certificate-names", "a.example,b@example",
                  **dsn)
    assert row["version"] == 2
    (row,) = rows("principal", "show", "shop", **dsn)
    assert (row["max_connections"], row["certificate_names"]) == (5, ["a.example", "b@example"])
    assert "certificate_names: a.example, b@example\n" in succeed("principal", "show", "shop", **dsn)
    rows("principal", "set", "shop", "--max-connections", "none", "--certificate-names", "none", **dsn)
    (row,) = rows("principal", "show", "shop", **dsn)
    assert (row["max_connections"], row["certificate_names"], row["version"]) == (None, None, 3)
    assert "1 to 1000000" in refusal("principal", "set", "shop", "--max-connections", "0", **dsn)
    for names in (",", ""):
        assert "1 to 20 names" in refusal("principal", "set", "shop", "--certificate-names", names, **dsn)
