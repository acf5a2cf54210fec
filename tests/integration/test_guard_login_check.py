"""The self-checks of tenants' own logins: on shared tables, in a schema of one's own, in a database of one's own."""

import re
import time

import pytest
from harness.guard import ACME, GLOBEX, must_init, refused
from harness.guard_login import HALF, login_of, make_login
from harness.program import ROOT

A, G = login_of(ACME), login_of(GLOBEX)
TENANT_CHECK = (ROOT / "policy/guard/tenant_check.sql").read_text()


def faults(connection):
    return connection.execute("SELECT faults FROM bulkhead.login_check()").fetchone()[0]


# ---- on shared tables ----

@pytest.fixture(name="shared", scope="module", params=["login", "sealed"])
def fixture_shared(request, managed, tmp_path_factory):
    """A database with either guard, and a superuser to spoil acme's login."""
    database = managed.database()
    keys = tmp_path_factory.getbasetemp() / f"check-{managed.major}"
    with managed.postgres.connect(database.name) as superuser:
        if request.param == "sealed":
            if superuser.execute("SELECT to_regrole('bulkhead_guard') IS NOT NULL").fetchone()[0]:
                superuser.execute(f"REVOKE bulkhead_guard FROM {HALF}")  # who made the role, since PostgreSQL 16
            must_init("--dsn", database.conninfo(), "--keys", keys)
        else:
            managed.let_half_manage()
            managed.must_init(database, keys)
        superuser.execute("DROP ROLE IF EXISTS holder, owner; CREATE ROLE holder; CREATE ROLE owner")
        make_login(superuser, ACME)
        make_login(superuser, GLOBEX)
        yield database, superuser
    database.drop()


SPOILT = {
    "superuser": ("ALTER ROLE {a} SUPERUSER", "has rights that a tenant's login must not have"),
    "bypassrls": ("ALTER ROLE {a} BYPASSRLS", "has rights that a tenant's login must not have"),
    "createrole": ("ALTER ROLE {a} CREATEROLE", "has rights that a tenant's login must not have"),
    "createdb": ("ALTER ROLE {a} CREATEDB", "has rights that a tenant's login must not have"),
    "replication": ("ALTER ROLE {a} REPLICATION", "has rights that a tenant's login must not have"),
    "another tenant": ("GRANT {g} TO {a}", "{a} is a member of {g}; REVOKE {g} FROM {a}"),
    "a harmless group": ("GRANT holder TO {a}", "{a} is a member of holder"),
    "the guard": ("GRANT bulkhead_guard TO {a}", "{a} is a member of bulkhead_guard"),
    "all data": ("GRANT pg_read_all_data TO {a}", "{a} is a member of pg_read_all_data"),
    "through the group": ("GRANT pg_write_all_data TO bulkhead_app",
                          "{a} is a member of pg_write_all_data, through bulkhead_app"),
    "admin of the group": ("GRANT bulkhead_app TO {a} WITH ADMIN OPTION", "{a} may let others into bulkhead_app"),
    "not in the group": ("REVOKE bulkhead_app FROM {a}", "{a} has not the rights of bulkhead_app; GRANT bulkhead_app "
                                                         "TO {a}"),
    "noinherit": ("ALTER ROLE {a} NOINHERIT; REVOKE bulkhead_app FROM {a}; GRANT bulkhead_app TO {a}",
                  "has not the rights of"),
    "owner of a table": ("CREATE TABLE mine (); ALTER TABLE mine OWNER TO {a}", "{a} owns table public.mine"),
    "owner of a schema": ("CREATE SCHEMA mine AUTHORIZATION {a}", "{a} owns schema mine"),
    "its group owns": ("CREATE TABLE mine (); ALTER TABLE mine OWNER TO bulkhead_app",
                       "bulkhead_app owns table public.mine"),
    "owner of the database": ("ALTER DATABASE {database} OWNER TO {a}", "{a} owns database"),
    "settings": ("ALTER ROLE {a} SET work_mem = '5MB'", "{a} has settings of its own; ALTER ROLE {a} RESET ALL"),
    "settings here": ("ALTER ROLE {a} IN DATABASE {database} SET work_mem = '5MB'",
                      "{a} has settings of its own in database"),
    "keys": ("GRANT EXECUTE ON FUNCTION bulkhead.set_login_key(uuid, text) TO {a}",
             "{a} may call bulkhead.set_login_key"),
    "everybody's keys": ("GRANT EXECUTE ON FUNCTION bulkhead.drop_login_key(uuid) TO PUBLIC",
                         "{a} may call bulkhead.drop_login_key"),
    "a parameter": ("GRANT SET ON PARAMETER session_replication_role TO {a}", "{a} may set session_replication_role"),
    "everybody's parameter": ("GRANT SET ON PARAMETER log_statement TO PUBLIC", "PUBLIC may set log_statement"),
    "another's seal": ("GRANT SET ON PARAMETER backtrace_functions TO holder", "holder may set backtrace_functions"),
    "locks": ("REVOKE EXECUTE ON FUNCTION pg_advisory_unlock_all() FROM PUBLIC",
              "may not call pg_advisory_unlock_all()"),
}


