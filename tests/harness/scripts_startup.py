"""Scripts whose startup packet holds settings, and what becomes of those in the session."""

from harness.steps import ITEMS, Script, bound, prepared, simple, used, z
from harness.wire import query, sync

LOOK = ("SHOW DateStyle", "SHOW TimeZone", "SHOW search_path", "SHOW application_name", "SHOW work_mem")


def started(keys, *texts):
    return Script(simple(*(texts or (*LOOK, "SELECT 1", *LOOK))), keys)


KEYS = {
    "nothing": started({}),
    "the usual": started(
        {"client_encoding": "UTF8", "DateStyle": "ISO", "TimeZone": "Europe/Berlin",
            "extra_float_digits": "2", "application_name": "app"},
    ),
    "as asyncpg": started(
        {"client_encoding": "'utf-8'", "search_path": "public", "app.tenant": "t1"}, "SHOW client_encoding",
        "SHOW search_path", "SHOW app.tenant", "SELECT 1", "SHOW app.tenant",
    ),
    "as lib/pq": started({"client_encoding": "UTF8", "datestyle": "ISO, MDY", "extra_float_digits": "2"}),
    "as pgjdbc": started(
        {"client_encoding": "UTF8", "DateStyle": "ISO", "TimeZone": "Asia/Tokyo", "search_path": "a,b"},
    ),
    "cases": started({"DATESTYLE": "german", "timezone": "asia/tokyo", "Application_Name": "X"}),
    "a list": started({"search_path": "\"A b\", c,  'd'"}),
    "an empty list": started({"search_path": ""}),
    "empty values": started({"application_name": "", "app.k": ""}, "SHOW application_name", "SHOW app.k"),
    "units": started({"statement_timeout": "20s", "work_mem": "1MB"}, "SHOW statement_timeout", "SHOW work_mem"),
    "names in utf-8": started({"application_name": "äé", "app.k": "ü"}, "SHOW application_name", "SHOW app.k"),
    "a long name": started({"application_name": "n" * 100}, "SHOW application_name"),
    "a long value": started({"app.k": "v" * 5000}, "SELECT length(current_setting('app.k'))"),
    "read only": started(
        {"default_transaction_read_only": "on"}, "SHOW transaction_read_only", "DELETE FROM inbox", "BEGIN",
        "DELETE FROM inbox", "ROLLBACK",
    ),
    "isolation": started(
        {"default_transaction_isolation": "serializable"}, "BEGIN", "SHOW transaction_isolation", "COMMIT",
    ),
    "LATIN1": Script(
        [
            *simple("SHOW client_encoding"), z(query(b"SELECT '\xe4', length('\xe4')")), *simple("SELECT 1"),
            z(query(b"SELECT '\xe4'")),
        ],
        {"client_encoding": "LATIN1", "application_name": b"\xe4"},
    ),
    "SQL_ASCII": Script([z(query("SELECT 'ä'"))], {"client_encoding": "SQL_ASCII"}),
    "nonsense": started({"nonsense": "1"}),
    "a wrong value": started({"DateStyle": "x"}),
    "a wrong number": started({"statement_timeout": "-5"}),
    "a wrong encoding": started({"client_encoding": "none"}),
    "a superuser's": started({"log_statement": "all"}),
    "one of the server's": started({"max_connections": "5"}),
    "one that only shows": started({"server_version": "9"}),
    "a name that is none": started({"a.b-c": "1"}),
    "a role": started({"role": "bulkhead_app"}, "SELECT current_user", "SELECT 1", "SELECT current_user"),
    "a role that is none": started({"role": "nobody_at_all"}),
    "a setting of the seal": started({"backtrace_functions": "x"}),
}

