"""The self-check of every new backend: a server on which the guard would not hold serves nobody, and says why."""

import json
import time

import pytest
from harness.guard import VERSION, Guard
from harness.stand import DATABASE, PRINCIPAL, ROWS
from harness.wire import Wire, WireError, rows

TENANT_LOGIN = "t_" + "0a" * 16

# how to spoil, how to mend, what the log must say
AS_VERSION = "CREATE OR REPLACE FUNCTION bulkhead.guard_version() RETURNS integer LANGUAGE sql IMMUTABLE RETURN"

FAULTS = {
    "an attribute": ("ALTER ROLE bulkhead_pool BYPASSRLS", "ALTER ROLE bulkhead_pool NOBYPASSRLS",
                     "bulkhead_pool has rights that a pool's login must not have"),
    "a superuser": ("ALTER ROLE bulkhead_pool SUPERUSER", "ALTER ROLE bulkhead_pool NOSUPERUSER",
                    "the login may set the tenant context by itself"),
    "a member": ("GRANT pg_read_all_data TO bulkhead_pool", "REVOKE pg_read_all_data FROM bulkhead_pool",
                 "bulkhead_pool is a member of pg_read_all_data"),
    "a member through the group": ("GRANT pg_write_all_data TO bulkhead_app", "REVOKE pg_write_all_data FROM bulkhead_app",
                                   "bulkhead_pool is a member of pg_write_all_data"),
    "a member of the guard": ("GRANT bulkhead_guard TO bulkhead_pool", "REVOKE bulkhead_guard FROM bulkhead_pool",
                              "the login may set the tenant context by itself"),
    "a member of the guard that does not inherit": (
        "ALTER ROLE bulkhead_pool NOINHERIT; GRANT bulkhead_guard TO bulkhead_pool",
        "ALTER ROLE bulkhead_pool INHERIT; REVOKE bulkhead_guard FROM bulkhead_pool",
        "bulkhead_pool is a member of bulkhead_guard"),
    "a member of the tables' owner": ("GRANT shop_owner TO bulkhead_pool", "REVOKE shop_owner FROM bulkhead_pool",
                                      "shop_owner owns table public.orders and 1 more"),
    "settings of its own": ("ALTER ROLE bulkhead_pool SET search_path = pg_temp", "ALTER ROLE bulkhead_pool RESET ALL",
                            "bulkhead_pool has settings of its own; ALTER ROLE bulkhead_pool RESET ALL"),
    "settings of its own in the database": (
        f"ALTER ROLE bulkhead_pool IN DATABASE {DATABASE} SET statement_timeout = '1h'",
        f"ALTER ROLE bulkhead_pool IN DATABASE {DATABASE} RESET ALL",
        f"bulkhead_pool has settings of its own in database {DATABASE}"),
    "another may set the seal": ("GRANT SET ON PARAMETER backtrace_functions TO creator",
                                 "REVOKE SET ON PARAMETER backtrace_functions FROM creator",
                                 "creator may set backtrace_functions"),
    "all may set the seal": ("GRANT SET ON PARAMETER backtrace_functions TO PUBLIC",
                             "REVOKE SET ON PARAMETER backtrace_functions FROM PUBLIC",
                             "the login may set the tenant context by itself"),
    "a seal on new connections": (f"ALTER DATABASE {DATABASE} SET backtrace_functions = 'x'",
                                  f"ALTER DATABASE {DATABASE} RESET backtrace_functions",
                                  "backtrace_functions is not empty on a new connection"),
    "row security off": (f"ALTER DATABASE {DATABASE} SET row_security = off",
                         f"ALTER DATABASE {DATABASE} RESET row_security",
                         "row_security is off on a new connection"),
    "an owner": ("CREATE TABLE mine (); ALTER TABLE mine OWNER TO bulkhead_pool", "DROP TABLE mine",
                 "bulkhead_pool owns table public.mine; let a role"),
    "no right to enter": ("REVOKE EXECUTE ON FUNCTION bulkhead.enter(text, text, text, text, text) FROM bulkhead_pool",
                          "GRANT EXECUTE ON FUNCTION bulkhead.enter(text, text, text, text, text) TO bulkhead_pool",
                          "bulkhead_pool may not call the guard; bulkhead init --pool-login bulkhead_pool"),
    "no right to give up locks": ("REVOKE EXECUTE ON FUNCTION pg_advisory_unlock_all() FROM PUBLIC",
                                  "GRANT EXECUTE ON FUNCTION pg_advisory_unlock_all() TO PUBLIC",
                                  "bulkhead_pool may not call pg_advisory_unlock_all()"),
    "no right to check": ("REVOKE EXECUTE ON FUNCTION bulkhead.self_check() FROM bulkhead_pool",
                          "GRANT EXECUTE ON FUNCTION bulkhead.self_check() TO bulkhead_pool",
                          "permission denied for function self_check"),
    "no way into the guard's schema": ("REVOKE USAGE ON SCHEMA bulkhead FROM PUBLIC",
                                       "GRANT USAGE ON SCHEMA bulkhead TO PUBLIC",
                                       "permission denied for schema bulkhead"),
    "a newer guard": (f"{AS_VERSION} {VERSION + 1}", f"{AS_VERSION} {VERSION}",
                      f"the database has version {VERSION + 1} of the guard, this program needs {VERSION}"),
    "an older guard": (f"{AS_VERSION} {VERSION - 1}", f"{AS_VERSION} {VERSION}",
                       f"the database has version {VERSION - 1} of the guard, this program needs {VERSION}"),
    "no installation": ("CREATE TABLE kept AS SELECT * FROM bulkhead.installation; DELETE FROM bulkhead.installation",
                        "INSERT INTO bulkhead.installation SELECT * FROM kept; DROP TABLE kept",
                        "bulkhead.self_check() gave a NULL; run bulkhead init"),
}

