-- The sidecars' login: made when it is missing, given its functions, and checked. Run at every
-- installation, after the numbered steps. The settings bulkhead.sidecar_login and, where a password is
-- to be set, bulkhead.sidecar_verifier say what to do, and those of api_login; all end with the transaction.

SELECT pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);

DO $$
BEGIN
	EXECUTE pg_catalog.format('SET LOCAL ROLE %I', pg_catalog.current_setting('bulkhead.installer'));
END
$$;

DO $$
DECLARE
	login text := pg_catalog.current_setting('bulkhead.sidecar_login');
	verifier text := pg_catalog.current_setting('bulkhead.sidecar_verifier', true);
BEGIN
	BEGIN
		IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = login) THEN
			EXECUTE pg_catalog.format('CREATE ROLE %I LOGIN', login);
		END IF;
	EXCEPTION
		WHEN duplicate_object OR unique_violation THEN NULL;
	END;
	IF verifier <> '' THEN
		EXECUTE pg_catalog.format('ALTER ROLE %I PASSWORD %L', login, verifier);
	END IF;

	EXECUTE pg_catalog.format('GRANT USAGE ON SCHEMA bulkhead_control TO %I', login);
	EXECUTE pg_catalog.format('GRANT EXECUTE ON FUNCTION bulkhead_control.lookup_tenant(text),'
							  ' bulkhead_control.lookup_principal(text),'
							  ' bulkhead_control.changed_tenants(uuid[], bigint[]),'
							  ' bulkhead_control.changed_principals(text[], bigint[]),'
							  ' bulkhead_control.lookup_clusters(),'
							  ' bulkhead_control.record_events(jsonb) TO %I', login);
	IF NOT pg_catalog.has_database_privilege(login, pg_catalog.current_database(), 'CONNECT') THEN
		EXECUTE pg_catalog.format('GRANT CONNECT ON DATABASE %I TO %I', pg_catalog.current_database(), login);
	END IF;
END
$$;

-- Privileges are read back: a GRANT or REVOKE without the right to it is only a warning.
DO $$
DECLARE
	login text := pg_catalog.current_setting('bulkhead.sidecar_login');
	culprit text;
BEGIN
	IF EXISTS (SELECT FROM pg_catalog.pg_roles
			   WHERE rolname = login
			   AND (NOT rolcanlogin OR rolsuper OR rolbypassrls OR rolcreaterole OR rolcreatedb OR rolreplication)) THEN
		RAISE EXCEPTION 'role % must be able to log in, and must not be a superuser, bypass row security, replicate, or create roles or databases', login;
	END IF;

	SELECT m.roleid::pg_catalog.regrole::text INTO culprit
	FROM pg_catalog.pg_auth_members m JOIN pg_catalog.pg_roles r ON r.oid = m.member
	WHERE r.rolname = login LIMIT 1;
	IF FOUND THEN
		RAISE EXCEPTION 'role % must not be a member of %', login, culprit;
	END IF;

	SELECT c.oid::pg_catalog.regclass::text INTO culprit
	FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
	WHERE n.nspname = 'bulkhead_control' AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
	AND (pg_catalog.has_table_privilege(login, c.oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER')
		 OR pg_catalog.has_any_column_privilege(login, c.oid, 'SELECT, INSERT, UPDATE, REFERENCES'))
	LIMIT 1;
	IF FOUND THEN
		RAISE EXCEPTION 'role % must have no privilege on table %', login, culprit;
	END IF;

	-- Of the functions with their owner's rights, the look-ups, the one that records what it saw, and no other.
	SELECT p.oid::pg_catalog.regprocedure::text INTO culprit
	FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
	WHERE n.nspname = 'bulkhead_control' AND p.prosecdef
	AND pg_catalog.has_function_privilege(login, p.oid, 'EXECUTE')
		IS DISTINCT FROM (p.proname IN ('lookup_tenant', 'lookup_principal', 'changed_tenants', 'changed_principals',
										'lookup_clusters', 'record_events'))
	LIMIT 1;
	IF FOUND THEN
		RAISE EXCEPTION 'role % has the wrong privileges on function %', login, culprit;
	END IF;

	IF NOT pg_catalog.has_schema_privilege(login, 'bulkhead_control', 'USAGE')
	   OR pg_catalog.has_schema_privilege(login, 'bulkhead_control', 'CREATE')
	   OR NOT pg_catalog.has_database_privilege(login, pg_catalog.current_database(), 'CONNECT') THEN
		RAISE EXCEPTION 'role % must be able to connect and to use schema bulkhead_control, and must not create in it', login;
	END IF;
END
$$;

-- The login that serves the admin API: a member of bulkhead_admin, and nothing else.
DO $$
DECLARE
	login text := pg_catalog.current_setting('bulkhead.api_login');
	verifier text := pg_catalog.current_setting('bulkhead.api_verifier', true);
	culprit text;
BEGIN
	BEGIN
		IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = login) THEN
			EXECUTE pg_catalog.format('CREATE ROLE %I LOGIN', login);
		END IF;
	EXCEPTION
		WHEN duplicate_object OR unique_violation THEN NULL;
	END;
	IF verifier <> '' THEN
		EXECUTE pg_catalog.format('ALTER ROLE %I PASSWORD %L', login, verifier);
	END IF;
	IF NOT pg_catalog.pg_has_role(login, 'bulkhead_admin', 'USAGE') THEN
		EXECUTE pg_catalog.format('GRANT bulkhead_admin TO %I', login);
	END IF;
	IF NOT pg_catalog.has_database_privilege(login, pg_catalog.current_database(), 'CONNECT') THEN
		EXECUTE pg_catalog.format('GRANT CONNECT ON DATABASE %I TO %I', pg_catalog.current_database(), login);
	END IF;

	IF EXISTS (SELECT FROM pg_catalog.pg_roles
			   WHERE rolname = login
			   AND (NOT rolcanlogin OR rolsuper OR rolbypassrls OR rolcreaterole OR rolcreatedb OR rolreplication)) THEN
		RAISE EXCEPTION 'role % must be able to log in, and must not be a superuser, bypass row security, replicate, or create roles or databases', login;
	END IF;
	SELECT m.roleid::pg_catalog.regrole::text INTO culprit
	FROM pg_catalog.pg_auth_members m JOIN pg_catalog.pg_roles r ON r.oid = m.member
	WHERE r.rolname = login AND m.roleid <> 'bulkhead_admin'::pg_catalog.regrole LIMIT 1;
	IF FOUND THEN
		RAISE EXCEPTION 'role % must not be a member of %', login, culprit;
	END IF;
	IF NOT pg_catalog.pg_has_role(login, 'bulkhead_admin', 'USAGE')
	   OR NOT pg_catalog.has_database_privilege(login, pg_catalog.current_database(), 'CONNECT') THEN
		RAISE EXCEPTION 'role % must be able to connect, and be a member of bulkhead_admin', login;
	END IF;
END
$$;

-- Sidecars that found an older schema ask for all there is again.
NOTIFY bulkhead_directory, 'schema';