OPTIONS = {f"options {text!r}": started({"options": text}) for text in (
    "-c DateStyle=German", "-cDateStyle=German", "--DateStyle=German", "-c DateStyle=German -c TimeZone=UTC",
    "  -c   DateStyle=German  ", "-c\tDateStyle=German\n-c\tTimeZone=UTC", "-c application_name=a\\ b",
    "-c application_name=a\\\\b", "-c DateStyle=SQL,\\ DMY", "--search-path=a,b", "--search_path=a", "-c search-path=a",
    "-c application_name=it's", "-c application_name=\"q\"", "-c application_name=a=b", "-c DateStyle = German",
    "-c DateStyle", "-c", "-c=", "-c =", "--=", "--", "-- x", "-c nonsense=1", "-c app.k=1 -c app.k=2 --app.l=3",
    "-e", "-S 2048", "-S2048", "-fs", "-f s -f h", "-f x", "-d 1", "-x", "x",
    "-c application_name=a -c application_name=b",
    "-c application_name=trailing\\", "-c application_name=", "--application-name=", "-E", "-B 20", "-p 1", "-tpl",
    "-c DateStyle=x", "-c work_mem=1MB --work-mem=2MB", "-c application_name=ä", "-W 0", "-cwork_mem=1MB\\",
    "-c geqo=off -c enable_seqscan=off", "-c log_statement=all", "--role=bulkhead_app", "-s",
)}

OPTIONS |= {
    "options and a key": started({"options": "-c DateStyle=German", "DateStyle": "ISO"}),
    "a key and options": started({"application_name": "key", "options": "-c application_name=option"}),
    "no options": started({"options": ""}),
    "long options": started(
        {"options": " ".join(f"-c app.k{n}={n}" for n in range(300))}, "SHOW app.k299", "SHOW app.k0",
    ),
}

ALL = {"DateStyle": "German", "TimeZone": "Asia/Tokyo", "application_name": "started", "app.k": "begun",
       "options": "-c work_mem=1MB"}
EACH = ("SHOW DateStyle", "SHOW app.k", "SHOW work_mem", "SHOW application_name")


def changed(*texts):
    return started(ALL, *texts)


KEPT = {
    "RESET": changed(
        "SET DateStyle = 'ISO'", "SHOW DateStyle", "RESET DateStyle", "SHOW DateStyle", "SELECT 1", "SHOW DateStyle",
        "SET app.k = 'x'", "RESET app.k", "SHOW app.k", "SET work_mem = 64", "RESET work_mem", "SHOW work_mem",
        "SET application_name = 'x'", "RESET application_name", "SHOW application_name",
    ),
    "SET TO DEFAULT": changed(
        "SET DateStyle = 'ISO'", "SET DateStyle TO DEFAULT", *EACH, "SET TIME ZONE 'UTC'", "SET TIME ZONE DEFAULT",
        "SHOW TimeZone", "SET TIME ZONE LOCAL", "SHOW TimeZone",
    ),
    "RESET ALL": changed(
        "SET DateStyle = 'ISO'", "SET app.k = 'x'", "SET app.l = 'y'", "RESET ALL", *EACH, "SHOW app.l", ITEMS, *EACH,
    ),
    "RESET ALL, rolled back": changed("SET DateStyle = 'ISO'", "BEGIN", "RESET ALL", *EACH, "ROLLBACK", *EACH, ITEMS),
    "DISCARD ALL": changed("SET DateStyle = 'ISO'", "SET app.k = 'x'", "DISCARD ALL", *EACH, ITEMS, *EACH),
    "LOCAL": changed(
        "BEGIN", "SET LOCAL DateStyle = 'ISO'", "SHOW DateStyle", "COMMIT", *EACH, "BEGIN",
        "SET LOCAL app.k TO DEFAULT", "SHOW app.k", "ROLLBACK", *EACH,
    ),
    "rolled back": changed("BEGIN", "SET DateStyle = 'ISO'", "SET app.k = 'x'", "ROLLBACK", *EACH),
    "set_config": changed(
        "SELECT set_config('app.k', NULL, false)", "SHOW app.k", "SELECT set_config('DateStyle', '', false)",
        "SELECT set_config('app.k', '', false)", "SELECT 1", *EACH,
    ),
    "unseen": changed("SET DateStyle = 'ISO'", "DO $$ BEGIN EXECUTE 'RESET ALL'; END $$", *EACH, ITEMS),
    "where it comes from": changed(
        "SELECT name, setting, source FROM pg_settings WHERE name IN ('DateStyle', 'work_mem')",
    ),
    "statements by name": Script(
        [
            prepared("SELECT date '03.02.2024', to_char(now(), 'OF')", "a"), used("a"), *simple("SELECT 1"), used("a"),
            *simple("SET DateStyle = 'ISO'"), used("a"), z(bound("a"), sync(), bound("a"), sync(), n=2),
        ],
        ALL,
    ),
}

FAMILIES = {"startup": KEYS, "startup, options": OPTIONS, "startup, kept": KEPT}
