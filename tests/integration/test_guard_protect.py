"""bulkhead.protect: whatever the table looks like and whatever a tenant says, no foreign row."""

import pytest
from harness.guard import ACME, GLOBEX, refused
from harness.guard_shop import BOTH, IDS, KEYS, assert_apart, assert_open, items


# ---- kinds of tables ----

def test_a_plain_table(shop):
    shop.table("t")
    assert_open(shop, "t")
    shop.protect("t")
    assert_apart(shop, "t")


def test_a_table_with_a_policy_that_shows_everything(shop):
    shop.table("t")
    shop.sql("ALTER TABLE t ENABLE ROW LEVEL SECURITY; CREATE POLICY everything ON t USING (true) WITH CHECK (true)")
    assert_open(shop, "t")
    shop.protect("t")
    assert_apart(shop, "t")
    with refused("42501", "row-level security"):
        shop.acme.execute("INSERT INTO t VALUES (%s, 9, 'acme nine')", (GLOBEX,))
    shop.sql("CREATE POLICY later ON t TO PUBLIC USING (true) WITH CHECK (true)")
    assert_apart(shop, "t")


def test_policies_of_its_own_go_on_narrowing(shop):
    shop.table("t")
    shop.sql("ALTER TABLE t ENABLE ROW LEVEL SECURITY; CREATE POLICY reads ON t FOR SELECT USING (id >= 1); "
             "CREATE POLICY writes ON t FOR INSERT WITH CHECK (id < 100); "
             "CREATE POLICY app ON t FOR UPDATE TO bulkhead_app USING (true); "
             "CREATE POLICY second ON t AS RESTRICTIVE FOR SELECT USING (id = 2)")
    shop.protect("t")
    assert_apart(shop, "t")
    connection = shop.acme
    with connection.transaction(force_rollback=True):
        assert connection.execute("SELECT item FROM t").fetchall() == [("acme two",)]
        connection.execute("INSERT INTO t (id, item) VALUES (99, 'acme more')")
        with refused("42501"), connection.transaction():
            connection.execute("INSERT INTO t (id, item) VALUES (100, 'acme more')")
        assert connection.execute("DELETE FROM t").rowcount == 0  # none of its policies permits it
        assert connection.execute("UPDATE t SET item = item").rowcount == 1


def test_policies_that_slept_stay_the_applications(shop):
    """A table may have policies without row security being on; then they come into force."""
    shop.table("t")
    shop.sql("CREATE POLICY firsts ON t USING (id = 1)")
    shop.protect("t")
    assert shop.acme.execute("SELECT item FROM t").fetchall() == [("acme one",)]


PARTITIONED = """
CREATE TABLE p (tenant_id uuid NOT NULL, id int, item text) PARTITION BY LIST (id);
CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1);
CREATE TABLE p2 PARTITION OF p DEFAULT PARTITION BY RANGE (id);
CREATE TABLE p2a PARTITION OF p2 FOR VALUES FROM (2) TO (50);
"""


def test_a_partitioned_table_and_each_of_its_partitions(shop):
    shop.sql(PARTITIONED)
    shop.fill("p")
    shop.grant("p", "p1", "p2", "p2a")
    assert_open(shop, "p", "p1", "p2", "p2a")
    shop.protect("p")
    assert_apart(shop, "p", "p1", "p2", "p2a", "ONLY p1")
    for table, number in (("p", 3), ("p2", 3), ("p2a", 3), ("p1", 1)):
        with refused("42501", "row-level security"):
            shop.acme.execute(f"INSERT INTO {table} VALUES ('{GLOBEX}', {number}, 'x')")
        connection = shop.acme
        with connection.transaction(force_rollback=True):
            connection.execute(f"INSERT INTO {table} (id, item) VALUES ({number}, 'acme more')")
            assert connection.execute(f"SELECT tenant_id::text FROM {table} WHERE item = 'acme more'").fetchone() == \
                (ACME,)


