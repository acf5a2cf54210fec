"""Passwords of tenants' own logins and their rotation; and administrators that are no superusers."""

import base64
import secrets
import stat
import threading
import uuid

import psycopg
import pytest

from harness.postgres import PG18_BIN, Postgres, Template
from harness.program import refusal, succeed, write_secret
from harness.provision import Provision
from harness.stand import DATABASE, Stand
from harness.wait import wait_for


@pytest.fixture(scope="module")
def stand(template):
    stand = Stand(template).start()
    yield stand
    stand.remove()


@pytest.fixture
def place(stand):
    return Provision(stand, "rotation-" + uuid.uuid4().hex[:6])


@pytest.fixture
def slugs():
    name = "r" + uuid.uuid4().hex[:8]
    return {"schema": name + "-s", "database": name + "-d", "shared": name + "-l"}


def create_all(place, slugs):
    place.create(slugs["schema"])
    place.create(slugs["database"], strategy="database")
    place.create(slugs["shared"], "--dedicated-login", strategy="shared")


def kids(place, slugs):
    return {place.value("SELECT login_kid FROM bulkhead_control.tenant WHERE slug = %s", slug)
            for slug in slugs.values()}


# ---- where they come from

def test_init_makes_the_secret_and_names_it(stand):
    secret = stand.keys / "cluster.secret"
    kid, key = secret.read_text().split()
    assert kid == "k1" and len(base64.b64decode(key)) == 32 and stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert key not in (stand.keys / "guard.key").read_text()
    printed = succeed("init", "--dsn", stand.postgres.conninfo(DATABASE), "--keys", stand.keys)
    assert f"secret_file = {secret}\n" in printed
    assert secret.read_text().split() == [kid, key]


def test_init_does_not_use_a_secret_of_one_tenant(stand, tmp_path):
    for name in ("guard.key", "pool.password", "sidecar.password"):
        (tmp_path / name).write_bytes((stand.keys / name).read_bytes())
        (tmp_path / name).chmod(0o600)
    secret = tmp_path / "cluster.secret"
    secret.touch(0o600)
    secret.write_text(f"k1 {base64.b64encode(secrets.token_bytes(32)).decode()} {uuid.uuid4()}\n")
    assert "the keys of one tenant" in refusal("init", "--dsn", stand.postgres.conninfo(DATABASE), "--keys", tmp_path)


def test_without_a_secret_the_login_has_no_password(place, slugs):
    place.set(secret_file=None)
    slug = slugs["schema"]
    done = place.run("tenant", "create", slug, "--strategy", "schema", "-c", place.config)
    assert done.returncode == 1 and "the probe failed" in done.stderr  # nothing here lets it in without one
    assert place.value("SELECT rolpassword FROM pg_authid WHERE rolname = %s", place.own(slug)) is None
    place.set(secret_file=place.secret)
    place.must("job", "retry", place.jobs(slug)[0]["id"], "-c", place.config)
    place.connect(slug).close()


# ---- rotation

def read_keys(place):
    lines = [line.split() for line in place.secret.read_text().splitlines() if line.strip()]
    place.passwords.keys = {kid: base64.b64decode(key) for kid, key in lines}
    return [kid for kid, _ in lines]


def test_every_login_gets_a_password_of_the_new_key(place, slugs):
    create_all(place, slugs)
    assert kids(place, slugs) == {"k1"}
    assert "k2" in succeed("key", "rotate", "logins", "--file", place.secret)
    assert read_keys(place) == ["k2", "k1"]
    for slug in slugs.values():
        place.connect(slug, kid="k1").close()
    done = place.run("job", "rotate", "default", "-c", place.config)
    assert done.returncode == 0 and "failed: 0" in done.stdout, done.stdout + done.stderr
    assert kids(place, slugs) == {"k2"}
    for slug in slugs.values():
        place.connect(slug, kid="k2").close()
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            place.connect(slug, kid="k1")
    assert "logins to be given another password: 0" in place.run("job", "rotate", "default", "-c", place.config).stdout


def test_key_that_logins_need_is_not_retired(place, slugs):
    dsn = place.stand.postgres.conninfo(DATABASE)
    place.passwords.replace(("old-" + uuid.uuid4().hex[:6], secrets.token_bytes(32)))
    (old,) = read_keys(place)
    place.create(slugs["schema"])
    assert "new passwords are of this key" in refusal(
        "key", "retire", "logins", old, "--file", place.secret, "--dsn", dsn)
    succeed("key", "rotate", "logins", "--file", place.secret, "--kid", "new")
    assert "1 logins have passwords of this key" in refusal(
        "key", "retire", "logins", old, "--file", place.secret, "--dsn", dsn)
    assert place.run("job", "rotate", "default", "-c", place.config).returncode == 0
    assert "--dsn or CONTROL_DSN" in refusal("key", "retire", "logins", old, "--file", place.secret)
    succeed("key", "retire", "logins", old, "--file", place.secret, CONTROL_DSN=dsn)
    assert read_keys(place) == ["new"]
    place.connect(slugs["schema"]).close()


