#!/usr/bin/env python3
"""Writes the seeds of the larger fuzz targets into corpus/NAME: each is a play in which all goes well up to a point.

The targets take an input for a stream of choices (see each target's step function, and dice_fate for its end); the
places of lines in their tables are read from their sources.
"""

import re
from pathlib import Path

HERE = Path(__file__).resolve().parent


class Table:
    """The lines of one table of a target's source, found by a piece of their text."""

    def __init__(self, source, name):
        text = (HERE / source).read_text()
        table = re.search(rf"{name}\[\] = {{(.*?)\n}};", text, re.DOTALL)[1]
        self.lines = re.findall(r"(?:LINE|BIND)\((.*?)\),\s*(?:/\*.*?\*/)?\s*(?=LINE|BIND|$)", table, re.DOTALL)

    def __getitem__(self, piece):
        found = [n for n, line in enumerate(self.lines) if piece in line]
        assert found, piece
        return found[0]


def write(target, seeds):
    folder = HERE / "corpus" / target
    folder.mkdir(parents=True, exist_ok=True)
    for name, seed in seeds.items():
        (folder / name).write_bytes(bytes(seed))


# ---- replies: what is asked, served (>) and received (<), with the dice that each of them throws ----

def replies(play, lenient=False):
    """Letters are messages, `b` a Bind with a Parse in front; > and < as many as digits say; {} is how things turn out."""
    types = "PBDESQCHdcf"
    out, fate = [int(lenient)], []
    for token in re.findall(r"\{[\d ]*\}|[<>]\d*|.", play):
        if token[0] == "{":
            fate += [int(n) for n in token[1:-1].split()]
        elif token[0] in "<>":
            out += [0x80 if token[0] == ">" else 0xC0] * int(token[1:] or 1)
        elif token == "b":
            out.append(0x61)
        elif token == "F":
            out.append(11)
        else:
            out.append(types.index(token))
    return out + fate[::-1]


ROWS, COPY_IN, FAILS = 0, 3, 5

REPLIES = {
    "simple": replies(f"Q>{{{ROWS}}}<9"),
    "batch": replies(f"PBDES>{{0}}>{{0}}>{{0 0 1}}>{{{ROWS}}}>{{0}}<9"),
    "batch-fails": replies("PBES>{7}>>><9PBES"),
    "copy": replies(f"Q>{{{COPY_IN}}}<dc>{{0}}>{{0}}<9"),
    "copy-fails": replies(f"Q>{{{COPY_IN}}}<d>{{7}}cQ>{{1}}<9"),
    "copy-twice": replies(f"Qdcdc>{{{COPY_IN + 0x10}}}>{{0}}>{{0 {COPY_IN}}}>{{0}}>{{0}}<9"),
    "copy-extended": replies(f"PBES>{{0}}>{{0}}>{{{COPY_IN}}}><3dcS>{{0}}>{{0}}>{{0}}<9"),
    "copy-extended-sync-lost": replies(f"PBES>{{0}}>{{0}}>{{{COPY_IN}}}><3dc>{{0}}>{{0}}<9"),
    "copy-extended-fails": replies(f"PBES>{{0}}>{{0}}>{{{COPY_IN}}}><3d>{{7}}cS>><9"),
    "copy-interrupted": replies(f"Q>{{{COPY_IN}}}<P><9", lenient=True),
    "by-name": replies("bES>{0}>{0}>{1}>{0}<9"),
    "function": replies("F>{0}<9"),
}


# ---- session ----

SAYS, LIES = Table("fuzz_session.c", "lines"), Table("fuzz_session.c", "lies")
TURN, SAY, RAW, MUCH, CONNECT, LEAVE, CANCEL, CUT, SERVE, LIE, LIE_RAW, LIE_MUCH, CLOSE, TICK, SETTLE = (
    0, 1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)


def op(what, who=0, *more):
    return [what | who << 4, *more]


def say(who, *pieces):
    return op(SAY, who, *[SAYS[piece] + 1 for piece in pieces], 0)


def lie(who, *pieces):
    return op(LIE, who, *[LIES[piece] + 1 for piece in pieces], 0)


def play(*steps, settings=0, fate=()):
    return [settings, 0, *[byte for step in steps for byte in step], *[0] * 16, *fate[::-1]]


