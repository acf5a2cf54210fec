-- Privileges of tenants' roles that row security does not reach, or that let one tenant act upon another.

SELECT 'unsafe-privilege', CASE WHEN bool_or(g.privilege <> 'REFERENCES') THEN 'critical' ELSE 'warning' END, r.name,
       format('Tenants hold %s, which row security does not reach: TRUNCATE takes all rows, a trigger runs in others'' '
              'statements, a foreign key tells whether a row exists, MAINTAIN locks the table.',
              string_agg(DISTINCT g.privilege, ', ')),
       string_agg(DISTINCT g.revoke, E'\n')
  FROM granted AS g JOIN relation AS r ON r.oid = g.relation
 WHERE g.privilege IN ('TRUNCATE', 'TRIGGER', 'REFERENCES', 'MAINTAIN') AND r.kind <> 'S'
 GROUP BY r.name
UNION ALL
SELECT 'sequence-update', 'warning', r.name,
       'Tenants may call setval on a sequence that counts for all of them. USAGE is enough for nextval.',
       string_agg(DISTINCT g.revoke, E'\n')
  FROM granted AS g JOIN relation AS r ON r.oid = g.relation WHERE r.kind = 'S' AND g.privilege = 'UPDATE'
 GROUP BY r.name
UNION ALL
SELECT 'schema-create', 'critical', quote_ident(n.nspname),
       'Tenants may make objects in the schema, which other tenants'' statements then find and run.',
       string_agg(format('REVOKE CREATE ON SCHEMA %I FROM %s;', n.nspname, t.name), E'\n')
  FROM app_schema AS n
 CROSS JOIN LATERAL aclexplode(n.nspacl) AS a
  JOIN tenant AS t ON t.oid = a.grantee
 WHERE a.privilege_type = 'CREATE' AND a.grantee <> n.nspowner
 GROUP BY n.nspname
UNION ALL
SELECT 'database-create', 'critical', quote_ident(d.datname), 'Tenants may make schemas in the database.',
       string_agg(format('REVOKE CREATE ON DATABASE %I FROM %s;', d.datname, t.name), E'\n')
  FROM pg_database AS d
 CROSS JOIN LATERAL aclexplode(d.datacl) AS a
  JOIN tenant AS t ON t.oid = a.grantee
 WHERE d.datname = current_database() AND a.privilege_type = 'CREATE' AND a.grantee <> d.datdba
 GROUP BY d.datname
UNION ALL
-- What is made tomorrow is open before anyone has protected it.
SELECT 'default-privileges', 'warning', format('%I%s', r.rolname, ' in ' || quote_ident(n.nspname)),
       format('What the role makes from now on is open to tenants at once, protected or not: %s.',
              string_agg(DISTINCT a.privilege_type, ', ')),
       string_agg(DISTINCT format('ALTER DEFAULT PRIVILEGES FOR ROLE %I%s REVOKE %s ON %s FROM %s;', r.rolname,
                                  ' IN SCHEMA ' || quote_ident(n.nspname), a.privilege_type,
                                  CASE d.defaclobjtype WHEN 'r' THEN 'TABLES' WHEN 'S' THEN 'SEQUENCES' ELSE 'SCHEMAS' END,
                                  t.name), E'\n')
  FROM pg_default_acl AS d
  JOIN pg_roles AS r ON r.oid = d.defaclrole
  LEFT JOIN pg_namespace AS n ON n.oid = d.defaclnamespace
 CROSS JOIN LATERAL aclexplode(d.defaclacl) AS a
  JOIN tenant AS t ON t.oid = a.grantee
 WHERE (d.defaclobjtype = 'r' OR (d.defaclobjtype = 'S' AND a.privilege_type = 'UPDATE')
        OR (d.defaclobjtype = 'n' AND a.privilege_type = 'CREATE'))
   AND a.grantee <> d.defaclrole
 GROUP BY r.rolname, n.nspname
