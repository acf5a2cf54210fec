"""Attacks in SQL, read from tests/attacks/sql/*.sql.

A file holds cases. A case begins with comments that say what it is, and goes on with what the attacker sends:

    -- case: alter-system
    -- hope: a setting of the whole server, written by a tenant
    ALTER SYSTEM SET row_security = off;                            -- 42501
    SELECT count(*) FROM orders;                                    -- = 20

Fields: `case` (a name), `hope` (what the attacker hopes for), and where needed
    under     standard or strict: the one hardening that the case is about; without it, both
    pool      backends in the pool, when more than one client is at work; without it, one
    before    SQL of a superuser's that runs first; may be given more than once
    after     SQL of a superuser's that runs last, and cleans up; the same
    residue   why PostgreSQL cannot stop this. The statements then show what the attacker gets.

Everything up to a semicolon at the end of a line is sent as one Query, dollar quotes taken together, so a line
of several statements is one Query too. A comment behind that semicolon says what must come of it: `ok`, an
SQLSTATE, or `= value`, the first column of the first row; `A | B` is A under standard and B under strict
hardening. Without a comment the statement may do what it likes. What must hold for every case, whatever the
comments say, is in arena.py.

`\\as NAME` changes who is speaking: acme, globex (a client of that tenant's, whose session then goes on), or
admin (a superuser, not through Bulkhead). `\\leave` ends the session. In texts, {globex}, {globex_hex},
{acme} and {acme_hex} are the tenants' ids with and without dashes.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path

FOLDER = Path(__file__).resolve().parent / "sql"
HARDENINGS = ("standard", "strict")
ONCE = ("case", "hope", "under", "pool", "residue")
OFTEN = ("before", "after")


@dataclass
class Step:
    """One Query, or `\\as` or `\\leave`. `expected` is per hardening: None for whatever, ok, an SQLSTATE, = value."""

    text: str
    line: int
    expected: dict = field(default_factory=dict)

    @property
    def command(self):
        return self.text[1:].split() if self.text.startswith("\\") else None


@dataclass
class Case:
    name: str
    hope: str
    source: str
    under: tuple = HARDENINGS
    pool: int = 1
    before: list = field(default_factory=list)
    after: list = field(default_factory=list)
    residue: str = None
    steps: list = field(default_factory=list)
    run: object = None  # of a case in Python (wire.py): a function of a scene, in the place of steps


def expectation(comment):
    parts = [part.strip() for part in (comment or "").split(" | ")]
    for part in parts:
        if part and not re.fullmatch(r"ok|[0-9A-Z]{5}|=( .*)?", part):
            raise ValueError(f"what is {part!r}?")
    return {name: parts[min(i, len(parts) - 1)] or None for i, name in enumerate(HARDENINGS)}


def parse_case(source, start, fields, lines):
    single = {key: value for key, value in fields if key in ONCE}
    several = {key: [value for name, value in fields if name == key] for key in OFTEN}
    case = Case(single["case"], single["hope"], source, residue=single.get("residue"), **several)
    if "under" in single:
        assert single["under"] in HARDENINGS, single["under"]
        case.under = (single["under"],)
    case.pool = int(single.get("pool", 1))
    text = []
    for number, line in enumerate(lines, start):
        if line.startswith("\\") and not text:
            case.steps.append(Step(line.strip(), number))
            continue
        if not line.strip() and not text:
            continue
        end = re.fullmatch(r"(.*;)\s*(?:--\s*(.*?)\s*)?", line)
        text.append(end[1] if end else line)
        if end and "\n".join(text).count("$$") % 2 == 0:
            case.steps.append(Step("\n".join(text), number, expectation(end[2])))
            text = []
    assert not text, f"{source}: {case.name} ends in the middle of a statement"
    return case


def parse_file(path):
    cases, fields, body, start = [], [], [], 0

    def finish():
        if fields:
            cases.append(parse_case(path.name, start, fields, body))

    for number, line in enumerate(path.read_text().splitlines(), 1):
        header = re.fullmatch(r"-- (\w+): +(.*)", line)
        if header and header[1] == "case":
            finish()
            fields, body = [], []
        if header and header[1] in ONCE + OFTEN and not body:
            fields.append((header[1], header[2]))
            start = number + 1
        elif line.startswith("-- ") and fields and not body:
            fields[-1] = (fields[-1][0], fields[-1][1] + " " + line[3:])  # a field's second line
            start = number + 1
        elif fields:
            body.append(line)
    finish()
    return cases


def load():
    return [case for path in sorted(FOLDER.glob("*.sql")) for case in parse_file(path)]
