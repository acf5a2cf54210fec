"""Where attacks take place: a real PostgreSQL, a real proxy, and what must hold after every attack.

    arena = Arena(template, "standard").start().as_in(RUNS[0])
    Scene(arena, case).play()
    arena.remove()

Three tenants with rows: acme attacks, globex is the victim, acme-labs looks on. Each has a marker, a random
word in its rows that no attack knows. When a scene is over, whatever the attack was:

* no session received another tenant's marker, in whatever message, plain or in hex;
* the rows of the other tenants are what they were, and there is none that belongs to nobody;
* nothing was left in the catalogues, and the pool's backends are idle and hold no lock;
* globex, the next client on the backend that acme had, sees all of its rows and only those, has the
  settings of a new session, and nothing of acme's is there;
* acme is served afterwards.

Which layers stand between attacker and victim is told by the Run: the database's, the gate's, or both. The runs of
one hardening share an arena, each with a proxy of its own.
"""

import contextlib
import os
import re
import secrets
import time
from dataclasses import dataclass
from pathlib import Path

import unhardened
from harness import wire as w
from harness.postgres import HOST
from harness.stand import DATABASE, ROWS, TENANTS, Stand, run

FOLDER = Path(__file__).resolve().parent
INTRUDER = "intruder"  # acme's own principal, which reaches no other tenant
ATTACKER, VICTIM = "acme", "globex"
TABLES = ("orders", "accounts", "payments", "events", "papers", "notices", "coupons", "slips", "slots", "words")
PATIENCE = 5  # seconds that one answer may take


# The setting that holds the seal, and how an attacker spells it.
CONTEXTS = {
    "hardened": {"context": "backtrace_functions", "Context": "BackTrace_Functions",
                 "context_unicode": "backtrace\\005ffunctions", "CONTEXT_HEAD": "BACKTRACE_", "context_tail": "functions"},
    "unhardened": {"context": unhardened.CONTEXT, "Context": "App.BulkHead_Context",
                   "context_unicode": "app.bulkhead\\005fcontext", "CONTEXT_HEAD": "APP.BULKHEAD_",
                   "context_tail": "context"},
}


@dataclass(frozen=True)
class Run:
    """What stands between the attacker and the rows. Every case is played in every run that it is for."""

    name: str
    layers: str  # both, gate off or hardening off: the column of the table in docs/threat-model.md
    hardening: str  # what `init` was told, or unhardened; chooses the column of the expectations too
    protocol: str  # how SQL is sent: simple, or extended where a statement stands alone
    gate: str  # enforce or off

    @property
    def residue(self):
        """The field of cases that says why these layers do not stop it."""
        return {"gate off": "residue", "both": "residue-both", "hardening off": "residue-unhardened"}.get(self.layers)

    @property
    def is_there(self):
        """A Bulkhead without a gate has what its database holds, and no more."""
        return self.gate == "off" or HAS_GATE


HAS_GATE = "[gate]" in run("conf", "--sample")
ALL_RUNS = (
    Run("standard", "gate off", "standard", "simple", "off"),
    Run("strict", "gate off", "strict", "extended", "off"),
    Run("both-standard", "both", "standard", "simple", "enforce"),
    Run("both-strict", "both", "strict", "extended", "enforce"),
    Run("unhardened", "hardening off", "unhardened", "simple", "enforce"),
)
RUNS = tuple(played for played in ALL_RUNS if played.is_there)

SERVER_SETTINGS = {
    "shared_preload_libraries": "pg_stat_statements",
    "autovacuum": "off",  # statistics are the arena's to make, and stay as they are
}
# Of those that applications have, what runs texts of SQL, shows statements of others, or reads files.
EXTENSIONS = ("pg_stat_statements", "dblink", "tablefunc", "xml2")
PROXY_SETTINGS = {"server_login_retry": "1ms", "query_wait_timeout": 10}

