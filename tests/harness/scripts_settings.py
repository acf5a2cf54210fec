"""Scripts with settings: SET, RESET, set_config and what undoes them."""

from harness.scripts_prepared import RESET_OF_ASYNCPG, RESET_OF_NPGSQL
from harness.steps import ITEMS, Script, bound, extended, prepared, run, simple, upto, used, z
from harness.wire import bind, execute, flush, parse, query, sync

# ---- one setting after the other ----

VALUES = {  # each with two values as SET takes them, neither of which is the default
    "DateStyle": ("'German'", "SQL, DMY"), "TimeZone": ("'Asia/Kathmandu'", "-3"),
    "IntervalStyle": ("iso_8601", "'sql_standard'"), "application_name": ("'it''s me'", "\"You\""),
    "search_path": ("pg_catalog, public", "'a b', \"C\""), "statement_timeout": ("'20s'", "30000"),
    "extra_float_digits": ("3", "-1"), "work_mem": ("'1MB'", "2048"), "client_min_messages": ("error", "'debug1'"),
    "bytea_output": ("escape", "'escape'"), "default_transaction_isolation": ("serializable", "'repeatable read'"),
    "lock_timeout": ("1000", "'2s'"), "enable_seqscan": ("off", "false"), "app.tenant": ("'t1'", "t2"),
    "client_encoding": ("'LATIN1'", "WIN1252"), "row_security": ("on", "'on'"), "lc_monetary": ("'C'", "\"POSIX\""),
    "default_transaction_read_only": ("on", "true"), "idle_in_transaction_session_timeout": ("'15s'", "16000"),
}


def lives(name, one, two):
    """A setting's life: set, set in transactions of all ends, set for one of them, reset."""
    show, between = f"SHOW {name}", "SELECT 'between'"
    return {
        f"{name}, set": simple(
            f"SET {name} = {one}", show, between, show, f"SET {name} TO {two}", between, show, f"RESET {name}", show,
            between, show, f"SET SESSION {name} = {one}", f"SET {name} TO DEFAULT", between, show),
        f"{name}, in transactions": simple(
            "BEGIN", f"SET {name} = {one}", show, "ROLLBACK", show, between, "BEGIN", f"SET {name} = {one}", "COMMIT",
            show,
            "BEGIN", f"RESET {name}", show, "ROLLBACK", show, "BEGIN", "SELECT 1", f"SET {name} = {two}", "SELECT 1/0",
            "COMMIT", show, "BEGIN", "SELECT 1", f"RESET {name}", "COMMIT", show),
        f"{name}, local": simple(
            "BEGIN", f"SET LOCAL {name} = {one}", show, "COMMIT", show, f"SET {name} = {two}", "BEGIN",
            f"SET LOCAL {name} TO {one}", show, "ROLLBACK", show, "BEGIN", f"SET LOCAL {name} TO DEFAULT", show,
            "COMMIT",
            show, f"RESET {name}", f"SET LOCAL {name} = {one}", show),
        f"{name}, savepoints": simple(
            "BEGIN", f"SET {name} = {one}", "SAVEPOINT s", f"SET {name} = {two}", show, "ROLLBACK TO s", show,
            "RELEASE s",
            "COMMIT", show, "BEGIN", "SAVEPOINT s", f"SET {name} = {two}", "RELEASE s", "COMMIT", show, "BEGIN",
            "SAVEPOINT s", f"SET LOCAL {name} = {one}", "RELEASE s", show, "COMMIT", show, f"RESET {name}"),
        f"{name}, extended": [
            *extended(f"SET {name} = {one}", show, between, show),
            z(run(f"SET {name} = {two}"), run("SELECT 1/0"), sync()), *simple(show),
            z(run(f"SET {name} = {two}"), sync(), run(show), sync(), run("SELECT 1/0"), sync(), n=3),
            *extended(show, f"RESET {name}", show)],
    }


LIVES = {what: steps for name, values in VALUES.items() for what, steps in lives(name, *values).items()}

