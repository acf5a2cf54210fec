-- The self-check that a new backend must pass before a client's statement runs on it.

-- What is wrong with a pool's login: one line for each fault, each with what mends it. A tenant's statement
-- runs with all that this login may do, so the list is of ways around the seal and around row security.
CREATE OR REPLACE FUNCTION bulkhead.login_faults(login name) RETURNS SETOF text
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp -- names of objects are written with their schemas
	BEGIN ATOMIC
		SELECT format('%I has rights that a pool''s login must not have; '
		              'ALTER ROLE %I NOSUPERUSER NOBYPASSRLS NOCREATEROLE NOCREATEDB NOREPLICATION',
		              login_faults.login, login_faults.login)
		  FROM pg_roles AS r
		 WHERE r.rolname = login_faults.login
		   AND (r.rolsuper OR r.rolbypassrls OR r.rolcreaterole OR r.rolcreatedb OR r.rolreplication)
		UNION ALL
		SELECT format('%I is a member of %I; REVOKE %I FROM %I, or from the role in between',
		              login_faults.login, g.rolname, g.rolname, login_faults.login)
		  FROM pg_roles AS r JOIN pg_roles AS g ON g.oid <> r.oid AND pg_has_role(r.oid, g.oid, 'MEMBER')
		 WHERE r.rolname = login_faults.login AND NOT r.rolsuper
		   AND (g.rolsuper OR g.rolbypassrls OR g.rolcreaterole OR g.rolcreatedb OR g.rolreplication
		        OR starts_with(g.rolname::text, 'pg_') OR g.rolname ~ '^t_[0-9a-f]{32}$'
		        OR g.rolname IN ('bulkhead_guard', 'bulkhead_control', 'bulkhead_admin', 'bulkhead_sidecar', 'bulkhead_api'))
		UNION ALL
		SELECT format('%s may set backtrace_functions, which only bulkhead_guard may; '
		              'REVOKE ALL ON PARAMETER backtrace_functions FROM %s', grantee.name, grantee.name)
		  FROM (SELECT DISTINCT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END
		          FROM pg_parameter_acl AS p, LATERAL aclexplode(p.paracl) AS a
		         WHERE p.parname = 'backtrace_functions'
		           AND a.grantee NOT IN (SELECT s.oid FROM pg_roles AS s
		                                  WHERE s.rolname = 'bulkhead_guard' OR s.rolsuper)) AS grantee (name)
		UNION ALL
		SELECT format('%I has settings of its own%s; ALTER ROLE %I%s RESET ALL', login_faults.login,
		              ' in database ' || quote_ident(d.datname), login_faults.login,
		              ' IN DATABASE ' || quote_ident(d.datname))
		  FROM pg_db_role_setting AS s JOIN pg_roles AS r ON r.oid = s.setrole
		  JOIN pg_database AS d ON d.oid = s.setdatabase
		 WHERE r.rolname = login_faults.login AND d.datname = current_database()
		UNION ALL
		SELECT format('%I has settings of its own; ALTER ROLE %I RESET ALL', login_faults.login, login_faults.login)
		  FROM pg_db_role_setting AS s JOIN pg_roles AS r ON r.oid = s.setrole
		 WHERE r.rolname = login_faults.login AND s.setdatabase = 0
		UNION ALL
		-- Whatever it is, but for temporary objects, which go with their sessions, and default privileges, which any
		-- tenant may change: they are for objects yet to be made, and must not stop the service. Its identity or its
		-- description is NULL when the object went while this was looking. One stands for all: they must fit a line of
		-- the log.
		SELECT format('%I owns %s%s; let a role that is no login of a pool''s own it', o.rolname,
		              min(described.object),
		              CASE WHEN count(*) > 1 THEN format(' and %s more', count(*) - 1) END)
		  FROM pg_roles AS r
		  JOIN pg_roles AS o ON pg_has_role(r.oid, o.oid, 'MEMBER')
		  JOIN pg_database AS d ON d.datname = current_database()
		  JOIN pg_shdepend AS s ON s.refclassid = 'pg_authid'::regclass AND s.refobjid = o.oid AND s.deptype = 'o'
		                           AND (s.dbid = d.oid OR s.classid = 'pg_database'::regclass AND s.objid = d.oid)
		 CROSS JOIN LATERAL pg_identify_object(s.classid, s.objid, s.objsubid) AS i
		 CROSS JOIN LATERAL pg_describe_object(s.classid, s.objid, s.objsubid) AS described (object)
		 WHERE r.rolname = login_faults.login AND NOT r.rolsuper
		   AND s.classid <> 'pg_default_acl'::regclass
		   AND i.identity IS NOT NULL AND described.object IS NOT NULL
		   AND coalesce(i.schema, '') !~ '^pg_(toast_)?temp_'
		 GROUP BY o.rolname
		UNION ALL
		SELECT format('%I may not call the guard; bulkhead init --pool-login %I', login_faults.login,
		              login_faults.login)
		  FROM pg_roles AS r
		 WHERE r.rolname = login_faults.login
		   AND NOT has_function_privilege(r.oid, 'bulkhead.enter(text,text,text,text,text)'::regprocedure, 'EXECUTE')
		UNION ALL
		-- Every change of hands calls it.
		SELECT format('%I may not call pg_advisory_unlock_all(); '
		              'GRANT EXECUTE ON FUNCTION pg_catalog.pg_advisory_unlock_all() TO %I', login_faults.login,
		              login_faults.login)
		  FROM pg_roles AS r
		 WHERE r.rolname = login_faults.login
		   AND NOT has_function_privilege(r.oid, 'pg_advisory_unlock_all()'::regprocedure, 'EXECUTE')
		UNION ALL
		SELECT format('%I has the name of a tenant''s own login', login_faults.login)
		 WHERE login_faults.login ~ '^t_[0-9a-f]{32}$';
	END;

-- One row for the calling login, all columns text. It runs with the guard's rights, since hardening closes
-- some of the catalogues that it reads; it tells a login about itself and about nobody else. It has no
-- search_path of its own, which would hide what the session began with: the bodies are bound here and now.
CREATE OR REPLACE FUNCTION bulkhead.self_check(
	OUT server_version text, OUT login text, OUT context text, OUT row_security text,
	OUT guard_version text, OUT installation text, OUT clock_ms text, OUT faults text)
	LANGUAGE sql VOLATILE SECURITY DEFINER
	BEGIN ATOMIC
		SELECT current_setting('server_version_num'), session_user::text,
		       current_setting('backtrace_functions'), current_setting('row_security'),
		       bulkhead.guard_version()::text, replace(i.id::text, '-', ''),
		       floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint::text,
		       (SELECT coalesce(left(string_agg(f.fault, '; ' ORDER BY f.fault), 1500), '')
		          FROM (SELECT * FROM bulkhead.login_faults(session_user)
		                UNION ALL SELECT * FROM bulkhead.session_faults()) AS f (fault))
		  FROM bulkhead.installation AS i;
	END;
