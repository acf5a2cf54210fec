"""A private PostgreSQL for tests.

    cluster = Postgres(template=template).start()
    with cluster.connect(user="postgres") as connection: ...
    cluster.stop()

The cluster lives in a folder of its own under the system's temporary folder, listens on a unix socket in
that folder (trust) and on 127.0.0.1 (scram-sha-256), on a port of its own, and runs as the user `postgres`
when the tests run as root, because the server refuses root. It is stopped by its process id.
"""

import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import psycopg
from psycopg import sql

PG_BIN = Path(os.environ.get("PG_BIN", "/usr/lib/postgresql/15/bin"))  # of the server, and of psql and its kin
PG18_BIN = Path(os.environ.get("PG18_BIN") or Path(__file__).resolve().parents[2] / "build/pg18/bin")  # tests/postgres-18
HOST = "127.0.0.1"

# Fast, and safe for nothing but tests.
SETTINGS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_connections": "200",
    "max_prepared_transactions": "10",
    "max_wal_size": "256MB",
    "shared_buffers": "32MB",
    "log_line_prefix": "%m [%p] %q%u@%d ",
    "logging_collector": "off",
}


def server_user():
    """The account the server runs under, as the keyword arguments of subprocess; empty when not root."""
    if os.geteuid() != 0:
        return {}
    account = pwd.getpwnam("postgres")
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


def private_folder(prefix):
    """A new folder that the server's account owns. pytest's own folders are closed to it."""
    folder = Path(tempfile.mkdtemp(prefix=prefix))
    account = server_user()
    if account:
        os.chown(folder, account["user"], account["group"])
    return folder


def free_port():
    """Out of those that the kernel gives to nobody who connects somewhere: of them many come and go."""
    while True:
        port = secrets.randbelow(12000) + 20000
        with socket.socket() as probe:
            with suppress(OSError):
                probe.bind((HOST, port))
                return port


def with_libraries(bin_folder):
    """The environment in which a PostgreSQL that was unpacked somewhere finds the libraries it came with."""
    return {**os.environ, "LD_LIBRARY_PATH": str((bin_folder / "postgres").resolve().parent.parent / "lib")}


def is_running(pid):
    """Is there a process of that id that has not ended?"""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def reachable(bin_folder, folder):
    """
    The folder of the server's programs, or of a copy in `folder` when the server's account cannot get at them.

    A clone in root's home is closed to that account, and so is a PostgreSQL that was unpacked there.
    """
    try:
        subprocess.run([bin_folder / "postgres", "--version"], check=True, capture_output=True, cwd="/", **server_user())
        return bin_folder
    except PermissionError:
        copy = folder / "postgresql"
        shutil.copytree(bin_folder.parent, copy, symlinks=True)
        copy.chmod(0o755)
        return copy / bin_folder.name


class Template:
    """One initdb, copied for every cluster of the session; clusters run the same PostgreSQL's server."""

    def __init__(self, bin_folder=PG_BIN):
        self.folder = private_folder("bulkhead-template-")
        self.bin_folder = reachable(bin_folder, self.folder)
        self.password = secrets.token_hex(16)
        password_file = self.folder / "password"
        password_file.write_text(self.password + "\n")
        if account := server_user():
            os.chown(password_file, account["user"], account["group"])
        subprocess.run(
            [self.bin_folder / "initdb", "-D", self.folder / "data", "-U", "postgres", "--no-sync",
             "--encoding=UTF8", "--locale=C.UTF-8", "--auth-local=trust", "--auth-host=scram-sha-256",
             f"--pwfile={password_file}"],
            check=True, capture_output=True, cwd="/", **server_user())

    def remove(self):
        shutil.rmtree(self.folder, ignore_errors=True)


