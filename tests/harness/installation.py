"""How the databases of a stand come by their guard: under a seal, or where nobody is a superuser by tenants' own logins.

A stand is given one of these by its argument `guard`, else by the environment's BULKHEAD_TEST_GUARD, else a sealed one.
"""

import os

from harness.cluster_secret import PURPOSE, ClusterSecret, login_of

GUARD = os.environ.get("BULKHEAD_TEST_GUARD", "sealed")
OWNER = "half"  # CREATEROLE, CREATEDB, owner of the databases, and no superuser


# Whoever makes a tenant makes its login by this, as provisioning would: with the password that is derived of the key.
PROVISION = """
CREATE SCHEMA stand;
CREATE FUNCTION stand.block(key bytea, pad text) RETURNS bytea LANGUAGE sql
    RETURN substr(bit_send(('x' || rpad(encode(key, 'hex'), 128, '0'))::bit(512) # ('x' || repeat(pad, 64))::bit(512)), 5);
CREATE FUNCTION stand.hmac(key bytea, message text) RETURNS bytea LANGUAGE sql
    RETURN sha256(stand.block(key, '5c') || sha256(stand.block(key, '36') || convert_to(message, 'UTF8')));
CREATE FUNCTION stand.provision() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    hex text := replace(coalesce(new.id, old.id)::text, '-', '');
BEGIN
    IF TG_OP <> 'INSERT' THEN
        PERFORM bulkhead.drop_login_key(old.id);
    END IF;
    IF TG_OP = 'INSERT' AND to_regrole('t_' || hex) IS NULL THEN
        EXECUTE format('CREATE ROLE %I LOGIN PASSWORD %L IN ROLE bulkhead_app', 't_' || hex,
                       encode(stand.hmac(stand.hmac('\\x{key}', hex), '{purpose}'), 'hex'));
    END IF;
    IF TG_OP <> 'DELETE' AND new.external_key <> '' THEN
        PERFORM bulkhead.set_login_key(new.id, new.external_key);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER provision AFTER INSERT OR UPDATE OF external_key OR DELETE ON bulkhead_control.tenant
    FOR EACH ROW EXECUTE FUNCTION stand.provision();
ALTER TABLE bulkhead_control.tenant ALTER login_kid SET DEFAULT '{kid}';
"""


class Sealed:
    """A superuser installs it; all tenants share the pool's login."""

    administrator = "postgres"
    init = ()  # arguments of bulkhead init
    is_shared = True  # are backends?
    backends = "usename = 'bulkhead_pool'"

    def __init__(self, stand):
        self.stand = stand

    def database(self, name, *arguments):
        """An empty database with a guard."""
        with self.stand.admin("postgres") as admin:
            admin.execute(f"CREATE DATABASE {name}")
        self.stand.init(name, *arguments)

    def section(self):
        """What its [cluster:…] sections say besides host, port and database."""
        return {"login": "bulkhead_pool", "password_file": self.stand.keys / "pool.password"}

    def secrets(self):
        """What must not be in a log."""
        return [(self.stand.keys / "pool.password").read_text().strip()]

    def adopt(self, tenants):
        """Tenants of a control schema elsewhere, by id, are to be served here."""

    def login(self, _tenant):
        """The backends' of a tenant."""
        return "bulkhead_pool"

    def follow(self):
        """Called when tenants were made or changed, for what cannot be done in the same transaction."""


class ByLogin:
    """A role that is no superuser installs it; tenants get logins."""

    administrator = OWNER
    init = ("--guard", "login")
    is_shared = False
    backends = "usename ~ '^t_[0-9a-f]{32}$'"

    def __init__(self, stand):
        self.stand = stand
        self.secret = ClusterSecret(stand.folder / "cluster.secret")

    def database(self, name, *arguments):
        with self.stand.admin("postgres") as superuser:
            if not superuser.execute("SELECT FROM pg_roles WHERE rolname = %s", (OWNER,)).fetchall():
                superuser.execute(f"CREATE ROLE {OWNER} LOGIN CREATEROLE CREATEDB")
        with self.stand.admin("postgres", user=OWNER) as owner:
            owner.execute(f"CREATE DATABASE {name}")
        self.stand.init(name, *arguments)
        if not arguments:  # the control schema is there
            kid = self.secret.first()
            with self.stand.admin(name) as superuser:
                superuser.execute(PROVISION.format(kid=kid, key=self.secret.keys[kid].hex(), purpose=PURPOSE.decode()))

    def section(self):
        return {"guard": "login", "secret_file": self.secret.file, "max_server_connections": 150}  # the server takes 200

    def secrets(self):
        keys = [line.split()[1] for line in self.secret.file.read_text().splitlines()]
        return keys + [self.secret.password(id) for id in self.stand.ids.values()]

    def adopt(self, tenants):
        with self.stand.admin(user=OWNER) as admin:
            there = {role for role, in admin.execute("SELECT rolname FROM pg_roles")}
            for tenant in tenants:
                if login_of(tenant) not in there:
                    admin.execute(f"CREATE ROLE {login_of(tenant)} LOGIN PASSWORD '{self.secret.password(tenant)}' "
                                  "IN ROLE bulkhead_app")

    def login(self, tenant):
        return login_of(self.stand.ids[tenant])

    def follow(self):
        others = [database for name, database in self.stand.clusters.items() if name != "default"]
        if not others:
            return
        with self.stand.admin() as admin:
            keys = admin.execute("SELECT id, external_key FROM bulkhead_control.tenant WHERE external_key <> ''").fetchall()
        for database in others:
            with self.stand.admin(database, user=OWNER) as admin:
                for pair in keys:
                    admin.execute("SELECT bulkhead.set_login_key(%s, %s)", pair)


def installation_of(stand, guard=None):
    return {"sealed": Sealed, "login": ByLogin}[guard or GUARD](stand)
