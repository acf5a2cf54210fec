"""A cluster's secret, and the passwords of tenants' own logins that are derived of it: DESIGN.md, "Per-tenant logins".

    secret = ClusterSecret(folder / "cluster.secret")     # one key, `k1`
    secret.password(tenant_id), secret.derived(tenant_id)
"""

import base64
import hashlib
import hmac
import secrets

from harness.program import write_secret

PURPOSE = b"bulkhead.own_login.1"


def hex_of(tenant):
    return str(tenant).replace("-", "")


def login_of(tenant):
    return "t_" + hex_of(tenant)


class ClusterSecret:
    def __init__(self, file):
        self.file = file
        self.keys = {}
        self.add_key("k1")

    def add_key(self, kid):
        """A key that is the file's first from now on."""
        self.keys = {kid: secrets.token_bytes(32), **self.keys}
        self._write()

    def drop_key(self, kid):
        del self.keys[kid]
        self._write()

    def replace(self, *keys):
        """Keys by name, the first for new passwords, instead of those that it had."""
        self.keys = dict(keys)
        self._write()

    def first(self):
        return next(iter(self.keys))

    def _write(self):
        write_secret(self.file, "".join(f"{kid} {base64.b64encode(key).decode()}\n" for kid, key in self.keys.items()))

    @staticmethod
    def _derive(key, tenant):
        return hmac.digest(key, hex_of(tenant).encode(), hashlib.sha256)

    def derived(self, tenant):
        """The lines of a file for this tenant alone."""
        return "".join(f"{kid} {base64.b64encode(self._derive(key, tenant)).decode()} {tenant}\n"
                       for kid, key in self.keys.items())

    def password(self, tenant, kid=None):
        return hmac.digest(self._derive(self.keys[kid or self.first()], tenant), PURPOSE, hashlib.sha256).hex()
