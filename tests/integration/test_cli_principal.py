"""bulkhead principal: who is there, who may log in, and the passwords that standard input gives."""

import json

import pytest
from harness.program import DONE, FAILED, USAGE, bulkhead, refusal, rows, succeed

PLANTED = "hunter2-never-to-be-seen"


@pytest.fixture
def acme(control):
    """With the principals shop and, in globex, desk."""
    tenant = control.create("acme", external_key="1042")
    control.principal("shop", tenant, reach="subtree")
    control.principal("desk", control.create("globex"))
    return tenant


def version(control, name):
    return control.value("SELECT version FROM bulkhead_control.principal WHERE name = %s", name)


def told(control, dsn, *arguments):
    """The rows that a change prints, and what it announces."""
    with control.heard() as payloads:
        printed = rows("principal", *arguments, **dsn)
    return printed, payloads


def column(control, name, which):
    return control.value(f"SELECT {which} FROM bulkhead_control.principal WHERE name = %s", name)


# ---- list and show ----

def test_principals_are_listed(control, dsn, acme):
    control.principal("away", acme, disabled=True, valid_until="2001-02-03 04:05:06.5Z")
    control.principal("late", acme, valid_until="2001-02-03Z", verifier=None)
    control.principal("mute", acme, verifier=None)
    control.principal("tomorrow", acme, valid_until="2999-01-01Z", reach="all")
    listed = [(row["name"], row["home"], row["reach"], row["state"]) for row in rows("principal", "list", **dsn)]
    assert listed == [("away", "acme", "self", "disabled"), ("desk", "globex", "self", "active"),
                      ("late", "acme", "self", "expired"), ("mute", "acme", "self", "no password"),
                      ("shop", "acme", "subtree", "active"), ("tomorrow", "acme", "all", "active")]
    assert rows("principal", "list", **dsn)[0]["valid_until"] == "2001-02-03T04:05:06.5+00:00"
    for home in ("globex", str(control.value("SELECT id FROM bulkhead_control.tenant WHERE slug = 'globex'"))):
        assert [row["name"] for row in rows("principal", "list", "--home", home, **dsn)] == ["desk"]
    assert succeed("principal", "list", **dsn).splitlines()[0].split() == [
        "name", "home", "reach", "state", "valid_until"]
    assert refusal("principal", "list", "--home", "nosuch", **dsn) == 'bulkhead: there is no tenant "nosuch"\n'


def test_a_principal_is_shown_without_its_verifier(control, dsn, acme):
    (row,) = rows("principal", "show", "shop", **dsn)
    assert all(row.pop(time).endswith("+00:00") for time in ("created_at", "updated_at"))
    assert row == {"name": "shop", "home": "acme", "home_id": str(acme), "home_status": "active", "reach": "subtree",
                   "state": "active", "disabled": False, "valid_until": None, "has_password": True, "version": 1,
                   "max_connections": None, "certificate_names": None, "tenants": None}
    people = succeed("principal", "show", "shop", **dsn)
    assert "disabled: no\n" in people and "has_password: yes\n" in people and "valid_until" not in people
    assert "SCRAM" not in people + json.dumps(row)
    assert refusal("principal", "show", "nobody", **dsn) == "bulkhead: there is no such principal\n"


# ---- disable, enable, set, delete ----

def test_a_principal_is_disabled_and_enabled(control, dsn, acme):
    printed, payloads = told(control, dsn, "disable", "shop")
    assert printed == [{"name": "shop", "home": "acme", "reach": "subtree", "disabled": True, "valid_until": None,
                        "version": 2}]
    assert payloads == ["principal:2:shop"] and column(control, "shop", "disabled")
    assert told(control, dsn, "disable", "shop") == ([], [])
    assert succeed("principal", "disable", "shop", **dsn) == "shop is disabled already\n"
    printed, payloads = told(control, dsn, "enable", "shop")
    assert (printed[0]["disabled"], payloads) == (False, ["principal:3:shop"])
    assert succeed("principal", "enable", "shop", **dsn) == "shop is enabled already\n"
    assert (version(control, "shop"), version(control, "desk")) == (3, 1)


@pytest.mark.parametrize("arguments, which, value", [
    (["--home", "globex"], "(SELECT slug FROM bulkhead_control.tenant WHERE id = home_id)", "globex"),
    (["--reach", "all"], "reach", "all"),
    (["--valid-until", "2030-01-02 03:04:05.678"], "(valid_until AT TIME ZONE 'UTC')::text", "2030-01-02 03:04:05.678"),
    (["--valid-until", "2030-01-02 03:04+05"], "(valid_until AT TIME ZONE 'UTC')::text", "2030-01-01 22:04:00"),
])
def test_each_field_is_set_alone(control, dsn, acme, arguments, which, value):
    with control.database.connect() as root:  # nobody's zone or style counts but UTC and ISO
        root.execute(f'ALTER DATABASE "{control.database.name}" SET timezone = \'Asia/Tokyo\'')
        root.execute(f'ALTER DATABASE "{control.database.name}" SET datestyle = \'German\'')
        try:
            printed, payloads = told(control, dsn, "set", "shop", *arguments)
            assert (printed[0]["version"], payloads) == (2, ["principal:2:shop"])
            assert told(control, dsn, "set", "shop", *arguments) == ([], [])
        finally:
            root.execute(f'ALTER DATABASE "{control.database.name}" RESET ALL')
    assert column(control, "shop", which) == value
    changed = control.admin.execute(
        "SELECT reach = 'subtree', valid_until IS NULL, home_id = %s FROM bulkhead_control.principal "
        "WHERE name = 'shop'", (acme,)).fetchone()
    assert sorted(changed) == [False, True, True]