# Everything that a tenant could leave in the catalogues of the database and of the whole server.
CATALOGUES = r"""
SELECT part, content::text FROM (VALUES
  ('roles', (SELECT json_agg(r ORDER BY r.oid) FROM pg_authid AS r)),
  ('members', (SELECT json_agg(m ORDER BY m.roleid, m.member) FROM pg_auth_members AS m)),
  ('role settings', (SELECT json_agg(s ORDER BY s.setdatabase, s.setrole) FROM pg_db_role_setting AS s)),
  ('default privileges', (SELECT json_agg(d ORDER BY d.oid) FROM pg_default_acl AS d)),
  ('parameter privileges', (SELECT json_agg(p ORDER BY p.oid) FROM pg_parameter_acl AS p)),
  ('databases', (SELECT json_agg(json_build_array(d.datname, coalesce(d.datacl, acldefault('d', d.datdba)))
                                 ORDER BY d.oid) FROM pg_database AS d)),
  ('prepared transactions', (SELECT json_agg(x.gid) FROM pg_prepared_xacts AS x)),
  ('replication slots', (SELECT json_agg(s.slot_name) FROM pg_replication_slots AS s)),
  ('large objects', (SELECT json_agg(l) FROM pg_largeobject_metadata AS l)),
  ('schemas', (SELECT json_agg(json_build_array(n.nspname, n.nspowner,
                                                       coalesce(n.nspacl, acldefault('n', n.nspowner))) ORDER BY n.oid)
                 FROM pg_namespace AS n WHERE n.nspname !~ '^pg_(toast_)?temp_')),
  ('relations', (SELECT json_agg(json_build_array(c.relname, c.relowner, c.relrowsecurity,
                                                  coalesce(c.relacl, acldefault('r', c.relowner)),
                                                  c.relforcerowsecurity, c.reloptions) ORDER BY c.oid)
                   FROM pg_class AS c WHERE c.relpersistence <> 't')),
  ('columns', (SELECT json_agg(json_build_array(a.attrelid, a.attname, a.attacl) ORDER BY a.attrelid, a.attnum)
                 FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid
                WHERE c.relpersistence <> 't' AND a.attacl IS NOT NULL)),
  ('policies', (SELECT json_agg(p ORDER BY p.oid) FROM pg_policy AS p JOIN pg_class AS c ON c.oid = p.polrelid
                 WHERE c.relpersistence <> 't')),
  ('column defaults', (SELECT json_agg(d ORDER BY d.oid) FROM pg_attrdef AS d JOIN pg_class AS c ON c.oid = d.adrelid
                        WHERE c.relpersistence <> 't')),
  ('functions', (SELECT json_agg(json_build_array(p.oid, p.proname, p.proowner, p.proconfig,
                                                  coalesce(p.proacl, acldefault('f', p.proowner))) ORDER BY p.oid)
                   FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace
                  WHERE n.nspname !~ '^pg_temp_')),
  ('triggers', (SELECT json_agg(json_build_array(t.tgrelid, t.tgname, t.tgenabled) ORDER BY t.oid) FROM pg_trigger AS t
                  JOIN pg_class AS c ON c.oid = t.tgrelid WHERE c.relpersistence <> 't')),
  ('rules', (SELECT json_agg(json_build_array(r.ev_class, r.rulename) ORDER BY r.oid) FROM pg_rewrite AS r
               JOIN pg_class AS c ON c.oid = r.ev_class WHERE c.relpersistence <> 't')),
  ('others', json_build_array(
      (SELECT count(*) FROM pg_event_trigger), (SELECT count(*) FROM pg_extension), (SELECT count(*) FROM pg_language),
      (SELECT count(*) FROM pg_foreign_server), (SELECT count(*) FROM pg_user_mapping),
      (SELECT count(*) FROM pg_publication), (SELECT count(*) FROM pg_subscription))),
  ('guard', json_build_array(
      (SELECT json_agg(k ORDER BY k.kid) FROM bulkhead.signing_key AS k),
      (SELECT json_agg(i) FROM bulkhead.installation AS i), (SELECT json_agg(r) FROM bulkhead.revoked_tenant AS r),
      (SELECT json_agg(p ORDER BY p.relation) FROM bulkhead.protection AS p)))
) AS parts (part, content)"""

