-- Roles: what a login that speaks for tenants must not be, hold or own, and which others go around the guard.

(WITH own AS MATERIALIZED (
	-- Everything in this database that is not the superusers', and the database itself, with its owner. Temporary
	-- objects go with their sessions, and default privileges are for objects yet to be made.
	SELECT s.refobjid AS owner, s.classid, s.objid, s.objsubid
	  FROM pg_shdepend AS s JOIN pg_database AS d ON d.datname = current_database()
	 WHERE s.refclassid = 'pg_authid'::regclass AND s.deptype = 'o' AND s.classid <> 'pg_default_acl'::regclass
	   AND (s.dbid = d.oid OR (s.classid = 'pg_database'::regclass AND s.objid = d.oid))
),
role AS MATERIALIZED (
	SELECT r.oid, r.rolname, r.rolcanlogin, r.rolsuper, r.rolbypassrls, r.rolreplication,
	       r.rolsuper OR r.rolbypassrls OR r.rolcreaterole OR r.rolcreatedb OR r.rolreplication AS is_strong,
	       r.oid IN (SELECT s.oid FROM speaker AS s) AS speaks, r.rolname ~ '^t_[0-9a-f]{32}$' AS is_tenant,
	       r.oid IN (SELECT o.owner FROM own AS o) AS owns,
	       r.oid IN (SELECT c.relowner FROM protected AS p JOIN pg_class AS c ON c.oid = p.relation) AS owns_rows
	  FROM pg_roles AS r
),
heiress AS (
	-- To whom goes what a tenants' login must not own.
	SELECT CASE WHEN d.datdba IN (SELECT t.oid FROM tenant AS t) THEN 10::oid ELSE d.datdba END AS oid
	  FROM pg_database AS d WHERE d.datname = current_database()
),
edge AS MATERIALIZED (
	SELECT m.roleid, m.member, (m.roleid, m.member) IN (SELECT u.roleid, u.member FROM usable_membership AS u) AS is_usable,
	       format('REVOKE %I FROM %I%s;', g.rolname, r.rolname,
	           CASE WHEN current_setting('server_version_num')::integer >= 160000
	                THEN format(' GRANTED BY %I', pg_get_userbyid(m.grantor)) END) AS revoke
	  FROM pg_auth_members AS m JOIN role AS g ON g.oid = m.roleid JOIN role AS r ON r.oid = m.member
)
SELECT 'login-attributes', 'critical', quote_ident(r.rolname),
       'The role speaks for tenants and has rights beyond them: superuser, BYPASSRLS, CREATEROLE, CREATEDB or REPLICATION.',
       -- An administrator who was made a member of the group is put out of it, and stays what he is.
       CASE WHEN NOT r.rolsuper OR r.oid IN (SELECT p.oid FROM pool AS p) OR memberships.revoke IS NULL
            THEN format('ALTER ROLE %I NOSUPERUSER NOBYPASSRLS NOCREATEROLE NOCREATEDB NOREPLICATION;', r.rolname)
            ELSE memberships.revoke END
  FROM role AS r
 CROSS JOIN LATERAL (SELECT string_agg(e.revoke, E'\n') FROM edge AS e
                      WHERE e.member = r.oid AND e.roleid IN (SELECT s.oid FROM speaker AS s)) AS memberships (revoke)
 WHERE r.speaks AND r.is_strong
UNION ALL
SELECT 'login-membership', 'critical', quote_ident(m.rolname),
       CASE WHEN m.is_tenant THEN format('A tenant''s own login is a member of %I, and should be of nothing but the group of its kind.',
                                         g.rolname)
            ELSE format('Tenants'' statements run with its rights, and it is a member of %I, which has more than is theirs.',
                        g.rolname) END,
       e.revoke
  FROM edge AS e JOIN role AS g ON g.oid = e.roleid JOIN role AS m ON m.oid = e.member JOIN tenant AS t ON t.oid = e.member
 WHERE g.is_strong OR g.rolname ~ '^pg_' OR g.rolname ~ '^t_[0-9a-f]{32}$' OR (g.owns AND NOT g.speaks)
    OR g.rolname IN ('bulkhead_guard', 'bulkhead_control', 'bulkhead_admin', 'bulkhead_sidecar', 'bulkhead_api')
    OR (m.is_tenant AND g.rolname NOT IN ('bulkhead_app', 'bulkhead_tenants'))
UNION ALL
SELECT 'login-owns', 'critical', format('%s of %I', described.object, r.rolname),
       'A role that speaks for tenants owns it, and an owner can switch row security off, or change it under others.',
       CASE i.type WHEN 'extension' THEN format('DROP EXTENSION %s;', i.identity)
                   ELSE format('ALTER %s %s OWNER TO %I;', CASE i.type WHEN 'composite type' THEN 'TYPE'
                               WHEN 'statistics object' THEN 'STATISTICS' ELSE upper(i.type) END,
                               i.identity, pg_get_userbyid(h.oid)) END
  FROM role AS r JOIN own AS o ON o.owner = r.oid CROSS JOIN heiress AS h
 CROSS JOIN LATERAL pg_identify_object(o.classid, o.objid, o.objsubid) AS i
 CROSS JOIN LATERAL pg_describe_object(o.classid, o.objid, o.objsubid) AS described (object)
 WHERE r.speaks AND NOT r.rolsuper AND i.identity IS NOT NULL AND described.object IS NOT NULL
   AND coalesce(i.schema, '') !~ '^pg_(toast_)?temp_'
   -- A tenant owns its schema, or what is in its database, and its large objects.
   AND NOT (r.is_tenant AND (i.schema = r.rolname OR (i.type = 'schema' AND i.name = r.rolname) OR i.type = 'large object'
                             OR (current_database() = r.rolname AND i.type <> 'database')))
UNION ALL
SELECT 'owner-without-bypass', CASE WHEN guard.is_by_login THEN 'notice' ELSE 'warning' END, quote_ident(r.rolname),
       'It owns protected tables and is bound by their row security: a foreign key that it adds is marked valid without '
       'all rows having been seen.', format('ALTER ROLE %I BYPASSRLS;', r.rolname)
  FROM role AS r CROSS JOIN guard WHERE r.owns_rows AND NOT r.rolsuper AND NOT r.rolbypassrls AND NOT r.speaks
UNION ALL
SELECT 'owner-login', 'notice', quote_ident(r.rolname),
       'The login may act as the owner of protected tables. It is for migrations: an application that connects with it goes '
       'around Bulkhead.', format('ALTER ROLE %I NOLOGIN;', r.rolname)
  FROM role AS r
 WHERE r.rolcanlogin AND NOT r.rolsuper AND NOT r.speaks AND has_database_privilege(r.oid, current_database(), 'CONNECT')
   AND EXISTS (SELECT FROM role AS o WHERE o.owns_rows AND NOT o.rolsuper AND pg_has_role(r.oid, o.oid, 'MEMBER'))
UNION ALL
SELECT 'bypassing-login', 'warning', quote_ident(r.rolname),
       'The login can connect to this database and is not bound by row security: whoever uses it has the rows of all tenants.',
       format('ALTER ROLE %I NOBYPASSRLS;', r.rolname)
  FROM role AS r
 WHERE r.rolcanlogin AND r.rolbypassrls AND NOT r.rolsuper AND NOT r.speaks AND NOT r.owns_rows
   AND has_database_privilege(r.oid, current_database(), 'CONNECT')
UNION ALL
SELECT 'replication-login', 'warning', quote_ident(r.rolname),
       'The login may replicate, which copies the rows of all tenants without row security.',
       format('ALTER ROLE %I NOREPLICATION;', r.rolname)
  FROM role AS r WHERE r.rolcanlogin AND r.rolreplication AND NOT r.rolsuper AND NOT r.speaks
UNION ALL
-- The guard's own roles.
SELECT 'guard-role', 'critical', quote_ident(r.rolname), 'The guard''s role has rights that it must not have.',
       format('ALTER ROLE %I NOLOGIN NOSUPERUSER NOBYPASSRLS NOCREATEROLE NOCREATEDB NOREPLICATION;', r.rolname)
  FROM role AS r WHERE r.rolname IN ('bulkhead_guard', 'bulkhead_app') AND (r.rolcanlogin OR r.is_strong) AND NOT r.speaks
UNION ALL
SELECT 'guard-role', 'critical', quote_ident(r.rolname), 'The group of the tenants'' logins is a login itself.',
       format('ALTER ROLE %I NOLOGIN;', r.rolname)
  FROM role AS r WHERE r.rolname = 'bulkhead_app' AND r.rolcanlogin
UNION ALL
SELECT 'guard-membership', 'critical', quote_ident(m.rolname),
       CASE WHEN g.rolname = 'bulkhead_guard' THEN 'It may act as bulkhead_guard, which sets the tenant and holds the keys.'
            ELSE 'bulkhead_guard is a member of another role, and what runs with the guard''s rights has that role''s.' END,
       e.revoke
  FROM edge AS e JOIN role AS g ON g.oid = e.roleid JOIN role AS m ON m.oid = e.member CROSS JOIN guard
 -- Without a seal the administrator who made the role may go on managing it.
 WHERE (e.is_usable OR NOT guard.is_by_login)
   AND (g.rolname = 'bulkhead_guard' OR m.rolname = 'bulkhead_guard') AND m.oid NOT IN (SELECT t.oid FROM tenant AS t)
)
UNION ALL
-- Settings that sessions begin with.
SELECT 'login-setting', CASE WHEN item.is_grave THEN 'critical' ELSE 'warning' END, format('%I of %I', item.name, r.rolname),
       CASE WHEN item.is_grave THEN 'The setting weakens row security or the tenant''s context in every session of the login.'
            ELSE 'The login has a setting of its own: Bulkhead refuses such a login, since one tenant could set it for all.' END,
       format('ALTER ROLE %I%s RESET %I;', r.rolname, ' IN DATABASE ' || quote_ident(d.datname), item.name)
  FROM pg_db_role_setting AS s
  JOIN pg_roles AS r ON r.oid = s.setrole
  JOIN speaker AS k ON k.oid = r.oid
  LEFT JOIN pg_database AS d ON d.oid = s.setdatabase
 CROSS JOIN LATERAL (SELECT split_part(c.item, '=', 1), split_part(c.item, '=', 1) = ANY (
                            '{row_security, session_replication_role, backtrace_functions, role, lo_compat_privileges}')
                       FROM unnest(s.setconfig) AS c (item)
                      WHERE c.item <> 'search_path=' || r.rolname) AS item (name, is_grave) -- a tenant's schema
 WHERE s.setdatabase = 0 OR d.datname = current_database()
