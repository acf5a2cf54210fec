"""Tables of two tenants in a guarded database, for tests of bulkhead.protect.

    shop = Shop(guard)                            # shop.admin is the superuser, as the tables' owner
    shop.begin()                                  # a new schema, first in everybody's search_path
    shop.table("t", "tenant_id uuid")             # two rows of acme's and two of globex's
    shop.protect("t")
    assert items(shop.acme, "t") == {"acme"}
    shop.end()
"""

from harness.guard import ACME, GLOBEX, enter

KEYS = {"acme": "42", "globex": "43"}
IDS = {"acme": ACME, "globex": GLOBEX}
BOTH = {"acme", "globex"}


def items(connection, table):
    """Whose rows the connection sees: the first words of column `item`."""
    return {item.split()[0] for (item,) in connection.execute(f"SELECT item FROM {table}")}


def assert_apart(shop, *tables):
    """Each tenant sees its own rows and no others."""
    for table in tables:
        assert items(shop.acme, table) == {"acme"}, table
        assert items(shop.globex, table) == {"globex"}, table


def assert_open(shop, *tables):
    """The control: without protection everybody sees everything."""
    for table in tables:
        assert items(shop.acme, table) == BOTH, table


class Shop:
    def __init__(self, guard):
        self.guard = guard
        self.admin = guard.admin()
        self.notices = []  # of the admin's last statement, as (severity, text)
        self.admin.add_notice_handler(lambda said: self.notices.append((said.severity_nonlocalized, said.message_primary)))
        self._tenants = {name: self._connect(name) for name in IDS}
        self.schema = None

    def _connect(self, name):
        return self.guard.connect()

    def close(self):
        for connection in (self.admin, *self._tenants.values()):
            connection.close()

    def begin(self, schema="s"):
        self.schema = schema
        self.admin.execute(f"CREATE SCHEMA {schema}; GRANT USAGE ON SCHEMA {schema} TO PUBLIC; "
                           f"SET search_path = {schema}")

    def end(self):
        self.admin.rollback()
        self.admin.execute("RESET ROLE")
        for connection in self._tenants.values():
            connection.rollback()
            connection.execute("DISCARD ALL")
        self.admin.execute("SET client_min_messages = warning")
        self.admin.execute(f"DROP SCHEMA {self.schema} CASCADE")
        self.admin.execute("RESET ALL")

    def sql(self, statement, parameters=None):
        self.notices.clear()
        return self.admin.execute(statement, parameters)

    def tenant(self, name, key=None):
        """A connection in the tenant's context; its key is the one above unless another is given."""
        connection = self._tenants[name]
        connection.execute("RESET ALL")
        enter(connection, self.guard.token(connection, IDS[name], key or KEYS[name]))
        connection.execute(f"SET search_path = {self.schema}")
        return connection

    @property
    def acme(self):
        return self.tenant("acme")

    @property
    def globex(self):
        return self.tenant("globex")

    def table(self, name, column="tenant_id uuid", by="id", rest="", fill=True):
        """A table of this tenant column, id and item, open to the tenants, with rows of both."""
        self.sql(f"CREATE TABLE {name} ({column}, id int, item text) {rest}")
        self.grant(name)
        if fill:
            self.fill(name, by)

    def grant(self, *tables):
        self.sql(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {', '.join(tables)} TO bulkhead_app")

    def fill(self, table, by="id"):
        for tenant, value in (IDS if by == "id" else KEYS).items():
            self.sql(f"INSERT INTO {table} VALUES ('{value}', 1, '{tenant} one'), ('{value}', 2, '{tenant} two')")

    def protect(self, table, column="tenant_id", by="id"):
        """The warnings."""
        self.sql("SELECT bulkhead.protect(%s, %s, %s)", (table, column, by))
        return [text for severity, text in self.notices]

    def unprotect(self, table):
        self.sql("SELECT bulkhead.unprotect(%s)", (table,))

    def records(self):
        """What the guard has written down about the tables of the schema."""
        return self.sql("SELECT p::text FROM bulkhead.protection AS p JOIN pg_class AS c ON c.oid = p.relation "
                        "WHERE c.relnamespace = to_regnamespace(%s) ORDER BY 1", (self.schema,)).fetchall()
