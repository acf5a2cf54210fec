"""Tenants with a schema, a database or a login of their own: made, tried, and what happens when that is disturbed."""

import difflib
import re
import subprocess
import time
import uuid
from pathlib import Path

import psycopg
import pytest

from harness.guard import refused
from harness.postgres import PG_BIN
from harness.provision import KILLED, Provision
from harness.stand import DATABASE, Stand
from harness.wait import wait_for

TEMPLATE = Path(__file__).parent / "template_schema.sql"
STRATEGIES = {"schema": (), "database": (), "shared": ("--dedicated-login",)}
STEPS = {"schema": ["role", "schema", "probe"], "database": ["role", "database", "furnish", "probe"],
         "shared": ["role", "key", "probe"]}
PURGE_STEPS = ["close", "rows", "database", "role"]


@pytest.fixture(scope="module")
def stand(template):
    """A server of its own: roles and databases belong to all of it."""
    stand = Stand(template).start()
    yield stand
    stand.remove()


@pytest.fixture(scope="module")
def place(stand):
    return Provision(stand)


@pytest.fixture
def templates(place):
    """Settings of templates end with the test."""
    yield place
    place.set(template_schema=None, template_database=None, shared_schemas=None)


@pytest.fixture
def slug(request):
    return re.sub("[^a-z0-9_-]", "-", request.node.name.lower())[5:50] + uuid.uuid4().hex[:6]


def use(connection):
    """What an application does: makes, writes and reads."""
    connection.execute("CREATE TABLE things (id serial PRIMARY KEY, name text)")
    connection.execute("INSERT INTO things (name) VALUES ('one'), ('two')")
    assert connection.execute("SELECT count(*) FROM things").fetchone() == (2,)
    connection.execute("DROP TABLE things")


# ---- each strategy

def test_schema_is_the_tenants(place, slug):
    place.create(slug)
    with place.connect(slug) as connection:
        assert connection.execute("SELECT session_user, current_schema()").fetchone() == (place.own(slug),) * 2
        use(connection)
    (job,) = place.jobs(slug)
    assert (job["kind"], job["state"], job["attempts"], job["error"]) == ("provision", "done", 1, None)


def test_database_is_the_tenants_but_not_to_give_away(place, slug):
    place.create(slug, strategy="database")
    own = place.own(slug)
    with place.connect(slug) as connection:
        assert connection.execute("SELECT current_database(), current_schema()").fetchone() == (own, "public")
        use(connection)
        with refused("42501"):
            connection.execute(f"ALTER DATABASE {own} RENAME TO mine")
        # Who is not the database's owner gets a warning for it.
        connection.execute(f"GRANT CONNECT ON DATABASE {own} TO PUBLIC")
    assert not place.value("SELECT has_database_privilege('bulkhead_pool', %s, 'CONNECT')", own)


def test_dedicated_login_is_a_member_of_the_application_alone(place, slug):
    place.create(slug, "--dedicated-login", "--key", f"{slug} key", strategy="shared")
    groups = place.value("SELECT array_agg(roleid::regrole::text) FROM pg_auth_members WHERE member = %s::regrole",
                         place.own(slug))
    assert groups == ["bulkhead_app"]
    place.connect(slug).close()


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_login_has_no_attributes(place, slug, strategy):
    place.create(slug, *STRATEGIES[strategy], strategy=strategy)
    row = place.value("SELECT (rolsuper, rolinherit, rolcreaterole, rolcreatedb, rolcanlogin, rolreplication, "
                      "rolbypassrls)::text FROM pg_authid WHERE rolname = %s AND rolpassword LIKE 'SCRAM-SHA-256$%%'",
                      place.own(slug))
    assert row == "(f,t,f,f,t,f,f)"


def test_shared_tenant_without_a_login_is_active_at_once(place, slug):
    (row,) = place.must("tenant", "create", slug, "-c", place.config)
    assert row["status"] == "active" and place.jobs(slug) == []


def test_tenant_whose_database_is_there_is_active_at_once(place, slug):
    (row,) = place.must("tenant", "create", slug, "--strategy", "database", "--no-provision")
    assert row["status"] == "active" and place.jobs(slug) == []


