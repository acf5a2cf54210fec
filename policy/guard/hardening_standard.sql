-- Hardening `standard`, for a database that has other users than Bulkhead: only what one tenant could read of
-- another's, or do to it, through the login that they share.

-- Statements of other sessions of the same login, with the values in them.
SELECT pg_temp.take_functions(
	ARRAY['pg\_stat\_get\_activity(%', 'pg\_stat\_get\_backend\_%', 'pg\_stat\_get\_progress\_info(%'],
	ARRAY['pg_read_all_stats']);
SELECT pg_temp.take_relations(
	ARRAY['pg\_stat\_activity', 'pg\_stat\_progress\_%', 'pg\_stat\_ssl', 'pg\_stat\_gssapi',
	      'pg\_stat\_replication', 'pg\_stat\_statements%'],
	ARRAY['pg_read_all_stats']);
SELECT pg_temp.take_extensions(ARRAY['pg\_stat\_%'], 'pg_read_all_stats');

-- Ending other sessions of the same login.
SELECT pg_temp.take_functions(
	ARRAY['pg\_cancel\_backend(%', 'pg\_terminate\_backend(%'], ARRAY['pg_signal_backend']);

-- A large object belongs to a login, not to a tenant, and has no row security.
SELECT pg_temp.take_functions(
	ARRAY['lo\_%', 'loread(%', 'lowrite(%'], ARRAY['bulkhead_control', 'bulkhead_admin']);

-- PostgreSQL's own default since 15; a database that came from an older one still has it.
DO $standard$
BEGIN
	IF to_regnamespace('public') IS NOT NULL AND has_schema_privilege('public', 'public', 'CREATE') THEN
		REVOKE CREATE ON SCHEMA public FROM PUBLIC;
	END IF;
END
$standard$;
