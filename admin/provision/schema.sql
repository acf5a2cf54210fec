-- The tenant's schema, before anything is in it. Left as it is where it is there already, since all of it was made in
-- one transaction; bulkhead.made says which.

DO $schema$
DECLARE
	own CONSTANT text := current_setting('bulkhead.own');
BEGIN
	IF to_regnamespace(own) IS NOT NULL AND current_setting('bulkhead.again')::boolean THEN
		EXECUTE format('DROP SCHEMA %I CASCADE', own);
	END IF;
	PERFORM set_config('bulkhead.made', (to_regnamespace(own) IS NOT NULL)::text, true);
	IF to_regnamespace(own) IS NULL THEN
		EXECUTE format('CREATE SCHEMA %I', own);
	END IF;
END
$schema$;