@pytest.mark.parametrize("case", SPOILT)
def test_each_fault_of_a_login_is_told(shared, case):
    database, superuser = shared
    spoil, words = (text.format(a=A, g=G, database=f'"{database.name}"') for text in SPOILT[case])
    asked = f"SELECT string_agg(f, '; ') FROM bulkhead.tenant_login_faults('{A}') AS f"
    assert superuser.execute(asked).fetchone() == (None,)
    with superuser.transaction(force_rollback=True):
        superuser.execute(spoil)
        assert words in superuser.execute(asked).fetchone()[0]
    assert superuser.execute(asked).fetchone() == (None,)


def test_the_right_to_enter_is_a_fault(shared):
    database, superuser = shared
    if superuser.execute("SELECT bulkhead.guard_mode()").fetchone() != ("sealed",):
        pytest.skip("there is no enter")
    with superuser.transaction(force_rollback=True):
        superuser.execute(f"GRANT EXECUTE ON FUNCTION bulkhead.enter(text, text, text, text, text) TO {A}")
        assert "may call bulkhead.enter" in superuser.execute(
            f"SELECT string_agg(f, '; ') FROM bulkhead.tenant_login_faults('{A}') AS f").fetchone()[0]


def test_a_sound_login_passes_and_is_told_about_itself(shared):
    database, _ = shared
    with database.connect(A) as acme:
        row = acme.execute("SELECT * FROM bulkhead.login_check()").fetchone()
        assert row == (str(acme.info.server_version), A, "", "on", "3", "")


@pytest.mark.parametrize("leaving", ["CREATE TEMP TABLE t (x serial PRIMARY KEY); CREATE TEMP VIEW v AS SELECT 1",
                                     "CREATE TYPE pg_temp.kind AS ENUM ('a'); CREATE FUNCTION pg_temp.f() RETURNS int "
                                     "LANGUAGE sql AS 'SELECT 1'",
                                     "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC",
                                     "SET ROLE bulkhead_app; CREATE TEMP TABLE t (); ALTER ROLE bulkhead_app SET "
                                     "work_mem = '1MB'"])
def test_what_sessions_leave_for_a_while_is_no_fault(shared, leaving):
    database, superuser = shared
    with database.connect(A) as acme:
        acme.execute(leaving)
        with database.connect(A) as other:
            assert faults(other) == ""
    superuser.execute(f"ALTER ROLE bulkhead_app RESET ALL; ALTER DEFAULT PRIVILEGES FOR ROLE {A} REVOKE SELECT ON "
                      f"TABLES FROM PUBLIC")


