"""The subcommands that work on a database: init, tenant and principal."""

import json
import re
import stat
import subprocess
import uuid

import pytest
from harness.control import ADMIN
from harness.postgres import PG_BIN
from harness.program import DONE, FAILED, USAGE, bulkhead, refusal, succeed, write_secret

PLANTED = "hunter2-never-to-be-seen"
KEY_FILES = ["api.password", "api.pepper", "cluster.secret", "guard.key", "master.key", "operator.key", "pool.password",
             "sidecar.password"]


@pytest.fixture
def database(stand):
    """An empty database on the stand's server, where the logins have the stand's passwords."""
    database = stand.postgres.create_database()
    yield database
    database.drop()


@pytest.fixture(scope="module")
def installed(stand):
    """A database that init has seen, with what init printed; tests leave it as it is."""
    database = stand.postgres.create_database()
    done = init(stand, database)
    yield database, done
    database.drop()


# ---- init ----

def schema_of(database):
    """All definitions and privileges, and the numbered steps."""
    dump = subprocess.run([PG_BIN / "pg_dump", "--schema-only", "-d", database.conninfo()], text=True, check=True,
                          capture_output=True).stdout
    with database.connect() as root:
        steps = root.execute("SELECT number, name, checksum, applied_at FROM bulkhead_control.migration "
                             "ORDER BY number").fetchall()
    return re.sub(r"\\(un)?restrict .*\n", "", dump), steps


def passwords_of(stand):
    with stand.admin() as root:
        return root.execute("SELECT rolname, rolpassword FROM pg_authid WHERE rolname ~ '^bulkhead' ORDER BY 1").fetchall()


def init(stand, database, *more, keys=None):
    return bulkhead("init", "--dsn", database.conninfo(), "--keys", keys or stand.keys, *more)


def test_init_says_what_comes_next(stand, installed):
    database, done = installed
    assert (done.returncode, done.stderr) == (DONE, "")
    assert f"password_file = {stand.keys}/pool.password" in done.stdout
    assert f"database = {database.name}" in done.stdout
    for name in KEY_FILES:
        assert (stand.keys / name).read_text().split()[-1] not in done.stdout


def test_init_again_changes_nothing(stand, installed):
    database, _ = installed
    before = schema_of(database), [(stand.keys / name).read_bytes() for name in KEY_FILES]
    assert init(stand, database).returncode == DONE
    assert (schema_of(database), [(stand.keys / name).read_bytes() for name in KEY_FILES]) == before


def test_init_keeps_its_files_to_itself(stand):
    assert stat.S_IMODE(stand.keys.stat().st_mode) == 0o700
    assert sorted(path.name for path in stand.keys.iterdir()) == KEY_FILES
    for name in KEY_FILES:
        assert stat.S_IMODE((stand.keys / name).stat().st_mode) == 0o600


def test_init_with_other_keys_locks_nobody_out(stand, database, tmp_path):
    before = passwords_of(stand)
    done = init(stand, database, keys=tmp_path / "new")
    assert (done.returncode, done.stdout) == (FAILED, "")
    assert "has a password already" in done.stderr and "pool.password is missing" in done.stderr
    assert not (tmp_path / "new").exists()
    assert passwords_of(stand) == before


@pytest.mark.parametrize("name", KEY_FILES)
def test_init_refuses_files_that_others_may_read(stand, database, tmp_path, name):
    for other in KEY_FILES:
        write_secret(tmp_path / other, (stand.keys / other).read_text(), 0o640 if other == name else 0o600)
    done = init(stand, database, keys=tmp_path)
    assert (done.returncode, done.stderr) == (
        FAILED, f"bulkhead init: {tmp_path}/{name}: group or others have access to it; its mode must be 0600\n")
    with database.connect() as root:
        assert root.execute("SELECT FROM pg_namespace WHERE nspname ~ '^bulkhead'").fetchall() == []