UNION ALL
SELECT 'foreign-server', 'warning', quote_ident(s.srvname),
       'Tenants may use the foreign server, for which one can make oneself a user mapping.',
       string_agg(DISTINCT format('REVOKE USAGE ON FOREIGN SERVER %I FROM %s;', s.srvname, t.name), E'\n')
  FROM pg_foreign_server AS s
 CROSS JOIN LATERAL aclexplode(s.srvacl) AS a
  JOIN tenant AS t ON t.oid = a.grantee
 WHERE a.grantee <> s.srvowner
 GROUP BY s.srvname
UNION ALL
SELECT 'foreign-server', 'warning', quote_ident(w.fdwname),
       'Tenants may use the foreign-data wrapper, with which they can make foreign servers.',
       string_agg(DISTINCT format('REVOKE USAGE ON FOREIGN DATA WRAPPER %I FROM %s;', w.fdwname, t.name), E'\n')
  FROM pg_foreign_data_wrapper AS w
 CROSS JOIN LATERAL aclexplode(w.fdwacl) AS a
  JOIN tenant AS t ON t.oid = a.grantee
 WHERE a.grantee <> w.fdwowner
 GROUP BY w.fdwname
UNION ALL
SELECT 'user-mapping', 'warning', format('%s on %I', t.name, m.srvname),
       'Tenants have a login on a foreign server, the same for all of them.',
       format('DROP USER MAPPING FOR %s SERVER %I;', t.name, m.srvname)
  FROM pg_user_mappings AS m JOIN tenant AS t ON t.oid = m.umuser
UNION ALL
-- Such a language keeps variables for as long as the session lasts, from one tenant to the next; DISCARD ALL does not
-- know of them, and DO needs nothing but USAGE.
SELECT 'session-language', 'warning', quote_ident(l.lanname),
       'Tenants may write code in a language that can keep what it has seen until the backend is another tenant''s.',
       string_agg(DISTINCT format('REVOKE USAGE ON LANGUAGE %I FROM %s;', l.lanname, t.name), E'\n')
  FROM pg_language AS l
 CROSS JOIN LATERAL aclexplode(coalesce(l.lanacl, acldefault('l', l.lanowner))) AS a
  JOIN tenant AS t ON t.oid = a.grantee
 WHERE l.lanpltrusted AND l.lanname NOT IN ('sql', 'plpgsql') AND a.grantee <> l.lanowner
 GROUP BY l.lanname
UNION ALL
SELECT 'large-object', 'warning', m.oid::text, 'Tenants hold privileges on a large object, which has no row security.',
       string_agg(DISTINCT format('REVOKE ALL ON LARGE OBJECT %s FROM %s;', m.oid, t.name), E'\n')
  FROM pg_largeobject_metadata AS m
 CROSS JOIN LATERAL aclexplode(m.lomacl) AS a
  JOIN tenant AS t ON t.oid = a.grantee
 WHERE a.grantee <> m.lomowner
 GROUP BY m.oid
UNION ALL
-- What PostgreSQL keeps from PUBLIC at first and someone has given to tenants' roles since.
SELECT 'system-function', 'critical', p.oid::regprocedure::text,
       'PostgreSQL keeps the function for administrators, and tenants may call it.',
       string_agg(DISTINCT format('REVOKE EXECUTE ON ROUTINE %s FROM %s;', p.oid::regprocedure, t.name), E'\n')
  FROM pg_init_privs AS i
  JOIN pg_proc AS p ON i.classoid = 'pg_proc'::regclass AND p.oid = i.objoid
 CROSS JOIN LATERAL aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) AS a
  JOIN tenant AS t ON t.oid = a.grantee
 WHERE a.grantee <> p.proowner
   AND NOT EXISTS (SELECT FROM aclexplode(i.initprivs) AS b
                    WHERE b.grantee = a.grantee AND b.privilege_type = a.privilege_type)
 GROUP BY p.oid