def test_a_new_partition_is_taken_in_by_protecting_again(shop):
    shop.sql(PARTITIONED)
    shop.protect("p")
    shop.sql("CREATE TABLE p2b PARTITION OF p2 FOR VALUES FROM (50) TO (60); "
             "CREATE TABLE old (tenant_id uuid NOT NULL, id int, item text); "
             "ALTER TABLE p2 ATTACH PARTITION old FOR VALUES FROM (60) TO (70)")
    for tenant in IDS:
        shop.sql(f"INSERT INTO p VALUES ('{IDS[tenant]}', 55, '{tenant} x'), ('{IDS[tenant]}', 66, '{tenant} x')")
    shop.grant("p", "p2b", "old")
    assert_apart(shop, "p")
    assert_open(shop, "p2b", "old")
    shop.protect("p")
    assert_apart(shop, "p", "p2b", "old")


def test_moving_a_row_to_another_partition_keeps_its_tenant(shop):
    shop.sql(PARTITIONED)
    shop.fill("p")
    shop.grant("p")
    shop.protect("p")
    connection = shop.acme
    with connection.transaction(force_rollback=True):
        assert connection.execute("UPDATE p SET id = 3 - id RETURNING item").fetchall() == [("acme one",), ("acme two",)]
        with refused("42501"), connection.transaction():
            connection.execute("UPDATE p SET id = 3 - id, tenant_id = %s", (GLOBEX,))


def test_inheritance_children(shop):
    shop.table("parent")
    shop.sql("CREATE TABLE child (more int) INHERITS (parent); CREATE TABLE grandchild () INHERITS (child)")
    for table in ("child", "grandchild"):
        shop.fill(table)
        shop.grant(table)
    assert_open(shop, "parent", "ONLY parent", "child", "grandchild")
    shop.protect("parent")
    assert_apart(shop, "parent", "ONLY parent", "child", "ONLY child", "grandchild")
    connection = shop.acme
    with connection.transaction(force_rollback=True):
        connection.execute("INSERT INTO grandchild (id, item) VALUES (9, 'acme nine')")
    with refused("42501", "row-level security"):
        shop.acme.execute("INSERT INTO grandchild (tenant_id, id) VALUES (%s, 9)", (GLOBEX,))


COLUMNS = [
    ("uuid", "id"), ("text", "id"), ("varchar", "id"), ("varchar(36)", "id"), ("uuid_domain", "id"),
    ("text_domain", "id"), ('text COLLATE "C"', "id"), ("bigint", "key"), ("integer", "key"), ("smallint", "key"),
    ("text", "key"), ("varchar(10)", "key"), ("bigint_domain", "key"), ('text COLLATE "C"', "key"),
]


@pytest.mark.parametrize("kind, by", COLUMNS)
def test_each_type_of_column(shop, kind, by):
    shop.sql("CREATE DOMAIN id AS uuid; CREATE DOMAIN uuid_domain AS id NOT NULL; "
             "CREATE DOMAIN text_domain AS text CHECK (length(VALUE) = 36); "
             "CREATE DOMAIN bigint_domain AS bigint CHECK (VALUE > 0)")
    shop.table("t", f"owner {kind}", by)
    assert_open(shop, "t")
    shop.protect("t", "owner", by)
    assert_apart(shop, "t")
    values = IDS if by == "id" else KEYS
    connection = shop.acme
    with connection.transaction(force_rollback=True):
        connection.execute("INSERT INTO t (id, item) VALUES (9, 'acme nine')")
        connection.execute("INSERT INTO t VALUES (DEFAULT, 10, 'acme ten')")
        assert connection.execute("SELECT DISTINCT owner::text FROM t").fetchall() == [(values["acme"],)]
    for statement in ("INSERT INTO t VALUES ('{}', 9, 'x')", "UPDATE t SET owner = '{}'"):
        with refused("42501", "row-level security"):
            shop.acme.execute(statement.format(values["globex"]))


def test_a_key_that_is_a_uuid(shop):
    """The application's own uuid, not the tenant's id."""
    mine, other = "aaaaaaaa-0000-4000-8000-00000000000a", "bbbbbbbb-0000-4000-8000-00000000000b"
    shop.table("t", "account uuid", fill=False)
    shop.sql(f"INSERT INTO t VALUES ('{mine}', 1, 'mine'), ('{other}', 1, 'other'), ('{ACME}', 1, 'id')")
    shop.protect("t", "account", "key")
    assert items(shop.tenant("acme", mine), "t") == {"mine"}
    with refused("BH002"):  # whose key is 42
        shop.acme.execute("SELECT * FROM t")


