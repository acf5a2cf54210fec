"""What clients of the soak do: each function is one thing, on a connection where no transaction is open."""

import time

from harness.postgres import HOST
from harness.wire import (TIMEOUT, Wire, bind, cancel_request, copy_data, copy_done, copy_fail, describe, errors, execute,
                          flush, parse, query, rows, sync, terminate, types)
from soak.client import NEVER_RAN, NOTHING, STYLES, Ended, Expected
from soak.stage import ROWS

LIST = "SELECT '{}', item FROM soak_row ORDER BY id"
LIST_OF = "SELECT $1::text, item FROM soak_row ORDER BY id"


def listed(client, token):
    return [[token, item] for item in client.items]


def run(sql, *values):
    return parse(sql) + bind(values) + execute() + sync()


# ---- reading ----

def by_query(client):
    token = client.token()
    client.expect(Expected("T" + "D" * ROWS + "CZ", listed(client, token)), query(LIST.format(token)))


def by_parse(client):
    token = client.token()
    client.expect(Expected("12" + "D" * ROWS + "CZ", listed(client, token)), run(LIST_OF, token))


def by_parse_then_bind(client):
    """In two batches: the unnamed statement has to outlive a change of backends."""
    client.expect(Expected("1tTZ"), parse(LIST_OF), describe(), sync())
    token = client.token()
    client.expect(Expected("2" + "D" * ROWS + "CZ", listed(client, token)), bind([token]), execute(), sync())


def by_name(client):
    if not client.may_pin():
        return
    if "list" not in client.statements:
        client.expect(Expected("1Z"), parse(LIST_OF, "list"), sync())
        client.statements.add("list")
    token = client.token()
    client.expect(Expected("2" + "D" * ROWS + "CZ", listed(client, token)), bind([token], "list"), execute(), sync())


def one_of_many(client):
    """A statement, its answer: one that is read, one that fails, one that fails in a batch."""
    token = client.token()
    kind = client.random.randrange(5)
    if kind == 0:
        return query(f"SELECT '{token}'"), Expected("TDCZ", [[token]])
    if kind == 1:
        return run(LIST_OF, token), Expected("12" + "D" * ROWS + "CZ", listed(client, token))
    if kind == 2:
        return query(f"SELECT '{token}'; SELECT 1/0"), Expected("TDCEZ", [[token]], ["22012"])
    if kind == 3:
        batch = [parse("SELECT $1::text") + bind([token]) + execute(), parse("SELECT 1/0") + bind() + execute(),
                 parse("SELECT 'never'") + bind() + execute(), sync()]
        return b"".join(batch), Expected("12DC1EZ", [[token]], ["22012"])
    return query("BEGIN") + query(f"SELECT '{token}'") + query("COMMIT"), Expected("CZTDCZCZ", [[token]], ready=3)


def in_a_pipeline(client):
    data, expected = b"", NOTHING
    for _ in range(client.random.randint(2, 25)):
        part, answer = one_of_many(client)
        data += part
        expected += answer
    client.expect(expected, data)


def by_copy(client):
    token = client.token()
    found = client.expect(Expected("H" + "d" * ROWS + "cCZ"), query(f"COPY ({LIST.format(token)}) TO STDOUT"))
    lines = [m.body for m in found if m.type == "d"]
    if lines != [f"{token}\t{item}\n".encode() for item in client.items]:
        client.wrong("not the lines of COPY", token, lines)


def slowly(client):
    """Reads nothing for a while: what is on its way fills all buffers, and the backend stands still."""
    count = client.random.randint(100, 3000)
    token = client.token()
    expected = Expected("T" + "D" * count + "CZ", [[token, str(n), "x" * 1000] for n in range(1, count + 1)])
    client.send(query(f"SELECT '{token}', n, repeat('x', 1000) FROM generate_series(1, {count}) n"))
    time.sleep(client.random.uniform(0, 0.8))
    client.expect(expected)


