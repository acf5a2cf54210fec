"""bulkhead permission and bulkhead setting: what is changed, told and said, and what is refused."""

import json

import pytest
from harness.program import DONE, bulkhead, refusal, rows, succeed


@pytest.fixture
def tree(control):
    acme = control.create("acme", external_key="1042")
    labs = control.create("labs", acme)
    control.create("bench", labs)
    return {"acme": acme, "labs": labs}


def shown(noun, tenant, dsn):
    return {row["key"]: row for row in rows(noun, "show", tenant, **dsn)}


def version(control, slug):
    return control.value("SELECT version FROM bulkhead_control.tenant WHERE slug = %s", slug)


# ---- permissions ----

@pytest.mark.parametrize("word", ["acme", "1042", "id"])
def test_a_permission_is_granted_shown_and_revoked(control, dsn, tree, word):
    word = str(tree["acme"]) if word == "id" else word
    assert rows("permission", "set", word, "sql.ddl", "true", "--mode", "delegated", "--revocation", "soft", **dsn) == [
        {"slug": "acme", "id": str(tree["acme"]), "key": "sql.ddl", "value": True, "mode": "DELEGATED",
         "revocation": "SOFT", "version": 2}]
    assert shown("permission", "bench", dsn)["sql.ddl"] == {
        "key": "sql.ddl", "value": True, "source": "acme", "source_tenant_id": str(tree["acme"]), "inherited": True,
        "frozen": False, "locked_by": None, "own": None, "mode": None, "revocation": None}
    assert rows("permission", "set", word, "sql.ddl", "true", **dsn) == []
    assert succeed("permission", "set", word, "sql.ddl", "true", **dsn) == "acme is so already\n"
    gone = rows("permission", "revoke", word, "sql.ddl", **dsn)
    assert [(row["slug"], row["became"], row["value"]) for row in gone] == [
        ("acme", "revoked", True), ("labs", "frozen", True), ("bench", "frozen", True)]
    assert all(row["version"] == version(control, row["slug"]) for row in gone)
    assert succeed("permission", "revoke", word, "sql.ddl", **dsn) == "acme is without a grant of its own already\n"
    assert shown("permission", "labs", dsn)["sql.ddl"]["frozen"] is True


@pytest.mark.parametrize("value, expected", [
    ("orders", ["orders"]), ("shop.*,customers,shop.*", ["customers", "shop.*"]), ('["b","a"]', ["a", "b"]),
    ("*", ["*"]),
    ("[]", [])])
def test_a_list_is_written_with_commas_or_as_json(dsn, tree, value, expected):
    (row,) = rows("permission", "set", "acme", "sql.relations", value, **dsn)
    assert row["value"] == expected
    assert shown("permission", "bench", dsn)["sql.relations"]["value"] == expected


def test_people_read_a_table(dsn, tree):
    succeed("permission", "set", "acme", "sql.relations", "shop.*,customers", "--mode", "locked", **dsn)
    lines = succeed("permission", "show", "labs", **dsn).splitlines()
    assert lines[0].split() == ["key", "value", "source", "inherited", "locked_by", "own", "mode", "revocation"]
    (line,) = [line for line in lines if line.startswith("sql.relations ")]
    assert line.split() == ["sql.relations", "customers,", "shop.*", "acme", "yes", "acme"]
    (line,) = [line for line in lines if line.startswith("sql.read ")]
    assert line.split() == ["sql.read", "true", "(default)", "no"]


def test_a_dry_run_changes_nothing(control, dsn, tree):
    with control.heard() as payloads:
        assert len(rows("permission", "set", "acme", "sql.ddl", "true", "--dry-run", **dsn)) == 1
        assert succeed("setting", "set", "acme", "proxy.gate", "off", "--dry-run", **dsn).endswith(
            "nothing was changed: this was a dry run\n")
    assert payloads == [] and version(control, "acme") == 1
    assert shown("permission", "acme", dsn)["sql.ddl"]["value"] is False


@pytest.mark.parametrize("arguments, words", [
    (("set", "nosuch", "sql.ddl", "true"), 'there is no tenant "nosuch"'),
    (("set", "acme", "sql.dll", "true"), "there is no permission sql.dll"),
    (("set", "acme", "sql.ddl", "yes"), "a value of sql.ddl is true or false"),
    (("set", "acme", "sql.ddl", "a\udcff"), "the value is not UTF-8"),
    (("set", "acme", "sql.relations", "a,,b"), "a value of sql.relations is an array of at most 1000 names"),
    (("set", "labs", "sql.ddl", "true"), "the parent of labs does not hold so much of sql.ddl"),
    (("set", "labs", "sql.write", "true"), "sql.write is locked by acme"),
    (("set", "labs", "sql.copy", "true", "--mode", "locked"),
     "sql.copy is not delegated to labs: its grants are of mode INHERITED"),
    (("revoke", "acme", "sql.write"), "the grant of sql.write is permanent: it ends with the tenant"),
    (("revoke", "nosuch", "sql.write"), 'there is no tenant "nosuch"'),
    (("revoke", "acme", "sql.wrote"), "there is no permission sql.wrote"),
    (("show", "nosuch"), 'there is no tenant "nosuch"'),
])
def test_what_is_refused_says_why(control, dsn, tree, arguments, words):
    succeed("permission", "set", "acme", "sql.write", "false", "--mode", "LOCKED", "--revocation", "permanent", **dsn)
    succeed("permission", "set", "acme", "sql.copy", "true", **dsn)
    before = version(control, "acme"), version(control, "labs")
    said = refusal("permission", *arguments, **dsn)
    assert said.startswith(f"bulkhead: {words}") and said.count("\n") == 1
    assert (version(control, "acme"), version(control, "labs")) == before


