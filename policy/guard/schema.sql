-- The schema and its tables. From here on the installer acts as bulkhead_guard, so that everything made is
-- the guard's.
--
-- The tables have row security without a policy. It is not forced, so the owner, and with it the definer
-- functions of the guard, reads and writes them; every other role sees no row and can add none, members of
-- pg_read_all_data and pg_write_all_data included.

DO $schema$
DECLARE
	stranger text;
BEGIN
	IF to_regnamespace('bulkhead') IS NULL THEN
		CREATE SCHEMA bulkhead AUTHORIZATION bulkhead_guard;
	ELSIF (SELECT nspowner FROM pg_namespace WHERE nspname = 'bulkhead') <> to_regrole('bulkhead_guard') THEN
		RAISE EXCEPTION 'there is a schema "bulkhead" that is not the guard''s'
			USING HINT = 'Rename it, or drop it if it is of no use.';
	END IF;

	SELECT format('%s belongs to %I', pg_describe_object(o.class, o.id, 0), pg_get_userbyid(o.owner)) INTO stranger
	  FROM (SELECT 'pg_class'::regclass, oid, relnamespace, relowner FROM pg_class
	        UNION ALL
	        SELECT 'pg_proc'::regclass, oid, pronamespace, proowner FROM pg_proc
	        UNION ALL
	        SELECT 'pg_type'::regclass, oid, typnamespace, typowner FROM pg_type) AS o (class, id, schema, owner)
	 WHERE o.schema = to_regnamespace('bulkhead') AND o.owner <> to_regrole('bulkhead_guard')
	 LIMIT 1;
	IF FOUND THEN
		RAISE EXCEPTION 'there is something in schema "bulkhead" that is not the guard''s: %', stranger
			USING HINT = 'Drop it, or move it to a schema of its own.';
	END IF;
END
$schema$;

SET LOCAL ROLE bulkhead_guard;

CREATE TABLE IF NOT EXISTS bulkhead.installation (
	only_row   boolean     PRIMARY KEY DEFAULT true CHECK (only_row),
	id         uuid        NOT NULL DEFAULT gen_random_uuid(),
	created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- HMAC-SHA256 keys as the two blocks that HMAC (RFC 2104) hashes first, so that sha256() alone computes it.
CREATE TABLE IF NOT EXISTS bulkhead.signing_key (
	kid         text        PRIMARY KEY CHECK (kid ~ '^[a-z0-9_-]{1,32}$'),
	inner_block bytea       NOT NULL CHECK (octet_length(inner_block) = 64),
	outer_block bytea       NOT NULL CHECK (octet_length(outer_block) = 64),
	created_at  timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Without this, ANALYZE would copy keys into pg_statistic, where pg_read_all_data could read them.
ALTER TABLE bulkhead.signing_key ALTER COLUMN inner_block SET STATISTICS 0;
ALTER TABLE bulkhead.signing_key ALTER COLUMN outer_block SET STATISTICS 0;

-- Tenants that may not be entered, whoever signed.
CREATE TABLE IF NOT EXISTS bulkhead.revoked_tenant (
	tenant     uuid        PRIMARY KEY,
	revoked_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- The application's names for tenants that have logins of their own; nobody else's session is told (context.sql). Two
-- tenants of one key would have one another's rows.
CREATE TABLE IF NOT EXISTS bulkhead.login_key (
	tenant uuid PRIMARY KEY,
	key    text NOT NULL UNIQUE CHECK (key <> '')
);

ALTER TABLE bulkhead.login_key ALTER COLUMN key SET STATISTICS 0;

-- What protect() found before it changed a table, so that unprotect() can put it back.
CREATE TABLE IF NOT EXISTS bulkhead.protection (
	relation         regclass PRIMARY KEY,
	tenant_column    name     NOT NULL,
	row_security     boolean  NOT NULL,
	force_security   boolean  NOT NULL,
	previous_default text,
	taken            text[]   NOT NULL
);

ALTER TABLE bulkhead.installation ENABLE ROW LEVEL SECURITY;
ALTER TABLE bulkhead.signing_key ENABLE ROW LEVEL SECURITY;
ALTER TABLE bulkhead.revoked_tenant ENABLE ROW LEVEL SECURITY;
ALTER TABLE bulkhead.login_key ENABLE ROW LEVEL SECURITY;
ALTER TABLE bulkhead.protection ENABLE ROW LEVEL SECURITY;

INSERT INTO bulkhead.installation DEFAULT VALUES ON CONFLICT DO NOTHING;

CREATE OR REPLACE FUNCTION bulkhead.guard_version() RETURNS integer
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN 3;

-- How a session says for which tenant it speaks: 'sealed', by a seal that a proxy sets (enter.sql), or 'login', by its
-- login alone. Tenants' own logins work under both.
DO $mode$
BEGIN
	EXECUTE format('CREATE OR REPLACE FUNCTION bulkhead.guard_mode() RETURNS text '
	               'LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN %L', current_setting('bulkhead.guard'));
END
$mode$;
