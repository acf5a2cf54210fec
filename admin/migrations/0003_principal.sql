-- Principals: who may log in to Bulkhead, at home in which tenant, and how far they reach.

CREATE TABLE principal (
	name text COLLATE "C" PRIMARY KEY,
	verifier text, -- NULL: cannot log in
	home_id uuid NOT NULL,
	reach text NOT NULL,
	disabled boolean NOT NULL DEFAULT false,
	valid_until timestamptz, -- NULL: for ever
	version bigint NOT NULL DEFAULT 1,
	created_at timestamptz NOT NULL DEFAULT now(),
	updated_at timestamptz NOT NULL DEFAULT now(),

	CONSTRAINT principal_name_form
		CHECK (octet_length(name) BETWEEN 1 AND 63 AND name !~ '[\u0001-\u001f\u007f]'),
	-- SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey, within the bounds that Bulkhead accepts: a
	-- million iterations, 64 bytes of salt, two keys of 32 bytes. Never a password.
	CONSTRAINT principal_verifier_form
		CHECK (verifier ~ '^SCRAM-SHA-256\$([1-9][0-9]{0,5}|1000000):([A-Za-z0-9+/]{4}){0,21}([A-Za-z0-9+/]{4}|[A-Za-z0-9+/]{3}=|[A-Za-z0-9+/]{2}==)\$[A-Za-z0-9+/]{43}=:[A-Za-z0-9+/]{43}=$'),
	CONSTRAINT principal_home FOREIGN KEY (home_id) REFERENCES tenant (id),
	CONSTRAINT principal_reach CHECK (reach IN ('self', 'subtree', 'all')),
	CONSTRAINT principal_valid_until CHECK (isfinite(valid_until)),
	CONSTRAINT principal_version CHECK (version > 0)
);

CREATE INDEX principal_home_id ON principal (home_id);

CREATE FUNCTION principal_stamp() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF TG_OP = 'INSERT' THEN
		NEW.version := 1;
		NEW.created_at := now();
		NEW.updated_at := NEW.created_at;
		RETURN NEW;
	END IF;
	NEW.version := OLD.version;
	NEW.created_at := OLD.created_at;
	NEW.updated_at := OLD.updated_at;
	IF NEW IS DISTINCT FROM OLD THEN
		NEW.version := OLD.version + 1;
		NEW.updated_at := clock_timestamp();
	END IF;
	RETURN NEW;
END
$$;

CREATE TRIGGER principal_stamp BEFORE INSERT OR UPDATE ON principal
	FOR EACH ROW EXECUTE FUNCTION principal_stamp();

-- `principal:version:name` on the tenants' channel: a tenant's payload starts with an id, never with
-- this word, and the name stands last because it may hold any character. A new name is told with the old.
CREATE FUNCTION principal_announce() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF TG_OP IN ('INSERT', 'UPDATE') THEN
		EXECUTE format('NOTIFY bulkhead_directory, %L', 'principal:' || NEW.version || ':' || NEW.name);
	END IF;
	IF TG_OP = 'DELETE' OR (TG_OP = 'UPDATE' AND OLD.name <> NEW.name) THEN
		EXECUTE format('NOTIFY bulkhead_directory, %L', 'principal:' || OLD.version || ':' || OLD.name);
	END IF;
	RETURN NULL;
END
$$;

CREATE TRIGGER principal_announce AFTER INSERT OR DELETE ON principal
	FOR EACH ROW EXECUTE FUNCTION principal_announce();
CREATE TRIGGER principal_announce_change AFTER UPDATE ON principal
	FOR EACH ROW WHEN (OLD.version <> NEW.version)
	EXECUTE FUNCTION principal_announce();

GRANT SELECT, INSERT, UPDATE, DELETE ON principal TO bulkhead_admin;
