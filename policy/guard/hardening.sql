-- Taking from PUBLIC what lets tenants, who share a login, see or hurt each other. The list is
-- hardening_list.sql; these are the hands. From here on the installer acts with
-- its own rights again. Where those are no superuser's, much of it stays, and is named in the end.

RESET ROLE;
SET LOCAL search_path = pg_catalog, pg_temp;

-- What the self-check reads, whatever is taken from PUBLIC, now or by an earlier installation.
DO $keep$
BEGIN
	IF NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
		SET LOCAL client_min_messages = 'error'; -- of each privilege that it may not take, PostgreSQL says so
	END IF;
	GRANT SELECT ON pg_settings TO bulkhead_guard;
	GRANT EXECUTE ON FUNCTION pg_show_all_settings() TO bulkhead_guard;
EXCEPTION WHEN insufficient_privilege THEN
	NULL; -- verified in the end
END
$keep$;

-- Without the right to REVOKE, PostgreSQL warns and says REVOKE all the same: so every privilege is read back. This says
-- what is left to PUBLIC: an error, but under tenants' own logins and standard hardening, which does without.
SELECT set_config('bulkhead.left_open', '', true);

CREATE OR REPLACE FUNCTION pg_temp.left_open(verb text, target text) RETURNS void
	LANGUAGE plpgsql
AS $left_open$
BEGIN
	IF current_setting('bulkhead.guard') = 'login' AND current_setting('bulkhead.hardening') = 'standard' THEN
		PERFORM set_config('bulkhead.left_open',
		                   concat_ws(', ', nullif(current_setting('bulkhead.left_open'), ''), target), true);
		RETURN;
	END IF;
	RAISE EXCEPTION 'hardening: PUBLIC may still % %', verb, target
		USING HINT = CASE verb WHEN 'execute' THEN 'Only the owner of a function of the system, a superuser, can take that away.'
		                       ELSE 'Only its owner or a superuser can take that away.' END
		             || CASE current_setting('bulkhead.guard')
		                WHEN 'login' THEN ' Standard hardening does without, where tenants have logins of their own.' ELSE '' END;
END
$left_open$;

-- Gives it to those who keep it, then takes it from PUBLIC, or leaves all as it is.
CREATE OR REPLACE FUNCTION pg_temp.take(privilege text, taken text, kind text, target text, keepers text[]) RETURNS void
	LANGUAGE plpgsql
AS $take$
DECLARE
	keeper text;
BEGIN
	FOREACH keeper IN ARRAY keepers LOOP
		IF to_regrole(keeper) IS NOT NULL THEN
			EXECUTE format('GRANT %s ON %s %s TO %I', privilege, kind, target, keeper);
		END IF;
	END LOOP;
	EXECUTE format('REVOKE %s ON %s %s FROM PUBLIC', taken, kind, target);
EXCEPTION WHEN insufficient_privilege THEN
	NULL; -- read back
END
$take$;

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

CREATE OR REPLACE FUNCTION pg_temp.take_functions(patterns text[], keepers text[]) RETURNS void
	LANGUAGE plpgsql
AS $take_functions$
DECLARE
	target regprocedure;
BEGIN
	FOR target IN SELECT * FROM pg_temp.functions_like(patterns) LOOP
		PERFORM pg_temp.take('EXECUTE', 'EXECUTE', 'FUNCTION', target::text, keepers);
		IF has_function_privilege('public', target, 'EXECUTE') THEN
			PERFORM pg_temp.left_open('execute', target::text);
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
BEGIN
	FOR target IN SELECT c.oid FROM pg_class AS c
	               WHERE c.relkind IN ('r', 'v') AND c.relname LIKE ANY (patterns)
	                 AND (c.relnamespace = 'pg_catalog'::regnamespace
	                      OR EXISTS (SELECT FROM pg_depend AS d
	                                  WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'))
	                 AND has_table_privilege('public', c.oid, 'SELECT, INSERT, UPDATE, DELETE') LOOP
		PERFORM pg_temp.take('SELECT', 'ALL', 'TABLE', target::text, keepers);
		IF has_table_privilege('public', target, 'SELECT, INSERT, UPDATE, DELETE')
		   OR has_any_column_privilege('public', target, 'SELECT, INSERT, UPDATE') THEN
			PERFORM pg_temp.left_open('use', target::text);
		END IF;
	END LOOP;
END
$take_relations$;

-- All functions of the extensions of such names. They lie in the schema that the extension was put into, and its
-- views need them, for which the caller's privileges count.
CREATE OR REPLACE FUNCTION pg_temp.take_extensions(patterns text[], keepers text[]) RETURNS void
	LANGUAGE plpgsql
AS $take_extensions$
DECLARE
	target regprocedure;
BEGIN
	FOR target IN SELECT p.oid FROM pg_extension AS e
	               JOIN pg_depend AS d ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid AND d.deptype = 'e'
	               JOIN pg_proc AS p ON d.classid = 'pg_proc'::regclass AND p.oid = d.objid
	               WHERE e.extname LIKE ANY (patterns) AND has_function_privilege('public', p.oid, 'EXECUTE') LOOP
		PERFORM pg_temp.take('EXECUTE', 'EXECUTE', 'FUNCTION', target::text, keepers);
		IF has_function_privilege('public', target, 'EXECUTE') THEN
			PERFORM pg_temp.left_open('execute', target::text);
		END IF;
	END LOOP;
END
$take_extensions$;
