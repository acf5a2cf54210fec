-- What must be there before the first numbered step: roles, schema, ltree and the list of steps.
-- Run at every installation; changes nothing when all is there.

SELECT pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
SELECT pg_catalog.set_config('client_min_messages', 'warning', true);
SELECT pg_catalog.set_config('bulkhead.installer', current_user::text, true);

DO $$
DECLARE
	role_name text;
BEGIN
	FOREACH role_name IN ARRAY ARRAY['bulkhead_control', 'bulkhead_admin'] LOOP
		BEGIN
			IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = role_name) THEN
				EXECUTE pg_catalog.format('CREATE ROLE %I NOLOGIN', role_name);
			END IF;
		EXCEPTION
			-- Roles belong to the whole server: another database's installation was faster.
			WHEN duplicate_object OR unique_violation THEN NULL;
		END;
	END LOOP;

	IF EXISTS (SELECT FROM pg_catalog.pg_roles
			   WHERE rolname IN ('bulkhead_control', 'bulkhead_admin')
			   AND (rolsuper OR rolbypassrls OR rolcreaterole OR rolcreatedb OR rolreplication)) THEN
		RAISE EXCEPTION 'the roles bulkhead_control and bulkhead_admin must not be superusers, bypass row security, or create roles or databases';
	END IF;

	-- Superusers are members of every role. Others stay members: it is how they manage tenants. Since PostgreSQL 16
	-- whoever makes a role is a member who may only manage it.
	IF pg_catalog.current_setting('server_version_num')::integer >= 160000 THEN
		IF NOT (pg_catalog.pg_has_role(current_user, 'bulkhead_control', 'USAGE')
				AND pg_catalog.pg_has_role(current_user, 'bulkhead_control', 'SET')) THEN
			EXECUTE pg_catalog.format('GRANT bulkhead_control TO %I WITH INHERIT TRUE, SET TRUE', current_user);
		END IF;
	ELSIF NOT pg_catalog.pg_has_role(current_user, 'bulkhead_control', 'MEMBER') THEN
		EXECUTE pg_catalog.format('GRANT bulkhead_control TO %I', current_user);
	END IF;
END
$$;

-- A schema of that name with another owner could hold anything: it is not adopted.
DO $$
DECLARE
	schema_owner text := (SELECT nspowner::pg_catalog.regrole::text FROM pg_catalog.pg_namespace
						  WHERE nspname = 'bulkhead_control');
BEGIN
	IF schema_owner IS NULL THEN
		CREATE SCHEMA bulkhead_control AUTHORIZATION bulkhead_control;
	ELSIF schema_owner <> 'bulkhead_control' THEN
		RAISE EXCEPTION 'schema bulkhead_control exists and belongs to %, not to bulkhead_control', schema_owner;
	END IF;

	-- ltree may be the application's already, in whatever schema; then that one is used. Either way the
	-- objects below hold on to its operators by identity, so it may be moved with ALTER EXTENSION.
	IF NOT EXISTS (SELECT FROM pg_catalog.pg_extension WHERE extname = 'ltree') THEN
		CREATE EXTENSION ltree WITH SCHEMA bulkhead_control;
	END IF;
END
$$;

-- For the numbered steps, which name ltree and their own objects without a schema. Nothing that stays
-- in the database depends on it: function bodies are bound when they are created, or name everything.
SELECT pg_catalog.set_config('search_path',
							 pg_catalog.format('bulkhead_control, %I, pg_temp', n.nspname), true)
FROM pg_catalog.pg_extension e
JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace
WHERE e.extname = 'ltree';

SET LOCAL ROLE bulkhead_control;

CREATE TABLE IF NOT EXISTS bulkhead_control.migration (
	number integer PRIMARY KEY,
	name text NOT NULL,
	checksum text NOT NULL CHECK (checksum ~ '^[0-9a-f]{64}$'), -- SHA-256 of the step's text
	applied_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp()
);

-- Functions are for those who are named, never for PUBLIC.
ALTER DEFAULT PRIVILEGES FOR ROLE bulkhead_control REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
