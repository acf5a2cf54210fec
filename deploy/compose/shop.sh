#!/bin/sh
# In PostgreSQL's image, with PG* naming a superuser: the sandbox's shop (cli/shop), unless it is there.
set -eu
shop=${SHOP_SQL:-/deploy/shop}

run() { psql -X -q -v ON_ERROR_STOP=1 "$@" >/dev/null; }
says_yes() { [ "$(psql -X -At -c "$1")" = t ]; }

says_yes "SELECT pg_catalog.to_regclass('public.customers') IS NOT NULL" || run -f "$shop/schema.sql"
says_yes "SELECT EXISTS (SELECT FROM public.customers)" || run -f "$shop/rows.sql"
