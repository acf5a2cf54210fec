"""Attacks on everybody's time: while acme is at work, globex is answered within a bound."""

import contextlib
import struct
import time

from arena import ATTACKER, VICTIM, require
from cases import Case
from collect import ATTACKS, attack
from harness import wire as w
from harness.postgres import HOST

BOUND = 2000  # milliseconds, on a machine that has other things to do; a text that is read as it comes takes minutes
MB = 1 << 20

# name, what costs, the text. Whatever the server says to it is right, so long as it goes on.
TEXTS = [
    ("parentheses", "parentheses 10,000 deep", "SELECT " + "(" * 10000 + "1" + ")" * 10000),
    ("brackets", "arrays 10,000 deep", "SELECT " + "ARRAY[" * 10000 + "1" + "]" * 10000),
    ("subqueries", "subqueries 3,000 deep", "SELECT * FROM " + "(SELECT * FROM " * 3000 + "orders" + ") x" * 3000),
    ("cases", "CASE 5,000 deep", "SELECT " + "CASE WHEN true THEN " * 5000 + "1" + " END" * 5000),
    ("nots", "50,000 times NOT", "SELECT " + "NOT " * 50000 + "true"),
    ("minuses", "a run of minus signs", "SELECT " + "- " * 50000 + "1"),
    ("sums", "a sum of 100,000 terms", "SELECT 1" + "+1" * 100000),
    ("concatenations", "a concatenation of 30,000 terms", "SELECT ''" + "||'x'" * 30000),
    ("conjunctions", "5,000 conditions", "SELECT count(*) FROM orders WHERE true" + " AND id > 0" * 5000),
    ("unions", "5,000 unions", "SELECT 1" + " UNION SELECT 1" * 5000),
    ("joins", "300 joins", "SELECT 1 FROM orders o0" + "".join(f" CROSS JOIN orders o{n}" for n in range(1, 300))),
    ("casts", "50,000 casts", "SELECT 1" + "::int" * 50000),
    ("operators", "an operator of 5,000 characters", "SELECT 1 " + "+" * 5000 + " 1"),
    ("operators-in-turn", "many runs of operators that are just short enough",
     "SELECT 1 " + ("*" * 62 + " 1 ") * 5000),
    ("comments", "comments 2,000 deep", "/*" * 2000 + "*/" * 2000 + "SELECT 1"),
    ("comments-in-turn", "comments that are just shallow enough", ("/*" * 32 + "*/" * 32) * 5000 + "SELECT 1"),
    ("comments-unfinished", "beginnings of comments without an end", "/* " * 100000),
    ("dots", "a name of 50,000 parts", "SELECT a" + ".a" * 50000),
    ("dollars", "50,000 dollar quotes without an end", "SELECT " + "".join(f"$a{n}$" for n in range(50000))),
    ("quotes", "a string of 2 MB of quotes", "SELECT '" + "''" * MB + "'"),
    ("values", "50,000 rows of VALUES", "VALUES " + ",".join(["(1,'x')"] * 50000)),
    ("columns", "10,000 columns", "SELECT " + ",".join(["1"] * 10000)),
    ("list", "a list of 50,000 numbers", "SELECT count(*) FROM orders WHERE id IN (" + ",".join(map(str, range(50000))) + ")"),
    ("statements", "5,000 statements in one text", "SELECT 1;" * 5000),
    ("semicolons", "2,000,000 semicolons", ";" * (2 * MB)),
    ("blanks", "2 MB of blanks", " " * (2 * MB) + "SELECT 1"),
    ("ctes", "2,000 common table expressions",
     "WITH " + ",".join(f"a{n} AS (SELECT 1)" for n in range(2000)) + " SELECT 1"),
    ("json", "a JSON text 100,000 deep", "SELECT '" + "[" * 100000 + "'::json"),
    ("xml", "entities that grow", "SELECT xmlparse(DOCUMENT '<!DOCTYPE a [<!ENTITY a \"aaaaaaaaaa\">" + "".join(
        f"<!ENTITY {chr(98 + n)} \"{f'&{chr(97 + n)};' * 10}\">" for n in range(9)) + "]><a>&j;</a>')"),
    ("regular-expressions", "a regular expression that tries everything",
     "SELECT repeat('a', 40) || '!' ~ '^(a|a?)+$' AND repeat('x', 200) ~ '(x+x+)+y(x+x+)+y'"),
    ("like", "a pattern that tries everything", "SELECT repeat('a', 3000) LIKE '" + "%a" * 20 + "b'"),
    ("rows", "10^9 rows", "SELECT count(*) FROM generate_series(1, 1000000000)"),
    ("recursion", "a query without an end", "WITH RECURSIVE r AS (SELECT 1 UNION ALL SELECT 1 FROM r) SELECT count(*) FROM r"),
    ("products", "a product of tables", "SELECT count(*) FROM words a, words b, words c, words d"),
    ("memory", "a value of two gigabytes", "SELECT length(repeat('x', 2000000000))"),
    ("work-mem", "all the memory there is", "SET work_mem = '2000GB'"),
    ("sleep", "a statement that sleeps", "SELECT pg_sleep(100)"),
    ("arrays", "an array of 10^9 elements", "SELECT array_fill(1, ARRAY[1000000000])"),
    ("numeric", "a number of many digits", "SELECT factorial(20000)"),
]