def test_fields_are_set_together_and_validity_is_lifted(control, dsn, acme):
    (row,) = rows("principal", "set", "shop", "--home", "globex", "--reach", "self", "--valid-until", "2030-01-01",
                  **dsn)
    assert row == {"name": "shop", "home": "globex", "reach": "self", "disabled": False,
                   "valid_until": "2030-01-01T00:00:00+00:00", "version": 2}
    (row,) = rows("principal", "set", "shop", "--valid-until", "never", **dsn)
    assert (row["valid_until"], row["home"], row["version"]) == (None, "globex", 3)
    assert succeed("principal", "set", "shop", "--valid-until", "never", **dsn) == "shop is so already\n"


@pytest.mark.parametrize("arguments, words", [
    (["--valid-until", "soon"], "invalid input syntax for type timestamp"),
    (["--valid-until", ""], "invalid input syntax for type timestamp"),
    (["--valid-until", "infinity"], "the end of validity is a point in time, or never"),
    (["--home", "nosuch"], 'there is no tenant "nosuch"'),
    (["--reach", "all", "--home", ""], 'there is no tenant ""'),
])
def test_refused_settings(control, dsn, acme, arguments, words):
    said = refusal("principal", "set", "shop", *arguments, **dsn)
    assert words in said and len(said.splitlines()) == 1
    assert version(control, "shop") == 1


def test_a_principal_is_deleted(control, dsn, acme):
    printed, payloads = told(control, dsn, "delete", "shop")
    assert (printed, payloads) == ([{"name": "shop", "home": "acme", "reach": "subtree"}], ["principal:1:shop"])
    assert [row["name"] for row in rows("principal", "list", **dsn)] == ["desk"]


@pytest.mark.parametrize("arguments", [["disable", "shop"], ["set", "shop", "--reach", "all"], ["delete", "shop"]])
def test_a_dry_run_changes_nothing(control, dsn, acme, arguments):
    with control.heard() as payloads:
        expected = rows("principal", *arguments, "--dry-run", **dsn)
        said = succeed("principal", *arguments, "--dry-run", **dsn)
    assert said.splitlines()[-1] == "nothing was changed: this was a dry run" and len(expected) == 1
    assert (version(control, "shop"), payloads) == (1, [])
    assert rows("principal", *arguments, **dsn) == expected


@pytest.mark.parametrize("arguments", [["disable"], ["enable"], ["delete"], ["set", "--reach", "all"], ["password"]])
@pytest.mark.parametrize("name", ["nobody", "", "SHOP", "x" * 1000])
def test_principals_that_are_not_there(dsn, acme, arguments, name):
    verb, *options = arguments
    assert refusal("principal", verb, name, *options, **dsn) == "bulkhead: there is no such principal\n"


# ---- passwords from standard input ----

@pytest.mark.parametrize("given", [PLANTED, PLANTED + "\n", PLANTED + "\r\n"])
def test_a_password_comes_from_standard_input(control, dsn, acme, given):
    done = bulkhead("principal", "password", "shop", "--password-file", "-", stdin=given, **dsn)
    assert (done.returncode, done.stderr) == (DONE, "") and PLANTED not in done.stdout
    done = bulkhead("principal", "create", "new", "--home", "acme", "--reach", "all", "--password-file", "-",
                    stdin=given, **dsn)
    assert (done.returncode, done.stderr) == (DONE, "")
    for name in ("shop", "new"):
        assert control.fits(name, PLANTED)


def test_who_got_a_password_is_shown_as_by_other_verbs(control, dsn, acme):
    (row,) = rows("principal", "password", "shop", **dsn)
    assert row == {"name": "shop", "home": "acme", "reach": "subtree"}


@pytest.mark.parametrize("given, words", [("", "it is empty"), ("\n", "it is empty"), (PLANTED * 100, "too large"),
                                          (PLANTED + "\0x", "NUL")])
def test_refused_input(control, dsn, acme, given, words):
    done = bulkhead("principal", "password", "shop", "--password-file", "-", stdin=given, **dsn)
    assert (done.returncode, done.stdout) == (FAILED, "")
    assert done.stderr.startswith("bulkhead: standard input: ") and words in done.stderr and PLANTED not in done.stderr
    assert version(control, "shop") == 1


@pytest.mark.parametrize("arguments", [
    ["list", "shop"], ["list", "--reach", "all"], ["show"], ["disable"], ["disable", "a", "b"], ["set", "a"],
    ["set", "a", "--reach", "everything"], ["set", "a", "--password-file", "x"], ["delete"],
    ["password", "a", "--dry-run"], ["set", "a", "--name", "b"], ["suspend", "a"], ["enable", "a", "--subtree"],
])
def test_wrong_usage(arguments):
    done = bulkhead("principal", *arguments, CONTROL_DSN="host=127.0.0.1 port=1")
    assert (done.returncode, done.stdout) == (USAGE, "")
    assert "Usage: bulkhead principal" in done.stderr and "refused" not in done.stderr
