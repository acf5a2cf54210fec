-- Where in the tree a job's tenant was when the job was queued: who may see a subtree sees its jobs, also those that
-- have removed tenants of it.

ALTER TABLE job ADD COLUMN tenant_path ltree;

UPDATE job j SET tenant_path = t.path FROM tenant t WHERE t.id = j.tenant_id;

CREATE INDEX job_purged ON job USING gist (tenant_path) WHERE kind = 'purge' AND state = 'done';

COMMENT ON COLUMN job.tenant_path IS 'of its tenant when it was queued; NULL: from before this was kept';

CREATE FUNCTION job_find_path() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	SELECT t.path INTO NEW.tenant_path FROM bulkhead_control.tenant t WHERE t.id = NEW.tenant_id;
	RETURN NEW;
END
$$;

CREATE TRIGGER job_find_path BEFORE INSERT ON job
	FOR EACH ROW EXECUTE FUNCTION job_find_path();

-- As before. In SQL its columns would be those of the day when it was made.
CREATE OR REPLACE FUNCTION take_job(on_clusters text[], only_job bigint, by_runner text, lease interval) RETURNS SETOF job
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN QUERY
	UPDATE bulkhead_control.job j
	SET state = 'running', attempts = j.attempts + 1, runner = by_runner, lease_until = clock_timestamp() + lease,
		started_at = coalesce(j.started_at, clock_timestamp())
	WHERE j.id = (SELECT due.id FROM bulkhead_control.job due
				  WHERE due.cluster = ANY (on_clusters) AND (only_job IS NULL OR due.id = only_job)
				  AND (due.state = 'queued' AND due.next_at <= clock_timestamp()
					   OR due.state = 'running' AND due.lease_until < clock_timestamp())
				  ORDER BY due.next_at, due.id LIMIT 1 FOR UPDATE SKIP LOCKED)
	RETURNING j.*;
END
$$;
