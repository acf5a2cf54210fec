"""`bulkhead init --protect`: the plan, that it is carried out wholly or not at all, and what it leaves alone."""

import time

import pytest
from harness.findings import findings
from harness.guard import ACME, GLOBEX, Guard, run_init
from harness.guard_init import catalog
from harness.program import DONE, FAILED, USAGE

SHOP = f"""
CREATE SCHEMA app AUTHORIZATION seller;
GRANT USAGE ON SCHEMA app TO PUBLIC;
SET ROLE seller;
CREATE TABLE app.orders (tenant_id uuid NOT NULL, id bigint PRIMARY KEY, item text);
CREATE TABLE app.lines (tenant_id uuid NOT NULL, order_id bigint REFERENCES app.orders, line int);
CREATE TABLE app."Odd "" name" (tenant_id uuid, item text);
CREATE TABLE app.events (tenant_id uuid, at int) PARTITION BY LIST (at);
CREATE TABLE app.events_1 PARTITION OF app.events FOR VALUES IN (1);
CREATE TABLE app.countries (code text PRIMARY KEY);
INSERT INTO app.orders VALUES ('{ACME}', 1, 'acme'), ('{GLOBEX}', 2, 'globex');
RESET ROLE;
CREATE TABLE app.not_the_sellers (tenant_id uuid);
"""
STATEMENTS = [f"SELECT bulkhead.protect('{table}', 'tenant_id');"
              for table in ('app."Odd "" name"', "app.events", "app.lines", "app.orders")]


@pytest.fixture
def shop(unguarded):
    with unguarded.connect() as admin:
        admin.execute("CREATE ROLE seller")
        admin.execute(SHOP)
    yield unguarded
    with unguarded.connect() as admin:
        admin.execute("DROP OWNED BY seller CASCADE; DROP ROLE seller")


def protect(database, keys, *arguments):
    return run_init("--dsn", database.conninfo(), "--keys", keys, "--owner", "seller", "--protect", *arguments)


def statements(done):
    return sorted(line.strip() for line in done.stdout.splitlines() if "SELECT bulkhead.protect('app" in line)


def protected(database):
    with database.connect() as admin:
        return [name for (name,) in admin.execute("SELECT polrelid::regclass::text FROM pg_policy "
                                                  "WHERE polname = 'bulkhead_tenant' ORDER BY 1")]


def sections(done):
    """The objects under each title."""
    found, title = {}, None
    for line in done.stdout.splitlines():
        if line and not line.startswith(" "):
            title = line
        elif line.startswith("  ") and line[2] != " ":
            found.setdefault(title, []).append(line.strip())
    return found


def test_a_dry_run_prints_the_plan_and_changes_nothing(shop, tmp_path):
    before = catalog(shop)
    done = protect(shop, tmp_path / "keys", "--column", "tenant_id", "--dry-run")
    assert (done.returncode, done.stderr) == (DONE, "")
    assert statements(done) == sorted(STATEMENTS)
    assert sections(done) == {
        "To be protected": ['app."Odd "" name"', "app.events", "app.lines", "app.orders"],
        "Left as they are": ["app.countries"],
        "To be mended afterwards, by hand": [
            "foreign-key: lines_order_id_fkey on app.lines", 'tenant-index: app."Odd "" name"', "tenant-index: "
            "app.events",
            "tenant-index: app.lines", "tenant-index: app.orders", "unique-key: app.orders_pkey on app.orders"]}
    assert "      CREATE INDEX CONCURRENTLY ON app.orders (tenant_id);" in done.stdout
    assert "it has no column tenant_id" in done.stdout
    assert catalog(shop) == before
    assert not (tmp_path / "keys").exists()


