"""Attacks with the extended protocol: what is refused in a pipeline, values in Bind, names of statements and portals."""

import struct

from arena import ATTACKER, VICTIM, require
from collect import attack
from harness import wire as w

SET = "SELECT set_config('{context}', '{globex_hex},', false)"
READ = "SELECT item FROM orders"
REFUSED = ("42501", "42P02", "25P02")  # 42P02: the gate may have read no value where the server has one


def filled(scene, text=SET):
    return scene.arena.fill_in(text)


def run_of(text, values=(), formats=()):
    return w.parse(text) + w.bind(values, formats=formats) + w.execute()


def require_own(scene, session=None):
    """acme reads its own rows after whatever it was."""
    found = (session or scene.acme).query("SELECT count(*), count(*) FILTER (WHERE item LIKE 'acme %') FROM orders")
    require(w.rows(found) == [["20", "20"]], "acme is not served:", found)


@attack("what stands behind a refused statement in a pipeline runs")
def pipeline_behind_a_refusal(scene):
    for refused in (filled(scene), filled(scene, "SET {context} = '{globex_hex},'"), "SET ROLE shop_owner",
                    "TABLE bulkhead.signing_key", "SELECT 1 / 0"):
        scene.acme.send(run_of("INSERT INTO orders (id, item) VALUES (900, 'acme 900')"), run_of(refused),
                        run_of("INSERT INTO orders (id, item) VALUES (901, 'acme 901')"), run_of(READ), w.sync())
        found = scene.acme.until_ready()
        require(len(w.errors(found)) == 1 and found[-1].status == "I", refused, found)
        found = scene.acme.query("SELECT count(*) FROM orders WHERE id >= 900")
        require(w.rows(found) == [["0"]], "a part of the pipeline behind", refused, "was kept")


@attack("the same inside a transaction, which goes on as if nothing had been")
def pipeline_behind_a_refusal_in_a_transaction(scene):
    scene.acme.send(run_of("BEGIN"), run_of("INSERT INTO orders (id, item) VALUES (900, 'acme 900')"), w.sync(),
                    run_of(filled(scene)), run_of("COMMIT"), w.sync(), run_of("COMMIT"), w.sync())
    found = scene.acme.until_ready(3)
    require([m.status for m in found if m.type == "Z"] == ["T", "E", "I"], found)
    require(w.rows(scene.acme.query("SELECT count(*) FROM orders WHERE id = 900")) == [["0"]], "the row was kept")


@attack("messages between a refusal and Sync are answered, or counted twice")
def messages_behind_a_refusal(scene):
    scene.acme.send(w.parse(filled(scene), "s"), w.describe("s"), w.bind(statement="s"), w.execute(), w.close("s"), w.flush(),
                    w.parse(READ, "t"), w.bind(statement="t"), w.describe(kind="P"), w.execute(), w.sync())
    found = scene.acme.until_ready()
    require(len(w.errors(found)) == 1, found)
    scene.acme.send(w.bind(statement="t"), w.execute(), w.sync())
    require(w.errors(scene.acme.until_ready()) == ["26000"], "a Parse behind a refusal was carried out")
    require_own(scene)


@attack("a refused Parse is carried out when its statement is executed later")
def statement_refused_and_executed(scene):
    scene.acme.send(w.parse(filled(scene), "s"), w.sync())
    scene.acme.until_ready()
    for _ in range(2):
        scene.acme.send(w.bind(statement="s"), w.execute(), w.sync())
        require(w.errors(scene.acme.until_ready()), "the statement ran")
        require_own(scene)
    scene.acme.query("EXECUTE s")
    require_own(scene)


@attack("a name is first that of a harmless statement, and then of another")
def statement_replaced_under_its_name(scene):
    for name in ("", "s"):
        scene.acme.send(w.parse("SELECT 1", name), w.sync(), w.close(name), w.parse(filled(scene), name), w.sync(),
                        w.bind(statement=name), w.execute(), w.sync())
        scene.acme.until_ready(3)
        require_own(scene)
    scene.acme.send(w.parse("SELECT 1", "t"), w.parse(filled(scene), "t"), w.sync(), w.bind(statement="t"), w.execute(), w.sync())
    scene.acme.until_ready(2)
    require_own(scene)