def test_init_into_two_databases(stand, database):
    control = stand.postgres.create_database()
    try:
        done = init(stand, database, "--control-dsn", control.conninfo())
        assert done.returncode == DONE, done.stderr
        assert f"in database {database.name}, the control schema in database {control.name}" in done.stdout
        for where, schemas in ((database, ["bulkhead"]), (control, ["bulkhead_api", "bulkhead_control"])):
            with where.connect() as root:
                assert root.execute("SELECT array_agg(nspname::text ORDER BY nspname) FROM pg_namespace "
                                    "WHERE nspname ~ '^bulkhead'").fetchone() == (schemas,)
        assert "acme" in succeed("tenant", "create", "acme", "--control-dsn", control.conninfo())
    finally:
        control.drop()


def test_init_needs_a_superuser_and_leaves_nothing_behind(stand, database):
    with database.connect() as root:
        root.execute("DROP ROLE IF EXISTS half_admin")
        root.execute("CREATE ROLE half_admin LOGIN CREATEROLE CREATEDB")
        root.execute(f'ALTER DATABASE "{database.name}" OWNER TO half_admin')
    done = bulkhead("init", "--dsn", database.conninfo("half_admin"), "--keys", stand.keys)
    assert (done.returncode, done.stdout) == (FAILED, "")
    assert done.stderr
    with database.connect() as root:
        assert root.execute("SELECT FROM pg_namespace WHERE nspname = 'bulkhead'").fetchall() == []


def test_init_where_nobody_answers(stand):
    assert "Connection refused" in refusal("init", "--dsn", "host=127.0.0.1 port=1", "--keys", stand.keys)


@pytest.mark.parametrize("change, back, words", [
    ("INSERT INTO bulkhead_control.migration VALUES (99, 'later', repeat('0', 64))",
     "DELETE FROM bulkhead_control.migration WHERE number = 99", "a later version of this program"),
    ("UPDATE bulkhead_control.migration SET checksum = reverse(checksum) WHERE number = 2",
     "UPDATE bulkhead_control.migration SET checksum = reverse(checksum) WHERE number = 2",
     "token: this step was applied with another text"),
])
def test_init_refuses_steps_of_another_version(stand, installed, change, back, words):
    database, _ = installed
    with database.connect() as root:
        root.execute(change)
        try:
            done = init(stand, database)
        finally:
            root.execute(back)
    assert done.returncode == FAILED and words in done.stderr


def test_the_printed_script_does_what_init_does(stand, database, installed):
    script = succeed("init", "--print", "--keys", stand.keys)
    key = (stand.keys / "guard.key").read_text()
    for name in KEY_FILES:
        assert (stand.keys / name).read_text().split()[-1] not in script
    for _ in range(2):
        done = subprocess.run([PG_BIN / "psql", "-X", "-d", database.conninfo()], input=script, text=True, check=False,
                              capture_output=True, env={"GUARD_KEY": key.strip()})
        assert (done.returncode, done.stdout) == (DONE, ""), done.stderr
    printed, direct = schema_of(database), schema_of(installed[0])
    assert printed[0] == direct[0]
    assert [step[:3] for step in printed[1]] == [step[:3] for step in direct[1]]


# ---- tenants ----

def test_a_tenant_is_made_and_listed(control, dsn):
    printed = succeed("tenant", "create", "acme", "--key", "1042", "--name", "Acme Corporation", **dsn)
    heads, row = printed.splitlines()
    assert heads.split() == ["id", "slug", "key", "name", "status"]
    tenant = control.value("SELECT id FROM bulkhead_control.tenant WHERE slug = 'acme'")
    assert row.split() == [str(tenant), "acme", "1042", "Acme", "Corporation", "active"]
    assert tenant.version == 7


def test_tenants_as_json(control, dsn):
    own = str(uuid.uuid4())
    created = json.loads(succeed("tenant", "create", "acme", "--id", own, "--json", **dsn))
    assert created == [{"id": own, "slug": "acme", "key": None, "name": "acme", "status": "active"}]
    quoted = 'say "hi" \\ ünïcode'
    succeed("tenant", "create", "labs", "--parent", "acme", "--name", quoted, "--key", quoted, **dsn)
    listed = json.loads(succeed("tenant", "list", "--json", **dsn))
    assert listed[0] == {"slug": "acme", "id": own, "key": None, "strategy": "SHARED_RLS", "cluster": "default",
                         "status": "active", "name": "acme"}
    assert (listed[1]["slug"], listed[1]["name"], listed[1]["key"]) == ("labs", quoted, quoted)


