"""Attacks in the protocol by tenants with logins of their own, as functions of a scene."""

import time

import psycopg
from arena import require
from cases import Case
from collect import OWN_ATTACKS, own_attack, refused_with
from harness import wire as w
from harness.postgres import HOST
from harness.stand import DATABASE, run
from own_arena import VICTIMS

OWN = ("schema", "database", "login")

# name, what the attacker hopes for, keys of the startup packet over the usual ones, the SQLSTATE of the refusal
# (None: it is let in, as itself)
STARTUPS = [
    ("own-user-of-its-login", "the name of a tenant's login is a user's name", {"user": "{me}"}, "28P01"),
    ("own-user-of-anothers-login", "the same, another tenant's", {"user": "{schema}"}, "28P01"),
    ("own-user-of-the-pools-login", "the same, the login that all share", {"user": "bulkhead_pool"}, "28P01"),
    ("own-user-of-another-tenant", "the route is chosen by the user's name", {"user": "{app}.tyrell"}, "28000"),
    ("own-user-of-a-database-tenant", "the same, a tenant with a database", {"user": "{app}.wonka"}, "28000"),
    ("own-user-of-a-shared-tenant", "the same, a tenant on shared tables", {"user": "{app}.globex"}, "28000"),
    ("own-user-of-another-tenants-id", "the same, by its number", {"user": "{app}.{schema_id}"}, "28000"),
    ("own-user-of-another-tenants-role", "the same, as its login is called",
     {"user": "{app}.{schema}"}, ("28000", "3D000")),
    ("own-database-of-another", "the route is chosen by the database's name", {"database": "{database}"}, "3D000"),
    ("own-database-of-ones-own", "the same, its own", {"database": "{me}"}, "3D000"),
    ("own-database-of-administrators", "the same, the server's", {"database": "postgres"}, "3D000"),
    ("own-database-template", "the same, which new databases are made from", {"database": "template1"}, "3D000"),
    ("own-startup-path", "startup options lead into another schema",
     {"options": "-c search_path={schema},public"}, None),
    ("own-startup-path-as-a-key", "the same, as a key", {"search_path": "{schema}"}, None),
    ("own-startup-path-escaped", "the same, with a backslash", {"options": "-c search_path={schema},\\ public"}, None),
    ("own-startup-path-twice", "the first is taken away, the last is taken",
     {"options": "-c search_path=pg_catalog -c search_path={schema}"}, None),
    ("own-startup-role", "startup options choose a role", {"options": "-c role={schema}"}, "42501"),
    ("own-startup-role-as-a-key", "the same, as a key", {"role": "{login}"}, "42501"),
    ("own-startup-session-authorization", "the same for the login itself",
     {"session_authorization": "{schema}"}, "42501"),
    ("own-startup-tenant", "the option chooses the route", {"options": "-c bulkhead.tenant=tyrell"}, "42501"),
    ("own-startup-seal", "a seal beside a login of one's own",
     {"options": "-c backtrace_functions={sealed_hex},"}, "42501"),
    ("own-startup-replication", "a walsender of a login of one's own", {"replication": "database"}, "0A000"),
    ("own-startup-preload", "a library at the start",
     {"options": "-c session_preload_libraries=auto_explain"}, "42501"),
    ("own-startup-replica", "triggers and foreign keys are off",
     {"options": "-c session_replication_role=replica"}, "42501"),
    ("own-startup-row-security", "row security is off", {"options": "-c row_security=off"}, None),
    ("own-startup-encoding", "an encoding in which bytes are read in two ways", {"client_encoding": "SJIS"}, "0A000"),
]


def startup_case(name, hope, keys, expected):
    def play(scene):
        words = {**scene.arena.words, "app": f"{scene.attacker}-app"}
        sent = {}
        for key, value in keys.items():
            for word, text in words.items():
                value = value.replace("{%s}" % word, text)
            sent[key] = value
        try:
            session = scene.login(**sent)
        except w.WireError as error:
            allowed = (expected,) if isinstance(expected, str) else expected or ("42501", "22023", "0A000")
            require(error.sqlstate in allowed, "refused with", error.sqlstate, "and not", expected)
            return
        require(expected is None, "it is let in, and not refused with", expected)
        for question in ("SELECT item FROM orders", "SELECT body FROM notes", "SELECT all_items()",
                         f"SELECT session_user = '{words['me']}', current_user = session_user"):
            found = session.query(question)
        require(w.rows(found) == [["t", "t"]], "it is somebody else:", found)

    return Case(name, hope, "own_wire_cases", "databases and startup", speakers=OWN, run=play)


