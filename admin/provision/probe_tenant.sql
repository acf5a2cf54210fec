-- Asked by the tenant itself, on a connection with its own login: what is not as it must be, a line for each.
-- $1: its login; $2: the schema that its objects are in; $3: schemas that it may use besides, as an array; $4: whether
-- it may make something in that schema.

SELECT 'session_user is ' || session_user WHERE session_user <> $1
UNION ALL
SELECT format('it may use schema %I', n.nspname)
  FROM pg_catalog.pg_namespace AS n
 WHERE n.nspname NOT IN ($2, 'pg_catalog', 'information_schema', 'bulkhead') AND n.nspname <> ALL ($3::text[])
   AND n.nspname !~ '^pg_(toast_)?temp_'
   -- Another tenant may open its own schema to all; that is its own loss.
   AND NOT (n.nspname ~ '^t_[0-9a-f]{32}$' AND n.nspowner = pg_catalog.to_regrole(n.nspname::text)::oid)
   AND (pg_catalog.has_schema_privilege(n.oid, 'USAGE') OR pg_catalog.has_schema_privilege(n.oid, 'CREATE'))
UNION ALL
SELECT format('it may make things in schema %I', n.nspname)
  FROM pg_catalog.pg_namespace AS n
 WHERE (n.nspname <> $2 OR NOT $4::boolean) AND n.nspname !~ '^pg_(toast_)?temp_'
   AND NOT (n.nspname ~ '^t_[0-9a-f]{32}$' AND n.nspowner = pg_catalog.to_regrole(n.nspname::text)::oid)
   AND pg_catalog.has_schema_privilege(n.oid, 'CREATE')
UNION ALL
SELECT format('it may not use schema %I', $2) WHERE NOT pg_catalog.has_schema_privilege($2, 'USAGE')
UNION ALL
SELECT format('it may make nothing in schema %I', $2)
 WHERE $4::boolean AND NOT pg_catalog.has_schema_privilege($2, 'CREATE')
UNION ALL
SELECT format('it may connect to database %I', d.datname)
  FROM pg_catalog.pg_database AS d
 WHERE d.datname ~ '^t_[0-9a-f]{32}$' AND d.datname <> $1 AND pg_catalog.has_database_privilege(d.oid, 'CONNECT')
UNION ALL
SELECT format('it is a member of %I', g.rolname)
  FROM pg_catalog.pg_roles AS g
 WHERE g.rolname NOT IN ($1, 'bulkhead_app', 'bulkhead_tenants', 'pg_database_owner')
   AND pg_catalog.pg_has_role(g.oid, 'MEMBER')
UNION ALL
SELECT format('it may not use table %s', c.oid::pg_catalog.regclass)
  FROM pg_catalog.pg_class AS c
  JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace AND n.nspname = $2
 WHERE $4::boolean AND c.relkind IN ('r', 'p') AND NOT pg_catalog.has_table_privilege(c.oid, 'SELECT, INSERT, UPDATE, DELETE')
 LIMIT 5
