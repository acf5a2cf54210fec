"""Attacks on whoever reads a statement before the server does: bytes that the two might read in different ways.

Each text is sent as a Query and as a Parse. What is hoped for is always the same: the reader sees something harmless, or
nothing, and the server a statement that sets the context or reads what it set.
"""

from arena import ATTACKER, require
from cases import Case
from collect import ATTACKS, attack
from harness import wire as w

SET = b"SET {context} = '{globex_hex},'"
THEN = b"; SELECT item FROM orders"

# name, what is hoped for, the text (words in braces as in SQL), and what must come of it: an SQLSTATE, or None for
# whatever. Where SET is in the text for the server, that must be a refusal.
TEXTS = [
    ("comment-ends-at-a-return", "a comment ends at a carriage return for one of the two",
     b"SELECT 1 --\r" + THEN + b";\r" + SET, "42501"),
    ("comment-ends-at-a-newline-only", "the same, at other line ends", b"SELECT 1 -- \x0b\x0c\xc2\x85\xe2\x80\xa8" + SET, None),
    ("comments-in-comments", "nested comments end at the first end", b"/* /* */ " + SET + b" */ SELECT 1", None),
    ("comment-in-a-string", "a comment begins in a string", b"SELECT '/*'; " + SET + b"; SELECT '*/'", "42501"),
    ("comment-in-a-name", "a comment begins in a name", b'SELECT 1 AS "/*"; ' + SET + b'; SELECT 1 AS "*/"', "42501"),
    ("comment-in-dollars", "a comment begins in a dollar-quoted string",
     b"SELECT $$/*$$; " + SET + b"; SELECT $$*/$$", "42501"),
    ("comment-behind-an-operator", "an operator swallows the comment behind it",
     b"SELECT 1 +/* */ 1; " + SET + b"/* */", "42501"),
    ("comment-of-dashes-in-an-operator", "dashes in an operator begin a comment",
     b"SELECT 1 +-- \n 1; " + SET, "42501"),
    ("comment-unfinished", "a comment without an end hides nothing", SET + b" /* ", "42601"),
    ("string-unfinished", "a string without an end", b"SELECT '" + SET, None),
    ("string-continued", "a string goes on in the next line, whatever stands between",
     b"SELECT 'a' -- '\n'; " + SET.replace(b"'", b"''") + b"'; " + SET, None),
    ("string-with-a-backslash", "a backslash quotes the quote for one of the two", b"SELECT 'a\\'; " + SET + b"; --'", "42501"),
    ("escape-string-with-a-backslash", "the same, the other way round",
     b"SELECT E'a\\'; SELECT 1; --'; " + SET, "42501"),
    ("escape-string-of-upper-case", "an e in capitals is no prefix", b"SELECT e'\\'', E'\\\\'; " + SET, "42501"),
    ("national-string", "N'' and B'' and X'' have other ends", b"SELECT N'\\', B'1', X'1F'; " + SET, "42501"),
    ("unicode-string", "U&'' has escapes, and says which behind its end",
     b"SELECT U&'!0027' UESCAPE '!', U&'\\0027; '; " + SET, "42501"),
    ("unicode-escape-is-a-quote", "the character of UESCAPE is a quote or a blank", b"SELECT U&'x' UESCAPE ''''; " + SET, "42601"),
    ("unicode-name-of-surrogates", "half a pair of surrogates in a name", b'SELECT U&"\\D800"; ' + SET, "42601"),
    ("dollars-with-a-tag", "a tag is another tag", b"SELECT $a$ $b$ $a$; " + SET + b"; SELECT $b$ $b$", "42501"),
    ("dollars-in-a-name", "dollars in a name begin a string", b"SELECT 1 AS a$b$; " + SET + b"; SELECT 1 AS a$b$", "42501"),
    ("dollars-with-a-digit", "a tag that begins with a digit", b"SELECT $1$; " + SET + b"; SELECT $1$", None),
    ("dollars-beyond-ascii", "a tag of letters beyond ASCII", "SELECT $é$ ; $é$; ".encode() + SET, "42501"),
    ("parameter-and-word", "$1 and a word behind it are one token or two", b"SELECT $1OR; " + SET, None),
    ("number-and-word", "a number and a word behind it are one token or two", b"SELECT 1a; " + SET, None),
    ("number-in-hex", "numbers of later versions", b"SELECT 0x31, 1_000, 0b1; " + SET, None),
    ("number-of-dots", "dots belong to the number or to what follows", b"SELECT 1..2; " + SET, None),
    ("name-with-quotes", "two quotes are one", b'SELECT 1 AS "a""; SELECT 2 --"; ' + SET, "42501"),
    ("name-too-long", "a name is cut at 63 bytes by the server alone",
     b"SELECT item AS {times 70 x} FROM orders; " + SET, "42501"),
    ("name-cut-in-a-character", "the cut is in the middle of a character",
     b"SELECT 1 AS \"{times 62 x}\xc3\xa9\"; " + SET, "42501"),
    ("name-empty", "a name of nothing", b'SELECT 1 AS ""; ' + SET, None),
    ("blanks-of-other-kinds", "blanks that are none for one of the two",
     b"\x0c" + SET.replace(b" ", b"\x0c\t\r\n"), "42501"),
    ("blank-of-unicode", "a blank that is a letter", SET.replace(b" ", b"\xc2\xa0"), None),
    ("vertical-tab", "a blank of later versions", SET.replace(b" ", b"\x0b"), None),
    ("mark-of-byte-order", "a mark in front of everything", b"\xef\xbb\xbf" + SET, None),
    ("letters-that-look-alike", "letters of full width are folded", "ＳＥＴ ".encode() + SET[4:], "42601"),
    ("letters-folded-elsewhere", "a letter is folded to one of ASCII", SET.replace(b"i", b"\xc4\xb0"), None),
    ("zero-width", "a letter that is not seen", SET.replace(b"context", b"con\xe2\x80\x8btext"), None),
    ("bytes-of-no-character", "bytes that are no character", b"SELECT '\xff\xfe'; " + SET, "22021"),
    ("overlong-quote", "a quote in two bytes", b"SELECT '\xc0\xa7; " + SET + b"; --'", "22021"),
    ("character-cut-by-a-quote", "a byte swallows the quote behind it", b"SELECT '\xe3\x81'; " + SET + b"; --'", "22021"),
    ("character-cut-by-the-end", "a byte swallows the end of the text", SET + b" --\xe3", "22021"),
    ("surrogates-in-utf8", "half a pair, in three bytes", b"SELECT '\xed\xa0\x80'; " + SET, "22021"),
    ("character-beyond-unicode", "five bytes for one character", b"SELECT '\xf8\x88\x80\x80\x80'; " + SET, "22021"),
    ("semicolons", "empty statements hide a full one", b";;; ; /* */ ;" + SET + b";;;", "42501"),
    ("semicolon-in-a-rule", "a semicolon inside of one statement parts two",
     b"CREATE RULE r AS ON INSERT TO orders DO ALSO (SELECT 1; " + SET + b"; SELECT 2)", "42601"),
    ("semicolon-in-a-body", "the same in a function's body",
     b"CREATE FUNCTION pg_temp.f() RETURNS integer BEGIN ATOMIC SELECT 1; SELECT set_config('{context}', '{globex_hex},', "
     b"false); SELECT 2; END", None),
    ("keyword-as-a-name", "a keyword is a name", b"SELECT 1 AS set, 2 AS reset; " + SET + b"; SELECT 1 set", "42501"),
    ("parentheses", "a statement in parentheses is none",
     b"((((SELECT set_config('{context}', '{globex_hex},', false)))))", "42501"),
    ("operators-of-all-characters", "an operator ends where the other does not",
     b"SELECT 1 ~<>?@#%^&|`!-+*/ 1; " + SET, None),
    ("psql-commands", "psql's own commands", b"\\set x 1\n" + SET, "42601"),
    ("psql-variables", "psql's own variables", b"SELECT :x, :'y'; " + SET, "42601"),
    ("other-dialects", "comments and quotes of other databases", b"SELECT `a` # b\n; " + SET, None),
]


