"""
Where the answers through Bulkhead are known to differ from PostgreSQL's: the scripts (harness/scripts.py), by reason.

Each entry is a strict xfail: a script that gives the same answers again must be taken out.
"""

# What is to be mended.
OPEN = {
    "set_config changes a setting, and it is neither followed nor does it keep the backend": [
        "set_config: failing", "set_config: by a function",
        "startup, kept: set_config",
    ],
    "currval and lastval are the backend's": [
        "session: a sequence, in the extended protocol",
    ],
    "DateStyle = ISO in the startup packet leaves the order of dates as another client had it": [
        "startup, options: options and a key",
    ],
    "RESET, SET TO DEFAULT and RESET ALL go back to the backend's start, not to the client's": [
        "startup, kept: LOCAL", "startup, kept: unseen",
    ],
    "a reset shows what is Bulkhead's own application_name": [
        "setting: application_name, local",
    ],
    "a reset brings Bulkhead's own application_name back, and the client's is reported once more, or before others": [
        "settings: RESET ALL, among others", "settings: RESET ALL, unseen", "settings: DISCARD ALL, extended",
        "settings: encodings",
    ],
    "the notice about a name that is cut is not sent": [
        "startup: a long name",
    ],
    "settings of the startup packet are replayed before client_encoding": [
        "startup: LATIN1",
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
    "switches of the server's command line other than -c and -- are refused: no driver sends them": [
        "startup, options: options '--'", "startup, options: options '-- x'", "startup, options: options '-e'",
        "startup, options: options '-S 2048'", "startup, options: options '-S2048'",
        "startup, options: options '-fs'", "startup, options: options '-f s -f h'",
        "startup, options: options '-f x'", "startup, options: options '-d 1'", "startup, options: options '-x'",
        "startup, options: options 'x'", "startup, options: options '-E'", "startup, options: options '-B 20'",
        "startup, options: options '-p 1'", "startup, options: options '-tpl'", "startup, options: options '-W 0'",
        "startup, options: options '-s'",
    ],
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
    "a statement is prepared anew on another backend, as its tables and settings are by then": [
        "names, changed: the result's type", "names, changed: the result's type, in a transaction",
        "names, changed: a parameter's type", "names, changed: the settings that a literal was read under",
        "names, changed: the time zone that a literal was read under",
    ],
    "where the transaction has failed, a statement that the backend lacks cannot be prepared and so not described": [
        "names: described in one that has failed",
    ],
    "errors show names of more than 63 bytes as PostgreSQL keeps them, not as they were sent": [
        "names, described: names of all kinds", "names, described: names that PostgreSQL cuts",
    ],
    "names do not reach the server, which would refuse bytes that are no text": [
        "names, described: names in bytes that are no text",
    ],
    "SQL that is made at run time does not find the client's statements, nor Bulkhead its": [
        "names and SQL: then DO $$ BEGIN EXECUTE 'DEALLOCATE a'; END $$",
        "names and SQL: then DO $$ BEGIN EXECUTE 'DEALLOCATE ALL'; END $$",
        "names and SQL: then DO $$ BEGIN EXECUTE 'PREPARE a AS SELECT 2'; END $$",
    ],
    "the first currval or lastval for a value of an earlier transaction is refused, where others have used the backend since": [
        "session: sequences that were not asked", "session: a sequence, unseen", "session: sequences",
    ],
    "a custom setting that a function makes is not seen, and stays with the backend": [
        "set_config: unseen",
    ],
    "that a custom setting was once set is known to the backend alone": [
        "set_config: what is left of one of its own",
    ],
}

# Those that may give the same answers: it depends on who has asked for sequences before them on the same proxy.
BY_CHANCE = {"session: sequences that were not asked", "session: a sequence, unseen", "session: sequences"}

# The same as PostgreSQL's with one worker alone: the backend may have gone to another one since the value was taken,
# and the first question is refused then, as where others have used it.
ONE_WORKER = {
    "session: a sequence, by default", "session: a sequence that is set", "session: a sequence as PDO asks for it",
}

# What is so on some servers only, by major version: search_path is reported from 18 on, and followed as all that is.
ONLY_BEFORE = {"settings, spelt: search paths, by set_config": 18}


def reasons(server_version):
    """The reason by script, on a server of this major version."""
    return {name: reason for table in (OPEN, KEPT) for reason, names in table.items() for name in names
            if server_version < ONLY_BEFORE.get(name, 1000)}