@attack("names and values come in Bind, where nobody reads them", area="context")
def set_config_with_values_in_bind(scene):
    name, value = filled(scene, "{context}"), filled(scene, "{globex_hex},")
    for text, values in (("SELECT set_config($1, $2, $3)", [name, value, "f"]),
                         ("SELECT set_config($1, $2, false)", [name, value]),
                         ("SELECT set_config($1::text, $2::text, $3::boolean)", [name, value, "f"]),
                         ("SELECT pg_catalog.set_config($2, $1, false)", [value, name]),
                         ("SELECT set_config($1 || $2, $3, false)", [name[:5], name[5:], value]),
                         ("SELECT set_config(lower($1), $2, false)", [name.upper(), value]),
                         ("SELECT set_config(coalesce($1, 'work_mem'), $2, false)", [name, value]),
                         ("UPDATE pg_settings SET setting = $1 WHERE name = $2", [value, name])):
        for formats in ((), (1,)):
            binary = [b"\0" if v == "f" and formats else v for v in values]
            scene.acme.send(run_of(text, binary, formats), w.sync())
            found = w.errors(scene.acme.until_ready())
            require(found[:1] and found[0] in REFUSED or "pg_settings" in text, text, found)
            require_own(scene)


@attack("the same for what may be set, and then is: LOCAL, in a transaction, with NULLs", area="context")
def set_config_with_odd_values_in_bind(scene):
    for values in ([None, "x", "f"], ["role", "shop_owner", "f"], ["session_authorization", "postgres", "t"],
                   ["bulkhead.tenant", "globex", "t"], ["row_security", "off", "f"], ["", "x", "f"], ["x" * 100, "y", "f"]):
        scene.acme.send(run_of("BEGIN"), run_of("SELECT set_config($1, $2, $3)", values), run_of(READ), w.sync())
        scene.acme.until_ready()
        scene.acme.query("ROLLBACK")
    scene.acme.query("RESET row_security")
    require_own(scene)


@attack("a type of Parse makes the server read another statement than the one that was judged")
def types_of_parameters(scene):
    value = filled(scene, "{globex_hex},")
    for types in ((25, 25, 16), (705, 705, 705), (2205, 25, 16), (19, 19, 16), (1043, 1042, 16), (4294967295, 0, 0), (0,) * 3):
        scene.acme.send(w.parse("SELECT set_config($1, $2, $3)", types=types),
                        w.bind([filled(scene, "{context}"), value, "f"]), w.execute(), w.sync())
        require(w.errors(scene.acme.until_ready()), types)
    scene.acme.send(w.parse("SELECT $1", types=(2205,)), w.bind(["bulkhead.signing_key"]), w.execute(), w.sync())
    scene.acme.until_ready()
    scene.acme.send(w.parse("SELECT $1::regclass", types=(25,)), w.bind(["bulkhead_control.tenant"]), w.execute(), w.sync())
    scene.acme.until_ready()
    require_own(scene)


@attack("values of Bind are statements, quotes or bytes that are no character")
def values_that_are_statements(scene):
    for value in (f"'; {filled(scene)}; --", "\\'; RESET ALL; --", "acme' OR true --", b"\xff\xfe", "x" * 100_000,
                  b"\xc0\xa7; RESET ALL"):
        scene.acme.send(run_of("SELECT item FROM orders WHERE item = $1", [value]), w.sync())
        scene.acme.until_ready()
        require_own(scene)


@attack("rows come in binary, by portals, in parts")
def rows_in_binary_and_in_parts(scene):
    globex = filled(scene, "{globex}")
    texts = ["SELECT * FROM orders", f"SELECT * FROM accounts WHERE tenant_id = '{globex}'", "SELECT o FROM orders o",
             "SELECT array_agg(item) FROM orders", "SELECT tenant_id, ctid, tableoid, xmin FROM orders",
             "SELECT jsonb_agg(a) FROM accounts a"]
    for text in texts:
        scene.acme.send(w.parse(text), w.bind(portal="p", result_formats=(1,)), w.describe("p", "P"), w.execute("p", 3),
                        w.execute("p", 3), w.execute("p"), w.execute("p"), w.close("p", "P"), w.sync())
        scene.acme.until_ready()
    require_own(scene)


@attack("a portal outlives its statement, or the seal under which it was made")
def portals_that_outlive(scene):
    scene.acme.send(run_of("BEGIN"), w.parse(READ, "s"), w.bind(statement="s", portal="p"), w.execute("p", 1), w.close("s"),
                    w.sync())
    scene.acme.until_ready()
    scene.acme.query("RESET ALL")
    scene.acme.send(w.execute("p"), w.sync())
    scene.acme.until_ready()
    scene.acme.query("COMMIT")
    scene.acme.send(w.execute("p"), w.sync())
    require(w.errors(scene.acme.until_ready()) == ["34000"], "the portal outlived its transaction")
    require_own(scene)


