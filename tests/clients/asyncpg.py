#!/usr/bin/python3
"""asyncpg: everything binary and prepared, Flush between Parse and Bind, portals, pools that reset, binary COPY."""

import asyncio
import io
from contextlib import asynccontextmanager
from datetime import datetime, timezone
from decimal import Decimal

import asyncpg

from steps import DATABASE, FOUR, HOST, ITEMS, OTHER, OWN, PASSWORD, PORT, RUN, own, raises, run, same, step

INSERT = "INSERT INTO note (tenant, run, amount, body) VALUES ($1, $2, $3, $4)"
NOTES = "SELECT tenant, amount FROM note WHERE run = $1 AND body = $2 ORDER BY amount"
FIND = "SELECT tenant, name FROM item WHERE id = $1"


def parameters(tenant=OWN, **more):
    return {"host": HOST, "port": PORT, "database": DATABASE, "user": tenant.user, "password": PASSWORD, **more}


@asynccontextmanager
async def connect(tenant=OWN, **more):
    connection = await asyncpg.connect(**parameters(tenant, **more))
    try:
        yield connection
    finally:
        await connection.close(timeout=10)


async def notes(connection, body):
    return [amount for amount, in own(await connection.fetch(NOTES, RUN, body))]


async def three(connection, tenant=OWN):
    """Some rows, to see that the connection serves."""
    same(len(own(await connection.fetch("SELECT tenant FROM item WHERE id < 4"), tenant)), 3)


@step("connect/login")
async def _():
    async with connect() as connection:
        same(len(own(await connection.fetch("SELECT tenant FROM item"))), ITEMS)
        same(connection.get_settings().client_encoding, "UTF8")
        same(connection.get_server_version().major >= 15, True)


@step("connect/wrong-password")
async def _():
    with raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(**parameters(password="wrong"))


@step("connect/unknown-database")
async def _():
    with raises(asyncpg.InvalidCatalogNameError):
        await asyncpg.connect(**parameters(database="nowhere"))


@step("connect/startup-settings")
async def _():
    settings = {"application_name": "asyncpg script", "statement_timeout": "12345", "app.word": "two words",
                "search_path": "pg_catalog, public"}
    async with connect(server_settings=settings) as connection, connect() as plain:
        for _ in range(2):
            for name, expected in {**settings, "statement_timeout": "12345ms"}.items():
                same(await connection.fetchval("SELECT current_setting($1)", name), expected)
            same(await plain.fetchval("SHOW statement_timeout"), "0")


@step("transactions/commit")
async def _():
    async with connect() as connection:
        async with connection.transaction(isolation="repeatable_read"):
            await connection.execute(INSERT, OWN.name, RUN, 1, "commit")
            same(await connection.fetchval("SHOW transaction_isolation"), "repeatable read")
        same(connection.is_in_transaction(), False)
        same(await notes(connection, "commit"), [1])


@step("transactions/rollback")
async def _():
    async with connect() as connection:
        with raises(asyncpg.UniqueViolationError):
            async with connection.transaction():
                await connection.execute(INSERT, OWN.name, RUN, 2, "rollback")
                await connection.execute(INSERT, OWN.name, RUN, 2, "rollback")
        same(await notes(connection, "rollback"), [])
        with raises(asyncpg.ReadOnlySQLTransactionError):
            async with connection.transaction(readonly=True):
                await connection.execute(INSERT, OWN.name, RUN, 3, "rollback")


@step("transactions/error")
async def _():
    async with connect() as connection:
        transaction = connection.transaction()
        await transaction.start()
        with raises(asyncpg.DivisionByZeroError):
            await connection.fetchval("SELECT 1 / $1::int", 0)
        with raises(asyncpg.InFailedSQLTransactionError):
            await connection.fetchval("SELECT 1")
        await transaction.rollback()
        await three(connection)


@step("savepoints/nested")
async def _():
    async with connect() as connection:
        async with connection.transaction():
            for amount in (10, 11, 12):
                inner = connection.transaction()
                await inner.start()
                await connection.execute(INSERT, OWN.name, RUN, amount, "nested")
                await (inner.rollback() if amount == 11 else inner.commit())
            with raises(asyncpg.UniqueViolationError):
                async with connection.transaction():
                    await connection.execute(INSERT, OWN.name, RUN, 10, "nested")
        same(await notes(connection, "nested"), [10, 12])


@step("prepared/types")
async def _():
    async with connect() as connection:
        statement = await connection.prepare("SELECT tenant, price, made, tags, doc FROM item "
                                             "WHERE id = ANY ($1::int[])")
        same([kind.name for kind in statement.get_parameters()], ["int4[]"])
        same([column.name for column in statement.get_attributes()], ["tenant", "price", "made", "tags", "doc"])
        rows = own(await statement.fetch([7]))
        same(rows, [(Decimal("7.25"), datetime(2026, 1, 1, 7, tzinfo=timezone.utc), [OWN.name, "tag 0"],
                     f'{{"n": 7, "tenant": "{OWN.name}"}}')])


