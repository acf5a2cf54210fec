"""What is left of a tenant that was purged: nothing, and of the others all."""

import psycopg
import pytest

from harness.catalog import catalog_of, difference
from harness.provision import Provision
from harness.stand import DATABASE, Stand
from harness.wait import wait_for

# Rows of tables that refer to each other in every way: a chain, themselves, in a circle, of partitions, by id and key.
TABLES = """
GRANT CREATE ON SCHEMA public TO shop_owner;
SET ROLE shop_owner;
CREATE TABLE chain_c (tenant_id uuid NOT NULL, id integer, PRIMARY KEY (tenant_id, id));
CREATE TABLE chain_b (tenant_id uuid NOT NULL, id integer, c integer, PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, c) REFERENCES chain_c);
CREATE TABLE chain_a (tenant_id uuid NOT NULL, id integer, b integer, PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, b) REFERENCES chain_b ON DELETE RESTRICT);
CREATE TABLE itself (tenant_id uuid NOT NULL, id integer, up integer, PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, up) REFERENCES itself);
CREATE INDEX ON itself (tenant_id, up);
CREATE TABLE round_a (tenant_id uuid NOT NULL, id integer, b integer, PRIMARY KEY (tenant_id, id));
CREATE TABLE round_b (tenant_id uuid NOT NULL, id integer, a integer, PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, a) REFERENCES round_a);
ALTER TABLE round_a ADD FOREIGN KEY (tenant_id, b) REFERENCES round_b;
CREATE TABLE parted (tenant_id uuid NOT NULL, id integer, PRIMARY KEY (tenant_id, id)) PARTITION BY HASH (id);
CREATE TABLE "parted '0'" PARTITION OF parted FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE "parted '1'" PARTITION OF parted FOR VALUES WITH (MODULUS 2, REMAINDER 1);
CREATE TABLE by_text (account text NOT NULL, id integer, PRIMARY KEY (account, id));
CREATE TABLE by_short (account varchar(3) NOT NULL, id integer, PRIMARY KEY (account, id));
RESET ROLE;
SELECT bulkhead.protect(t::regclass, 'tenant_id') FROM unnest(
    ARRAY['chain_a', 'chain_b', 'chain_c', 'itself', 'round_a', 'round_b', 'parted']) AS t;
SELECT bulkhead.protect('by_text', 'account', 'key');
SELECT bulkhead.protect('by_short', 'account', 'key');
"""
ROWS = """
INSERT INTO orders SELECT %(id)s, n, 'x' FROM generate_series(1, 12000) AS n;
INSERT INTO chain_c SELECT %(id)s, n FROM generate_series(1, 100) AS n;
INSERT INTO chain_b SELECT %(id)s, n, n FROM generate_series(1, 100) AS n;
INSERT INTO chain_a SELECT %(id)s, n, n FROM generate_series(1, 100) AS n;
INSERT INTO itself SELECT %(id)s, n, nullif(n - 1, 0) FROM generate_series(1, 6000) AS n;
INSERT INTO round_a VALUES (%(id)s, 1, NULL);
INSERT INTO round_b VALUES (%(id)s, 1, 1);
UPDATE round_a SET b = 1 WHERE tenant_id = %(id)s;
INSERT INTO parted SELECT %(id)s, n FROM generate_series(1, 100) AS n;
INSERT INTO by_text SELECT %(key)s, n FROM generate_series(1, 10) AS n;
INSERT INTO by_short SELECT left(%(key)s, 3), n FROM generate_series(1, 10) AS n WHERE length(%(key)s) <= 3;
"""

BY_ID = ["orders", "chain_a", "chain_b", "chain_c", "itself", "round_a", "round_b", "parted"]


@pytest.fixture(scope="module")
def place(template):
    stand = Stand(template).start()
    with stand.admin() as admin:
        admin.execute(TABLES)
    place = Provision(stand)
    # What the first tenant of each kind brings about in the database is no tenant's.
    for strategy in ("schema", "database"):
        place.create("first-" + strategy, strategy=strategy)
    yield place
    stand.remove()


