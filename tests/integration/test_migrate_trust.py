"""Migrations and those who would gain by them: tenants' own code, forged marks, copies, keys and settings."""

import json
import os
import re
import subprocess

import pytest
from harness.migrate import ADMIN, MARK, OWNER, TEMPLATE, World, lines
from harness.program import DONE, FAILED, PROGRAM
from harness.stand import DATABASE, Stand
from harness.wait import wait_for

NOTES = "CREATE TABLE notes (id bigint PRIMARY KEY, body text); INSERT INTO orders VALUES (99, 'x')"
ONLY = ("--tenants", "strategy:schema,strategy:database")


@pytest.fixture(scope="module")
def stand(template):
    stand = Stand(template).start()
    yield stand
    stand.remove()


@pytest.fixture(scope="module", name="all_of_it")
def fixture_all_of_it(stand):
    return World(stand, schemas=4, databases=2)


@pytest.fixture
def world(all_of_it):
    all_of_it.reset()
    for tenant in (*all_of_it.schemas, *all_of_it.databases):
        all_of_it.rows(tenant, "DELETE FROM orders WHERE id = 99")
    return all_of_it


MARK_TABLE = f"CREATE TABLE {MARK} (version bigint PRIMARY KEY, name text, checksum text, applied_at timestamptz)"


# ---- what tenants leave in the way ----

# Tries all it can whenever it is called, and notes who it was then and what came of it.
TRAP = """
CREATE TABLE caught (who text, session text, tried text, came text);
CREATE FUNCTION spring(why text) RETURNS text LANGUAGE plpgsql VOLATILE SET search_path FROM CURRENT AS $f$
DECLARE
    attempt text;
BEGIN
    FOREACH attempt IN ARRAY ARRAY[
        'RESET ROLE', 'SET ROLE NONE', 'SET SESSION AUTHORIZATION DEFAULT', 'RESET SESSION AUTHORIZATION',
        'SET SESSION AUTHORIZATION postgres', 'SET ROLE {owner}', 'SET ROLE {admin}', 'SET ROLE bulkhead_guard',
        'SET SESSION AUTHORIZATION {admin}', 'SET ROLE postgres',
        'CREATE TABLE public.loot AS SELECT 1', 'CREATE SCHEMA loot', 'CREATE ROLE loot',
        'INSERT INTO {template}.{mark} VALUES (77, ''x'', ''x'', now())',
        'INSERT INTO public.{mark} VALUES (77, ''x'', ''x'', now())', 'SELECT * FROM {other}.orders'
    ] LOOP
        BEGIN
            EXECUTE attempt;
            INSERT INTO caught VALUES (current_user, session_user, attempt, 'done');
        EXCEPTION WHEN OTHERS THEN
            INSERT INTO caught VALUES (current_user, session_user, attempt, SQLSTATE);
        END;
    END LOOP;
    RETURN why;
END $f$;
CREATE FUNCTION on_row() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS
    'BEGIN PERFORM spring(TG_OP); RETURN NEW; END';
CREATE TRIGGER on_row BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION on_row();
CREATE CONSTRAINT TRIGGER at_end AFTER INSERT ON orders DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION on_row();
CREATE FUNCTION of_index(item text) RETURNS text LANGUAGE plpgsql IMMUTABLE
    SET search_path FROM CURRENT AS 'BEGIN PERFORM spring(''index''); RETURN item; END';
CREATE INDEX by_trap ON orders (of_index(item));
-- Names that the program itself uses.
CREATE FUNCTION clock_timestamp() RETURNS timestamptz LANGUAGE plpgsql AS
    'BEGIN PERFORM spring(''clock''); RETURN pg_catalog.clock_timestamp(); END';
CREATE FUNCTION "left"(text, int) RETURNS text LANGUAGE plpgsql AS 'BEGIN PERFORM spring(''left''); RETURN $1; END';
CREATE TABLE pg_namespace (nspname name, nspowner oid);
"""


