"""How the lists of the admin API are read: by an index in their order, never all to be sorted."""

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
        root.execute("ANALYZE bulkhead_control.tenant")
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