def test_rotation_is_of_its_cluster_alone(place, slugs):
    """What is due elsewhere, and fails there, is neither carried out nor counted."""
    name = "other-" + uuid.uuid4().hex[:6]
    place.create(slugs["schema"])
    with place.stand.admin() as admin:
        admin.execute("INSERT INTO bulkhead_control.cluster (name) VALUES (%s)", (name,))
    place.must("tenant", "create", slugs["database"], "--strategy", "database", "--cluster", name, "--no-wait")
    succeed("key", "rotate", "logins", "--file", place.secret)
    with place.config.open("a") as config:
        config.write(f"[cluster:{name}]\nhost = 127.0.0.1\nport = {place.stand.postgres.port}\ndatabase = nowhere\n"
                     f"login = bulkhead_pool\nadmin_login = postgres\nadmin_password_file = {place.admin_password}\n")
    (row,) = place.must("job", "rotate", "default", "-c", place.config)
    assert row["done"] >= 1 and row["failed"] == 0
    (job,) = place.jobs(slugs["database"])
    assert (job["state"], job["attempts"]) == ("queued", 0)
    place.purge(slugs["schema"])
    place.must("tenant", "archive", slugs["database"])


def test_no_login_of_a_running_sidecar_fails_meanwhile(place, slugs):
    create_all(place, slugs)
    over, seen, failed = threading.Event(), [], []

    def hop(proxy, slug):
        """New backends all the time: each session's is closed behind it."""
        while not over.is_set():
            try:
                with proxy.connect(slug) as connection:
                    seen.append(connection.execute("SELECT 1").fetchone())
            except psycopg.Error as error:
                failed.append(error)

    with place.stand.proxy(cluster__default={"secret_file": place.secret}, bulkhead={"file_check_period": "200ms"},
                           pool={"server_lifetime": "100ms", "server_idle_timeout": "100ms"}) as proxy:
        threads = [threading.Thread(target=hop, args=(proxy, slug)) for slug in slugs.values()]
        for thread in threads:
            thread.start()
        wait_for(lambda: len(seen) > 20, "some sessions")
        succeed("key", "rotate", "logins", "--file", place.secret)
        wait_for(lambda: any("secret" in event["changed"] for event in proxy.events("serve.reloaded")), "the new key")
        assert place.run("job", "rotate", "default", "-c", place.config).returncode == 0
        count = len(seen)
        wait_for(lambda: len(seen) > count + 50, "some more sessions")
        over.set()
        for thread in threads:
            thread.join()
    assert failed == []


def test_a_rotation_that_is_killed_goes_on(place, slugs):
    create_all(place, slugs)
    succeed("key", "rotate", "logins", "--file", place.secret)
    place.run("job", "rotate", "default", "-c", place.config, JOB_TEST_KILL="password+")
    wait_for(lambda: place.must("job", "run", "-c", place.config) and len(kids(place, slugs)) == 1, "the next runner")
    read_keys(place)
    for slug in slugs.values():
        place.connect(slug).close()


# ---- administrators that are no superusers

@pytest.fixture(params=[15, pytest.param(18, marks=pytest.mark.skipif(
    not PG18_BIN.exists(), reason=f"no PostgreSQL 18 in {PG18_BIN.parent}: make pg18"))])
def plain(request, template):
    """The database belongs to a role that may create roles and databases, and is nothing more."""
    template = template if request.param == 15 else Template(PG18_BIN)
    stand = Stand(template).start()
    with stand.admin() as admin:
        admin.execute("CREATE ROLE plain LOGIN CREATEROLE CREATEDB PASSWORD 'plain'")
        admin.execute(f"ALTER DATABASE {DATABASE} OWNER TO plain; GRANT bulkhead_app TO plain WITH ADMIN OPTION")
        admin.execute("CREATE SCHEMA mould AUTHORIZATION plain; SET ROLE plain; "
                      "CREATE TABLE mould.a (id serial PRIMARY KEY, n integer REFERENCES mould.a); "
                      "CREATE VIEW mould.v AS SELECT * FROM mould.a; "
                      "CREATE FUNCTION mould.f() RETURNS integer LANGUAGE sql RETURN 1; "
                      "CREATE TYPE mould.e AS ENUM ('x')")
    place = Provision(stand)
    password = place.folder / "plain.password"
    password.touch(0o600)
    password.write_text("plain")
    place.set(admin_login="plain", admin_password_file=password, template_schema="mould")
    yield place
    stand.remove()
    if request.param == 18:
        template.remove()


