"""The suite of protect and unprotect once more, where tenants have logins of their own and nobody is a superuser."""

import pytest
from harness.guard_login import HALF, LoginGuard, LoginShop, managed_server
from test_guard_protect import *  # noqa: F401,F403
from test_guard_protection import *  # noqa: F401,F403

# Cases that arrange what only a member of the tenants' roles can: on these servers, nobody is.
LEFT_OUT = ["a table of the pool's", "a table of the application's group", "a partition of the pool's",
            "test_a_privilege_handed_on_to_others_is_not_taken_behind_their_back"]


@pytest.fixture(autouse=True)
def left_out(request):
    if any(case in request.node.name for case in LEFT_OUT):
        pytest.skip("it takes a member of the tenants' roles")


@pytest.fixture(scope="module", params=[15, 18])
def server(request):
    """Its administrator has BYPASSRLS, as some services give it: tests look at all rows with it."""
    with managed_server(request, request.param, "BYPASSRLS") as server:
        yield server


@pytest.fixture(scope="module")
def any_shop(server, tmp_path_factory):
    database = server.database()
    server.must_init(database, tmp_path_factory.mktemp("login") / "keys")
    shop = LoginShop(LoginGuard(database))
    shop.sql(f"CREATE ROLE shop_owner LOGIN; GRANT shop_owner TO {HALF}")
    yield shop
    shop.close()


@pytest.fixture
def owner(shop):
    """A login that may own tables in the schema; what its tests do with BYPASSRLS, a superuser must allow."""
    shop.sql("GRANT USAGE, CREATE ON SCHEMA s TO shop_owner")
    yield "shop_owner"
    shop.sql("RESET ROLE")
    shop.superuser.execute("ALTER ROLE shop_owner NOBYPASSRLS")


@pytest.fixture
def elsewhere(shop):
    shop.superuser.execute(f"CREATE FOREIGN DATA WRAPPER nothing; GRANT USAGE ON FOREIGN DATA WRAPPER nothing TO "
                           f"{HALF}")
    shop.sql("CREATE SERVER elsewhere FOREIGN DATA WRAPPER nothing")
    yield
    shop.admin.rollback()
    shop.superuser.execute("DROP FOREIGN DATA WRAPPER nothing CASCADE")