def text_attack(text, refusal):
    def play(scene):
        filled = scene.arena.fill_in(text.decode("latin-1")).encode("latin-1")
        for parts in ((w.query(filled),), (w.parse(filled), w.bind(), w.execute(), w.sync())):
            session = scene.login("lexer")
            session.send(*parts)
            answers = session.until_ready()
            found = w.errors(answers)
            by_gate = any("reason=BH-" in m.fields.get("D", "") for m in answers if m.type == "E")
            many = len(parts) > 1 and any("multiple commands" in m.fields["M"] for m in answers if m.type == "E")
            require(refusal is None or found[:1] == [refusal] or by_gate or many, f"should be {refusal}, is {found}")
            require(w.errors(session.query("SELECT item FROM orders")) == [], "acme is not served")
            scene.leave("lexer")
    return play


for name, hope, text, refusal in TEXTS:
    ATTACKS.append(Case("text-" + name, hope, __name__, "encodings and lexer", run=text_attack(text, refusal)))


UNSAFE = ("SJIS", "BIG5", "GBK", "UHC", "JOHAB", "GB18030", "SHIFT_JIS_2004", "sjis", "Shift-JIS-2004", "mskanji", "win949",
          "windows936", "WIN950", "ShiftJIS")


@attack("an encoding in which a quote can be half a character, by all its names and ways to set it", area="encodings and lexer")
def encodings_of_half_characters(scene):
    for name in UNSAFE:
        for text in (f"SET client_encoding = '{name}'", f"SET NAMES '{name}'", f"SELECT set_config('client_encoding', '{name}', false)"):
            try:
                found = w.errors(scene.acme.query(text))
            except EOFError:  # the server took it, and Bulkhead does not go on with such a backend
                scene.leave(ATTACKER)
                continue
            require(found and found[0] in ("0A000", "42501", "22023"), text, found)
    found = scene.acme.query("SELECT '\x83'; SHOW client_encoding")
    require(w.rows(found)[-1] == ["UTF8"], found)


