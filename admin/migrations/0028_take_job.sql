-- A function that returns whole rows of a table says once and for all which columns those are: with one more of job's
-- it is made anew. It is what it was.

CREATE OR REPLACE FUNCTION take_job(on_clusters text[], only_job bigint, by_runner text, lease interval) RETURNS SETOF job
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