SELECT, EXTENDED = "SELECT 1 /*@*/", ["SELECT $1", "\"\\0\\0\\0\\0\\0\\0\\0\\0\"", "'E', \"\\0\\0", "'S', \"\""]
A, B = op(CONNECT, 0, 0), op(CONNECT, 1, 1)
A2 = op(CONNECT, 2, 0)  # another client of the first one's tenant
BIND_S1, BIND_S3, BIND_S4, BIND_S5, BIND_S6 = (f'"s{n}"' for n in (1, 3, 4, 5, 6))
PARSE_S1, PARSE_S3, PARSE_S4, PARSE_S4_ANEW = "\"s1\\0SELECT", "\"s3\\0SELECT", "'s4', 2", "'s4', 3"
RUN, SYNC = "'E', \"\\0\\0", "'S', \"\""


def sql(text):
    return f"'Q', \"{text}"


def turns(*what):
    """(who, pieces …) one after the other, each answered before the next."""
    return [step for who, *pieces in what for step in (say(who, *pieces), op(SETTLE))]


SESSION = {
    "two-tenants": play(B, say(0, SELECT), op(SETTLE), say(1, SELECT), op(SETTLE), say(0, SELECT)),
    "extended": play(B, say(0, *EXTENDED), op(SETTLE), say(1, *EXTENDED), op(SETTLE)),
    "transaction": play(B, say(0, "\"BEGIN", SELECT), op(SETTLE), say(1, SELECT), op(SETTLE), say(0, "COMMIT"),
                        op(SETTLE)),
    "begin-extended": play(say(0, "\"\\0BEGIN", *EXTENDED[1:], *EXTENDED), op(SETTLE)),
    "begin-by-name": play(say(0, "s2\\0BEGIN", "\\0s2\\0", "'E', \"\\0\\0", "'S', \"\""), op(SETTLE), say(0, SELECT),
                          op(SETTLE), say(0, "\\0s2\\0", "'S', \"\""), op(SETTLE)),
    "pinned": play(B, say(0, "'Q', \"SET app.x = 'one'"), op(SETTLE), say(1, SELECT), op(SETTLE), op(LEAVE, 0), op(SETTLE)),
    "prepared": play(B, say(0, "s1\\0SELECT", BIND_S1, "'E', \"\\0\\0", "'S', \"\""), op(SETTLE), op(LEAVE, 0), op(SETTLE),
                     say(1, SELECT)),
    "reset": play(B, say(0, "RESET ALL", SELECT), op(SETTLE), say(0, SELECT), op(SETTLE), op(LEAVE, 0), say(1, SELECT)),
    "discard": play(B, say(0, "DISCARD ALL"), op(SETTLE), say(0, SELECT), op(SETTLE), op(LEAVE, 0), say(1, SELECT)),
    "copy": play(say(0, SELECT), op(SERVE, 0, 0), say(0, "1\\n", "'c'"), op(SETTLE), fate=[COPY_IN]),
    "pipelined": play(B, say(0, *[SELECT] * 3), say(1, *[SELECT] * 3), op(CUT, 0, 7), say(1, *EXTENDED), op(SETTLE)),
    "cancel": play(B, say(0, SELECT), op(TURN), op(CANCEL, 0), op(SETTLE), say(1, SELECT), op(SETTLE)),
    "leaves-busy": play(B, say(0, "\"BEGIN", SELECT), op(TURN), op(LEAVE, 0), op(SETTLE), say(1, SELECT)),
    "big": play(op(MUCH, 0, 0x80 | 17), op(SETTLE), say(0, SELECT), op(SETTLE), op(LIE_MUCH, 0, 0x80 | 17, 0)),
    "timeouts": play(say(0, SELECT), op(TURN), op(TICK, 1), op(TICK, 4), op(SETTLE), settings=16 + 32),
    "lost-context": play(say(0, SELECT), op(TURN), lie(0, "BH001", "'Z', \"I"), op(SETTLE), say(0, SELECT)),
    "marker": play(say(0, SELECT), op(TURN), lie(0, "SETTINGS_MARKER", "SELECT 1", "'Z', \"I"), op(SETTLE), say(0, SELECT)),
    "fatal": play(say(0, SELECT), op(TURN), lie(0, "FATAL"), op(CLOSE, 0), op(SETTLE), say(0, SELECT)),
    "statements-of-two": play(A2, *turns((0, PARSE_S1, PARSE_S3, SYNC), (2, PARSE_S1, PARSE_S3, SYNC), (0, BIND_S1, RUN, SYNC),
                                         (2, BIND_S1, RUN, BIND_S3, RUN, SYNC), (0, BIND_S3, RUN, "'D', \"Ss1", SYNC),
                                         (0, "'C', \"Ss1", SYNC), (2, BIND_S1, RUN, SYNC))),
    "statements-of-two-tenants": play(B, *turns((0, PARSE_S1, PARSE_S3, SYNC), (1, PARSE_S1, PARSE_S3, SYNC),
                                                (0, BIND_S1, RUN, SYNC), (1, BIND_S3, RUN, SYNC))),
    "statements-evicted": play(*turns((0, PARSE_S1, PARSE_S3, PARSE_S4, SYNC), (0, BIND_S1, RUN, BIND_S3, RUN, BIND_S4, RUN, SYNC),
                                      (0, BIND_S1, RUN, SYNC)), settings=64),
    "statements-at-once": play(say(0, PARSE_S1, SYNC, BIND_S1, RUN, SYNC, PARSE_S4, SYNC, "'C', \"Ss4", SYNC, PARSE_S4_ANEW, SYNC,
                                   BIND_S4, RUN, SYNC), op(SETTLE)),
    "statement-fails": play(*turns((0, PARSE_S1, PARSE_S4, SYNC), (0, PARSE_S1, SYNC), (0, BIND_S4, RUN, SYNC)), fate=[0, 7]),
    "deallocate": play(A2, *turns((0, PARSE_S1, SYNC), (2, PARSE_S1, SYNC), (0, sql("DEALLOCATE s1")), (0, PARSE_S1, SYNC),
                                  (0, sql("DEALLOCATE ALL")), (0, PARSE_S1, BIND_S1, RUN, SYNC), (2, BIND_S1, RUN, SYNC))),
    "settings-of-two": play(A2, B, *turns((0, sql("SET app.x = 'one'")), (2, sql("SET app.x = 'it")), (1, SELECT), (0, SELECT),
                                          (0, sql("RESET app.x")), (2, SELECT), (0, sql("RESET ALL")), (0, SELECT))),
    "settings-rolled-back": play(A2, *turns((0, sql("BEGIN"), sql("SET app.x = 'one'")), (0, "ROLLBACK"), (2, SELECT), (0, SELECT),
                                            (0, sql("BEGIN"), sql("SET search_path")), (0, "COMMIT"), (2, SELECT), (0, SELECT))),
    "settings-extended": play(A2, *turns((0, "s5\\0SET", BIND_S5, RUN, SYNC), (2, SELECT), (0, BIND_S5, RUN, SYNC), (0, SELECT))),
    "settings-came-with": play(op(CONNECT, 2, 2 | 3 << 2), *turns((2, sql("SET search_path")), (0, SELECT), (2, sql("RESET ALL")),
                                                                  (2, SELECT), (2, sql("DISCARD ALL")), (2, SELECT))),
    "listens": play(A2, *turns((0, sql("LISTEN x")), (2, SELECT), (0, sql("UNLISTEN x")), (2, SELECT))),
    "temporary": play(B, *turns((0, sql("CREATE TEMP")), (0, SELECT), (1, SELECT), (0, sql("DROP TABLE")), (0, SELECT))),
    "prepares": play(A2, *turns((0, PARSE_S1, SYNC), (0, sql("PREPARE q")), (0, BIND_S1, RUN, SYNC), (0, sql("DEALLOCATE q")),
                                (2, PARSE_S1, SYNC), (0, BIND_S1, RUN, SYNC))),
    "hidden-reset": play(A2, *turns((0, sql("SET app.x = 'one'")), (0, sql("DO ")), (0, SELECT), (2, SELECT), (0, SELECT))),
    "session-mode": play(B, say(0, SELECT), op(SETTLE), op(LEAVE, 0), op(SETTLE), say(1, SELECT), settings=2),
}