def test_the_plan_is_carried_out(shop, guard_keys):
    done = protect(shop, guard_keys, "--column", "tenant_id")
    assert (done.returncode, done.stderr) == (DONE, "")
    assert protected(shop) == ['app."Odd "" name"', "app.events", "app.events_1", "app.lines", "app.orders"]
    assert "0 critical," in done.stdout
    with shop.connect() as admin:
        assert {one.id for one in findings(admin)} == {"unprotected-table", "foreign-key", "unique-key", "tenant-index"}
        admin.execute("GRANT SELECT ON app.orders TO bulkhead_app")
    with Guard(shop, guard_keys).tenant(ACME) as acme:
        assert acme.execute("SELECT item FROM app.orders").fetchall() == [("acme",)]


def test_a_second_run_changes_nothing(shop, guard_keys):
    assert protect(shop, guard_keys, "--column", "tenant_id").returncode == DONE
    before = catalog(shop)
    done = protect(shop, guard_keys, "--column", "tenant_id")
    assert (done.returncode, statements(done)) == (DONE, ["SELECT bulkhead.protect('app.not_the_sellers', "
                                                          "'tenant_id');"])
    assert sections(done)["Protected already"] == ['app."Odd "" name"', "app.events", "app.lines", "app.orders"]
    assert catalog(shop) == before


def test_a_new_partition_and_an_altered_policy_are_planned_again(shop, guard_keys):
    assert protect(shop, guard_keys, "--column", "tenant_id").returncode == DONE
    with shop.connect() as admin:
        admin.execute("CREATE TABLE app.events_2 PARTITION OF app.events FOR VALUES IN (2); "
                      "ALTER POLICY bulkhead_tenant ON app.lines USING (true); ALTER TABLE app.orders NO FORCE ROW "
                      "LEVEL SECURITY")
    done = protect(shop, guard_keys, "--column", "tenant_id", "--dry-run")
    assert sections(done)["To be protected"] == ["app.events", "app.lines", "app.orders"]
    assert protect(shop, guard_keys, "--column", "tenant_id").returncode == DONE
    assert "To be protected" not in sections(protect(shop, guard_keys, "--column", "tenant_id", "--dry-run"))


# ---- which column ----

def test_the_only_usual_column_is_a_guess_to_be_confirmed(shop, tmp_path):
    done = protect(shop, tmp_path / "keys", "--dry-run")
    assert done.returncode == DONE and statements(done) == sorted(STATEMENTS)
    assert "--column tenant_id" in done.stdout
    before = catalog(shop)
    done = protect(shop, tmp_path / "keys")
    assert done.returncode == FAILED and "--column tenant_id" in done.stdout
    assert catalog(shop) == before
    assert not (tmp_path / "keys").exists()


@pytest.mark.parametrize("arguments", [[], ["--dry-run"]])
def test_among_several_columns_none_is_chosen(shop, guard_keys, arguments):
    with shop.connect() as admin:
        admin.execute("ALTER TABLE app.lines ADD account_id bigint")
    done = protect(shop, guard_keys, *arguments)
    assert (done.returncode, done.stdout) == (FAILED, "")
    assert "account_id is in 1 of the tables" in done.stderr and "tenant_id is in 4 of the tables" in done.stderr
    assert protected(shop) == []


def test_what_is_in_use_is_the_guess(shop, guard_keys):
    with shop.connect() as admin:
        admin.execute("ALTER TABLE app.lines ADD account_id bigint")
    assert protect(shop, guard_keys, "--column", "tenant_id").returncode == DONE
    assert "Column tenant_id is a guess" in protect(shop, guard_keys, "--dry-run").stdout


def test_no_usual_column(shop, guard_keys):
    with shop.connect() as admin:
        admin.execute('DROP TABLE app.events, app."Odd "" name"; ALTER TABLE app.orders RENAME tenant_id TO whose; '
                      'ALTER TABLE app.lines RENAME tenant_id TO whose')
    done = protect(shop, guard_keys, "--dry-run")
    assert done.returncode == FAILED and "--column" in done.stderr
    assert statements(protect(shop, guard_keys, "--dry-run", "--column", "whose")) == [
        "SELECT bulkhead.protect('app.lines', 'whose');", "SELECT bulkhead.protect('app.orders', 'whose');"]


