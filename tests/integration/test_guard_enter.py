"""bulkhead.enter over a connection of the pool's login: what opens a tenant's context, and what never does."""

import pytest
from harness import wire
from harness.guard import ACME, GLOBEX, POOL, SEAL, Guard, assert_enters, enter, hex_of, plain, refused, seal, seal_of

TEXT = "SELECT bulkhead.enter($1,$2,$3,$4,$5)"  # the one whole statement that enters
NOT_WHOLE = "it is not the whole statement"


def pool_wire(guard):
    """The pool's login, where it matters which messages are sent."""
    cluster = guard.database.cluster
    return wire.Wire.connect(cluster.socket_dir, cluster.port).login(
        {"user": POOL, "database": guard.database.name})


def refusal(answers):
    """Why enter refused, None when nothing was refused."""
    (error,) = [m for m in answers if m.type == "E"] or [None]
    if error is None:
        return None
    assert error.fields["C"] == "42501", error.fields
    return error.fields["M"].removeprefix("enter refused: ")


def wire_enter(connection, text, token, name=""):
    """The returned seal, or why it was refused."""
    connection.send(wire.parse(text, name), wire.bind(token, name), wire.execute(), wire.sync())
    answers = connection.until_ready()
    return refusal(answers) or wire.rows(answers)[0][0]


# ---- the right token ----

@pytest.mark.parametrize("key", ["", "42", "Müller & Söhne, «7»", "x" * 512])
def test_the_right_token_enters_and_returns_the_exact_seal(guard, key):
    with guard.connect() as connection:
        assert enter(connection, guard.token(connection, ACME, key)) == f"{plain(ACME)},{hex_of(key)}"
        assert seal(connection) == seal_of(ACME, key)
        assert str(connection.execute("SELECT bulkhead.tenant_id()").fetchone()[0]) == ACME
        if key:
            assert connection.execute("SELECT bulkhead.tenant_key()").fetchone() == (key,)


def test_a_tenant_may_be_entered_again_and_with_a_new_key(guard):
    with guard.tenant(ACME, "old") as connection:
        assert_enters(guard, connection, ACME, "old")
        assert_enters(guard, connection, ACME, "new")


def test_what_a_tenant_set_changes_neither_yes_nor_no(guard):
    """Settings that a session can make, with functions and operators of the same names first in its search_path."""
    with guard.admin() as admin:
        admin.execute("CREATE SCHEMA evil; GRANT USAGE ON SCHEMA evil TO PUBLIC; "
                      "CREATE FUNCTION evil.sha256(bytea) RETURNS bytea LANGUAGE sql AS $$ SELECT '\\x00'::bytea $$; "
                      "CREATE FUNCTION evil.same(bytea, bytea) RETURNS boolean LANGUAGE sql AS 'SELECT true'; "
                      "CREATE OPERATOR evil.= (leftarg = bytea, rightarg = bytea, function = evil.same)")
    with guard.connect() as connection:
        connection.execute("SET search_path = evil, pg_temp, pg_catalog, bulkhead")
        assert connection.execute("SELECT sha256('a') = sha256('b'), 'a'::bytea = 'b'::bytea").fetchone() == (True, True)
        for statement in (
                "CREATE TEMP TABLE signing_key (kid text, inner_block bytea, outer_block bytea)",
                "SET standard_conforming_strings = off", "SET bytea_output = escape", "SET client_encoding = latin1",
                "SET TimeZone = 'Asia/Tokyo'",
                "SET DateStyle = 'SQL, DMY'", "SET extra_float_digits = -15", "SET transform_null_equals = on",
                "SET row_security = off", "SET plpgsql.variable_conflict = use_column",
                "SET plan_cache_mode = force_generic_plan", "SET default_transaction_read_only = on"):
            connection.execute(statement)
        wrong = list(guard.token(connection, GLOBEX))
        wrong[4] = "0" * 64
        with refused("42501", "enter refused: wrong mac"):
            enter(connection, wrong)
        assert_enters(guard, connection, ACME, "42")


