-- DDL for everybody (bulkhead migrate): which files there are, and where they have run.
--
-- What is in a target is said by the target's own mark (table bulkhead_migration there), which is written in the
-- transaction that changes it; here is what is reported, and what spares a run the looking. Versions are in one
-- order: a new one is greater than all before it, and no target is given one while it lacks an earlier.

CREATE TABLE migration_file (
	version bigint PRIMARY KEY
		CONSTRAINT migration_file_version CHECK (version > 0),
	name text COLLATE "C" NOT NULL
		CONSTRAINT migration_file_name CHECK (octet_length(name) BETWEEN 1 AND 255 AND name !~ '[\u0001-\u001f\u007f]'),
	checksum text COLLATE "C" NOT NULL -- SHA-256 of the text
		CONSTRAINT migration_file_checksum CHECK (checksum ~ '^[0-9a-f]{64}$'),
	registered_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE migration_target (
	version bigint NOT NULL
		CONSTRAINT migration_target_file REFERENCES migration_file,
	kind text COLLATE "C" NOT NULL
		CONSTRAINT migration_target_kind
		CHECK (kind IN ('shared', 'template_schema', 'template_database', 'schema', 'database')),
	cluster text COLLATE "C" NOT NULL, -- the section of the settings
	tenant_id uuid
		CONSTRAINT migration_target_tenant REFERENCES tenant ON DELETE CASCADE,
	target text COLLATE "C" GENERATED ALWAYS AS (kind || ':' || coalesce(tenant_id::text, cluster)) STORED,
	state text NOT NULL
		CONSTRAINT migration_target_state CHECK (state IN ('running', 'done', 'failed', 'behind')),
	found boolean NOT NULL DEFAULT false, -- done, by what the target's mark says; not seen to run
	sqlstate text,
	error text,
	attempts integer NOT NULL DEFAULT 1,
	begun_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	applied_at timestamptz,

	PRIMARY KEY (version, target),
	CONSTRAINT migration_target_owner CHECK ((tenant_id IS NOT NULL) = (kind IN ('schema', 'database'))),
	CONSTRAINT migration_target_applied CHECK ((state = 'done') = (applied_at IS NOT NULL)),
	CONSTRAINT migration_target_error CHECK (octet_length(error) <= 2000)
);

CREATE INDEX migration_target_tenant_id ON migration_target (tenant_id);

COMMENT ON COLUMN migration_target.error IS 'why it is not done: the server''s message, or what is missing first';

-- One run at a time: whoever runs holds a lock on it.
CREATE TABLE migration_turn ();

GRANT SELECT, INSERT, UPDATE, DELETE ON migration_file, migration_target, migration_turn TO bulkhead_admin;