def test_texts_that_differ_a_little_are_different_tenants(shop):
    shop.table("t", "owner text", fill=False)
    alike = ["a", "A", "a ", "á", "a\u0301", "ａ", ""]
    for number, value in enumerate(alike):
        shop.sql("INSERT INTO t VALUES (%s, %s, 'x')", (value, number))
    shop.protect("t", "owner", "key")
    for number, value in enumerate(alike[:-1]):
        assert shop.tenant("acme", value).execute("SELECT id FROM t").fetchall() == [(number,)]


def test_rows_of_nobody_are_seen_by_nobody(shop):
    shop.table("t")
    shop.sql("INSERT INTO t VALUES (NULL, 5, 'nobody')")
    assert "nobody" in items(shop.acme, "t")
    shop.protect("t")
    assert_apart(shop, "t")
    with refused("42501"):
        shop.acme.execute("INSERT INTO t VALUES (NULL, 6, 'x')")


@pytest.mark.parametrize("schema, table, column", [
    ('"My ""odd"" schema"', '"Odd Table""x"', '"Tenant ""Id\'"'),
    ("s", '"select"', '"order"'),
    ("s", '"%I"', '"%s"'),
    ('"Schéma; DROP"', '"' + "t" * 63 + '"', '"' + "c" * 63 + '"'),
])
def test_odd_names(any_shop, schema, table, column):
    shop = any_shop
    shop.begin(schema)
    try:
        plain_column = column[1:-1].replace('""', '"')
        shop.table(f"{schema}.{table}", f"{column} uuid", rest="PARTITION BY LIST (id)", fill=False)
        shop.sql(f'CREATE TABLE {schema}."Part ""1" PARTITION OF {schema}.{table} DEFAULT; '
                 f'GRANT TRUNCATE ON {schema}.{table} TO bulkhead_app')
        shop.grant(f'{schema}."Part ""1"')
        shop.fill(f"{schema}.{table}")
        warnings = shop.protect(f"{schema}.{table}", plain_column)
        assert warnings and all(f'no index starts with column "{plain_column}"' in text for text in warnings)
        assert_apart(shop, f"{schema}.{table}", f'{schema}."Part ""1"')
        with refused("42501"):
            shop.acme.execute(f"TRUNCATE {schema}.{table}")
        shop.unprotect(f"{schema}.{table}")
        assert_open(shop, f"{schema}.{table}", f'{schema}."Part ""1"')
    finally:
        shop.end()


# ---- what a tenant writes ----

@pytest.fixture
def written(shop):
    """A protected table with a key that leaves the tenant out, so that rows of both can collide."""
    shop.table("t")
    shop.sql("ALTER TABLE t ADD COLUMN serial int UNIQUE GENERATED ALWAYS AS IDENTITY")
    shop.protect("t")
    return shop


def everything(shop):
    """All rows, as the administrator sees them."""
    return sorted(shop.sql("SELECT tenant_id::text, id, item FROM t").fetchall())


FOREIGN_WRITES = [
    "INSERT INTO t VALUES ('{globex}', 7, 'x')",
    "INSERT INTO t (id, tenant_id) SELECT 7, '{globex}'",
    "INSERT INTO t VALUES (DEFAULT, 7, 'x'), ('{globex}', 8, 'x')",
    "INSERT INTO t VALUES ('{globex}', 7, 'x') RETURNING *",
    "INSERT INTO t VALUES ('{globex}', 7, 'x') ON CONFLICT DO NOTHING",
    "INSERT INTO t OVERRIDING SYSTEM VALUE VALUES ('{acme}', 7, 'x', 3) ON CONFLICT (serial) DO UPDATE SET item = 'x'",
    "INSERT INTO t OVERRIDING SYSTEM VALUE VALUES ('{acme}', 7, 'x', 1) ON CONFLICT (serial) "
    "DO UPDATE SET tenant_id = '{globex}'",
    "UPDATE t SET tenant_id = '{globex}'",
    "UPDATE t SET tenant_id = '{globex}' WHERE id = 1 RETURNING *",
    "UPDATE t SET (tenant_id, item) = (SELECT '{globex}'::uuid, 'x')",
    "MERGE INTO t USING (VALUES (7)) AS v (n) ON id = n WHEN NOT MATCHED THEN INSERT VALUES ('{globex}', n, 'x')",
    "MERGE INTO t USING (VALUES (1)) AS v (n) ON id = n WHEN MATCHED THEN UPDATE SET tenant_id = '{globex}'",
    "WITH w AS (INSERT INTO t VALUES ('{globex}', 7, 'x') RETURNING id) SELECT * FROM w",
    "DO $$ BEGIN INSERT INTO t VALUES ('{globex}', 7, 'x'); END $$",
]


