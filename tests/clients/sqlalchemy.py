#!/usr/bin/python3
"""SQLAlchemy over psycopg2 and asyncpg: sessions, savepoints, its pool's resets and pings, reflection."""

import asyncio
import time
from contextlib import contextmanager

import sqlalchemy
from sqlalchemy import BigInteger, Column, Integer, Text, create_engine, event, func, insert, inspect, select, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.orm import Session, declarative_base

from steps import DATABASE, FOUR, HOST, ITEMS, OTHER, OWN, PASSWORD, PORT, RUN, own, raises, run, same, step

Base = declarative_base()


class Item(Base):
    __tablename__ = "item"
    id = Column(Integer, primary_key=True)
    tenant = Column(Text)
    name = Column(Text)
    tags = Column(ARRAY(Text))
    doc = Column(JSONB)


class Note(Base):
    __tablename__ = "note"
    id = Column(BigInteger, primary_key=True)
    tenant = Column(Text)
    run = Column(Text)
    amount = Column(Integer)
    body = Column(Text)


def url(tenant=OWN, driver="psycopg2", password=PASSWORD):
    return URL.create(f"postgresql+{driver}", tenant.user, password, HOST, PORT, DATABASE)


@contextmanager
def engine(tenant=OWN, **more):
    made = create_engine(url(tenant), future=True, **more)
    try:
        yield made
    finally:
        made.dispose()


def note(amount, body):
    return Note(tenant=OWN.name, run=RUN, amount=amount, body=body)


def notes(session, body):
    find = select(Note.tenant, Note.amount).where(Note.run == RUN, Note.body == body).order_by(Note.amount)
    return [amount for amount, in own(session.execute(find))]


def three(connection, tenant=OWN):
    same(len(own(connection.execute(select(Item.tenant).where(Item.id < 4)), tenant)), 3)


@step("connect/login")
def _():
    with engine() as made, made.connect() as connection:
        same(len(own(connection.execute(select(Item.tenant)))), ITEMS)
        same(made.dialect.server_version_info[0] >= 15, True)


@step("connect/wrong-password")
def _():
    made = create_engine(url(password="wrong"), future=True)
    with raises(OperationalError, "password authentication failed"):
        made.connect()


@step("connect/startup-settings")
def _():
    with engine(connect_args={"options": "-c statement_timeout=12345"}) as made:
        for _ in range(3):
            with made.connect() as connection:
                same(connection.scalar(text("SHOW statement_timeout")), "12345ms")


@step("connect/reflection")
def _():
    with engine() as made:
        seen = inspect(made)
        same([column["name"] for column in seen.get_columns("note")],
             ["tenant_id", "id", "tenant", "run", "amount", "body"])
        same(seen.get_pk_constraint("note")["constrained_columns"], ["tenant_id", "id"])


@step("transactions/commit")
def _():
    with engine(isolation_level="REPEATABLE READ") as made, Session(made) as session:
        added = note(1, "commit")
        session.add(added)
        session.flush()
        same(session.scalar(text("SHOW transaction_isolation")), "repeatable read")
        session.commit()
        same((added.tenant, added.amount), (OWN.name, 1))  # read again, in another transaction
        added.body = "changed"
        session.commit()
        same(notes(session, "changed"), [1])


@step("transactions/rollback")
def _():
    with engine() as made, Session(made) as session:
        with raises(IntegrityError), session.begin():
            session.add_all([note(2, "rollback"), note(2, "rollback")])
        same(notes(session, "rollback"), [])


@step("transactions/autocommit")
def _():
    with engine(isolation_level="AUTOCOMMIT") as made, made.connect() as connection:
        connection.execute(insert(Note).values(tenant=OWN.name, run=RUN, amount=3, body="autocommit"))
        with raises(IntegrityError):
            connection.execute(insert(Note).values(tenant=OWN.name, run=RUN, amount=3, body="autocommit"))
        same(notes(connection, "autocommit"), [3])


@step("savepoints/nested")
def _():
    with engine() as made, Session(made) as session:
        session.add(note(10, "nested"))
        with raises(IntegrityError), session.begin_nested():
            session.add(note(10, "nested"))
        with session.begin_nested():
            session.add(note(11, "nested"))
        session.commit()
        same(notes(session, "nested"), [10, 11])