# ---- backend: all that a server says until it is used, and behind that ----

SERVER = Table("fuzz_backend.c", "lines")
FIRST, FINAL, ROW = (len(SERVER.lines) + n for n in range(3))
READY, REFUSED = SERVER["'Z', \"I"], SERVER["VERROR\\0C42501"]
CHECKED = [READY, REFUSED, READY, SERVER["'T'"], ROW, 0, SERVER["SELECT 1"], READY]
ENTERED = [SERVER["'1'"], SERVER["'2'"], SERVER["x23"], SERVER["SELECT 1"], READY]
OK, PARAMETER, KEY = SERVER["'R', \"\\0\\0\\0\\0\""], SERVER["server_version"], SERVER["\\350\\0\\0\\0\\1"]
GREETED = [OK, PARAMETER, KEY]

BACKEND = {
    "trusted": [1, *GREETED, *CHECKED, *ENTERED, SERVER["'C', \"SELECT"], READY],
    "scram": [0, SERVER["SHA-256-PLUS"], FIRST, FINAL, *GREETED, *CHECKED, *ENTERED],
    "scram-without-proof": [0, SERVER["SHA-256-PLUS"], FIRST, *GREETED, *CHECKED],
    "scram-behind-ok": [0, OK, SERVER["SHA-256-PLUS"], FIRST, PARAMETER, KEY, *CHECKED],
    "clear": [2, SERVER["\\3\""], *GREETED, *CHECKED, *ENTERED],
    "md5": [0, SERVER["\\5salt"], *GREETED, *CHECKED],
    "parameters": [1, OK, 0x50, FIRST + 3, 80, 1, KEY, *CHECKED],
    "unsafe": [1, *GREETED, READY, REFUSED, READY, ROW, 0x3F, READY],
    "not-refused": [1, *GREETED, READY, SERVER["SELECT 1"], READY, ROW, 0, READY],
    "starting-up": [1, SERVER["FATAL"]],
    "cut": [1, *GREETED, 0x3F, 3, *CHECKED],
}


