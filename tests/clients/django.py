#!/usr/bin/python3
"""Django's ORM over psycopg2: atomic blocks, iterators with WITH HOLD cursors, select_for_update, introspection."""

import io
import time

import django
from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, IntegrityError, InterfaceError, OperationalError
from django.db import connections, models, transaction

from steps import DATABASE, HOST, ITEMS, OTHER, OWN, PASSWORD, PORT, RUN, own, raises, run, same, step


def database(tenant, **more):
    return {"ENGINE": "django.db.backends.postgresql", "HOST": HOST, "PORT": PORT, "NAME": DATABASE,
            "USER": tenant.user, "PASSWORD": PASSWORD, **more}


settings.configure(USE_TZ=True, TIME_ZONE="Asia/Tokyo", DEFAULT_AUTO_FIELD="django.db.models.BigAutoField", DATABASES={
    DEFAULT_DB_ALIAS: database(OWN, CONN_MAX_AGE=None),
    "other": database(OTHER, CONN_MAX_AGE=None),
    "short": database(OWN),
    "serializable": database(OWN, OPTIONS={"isolation_level": 3, "options": "-c statement_timeout=12345"}),
    "wrong": {**database(OWN), "PASSWORD": "wrong"},
})
django.setup()


class Item(models.Model):
    id = models.IntegerField(primary_key=True)
    tenant = models.TextField()
    name = models.TextField()
    price = models.DecimalField(max_digits=10, decimal_places=2)
    made = models.DateTimeField()
    doc = models.JSONField()

    class Meta:
        app_label = "clients"
        db_table = "item"
        managed = False


class Note(models.Model):
    tenant = models.TextField()
    run = models.TextField()
    amount = models.IntegerField()
    body = models.TextField(null=True)

    class Meta:
        app_label = "clients"
        db_table = "note"
        managed = False


def note(amount, body):
    return Note(tenant=OWN.name, run=RUN, amount=amount, body=body)


def notes(body, using=DEFAULT_DB_ALIAS):
    rows = Note.objects.using(using).filter(run=RUN, body=body).order_by("amount").values_list("tenant", "amount")
    return [amount for amount, in own(rows)]


def value(statement, using=DEFAULT_DB_ALIAS):
    with connections[using].cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchone()[0]


def three(using=DEFAULT_DB_ALIAS, tenant=OWN):
    same(len(own(Item.objects.using(using).filter(id__lt=4).values_list("tenant"), tenant)), 3)


@step("connect/login")
def _():
    same(len(own(Item.objects.values_list("tenant"))), ITEMS)
    three("other", OTHER)
    same(value("SHOW TimeZone"), "UTC")


@step("connect/wrong-password")
def _():
    with raises(OperationalError, "password authentication failed"):
        three("wrong")


@step("connect/startup-settings")
def _():
    for _ in range(3):
        same(value("SHOW statement_timeout", "serializable"), "12345ms")
        with transaction.atomic("serializable"):
            same(value("SHOW transaction_isolation", "serializable"), "serializable")


@step("connect/introspection")
def _():
    connection = connections[DEFAULT_DB_ALIAS]
    with connection.cursor() as cursor:
        same("note" in connection.introspection.table_names(cursor), True)
        columns = connection.introspection.get_table_description(cursor, "note")
        same([column.name for column in columns], ["tenant_id", "id", "tenant", "run", "amount", "body"])
        same(len(connection.introspection.get_constraints(cursor, "note")) >= 2, True)


@step("transactions/atomic")
def _():
    with transaction.atomic():
        note(1, "atomic").save()
        same(notes("atomic"), [1])
    with raises(IntegrityError), transaction.atomic():
        note(2, "atomic").save()
        note(2, "atomic").save()
    same(notes("atomic"), [1])


@step("transactions/on-commit")
def _():
    done = []
    with transaction.atomic():
        transaction.on_commit(lambda: done.append(notes("on commit")))
        note(3, "on commit").save()
    same(done, [[3]])