def fill(place, tenant, key):
    with place.stand.admin() as admin, psycopg.ClientCursor(admin) as cursor:
        cursor.execute(ROWS, {"id": tenant, "key": key})


def everything(place):
    """All that the catalogues say, and each row of each table: but for jobs, the counters and versions of the gone, and
    the audit log, which tells of them."""
    with place.stand.admin() as admin:
        lines = catalog_of(admin)
        lines.update(f"database {row}" for row in admin.execute("SELECT datname, datacl::text FROM pg_database"))
        lines.update(f"dependency {row}" for row in admin.execute(
            "SELECT dbid, classid, refobjid::regrole::text, deptype, count(*) FROM pg_shdepend "
            "WHERE refclassid = 'pg_authid'::regclass GROUP BY 1, 2, 3, 4"))
        lines.update(f"comment {row}" for row in admin.execute("SELECT description FROM pg_shdescription"))
        tables = admin.execute(
            "SELECT c.oid::regclass::text FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace "
            "WHERE c.relkind = 'r' AND n.nspname !~ '^(pg_|information_schema)'").fetchall()
        for (table,) in tables:
            if table not in ("bulkhead_control.job", "bulkhead_control.departed", "bulkhead_control.audit",
                             "bulkhead_control.audit_head"):
                (rows,) = admin.execute(f"SELECT count(*), sum(hashtext(t::text)) FROM {table} AS t").fetchall()
                lines.add(f"rows {table} {rows}")
    return lines


@pytest.mark.parametrize("strategy, arguments", [
    ("shared", []), ("shared", ["--dedicated-login"]), ("schema", []), ("database", [])])
def test_nothing_stays_behind(place, strategy, arguments):
    before = everything(place)
    tenant = place.create("gone", "--key", "9007", *arguments, strategy=strategy)
    place.must("principal", "create", "of-gone", "--home", "gone", "--reach", "self")
    place.must("permission", "set", "gone", "sql.copy", "false")
    place.must("setting", "set", "gone", "app.x", "1")
    fill(place, tenant, "9007")
    with place.stand.admin() as admin:
        admin.execute("INSERT INTO tickets VALUES (9007, 1, 'x')")
    if strategy in ("schema", "database"):
        with place.connect("gone") as connection:
            connection.execute("CREATE TABLE mine (id serial PRIMARY KEY); CREATE VIEW v AS SELECT * FROM mine")
            connection.execute("CREATE FUNCTION f() RETURNS integer LANGUAGE sql RETURN 1")
            connection.execute("ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC")
            if strategy == "database":
                connection.execute("SELECT lo_create(0)")
            connection.execute("BEGIN; INSERT INTO mine DEFAULT VALUES; PREPARE TRANSACTION 'it''s mine'")
            schema = "public" if strategy == "database" else place.own("gone")
            connection.execute(f"GRANT USAGE ON SCHEMA {schema} TO PUBLIC")
    assert difference(before, everything(place)) != []
    (ended,) = place.purge("gone")
    assert ended["state"] == "done"
    assert difference(before, everything(place)) == []


def test_others_keep_their_rows(place):
    gone = place.create("gone", "--key", "123456", strategy="shared")
    other = place.create("other", "--key", "123", strategy="shared")
    fill(place, gone, "123456")
    fill(place, other, "123")
    def rows():
        with place.stand.admin() as admin:
            return [admin.execute(f"SELECT count(*), sum(hashtext(t::text)) FROM {table} AS t "
                                  f"WHERE {column}::text = %s", (value,)).fetchone()
                    for table, column, value in [(name, "tenant_id", str(other)) for name in BY_ID] +
                    [("by_text", "account", "123"), ("by_short", "account", "123")]]

    before = rows()
    assert all(count for count, _ in before)
    place.purge("gone")
    assert rows() == before
    place.purge("other")


