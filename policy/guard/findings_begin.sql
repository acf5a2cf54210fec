-- What is unsafe in this database, begun: what every subject asks for. The files findings_*.sql are parts of one
-- query, which findings.c puts together. It is bulkhead.findings(), and `bulkhead lint` runs it where no guard is
-- installed: so it names nothing of the guard's but by text. It is read with search_path = pg_catalog, pg_temp.
--
-- Each finding is a row: id, severity, object, why, mend. Statements of mend end with a semicolon, one a line; nothing
-- but quoted names and literals comes from the catalogue into them.

WITH RECURSIVE
-- The logins of pools, which may call enter. An older installation's may be among them.
pool (oid) AS (
	SELECT DISTINCT a.grantee FROM pg_proc AS p, LATERAL aclexplode(p.proacl) AS a
	 WHERE p.pronamespace = to_regnamespace('bulkhead') AND p.proname = 'enter'
	   AND a.grantee <> p.proowner AND a.grantee <> 0
),
-- Memberships through which a role has another's rights, or may take them. Since PostgreSQL 16 there are others: who
-- makes a role may manage it, and no more.
usable_membership AS MATERIALIZED (
	SELECT m.roleid, m.member FROM pg_auth_members AS m
	 WHERE coalesce((to_jsonb(m) ->> 'inherit_option')::boolean, true) OR coalesce((to_jsonb(m) ->> 'set_option')::boolean, true)
),
-- Where tenants have logins of their own there is no seal, and what only a superuser could have taken from PUBLIC stays.
guard (is_by_login) AS (
	SELECT to_regprocedure('bulkhead.guard_mode()') IS NOT NULL
	       AND to_regprocedure('bulkhead.enter(text,text,text,text,text)') IS NULL
),
-- The roles that speak for tenants: bulkhead_app and its members, logins of tenants' own, and pools' logins.
speaker (oid) AS (
	(SELECT r.oid FROM pg_roles AS r WHERE r.rolname = 'bulkhead_app' OR r.rolname ~ '^t_[0-9a-f]{32}$'
	 UNION
	 SELECT p.oid FROM pool AS p)
	UNION
	SELECT m.member FROM usable_membership AS m JOIN speaker AS s ON m.roleid = s.oid JOIN pg_roles AS r ON r.oid = s.oid
	 WHERE r.rolname !~ '^t_[0-9a-f]{32}$' -- who administers a tenant's login does not speak for it
),
-- With whose rights tenants' statements run: these, PUBLIC (0), and every role that one of them is a member of.
tenant_role (oid) AS (
	(SELECT 0::oid
	 UNION
	 SELECT r.oid FROM pg_roles AS r JOIN speaker AS s ON s.oid = r.oid WHERE NOT r.rolsuper)
	UNION
	SELECT m.roleid FROM pg_auth_members AS m JOIN tenant_role AS t ON m.member = t.oid
),
tenant (oid, name) AS MATERIALIZED (
	SELECT t.oid, CASE t.oid WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(t.oid)) END FROM tenant_role AS t
),
-- The application's schemas and what is in them, but for what extensions brought and what is temporary. A tenant's own
-- schema is the tenant's.
app_schema AS MATERIALIZED (
	SELECT n.oid, n.nspname, n.nspowner, n.nspacl FROM pg_namespace AS n
	 WHERE n.nspname !~ '^(pg_|t_[0-9a-f]{32}$)' AND n.nspname NOT IN ('information_schema', 'bulkhead', 'bulkhead_control')
),
relation AS MATERIALIZED (
	SELECT c.oid, c.oid::regclass::text AS name, c.relkind AS kind, c.relowner AS owner, c.relacl AS acl,
	       c.relrowsecurity AS secured, c.relforcerowsecurity AS forced, c.relispartition AS is_partition,
	       r.rolsuper OR r.rolbypassrls AS bypassed, -- by its owner
	       coalesce((SELECT o.option_value::boolean FROM pg_options_to_table(c.reloptions) AS o
	                  WHERE o.option_name = 'security_invoker'), false) AS invoker
	  FROM pg_class AS c
	  JOIN app_schema AS n ON n.oid = c.relnamespace
	  JOIN pg_roles AS r ON r.oid = c.relowner
	 WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND c.relpersistence <> 't'
	   AND NOT EXISTS (SELECT FROM pg_depend AS d
	                    WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.objsubid = 0
	                      AND d.deptype = 'e')
),
-- What tenants' roles hold on those, and what takes it away. What another than the owner has granted, only that
-- role can revoke.
granted AS MATERIALIZED (
	SELECT r.oid AS relation, a.privilege_type AS privilege, t.name AS grantee,
	       CASE WHEN a.grantor <> r.owner THEN format('SET ROLE %I; ', pg_get_userbyid(a.grantor)) ELSE '' END
	       || format('REVOKE %s%s ON %s %s FROM %s%s;', a.privilege_type, ' (' || quote_ident(acl.attname) || ')',
	                 CASE r.kind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, r.name, t.name,
	                 CASE WHEN a.is_grantable THEN ' CASCADE' END)
	       || CASE WHEN a.grantor <> r.owner THEN ' RESET ROLE;' ELSE '' END AS revoke
	  FROM (SELECT r.oid AS relation, NULL::name AS attname, r.acl AS items FROM relation AS r WHERE r.acl IS NOT NULL
	        UNION ALL
	        SELECT a.attrelid, a.attname, a.attacl FROM pg_attribute AS a
	         WHERE a.attacl IS NOT NULL AND NOT a.attisdropped) AS acl
	  JOIN relation AS r ON r.oid = acl.relation
	 CROSS JOIN LATERAL aclexplode(acl.items) AS a
	  JOIN tenant AS t ON t.oid = a.grantee
	 WHERE a.grantee <> r.owner
),
-- The relations whose rows tenants reach, and what closes them again: wholly, or to writing.
open AS MATERIALIZED (
	SELECT g.relation, bool_or(g.privilege <> 'SELECT') AS writable, string_agg(DISTINCT g.revoke, E'\n') AS revoke,
	       string_agg(DISTINCT g.revoke, E'\n') FILTER (WHERE g.privilege <> 'SELECT') AS revoke_writing
	  FROM granted AS g
	 WHERE g.privilege IN ('SELECT', 'INSERT', 'UPDATE', 'DELETE') GROUP BY g.relation
),
-- Columns that can hold a tenant's id or key, by their types.
fit_column AS MATERIALIZED (
	SELECT a.attrelid AS relation, a.attnum, a.attname, a.attnotnull,
	       base.type IN ('smallint'::regtype, 'integer'::regtype, 'bigint'::regtype) AS is_number
	  FROM pg_attribute AS a
	  JOIN relation AS r ON r.oid = a.attrelid AND r.kind IN ('r', 'p', 'f')
	  JOIN pg_type AS t ON t.oid = a.atttypid
	 CROSS JOIN LATERAL (SELECT CASE t.typtype WHEN 'd' THEN t.typbasetype ELSE t.oid END) AS base (type)
	 WHERE a.attnum > 0 AND NOT a.attisdropped
	   AND base.type IN ('uuid'::regtype, 'text'::regtype, 'varchar'::regtype,
	                     'smallint'::regtype, 'integer'::regtype, 'bigint'::regtype)
	   AND (SELECT k.collisdeterministic FROM pg_collation AS k WHERE k.oid = a.attcollation) IS NOT FALSE
),
-- How applications call such a column, where no table is protected yet and tells.
usual_name (attname) AS (
	VALUES ('tenant_id'::name), ('tenant'), ('tenant_uuid'), ('tenant_key'), ('account_id'), ('org_id'),
	       ('organization_id'), ('organisation_id'), ('workspace_id'), ('company_id'), ('customer_id')
)
