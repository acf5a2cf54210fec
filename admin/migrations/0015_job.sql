-- Jobs: what has to be made or removed on a cluster before a tenant may be used, or is gone.
--
-- A job is carried out step by step by whoever takes it: `bulkhead tenant create`, `bulkhead job run`, or a Bulkhead
-- that serves. It is taken for a time (lease_until), which is prolonged while it runs; when that runs out, the next
-- runner goes on with the step that was begun last. Every step can be repeated. `attempts` counts how often the job
-- was taken; a runner writes only where that is still its own number, so that one which was taken for dead and was
-- not cannot disturb its successor.
--
-- A tenant is `provisioning` until its job's last step makes it active, in one transaction with the job's end.

CREATE TABLE job (
	id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	kind text NOT NULL CONSTRAINT job_kind CHECK (kind IN ('provision', 'purge', 'rotate')),
	-- No references: what is left of a purged tenant is the job that purged it.
	tenant_id uuid NOT NULL,
	slug text COLLATE "C" NOT NULL,
	cluster text COLLATE "C" NOT NULL,
	state text NOT NULL DEFAULT 'queued'
		CONSTRAINT job_state CHECK (state IN ('queued', 'running', 'done', 'failed')),
	step text, -- the one that was begun last
	again boolean NOT NULL DEFAULT false, -- it had failed: what it made is made anew
	attempts integer NOT NULL DEFAULT 0,
	failures integer NOT NULL DEFAULT 0, -- in a row, of those that may be over by themselves
	next_at timestamptz NOT NULL DEFAULT now(),
	error text,
	runner text,
	lease_until timestamptz,
	created_at timestamptz NOT NULL DEFAULT now(),
	started_at timestamptz,
	finished_at timestamptz,

	CONSTRAINT job_lease CHECK ((state = 'running') = (lease_until IS NOT NULL)),
	CONSTRAINT job_finished CHECK ((state IN ('done', 'failed')) = (finished_at IS NOT NULL))
);

CREATE UNIQUE INDEX job_unfinished ON job (tenant_id) WHERE state IN ('queued', 'running');
CREATE INDEX job_due ON job (next_at) WHERE state IN ('queued', 'running');
CREATE INDEX job_tenant ON job (tenant_id);

COMMENT ON TABLE job IS 'what is to be made, changed or removed on a cluster for a tenant, and how far that is';

CREATE FUNCTION queue_job(of_kind text, of_tenant uuid) RETURNS bigint
LANGUAGE sql
BEGIN ATOMIC
	INSERT INTO job (kind, tenant_id, slug, cluster)
	SELECT of_kind, t.id, t.slug, t.cluster FROM tenant t WHERE t.id = of_tenant
	RETURNING id;
END;

-- Whoever creates a tenant as provisioning, or puts one back to it, gets the job with it, in the same transaction.
CREATE FUNCTION tenant_queue_job() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF NOT EXISTS (SELECT FROM bulkhead_control.job j
				   WHERE j.tenant_id = NEW.id AND j.state IN ('queued', 'running')) THEN
		PERFORM bulkhead_control.queue_job('provision', NEW.id);
	END IF;
	RETURN NULL;
END
$$;

CREATE TRIGGER tenant_queue_job AFTER INSERT ON tenant
	FOR EACH ROW WHEN (NEW.status = 'provisioning')
	EXECUTE FUNCTION tenant_queue_job();
CREATE TRIGGER tenant_queue_job_again AFTER UPDATE OF status ON tenant
	FOR EACH ROW WHEN (NEW.status = 'provisioning' AND OLD.status <> 'provisioning')
	EXECUTE FUNCTION tenant_queue_job();

-- A job that nobody wants any more ends. What it has made so far stays for a purge, or for the next job.
CREATE FUNCTION tenant_end_jobs() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	UPDATE bulkhead_control.job j
	SET state = 'failed', lease_until = NULL, finished_at = clock_timestamp(),
		error = format('the tenant is %s', CASE TG_OP WHEN 'DELETE' THEN 'gone' ELSE NEW.status END)
	WHERE j.tenant_id = OLD.id AND j.state IN ('queued', 'running') AND j.kind <> 'purge';
	RETURN NULL;
END
$$;

CREATE TRIGGER tenant_end_jobs AFTER UPDATE OF status ON tenant
	FOR EACH ROW WHEN (NEW.status IN ('archived', 'purging') AND OLD.status <> NEW.status)
	EXECUTE FUNCTION tenant_end_jobs();
CREATE TRIGGER tenant_end_jobs_gone AFTER DELETE ON tenant
	FOR EACH ROW EXECUTE FUNCTION tenant_end_jobs();

