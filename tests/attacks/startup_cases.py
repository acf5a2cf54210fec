"""Attacks in the startup packet: names, options and keys by which a session is to become another tenant's."""

from arena import require
from cases import Case
from collect import ATTACKS, attack, refused_with
from harness import wire as w
from harness.postgres import HOST
from harness.stand import DATABASE

# name, what the attacker hopes for, keys of the startup packet over the usual ones, the SQLSTATE of the refusal
# (None: it is let in, as acme)
STARTUPS = [
    ("user-of-another-tenant", "the user's name chooses any tenant", {"user": "intruder.globex"}, "28000"),
    ("user-of-another-tenants-id", "ids are not checked as slugs are", {"user": "intruder.{globex}"}, "28000"),
    ("user-of-another-tenants-hex", "the same without dashes", {"user": "intruder.{globex_hex}"}, "28000"),
    ("user-of-another-tenants-key", "nor are keys", {"user": "intruder.103"}, "28000"),
    ("user-in-capitals", "names are folded after they are checked", {"user": "intruder.GLOBEX"}, "3D000"),
    ("user-with-blanks", "names are trimmed after they are checked", {"user": "intruder. globex"}, "3D000"),
    ("user-with-two-tenants", "the first tenant is checked, the second is taken",
     {"user": "intruder.acme.globex"}, "28P01"),
    ("user-quoted", "the user's name ends up in a statement", {"user": "intruder'--.acme"}, "28P01"),
    ("user-doubly-quoted", "the same, as an identifier", {"user": 'intruder".acme'}, "28P01"),
    ("user-too-long", "names are cut at 63 bytes, and then they are somebody's",
     {"user": "intruder" + "x" * 100 + ".acme"}, "28P01"),
    ("tenant-too-long", "the same for the tenant's", {"user": "intruder." + "globex" * 100}, "08P01"),
    ("no-tenant", "without a name there is no filter", {"user": "intruder"}, "28000"),
    ("empty-tenant", "an empty name is no name", {"user": "intruder."}, "28P01"),
    ("option-of-another-tenant", "the option wins over the user's name",
     {"options": "-c bulkhead.tenant=globex"}, "42501"),
    ("option-in-capitals", "an option in another spelling is not seen",
     {"options": "-c BULKHEAD.Tenant=globex"}, "42501"),
    ("option-with-dashes", "the same, as a long option", {"options": "--bulkhead.tenant=globex"}, "42501"),
    ("option-escaped", "the same, with a backslash", {"options": "-c bulkhead.ten\\ant=glo\\bex"}, "42501"),
    ("option-alone", "the option chooses any tenant",
     {"user": "intruder", "options": "-c bulkhead.tenant=globex"}, "28000"),
    ("option-twice", "the first is checked, the last is taken",
     {"user": "intruder", "options": "-c bulkhead.tenant=acme -c bulkhead.tenant=globex"}, "08P01"),
    ("option-and-key", "the option is checked, the key is taken",
     {"user": "intruder", "options": "-c bulkhead.tenant=acme", "bulkhead.tenant": "globex"}, "08P01"),
    ("other-options-of-bulkheads", "there are more settings of that prefix",
     {"options": "-c bulkhead.tenant_id={globex}"}, "42704"),
    ("option-without-value", "an empty option goes round in circles", {"options": "-c="}, "42602"),
    ("seal-as-an-option", "settings of the startup packet are applied with more rights",
     {"options": "-c {context}={globex_hex},"}, "42501"),
    ("seal-as-a-key", "the same, as a key of its own", {"{context}": "{globex_hex},"}, "42501"),
    ("role-as-an-option", "the same for a role", {"options": "-c role=shop_owner"}, "42501"),
    ("guard-as-a-role", "the same for the guard's", {"role": "bulkhead_guard"}, "42501"),
    ("session-authorization-as-an-option", "the same for the login itself",
     {"options": "-c session_authorization=postgres"}, "42501"),
    ("superuser-settings-as-options", "the same for a superuser's settings",
     {"options": "-c session_replication_role=replica"}, "42501"),
    ("preload-as-an-option", "a library is loaded at the start",
     {"options": "-c session_preload_libraries=auto_explain"}, "42501"),
    ("log-settings-as-options", "the log shows what enter is called with",
     {"options": "-c log_statement=all"}, "42501"),
    ("switches", "switches other than -c reach the server", {"options": "-d 5"}, "42601"),
    ("replication", "a walsender reads everybody's rows", {"replication": "database"}, "0A000"),
    ("replication-on", "the same, spelled otherwise", {"replication": "on"}, "0A000"),
    ("another-database", "the route is chosen by the client", {"database": "postgres"}, "3D000"),
    ("a-database-too-long", "the database's name is cut at 63 bytes", {"database": "shop" + "p" * 100}, "3D000"),
    ("a-user-of-dots", "which dot parts the names?", {"user": "...acme"}, "28P01"),
    ("a-database-with-a-tail", "the database's name is cut or quoted", {"database": 'shop" options=x'}, "3D000"),
    ("encoding-sjis", "a quote that is half a character", {"client_encoding": "SJIS"}, "0A000"),
    ("strings-not-conforming", "Bulkhead and the server read quotes in two ways",
     {"options": "-c standard_conforming_strings=off"}, "0A000"),
    ("group-as-a-role", "the group of the grants is no login", {"options": "-c role=bulkhead_app"}, None),
    ("search-path-as-an-option", "the proxy's own statements run under it",
     {"options": "-c search_path=pg_temp,public"}, None),
    ("a-quoted-search-path", "a list of names is put together without quotes",
     {"options": "-c search_path=\"a'\\\\;\\ RESET\\ ALL;--\",public"}, None),
    ("a-statement-in-a-value", "a setting's value ends up in a statement",
     {"options": "-c app.x=';RESET\\ ALL;--"}, None),
    ("a-statement-behind-a-backslash", "the same, with the quote escaped twice",
     {"options": "-c app.x=\\\\\\';RESET\\ ALL;--"}, None),
    ("a-statement-in-the-name", "the client's name is set by a statement",
     {"application_name": "\\'; RESET ALL; --"}, None),
    ("the-markers-name", "the client's name is Bulkhead's own marker",
     {"application_name": "bulkhead: no client"}, None),
    ("half-a-character", "a byte that swallows the closing quote",
     {"client_encoding": "EUC_JP", "application_name": b"x\x8f"}, "22021"),
    ("row-security-as-an-option", "row security is a setting", {"options": "-c row_security=off"}, None),
    ("read-only-as-an-option", "the next client cannot write",
     {"options": "-c default_transaction_read_only=on"}, None),
    ("timeout-as-an-option", "the next hand-over fails", {"options": "-c statement_timeout=1ms"}, None),
    ("debug-as-options", "messages of the hand-over reach the client",
     {"options": "-c client_min_messages=debug5 -c debug_print_parse=on -c debug_print_plan=on"}, None),
    ("option-glued", "an option without a blank in between", {"options": "-cbulkhead.tenant=globex"}, "42501"),
    ("option-with-equals-signs", "the value is cut at the first, or the last",
     {"options": "-c bulkhead.tenant=acme=globex"}, "3D000"),
    ("option-of-two-spellings", "the first is checked, the last is taken",
     {"options": "-c bulkhead.tenant=acme -c Bulkhead.TENANT=globex"}, "08P01"),
    ("option-quoted", "a quote in an option means something", {"options": "-c bulkhead.tenant='globex'"}, "3D000"),
    ("option-with-a-newline", "a newline parts options for one of the two",
     {"options": "-c\nbulkhead.tenant=globex"}, "42501"),
    ("seal-in-another-spelling", "names of settings are folded", {"options": "-c {Context}={globex_hex},"}, "42501"),
    ("seal-as-a-long-option", "dashes are underscores", {"options": "--{context}={globex_hex},"}, "42501"),
    ("seal-as-a-key-in-another-spelling", "keys are not folded", {"{Context}": "{globex_hex},"}, "42501"),
    ("seal-behind-another-option", "only the first option is read",
     {"options": "-c work_mem=5MB -c {context}={globex_hex},"}, "42501"),
    ("role-as-a-key", "keys are settings", {"role": "shop_owner"}, "42501"),
    ("role-in-another-spelling", "the same in capitals", {"options": "-c ROLE=shop_owner"}, "42501"),
    ("replication-in-options", "a walsender by another way", {"options": "-c replication=database"}, "42704"),
    ("replication-in-capitals", "keys are compared as they are written", {"REPLICATION": "true"}, "42704"),
    ("internal-settings", "what the server reports can be given", {"options": "-c is_superuser=on"}, "55P02"),
    ("delay-as-an-option", "a setting that only the start of a session has", {"options": "-c post_auth_delay=60"},
     "55P02"),
    ("indexes-as-an-option", "the same", {"options": "-c ignore_system_indexes=on"}, "55P02"),
    ("strings-as-a-key", "the same as a key", {"standard_conforming_strings": "off"}, "0A000"),
    ("backslashes-as-an-option", "quotes are quoted by a backslash", {"options": "-c backslash_quote=on"}, "0A000"),
    ("encoding-by-another-name", "names of encodings are folded", {"client_encoding": "Shift_JIS"}, "0A000"),
    ("encoding-in-options", "the same in options", {"options": "-c client_encoding=GB18030"}, "0A000"),
    ("encoding-twice", "the first is checked, the last is taken",
     {"client_encoding": "UTF8", "options": "-c client_encoding=BIG5"}, "0A000"),
    ("row-security-as-a-key", "row security is a setting", {"row_security": "off"}, None),
    ("long-name-of-a-client", "a name of 9,000 bytes", {"application_name": "x" * 9000}, None),
    ("template-database", "another database of the server's", {"database": "template1"}, "3D000"),
    ("database-in-capitals", "names of databases are folded", {"database": "SHOP"}, "3D000"),
    ("database-with-a-blank", "names of databases are trimmed", {"database": "shop "}, "3D000"),
    ("database-as-a-conninfo", "the name is read as a connection string", {"database": "dbname=postgres"}, "3D000"),
    ("database-as-a-uri", "the name is read as an address", {"database": "postgres://postgres@127.0.0.1/shop"},
     "3D000"),
    ("console", "the console is everybody's", {"database": "bulkhead"}, "42501"),
    ("user-of-the-pool", "the pool's login is a principal", {"user": "bulkhead_pool"}, "28P01"),
    ("user-of-the-pool-as-a-tenant", "the same, as a tenant", {"user": "bulkhead_pool.acme"}, "28P01"),
    ("user-who-is-a-superuser", "the server's users are principals", {"user": "postgres.globex"}, "28P01"),
    ("user-of-a-tenants-login", "a tenant's login is a principal", {"user": "t_{globex_hex}"}, "28P01"),
    ("user-percent-encoded", "names are decoded as an address", {"user": "intruder%2Eglobex"}, "28P01"),
    ("tenant-with-a-slash", "a tenant below a tenant is written as a path", {"user": "intruder.acme/../globex"},
     "28P01"),
    ("tenant-below", "a tenant below one's own, out of reach", {"user": "intruder.acme-labs"}, "28000"),
    ("tenant-of-nobody", "a tenant that does not exist is no tenant", {"user": "intruder.nobody"}, "3D000"),
    ("protocol-options", "unknown protocol options are the server's to see",
     {"_pq_.bulkhead.tenant": "globex"}, None),
]