# The same in short: every change of a catalogue shows as another number of rows or another youngest one.
CATALOGUES_IN_SHORT = " UNION ALL ".join(
    f"SELECT '{name}', count(*), max(xmin::text::bigint) FROM {name} AS c WHERE {which}" for name, which in (
        *((name, "true") for name in (
            "pg_authid", "pg_auth_members", "pg_db_role_setting", "pg_default_acl", "pg_parameter_acl", "pg_database",
            "pg_largeobject_metadata", "pg_event_trigger", "pg_extension", "pg_language", "pg_foreign_server",
            "pg_user_mapping", "pg_publication", "pg_subscription", "bulkhead.signing_key", "bulkhead.installation",
            "bulkhead.revoked_tenant", "bulkhead.protection")),
        ("pg_namespace", "nspname !~ '^pg_(toast_)?temp_'"),
        ("pg_class", "relpersistence <> 't'"),
        ("pg_proc", "pronamespace <> ALL (SELECT oid FROM pg_namespace WHERE nspname ~ '^pg_temp_')"),
        *((name, f"{column} IN (SELECT oid FROM pg_class WHERE relpersistence <> 't')") for name, column in (
            ("pg_attribute", "attrelid"), ("pg_policy", "polrelid"), ("pg_attrdef", "adrelid"),
            ("pg_trigger", "tgrelid"), ("pg_rewrite", "ev_class"))),
    )) + " UNION ALL SELECT 'prepared', count(*), 0 FROM pg_prepared_xacts" \
         " UNION ALL SELECT 'slots', count(*), 0 FROM pg_replication_slots ORDER BY 1"

# What the pool's backends may still be doing when every client has left: nothing.
BUSY = """
SELECT a.state, a.query, l.locktype, l.mode, l.relation::regclass::text
  FROM pg_stat_activity AS a LEFT JOIN pg_locks AS l ON l.pid = a.pid
 WHERE a.usename = 'bulkhead_pool' AND (a.state <> 'idle' OR l.pid IS NOT NULL)"""

# What a session can hold that SHOW ALL does not tell; asked by globex itself.
LEFT = """
SELECT current_user, session_user, current_schemas(false)::text, txid_current_if_assigned()::text,
       (SELECT count(*) FROM pg_cursors WHERE name <> ''), (SELECT count(*) FROM pg_listening_channels()),
       (SELECT count(*) FROM pg_class WHERE relnamespace = pg_my_temp_schema()),
       (SELECT count(*) FROM pg_proc WHERE pronamespace = pg_my_temp_schema()),
       (SELECT count(*) FROM pg_type WHERE typnamespace = pg_my_temp_schema()),
       (SELECT count(*) FROM pg_operator WHERE oprnamespace = pg_my_temp_schema())"""
NOTHING_LEFT = ["bulkhead_pool", "bulkhead_pool", "{public}", None] + ["0"] * 6


def require(condition, *what):
    if not condition:
        raise AssertionError(" ".join(map(str, what)))


def difference(before, after):
    """Two long texts, from where they part."""
    at = len(os.path.commonprefix([before or "", after or ""]))
    return f"… {(before or '')[at:at + 300]!r}, now {(after or '')[at:at + 300]!r}"


class Ear(w.Wire):
    """A Wire that remembers every byte it has heard."""

    heard = b""

    def _fill(self, size):
        before = len(self.unread)
        try:
            super()._fill(size)
        finally:
            self.heard += self.unread[before:]