def test_strangers_stay_outside(place, slug):
    place.create(slug + "a")
    place.create(slug + "b")
    place.create(slug + "c", strategy="database")
    with place.connect(slug + "a") as connection, refused("42501"):
        connection.execute(f"CREATE TABLE {place.own(slug + 'b')}.x ()")
    with place.connect(slug + "a") as connection, refused("42501"):
        connection.execute("SELECT FROM public.orders")
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        place.connect(slug + "a", dbname=place.own(slug + "c"))


def test_password_is_in_no_log(place, slug):
    with place.stand.admin() as admin:
        admin.execute("ALTER SYSTEM SET log_statement = 'all'")
        admin.execute("SELECT pg_reload_conf()")
    try:
        time.sleep(0.2)
        place.create(slug)
    finally:
        with place.stand.admin() as admin:
            admin.execute("ALTER SYSTEM RESET log_statement")
            admin.execute("SELECT pg_reload_conf()")
    log = place.stand.postgres.log_text()
    assert place.password(slug) not in log
    verifier = place.value("SELECT rolpassword FROM pg_authid WHERE rolname = %s", place.own(slug))
    assert verifier not in log


# ---- templates

def dump(stand, schema, name):
    """What pg_dump says of a schema, with `name` for the schema's own and nothing that differs by itself."""
    done = subprocess.run([PG_BIN / "pg_dump", "-s", "-d", stand.postgres.conninfo(DATABASE), "-n", schema],
                          text=True, capture_output=True, check=True)
    lines = re.sub(r"OWNER TO \w+", "OWNER TO x", done.stdout.replace(schema, name).replace("'Tem plate'", f"'{name}'"))
    return sorted(line.strip() for line in lines.splitlines() if line and not line.startswith(("--", "\\")))


@pytest.fixture(scope="module")
def template_of_all(stand):
    with stand.admin() as admin:
        admin.execute("CREATE ROLE template_reader NOLOGIN")
    stand.postgres.database(DATABASE).psql("-f", TEMPLATE)
    return "Tem plate"


def test_copy_is_what_the_template_is(templates, template_of_all, slug):
    templates.set(template_schema=template_of_all)
    templates.create(slug)
    own = templates.own(slug)
    one, other = dump(templates.stand, '"Tem plate"', own), dump(templates.stand, own, own)
    assert len(one) > 300
    assert list(difflib.unified_diff(one, [line.replace(f'"{own}"', own) for line in other], lineterm="", n=0)) == []


def test_everything_in_the_copy_is_the_tenants(templates, template_of_all, slug):
    templates.set(template_schema=template_of_all)
    templates.create(slug)
    own = templates.own(slug)
    others = templates.value("""
        SELECT array_agg(pg_describe_object(classid, objid, 0)) FROM (
            SELECT 'pg_class'::regclass, oid, relowner FROM pg_class WHERE relnamespace = %(own)s::regnamespace
            UNION ALL SELECT 'pg_proc'::regclass, oid, proowner FROM pg_proc WHERE pronamespace = %(own)s::regnamespace
            UNION ALL SELECT 'pg_type'::regclass, oid, typowner FROM pg_type WHERE typnamespace = %(own)s::regnamespace
            UNION ALL SELECT 'pg_collation'::regclass, oid, collowner FROM pg_collation
                       WHERE collnamespace = %(own)s::regnamespace
        ) AS o (classid, objid, owner) WHERE owner <> %(own)s::regrole""".replace("%(own)s", f"'{own}'"))
    assert others is None


def test_copy_works_and_has_the_rows_that_all_begin_with(templates, template_of_all, slug):
    templates.set(template_schema=template_of_all)
    templates.create(slug)
    with templates.connect(slug) as connection:
        assert connection.execute('SELECT id, parent, label, n FROM "group" ORDER BY id').fetchall() == [
            (1, 2, "one", 2), (2, None, "two", 3)]
        (row,) = connection.execute('INSERT INTO "group" VALUES (3, 1, \'three\') RETURNING counted').fetchall()
        assert row == (3,)
        assert connection.execute("SELECT count(*) FROM customers").fetchone() == (0,)
        connection.execute("INSERT INTO customers (short) VALUES ('ABC')")
        connection.execute("INSERT INTO orders (customer, \"from\") VALUES (100, '2025-01-01')")
        assert connection.execute('SELECT name, short FROM "open"').fetchall() == []
        assert connection.execute("SELECT orders FROM per_customer").fetchall() == [(1,)]
        assert connection.execute("SELECT count(*) FROM orders_of((SELECT c FROM customers AS c))").fetchone() == (1,)
        connection.execute("INSERT INTO events VALUES ('2025-05-05', 1, 'x'), ('2030-05-05', 2, 'y')")
        connection.execute("CALL clean(0)")
    with templates.stand.admin() as admin:
        assert admin.execute('SELECT count(*) FROM "Tem plate".customers').fetchone() == (0,)


