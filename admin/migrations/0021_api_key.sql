-- API keys: who may call the admin API, as what, and for which part of the tree; and what was answered to requests
-- that may come again.
--
-- A key is `bhk_ID_SECRET`. Of the secret its HMAC under a pepper is kept, which is not in this database: whoever
-- reads the table can neither use a key nor guess at one.

CREATE TABLE api_key (
	id text COLLATE "C" PRIMARY KEY CONSTRAINT api_key_id CHECK (id ~ '^[a-z2-7]{16}$'),
	name text NOT NULL,
	role text NOT NULL CONSTRAINT api_key_role CHECK (role IN ('viewer', 'editor', 'admin', 'operator')),
	rank integer NOT NULL GENERATED ALWAYS AS
		(CASE role WHEN 'viewer' THEN 1 WHEN 'editor' THEN 2 WHEN 'admin' THEN 3 ELSE 4 END) STORED,
	-- Its part of the tree: this tenant and all below. NULL: everything.
	tenant_id uuid CONSTRAINT api_key_tenant REFERENCES tenant (id) ON DELETE CASCADE,
	reveal boolean NOT NULL DEFAULT false, -- may read sensitive settings in plain text
	addresses cidr[], -- from where it may be used; NULL: from anywhere
	hash bytea NOT NULL CONSTRAINT api_key_hash CHECK (octet_length(hash) = 32),
	hash_kid text COLLATE "C" NOT NULL CONSTRAINT api_key_hash_kid CHECK (hash_kid ~ '^[a-z0-9_-]{1,32}$'),
	-- The secret before the last rotation works until then.
	previous_hash bytea CONSTRAINT api_key_previous_hash CHECK (octet_length(previous_hash) = 32),
	previous_kid text COLLATE "C",
	previous_until timestamptz,
	expires_at timestamptz CONSTRAINT api_key_expires_at CHECK (isfinite(expires_at)), -- NULL: never
	revoked_at timestamptz,
	created_by text COLLATE "C", -- the id of the key that made it; NULL: whoever has the database
	last_used_at timestamptz, -- to the minute
	version bigint NOT NULL DEFAULT 1,
	created_at timestamptz NOT NULL DEFAULT now(),
	updated_at timestamptz NOT NULL DEFAULT now(),

	CONSTRAINT api_key_name_form CHECK (octet_length(name) BETWEEN 1 AND 255 AND name !~ '[\u0001-\u001f\u007f]'),
	CONSTRAINT api_key_everything CHECK (tenant_id IS NOT NULL OR role = 'operator'),
	CONSTRAINT api_key_reveal CHECK (NOT reveal OR role IN ('admin', 'operator')),
	CONSTRAINT api_key_addresses CHECK (cardinality(addresses) BETWEEN 1 AND 100),
	CONSTRAINT api_key_previous CHECK ((previous_hash IS NULL) = (previous_until IS NULL)
									   AND (previous_hash IS NULL) = (previous_kid IS NULL)),
	CONSTRAINT api_key_version CHECK (version > 0)
);

CREATE INDEX api_key_tenant_id ON api_key (tenant_id);

COMMENT ON TABLE api_key IS 'who may call the admin API, as what, and for which part of the tree';

-- That it was used is no change of it.
CREATE FUNCTION api_key_stamp() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	unused bulkhead_control.api_key%ROWTYPE;
BEGIN
	IF TG_OP = 'INSERT' THEN
		NEW.version := 1;
		NEW.created_at := now();
		NEW.updated_at := NEW.created_at;
		RETURN NEW;
	END IF;
	IF NEW.id <> OLD.id THEN
		RAISE check_violation USING
			MESSAGE = 'the id of an API key never changes',
			SCHEMA = 'bulkhead_control', TABLE = 'api_key', CONSTRAINT = 'api_key_id_fixed';
	END IF;
	NEW.version := OLD.version;
	NEW.created_at := OLD.created_at;
	NEW.updated_at := OLD.updated_at;
	NEW.rank := OLD.rank; -- is computed after this
	unused := NEW;
	unused.last_used_at := OLD.last_used_at;
	IF unused IS DISTINCT FROM OLD THEN
		NEW.version := OLD.version + 1;
		NEW.updated_at := clock_timestamp();
	END IF;
	RETURN NEW;
END
$$;

CREATE TRIGGER api_key_stamp BEFORE INSERT OR UPDATE ON api_key
	FOR EACH ROW EXECUTE FUNCTION api_key_stamp();

-- What was answered to a request with an Idempotency-Key, for a day. Secrets that an answer shows once are not in
-- it: they are added outside of the database.
CREATE TABLE idempotency (
	api_key text COLLATE "C" NOT NULL CONSTRAINT idempotency_api_key REFERENCES api_key (id) ON DELETE CASCADE,
	key text COLLATE "C" NOT NULL CONSTRAINT idempotency_key CHECK (octet_length(key) BETWEEN 1 AND 255),
	fingerprint text NOT NULL, -- of the request: another one with this key is refused
	status integer,
	etag text,
	location text,
	body json,
	created_at timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (api_key, key)
);

CREATE INDEX idempotency_created_at ON idempotency (created_at);

COMMENT ON TABLE idempotency IS 'answers of the admin API that are given again when a request is';

GRANT SELECT, INSERT, UPDATE, DELETE ON api_key, idempotency TO bulkhead_admin;
