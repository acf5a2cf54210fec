"""Jobs beside tenants that have prepared for them: what is theirs is not run, and does not hold up what is another's."""

import secrets
import uuid

import psycopg
import pytest

from harness.provision import Provision
from harness.stand import DATABASE, Stand


@pytest.fixture(scope="module")
def stand(template):
    stand = Stand(template, settings={"max_locks_per_transaction": "10"}).start()
    yield stand
    stand.remove()


@pytest.fixture(scope="module")
def place(stand):
    return Provision(stand)


def pool(place):
    """The pool's login, which all tenants of the shared tables speak with."""
    password = (place.stand.keys / "pool.password").read_text().strip()
    return place.stand.postgres.connect(DATABASE, "bulkhead_pool", password, tcp=True)


TEMPORARY_TRAP = (
    "CREATE FUNCTION pg_temp.trap() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
    "EXECUTE 'ALTER ROLE bulkhead_pool CREATEDB'; RETURN NULL; END $$",
    "CREATE TEMPORARY TABLE bait (id bigint, tenant_id uuid)",
    "ALTER TABLE bait ENABLE ROW LEVEL SECURITY",
    "CREATE POLICY bulkhead_tenant ON bait USING (tenant_id = bulkhead.tenant_id())",
    "GRANT ALL ON bait TO PUBLIC",
    "CREATE TRIGGER trap BEFORE DELETE ON bait FOR EACH STATEMENT EXECUTE FUNCTION pg_temp.trap()")


def test_no_temporary_table_is_cleared(place):
    """One with a policy of the guard's name looks like a shared table, and its trigger would run as the administrator."""
    place.create("gone-temporary")
    with pool(place) as spy:
        for text in TEMPORARY_TRAP:
            spy.execute(text)
        place.purge("gone-temporary")
    assert place.value("SELECT rolcreatedb FROM pg_roles WHERE rolname = 'bulkhead_pool'") is False


def test_rows_of_a_partition_without_policy_go_as_well(place):
    """Through its parent it is protected, and so nobody need have noticed."""
    tenant = place.create("parted", "--dedicated-login", strategy="shared")
    with place.stand.admin() as admin:
        admin.execute("CREATE TABLE public.event (tenant_id uuid NOT NULL, day date NOT NULL) PARTITION BY RANGE (day)")
        admin.execute("SELECT bulkhead.protect('public.event', 'tenant_id')")
        admin.execute("CREATE TABLE public.event_new PARTITION OF public.event FOR VALUES FROM ('2026-01-01') TO ('2027-01-01')")
        admin.execute("CREATE TABLE public.event_newer PARTITION OF public.event DEFAULT")
        admin.execute("INSERT INTO public.event VALUES (%s, '2026-05-05'), (%s, '2026-05-05'), (%s, '2028-01-01')",
                      (tenant, uuid.uuid4(), tenant))
    place.purge("parted")
    assert place.value("SELECT count(*) FROM public.event") == 1


def test_no_tenant_holds_up_the_probe_of_another(place):
    """A login may set what it likes for itself: another's statement is refused for that, and not for want of a right."""
    place.create("reader")
    with place.connect("reader") as connection:
        connection.execute(f"ALTER ROLE {place.own('reader')} SET default_transaction_read_only = on")
    try:
        place.create("beside-reader")
    finally:
        place.purge("reader")


def test_no_tenant_holds_another_tenants_lock(place):
    """Advisory locks are everybody's, and the names of logins lead to the ids that they are taken for."""
    place.create("squatter")
    tenant = place.create("squatted")
    with place.connect("squatter", autocommit=True) as squatter:
        squatter.execute("SELECT pg_advisory_lock(hashtextextended('bulkhead.job:' || %s::text, 0))", (str(tenant),))
        place.purge("squatted")


def test_rotation_prints_json_alone(place):
    place.create("json")
    place.must("job", "rotate", "default", "-c", place.config)