def look_around(client):
    """The session is its own, and nothing of another's."""
    token, style = client.token(), STYLES[client.startup.get("DateStyle")]
    name = client.startup.get("application_name", "").replace("ö", "??")
    client.expect(
        Expected("TDCZ", [[token, client.soak.ids[client.tenant], style, name, client.setting,
                           "t" if client.temporary else "f"]]),
        query(f"SELECT '{token}', bulkhead.tenant_id(), current_setting('DateStyle'), "
              "current_setting('application_name'), nullif(current_setting('soak.mine', true), ''), "
              "to_regclass('pg_temp.soak_temporary') IS NOT NULL"))
    if client.temporary:
        client.expect(Expected("TDCZ", [[client.temporary]]), query("SELECT token FROM pg_temp.soak_temporary"))


# ---- keeping a backend ----

def set_something(client):
    if client.may_pin():
        client.setting = client.token()
        client.tell(f"SET soak.mine = '{client.setting}'")


def make_a_table(client):
    if client.may_pin() and not client.temporary:
        client.temporary = client.token()
        client.tell("CREATE TEMP TABLE soak_temporary (token text)")
        client.tell(f"INSERT INTO soak_temporary VALUES ('{client.temporary}')")


# ---- writing ----

def step(client):
    return f"UPDATE soak_counter SET value = value + 1 WHERE client = {client.number} RETURNING value"


def event(client, token):
    return f"INSERT INTO soak_event (client, token) VALUES ({client.number}, '{token}')"


def at_once(client, token):
    """A step and its event in one statement."""
    return (f"WITH one AS ({step(client)}) INSERT INTO soak_event (client, token) "
            f"SELECT {client.number}, '{token}' FROM one RETURNING (SELECT value FROM one)")


def kept(client, token, value):
    if wrong := client.account.keep(token, int(value)):
        client.wrong(wrong)


def write_at_once(client):
    token = client.token()
    client.account.ask(token)
    simple = client.random.random() < 0.5
    try:
        found = client.ask(query(at_once(client, token)) if simple else run(at_once(client, token)))
    except Ended as end:
        if end.why in NEVER_RAN:
            client.account.fail(token)
        raise
    if types(found) != ("TDCZ" if simple else "12DCZ"):
        client.wrong("not the answer of a write", found)
    kept(client, token, rows(found)[0][0])
    client.served += 1


def read_the_counter(client):
    found = client.ask(query(f"SELECT value FROM soak_counter WHERE client = {client.number}"))
    if types(found) != "TDCZ":
        client.wrong("not one counter", found)
    if wrong := client.account.see(int(rows(found)[0][0])):
        client.wrong(wrong)


def in_a_transaction(client):
    """Statement by statement; committed, rolled back, or left in the middle."""
    token, undone = client.token(), client.token()
    client.account.ask(token)
    client.account.never(undone)
    ending = client.random.choice(["COMMIT", "COMMIT", "COMMIT", "ROLLBACK", "an error", "good-bye", "a reset"])
    try:
        client.tell(client.random.choice(["BEGIN", "START TRANSACTION", "BEGIN ISOLATION LEVEL READ COMMITTED"]))
        value = rows(client.ask(query(step(client))))[0][0]
        if client.random.random() < 0.3:
            client.tell("SAVEPOINT here")
            client.tell(event(client, undone))
            client.tell("ROLLBACK TO here")
        if client.random.random() < 0.3:
            by_query(client)
        client.tell(event(client, token))
        if ending == "an error":
            client.expect(Expected("EZ", failures=["22012"]), query("SELECT 1/0"))
            client.expect(Expected("EZ", failures=["25P02"]), query("SELECT 1"))
        if ending in ("good-bye", "a reset"):
            client.send(terminate()) if ending == "good-bye" else client.wire.reset()
            raise Ended([], None)
    except Ended:
        client.account.fail(token)
        raise
    if ending == "ROLLBACK":
        client.account.fail(token)
        client.tell("ROLLBACK")
        return
    tag = client.tell("COMMIT")[0].tag
    if tag != ("ROLLBACK" if ending == "an error" else "COMMIT"):
        client.wrong("not the end of the transaction", tag)
    if tag == "COMMIT":
        kept(client, token, value)
    else:
        client.account.fail(token)