def test_no_tenant_stops_others_with_large_objects(shared):
    database, superuser = shared
    if superuser.execute("SELECT bulkhead.guard_mode()").fetchone() == ("sealed",):
        pytest.skip("hardening has taken their functions")
    with database.connect(A) as acme:
        made = [acme.execute("SELECT lo_create(0)").fetchone()[0]]
        acme.execute("SET ROLE bulkhead_app")
        made += [acme.execute("SELECT lo_create(0)").fetchone()[0]]
        for login in (A, G):
            with database.connect(login) as other:
                assert faults(other) == ""
    for one in made:
        superuser.execute(f"SELECT lo_unlink({one})")


def test_a_setting_that_was_put_back_still_holds_in_the_session(shared):
    database, _ = shared
    with database.connect(A) as acme:
        acme.execute(f"ALTER ROLE {A} SET row_security = off")
        with database.connect(A) as other:
            acme.execute(f"ALTER ROLE {A} RESET ALL")
            assert faults(other) == "this session began with a setting of its login, row_security"
            assert other.execute("SELECT row_security FROM bulkhead.login_check()").fetchone() == ("off",)


def test_others_than_tenants_are_told_so(shared):
    database, superuser = shared
    superuser.execute("CREATE ROLE plain_login LOGIN IN ROLE bulkhead_app")
    try:
        with database.connect("plain_login") as other:
            assert faults(other) == "plain_login is no tenant's own login"
    finally:
        superuser.execute("DROP ROLE plain_login")


def test_it_cannot_be_lured(shared):
    """Its names are bound; what the session calls and makes does not come before them."""
    database, _ = shared
    with database.connect(A) as acme:
        acme.execute("CREATE TEMP TABLE pg_roles (rolname name); CREATE FUNCTION pg_temp.current_setting(text) "
                     "RETURNS text "
                     "LANGUAGE sql AS $$ SELECT 'x' $$; SET search_path = pg_temp, pg_catalog, bulkhead")
        assert acme.execute("SELECT login, context, faults FROM bulkhead.login_check()").fetchone() == (A, "", "")


# ---- a schema or a database of one's own ----

def check(connection):
    version, login, found = connection.execute(TENANT_CHECK).fetchone()
    assert (version, login) == (str(connection.info.server_version), connection.info.user)
    return found


@pytest.fixture(name="own", scope="module")
def fixture_own(managed):
    """A shared database in which acme and globex have schemas, and a database of acme's; a superuser to spoil them."""
    database = managed.database()
    with managed.postgres.connect(database.name) as superuser:
        superuser.execute("DROP ROLE IF EXISTS bulkhead_tenants, apart, elder; CREATE ROLE bulkhead_tenants; CREATE "
                          "ROLE elder; "
                          "REVOKE ALL ON SCHEMA public FROM PUBLIC; CREATE SCHEMA common; "
                          "GRANT USAGE ON SCHEMA common TO bulkhead_tenants")
        superuser.execute(f"CREATE ROLE {D} LOGIN IN ROLE bulkhead_tenants")
        for login in (S, OTHER):
            superuser.execute(f"CREATE ROLE {login} LOGIN IN ROLE bulkhead_tenants; CREATE SCHEMA {login} "
                              f"AUTHORIZATION {login}; "
                              f"ALTER ROLE {login} SET search_path = {login}")
            with database.connect(login) as tenant:
                tenant.execute("CREATE TABLE t (id serial PRIMARY KEY, x text); CREATE VIEW v AS SELECT * FROM t; "
                               "CREATE TYPE pair AS (a int, b int); CREATE DOMAIN d AS int; CREATE FUNCTION f() "
                               "RETURNS int "
                               "LANGUAGE sql AS 'SELECT 1'; CREATE COLLATION c FROM \"C\"; CREATE STATISTICS s ON "
                               "id, x FROM t; "
                               "CREATE TEXT SEARCH CONFIGURATION ts (COPY = simple); CREATE OPERATOR === "
                               "(leftarg = int, rightarg = int, function = int4eq)")
        superuser.execute(f"CREATE DATABASE {D}")
        superuser.execute(f"REVOKE ALL ON DATABASE {D} FROM PUBLIC; GRANT CONNECT, TEMPORARY ON DATABASE {D} TO {D}")
        with managed.postgres.connect(D) as inside:
            inside.execute(f"ALTER SCHEMA public OWNER TO {D}")
            yield {"schema": (database, superuser, S), "database": (managed.postgres.database(D), inside, D)}
        superuser.execute(f"DROP DATABASE {D} WITH (FORCE)")
        for login in (S, OTHER, D):
            superuser.execute(f"DROP OWNED BY {login} CASCADE; DROP ROLE {login}")
        superuser.execute("DROP OWNED BY bulkhead_tenants; DROP ROLE bulkhead_tenants, elder")
    database.drop()


