"""A tenant whose database is its own: no guard, its own login, and nobody else is let in."""

import pytest
from harness.wire import WireError, bind, close, describe, errors, execute, parse, rows, sync, why

DATABASE = "own_db"
LOGIN = "own_login"


@pytest.fixture(name="own", scope="module")
def fixture_own(stand):
    with stand.admin("postgres") as admin:
        admin.execute(f"CREATE ROLE {LOGIN} LOGIN")
        admin.execute(f"CREATE DATABASE {DATABASE} OWNER {LOGIN}")
    with stand.admin() as admin:
        admin.execute("INSERT INTO bulkhead_control.cluster (name) VALUES ('own')")
    stand.tenant("owner", cluster="own", strategy="database", no_provision=True)
    stand.tenant("lodger", cluster="own", strategy="database", no_provision=True)
    stand.tenant("sharer", cluster="own")
    stand.tenant("stray", strategy="database", no_provision=True)
    yield {"cluster:own": {"host": stand.postgres.socket_dir, "port": stand.postgres.port, "database": DATABASE,
                           "login": LOGIN, "tenant": "owner"}, "pool": {"default_pool_size": 1}}
    with stand.admin("postgres") as admin:
        admin.execute(f"DROP DATABASE {DATABASE} WITH (FORCE)")
        admin.execute(f"DROP ROLE {LOGIN}")


def refusal(proxy, tenant, dbname=DATABASE):
    with pytest.raises(WireError) as refused:
        proxy.wire(tenant, dbname=dbname).close()
    return why(refused.value.fields)


def test_the_tenant_owns_all_of_it(stand, own):
    with stand.proxy(**own) as proxy, proxy.connect("owner", dbname=DATABASE) as one, \
            proxy.connect("owner", dbname=DATABASE) as other:
        assert one.execute("SELECT current_database(), session_user").fetchone() == (DATABASE, LOGIN)
        one.execute("CREATE SCHEMA mine CREATE TABLE thing (id int PRIMARY KEY)")
        one.execute("INSERT INTO mine.thing VALUES (1)")
        assert other.execute("SELECT id FROM mine.thing").fetchall() == [(1,)]
        one.execute("SET search_path = mine")
        assert other.execute("SHOW search_path").fetchone() == ('"$user", public',)
        assert one.execute("SELECT id FROM thing").fetchall() == [(1,)]
        one.execute("DROP SCHEMA mine CASCADE")


@pytest.mark.parametrize("statement", ["RESET ALL", "DISCARD ALL", "DO 'BEGIN RESET ALL; END'"])
def test_a_reset_goes_back_to_what_the_client_came_with(stand, own, statement):
    with stand.proxy(**own) as proxy, proxy.wire("owner", dbname=DATABASE, TimeZone="Asia/Tokyo",
                                                 application_name="ours") as wire:
        wire.query("SET TimeZone = 'Asia/Karachi'")
        wire.query("SET work_mem = '5MB'")
        wire.query(statement)
        assert rows(wire.query("SELECT current_setting('TimeZone'), current_setting('work_mem'), "
                               "current_setting('application_name')")) == [["Asia/Tokyo", "4MB", "ours"]]


@pytest.mark.parametrize("tenant", ["lodger", "sharer"])
def test_nobody_else_is_let_in(stand, own, tenant):
    with stand.proxy(**own) as proxy:
        assert refusal(proxy, tenant) == ("0A000", "BH-ID-STRATEGY")


def test_it_does_not_go_to_shared_tables(stand, own):
    with stand.proxy(**own) as proxy:
        assert refusal(proxy, "stray", "app") in [("0A000", "BH-ID-STRATEGY"), ("3D000", "BH-ID-DATABASE")]


@pytest.mark.parametrize("right", ["SUPERUSER", "REPLICATION", "CREATEROLE"])
def test_a_login_that_could_reach_others_is_not_used(stand, own, right):
    with stand.admin("postgres") as admin:
        admin.execute(f"ALTER ROLE {LOGIN} {right}")
        try:
            with stand.proxy(**own) as proxy:
                assert refusal(proxy, "owner") == ("08001", "BH-CTX-UNSAFE")
        finally:
            admin.execute(f"ALTER ROLE {LOGIN} NO{right}")


def test_it_ends_with_its_tenant(stand, own):
    with stand.proxy(**own) as proxy, proxy.wire("owner", dbname=DATABASE) as wire:
        wire.query("BEGIN")
        wire.query("SELECT 1")
        stand.command("tenant", "suspend", "owner")
        try:
            assert why(wire.until_end()[-1].fields) == ("57P01", "BH-ID-SUSPENDED")
        finally:
            stand.command("tenant", "resume", "owner")


@pytest.mark.parametrize("says_so", ["SET standard_conforming_strings = off",
                                     "DO $$ BEGIN PERFORM set_config('standard_conforming_strings', 'off', false); END $$"])
def test_strings_of_the_old_kind(stand, own, says_so):
    """Where nobody else's rows are, a session may have its strings read in the old way; it is not read, and pinned."""
    text = r"SELECT 'it\'s; DISCARD ALL; --', $1::text"
    with stand.proxy(**{**own, "pool": {"default_pool_size": 2}}) as proxy, \
            proxy.wire("owner", dbname=DATABASE) as old, proxy.wire("owner", dbname=DATABASE) as other:
        assert not errors(old.query(says_so))
        for _ in range(2):
            for wire, expected in ((old, [["it's; DISCARD ALL; --", "x"]]), (other, None)):
                wire.send(parse(text, "s"), describe("s"), bind(["x"], "s"), execute(), close("s"), sync())
                found = wire.until_ready()
                assert rows(found) == expected if expected else errors(found) == ["42601"], found
            assert rows(old.query(r"SELECT 'a\\b'")) == [[r"a\b"]]
            assert rows(other.query(r"SELECT 'a\\b'")) == [[r"a\\b"]]
        old.query("RESET standard_conforming_strings")
        assert rows(old.query(r"SELECT 'a\\b'")) == [[r"a\\b"]]
        old.query(says_so)
        old.close()
        for _ in range(4):
            assert rows(other.query(r"SELECT 'a\\b'")) == [[r"a\\b"]]
