-- What the database must be like before a tenant gets a schema in it: nobody may use a schema just because everybody
-- may, but for those that are shared (bulkhead.shared_schemas) and the guard's own.
--
-- USAGE on schema public goes from PUBLIC to those who have privileges there, so that nothing of theirs ends.

DO $ground$
DECLARE
	shared CONSTANT text[] := ARRAY(SELECT trim(s) FROM regexp_split_to_table(
		current_setting('bulkhead.shared_schemas'), ',') AS s WHERE trim(s) <> '');
	own CONSTANT text := current_setting('bulkhead.own');
	schema_name text;
	user_name text;
BEGIN
	FOREACH schema_name IN ARRAY shared LOOP
		IF to_regnamespace(quote_ident(schema_name)) IS NULL THEN
			RAISE EXCEPTION 'there is no schema "%", which shared_schemas names', schema_name
				USING ERRCODE = 'invalid_schema_name';
		END IF;
		IF NOT has_schema_privilege('bulkhead_tenants', schema_name, 'USAGE') THEN
			EXECUTE format('GRANT USAGE ON SCHEMA %I TO bulkhead_tenants', schema_name);
		END IF;
	END LOOP;

	IF NOT 'public' = ANY (shared)
	   AND EXISTS (SELECT FROM pg_namespace AS n, aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) AS a
	                WHERE n.nspname = 'public' AND a.grantee = 0) THEN
		FOR user_name IN
			SELECT r.rolname
			  FROM (SELECT c.relowner FROM pg_class AS c WHERE c.relnamespace = 'public'::regnamespace
			        UNION SELECT p.proowner FROM pg_proc AS p WHERE p.pronamespace = 'public'::regnamespace
			        UNION SELECT t.typowner FROM pg_type AS t WHERE t.typnamespace = 'public'::regnamespace
			        UNION SELECT a.grantee FROM pg_class AS c, aclexplode(c.relacl) AS a
			               WHERE c.relnamespace = 'public'::regnamespace
			        UNION SELECT a.grantee FROM pg_class AS c JOIN pg_attribute AS t ON t.attrelid = c.oid,
			                                    aclexplode(t.attacl) AS a
			               WHERE c.relnamespace = 'public'::regnamespace
			        UNION SELECT a.grantee FROM pg_proc AS p, aclexplode(p.proacl) AS a
			               WHERE p.pronamespace = 'public'::regnamespace
			        UNION SELECT a.grantee FROM pg_type AS t, aclexplode(t.typacl) AS a
			               WHERE t.typnamespace = 'public'::regnamespace
			        UNION SELECT to_regrole('bulkhead_app')::oid) AS held (role)
			  JOIN pg_roles AS r ON r.oid = held.role
			 WHERE r.rolname !~ '^(pg_|t_[0-9a-f]{32}$)'
		LOOP
			EXECUTE format('GRANT USAGE ON SCHEMA public TO %I', user_name);
		END LOOP;
		REVOKE ALL ON SCHEMA public FROM PUBLIC;
	END IF;

	-- Read back: without the right to it, a REVOKE is only a warning.
	SELECT n.nspname INTO schema_name
	  FROM pg_namespace AS n, aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) AS a
	 WHERE a.grantee = 0 AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'bulkhead')
	   AND n.nspname <> ALL (shared) AND n.nspname !~ '^pg_(toast_)?temp_'
	   -- A tenant that opens its own schema to others harms nobody else, and must not be in their way.
	   AND NOT (n.nspname ~ '^t_[0-9a-f]{32}$' AND n.nspowner = to_regrole(n.nspname::text)::oid)
	 LIMIT 1;
	IF FOUND THEN
		RAISE EXCEPTION 'schema "%" is open to everybody, and so to every tenant', schema_name
			USING ERRCODE = 'insufficient_privilege',
			      HINT = format('As its owner: REVOKE ALL ON SCHEMA %I FROM PUBLIC; or name it in shared_schemas.', schema_name);
	END IF;
	IF NOT has_database_privilege(own, current_database(), 'CONNECT') THEN
		EXECUTE format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), own);
	END IF;
END
$ground$;
