"""A tenant with a database of its own migrates it through the gate: Django, ActiveRecord, pg_dump and back."""

import os
import subprocess
import textwrap

import pytest
from harness.postgres import HOST

DATABASE, LOGIN = "migrated", "migrated_login"


@pytest.fixture(name="proxy", scope="module")
def fixture_proxy(stand):
    with stand.admin("postgres") as admin:
        admin.execute(f"CREATE ROLE {LOGIN} LOGIN")
        for name in (DATABASE, "restored"):
            admin.execute(f"CREATE DATABASE {name} OWNER {LOGIN}")
    with stand.admin() as admin:
        admin.execute("INSERT INTO bulkhead_control.cluster (name) VALUES ('migrated'), ('restored')")
    sections = {"gate": {"mode": "enforce"}}
    for name in (DATABASE, "restored"):
        stand.tenant(name, cluster=name, strategy="database", no_provision=True)
        sections[f"cluster:{name}"] = {"host": stand.postgres.socket_dir, "port": stand.postgres.port,
                                       "database": name, "login": LOGIN, "tenant": name}
    with stand.proxy(**sections) as proxy:
        yield proxy
    with stand.admin("postgres") as admin:
        for name in (DATABASE, "restored"):
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
        admin.execute(f"DROP ROLE {LOGIN}")


def refusals(proxy):
    return [(event["reason"], event["rule"]) for event in proxy.events("statement.refused")]


