"""`bulkhead sandbox`: one folder, one command, and nothing left running."""

import os
import pty
import re
import select
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import time
from pathlib import Path

import psycopg
import pytest

from harness.program import PROGRAM

READY_SECONDS = 60


@pytest.fixture(scope="module")
def base():
    """A short folder that PostgreSQL's user can pass through, as a checkout in a home folder is."""
    folder = Path(tempfile.mkdtemp(prefix="sandbox-", dir="/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def made(base):
    """A sandbox that was started once and stopped."""
    folder = base / "made"
    done = sandbox(folder, "--port", "0", "--exec", "true")
    assert done.returncode == 0, done.stderr
    return folder


def command(folder, *words):
    return [str(PROGRAM), "sandbox", "--dir", str(folder), *map(str, words)]


def sandbox(folder, *words, **more):
    more = {"timeout": READY_SECONDS * 2, "check": False, **more}
    return subprocess.run(command(folder, *words), text=True, capture_output=True, **more)


def processes_of(folder):
    """Every process that has the folder in its command line or works in it."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            words = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            place = os.readlink(entry / "cwd")
        except OSError:
            continue
        if f"{folder}/" in words + "/" or place.startswith(f"{folder}/"):
            found.append((int(entry.name), words))
    return found


def wait_until(condition, seconds=10):
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert condition()


class Running:
    """A sandbox in the background; `with` ends it if the test did not."""

    def __init__(self, folder, *words, **more):
        self.folder = folder
        self.process = subprocess.Popen(command(folder, *words), text=True, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, **more)
        self.output = ""

    def wait_ready(self):
        for line in self.process.stdout:
            self.output += line
            if line.startswith("Stop with Ctrl-C"):
                return self
        raise AssertionError(f"the sandbox ended before it was ready:\n{self.output}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(60)
        self.process.stdout.close()


def variables(folder, names="BULKHEAD_HOST BULKHEAD_PORT BULKHEAD_DATABASE BULKHEAD_USER BULKHEAD_PASSWORD "
                            "PG_SUPERUSER_DSN CONTROL_DSN"):
    """What sh(1) makes of the env file."""
    script = f'set -eu; . "$1/env"; for name in {names}; do eval "printf \'%s\\n\' \\"\\${{$name}}\\""; done'
    done = subprocess.run(["sh", "-c", script, "sh", folder], text=True, capture_output=True, check=True)
    return dict(zip(names.split(), done.stdout.splitlines(), strict=True))


def as_tenant(env, tenant):
    return psycopg.connect(host=env["BULKHEAD_HOST"], port=env["BULKHEAD_PORT"],
                           dbname=env["BULKHEAD_DATABASE"], user=f'{env["BULKHEAD_USER"]}.{tenant}',
                           password=env["BULKHEAD_PASSWORD"], connect_timeout=10)


def tenant_rows(superuser):
    return superuser.execute(
        "SELECT t.slug, (SELECT count(*) FROM customers c WHERE c.tenant_id = t.id),"
        " (SELECT count(*) FROM orders o WHERE o.tenant_id = t.id),"
        " (SELECT count(*) FROM order_items i WHERE i.tenant_id = t.id)"
        " FROM bulkhead_control.tenant t ORDER BY 1").fetchall()


# ---- a running sandbox ----


@pytest.fixture(scope="module")
def running(base):
    with Running(base / "running", "--port", "0") as running:
        yield running.wait_ready()


@pytest.fixture(scope="module")
def env(running):
    return variables(running.folder)


def test_each_tenant_sees_its_own_rows(env):
    with psycopg.connect(env["PG_SUPERUSER_DSN"]) as superuser:
        rows = tenant_rows(superuser)
    assert [row[0] for row in rows] == ["acme", "acme-labs", "globex", "initech", "umbrella"]
    domains = {"acme": "@acme.example", "acme-labs": "@labs.acme.example", "globex": "@globex.example"}
    for slug, customers, orders, items in rows:
        if slug not in domains:
            assert (customers, orders, items) == (0, 0, 0), "shares no table"
            continue
        assert min(customers, orders, items) >= 12
        with as_tenant(env, slug) as client:
            emails = [row[0] for row in client.execute("SELECT email FROM customers")]
            assert len(emails) == customers
            assert all(email.endswith(domains[slug]) for email in emails)
            assert client.execute("SELECT count(*) FROM orders").fetchone() == (orders,)
            assert client.execute("SELECT count(*) FROM order_items").fetchone() == (items,)


@pytest.mark.parametrize(("slug", "has_database"), (("initech", False), ("umbrella", True)))
def test_tenants_with_a_schema_and_a_database_cannot_be_told_apart(env, slug, has_database):
    with as_tenant(env, slug) as client:
        emails = [row[0] for row in client.execute("SELECT email FROM customers")]
        assert len(emails) >= 12 and all(email.endswith(f"@{slug}.example") for email in emails)
        customer = client.execute("INSERT INTO customers (name, email, city) VALUES ('Test', 'test@x.example', 'Yuma') "
                                  "RETURNING id").fetchone()[0]
        assert customer > len(emails)
        client.rollback()
        login, database = client.execute("SELECT session_user, current_database()").fetchone()
        assert re.fullmatch("t_[0-9a-f]{32}", login) and database == (login if has_database else "shop")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            client.execute("SELECT * FROM public.customers" if not has_database else "ALTER ROLE CURRENT_USER CREATEDB")


def test_a_migration_reaches_all_of_them(running, env):
    file = running.folder.parent / "1_notes.sql"
    file.write_text("CREATE TABLE notes (id bigint PRIMARY KEY, body text)")
    done = subprocess.run([PROGRAM, "migrate", "-c", running.folder / "bulkhead.ini", "--file", file], text=True,
                          capture_output=True, check=False, env={**os.environ, "CONTROL_DSN": env["CONTROL_DSN"]})
    assert done.returncode == 0, done.stdout + done.stderr
    for slug in ("initech", "umbrella"):
        with as_tenant(env, slug) as client:
            client.execute("INSERT INTO notes VALUES (1, 'seen')")
            client.rollback()


def test_the_tenant_may_be_chosen_by_an_option(env):
    with psycopg.connect(host=env["BULKHEAD_HOST"], port=env["BULKHEAD_PORT"], user=env["BULKHEAD_USER"],
                         dbname=env["BULKHEAD_DATABASE"], password=env["BULKHEAD_PASSWORD"],
                         options="-c bulkhead.tenant=globex") as client:
        assert client.execute("SELECT max(email) FROM customers").fetchone()[0].endswith("@globex.example")


def test_the_application_can_write(env):
    with as_tenant(env, "acme") as client:
        customer = client.execute("INSERT INTO customers (name, email, city)"
                                  " VALUES ('Test', 'test@acme.example', 'Yuma') RETURNING id").fetchone()[0]
        order = client.execute("INSERT INTO orders (customer_id) VALUES (%s) RETURNING id",
                               (customer,)).fetchone()[0]
        client.execute("INSERT INTO order_items (order_id, line, product, quantity, unit_price)"
                       " VALUES (%s, 1, 'Anvil', 1, 10)", (order,))
        client.execute("UPDATE orders SET status = 'paid' WHERE id = %s", (order,))
        client.execute("DELETE FROM orders WHERE id = %s", (order,))
        assert client.execute("SELECT count(*) FROM order_items WHERE order_id = %s",
                              (order,)).fetchone() == (0,)
        client.rollback()


def printed_commands(output):
    """The psql lines, a continued one joined."""
    joined = output.replace("\\\n", " ")
    return [line.strip() for line in joined.splitlines() if line.strip().startswith("PGPASSWORD=")]


def test_what_is_printed_can_be_typed(running):
    *lines, attack = printed_commands(running.output)
    domains = ("@acme.example", "@globex.example", "@initech.example", "@umbrella.example")
    for line, domain in zip(lines, domains, strict=True):
        done = subprocess.run(["sh", "-c", line], text=True, capture_output=True, check=True)
        assert done.stdout.count(domain) == 3
        assert done.stdout.count("@") == 3
    done = subprocess.run(["sh", "-c", attack], text=True, capture_output=True, check=False)
    assert re.search(r"^\s+0$", done.stdout, re.M), done.stdout
    assert "row-level security" in done.stderr
    assert "reason=BH-STMT-CONTEXT" in done.stderr


def test_the_unix_socket_answers(running, env):
    with psycopg.connect(host=str(running.folder / "run"), port=env["BULKHEAD_PORT"], user="shop.acme",
                         dbname="shop", password=env["BULKHEAD_PASSWORD"]) as client:
        assert client.execute("SELECT count(*) FROM customers").fetchone()[0] > 0


def test_a_second_sandbox_in_the_folder_is_refused(running):
    done = sandbox(running.folder, "--port", "0", "--exec", "true")
    assert done.returncode == 1
    assert done.stderr == (f"bulkhead sandbox: another sandbox (process {running.process.pid}) "
                           f"is running in {running.folder}\n")
    done = sandbox(running.folder, "--reset", "--exec", "true")
    assert done.returncode == 1
    assert running.process.poll() is None


def test_a_port_that_is_asked_for_and_taken_is_refused(running, env, made):
    done = sandbox(made, "--port", env["BULKHEAD_PORT"], "--exec", "true")
    assert done.returncode == 1
    assert f"port {env['BULKHEAD_PORT']} is taken" in done.stderr


def test_secrets_are_for_the_owner_alone(running):
    for path in running.folder.iterdir():
        if path.is_file():
            assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    for path in (running.folder / "keys").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    assert stat.S_IMODE((running.folder / "data").stat().st_mode) == 0o700
    logs = "".join((running.folder / name).read_text() for name in ("setup.log", "postgres.log",
                                                                    "bulkhead.log"))
    env = variables(running.folder)
    assert env["BULKHEAD_PASSWORD"] not in logs
    assert (running.folder / "superuser.password").read_text().strip() not in logs


def test_no_password_is_on_a_command_line(running):
    password = variables(running.folder)["BULKHEAD_PASSWORD"]
    superuser = (running.folder / "superuser.password").read_text().strip()
    for pid, words in processes_of(running.folder):
        assert password not in words and superuser not in words, pid


# ---- starts and stops ----


def test_exec_has_the_variables_of_env_and_gives_its_status(made):
    done = sandbox(made, "--port", "0", "--exec",
                   'psql "$PG_SUPERUSER_DSN" -Atc "SELECT count(*) FROM customers" &&'
                   ' PGPASSWORD=$BULKHEAD_PASSWORD psql -h "$BULKHEAD_HOST" -p "$BULKHEAD_PORT"'
                   ' -U "$BULKHEAD_USER.globex" -d "$BULKHEAD_DATABASE" -Atc "SELECT count(*) FROM customers" &&'
                   ' psql "$CONTROL_DSN" -Atc "SELECT count(*) FROM bulkhead_control.principal"; exit 42')
    assert done.returncode == 42, done.stderr
    assert done.stdout.split() == ["66", "30", "1"]
    assert processes_of(made) == []


def test_lint_finds_nothing(made):
    done = sandbox(made, "--port", "0", "--exec", f'{PROGRAM} lint --fail-on notice --dsn "$PG_SUPERUSER_DSN"')
    assert done.returncode == 0, done.stdout


def test_exec_killed_by_a_signal(made):
    assert sandbox(made, "--port", "0", "--exec", "kill -9 $$").returncode == 128 + signal.SIGKILL


def test_what_a_command_leaves_running_is_ended(made):
    marker = f"{made}/left"
    script = f"setsid sh -c 'while :; do sleep 0.1; done' {marker} & exit 0"
    assert sandbox(made, "--port", "0", "--exec", script).returncode == 0
    assert processes_of(made) == []


def test_a_second_start_finds_the_data(made):
    write = 'psql "$PG_SUPERUSER_DSN" -qc "CREATE TABLE kept AS SELECT 1 AS one"'
    assert sandbox(made, "--port", "0", "--exec", write).returncode == 0
    before = variables(made)
    done = sandbox(made, "--port", "0", "--exec", 'psql "$PG_SUPERUSER_DSN" -Atc "SELECT one FROM kept"')
    assert (done.returncode, done.stdout) == (0, "1\n"), done.stderr
    after = variables(made)
    assert after["BULKHEAD_PASSWORD"] == before["BULKHEAD_PASSWORD"]
    assert after["PG_SUPERUSER_DSN"] == before["PG_SUPERUSER_DSN"]


def test_postgres_moves_when_its_port_is_taken(made):
    port = int(re.search(r"^postgres_port=(\d+)$", (made / "state").read_text(), re.M)[1])
    with socket.socket() as squatter:
        squatter.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        squatter.bind(("127.0.0.1", port))
        squatter.listen()
        done = sandbox(made, "--port", "0", "--exec", 'psql "$PG_SUPERUSER_DSN" -Atc "SHOW port"')
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) != port


def test_the_environment_of_another_server_does_not_matter(made):
    elsewhere = {**os.environ, "PGHOST": "nowhere.invalid", "PGPASSWORD": "wrong", "PGOPTIONS": "-c x=1",
                 "PGPORT": "1", "BULKHEAD_PORT": "1", "CONTROL_DSN": "host=nowhere.invalid"}
    done = sandbox(made, "--port", "0", "--exec", 'test "$BULKHEAD_PORT" != 1', env=elsewhere)
    assert done.returncode == 0, done.stderr


def test_reset_starts_over(base):
    folder = base / "reset"
    assert sandbox(folder, "--port", "0", "--exec", 'psql "$PG_SUPERUSER_DSN" -qc "CREATE TABLE kept ()"'
                   ).returncode == 0
    password = variables(folder)["BULKHEAD_PASSWORD"]
    (folder / "mine.txt").write_text("not the sandbox's")
    done = sandbox(folder, "--port", "0", "--reset", "--exec",
                   """psql "$PG_SUPERUSER_DSN" -Atc "SELECT to_regclass('kept') IS NULL" """)
    assert (done.returncode, done.stdout) == (0, "t\n"), done.stderr
    assert variables(folder)["BULKHEAD_PASSWORD"] != password
    assert (folder / "mine.txt").read_text() == "not the sandbox's"


@pytest.mark.parametrize("words", [(), ("--reset",)])
def test_a_folder_of_something_else_is_refused(base, words):
    folder = base / "other"
    folder.mkdir(exist_ok=True)
    (folder / "data").mkdir(exist_ok=True)
    (folder / "data" / "precious").write_text("x")
    done = sandbox(folder, *words, "--exec", "true")
    assert done.returncode == 1
    assert "is not empty and no sandbox" in done.stderr
    assert [path.name for path in folder.iterdir()] == ["data"]
    assert (folder / "data" / "precious").read_text() == "x"


@pytest.mark.parametrize("words", [("--port", "65536"), ("--port", "x"), ("--port", ""), ("--dir",), ("word",),
                                   ("--no-such-option",), ("--dir", "")])
def test_wrong_usage(words):
    done = subprocess.run([PROGRAM, "sandbox", *words], text=True, capture_output=True, check=False)
    assert done.returncode == 2
    assert "usage: bulkhead sandbox" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_everything(made, number):
    with Running(made, "--port", "0") as running:
        running.wait_ready()
        assert len(processes_of(made)) >= 3
        running.process.send_signal(number)
        assert running.process.wait(60) == 0
    assert processes_of(made) == []
    assert not (made / "data" / "postmaster.pid").exists()
    assert list((made / "run").iterdir()) == []


def read_terminal(descriptor, until, seconds=READY_SECONDS):
    output, deadline = "", time.monotonic() + seconds
    while until not in output and time.monotonic() < deadline:
        if select.select([descriptor], [], [], 0.2)[0]:
            try:
                output += os.read(descriptor, 65536).decode(errors="replace")
            except OSError:  # the other side is closed
                break
    return output


def on_a_terminal(words):
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(words[0], words)
    return pid, terminal


def test_ctrl_c_at_the_terminal(made):
    pid, terminal = on_a_terminal(command(made, "--port", "0"))
    assert "Stop with Ctrl-C" in read_terminal(terminal, "Stop with Ctrl-C")
    os.write(terminal, b"\x03")
    read_terminal(terminal, "never printed", 30)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    os.close(terminal)
    assert processes_of(made) == []


def test_ctrl_c_belongs_to_the_command(made):
    """As in psql, where it cancels a query: the command goes on, and so does the sandbox."""
    script = "trap caught=yes INT; echo waiting; until [ $caught ]; do sleep 0.1; done; echo went on; exit 5"
    pid, terminal = on_a_terminal(command(made, "--port", "0", "--exec", script))
    assert "waiting" in read_terminal(terminal, "waiting")
    os.write(terminal, b"\x03")
    assert "went on" in read_terminal(terminal, "went on", 30)
    read_terminal(terminal, "never printed", 30)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 5
    os.close(terminal)


# ---- accidents ----


def test_a_killed_sandbox_leaves_nothing_and_can_be_started_again(made):
    with Running(made, "--port", "0") as running:
        running.wait_ready()
        running.process.kill()
        running.process.wait(10)
    assert sandbox(made, "--port", "0", "--exec", "true").returncode == 0
    with Running(made, "--port", "0") as running:
        running.wait_ready()
        running.process.kill()
        running.process.wait(10)
    wait_until(lambda: processes_of(made) == [])


def test_a_stale_process_file_is_no_obstacle(made):
    """Its number may belong to a program that has nothing to do with it."""
    owner = (made / "data").stat()
    path = made / "data" / "postmaster.pid"
    stranger = subprocess.Popen(["sleep", "60"], user=owner.st_uid if os.geteuid() == 0 else None)
    try:
        path.write_text(f"{stranger.pid}\n{made}/data\n1700000000\n1\n{made}/run\n127.0.0.1\n 0 0\nready\n")
        os.chown(path, owner.st_uid, owner.st_gid)
        assert sandbox(made, "--port", "0", "--exec", "true").returncode == 0
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


@pytest.mark.parametrize("seconds", [pytest.param(0.1, marks=pytest.mark.longer), 0.6, pytest.param(1.2, marks=pytest.mark.longer)])
def test_an_unfinished_sandbox_is_made_again(base, seconds):
    """Killed while it removes the sandbox before, or while it makes the new one."""
    folder = base / "unfinished"
    with Running(folder, "--port", "0", "--reset") as running:
        time.sleep(seconds)
        running.process.kill()
        running.process.wait(10)
    done = sandbox(folder, "--port", "0", "--exec", 'psql "$PG_SUPERUSER_DSN" -Atc "SELECT count(*) FROM customers"')
    assert (done.returncode, done.stdout) == (0, "66\n"), done.stderr


@pytest.mark.parametrize("victim, said", [("postgres", "PostgreSQL ended by itself"),
                                          (" serve ", "Bulkhead ended by itself")])
@pytest.mark.parametrize("words", [(), ("--exec", "echo 'Stop with Ctrl-C'; sleep 60")])
def test_when_one_dies_the_other_is_stopped(made, victim, said, words):
    with Running(made, "--port", "0", *words) as running:
        running.wait_ready()
        if victim == "postgres":
            pid = int((made / "data" / "postmaster.pid").read_text().splitlines()[0])
        else:
            pid = next(pid for pid, line in processes_of(made) if victim in line)
        os.kill(pid, signal.SIGKILL)
        output = running.process.stdout.read()
        assert running.process.wait(60) == 1
    assert said in output
    assert processes_of(made) == []


def test_a_long_path_puts_the_sockets_elsewhere(base):
    folder = base / ("x" * 120)
    done = sandbox(folder, "--port", "0", "--exec", 'psql "$PG_SUPERUSER_DSN" -Atc "SHOW unix_socket_directories"')
    assert done.returncode == 0, done.stderr
    place = Path(done.stdout.strip())
    assert len(str(place)) < 100
    assert not place.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's folders are closed to PostgreSQL's user")
def test_a_closed_folder_puts_the_cluster_elsewhere(base):
    closed = base / "closed"
    closed.mkdir(mode=0o700)
    done = sandbox(closed / "sandbox", "--port", "0", "--exec", 'psql "$PG_SUPERUSER_DSN" -Atc "SHOW data_directory"')
    assert done.returncode == 0, done.stderr
    place = Path(done.stdout.strip())
    try:
        assert not place.is_relative_to(base)
        assert stat.S_IMODE(place.stat().st_mode) == 0o700
        before = place.stat().st_ino
        assert sandbox(closed / "sandbox", "--port", "0", "--exec", "true").returncode == 0
        assert place.stat().st_ino == before
    finally:
        shutil.rmtree(place)