UNION ALL
SELECT 'database-setting', 'critical', format('%I of %s', item.name, coalesce('database ' || quote_ident(d.datname), 'all roles')),
       'The setting weakens row security or the tenant''s context in every session.',
       CASE WHEN d.oid IS NULL THEN format('ALTER ROLE ALL RESET %I;', item.name)
            ELSE format('ALTER DATABASE %I RESET %I;', d.datname, item.name) END
  FROM pg_db_role_setting AS s
  LEFT JOIN pg_database AS d ON d.oid = s.setdatabase
 CROSS JOIN LATERAL (SELECT split_part(c.item, '=', 1), substr(c.item, strpos(c.item, '=') + 1)
                       FROM unnest(s.setconfig) AS c (item)) AS item (name, value)
  JOIN (VALUES ('row_security', 'on'), ('session_replication_role', 'origin'), ('backtrace_functions', ''),
               ('lo_compat_privileges', 'off')) AS sound (name, value) ON sound.name = item.name
 WHERE s.setrole = 0 AND (s.setdatabase = 0 OR d.datname = current_database()) AND item.value <> sound.value
UNION ALL
SELECT 'server-setting', 'critical', s.name,
       format('The server''s configuration has %s for a value, which weakens row security or the tenant''s context. Reload it '
              'after the statement.', quote_literal(s.reset_val)),
       format('ALTER SYSTEM SET %I = %L;', s.name, sound.value)
  FROM pg_settings AS s
  JOIN (VALUES ('row_security', 'on'), ('session_replication_role', 'origin'), ('backtrace_functions', ''),
               ('lo_compat_privileges', 'off'), ('allow_system_table_mods', 'off')) AS sound (name, value)
       ON sound.name = s.name
 WHERE s.reset_val <> sound.value AND s.source IN ('default', 'environment variable', 'configuration file', 'command line')
