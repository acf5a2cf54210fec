"""The shop of docker-compose.yml in a PostgreSQL of this machine, and tenants who ask for it; what checks share."""

import subprocess
from pathlib import Path

from harness.postgres import HOST, PG_BIN

TOP = Path(__file__).resolve().parents[2]
COMPOSE = TOP / "deploy" / "compose"
DATABASE = "shop"


def say(text):
    print(f"        {text}", flush=True)


def expect(what, expected, got):
    if got != expected:
        raise SystemExit(f"{what}: expected {expected!r}, got {got!r}")
    say(f"{what}: {got}")


def superuser(postgres, database=DATABASE):
    return {"PGHOST": HOST, "PGPORT": str(postgres.port), "PGUSER": "postgres", "PGPASSWORD": postgres.password,
            "PGDATABASE": database}


def on_this_machine(command, settings):
    done = subprocess.run(command, env={"PATH": f"{PG_BIN}:/usr/bin:/bin", **settings}, text=True, check=False,
                          capture_output=True, timeout=60, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise SystemExit(f"{command} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout.strip()


def psql(settings, *arguments):
    return on_this_machine(["psql", "-X", "-At", "-v", "ON_ERROR_STOP=1", *arguments], settings)


def make_database(postgres):
    psql(superuser(postgres, "postgres"), "-c", f"CREATE DATABASE {DATABASE}")
    psql(superuser(postgres), "-f", str(COMPOSE / "owner.sql"))


def make_rows(postgres):
    on_this_machine(["sh", str(COMPOSE / "shop.sh")], {**superuser(postgres), "SHOP_SQL": str(TOP / "cli/shop")})


def ask(host, port, password, tenant, query):
    """psql as a tenant; the finished process, whatever its exit status."""
    return subprocess.run([PG_BIN / "psql", "-X", "-At", "-v", "ON_ERROR_STOP=1", "-c", query], text=True,
                          env={"PGHOST": str(host), "PGPORT": str(port), "PGUSER": f"shop.{tenant}",
                               "PGDATABASE": DATABASE, "PGPASSWORD": password},
                          capture_output=True, check=False, timeout=30)


def ask_as_tenants(ask):
    for tenant, domain in (("acme", "acme.example"), ("globex", "globex.example")):
        rows = ask(tenant, "SELECT count(*) > 0, bool_and(email LIKE '%@" + domain + "') FROM customers")
        expect(f"{tenant} sees customers, and all are its own", "t|t", rows.stdout.strip() or rows.stderr)
    expect("customers of acme, as docs/deploy.md has it", "24",
           ask("acme", "SELECT count(*) FROM customers").stdout.strip())
    refused = ask("acme", "SET backtrace_functions = ''")
    expect("acme forges the context", 'ERROR:  permission denied to set parameter "backtrace_functions"',
           refused.stderr.strip())
