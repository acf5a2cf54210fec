"""Tenants' own logins that have no password: by peer over a unix socket, and by Bulkhead's certificate."""

import os
import pwd
import shutil

import psycopg
import pytest
from harness.cluster_secret import login_of
from harness.own_login import OwnLogins
from harness.postgres import server_user
from harness.stand import ROWS, Stand
from harness.tls import make_pki

ACCOUNT = pwd.getpwuid(os.geteuid()).pw_name  # that Bulkhead runs under here
OWN = ("hooli", "initech", "umbrella")  # by login, schema, database
STRANGER = "soylent"  # whom no map knows


@pytest.fixture(scope="module")
def pki(tmp_path_factory):
    return make_pki(tmp_path_factory.mktemp("pki"))


@pytest.fixture(scope="module", params=[15, 18])
def server(request, pki):
    """Since 16, pg_ident.conf takes patterns of roles; before, a line for each."""
    stand = Stand(request.getfixturevalue("template_18" if request.param == 18 else "template"), guard="sealed").start()
    yield Server(stand, pki, has_patterns=request.param == 18)
    stand.remove()


class Server:
    def __init__(self, stand, pki, has_patterns):
        self.stand, self.pki, self.has_patterns = stand, pki, has_patterns
        self.own = OwnLogins(stand)
        self.own.login("hooli")
        self.own.schema("initech")
        self.own.database("umbrella")
        self.own.login(STRANGER)
        for source, name in ((pki.ca.cert, "ca.crt"), (pki.server.cert, "server.crt"), (pki.server.key, "server.key")):
            target = stand.postgres.data / name
            shutil.copy(source, target)
            target.chmod(0o600)
            if account := server_user():
                os.chown(target, account["user"], account["group"])
        with stand.admin() as admin:
            for name in (*OWN, STRANGER):
                admin.execute(f"ALTER ROLE {self.own.name(name)} PASSWORD NULL")
            admin.execute("ALTER SYSTEM SET ssl_ca_file = 'ca.crt'")
            admin.execute("ALTER SYSTEM SET ssl = on")

    def become(self, method, who=None):
        """How tenants' own logins prove themselves; `who` may be all of them but the stranger."""
        data = self.stand.postgres.data
        (data / "pg_hba.conf").write_text(
            "local all postgres,bulkhead_sidecar,bulkhead_pool trust\n"
            f"local all all {method if method.startswith('peer') else 'reject'}\n"
            "host all postgres,bulkhead_sidecar,bulkhead_pool all scram-sha-256\n"
            f"hostssl all all all {method if method.startswith('cert') else 'reject'}\n")
        names = [self.own.name(name) for name in OWN]
        pattern = "/^t_(" + "|".join(name.removeprefix("t_") for name in names) + ")$"
        (data / "pg_ident.conf").write_text("".join(
            f'tenants {who} "{role}"\n' for role in ([pattern] if self.has_patterns else names)))
        with self.stand.admin() as admin:
            admin.execute("SELECT pg_reload_conf()")

    def over_socket(self):
        return self.stand.proxy(cluster__default={"host": self.stand.postgres.socket_dir}, pool={"server_login_retry": 0})

    def with_certificate(self, certificate):
        files = {"server_tls_cert_file": certificate.cert, "server_tls_key_file": certificate.key} if certificate else {}
        return self.stand.proxy(pool={"server_login_retry": 0}, cluster__default={
            "server_tls_sslmode": "verify-full", "server_tls_ca_file": self.pki.ca.cert, **files})


def is_served(proxy, tenant):
    try:
        with proxy.connect(tenant) as connection:
            login, items = connection.execute("SELECT min(session_user::text), array_agg(item) FROM orders").fetchone()
    except psycopg.OperationalError as refused:
        assert "BH-NET-BACKEND-DOWN" in str(refused)
        return False
    assert len(items) == ROWS and all(item.startswith(f"{tenant} ") for item in items)
    assert login == ("bulkhead_pool" if tenant == "acme" else login_of(proxy.stand.ids[tenant]))
    return True


def served(proxy):
    return [name for name in ("acme", *OWN, STRANGER) if is_served(proxy, name)]


def why(proxy):
    return [event["why"] for event in proxy.events("backend.refused")]


def test_by_peer(server):
    server.become("peer map=tenants", ACCOUNT)
    with server.over_socket() as proxy:
        assert served(proxy) == ["acme", *OWN]
        assert any("Peer authentication failed" in line for line in why(proxy))


def test_by_peer_of_another_account(server):
    server.become("peer map=tenants", "somebody")
    with server.over_socket() as proxy:
        assert served(proxy) == ["acme"]


def test_by_a_certificate_that_a_map_knows(server, pki):
    certificate = pki.ca.issue(f"bulkhead-{server.has_patterns}", common_name="bulkhead")
    server.become("cert map=tenants", "bulkhead")
    with server.with_certificate(certificate) as proxy:
        assert served(proxy) == ["acme", *OWN]


@pytest.mark.parametrize("name", ["shop", "foreign", None])
def test_by_another_certificate(server, pki, name):
    """Of another name, of another authority, and none."""
    server.become("cert map=tenants", "bulkhead")
    with server.with_certificate(name and getattr(pki, name)) as proxy:
        assert not {*OWN, STRANGER} & set(served(proxy))


@pytest.mark.parametrize("tenant", OWN)
def test_a_certificate_of_one_tenant_reaches_no_other(server, pki, tenant):
    """Without a map the name is the login's: what a sidecar of one tenant is given."""
    certificate = pki.ca.issue(f"{tenant}-{server.has_patterns}", common_name=server.own.name(tenant))
    server.become("cert")
    with server.with_certificate(certificate) as proxy:
        assert served(proxy) == ["acme", tenant]