LEFT = {
    "CREATE TABLE app.t (tenant_id jsonb)": "of type jsonb, cannot name a tenant",
    "CREATE TABLE app.t (tenant_id numeric)": "of type numeric, cannot name a tenant",
    "CREATE TABLE app.t (tenant_id text)": "say --by",
    "CREATE TABLE app.t (x int)": "it has no column tenant_id",
    "CREATE EXTENSION postgres_fdw; CREATE SERVER far FOREIGN DATA WRAPPER postgres_fdw; "
    "CREATE TABLE app.t (tenant_id uuid, x int) PARTITION BY LIST (x); "
    "CREATE FOREIGN TABLE app.far PARTITION OF app.t DEFAULT SERVER far": "its part app.far is a foreign table",
}


@pytest.mark.parametrize("made", LEFT)
def test_what_cannot_be_protected_is_left_with_the_reason(shop, guard_keys, made):
    with shop.connect() as admin:
        admin.execute(made + "; ALTER TABLE app.t OWNER TO seller")
    done = protect(shop, guard_keys, "--column", "tenant_id")
    assert done.returncode == DONE, done.stderr
    assert sections(done)["Left as they are"] == ["app.countries", "app.t"]
    assert LEFT[made] in done.stdout
    assert "app.orders" in protected(shop) and "app.t" not in protected(shop)


@pytest.mark.parametrize("arguments, expected", [
    (["--by", "key"], "SELECT bulkhead.protect('app.t', 'account', by => 'key');"),
    ([], "SELECT bulkhead.protect('app.t', 'account', by => 'key');"), (["--by", "id"], None)])
def test_what_the_column_holds(shop, guard_keys, arguments, expected):
    with shop.connect() as admin:
        admin.execute("CREATE TABLE app.t (account bigint); ALTER TABLE app.t OWNER TO seller")
    done = protect(shop, guard_keys, "--column", "account", *arguments)
    assert done.returncode == DONE, done.stderr
    assert protected(shop) == (["app.t"] if expected else [])
    assert not expected or expected in done.stdout


def test_a_table_protected_by_another_column_is_left(shop, guard_keys):
    with shop.connect() as admin:
        admin.execute("ALTER TABLE app.lines ADD account_id bigint")
    assert protect(shop, guard_keys, "--column", "account_id").returncode == DONE
    done = protect(shop, guard_keys, "--column", "tenant_id")
    assert done.returncode == DONE and "it is protected by the key in column account_id" in done.stdout


# ---- all or nothing ----

def test_a_table_in_use_is_refused_and_nothing_changed(shop, guard_keys):
    with shop.connect(autocommit=False) as busy:
        busy.execute("SELECT FROM app.orders")
        began = time.monotonic()
        done = protect(shop, guard_keys, "--column", "tenant_id")
        assert time.monotonic() - began < 20
        assert done.returncode == FAILED and "table app.orders is in use" in done.stderr
        assert protected(shop) == []
    assert protect(shop, guard_keys, "--column", "tenant_id").returncode == DONE


def test_an_owner_that_does_not_exist(shop, tmp_path):
    done = run_init("--dsn", shop.conninfo(), "--keys", tmp_path / "keys", "--owner", "nobody", "--protect",
                    "--column", "x")
    assert done.returncode == FAILED and '"nobody"' in done.stderr
    assert not (tmp_path / "keys").exists()


@pytest.mark.parametrize("arguments", [
    ["--dsn", "x", "--protect"], ["--dsn", "x", "--dry-run"], ["--dsn", "x", "--owner", "o", "--column", "c"],
    ["--dsn", "x", "--by", "id"], ["--owner", "o", "--protect"], ["--print", "--owner", "o", "--protect"],
    ["--dsn", "x", "--print", "--owner", "o", "--protect"], ["--dsn", "x", "--owner", "o", "--protect", "--by",
                                                             "name"]])
def test_wrong_usage(arguments):
    done = run_init(*arguments)
    assert (done.returncode, done.stdout) == (USAGE, "")
    assert "Usage: bulkhead init" in done.stderr
