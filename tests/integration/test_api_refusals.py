"""The constraints that admin/api/refusals.c has an answer for are those of the control schema."""

import re

from harness.program import ROOT


def test_each_constraint_is_there(control_database):
    names = re.findall(r'^\t\{"(\w+)", \d+, "BH-API', (ROOT / "admin/api/refusals.c").read_text(), re.M)
    assert len(names) > 40 and len(set(names)) == len(names)
    with control_database.database.connect() as root:
        known = {name for name, in root.execute(
            "SELECT conname FROM pg_constraint WHERE connamespace = 'bulkhead_control'::regnamespace UNION "
            "SELECT relname FROM pg_class WHERE relkind = 'i' "
            "AND relnamespace = 'bulkhead_control'::regnamespace UNION "
            # Those that functions raise by name.
            "SELECT m[1] FROM pg_proc p, regexp_matches(p.prosrc, '''(\\w+)''', 'g') m "
            "WHERE p.pronamespace = 'bulkhead_control'::regnamespace")}
    assert set(names) - known == set()
