"""Rights that reach a pool's login by a detour: through a group, or from an installation before this one."""

import psycopg
import pytest
from harness.guard import POOL, assert_enters, must_init, refused
from harness.guard_shop import items


@pytest.mark.parametrize("privilege", ["ALL", "TRUNCATE"])
def test_privileges_of_a_group_that_the_pool_belongs_to_are_taken(shop, privilege):
    """The ordinary set-up of an application before Bulkhead: GRANT ALL to a role of its own."""
    shop.sql("CREATE ROLE app_rw NOLOGIN; CREATE ROLE app_all NOLOGIN; GRANT app_all TO app_rw; GRANT app_rw TO bulkhead_pool")
    try:
        shop.table("t")
        shop.sql(f"GRANT {privilege} ON t TO app_all")
        with shop.acme.transaction(force_rollback=True):
            shop.acme.execute("TRUNCATE t")
        shop.protect("t")
        with refused("42501", "permission denied for table t"):
            shop.acme.execute("TRUNCATE t")
        assert items(shop.globex, "t") == {"globex"}
        shop.sql("SELECT bulkhead.unprotect('t')")
        with shop.acme.transaction(force_rollback=True):
            shop.acme.execute("TRUNCATE t")
    finally:
        shop.sql("DROP OWNED BY app_rw, app_all CASCADE; DROP ROLE app_rw, app_all")


def test_a_table_of_a_group_that_the_pool_belongs_to_is_not_protected(shop):
    shop.sql("CREATE ROLE app_rw NOLOGIN; GRANT app_rw TO bulkhead_pool")
    try:
        shop.table("t")
        shop.sql("ALTER TABLE t OWNER TO app_rw")
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="tenants' statements run as"):
            shop.protect("t")
    finally:
        shop.sql("DROP OWNED BY app_rw CASCADE; DROP ROLE app_rw")


def test_an_earlier_pools_login_cannot_enter_any_more(guard, guard_keys):
    with guard.connect(POOL) as earlier:
        assert_enters(guard, earlier)
        must_init("--dsn", guard.database.conninfo(), "--keys", guard_keys, "--pool-login", "second_pool")
        earlier.execute("RESET ALL")
        with refused("42501", "permission denied for function enter"):
            assert_enters(guard, earlier)
    with guard.connect("second_pool") as later:
        assert_enters(guard, later)
    must_init("--dsn", guard.database.conninfo(), "--keys", guard_keys)
    with guard.connect(POOL) as again:
        assert_enters(guard, again)
