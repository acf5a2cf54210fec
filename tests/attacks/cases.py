"""Attacks in SQL, read from tests/attacks/sql/*.sql.

A file holds cases. A case begins with comments that say what it is, and goes on with what the attacker sends:

    -- case: alter-system
    -- hope: a setting of the whole server, written by a tenant
    ALTER SYSTEM SET row_security = off;                            -- 42501
    SELECT count(*) FROM orders;                                    -- = 20

Fields: `case` (a name), `hope` (what the attacker hopes for), and where needed
    area      one of AREAS; without it, the area of the case before in the file
    as        for own/*.sql alone: the kinds of tenants that make the attack, see own_arena.py
    under     standard or strict: the one hardening that the case is about; without it, both. With the gate alone
              every case is played.
    pool      backends in the pool, when more than one client is at work; without it, one
    before    SQL of a superuser's that runs first; may be given more than once
    after     SQL of a superuser's that runs last, and cleans up; the same
    bound     milliseconds in which globex must be answered while acme's statements run (pool: 2 at least)
    residue   why PostgreSQL alone cannot stop this. The statements then show what the attacker gets.
    residue-unhardened   why the gate alone cannot: the case is expected to fail in that run
    residue-both         why both together cannot stop what is a residue of PostgreSQL's

Everything up to a semicolon at the end of a line is sent as one Query, dollar quotes taken together, so a line
of several statements is one Query too. A comment behind that semicolon says what must come of it: `ok`, an
SQLSTATE, or `= value`, the first column of the first row; `A | B | C` is A under standard, B under strict hardening
and C without hardening; what is missing is B as A, C as A. Without a comment the statement may do what it likes.
What must hold for every case, whatever the comments say, is in arena.py.

Where a gate stands in front it may refuse any statement, and what depends on a refused one may then fail; but for
those with `!` behind the expectation, which must come to it in every run. A statement that must be refused with 42501
must be, by whomever; but for those with `?`, where one before that was refused leaves nothing to refuse.

`\\as NAME` changes who is speaking: acme, globex (a client of that tenant's, whose session then goes on), or
admin (a superuser, not through Bulkhead). `\\leave` ends the session. In texts, {globex}, {globex_hex},
{acme} and {acme_hex} are the tenants' ids with and without dashes, {context} the setting that holds the seal (see
arena.CONTEXTS for its other spellings), and {times N TEXT} is a text N times.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path

FOLDER = Path(__file__).resolve().parent / "sql"
HARDENED = ("standard", "strict")
HARDENINGS = (*HARDENED, "unhardened")
AREAS = ("context", "roles", "paths and schemas", "dynamic SQL", "functions", "views, triggers and rules",
         "files and large objects", "left-overs", "covert channels", "catalogue", "DDL", "databases and startup",
         "protocol", "encodings and lexer", "denial of service")
RESIDUES = ("residue", "residue-unhardened", "residue-both")
ONCE = ("case", "area", "hope", "as", "under", "pool", "bound", *RESIDUES)
OFTEN = ("before", "after")


@dataclass
class Step:
    """One Query, or `\\as` or `\\leave`. `expected` is per hardening: None for whatever, ok, an SQLSTATE, = value.

    It `must` come to that even where a gate may refuse statements; `depends` on those before if it has to be refused.
    """

    text: str
    line: int
    expected: dict = field(default_factory=dict)
    must: bool = False
    depends: bool = False

    @property
    def command(self):
        return self.text[1:].split() if self.text.startswith("\\") else None


@dataclass
class Case:
    name: str
    hope: str
    source: str
    area: str
    under: tuple = HARDENINGS
    pool: int = 1
    bound: int = None
    before: list = field(default_factory=list)
    after: list = field(default_factory=list)
    speakers: tuple = ()  # kinds of tenants with logins of their own (own_arena.py) that make the attack
    residues: dict = field(default_factory=dict)  # by the names of the fields
    steps: list = field(default_factory=list)
    run: object = None  # of a case in Python (wire_cases.py): a function of a scene, in the place of steps

    def __post_init__(self):
        assert self.area in AREAS, f"{self.name}: no area {self.area!r}"

    def is_for(self, run):
        return run.hardening in self.under


def expectation(comment, keys=HARDENINGS):
    """The expectations by hardening, whether they hold in every run, and whether they depend on what was before.

    Those of tenants with logins of their own are by kinds: one for all, or one for each.
    """
    text = comment or ""
    must, depends = text.endswith("!"), text.endswith("?")
    parts = [part.strip() for part in text.rstrip("!?").split("|")]
    for part in parts:
        if part and not re.fullmatch(r"ok|[0-9A-Z]{5}|=( .*)?", part):
            raise ValueError(f"what is {part!r}?")
    if keys != HARDENINGS:
        assert len(parts) in (1, len(keys)), text
        return dict(zip(keys, [part or None for part in parts * (len(keys) if len(parts) == 1 else 1)])), must, depends
    standard, strict, unhardened = (parts + parts[-1:] + parts[:1] if len(parts) == 1 else parts + parts[:1])[:3]
    return dict(zip(HARDENINGS, (standard or None, strict or None, unhardened or None))), must, depends


def parse_case(source, start, fields, lines, area, keys):
    single = {"area": area, **{key: value for key, value in fields if key in ONCE}}
    several = {key: [value for name, value in fields if name == key] for key in OFTEN}
    case = Case(single["case"], single["hope"], source, single["area"],
                residues={name: single[name] for name in RESIDUES if name in single}, **several)
    if "as" in single:
        case.speakers = tuple(single["as"].split())
    if "under" in single:
        assert single["under"] in HARDENED, single["under"]
        case.under = (single["under"], "unhardened")
    case.pool = int(single.get("pool", 1))
    case.bound = int(single["bound"]) if "bound" in single else None
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
            case.steps.append(Step("\n".join(text), number, *expectation(end[2], keys)))
            text = []
    assert not text, f"{source}: {case.name} ends in the middle of a statement"
    return case


def parse_file(path, keys=HARDENINGS):
    cases, fields, body, start = [], [], [], 0

    def finish():
        if fields:
            area = cases[-1].area if cases else None
            cases.append(parse_case(path.name, start, fields, body, area, keys))

    for number, line in enumerate(path.read_text().splitlines(), 1):
        header = re.fullmatch(r"-- ([\w-]+): +(.*)", line)
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
