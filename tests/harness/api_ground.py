"""A tree with API keys all over it, for tests of who may do what; and requests made of the OpenAPI document.

    with Ground(stand) as ground:
        for caller in ground.callers: ...
        ask = ground.request(operation, {field: "child"})     # at whom each of operation's tenant fields aims
        answer = caller.client.request(*ask)

In the ground's database every handler of the API is wrapped: what it does is undone before its answer is given, so
that no request changes anything, and that it was begun is counted where no rollback reaches (`ground.begun()`).
"""

from collections import namedtuple
from contextlib import ExitStack
from urllib.parse import quote, urlencode

from harness.api import Api, random_id, random_secret
from harness.openapi import RANKS, Document
from harness.openapi_samples import put, sample, tenant_places

# slug: parent; the home of most keys is ground-own.
TREE = {"ground-root": None, "ground-own": "ground-root", "ground-child": "ground-own", "ground-low": "ground-child",
        "ground-sibling": "ground-root", "ground-nephew": "ground-sibling", "ground-foreign": None,
        "ground-off": "ground-root", "ground-off-child": "ground-off"}
PLACES = {"own": "ground-own", "child": "ground-child", "low": "ground-low", "ancestor": "ground-root",
          "sibling": "ground-sibling", "nephew": "ground-nephew", "foreign": "ground-foreign"}
WITHIN = {"ground-own": {"own", "child", "low"}, "ground-child": {"child", "low"},
          "ground-root": {"own", "child", "low", "ancestor", "sibling", "nephew"}, None: set(PLACES)}

MORE = {"principal.set_password": {"generate_password": True}}  # what the document cannot say that a body must have

# Where the handlers are that a request may come to; `check` is what routes without one call. What a caller of one part
# of the tree changes outside of it makes the request fail.
WRAP = """
CREATE SCHEMA ground;
CREATE SEQUENCE ground.begun;
SELECT nextval('ground.begun'); -- last_value says nothing of the first
GRANT USAGE ON SCHEMA ground TO PUBLIC;
GRANT ALL ON SEQUENCE ground.begun TO PUBLIC;

CREATE FUNCTION ground.outside(home bulkhead_control.tenant.path%TYPE) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    f record;
    one text;
    state jsonb := '{}';
BEGIN
    FOR f IN SELECT c.relname, CASE WHEN c.relname = 'tenant' THEN 'id' ELSE a.attname END AS column
             FROM pg_class c LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname IN ('tenant_id', 'home_id')
             WHERE c.relnamespace = 'bulkhead_control'::regnamespace AND c.relkind IN ('r', 'p')
             AND c.relname NOT IN ('audit_head', 'departed', 'idempotency') LOOP
        EXECUTE format('SELECT count(*) || md5(string_agg(v, '','' ORDER BY v)) FROM '
                       '(SELECT (to_jsonb(t) - ''last_used_at'')::text AS v FROM bulkhead_control.%I t WHERE %s) x',
                       f.relname, CASE WHEN f.column IS NULL THEN 'true' ELSE format(
                           'NOT EXISTS (SELECT FROM bulkhead_control.tenant o '
                           'WHERE o.id = t.%I AND bulkhead_control.path_is_within(o.path, $1))', f.column) END)
        INTO one USING home;
        state := state || jsonb_build_object(f.relname, one);
    END LOOP;
    RETURN state;
END
$$;

DO $wrap$
DECLARE
    f record;
BEGIN
    FOR f IN SELECT p.oid, p.proname, p.oid::regprocedure AS signature, p.provolatile = 'v' AS changes FROM pg_proc p
             WHERE p.pronamespace = 'bulkhead_api'::regnamespace AND p.proname <> 'check'
               AND p.prorettype = 'bulkhead_api.answer'::regtype
               AND p.pronargs = 1 AND p.proargtypes[0] = 'jsonb'::regtype LOOP
        EXECUTE format('ALTER FUNCTION %s RENAME TO %I', f.signature, f.proname || '__real');
        EXECUTE format($body$
            CREATE FUNCTION bulkhead_api.%1$I(request jsonb) RETURNS bulkhead_api.answer LANGUAGE plpgsql AS $$
            DECLARE
                given bulkhead_api.answer;
                home bulkhead_control.tenant.path%%TYPE := bulkhead_api.home();
                before jsonb := CASE WHEN %3$L AND home IS NOT NULL THEN ground.outside(home) END;
            BEGIN
                PERFORM nextval('ground.begun');
                BEGIN
                    SELECT * INTO given FROM bulkhead_api.%2$I(request);
                    IF given.status IS NULL THEN
                        RAISE EXCEPTION 'no answer';
                    END IF;
                    SET CONSTRAINTS ALL IMMEDIATE;
                    IF before IS NOT NULL AND ground.outside(home) <> before THEN
                        RAISE EXCEPTION 'it has changed what is outside of %%: %% to %%',
                            home, before, ground.outside(home);
                    END IF;
                    RAISE EXCEPTION USING ERRCODE = 'BHUND';
                EXCEPTION WHEN SQLSTATE 'BHUND' THEN
                    RETURN given;
                END;
            END
            $$
        $body$, f.proname, f.proname || '__real', f.changes);
        EXECUTE format('ALTER FUNCTION bulkhead_api.%I(jsonb) OWNER TO bulkhead_control', f.proname);
        EXECUTE format('GRANT EXECUTE ON FUNCTION bulkhead_api.%I(jsonb) TO bulkhead_admin', f.proname);
    END LOOP;
END
$wrap$;
"""

