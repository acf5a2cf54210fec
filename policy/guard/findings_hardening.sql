-- Hardening read back: what the level that was installed takes from tenants and they hold again. A later version of
-- PostgreSQL or of an extension brings functions that were not there to be taken. Where tenants have logins of their own
-- most of it is what PostgreSQL does not let one login have of another's anyway.

(WITH active AS MATERIALIZED (
	SELECT h.level, h.kind, h.patterns, h.keepers FROM hardening AS h
	 WHERE obj_description(to_regnamespace('bulkhead'), 'pg_namespace') LIKE '%, hardening ' || h.level
	    OR (h.level = 'standard' AND to_regnamespace('bulkhead') IS NOT NULL)
),
named AS MATERIALIZED (
	-- Writing all 3,000 functions with their types takes long, so names are compared first.
	SELECT DISTINCT p.oid, a.level, a.patterns, a.keepers
	  FROM active AS a CROSS JOIN LATERAL unnest(a.patterns) AS u (pattern)
	  JOIN pg_proc AS p ON p.pronamespace = 'pg_catalog'::regnamespace AND p.proname LIKE split_part(u.pattern, '(', 1)
	 WHERE a.kind = 'function'
),
function AS (
	SELECT n.oid, n.level, n.keepers FROM named AS n WHERE n.oid::regprocedure::text LIKE ANY (n.patterns)
	UNION ALL
	SELECT d.objid, a.level, a.keepers
	  FROM active AS a JOIN pg_extension AS e ON e.extname LIKE ANY (a.patterns)
	  JOIN pg_depend AS d ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid AND d.deptype = 'e'
	                         AND d.classid = 'pg_proc'::regclass
	 WHERE a.kind = 'extension'
)
SELECT 'hardening-function', CASE WHEN guard.is_by_login THEN 'notice' ELSE 'warning' END, p.oid::regprocedure::text,
       format(CASE WHEN guard.is_by_login
                   THEN 'Hardening "%s" would take this function from tenants, if a superuser installed it. Tenants with logins of '
                        'their own see and end what is their own by it, and numbers that are the server''s.'
                   ELSE 'Hardening "%s" takes this function from tenants, and they may call it: run bulkhead init again, or take it.'
                   END, min(f.level)),
       string_agg(DISTINCT format('REVOKE EXECUTE ON ROUTINE %s FROM %s;', p.oid::regprocedure, t.name), E'\n')
  FROM function AS f JOIN pg_proc AS p ON p.oid = f.oid CROSS JOIN guard
 CROSS JOIN LATERAL aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) AS a
  JOIN tenant AS t ON t.oid = a.grantee
 WHERE a.grantee <> p.proowner AND t.name <> ALL (f.keepers)
   -- What only administrators had at first is among the functions of the system.
   AND NOT EXISTS (SELECT FROM pg_init_privs AS i WHERE i.classoid = 'pg_proc'::regclass AND i.objoid = p.oid AND i.privtype = 'i')
 GROUP BY p.oid, guard.is_by_login
UNION ALL
SELECT 'hardening-relation', CASE WHEN guard.is_by_login THEN 'notice' ELSE 'warning' END, c.oid::regclass::text,
       format(CASE WHEN guard.is_by_login
                   THEN 'Hardening "%s" would take this view from tenants, if a superuser installed it. Tenants with logins of '
                        'their own see what is their own in it, and numbers that are the server''s.'
                   ELSE 'Hardening "%s" takes this view from tenants, and they may use it: run bulkhead init again, or take it.'
                   END, min(a.level)),
       string_agg(DISTINCT format('REVOKE ALL ON TABLE %s FROM %s;', c.oid::regclass, t.name), E'\n')
  FROM active AS a CROSS JOIN guard
  JOIN pg_class AS c ON a.kind = 'relation' AND c.relkind IN ('r', 'v') AND c.relname LIKE ANY (a.patterns)
 CROSS JOIN LATERAL aclexplode(c.relacl) AS x
  JOIN tenant AS t ON t.oid = x.grantee
 WHERE x.grantee <> c.relowner AND t.name <> ALL (a.keepers)
   AND (c.relnamespace = 'pg_catalog'::regnamespace
        OR EXISTS (SELECT FROM pg_depend AS d
                    WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'))
 GROUP BY c.oid, guard.is_by_login
UNION ALL
SELECT 'hardening-temporary', 'warning', quote_ident(d.datname),
       'Hardening "strict" takes temporary tables from tenants, and they may make them: one could stand in for a real table.',
       string_agg(DISTINCT format('REVOKE TEMPORARY ON DATABASE %I FROM %s;', d.datname, t.name), E'\n')
  FROM pg_database AS d
 CROSS JOIN LATERAL aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) AS x
  JOIN tenant AS t ON t.oid = x.grantee
 WHERE d.datname = current_database() AND x.privilege_type = 'TEMPORARY' AND x.grantee <> d.datdba
   AND EXISTS (SELECT FROM active AS a WHERE a.level = 'strict')
 GROUP BY d.datname
)