UNFIT = {
    "aggregate": ("CREATE AGGREGATE bad.total (integer) (sfunc = int4pl, stype = integer)", "aggregates are not"),
    "operator": ("CREATE OPERATOR bad.=== (leftarg = integer, rightarg = integer, function = int4eq)", "operators"),
    "range": ("CREATE TYPE bad.floats AS RANGE (subtype = float8)", "range and base types"),
    "extension": ("CREATE EXTENSION citext SCHEMA bad", "an extension is there once in a database"),
    "defaults": ("ALTER DEFAULT PRIVILEGES IN SCHEMA bad GRANT SELECT ON TABLES TO bulkhead_app", "default privileges"),
    "text": ("CREATE FUNCTION bad.f() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM bad.t'",
             'names its schema in its text; leave "bad." out'),
    "elsewhere": ("CREATE TABLE bad.u (x integer REFERENCES public.parts)", "that shared_schemas does not name"),
    "shadow": ("CREATE TABLE bad.pg_class (a integer); CREATE VIEW bad.v AS SELECT * FROM bad.pg_class",
               "still depends on template"),
}


@pytest.mark.parametrize("what", UNFIT)
def test_template_that_cannot_be_copied_is_refused_by_name(templates, slug, what):
    statement, words = UNFIT[what]
    with templates.stand.admin() as admin:
        admin.execute("CREATE TABLE IF NOT EXISTS public.parts (id integer PRIMARY KEY)")
        admin.execute("CREATE SCHEMA bad; CREATE TABLE bad.t (a integer)")
        admin.execute("SET check_function_bodies = off")
        admin.execute(statement)
    try:
        templates.set(template_schema="bad")
        done = templates.run("tenant", "create", slug, "--strategy", "schema", "-c", templates.config)
        assert done.returncode == 1 and words in done.stderr, done.stderr
        assert templates.status(slug) == "provisioning"
        assert templates.value("SELECT to_regnamespace(%s)", templates.own(slug)) is None
    finally:
        with templates.stand.admin() as admin:
            admin.execute("DROP SCHEMA bad CASCADE")


def test_job_that_failed_is_retried_with_the_template_as_it_is_then(templates, slug):
    templates.set(template_schema="missing")
    assert templates.run("tenant", "create", slug, "--strategy", "schema", "-c", templates.config).returncode == 1
    (job,) = templates.jobs(slug)
    assert job["state"] == "failed" and 'there is no schema "missing"' in job["error"]
    with templates.stand.admin() as admin:
        admin.execute("CREATE SCHEMA missing; CREATE TABLE missing.here (a integer)")
    try:
        (job,) = templates.must("job", "retry", job["id"], "-c", templates.config)
        assert job["state"] == "done" and templates.status(slug) == "active"
        with templates.connect(slug) as connection:
            connection.execute("INSERT INTO here VALUES (1)")
    finally:
        with templates.stand.admin() as admin:
            admin.execute("DROP SCHEMA missing CASCADE")


def test_database_is_a_copy_with_all_in_it_the_tenants(templates, slug):
    with templates.stand.admin("postgres") as admin:
        admin.execute("CREATE DATABASE mould")
    with templates.stand.admin("mould") as admin:
        admin.execute("CREATE EXTENSION citext; CREATE SCHEMA more")
        admin.execute("CREATE TABLE things (id serial PRIMARY KEY, n citext); INSERT INTO things (n) VALUES ('A')")
        admin.execute("CREATE TYPE more.kind AS ENUM ('a'); CREATE VIEW more.v AS SELECT * FROM things")
        admin.execute("CREATE FUNCTION f() RETURNS integer LANGUAGE sql SECURITY DEFINER RETURN 1")
    templates.set(template_database="mould")
    try:
        templates.create(slug, strategy="database")
        with templates.connect(slug) as connection:
            assert connection.execute("SELECT n FROM more.v WHERE n = 'a'").fetchone() == ("A",)
            connection.execute("ALTER TABLE things ADD COLUMN x integer; DROP FUNCTION f(); DROP SCHEMA more CASCADE")
            with refused("42501"):
                connection.execute("DROP EXTENSION citext")
    finally:
        templates.set(template_database=None)
        with templates.stand.admin("postgres") as admin:
            admin.execute("DROP DATABASE mould")