def test_a_weight_is_kept(control, dsn):
    succeed("tenant", "create", "acme", **dsn)
    succeed("tenant", "create", "globex", "--weight", "100", **dsn)
    assert control.admin.execute("SELECT slug, pool_weight FROM bulkhead_control.tenant ORDER BY slug").fetchall() == [
        ("acme", 1), ("globex", 100)]


def test_no_tenants_are_an_empty_list(control, dsn):
    assert json.loads(succeed("tenant", "list", "--json", **dsn)) == []
    assert len(succeed("tenant", "list", **dsn).splitlines()) == 1


def test_a_parent_is_named_by_any_of_its_words(control, dsn):
    acme = control.create("acme", external_key="1042")
    for n, word in enumerate(["acme", "1042", str(acme), acme.hex.upper()]):
        succeed("tenant", "create", f"child-{n}", "--parent", word, **dsn)
    assert control.value("SELECT count(*) FROM bulkhead_control.tenant WHERE parent_id = %s", acme) == 4


def test_the_list_is_a_tree(control, dsn):
    acme = control.create("acme")
    zeta = control.create("zeta", acme)
    control.create("alpha", acme)
    control.create("omega", zeta)
    control.create("aaa")
    listed = succeed("tenant", "list", **dsn).splitlines()[1:]
    assert [re.match(" *[a-z]+", line).group() for line in listed] == ["aaa", "acme", "  alpha", "  zeta", "    omega"]


@pytest.mark.parametrize("arguments, words", [
    (["acme"], "this slug is taken"),
    (["1042"], "a slug is 1 to 63 of a-z"),
    (["new", "--key", "1042"], "this key is taken"),
    (["new", "--key", "acme"], "another tenant has this slug, key or id already"),
    (["new", "--key", ""], "a key is 1 to 255 bytes"),
    (["new", "--name", ""], "a name is 1 to 255 bytes"),
    (["new", "--id", "00000000-0000-4000-8000-000000000001"], "this id is taken"),
    (["new", "--id", "nonsense"], "invalid input syntax for type uuid"),
    (["new", "--parent", "nosuch"], 'there is no tenant "nosuch"'),
    (["new", "--parent", "asleep"], "the parent is not active"),
    (["new", "--cluster", "nowhere"], "there is no such cluster"),
    (["new", "--strategy", "own_server"], "the strategies are shared, schema and database"),
    (["new", "--weight", "0"], "a weight is 1 to 100"),
    (["new", "--weight", "101"], "a weight is 1 to 100"),
    (["new", "--weight", "heavy"], "invalid input syntax for type smallint"),
    (["new", "--weight", "65537"], "out of range for type smallint"),
    (["postgres"], "this slug is reserved"),
    (["abcdef00" * 4], "a slug may not look like an id"),
])
def test_refused_tenants(control, dsn, arguments, words):
    control.create("acme", external_key="1042", id=uuid.UUID("00000000-0000-4000-8000-000000000001"))
    control.create("asleep", status="suspended")
    said = refusal("tenant", "create", *arguments, **dsn)
    assert said.startswith("bulkhead: ") and words in said and len(said.splitlines()) == 1
    assert control.value("SELECT count(*) FROM bulkhead_control.tenant") == 2


def test_level_twenty_one_is_refused(control, dsn):
    control.chain("level", 20)
    assert refusal("tenant", "create", "new", "--parent", "level-19", **dsn) == \
        "bulkhead: the tree is at most 20 levels deep\n"


def test_without_a_control_database(stand):
    for environment in ({}, {"CONTROL_DSN": ""}):
        done = bulkhead("tenant", "list", **environment)
        assert (done.returncode, done.stdout) == (USAGE, "") and "--control-dsn or CONTROL_DSN" in done.stderr
    assert "Connection refused" in refusal("tenant", "list", CONTROL_DSN="host=127.0.0.1 port=1")
    assert "does not exist" in refusal("tenant", "list", CONTROL_DSN=stand.postgres.conninfo("postgres"))
    assert "permission denied" in refusal("tenant", "list", CONTROL_DSN=stand.postgres.conninfo("shop", "bulkhead_sidecar"))