def test_role_of_somebody_elses_making_is_not_purged(place):
    tenant = uuid.uuid4()
    own = "t_" + tenant.hex
    with place.stand.admin() as admin:
        admin.execute(f"CREATE ROLE {own} LOGIN")
    done = place.run("tenant", "create", "occupied", "--id", tenant, "--strategy", "schema", "-c", place.config)
    assert done.returncode == 1 and "was not made for this tenant" in done.stderr
    done = place.run("tenant", "purge", "occupied", "--confirm", "occupied", "-c", place.config)
    assert done.returncode == 1 and "was not made for this tenant" in done.stderr
    assert place.value("SELECT rolcanlogin FROM pg_roles WHERE rolname = %s", own) is True
    with place.stand.admin() as admin:
        admin.execute(f"ALTER ROLE {own} RENAME TO somebody")
    place.purge("occupied")
    assert place.value("SELECT rolcanlogin FROM pg_roles WHERE rolname = 'somebody'") is True


@pytest.fixture(scope="module")
def elsewhere(place):
    with place.stand.admin() as admin:
        admin.execute("INSERT INTO bulkhead_control.cluster (name) VALUES ('elsewhere')")
    return "elsewhere"


@pytest.mark.parametrize("strategy, more, has", [
    ("schema", (), "schema"), ("database", (), "database"), ("shared", ("--dedicated-login",), "login")])
def test_tenant_with_something_of_its_own_stays_on_its_cluster(place, elsewhere, strategy, more, has):
    """It would be left behind, with its data, and could not be purged; whatever the tenant's status."""
    slug = "rooted-" + strategy
    place.create(slug, *more, strategy=strategy)
    for verb in ("resume", "suspend", "archive"):
        place.must("tenant", verb, slug)
        done = place.run("tenant", "set", slug, "--cluster", elsewhere)
        assert done.returncode == 1 and f"has a {has} of its own on cluster default" in done.stderr
    place.must("tenant", "set", slug, "--cluster", "default", "--name", "as it is")
    place.purge(slug)


def test_tenant_of_the_operators_making_goes_where_it_is_brought(place, elsewhere):
    place.must("tenant", "create", "carried", "--strategy", "database", "--no-provision")
    for cluster in (elsewhere, "default"):
        assert place.must("tenant", "set", "carried", "--cluster", cluster)[0]["cluster"] == cluster
    place.purge("carried")


def test_tenant_that_is_being_made_stays_on_its_cluster(place, elsewhere):
    """What the job makes would be there, and the tenant elsewhere."""
    place.must("tenant", "create", "on-the-move", "--strategy", "schema", "--no-wait", "-c", place.config)
    done = place.run("tenant", "set", "on-the-move", "--cluster", elsewhere)
    assert done.returncode == 1, done.stdout
    place.must("job", "run", "-c", place.config)
    assert place.status("on-the-move") == "active"


def test_tenant_that_was_archived_before_it_was_made_is_left_alone(place, tmp_path):
    """It has no schema to migrate, and no login to give a password to."""
    place.must("tenant", "create", "unmade", "--strategy", "schema", "--no-wait", "-c", place.config)
    place.must("tenant", "archive", "unmade")
    file = tmp_path / "7_unmade.sql"
    file.write_text("CREATE TABLE unmade (id bigint)")
    rows = place.must("migrate", "-c", place.config, "--file", file)
    assert "unmade" not in [row["slug"] for row in rows]
    place.must("job", "rotate", "default", "-c", place.config)
    assert [job["kind"] for job in place.jobs("unmade")] == ["provision"]
    assert place.value("SELECT count(*) FROM pg_roles WHERE rolname = %s", place.own("unmade")) == 0
    place.must("tenant", "restore", "unmade")
    place.must("job", "run", "-c", place.config)
    assert place.status("unmade") == "active"


