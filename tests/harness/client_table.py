"""The clients that tests/clients has a script for, and the page that is written of a run of them all."""

from dataclasses import dataclass, field

from harness.program import ROOT

BUILD = str(ROOT / "build" / "clients")  # what is built and downloaded for the scripts
PYTHON = ["/usr/bin/python3", "-P"]  # without the scripts' folder on its path: a script has the name of its library
JDBC = "/usr/share/java/postgresql.jar"

GROUPS = {
    "connect": "login, refused logins, settings in the startup packet, what the library asks of the catalogs at first",
    "transactions": "commit, rollback, an error in the middle, isolation levels, read only, two-phase commit",
    "savepoints": "nested, rolled back and released",
    "prepared": "prepared statements, kept while the backends serve others; names, types, errors, more than the "
                "library's cache holds",
    "batch": "many statements at once, pipelines with an error in the middle, empty ones and comments",
    "cursor": "cursors, portals and streams; WITH HOLD beyond the transaction",
    "copy": "COPY in both directions, as text, CSV and binary, with errors on both sides",
    "cancel": "cancel requests and timeouts; cancels that find nothing",
    "settings": "SET, SET LOCAL and set_config, with rollback and savepoints, kept while the backends serve others",
    "session": "temporary tables, advisory locks, the last value of a sequence, catalogs",
    "reset": "what pools and drivers send between two users of a connection",
    "reconnect": "a connection that the server ends, pools, many short connections",
}


@dataclass(frozen=True)
class Client:
    """A script: how it is run in its folder, and built before if it has to be."""
    name: str
    title: str
    command: list
    prepare: list = field(default_factory=list)
    quick: bool = False  # needs no more than what `make test` installs, and is a part of it
    remarks: tuple = ()  # for the page


def go(name, source):
    """Builds from the packages' sources, without modules, so that nothing is downloaded."""
    return ["env", "GO111MODULE=off", "GOPATH=/usr/share/gocode", f"GOCACHE={BUILD}/go-cache",
            "go", "build", "-o", f"{BUILD}/{name}", f"go/{source}", "go/steps.go"]


def node(name, title=None, remarks=()):
    return Client(name, title or name, ["node", f"{name}.js"], remarks=remarks)


CLIENTS = [
    Client("psql", "psql, pg_dump", [*PYTHON, "psql.py"], quick=True, remarks=(
        "`pg_dump` dumps a tenant's rows with `--enable-row-security`; without it, it asks for `row_security = off`, "
        "which PostgreSQL refuses to a role that row security holds for.",)),
    Client("pgbench", "pgbench", [*PYTHON, "pgbench.py"], quick=True, remarks=(
        "Initialising (`-i`) makes tables, which a tenant of shared tables cannot: the tables are there before.",)),
    Client("psycopg3", "psycopg 3", [*PYTHON, "psycopg3.py"], quick=True),
    Client("psycopg2", "psycopg2", [*PYTHON, "psycopg2.py"], quick=True),
    Client("asyncpg", "asyncpg", [*PYTHON, "asyncpg.py"], quick=True),
    Client("sqlalchemy", "SQLAlchemy", [*PYTHON, "sqlalchemy.py"], quick=True, remarks=(
        "Over psycopg2, and over asyncpg where statements are prepared.",)),
    Client("django", "Django", [*PYTHON, "django.py"], remarks=(
        "Migrations are the table owner's work and go around Bulkhead.",)),
    Client("jdbc", "pgjdbc", ["java", "-XX:TieredStopAtLevel=1", "-cp", f"{JDBC}:{BUILD}", "Jdbc"],
           ["javac", "-cp", JDBC, "-d", BUILD, "Jdbc.java"]),
    Client("lib-pq", "Go lib/pq", [f"{BUILD}/lib-pq"], go("lib-pq", "lib_pq.go")),
    Client("pgx", "Go pgx", [f"{BUILD}/pgx"], go("pgx", "pgx.go")),
    Client("pdo", "PHP PDO", ["php", "pdo.php"], remarks=("PDO has no way to cancel a statement.",)),
    Client("dbd-pg", "Perl DBD::Pg", ["perl", "dbd-pg.pl"]),
    Client("ruby-pg", "ruby-pg", ["ruby", "ruby-pg.rb"]),
    Client("activerecord", "ActiveRecord", ["ruby", "activerecord.rb"], remarks=(
        "Migrations are the table owner's work and go around Bulkhead.",)),
    node("node-pg", "node `pg`"),
    node("postgres-js", "node `postgres`"),
    node("drizzle"),
    node("knex"),
    node("sequelize", remarks=(
        "`findOrCreate` creates a function in `pg_temp` and calls it, which is refused unless the operator excepts the rule "
        "`temporary-functions`; `findCreateFind` and `upsert` do without.",)),
    node("typeorm"),
    node("kysely"),
]

