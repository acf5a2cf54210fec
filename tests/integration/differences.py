"""
Where the answers through Bulkhead are known to differ from PostgreSQL's: the scripts (harness/scripts.py), by reason.

Each entry is a strict xfail: a script that gives the same answers again must be taken out.
"""

# What is to be mended.
OPEN = {
    "set_config changes a setting, and it is neither followed nor does it keep the backend": [
        "settings, spelt: search paths, by set_config", "set_config: literals", "set_config: in transactions",
        "set_config: parameters in text", "set_config: parameters in binary", "set_config: several in a statement",
        "set_config: as PostGraphile", "set_config: by names that are computed", "set_config: failing",
        "set_config: by a function", "startup, kept: set_config",
    ],
    "an advisory lock does not keep the backend; it stays behind on it": [
        "lock: over transactions", "lock: counted", "lock: of two keys, shared",
        "lock: kept by one that is rolled back", "lock: kept by one that fails", "lock: kept by a query that fails",
        "lock: in a CTE", "lock: in a condition", "lock: by a function", "lock: with parameters",
    ],
    "a temporary table that SELECT INTO or a function made does not keep the backend": [
        "temporary: made in other ways", "temporary: made by a function",
    ],
    "currval and lastval are the backend's": [
        "session: sequences", "session: a sequence as PDO asks for it", "session: a sequence, by default",
        "session: a sequence, in the extended protocol", "session: a sequence that is set",
    ],
    "a seed is the backend's": [
        "session: random numbers",
    ],
    "DateStyle = ISO in the startup packet leaves the order of dates as another client had it": [
        "startup: the usual", "startup: as pgjdbc", "startup, options: options and a key",
    ],
    "RESET, SET TO DEFAULT and RESET ALL go back to the backend's start, not to the client's": [
        "startup, kept: RESET", "startup, kept: SET TO DEFAULT", "startup, kept: RESET ALL",
        "startup, kept: RESET ALL, rolled back", "startup, kept: DISCARD ALL", "startup, kept: LOCAL",
        "startup, kept: unseen",
    ],
    "a reset shows what is Bulkhead's own application_name": [
        "setting: application_name, in transactions", "setting: application_name, local",
    ],
    "a reset brings Bulkhead's own application_name back, and the client's is reported once more, or before others": [
        "names: as asyncpg", "names: as ActiveRecord", "names and SQL: then DISCARD ALL",
        "names and SQL: then RESET ALL", "names and SQL: then, extended, DISCARD ALL",
        "names and SQL: then, extended, RESET ALL", "names and SQL: then the reset of asyncpg",
        "names and SQL: then the reset of Npgsql", "names and SQL: discarded by a statement of its own",
        "names and SQL: parsed in flight behind DISCARD ALL",
        "names and SQL: DISCARD ALL in flight behind other queries", "settings, spelt: application names",
        "settings: in flight", "settings: RESET ALL, rolled back", "settings: RESET ALL, among others",
        "settings: RESET ALL, extended", "settings: RESET ALL, by name", "settings: RESET ALL, unseen",
        "settings: DISCARD ALL", "settings: DISCARD ALL, extended", "settings: DISCARD ALL, in flight",
        "settings: the reset of asyncpg", "settings: the reset of Npgsql", "settings: encodings",
        "temporary: sequences, functions and types", "temporary: discarded", "temporary: not as psycopg thinks",
        "cursor: held, and resets", "lock: given back by asyncpg", "lock: given back by DISCARD ALL",
        "lock: kept by RESET ALL", "channel: and resets",
    ],
    "a list in the startup packet is replayed as SET, which quotes it anew": [
        "startup: a list", "startup: an empty list", "startup, options: options '--search-path=a,b'",
    ],
    "the notice about a name that is cut is not sent": [
        "startup: a long name",
    ],
    "settings of the startup packet are replayed before client_encoding": [
        "startup: LATIN1",
    ],
    "options have other forms than -c and --": [
        "startup, options: options '--'", "startup, options: options '-- x'", "startup, options: options '-e'",
        "startup, options: options '-S 2048'", "startup, options: options '-S2048'",
        "startup, options: options '-fs'", "startup, options: options '-f s -f h'",
        "startup, options: options '-f x'", "startup, options: options '-d 1'", "startup, options: options '-x'",
        "startup, options: options 'x'", "startup, options: options '-E'", "startup, options: options '-B 20'",
        "startup, options: options '-p 1'", "startup, options: options '-tpl'", "startup, options: options '-W 0'",
        "startup, options: options '-s'",
    ],
    "errors of the startup packet lack their hint or detail, or have another code": [
        "startup: a name that is none", "startup, options: options '-c'", "startup, options: options '-c='",
        "startup, options: options '-c ='", "startup, options: options '--='",
    ],
    "the portal of a held BEGIN is not on the backend: 34000 in place of 55000": [
        "begin: executed twice",
    ],
}

# What stays.
KEPT = {
    'Bulkhead sets what the client has sent in its startup packet, so pg_settings says "session"': [
        "settings: where it comes from", "startup, kept: where it comes from",
    ],
    "at most 128 settings in a startup packet": [
        "startup, options: long options",
    ],
    "BH001 is the guard's own: whoever raises it is taken to have lost the context": [
        "error: a code of the guard's",
    ],
    "messages that are none end the connection with Bulkhead's own error": [
        "malformed: a sync with a body", "malformed: an unknown type", "malformed: an unknown type in a transaction",
        "malformed: an unknown type in a batch", "malformed: a password",
    ],
}

# What is so on some servers only, by major version: search_path is reported from 18 on, and followed as all that is.
ONLY_BEFORE = {"settings, spelt: search paths, by set_config": 18}


def reasons(server_version):
    """The reason by script, on a server of this major version."""
    return {name: reason for table in (OPEN, KEPT) for reason, names in table.items() for name in names
            if server_version < ONLY_BEFORE.get(name, 1000)}
