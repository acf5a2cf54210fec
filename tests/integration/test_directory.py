"""Who is speaking, and for whom: selectors, reach and status, through the real proxy and a real control database."""

import uuid

import psycopg
import pytest
from harness.postgres import HOST, free_port
from harness.stand import DATABASE
from harness.wire import Wire, WireError

ASLEEP = {"asleep": "suspended", "old": "archived", "unready": "provisioning", "going": "purging"}

# The principals' names: home and reach.
PRINCIPALS = {
    "self": ("acme", "self"), "sub": ("acme", "subtree"), "labs-self": ("acme-labs", "self"),
    "labs-sub": ("acme-labs", "subtree"), "all": ("acme-labs", "all"), "asleep-self": ("asleep", "self"),
}

LISTENERS = {  # by name; each on a port of its own
    "fixed": {"tenant": "acme"},
    "database": {"selectors": "database, startup"},
    "startup": {"selectors": "startup"},
    "at": {"user_separator": "@"},
    "home": {"unset": "home"},
    "later": {"selectors": "startup, user, fixed", "tenant": "acme-labs"},
}


def spellings(stand, slug, key):
    """All words for a tenant."""
    tenant = uuid.UUID(stand.ids[slug])
    return {"slug": slug, "key": str(key), "id": str(tenant), "hex": tenant.hex, "upper id": str(tenant).upper(),
            "upper hex": tenant.hex.upper()}


WORDS = ["slug", "key", "id", "hex", "upper id", "upper hex"]


def execute(stand, sql, *parameters):
    with stand.admin() as admin:
        return admin.execute(sql, parameters or None)


@pytest.fixture(scope="module")
def people(stand):
    """More tenants and principals; they all have the password of the stand's own."""
    for slug, status in ASLEEP.items():
        execute(stand, "INSERT INTO bulkhead_control.tenant (id, slug, name, status) VALUES (gen_random_uuid(), %s, %s, %s)",
                slug, slug, status)
    for name, (home, reach) in PRINCIPALS.items():
        execute(stand, "INSERT INTO bulkhead_control.principal (name, verifier, home_id, reach) SELECT %s, p.verifier, t.id,"
                " %s FROM bulkhead_control.principal p, bulkhead_control.tenant t WHERE p.name = 'shop' AND t.slug = %s",
                name, reach, home)
    yield
    execute(stand, "DELETE FROM bulkhead_control.principal WHERE name = ANY(%s)", list(PRINCIPALS))
    execute(stand, "DELETE FROM bulkhead_control.tenant WHERE slug = ANY(%s)", list(ASLEEP))


class Doors:
    """One proxy with a listener of each kind."""

    def __init__(self, proxy, ports):
        self.proxy = proxy
        self.ports = ports

    def connect(self, listener="default", user="shop", dbname=DATABASE, tenant=None, **more):
        """`tenant` goes into the startup options."""
        if tenant is not None:
            more["options"] = f"-c bulkhead.tenant={tenant}"
        proxy = self.proxy
        return psycopg.connect(
            host=HOST, port=self.ports.get(listener, proxy.port), user=user, dbname=dbname, autocommit=True,
            **{"password": proxy.stand.password, **more})

    def speaks_for(self, *arguments, **more):
        """The slug of the tenant whose rows a session sees."""
        with self.connect(*arguments, **more) as connection:
            (tenant,) = connection.execute("SELECT bulkhead.tenant_id()::text").fetchone()
            seen = {row[0].rsplit(" ", 1)[0] for row in connection.execute("SELECT item FROM orders").fetchall()}
        (slug,) = [slug for slug, other in proxy_ids(self.proxy).items() if other == tenant]
        assert seen == {slug}
        return slug

    def refusal(self, *arguments, **more):
        """SQLSTATE and reason."""
        with pytest.raises(psycopg.OperationalError) as error:
            self.connect(*arguments, **more).close()
        return reason_of(error.value)


def proxy_ids(proxy):
    return proxy.stand.ids


def reason_of(error):
    """libpq shows the DETAIL of a failed login, and not its SQLSTATE."""
    text = str(error)
    assert "reason=" in text, text
    return text.split("reason=")[1].split()[0]


