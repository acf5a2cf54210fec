"""The arena of tenants with logins of their own: each thing that must hold is seen when it does not."""

import pytest
from cases import Case, Step
from own_arena import KINDS, OWN_RUNS, OwnScene

# name, who speaks, what a superuser breaks, what the attacker then says, how it is mended, what the arena says
BROKEN = [
    ("a-schema-is-open", "schema", "GRANT USAGE ON SCHEMA {schema} TO {me}; GRANT SELECT ON {schema}.orders TO {me}",
     "SELECT item FROM {schema}.orders",
     "REVOKE ALL ON {schema}.orders FROM {me}; REVOKE ALL ON SCHEMA {schema} FROM {me}",
     "was told of"),
    ("row-security-is-off", "login", "ALTER TABLE orders DISABLE ROW LEVEL SECURITY", "SELECT item FROM orders",
     "ALTER TABLE orders ENABLE ROW LEVEL SECURITY", "was told of"),
    ("a-row-is-changed", "schema", "GRANT USAGE ON SCHEMA {schema} TO {me}; GRANT UPDATE ON {schema}.orders TO {me}",
     "UPDATE {schema}.orders SET item = 'mine'",
     "REVOKE ALL ON {schema}.orders FROM {me}; REVOKE ALL ON SCHEMA {schema} FROM {me}", "rows of others have changed"),
    ("a-table-is-left", "login", "GRANT CREATE ON SCHEMA public TO {me}", "CREATE TABLE public.mine (x integer)",
     "REVOKE CREATE ON SCHEMA public FROM {me}", "something was left in .*elsewhere"),
    ("a-setting-is-left", "database", "ALTER ROLE {login} SET work_mem = '2MB'", "SELECT 1", "SELECT 1",
     "something was left in .*role settings"),
    ("a-role-is-left", "database", "CREATE ROLE mine", "SELECT 1", "SELECT 1", "something was left in .*roles"),
    ("nobody-is-served", "schema",
     "ALTER SCHEMA {schema} OWNER TO postgres; REVOKE ALL ON SCHEMA {schema} FROM {schema}",
     "SELECT 1", "SELECT 1", "something was left in .*schemas|is not served"),
    ("a-statement-does-otherwise", "login", "SELECT 1", "SELECT 2", "SELECT 1", "should be = 3"),
]


@pytest.mark.parametrize("name, kind, broken, statement, mended, told", BROKEN, ids=[row[0] for row in BROKEN])
def test_the_arena_sees(own_arenas, name, kind, broken, statement, mended, told):
    arena = own_arenas(OWN_RUNS[0])
    steps = [Step(statement, 0, dict.fromkeys(KINDS, "= 3" if "otherwise" in name else None))]
    try:
        with pytest.raises(AssertionError, match=told):
            case = Case(name, "", "test_own_arena", "roles", before=[broken], after=[mended], steps=steps)
            OwnScene(arena, case, kind).play()
    finally:
        arena.admin.execute(arena.fill_in(
            "ALTER ROLE {login} RESET ALL; DROP ROLE IF EXISTS mine; ALTER SCHEMA {schema} OWNER TO {schema}; "
            "GRANT ALL ON SCHEMA {schema} TO {schema}"))
        arena.check_served("tyrell", patiently=True)