UNION ALL
SELECT 'parameter-grant', 'critical', format('%I for %s', p.parname, grantee.name),
       CASE p.parname WHEN 'backtrace_functions' THEN 'The setting holds the tenant: nobody but bulkhead_guard may change it.'
                      ELSE 'Tenants may change a setting that PostgreSQL keeps for superusers.' END,
       format('REVOKE ALL ON PARAMETER %I FROM %s;', p.parname, grantee.name)
  FROM pg_parameter_acl AS p
 CROSS JOIN LATERAL (SELECT DISTINCT a.grantee FROM aclexplode(p.paracl) AS a) AS held
 CROSS JOIN LATERAL (SELECT CASE held.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(held.grantee)) END)
       AS grantee (name)
  LEFT JOIN pg_roles AS r ON r.oid = held.grantee
 WHERE held.grantee IN (SELECT t.oid FROM tenant AS t)
    OR (p.parname = 'backtrace_functions' AND r.rolname IS DISTINCT FROM 'bulkhead_guard' AND r.rolsuper IS NOT TRUE)
UNION ALL
-- What is one tenant's own and not shared.
SELECT 'tenant-schema-open', 'critical', quote_ident(n.nspname),
       'It is one tenant''s schema, and others may use it or make objects in it.',
       string_agg(format('REVOKE ALL ON SCHEMA %I FROM %s;', n.nspname,
                         CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END), E'\n')
  FROM pg_namespace AS n
 CROSS JOIN LATERAL (SELECT DISTINCT x.grantee FROM aclexplode(n.nspacl) AS x) AS a
  JOIN tenant AS t ON t.oid = a.grantee
 WHERE n.nspname ~ '^t_[0-9a-f]{32}$' AND a.grantee <> n.nspowner AND t.name <> n.nspname
 GROUP BY n.nspname
UNION ALL
SELECT 'tenant-database-open', 'critical', quote_ident(d.datname),
       'It is one tenant''s database, and others may connect to it.',
       string_agg(format('REVOKE CONNECT ON DATABASE %I FROM %s;', d.datname, t.name), E'\n')
  FROM pg_database AS d
 CROSS JOIN LATERAL aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) AS a
  JOIN tenant AS t ON t.oid = a.grantee
 WHERE d.datname ~ '^t_[0-9a-f]{32}$' AND a.privilege_type = 'CONNECT' AND a.grantee <> d.datdba AND t.name <> d.datname
 GROUP BY d.datname
