-- For whoever serves the API, and nobody else.
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA bulkhead_api FROM PUBLIC;
GRANT USAGE ON SCHEMA bulkhead_api TO bulkhead_admin;
-- To take turns with those who change the tree.
GRANT UPDATE ON bulkhead_control.tree_lock TO bulkhead_admin;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA bulkhead_api TO bulkhead_admin;

-- What handlers call of the control schema: functions with nobody's rights but the caller's. Those with the owner's
-- are given one by one, where they are made.
DO $$
DECLARE
	helper regprocedure;
BEGIN
	FOR helper IN SELECT p.oid FROM pg_catalog.pg_proc p
		WHERE p.pronamespace = 'bulkhead_control'::pg_catalog.regnamespace AND p.prokind = 'f'
		AND NOT p.prosecdef AND p.prorettype <> 'pg_catalog.trigger'::pg_catalog.regtype
		AND p.proowner = 'bulkhead_control'::pg_catalog.regrole
	LOOP
		EXECUTE pg_catalog.format('GRANT EXECUTE ON FUNCTION %s TO bulkhead_admin', helper);
	END LOOP;
END
$$;