S, OTHER, D = "t_" + "5c" * 16, "t_" + "6d" * 16, "t_" + "7e" * 16

EVERYWHERE = {
    "superuser": ("ALTER ROLE {s} SUPERUSER", "ALTER ROLE {s} NOSUPERUSER", "rights beyond"),
    "bypassrls": ("ALTER ROLE {s} BYPASSRLS", "ALTER ROLE {s} NOBYPASSRLS", "rights beyond"),
    "createrole": ("ALTER ROLE {s} CREATEROLE", "ALTER ROLE {s} NOCREATEROLE", "rights beyond"),
    "createdb": ("ALTER ROLE {s} CREATEDB", "ALTER ROLE {s} NOCREATEDB", "rights beyond"),
    "replication": ("ALTER ROLE {s} REPLICATION", "ALTER ROLE {s} NOREPLICATION", "rights beyond"),
    "another tenant": ("GRANT {o} TO {s}", "REVOKE {o} FROM {s}", "{s} is a member of {o}"),
    "the application": ("GRANT elder TO {s}", "REVOKE elder FROM {s}", "{s} is a member of elder"),
    "all data": ("GRANT pg_read_all_data TO {s}", "REVOKE pg_read_all_data FROM {s}",
                 "is a member of pg_read_all_data"),
    "through the group": ("GRANT pg_monitor TO bulkhead_tenants", "REVOKE pg_monitor FROM bulkhead_tenants",
                          "bulkhead_tenants is a member of pg_monitor"),
    "admin": ("GRANT bulkhead_tenants TO {s} WITH ADMIN OPTION", "REVOKE ADMIN OPTION FOR bulkhead_tenants FROM {s}",
              "{s} is a member of bulkhead_tenants"),
    "settings": ("ALTER ROLE {s} SET work_mem = '5MB'", "ALTER ROLE {s} RESET work_mem", "settings of its own"),
    "search_path": ("ALTER ROLE {s} SET search_path = {o}", "ALTER ROLE {s} SET search_path = {s}",
                    "settings of its own"),
    "a parameter": ("GRANT SET ON PARAMETER backtrace_functions TO {s}",
                    "REVOKE SET ON PARAMETER backtrace_functions FROM {s}",
                    "it may set backtrace_functions"),
    "everybody's": ("GRANT SET ON PARAMETER backtrace_functions TO PUBLIC",
                    "REVOKE SET ON PARAMETER backtrace_functions FROM PUBLIC", "it may set backtrace_functions"),
    "a database": ("ALTER DATABASE {database} OWNER TO {s}", "ALTER DATABASE {database} OWNER TO postgres; "
                   "GRANT CONNECT ON DATABASE {database} TO {s}", "it owns database"),
}
SCHEMA = {
    "a table": ("CREATE TABLE common.x (); ALTER TABLE common.x OWNER TO {s}", "DROP TABLE common.x",
                "it owns table common.x"),
    "a table of another's": ("CREATE TABLE {o}.x (); ALTER TABLE {o}.x OWNER TO {s}", "DROP TABLE {o}.x",
                             "it owns table {o}.x"),
    "a function": ("CREATE FUNCTION common.x() RETURNS int LANGUAGE sql AS 'SELECT 1'; ALTER FUNCTION common.x() "
                   "OWNER TO {s}",
                   "DROP FUNCTION common.x()", "it owns function common.x()"),
    "a type": ("CREATE DOMAIN common.x AS int; ALTER DOMAIN common.x OWNER TO {s}", "DROP DOMAIN common.x",
               "it owns type common.x"),
    "a collation": ('CREATE COLLATION common.x FROM "C"; ALTER COLLATION common.x OWNER TO {s}',
                    "DROP COLLATION common.x",
                    "it owns collation common.x"),
    "a schema": ("CREATE SCHEMA x AUTHORIZATION {s}", "DROP SCHEMA x", "it owns schema x"),
    "a publication": ("CREATE PUBLICATION x; ALTER DATABASE {database} OWNER TO {s}; ALTER PUBLICATION x OWNER TO {s}; "
                      "ALTER DATABASE {database} OWNER TO postgres", "DROP PUBLICATION x", "it owns publication x"),
    "public": ("GRANT USAGE ON SCHEMA public TO PUBLIC", "REVOKE USAGE ON SCHEMA public FROM PUBLIC",
               "it has usage on schema public"),
    "the application's": ("CREATE SCHEMA app; GRANT USAGE ON SCHEMA app TO {s}", "DROP SCHEMA app",
                          "it has usage on schema app"),
    "making for all": ("GRANT CREATE ON SCHEMA common TO bulkhead_tenants",
                       "REVOKE CREATE ON SCHEMA common FROM bulkhead_tenants",
                       "it has create on schema common"),
    "making schemas": ("GRANT CREATE ON DATABASE {database} TO {s}", "REVOKE CREATE ON DATABASE {database} FROM {s}",
                       "it may create schemas"),
}
DATABASE = {
    "everybody": ("GRANT CONNECT ON DATABASE {database} TO PUBLIC", "REVOKE CONNECT ON DATABASE {database} FROM PUBLIC",
                  "others may connect to its database, PUBLIC"),
    "one other": ("GRANT CONNECT ON DATABASE {database} TO {o}", "REVOKE CONNECT ON DATABASE {database} FROM {o}",
                  "others may connect to its database, {o}"),
}