@pytest.fixture(name="trapped", params=["s1", "d1"])
def fixture_trapped(world, request):
    tenant = request.param
    with world.connect(tenant) as hostile:
        hostile.execute(TRAP.format(owner=OWNER, admin=ADMIN, template=TEMPLATE, mark=MARK,
                                    other=f'"{world.own.name("s2")}"'))
    yield tenant
    with world.connect(tenant) as hostile:
        schema = world.place(tenant)[1]
        names = ("spring", "on_row", "of_index", "clock_timestamp", "left")
        functions = ", ".join(f'"{schema}"."{name}"' for name in names)
        hostile.execute(f'DROP FUNCTION {functions} CASCADE; DROP TABLE caught, "{schema}".pg_namespace')


def catalog(world):
    """What is outside of tenants."""
    with world.stand.admin() as root:
        roles = root.execute("SELECT array_agg(rolname::text ORDER BY 1) FROM pg_roles").fetchone()
        schemas = root.execute("SELECT array_agg(nspname::text ORDER BY 1) FROM pg_namespace").fetchone()
        tables = root.execute("SELECT array_agg(relname::text ORDER BY 1) FROM pg_class WHERE relnamespace IN "
                              "('public'::regnamespace, %s::regnamespace) AND relname <> ALL (%s)",
                              (TEMPLATE, [MARK, f"{MARK}_pkey", "notes", "notes_pkey", "notes_id_seq"])).fetchone()
    return roles, schemas, tables


def test_a_trap_runs_as_the_tenant_and_gains_nothing(world, trapped):
    before = catalog(world)
    done = world.migrate(*ONLY, world.file(1, "REINDEX TABLE orders; ALTER TABLE orders ADD COLUMN x int; " + NOTES))
    assert done.returncode == DONE, done.stdout
    caught = world.rows(trapped, "SELECT DISTINCT who, session, tried, came FROM caught")
    own = world.own.name(trapped)
    assert caught and {row[0] for row in caught} == {row[1] for row in caught} == {own}
    allowed = {"RESET ROLE", "SET ROLE NONE", "SET SESSION AUTHORIZATION DEFAULT", "RESET SESSION AUTHORIZATION"}
    if trapped in world.databases:
        # It is its own public, in its own database.
        allowed |= {"CREATE TABLE public.loot AS SELECT 1", f"INSERT INTO public.{MARK} VALUES (77, 'x', 'x', now())"}
    assert {row[2] for row in caught if row[3] == "done"} == allowed
    assert catalog(world) == before
    assert world.marks(trapped)[0] == 1
    for tenant in (*world.schemas, *world.databases):
        world.rows(tenant, "DROP TABLE IF EXISTS loot; ALTER TABLE orders DROP COLUMN x")


@pytest.mark.parametrize("planted, state", [
    ("CREATE TABLE {mark} (version text, checksum text)", "failed"),
    ("CREATE VIEW {mark} AS SELECT 1 AS version, 'x' AS checksum, now() AS applied_at, '' AS name", "failed"),
    ("CREATE TABLE {mark} (version bigint, name text, checksum text, applied_at timestamptz)", "failed"),
    ("CREATE TABLE {mark} (version bigint PRIMARY KEY, name text, checksum text, applied_at timestamptz); "
     "INSERT INTO {mark} SELECT n, 'x', repeat('y', 5000), now() FROM generate_series(1000, 13000) n", "done"),
])
def test_a_mark_of_its_own_making_fools_nobody_else(world, planted, state):
    with world.connect("s1") as hostile:
        hostile.execute(planted.format(mark=MARK))
    try:
        done = world.migrate(*ONLY, world.file(1, NOTES))
        assert len(lines(done, "done")) == (6 if state == "done" else 5), done.stdout
        assert world.have("notes") == {*world.schemas, *world.databases} - ({"s1"} if state == "failed" else set())
    finally:
        world.rows("s1", f"DROP {'VIEW' if 'VIEW' in planted else 'TABLE'} {MARK}")


