#!/bin/sh
# In Bulkhead's image, with PG* naming a superuser: puts guard and control schema into the database, and makes three
# tenants and the principal `shop`. Keys go to /etc/bulkhead/keys, the principal's password to /var/lib/bulkhead.
# Repeated, it changes nothing but what an upgrade brings.
set -eu
umask 077

export CONTROL_DSN="host=$PGHOST port=$PGPORT dbname=$PGDATABASE user=$PGUSER"
password=/var/lib/bulkhead/shop.password

bulkhead init --dsn "$CONTROL_DSN" --owner shop_owner --hardening strict --keys /etc/bulkhead/keys >/dev/null

make_tenant() { bulkhead tenant show "$1" >/dev/null 2>&1 || bulkhead tenant create "$@"; }
make_tenant acme --name 'Acme Corporation'
make_tenant acme-labs --parent acme --name 'Acme Laboratories'
make_tenant globex --name Globex

[ -s "$password" ] || od -An -N18 -tx1 /dev/urandom | tr -d ' \n' >"$password"
bulkhead principal show shop >/dev/null 2>&1 ||
	bulkhead principal create shop --home acme --reach all --password-file "$password"
