-- Taking from PUBLIC what lets tenants, who share a login, see or hurt each other. The list is
-- hardening_list.sql; these are the hands. From here on the installer acts with
-- its own rights again.

RESET ROLE;
SET LOCAL search_path = pg_catalog, pg_temp;

-- What the self-check reads, whatever is taken from PUBLIC, now or by an earlier installation.
GRANT SELECT ON pg_settings TO bulkhead_guard;
GRANT EXECUTE ON FUNCTION pg_show_all_settings() TO bulkhead_guard;

-- Functions of pg_catalog by LIKE patterns of name(argument types), as oid::regprocedure writes them. Writing all
-- 3,000 of them takes long, so the name is compared first.
CREATE OR REPLACE FUNCTION pg_temp.functions_like(patterns text[]) RETURNS SETOF regprocedure
	LANGUAGE sql STABLE
	BEGIN ATOMIC
		WITH named AS MATERIALIZED (
			SELECT p.oid FROM pg_proc AS p
			 WHERE p.pronamespace = 'pg_catalog'::regnamespace
			   AND p.proname LIKE ANY (ARRAY(SELECT split_part(pattern, '(', 1)
			                                   FROM unnest(functions_like.patterns) AS pattern))
		)
		SELECT n.oid::regprocedure FROM named AS n
		 WHERE n.oid::regprocedure::text LIKE ANY (functions_like.patterns)
		   -- By now, what PUBLIC may not run was never for it: leave it alone.
		   AND has_function_privilege('public', n.oid, 'EXECUTE');
	END;

-- Without the right to REVOKE, PostgreSQL warns and says REVOKE all the same: so the privilege is read back.
CREATE OR REPLACE FUNCTION pg_temp.take_functions(patterns text[], keepers text[]) RETURNS void
	LANGUAGE plpgsql
AS $take_functions$
DECLARE
	target regprocedure;
	keeper text;
BEGIN
	FOR target IN SELECT * FROM pg_temp.functions_like(patterns) LOOP
		FOREACH keeper IN ARRAY keepers LOOP
			IF to_regrole(keeper) IS NOT NULL THEN
				EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %I', target, keeper);
			END IF;
		END LOOP;
		EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', target);
		IF has_function_privilege('public', target, 'EXECUTE') THEN
			RAISE EXCEPTION 'hardening: PUBLIC may still execute %', target
				USING HINT = 'Only the owner of a function of the system, a superuser, can take that away.';
		END IF;
	END LOOP;
END
$take_functions$;

-- Tables and views of pg_catalog by LIKE patterns, and views of that name that extensions brought.
CREATE OR REPLACE FUNCTION pg_temp.take_relations(patterns text[], keepers text[]) RETURNS void
	LANGUAGE plpgsql
AS $take_relations$
DECLARE
	target regclass;
	keeper text;
BEGIN
	FOR target IN SELECT c.oid FROM pg_class AS c
	               WHERE c.relkind IN ('r', 'v') AND c.relname LIKE ANY (patterns)
	                 AND (c.relnamespace = 'pg_catalog'::regnamespace
	                      OR EXISTS (SELECT FROM pg_depend AS d
	                                  WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'))
	                 AND has_table_privilege('public', c.oid, 'SELECT, INSERT, UPDATE, DELETE') LOOP
		FOREACH keeper IN ARRAY keepers LOOP
			IF to_regrole(keeper) IS NOT NULL THEN
				EXECUTE format('GRANT SELECT ON TABLE %s TO %I', target, keeper);
			END IF;
		END LOOP;
		EXECUTE format('REVOKE ALL ON TABLE %s FROM PUBLIC', target);
		IF has_table_privilege('public', target, 'SELECT, INSERT, UPDATE, DELETE')
		   OR has_any_column_privilege('public', target, 'SELECT, INSERT, UPDATE') THEN
			RAISE EXCEPTION 'hardening: PUBLIC may still use %', target
				USING HINT = 'Only its owner or a superuser can take that away.';
		END IF;
	END LOOP;
END
$take_relations$;

-- All functions of the extensions of such names. They lie in the schema that the extension was put into, and its
-- views need them, for which the caller's privileges count.
CREATE OR REPLACE FUNCTION pg_temp.take_extensions(patterns text[], keeper regrole) RETURNS void
	LANGUAGE plpgsql
AS $take_extensions$
DECLARE
	target regprocedure;
BEGIN
	FOR target IN SELECT p.oid FROM pg_extension AS e
	               JOIN pg_depend AS d ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid AND d.deptype = 'e'
	               JOIN pg_proc AS p ON d.classid = 'pg_proc'::regclass AND p.oid = d.objid
	               WHERE e.extname LIKE ANY (patterns) AND has_function_privilege('public', p.oid, 'EXECUTE') LOOP
		EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %s', target, keeper);
		EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', target);
		IF has_function_privilege('public', target, 'EXECUTE') THEN
			RAISE EXCEPTION 'hardening: PUBLIC may still execute %', target
				USING HINT = 'Only its owner or a superuser can take that away.';
		END IF;
	END LOOP;
END
$take_extensions$;
