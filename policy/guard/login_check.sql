-- The self-check of a backend with a tenant's own login on shared tables, where session_user is the context.

-- What ALTER ROLE has set in this very session, as the session itself has it: the catalogue tells what is so now, and a
-- tenant may have put a setting back since the session began with it. DISCARD ALL would not.
-- PostgreSQL lists no settings of unknown prefixes here.
CREATE OR REPLACE FUNCTION bulkhead.session_faults() RETURNS SETOF text
	LANGUAGE sql STABLE
	BEGIN ATOMIC
		SELECT format('this session began with a setting of its login, %s', s.name)
		  FROM pg_settings AS s WHERE s.source IN ('user', 'database user');
	END;

-- What is wrong with a tenant's own login: one line for each fault, each with what mends it. It is judged more narrowly
-- than a pool's: Bulkhead made it, for this alone.
CREATE OR REPLACE FUNCTION bulkhead.tenant_login_faults(login name) RETURNS SETOF text
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp -- names of objects are written with their schemas
	BEGIN ATOMIC
		WITH RECURSIVE me AS MATERIALIZED (
			SELECT r.oid, r.rolname, d.oid AS database
			  FROM pg_roles AS r JOIN pg_database AS d ON d.datname = current_database()
			 WHERE r.rolname = tenant_login_faults.login
		),
		reach (oid) AS ( -- the login, its group, and what that is a member of
			SELECT me.oid FROM me
			UNION
			SELECT m.roleid FROM reach AS r JOIN pg_auth_members AS m ON m.member = r.oid
		)
		SELECT format('%I is no tenant''s own login', tenant_login_faults.login)
		 WHERE tenant_login_faults.login !~ '^t_[0-9a-f]{32}$'
		UNION ALL
		SELECT format('%I has rights that a tenant''s login must not have; '
		              'ALTER ROLE %I NOSUPERUSER NOBYPASSRLS NOCREATEROLE NOCREATEDB NOREPLICATION', r.rolname, r.rolname)
		  FROM me JOIN pg_roles AS r ON r.oid = me.oid
		 WHERE r.rolsuper OR r.rolbypassrls OR r.rolcreaterole OR r.rolcreatedb OR r.rolreplication
		UNION ALL
		SELECT format('%I is a member of %I; REVOKE %I FROM %I', me.rolname, g.rolname, g.rolname, me.rolname)
		  FROM me JOIN pg_auth_members AS m ON m.member = me.oid JOIN pg_roles AS g ON g.oid = m.roleid
		 WHERE g.rolname <> 'bulkhead_app'
		UNION ALL
		SELECT format('%I may let others into bulkhead_app; REVOKE ADMIN OPTION FOR bulkhead_app FROM %I', me.rolname, me.rolname)
		  FROM me JOIN pg_auth_members AS m ON m.member = me.oid
		 WHERE m.roleid = to_regrole('bulkhead_app') AND m.admin_option
		UNION ALL
		SELECT format('%I has not the rights of bulkhead_app; GRANT bulkhead_app TO %I', me.rolname, me.rolname)
		  FROM me WHERE NOT pg_has_role(me.oid, 'bulkhead_app', 'USAGE')
		UNION ALL
		SELECT format('%I is a member of %I, through bulkhead_app; REVOKE it there', me.rolname, g.rolname)
		  FROM me JOIN reach AS r ON r.oid <> me.oid JOIN pg_roles AS g ON g.oid = r.oid
		 WHERE g.rolsuper OR g.rolbypassrls OR g.rolcreaterole OR g.rolcreatedb OR g.rolreplication
		    OR starts_with(g.rolname::text, 'pg_') OR g.rolname ~ '^t_[0-9a-f]{32}$'
		    OR g.rolname IN ('bulkhead_guard', 'bulkhead_control', 'bulkhead_admin', 'bulkhead_sidecar', 'bulkhead_api')
		UNION ALL
		-- Temporary objects go with their sessions. Large objects and default privileges open nothing, and any tenant may
		-- make some, as bulkhead_app too: they must not stop the service.
		SELECT format('%I owns %s%s; let another role own it', o.rolname, min(described.object),
		              CASE WHEN count(*) > 1 THEN format(' and %s more', count(*) - 1) END)
		  FROM me JOIN reach AS r ON true JOIN pg_roles AS o ON o.oid = r.oid
		  JOIN pg_shdepend AS s ON s.refclassid = 'pg_authid'::regclass AND s.refobjid = o.oid AND s.deptype = 'o'
		                           AND (s.dbid = me.database OR s.classid = 'pg_database'::regclass AND s.objid = me.database)
		 CROSS JOIN LATERAL pg_identify_object(s.classid, s.objid, s.objsubid) AS i
		 CROSS JOIN LATERAL pg_describe_object(s.classid, s.objid, s.objsubid) AS described (object)
		 WHERE s.classid NOT IN ('pg_default_acl'::regclass, 'pg_largeobject'::regclass)
		   AND i.identity IS NOT NULL AND described.object IS NOT NULL
		   AND coalesce(i.schema, '') !~ '^pg_(toast_)?temp_'
		 GROUP BY o.rolname
		UNION ALL
		SELECT format('%I may call %s, which is for others; REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC, bulkhead_app, %I',
		              me.rolname, p.oid::regprocedure, p.oid::regprocedure, me.rolname)
		  FROM me JOIN pg_proc AS p ON p.pronamespace = 'bulkhead'::regnamespace
		 WHERE p.proname IN ('enter', 'self_check', 'register_key', 'retire_key', 'revoke_tenant', 'readmit_tenant',
		                     'set_login_key', 'drop_login_key')
		   AND has_function_privilege(me.oid, p.oid, 'EXECUTE')
		UNION ALL
		SELECT format('%s may set %s; REVOKE ALL ON PARAMETER %s FROM %s', grantee.name, p.parname, p.parname, grantee.name)
		  FROM me JOIN pg_parameter_acl AS p ON true
		 CROSS JOIN LATERAL (SELECT DISTINCT a.grantee FROM aclexplode(p.paracl) AS a) AS held
		 CROSS JOIN LATERAL (SELECT CASE held.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(held.grantee)) END)
		       AS grantee (name)
		  LEFT JOIN pg_roles AS r ON r.oid = held.grantee
		 WHERE held.grantee = 0 OR held.grantee IN (SELECT reach.oid FROM reach)
		    OR (p.parname = 'backtrace_functions' AND r.rolname IS DISTINCT FROM 'bulkhead_guard' AND r.rolsuper IS NOT TRUE)
		UNION ALL
		SELECT format('%I has settings of its own%s; ALTER ROLE %I%s RESET ALL', me.rolname,
		              ' in database ' || quote_ident(d.datname), me.rolname, ' IN DATABASE ' || quote_ident(d.datname))
		  FROM me JOIN pg_db_role_setting AS s ON s.setrole = me.oid AND s.setdatabase IN (0, me.database)
		  LEFT JOIN pg_database AS d ON d.oid = s.setdatabase
		UNION ALL
		-- A client that leaves its backend with something on it has it cleared so.
		SELECT format('%I may not call pg_advisory_unlock_all(); '
		              'GRANT EXECUTE ON FUNCTION pg_catalog.pg_advisory_unlock_all() TO %I', me.rolname, me.rolname)
		  FROM me WHERE NOT has_function_privilege(me.oid, 'pg_advisory_unlock_all()'::regprocedure, 'EXECUTE');
	END;

-- One row for the calling login, all columns text. It runs with the guard's rights, since hardening closes
-- some of the catalogues that it reads; it tells a login about itself and about nobody else. It has no
-- search_path of its own, which would hide what the session began with: the bodies are bound here and now.
CREATE OR REPLACE FUNCTION bulkhead.login_check(
	OUT server_version text, OUT login text, OUT context text, OUT row_security text,
	OUT guard_version text, OUT faults text)
	LANGUAGE sql VOLATILE SECURITY DEFINER
	BEGIN ATOMIC
		SELECT current_setting('server_version_num'), session_user::text,
		       current_setting('backtrace_functions'), current_setting('row_security'),
		       bulkhead.guard_version()::text,
		       (SELECT coalesce(left(string_agg(f.fault, '; ' ORDER BY f.fault), 1500), '')
		          FROM (SELECT * FROM bulkhead.tenant_login_faults(session_user)
		                UNION ALL SELECT * FROM bulkhead.session_faults()) AS f (fault));
	END;