# What is the same before and after requests that are refused. That a key was used is noted of every valid one, and of
# one that is over that somebody tried.
FINGERPRINT = """
SELECT c.relname, (xpath('/row/h/text()', query_to_xml(format(
    'SELECT count(*) || '' '' || coalesce(md5(string_agg(v, '','' ORDER BY v)), '''') AS h FROM '
    '(SELECT (r - ''last_used_at'')::text AS v FROM bulkhead_control.%I t, to_jsonb(t) r '
    'WHERE r ->> ''action'' IS DISTINCT FROM ''api_key.refused'') x', c.relname),
    false, true, '')))[1]::text
FROM pg_class c WHERE c.relnamespace = 'bulkhead_control'::regnamespace AND c.relkind IN ('r', 'p')
AND c.relname <> 'audit_head'
"""

Caller = namedtuple("Caller", "name role home client verdict")  # verdict: (status, reason) of all it asks, or None
Ask = namedtuple("Ask", "method path body headers")


class Ground:
    def __init__(self, stand):
        self.stand = stand
        self.document = Document.current()
        self.stack = ExitStack()

    def __enter__(self):
        self.root = self.stack.enter_context(self.stand.admin())
        for slug, parent in TREE.items():
            self.stand.tenant(slug, **({"parent": parent} if parent else {}))
        self.things = {place: self._things(place) for place in PLACES}
        self.api = self.stack.enter_context(Api(self.stand, event_streams=1000, request_timeout="1h"))
        self.callers = self._callers()
        self.stand.command("tenant", "suspend", "ground-off", "--subtree")
        self.root.execute(WRAP)
        self.operator = next(one for one in self.callers if one.name == "operator")
        return self

    def __exit__(self, *error):
        self.stack.close()

    # ---- who ----

    def _caller(self, name, role, home=None, verdict=None, **columns):
        return Caller(name, role, home, self.api.client(role, home, keep=True, **columns), verdict)

    def _callers(self):
        off, bad = (403, "BH-API-SUSPENDED"), (401, "BH-API-KEY")
        good = self.api.key()
        keys = {"none": None, "empty": "", "wrong secret": good[:21] + random_secret(),
                "wrong id": f"bhk_{random_id()}_{good[21:]}", "another's secret": good[:21] + self.api.key()[21:],
                "upper case": good.upper(), "cut": good[:-1], "longer": good + "A", "two": f"{good} {good}"}
        return [self._caller("operator", "operator"),
                *(self._caller(f"{role} of {home}", role, home) for role in list(RANKS)[1:]
                  for home in ("ground-own", "ground-child", "ground-root")),
                *(self._caller(f"{role} of {home}", role, home, off) for role in ("viewer", "admin", "operator")
                  for home in ("ground-off", "ground-off-child")),
                self._caller("expired", "operator", None, bad, expires_at="2020-01-01"),
                self._caller("revoked", "operator", None, bad, revoked_at="2020-01-01"),
                self._caller("elsewhere", "operator", None, (403, "BH-API-ADDRESS"), addresses=["192.0.2.0/24"]),
                *(Caller(name, "operator", None, self.api.stranger(key), bad) for name, key in keys.items())]

    def verdict(self, caller, operation, aims):
        """(status, reason) with which this is refused before any handler; None where it is not. `aims` are places."""
        if caller.verdict:
            return caller.verdict if operation.rank else None
        if RANKS[caller.role] < operation.rank:
            return 403, "BH-API-ROLE"
        if operation.everywhere and caller.home:
            return 403, "BH-API-SUBTREE"
        if not set(aims) <= WITHIN[caller.home]:
            return 404, "BH-API-TENANT"
        return None

    # ---- what there is beside tenants ----

    def _things(self, place):
        """One of each kind at a place: {the parameter in whose stead it stands, by the start of the path: its name}."""
        slug = PLACES[place]
        tenant = self.stand.ids[slug]
        one = {"principals": f"ground-{place}", "api-keys": random_id()}
        self.root.execute("INSERT INTO bulkhead_control.principal (name, home_id, reach) VALUES (%s, %s, 'self')",
                          (one["principals"], tenant))
        self.root.execute("INSERT INTO bulkhead_control.api_key (id, name, role, tenant_id, hash, hash_kid) "
                          "VALUES (%s, %s, 'viewer', %s, sha256('x'), 'p1')",
                          (one["api-keys"], f"ground {place}", tenant))
        one["jobs"] = str(self.root.execute(
            "INSERT INTO bulkhead_control.job (kind, tenant_id, slug, cluster, state, finished_at) "
            "VALUES ('provision', %s, %s, 'default', 'failed', now()) RETURNING id", (tenant, slug)).fetchone()[0])
        return {**one, "clusters": "default", "permission-keys": "sql.read"}

    # ---- requests ----

    def tenant_fields(self, operation):
        """What of a request names tenants: ("path", "tenant"), ("query", "with"), ("body", "tenants", 0, "parent")."""
        fields = [("path", name) for name, one in operation.named("path").items() if one["schema"].get("x-tenant")]
        fields += [("query", name) for name, one in operation.named("query").items() if [*tenant_places(one["schema"])]]
        return fields + [("body", *way) for way in tenant_places(operation.body or {})]

    def aims(self, operation, aims=None):
        """At which place each tenant field aims that the least request has, with those of `aims`."""
        aims = aims or {}
        least = sample(operation.body) if operation.body else {}
        return {field: aims.get(field, "own") for field in self.tenant_fields(operation)
                if field in aims or field[0] == "path" or (field[0] == "body" and is_there(least, field[1:]))
                or (field[0] == "query" and operation.named("query")[field[1]].get("required"))}

    def request(self, operation, aims=None, thing="own"):
        """The least request: what it must have, and `aims`. What else it names is there at the place `thing`."""
        words = {field: PLACES[place] for field, place in self.aims(operation, aims).items()}
        kind = operation.path.split("/")[2].split(":")[0]
        path = operation.path
        for name, one in operation.named("path").items():
            word = words.get(("path", name)) or self.things[thing].get(kind) or sample(one["schema"])
            path = path.replace(f"{{{name}}}", quote(str(word), safe=""))
        query = {name: words.get(("query", name)) or sample(one["schema"])
                 for name, one in operation.named("query").items() if one.get("required") or ("query", name) in words}
        headers = {"If-Match": "*"} if "If-Match" in operation.named("header") else {}
        body = {**sample(operation.body), **MORE.get(operation.id, {})} if operation.body else None
        for field, word in words.items():
            if field[0] == "body":
                body = put(body, field[1:], word, operation.body)
        return Ask(operation.method, path + (f"?{urlencode(query)}" if query else ""), body, headers)

    # ---- what is told ----

    def secrets(self, caller):
        """What no answer to this caller may hold: names of what is outside of its part of the tree."""
        outside = set(PLACES) - WITHIN[caller.home]
        slugs = {PLACES[place] for place in outside}
        ids = {self.stand.ids[PLACES[place]] for place in outside}
        return slugs | ids | {self.things[place]["api-keys"] for place in outside}

    def known(self, caller, operation):
        """What of that it is told all the same: the audit log has a tenant as it was made, with its parent's id."""
        top = TREE.get(caller.home)
        return {self.stand.ids[top]} if top and operation.id.startswith("audit.") else set()

    # ---- what has happened ----

    def begun(self):
        """How many handlers have begun so far."""
        return self.root.execute("SELECT last_value FROM ground.begun").fetchone()[0]

    def state(self):
        """All that the control schema holds, but for when keys were used: {table: count and hash}."""
        return dict(self.root.execute(FINGERPRINT).fetchall())


def is_there(value, way):
    for step in way:
        if not (step in value if isinstance(value, dict) else step < len(value)):
            return False
        value = value[step]
    return True

