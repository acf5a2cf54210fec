-- What a cluster's status and region mean.
--
--   active    its tenants are served, and new ones may be placed there
--   draining  its tenants are served; no tenant is placed there any more, new or moved
--   down      as draining, and sidecars refuse its tenants' logins and end their sessions
--
-- Sidecars hold the status of all clusters, which are few, and not with each tenant: so one change of a cluster
-- with a million tenants is one announcement.

CREATE FUNCTION lookup_clusters() RETURNS TABLE (name text, status text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT c.name, c.status FROM cluster c;
END;

COMMENT ON FUNCTION lookup_clusters() IS 'all clusters and their status';

REVOKE ALL ON FUNCTION lookup_clusters() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION lookup_clusters() TO bulkhead_admin;

CREATE FUNCTION cluster_announce() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM pg_notify('bulkhead_directory', 'cluster:' || coalesce(NEW.name, OLD.name));
	-- Where a tenant's data is follows its cluster, unless it says so itself: those are announced one by one.
	IF TG_OP = 'UPDATE' AND NEW.region IS DISTINCT FROM OLD.region THEN
		UPDATE bulkhead_control.tenant t SET policy_changes = t.policy_changes + 1
		WHERE t.cluster = NEW.name AND t.region IS NULL;
	END IF;
	RETURN NULL;
END
$$;

CREATE TRIGGER cluster_announce AFTER INSERT OR UPDATE OR DELETE ON cluster
	FOR EACH ROW EXECUTE FUNCTION cluster_announce();

-- Whoever places a tenant reads the cluster's row under a lock that a change of it waits for, and the other way
-- round: so neither overlooks the other.
CREATE FUNCTION tenant_on_cluster() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	home bulkhead_control.cluster%ROWTYPE;
	is_placed boolean := TG_OP = 'INSERT' OR NEW.cluster IS DISTINCT FROM OLD.cluster;
BEGIN
	SELECT c.* INTO home FROM bulkhead_control.cluster c WHERE c.name = NEW.cluster FOR SHARE;
	IF NOT FOUND THEN
		RETURN NEW; -- the foreign key answers
	END IF;
	IF is_placed AND home.status <> 'active' THEN
		RAISE check_violation USING
			MESSAGE = 'cluster ' || home.name || ' is ' || home.status || ': no tenant is placed there',
			SCHEMA = 'bulkhead_control', TABLE = 'tenant', CONSTRAINT = 'tenant_cluster_active';
	END IF;
	IF NEW.region <> home.region THEN
		RAISE check_violation USING
			MESSAGE = 'tenant ' || NEW.slug || ' is of region ' || NEW.region || ', and cluster ' || home.name
				|| ' of ' || home.region,
			SCHEMA = 'bulkhead_control', TABLE = 'tenant', CONSTRAINT = 'tenant_cluster_region';
	END IF;
	RETURN NEW;
END
$$;

CREATE TRIGGER tenant_on_cluster BEFORE INSERT OR UPDATE OF cluster, region ON tenant
	FOR EACH ROW EXECUTE FUNCTION tenant_on_cluster();

CREATE FUNCTION cluster_keeps_region() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	stranger text;
BEGIN
	SELECT t.slug INTO stranger FROM bulkhead_control.tenant t
	WHERE t.cluster = NEW.name AND t.region <> NEW.region LIMIT 1;
	IF FOUND THEN
		RAISE check_violation USING
			MESSAGE = 'cluster ' || NEW.name || ' has tenants of another region, as ' || stranger,
			SCHEMA = 'bulkhead_control', TABLE = 'cluster', CONSTRAINT = 'cluster_tenant_region';
	END IF;
	RETURN NEW;
END
$$;

CREATE TRIGGER cluster_keeps_region BEFORE UPDATE OF region ON cluster
	FOR EACH ROW EXECUTE FUNCTION cluster_keeps_region();

CREATE FUNCTION cluster_keeps_tenants() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF EXISTS (SELECT FROM bulkhead_control.tenant t WHERE t.cluster = OLD.name) THEN
		RAISE foreign_key_violation USING
			MESSAGE = 'cluster ' || OLD.name || ' has tenants',
			SCHEMA = 'bulkhead_control', TABLE = 'cluster', CONSTRAINT = 'cluster_has_tenants';
	END IF;
	RETURN OLD;
END
$$;

CREATE TRIGGER cluster_keeps_tenants BEFORE DELETE ON cluster
	FOR EACH ROW EXECUTE FUNCTION cluster_keeps_tenants();

-- From now on it holds; so it must hold now.
DO $$
DECLARE
	stranger text;
BEGIN
	SELECT t.slug INTO stranger FROM bulkhead_control.tenant t
	JOIN bulkhead_control.cluster c ON c.name = t.cluster
	WHERE t.region <> c.region LIMIT 1;
	IF FOUND THEN
		RAISE EXCEPTION 'tenant % is of another region than its cluster: change one of the two first', stranger;
	END IF;
END
$$;