def test_sessions_end_and_none_begins(place):
    place.create("gone", "--dedicated-login", strategy="shared")
    with place.stand.proxy() as proxy, proxy.connect("acme") as stays:
        stays.execute("SELECT 1")
        session = place.connect("gone")
        session.execute("BEGIN; SELECT 1")
        place.purge("gone")
        with pytest.raises(psycopg.OperationalError):
            session.execute("SELECT 1")
        with pytest.raises(psycopg.OperationalError, match="BH-ID-UNKNOWN-TENANT"):
            proxy.connect("gone")
        stays.execute("SELECT 1")


def test_nobody_is_let_in_while_it_is_purged(place):
    place.create("gone", strategy="shared")
    with place.stand.proxy() as proxy:
        with proxy.connect("gone") as session:
            session.execute("SELECT 1")
            place.must("tenant", "purge", "gone", "--confirm", "gone", "--no-wait")
            wait_for(lambda: proxy.events("client.ended"), "its session's end")
        with pytest.raises(psycopg.OperationalError, match="BH-ID-"):
            proxy.connect("gone")
    place.must("job", "run", "-c", place.config)
    assert place.status("gone") is None


# ---- refused

def refused(place, *arguments):
    done = place.run("tenant", "purge", *arguments, "-c", place.config)
    assert done.returncode in (1, 2), done.stdout
    return done.stderr


def test_wants_to_be_told_twice(place):
    assert "--confirm is wanted" in refused(place, "globex")
    assert 'the tenant\'s slug is "globex"' in refused(place, "globex", "--confirm", "acme")
    assert place.status("globex") == "active"


def test_tenants_below_are_in_the_way(place):
    assert "tenant acme has 1 tenant below it; move or purge them first" in refused(place, "acme", "--confirm", "acme")
    assert place.status("acme") == "active"


def test_what_somebody_else_made_of_it_is_in_the_way_and_named(place):
    place.create("gone")
    with place.connect("gone") as connection:
        connection.execute("CREATE TABLE mine (a integer)")
    with place.stand.admin() as admin:
        admin.execute(f"CREATE VIEW public.report AS SELECT * FROM {place.own('gone')}.mine")
    assert "view public.report depends on table" in refused(place, "gone", "--confirm", "gone")
    assert place.status("gone") == "purging"
    with place.stand.admin() as admin:
        admin.execute("DROP VIEW public.report")
    place.purge("gone")
    assert place.status("gone") is None


def test_an_administrator_whom_policies_bind_does_not_think_that_there_are_no_rows(place):
    with place.stand.admin() as admin:
        admin.execute("CREATE ROLE weak LOGIN CREATEROLE CREATEDB PASSWORD 'weak'")
        admin.execute("GRANT SELECT, DELETE ON orders TO weak")
    tenant = place.create("gone", strategy="shared")
    fill(place, tenant, "none")
    weak = place.folder / "weak.password"
    weak.touch(0o600)
    weak.write_text("weak")
    place.set(admin_login="weak", admin_password_file=weak)
    try:
        assert "42501" in refused(place, "gone", "--confirm", "gone")
    finally:
        place.set(admin_login="postgres", admin_password_file=place.admin_password)
    assert place.value("SELECT count(*) FROM orders WHERE tenant_id = %s", tenant) == 12000
    place.purge("gone")


def test_a_job_that_purges_is_no_more_after_it(place):
    place.create("gone")
    place.purge("gone")
    job = place.jobs("gone")[0]
    assert (job["kind"], job["state"]) == ("purge", "done")
    assert "there is no such job" in place.run("job", "show", "999999").stderr
    assert "is done" in place.run("job", "retry", job["id"]).stderr
    assert place.value("SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND usename ~ '^t_'", DATABASE) == 0