-- The next job that is due on one of the clusters, or the one job, for this long; no row when there is none. A job
-- whose lease has run out is due as well.
CREATE FUNCTION take_job(on_clusters text[], only_job bigint, by_runner text, lease interval) RETURNS SETOF job
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	UPDATE job j
	SET state = 'running', attempts = j.attempts + 1, runner = by_runner, lease_until = clock_timestamp() + lease,
		started_at = coalesce(j.started_at, clock_timestamp())
	WHERE j.id = (SELECT due.id FROM job due
				  WHERE due.cluster = ANY (on_clusters) AND (only_job IS NULL OR due.id = only_job)
				  AND (due.state = 'queued' AND due.next_at <= clock_timestamp()
					   OR due.state = 'running' AND due.lease_until < clock_timestamp())
				  ORDER BY due.next_at, due.id LIMIT 1 FOR UPDATE SKIP LOCKED)
	RETURNING j.*;
END;

-- A step begins: prolongs the lease. False when the job is another's by now, or over.
CREATE FUNCTION begin_job_step(of_job bigint, of_attempt integer, of_step text, lease interval) RETURNS boolean
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	WITH mine AS (
		UPDATE job j SET step = coalesce(of_step, j.step), lease_until = clock_timestamp() + lease
		WHERE j.id = of_job AND j.attempts = of_attempt AND j.state = 'running'
		RETURNING j.id)
	SELECT EXISTS (SELECT FROM mine);
END;

-- The job failed: for good where `retry_in` is NULL, else it is due again then.
CREATE FUNCTION fail_job(of_job bigint, of_attempt integer, of_error text, retry_in interval) RETURNS boolean
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	WITH mine AS (
		UPDATE job j
		SET error = of_error, lease_until = NULL, failures = j.failures + 1,
			state = CASE WHEN retry_in IS NULL THEN 'failed' ELSE 'queued' END,
			next_at = CASE WHEN retry_in IS NULL THEN j.next_at ELSE clock_timestamp() + retry_in END,
			finished_at = CASE WHEN retry_in IS NULL THEN clock_timestamp() END
		WHERE j.id = of_job AND j.attempts = of_attempt AND j.state = 'running'
		RETURNING j.id)
	SELECT EXISTS (SELECT FROM mine);
END;

-- The job is put back as it was taken: its runner stops.
CREATE FUNCTION return_job(of_job bigint, of_attempt integer) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	UPDATE job j SET state = 'queued', lease_until = NULL, next_at = clock_timestamp()
	WHERE j.id = of_job AND j.attempts = of_attempt AND j.state = 'running';
END;

-- A job that failed, from its first step; what it had made is made anew.
CREATE FUNCTION retry_job(of_job bigint) RETURNS SETOF job
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	old bulkhead_control.job%ROWTYPE;
	tenant_status text;
BEGIN
	SELECT * INTO old FROM bulkhead_control.job j WHERE j.id = of_job FOR UPDATE;
	IF NOT FOUND THEN
		RAISE no_data_found USING MESSAGE = 'there is no job ' || of_job;
	END IF;
	IF old.state <> 'failed' THEN
		RAISE check_violation USING MESSAGE = format('job %s is %s', of_job, old.state),
			SCHEMA = 'bulkhead_control', TABLE = 'job', CONSTRAINT = 'job_retry';
	END IF;
	SELECT t.status INTO tenant_status FROM bulkhead_control.tenant t WHERE t.id = old.tenant_id FOR KEY SHARE;
	IF tenant_status IS NULL
	   OR old.kind = 'provision' AND tenant_status <> 'provisioning' OR old.kind = 'purge' AND tenant_status <> 'purging' THEN
		RAISE check_violation USING MESSAGE = format('tenant %s is %s', old.slug, coalesce(tenant_status, 'gone')),
			SCHEMA = 'bulkhead_control', TABLE = 'job', CONSTRAINT = 'job_retry';
	END IF;
	RETURN QUERY
	UPDATE bulkhead_control.job j
	SET state = 'queued', step = NULL, failures = 0,
		-- What has been in use is never made anew.
		again = NOT EXISTS (SELECT FROM bulkhead_control.job o WHERE o.tenant_id = old.tenant_id
							AND o.kind = 'provision' AND o.state = 'done'),
		next_at = clock_timestamp(), error = NULL,
		finished_at = NULL
	WHERE j.id = of_job RETURNING j.*;
END
$$;

