-- Runs last where tenants have logins of their own: the installer acts as the guard no longer, what was asked for is read
-- back, and the whole installation is undone when something else is there.

DO $leave$
BEGIN
	IF NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
		EXECUTE format('REVOKE bulkhead_guard FROM %I', current_user);
	END IF;
END
$leave$;

CREATE OR REPLACE FUNCTION pg_temp.installation_faults() RETURNS SETOF text
	LANGUAGE sql STABLE
	BEGIN ATOMIC
		SELECT f.fault FROM pg_temp.guard_faults() AS f (fault)
		UNION ALL
		SELECT format('%s may set backtrace_functions; REVOKE ALL ON PARAMETER backtrace_functions FROM %s', grantee.name, grantee.name)
		  FROM (SELECT DISTINCT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END
		          FROM pg_parameter_acl AS p, LATERAL aclexplode(p.paracl) AS a
		         WHERE p.parname = 'backtrace_functions'
		           AND a.grantee NOT IN (SELECT s.oid FROM pg_roles AS s WHERE s.rolname = 'bulkhead_guard' OR s.rolsuper))
		       AS grantee (name)
		UNION ALL
		SELECT 'bulkhead_guard may not read pg_settings; have a superuser GRANT SELECT ON pg_settings TO bulkhead_guard'
		 WHERE NOT has_table_privilege('bulkhead_guard', 'pg_settings', 'SELECT')
		    OR NOT has_function_privilege('bulkhead_guard', 'pg_show_all_settings()', 'EXECUTE')
		UNION ALL
		SELECT format('%I is a member of bulkhead_guard; REVOKE bulkhead_guard FROM %I', r.rolname, r.rolname)
		  FROM bulkhead.memberships() AS m JOIN pg_roles AS r ON r.oid = m.member
		 WHERE m.roleid = to_regrole('bulkhead_guard')
		UNION ALL
		SELECT format('bulkhead_app is a member of %I; REVOKE %I FROM bulkhead_app', g.rolname, g.rolname)
		  FROM pg_roles AS g
		 WHERE pg_has_role('bulkhead_app', g.oid, 'MEMBER')
		   AND (g.rolsuper OR g.rolbypassrls OR g.rolcreaterole OR g.rolcreatedb OR g.rolreplication
		        OR starts_with(g.rolname::text, 'pg_') OR g.rolname ~ '^t_[0-9a-f]{32}$'
		        OR g.rolname IN ('bulkhead_guard', 'bulkhead_control', 'bulkhead_admin', 'bulkhead_sidecar', 'bulkhead_api'))
		UNION ALL
		-- Any tenant may make temporary and large objects as bulkhead_app.
		SELECT format('bulkhead_app owns %s; let another role own it', pg_describe_object(s.classid, s.objid, s.objsubid))
		  FROM pg_shdepend AS s JOIN pg_database AS d ON d.datname = current_database()
		 CROSS JOIN LATERAL pg_identify_object(s.classid, s.objid, s.objsubid) AS i
		 WHERE s.refclassid = 'pg_authid'::regclass AND s.refobjid = to_regrole('bulkhead_app') AND s.deptype = 'o'
		   AND (s.dbid = d.oid OR (s.classid = 'pg_database'::regclass AND s.objid = d.oid))
		   AND s.classid NOT IN ('pg_default_acl'::regclass, 'pg_largeobject'::regclass)
		   AND i.identity IS NOT NULL AND coalesce(i.schema, '') !~ '^pg_(toast_)?temp_'
		UNION ALL
		SELECT format('tenants may create in schema %I; REVOKE CREATE ON SCHEMA %I FROM PUBLIC, bulkhead_app', n.nspname, n.nspname)
		  FROM pg_namespace AS n
		 WHERE n.nspname !~ '^pg_(toast_)?temp_' AND has_schema_privilege('bulkhead_app', n.oid, 'CREATE')
		   -- A tenant may open its own schema, which nobody else looks into.
		   AND NOT (n.nspname ~ '^t_[0-9a-f]{32}$' AND n.nspowner IS NOT DISTINCT FROM to_regrole(n.nspname))
		UNION ALL
		SELECT format('tenants may create schemas; REVOKE CREATE ON DATABASE %I FROM PUBLIC, bulkhead_app', current_database())
		 WHERE has_database_privilege('bulkhead_app', current_database(), 'CREATE');
	END;

DO $verify$
DECLARE
	faults text;
BEGIN
	SELECT string_agg(fault, E'\n') INTO faults FROM pg_temp.installation_faults() AS f (fault);
	IF faults IS NOT NULL THEN
		RAISE EXCEPTION 'the guard would not hold on this server' USING DETAIL = faults;
	END IF;
END
$verify$;

DROP FUNCTION pg_temp.installation_faults(), pg_temp.guard_faults(), pg_temp.take_functions(text[], text[]),
	pg_temp.take_relations(text[], text[]), pg_temp.take_extensions(text[], text[]), pg_temp.functions_like(text[]),
	pg_temp.take(text, text, text, text, text[]), pg_temp.left_open(text, text);
