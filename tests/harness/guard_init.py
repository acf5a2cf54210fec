"""`bulkhead init` as tests run it, and what they ask of a database afterwards."""

import base64
import hashlib
import hmac
import os
import secrets
import subprocess

from harness.catalog import catalog_of
from harness.guard import POOL, Guard, assert_enters, run_init
from harness.postgres import PG_BIN


def catalog(database):
    with database.connect() as admin:
        return catalog_of(admin)


def init(database, keys, *arguments, **more):
    return run_init("--dsn", database.conninfo(), "--keys", keys, *arguments, **more)


def assert_refused(done, *words):
    assert done.returncode == 1, done.stdout + done.stderr
    for word in words:
        assert word in done.stderr
    assert "Settings for the sidecars' file" not in done.stdout


def assert_holds(database, keys, login=POOL):
    """The control: the installation works with the keys and the password of this folder."""
    guard = Guard(database, keys)
    with guard.connect(login) as connection:
        assert_enters(guard, connection)
    password = (keys / "pool.password").read_text().strip()
    database.connect(login, password=password, tcp=True).close()


def has_guard(database):
    with database.connect() as admin:
        return admin.execute("SELECT to_regnamespace('bulkhead') IS NOT NULL").fetchone()[0]


def roles(database):
    with database.connect() as admin:
        return catalog_of(admin, "role", "membership", "parameter", "role setting")


def printed(*arguments):
    done = run_init("--print", *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def run_script(database, keys, script, *arguments, check=True):
    """As psql users would; the key comes from the environment."""
    environment = {**os.environ, "GUARD_KEY": (keys / "guard.key").read_text().splitlines()[0]} if keys else None
    done = subprocess.run([PG_BIN / "psql", "-X", "-d", database.conninfo(), *arguments], input=script, text=True,
                          capture_output=True, check=False, env=environment)
    assert not check or done.returncode == 0, done.stderr
    return done


def verifier_of(password):
    """A SCRAM-SHA-256 verifier as PostgreSQL keeps it."""
    salt = secrets.token_bytes(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, 4096)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    return "SCRAM-SHA-256$4096:" + "$".join(
        ":".join(base64.b64encode(part).decode() for part in parts) for parts in ((salt,), (stored, server)))


def drop_login(database, login):
    name = '"' + login.replace('"', '""') + '"'
    with database.connect() as admin:
        admin.execute(f"DROP OWNED BY {name}")
        admin.execute(f"DROP ROLE {name}")