def startup_attack(keys, refusal):
    def play(scene):
        fill_in = scene.arena.fill_in
        filled = {fill_in(name): fill_in(value) if isinstance(value, str) else value for name, value in keys.items()}
        try:
            session = scene.login(**filled)
        except w.WireError as error:
            by_gate = scene.arena.run.gate == "enforce" and str(error.why[1]).startswith("BH-STMT-")
            require(by_gate or error.sqlstate == refusal, f"should be {refusal}, is {error}")
            return
        require(refusal is None, f"should be refused with {refusal}")
        found = session.query("SELECT count(*), count(*) FILTER (WHERE tenant_id = "
                              f"'{scene.arena.words['acme']}') FROM public.orders")
        require(w.rows(found) in ([], [["20", "20"]]), found)
    return play


for name, hope, keys, refusal in STARTUPS:
    ATTACKS.append(Case("startup-" + name, hope, __name__, "databases and startup", run=startup_attack(keys, refusal)))


@attack("the server takes the last of two keys, Bulkhead the first")
def startup_user_twice(scene):
    with w.Wire.connect(HOST, scene.arena.proxy().port) as ear:
        keys = [("user", "intruder.acme"), ("user", "shop.globex"), ("database", DATABASE)]
        refused_with(ear, "08P01", w.startup(keys))


@attack("a NUL ends a name for one, not for the other")
def startup_nul_in_a_name(scene):
    with w.Wire.connect(HOST, scene.arena.proxy().port) as ear:
        refused_with(ear, "08P01", w.startup([("user", b"intruder.acme\0.globex"), ("database", DATABASE)]))
