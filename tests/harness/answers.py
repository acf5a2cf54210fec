"""What a statement answers, and whether it may be asked: for the suite over all strategies (application.py).

Where the answers may differ, MAY says by which permission or rule.
"""

import psycopg
import pytest

OWN = ("schema", "database")

# What is refused, and with which reason of Bulkhead's or SQLSTATE of PostgreSQL's, for all kinds but these.
MAY = {
    "copy into a table": (OWN, "0A000"),  # that has row security
    "ddl": (OWN, "BH-STMT-DDL"),
    "truncate": (OWN, "BH-STMT-DDL"),
    "setval": (OWN, "BH-STMT-SHARED"),
    "lock table": (OWN, "BH-STMT-SHARED"),
    "advisory locks": (OWN, "BH-STMT-SHARED"),
    "do": (OWN, "BH-STMT-DYNAMIC"),
    "explain analyze": (OWN, "BH-STMT-EXPLAIN"),
    "listen": (("database",), "BH-STMT-LISTEN"),
}


def may(app, what, connection, statement):
    """True where it is permitted; elsewhere this asserts that the statement is refused."""
    kinds, reason = MAY[what]
    if app.kind in kinds:
        return True
    with pytest.raises(psycopg.Error) as refused:
        connection.execute(statement)
    assert refused.value.sqlstate == ("0A000" if reason in ("BH-STMT-LISTEN", "0A000") else "42501")
    assert refused.value.sqlstate == reason or f"reason={reason} " in refused.value.diag.message_detail
    return False


def all_of(connection, statement, parameters=None, **more):
    return connection.execute(statement, parameters, **more).fetchall()


def one(connection, statement, parameters=None, **more):
    row, = all_of(connection, statement, parameters, **more)
    return row[0] if len(row) == 1 else row


def sqlstate(connection, statement, parameters=None):
    with pytest.raises(psycopg.Error) as failed:
        connection.execute(statement, parameters)
    return failed.value.sqlstate


def violated(connection, statement):
    """SQLSTATE and constraint of a statement that fails."""
    with pytest.raises(psycopg.Error) as failed:
        connection.execute(statement)
    return failed.value.sqlstate, failed.value.diag.constraint_name