def test_shared_schemas_are_open_to_tenants_with_a_schema(templates, slug):
    with templates.stand.admin() as admin:
        admin.execute("CREATE SCHEMA common; CREATE TABLE common.countries (code text PRIMARY KEY)")
        admin.execute("CREATE SCHEMA mould; CREATE TABLE mould.a (country text REFERENCES common.countries)")
    templates.set(shared_schemas="common", template_schema="mould")
    try:
        templates.create(slug)
        with templates.stand.admin() as admin:
            admin.execute("GRANT SELECT ON common.countries TO bulkhead_tenants")
        with templates.connect(slug) as connection:
            assert connection.execute("SELECT * FROM common.countries").fetchall() == []
            with refused("42501"):
                connection.execute("INSERT INTO common.countries VALUES ('x')")
    finally:
        templates.purge(slug)
        with templates.stand.admin() as admin:
            admin.execute("DROP SCHEMA mould, common CASCADE")


# ---- what is wrong is said, and nothing is active

def create_in_vain(place, slug, strategy="schema"):
    done = place.run("tenant", "create", slug, "--strategy", strategy, "-c", place.config)
    assert done.returncode == 1 and place.status(slug) == "provisioning"
    return done.stderr


def test_schema_that_everybody_may_use_is_in_the_way(place, slug):
    with place.stand.admin() as admin:
        admin.execute("CREATE SCHEMA ajar; GRANT USAGE ON SCHEMA ajar TO PUBLIC")
    try:
        assert 'schema "ajar" is open to everybody' in create_in_vain(place, slug)
    finally:
        with place.stand.admin() as admin:
            admin.execute("DROP SCHEMA ajar")


def test_database_of_another_that_is_open_fails_the_probe(place, slug):
    place.create(slug + "a", strategy="database")
    with place.stand.admin() as admin:
        admin.execute(f"GRANT CONNECT ON DATABASE {place.own(slug + 'a')} TO PUBLIC")
    try:
        assert "the probe failed" in create_in_vain(place, slug + "b")
        assert "may connect to database" in create_in_vain(place, slug + "c", "database")
    finally:
        with place.stand.admin() as admin:
            admin.execute(f"REVOKE CONNECT ON DATABASE {place.own(slug + 'a')} FROM PUBLIC")


def test_tenant_that_opens_its_schema_is_in_nobodys_way(place, slug):
    place.create(slug + "a")
    with place.connect(slug + "a") as connection:
        connection.execute(f"GRANT ALL ON SCHEMA {place.own(slug + 'a')} TO PUBLIC")
    place.create(slug + "b")
    place.purge(slug + "a")


def test_tenant_below_one_that_is_not_active_stays_inactive(place, slug):
    place.must("tenant", "create", slug)
    place.must("tenant", "create", slug + "b", "--parent", slug, "--strategy", "schema", "--no-wait")
    place.must("tenant", "suspend", slug)
    assert "job" in place.run("job", "run", "-c", place.config).stderr
    assert f"cannot be active: {slug} above it is suspended" in place.jobs(slug + "b")[0]["error"]
    place.must("tenant", "resume", slug)
    place.must("job", "retry", place.jobs(slug + "b")[0]["id"], "-c", place.config)
    assert place.status(slug + "b") == "active"


def test_copy_waits_for_a_migration_of_the_template(templates, slug):
    """Half of one is never copied: neither its table without its mark, nor the mark without the table."""
    with templates.stand.admin() as admin:
        admin.execute("CREATE SCHEMA mould; CREATE TABLE mould.bulkhead_migration (version bigint); "
                      "CREATE TABLE mould.a (n int)")
    templates.set(template_schema="mould")
    try:
        with templates.stand.admin(autocommit=False) as migration:
            migration.execute("CREATE TABLE mould.b (n int); INSERT INTO mould.bulkhead_migration VALUES (1)")
            creator = templates.start("tenant", "create", slug, "--strategy", "schema", "-c", templates.config)
            time.sleep(1)
            assert creator.poll() is None
            migration.commit()
        creator.communicate(timeout=60)
        with templates.connect(slug) as connection:
            assert connection.execute("SELECT version FROM bulkhead_migration, b RIGHT JOIN a ON true").fetchall() == []
            assert connection.execute("SELECT version FROM bulkhead_migration").fetchall() == [(1,)]
    finally:
        with templates.stand.admin() as admin:
            admin.execute("DROP SCHEMA mould CASCADE")


