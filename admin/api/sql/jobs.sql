-- Jobs over HTTP: what is being made, changed or removed on clusters for tenants, and how far that is.

-- Whoever sees the tenant sees its jobs; of a tenant that is gone, whoever would see it where it was.
CREATE FUNCTION bulkhead_api.job_is_mine(j bulkhead_control.job) RETURNS boolean
LANGUAGE sql STABLE
BEGIN ATOMIC
	SELECT bulkhead_api.home() IS NULL OR coalesce(bulkhead_api.is_mine(coalesce(
		(SELECT t.path FROM bulkhead_control.tenant t WHERE t.id = j.tenant_id), j.tenant_path)), false);
END;

-- `step` is the one that was begun last. Who runs it and what a server said when it failed is for those who see all.
CREATE FUNCTION bulkhead_api.job_json(j bulkhead_control.job) RETURNS json
LANGUAGE sql STABLE
BEGIN ATOMIC
	SELECT json_build_object(
		'id', j.id,
		'kind', j.kind,
		'tenant_id', j.tenant_id,
		'tenant', nullif(j.slug, ''),
		'cluster', nullif(j.cluster, ''),
		'state', j.state,
		'step', j.step,
		'attempts', j.attempts,
		'failures', j.failures,
		'error', CASE WHEN j.error IS NULL OR bulkhead_api.home() IS NULL THEN j.error
				 ELSE 'it failed: whoever runs Bulkhead can see why' END,
		'runner', CASE WHEN bulkhead_api.home() IS NULL THEN j.runner END,
		'next_at', CASE WHEN j.state = 'queued' THEN j.next_at END,
		'lease_until', j.lease_until,
		'created_at', j.created_at,
		'started_at', j.started_at,
		'finished_at', j.finished_at);
END;

CREATE FUNCTION bulkhead_api.find_job(request jsonb) RETURNS bulkhead_control.job
LANGUAGE plpgsql STABLE
AS $$
DECLARE
	j bulkhead_control.job;
BEGIN
	SELECT * INTO j FROM bulkhead_control.job o WHERE o.id = (request #>> '{path,job}')::bigint;
	IF j.id IS NULL OR NOT bulkhead_api.job_is_mine(j) THEN
		PERFORM bulkhead_api.refuse_field(404, 'BH-API-NOT-FOUND', 'path.job',
										  format('there is no job %s', request #>> '{path,job}'));
	END IF;
	RETURN j;
END
$$;

-- The newest first.
CREATE FUNCTION bulkhead_api.job_list(request jsonb) RETURNS bulkhead_api.answer
LANGUAGE plpgsql STABLE SET search_path = bulkhead_control, pg_catalog, pg_temp
AS $$
DECLARE
	query jsonb := request -> 'query';
	size integer := (query ->> 'limit')::integer;
	below bigint := bulkhead_api.seek(request, 'id', '^\d{1,18}$');
	home bulkhead_control.tenant.path%TYPE := bulkhead_api.home();
	of_tenant uuid;
	items json[];
	keys jsonb[];
BEGIN
	IF query ? 'tenant' THEN
		of_tenant := (bulkhead_api.tenant(query ->> 'tenant', 'query.tenant')).id;
	END IF;
	SELECT array_agg(bulkhead_api.job_json(p.j) ORDER BY (p.j).id DESC),
		array_agg(jsonb_build_object('id', (p.j).id::text) ORDER BY (p.j).id DESC)
	INTO items, keys
	FROM (SELECT j FROM bulkhead_control.job j
		  WHERE (below IS NULL OR j.id < below)
		  AND (of_tenant IS NULL OR j.tenant_id = of_tenant)
		  AND (NOT query ? 'state' OR j.state = query ->> 'state')
		  AND (NOT query ? 'kind' OR j.kind = query ->> 'kind')
		  AND (NOT query ? 'cluster' OR j.cluster = query ->> 'cluster')
		  -- Of tenants that are gone, those jobs are left that removed them.
		  AND (home IS NULL OR j.id IN (
			SELECT o.id FROM bulkhead_control.tenant t JOIN bulkhead_control.job o ON o.tenant_id = t.id
			WHERE bulkhead_control.path_is_within(t.path, home)
			UNION ALL
			SELECT o.id FROM bulkhead_control.job o
			WHERE o.kind = 'purge' AND o.state = 'done' AND bulkhead_control.path_is_within(o.tenant_path, home)))
		  ORDER BY j.id DESC LIMIT size + 1) p;
	RETURN bulkhead_api.page(items, keys, size);
END
$$;

CREATE FUNCTION bulkhead_api.job_get(request jsonb) RETURNS bulkhead_api.answer
LANGUAGE sql STABLE
BEGIN ATOMIC
	SELECT a.* FROM bulkhead_api.ok(bulkhead_api.job_json(bulkhead_api.find_job(request))) a;
END;

-- A job that failed, once more from its first step.
CREATE FUNCTION bulkhead_api.job_retry(request jsonb) RETURNS bulkhead_api.answer
LANGUAGE plpgsql
AS $$
DECLARE
	j bulkhead_control.job := bulkhead_api.find_job(request);
BEGIN
	SELECT * INTO j FROM bulkhead_control.retry_job(j.id);
	RETURN bulkhead_api.accepted('/v1/jobs/' || j.id, bulkhead_api.job_json(j));
END
$$;
