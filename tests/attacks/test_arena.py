"""The arena itself: each thing that must hold is seen when it does not."""

import pytest
from arena import RUNS
from cases import Case, Step, expectation
from harness.wire import rows
from scene import Scene

# name, what a superuser breaks, what the attacker then says, how it is mended, what the arena says
BROKEN = [
    ("row-security-is-off", "ALTER TABLE orders DISABLE ROW LEVEL SECURITY", "SELECT item FROM orders",
     "ALTER TABLE orders ENABLE ROW LEVEL SECURITY", "was told of"),
    ("it-is-not-forced-and-encoded", "ALTER TABLE orders DISABLE ROW LEVEL SECURITY",
     "SELECT item::bytea FROM orders",
     "ALTER TABLE orders ENABLE ROW LEVEL SECURITY", "was told of"),
    ("an-error-tells", "ALTER TABLE orders DISABLE ROW LEVEL SECURITY",
     "SELECT item::integer FROM orders WHERE tenant_id = '{globex}'",
     "ALTER TABLE orders ENABLE ROW LEVEL SECURITY", "was told of"),
    ("a-row-is-changed", "ALTER TABLE accounts DISABLE ROW LEVEL SECURITY", "UPDATE accounts SET balance = 0",
     "ALTER TABLE accounts ENABLE ROW LEVEL SECURITY", "rows of others have changed"),
    ("a-row-is-added", "ALTER TABLE notices DISABLE ROW LEVEL SECURITY",
     "INSERT INTO notices VALUES (gen_random_uuid(), 'x')",
     "ALTER TABLE notices ENABLE ROW LEVEL SECURITY", "rows of others have changed"),
    ("a-table-is-left", "GRANT CREATE ON SCHEMA public TO bulkhead_pool", "CREATE TABLE public.mine (x integer)",
     "REVOKE CREATE ON SCHEMA public FROM bulkhead_pool", "something was left in"),
    ("a-setting-is-left", "SELECT 1", "ALTER ROLE CURRENT_USER SET work_mem = '77MB'", "SELECT 1",
     "something was left in role settings"),
    ("a-statement-does-otherwise", "SELECT 1", "SELECT 2; -- = 3", "SELECT 1", "should be = 3"),
]


@pytest.mark.parametrize("name, broken, statement, mended, told", BROKEN, ids=[row[0] for row in BROKEN])
def test_the_arena_sees(arenas, name, broken, statement, mended, told):
    arena = arenas(RUNS[0])
    statement, _, expected = statement.partition("; -- ")
    steps = [Step(statement, 0, *expectation(expected))]
    try:
        with pytest.raises(AssertionError, match=told):
            Scene(arena, Case(name, "", "test_arena", "context", before=[broken], after=[mended], steps=steps)).play()
    finally:
        arena.admin.execute("DROP TABLE IF EXISTS public.mine; ALTER ROLE bulkhead_pool RESET ALL")
        arena.admin.execute("DELETE FROM notices WHERE body = 'x'")
        arena.remember()


def test_the_victim_has_the_attackers_backend(arenas):
    """Otherwise the arena would look for what is left in the wrong place."""
    arena = arenas(RUNS[0])
    pids = []
    for tenant in ("acme", "globex", "acme"):
        with arena.open(tenant) as session:
            pids.append(rows(session.query("SELECT pg_backend_pid()")))
    assert pids[0] == pids[1] == pids[2]