class Postgres:
    def __init__(self, template=None, settings=None):
        """`settings` are postgresql.conf settings over SETTINGS. Without a template it runs its own initdb."""
        self._own_template = None if template else Template()
        template = template or self._own_template
        self._place(template, {**SETTINGS, **(settings or {})}, "bulkhead-pg-")
        subprocess.run(["cp", "-a", template.folder / "data", self.data], check=True)

    def _place(self, like, settings, prefix):
        """A folder of its own, for a server of the same PostgreSQL with the same superuser."""
        self.bin_folder = like.bin_folder
        self.password = like.password  # of the superuser `postgres`
        self.settings = settings
        self.folder = private_folder(prefix)
        self.data = self.folder / "data"
        self.log = self.folder / "log"
        self.socket_dir = str(self.folder)
        self.host = HOST
        self.port = None
        self.process = None

    def start(self):
        """Starts the server and waits until it answers; the port is kept over a restart."""
        for attempt in range(5):
            if self.port is None or attempt:
                self.port = free_port()
            if self._start_once():
                return self
        raise RuntimeError(f"PostgreSQL did not start:\n{self.log_text()[-4000:]}")

    def _start_once(self):
        command = [self.bin_folder / "postgres", "-D", self.data, "-p", str(self.port), "-k", self.socket_dir,
                   "-c", f"listen_addresses={HOST}"]
        for name, value in self.settings.items():
            command += ["-c", f"{name}={value}"]
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            cwd="/", start_new_session=True, env=with_libraries(self.bin_folder),
                                            **server_user())
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                self.connect().close()
                return True
            except psycopg.OperationalError:
                time.sleep(0.05)
        self.stop()
        return False

    def stop(self, how=signal.SIGINT):
        """Ends the server: SIGINT is a fast shutdown, SIGQUIT a crash."""
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.send_signal(how)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.send_signal(signal.SIGQUIT)
                self.process.wait(20)
        self.process = None

    def kill(self):
        """Ends all of the server's processes by SIGKILL; what they had not yet told the kernel is lost."""
        os.kill(self.process.pid, signal.SIGSTOP)  # lest it start another one meanwhile
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        for pid in (self.process.pid, *map(int, children)):
            os.kill(pid, signal.SIGKILL)
        self.process.wait()
        self.process = None
        while any(is_running(pid) for pid in children):
            time.sleep(0.002)

    def remove(self):
        """Stops the server and deletes its folder."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)
        if self._own_template:
            self._own_template.remove()

    def log_text(self):
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def conninfo(self, dbname="postgres", user="postgres", password=None, tcp=False, **more):
        """A libpq connection string: over the unix socket, which asks for no password, or over TCP."""
        parts = {"host": self.host if tcp else self.socket_dir, "port": self.port, "dbname": dbname,
                 "user": user, **more}
        if tcp and password is None and user == "postgres":
            password = self.password
        if password is not None:
            parts["password"] = password
        return psycopg.conninfo.make_conninfo(**parts)

    def connect(self, dbname="postgres", user="postgres", password=None, tcp=False, autocommit=True, **more):
        return psycopg.connect(self.conninfo(dbname, user, password, tcp, **more), autocommit=autocommit)

    def create_database(self):
        """A new, empty database of the superuser's."""
        name = "t" + secrets.token_hex(6)
        with self.connect() as admin:
            admin.execute(f'CREATE DATABASE "{name}"')
        return self.database(name)

    def database(self, name):
        """A database that is there."""
        return Database(self, name)


class Standby(Postgres):
    """A streaming standby of a server that runs, with a port of its own; `start` waits until it answers."""

    def __init__(self, primary):
        self._own_template = None
        self._place(primary, dict(primary.settings), "bulkhead-standby-")
        subprocess.run(
            [self.bin_folder / "pg_basebackup", "-D", self.data, "-h", primary.socket_dir, "-p", str(primary.port),
             "-U", "postgres", "--write-recovery-conf", "--wal-method=stream", "--checkpoint=fast", "--no-sync"],
            check=True, capture_output=True, cwd="/", env=with_libraries(self.bin_folder), **server_user())

    def promote(self):
        """Makes it a primary; returns when it takes writes."""
        with self.connect() as admin:
            assert admin.execute("SELECT pg_promote()").fetchone() == (True,)


class Database:
    """One database of a cluster."""

    def __init__(self, cluster, name):
        self.cluster = cluster
        self.name = name

    def conninfo(self, user="postgres", **more):
        return self.cluster.conninfo(self.name, user, **more)

    def connect(self, user="postgres", **more):
        return self.cluster.connect(self.name, user, **more)

    def psql(self, *arguments, user="postgres", stdin="", check=True, **more):
        """Runs psql without start-up file, stopping at the first error; returns the finished process."""
        done = subprocess.run(
            [PG_BIN / "psql", "-X", "-v", "ON_ERROR_STOP=1", "-d", self.conninfo(user, **more),
             *map(str, arguments)],
            input=stdin, text=True, capture_output=True, check=False)
        if check and done.returncode != 0:
            raise AssertionError(f"psql exited with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done

    def drop(self):
        with self.cluster.connect() as admin:
            admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(self.name)))
