"""Authorities and certificates for tests, made by the openssl command (ECDSA, as its keys are drawn in no time).

    ca = Authority(folder, "ca")
    server = ca.issue("server", names=["DNS:localhost", "IP:127.0.0.1"])      # .cert and .key are paths
    ca.revoke(server); ca.write_list()                                        # into ca.crl
"""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

CONFIG = """
[ca]
default_ca = this
[this]
dir = {folder}
database = $dir/index.txt
new_certs_dir = $dir
serial = $dir/serial
certificate = $dir/ca.crt
private_key = $dir/ca.key
default_md = sha256
default_days = 30
default_crl_days = 30
policy = any
copy_extensions = copy
unique_subject = no
[any]
commonName = supplied
[req]
distinguished_name = dn
[dn]
"""


@dataclass
class Certificate:
    cert: Path
    key: Path


def openssl(*arguments):
    done = subprocess.run(["openssl", *map(str, arguments)], text=True, capture_output=True, check=False,
                          stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        raise AssertionError(f"openssl {arguments[0]}: {done.stderr}")
    return done.stdout


KINDS = {"EC": "ec_paramgen_curve:P-256", "RSA": "rsa_keygen_bits:2048"}


def make_key(path, kind="EC"):
    """Mode 0600, as all keys here."""
    openssl("genpkey", "-algorithm", kind, "-pkeyopt", KINDS[kind], "-out", path)
    os.chmod(path, 0o600)
    return path


class Authority:
    def __init__(self, folder, name="ca"):
        self.folder = Path(folder) / name
        self.folder.mkdir()
        self.config = self.folder / "openssl.cnf"
        self.config.write_text(CONFIG.format(folder=self.folder))
        (self.folder / "index.txt").touch()
        (self.folder / "serial").write_text("1000\n")
        self.cert, self.crl = self.folder / "ca.crt", self.folder / "ca.crl"
        openssl("req", "-x509", "-new", "-key", make_key(self.folder / "ca.key"), "-days", "30", "-subj",
                f"/CN=Authority {name}", "-config", self.config, "-addext", "basicConstraints=critical,CA:TRUE",
                "-addext", "keyUsage=critical,keyCertSign,cRLSign", "-out", self.cert)
        self.write_list()

    def issue(self, name, common_name=None, names=(), start=None, end=None, kind="EC"):
        """`names` as in subjectAltName; dates as 20200101000000Z."""
        cert, key, request = (self.folder / f"{name}.{kind}" for kind in ("crt", "key", "csr"))
        extensions = ["-addext", "subjectAltName=" + ",".join(names)] if names else []
        openssl("req", "-new", "-key", make_key(key, kind), "-subj", f"/CN={common_name or name}",
                "-config", self.config, *extensions, "-out", request)
        dates = [*(["-startdate", start] if start else []), *(["-enddate", end] if end else [])]
        openssl("ca", "-batch", "-notext", "-config", self.config, "-in", request, "-out", cert, *dates)
        return Certificate(cert, key)

    def revoke(self, certificate):
        openssl("ca", "-config", self.config, "-revoke", certificate.cert)

    def write_list(self):
        openssl("ca", "-gencrl", "-config", self.config, "-out", self.crl)


def self_signed(folder, name, names=()):
    cert, key = Path(folder) / f"{name}.crt", Path(folder) / f"{name}.key"
    extensions = ["-addext", "subjectAltName=" + ",".join(names)] if names else []
    openssl("req", "-x509", "-new", "-key", make_key(key), "-days", "30", "-subj", f"/CN={name}", *extensions,
            "-out", cert)
    return Certificate(cert, key)