class Arena:
    def __init__(self, template, hardening):
        self.hardening = hardening
        self.run = None
        self.stand = Stand(template, "standard" if hardening == "unhardened" else hardening, SERVER_SETTINGS)
        self.admin = None  # a superuser's connection around Bulkhead
        self.markers = {}
        self.proxies = {}
        self.closing = contextlib.ExitStack()

    # ---- setting up ----

    def as_in(self, played):
        """The arena in which what comes next is played as in that run."""
        self.run = played
        return self

    def start(self):
        self.closing.callback(self.stand.remove)
        try:
            self._prepare()
        except BaseException:
            self.remove()
            raise
        return self

    def _prepare(self):
        stand = self.stand.start()
        self.admin = self.closing.enter_context(stand.admin())
        self.admin.execute("; ".join(f"CREATE EXTENSION {name}" for name in EXTENSIONS))
        self.admin.execute((FOLDER / "schema.sql").read_text())
        # Again, as one does who has added an extension: hardening then takes it in.
        run("init", "--dsn", stand.postgres.conninfo(DATABASE), "--hardening", stand.hardening,
            "--owner", "shop_owner", "--keys", stand.keys)
        if self.hardening == "unhardened":
            unhardened.weaken(self.admin)
        password_file = stand.folder / "shop.password"
        stand.command("principal", "create", INTRUDER, "--home", ATTACKER, "--reach", "self",
                      "--password-file", password_file)
        for slug in TENANTS:
            self.markers[slug] = "m" + secrets.token_hex(10)
            self._fill(slug)
        self.admin.execute("ANALYZE")
        self.words = self._read_words()
        self.as_in(next(played for played in ALL_RUNS if played.hardening == self.hardening))
        with self.open(VICTIM) as victim:
            self.settings = self._settings(victim)
        self.remember()

    def remember(self):
        """Takes the rows and catalogues as they are for what they should be."""
        self.rows, self.catalogues = self._read_rows(), self._read_catalogues()
        self.catalogues_in_short = self.admin.execute(CATALOGUES_IN_SHORT).fetchall()

    def _read_words(self):
        """What cases in SQL write in braces."""
        words = {"port": str(self.stand.postgres.port),
                 **CONTEXTS["unhardened" if self.hardening == "unhardened" else "hardened"]}
        words["context_hex"] = words["context"].encode().hex()
        words["context_escaped"] = f"\\x{words['context_hex'][:2]}{words['context'][1:]}"
        words["context_head"] = words["CONTEXT_HEAD"].lower()
        words["context_unicode_bang"] = words["context_unicode"].replace("\\", "!")
        words["context_e_unicode"] = words["context_unicode"].replace("\\", "\\u")
        for slug in (ATTACKER, VICTIM):
            words[slug] = self.stand.ids[slug]
            words[f"{slug}_hex"] = words[slug].replace("-", "")
            words[f"{slug}_escaped"] = f"\\x{words[f'{slug}_hex'][:1].encode().hex()}{words[f'{slug}_hex'][1:]}"
        words["pool_verifier"], = self.admin.execute(
            "SELECT rolpassword FROM pg_authid WHERE rolname = 'bulkhead_pool'").fetchone()
        return words

    def fill_in(self, text):
        for word, value in self.words.items():
            text = text.replace("{%s}" % word, value)
        return re.sub(r"\{times (\d+) ([^{}]*)\}", lambda times: int(times[1]) * times[2], text)

    def _fill(self, slug):
        """Gives the tenant the rows that it has at the beginning of every scene, and no others."""
        tenant, key = self.stand.ids[slug], TENANTS[slug]
        for table in reversed(TABLES):
            self.admin.execute(f"DELETE FROM {table} WHERE tenant_id = %s", (tenant,))
        self.admin.execute("DELETE FROM tickets WHERE account = %s", (key,))
        text = (FOLDER / "rows.sql").read_text()
        for word, value in (("tenant", tenant), ("key", key), ("slug", slug), ("marker", self.markers[slug])):
            text = text.replace(f"<{word}>", str(value))
        self.admin.execute(text)

    def remove(self):
        self.closing.close()

    # ---- clients ----

    def proxy(self, backends=1):
        which = self.run.gate, backends
        if which not in self.proxies:
            sections = {"pool": {**PROXY_SETTINGS, "default_pool_size": backends}}
            if HAS_GATE:
                protected = unhardened.CONTEXT if self.hardening == "unhardened" else None
                sections["gate"] = {"mode": self.run.gate, "protected_settings": protected}
            self.proxies[which] = self.closing.enter_context(self.stand.proxy(**sections))
        return self.proxies[which]

    def open(self, tenant, backends=1, user=None, **keys):
        """A new session of the tenant's, by the bare protocol. WireError when it is refused."""
        ear = Ear.connect(HOST, self.proxy(backends).port)
        ear.socket.settimeout(PATIENCE)
        user = user or (f"{INTRUDER}.{tenant}" if tenant == ATTACKER else f"shop.{tenant}")
        try:
            return ear.login({"user": user, "database": DATABASE, **keys}, password=self.stand.password)
        except BaseException:
            ear.close()
            raise

    # ---- what must hold ----

    def check(self, backends):
        """All that can be checked when the attacker has gone."""
        self._check_rows()
        self._check_catalogues()
        self._check_victims(backends)
        with self.open(ATTACKER, backends) as attacker:
            self._check_service(attacker, ATTACKER)
        self._check_idle()

    def check_heard(self, ear, tenant):
        for other, marker in self.markers.items():
            if other != tenant:
                for form in (marker, marker.encode().hex(), marker[::-1]):
                    require(form.encode() not in ear.heard, f"{tenant} was told of {other}'s rows:", ear.heard[-2000:])

    def _read_rows(self):
        """{(table, tenant): (count, hash)} of all rows there are."""
        parts = [f"SELECT '{table}', tenant_id::text, count(*), md5(string_agg(t::text, '|' ORDER BY t::text)) "
                 f"FROM {table} AS t GROUP BY 2" for table in TABLES]
        parts.append("SELECT 'tickets', account::text, count(*), md5(string_agg(t::text, '|' ORDER BY t::text)) "
                     "FROM tickets AS t GROUP BY 2")
        found = self.admin.execute(" UNION ALL ".join(parts)).fetchall()
        return {(table, tenant): (count, digest) for table, tenant, count, digest in found}

    def _check_rows(self):
        """Others' rows are as they were. Whatever has changed is put back for the next scene."""
        rows = self._read_rows()
        own = {self.stand.ids[ATTACKER], str(TENANTS[ATTACKER])}
        changed = {place for place in rows.keys() | self.rows.keys() if rows.get(place) != self.rows.get(place)}
        if changed:
            for slug in TENANTS:
                self._fill(slug)
        require(not [place for place in changed if place[1] not in own], "rows of others have changed:", changed)
        require(not changed or self._read_rows() == self.rows, "rows cannot be put back")

    def _read_catalogues(self):
        return dict(self.admin.execute(CATALOGUES).fetchall())

    def _check_catalogues(self):
        short = self.admin.execute(CATALOGUES_IN_SHORT).fetchall()
        if short == self.catalogues_in_short:
            return
        before, self.catalogues = self.catalogues, self._read_catalogues()
        self.catalogues_in_short = short  # the next scene begins with what there is now
        for part, content in before.items():
            if self.catalogues[part] != content:
                raise AssertionError(f"something was left in {part}: {difference(content, self.catalogues[part])}")

    def _check_victims(self, backends):
        """One client of globex on each backend; transactions keep them apart."""
        with contextlib.ExitStack() as stack:
            victims = [stack.enter_context(self.open(VICTIM, backends)) for _ in range(backends)]
            for victim in victims:
                if backends > 1:
                    victim.query("BEGIN")
                self._check_service(victim, VICTIM)
            for victim in victims:
                self._check_clean(victim)
                self.check_heard(victim, VICTIM)
                if backends > 1:
                    victim.query("ROLLBACK")

    def _check_service(self, ear, tenant):
        marker = self.markers[tenant]
        found = ear.query(f"SELECT count(*), count(*) FILTER (WHERE item LIKE '{tenant} %{marker}') FROM orders")
        require(w.rows(found) == [[str(ROWS), str(ROWS)]], f"{tenant} is not served:", found)

    def _settings(self, ear):
        return {name: value for name, value, _ in w.rows(ear.query("SHOW ALL")) if name != "transaction_read_only"}

    def _check_clean(self, victim):
        settings = self._settings(victim)
        changed = {name: value for name, value in settings.items() if self.settings.get(name) != value}
        require(settings.keys() == self.settings.keys() and not changed, "settings were left:", changed)
        left = w.rows(victim.query(LEFT))
        require(left == [NOTHING_LEFT], "something was left in the session:", left)
        if self.run.hardening == "standard" and self.run.gate == "off":
            statements = w.rows(victim.query("SELECT name FROM pg_prepared_statements"))
            require(not statements, "prepared statements were left:", statements)
        # Each of these is an error, and in a transaction the first one ends it.
        for question, answer in (("EXECUTE spy", "26000"), ("SELECT lastval()", "55000")):
            found = w.errors(victim.query(question))
            require(found in ([answer], ["25P02"]), question, found)

    def _check_idle(self):
        deadline = time.monotonic() + PATIENCE
        while busy := self.admin.execute(BUSY).fetchall():
            require(time.monotonic() < deadline, "a backend is not idle:", busy)
            time.sleep(0.01)