def test_role_of_somebody_elses_making_is_left_alone(place, slug):
    tenant = uuid.uuid4()
    with place.stand.admin() as admin:
        admin.execute(f"CREATE ROLE t_{tenant.hex} SUPERUSER")
    done = place.run("tenant", "create", slug, "--strategy", "schema", "--id", tenant, "-c", place.config)
    assert "was not made for this tenant" in done.stderr and place.status(slug) == "provisioning"
    with place.stand.admin() as admin:
        admin.execute(f"DROP ROLE t_{tenant.hex}")


def let_in(proxy, slug):
    """A session, as soon as the sidecar has heard that the tenant is active."""
    def attempt():
        try:
            return proxy.connect(slug)
        except psycopg.OperationalError as error:
            assert "BH-ID-INACTIVE" in str(error)
            return None

    return wait_for(attempt, "the news")


def test_tenant_that_is_not_ready_is_not_let_in(place, slug):
    place.must("tenant", "create", slug, "--strategy", "schema", "--no-wait", "-c", place.config)
    with place.stand.proxy(cluster__default={"secret_file": place.secret}) as proxy:
        with pytest.raises(psycopg.OperationalError, match="BH-ID-INACTIVE"):
            proxy.connect(slug)
        place.must("job", "run", "-c", place.config)
        with let_in(proxy, slug) as connection:
            assert connection.execute("SELECT current_schema()").fetchone() == (place.own(slug),)
            use(connection)


# ---- disturbed

@pytest.mark.parametrize("strategy, step", [
    pytest.param(s, step + more, marks=pytest.mark.longer if s != "schema" else ())
    for s, steps in STEPS.items() for step in steps for more in ("", "+")])
def test_runner_killed_at_any_step_is_followed_by_another(place, slug, strategy, step):
    done = place.run("tenant", "create", slug, "--strategy", strategy, *STRATEGIES[strategy], "-c", place.config,
                     JOB_TEST_KILL=step)
    assert done.returncode == KILLED and place.status(slug) == "provisioning"
    wait_for(lambda: place.must("job", "run", "-c", place.config) and place.status(slug) == "active", "the next runner")
    (job,) = place.jobs(slug)
    assert (job["state"], job["attempts"]) == ("done", 2)
    with place.connect(slug) as connection:
        if strategy != "shared":
            use(connection)


@pytest.mark.parametrize("strategy, step", [
    pytest.param(s, step + more, marks=pytest.mark.longer if s != "schema" else ())
    for s in STRATEGIES for step in PURGE_STEPS for more in ("", "+")])
def test_purge_killed_at_any_step_is_finished_by_another(place, slug, strategy, step):
    place.create(slug, *STRATEGIES[strategy], strategy=strategy)
    done = place.run("tenant", "purge", slug, "--confirm", slug, "-c", place.config, JOB_TEST_KILL=step)
    assert done.returncode == KILLED and place.status(slug) == "purging"
    wait_for(lambda: place.must("job", "run", "-c", place.config) and place.status(slug) is None, "the next runner")
    own = place.own(slug)
    assert place.value("SELECT count(*) FROM pg_roles WHERE rolname = %s", own) == 0
    assert place.value("SELECT count(*) FROM pg_database WHERE datname = %s", own) == 0
    assert place.value("SELECT to_regnamespace(%s)", own) is None


@pytest.mark.parametrize("strategy", [
    pytest.param(strategy, marks=() if strategy == "schema" else pytest.mark.longer) for strategy in STRATEGIES])
