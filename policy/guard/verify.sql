-- Runs last: reads back what was asked for, and undoes the whole installation when something else is there.

CREATE OR REPLACE FUNCTION pg_temp.installation_faults(pool name, owner name) RETURNS SETOF text
	LANGUAGE sql STABLE
	BEGIN ATOMIC
		SELECT f.fault FROM pg_temp.guard_faults() AS f (fault)
		UNION ALL
		SELECT f.fault FROM bulkhead.login_faults(installation_faults.pool) AS f (fault)
		UNION ALL
		SELECT 'bulkhead_guard may not set backtrace_functions'
		 WHERE NOT has_parameter_privilege('bulkhead_guard', 'backtrace_functions', 'SET')
		UNION ALL
		SELECT format('%I is a member of bulkhead_guard; REVOKE bulkhead_guard FROM %I', m.rolname, m.rolname)
		  FROM pg_auth_members AS g JOIN pg_roles AS m ON m.oid = g.member
		 WHERE g.roleid = to_regrole('bulkhead_guard')
		UNION ALL
		SELECT format('%I may not call bulkhead.self_check()', installation_faults.pool)
		 WHERE NOT has_function_privilege(installation_faults.pool, 'bulkhead.self_check()', 'EXECUTE')
		UNION ALL
		SELECT format('%I may create in schema %I; REVOKE CREATE ON SCHEMA %I FROM PUBLIC, bulkhead_app, %I',
		              installation_faults.pool, n.nspname, n.nspname, installation_faults.pool)
		  FROM pg_namespace AS n
		 WHERE n.nspname !~ '^(pg_(toast_)?temp_|t_[0-9a-f]{32}$)'
		   AND has_schema_privilege(installation_faults.pool, n.oid, 'CREATE')
		UNION ALL
		SELECT format('%I may create schemas; REVOKE CREATE ON DATABASE %I FROM PUBLIC, bulkhead_app, %I',
		              installation_faults.pool, current_database(), installation_faults.pool)
		 WHERE has_database_privilege(installation_faults.pool, current_database(), 'CREATE')
		UNION ALL
		SELECT format('%I may not connect to database %I', installation_faults.pool, current_database())
		 WHERE NOT has_database_privilege(installation_faults.pool, current_database(), 'CONNECT')
		UNION ALL
		SELECT format('%I, the tables'' owner, has no BYPASSRLS', installation_faults.owner)
		  FROM pg_roles AS r
		 WHERE r.rolname = installation_faults.owner AND NOT (r.rolbypassrls OR r.rolsuper)
		UNION ALL
		SELECT 'no signing key is registered' WHERE NOT EXISTS (SELECT FROM bulkhead.signing_key);
	END;

DO $verify$
DECLARE
	faults text;
BEGIN
	SELECT string_agg(fault, E'\n') INTO faults
	  FROM pg_temp.installation_faults(current_setting('bulkhead.pool_login')::name,
	                                   current_setting('bulkhead.owner')::name) AS f (fault);
	IF faults IS NOT NULL THEN
		RAISE EXCEPTION 'the guard would not hold on this server' USING DETAIL = faults;
	END IF;
END
$verify$;

DROP FUNCTION pg_temp.installation_faults(name, name), pg_temp.guard_faults(), pg_temp.take_functions(text[], text[]),
	pg_temp.take_relations(text[], text[]), pg_temp.take_extensions(text[], text[]), pg_temp.functions_like(text[]),
	pg_temp.take(text, text, text, text, text[]), pg_temp.left_open(text, text);