@pytest.mark.parametrize("statement", FOREIGN_WRITES)
def test_writing_for_another_tenant_is_refused(written, statement):
    before = everything(written)
    with refused("42501", "row-level security"):
        written.acme.execute(statement.format(acme=ACME, globex=GLOBEX))
    assert everything(written) == before


UNSEEN_WRITES = [
    ("UPDATE t SET item = 'x' WHERE tenant_id = '{globex}' RETURNING item", 0),
    ("UPDATE t SET item = 'acme x' RETURNING item", 2),
    ("UPDATE t SET item = 'acme x' FROM t AS other WHERE other.id = t.id", 2),
    ("DELETE FROM t WHERE tenant_id = '{globex}' RETURNING *", 0),
    ("DELETE FROM t", 2),
    ("DELETE FROM t USING t AS other WHERE other.tenant_id <> t.tenant_id", 0),
    ("MERGE INTO t USING (VALUES (1), (2)) AS v (n) ON id = n WHEN MATCHED THEN DELETE", 2),
    ("MERGE INTO t USING (VALUES (1)) AS v (n) ON tenant_id = '{globex}' WHEN MATCHED THEN DELETE", 0),
    ("SELECT * FROM t WHERE tenant_id = '{globex}' FOR UPDATE", 0),
    ("SELECT * FROM t FOR UPDATE", 2),
]


@pytest.mark.parametrize("statement, count", UNSEEN_WRITES)
def test_another_tenants_rows_cannot_be_hit(written, statement, count):
    foreign = [row for row in everything(written) if row[0] == GLOBEX]
    assert written.acme.execute(statement.format(globex=GLOBEX)).rowcount == count
    assert [row for row in everything(written) if row[0] == GLOBEX] == foreign


def test_a_merge_inserts_beside_a_row_that_it_cannot_see(written):
    written.acme.execute("DELETE FROM t WHERE id = 1")
    written.acme.execute("MERGE INTO t USING (VALUES (1)) AS v (n) ON id = n WHEN MATCHED THEN UPDATE SET item = 'x' "
                         "WHEN NOT MATCHED THEN INSERT (id, item) VALUES (n, 'acme new')")
    assert (ACME, 1, "acme new") in everything(written) and (GLOBEX, 1, "globex one") in everything(written)


def test_copy_in_is_refused_and_copy_out_is_ones_own(written):
    acme = written.acme
    with refused("0A000", "COPY FROM not supported with row-level security"):
        with acme.cursor().copy("COPY t (tenant_id, id, item) FROM STDIN") as copy:
            copy.write_row((GLOBEX, 7, "x"))
    with acme.cursor().copy("COPY t (item) TO STDOUT") as copy:
        assert {row[0].split()[0] for row in copy.rows()} == {"acme"}


def test_switching_row_security_off_is_an_error_and_no_way_around(written):
    acme = written.acme
    acme.execute("SET row_security = off")
    with refused("42501", "row-level security"):
        acme.execute("SELECT * FROM t")


def test_a_function_of_a_tenants_sees_no_foreign_row(written):
    """A cheap function in WHERE runs early, but not before row security."""
    acme = written.acme
    acme.execute("CREATE FUNCTION pg_temp.spy(text) RETURNS boolean LANGUAGE plpgsql COST 0.0000001 "
                 "AS $$ BEGIN RAISE NOTICE '%', $1; RETURN true; END $$")
    told = []
    acme.add_notice_handler(handler := lambda said: told.append(said.message_primary))
    acme.execute("SELECT * FROM t WHERE pg_temp.spy(item)")
    acme.remove_notice_handler(handler)
    assert sorted(told) == ["acme one", "acme two"]