def test_a_database_with_an_odd_name_and_another_encoding(guard_cluster, guard_keys):
    name = 'Ünïcode: "shop"'
    with guard_cluster.connect() as admin:
        admin.execute("CREATE DATABASE \"" + name.replace('"', '""') + "\" TEMPLATE template0 ENCODING 'LATIN1' "
                      "LC_COLLATE 'C' LC_CTYPE 'C'")
    database = guard_cluster.database(name)
    try:
        guard = Guard.install(guard_cluster, guard_keys, database=database)
        with guard.connect() as connection:
            assert_enters(guard, connection, ACME, "Müller")
            assert connection.execute("SELECT bulkhead.tenant_key()").fetchone() == ("Müller",)
            connection.execute("DISCARD ALL")
            with refused("22P05", "no equivalent"):  # a key that this database cannot write
                enter(connection, guard.token(connection, ACME, "Ж"))
            assert seal(connection) == ""
    finally:
        database.drop()


# ---- wrong tokens, each signed rightly but for the one thing that is wrong ----

FORM = "malformed parameter"
WRONG = {
    "valid for a minute and more": (dict(lifetime=90), "valid for too long"),
    "expired": (dict(lifetime=-1), "expired"),
    "expired long ago": (dict(expires="100000000000"), "expired"),
    "valid for ever": (dict(expires="999999999999999"), "valid for too long"),
    "another installation's": (dict(installation="0" * 32), "wrong mac"),
    "another database's": (dict(database="postgres"), "wrong mac"),
    "an unknown key's": (dict(kid="k2"), "unknown signing key"),
    "kid in upper case": (dict(kid="K1"), FORM),
    "kid empty": (dict(kid=""), FORM),
    "kid with a line break": (dict(kid="k1\n"), FORM),
    "kid of 33 characters": (dict(kid="k" * 33), FORM),
    "tenant with dashes": (dict(tenant_hex=ACME), FORM),
    "tenant in upper case": (dict(tenant_hex="A" * 32), FORM),
    "tenant too short": (dict(tenant_hex=plain(ACME)[1:]), FORM),
    "tenant too long": (dict(tenant_hex=plain(ACME) + "0"), FORM),
    "tenant empty": (dict(tenant_hex=""), FORM),
    "key of an odd length": (dict(key_hex="4"), FORM),
    "key in upper case": (dict(key_hex="4A"), FORM),
    "key too long": (dict(key_hex="41" * 513), FORM),
    "key with a comma": (dict(key_hex="41,4"), FORM),
    "expiry with a zero in front": (dict(expires="0999999999999"), FORM),
    "expiry negative": (dict(expires="-999999999999"), FORM),
    "expiry not a number": (dict(expires="infinity"), FORM),
    "expiry too long": (dict(expires="9" * 16), FORM),
    "expiry empty": (dict(expires=""), FORM),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_token_is_refused(shared_guard, pool, case):
    changes, reason = WRONG[case]
    with refused("42501", "enter refused: " + reason):
        enter(pool, shared_guard.token(pool, ACME, **changes))
    assert seal(pool) == ""
    assert_enters(shared_guard, pool)


@pytest.mark.parametrize("position, name", enumerate(["kid", "tenant", "key", "expires", "mac"]))
def test_a_changed_parameter_is_refused(shared_guard, pool, position, name):
    other = ["k2", plain(GLOBEX), "42", None, "0" * 64][position]
    token = list(shared_guard.token(pool, ACME, "43"))
    token[position] = other or str(int(token[3]) + 1)
    with refused("42501", "unknown signing key" if name == "kid" else "wrong mac"):
        enter(pool, token)
    assert seal(pool) == ""
    assert_enters(shared_guard, pool)


@pytest.mark.parametrize("position", range(5))
@pytest.mark.parametrize("mac", ["right", "missing"])
def test_null_is_refused(shared_guard, pool, position, mac):
    token = list(shared_guard.token(pool, ACME))
    token[position] = None
    if mac == "missing":
        token[4] = None
    with refused("42501", FORM):
        enter(pool, token)
    assert seal(pool) == ""
    assert_enters(shared_guard, pool)


@pytest.mark.parametrize("spoil", [
    lambda mac: mac[:-1], lambda mac: mac + "0", lambda mac: mac.upper(), lambda mac: mac + "\n",
    lambda mac: "", lambda mac: "\\x" + mac[2:],
], ids=["short", "long", "upper", "line break", "empty", "escape"])
def test_a_mac_in_another_form_is_refused(shared_guard, pool, spoil):
    while True:
        token = shared_guard.token(pool, ACME)
        if token[4] != token[4].upper():
            break
    with refused("42501", FORM):
        enter(pool, (*token[:4], spoil(token[4])))
    assert enter(pool, token) == seal_of(ACME)


def test_a_key_that_is_no_utf8_is_refused(shared_guard, pool):
    with refused("22021"):
        enter(pool, shared_guard.token(pool, ACME, key_hex="ff"))
    assert seal(pool) == ""
    assert_enters(shared_guard, pool)


def test_another_backends_token_is_refused(shared_guard):
    with shared_guard.connect() as one, shared_guard.connect() as two:
        token = shared_guard.token(one, ACME)
        with refused("42501", "wrong mac"):
            enter(two, token)
        assert seal(two) == ""
        assert enter(one, token) == seal_of(ACME)
        assert_enters(shared_guard, two)


def test_another_databases_token_is_refused(shared_guard, guard):
    """Both have the same key and, being copies, the same installation."""
    with shared_guard.connect() as here, guard.connect() as there:
        with refused("42501", "wrong mac"):
            enter(there, shared_guard.token(there, ACME))
        assert_enters(guard, there)
        assert_enters(shared_guard, here)


def test_another_installations_token_is_refused(guard):
    with guard.admin() as admin, guard.connect() as connection:
        old = guard.token(connection, ACME)
        new, = admin.execute("UPDATE bulkhead.installation SET id = gen_random_uuid() "
                             "RETURNING replace(id::text, '-', '')").fetchone()
        with refused("42501", "wrong mac"):
            enter(connection, old)
        assert enter(connection, guard.token(connection, ACME, installation=new)) == seal_of(ACME)


def test_the_clock_counts_and_not_the_transactions_start(shared_guard, pool):
    with pool.transaction():
        token = shared_guard.token(pool, ACME, lifetime=0.2)
        pool.execute("SELECT pg_sleep(0.25)")
        assert pool.execute("SELECT now() < to_timestamp(%s::bigint / 1000.0)", (token[3],)).fetchone() == (True,)
        with refused("42501", "expired"), pool.transaction():
            enter(pool, token)
        assert_enters(shared_guard, pool)


def test_nearly_a_minute_is_not_too_long(shared_guard, pool):
    assert enter(pool, shared_guard.token(pool, ACME, lifetime=59)) == seal_of(ACME)


def test_a_tenants_derived_key_signs_for_no_other(shared_guard, pool):
    key = shared_guard.derive(ACME)
    with refused("42501", "wrong mac"):
        enter(pool, shared_guard.token(pool, GLOBEX, signer=key))
    assert enter(pool, shared_guard.token(pool, ACME, signer=key)) == seal_of(ACME)


def test_the_installations_key_itself_does_not_sign(shared_guard, pool):
    with refused("42501", "wrong mac"):
        enter(pool, shared_guard.token(pool, ACME, signer=shared_guard.key))
    assert_enters(shared_guard, pool)


def test_a_revoked_tenant_is_refused_until_readmitted(guard):
    with guard.admin() as admin, guard.connect() as connection:
        for _ in range(2):
            admin.execute("SELECT bulkhead.revoke_tenant(%s)", (ACME,))
        with refused("42501", "the tenant is revoked"):
            enter(connection, guard.token(connection, ACME))
        assert_enters(guard, connection, GLOBEX)
        connection.execute("DISCARD ALL")
        admin.execute("SELECT bulkhead.readmit_tenant(%s)", (ACME,))
        assert_enters(guard, connection, ACME)


# ---- who may call ----

def test_a_tenants_own_login_is_refused_and_is_its_context(guard):
    login = "t_" + plain(ACME)
    with guard.admin() as admin:
        admin.execute(f"CREATE ROLE {login} LOGIN")
        try:
            with guard.connect(login) as connection:
                with refused("42501", "permission denied for function enter"):
                    enter(connection, guard.token(connection, GLOBEX))
                admin.execute(f"GRANT EXECUTE ON FUNCTION bulkhead.enter(text, text, text, text, text) TO {login}")
                for tenant in (GLOBEX, ACME):
                    with refused("42501", "this login is a tenant's own"):
                        enter(connection, guard.token(connection, tenant))
                assert str(connection.execute("SELECT bulkhead.tenant_id()").fetchone()[0]) == ACME
        finally:
            admin.execute(f"DROP OWNED BY {login}; DROP ROLE {login}")
    with guard.connect() as connection:
        assert_enters(guard, connection, GLOBEX)


@pytest.mark.parametrize("statement", [
    "SELECT bulkhead.register_key('k9', 'AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=')",
    f"SELECT bulkhead.revoke_tenant('{ACME}')",
    f"SELECT bulkhead.readmit_tenant('{ACME}')",
    "SELECT bulkhead.hmac('', '', '')",
    "SELECT bulkhead.hmac_block('', '36')",
    "SELECT * FROM bulkhead.login_faults('bulkhead_pool')",
])
def test_the_pool_may_not_call_the_guards_other_functions(shared_guard, statement):
    with shared_guard.connect() as connection:
        with refused("42501", "permission denied for function"):
            connection.execute(statement)
    with shared_guard.admin() as admin, admin.transaction(force_rollback=True):
        admin.execute(statement)


# ---- only as the whole statement ----

# {call} is the call with a right token in it. What is planted first is what another tenant could have left.
WRAPPED = {
    "literals": ([], "SELECT bulkhead.enter({token})"),
    "a longer statement": ([], "SELECT bulkhead.enter({token}), 1"),
    "a subselect": ([], "SELECT (SELECT bulkhead.enter({token}))"),
    "a common table expression": ([], "WITH e AS MATERIALIZED (SELECT bulkhead.enter({token})) SELECT * FROM e"),
    "FROM": ([], "SELECT * FROM bulkhead.enter({token})"),
    "a batch": ([], "SELECT 1; SELECT bulkhead.enter({token})"),
    "a condition": ([], "DELETE FROM t WHERE bulkhead.enter({token}) <> ''"),
    "DO": ([], "DO $$ BEGIN PERFORM bulkhead.enter({token}); END $$"),
    "DO with the statement's own text": (
        [], "DO $$ BEGIN EXECUTE 'SELECT bulkhead.enter($1,$2,$3,$4,$5)' USING {token}; END $$"),
    "PREPARE": (["PREPARE p AS SELECT bulkhead.enter($1,$2,$3,$4,$5)"], "EXECUTE p({token})"),
    "a cursor": (["DECLARE c CURSOR WITH HOLD FOR SELECT 1",
                  "BEGIN; DECLARE e CURSOR FOR SELECT bulkhead.enter({token})"], "FETCH e"),
    "EXPLAIN ANALYZE": ([], "EXPLAIN ANALYZE SELECT bulkhead.enter({token})"),
    "CREATE TABLE AS": ([], "CREATE TEMP TABLE made AS SELECT bulkhead.enter({token})"),
    "COPY": ([], "COPY (SELECT bulkhead.enter({token})) TO STDOUT"),
    "query_to_xml": ([], "SELECT query_to_xml($$SELECT bulkhead.enter({token})$$, true, true, '')"),
    "a SQL function": (["CREATE FUNCTION pg_temp.f() RETURNS text LANGUAGE sql "
                        "AS $$ SELECT bulkhead.enter({token}) $$"], "SELECT pg_temp.f()"),
    "a function": (["CREATE FUNCTION pg_temp.f() RETURNS text LANGUAGE plpgsql "
                    "AS $$ BEGIN RESET ALL; RETURN bulkhead.enter({token}); END $$"], "SELECT pg_temp.f()"),
    "a view": (["CREATE TEMP VIEW v AS SELECT bulkhead.enter({token})"], "SELECT * FROM v"),
    "a default": (["ALTER TABLE t ALTER x SET DEFAULT bulkhead.enter({token})"], "INSERT INTO t DEFAULT VALUES"),
    "a check": (["ALTER TABLE t ADD CHECK (bulkhead.enter({token}) <> '') NOT VALID"], "INSERT INTO t VALUES ('')"),
    "a rule": (["CREATE RULE r AS ON INSERT TO t DO ALSO SELECT bulkhead.enter({token})"], "INSERT INTO t VALUES ('')"),
    "a trigger": (["CREATE FUNCTION pg_temp.f() RETURNS trigger LANGUAGE plpgsql AS "
                   "$$ BEGIN PERFORM bulkhead.enter({token}); RETURN NEW; END $$",
                   "CREATE TRIGGER r BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION pg_temp.f()"],
                  "INSERT INTO t VALUES ('')"),
    "a deferred trigger at COMMIT": (
        ["CREATE FUNCTION pg_temp.f() RETURNS trigger LANGUAGE plpgsql AS "
         "$$ BEGIN PERFORM bulkhead.enter({token}); RETURN NULL; END $$",
         "CREATE CONSTRAINT TRIGGER r AFTER INSERT ON t DEFERRABLE INITIALLY DEFERRED "
         "FOR EACH ROW EXECUTE FUNCTION pg_temp.f()",
         "BEGIN; INSERT INTO t VALUES ('')"], "COMMIT"),
    "a deferred trigger without COMMIT": (
        ["CREATE FUNCTION pg_temp.f() RETURNS trigger LANGUAGE plpgsql AS "
         "$$ BEGIN PERFORM bulkhead.enter({token}); RETURN NULL; END $$",
         "CREATE CONSTRAINT TRIGGER r AFTER INSERT ON t DEFERRABLE INITIALLY DEFERRED "
         "FOR EACH ROW EXECUTE FUNCTION pg_temp.f()"], "INSERT INTO t VALUES ('')"),
}


@pytest.mark.parametrize("case", WRAPPED)
def test_inside_of_another_statement_it_is_refused(shared_guard, case):
    before, statement = WRAPPED[case]
    with pool_wire(shared_guard) as connection:
        token = shared_guard.token(connection.pid, ACME)
        literals = ", ".join(f"'{value}'" for value in token)
        for planted in ["CREATE TEMP TABLE t (x text); INSERT INTO t VALUES ('row')", *before]:
            assert not wire.errors(connection.query(planted.replace("{token}", literals)))
        assert refusal(connection.query(statement.replace("{token}", literals))) == NOT_WHOLE
        connection.query("ROLLBACK")
        assert wire.rows(connection.query(SEAL)) == [[""]]
        assert wire_enter(connection, TEXT, token) == seal_of(ACME)


@pytest.mark.parametrize("text", [
    "select bulkhead.enter($1,$2,$3,$4,$5)", "SELECT bulkhead.enter($1, $2, $3, $4, $5)",
    "SELECT bulkhead.enter($1,$2,$3,$4,$5) ", "SELECT bulkhead.enter($1,$2,$3,$4,$5);",
    "/**/SELECT bulkhead.enter($1,$2,$3,$4,$5)", "SELECT enter($1,$2,$3,$4,$5)",
])
@pytest.mark.parametrize("name", ["", "other"])
def test_prepared_under_another_text_it_is_refused(shared_guard, text, name):
    with pool_wire(shared_guard) as connection:
        connection.query("SET search_path = bulkhead")
        token = shared_guard.token(connection.pid, ACME)
        assert wire_enter(connection, text, token, name) == NOT_WHOLE
        assert wire_enter(connection, TEXT, token, name + "x") == seal_of(ACME)


def test_a_function_call_message_is_refused(shared_guard):
    with shared_guard.admin() as admin:
        oid, = admin.execute("SELECT 'bulkhead.enter'::regproc::oid::bigint").fetchone()
    with pool_wire(shared_guard) as connection:
        token = shared_guard.token(connection.pid, ACME)
        connection.send(wire.function_call(oid, token))
        assert refusal(connection.until_ready()) == NOT_WHOLE
        assert wire_enter(connection, TEXT, token) == seal_of(ACME)


def test_a_deferred_trigger_at_sync_is_refused_behind_a_parsed_enter(shared_guard):
    """The text of enter has been sent, and what runs at Sync has no statement at all."""
    with pool_wire(shared_guard) as connection:
        token = shared_guard.token(connection.pid, ACME)
        literals = ", ".join(f"'{value}'" for value in token)
        connection.query(
            "CREATE TEMP TABLE t (x text); CREATE FUNCTION pg_temp.f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            f"PERFORM bulkhead.enter({literals}); RETURN NULL; END $$; CREATE CONSTRAINT TRIGGER r AFTER INSERT ON t "
            "DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION pg_temp.f()")
        connection.send(wire.parse("INSERT INTO t VALUES ('')"), wire.bind(), wire.execute(),
                        wire.parse(TEXT), wire.bind(token), wire.sync())
        assert refusal(connection.until_ready()) == NOT_WHOLE
        assert wire_enter(connection, TEXT, token) == seal_of(ACME)