def test_an_administrator_that_is_no_superuser_makes_and_purges_them_all(plain):
    for strategy, more in (("schema", ()), ("database", ()), ("shared", ("--dedicated-login",))):
        plain.create(strategy, *more, strategy=strategy)
    with plain.connect("schema") as connection:
        connection.execute("INSERT INTO a VALUES (1, 1); ALTER TABLE a ADD COLUMN m integer; DROP FUNCTION f()")
    with plain.connect("database") as connection:
        connection.execute("CREATE TABLE a (n integer); DROP TABLE a")
    plain.connect("shared").close()
    for slug in ("schema", "database", "shared"):
        own = plain.own(slug)
        plain.purge(slug)
        assert plain.value("SELECT count(*) FROM pg_roles WHERE rolname = %s", own) == 0
        assert plain.value("SELECT count(*) FROM pg_database WHERE datname = %s", own) == 0


def test_where_tenants_are_known_by_their_logins_the_tenant_s_own_deletes_its_rows(template, tmp_path):
    """guard = login, without a superuser: the administrator sees no tenant's rows, and purges them all the same."""
    postgres = Postgres(template).start()
    try:
        with postgres.connect() as admin:
            admin.execute("CREATE ROLE plain LOGIN CREATEROLE CREATEDB PASSWORD 'plain'")
            admin.execute("CREATE ROLE rows_owner NOLOGIN; GRANT rows_owner TO plain")
            admin.execute("CREATE DATABASE app OWNER plain")
        with postgres.connect("app") as admin:
            admin.execute("ALTER SCHEMA public OWNER TO plain; GRANT CREATE, USAGE ON SCHEMA public TO rows_owner")
        dsn = postgres.conninfo("app", "plain", password="plain", tcp=True)
        succeed("init", "--guard", "login", "--dsn", dsn, "--owner", "rows_owner", "--keys", tmp_path / "keys")
        with psycopg.connect(dsn, autocommit=True) as plain:
            plain.execute("SET ROLE rows_owner")
            plain.execute("CREATE TABLE by_id (tenant_id uuid NOT NULL, n integer, PRIMARY KEY (tenant_id, n)); "
                          "CREATE TABLE by_key (account bigint NOT NULL, n integer, PRIMARY KEY (account, n)); "
                          "SELECT bulkhead.protect('by_id', 'tenant_id'); "
                          "SELECT bulkhead.protect('by_key', 'account', 'key'); "
                          "GRANT SELECT, INSERT, UPDATE, DELETE ON by_id, by_key TO bulkhead_app")
        password = write_secret(tmp_path / "plain.password", "plain")
        where = f"host=127.0.0.1 port={postgres.port} dbname=app user=bulkhead_sidecar"
        config = tmp_path / "bulkhead.ini"
        config.write_text(
            f"[cluster:default]\nhost = 127.0.0.1\nport = {postgres.port}\ndatabase = app\nguard = login\n"
            f"secret_file = {tmp_path}/keys/cluster.secret\nadmin_login = plain\nadmin_password_file = {password}\n"
            f"[guard]\nkey_file = {tmp_path}/keys/guard.key\n"
            f"[control]\ndsn = {where}\npassword_file = {tmp_path}/keys/sidecar.password\n")
        for slug, key in (("gone", 1), ("stays", 2)):
            succeed("tenant", "create", slug, "--key", str(key), "-c", config, CONTROL_DSN=dsn)
        with postgres.connect("app") as admin:
            admin.execute("INSERT INTO by_id SELECT id, n FROM bulkhead_control.tenant, generate_series(1, 6000) AS n")
            admin.execute("INSERT INTO by_key SELECT k, n "
                          "FROM generate_series(1, 2) AS k, generate_series(1, 100) AS n")
        succeed("tenant", "purge", "gone", "--confirm", "gone", "-c", config, CONTROL_DSN=dsn)
        with postgres.connect("app") as admin:
            assert admin.execute("SELECT count(*), count(DISTINCT tenant_id) FROM by_id").fetchone() == (6000, 1)
            assert admin.execute("SELECT count(*), min(account) FROM by_key").fetchone() == (100, 2)
            assert admin.execute("SELECT count(*) FROM pg_roles WHERE rolname ~ '^t_'").fetchone() == (1,)
            assert admin.execute("SELECT count(*) FROM bulkhead.login_key").fetchone() == (1,)
    finally:
        postgres.remove()