def test_a_forged_mark_spares_itself_alone_and_is_seen(world):
    path = world.file(1, NOTES)
    assert world.migrate("--tenants", "s2", path).returncode == DONE
    ((checksum,),) = world.rows("s2", f"SELECT checksum FROM {MARK}")
    with world.connect("s1") as hostile:
        hostile.execute(MARK_TABLE)
        hostile.execute(f"INSERT INTO {MARK} VALUES (1, 'x', %s, now())", (checksum,))
    assert world.migrate(*ONLY, path).returncode == DONE
    assert world.have("notes") == {*world.schemas, *world.databases} - {"s1"}
    (version,) = json.loads(world.migrate("status", "--json").stdout)
    assert (version["done"], version["found"]) == (6, 1)
    with world.stand.admin() as root:
        found = root.execute("SELECT t.slug FROM bulkhead_control.migration_target m JOIN bulkhead_control.tenant t "
                             "ON t.id = m.tenant_id WHERE m.found").fetchall()
    assert found == [("s1",)]


def test_what_a_tenant_sets_for_itself_is_not_the_files(world):
    own = world.own.name("s1")
    settings = {"search_path": "pg_catalog", "standard_conforming_strings": "off", "statement_timeout": "1ms",
                "default_transaction_read_only": "on", "client_encoding": "LATIN1",
                "idle_in_transaction_session_timeout": "1ms", "lock_timeout": "1ms",
                "default_transaction_isolation": "serializable"}
    with world.connect("s1") as hostile:
        for name, value in settings.items():
            hostile.execute(f"ALTER ROLE \"{own}\" SET {name} = '{value}'")
    try:
        path = world.file(1, r"CREATE TABLE notes (body text); INSERT INTO notes VALUES ('é\')")
        done = world.migrate("--tenants", "s1", path)
        assert done.returncode == DONE, done.stdout
        assert world.rows("s1", "SELECT body FROM notes") == [("é\\",)]
    finally:
        world.rows("s1", f'ALTER ROLE "{own}" RESET ALL')


def test_a_tenant_that_talks_without_end_is_given_up(world):
    with world.connect("s1") as hostile:
        hostile.execute("""CREATE FUNCTION talk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                           PERFORM set_config('statement_timeout', '0', false);
                           LOOP RAISE NOTICE '%', repeat('x', 10000); END LOOP; END $$;
                           CREATE TRIGGER talk BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION talk()""")
    try:
        done = world.migrate(*ONLY, "--target-timeout", "2s", "--statement-timeout", "0", world.file(1, NOTES))
        assert lines(done, "failed") == ["failed   schema of s1: version 1: 57014 it took too long"]
        assert len(lines(done, "done")) == 5
    finally:
        world.rows("s1", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                         "WHERE application_name = 'bulkhead migrate'")
        world.rows("s1", "DROP FUNCTION talk CASCADE")


# ---- shared tables and templates: nobody but the owner says what is there ----

def test_a_mark_that_others_may_write_is_made_the_owners_alone(world):
    default = f"ALTER DEFAULT PRIVILEGES FOR ROLE {OWNER} IN SCHEMA public"
    with world.stand.admin() as root:
        root.execute(f"{default} GRANT ALL ON TABLES TO bulkhead_app, PUBLIC")
    try:
        assert world.migrate(world.file(1, "CREATE TABLE notes (id int)")).returncode == DONE
        for privilege in ("SELECT", "INSERT", "UPDATE", "DELETE"):
            held = world.rows("shared", f"SELECT has_table_privilege('bulkhead_pool', '{MARK}', '{privilege}')")
            assert held == [(False,)]
    finally:
        with world.stand.admin() as root:
            root.execute(f"{default} REVOKE ALL ON TABLES FROM bulkhead_app, PUBLIC")


def test_a_mark_of_somebody_elses_is_not_believed(world):
    with world.stand.admin() as root:
        root.execute(MARK_TABLE)
        root.execute(f"GRANT ALL ON {MARK} TO PUBLIC")
    done = world.migrate(world.file(1, "CREATE TABLE notes (id int)"))
    assert done.returncode == FAILED
    assert lines(done, "failed") == [
        "failed   shared tables of default: version 1: 42501 table bulkhead_migration is not the owner's alone, so "
        "what it says is not believed"]
    assert "shared" not in world.have("notes")


