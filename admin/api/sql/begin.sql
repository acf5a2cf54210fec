-- The functions of the admin API are made anew at every installation; nothing else is in their schema. What stays in
-- it depends on the search_path of now where a body is bound when it is created, and on that of call() where it is text.

DO $$
BEGIN
	IF EXISTS (SELECT FROM pg_catalog.pg_namespace n WHERE n.nspname = 'bulkhead_api'
			   AND n.nspowner <> 'bulkhead_control'::pg_catalog.regrole) THEN
		RAISE EXCEPTION 'schema bulkhead_api exists and does not belong to bulkhead_control';
	END IF;
	EXECUTE pg_catalog.format('SET LOCAL ROLE %I', pg_catalog.current_setting('bulkhead.installer'));
	DROP SCHEMA IF EXISTS bulkhead_api CASCADE;
	CREATE SCHEMA bulkhead_api AUTHORIZATION bulkhead_control;
END
$$;

SET LOCAL ROLE bulkhead_control;
