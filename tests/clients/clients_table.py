"""The clients that there are scripts for, and the page that is written of a run."""

from dataclasses import dataclass, field

from harness.program import ROOT

GROUPS = {
    "connect": "login, refused logins, settings in the startup packet",
    "transactions": "commit, rollback, an error in the middle, isolation levels",
    "savepoints": "nested, rolled back and released",
    "prepared": "prepared statements, kept while the backend serves others",
    "batch": "many statements at once, pipelines, an error in the middle",
    "cursor": "cursors, portals and streams",
    "copy": "COPY in both directions and all formats, with errors on both sides",
    "cancel": "cancel and timeouts",
    "settings": "SET, SET LOCAL and what a rollback does to them, kept while others are served",
    "session": "temporary tables, advisory locks",
    "reset": "what pools send between two users of a connection",
    "reconnect": "a lost connection, pools, many short connections",
}


@dataclass(frozen=True)
class Client:
    name: str  # of the script
    title: str
    command: list
    prepare: list = field(default_factory=list)  # a command that builds it
    quick: bool = False  # part of `make test`
    remarks: tuple = ()  # for the page


PYTHON = ["/usr/bin/python3", "-P"]  # a script has the name of its library
JDBC = "/usr/share/java/postgresql.jar"
BUILD = str(ROOT / "build" / "clients")


def go(name, source):
    """Builds from the packages' sources, without modules, so that nothing is downloaded."""
    return ["env", "GO111MODULE=off", "GOPATH=/usr/share/gocode", f"GOCACHE={BUILD}/go-cache",
            "go", "build", "-o", f"{BUILD}/{name}", f"go/{source}", "go/steps.go"]


CLIENTS = [
    Client("psql", "psql, pg_dump", [*PYTHON, "psql.py"], quick=True),
    Client("pgbench", "pgbench", [*PYTHON, "pgbench.py"], quick=True),
    Client("psycopg3", "psycopg 3", [*PYTHON, "psycopg3.py"], quick=True),
    Client("psycopg2", "psycopg2", [*PYTHON, "psycopg2.py"], quick=True),
    Client("asyncpg", "asyncpg", [*PYTHON, "asyncpg.py"]),
    Client("sqlalchemy", "SQLAlchemy", [*PYTHON, "sqlalchemy.py"]),
    Client("django", "Django", [*PYTHON, "django.py"]),
    Client("node-pg", "node `pg`", ["node", "node-pg.js"]),
    Client("jdbc", "JDBC", ["java", "-Xshare:auto", "-XX:TieredStopAtLevel=1", "-cp", f"{JDBC}:{BUILD}", "Jdbc"],
           ["javac", "-cp", JDBC, "-d", BUILD, "Jdbc.java"]),
    Client("lib-pq", "Go lib/pq", [f"{BUILD}/lib-pq"], go("lib-pq", "lib_pq.go")),
    Client("pgx", "Go pgx 4", [f"{BUILD}/pgx"], go("pgx", "pgx.go")),
    Client("pdo", "PHP PDO", ["php", "pdo.php"]),
    Client("dbd-pg", "Perl DBD::Pg", ["perl", "dbd-pg.pl"]),
    Client("ruby-pg", "ruby-pg", ["ruby", "ruby-pg.rb"]),
    Client("activerecord", "ActiveRecord", ["ruby", "activerecord.rb"]),
    Client("postgres-js", "node `postgres`", ["node", "postgres-js.js"]),
    Client("drizzle", "node `drizzle`", ["node", "drizzle.js"]),
    Client("knex", "node `knex`", ["node", "knex.js"]),
    Client("sequelize", "node `sequelize`", ["node", "sequelize.js"]),
    Client("typeorm", "node `typeorm`", ["node", "typeorm.js"]),
    Client("kysely", "node `kysely`", ["node", "kysely.js"]),
]


def write_docs(path, reports, server):
    pass
