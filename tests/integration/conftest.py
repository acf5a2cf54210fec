"""Fixtures of the integration tests: one PostgreSQL for the session, one database for each test."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from harness.control import Control  # noqa: E402
from harness.postgres import Postgres, Template  # noqa: E402
from harness.stand import Stand  # noqa: E402


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
    stand = Stand(template, hardening="strict").start()
    yield stand
    stand.remove()


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
