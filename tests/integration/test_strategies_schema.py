"""The other half of test_strategies.py: migrations, pg_dump, psql's and ORMs' looks at the catalogue."""

import subprocess
from decimal import Decimal

import psycopg
import pytest
from harness.answers import OWN, all_of, may, one, sqlstate, violated
from harness.application import LOOK, NAMES
from harness.postgres import PG_BIN

MIGRATION = """
CREATE TABLE {s}note (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
                      customer bigint REFERENCES {s}customer ON DELETE SET NULL, body text NOT NULL, at timestamptz DEFAULT now());
CREATE INDEX note_body ON {s}note (lower(body));
ALTER TABLE {s}note ADD COLUMN stars int DEFAULT 3 CHECK (stars BETWEEN 1 AND 5);
ALTER TABLE {s}customer ADD COLUMN phone text;
CREATE UNIQUE INDEX note_once ON {s}note (customer) WHERE stars = 5;
CREATE VIEW {s}good AS SELECT * FROM {s}note WHERE stars > 3;
CREATE MATERIALIZED VIEW {s}sums AS SELECT customer, sum(total) FROM {s}invoice GROUP BY 1;
CREATE FUNCTION {s}shout() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN new.body := upper(new.body); RETURN new; END $$;
CREATE TRIGGER shout BEFORE INSERT ON {s}note FOR EACH ROW EXECUTE FUNCTION {s}shout();
CREATE TYPE {s}mood AS ENUM ('ok');
ALTER TYPE {s}mood ADD VALUE 'fine';
CREATE DOMAIN {s}positive AS int CHECK (value > 0);
CREATE SEQUENCE {s}counter;
CREATE TABLE {s}measured (at date, x int) PARTITION BY RANGE (at);
CREATE TABLE {s}measured_2026 PARTITION OF {s}measured FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
COMMENT ON TABLE {s}note IS 'said';
"""
BACK = """
DROP TABLE {s}measured;
DROP MATERIALIZED VIEW {s}sums;
DROP VIEW {s}good;
DROP TABLE {s}note;
DROP FUNCTION {s}shout();
DROP TYPE {s}mood;
DROP DOMAIN {s}positive;
DROP SEQUENCE {s}counter;
ALTER TABLE {s}customer DROP COLUMN phone;
"""


@pytest.mark.parametrize("qualified", [False, True], ids=["bare", "qualified"])
def test_migrations(app, db, qualified):
    schema = f'"{one(db, "SELECT current_schema()")}".' if qualified else ""
    forth, back = ([statement for statement in text.format(s=schema).split(";\n") if statement.strip()]
                   for text in (MIGRATION, BACK))
    for statement in forth:
        if may(app, "ddl", db, statement):
            db.execute(statement)
    if not app.is_shared:
        assert one(db, "INSERT INTO note (customer, body, stars) VALUES (1, 'quiet', 5) RETURNING body") == "QUIET"
        assert violated(db, "INSERT INTO note (customer, body, stars) VALUES (1, 'again', 5)") == ("23505", "note_once")
        assert violated(db, "INSERT INTO note (customer, body) VALUES (77, 'x')") == ("23503", "note_customer_fkey")
        assert one(db, "SELECT count(*) FROM good") == 1 and one(db, "SELECT 'fine'::mood") == "fine"
        assert all_of(db, "SELECT * FROM sums ORDER BY 1") == [(1, 100), (2, Decimal("5.50"))]
        db.execute("INSERT INTO measured VALUES ('2026-05-05', 1)")
        assert one(db, "SELECT tableoid::regclass::text FROM measured") == "measured_2026"
        assert sqlstate(db, "SELECT 'x'::mood") == "22P02" and sqlstate(db, "SELECT (-1)::positive") == "23514"
    for statement in back:
        if may(app, "ddl", db, statement):
            db.execute(statement)
    assert one(db, "SELECT to_regclass('note') IS NULL")


