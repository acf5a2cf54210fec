"""The guard in a database of its own, spoken to as a proxy speaks to it, with every mac computed here.

    guard = Guard.install(cluster, keys)          # a new database with `bulkhead init`
    with guard.connect() as connection:           # as the pool's login
        enter(connection, guard.token(connection, ACME, "42"))
    with guard.tenant(ACME, "42") as connection:  # the same in one step

What is signed, and how, is written in policy/guard/enter.sql.
"""

import base64
import hmac
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from harness.postgres import Database
from harness.program import PROGRAM

POOL = "bulkhead_pool"
VERSION = 3  # of the guard, as this program brings it
ACME = "11111111-1111-4111-8111-111111111111"
GLOBEX = "22222222-2222-4222-9222-222222222222"

ENTER = "SELECT bulkhead.enter(%s,%s,%s,%s,%s)"  # psycopg makes $1,$2,$3,$4,$5 of it
SEAL = "SELECT current_setting('backtrace_functions')"


def run_init(*arguments, **more):
    """`bulkhead init`; the finished process, whatever its exit code."""
    return subprocess.run([PROGRAM, "init", *map(str, arguments)], text=True, capture_output=True, check=False,
                          stdin=subprocess.DEVNULL, timeout=120, **more)


def must_init(*arguments, **more):
    done = run_init(*arguments, **more)
    if done.returncode != 0:
        raise AssertionError(f"bulkhead init exited with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done


def hex_of(text):
    return text.encode().hex()


def plain(tenant):
    """A tenant's id as the guard writes it: without dashes."""
    return tenant.replace("-", "")


def seal_of(tenant, key=""):
    return f"{plain(tenant)},{hex_of(key)}"


def enter(connection, token):
    """Sends the token; the seal that came back."""
    return connection.execute(ENTER, token).fetchone()[0]


def seal(connection):
    """What is sealed into the connection's backend; empty when nothing is."""
    return connection.execute(SEAL).fetchone()[0]


def assert_enters(guard, connection, tenant=ACME, key=""):
    """The positive control: on this very connection the right token works."""
    assert enter(connection, guard.token(connection, tenant, key)) == seal_of(tenant, key)


@contextmanager
def refused(sqlstate, words=""):
    """The block must end with this error of the server's."""
    with pytest.raises(psycopg.Error) as caught:
        yield caught
    assert caught.value.sqlstate == sqlstate, f"{caught.value.sqlstate}: {caught.value}"
    assert words in str(caught.value)


class Guard:
    """An installed guard: its database, and the key that signs for it."""

    def __init__(self, database, keys):
        self.database = database
        self.keys = Path(keys)
        self.kid, encoded = (self.keys / "guard.key").read_text().split()
        self.key = base64.b64decode(encoded)
        with database.connect() as admin:
            (self.installation,) = admin.execute(
                "SELECT replace(id::text, '-', '') FROM bulkhead.installation").fetchone()

    @classmethod
    def install(cls, cluster, keys, *arguments, database=None):
        database = database or cluster.create_database()
        must_init("--dsn", database.conninfo(), "--keys", keys, *arguments)
        return cls(database, keys)

    def clone(self):
        """A copy in a database of its own, with the same key and installation. Nobody may be connected."""
        cluster, name = self.database.cluster, f"{self.database.name}_{time.monotonic_ns():x}"
        with cluster.connect() as admin:
            admin.execute(f'CREATE DATABASE "{name}" TEMPLATE "{self.database.name}"')
        copy = object.__new__(Guard)
        copy.__dict__.update(self.__dict__, database=Database(cluster, name))
        return copy

    def drop(self):
        self.database.drop()

    def admin(self, **more):
        return self.database.connect(**more)

    def connect(self, user=POOL, **more):
        connection = self.database.connect(user, **more)
        connection.prepare_threshold = None  # DISCARD ALL would take psycopg's own prepared statements away
        return connection

    @contextmanager
    def tenant(self, tenant, key="", **more):
        """A connection of the pool's login in this tenant's context."""
        with self.connect(**more) as connection:
            enter(connection, self.token(connection, tenant, key))
            yield connection

    def derive(self, tenant):
        """The key that signs for one tenant only."""
        return hmac.digest(self.key, plain(tenant).encode(), "sha256")

    def token(self, backend, tenant, key="", lifetime=30.0, signer=None, **other):
        """
        The five parameters of enter for a backend (a connection or a process id), signed. `lifetime` is in
        seconds from now, `signer` a tenant's derived key. `other` replaces a field before it is signed: kid,
        installation, database, tenant_hex, key_hex or expires.
        """
        field = {
            "kid": self.kid, "installation": self.installation, "database": self.database.name,
            "tenant_hex": plain(tenant), "key_hex": hex_of(key), "expires": str(int((time.time() + lifetime) * 1000)),
            **other}
        pid = backend if isinstance(backend, int) else backend.info.backend_pid
        message = ":".join(["bulkhead.enter.1", hex_of(field["kid"]), field["installation"],
                            hex_of(field["database"]), str(pid), field["tenant_hex"], field["key_hex"],
                            field["expires"]])
        signer = signer or hmac.digest(self.key, field["tenant_hex"].encode(), "sha256")
        mac = hmac.digest(signer, message.encode(), "sha256").hex()
        return (field["kid"], field["tenant_hex"], field["key_hex"], field["expires"], mac)
