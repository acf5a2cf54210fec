"""How the admin API reads: lists by an index in their order, never all to be sorted; one tenant's things without looking at all;
and what changes a subtree looks at each of it a few times, not at each for each."""

import json

import psycopg
import pytest

TENANTS = 3000


@pytest.fixture(scope="module")
def plans(control_database):
    """Many tenants, and a function that says how a handler looks for them: (request's query, handler) -> the plan."""
    control = control_database
    control.clear()
    with control.database.connect() as root:
        root.execute("INSERT INTO bulkhead_control.tenant (id, slug, name) "
                     "SELECT gen_random_uuid(), 'r-' || n, 'x' FROM generate_series(1, 10) n")
        for level in (1, 2):
            root.execute("ANALYZE bulkhead_control.tenant")
            root.execute("INSERT INTO bulkhead_control.tenant (id, parent_id, slug, name) "
                         "SELECT gen_random_uuid(), t.id, t.slug || '-' || n, 'x' "
                         "FROM bulkhead_control.tenant t, generate_series(1, %s) n "
                         "WHERE array_length(string_to_array(t.path::text, '.'), 1) = %s",
                         (10 if level == 1 else TENANTS // 100 - 1, level))
        for parent, many in (("NULL", 400), ("r-1", 600)):
            root.execute("INSERT INTO bulkhead_control.tenant (id, parent_id, slug, name) "
                         "SELECT gen_random_uuid(), (SELECT id FROM bulkhead_control.tenant WHERE slug = %s), "
                         "'w-' || %s || n, 'x' FROM generate_series(1, %s) n", (parent, parent.lower(), many))
        root.execute("INSERT INTO bulkhead_control.setting (tenant_id, key, value) "
                     "SELECT id, 'app.' || word, to_jsonb(slug) FROM bulkhead_control.tenant, unnest('{x,y,z}'::text[]) word "
                     "WHERE slug ~ '^r-[0-9]+-[0-9]+-'")
        root.execute("INSERT INTO bulkhead_control.permission_grant (tenant_id, key, value, mode, revocation) "
                     "SELECT id, 'sql.' || word, 'true', 'DELEGATED', 'CASCADE' FROM bulkhead_control.tenant, unnest('{read,write,call}'::text[]) word "
                     "WHERE slug ~ '^r-[0-9]+-[0-9]+-'")
        root.execute("ANALYZE")
        root.execute("LOAD 'auto_explain'; SET auto_explain.log_min_duration = 0; "
                     "SET auto_explain.log_nested_statements = on;"
                     "SET auto_explain.log_format = json; SET auto_explain.log_verbose = off")
        yield Plans(root)
    control.clear()


class Plans:
    def __init__(self, root):
        self.root = root

    def path(self, slug):
        path, = self.root.execute("SELECT path::text FROM bulkhead_control.tenant WHERE slug = %s", (slug,)).fetchone()
        return path

    def all(self, handler, path, analyze=False, **more):
        """The plans of all statements with an answer of this handler, which is taken back."""
        seen = []
        self.root.add_notice_handler(listen := lambda notice: seen.append(notice.message_primary))
        request = {"path": path, "query": {"limit": 20}, **more}
        try:
            with self.root.transaction(force_rollback=True):
                self.root.execute("SELECT set_config('bulkhead.home', '', true), "
                                  "set_config('client_min_messages', 'log', true), "
                                  "set_config('auto_explain.log_analyze', %s, true), set_config('jit_above_cost', '0', true)",
                                  (str(analyze),))
                status, = self.root.execute(
                    psycopg.sql.SQL("SELECT (bulkhead_api.{}(%s)).status").format(psycopg.sql.Identifier(handler)),
                    (json.dumps(request),)).fetchone()
                self.root.execute("SET CONSTRAINTS ALL IMMEDIATE")
        finally:
            self.root.remove_notice_handler(listen)
        assert status in (200, 201, 204), status
        return [json.loads(text[text.index("{"):]) for text in seen if "plan:" in text and "{" in text]

    def of(self, handler, tenant=None, home=None, **query):
        """The nodes of the plan of the statement that reads the page, outermost first."""
        seen = []
        self.root.add_notice_handler(handler_of := lambda notice: seen.append(notice.message_primary))
        try:
            with self.root.transaction():
                self.root.execute("SELECT set_config('bulkhead.home', %s, true), "
                                  "set_config('client_min_messages', 'log', true)",
                                  (self.path(home) if home else "",))
                body, = self.root.execute(
                    psycopg.sql.SQL("SELECT (bulkhead_api.{}(%s)).body").format(psycopg.sql.Identifier(handler)),
                    (json.dumps({"path": {"tenant": tenant}, "query": {"limit": 20, **query}}),)).fetchone()
        finally:
            self.root.remove_notice_handler(handler_of)
        assert body["items"], "nothing was found"
        found = [json.loads(text[text.index("{"):]) for text in seen if "ORDER BY t." in text]
        assert len(found) == 1, seen
        return list(nodes(found[0]["Plan"]))


def nodes(plan):
    yield plan
    for below in plan.get("Plans", []):
        yield from nodes(below)


PAGES = [
    ("tenant_list", {"sort": "slug"}, "tenant_slug"),
    ("tenant_list", {"sort": "-slug"}, "tenant_slug"),
    ("tenant_list", {"sort": "slug", "cursor": {"slug": "r-5-5"}}, "tenant_slug"),
    ("tenant_list", {"sort": "slug", "q": "r-7-"}, "tenant_slug"),
    ("tenant_list", {"sort": "created_at"}, "tenant_by_age"),
    ("tenant_list", {"sort": "path"}, "tenant_path_order"),
    ("tenant_list", {"sort": "position", "roots": True}, "tenant_siblings"),
    ("tenant_list", {"sort": "path", "home": "r-3"}, "tenant_path_order"),
    ("tenant_children", {"tenant": "r-1"}, "tenant_siblings"),
    ("tenant_descendants", {"tenant": "r-3"}, "tenant_path_order"),
]


@pytest.mark.parametrize("handler, query, index", PAGES)
def test_a_page_is_read_from_an_index_in_its_order(plans, handler, query, index):
    nodes = plans.of(handler, **query)
    assert [node["Index Name"] for node in nodes if "Index Name" in node] == [index], nodes
    assert not [node for node in nodes if node["Node Type"] in ("Sort", "Incremental Sort", "Seq Scan")], nodes


def test_a_small_part_of_the_tree_is_found_in_the_whole(plans):
    nodes = plans.of("tenant_list", home="r-3-3", sort="slug")
    assert "tenant_path" in [node.get("Index Name") for node in nodes], nodes


def test_ancestors_are_looked_up_one_by_one(plans):
    nodes = plans.of("tenant_ancestors", tenant="r-3-3-3")
    assert not [node for node in nodes if node["Node Type"] == "Seq Scan"], nodes


LARGE = {"tenant", "tenant_token", "setting", "permission_grant"}  # tables with something of each tenant

MORE = {"setting_put": {"more": {"value": 1}}}  # what the API's hooks add

ONE = [
    ("tenant_get", {"tenant": "r-3-3-3"}, {}),
    ("settings_resolved", {"tenant": "r-3-3-3"}, {}),
    ("settings_own", {"tenant": "r-3-3-3"}, {}),
    ("setting_get", {"tenant": "r-3-3-3", "key": "app.x"}, {}),
    ("setting_inheritance", {"tenant": "r-3-3-3", "key": "app.x"}, {}),
    ("permission_effective", {"tenant": "r-3-3-3"}, {}),
    ("permission_list", {"tenant": "r-3-3-3"}, {}),
    ("permission_get", {"tenant": "r-3-3-3", "key": "sql.read"}, {}),
    ("tenant_create", {}, {"slug": "new", "parent": "r-3-3-3"}),
    ("setting_put", {"tenant": "r-3-3-3", "key": "app.new"}, {"locked": False}),
    ("permission_set", {"tenant": "r-3-3-3", "key": "sql.ddl"}, {"value": False}),
    ("tenant_move", {"tenant": "r-3-3-3"}, {"parent": "r-4"}),
    ("tenant_suspend", {"tenant": "r-3-3-3"}, {}),
]


@pytest.mark.parametrize("handler, path, body", ONE, ids=[handler for handler, _, _ in ONE])
def test_what_is_of_one_tenant_is_found_by_indexes(plans, handler, path, body):
    found = plans.all(handler, path, body=body, **MORE.get(handler, {}))
    assert any(node.get("Relation Name") == "tenant" for plan in found for node in nodes(plan["Plan"])), found
    for plan in found:
        scans = [node for node in nodes(plan["Plan"]) if node["Node Type"] == "Seq Scan" and node["Relation Name"] in LARGE]
        assert not scans, (plan["Query Text"], scans)


WHOLE = [
    ("tenant_move", {"tenant": "r-1"}, {"parent": "r-2"}),
    ("tenant_suspend", {"tenant": "r-1"}, {"subtree": True}),
    ("tenant_archive", {"tenant": "r-1"}, {"subtree": True}),
    ("setting_put", {"tenant": "r-1", "key": "app.new"}, {"locked": False}),
    ("permission_set", {"tenant": "r-1", "key": "sql.write"}, {"value": False, "mode": "LOCKED"}),
]
BELOW = 1 + 10 + 10 * (TENANTS // 100 - 1) + 600
LOOKS = 20  # at each, in one step of a plan


def looks(node):
    """How many rows it has looked at."""
    left_out = sum(node.get(name, 0) for name in ("Rows Removed by Filter", "Rows Removed by Join Filter"))
    return node.get("Actual Loops", 0) * (node.get("Actual Rows", 0) + left_out)


@pytest.mark.parametrize("handler, path, body", [
    pytest.param(*one, id=one[0], marks=pytest.mark.longer if n else ()) for n, one in enumerate(WHOLE)])
def test_what_is_of_a_subtree_looks_at_each_a_few_times(plans, handler, path, body):
    found = plans.all(handler, path, analyze=True, body=body, **MORE.get(handler, {}))
    most, text = max((looks(node), plan["Query Text"]) for plan in found for node in nodes(plan["Plan"]))
    assert BELOW // 2 < most < LOOKS * BELOW, (most, text)
    # The triggers' own statements, which whoever changes a tenant waits for.
    recorded = [plan for plan in found if "old_rows" in plan["Query Text"]]
    assert not [plan for plan in recorded if "JIT" in plan], "something was compiled"
    assert recorded or not handler.startswith("tenant_")