# ---- spellings ----


def shown(name, *texts):
    """After each text, the setting in the next transaction and in the one after."""
    return [step for text in texts for step in simple(text, f"SHOW {name}", "SELECT 1", f"SHOW {name}")]


SPELT = {
    "search paths": shown(
        "search_path",
        *[f"SET search_path {value}" for value in (
            "TO public", "= public, pg_catalog", "= 'public','pg_catalog'", "= \"A b\", \"c\"\"d\"", "TO 'x y', public",
            "= ''", "= 'public, pg_catalog'", "TO \"$user\", public", "= 'TENANTA'", "= TenantA", "= \"TenantA\"",
            "= E'a\\'b', \"c,d\"", "= 'ü', \"Ü\"", "= ' leading', 'trailing '", "= 'a\nb'", "= '\"quoted\"'",
            "= public,",
            "TO DEFAULT", "= 'back\\slash'", "= '" + "x" * 3000 + "'", "= " + ", ".join(f"s{n}" for n in range(200)),
            "= '" + "y" * 64 + "'", "TO 1, 2", "= pg_temp", "= U&'\\0061'")],
    ),
    "search paths, by set_config": [step for value in (
        "public", "public, \"$user\"", "", "\"TENANTA\"", "TenantA", "\"a\"\"b\", c", " a ,  b ", "a,,b", "'a'", "\"a")
        for step in [z(run("SELECT set_config('search_path', $1, false)", (value,)), sync()),
        *simple("SHOW search_path"),
        *simple("SELECT current_schemas(false)")]],
    "SCHEMA": shown(
        "search_path", "SET SCHEMA 'public'", "SET SCHEMA 'a, b'", "SET SCHEMA public", "SET LOCAL SCHEMA 'x'",
    ),
    "dates": [step for value in ("'ISO, DMY'", "ISO, YMD", "'SQL'", "'Postgres, MDY'", "German", "'iso, us'", "'DMY'",
        "'European'", "DEFAULT", "'x'", "'ISO, German'")
        for step in simple(f"SET DateStyle TO {value}",
        "SELECT date '2024-02-03', timestamptz '2024-01-01 12:00Z'",
        "SHOW DateStyle")],
    "time zones": shown(
        "TimeZone",
        *[f"SET TIME ZONE {value}" for value in (
            "'UTC'", "'utc'", "LOCAL", "DEFAULT", "-3", "5.5", "INTERVAL '-08:00' HOUR TO MINUTE", "'Europe/Berlin'",
            "'europe/berlin'", "'<+02>-02'", "'posix/UTC'", "'Nowhere/At_All'", "INTERVAL '1 month'", "'EST5EDT'",
            "UTC")],
        "SET TimeZone = 'Asia/Tokyo'", "SET timezone TO '+3'", "SET \"TimeZone\" = 'UTC'", "SET TIMEZONE = 2",
    ),
    "intervals": [step for value in ("postgres", "postgres_verbose", "sql_standard", "iso_8601")
        for step in simple(f"SET IntervalStyle = {value}", "SELECT interval '1 year 2 days -03:04:05.6'")],
    "names of encodings": shown(
        "client_encoding", "SET NAMES 'utf8'", "SET NAMES", "SET NAMES 'latin1'", "SET NAMES DEFAULT",
        "SET client_encoding = 'utf-8'", "SET client_encoding TO 'nonsense'",
    ),
    "units": shown(
        "statement_timeout",
        *[f"SET statement_timeout = {value}" for value in (
            "'2s'", "'2 min'", "3000", "'1.5s'", "0", "'20 parsecs'", "-5", "'7000'", "'0x1000'", "1e4", "'60001ms'")],
    ),
    "booleans": shown(
        "enable_sort",
        *[f"SET enable_sort = {value}" for value in ("off", "'no'", "f", "0", "'OFF'", "1", "on", "maybe", "TRUE")],
    ),
    "values of a setting of its own": [step for value in (
        "''", "' '", "'a''b'", "'a\\b'", "E'a\\nb'", "'ü'", "1", "-1.5", "on", "a, b", "'a, b'", "'$1'", "\"A\"",
        "'{\"tenant\": \"x\"}'", "$$dollar$$", "'" + "v" * 5000 + "'", "DEFAULT") for step in simple(
        f"SET app.tenant = {value}", "SHOW app.tenant", "SELECT length(current_setting('app.tenant', true))")],
    "names": [step for name in ("app.b.c", "APP.Tenant", "\"app\".\"tenant\"", "\"app.tenant\"", "app.\"Te nant\"",
        "app.",
        "datestyle", "\"DATESTYLE\"", "_x.y", "1a.b", "a.b-c", "ü.ü")
        for step in simple(f"SET {name} = 'ISO'", f"SHOW {name}")] + simple("SHOW app.TENANT"),
    "application names": shown(
        "application_name", "SET application_name = 'é ü'", "SET application_name = ''",
        f"SET application_name = '{'n' * 100}'", "SET application_name = E'tab\\there'",
        "SET application_name TO DEFAULT", "RESET application_name",
    ),
    "several in one": shown(
        "DateStyle", "SET DateStyle = 'German'; SET TimeZone = 'Asia/Tokyo'; SET app.x = '1'",
        "SET DateStyle = 'ISO'; SHOW DateStyle; RESET DateStyle",
    ),
    "what is no setting": simple(
        "SET nonsense = 1", "SHOW nonsense", "RESET nonsense", "SET DateStyle = 'x'", "SET statement_timeout = -5",
        "SET server_version = '1'", "SET max_connections = 5", "SET log_statement = 'all'", "SET app.x", "SET", "RESET",
        "SET app.x = ", "SET transaction_isolation = 'x'", "SHOW \"no such\"", "SET x FROM CURRENT",
        "SET is_superuser = on",
    ),
    "forms that are no settings": simple(
        "SET ROLE none", "SET SESSION AUTHORIZATION DEFAULT", "RESET ROLE", "RESET SESSION AUTHORIZATION",
        "SET XML OPTION DOCUMENT", "SHOW xmloption", "SET XML OPTION CONTENT", "SET CONSTRAINTS ALL DEFERRED",
        "SET TRANSACTION READ ONLY", "SET CATALOG 'x'", "SHOW TRANSACTION ISOLATION LEVEL",
        "SHOW SESSION AUTHORIZATION_", "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE",
        "SHOW transaction_isolation", "SELECT 1", "SHOW default_transaction_isolation",
        "RESET default_transaction_isolation", "SHOW TIME ZONE",
    ),
    "a role of its own": simple(
        "SET ROLE bulkhead_app", ITEMS, "SELECT current_user", "SELECT 1", "SELECT current_user", "RESET ROLE", "BEGIN",
        "SET LOCAL ROLE bulkhead_app", "SELECT current_user", "COMMIT", "SET ROLE nobody_at_all", "SHOW role",
    ),
    "seeds": simple("SET SEED TO 0.5", "SELECT random()", "SELECT setseed(0.25)", "SELECT random()", "SELECT random()"),
}