def test_a_migration_in_one_transaction(app, db, other):
    if app.is_shared:
        return
    with pytest.raises(psycopg.errors.DivisionByZero), db.transaction():
        db.execute("CREATE TABLE half (x int)")
        db.execute("ALTER TABLE customer ADD COLUMN half int")
        db.execute("SELECT 1 / 0")
    with db.transaction():
        db.execute("CREATE TABLE whole (x int)")
        db.execute("INSERT INTO whole VALUES (1)")
        assert sqlstate(other, "TABLE whole") == "42P01"
    assert one(other, "TABLE whole") == 1
    db.execute("DROP TABLE whole")
    assert one(db, "SELECT to_regclass('half') IS NULL AND to_regclass('whole') IS NULL")


# ---- tools ----

def tool(app, *command, tenant=None, stdin=None):
    done = subprocess.run([PG_BIN / command[0], *command[1:], "-d", app.proxy.conninfo(tenant or app.tenant)],
                          input=stdin, text=True, capture_output=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def psql(app, command):
    """The cells of what psql prints."""
    return [line.split("|") for line in tool(app, "psql", "-XAtc", command).splitlines()]


def test_psql_describes(app, db):
    schema = one(db, "SELECT current_schema()")
    for command, kind in (("\\dt", "table"), ("\\dv", "view"), ("\\ds", "sequence")):
        found = {cells[1] for cells in psql(app, command) if cells[0] == schema and cells[2] == kind} - {"orders", "tickets"}
        assert found == {"table": set(NAMES), "view": {"open_invoice"},
                         "sequence": {"customer_id_seq", "invoice_id_seq", "receipt"}}[kind]
    described = " ".join(tool(app, "psql", "-Xc", "\\d customer").split())
    for line in ("credit | numeric(12,2)", "customer_email_key", "customer_credit", "count_change BEFORE UPDATE",
                 'TABLE "invoice" CONSTRAINT "invoice_customer_fkey"'):
        assert line in described
    assert ("bulkhead_tenant" in described) == app.is_shared
    assert [cells[1] for cells in psql(app, "\\di invoice*")] == ["invoice_customer", "invoice_pkey"]
    assert {"total_of", "count_change", "pay"} <= {cells[1] for cells in psql(app, "\\df")}
    assert ["state"] in [cells[1:2] for cells in psql(app, "\\dT")]
    for command in ("\\d", "\\d+ invoice", "\\dn", "\\l", "\\du", "\\dp customer", "\\dd", "\\dx", "\\conninfo", "\\sf total_of",
                    "\\sv open_invoice", "\\dconfig work_mem", "\\ddp", "\\dD", "\\do", "\\dF"):
        tool(app, "psql", "-Xc", command)


def test_the_information_schema(db):
    assert all_of(db, "SELECT table_name, table_type FROM information_schema.tables WHERE table_schema = current_schema() "
                      "AND table_name <> ALL ('{orders,tickets}') ORDER BY 1") == sorted(
        [(name, "BASE TABLE") for name in NAMES] + [("open_invoice", "VIEW")])
    assert all_of(db, "SELECT column_name, data_type, is_nullable, is_identity FROM information_schema.columns "
                      "WHERE table_schema = current_schema() AND table_name = 'invoice' AND column_name <> 'tenant_id' "
                      "ORDER BY ordinal_position") == [
        ("id", "bigint", "NO", "YES"), ("customer", "bigint", "NO", "NO"), ("total", "numeric", "NO", "NO"),
        ("state", "USER-DEFINED", "NO", "NO"), ("tags", "ARRAY", "NO", "NO"), ("note", "jsonb", "YES", "NO"),
        ("made", "date", "YES", "NO")]


# What Django's introspection asks.
DJANGO_TABLES = """
SELECT c.relname, CASE WHEN c.relispartition THEN 'p' WHEN c.relkind IN ('m', 'v') THEN 'v' ELSE 't' END,
       obj_description(c.oid, 'pg_class')
FROM pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('f', 'm', 'p', 'r', 'v') AND n.nspname NOT IN ('pg_catalog', 'pg_toast')
  AND pg_catalog.pg_table_is_visible(c.oid) AND c.relname <> ALL ('{orders,tickets}') ORDER BY 1"""
DJANGO_RELATIONS = """
SELECT a1.attname, c2.relname, a2.attname FROM pg_constraint con
LEFT JOIN pg_class c1 ON con.conrelid = c1.oid LEFT JOIN pg_class c2 ON con.confrelid = c2.oid
LEFT JOIN pg_attribute a1 ON c1.oid = a1.attrelid AND a1.attnum = con.conkey[cardinality(con.conkey)]
LEFT JOIN pg_attribute a2 ON c2.oid = a2.attrelid AND a2.attnum = con.confkey[cardinality(con.confkey)]
WHERE c1.relname = %s AND con.contype = 'f' AND c1.relnamespace = c2.relnamespace AND pg_catalog.pg_table_is_visible(c1.oid)"""
DJANGO_SEQUENCES = """
SELECT s.relname, a.attname FROM pg_class s JOIN pg_depend d ON d.objid = s.oid AND d.classid = 'pg_class'::regclass
AND d.refclassid = 'pg_class'::regclass JOIN pg_attribute a ON d.refobjid = a.attrelid AND d.refobjsubid = a.attnum
JOIN pg_class tbl ON tbl.oid = d.refobjid AND tbl.relname = %s AND pg_catalog.pg_table_is_visible(tbl.oid) WHERE s.relkind = 'S'"""
DJANGO_CONSTRAINTS = """
SELECT c.conname, c.contype FROM pg_constraint AS c JOIN pg_class AS cl ON c.conrelid = cl.oid
WHERE cl.relname = %s AND pg_catalog.pg_table_is_visible(cl.oid) AND c.contype <> 'n' ORDER BY 1"""


def test_an_orm_looks_around(db):
    assert all_of(db, DJANGO_TABLES) == sorted(
        [(name, "t", "who buys" if name == "customer" else None) for name in NAMES] + [("open_invoice", "v", None)])
    assert all_of(db, DJANGO_RELATIONS, ("invoice",)) == [("customer", "customer", "id")]
    assert all_of(db, DJANGO_SEQUENCES, ("customer",)) == [("customer_id_seq", "id")]
    assert all_of(db, DJANGO_CONSTRAINTS, ("customer",)) == [
        ("customer_credit", "c"), ("customer_email_key", "u"), ("customer_pkey", "p")]


def without(text, *beginnings):
    return "\n".join(line for line in text.splitlines() if not line.startswith(beginnings))


def dumped(app, *options, tenant=None):
    """But for the word of pg_dump's that is another each time."""
    return without(tool(app, "pg_dump", *options, tenant=tenant), "\\restrict", "\\unrestrict")


@pytest.mark.parametrize("kind", OWN)
def test_dumped_and_restored_into_another(applications, aliens, kind):
    """What the tenant's own pg_dump wrote, another's psql reads: a schema's under its new name."""
    app = applications[kind]
    app.begin()
    source, target = app.login(app.tenant), app.login(app.spare)
    only = ["-n", source] if kind == "schema" else []
    with app.connect() as connection:
        connection.execute("SELECT nextval('receipt')")
    dump = dumped(app, *only)
    assert "alien" not in dump and "ada@example.com" in dump
    text = without(dump.replace(source, target), "CREATE SCHEMA", "ALTER SCHEMA")
    tool(app, "psql", "-Xq", "-v", "ON_ERROR_STOP=1", tenant=app.spare, stdin=text)
    with app.connect() as connection, app.connect(app.spare) as restored:
        for look in (LOOK, DJANGO_TABLES, "SELECT id, total_of(id) FROM customer ORDER BY 1", "SELECT last_value FROM receipt"):
            assert all_of(restored, look) == all_of(connection, look)
    again = dumped(app, *[word.replace(source, target) for word in only], tenant=app.spare)
    assert again.replace(target, source) == dump