OWN_ATTACKS.extend(startup_case(*row) for row in STARTUPS)


@own_attack("functions by number need no right on the schema that they are in", OWN)
def own_function_calls(scene):
    session = scene.session(scene.attacker)
    place = VICTIMS["schema"]
    theirs = scene.ask_admin("SELECT p.oid::bigint FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace "
                             "WHERE p.proname = 'all_items' AND n.nspname = %s", scene.arena.role(place))
    refusals = ("42501", "0A000", "42883")
    session.send(w.function_call(theirs, []))
    found = w.errors(session.until_ready())
    require(found and found[0] in refusals, "a function of another's was called:", found)
    enter = ["default", "", "", "1800000000000", "0" * 64]
    for function, values in (("bulkhead.enter(text,text,text,text,text)", enter),
                             ("bulkhead.set_login_key(uuid,text)", [scene.arena.words["my_id"], "103"]),
                             ("pg_catalog.lo_import(text)", ["/etc/passwd"])):
        number = scene.ask_admin("SELECT %s::regprocedure::oid::bigint", function)
        session.send(w.function_call(number, values))
        found = w.errors(session.until_ready())
        require(found and found[0] in refusals, function, "was called:", found)


@own_attack("messages behind the end of a session run in the next tenant's", OWN)
def own_statements_behind_an_end(scene):
    session = scene.session(scene.attacker)
    session.send(w.query("BEGIN"), w.query("ROLLBACK"), w.query("DISCARD ALL"), w.query("SELECT item FROM orders"),
                 w.terminate(), w.query("SELECT item FROM orders"), w.query("DROP TABLE orders"))
    scene.leave(scene.attacker, politely=False)
    for slug in VICTIMS.values():
        require(w.rows(scene.session(slug).query("SELECT count(*) FROM orders")) == [["20"]], slug, "is not served")


@own_attack("one's own key cancels whoever is at work", OWN, area="denial of service")
def own_cancels(scene):
    session = scene.session(scene.attacker)
    session.query("SELECT 1")
    others = [scene.session(slug) for slug in VICTIMS.values()]
    for other in others:
        other.send(w.query("SELECT count(*) FROM generate_series(1, 200000)"))
    for _ in range(5):
        session.cancel()
    for other in others:
        require(w.errors(other.until_ready()) == [], "another's statement was cancelled")


@own_attack("names of statements and portals are the backend's, and the next client's", OWN, area="left-overs")
def own_statement_names(scene):
    session = scene.session(scene.attacker)
    session.send(w.parse("SELECT item FROM orders", "s1"), w.bind(statement="s1", portal="p"), w.execute("p", 1),
                 w.sync())
    session.until_ready()
    for slug in VICTIMS.values():
        other = scene.session(slug)
        other.send(w.bind(statement="s1"), w.execute(), w.sync())
        require(w.errors(other.until_ready()) == ["26000"], "the statement is there")
        other.send(w.execute("p"), w.sync())
        require(w.errors(other.until_ready()) == ["34000"], "the portal is there")


@own_attack("logins that fail, one after the other, keep the proxy and the server from others", OWN,
            area="denial of service", residue="any login may change its own password; it puts itself out of service")
def own_logins_that_fail(scene):
    arena = scene.arena
    session = scene.session(scene.attacker)
    session.query("ALTER ROLE CURRENT_USER PASSWORD 'known'")
    if scene.gated:
        scene.refusals += 1  # it is told so
    scene.leave(scene.attacker)
    arena.end_backends(arena.attackers_role)
    began = time.monotonic()
    for _ in range(5):
        try:
            scene.login("failing").query("SELECT 1")
            scene.leave("failing")
        except w.WireError as error:
            require(error.sqlstate == "08001", "the login fails with", error)
        except EOFError:
            scene.leave("failing", politely=False)  # let in as it was before, and told when it wants a backend
    arena.end_backends(arena.role(VICTIMS["schema"]), arena.role(VICTIMS["login"]))
    for slug in VICTIMS.values():
        require(w.rows(scene.session(slug).query("SELECT count(*) FROM orders")) == [["20"]], slug, "is not served")
    require(time.monotonic() - began < 5, "others waited for", time.monotonic() - began, "seconds")