@attack("encodings that are let in, with quotes and letters beyond ASCII", area="encodings and lexer")
def encodings_that_are_safe(scene):
    for name in ("LATIN1", "LATIN9", "WIN1252", "EUC_JP", "EUC_KR", "KOI8R", "ISO_8859_5", "SQL_ASCII", "MULE_INTERNAL"):
        session = scene.login("encoded")
        session.query(f"SET client_encoding = '{name}'")
        filled = scene.arena.fill_in(SET.decode()).encode()
        for lead in (b"\x81", b"\x8f", b"\xa1", b"\xe3", b"\xfe"):
            session.send(w.query(b"SELECT '" + lead + b"'; " + filled + b"; --'"))
            require(w.errors(session.until_ready()), name, lead, "is let through")
            session.send(w.query(b"SELECT item FROM orders"))
            session.until_ready()
        scene.leave("encoded")


@attack("strings in which a backslash quotes: Bulkhead and the server read them in two ways", area="encodings and lexer")
def strings_not_conforming(scene):
    filled = scene.arena.fill_in(SET.decode())
    for text in ("SET standard_conforming_strings = off", "SET LOCAL standard_conforming_strings TO off",
                 "SET \"standard_conforming_strings\" = 'off'", "SET SESSION Standard_Conforming_Strings = 0",
                 "SELECT set_config('standard_conforming_strings', 'off', false)",
                 "DO $$ BEGIN EXECUTE 'SET standard_conforming_strings = off'; END $$",
                 "SELECT run('SET standard_conforming_strings = off')", "SET backslash_quote = on",
                 "BEGIN; SET LOCAL standard_conforming_strings = off"):
        session = scene.login("strings")
        try:
            session.query(text)
            for hidden in (f"SELECT 'a\\'; {filled}; --'", f"SELECT 'a\\', '; {filled}; --'",
                           f"SELECT '\\'' '; {filled}; --'"):
                session.query(hidden)
                session.query("SELECT item FROM orders")
        except (EOFError, ConnectionError):
            pass
        scene.leave("strings")


@attack("the same in one Query: the setting is changed before the rest is read", area="encodings and lexer")
def strings_not_conforming_at_once(scene):
    filled = scene.arena.fill_in(SET.decode())
    for text in (f"SET standard_conforming_strings = off; SELECT 'a\\'; {filled}; --'; SELECT item FROM orders",
                 f"RESET ALL; SET standard_conforming_strings = off; SELECT 'a\\\\'; {filled}; SELECT item FROM orders"):
        try:
            scene.acme.query(text)
            scene.acme.query("SELECT item FROM orders")
        except (EOFError, ConnectionError):
            scene.leave(ATTACKER)
