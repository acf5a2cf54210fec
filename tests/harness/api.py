"""The admin API in front of a stand's control database, and clients of it.

    with Api(stand) as api:                       # a proxy with the API; settings of [admin] as keywords
        root = api.client()                       # an operator of the whole tree
        viewer = api.client("viewer", "acme")     # of acme and all below it
        answer = root.post("/v1/tenants", {"slug": "initech"})
        assert answer.status == 201 and answer["slug"] == "initech"

Keys are made in the database itself, so that no test of something else depends on how the API makes them.
"""

import base64
import hashlib
import hmac
import http.client
import json
import secrets
from contextlib import ExitStack

from harness.openapi import Document
from harness.postgres import HOST, free_port
from harness.stand import DATABASE

API_LOGIN = "test_api"
API_PASSWORD = "not-a-secret"
KID = "p1"
PURPOSE = b"bulkhead api key\0"


def random_id():
    return "".join(secrets.choice("abcdefghijklmnopqrstuvwxyz234567") for _ in range(16))


def random_secret():
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode().rstrip("=")


class Answer:
    """`answer["slug"]` is a member of the body; of a problem, `answer.reason` and `answer.fields`."""

    def __init__(self, request, response, body):
        self.request = request
        self.status = response.status
        self.headers = response.headers
        self.text = body
        kind = response.headers.get("Content-Type", "")
        self.json = json.loads(body) if "json" in kind and "ndjson" not in kind else None

    def __getitem__(self, name):
        return self.json[name]

    @property
    def reason(self):
        return self.json["reason"]

    @property
    def fields(self):
        return [error["field"] for error in self.json.get("errors", [])]

    @property
    def etag(self):
        return self.headers["ETag"]

    @property
    def items(self):
        return self.json["items"]

    def __repr__(self):
        return f"<{self.request}: {self.status} {self.text[:2000]}>"


class Client:
    """One API key (None: without). Each request is a connection of its own unless `keep` is true.

    Every request and answer must be as the OpenAPI document says."""

    def __init__(self, port, key, keep=False):
        self.port = port
        self.key = key
        self.connection = http.client.HTTPConnection(HOST, port, timeout=60) if keep else None

    def request(self, method, path, body=None, headers=None, raw=None):
        """`body` is sent as JSON; `raw`, bytes, as it is."""
        connection = self.connection or http.client.HTTPConnection(HOST, self.port, timeout=60)
        headers = dict(headers or {})
        if self.key:
            headers.setdefault("Authorization", f"Bearer {self.key}")
        if body is not None:
            raw = json.dumps(body).encode()
        if raw is not None:
            headers.setdefault("Content-Type", "application/json")
        connection.request(method, path, raw, headers)
        response = connection.getresponse()
        endless = response.headers.get("Content-Type", "").startswith("text/event-stream")
        answer = Answer(f"{method} {path}", response, "" if endless else response.read().decode())
        if endless and self.connection:
            self.connection.close()
        if not self.connection:
            connection.close()
        Document.current().check(method, path, raw, answer)
        return answer

    def get(self, path, **headers):
        return self.request("GET", path, headers=headers)

    def post(self, path, body=None, headers=None):
        return self.request("POST", path, body, headers)

    def put(self, path, body=None, match=None):
        return self.request("PUT", path, body, {"If-Match": match} if match else None)

    def patch(self, path, body=None, match="*"):
        return self.request("PATCH", path, body, {"If-Match": match} if match else None)

    def delete(self, path, match="*"):
        return self.request("DELETE", path, headers={"If-Match": match} if match else None)

    def pages(self, path, limit=50):
        """All items of a list, page by page."""
        items, cursor = [], None
        while True:
            mark = "&" if "?" in path else "?"
            answer = self.get(f"{path}{mark}limit={limit}" + (f"&cursor={cursor}" if cursor else ""))
            assert answer.status == 200, answer
            items += answer.items
            cursor = answer["next"]
            if not cursor:
                return items


class Api:
    def __init__(self, stand, database=DATABASE, proxy=None, **admin):
        """`proxy` has sections of other settings."""
        self.stand = stand
        self.database = database
        self.settings = admin
        self.sections = proxy or {}
        self.port = free_port()
        self.pepper = secrets.token_bytes(32)
        self.stack = ExitStack()
        self.proxy = None

    def __enter__(self):
        pepper, master = self.key_file("pepper", KID, self.pepper), self.key_file("master", "m1", secrets.token_bytes(32))
        with self.admin() as root:
            if not root.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (API_LOGIN,)).fetchone():
                root.execute(f"CREATE ROLE {API_LOGIN} LOGIN IN ROLE bulkhead_admin")
            root.execute(f"ALTER ROLE {API_LOGIN} PASSWORD '{API_PASSWORD}'")
            root.execute(f"ALTER ROLE {API_LOGIN} SET deadlock_timeout = '20ms'")
        sections = {name: dict(values) for name, values in self.sections.items()}
        sections["admin"] = {"listen_port": self.port, "pepper_file": pepper, "master_key_file": master,
                             "rate_limit": 0, "failure_limit": 0, **self.settings}
        sections.setdefault("control", {}).update(
            admin_dsn=f"host={HOST} port={self.control_port()} dbname={self.database} user={API_LOGIN}",
            admin_password_file=self.file("api.password", API_PASSWORD))
        self.proxy = self.stack.enter_context(self.stand.proxy(**sections))
        return self

    def __exit__(self, *error):
        self.stack.close()

    def key_file(self, name, kid, key):
        return self.file(f"{name}-{self.port}.key", f"{kid} {base64.b64encode(key).decode()}")

    def file(self, name, text):
        path = self.stand.folder / name
        path.touch(0o600)
        path.write_text(text + "\n")
        return path

    def control_port(self):
        """Where the proxy finds the control database."""
        return self.stand.postgres.port

    def admin(self):
        return self.stand.admin(self.database)

    def hash(self, text):
        return hmac.new(self.pepper, PURPOSE + text.encode(), hashlib.sha256).digest()

    def key(self, role="operator", tenant=None, **columns):
        """A new API key. `tenant` is a slug; columns of bulkhead_control.api_key."""
        text = f"bhk_{random_id()}_{random_secret()}"
        values = {"id": text[4:20], "name": columns.pop("name", f"{role} of {tenant or 'all'}"), "role": role,
                  "hash": self.hash(text), "hash_kid": KID, **columns}
        with self.admin() as root:
            if tenant:
                values["tenant_id"] = root.execute("SELECT id FROM bulkhead_control.tenant WHERE slug = %s",
                                                   (tenant,)).fetchone()[0]
            root.execute(f"INSERT INTO bulkhead_control.api_key ({', '.join(values)}) "
                         f"VALUES ({', '.join(['%s'] * len(values))})", tuple(values.values()))
        return text

    def client(self, role="operator", tenant=None, keep=False, **columns):
        return Client(self.port, self.key(role, tenant, **columns), keep)

    def stranger(self, key=None):
        """A client with this key, or without one."""
        return Client(self.port, key)