@attack("SQL's cursors and statements, and the protocol's portals and statements, have one space of names")
def names_of_both_kinds(scene):
    scene.acme.query("BEGIN; DECLARE c CURSOR FOR SELECT item FROM orders")
    scene.acme.send(w.execute("c", 2), w.describe("c", "P"), w.close("c", "P"), w.sync())
    scene.acme.until_ready()
    scene.acme.query("ROLLBACK")
    scene.acme.query("PREPARE s AS SELECT item FROM orders")
    scene.acme.send(w.bind(statement="s"), w.execute(), w.close("s"), w.sync())
    scene.acme.until_ready()
    scene.acme.query("EXECUTE s")
    scene.acme.send(w.parse(READ, "t"), w.sync())
    scene.acme.until_ready()
    scene.acme.query("EXECUTE t")
    scene.acme.query("DEALLOCATE t")
    require_own(scene)


@attack("names of statements and portals that are odd, or Bulkhead's own")
def odd_names(scene):
    for name in ("bulkhead_1", "bh1", "S_1", "a b", "'", '"', "\\", "x" * 60_000, b"\xff\xfe", "é", "1", "-1"):
        try:
            scene.acme.send(w.parse(READ, name), w.bind(statement=name, portal=name), w.execute(name), w.close(name), w.sync())
            scene.acme.until_ready()
            require_own(scene)
        except EOFError:  # a name may be too long
            scene.leave(ATTACKER)
    for name in ("bulkhead_1", "S_1", "x" * 60_000):
        scene.globex.send(w.bind(statement=name), w.execute(), w.sync())
        require(w.errors(scene.globex.until_ready()) == ["26000"], "the statement is there")


@attack("messages whose parts do not fit: counts, lengths and formats")
def messages_that_do_not_fit(scene):
    bodies = [
        ("B", b"\0\0" + struct.pack("!HH", 1, 7) + struct.pack("!HiH", 1, -1, 0)),  # a format that does not exist
        ("B", b"\0\0" + struct.pack("!HHi", 0, 1, 1000) + b"x"),  # a value longer than the message
        ("B", b"\0\0" + struct.pack("!HHi", 0, 1, -2)),  # a length below NULL's
        ("B", b"\0\0" + struct.pack("!HH", 0, 65535)),  # values that are not there
        ("B", b"\0\0" + struct.pack("!HHHHHHH", 0, 0, 5, 0, 0, 0, 0)),  # formats that are not there
        ("B", b"no end"), ("B", b""), ("P", b"s"), ("P", b"s\0SELECT 1"), ("P", b"s\0SELECT 1\0"),
        ("P", b"s\0SELECT 1\0\xff\xff"), ("P", b"\0SELECT 1\0\0\0more"), ("E", b"\0"), ("E", b"\0\0\0\0\0more"),
        ("D", b"X\0"), ("D", b"S"), ("D", b""), ("C", b"Xs\0"), ("C", b""), ("S", b"more"), ("H", b"more"), ("Q", b"SELECT 1"),
        ("Q", b""), ("F", b""), ("F", struct.pack("!IHH", 1, 0, 500)), ("F", struct.pack("!IHHi", 1, 0, 1, 1 << 30)),
        ("d", b"x"), ("c", b""), ("f", b"x\0"), ("p", b"x\0"), ("X", b"more"),
    ]
    for kind, body in bodies:
        session = scene.login("misfit")
        try:
            session.send(w.message(kind, body), w.sync(), w.query(READ), w.sync(), w.terminate())
            session.until_end()
        except (EOFError, ConnectionError, TimeoutError):
            pass
        scene.leave("misfit", politely=False)
    require_own(scene)


@attack("a value or a text holds what looks like messages, for whoever looks for the next one")
def messages_inside_messages(scene):
    inner = w.query(filled(scene)) + w.query(READ) + w.sync()
    inner = inner.replace(b"\0", b"?").replace(b"'", b"''")
    scene.acme.send(w.query(b"SELECT '" + inner + b"'"))
    scene.acme.until_ready()
    hidden = w.query(filled(scene)) + w.sync()
    scene.acme.send(w.parse("SELECT length($1::bytea)"), w.bind([hidden * 100], formats=(1,)), w.execute(), w.sync())
    found = scene.acme.until_ready()
    require(w.rows(found) == [[str(100 * len(hidden))]], found)
    require_own(scene)


@attack("COPY's data go on where the statement was refused, and are read as messages")
def copy_data_without_a_copy(scene):
    scene.acme.send(w.query("COPY orders FROM STDIN"), *[w.copy_data(w.query(READ))] * 20, w.copy_done(), w.query(READ))
    scene.acme.until_ready(2)
    scene.acme.send(run_of("COPY orders FROM STDIN"), w.copy_data("x"), w.copy_done(), run_of(READ), w.sync(), w.copy_data("x"),
                    w.copy_fail("y"), w.sync())
    scene.acme.until_ready(2)
    require_own(scene)