# More of the same kinds, asked of bulkhead.login_faults itself: how to spoil within a transaction, what it says.
VARIANTS = [
    *((f"ALTER ROLE bulkhead_pool {attribute}", "bulkhead_pool has rights that a pool's login must not have; ALTER ROLE "
       "bulkhead_pool NOSUPERUSER NOBYPASSRLS NOCREATEROLE NOCREATEDB NOREPLICATION")
      for attribute in ("SUPERUSER", "BYPASSRLS", "CREATEROLE", "CREATEDB", "REPLICATION")),
    *((f"GRANT {role} TO bulkhead_pool", f"bulkhead_pool is a member of {role}; REVOKE {role} FROM bulkhead_pool, or from "
       "the role in between")
      for role in ("pg_read_all_data", "pg_write_all_data", "pg_monitor", "pg_signal_backend", "pg_execute_server_program",
                   "postgres", "bulkhead_guard", "bulkhead_control", "bulkhead_admin", "bulkhead_sidecar", TENANT_LOGIN,
                   "bypasser", "creator")),
    *((f"{make}; ALTER {what} OWNER TO {owner}", f"{owner} owns {said}; let a role that is no login of a pool's own it")
      for owner in ("bulkhead_pool", "bulkhead_app") for make, what, said in (
          ("CREATE TABLE mine ()", "TABLE mine", "table public.mine"),
          ("CREATE VIEW mine AS SELECT 1", "VIEW mine", "view public.mine"),
          ("CREATE SEQUENCE mine", "SEQUENCE mine", "sequence public.mine"),
          ("CREATE FUNCTION mine() RETURNS int LANGUAGE sql AS 'SELECT 1'", "FUNCTION mine()", "function public.mine()"),
          ("CREATE SCHEMA mine", "SCHEMA mine", "schema mine"),
          ("CREATE DOMAIN mine AS int", "DOMAIN mine", "type public.mine"),
          ('CREATE COLLATION mine FROM "C"', "COLLATION mine", "collation public.mine"),
          ("CREATE PUBLICATION mine", "PUBLICATION mine", "publication mine"),
          ("CREATE SERVER mine FOREIGN DATA WRAPPER nothing", "SERVER mine", "server mine"),
          ("SELECT lo_create(4711)", "LARGE OBJECT 4711", "large object 4711"),
          ("SELECT 1", f"DATABASE {DATABASE}", f"database {DATABASE}"))),
    ("CREATE TABLE a (); ALTER TABLE a OWNER TO bulkhead_pool; CREATE TABLE b (); ALTER TABLE b OWNER TO bulkhead_pool",
     "bulkhead_pool owns table public.a and 1 more; let a role that is no login of a pool's own it"),
    ("GRANT ALTER SYSTEM ON PARAMETER backtrace_functions TO creator", "creator may set backtrace_functions, which only "
     "bulkhead_guard may; REVOKE ALL ON PARAMETER backtrace_functions FROM creator"),
    ("GRANT SET ON PARAMETER backtrace_functions TO PUBLIC", "PUBLIC may set backtrace_functions, which only bulkhead_guard "
     "may; REVOKE ALL ON PARAMETER backtrace_functions FROM PUBLIC"),
]


@pytest.fixture(scope="module")
def spoilt(stand):
    """The stand, with some roles to be members of; each test mends what it spoils."""
    with stand.admin() as admin:
        admin.execute(f"CREATE ROLE {TENANT_LOGIN} LOGIN; CREATE ROLE bypasser BYPASSRLS; CREATE ROLE creator CREATEROLE; "
                      "CREATE FOREIGN DATA WRAPPER nothing; SET client_min_messages = error")
        yield stand, admin
        admin.execute(f"DROP ROLE {TENANT_LOGIN}, bypasser, creator; DROP FOREIGN DATA WRAPPER nothing")


def ask(proxy):
    """How many rows a new session of acme's sees. WireError when it is refused."""
    with Wire.connect("127.0.0.1", proxy.port) as wire:
        wire.login({"user": f"{PRINCIPAL}.acme", "database": DATABASE}, password=proxy.stand.password)
        return int(rows(wire.query("SELECT count(*) FROM orders"))[0][0])


