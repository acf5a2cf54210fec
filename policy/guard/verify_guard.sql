-- What is verified of either kind of guard.

CREATE OR REPLACE FUNCTION pg_temp.guard_faults() RETURNS SETOF text
	LANGUAGE sql STABLE
	BEGIN ATOMIC
		SELECT format('backtrace_functions is "%s" by default; it must be empty', s.reset_val)
		  FROM pg_settings AS s WHERE s.name = 'backtrace_functions' AND s.reset_val <> ''
		UNION ALL
		SELECT format('%I has rights that it must not have', r.rolname) FROM pg_roles AS r
		 WHERE r.rolname IN ('bulkhead_guard', 'bulkhead_app')
		   AND (r.rolcanlogin OR r.rolsuper OR r.rolbypassrls OR r.rolcreaterole OR r.rolcreatedb OR r.rolreplication)
		UNION ALL
		SELECT format('bulkhead_guard is a member of %I; REVOKE %I FROM bulkhead_guard', r.rolname, r.rolname)
		  FROM pg_auth_members AS g JOIN pg_roles AS r ON r.oid = g.roleid
		 WHERE g.member = to_regrole('bulkhead_guard')
		UNION ALL
		SELECT format('table %s is open to others than the guard', c.oid::regclass) FROM pg_class AS c
		 WHERE c.relnamespace = 'bulkhead'::regnamespace AND c.relkind = 'r'
		   AND (NOT c.relrowsecurity OR EXISTS (SELECT FROM pg_policy AS y WHERE y.polrelid = c.oid)
		        OR EXISTS (SELECT FROM aclexplode(c.relacl) AS a WHERE a.grantee <> c.relowner)
		        OR EXISTS (SELECT FROM pg_attribute AS t WHERE t.attrelid = c.oid AND t.attacl IS NOT NULL))
		UNION ALL
		SELECT format('%I may create in schema bulkhead', r.rolname) FROM pg_roles AS r
		 WHERE NOT r.rolsuper AND r.rolname <> 'bulkhead_guard'
		   AND has_schema_privilege(r.oid, 'bulkhead', 'CREATE')
		UNION ALL
		SELECT format('%s may call %s', w.grantee, p.oid::regprocedure)
		  FROM pg_proc AS p, LATERAL (VALUES ('public'), ('bulkhead_app')) AS w (grantee)
		 WHERE p.pronamespace = 'bulkhead'::regnamespace
		   AND p.proname IN ('enter', 'self_check', 'register_key', 'retire_key', 'revoke_tenant', 'readmit_tenant',
		                     'login_faults', 'tenant_login_faults', 'set_login_key', 'drop_login_key')
		   AND has_function_privilege(w.grantee, p.oid, 'EXECUTE');
	END;
