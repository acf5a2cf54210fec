"""A hundred thousand tenants, some of them 20 levels deep, in a control database.

Ten roots, tree-0 to tree-9, each with a subtree of 10,000: tree-N-top, 99 below it (tree-N-1 …), as many again below each of
these (tree-N-1-1 …), and a chain of 16 more (tree-N-deep-5 … tree-N-deep-20, by their levels) below tree-N-1-1. Settings and
grants stand at the tops and all the way down the chains.
"""

import time

PARTS, WIDE, SUBTREE, LEVELS = 10, 99, 10_000, 20
TENANTS = PARTS * (1 + SUBTREE)

# One statement a level: the triggers find a parent that an earlier statement made. First the chains; between these and the
# rest settings and grants, which else would be told to ten thousand tenants each.
CHAINS = [
    "SELECT NULL::uuid, 'tree-' || n FROM generate_series(0, {parts} - 1) n",
    "SELECT t.id, t.slug || '-top' FROM t WHERE t.slug ~ '^tree-[0-9]$'",
    "SELECT t.id, rtrim(t.slug, 'top') || n FROM t, generate_series(1, {wide}) n WHERE t.slug ~ '^tree-[0-9]-top$'",
    "SELECT t.id, t.slug || '-1' FROM t WHERE t.slug ~ '^tree-[0-9]-1$'",
    *("SELECT t.id, left(t.slug, 6) || '-deep-%d' FROM t WHERE t.slug ~ '^tree-[0-9]-%s$'"
      % (level, f"deep-{level - 1}" if level > 5 else "1-1") for level in range(5, LEVELS + 1)),
]
REST = ("SELECT t.id, t.slug || '-' || n FROM t, generate_series(1, {wide} + 1) n WHERE t.slug ~ '^tree-[0-9]-[0-9]+$' "
        "AND NOT (t.slug ~ '-1$' AND n = 1) AND NOT (t.slug ~ '-{wide}$' AND n > {wide} + 1 - ({levels} - 4))")

INSERT = """
INSERT INTO bulkhead_control.tenant (id, parent_id, slug, name)
SELECT bulkhead_api.draw_id(), s.parent_id, s.slug, 'x' FROM (
    WITH t AS MATERIALIZED (SELECT id, slug FROM bulkhead_control.tenant) {}) s (parent_id, slug)
"""

VALUES = """
SELECT count(*) FROM bulkhead_control.tenant t, unnest('{colour,greeting,size}'::text[]) word,
LATERAL bulkhead_control.set_setting(t.id, 'app.' || word, to_jsonb(t.slug), false)
WHERE t.slug ~ '^tree-[0-9](-top|-deep-[0-9]+)$';
SELECT count(*) FROM bulkhead_control.tenant t,
LATERAL bulkhead_control.set_setting(t.id, 'proxy.read_only', 'false', true) WHERE t.slug ~ '^tree-[0-9]-top$';
SELECT count(*) FROM bulkhead_control.tenant t,
LATERAL bulkhead_control.set_permission(t.id, 'sql.write', 'true', 'INHERITED', 'CASCADE')
WHERE t.slug ~ '^tree-[0-9](-top|-deep-[0-9]*5)$';
"""


def plant(admin, audited=True):
    """Makes it, with all triggers of the schema, those of the audit log only if `audited`. Returns the seconds."""
    began = time.monotonic()
    if not audited:
        admin.execute("ALTER TABLE bulkhead_control.tenant DISABLE TRIGGER audit")
    for sql in (*CHAINS, None, REST):
        admin.execute(INSERT.format(sql.format(parts=PARTS, wide=WIDE, levels=LEVELS)) if sql else VALUES)
        admin.execute("ANALYZE bulkhead_control.tenant")
    admin.execute("ALTER TABLE bulkhead_control.tenant ENABLE TRIGGER audit")
    admin.execute("VACUUM ANALYZE")
    return time.monotonic() - began