def test_more_than_the_server_has_locks_for_is_removed(place):
    """DROP OWNED takes a lock for each thing; others would be without one meanwhile, and the tenant never gone."""
    place.create("hoarder")
    own = place.own("hoarder")
    with place.connect("hoarder", autocommit=True) as connection:
        connection.execute("CREATE TABLE base (id bigint); CREATE VIEW above AS SELECT * FROM base; CREATE TYPE couple AS (a base)")
        connection.execute("DO $$ BEGIN FOR i IN 1..10000 LOOP "
                           "EXECUTE format('CREATE FUNCTION f%s() RETURNS integer LANGUAGE sql RETURN 1', i); END LOOP; END $$")
    place.purge("hoarder")
    assert place.value("SELECT count(*) FROM pg_namespace WHERE nspname = %s", own) == 0
    assert place.value("SELECT count(*) FROM pg_roles WHERE rolname = %s", own) == 0


def test_tenant_whose_login_stands_for_its_key_keeps_it(place):
    """Else whoever gets the key next shares its rows with that login."""
    place.create("keyed", "--dedicated-login", "--key", "900", strategy="shared")
    for change in (("--key", "901"), ("--no-key",)):
        done = place.run("tenant", "set", "keyed", *change)
        assert done.returncode == 1 and "keeps its key" in done.stderr
    assert place.run("tenant", "create", "heir", "--key", "900", "-c", place.config).returncode == 1
    place.purge("keyed")
    place.create("heir", "--key", "900", strategy="shared")


# ---- what passes

def refuses_tenants(place):
    """Is there no place left but those that superusers have?"""
    try:
        pool(place).close()
    except psycopg.OperationalError as error:
        return "connection slots" in str(error)
    return False


def test_full_server_is_tried_again(template, tmp_path):
    """The right password is refused all the same; no other key's is tried for that, whose refusal would stand."""
    stand = Stand(template, settings={"max_connections": "14"}).start()
    try:
        place = Provision(stand, tmp_path.name)
        place.passwords.replace(("k2", secrets.token_bytes(32)), ("k1", secrets.token_bytes(32)))
        crowd = []
        while not refuses_tenants(place):
            crowd.append(pool(place))
        making = place.start("tenant", "create", "late", "--strategy", "schema", "-c", place.config)
        said = making.stderr.readline()
        for connection in crowd:
            connection.close()
        making.communicate(timeout=60)
        assert "is tried again soon" in said and "53300" in said
        (job,) = place.jobs("late")
        assert making.returncode == 0 and job["state"] == "done" and job["attempts"] > 1, job
    finally:
        stand.remove()


def test_closed_door_is_not_tried_again(place):
    """Without a password it is shut, and stays so."""
    place.set(secret_file=None)
    try:
        done = place.run("tenant", "create", "unkeyed", "--strategy", "schema", "-c", place.config)
    finally:
        place.set(secret_file=place.secret)
    (job,) = place.jobs("unkeyed")
    assert done.returncode == 1 and (job["state"], job["attempts"]) == ("failed", 1)
    place.purge("unkeyed")


# ---- jobs that are named

@pytest.mark.parametrize("word", ["abc", "1x", "-1", "", "9" * 19])
def test_job_is_named_by_its_number(place, word):
    for verb in ("retry", "show"):
        done = place.run("job", verb, "--", word)
        assert done.returncode == 2 and "a job is named by its number" in done.stderr


def test_job_is_not_retried_beside_another(place):
    """What failed before the tenant was archived has a successor since."""
    place.must("tenant", "create", "twice", "--strategy", "schema", "--no-wait")
    place.must("tenant", "archive", "twice")
    place.must("tenant", "restore", "twice")
    new, old = place.jobs("twice")
    assert (new["state"], old["state"]) == ("queued", "failed")
    done = place.run("job", "retry", old["id"], "--no-wait")
    assert done.returncode == 1 and done.stderr == "bulkhead: another job of this tenant is queued or running\n"
    place.purge("twice")