@pytest.fixture(scope="module")
def doors(stand, people):
    ports = {name: free_port() for name in LISTENERS}
    sections = {f"listen__{name}": {"listen_addr": HOST, "listen_port": ports[name], **settings}
                for name, settings in LISTENERS.items()}
    for n, word in enumerate(WORDS):
        ports[word] = free_port()
        sections[f"listen__word{n}"] = {"listen_addr": HOST, "listen_port": ports[word],
                                        "tenant": spellings(stand, "acme", 101)[word]}
    with stand.proxy(**sections) as proxy:
        yield Doors(proxy, ports)


# ---- selectors ----

@pytest.mark.parametrize("word", WORDS)
@pytest.mark.parametrize("selector", ["fixed", "user", "database", "startup", "options"])
def test_a_tenant_is_chosen_by_each_selector_and_word(stand, doors, selector, word):
    written = spellings(stand, "acme", 101)[word]
    if selector == "fixed":
        assert doors.speaks_for(word) == "acme"
    elif selector == "user":
        assert doors.speaks_for(user=f"shop.{written}") == "acme"
    elif selector == "database":
        assert doors.speaks_for("database", dbname=written) == "acme"
    elif selector == "options":
        assert doors.speaks_for("startup", tenant=written) == "acme"
    else:
        with Wire.connect(HOST, doors.ports["startup"]) as wire:
            wire.login({"user": "shop", "database": DATABASE, "bulkhead.tenant": written}, password=stand.password)
            (answer,) = [m for m in wire.query("SELECT bulkhead.tenant_id()") if m.type == "D"]
            assert answer.row == [stand.ids["acme"].encode()]


def test_another_separator(doors):
    assert doors.speaks_for("at", user="shop@globex") == "globex"
    assert doors.refusal("at", user="shop.globex") == "BH-ID-PASSWORD"  # now all of it is the principal


def test_no_choice(doors):
    for listener in ("default", "startup", "at"):
        assert doors.refusal(listener) == "BH-ID-NO-TENANT"
    assert doors.speaks_for("home", user="sub") == "acme"
    assert doors.speaks_for("home", user="all") == "acme-labs"
    assert doors.speaks_for("home", user="all.globex") == "globex"
    assert doors.refusal("home", user="asleep-self") == "BH-ID-INACTIVE"


def test_the_database_is_the_clusters_unless_it_names_the_tenant(doors):
    assert doors.refusal(user="shop.acme", dbname="postgres") == "BH-ID-DATABASE"
    assert doors.refusal("startup", tenant="acme", dbname="acme") == "BH-ID-DATABASE"
    assert doors.refusal("database", dbname=DATABASE) == "BH-ID-UNKNOWN-TENANT"
    assert doors.speaks_for("database", dbname="globex") == "globex"


NARROWING = [  # listener, user, tenant of the startup options; who it becomes, or why not
    ("fixed", "shop", None, "acme"),
    ("fixed", "shop.acme", "acme", "acme"),
    ("fixed", "shop.101", "acme", "acme"),  # the same by another word
    ("fixed", "shop.acme-labs", None, "acme-labs"),
    ("fixed", "shop", "acme-labs", "acme-labs"),
    ("fixed", "shop.acme-labs", "acme-labs", "acme-labs"),
    ("fixed", "shop.globex", None, "BH-ID-CONFLICT"),
    ("fixed", "shop", "globex", "BH-ID-CONFLICT"),
    ("fixed", "shop.acme-labs", "acme", "BH-ID-CONFLICT"),  # back up again
    ("fixed", "shop.nosuch", None, "BH-ID-UNKNOWN-TENANT"),
    ("default", "shop.acme", "acme-labs", "acme-labs"),
    ("default", "shop.acme-labs", "acme", "BH-ID-CONFLICT"),
    ("default", "shop.acme", "globex", "BH-ID-CONFLICT"),
    ("later", "shop", None, "acme-labs"),
    ("later", "shop.acme", None, "acme-labs"),
    ("later", "shop", "acme", "acme-labs"),
    ("later", "shop.globex", None, "BH-ID-CONFLICT"),
    ("later", "shop.acme-labs", "acme", "acme-labs"),
    ("later", "shop.acme", "acme-labs", "BH-ID-CONFLICT"),
]