def test_runners_killed_at_random_are_followed_by_others(place, slug, strategy):
    place.must("tenant", "create", slug, "--strategy", strategy, *STRATEGIES[strategy], "--no-wait")
    for n in range(6):
        runner = place.start("job", "run", "-c", place.config)
        time.sleep(0.01 + 0.025 * n)
        runner.kill()
        runner.communicate()
        time.sleep(1)  # the lease
    wait_for(lambda: place.must("job", "run", "-c", place.config) and place.status(slug) == "active", "the last runner")
    place.connect(slug).close()
    place.purge(slug)
    assert place.value("SELECT count(*) FROM pg_roles WHERE rolname = %s", place.own(slug)) == 0
    assert place.value("SELECT count(*) FROM pg_database WHERE datname = %s", place.own(slug)) == 0


def test_two_creators_of_one_slug_get_one_tenant_and_one_conflict(place, slug):
    creators = [place.start("tenant", "create", slug, "--strategy", "schema", "-c", place.config) for _ in range(4)]
    ends = [creator.communicate(timeout=60) + (creator.returncode,) for creator in creators]
    assert sorted(code for _, _, code in ends) == [0, 1, 1, 1], ends
    assert all("this slug is taken" in err or "another tenant has this slug" in err for _, err, code in ends if code)
    assert place.status(slug) == "active" and len(place.jobs(slug)) == 1
    assert place.value("SELECT count(*) FROM pg_roles WHERE rolname = %s", place.own(slug)) == 1


def test_runners_share_the_jobs_and_none_is_done_twice(place, slug):
    names = [f"{slug}{n}" for n in range(8)]
    for name in names:
        place.must("tenant", "create", name, "--strategy", "schema", "--no-wait")
    runners = [place.start("job", "run", "-c", place.config) for _ in range(3)]
    for runner in runners:
        runner.communicate(timeout=120)
    wait_for(lambda: place.must("job", "run", "-c", place.config) and
             all(place.status(name) == "active" for name in names), "all of them")
    assert all(len(place.jobs(name)) == 1 for name in names)


def test_purge_while_it_is_being_made(place, slug):
    """Wherever a purge cuts in, nothing is left in the end."""
    for n in range(6):
        name = f"{slug}{n}"
        creator = place.start("tenant", "create", name, "--strategy", "database", "-c", place.config)
        wait_for(lambda: place.status(name), "its row")  # pylint: disable=cell-var-from-loop
        time.sleep(n * 0.05)
        own = place.own(name)
        place.purge(name)
        creator.communicate(timeout=60)
        assert place.status(name) is None
        assert place.value("SELECT count(*) FROM pg_database WHERE datname = %s", own) == 0
        assert place.value("SELECT count(*) FROM pg_roles WHERE rolname = %s", own) == 0


def test_serve_carries_out_jobs(place, slug):
    dsn = f"host=127.0.0.1 port={place.stand.postgres.port} dbname={DATABASE} user=postgres"
    cluster = {"secret_file": place.secret, "admin_login": "postgres", "admin_password_file": place.admin_password}
    control = {"admin_dsn": dsn, "admin_password_file": place.admin_password}
    with place.stand.proxy(cluster__default=cluster, control=control) as proxy:
        place.must("tenant", "create", slug, "--strategy", "schema")
        wait_for(lambda: place.status(slug) == "active", "serve's thread")
        with let_in(proxy, slug) as connection:
            use(connection)
            place.must("tenant", "purge", slug, "--confirm", slug)
            wait_for(lambda: place.status(slug) is None, "serve's thread")
            with pytest.raises(psycopg.Error):
                connection.execute("SELECT 1")
        assert proxy.events("job.ended")[0]["outcome"] == "done"


# ---- names

def test_names_at_their_longest_and_oddest(place):
    longest = "l" + "-_9" * 20 + "zz"
    assert len(longest) == 63
    place.create(longest, "--key", "🦆'\";--" + "k" * 245, "--dedicated-login", strategy="shared")
    place.create("select", "--name", "'; DROP ROLE postgres; --")
    place.create("user", strategy="database")
    with place.connect("select") as connection:
        use(connection)
    for slug in (longest, "select", "user"):
        place.purge(slug)


def test_slug_may_be_used_again_and_leads_elsewhere(place, slug):
    place.create(slug)
    with place.connect(slug) as connection:
        connection.execute("CREATE TABLE mine (a integer)")
    old = place.own(slug)
    place.must("tenant", "set", slug, "--slug", slug + "2")
    del place.ids[slug]
    place.create(slug)
    assert place.own(slug) != old
    with place.connect(slug) as connection, refused("42P01"):
        connection.execute("SELECT * FROM mine")
