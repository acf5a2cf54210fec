"""Purging a tenant beside others that have prepared for it: nothing of theirs runs, and nothing of theirs is in the way."""

import pytest

from harness.provision import Provision
from harness.stand import Stand


@pytest.fixture(scope="module")
def place(template):
    stand = Stand(template).start()
    yield Provision(stand)
    stand.remove()


# What a tenant may lay on a table of its own for whoever writes there.
TRAPS = {
    "a trigger": "CREATE TRIGGER trap BEFORE DELETE ON bait FOR EACH STATEMENT EXECUTE FUNCTION trap()",
    "a rule": "CREATE RULE trap AS ON DELETE TO bait DO ALSO SELECT {own}.spring()",
    "a policy": "CREATE POLICY more ON bait USING ({own}.spring() > 0)",
}


@pytest.mark.parametrize("trap", TRAPS)
def test_no_table_of_a_tenants_own_is_cleared_of_anothers_rows(place, trap):
    """A table with a policy of the guard's name looks like a shared one, and its triggers would run as the administrator."""
    slug = trap.replace(" ", "-")
    spy, gone = f"spy-{slug}", f"gone-{slug}"
    place.create(spy)
    tenant = place.create(gone)
    own = place.own(spy)
    with place.connect(spy) as connection:
        for text in (
                "CREATE FUNCTION spring() RETURNS integer LANGUAGE plpgsql AS $$ BEGIN EXECUTE 'ALTER ROLE {own} SUPERUSER'; "
                "RETURN 1; END $$",
                "CREATE FUNCTION trap() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM {own}.spring(); RETURN NULL; END $$",
                "CREATE TABLE bait (id bigint, tenant_id uuid)", f"INSERT INTO bait VALUES (1, '{tenant}')",
                "ALTER TABLE bait ENABLE ROW LEVEL SECURITY", "ALTER TABLE bait FORCE ROW LEVEL SECURITY",
                "CREATE POLICY bulkhead_tenant ON bait USING (tenant_id = bulkhead.tenant_id())", TRAPS[trap]):
            connection.execute(text.replace("{own}", own))
    place.purge(gone)
    assert place.value("SELECT rolsuper FROM pg_roles WHERE rolname = %s", own) is False
    assert place.value(f'SELECT count(*) FROM "{own}".bait') == 1


@pytest.mark.parametrize("strategy", ["schema", "database"])
def test_what_others_gave_a_tenant_is_not_in_the_way(place, strategy):
    giver, gone = f"giver-{strategy}", f"given-{strategy}"
    place.create(giver, strategy=strategy)
    place.create(gone)
    own = place.own(gone)
    with place.connect(giver) as connection:
        for text in ("CREATE TABLE gift (id bigint)", f"GRANT ALL ON gift TO {own}", f"CREATE POLICY p ON gift TO {own} USING (true)",
                     f"ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO {own}"):
            connection.execute(text)
    place.purge(gone)
    assert place.value("SELECT count(*) FROM pg_roles WHERE rolname = %s", own) == 0
    with place.connect(giver) as connection:
        assert connection.execute("SELECT count(*) FROM gift").fetchone() == (0,)