# ---- set_config ----

CONFIG = "SELECT set_config($1, $2, $3)"
NAMED = {
    "literals": simple(
        "SELECT set_config('app.k', 'v', false)", "SELECT current_setting('app.k')", "SELECT 1",
        "SELECT current_setting('app.k')", "SELECT set_config('app.k', 'w', true)", "SELECT current_setting('app.k')",
        "SELECT set_config('app.k', NULL, false)", "SELECT current_setting('app.k')",
    ),
    "in transactions": simple(
        "BEGIN", "SELECT set_config('app.k', 'v', true)", "SELECT current_setting('app.k')", "COMMIT",
        "SELECT current_setting('app.k', true)", "BEGIN", "SELECT set_config('app.k', 'v', false)", "ROLLBACK",
        "SELECT current_setting('app.k', true)", "BEGIN", "SELECT set_config('app.k', 'v', false)", "COMMIT",
        "SELECT current_setting('app.k', true)", "BEGIN", "SELECT set_config('app.k', 'w', true)", "SAVEPOINT s",
        "SELECT set_config('app.k', 'x', false)", "ROLLBACK TO s", "SHOW app.k", "COMMIT", "SHOW app.k",
    ),
    "parameters in text": [
        z(run("SELECT set_config('app.k', $1, false)", ("v1",)), sync()), *simple("SHOW app.k", "SHOW app.k"),
        z(run(CONFIG, ("app.k", "v2", "false")), sync()), *simple("SHOW app.k", "SHOW app.k"),
        z(run(CONFIG, ("app.k", "v3", "true")), sync()), *simple("SHOW app.k"),
        z(run(CONFIG, ("app.k", None, "f")), sync()), *simple("SHOW app.k"), z(run(CONFIG, (None, "v", "f")), sync()),
        z(run(CONFIG, ("nonsense", "v", "f")), sync()), z(run(CONFIG, ("DateStyle", "German", "0")), sync()),
        *simple("SELECT date '2024-02-03'", "SHOW DateStyle"),
    ],
    "parameters in binary": [
        z(parse(CONFIG, types=(25, 25, 16)), bind((b"app.k", b"v\xc3\xbc", b"\0"), formats=(1,)), execute(), sync()),
        *simple("SHOW app.k", "SHOW app.k"),
        z(parse(CONFIG), bind((b"TimeZone", b"Asia/Tokyo", b"\0"), formats=(1, 1, 1)), execute(), sync()),
        *simple("SHOW TimeZone", "SHOW TimeZone"),
        z(parse(CONFIG), bind(("app.k", "w", b"\1"), formats=(0, 0, 1)), execute(), sync()), *simple("SHOW app.k"),
    ],
    "in a transaction, with parameters": [
        *simple("BEGIN"), z(run("SELECT set_config('app.k', $1, true)", ("t1",)), sync()), *simple("SHOW app.k", ITEMS),
        *simple("COMMIT", "SELECT current_setting('app.k', true)"),
    ],
    "a statement with a name": [
        prepared("SELECT set_config('app.k', $1, false)", "a"), used("a", "1"), *simple("SHOW app.k"), used("a", "2"),
        *simple("SHOW app.k", "BEGIN"), used("a", "3"), *simple("ROLLBACK", "SHOW app.k"),
        z(bound("a", "4"), bound("a", "5"), sync(), bound("a", "6"), run("SELECT 1/0"), sync(), n=2),
        *simple("SHOW app.k"),
    ],
    "several in a statement": simple(
        "SELECT set_config('app.a', '1', false), set_config('app.b', '2', false), set_config('app.a', '3', false)",
        "SHOW app.a", "SHOW app.b",
        "SELECT set_config(n, v, false) FROM (VALUES ('app.a', 'x'), ('app.c', 'y')) t (n, v)", "SHOW app.a",
        "SHOW app.c", "WITH c AS (SELECT set_config('app.d', 'cte', false) d) SELECT d FROM c", "SHOW app.d",
        "SELECT item FROM orders WHERE id = 1 AND set_config('app.e', item, false) = item", "SHOW app.e",
    ),
    "as PostGraphile": [
        *simple("BEGIN"),
        z(
            run(
                "select set_config(el->>0, el->>1, true) from json_array_elements($1::json) el",
                ('[["role","none"],["jwt.claims.tenant","t1"]]',),
            ),
            sync(),
        ),
        *simple("SHOW jwt.claims.tenant", "COMMIT", "SELECT current_setting('jwt.claims.tenant', true)"),
    ],
    "by names that are computed": simple(
        "SELECT set_config('app.' || 'k', 'v' || 1, 1 = 2)", "SHOW app.k",
        "SELECT pg_catalog.set_config('app.k', 'w', false)", "SHOW app.k",
        "SELECT \"set_config\"('app.k', E'\\x78', 'f')", "SHOW app.k",
    ),
    "failing": simple(
        "SELECT set_config('app.k', 'v', false), 1/0", "SELECT current_setting('app.k', true)",
        "SELECT set_config('app.k', 'v', false); SELECT 1/0", "SELECT current_setting('app.k', true)",
        "SELECT set_config('DateStyle', 'x', false)", "SELECT set_config('nonsense', 'x', false)", "SHOW DateStyle",
    ),
    "unseen": simple(
        "DO $$ BEGIN PERFORM set_config('app.k', 'v', false); END $$", "SHOW app.k", "SELECT 1", "SHOW app.k",
        "DO $$ BEGIN EXECUTE 'SET app.k = ''w'''; END $$", "SHOW app.k", "SELECT 1", "SHOW app.k",
        "DO $$ BEGIN EXECUTE 'SET DateStyle = German'; END $$", "SELECT 1", "SHOW DateStyle",
        "DO $$ BEGIN EXECUTE 'RESET DateStyle'; END $$", "SELECT 1", "SHOW DateStyle",
    ),
    "by a function": simple(
        "SELECT choose('app.k', 'v')", "SHOW app.k", "SELECT 1", "SHOW app.k", "BEGIN",
        "SELECT choose('TimeZone', 'UTC')", "ROLLBACK", "SHOW TimeZone", "SELECT choose('TimeZone', 'Asia/Tokyo')",
        "SELECT 1", "SHOW TimeZone",
    ),
    "by pg_settings": simple(
        "UPDATE pg_settings SET setting = 'German' WHERE name = 'DateStyle'", "SHOW DateStyle", "SELECT 1",
        "SHOW DateStyle",
    ),
    "what is left of one of its own": simple(
        "SELECT current_setting('app.new', true) IS NULL", "SHOW app.new", "BEGIN", "SET LOCAL app.new = 'x'", "COMMIT",
        "SELECT current_setting('app.new', true) IS NULL", "SHOW app.new", "SELECT 1", "SHOW app.new",
        "SET app.new2 = 'x'", "RESET app.new2", "SELECT current_setting('app.new2', true) IS NULL", "SHOW app.new2",
    ),
    "what is left of one that was rolled back": simple(
        "BEGIN", "SET app.new3 = 'x'", "ROLLBACK", "SELECT current_setting('app.new3', true) IS NULL", "SHOW app.new3",
    ),
}