# ---- settings ----

def test_a_setting_is_set_locked_shown_and_unset(control, dsn, tree):
    assert rows("setting", "set", "labs", "proxy.gate", "off", **dsn) == [
        {"slug": "labs", "id": str(tree["labs"]), "key": "proxy.gate", "value": "off", "locked": False, "version": 2}]
    assert rows("setting", "set", "acme", "proxy.gate", '"observe"', "--lock", **dsn)[0]["locked"] is True
    assert shown("setting", "bench", dsn)["proxy.gate"] == {
        "key": "proxy.gate", "value": "observe", "source": "acme", "source_tenant_id": str(tree["acme"]),
        "inherited": True, "locked_by": "acme", "own": None, "masked": False}
    row = shown("setting", "labs", dsn)["proxy.gate"]
    assert (row["own"], row["masked"]) == ("off", True)
    assert refusal("setting", "set", "labs", "proxy.gate", "off", **dsn) == "bulkhead: proxy.gate is locked by acme\n"
    assert succeed("setting", "set", "acme", "proxy.gate", "observe", "--lock", **dsn) == "acme is so already\n"
    succeed("setting", "set", "acme", "proxy.gate", "observe", **dsn)
    assert shown("setting", "bench", dsn)["proxy.gate"]["value"] == "off"
    assert len(rows("setting", "unset", "labs", "proxy.gate", **dsn)) == 1
    assert succeed("setting", "unset", "labs", "proxy.gate", **dsn) == "labs is without a value of its own already\n"
    assert shown("setting", "bench", dsn)["proxy.gate"]["value"] == "observe"


@pytest.mark.parametrize("word, expected", [("true", True), ("dark", "dark"), ("1.5", 1.5), ('{"a": [1]}', {"a": [1]}),
                                            ("", ""), ("a,b", "a,b"), ("null", None)])
def test_a_value_is_json_or_a_word(dsn, tree, word, expected):
    assert json.loads(json.dumps(rows("setting", "set", "acme", "app.x", word, **dsn)[0]["value"])) == expected
    assert shown("setting", "labs", dsn)["app.x"]["value"] == expected


def test_people_read_settings(dsn, tree):
    succeed("setting", "set", "labs", "proxy.gate", "off", **dsn)
    succeed("setting", "set", "acme", "proxy.gate", "observe", "--lock", **dsn)
    lines = succeed("setting", "show", "labs", **dsn).splitlines()
    assert lines[0].split() == ["key", "value", "source", "inherited", "locked_by", "masked"]
    shown_of = {words[0]: words[1:] for words in map(str.split, lines[1:])}
    assert shown_of["proxy.gate"] == ['"observe"', "acme", "yes", "acme", '"off"']
    assert shown_of["proxy.read_only"] == ["false", "(default)", "no"]
    assert shown_of["proxy.rate_limit"] == ["(default)", "no"]


@pytest.mark.parametrize("arguments, words", [
    (("set", "nosuch", "proxy.gate", "off"), 'there is no tenant "nosuch"'),
    (("set", "acme", "proxy.gates", "off"), "there is no setting proxy.gates"),
    (("set", "acme", "proxy.gate", "of"), "a value of proxy.gate is one of enforce, observe, off"),
    (("set", "acme", "proxy.read_only", "yes"), "a value of proxy.read_only is a boolean"),
    (("set", "acme", "app.a b", "yes"), "a key of the application's own"),
    (("set", "acme", "app.x", "x" * 66000), "a value is at most 64 KiB"),
    (("show", "nosuch"), 'there is no tenant "nosuch"'),
])
def test_a_setting_that_is_refused_says_why(control, dsn, tree, arguments, words):
    said = refusal("setting", *arguments, **dsn)
    assert said.startswith(f"bulkhead: {words}") and said.count("\n") == 1
    assert version(control, "acme") == 1


# ---- an older schema ----

def test_a_control_schema_without_permissions_is_said(control, dsn, tree):
    with control.database.connect() as root:
        root.execute("ALTER FUNCTION bulkhead_control.resolve_permissions RENAME TO hidden")
        try:
            done = bulkhead("permission", "show", "acme", **dsn)
        finally:
            root.execute("ALTER FUNCTION bulkhead_control.hidden RENAME TO resolve_permissions")
    assert done.returncode != DONE and "bulkhead init brings the control schema up to this version" in done.stderr
