"""Permissions of tenants in a control schema (harness/control.py), as its functions give them.

    grant(control, acme, "sql.ddl", True, "LOCKED")
    assert held(control, labs, "sql.ddl") is True
"""

import json
from contextlib import contextmanager

import psycopg
import pytest

from harness.control import SIDECAR, constraint

MODES = ["LOCKED", "INHERITED", "DELEGATED"]
KEYS = [("test.flag", "bool", False), ("test.count", "number", 5), ("test.words", "set", [])]


@contextmanager
def own_keys(control):
    """An application's own, for the block; with them go all tenants."""
    control.admin.execute("DELETE FROM bulkhead_control.permission_key WHERE NOT builtin")
    for key, kind, default in KEYS:
        control.admin.execute(
            "INSERT INTO bulkhead_control.permission_key (key, kind, shared_default, schema_default, database_default, "
            "description) VALUES (%s, %s, %s, %s, %s, 'x')", (key, kind, *[json.dumps(default)] * 3))
    try:
        yield
    finally:
        control.clear()
        control.admin.execute("DELETE FROM bulkhead_control.permission_key WHERE NOT builtin")


def grant(control, tenant, key, value, mode=None, revocation=None, on=None):
    """The grant as it is then, with the tenant's version; nothing when it was so already."""
    return (on or control.admin).execute(
        "SELECT value, mode, revocation, version FROM bulkhead_control.set_permission(%s, %s, %s, %s, %s)",
        (tenant, key, json.dumps(value), mode, revocation)).fetchall()


def revoke(control, tenant, key, on=None):
    """Slugs and what became of each."""
    return [tuple(row) for row in (on or control.admin).execute(
        "SELECT slug, became, value FROM bulkhead_control.revoke_permission(%s, %s)", (tenant, key)).fetchall()]


def resolved(control, tenant):
    cursor = control.admin.execute("SELECT * FROM bulkhead_control.resolve_permissions(%s)", (tenant,))
    names = [column.name for column in cursor.description]
    return {row[0]: dict(zip(names, row)) for row in cursor.fetchall()}


def held(control, tenant, key):
    return resolved(control, tenant)[key]["value"]


def looked_up(control, tenant):
    """What a sidecar is told."""
    with control.connect(SIDECAR) as sidecar:
        return control.value("SELECT permissions FROM bulkhead_control.lookup_tenant(%s)", str(tenant), on=sidecar)


def refused(work, *arguments):
    with pytest.raises(psycopg.Error) as error:
        work(*arguments)
    return constraint(error.value)
