-- Clusters and the tree of tenants.
--
-- What must hold is a constraint of the table itself, so that it holds whoever writes and whatever runs
-- at the same time:
--   * a path is the parent's path and the tenant's own id (tenant_path_ends_with_id, tenant_parent);
--     a parent's path is therefore shorter by one, which rules out cycles;
--   * depth is 1 to 20 (tenant_depth);
--   * an active tenant's parent is active (tenant_parent_active).
-- The two foreign keys are checked at commit: a whole subtree can be moved or suspended in any order
-- within one transaction. Triggers only fill in what follows from the rest, and take turns.

CREATE TABLE cluster (
	name text COLLATE "C" PRIMARY KEY
		CONSTRAINT cluster_name CHECK (name ~ '^[a-z][a-z0-9_-]{0,62}$'),
	region text CONSTRAINT cluster_region CHECK (octet_length(region) BETWEEN 1 AND 63),
	status text NOT NULL DEFAULT 'active'
		CONSTRAINT cluster_status CHECK (status IN ('active', 'draining', 'down'))
);

INSERT INTO cluster (name) VALUES ('default');

CREATE TABLE tenant (
	id uuid PRIMARY KEY,
	parent_id uuid,
	path ltree NOT NULL,
	slug text COLLATE "C" NOT NULL,
	external_key text COLLATE "C",
	name text NOT NULL,
	strategy text NOT NULL DEFAULT 'SHARED_RLS',
	cluster text COLLATE "C" NOT NULL DEFAULT 'default',
	region text,
	status text NOT NULL DEFAULT 'active',
	version bigint NOT NULL DEFAULT 1,
	created_at timestamptz NOT NULL DEFAULT now(),
	updated_at timestamptz NOT NULL DEFAULT now(),

	-- What the foreign keys compare; the database computes them.
	parent_path ltree GENERATED ALWAYS AS (subpath(path, 0, -1)) STORED,
	active boolean GENERATED ALWAYS AS (status = 'active') STORED,
	parent_active boolean GENERATED ALWAYS AS (CASE WHEN status = 'active' THEN true END) STORED,

	CONSTRAINT tenant_slug UNIQUE (slug),
	CONSTRAINT tenant_external_key UNIQUE (external_key),
	CONSTRAINT tenant_slug_form CHECK (slug ~ '^[a-z][a-z0-9_-]{0,62}$'),
	CONSTRAINT tenant_slug_reserved CHECK (slug NOT IN ('bulkhead', 'postgres', 'template0', 'template1')),
	-- What looks like an id is an id or a key.
	CONSTRAINT tenant_slug_no_id
		CHECK (slug !~ '^[0-9a-f]{32}$' AND slug !~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'),
	CONSTRAINT tenant_external_key_form
		CHECK (octet_length(external_key) BETWEEN 1 AND 255 AND external_key !~ '[\u0001-\u001f\u007f]'),
	CONSTRAINT tenant_name_form
		CHECK (octet_length(name) BETWEEN 1 AND 255 AND name !~ '[\u0001-\u001f\u007f]'),
	CONSTRAINT tenant_strategy
		CHECK (strategy IN ('SHARED_RLS', 'SCHEMA_PER_TENANT', 'DATABASE_PER_TENANT')),
	CONSTRAINT tenant_status
		CHECK (status IN ('provisioning', 'active', 'suspended', 'archived', 'purging')),
	CONSTRAINT tenant_region CHECK (octet_length(region) BETWEEN 1 AND 63),
	CONSTRAINT tenant_version CHECK (version > 0),
	CONSTRAINT tenant_cluster FOREIGN KEY (cluster) REFERENCES cluster (name),

	CONSTRAINT tenant_depth CHECK (nlevel(path) BETWEEN 1 AND 20),
	CONSTRAINT tenant_root_has_no_parent CHECK ((parent_id IS NULL) = (nlevel(path) = 1)),
	CONSTRAINT tenant_path_ends_with_id CHECK (ltree2text(subpath(path, -1)) = replace(id::text, '-', '')),

	CONSTRAINT tenant_id_path UNIQUE (id, path),
	CONSTRAINT tenant_id_active UNIQUE (id, active),
	CONSTRAINT tenant_parent FOREIGN KEY (parent_id, parent_path)
		REFERENCES tenant (id, path) DEFERRABLE INITIALLY DEFERRED,
	CONSTRAINT tenant_parent_active FOREIGN KEY (parent_id, parent_active)
		REFERENCES tenant (id, active) DEFERRABLE INITIALLY DEFERRED
);

CREATE INDEX tenant_path ON tenant USING gist (path);
CREATE INDEX tenant_parent_id ON tenant (parent_id);
CREATE INDEX tenant_cluster ON tenant (cluster);

COMMENT ON COLUMN tenant.path IS 'ids from the root to the tenant itself, 32 hex digits each; filled in by the database';
COMMENT ON COLUMN tenant.external_key IS 'the application''s own name for the tenant';

-- The two things that are done with paths. Their bodies are bound to ltree's functions here, once: they
-- need no search_path, also where the callers' own bodies are text.
CREATE FUNCTION path_under(parent ltree, id uuid) RETURNS ltree
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN parent || replace(id::text, '-', '');

CREATE FUNCTION path_is_within(path ltree, ancestor ltree) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN path <@ ancestor;

-- Taking turns. Moves, status changes and deletions exclude each other and creations, so that nobody
-- works from a path or status that is about to change; creations do not exclude creations. The foreign
-- keys alone would keep the tree sound, but would answer with errors where waiting is enough. A table
-- lock, not an advisory one: a hardened database takes those from everyone.
CREATE TABLE tree_lock ();

CREATE FUNCTION tenant_take_turns() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF TG_OP = 'INSERT' THEN
		LOCK TABLE bulkhead_control.tree_lock IN ROW SHARE MODE;
	ELSE
		LOCK TABLE bulkhead_control.tree_lock IN EXCLUSIVE MODE;
	END IF;
	RETURN NULL;
END
$$;

CREATE TRIGGER tenant_create_in_turn BEFORE INSERT ON tenant
	FOR EACH STATEMENT EXECUTE FUNCTION tenant_take_turns();
CREATE TRIGGER tenant_change_in_turn BEFORE UPDATE OF id, parent_id, path, status OR DELETE ON tenant
	FOR EACH STATEMENT EXECUTE FUNCTION tenant_take_turns();

-- Fills in the path of a new or moved tenant.
CREATE FUNCTION tenant_place() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	parent_path bulkhead_control.tenant.path%TYPE;
BEGIN
	IF NEW.parent_id IS NULL THEN
		NEW.path := replace(NEW.id::text, '-', '');
		RETURN NEW;
	END IF;

	SELECT t.path INTO parent_path FROM bulkhead_control.tenant t WHERE t.id = NEW.parent_id;
	IF NOT FOUND THEN
		RAISE foreign_key_violation USING
			MESSAGE = 'there is no parent tenant ' || NEW.parent_id,
			SCHEMA = 'bulkhead_control', TABLE = 'tenant', CONSTRAINT = 'tenant_parent';
	END IF;
	IF TG_OP = 'UPDATE' AND bulkhead_control.path_is_within(parent_path, OLD.path) THEN
		RAISE check_violation USING
			MESSAGE = 'tenant ' || OLD.slug || ' cannot be moved below itself',
			SCHEMA = 'bulkhead_control', TABLE = 'tenant', CONSTRAINT = 'tenant_acyclic';
	END IF;
	NEW.path := bulkhead_control.path_under(parent_path, NEW.id);
	RETURN NEW;
END
$$;

CREATE TRIGGER tenant_place_new BEFORE INSERT ON tenant
	FOR EACH ROW EXECUTE FUNCTION tenant_place();
CREATE TRIGGER tenant_place_moved BEFORE UPDATE OF parent_id ON tenant
	FOR EACH ROW WHEN (OLD.parent_id IS DISTINCT FROM NEW.parent_id)
	EXECUTE FUNCTION tenant_place();

-- Carries a move to everything below. It walks by parent_id, not by the old path: one statement may move
-- a tenant and a descendant of it. The walk stops one step behind the deepest allowed tenant, where the
-- constraint tenant_depth answers.
CREATE FUNCTION tenant_carry_subtree() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	WITH RECURSIVE below (id, path, steps) AS (
		SELECT t.id, t.path, 0 FROM bulkhead_control.tenant t WHERE t.id = NEW.id
		UNION ALL
		SELECT t.id, bulkhead_control.path_under(b.path, t.id), b.steps + 1
		FROM bulkhead_control.tenant t JOIN below b ON t.parent_id = b.id
		WHERE b.steps < 20
	)
	UPDATE bulkhead_control.tenant t SET path = b.path
	FROM below b
	WHERE t.id = b.id AND t.path::text <> b.path::text;
	RETURN NULL;
END
$$;

CREATE TRIGGER tenant_carry_subtree AFTER UPDATE OF parent_id ON tenant
	FOR EACH ROW WHEN (OLD.parent_id IS DISTINCT FROM NEW.parent_id)
	EXECUTE FUNCTION tenant_carry_subtree();

-- Counts versions. Triggers of one kind fire in the order of their names: this one is last, so that it
-- sees what the others filled in. A change that changes nothing leaves the version alone.
CREATE FUNCTION tenant_stamp() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF TG_OP = 'INSERT' THEN
		NEW.version := 1;
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

CREATE TRIGGER tenant_stamp BEFORE INSERT OR UPDATE ON tenant
	FOR EACH ROW EXECUTE FUNCTION tenant_stamp();

-- Tells the sidecars: `id:version`, with the last version when the tenant is gone. The statement NOTIFY,
-- not pg_notify(), which a hardened database takes from everyone.
CREATE FUNCTION tenant_announce() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	changed bulkhead_control.tenant%ROWTYPE;
BEGIN
	IF TG_OP = 'DELETE' THEN
		changed := OLD;
	ELSE
		changed := NEW;
	END IF;
	EXECUTE format('NOTIFY bulkhead_directory, %L', changed.id || ':' || changed.version);
	RETURN NULL;
END
$$;

CREATE TRIGGER tenant_announce AFTER INSERT OR DELETE ON tenant
	FOR EACH ROW EXECUTE FUNCTION tenant_announce();
CREATE TRIGGER tenant_announce_change AFTER UPDATE ON tenant
	FOR EACH ROW WHEN (OLD.version <> NEW.version)
	EXECUTE FUNCTION tenant_announce();

GRANT USAGE ON SCHEMA bulkhead_control TO bulkhead_admin;
GRANT SELECT, INSERT, UPDATE, DELETE ON cluster, tenant TO bulkhead_admin;
GRANT SELECT ON migration TO bulkhead_admin;