def in_one_write(client):
    """A whole transaction in one write, as queries, as a batch, or as one query."""
    token = client.token()
    client.account.ask(token)
    parts = ["BEGIN", step(client), event(client, token), "COMMIT"]
    kind = client.random.randrange(3)
    ready = 4 if kind == 0 else 1
    if kind == 0:
        data, kinds = b"".join(map(query, parts)), "CZTDCZCZCZ"
    elif kind == 1:
        data, kinds = b"".join(parse(sql) + bind() + execute() for sql in parts) + sync(), "12C12DC12C12CZ"
    else:
        data, kinds = query("; ".join(parts)), "CTDCCCZ"
    try:
        found = client.ask(data, ready=ready)
    except Ended as end:
        if end.why in NEVER_RAN:
            client.account.fail(token)
        raise
    if types(found) != kinds:
        client.wrong("not the answer of a transaction", found)
    kept(client, token, rows(found)[0][0])
    client.served += 1


def by_copy_in(client):
    token, count = client.token(), client.random.randint(1, 300)
    data = copy_data(f"{token}\n" * count)
    ending = client.random.choice(["done", "done", "fail", "reset"])
    client.inbox.ask(token, count)
    try:
        client.send(query("COPY soak_inbox FROM STDIN"))
        client.read("G")
        client.send(data if ending != "reset" else data[:client.random.randrange(len(data))])
        if ending == "reset":
            client.wire.reset()
            raise Ended([], None)
    except Ended:
        client.inbox.fail(token)
        raise
    if ending == "fail":
        client.inbox.fail(token)
        client.expect(Expected("EZ", failures=["57014"]), copy_fail("enough"))
        return
    client.expect(Expected("CZ"), copy_done())
    client.inbox.keep(token)


# ---- cancelling and dying ----

def cancel(client):
    """It hits this statement, or nobody's."""
    token = client.token()
    client.send(query(f"SELECT '{token}' FROM pg_sleep({client.random.choice([0, 0.01, 3])})"))
    time.sleep(client.random.choice([0, 0, 0.001, 0.02]))
    try:
        client.wire.cancel()
    except TimeoutError:
        client.wrong(f"a cancel request was kept for {TIMEOUT} s")
    except OSError:
        pass  # our own connection is gone already
    found = client.read("Z")
    if errors(found) != ["57014"] and (types(found), rows(found)) != ("TDCZ", [[token]]):
        client.wrong("neither cancelled nor the answer", found)
    client.served += 1


def cancel_with_a_wrong_key(client):
    with Wire.connect(HOST, client.soak.proxy.port) as other:
        other.send(cancel_request(client.wire.pid, bytes(4)))
    by_query(client)


def die(client):
    """At any byte of something, or a moment after it."""
    token = client.token()
    kind = client.random.randrange(4)
    data = [lambda: in_many(client), lambda: query(f"SELECT '{token}' FROM pg_sleep(3)"),
            lambda: parse(LIST_OF, "dying") + bind([token], "dying") + execute() + flush(),
            lambda: query(at_once(client, token))][kind]()
    whole = client.random.random() < 0.6
    if kind == 3 and whole:
        client.account.ask(token)
    elif kind == 3:
        client.account.never(token)
    client.send(data if whole else data[:client.random.randrange(len(data))])
    if client.random.random() < 0.5:
        time.sleep(client.random.uniform(0, 0.03))
    if client.random.random() < 0.7:
        client.wire.reset()
    raise Ended([], None)


def in_many(client):
    return b"".join(query(f"SELECT repeat('x', {n * 100})") for n in range(client.random.randint(2, 60)))


# What is done how often.
WEIGHTS = {
    by_query: 12, by_parse: 12, by_parse_then_bind: 6, by_name: 6, in_a_pipeline: 8, by_copy: 4, slowly: 1,
    look_around: 6, set_something: 2, make_a_table: 1, write_at_once: 8, read_the_counter: 6, in_a_transaction: 8,
    in_one_write: 6, by_copy_in: 4, cancel: 3, cancel_with_a_wrong_key: 1, die: 2,
}
