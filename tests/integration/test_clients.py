"""
Client libraries live their lives through two backends as two tenants at once: the quick scripts of tests/clients.

`make test-clients` runs them all.
"""

import pytest
from harness.client_table import CLIENTS
from harness.clients import ground
from harness.tls_clients import CLIENTS as TLS_CLIENTS
from harness.tls_clients import TlsGround


@pytest.fixture(scope="module")
def place(template):
    with ground(template) as place:
        yield place


# What takes long and is much like another; make test-clients runs them as well.
LATER = ("psycopg2", "sqlalchemy", "pgbench")


@pytest.mark.parametrize("client", [
    pytest.param(client, id=client.name, marks=pytest.mark.longer if client.name in LATER else ())
    for client in CLIENTS if client.quick])
def test_a_client_library_sees_no_difference(place, client):
    report = place.play(client)
    assert not report.broken(), "a script fails on PostgreSQL itself"
    assert not report.defects()


@pytest.fixture(scope="module")
def tls_ground(template):
    with TlsGround(template) as ground:
        yield ground


@pytest.mark.parametrize("client", [client for client in TLS_CLIENTS if client.quick], ids=lambda client: client.name)
def test_a_client_library_over_tls(tls_ground, client):
    """Every way to ask for TLS in each mode of the listener, and certificates that are no good."""
    assert not tls_ground.play(client)
