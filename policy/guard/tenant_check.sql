-- What a tenant's own login could do outside its schema, or outside its database where that has its name; and who else could
-- get into that, since nothing but CONNECT keeps others out. Run as that login when a backend begins, so operators are
-- written with their schema: the tenant's own may be nearer. Settings of the login for one database alone are not looked
-- for: hardening closes that catalogue, and they change only its own sessions.
WITH me AS (
	SELECT r.oid, r.rolname, d.oid AS database, n.oid AS schema, g.oid AS tenants,
	       d.datname OPERATOR(pg_catalog.=) r.rolname AS has_database,
	       r.rolsuper OR r.rolbypassrls OR r.rolcreaterole OR r.rolcreatedb OR r.rolreplication AS is_strong, r.rolconfig
	  FROM pg_catalog.pg_roles AS r
	  JOIN pg_catalog.pg_database AS d ON d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database()
	  LEFT JOIN pg_catalog.pg_namespace AS n ON n.nspname OPERATOR(pg_catalog.=) r.rolname
	  LEFT JOIN pg_catalog.pg_roles AS g ON g.rolname OPERATOR(pg_catalog.=) 'bulkhead_tenants'
	 WHERE r.rolname OPERATOR(pg_catalog.=) session_user
),
own AS (
	SELECT s.classid, s.objid, s.objsubid, s.dbid OPERATOR(pg_catalog.=) me.database AS is_here, me.schema, me.has_database,
	       s.dbid OPERATOR(pg_catalog.=) 0::pg_catalog.oid AS is_shared
	  FROM me JOIN pg_catalog.pg_shdepend AS s
	       ON s.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_authid'::pg_catalog.regclass
	          AND s.refobjid OPERATOR(pg_catalog.=) me.oid AND s.deptype OPERATOR(pg_catalog.=) 'o'
	 WHERE s.classid OPERATOR(pg_catalog.<>) 'pg_catalog.pg_largeobject'::pg_catalog.regclass
	   AND s.classid OPERATOR(pg_catalog.<>) 'pg_catalog.pg_default_acl'::pg_catalog.regclass
),
placed AS (
	-- The schema of each, which most have in their catalogue's row.
	SELECT o.*, coalesce(
	       (SELECT c.relnamespace FROM pg_catalog.pg_class AS c WHERE c.oid OPERATOR(pg_catalog.=) o.objid
	           AND o.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass),
	       (SELECT p.pronamespace FROM pg_catalog.pg_proc AS p WHERE p.oid OPERATOR(pg_catalog.=) o.objid
	           AND o.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_proc'::pg_catalog.regclass),
	       (SELECT t.typnamespace FROM pg_catalog.pg_type AS t WHERE t.oid OPERATOR(pg_catalog.=) o.objid
	           AND o.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_type'::pg_catalog.regclass),
	       CASE WHEN o.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_namespace'::pg_catalog.regclass THEN o.objid END,
	       (SELECT n.oid FROM pg_catalog.pg_identify_object(o.classid, o.objid, o.objsubid) AS i
	          JOIN pg_catalog.pg_namespace AS n ON n.nspname OPERATOR(pg_catalog.=) i.schema::pg_catalog.name)) AS place
	  FROM own AS o WHERE o.is_here AND NOT o.has_database
),
outside AS (
	SELECT pg_catalog.pg_describe_object(p.classid, p.objid, p.objsubid) AS object FROM placed AS p
	  LEFT JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) p.place
	 WHERE (p.place OPERATOR(pg_catalog.=) p.schema) IS NOT TRUE
	   AND (n.nspname OPERATOR(pg_catalog.~) '^pg_(toast_)?temp_') IS NOT TRUE
	UNION ALL
	SELECT CASE WHEN o.is_shared THEN pg_catalog.pg_describe_object(o.classid, o.objid, o.objsubid)
	            ELSE 'something in another database' END
	  FROM own AS o WHERE NOT o.is_here
),
privilege AS (
	-- PUBLIC's, the login's own and its group's, which may be let into schemas and no more.
	SELECT n.nspname, pg_catalog.max(pg_catalog.lower(a.privilege_type)) AS kind
	  FROM me JOIN pg_catalog.pg_namespace AS n ON n.nspacl IS NOT NULL AND n.oid OPERATOR(pg_catalog.<>) coalesce(me.schema, 0)
	 CROSS JOIN LATERAL pg_catalog.aclexplode(n.nspacl) AS a
	  LEFT JOIN pg_catalog.pg_roles AS o ON o.oid OPERATOR(pg_catalog.=) n.nspowner
	 WHERE NOT me.has_database AND n.nspowner OPERATOR(pg_catalog.<>) me.oid
	   -- Another tenant that opens its schema must not be in this one's way.
	   AND (n.nspname OPERATOR(pg_catalog.=) o.rolname AND n.nspname OPERATOR(pg_catalog.~) '^t_[0-9a-f]{32}$') IS NOT TRUE
	   AND (a.privilege_type OPERATOR(pg_catalog.=) 'CREATE' OR n.nspname OPERATOR(pg_catalog.<>) ALL
	        ('{pg_catalog, information_schema, bulkhead}'::pg_catalog.name[]))
	   AND (a.grantee OPERATOR(pg_catalog.=) 0::pg_catalog.oid OR a.grantee OPERATOR(pg_catalog.=) me.oid
	        OR (a.grantee OPERATOR(pg_catalog.=) me.tenants AND a.privilege_type OPERATOR(pg_catalog.=) 'CREATE'))
	 GROUP BY n.nspname
)
SELECT pg_catalog.current_setting('server_version_num'), me.rolname, pg_catalog.concat_ws('; ',
       CASE WHEN me.is_strong
            THEN pg_catalog.format('it has rights beyond its own things; ALTER ROLE %I NOSUPERUSER NOBYPASSRLS NOCREATEROLE '
                                   'NOCREATEDB NOREPLICATION', me.rolname) END,
       (SELECT pg_catalog.string_agg(pg_catalog.format('%s is a member of %I', pg_catalog.pg_get_userbyid(m.member), g.rolname), '; ')
          FROM pg_catalog.pg_auth_members AS m JOIN pg_catalog.pg_roles AS g ON g.oid OPERATOR(pg_catalog.=) m.roleid
         WHERE m.member OPERATOR(pg_catalog.=) me.tenants OR (m.member OPERATOR(pg_catalog.=) me.oid
           AND (g.rolname OPERATOR(pg_catalog.<>) 'bulkhead_tenants' OR m.admin_option))),
       (SELECT pg_catalog.concat('it owns ', pg_catalog.min(o.object), CASE WHEN pg_catalog.count(*) OPERATOR(pg_catalog.>) 1
               THEN pg_catalog.format(' and %s more', pg_catalog.count(*) OPERATOR(pg_catalog.-) 1) END)
          FROM outside AS o HAVING pg_catalog.count(*) OPERATOR(pg_catalog.>) 0),
       (SELECT pg_catalog.string_agg(pg_catalog.format('it has %s on schema %I', p.kind, p.nspname), '; ') FROM privilege AS p),
       CASE WHEN NOT me.has_database AND pg_catalog.has_database_privilege(me.oid, me.database, 'CREATE')
            THEN 'it may create schemas' END,
       (SELECT pg_catalog.concat('others may connect to its database, ', pg_catalog.string_agg(g.name, ', '))
          FROM pg_catalog.pg_database AS d
         CROSS JOIN LATERAL pg_catalog.aclexplode(coalesce(d.datacl, pg_catalog.acldefault('d', d.datdba))) AS a
         CROSS JOIN LATERAL (SELECT CASE WHEN a.grantee OPERATOR(pg_catalog.=) 0::pg_catalog.oid THEN 'PUBLIC'
                                         ELSE pg_catalog.pg_get_userbyid(a.grantee)::pg_catalog.text END) AS g (name)
         WHERE me.has_database AND d.oid OPERATOR(pg_catalog.=) me.database AND a.privilege_type OPERATOR(pg_catalog.=) 'CONNECT'
           AND (g.name OPERATOR(pg_catalog.=) 'PUBLIC' OR (g.name OPERATOR(pg_catalog.~) '^t_[0-9a-f]{32}$'
                AND g.name OPERATOR(pg_catalog.<>) me.rolname::pg_catalog.text))
        HAVING pg_catalog.count(*) OPERATOR(pg_catalog.>) 0),
       (SELECT pg_catalog.string_agg(pg_catalog.format('it may call %s', f.name), '; ')
          FROM pg_catalog.unnest('{"bulkhead.enter(text,text,text,text,text)", "bulkhead.set_login_key(uuid,text)"}'::pg_catalog.text[])
               AS f (name)
         WHERE pg_catalog.has_schema_privilege(me.oid, pg_catalog.to_regnamespace('bulkhead')::pg_catalog.oid, 'USAGE')
           AND pg_catalog.has_function_privilege(me.oid, pg_catalog.to_regprocedure(f.name)::pg_catalog.oid, 'EXECUTE')),
       (SELECT pg_catalog.string_agg(pg_catalog.format('it may set %s', q.parname), '; ')
          FROM pg_catalog.pg_parameter_acl AS q
         WHERE pg_catalog.has_parameter_privilege(me.oid, q.parname, 'SET, ALTER SYSTEM')),
       (SELECT pg_catalog.concat('it has settings of its own; ALTER ROLE ', me.rolname, ' RESET ALL')
         WHERE EXISTS (SELECT FROM pg_catalog.unnest(me.rolconfig) AS c (item)
                        WHERE c.item OPERATOR(pg_catalog.<>) pg_catalog.concat('search_path=', me.rolname))))
  FROM me
