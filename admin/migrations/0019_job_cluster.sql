-- A tenant with something of its own on a cluster stays there: its login, its schema or its database would be left
-- behind. While it is being made or removed, its job is at work there. Where nothing was ever made by a job, as with
-- `tenant create --no-provision`, what there is is the operator's, who may have brought it along.

CREATE FUNCTION tenant_keep_cluster() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF OLD.status IN ('provisioning', 'purging') OR OLD.archived_from = 'provisioning' THEN
		RAISE check_violation USING
			MESSAGE = format('tenant %s is %s: it cannot go to another cluster', OLD.slug, OLD.status),
			SCHEMA = 'bulkhead_control', TABLE = 'tenant', CONSTRAINT = 'tenant_keep_cluster';
	END IF;
	IF OLD.login_kid IS NOT NULL
	   OR EXISTS (SELECT FROM bulkhead_control.job j WHERE j.tenant_id = OLD.id AND j.kind = 'provision') THEN
		RAISE check_violation USING
			MESSAGE = format('tenant %s has a %s of its own on cluster %s: it cannot go to another', OLD.slug,
							 CASE OLD.strategy WHEN 'SCHEMA_PER_TENANT' THEN 'schema' WHEN 'DATABASE_PER_TENANT' THEN 'database'
							 ELSE 'login' END, OLD.cluster),
			SCHEMA = 'bulkhead_control', TABLE = 'tenant', CONSTRAINT = 'tenant_keep_cluster';
	END IF;
	RETURN NEW;
END
$$;

CREATE TRIGGER tenant_keep_cluster BEFORE UPDATE OF cluster ON tenant
	FOR EACH ROW WHEN (NEW.cluster <> OLD.cluster)
	EXECUTE FUNCTION tenant_keep_cluster();
