"""Fixtures of the integration tests: one PostgreSQL for the session, one database for each test."""

import itertools
import os
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from harness.api import Api  # noqa: E402
from harness.application import KINDS, Applications  # noqa: E402
from harness.control import ADMIN, Control  # noqa: E402
from harness.guard import Guard  # noqa: E402
from harness.guard_login import managed_server  # noqa: E402
from harness.guard_shop import Shop  # noqa: E402
from harness.installation import GUARD  # noqa: E402
from harness.policy import own_keys  # noqa: E402
from harness.postgres import PG18_BIN, Postgres, Template  # noqa: E402
from harness.stand import Stand  # noqa: E402


def pytest_collection_modifyitems(items):
    """Under `make test-workers`, what holds for one worker alone is left out, and under `make test-guard-login` what
    holds for tenants under a seal: each with its reason."""
    left_out = {"one_worker": int(os.environ.get("BULKHEAD_BULKHEAD_WORKERS", "1")) > 1, "sealed": GUARD == "login"}
    for item, name in itertools.product(items, left_out):
        marker = item.get_closest_marker(name)
        if marker and not marker.args:
            raise pytest.UsageError(f"{item.nodeid} is marked {name} and does not say why")
        if marker and left_out[name]:
            item.add_marker(pytest.mark.skip(reason=marker.args[0]))


@pytest.fixture(scope="session")
def template():
    """An initialised cluster to copy; for tests that need a server of their own."""
    template = Template()
    yield template
    template.remove()


@pytest.fixture(scope="session")
def cluster(template):
    cluster = Postgres(template).start()
    yield cluster
    cluster.remove()


@pytest.fixture(scope="session")
def template_18():
    """The same of PostgreSQL 18, where `make pg18` has brought it."""
    if not PG18_BIN.exists():
        pytest.skip("no PostgreSQL 18: make pg18")
    template = Template(PG18_BIN)
    yield template
    template.remove()


@pytest.fixture(scope="session")
def stand_18(template_18):
    """As `stand`, on PostgreSQL 18."""
    stand = Stand(template_18).start()
    yield stand
    stand.remove()


@pytest.fixture
def database(cluster):
    database = cluster.create_database()
    yield database
    database.drop()


@pytest.fixture(scope="session")
def stand(template):
    """PostgreSQL with guard, tenants and a small shop, under standard hardening."""
    stand = Stand(template).start()
    yield stand
    stand.remove()


@pytest.fixture(scope="session")
def strict_stand(template):
    if GUARD == "login":
        pytest.skip("strict hardening takes a superuser")
    stand = Stand(template, hardening="strict").start()
    yield stand
    stand.remove()


@pytest.fixture(scope="session")
def guard_cluster(template):
    """A server for the guard's own tests: its roles belong to a whole server."""
    cluster = Postgres(template, settings={"log_min_messages": "warning"}).start()
    yield cluster
    cluster.remove()


@pytest.fixture(scope="session")
def guard_keys(tmp_path_factory):
    """The folder of keys and passwords that all installations on guard_cluster share."""
    return tmp_path_factory.mktemp("guard") / "keys"


@pytest.fixture(scope="module", params=[15, 18])
def managed(request):
    """A server without a superuser for those who use it, on each version; a module's own, since roles are a server's."""
    with managed_server(request, request.param) as managed:
        yield managed


@pytest.fixture
def unguarded(guard_cluster, guard_original):
    """A database without a guard, on a server that has one elsewhere: guard_keys are there, and so are the roles."""
    database = guard_cluster.create_database()
    yield database
    database.drop()


@pytest.fixture(scope="session")
def guard_original(guard_cluster, guard_keys):
    """An installed guard that nobody connects to, to be cloned."""
    return Guard.install(guard_cluster, guard_keys)


@pytest.fixture
def guard(guard_original):
    """An installed guard in a database of the test's own."""
    guard = guard_original.clone()
    yield guard
    guard.drop()


@pytest.fixture(scope="session")
def shared_guard(guard_original):
    """An installed guard for the many tests that change nothing in it."""
    guard = guard_original.clone()
    yield guard
    guard.drop()


@pytest.fixture(scope="session")
def _pool(shared_guard):
    with shared_guard.connect() as connection:
        yield connection


@pytest.fixture
def pool(_pool):
    """A connection of the pool's login to shared_guard, in nobody's context."""
    _pool.rollback()
    _pool.execute("DISCARD ALL")
    return _pool


@pytest.fixture(scope="session")
def any_shop(guard_original):
    """Two tenants in a guarded database; the test begins and ends its own schema."""
    guard = guard_original.clone()
    shop = Shop(guard)
    shop.sql("CREATE ROLE shop_owner LOGIN")
    yield shop
    shop.close()
    guard.drop()


@pytest.fixture
def shop(any_shop):
    """The same with the empty schema `s`, first in everybody's search_path."""
    any_shop.begin()
    yield any_shop
    any_shop.end()


@pytest.fixture
def owner(shop):
    """A login that may own tables in the schema and is nothing more."""
    shop.sql("GRANT USAGE, CREATE ON SCHEMA s TO shop_owner")
    yield "shop_owner"
    shop.sql("RESET ROLE; ALTER ROLE shop_owner NOBYPASSRLS")


@pytest.fixture(scope="session")
def control_database(stand):
    """A control schema apart from the stand's own; tests use `control`."""
    control = Control(stand)
    yield control
    control.drop()


@pytest.fixture
def control(control_database):
    """The control schema without tenants."""
    control_database.clear()
    return control_database


@pytest.fixture(scope="session")
def tree_api(stand, control_database):
    """The admin API in front of control_database."""
    with Api(stand, control_database.database.name) as api:
        yield api


@pytest.fixture
def root(tree_api, control):
    """An operator of the whole tree, which is empty."""
    return tree_api.client()


@pytest.fixture(scope="module")
def sessions(control_database):
    """Two administrators' and the observer's."""
    with ExitStack() as stack:
        yield [stack.enter_context(connection) for connection in (
            control_database.connect(autocommit=False), control_database.connect(),
            control_database.database.connect())]


@pytest.fixture
def keys(control):
    """Permissions of an application's own: test.flag, test.count and test.words."""
    with own_keys(control):
        yield


@pytest.fixture
def dsn(control):
    """The environment of somebody who manages tenants and is no superuser."""
    return {"CONTROL_DSN": control.database.conninfo(ADMIN)}


@pytest.fixture(scope="session")
def applications(template):
    """The same application over each way of keeping tenants, by its name."""
    applications = Applications(template)
    try:
        yield applications.start()
    finally:
        applications.remove()


@pytest.fixture(scope="session")
def aliens(applications):
    """Whatever is done, the neighbours' rows stay as they are."""
    before = {kind: applications[kind].aliens() for kind in KINDS}
    yield before
    assert {kind: applications[kind].aliens() for kind in KINDS} == before


@pytest.fixture(params=KINDS)
def app(request, applications, aliens):
    """Each of them in turn, with the rows that every test begins with."""
    app = applications[request.param]
    app.begin()
    return app


@pytest.fixture
def db(app):
    """A client of its tenant."""
    with app.connect() as connection:
        yield connection


@pytest.fixture
def other(app):
    """Another client of the same tenant."""
    with app.connect() as connection:
        yield connection
