"""SQL that no reader of texts sees: a view runs it, whose name says nothing of it.

    with unseen(stand, left="CREATE TEMP TABLE left_behind (x int)") as look:
        rows(wire.query(look["left"]))                # SELECT done FROM unseen.left

What a text calls can be looked up by its name; what is behind a view cannot. Of a text that gives a
row the first column is shown.
"""

from contextlib import contextmanager

MAKE = """
CREATE SCHEMA unseen;
CREATE FUNCTION unseen.carry_out(sql text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    done text;
BEGIN
    IF sql ~* '^(SELECT|SHOW)' THEN
        EXECUTE sql INTO done;
    ELSE
        EXECUTE sql;
    END IF;
    RETURN done;
END $$;
GRANT USAGE ON SCHEMA unseen TO PUBLIC;
"""


@contextmanager
def unseen(stand, **texts):
    """A statement for each text, by its name."""
    with stand.admin() as admin:
        admin.execute(MAKE)
        for name, text in texts.items():
            quoted = text.replace("'", "''")
            admin.execute(f"CREATE VIEW unseen.{name} AS SELECT unseen.carry_out('{quoted}') AS done")
            admin.execute(f"GRANT SELECT ON unseen.{name} TO PUBLIC")
    try:
        yield {name: f"SELECT done FROM unseen.{name}" for name in texts}
    finally:
        with stand.admin() as admin:
            admin.execute("DROP SCHEMA unseen CASCADE")