UNION ALL
SELECT 'system-relation', 'critical', c.oid::regclass::text,
       'Tenants hold privileges on a catalogue or view of the system that it does not give them.',
       string_agg(DISTINCT format('REVOKE %s%s ON TABLE %s FROM %s;', a.privilege_type, ' (' || quote_ident(acl.attname) || ')',
                                  c.oid::regclass, t.name), E'\n')
  FROM pg_class AS c
 CROSS JOIN LATERAL (SELECT NULL::name, 0, c.relacl UNION ALL
                     SELECT a.attname, a.attnum, a.attacl FROM pg_attribute AS a
                      WHERE a.attrelid = c.oid AND a.attacl IS NOT NULL) AS acl (attname, attnum, items)
 CROSS JOIN LATERAL aclexplode(acl.items) AS a
  JOIN tenant AS t ON t.oid = a.grantee
 WHERE c.relnamespace = 'pg_catalog'::regnamespace AND a.grantee <> c.relowner
   AND NOT EXISTS (SELECT FROM pg_init_privs AS i CROSS JOIN LATERAL aclexplode(i.initprivs) AS b
                    WHERE i.classoid = 'pg_class'::regclass AND i.objoid = c.oid AND i.objsubid = acl.attnum
                      AND b.grantee = a.grantee AND b.privilege_type = a.privilege_type)
 GROUP BY c.oid
UNION ALL
-- Bulkhead's own schemas: what init gives there goes to the sidecars' login and, of the guard, to the pool's.
SELECT 'guard-privilege', 'critical', c.oid::regclass::text, 'Tenants hold privileges on a table of Bulkhead''s own.',
       string_agg(DISTINCT format('REVOKE ALL ON TABLE %s FROM %s;', c.oid::regclass, t.name), E'\n')
  FROM pg_class AS c
 CROSS JOIN LATERAL aclexplode(c.relacl) AS a
  JOIN tenant AS t ON t.oid = a.grantee
 WHERE c.relnamespace IN (to_regnamespace('bulkhead'), to_regnamespace('bulkhead_control')) AND a.grantee <> c.relowner
 GROUP BY c.oid
UNION ALL
SELECT 'guard-privilege', 'critical', p.oid::regprocedure::text,
       'Tenants may call a function of Bulkhead''s own that is for administrators or sidecars.',
       string_agg(DISTINCT format('REVOKE EXECUTE ON ROUTINE %s FROM %s;', p.oid::regprocedure, t.name), E'\n')
  FROM pg_proc AS p
 CROSS JOIN LATERAL aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) AS a
  JOIN tenant AS t ON t.oid = a.grantee
 WHERE a.grantee <> p.proowner
   AND ((p.pronamespace = to_regnamespace('bulkhead_control') AND p.prosecdef)
        OR (p.pronamespace = to_regnamespace('bulkhead')
            AND (p.proname IN ('register_key', 'retire_key', 'revoke_tenant', 'readmit_tenant', 'login_faults', 'session_faults',
                               'findings', 'tenant_login_faults', 'set_login_key', 'drop_login_key')
                 OR (p.proname IN ('enter', 'self_check') AND (t.oid = 0 OR t.name = 'bulkhead_app')))))
 GROUP BY p.oid
UNION ALL
SELECT 'guard-privilege', 'critical', quote_ident(n.nspname), 'Others than its owner may make objects in Bulkhead''s own schema.',
       string_agg(format('REVOKE CREATE ON SCHEMA %I FROM %s;', n.nspname,
                         CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END), E'\n')
  FROM pg_namespace AS n CROSS JOIN LATERAL aclexplode(n.nspacl) AS a
 WHERE n.nspname IN ('bulkhead', 'bulkhead_control') AND a.privilege_type = 'CREATE' AND a.grantee <> n.nspowner
 GROUP BY n.nspname
