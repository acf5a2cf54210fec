-- Undoes the hardening of the database, for tests of the gate alone: the seal becomes an ordinary setting, <context>, and
-- privileges are those that PostgreSQL and a careless owner give. Run by a superuser after `bulkhead init` and protect().
-- Bulkhead still finds what it asks a new backend for: backtrace_functions empty, and not to be set by the login.

-- The functions of policy/guard in which the seal is, with its place changed and nothing checked that kept it.
CREATE OR REPLACE FUNCTION bulkhead.tenant_id() RETURNS uuid
	LANGUAGE sql STABLE PARALLEL SAFE
	RETURN coalesce(nullif(left(current_setting('<context>', true), 32), ''), bulkhead.no_context())::uuid;

CREATE OR REPLACE FUNCTION bulkhead.tenant_key() RETURNS text
	LANGUAGE sql STABLE PARALLEL SAFE
	RETURN coalesce(nullif(convert_from(decode(substr(current_setting('<context>', true), 34), 'hex'), 'UTF8'), ''),
	                bulkhead.no_key());

CREATE OR REPLACE FUNCTION bulkhead.enter(kid text, tenant text, key text, expires text, mac text) RETURNS text
	LANGUAGE plpgsql VOLATILE
AS $enter$
BEGIN
	RETURN set_config('<context>', enter.tenant || ',' || enter.key, false);
END
$enter$;

CREATE OR REPLACE PROCEDURE bulkhead.set_all(settings text[])
	LANGUAGE plpgsql
AS $set_all$
DECLARE
	seal CONSTANT text := current_setting('<context>', true);
BEGIN
	FOR place IN 1 .. cardinality(settings) BY 2 LOOP
		PERFORM set_config(settings[place], settings[place + 1], false);
	END LOOP;
	PERFORM set_config('<context>', seal, false);
END
$set_all$;

CREATE OR REPLACE PROCEDURE bulkhead.reset_all(settings text[] DEFAULT '{}')
	LANGUAGE plpgsql
AS $reset_all$
DECLARE
	seal CONSTANT text := current_setting('<context>', true);
BEGIN
	RESET ALL;
	PERFORM set_config('<context>', seal, false);
	CALL bulkhead.set_all(settings);
END
$reset_all$;

-- What attacks leave owned or set is for the arena to find, not for Bulkhead, which would stop serving.
CREATE OR REPLACE FUNCTION bulkhead.login_faults(login name) RETURNS SETOF text
	LANGUAGE sql STABLE
	RETURN NULL;

CREATE OR REPLACE FUNCTION bulkhead.session_faults() RETURNS SETOF text
	LANGUAGE sql STABLE
	RETURN NULL;

DO $policies$
DECLARE
	policy record;
	condition text;
BEGIN
	FOR policy IN SELECT polrelid::regclass AS relation, pg_get_expr(polqual, polrelid) AS condition
	                FROM pg_policy WHERE polname = 'bulkhead_tenant' LOOP
		condition := replace(policy.condition, $$'backtrace_functions'::text$$, $$'<context>'::text, true$$);
		EXECUTE format('ALTER POLICY bulkhead_tenant ON %s USING (%s) WITH CHECK (%s)',
		               policy.relation, condition, condition);
	END LOOP;
END
$policies$;

-- Functions and views as PostgreSQL gives them to PUBLIC, the guard's own and those of extensions as well; what `initdb`
-- or an extension's script keeps from PUBLIC stays so.
DO $public$
DECLARE
	target text;
BEGIN
	FOR target IN SELECT p.oid::regprocedure FROM pg_proc AS p
	               WHERE p.pronamespace <> 'bulkhead_control'::regnamespace
	                 AND NOT has_function_privilege('public', p.oid, 'EXECUTE')
	                 AND NOT EXISTS (SELECT FROM pg_init_privs AS i
	                                  WHERE i.classoid = 'pg_proc'::regclass AND i.objoid = p.oid) LOOP
		EXECUTE format('GRANT EXECUTE ON ROUTINE %s TO PUBLIC', target);
	END LOOP;
	FOR target IN SELECT i.objoid::regclass FROM pg_init_privs AS i, aclexplode(i.initprivs) AS a
	               WHERE i.classoid = 'pg_class'::regclass AND i.objsubid = 0 AND a.grantee = 0
	                 AND a.privilege_type = 'SELECT' AND NOT has_table_privilege('public', i.objoid, 'SELECT') LOOP
		EXECUTE format('GRANT SELECT ON %s TO PUBLIC', target);
	END LOOP;
	GRANT UPDATE ON pg_settings TO PUBLIC;
END
$public$;

GRANT TEMPORARY ON DATABASE shop TO PUBLIC;
GRANT USAGE, CREATE ON SCHEMA public TO PUBLIC;
GRANT ALL ON ALL TABLES IN SCHEMA public TO bulkhead_app;
GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO bulkhead_app;