@pytest.mark.parametrize("listener, user, tenant, expected", NARROWING)
def test_a_later_choice_may_only_lie_below(doors, listener, user, tenant, expected):
    if expected.startswith("BH-"):
        assert doors.refusal(listener, user=user, tenant=tenant) == expected
    else:
        assert doors.speaks_for(listener, user=user, tenant=tenant) == expected


@pytest.mark.parametrize("dbname, tenant, expected", [
    ("acme", "acme-labs", "acme-labs"), ("acme-labs", "acme", None), ("globex", "acme", None), ("102", "102", "acme-labs")])
def test_a_database_is_narrowed_too(doors, dbname, tenant, expected):
    if expected:
        assert doors.speaks_for("database", dbname=dbname, tenant=tenant) == expected
    else:
        assert doors.refusal("database", dbname=dbname, tenant=tenant) == "BH-ID-CONFLICT"


# ---- reach ----

@pytest.mark.parametrize("principal, within", [
    ("self", ["acme"]), ("sub", ["acme", "acme-labs"]), ("labs-self", ["acme-labs"]), ("labs-sub", ["acme-labs"]),
    ("all", ["acme", "acme-labs", "globex"]), ("asleep-self", [])])
def test_reach(doors, principal, within):
    for tenant in ("acme", "acme-labs", "globex"):
        if tenant in within:
            assert doors.speaks_for(user=f"{principal}.{tenant}") == tenant
        else:
            assert doors.refusal(user=f"{principal}.{tenant}") == "BH-ID-REACH"


def test_reach_is_about_the_tenant_that_was_chosen_in_the_end(doors):
    assert doors.refusal("fixed", user="labs-self") == "BH-ID-REACH"
    assert doors.speaks_for("fixed", user="labs-self", tenant="acme-labs") == "acme-labs"


# ---- status ----

@pytest.mark.parametrize("tenant", ASLEEP)
def test_a_tenant_that_is_not_active_is_refused(doors, tenant):
    assert doors.refusal(user=f"shop.{tenant}") == "BH-ID-INACTIVE"
    assert doors.refusal(user=f"self.{tenant}") == "BH-ID-REACH"  # whose tenant it is not learns nothing of its status


@pytest.mark.parametrize("keys, sqlstate", [
    ({"user": "shop.asleep"}, "28000"), ({"user": "shop.old"}, "28000"), ({"user": "self.globex"}, "28000"),
    ({"user": "shop"}, "28000"), ({"user": "shop.nosuch"}, "3D000"), ({"user": "shop.acme", "database": "x"}, "3D000"),
    ({"user": "shop.acme", "bulkhead.tenant": "globex"}, "42501"), ({"user": "nobody.acme"}, "28P01"),
    ({"user": "shop.acme", "bulkhead.tenant": ""}, "08P01"), ({"user": "shop." + "x" * 256}, "08P01"),
])
def test_sqlstates_of_refusals(stand, doors, keys, sqlstate):
    with Wire.connect(HOST, doors.proxy.port) as wire:
        with pytest.raises(WireError) as refused:
            wire.login({"database": DATABASE, **keys}, password=stand.password)
        assert refused.value.sqlstate == sqlstate
        assert refused.value.fields["S"] == refused.value.fields["V"] == "FATAL"
        assert wire.until_end() == []


@pytest.mark.parametrize("word", ["'", '"', "a\\b", "$1", "%", "acme'--", "acme;", "acme ", " acme", "ACME", "*",
                                  "x" * 255, "\u202e", b"\xff\xfe", b"acme\xff", b"\x01\x7f"])
def test_hostile_names_of_tenants_and_principals(stand, doors, word):
    word = word if isinstance(word, bytes) else word.encode()
    for keys in ({"user": b"shop." + word}, {"user": "shop", "bulkhead.tenant": word}, {"user": word + b".acme"}):
        with Wire.connect(HOST, doors.proxy.port) as wire:
            with pytest.raises(WireError) as refused:
                wire.login({"database": DATABASE, **keys}, password=stand.password)
            assert refused.value.sqlstate in ("3D000", "28P01", "08P01"), keys
    assert doors.speaks_for(user="shop.acme") == "acme"