def test_the_option_goes_over_the_environment(control, dsn):
    control.create("acme")
    assert "acme" in succeed("tenant", "list", "--control-dsn", dsn["CONTROL_DSN"], CONTROL_DSN="host=127.0.0.1 port=1")


# ---- principals ----

def test_a_password_is_drawn_and_shown_once(control, dsn):
    acme = control.create("acme", external_key="1042")
    done = bulkhead("principal", "create", "shop", "--home", "1042", "--reach", "subtree", "--json", **dsn)
    assert done.returncode == DONE
    assert json.loads(done.stdout) == [{"name": "shop", "home": "acme", "reach": "subtree"}]
    password = re.fullmatch(r"password \(shown once\): (\S{24})\n", done.stderr).group(1)
    assert control.fits("shop", password)
    assert control.value("SELECT home_id FROM bulkhead_control.principal") == acme


def test_a_given_password_is_not_shown(control, dsn, tmp_path):
    control.create("acme")
    file = write_secret(tmp_path / "password", PLANTED + "\n")
    done = bulkhead("principal", "create", "shop", "--home", "acme", "--reach", "all", "--password-file", file, **dsn)
    assert (done.returncode, done.stderr) == (DONE, "")
    assert done.stdout.split() == ["name", "home", "reach", "shop", "acme", "all"]
    assert control.fits("shop", PLANTED)


def test_a_password_is_changed(control, dsn, tmp_path):
    control.create("acme")
    bulkhead("principal", "create", "shop", "--home", "acme", "--reach", "self", **dsn)
    file = write_secret(tmp_path / "password", PLANTED)
    done = bulkhead("principal", "password", "shop", "--password-file", file, **dsn)
    assert (done.returncode, done.stderr) == (DONE, "") and PLANTED not in done.stdout
    assert control.fits("shop", PLANTED)
    done = bulkhead("principal", "password", "shop", **dsn)
    assert control.fits("shop", done.stderr.split()[-1])
    assert refusal("principal", "password", "nobody", **dsn) == "bulkhead: there is no such principal\n"


@pytest.mark.parametrize("content, mode, words", [
    (PLANTED, 0o644, "its mode must be 0600"), ("", 0o600, "it is empty"), ("\n", 0o600, "it is empty"),
    (PLANTED * 100, 0o600, "too large"), (PLANTED + "\0", 0o600, "NUL"),
])
def test_refused_password_files(control, dsn, tmp_path, content, mode, words):
    control.create("acme")
    file = write_secret(tmp_path / "password", content, mode)
    said = refusal("principal", "create", "shop", "--home", "acme", "--reach", "all", "--password-file", file, **dsn)
    assert words in said and str(file) in said and PLANTED not in said
    assert control.value("SELECT count(*) FROM bulkhead_control.principal") == 0


@pytest.mark.parametrize("name, home, words", [
    ("shop", "acme", "this principal exists already"),
    ("new", "nosuch", "there is no such home tenant"),
    ("", "acme", "a principal's name is 1 to 63 bytes"),
    ("x" * 64, "acme", "a principal's name is 1 to 63 bytes"),
    ("a\nb", "acme", "a principal's name is 1 to 63 bytes"),
])
def test_refused_principals(control, dsn, name, home, words):
    control.create("acme")
    succeed("principal", "create", "shop", "--home", "acme", "--reach", "self", **dsn)
    said = refusal("principal", "create", name, "--home", home, "--reach", "self", **dsn)
    assert words in said and len(said.splitlines()) == 1  # above all, no password that belongs to nobody


def test_nothing_of_a_password_is_in_the_servers_log(stand, control, dsn, tmp_path):
    """The verifier travels as a parameter: a statement that is logged, or fails, does not show it."""
    control.create("acme")
    file = write_secret(tmp_path / "password", PLANTED)
    with control.database.connect() as root:
        root.execute(f"ALTER ROLE {ADMIN} SET log_statement = 'all'")
        try:
            for _ in range(2):
                bulkhead("principal", "create", "shop", "--home", "acme", "--reach", "all", "--password-file", file, **dsn)
        finally:
            root.execute(f"ALTER ROLE {ADMIN} RESET log_statement")
    assert "INSERT INTO bulkhead_control.principal" in stand.postgres.log_text()
    assert PLANTED not in stand.postgres.log_text()