@step("prepared/kept-while-idle")
async def _():
    connections = [await asyncpg.connect(**parameters(tenant)) for tenant in FOUR]
    statements = [await connection.prepare(f"SELECT tenant, id + {number} FROM item WHERE id = $1")
                  for number, connection in enumerate(connections)]
    for turn in range(1, 5):
        for number, (connection, statement, tenant) in enumerate(zip(connections, statements, FOUR)):
            same(own(await statement.fetch(turn), tenant), [(turn + number,)])
            same(own(await connection.fetch(FIND, turn), tenant), [(f"{tenant.name} {turn}",)])
            async with connection.transaction():
                same(own(await statement.fetch(turn), tenant), [(turn + number,)])
    for connection in connections:
        await connection.close()


@step("prepared/many")
async def _():
    """More than its cache holds: it closes the eldest."""
    async with connect(statement_cache_size=10) as connection:
        for _ in range(2):
            for n in range(1, 31):
                same(own(await connection.fetch(f"SELECT tenant, {n} FROM item WHERE id = $1", n)), [(n,)])


@step("prepared/after-error")
async def _():
    async with connect() as connection:
        divide = await connection.prepare("SELECT 10 / $1::int")
        same(await divide.fetchval(5), 2)
        with raises(asyncpg.DivisionByZeroError):
            await divide.fetchval(0)
        with raises(asyncpg.PostgresSyntaxError):
            await connection.prepare("SELECT FROM WHERE $1")
        same(await divide.fetchval(2), 5)


@step("batch/executemany")
async def _():
    async with connect() as connection:
        await connection.executemany(INSERT, [(OWN.name, RUN, 100 + n, "batch") for n in range(300)])
        same(await notes(connection, "batch"), list(range(100, 400)))
        with raises(asyncpg.UniqueViolationError):
            await connection.executemany(INSERT, [(OWN.name, RUN, n, "batch error") for n in (500, 501, 100, 502)])
        same(await notes(connection, "batch error"), [])


@step("batch/script")
async def _():
    """execute() without arguments is one simple query."""
    async with connect() as connection:
        same(await connection.execute(f"SELECT 1; INSERT INTO note (tenant, run, amount, body) VALUES "
                                      f"('{OWN.name}', '{RUN}', 600, 'script'); -- end"), "INSERT 0 1")
        same(await notes(connection, "script"), [600])


@step("cursor/iterate")
async def _():
    async with connect() as connection, connection.transaction():
        rows = [row async for row in connection.cursor("SELECT tenant, id FROM item WHERE id > $1 ORDER BY id", 10)]
        same(own(rows), [(n,) for n in range(11, ITEMS + 1)])


@step("cursor/fetch")
async def _():
    async with connect() as connection, connection.transaction():
        cursor = await connection.cursor("SELECT tenant, id FROM item ORDER BY id")
        same(own(await cursor.fetch(5)), [(n,) for n in range(1, 6)])
        same(await connection.fetchval("SELECT 42"), 42)
        same(await cursor.forward(10), 10)
        same(own([await cursor.fetchrow()]), [(16,)])


@step("copy/out")
async def _():
    async with connect() as connection:
        for how in ("text", "csv", "binary"):
            output = io.BytesIO()
            await connection.copy_from_query("SELECT tenant, id FROM item WHERE id <= $1", 600, output=output,
                                             format=how)
            if how != "binary":
                lines = output.getvalue().decode().splitlines()
                same(len(own(line.replace(",", "\t").split("\t") for line in lines)), 600)
            same(output.getvalue().count(OWN.name.encode()), 600)
            same(output.getvalue().count(OTHER.name.encode()), 0)
        output = io.BytesIO()
        await connection.copy_from_table("item", columns=["tenant"], output=output)
        same(output.getvalue(), f"{OWN.name}\n".encode() * ITEMS)


@step("copy/in")
async def _():
    async with connect() as connection:
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute("CREATE TEMP TABLE incoming (amount int, body text) ON COMMIT DROP")
        rows = [(n, "copy") for n in range(2000)]
        same(await connection.copy_records_to_table("incoming", records=rows), "COPY 2000")
        same(await connection.copy_to_table("incoming", source=io.BytesIO(b"5000,copy\n"), format="csv"), "COPY 1")
        await connection.execute("INSERT INTO note (tenant, run, amount, body) SELECT $1, $2, 1000 + amount, body "
                                 "FROM incoming", OWN.name, RUN)
        same(await notes(connection, "copy"), [*range(1000, 3000), 6000])
        await transaction.rollback()


