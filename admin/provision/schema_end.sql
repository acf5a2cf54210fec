-- The schema, with all in it that nobody has been given yet, becomes the tenant's.

DO $schema_end$
DECLARE
	own CONSTANT text := current_setting('bulkhead.own');
BEGIN
	IF NOT current_setting('bulkhead.made')::boolean THEN
		EXECUTE format('ALTER SCHEMA %I OWNER TO %I', own, own);
	END IF;
	IF (SELECT n.nspowner FROM pg_namespace AS n WHERE n.nspname = own) <> to_regrole(own) THEN
		RAISE EXCEPTION 'schema "%" is not the tenant''s', own USING ERRCODE = 'duplicate_schema';
	END IF;
END
$schema_end$;
