"""What bulkhead.findings() says of a database, and mending by its own statements.

    with guard.admin() as admin:
        admin.execute("CREATE TABLE app.t (tenant_id uuid)")
        (found,) = findings(admin, "unprotected-table")
        mend(admin, found)                        # runs found.mend, line by line
"""

from collections import namedtuple

Finding = namedtuple("Finding", "id severity object why mend")

# An application with nothing wrong: the tenants' table of orders, and its lines.
SHOP = """
CREATE SCHEMA app AUTHORIZATION app_owner;
GRANT USAGE ON SCHEMA app TO bulkhead_app;
SET ROLE app_owner;
CREATE TABLE app.orders (tenant_id uuid NOT NULL, id bigint NOT NULL, note text, PRIMARY KEY (tenant_id, id));
CREATE TABLE app.lines (tenant_id uuid NOT NULL, order_id bigint, line int, PRIMARY KEY (tenant_id, order_id, line),
                        FOREIGN KEY (tenant_id, order_id) REFERENCES app.orders ON DELETE CASCADE);
GRANT SELECT, INSERT, UPDATE, DELETE ON app.orders, app.lines TO bulkhead_app;
RESET ROLE;
SET client_min_messages = error;
SELECT bulkhead.protect('app.orders', 'tenant_id'), bulkhead.protect('app.lines', 'tenant_id');
"""


def findings(admin, kind=None):
    """All findings, the worst first, or those of one id."""
    rows = [Finding(*row) for row in admin.execute("SELECT * FROM bulkhead.findings()")]
    return [row for row in rows if kind in (None, row.id)]


def mend(admin, finding):
    """As one would paste it: each line by itself, so that what may not run in a transaction block can."""
    for line in finding.mend.splitlines():
        admin.execute(line)