@step("copy/in-error")
async def _():
    async with connect() as connection:
        with raises(asyncpg.BadCopyFileFormatError):
            async with connection.transaction():
                await connection.execute("CREATE TEMP TABLE incoming (amount int) ON COMMIT DROP")
                await connection.copy_to_table("incoming", source=io.BytesIO(b"1\n2\t3\n" * 1000))
        with raises(asyncpg.FeatureNotSupportedError):
            await connection.copy_to_table("note", columns=["amount"], source=io.BytesIO(b"1\n"))
        await three(connection)


@step("cancel/timeout")
async def _():
    """asyncpg cancels what has run out of its own time."""
    async with connect() as connection:
        for _ in range(2):
            with raises(asyncio.TimeoutError):
                await connection.fetchval("SELECT pg_sleep(30)", timeout=0.3)
            await three(connection)


@step("cancel/task")
async def _():
    async with connect() as connection:
        task = asyncio.ensure_future(connection.execute("SELECT pg_sleep(30)"))
        await asyncio.sleep(0.4)
        task.cancel()
        try:
            await task
            raise AssertionError("not cancelled")
        except asyncio.CancelledError:
            pass
        await three(connection)


@step("settings/kept-while-idle")
async def _():
    zones = ("Asia/Tokyo", "Europe/Paris", "America/Lima", "Africa/Cairo")
    connections = [await asyncpg.connect(**parameters(tenant)) for tenant in FOUR]
    for connection, zone in zip(connections, zones):
        await connection.execute(f"SET TimeZone = '{zone}'")
        await connection.fetchval("SELECT set_config('app.zone', $1, false)", zone)
    for _ in range(3):
        for connection, tenant, zone in zip(connections, FOUR, zones):
            same(await connection.fetchval("SHOW TimeZone"), zone)
            same(await connection.fetchval("SELECT current_setting('app.zone')"), zone)
            same(getattr(connection.get_settings(), "TimeZone"), zone)
            await three(connection, tenant)
    for connection in connections:
        await connection.close()


@step("settings/transaction")
async def _():
    async with connect() as connection:
        async with connection.transaction():
            await connection.execute("SET LOCAL work_mem = '1MB'")
            same(await connection.fetchval("SHOW work_mem"), "1MB")
        same(await connection.fetchval("SHOW work_mem"), "4MB")


@step("session/advisory-lock")
async def _():
    async with connect() as connection:
        await connection.execute("SELECT pg_advisory_lock($1)", hash(RUN) % 1000000)
        await three(connection)
        same(await connection.fetchval("SELECT pg_advisory_unlock($1)", hash(RUN) % 1000000), True)


@step("reset/reset")
async def _():
    async with connect() as connection:
        await connection.fetch(FIND, 1)
        await connection.execute("SET work_mem = '1MB'")
        await connection.reset()
        same(await connection.fetchval("SHOW work_mem"), "4MB")
        same(own(await connection.fetch(FIND, 2)), [(f"{OWN.name} 2",)])


@step("reset/deallocate-all")
async def _():
    """In SQL, behind the back of the driver: its statements are gone, and it is told so."""
    async with connect() as connection:
        statement = await connection.prepare(FIND)
        await connection.execute("DEALLOCATE ALL")
        with raises(asyncpg.InvalidSQLStatementNameError):
            await statement.fetch(1)
        await connection.execute("DISCARD ALL")
        await connection.reload_schema_state()
        same(own(await connection.fetch(FIND, 2)), [(f"{OWN.name} 2",)])


@step("reconnect/pool")
async def _():
    """Two pools of more connections than there are backends; each release resets."""
    async def work(pool, tenant, n):
        async with pool.acquire() as connection:
            async with connection.transaction():
                await connection.execute(f"SET LOCAL work_mem = '{64 + n}kB'")
                same(own(await connection.fetch(FIND, n), tenant), [(f"{tenant.name} {n}",)])
                same(await connection.fetchval("SHOW work_mem"), f"{64 + n}kB")
            await connection.execute("SET work_mem = '1MB'")

    async with asyncpg.create_pool(**parameters(OWN), min_size=3, max_size=4) as pool_a, \
            asyncpg.create_pool(**parameters(OTHER), min_size=3, max_size=4) as pool_b:
        await asyncio.gather(*(work(pool, tenant, n) for n in range(1, 21)
                               for pool, tenant in ((pool_a, OWN), (pool_b, OTHER))))


@step("reconnect/ended-by-server")
async def _():
    connection = await asyncpg.connect(**parameters())
    await connection.execute("BEGIN; SET LOCAL idle_in_transaction_session_timeout = 100")
    await asyncio.sleep(0.5)
    same(connection.is_closed(), True)
    async with connect() as again:
        await three(again)


@step("reconnect/many")
async def _():
    for turn in range(12):
        async with connect(FOUR[turn % 4]) as connection:
            await three(connection, FOUR[turn % 4])


run(asyncpg.__version__)
