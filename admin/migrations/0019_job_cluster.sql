-- A tenant that is being made or removed stays on its cluster: its job is at work there, and what that makes, or was to
-- remove, would be left behind.

CREATE FUNCTION tenant_keep_cluster() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RAISE check_violation USING
		MESSAGE = format('tenant %s is %s: it cannot go to another cluster', OLD.slug, OLD.status),
		SCHEMA = 'bulkhead_control', TABLE = 'tenant', CONSTRAINT = 'tenant_keep_cluster';
END
$$;

CREATE TRIGGER tenant_keep_cluster BEFORE UPDATE OF cluster ON tenant
	FOR EACH ROW WHEN (NEW.cluster <> OLD.cluster
					   AND (OLD.status IN ('provisioning', 'purging') OR OLD.archived_from = 'provisioning'))
	EXECUTE FUNCTION tenant_keep_cluster();
