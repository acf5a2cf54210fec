-- Closes the tenant's own login and ends its sessions, and has the guard enter the tenant no more. A role of that name
-- that was not made for the tenant (role.sql) is in the way: nothing is removed.

DO $purge_close$
DECLARE
	own CONSTANT text := current_setting('bulkhead.own');
	mark CONSTANT text := 'bulkhead: tenant ' || current_setting('bulkhead.tenant');
	is_superuser CONSTANT boolean := (SELECT r.rolsuper FROM pg_roles AS r WHERE r.rolname = current_user);
BEGIN
	IF to_regrole(own) IS NOT NULL
	   AND shobj_description(to_regrole(own), 'pg_authid') IS DISTINCT FROM mark THEN
		RAISE EXCEPTION 'there is a role "%" that was not made for this tenant', own
			USING ERRCODE = 'duplicate_object',
			      HINT = format('If it is the tenant''s and is to go as well, mark it: COMMENT ON ROLE %I IS %L; else rename it.', own, mark);
	END IF;
	IF to_regrole(own) IS NOT NULL THEN
		EXECUTE format('ALTER ROLE %I NOLOGIN PASSWORD NULL', own);
		IF NOT is_superuser AND NOT pg_has_role(current_user, own, 'USAGE') THEN
			EXECUTE format('GRANT %I TO %I', own, current_user);
		END IF;
		-- Sidecars end their sessions themselves; this is for all others. Hardening takes both functions from everybody.
		IF has_function_privilege('pg_stat_get_activity(integer)', 'EXECUTE')
		   AND has_function_privilege('pg_terminate_backend(integer, bigint)', 'EXECUTE') THEN
			PERFORM pg_terminate_backend(a.pid, 5000) FROM pg_stat_get_activity(NULL) AS a WHERE a.usesysid = to_regrole(own);
		END IF;
	END IF;
	IF to_regclass('bulkhead.revoked_tenant') IS NOT NULL AND is_superuser THEN
		EXECUTE 'INSERT INTO bulkhead.revoked_tenant (tenant) VALUES ($1::uuid) ON CONFLICT DO NOTHING'
			USING current_setting('bulkhead.tenant');
	END IF;
END
$purge_close$;
