-- A version is never given twice. A tenant or principal that is deleted and made again under the same id or
-- name, while a sidecar hears nothing, would else have the version that the sidecar holds, and would be taken
-- for the one that is gone: with the old password, say. So the last version of what is deleted or renamed is
-- kept, and whoever takes the id or name goes on from there.

CREATE TABLE departed (
	kind text NOT NULL CONSTRAINT departed_kind CHECK (kind IN ('tenant', 'principal')),
	key text COLLATE "C" NOT NULL, -- the tenant's id, the principal's name
	version bigint NOT NULL,

	PRIMARY KEY (kind, key)
);

COMMENT ON TABLE departed IS 'last versions of tenants and principals that are gone, so that none is given twice';

CREATE FUNCTION departed_version(of_kind text, of_key text) RETURNS bigint
LANGUAGE sql STABLE
RETURN coalesce((SELECT d.version FROM departed d WHERE d.kind = of_kind AND d.key = of_key), 0);

CREATE FUNCTION remember_departed(of_kind text, of_key text, last_version bigint) RETURNS void
LANGUAGE sql
BEGIN ATOMIC
	INSERT INTO departed AS d (kind, key, version) VALUES (of_kind, of_key, last_version)
	ON CONFLICT (kind, key) DO UPDATE SET version = greatest(d.version, EXCLUDED.version);
END;

CREATE FUNCTION tenant_depart() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM bulkhead_control.remember_departed('tenant', OLD.id::text, OLD.version);
	RETURN NULL;
END
$$;

CREATE TRIGGER tenant_depart AFTER DELETE ON tenant
	FOR EACH ROW EXECUTE FUNCTION tenant_depart();

CREATE FUNCTION principal_depart() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM bulkhead_control.remember_departed('principal', OLD.name, OLD.version);
	RETURN NULL;
END
$$;

CREATE TRIGGER principal_depart AFTER DELETE ON principal
	FOR EACH ROW EXECUTE FUNCTION principal_depart();
CREATE TRIGGER principal_depart_renamed AFTER UPDATE OF name ON principal
	FOR EACH ROW WHEN (OLD.name <> NEW.name)
	EXECUTE FUNCTION principal_depart();

-- As before, but for the version that a new row begins with. Creations wait for deletions (tenant_take_turns),
-- and each of these statements sees what was committed before it.
CREATE OR REPLACE FUNCTION tenant_stamp() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF TG_OP = 'INSERT' THEN
		NEW.version := bulkhead_control.departed_version('tenant', NEW.id::text) + 1;
		NEW.created_at := now();
		NEW.updated_at := NEW.created_at;
		RETURN NEW;
	END IF;
	IF NEW.id <> OLD.id THEN
		RAISE check_violation USING
			MESSAGE = 'the id of a tenant never changes',
			SCHEMA = 'bulkhead_control', TABLE = 'tenant', CONSTRAINT = 'tenant_id_fixed';
	END IF;
	NEW.version := OLD.version;
	NEW.created_at := OLD.created_at;
	NEW.updated_at := OLD.updated_at;
	-- Generated columns are computed after this; empty until then, they would make every row differ.
	NEW.parent_path := OLD.parent_path;
	NEW.active := OLD.active;
	NEW.parent_active := OLD.parent_active;
	IF NEW IS DISTINCT FROM OLD THEN
		NEW.version := OLD.version + 1;
		NEW.updated_at := clock_timestamp();
	END IF;
	RETURN NEW;
END
$$;

-- Nobody takes turns here: a row of that name that is about to go is waited for.
CREATE OR REPLACE FUNCTION principal_stamp() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF TG_OP = 'INSERT' THEN
		PERFORM FROM bulkhead_control.principal p WHERE p.name = NEW.name FOR KEY SHARE;
		NEW.version := bulkhead_control.departed_version('principal', NEW.name) + 1;
		NEW.created_at := now();
		NEW.updated_at := NEW.created_at;
		RETURN NEW;
	END IF;
	NEW.version := OLD.version;
	NEW.created_at := OLD.created_at;
	NEW.updated_at := OLD.updated_at;
	IF NEW.name <> OLD.name THEN
		PERFORM FROM bulkhead_control.principal p WHERE p.name = NEW.name FOR KEY SHARE;
		NEW.version := greatest(OLD.version, bulkhead_control.departed_version('principal', NEW.name));
	END IF;
	IF NEW IS DISTINCT FROM OLD THEN
		NEW.version := NEW.version + 1;
		NEW.updated_at := clock_timestamp();
	END IF;
	RETURN NEW;
END
$$;