@pytest.mark.parametrize("where, case", [(where, case) for where in ("schema", "database") for case in EVERYWHERE] +
                         [("schema", case) for case in SCHEMA] + [("database", case) for case in DATABASE])
def test_each_fault_of_a_tenant_is_told(own, where, case):
    database, superuser, login = own[where]
    spoil, mend, words = (text.format(s=login, o=OTHER, database=f'"{database.name}"')
                          for text in (EVERYWHERE | SCHEMA | DATABASE)[case])
    with database.connect(login) as tenant:
        assert check(tenant) == ""
        try:
            superuser.execute(spoil)
            assert words in check(tenant)
        finally:
            superuser.execute(mend)
        assert check(tenant) == ""


def test_what_is_in_another_database_counts(own):
    (shared, superuser, _), (mine, inside, _) = own["schema"], own["database"]
    with shared.connect(S) as tenant:
        assert check(tenant) == ""
        inside.execute(f"CREATE TABLE public.t (); ALTER TABLE public.t OWNER TO {S}")
        assert check(tenant) == "it owns something in another database"
        inside.execute("DROP TABLE public.t")
    with mine.connect(D) as tenant:
        assert check(tenant) == ""
        superuser.execute(f"CREATE SCHEMA {D} AUTHORIZATION {D}")
        assert check(tenant) == "it owns something in another database"
        superuser.execute(f"DROP SCHEMA {D}")


def test_it_may_do_what_it_likes_in_its_database(own):
    mine, inside, _ = own["database"]
    inside.execute(f"CREATE SCHEMA more AUTHORIZATION {D}; GRANT CREATE ON DATABASE {D} TO {D}")
    with mine.connect(D) as tenant:
        tenant.execute("CREATE TABLE public.t (); CREATE TABLE more.t (); GRANT USAGE ON SCHEMA more TO PUBLIC; "
                       "CREATE SCHEMA third; SELECT lo_create(0)")
        assert check(tenant) == ""