def run(proxy, command, tenant=DATABASE, stdin=None):
    environment = {**os.environ, "PGHOST": HOST, "PGPORT": str(proxy.port), "PGUSER": f"shop.{tenant}",
                   "PGPASSWORD": proxy.stand.password, "PGDATABASE": tenant}
    done = subprocess.run(command, input=stdin, text=True, capture_output=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


DJANGO = textwrap.dedent("""
    import os, django
    from django.conf import settings
    from django.core.management import call_command
    e = os.environ
    settings.configure(
        USE_TZ=True, SECRET_KEY="x", DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        INSTALLED_APPS=["django.contrib." + app for app in ("contenttypes", "auth", "sessions", "sites", "admin",
                                                            "messages", "redirects", "flatpages", "postgres")],
        DATABASES={"default": {"ENGINE": "django.db.backends.postgresql", "HOST": e["PGHOST"], "PORT": e["PGPORT"],
                               "NAME": e["PGDATABASE"], "USER": e["PGUSER"], "PASSWORD": e["PGPASSWORD"]}})
    django.setup()
    for command in (["migrate"], ["inspectdb"], ["flush"], ["migrate", "auth", "zero"], ["migrate"], ["createcachetable"]):
        call_command(*command, **({"interactive": False} if command[0] in ("flush", "migrate") else {}))
    from django.contrib.auth.models import User
    User.objects.create_user("somebody")
    print(User.objects.count())
""")


def test_django_migrates_there_and_back(proxy):
    pytest.importorskip("django")
    assert run(proxy, ["/usr/bin/python3", "-c", DJANGO]).endswith("\n1\n")
    assert not refusals(proxy)


ACTIVE_RECORD = textwrap.dedent("""
    require 'active_record'
    e = ENV
    ActiveRecord::Base.establish_connection(adapter: 'postgresql', host: e['PGHOST'], port: e['PGPORT'],
                                            database: e['PGDATABASE'], username: e['PGUSER'], password: e['PGPASSWORD'])
    class Shelves < ActiveRecord::Migration[6.1]
      def change
        create_table(:shelves) { |t| t.string :name, null: false, index: true; t.jsonb :about, default: {}; t.timestamps }
        create_table(:books) { |t| t.references :shelf, foreign_key: true; t.string :title; t.tsvector :words }
        add_index :books, :words, using: :gin
        add_column :books, :price, :decimal, precision: 10, scale: 2
        add_check_constraint :books, 'price > 0', name: 'price_is_positive'
        reversible { |d| d.up { execute "CREATE VIEW dear AS SELECT * FROM books WHERE price > 100" }
                         d.down { execute "DROP VIEW dear" } }
      end
    end
    class Crowded < ActiveRecord::Migration[6.1]
      disable_ddl_transaction!
      def change; add_index :books, :title, algorithm: :concurrently; end
    end
    ActiveRecord::Migration.verbose = false
    2.times do
      [Shelves, Crowded].each { |m| m.migrate(:up) }
      ActiveRecord::SchemaDumper.dump(ActiveRecord::Base.connection, StringIO.new)
      [Crowded, Shelves].each { |m| m.migrate(:down) }
    end
    [Shelves, Crowded].each { |m| m.migrate(:up) }
    ActiveRecord::Base.connection.tap { |c| c.execute("INSERT INTO shelves (name, created_at, updated_at) VALUES ('x', now(), now())")
      c.reset_pk_sequence!('shelves') ; c.disable_referential_integrity { } rescue nil }
    # What `rails db:migrate` wraps all of it in.
    lock = ActiveRecord::Base.connection
    puts lock.get_advisory_lock(42), lock.release_advisory_lock(42)
""")


def test_activerecord_migrates_there_and_back(proxy):
    if subprocess.run(["ruby", "-e", "require 'active_record'"], capture_output=True, check=False).returncode:
        pytest.skip("ruby-activerecord is not there")
    assert run(proxy, ["ruby", "-e", ACTIVE_RECORD]).endswith("true\ntrue\n")
    assert not refusals(proxy)


def test_pg_dump_and_back(proxy):
    run(proxy, ["psql", "-Xqv", "ON_ERROR_STOP=1"], stdin="""
        CREATE TABLE IF NOT EXISTS dumped (id serial PRIMARY KEY, body text, made timestamptz DEFAULT now());
        INSERT INTO dumped (body) SELECT 'row ' || n FROM generate_series(1, 100) n;
        CREATE FUNCTION dumped_count() RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN RETURN (SELECT count(*) FROM dumped); END $$;
        DO $$ BEGIN RAISE NOTICE 'migrations do such things'; END $$;
        COMMENT ON TABLE dumped IS 'dumped';""")
    for options in ([], ["--inserts"], ["--serializable-deferrable", "--quote-all-identifiers"]):
        dump = run(proxy, ["pg_dump", "--no-owner", "--clean", "--if-exists", *options])
        run(proxy, ["psql", "-Xqv", "ON_ERROR_STOP=1"], tenant="restored", stdin=dump)
        assert run(proxy, ["psql", "-XAtc", "SELECT dumped_count()"], tenant="restored") == "100\n"
    assert not refusals(proxy)


COMMANDS = (r"\d \da \dA \dAc \dAf \dAo \dAp \db \dc \dC \dconfig \dd \dD \ddp \dE \des \det \deu \dew \df \dF \dFd \dFp "
            r"\dFt \dg \di \dl \dL \dm \dn \do \dO \dp \dP \drds \dRp \dRs \ds \dt \dT \du \dv \dx \dX \dy \l").split()


@pytest.mark.parametrize("tenant, dbname", [("acme", "shop"), (DATABASE, DATABASE)])
def test_what_psql_shows(proxy, tenant, dbname):
    """Every command that describes something, plain and with more, on shared tables and in a database of one's own."""
    before = refusals(proxy)
    script = "\n".join([*COMMANDS, *(command + "+" for command in COMMANDS), r"\d pg_class", r"\z", r"\sf lower(text)",
                        r"\conninfo", r"\encoding"])
    environment = {**os.environ, "PGHOST": HOST, "PGPORT": str(proxy.port), "PGUSER": f"shop.{tenant}",
                   "PGPASSWORD": proxy.stand.password, "PGDATABASE": dbname}
    done = subprocess.run(["psql", "-Xq"], input=script, text=True, capture_output=True, check=False, env=environment)
    assert refusals(proxy) == before and "reason=" not in done.stderr, done.stderr
    assert done.stdout.count("List of") > 40