@step("transactions/for-update")
def _():
    note(4, "locked").save()
    with transaction.atomic():
        row = Note.objects.select_for_update().get(run=RUN, amount=4)
        same(row.tenant, OWN.name)
        row.body = "unlocked"
        row.save()
    same(notes("unlocked"), [4])


@step("savepoints/nested")
def _():
    with transaction.atomic():
        note(10, "nested").save()
        with raises(IntegrityError), transaction.atomic():
            note(10, "nested").save()
        with transaction.atomic():
            note(11, "nested").save()
            point = transaction.savepoint()
            note(12, "nested").save()
            transaction.savepoint_rollback(point)
    same(notes("nested"), [10, 11])


@step("batch/bulk")
def _():
    made = Note.objects.bulk_create([note(100 + n, "bulk") for n in range(300)], batch_size=90)
    same(all(row.pk for row in made), True)
    for row in made:
        row.body = "changed"
    Note.objects.bulk_update(made, ["body"], batch_size=100)
    same(notes("changed"), list(range(100, 400)))
    same(Note.objects.filter(run=RUN, body="changed").delete()[0], 300)


@step("cursor/iterator")
def _():
    """A WITH HOLD cursor outside a transaction, a plain one inside."""
    same(own(Item.objects.order_by("id").values_list("tenant", "id").iterator(chunk_size=70)),
         [(n,) for n in range(1, ITEMS + 1)])
    with transaction.atomic():
        same(len(own(Item.objects.values_list("tenant", "id").iterator(chunk_size=70))), ITEMS)


@step("cursor/interleaved")
def _():
    """Between two pieces of an iterator other statements run, also of another tenant."""
    seen = 0
    for item in Item.objects.order_by("id").iterator(chunk_size=300):
        same(item.tenant, OWN.name)
        seen += 1
        if seen % 250 == 0:
            three()
    same(seen, ITEMS)


@step("copy/raw-cursor")
def _():
    with transaction.atomic(), connections[DEFAULT_DB_ALIAS].cursor() as cursor:
        cursor.execute("CREATE TEMP TABLE incoming (amount int) ON COMMIT DROP")
        cursor.copy_from(io.StringIO("".join(f"{n}\n" for n in range(500))), "incoming")
        cursor.execute("INSERT INTO note (tenant, run, amount, body) SELECT %s, %s, 1000 + amount, 'copy' "
                       "FROM incoming", (OWN.name, RUN))
        same(notes("copy"), list(range(1000, 1500)))
        transaction.set_rollback(True)


@step("cancel/timeout")
def _():
    with raises(OperationalError, "statement timeout"), transaction.atomic():
        value("SET LOCAL statement_timeout = 150; SELECT pg_sleep(30)")
    three()


@step("settings/kept-while-idle")
def _():
    """Django's own time zone, and a setting of the application's as its middleware would make it."""
    value("SELECT set_config('app.word', 'mine', false)")
    value("SELECT set_config('app.word', 'theirs', false)", "other")
    for _ in range(3):
        for using, tenant, word in ((DEFAULT_DB_ALIAS, OWN, "mine"), ("other", OTHER, "theirs")):
            same(value("SELECT current_setting('app.word')", using), word)
            same(value("SHOW TimeZone", using), "UTC")
            three(using, tenant)


@step("reconnect/each-request")
def _():
    """CONN_MAX_AGE = 0: a connection for each request."""
    for _ in range(10):
        three("short")
        connections["short"].close()


@step("reconnect/ended-by-server")
def _():
    with raises((OperationalError, InterfaceError)), transaction.atomic():
        with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
            cursor.execute("SET LOCAL idle_in_transaction_session_timeout = 100")
        time.sleep(0.5)
        value("SELECT 1")
    connections[DEFAULT_DB_ALIAS].close_if_unusable_or_obsolete()
    three()


run(django.get_version())