def test_statistics_of_the_table_are_closed(shop):
    shop.table("t")
    shop.sql("INSERT INTO t SELECT %s, 3, 'globex secret' FROM generate_series(1, 100)", (GLOBEX,))
    shop.sql("ANALYZE t")
    stats = "SELECT count(*) FROM pg_stats WHERE schemaname = 's' AND tablename = 't'"
    assert shop.acme.execute(stats).fetchone()[0] > 0
    shop.protect("t")
    assert shop.acme.execute(stats).fetchone() == (0,)


def test_a_view_with_the_callers_rights_shows_ones_own(shop):
    shop.table("t")
    shop.protect("t")
    shop.sql("CREATE VIEW v WITH (security_invoker = true) AS SELECT * FROM t; CREATE VIEW w AS SELECT * FROM t")
    shop.grant("v", "w")
    assert_apart(shop, "v")
    assert_open(shop, "w")  # of a superuser's: why protect warns of it


# ---- owners ----

def test_the_owner_is_subject_to_it_unless_it_bypasses(shop, owner):
    shop.table("t")
    shop.sql(f"ALTER TABLE t OWNER TO {owner}")
    with shop.guard.connect(owner, options="-c search_path=s") as connection:
        assert items(connection, "t") == BOTH
        connection.execute("SELECT bulkhead.protect('t', 'tenant_id')")
        with refused("BH001"):
            connection.execute("SELECT * FROM t")
        shop.sql(f"ALTER ROLE {owner} BYPASSRLS")
        assert items(connection, "t") == BOTH
        shop.sql(f"ALTER ROLE {owner} NOBYPASSRLS")
        with refused("BH001"):
            connection.execute("SELECT * FROM t")
        connection.execute("SELECT bulkhead.unprotect('t')")
        assert items(connection, "t") == BOTH


CALLS = ["SELECT bulkhead.protect('s.t', 'tenant_id')", "SELECT bulkhead.unprotect('s.t')",
         "SELECT bulkhead.protect_relation('s.t', 'tenant_id', 'id')", "SELECT bulkhead.unprotect_relation('s.t')",
         "SELECT bulkhead.remember('s.t', 'id')", "SELECT bulkhead.forget('s.t')",
         "SELECT bulkhead.set_policies('s.t', 'tenant_id', 'bulkhead.tenant_id()')",
         "SELECT bulkhead.drop_policies('s.t')",
         "SELECT bulkhead.set_tenant_default('s.t', 'tenant_id', 'NULL')"]


@pytest.mark.parametrize("call", CALLS)
def test_others_than_the_owner_can_change_nothing(shop, owner, call):
    shop.table("t")
    shop.protect("t")
    before = shop.records()
    shop.sql(f"GRANT ALL ON t TO {owner}")
    for connection in (shop.acme, shop.guard.connect(owner)):
        with refused("42501", "must be owner of"):
            connection.execute(call)
    connection.close()
    assert_apart(shop, "t")
    assert shop.records() == before
    shop.sql(f"ALTER TABLE t OWNER TO {owner}")
    with shop.guard.connect(owner) as connection:
        connection.execute(call)


def test_a_function_with_the_owners_rights_unprotects_for_nobody_else(shop, owner):
    shop.table("t")
    shop.protect("t")
    shop.sql(f"ALTER TABLE t OWNER TO {owner}; CREATE FUNCTION s.f() RETURNS void LANGUAGE sql SECURITY DEFINER "
             f"AS $$ SELECT bulkhead.unprotect('s.t') $$; ALTER FUNCTION s.f() OWNER TO {owner}")
    with refused("42501", "must be owner of table"):
        shop.acme.execute("SELECT s.f()")
    assert_apart(shop, "t")
    with shop.guard.connect(owner) as connection:
        connection.execute("SELECT s.f()")
    assert_open(shop, "t")


# ---- what is refused ----

