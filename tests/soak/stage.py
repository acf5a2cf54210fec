"""
What the soak works on: tenants in two databases of one server, and tables in which nothing is lost unseen.

    soak_row      each tenant's own ROWS rows, never changed: whoever reads sees all of its own and no other
    soak_counter  one row for each client, which only that client changes
    soak_event    one row for each step of a counter, written in the same transaction, under the step's token
    soak_inbox    lines that came by COPY, which PostgreSQL refuses on tables with row security
"""

from harness.stand import DATABASE, Stand

ROWS = 20
ANNEX = "annex"
HOMES = {"acme": DATABASE, "acme-labs": DATABASE, "globex": DATABASE, "north": ANNEX, "south": ANNEX}

TABLES = """
CREATE TABLE soak_row (
    tenant_id uuid NOT NULL, id int NOT NULL, item text NOT NULL, PRIMARY KEY (tenant_id, id));
CREATE TABLE soak_counter (
    tenant_id uuid NOT NULL, client int NOT NULL, value bigint NOT NULL, PRIMARY KEY (tenant_id, client));
CREATE TABLE soak_event (
    tenant_id uuid NOT NULL, token text NOT NULL, client int NOT NULL, PRIMARY KEY (tenant_id, token));
CREATE TABLE soak_inbox (token text NOT NULL);
ALTER TABLE soak_row OWNER TO shop_owner;
ALTER TABLE soak_counter OWNER TO shop_owner;
ALTER TABLE soak_event OWNER TO shop_owner;
SELECT bulkhead.protect('soak_row', 'tenant_id');
SELECT bulkhead.protect('soak_counter', 'tenant_id');
SELECT bulkhead.protect('soak_event', 'tenant_id');
GRANT SELECT, INSERT, UPDATE ON soak_row, soak_counter, soak_event, soak_inbox TO bulkhead_app;
"""

# A backend that is killed takes the server through recovery; what was committed by then must be there afterwards.
SETTINGS = {"restart_after_crash": "on", "synchronous_commit": "on", "max_connections": "60"}


def items(tenant):
    """What a tenant sees in soak_row, in order."""
    return [f"{tenant} {n}" for n in range(1, ROWS + 1)]


def build(template, clients):
    """The stand with its tables; clients are numbered, and clients[n] is the tenant of client n."""
    stand = Stand(template, settings=SETTINGS).start()
    stand.cluster(ANNEX)
    for tenant, home in HOMES.items():
        if home == ANNEX:
            stand.tenant(tenant, cluster=ANNEX)
    for database in (DATABASE, ANNEX):
        with stand.admin(database) as admin:
            admin.execute(TABLES)
            for tenant in (tenant for tenant, home in HOMES.items() if home == database):
                admin.execute("INSERT INTO soak_row SELECT %s, n, %s || ' ' || n FROM generate_series(1, %s) n",
                              (stand.ids[tenant], tenant, ROWS))
            for number, tenant in enumerate(clients):
                if HOMES[tenant] == database:
                    admin.execute("INSERT INTO soak_counter VALUES (%s, %s, 0)", (stand.ids[tenant], number))
    return stand


# ---- what became of what clients were told ----

def faults(stand, clients):
    """Everything that is in the tables and should not be, or is missing, as lines of text. Nobody works meanwhile."""
    found = []
    for database in (DATABASE, ANNEX):
        here = [client for client in clients if HOMES[client.tenant] == database]
        with stand.admin(database) as admin:
            counters = admin.execute("SELECT client, value FROM soak_counter").fetchall()
            events = admin.execute("SELECT tenant_id::text, client, token FROM soak_event").fetchall()
            inbox = admin.execute("SELECT token, count(*) FROM soak_inbox GROUP BY token").fetchall()
        found += _faults_here(stand, here, dict(counters), events, dict(inbox))
    return found


def _faults_here(stand, clients, counters, events, inbox):
    by_client = {client.number: set() for client in clients}
    for tenant_id, number, token in events:
        by_client[number].add((tenant_id, token))
    for client in clients:
        events_of = by_client[client.number]
        tokens = {token for _, token in events_of}
        if {tenant_id for tenant_id, _ in events_of} - {stand.ids[client.tenant]}:
            yield f"client {client.number} of {client.tenant} has written as another tenant"
        if counters[client.number] != len(tokens):
            yield f"client {client.number}: the counter says {counters[client.number]} of {len(tokens)} events"
        yield from client.account.faults(counters[client.number], tokens)
        yield from client.inbox.faults({token: count for token, count in inbox.items() if client.owns(token)})