def refusals(proxy):
    """The reasons in the log for which backends were refused."""
    events = [json.loads(line) for line in proxy.log_text().splitlines() if '"backend.refused"' in line]
    return [(event["reason"], event["why"]) for event in events]


def assert_refused(proxy, words):
    with pytest.raises(WireError) as refused:
        ask(proxy)
    assert refused.value.sqlstate == "08001"
    assert refused.value.fields["D"] == "reason=BH-CTX-UNSAFE"
    assert words not in str(refused.value.fields)  # it is for the administrator
    reason, why = refusals(proxy)[-1]
    assert reason == "BH-CTX-UNSAFE" and words in why


def assert_served_soon(proxy):
    deadline = time.monotonic() + 20
    while True:
        try:
            assert ask(proxy) == ROWS
            return
        except WireError:
            assert time.monotonic() < deadline, proxy.log_text()[-2000:]
            time.sleep(0.02)


@pytest.mark.parametrize("case", FAULTS)
def test_a_server_that_fails_the_check_serves_nobody_until_mended(spoilt, case):
    stand, admin = spoilt
    spoil, mend, words = FAULTS[case]
    admin.execute(spoil)
    with stand.proxy(pool={"server_login_retry": "20ms"}) as proxy:
        try:
            assert_refused(proxy, words)
        finally:
            admin.execute(mend)
        assert_served_soon(proxy)


@pytest.mark.parametrize("spoil, fault", VARIANTS)
def test_each_fault_is_found(spoilt, spoil, fault):
    _, admin = spoilt
    faults = "SELECT * FROM bulkhead.login_faults('bulkhead_pool')"
    assert admin.execute(faults).fetchall() == []
    with admin.transaction(force_rollback=True):
        admin.execute(spoil)
        assert (fault,) in admin.execute(faults).fetchall()


def test_a_tenants_own_login_is_no_pools_login(spoilt):
    stand, admin = spoilt
    password = (stand.keys / "pool.password").read_text().strip()
    admin.execute(f"ALTER ROLE {TENANT_LOGIN} PASSWORD '{password}'; GRANT EXECUTE ON FUNCTION bulkhead.self_check(), "
                  f"bulkhead.enter(text, text, text, text, text) TO {TENANT_LOGIN}; GRANT bulkhead_app TO {TENANT_LOGIN}")
    try:
        with stand.proxy(cluster__default={"login": TENANT_LOGIN}) as proxy:
            assert_refused(proxy, f"{TENANT_LOGIN} has the name of a tenant's own login")
    finally:
        admin.execute(f"DROP OWNED BY {TENANT_LOGIN}; REVOKE bulkhead_app FROM {TENANT_LOGIN}")


def test_all_faults_are_told_at_once(spoilt):
    stand, admin = spoilt
    admin.execute("ALTER ROLE bulkhead_pool CREATEDB; GRANT pg_read_all_data TO bulkhead_pool")
    try:
        with stand.proxy() as proxy:
            assert_refused(proxy, "bulkhead_pool has rights that a pool's login must not have")
            assert "bulkhead_pool is a member of pg_read_all_data" in refusals(proxy)[-1][1]
    finally:
        admin.execute("ALTER ROLE bulkhead_pool NOCREATEDB; REVOKE pg_read_all_data FROM bulkhead_pool")


def test_what_tenants_leave_for_a_while_is_no_fault(stand):
    """Temporary objects belong to the pool's login, as long as their sessions last."""
    with stand.proxy() as proxy, proxy.connect("acme") as acme:
        acme.execute("CREATE TEMP TABLE t (x serial PRIMARY KEY, y text); CREATE TEMP VIEW v AS SELECT 1; "
                     "CREATE TYPE pg_temp.kind AS ENUM ('a'); CREATE DOMAIN pg_temp.d AS int; "
                     "CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql AS 'SELECT 1'; "
                     "CREATE STATISTICS pg_temp.s ON x, y FROM t; CREATE COLLATION pg_temp.c FROM \"C\"")
        assert ask(proxy) == ROWS  # on a backend of its own, checked while those are there
        assert len(proxy.backends()) == 2 and refusals(proxy) == []


def test_a_setting_for_everybody_is_no_fault(spoilt):
    stand, admin = spoilt
    admin.execute("ALTER ROLE ALL SET work_mem = '5MB'")
    try:
        with stand.proxy() as proxy:
            assert ask(proxy) == ROWS
    finally:
        admin.execute("ALTER ROLE ALL RESET ALL")


def test_a_key_that_the_server_does_not_know_serves_nobody(stand, tmp_path):
    """Not a matter of the check: enter refuses, and no statement of the client's runs."""
    key = tmp_path / "guard.key"
    key.touch(0o600)
    kid = Guard(stand.postgres.database(DATABASE), stand.keys).kid
    key.write_text(f"{kid} {'A' * 43}=\n")
    with stand.proxy(guard={"key_file": key}) as proxy:
        with pytest.raises(WireError) as refused:
            ask(proxy)
        assert refused.value.sqlstate == "08001"