def test_the_mark_is_no_finding(world):
    assert world.migrate(world.file(1, "CREATE TABLE notes (id int)")).returncode == DONE
    done = subprocess.run([PROGRAM, "lint", "--dsn", world.stand.postgres.conninfo(DATABASE)], text=True,
                          capture_output=True, check=False)
    # What tenants' logins own of their own is another matter.
    assert [line for line in done.stdout.splitlines() if MARK in line and not re.search("t_[0-9a-f]{32}", line)] == []


def test_an_owner_whom_the_administrator_may_not_be(world):
    world.configure(table_owner="bulkhead_guard")
    done = world.migrate(world.file(1, "CREATE TABLE notes (id int)"))
    assert lines(done, "failed") == [
        'failed   shared tables of default: version 1: 42501 permission denied to set role "bulkhead_guard"']
    assert "shared" not in world.have("notes")


# ---- provisioning ----

def create(world, slug, strategy):
    return subprocess.Popen([PROGRAM, "tenant", "create", slug, "--strategy", strategy, "-c", world.config],
                            env=world.environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def adopt(world, slug, kind):
    with world.stand.admin() as root:
        row = root.execute("SELECT id::text FROM bulkhead_control.tenant WHERE slug = %s", (slug,)).fetchone()
    world.stand.ids[slug] = row[0]
    getattr(world, kind + "s").append(slug)


@pytest.fixture(name="purged")
def fixture_purged(world):
    yield
    for kind in ("schema", "database"):
        for slug in [slug for slug in getattr(world, kind + "s") if slug.startswith("new")]:
            getattr(world, kind + "s").remove(slug)
            subprocess.run([PROGRAM, "tenant", "purge", slug, "--confirm", slug, "-c", world.config],
                           env=world.environment, check=True, capture_output=True)


@pytest.mark.parametrize("kind", ["schema", "database"])
def test_who_is_made_later_is_born_with_it(world, purged, kind):
    world.configure(admin_login="postgres", admin_password_file=super_password(world))
    first = world.file(1, "CREATE TABLE notes (id int)")
    assert world.migrate(first).returncode == DONE
    making = create(world, f"new-{kind}", kind + "_per_tenant")
    out, err = making.communicate(timeout=60)
    assert making.returncode == DONE, out + err
    adopt(world, f"new-{kind}", kind)
    assert world.marks(f"new-{kind}") == [1] and f"new-{kind}" in world.have("notes")
    done = world.migrate(first, world.file(2, "ALTER TABLE notes ADD COLUMN more int"))
    assert done.returncode == DONE, done.stdout
    assert world.marks(f"new-{kind}") == [1, 2]


def super_password(world):
    path = world.stand.folder / "super.password"
    path.touch(0o600)
    path.write_text(world.stand.postgres.password)
    return path


def test_a_copy_waits_for_the_migration_of_its_template(world, purged):
    world.configure(admin_login="postgres", admin_password_file=super_password(world))
    assert world.migrate(world.file(1, "CREATE TABLE notes (id int); CREATE TABLE more ()")).returncode == DONE
    held = "ALTER TABLE notes ADD COLUMN body text; ALTER TABLE more ADD COLUMN x int"
    with world.stand.admin() as other:
        other.execute(f"BEGIN; LOCK TABLE {TEMPLATE}.more IN ACCESS SHARE MODE")
        with world.begun("--lock-timeout", "60s", world.file(2, held)) as process:
            wait_for(lambda: world.ledger(2).get("template_schema") == "running", "the migration of the template")
            making = create(world, "new-one", "schema_per_tenant")
            wait_for(lambda: waits(world), "the copy to wait")
            other.execute("ROLLBACK")
            out = making.communicate(timeout=60)
            assert making.returncode == DONE, out
            assert process.wait(60) == DONE
    adopt(world, "new-one", "schema")
    assert world.marks("new-one") == [1, 2]
    assert world.rows("new-one", "SELECT id, body FROM notes") == []


def waits(world):
    with world.stand.admin() as root:
        return root.execute("SELECT count(*) > 0 FROM pg_locks WHERE NOT granted AND mode = 'ShareLock' "
                            "AND relation = %s::regclass", (f"{TEMPLATE}.{MARK}",)).fetchone()[0]


# ---- logins ----

def test_a_password_of_another_key_is_found(world):
    world.own.add_key("k2")
    try:
        world.own.set_password("s1", "k2")  # which the control schema has not heard of
        assert world.migrate(*ONLY, world.file(1, NOTES)).returncode == DONE
    finally:
        world.own.set_password("s1", "k1")
        world.own.drop_key("k2")


def test_a_login_that_is_refused(world):
    with world.stand.admin() as root:
        root.execute(f"ALTER ROLE \"{world.own.name('s1')}\" PASSWORD 'another'")
    try:
        done = world.migrate(*ONLY, world.file(1, NOTES))
        (line,) = lines(done, "failed")
        assert "schema of s1: version 1: 08001" in line and "password authentication failed" in line
        assert len(lines(done, "done")) == 5
    finally:
        world.own.set_password("s1", "k1")


def test_the_password_is_nowhere_to_be_read(world):
    done = world.migrate(*ONLY, "--json", world.file(1, NOTES))
    for tenant in world.schemas:
        assert world.own.password(tenant) not in done.stdout + done.stderr + world.stand.postgres.log_text()


def test_a_database_that_the_operator_made(world):
    stand = world.stand
    with stand.admin("postgres") as root:
        root.execute("CREATE ROLE own_login LOGIN PASSWORD 'own'")
        root.execute("CREATE DATABASE own_db OWNER own_login")
    with stand.admin() as root:
        root.execute("INSERT INTO bulkhead_control.cluster (name) VALUES ('own')")
    try:
        with stand.admin() as root:
            root.execute("INSERT INTO bulkhead_control.tenant (id, slug, name, cluster, strategy) "
                         "VALUES (gen_random_uuid(), 'owner', 'owner', 'own', 'DATABASE_PER_TENANT')")
        password = stand.folder / "own.password"
        password.touch(0o600)
        password.write_text("own")
        path = world.file(1, "CREATE TABLE notes AS SELECT session_user::text AS who")
        done = world.migrate("--tenants", "cluster:own", path)
        assert "the settings have no section for its cluster" in done.stdout
        for tenant, state in (("lodger", FAILED), ("owner", DONE)):
            with world.config.open("a") as config:
                config.write(f"[cluster:own]\nhost = {stand.postgres.host}\nport = {stand.postgres.port}\n"
                             f"database = own_db\nlogin = own_login\npassword_file = {password}\ntenant = {tenant}\n")
            done = world.migrate("--tenants", "owner", path)
            assert done.returncode == state, done.stdout + done.stderr
            world.configure()
        with stand.admin("own_db") as root:
            assert root.execute("SELECT who FROM notes").fetchall() == [("own_login",)]
    finally:
        with stand.admin() as root:
            root.execute("DELETE FROM bulkhead_control.tenant WHERE slug = 'owner'")
            root.execute("DELETE FROM bulkhead_control.cluster WHERE name = 'own'")
            root.execute("DROP DATABASE own_db WITH (FORCE)")
            root.execute("DROP ROLE own_login")


# ---- the control schema ----

def test_a_member_of_bulkhead_admin_is_enough(world):
    with world.stand.admin() as root:
        root.execute("CREATE ROLE deployer LOGIN IN ROLE bulkhead_admin")
    try:
        environment = {**os.environ, "CONTROL_DSN": world.stand.postgres.conninfo(DATABASE, "deployer")}
        done = subprocess.run(world.command("--json", world.file(1, NOTES), *ONLY), env=environment, text=True,
                              capture_output=True, check=False)
        assert done.returncode == DONE, done.stderr
        assert {target["state"] for target in json.loads(done.stdout)} == {"done"}
    finally:
        with world.stand.admin() as root:
            root.execute("DROP ROLE deployer")
