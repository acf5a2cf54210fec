"""Tenants and their settings over the admin API (harness.api), sensitive ones too."""

import base64
import itertools
import secrets
import uuid

from harness.api import API_LOGIN, Api

numbers = itertools.count(1)


class Tenant:
    def __init__(self, api, parent=None):
        self.slug, self.id = f"set-{next(numbers)}", str(uuid.uuid4())
        self.tenant = f"/v1/tenants/{self.slug}"
        self.url = f"{self.tenant}/settings"
        with api.admin() as admin:
            admin.execute("INSERT INTO bulkhead_control.tenant (id, parent_id, slug, name) VALUES (%s, %s, %s, %s)",
                          (self.id, parent.id if parent else None, self.slug, self.slug))

    def of(self, key, reveal=False):
        return f"{self.url}/{key}" + ("?reveal=true" if reveal else "")

    def remove(self, api):
        """What was broken on purpose would be in the way of rotations of later tests."""
        with api.admin() as admin, admin.transaction():
            admin.execute("DELETE FROM bulkhead_control.tenant WHERE id = %s", (self.id,))


class Vault(Api):
    """An API whose login has the server write down whatever it can be told to."""

    def __enter__(self):
        with self.stand.admin("postgres") as admin:
            if not admin.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (API_LOGIN,)).fetchone():
                admin.execute(f"CREATE ROLE {API_LOGIN} LOGIN IN ROLE bulkhead_admin")
            for setting in ("log_statement = 'all'", "log_min_duration_statement = 0", "log_parameter_max_length = -1",
                            "log_parameter_max_length_on_error = -1"):
                admin.execute(f"ALTER ROLE {API_LOGIN} SET {setting}")
        super().__enter__()
        with self.admin() as admin:  # what was sealed under the master keys of others
            admin.execute("DELETE FROM bulkhead_control.setting WHERE data_kid IS NOT NULL")
            admin.execute("DELETE FROM bulkhead_control.setting_history WHERE data_kid IS NOT NULL")
            admin.execute("DELETE FROM bulkhead_control.tenant_data_key")
        self.master = self.stand.folder / f"master-{self.port}.key"
        return self

    def __exit__(self, *error):
        super().__exit__(*error)
        with self.stand.admin("postgres") as admin:
            admin.execute(f"ALTER ROLE {API_LOGIN} RESET ALL")


def new_token(root):
    """Registers a sensitive key."""
    body = {"key": f"test.token{next(numbers)}", "type": "string", "minimum": 3, "maximum": 40, "sensitive": True,
            "description": "x"}
    assert root.post("/v1/setting-keys", body).status == 201
    return body["key"]


def secret():
    return "hunter2-" + secrets.token_hex(8)


def done(answer, status=200):
    assert answer.status == status, answer
    return answer


def refused(answer, status, reason, *fields):
    assert (answer.status, answer.reason, answer.fields) == (status, reason, list(fields)), answer


def seal(root, tenant, key, value, match=None):
    return done(root.put(tenant.of(key), {"value": value, "sensitive": True}, match=match))


def revealed(root, tenant, key):
    answer = done(root.get(tenant.of(key, True)))
    assert answer["sensitive"] is True and answer["revealed"] is True and "sealed" not in answer.json, answer
    return answer["value"]


def stored(api, tenant, key):
    """The sealed text."""
    with api.admin() as admin:
        return admin.execute("SELECT value ->> '$enc' FROM bulkhead_control.setting WHERE tenant_id = %s AND key = %s",
                             (tenant.id, key)).fetchone()[0]


def overwrite(api, tenant, key, text):
    """As one who has the database, past all triggers and constraints of other tables."""
    with api.admin() as admin, admin.transaction():
        admin.execute("SET LOCAL session_replication_role = replica")
        admin.execute("UPDATE bulkhead_control.setting SET value = jsonb_build_object('$enc', %s::text) "
                      "WHERE tenant_id = %s AND key = %s", (text, tenant.id, key))


def flipped(text, place):
    """With one bit of the base64's bytes behind that place changed."""
    head, nonce, data = text.rsplit(".", 2)
    raw = bytearray(base64.b64decode(data))
    raw[place] ^= 1
    return f"{head}.{nonce}.{base64.b64encode(raw).decode()}"