def stop(session):
    """Cancels what is under way, and reads what there is of it."""
    answers, attempts = [], 20
    session.socket.settimeout(1)
    session.cancel()
    while not answers or answers[-1].type != "Z":
        try:
            answers.append(session.read())
        except TimeoutError:  # what was cancelled may not have begun then
            attempts -= 1
            require(attempts, "what was cancelled goes on")
            session.cancel()
    return answers


CRASHED = ("57P02", "08006", "XX000")


def text_attack(text):
    def play(scene):
        session = scene.acme
        scene.globex.query("SELECT 1")
        for parts in ((w.query(text),), (w.parse(text), w.bind(), w.execute(), w.sync())):
            session.send(*parts)
            scene.probe(BOUND)
            found = w.errors(stop(session))
            require(not set(found) & set(CRASHED), "the backend is gone:", found)
            scene.probe(BOUND)
    return play


for name, hope, text in TEXTS:
    ATTACKS.append(Case("costly-" + name, hope, __name__, "denial of service", pool=2, run=text_attack(text)))


@attack("a text of 50 MB is read by a Bulkhead that has one thread", pool=2, area="denial of service")
def costly_text_of_50_mb(scene):
    session, text = scene.acme, b"SELECT length('" + b"x" * (50 * MB) + b"')"
    scene.globex.query("SELECT 1")
    session.socket.settimeout(30)
    session.send(w.query(text))
    scene.probe(BOUND)
    with contextlib.suppress(EOFError, ConnectionError):
        found = session.until_ready()
        require(w.rows(found) == [[str(50 * MB)]] or w.errors(found)[:1] in (["54000"], ["08P01"]), w.errors(found))
    scene.leave(ATTACKER, politely=False)


@attack("a length of a gigabyte is announced, and memory kept for it", pool=2, area="denial of service")
def costly_length_announced(scene):
    before = scene.arena.proxy(2).resident()
    names = [f"waiting{n}" for n in range(20)]
    for name in names:
        scene.login(name).send(b"Q" + struct.pack("!I", 1 << 30) + b"SELECT '")
    scene.probe(BOUND)
    require(scene.arena.proxy(2).resident() < before + 64 * MB, "memory was taken for what was announced")
    for name in names:
        scene.leave(name, politely=False)


@attack("200 MB of rows that nobody reads stay in Bulkhead's memory", pool=2, area="denial of service")
def costly_rows_unread(scene):
    before = scene.arena.proxy(2).resident()
    scene.acme.send(w.query("SELECT repeat('acme ', 2000) FROM generate_series(1, 20000)"))
    deadline = time.monotonic() + 0.5
    while time.monotonic() < deadline:
        scene.probe(BOUND)
        time.sleep(0.05)
    require(scene.arena.proxy(2).resident() < before + 32 * MB, "rows pile up")
    scene.leave(ATTACKER, politely=False)


@attack("statements under 5,000 names stay in Bulkhead's memory and the backend's", pool=2, area="denial of service")
def costly_statements_under_names(scene):
    session = scene.acme
    scene.globex.query("SELECT 1")
    for block in range(10):
        session.send(*[w.parse(f"SELECT {n}, '{'x' * 100}'", f"s{n}") for n in range(500 * block, 500 * block + 500)], w.sync())
        session.until_ready()
        scene.probe(BOUND)


@attack("messages that ask for nothing, as fast as they can be sent", pool=2, area="denial of service")
def costly_messages(scene):
    session = scene.acme
    scene.globex.query("SELECT 1")
    session.send(*[w.sync()] * 20000)
    scene.probe(BOUND)
    session.until_ready(20000)
    session.send(w.flush() * 50000, w.query(""))
    scene.probe(BOUND)
    session.until_ready()


@attack("one byte at a time, on many connections, before and after the login", pool=2, area="denial of service")
def costly_bytes(scene):
    raw = [w.Wire.connect(HOST, scene.arena.proxy(2).port) for _ in range(30)]
    for n in range(8):
        for ear in raw:
            ear.send(w.startup({"user": "intruder.acme"})[n:n + 1])
        scene.probe(BOUND)
    for ear in raw:
        ear.close()


@attack("sessions that come and go", pool=2, area="denial of service")
def costly_sessions(scene):
    for _ in range(30):
        scene.login("coming")
        scene.leave("coming", politely=False)
    scene.probe(BOUND)


@attack("cancel requests for everything", pool=2, area="denial of service")
def costly_cancels(scene):
    scene.acme.send(w.query("SELECT count(*) FROM generate_series(1, 100000000)"))
    for _ in range(100):
        scene.acme.cancel()
    scene.probe(BOUND)
    scene.acme.until_ready()


@attack("all backends of the pool, each in a transaction that acme keeps open", pool=2, area="denial of service",
        residue="a transaction keeps its backend; max_tenant_connections and idle_transaction_timeout bound how many and how long",
        residue_both="a transaction keeps its backend; max_tenant_connections and idle_transaction_timeout bound how many and how "
        "long", residue_unhardened="a transaction keeps its backend, whatever runs in it")
def costly_transactions(scene):
    for name in ("one", "two"):
        session = scene.login(name)
        session.query("BEGIN")
        session.query("SELECT 1")
    scene.globex.send(w.query("SELECT count(*) FROM orders"))
    time.sleep(0.2)
    for name in ("one", "two"):
        scene.leave(name, politely=False)
    require(w.rows(scene.globex.until_ready()) == [["20"]], "globex is not served when they are gone")
    scene.leave(VICTIM)