# ---- login ----

PIECES, MESSAGES = Table("fuzz_login.c", "pieces"), Table("fuzz_login.c", "lines")


def packet(code, *pieces):
    return [0, code, *[PIECES[piece] + 1 for piece in pieces], 0xFF]


def bare(code):
    return [0, code, 0]


SCRAM, TRUST = 0, 1
PROOF = [1, 2]
APP = ["user\\0app.a", "database\\0app"]

LOGIN = {
    "scram": [SCRAM, *packet(0, *APP), *PROOF],
    "wrong": [SCRAM, *packet(0, *APP), 3 | 1 << 3, 3 | 4 << 3],
    "clear": [SCRAM, *packet(0, *APP), 3 | 5 << 3],
    "unknown": [SCRAM, *packet(0, "user\\0nobody", "database\\0app"), *PROOF],
    "suspended": [SCRAM, *packet(0, "user\\0app.c", "database\\0app"), *PROOF],
    "away": [SCRAM, *packet(0, "user\\0app.away", "database\\0app"), *PROOF],
    "option": [SCRAM, *packet(0, "user\\0app\\0", "database\\0app", "tenant=b"), *PROOF],
    "encryption": [TRUST, *bare(5), *bare(6), *packet(0, *APP)],
    "version": [TRUST, *packet(2, *APP, "_pq_.grease")],
    "settings": [TRUST, *packet(0, *APP, "it's -c", "it's \\\\", "search_path\\0\\\"a", "DateStyle")],
    "identifiers": [TRUST, *packet(0, *APP, "search-path=a", "temp_tablespaces")],
    "twice": [SCRAM, *packet(0, *APP), *packet(0, *APP)],
    "slow": [SCRAM, 4, 3, *packet(0, *APP), 4, 20, *PROOF],
    "late": [SCRAM, *packet(0, *APP), 6 | 31 << 3],
    "cancel": [TRUST, 0, 4, PIECES["\"\\0\\0\""] + 1, 0xFF],
}

# ---- console: who it is (1: of admin_users), then steps ----

COMMANDS = Table("fuzz_console.c", "lines")


def tell(*pieces):
    return [byte for piece in pieces for byte in (0xC0, COMMANDS[piece])]


def ask(sql):
    return [3, len(sql), *sql.encode()]


CONSOLE = {
    "tables": [1, *tell("SHOW CLIENTS", "show pools", "SHOW CONFIG")],
    "orders": [1, *tell("PAUSE a", "KILL a", "RECONNECT", "RESUME")],
    "watcher": [0, *tell("PAUSE a", "KILL a", "SHOW CLIENTS", "PAUSE\\0")],
    "extended": [0, *tell("SHOW STATS", "B', \"\\0\\0\\0\\0\\0", "E', \"\\0\\0\\0\\0\\0", "S', \"\"")],
    "portal": [1, *tell("SHOW HELP", "B', \"p", "Pp", "E', \"p", "E', \"p", "S', \"\"")],
    "own": [1, *ask("show stats; kill 'a' -- so"), *ask("/* */ pause b; ;;")],
    "cancelled": [1, *tell("PAUSE a"), 6, *tell("SHOW CLIENTS"), 6],
    "cut": [0, 5, 3, *tell("SHOW CLIENTS"), 5, 20, *tell("show pools"), 0xFF],
}

write("replies", REPLIES)
write("session", SESSION)
write("backend", BACKEND)
write("login", LOGIN)
write("console", CONSOLE)
