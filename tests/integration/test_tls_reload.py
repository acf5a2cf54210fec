"""Certificates that change while Bulkhead runs, and what `bulkhead check` says about them."""

import shutil
import ssl
import threading
import time

import psycopg
import pytest

from harness.program import FAILED, bulkhead
from harness.stand import DATABASE, PRINCIPAL, ROWS
from harness.tls import listen, make_pki, secure
from harness.wait import wait_for
from harness.wire import rows

KEYS = {"user": f"{PRINCIPAL}.acme", "database": DATABASE}
COUNT = "SELECT count(*) FROM orders"


@pytest.fixture(scope="module")
def pki(tmp_path_factory):
    return make_pki(tmp_path_factory.mktemp("pki"))


class Files:
    """A certificate and its key in places where they are replaced."""

    def __init__(self, folder, certificate):
        folder.mkdir(exist_ok=True)
        self.cert, self.key = folder / "tls.crt", folder / "tls.key"
        self.put(certificate)

    def put(self, certificate):
        """Each of the two as a whole, by a rename."""
        for source, target in ((certificate.key, self.key), (certificate.cert, self.cert)):
            fresh = target.with_suffix(".new")
            shutil.copy(source, fresh)
            fresh.chmod(0o600)
            fresh.rename(target)


@pytest.fixture
def files(tmp_path, pki):
    return Files(tmp_path / "files", pki.server)


def shown(proxy):
    """The certificate that a new connection is shown."""
    with secure(proxy.port) as wire:
        return wire.socket.getpeercert(binary_form=True)


def der(certificate):
    return ssl.PEM_cert_to_DER_cert(certificate.cert.read_text())


def test_a_new_certificate_on_sighup(stand, pki, files):
    with stand.proxy(listen__default=listen(files), bulkhead={"file_check_period": 0}) as proxy:
        with secure(proxy.port) as wire:
            wire.login(KEYS, stand.password)
            files.put(pki.other_server)
            assert shown(proxy) == der(pki.server)
            assert proxy.reload()["changed"] == "tls"
            assert shown(proxy) == der(pki.other_server)
            assert rows(wire.query(COUNT)) == [[str(ROWS)]]
            assert proxy.reload()["changed"] == ""


def test_a_new_certificate_is_noticed(stand, pki, files):
    with stand.proxy(listen__default=listen(files), bulkhead={"file_check_period": "100ms"}) as proxy:
        assert shown(proxy) == der(pki.server)
        files.put(pki.other_server)
        wait_for(lambda: shown(proxy) == der(pki.other_server), "the new certificate")


def test_tls_is_switched_on_and_off(stand, files):
    with stand.proxy(bulkhead={"file_check_period": 0}) as proxy:
        with proxy.connect("acme", sslmode="prefer") as plain:
            assert not plain.pgconn.ssl_in_use
            proxy.reload(listen__default=listen(files, "require"))
            with proxy.connect("acme", sslmode="prefer") as encrypted:
                assert encrypted.pgconn.ssl_in_use
                proxy.reload(listen__default={"client_tls_sslmode": "disable"})
                for connection in (plain, encrypted):
                    assert connection.execute(COUNT).fetchone() == (ROWS,)
            with pytest.raises(psycopg.OperationalError):
                proxy.connect("acme", sslmode="require")


BROKEN = {  # what is done to the files: what is said about it
    "no certificate": (lambda files, _: files.cert.unlink(), "client_tls_cert_file: {cert}: No such file"),
    "no key": (lambda files, _: files.key.unlink(), "client_tls_key_file: {key}: No such file"),
    "not in PEM": (lambda files, _: files.cert.write_text("hello\n"),
                   "client_tls_cert_file: {cert}: holds nothing of that kind in PEM"),
    "empty": (lambda files, _: files.cert.write_text(""),
              "client_tls_cert_file: {cert}: holds nothing of that kind in PEM"),
    "half": (lambda files, _: files.cert.write_text(files.cert.read_text()[:300]), "client_tls_cert_file: {cert}: "),
    "another key": (lambda files, pki: shutil.copy(pki.other_server.key, files.key),
                    "client_tls_key_file: {key}: is not the key of the certificate"),
    "a key for all": (lambda files, _: files.key.chmod(0o644), "client_tls_key_file: {key}: group or others"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_is_no_good_is_not_taken(stand, pki, files, case):
    spoil, said = BROKEN[case]
    said = said.format(cert=files.cert, key=files.key)
    with stand.proxy(listen__default=listen(files), bulkhead={"file_check_period": 0}) as proxy:
        spoil(files, pki)
        line = proxy.reload("serve.reload_failed")["error"]
        assert line.startswith(str(proxy.config)) and said in line
        assert shown(proxy) == der(pki.server)
        done = bulkhead("check", "-c", proxy.config)
        assert (done.returncode, done.stdout) == (FAILED, "") and said in done.stderr
        files.put(pki.other_server)
        assert proxy.reload()["changed"] == "tls"
        assert shown(proxy) == der(pki.other_server)


def test_check_reads_all_files(stand, pki, files):
    with stand.proxy(listen__default=listen(files)) as proxy:
        assert bulkhead("check", "-c", proxy.config).returncode == 0
        proxy.configure(
            listen__default=listen(files, "verify-ca", ca_file=pki.folder / "none", crl_file=pki.ca.cert),
            cluster__default={"server_tls_ca_file": "/nowhere/ca", "server_tls_cert_file": pki.shop.cert,
                              "server_tls_key_file": pki.nobody.key},
            tls={"ciphers": "NO-SUCH", "ciphersuites": "NO-SUCH"})
        done = bulkhead("check", "-c", proxy.config)
        said = [line.split(": ", 1)[1].split(":")[0] for line in done.stderr.splitlines()]
        assert done.returncode == FAILED
        assert said == ["client_tls_ca_file", "client_tls_crl_file", "server_tls_key_file", "server_tls_ca_file",
                        "ciphers", "ciphersuites"]


def test_nothing_is_dropped_while_certificates_change(stand, pki, files):
    """Sessions that stay and logins that come, from eight clients, while the certificate is replaced forty times."""
    failures, over, counts = [], threading.Event(), {"queries": 0, "logins": 0}

    def stay(proxy):
        with proxy.connect("acme", sslmode="require") as connection:
            while not over.is_set():
                assert connection.execute(COUNT).fetchone() == (ROWS,)
                counts["queries"] += 1

    def come(proxy):
        while not over.is_set():
            with proxy.connect("globex", sslmode="verify-ca", sslrootcert=str(pki.ca.cert),
                               channel_binding="require") as connection:
                assert connection.execute(COUNT).fetchone() == (ROWS,)
            counts["logins"] += 1

    def run(work, proxy):
        try:
            work(proxy)
        except Exception as failure:
            failures.append(failure)

    with stand.proxy(listen__default=listen(files), bulkhead={"file_check_period": 0}) as proxy:
        threads = [threading.Thread(target=run, args=(work, proxy)) for work in [stay] * 4 + [come] * 4]
        for thread in threads:
            thread.start()
        for turn in range(40):
            files.put(pki.server if turn % 2 else pki.other_server)
            assert proxy.reload()["changed"] == "tls"
            time.sleep(0.02)
        over.set()
        for thread in threads:
            thread.join()
    assert failures == []
    assert counts["queries"] > 100 and counts["logins"] > 40