# What no script asks for, or asks for in another way, and why.
EXEMPTIONS = [
    ("`LISTEN` and `NOTIFY`", "PostgreSQL has no privilege for channels, so tenants of one database could signal each "
     "other. The scripts come when channels are kept apart."),
    ("`COPY … FROM` into a protected table", "PostgreSQL refuses it on tables with row security (0A000), with Bulkhead "
     "or without. The scripts copy into a temporary table and go on with `INSERT … SELECT`; those that try it directly "
     "expect that error."),
    ("`CREATE TABLE` and migrations", "a tenant of shared tables owns nothing; the tables' owner migrates, around "
     "Bulkhead."),
    ("the first `lastval()` or `currval()` outside of a transaction", "the value was taken on a backend that others may "
     "have used since. Then it is refused (55000, BH-CTX-SEQUENCE) and never somebody else's, and Bulkhead keeps the "
     "backends of this tenant's sessions that write, as long as it has sessions. `RETURNING`, or a transaction around, "
     "needs none of that."),
    ("`pg_cancel_backend` and `pg_terminate_backend` with the process id of BackendKeyData",
     "that is Bulkhead's own, so knex's `timeout` with "
     "`cancel: true` gives up waiting but does not cancel: the statement ends with its connection. Cancel requests of "
     "the protocol work."),
    ("`pg_terminate_backend`", "the guard takes it from PUBLIC. Lost connections are made with "
     "`idle_in_transaction_session_timeout`, whose FATAL error must arrive."),
    ("the backend's process id", "`pg_backend_pid()` is the backend's of the moment, BackendKeyData is Bulkhead's own, and "
     "notifications show the latter: who compares the two finds a difference. None of these libraries does; tests of "
     "psycopg, asyncpg, pgx, postgres.js and lib/pq terminate the backend of a session by that number."),
    ("`standard_conforming_strings = off`", "is refused (0A000) where tenants share a database: texts are read as the "
     "server reads them, in one way. In a database of its own a session that switches it off keeps its backend."),
    ("`DISCARD ALL` behind a library's back", "as on PostgreSQL itself, its prepared statements are gone (26000), and "
     "the library has to prepare them again."),
]

PAGE = """# Client libraries

Written by `make test-clients`, which runs the scripts of [tests/clients](../tests/clients): each lives the typical life
of one library, first on PostgreSQL itself, then through Bulkhead, and checks every answer. Do not edit it.

PostgreSQL {server}; Bulkhead in transaction mode with **{backends} backends** for all. Each script runs as four
processes at once, two for each of two tenants, and opens up to four connections in each: what is kept on a connection,
such as prepared statements and settings, has to stay there while its backend serves somebody else. Rows carry their
tenant's name, and every row that is read or written is compared with it.

The gate is on. Four of its [rules](rules.md) are excepted (`[gate] exceptions`), since the scripts do on purpose what they keep
from shared tables: they sleep to be cancelled, take advisory locks, commit in two phases, and create a temporary function
(Sequelize's `findOrCreate`).

A cell is the number of steps that passed in all processes; *n of m* where some did not; – where the library has nothing
of the kind, or the script does not use it.

{table}

## The groups

{groups}

## What the scripts do not do

{exemptions}

## Remarks

{remarks}
{failures}"""


def cell(report, group):
    names = [name for name in report.direct.steps if name.startswith(group + "/")]
    bad = {*report.broken(), *report.defects()}
    good = sum(name not in bad for name in names)
    return "–" if not names else str(good) if good == len(names) else f"**{good} of {len(names)}**"


def table(reports):
    lines = ["| client | version | " + " | ".join(GROUPS) + " |", "|---|---|" + "--:|" * len(GROUPS)]
    lines += [f"| {report.client.title} | {report.direct.version} | "
              + " | ".join(cell(report, group) for group in GROUPS) + " |" for report in reports]
    return "\n".join(lines)


def failures(reports):
    """A section of the steps that failed; nothing when none did."""
    lines = [f"- {report.client.title}: " + ", ".join(f"`{name}`" for name in {**report.broken(), **report.defects()})
             for report in reports if not report.passed()]
    return "\n## What failed\n\n" + "\n".join(lines) + "\n" if lines else ""


def write_docs(path, reports, server, backends):
    path.write_text(PAGE.format(
        server=server, backends=backends, table=table(reports), failures=failures(reports),
        groups="\n".join(f"- **{name}**: {text}." for name, text in GROUPS.items()),
        exemptions="\n".join(f"- **{what}**: {why}" for what, why in EXEMPTIONS),
        remarks="\n".join(f"- {report.client.title}: {text}" for report in reports for text in report.client.remarks)))
