"""The database without hardening: it serves tenants, and with the gate off they take each other's rows.

Each of these is a way that must be open there: an attack on a door that nobody left open would prove nothing.
"""

import pytest
from arena import Run
from harness import wire as w
from play import attacks, play

GATE_OFF = Run("nothing", "nothing", "unhardened", "simple", "off")

WAYS = {
    "set": "SET {context} = '{globex_hex},'",
    "set-config": "SELECT set_config('{context}', '{globex_hex},', false)",
    "do": "DO $$ BEGIN EXECUTE 'SET {context} = ''{globex_hex},'''; END $$",
    "enter": "SELECT bulkhead.enter('', '{globex_hex}', '', '', '')",
}


def test_tenants_are_served(arenas):
    arena = arenas(GATE_OFF)
    arena.check(1)
    with arena.open("acme") as acme:
        assert w.rows(acme.query("SELECT bulkhead.tenant_id(), bulkhead.tenant_key()")) == [[arena.words["acme"], "101"]]
        assert w.rows(acme.query("RESET ALL; SELECT count(*) FROM tickets")) == [["20"]]


@pytest.mark.parametrize("way", WAYS)
def test_with_the_gate_off_rows_of_others_are_there(arenas, way):
    arena = arenas(GATE_OFF)
    with arena.open("acme") as acme:
        acme.query(arena.fill_in(WAYS[way]))
        acme.query("SELECT item FROM orders")
        with pytest.raises(AssertionError, match="was told of"):
            arena.check_heard(acme, "acme")


PRIVILEGES = [
    "TRUNCATE notices", "CREATE TABLE public.mine (x integer)", "CREATE TEMP TABLE mine (x integer)",
    "CREATE TRIGGER t AFTER INSERT ON orders EXECUTE FUNCTION suppress_redundant_updates_trigger()",
    "CREATE TABLE mine (t uuid, id bigint, FOREIGN KEY (t, id) REFERENCES orders)",
    "SELECT query FROM pg_stat_activity", "SELECT query FROM pg_stat_statements", "SELECT lo_create(0)",
    "SELECT pg_terminate_backend(0)", "SELECT setval('tally', 1)", "SELECT pg_sleep(0)", "SELECT currtid2('orders', '(0,1)')",
    "SELECT query_to_xml('SELECT 1', false, false, '')", "SELECT dblink_get_connections()", "SELECT count(*) FROM pg_locks",
    "SELECT bulkhead.login_faults('postgres')",
]


@pytest.mark.parametrize("statement", PRIVILEGES)
def test_privileges_are_ordinary(arenas, statement):
    arena = arenas(GATE_OFF)
    with arena.open("acme") as acme:
        acme.query("BEGIN")
        answers = acme.query(statement)
        acme.query("ROLLBACK")
    assert not w.errors(answers), answers


@attacks("unhardened")
def test_attack(arenas, request, run, case):
    play(arenas, request, run, case)