@own_attack("what is planted and opened stands in the way of the next upgrade of the guard, or runs in it", ("schema",),
            area="roles", under=("standard",))
def own_plants_before_an_upgrade(scene):
    session = scene.session(scene.attacker)
    home = scene.arena.words["home"]
    for statement in (
            f"GRANT ALL ON SCHEMA {home} TO PUBLIC", "GRANT ALL ON orders TO PUBLIC, bulkhead_app, bulkhead_guard",
            "CREATE FUNCTION enter(text, text, text, text, text) RETURNS text LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE cardinality_violation; END $$",
            "CREATE FUNCTION format(text, name) RETURNS text LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE cardinality_violation; END $$",
            "CREATE TABLE protection (relation regclass)", "CREATE TABLE pg_proc (oid oid)",
            "ALTER DEFAULT PRIVILEGES GRANT ALL ON FUNCTIONS TO bulkhead_app",
            "CREATE TABLE shared (tenant_id uuid, item text)",
            f"SELECT bulkhead.protect('{home}.shared', 'tenant_id')"):
        found = w.errors(session.query(statement))
        require(not found or (scene.gated and found == ["42501"]), statement, "gives", found)
    stand = scene.arena.stand
    run("init", "--dsn", stand.postgres.conninfo(DATABASE) + f" options='-c search_path={home},pg_catalog'",
        "--hardening", stand.hardening, "--owner", "shop_owner", "--keys", stand.keys)
    scene.arena.take_as_it_is("roles")  # the same passwords, with another salt


@own_attack("with the password that it can set itself, it goes around Bulkhead into every database of the server", OWN,
            area="databases and startup")
def own_login_around_bulkhead(scene):
    own, me = scene.arena.own, scene.attacker
    for database in (scene.arena.role(VICTIMS["database"]), DATABASE, "postgres", "template1"):
        is_theirs = database != DATABASE and database.startswith("t_")
        try:
            with own.connect(me, dbname=database) as connection:
                require(not is_theirs, "is let into", database)
                for text in ("TABLE public.orders", f"TABLE {scene.arena.words['schema']}.orders", "CREATE SCHEMA mine",
                             "CREATE TABLE public.mine (x integer)", "SELECT bulkhead.enter('', '', '', '', '')"):
                    try:
                        told = str(connection.execute(text).fetchall())
                    except psycopg.Error as error:
                        told = str(error)
                    for slug, marker in scene.arena.markers.items():
                        require(slug == me or marker not in told, me, "was told of", slug, "by", text)
        except psycopg.OperationalError as error:
            require(is_theirs, database, error)


@own_attack("what resets the session out of sight takes along what keeps the tenant where it is", OWN,
            area="left-overs")
def own_resets_out_of_sight(scene):
    session = scene.session(scene.attacker)
    home = scene.arena.words["home"]
    for text in ("RESET ALL", "SET application_name = ''", "SET search_path = pg_catalog", "DISCARD PLANS",
                 "SET application_name = 'bulkhead'"):
        quoted = text.replace("'", "''")
        session.query(f"DO $$ BEGIN EXECUTE '{quoted}'; END $$")
        session.query("SELECT 1")
        session.query(f"CREATE FUNCTION {home}.reset_it() RETURNS void LANGUAGE plpgsql AS $$ BEGIN {text}; END $$")
        session.query(f"SELECT {home}.reset_it()")
        session.query(f"DROP FUNCTION IF EXISTS {home}.reset_it()")
        session.query("SELECT item FROM orders")
    scene.leave(scene.attacker)
    # What it has left to its own next client is its own affair.
    found = scene.session(scene.attacker).query("SELECT count(*) FROM orders")
    require(w.rows(found) == [["20"]] or w.errors(found) == ["42P01"], "is not where it was:", found)


@own_attack("the protocol's bytes before a login reach the backend of another", OWN, area="databases and startup")
def own_bytes_before_the_login(scene):
    with w.Wire.connect(HOST, scene.arena.proxy().port) as ear:
        ear.send(w.startup({"user": f"{scene.attacker}-app.{VICTIMS['schema']}", "database": DATABASE}))
        ear.read_sasl(w.AUTH_SASL)
        refused_with(ear, "08P01", w.query("SELECT item FROM orders"))