# ---- all at once, transactions, and what is told ----

TOGETHER = {
    "failing queries": simple(
        "SET app.k = '1'; SELECT 1/0", "SELECT current_setting('app.k', true)", "SET app.k = '2'; COMMIT; SELECT 1/0",
        "SHOW app.k", "BEGIN; SET app.k = '3'; COMMIT; SET app.k = '4'; SELECT 1/0", "SHOW app.k",
        "SET DateStyle = German; SELECT 1/0", "SHOW DateStyle", "SELECT 1; SET app.k = '5'; SELECT 6", "SHOW app.k",
        "BEGIN; SET app.k = '6'; ROLLBACK; SET app.k = '7'", "SHOW app.k", "SET LOCAL app.k = '8'; SHOW app.k",
        "SHOW app.k",
    ),
    "session and local together": simple(
        "BEGIN", "SET app.k = '1'", "SET LOCAL app.k = '2'", "SHOW app.k", "COMMIT", "SHOW app.k", "BEGIN",
        "SET LOCAL app.k = '3'", "SET app.k = '4'", "SHOW app.k", "COMMIT", "SHOW app.k", "BEGIN",
        "SET LOCAL app.k = '5'", "RESET app.k", "COMMIT", "SHOW app.k", "BEGIN", "SET app.k = '6'", "SAVEPOINT s",
        "SET LOCAL app.k = '7'", "SAVEPOINT t", "SET app.k = '8'", "ROLLBACK TO t", "SHOW app.k", "RELEASE s",
        "SHOW app.k", "COMMIT", "SHOW app.k",
    ),
    "savepoints of one name": simple(
        "BEGIN", "SAVEPOINT s", "SET app.k = '1'", "SAVEPOINT s", "SET app.k = '2'", "ROLLBACK TO s", "SHOW app.k",
        "RELEASE s", "ROLLBACK TO s", "SELECT current_setting('app.k', true)", "COMMIT",
        "SELECT current_setting('app.k', true)",
    ),
    "an error and a savepoint": simple(
        "BEGIN", "SET app.k = '1'", "SAVEPOINT s", "SET app.k = '2'", "SELECT 1/0", "ROLLBACK TO s", "SHOW app.k",
        "COMMIT", "SHOW app.k",
    ),
    "chained": simple(
        "BEGIN", "SET LOCAL app.k = '1'", "SET app.l = '1'", "COMMIT AND CHAIN", "SHOW app.k", "SHOW app.l",
        "SET app.l = '2'", "ROLLBACK AND CHAIN", "SHOW app.l", "COMMIT", "SHOW app.l",
    ),
    "in flight": [
        z(
            query("SET app.k = '1'"), query("SHOW app.k"), query("SET app.k = '2'; SELECT 1/0"), query("SHOW app.k"),
            n=4,
        ),
        z(query("BEGIN"), query("SET app.k = '3'"), query("ROLLBACK"), query("SHOW app.k"), n=4),
        z(run("SET app.k = '4'"), sync(), run("SHOW app.k"), sync(), run("RESET ALL"), sync(), n=3),
        *simple("SHOW app.k"),
    ],
    "told at the end of a transaction": [
        *simple("BEGIN", "SET DateStyle = German", "SET TimeZone = 'Asia/Tokyo'", "SELECT 1", "ROLLBACK"),
        z(query("BEGIN"), query("SET DateStyle = German"), query("COMMIT"), n=3),
        z(query("BEGIN"), query("RESET DateStyle"), query("ROLLBACK"), n=3),
        *simple("SHOW DateStyle", "RESET DateStyle"),
    ],
    "told once, and not when nothing changes": simple(
        "SET DateStyle = 'German'", "SET DateStyle = German", "SET DateStyle = 'ISO'; SET DateStyle = German",
        "SET DateStyle = 'ISO, MDY'", "SET datestyle = DEFAULT", "SET TimeZone = 'utc'", "SET TimeZone = 'UTC'",
    ),
    "flushed": [
        upto("C", run("SET DateStyle = German"), flush()), z(sync()),
        upto("C", run("SET TimeZone = 'Asia/Tokyo'"), flush()), upto("E", run("SELECT 1/0"), flush()), z(sync()),
        *simple("SHOW DateStyle", "SHOW TimeZone"),
    ],
    "RESET ALL": simple(
        "SET DateStyle = German", "SET app.k = '1'", "SET application_name = 'me'", "RESET ALL", "SHOW DateStyle",
        "SHOW app.k", "SHOW application_name", ITEMS,
    ),
    "RESET ALL, rolled back": simple(
        "SET app.k = '1'", "BEGIN", "RESET ALL", "SHOW app.k", ITEMS, "ROLLBACK", "SHOW app.k", ITEMS, "BEGIN",
        "SELECT 1", "RESET ALL", "SET app.k = '2'", "COMMIT", "SHOW app.k", ITEMS, "BEGIN", "SAVEPOINT s", "RESET ALL",
        "ROLLBACK TO s", "SHOW app.k", "COMMIT", "SHOW app.k", ITEMS,
    ),
    "RESET ALL, in a failed transaction": simple(
        "SET app.k = '1'", "BEGIN", "SELECT 1/0", "RESET ALL", "ROLLBACK", "SHOW app.k",
    ),
    "RESET ALL, among others": simple(
        "SET app.k = '1'; RESET ALL; SHOW app.k", "SET app.k = '2'", "SELECT 1; RESET ALL; SELECT 2", "SHOW app.k",
        "SET app.k = '3'", "RESET ALL; SELECT 1/0", "SHOW app.k", f"RESET ALL; {ITEMS}", "reset /* c */ all ; ;", ITEMS,
        "RESET ALL; SELECT nope", "SELECT 1; RESET ALL; SELEKT", "SELECT nope; RESET ALL", "RESET ALL ALL",
        "RESET ALL; RESET ALL; SELECT 'RESET ALL' AS \"RESET ALL\"",
    ),
    "RESET ALL, extended": [
        *simple("SET app.k = '1'"), *extended("RESET ALL", "SHOW app.k", ITEMS), *simple("SET app.k = '2'"),
        z(run("RESET ALL"), run("SHOW app.k"), run(ITEMS), sync()), *simple("SET app.k = '3'"),
        z(run("RESET ALL"), run("SELECT 1/0"), sync()), *simple("SHOW app.k"), z(parse("RESET ALL"), sync()),
        *simple("SHOW app.k"), z(run("RESET ALL"), sync(), run(ITEMS), sync(), n=2),
    ],
    "RESET ALL, by name": [
        prepared("RESET ALL", "r"), *simple("SET app.k = '1'"), used("r"), *simple("SHOW app.k", ITEMS, "BEGIN"),
        used("r"), *simple(ITEMS, "COMMIT"), used("r"), *simple(ITEMS),
    ],
    "RESET ALL, unseen": simple(
        "SET app.k = '1'", "DO $$ BEGIN EXECUTE 'RESET ALL'; END $$", "SHOW app.k", ITEMS, "SHOW DateStyle", ITEMS,
    ),
    "DISCARD ALL": simple(
        "SET DateStyle = German", "SET app.k = '1'", "SET search_path = nowhere", "DISCARD ALL", "SHOW DateStyle",
        "SHOW app.k", "SHOW search_path", ITEMS, "discard all;", ITEMS, "/* c */ DISCARD ALL", ITEMS,
    ),
    "DISCARD ALL, extended": [
        *simple("SET app.k = '1'"), *extended("DISCARD ALL", "SHOW app.k", ITEMS), prepared("DISCARD ALL", "d"),
        used("d"), *simple(ITEMS), z(run("SELECT 1"), run("DISCARD ALL"), sync()),
        z(run("DISCARD ALL"), run(ITEMS), sync()), z(run("DISCARD ALL"), sync(), run(ITEMS), sync(), n=2),
    ],
    "DISCARD ALL, in flight": [
        z(query("DISCARD ALL"), query(ITEMS), n=2),
        z(query("SET app.k = '1'"), query("DISCARD ALL"), query(ITEMS), n=3), *simple("SHOW app.k"),
    ],
    "DISCARD ALL, where it must not be": simple(
        "BEGIN", "DISCARD ALL", "ROLLBACK", ITEMS, "SELECT 1; DISCARD ALL", ITEMS, "BEGIN", "SELECT 1", "DISCARD ALL",
        "SELECT 1", "ROLLBACK", ITEMS, "DO $$ BEGIN EXECUTE 'DISCARD ALL'; END $$", ITEMS,
    ),
    "the reset of asyncpg": simple(
        "SET app.k = '1'", "SET TimeZone = 'UTC'", RESET_OF_ASYNCPG, "SHOW app.k", "SHOW TimeZone", ITEMS,
    ),
    "the reset of Npgsql": simple("SET app.k = '1'", RESET_OF_NPGSQL, "SHOW app.k", ITEMS),
    "as ActiveRecord": simple(
        "SET client_min_messages TO 'warning'", "SET standard_conforming_strings = on", "SET intervalstyle = iso_8601",
        "SET SESSION timezone TO 'UTC'", "SHOW max_identifier_length", "SHOW search_path",
        "SET search_path TO tenant_a,public", "SHOW search_path", ITEMS,
        "SELECT interval '1 day', now() AT TIME ZONE 'UTC' = now()",
    ),
    "as psycopg2": simple(
        "SET default_transaction_isolation TO 'serializable'", "BEGIN", "SHOW transaction_isolation", "COMMIT",
        "SET TIME ZONE 'UTC'", "SHOW TimeZone", "SET datestyle TO 'ISO'", ITEMS,
    ),
    "as ODBC": simple(
        "SET DateStyle='ISO';SET extra_float_digits=2;show transaction_isolation", "SELECT 0.1::float4", ITEMS,
    ),
    "as pg_dump": simple(
        "SELECT pg_catalog.set_config('search_path', '', false);", "SET DATESTYLE = ISO",
        "SET INTERVALSTYLE = POSTGRES", "SET extra_float_digits TO 3", "SET synchronize_seqscans TO off",
        "SET statement_timeout = 0", "SET row_security = off", "SELECT 1 FROM pg_catalog.pg_class LIMIT 1",
        "SELECT count(*) FROM public.inbox", "SHOW row_security", "RESET row_security",
    ),
    "timeouts": simple(
        "SET statement_timeout = '50ms'", "SELECT pg_sleep(10)", "SELECT 1", "SELECT pg_sleep(10)",
        "RESET statement_timeout", "SELECT pg_sleep(0.06)", "BEGIN", "SET LOCAL statement_timeout = 50",
        "SELECT pg_sleep(10)", "ROLLBACK", "SELECT pg_sleep(0.06)",
    ),
    "an idle transaction": Script(
        [
            *simple("SET idle_in_transaction_session_timeout = 100", "SELECT 1", "BEGIN"), z(query("SELECT 1")),
            upto("E"), z(query("SELECT 2")),
        ],
        ends=True,
    ),
    "read only": simple(
        "SET default_transaction_read_only = on", "INSERT INTO inbox VALUES (1)", "BEGIN READ WRITE",
        "SHOW transaction_read_only", "COMMIT", "BEGIN", "INSERT INTO inbox VALUES (1)", "ROLLBACK",
        "RESET default_transaction_read_only", "INSERT INTO inbox VALUES (1)", "DELETE FROM inbox",
    ),
    "where it comes from": simple(
        "SELECT source FROM pg_settings WHERE name = 'DateStyle'", "SET DateStyle = 'German'", "SELECT 1",
        "SELECT setting, reset_val, source FROM pg_settings WHERE name = 'DateStyle'",
        "SELECT source FROM pg_settings WHERE name = 'application_name'",
    ),
    "encodings": [
        *simple("SET client_encoding = 'LATIN1'"), z(query(b"SELECT '\xe4', upper('\xe4'), length('\xe4')")),
        z(run(b"SELECT $1::text || '\xfc'", (b"\xe4",)), sync()), z(query(b"SELECT '\xe2\x82\xac'::text")),
        z(query(b"SELECT E'\\u20ac'")), z(query(b"SELECT nope_\xe4")), prepared(b"SELECT '\xe4'", b"n\xe4"),
        used(b"n\xe4"), *simple("SHOW client_encoding", "SET client_encoding = 'UTF8'"), z(query(b"SELECT '\xe4'")),
        used("nä"), z(query("SELECT 'ä€', length('ä€')")), z(run("SELECT $1", (b"\xff",)), sync()),
        *simple("SET client_encoding = 'SQL_ASCII'"), z(query(b"SELECT '\xc3\xa4'")), z(query(b"SELECT '\xff'")),
        *simple("SET client_encoding = 'WIN1252'"), z(query(b"SELECT '\x80', '\x81'")),
        *simple("RESET client_encoding"), *simple("SET client_encoding = 'EUC_JP'"),
        z(query(b"SELECT '\xa4\xa2', length('\xa4\xa2')")), *simple("RESET ALL"),
    ],
}

FAMILIES = {"setting": LIVES, "settings, spelt": SPELT, "set_config": NAMED, "settings": TOGETHER}