@step("prepared/asyncpg")
async def _():
    """Over asyncpg every statement is prepared by name, and kept by the pool's connections."""
    async def work(made, tenant, n):
        async with made.begin() as connection:
            rows = await connection.execute(select(Item.tenant, Item.id).where(Item.id == n))
            same(own(rows, tenant), [(n,)])

    engines = [create_async_engine(url(tenant, "asyncpg"), pool_size=3) for tenant in (OWN, OTHER)]
    for _ in range(2):
        await asyncio.gather(*(work(made, tenant, n) for n in range(1, 11)
                               for made, tenant in zip(engines, (OWN, OTHER))))
    for made in engines:
        await made.dispose()


@step("batch/insert-many")
def _():
    with engine(executemany_mode="values_only") as made, Session(made) as session:
        session.bulk_save_objects([note(100 + n, "batch") for n in range(300)])
        session.commit()
        same(notes(session, "batch"), list(range(100, 400)))
        rows = session.execute(insert(Note).values([{"tenant": OWN.name, "run": RUN, "amount": n, "body": "many"}
                                                    for n in range(500, 520)]).returning(Note.tenant, Note.amount))
        same(own(rows), [(n,) for n in range(500, 520)])
        session.rollback()


@step("cursor/stream-results")
def _():
    """A named cursor with a growing buffer."""
    with engine() as made, made.connect() as connection:
        rows = connection.execution_options(stream_results=True, max_row_buffer=100).execute(
            select(Item.tenant, Item.id).order_by(Item.id))
        same(own(rows), [(n,) for n in range(1, ITEMS + 1)])


@step("cursor/yield-per")
def _():
    with engine() as made, Session(made) as session:
        same(own((item.tenant, item.id) for item in session.query(Item).order_by(Item.id).yield_per(50)),
             [(n,) for n in range(1, ITEMS + 1)])


@step("cancel/timeout")
def _():
    with engine() as made:
        with raises(OperationalError, "statement timeout"), made.begin() as connection:
            connection.execute(text("SET LOCAL statement_timeout = 150"))
            connection.execute(text("SELECT pg_sleep(30)"))
        with made.connect() as connection:
            three(connection)


@step("settings/on-connect")
def _():
    """SET for each new connection of the pool, as applications do it; kept while others are served."""
    with engine(pool_size=3) as made, engine(OTHER, pool_size=3) as others:
        @event.listens_for(made, "connect")
        def _(connection, _):
            with connection.cursor() as cursor:
                cursor.execute("SET TIME ZONE 'Asia/Tokyo'")
            connection.commit()

        for _ in range(4):
            with made.connect() as connection:
                same(connection.scalar(text("SHOW TimeZone")), "Asia/Tokyo")
                three(connection)
            with others.connect() as connection:
                same(connection.scalar(text("SHOW TimeZone")) == "Asia/Tokyo", False)
                three(connection, OTHER)


@step("settings/transaction")
def _():
    with engine() as made:
        with made.begin() as connection:
            connection.execute(select(func.set_config("work_mem", "1MB", True)))
            same(connection.scalar(text("SHOW work_mem")), "1MB")
        with made.begin() as connection:
            same(connection.scalar(text("SHOW work_mem")), "4MB")


@step("reset/return-to-pool")
def _():
    """What is open when a connection goes back is rolled back."""
    with engine(pool_size=1, max_overflow=0) as made:
        with made.connect() as connection:
            connection.execute(insert(Note).values(tenant=OWN.name, run=RUN, amount=600, body="returned"))
        with made.connect() as connection:
            same(notes(connection, "returned"), [])


@step("reset/discard-all")
def _():
    with engine(pool_size=1) as made:
        @event.listens_for(made, "checkin")
        def _(connection, _):
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute("DISCARD ALL")
            connection.autocommit = False

        for _ in range(3):
            with made.connect() as connection:
                same(connection.scalar(text("SHOW work_mem")), "4MB")
                connection.execute(text("SET work_mem = '1MB'"))
                connection.commit()
                three(connection)


@step("reconnect/pre-ping")
def _():
    with engine(pool_pre_ping=True, pool_size=1) as made:
        with raises(DBAPIError), made.begin() as connection:
            connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = 100"))
            time.sleep(0.5)
            connection.execute(text("SELECT 1"))
        for _ in range(3):
            with made.connect() as connection:
                three(connection)


@step("reconnect/many")
def _():
    for turn in range(8):
        with engine(FOUR[turn % 4]) as made, made.connect() as connection:
            three(connection, FOUR[turn % 4])


run(sqlalchemy.__version__)