REFUSED = [
    ("a view", "CREATE VIEW t AS SELECT NULL::uuid AS tenant_id", "42809", "is no table"),
    ("a materialized view", "CREATE MATERIALIZED VIEW t AS SELECT NULL::uuid AS tenant_id", "42809", "is no table"),
    ("a sequence", "CREATE SEQUENCE t", "42809", "is no table"),
    ("a foreign table", "CREATE FOREIGN TABLE t (tenant_id uuid) SERVER elsewhere", "42809", "is no table"),
    ("a foreign partition", "CREATE TABLE t (tenant_id uuid) PARTITION BY LIST (tenant_id); "
     "CREATE FOREIGN TABLE f PARTITION OF t DEFAULT SERVER elsewhere", "42809", "f is no table"),
    ("a foreign child", "CREATE TABLE t (tenant_id uuid); CREATE FOREIGN TABLE f () INHERITS (t) SERVER elsewhere",
     "42809", "f is no table"),
    ("a table of the pool's", "CREATE TABLE t (tenant_id uuid); ALTER TABLE t OWNER TO bulkhead_pool", "42501",
     "belongs to bulkhead_pool"),
    ("a table of the application's group", "CREATE TABLE t (tenant_id uuid); ALTER TABLE t OWNER TO bulkhead_app",
     "42501", "belongs to bulkhead_app"),
    ("a partition of the pool's", "CREATE TABLE t (tenant_id uuid) PARTITION BY LIST (tenant_id); CREATE TABLE f "
     "PARTITION OF t DEFAULT; ALTER TABLE f OWNER TO bulkhead_pool", "42501", "f belongs to bulkhead_pool"),
    ("no such column", "CREATE TABLE t (x uuid)", "42703", 'column "tenant_id" of table s.t does not exist'),
    ("a dropped column", "CREATE TABLE t (tenant_id uuid, x int); ALTER TABLE t DROP COLUMN tenant_id", "42703",
     "does not exist"),
    ("another letter case", 'CREATE TABLE t ("Tenant_Id" uuid)', "42703", "does not exist"),
    ("a collation that folds", "CREATE COLLATION ci (provider = icu, locale = 'und-u-ks-level2', deterministic = "
     "false); CREATE TABLE t (tenant_id text COLLATE ci)", "0A000", "takes different texts as equal"),
    ("a domain of a collation that folds", "CREATE COLLATION ci (provider = icu, locale = 'und-u-ks-level2', "
     "deterministic = false); CREATE DOMAIN d AS text COLLATE ci; CREATE TABLE t (tenant_id d)", "0A000",
     "takes different texts as equal"),
    *((kind, f"CREATE TABLE t (tenant_id {kind})", "42804", "cannot hold a tenant's id")
      for kind in ("bigint", "numeric", "char(36)", "name", "bytea", "uuid[]", "jsonb", "timestamptz")),
]


@pytest.fixture
def elsewhere(shop):
    shop.sql("CREATE FOREIGN DATA WRAPPER nothing; CREATE SERVER elsewhere FOREIGN DATA WRAPPER nothing")
    yield
    shop.sql("DROP FOREIGN DATA WRAPPER nothing CASCADE")


@pytest.mark.parametrize("case, make, sqlstate, words", REFUSED, ids=[case[0] for case in REFUSED])
def test_what_cannot_be_protected_is_refused(shop, elsewhere, case, make, sqlstate, words):
    shop.sql(make)
    with refused(sqlstate, words):
        shop.protect("t")
    assert shop.sql("SELECT count(*) FROM pg_policy").fetchone() == (0,)
    assert shop.records() == []


@pytest.mark.parametrize("kind", ["numeric", "char(2)", "real", "name", "oid"])
def test_a_key_column_of_an_unsuited_type_is_refused(shop, kind):
    shop.sql(f"CREATE TABLE t (account {kind})")
    with refused("42804", "cannot hold a tenant's key"):
        shop.protect("t", "account", "key")


@pytest.mark.parametrize("by", ["slug", "", "ID", None])
def test_by_is_id_or_key(shop, by):
    shop.table("t")
    with refused("22023", "by is 'id' or 'key'"):
        shop.protect("t", by=by)
    assert_open(shop, "t")


def test_no_table_and_no_column_are_refused(shop):
    shop.table("t")
    for arguments, sqlstate in (((None,), "42P01"), (("999999",), "42P01"), (("t", None), "42703"),
                                (("t", "ctid"), "42703")):
        with refused(sqlstate):
            shop.protect(*arguments)
    assert_open(shop, "t")


def test_a_rolled_back_protection_was_never_there(shop):
    shop.table("t")
    with shop.admin.transaction(force_rollback=True):
        shop.protect("t")
    assert_open(shop, "t")
    with refused("55000", "is not protected"):
        shop.unprotect("t")