def test_no_tenant_stands_in_anothers_way(own):
    """What a tenant may do with its own schema must not have others' logins refused."""
    database, _, _ = own["schema"]
    with database.connect(OTHER) as other, database.connect(S) as tenant:
        other.execute(f"GRANT ALL ON SCHEMA {OTHER} TO PUBLIC, bulkhead_tenants, {S}; "
                      f"ALTER TABLE {OTHER}.t OWNER TO bulkhead_tenants")
        assert check(tenant) == ""
        for statement in (f"GRANT {OTHER} TO {S}", f"ALTER VIEW v OWNER TO {S}",
                          f"ALTER ROLE {S} SET work_mem = '1MB'"):
            with refused("42501"):
                other.execute(statement)
        assert check(tenant) == ""


@pytest.mark.parametrize("trap", [
    "CREATE OPERATOR {s}.= (leftarg = name, rightarg = name, function = {s}.never); SET search_path = {s}, pg_catalog",
    "CREATE FUNCTION {s}.concat_ws(text, VARIADIC text[]) RETURNS text LANGUAGE sql AS $$ SELECT '' $$; "
    "SET search_path = {s}, pg_catalog",
    "CREATE TABLE {s}.pg_roles (rolname name); SET search_path = {s}, pg_catalog",
])
def test_what_a_tenant_has_in_its_schema_does_not_bend_it(own, trap):
    database, superuser, _ = own["schema"]
    superuser.execute("ALTER ROLE " + S + " CREATEDB")
    try:
        with database.connect(S) as tenant:
            tenant.execute(f"CREATE OR REPLACE FUNCTION {S}.never(name, name) RETURNS boolean LANGUAGE sql AS "
                           f"'SELECT false'")
            with tenant.transaction(force_rollback=True):
                tenant.execute(trap.format(s=S))
                assert "rights beyond" in check(tenant)
    finally:
        superuser.execute("ALTER ROLE " + S + " NOCREATEDB")


def test_strict_hardening_does_not_stand_in_its_way(managed, own):
    """The catalogues that strict takes away are not among those that it reads."""
    taken = (ROOT / "policy/guard/hardening_list.sql").read_text()
    names = {name.replace("\\", "").rstrip("%(") for name in re.findall(r"'([a-z\\_]+)[%(']", taken)}
    for name in set(re.findall(r"pg_catalog\.(\w+)", TENANT_CHECK)):
        assert not [one for one in names if one and name.startswith(one)], name


def test_checks_take_no_longer_with_many_tenants(managed, own):
    """A thousand roles, and a schema with two hundred tables."""
    database, superuser, _ = own["schema"]
    superuser.execute("DO $$ BEGIN FOR n IN 1 .. 1000 LOOP EXECUTE format('CREATE ROLE t_%s LOGIN IN ROLE "
                      "bulkhead_tenants', "
                      "lpad(n::text, 32, '0')); EXECUTE format('CREATE SCHEMA AUTHORIZATION t_%s', lpad(n::text, 32, "
                      "'0')); "
                      "END LOOP; END $$; ANALYZE pg_authid, pg_auth_members, pg_namespace, pg_shdepend")
    try:
        with database.connect(S) as tenant:
            tenant.execute("DO $$ BEGIN FOR n IN 1 .. 200 LOOP EXECUTE format('CREATE TABLE many_%s (x int)', n); "
                           "END LOOP; END $$")
            took = []
            for _ in range(5):
                before = time.monotonic()
                assert check(tenant) == ""
                took.append(time.monotonic() - before)
            print(f"{1000 * min(took):.1f} ms")
            assert min(took) < 0.1
    finally:
        superuser.execute("DO $$ BEGIN FOR n IN 1 .. 1000 LOOP EXECUTE format('DROP SCHEMA t_%1$s; DROP ROLE t_%1$s', "
                          "lpad(n::text, 32, '0')); END LOOP; END $$")