-- The last step of making a tenant, and of giving its login another password: both are true at once, or neither.
-- A tenant that is not provisioning any more is left as it is.
CREATE FUNCTION finish_job(of_job bigint, of_attempt integer, of_kid text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	mine bulkhead_control.job%ROWTYPE;
	above bulkhead_control.tenant%ROWTYPE;
BEGIN
	-- The tree's turn comes before any row, as everywhere.
	LOCK TABLE bulkhead_control.tree_lock IN EXCLUSIVE MODE;
	UPDATE bulkhead_control.job j
	SET state = 'done', lease_until = NULL, finished_at = clock_timestamp(), error = NULL
	WHERE j.id = of_job AND j.attempts = of_attempt AND j.state = 'running'
	RETURNING * INTO mine;
	IF NOT FOUND THEN
		RETURN false;
	END IF;
	CASE mine.kind
		WHEN 'provision' THEN
			SELECT a.* INTO above FROM bulkhead_control.tenant t JOIN bulkhead_control.tenant a ON a.id = t.parent_id
			WHERE t.id = mine.tenant_id;
			IF above.status <> 'active' THEN
				RAISE check_violation USING
					MESSAGE = format('tenant %s cannot be active: %s above it is %s', mine.slug, above.slug, above.status),
					SCHEMA = 'bulkhead_control', TABLE = 'tenant', CONSTRAINT = 'tenant_status_above';
			END IF;
			UPDATE bulkhead_control.tenant t SET status = 'active', login_kid = of_kid
			WHERE t.id = mine.tenant_id AND t.status = 'provisioning';
		WHEN 'rotate' THEN
			UPDATE bulkhead_control.tenant t SET login_kid = of_kid WHERE t.id = mine.tenant_id;
			-- Of many rotations the last tells enough.
			DELETE FROM bulkhead_control.job j
			WHERE j.tenant_id = mine.tenant_id AND j.kind = 'rotate' AND j.state = 'done' AND j.id <> mine.id;
		WHEN 'purge' THEN
			DELETE FROM bulkhead_control.principal p WHERE p.home_id = mine.tenant_id;
			DELETE FROM bulkhead_control.job j WHERE j.tenant_id = mine.tenant_id AND j.id <> mine.id;
			DELETE FROM bulkhead_control.tenant t WHERE t.id = mine.tenant_id;
	END CASE;
	RETURN true;
END
$$;

-- The end of a tenant begins: nobody is let in any more, and the job that removes all it has is queued. Refused
-- while there are tenants below it (tenant_purge_below). Returns the job, or NULL when there is one already.
CREATE FUNCTION purge_tenant(of_tenant uuid) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	old bulkhead_control.tenant%ROWTYPE;
	below bigint;
BEGIN
	LOCK TABLE bulkhead_control.tree_lock IN EXCLUSIVE MODE;
	SELECT * INTO old FROM bulkhead_control.tenant t WHERE t.id = of_tenant;
	IF NOT FOUND THEN
		RAISE no_data_found USING MESSAGE = 'there is no tenant ' || of_tenant;
	END IF;
	SELECT count(*) INTO below FROM bulkhead_control.tenant t WHERE t.parent_id = of_tenant;
	IF below > 0 THEN
		RAISE check_violation USING
			MESSAGE = format('tenant %s has %s %s below it', old.slug, below,
							 CASE below WHEN 1 THEN 'tenant' ELSE 'tenants' END),
			SCHEMA = 'bulkhead_control', TABLE = 'tenant', CONSTRAINT = 'tenant_purge_below';
	END IF;
	UPDATE bulkhead_control.tenant t SET status = 'purging' WHERE t.id = of_tenant AND t.status <> 'purging';
	IF NOT EXISTS (SELECT FROM bulkhead_control.job j
				   WHERE j.tenant_id = of_tenant AND j.state IN ('queued', 'running')) THEN
		RETURN bulkhead_control.queue_job('purge', of_tenant);
	END IF;
	RETURN NULL;
END
$$;

REVOKE ALL ON FUNCTION queue_job(text, uuid), take_job(text[], bigint, text, interval),
	begin_job_step(bigint, integer, text, interval), fail_job(bigint, integer, text, interval),
	return_job(bigint, integer), retry_job(bigint), finish_job(bigint, integer, text), purge_tenant(uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION queue_job(text, uuid), take_job(text[], bigint, text, interval),
	begin_job_step(bigint, integer, text, interval), fail_job(bigint, integer, text, interval),
	return_job(bigint, integer), retry_job(bigint), finish_job(bigint, integer, text), purge_tenant(uuid)
	TO bulkhead_admin;
GRANT SELECT, INSERT ON job TO bulkhead_admin;