@attack("what is refused in a transaction that had failed already, or behind its end")
def refusals_in_failed_transactions(scene):
    session = scene.acme
    session.query("BEGIN")
    session.query("SELECT 1 / 0")
    for text in (filled(scene), "SET ROLE shop_owner", "RESET ALL", READ, "LISTEN x"):
        found = session.query(text)
        require(w.errors(found) and found[-1].status == "E", text, found)
    require(session.query("COMMIT")[-1].status == "I", "the transaction did not end")
    session.send(w.query("BEGIN"), w.query(filled(scene)), w.query("COMMIT"), w.query(READ))
    found = [m.status for m in session.until_ready(4) if m.type == "Z"]
    require(found == ["T", "E", "I", "I"], found)
    require_own(scene)


@attack("a BEGIN that Bulkhead holds is followed by a refusal: is there a transaction, and whose?")
def refusals_behind_a_held_begin(scene):
    session = scene.acme
    for begin in ("BEGIN", "START TRANSACTION READ ONLY", "BEGIN ISOLATION LEVEL SERIALIZABLE"):
        session.query(begin)
        found = session.query(filled(scene))
        require(w.errors(found) and found[-1].status == "E", begin, found)
        require(w.errors(session.query(READ)) == ["25P02"], begin)
        require(session.query("ROLLBACK")[-1].status == "I", begin)
        session.send(run_of(begin), w.sync(), run_of(filled(scene)), w.sync(), run_of("ROLLBACK"), w.sync())
        require([m.status for m in session.until_ready(3) if m.type == "Z"] == ["T", "E", "I"], begin)
        require_own(scene)


@attack("one text of many statements, of which the last is refused: none may have run")
def texts_with_a_refused_end(scene):
    for refused in (filled(scene), "SET ROLE shop_owner", "TABLE bulkhead.signing_key"):
        found = scene.acme.query(f"INSERT INTO orders (id, item) VALUES (900, 'acme 900'); {refused}; {READ}")
        require(w.errors(found) and not [m for m in found if m.type == "D"], refused, found)
        found = scene.acme.query("SELECT count(*) FROM orders WHERE id = 900")
        require(w.rows(found) == [["0"]], "a part of the text was kept")


@attack("functions by number, in every state and with what does not fit")
def function_calls_in_every_state(scene):
    session = scene.acme
    oid = scene.ask_admin("SELECT 'pg_catalog.set_config(text,text,boolean)'::regprocedure::oid::bigint")
    call = w.function_call(oid, [filled(scene, "{context}"), filled(scene, "{globex_hex},"), b"\0"])
    in_binary = w.message("F", struct.pack("!IHHH", oid, 1, 1, 3) + b"".join(
        struct.pack("!I", len(v)) + v for v in (filled(scene, "{context}").encode(), filled(scene, "{globex_hex},").encode(), b"\0"))
        + struct.pack("!H", 1))
    for before in ("SELECT 1", "BEGIN", "BEGIN; SELECT 1 / 0"):
        for data in (call, in_binary, w.function_call(0), w.function_call(oid), w.function_call(4294967295, ["x"] * 200)):
            session.query(before)
            session.send(data)
            require(w.errors(session.until_ready()), before, "a function was called")
            session.query("ROLLBACK")
    session.send(w.parse("SELECT 1"), call, w.bind(), w.execute(), w.sync(), w.query(READ))
    session.until_ready(3)
    require_own(scene)


@attack("a second client's messages are put between those of a transaction", pool=1)
def clients_in_turn(scene):
    scene.acme.send(run_of("SELECT 1"), w.flush())
    scene.acme.until("C")
    scene.globex.send(w.query("SELECT count(*) FROM orders WHERE item LIKE 'globex %'"))
    scene.acme.send(run_of(READ), w.sync())
    scene.acme.until_ready()
    require(w.rows(scene.globex.until_ready()) == [["20"]], "globex has not its own")
    scene.leave(VICTIM)


@attack("an answer is awaited for what was never sent: messages behind Terminate, and Sync by the hundred")
def messages_behind_a_terminate(scene):
    for data in (w.terminate() + w.query(READ), w.sync() * 500 + w.terminate() + w.sync(), w.query("BEGIN") + w.terminate(),
                 w.parse(READ) + w.terminate() + w.bind() + w.execute() + w.sync()):
        session = scene.login("ended")
        try:
            session.send(data)
            session.until_end()
        except (EOFError, ConnectionError):
            pass
        scene.leave("ended", politely=False)
    require_own(scene)
