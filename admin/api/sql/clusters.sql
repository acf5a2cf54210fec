-- Clusters over HTTP: the servers that tenants are placed on, as the control schema knows them. Hosts and logins stand
-- in each Bulkhead's own settings.

CREATE FUNCTION bulkhead_api.cluster_json(c bulkhead_control.cluster) RETURNS json
LANGUAGE sql STABLE
BEGIN ATOMIC
	SELECT json_build_object('name', c.name, 'region', c.region, 'status', c.status);
END;

CREATE FUNCTION bulkhead_api.cluster_etag(c bulkhead_control.cluster) RETURNS text
LANGUAGE sql STABLE
BEGIN ATOMIC
	SELECT md5(bulkhead_api.cluster_json(c)::text);
END;

CREATE FUNCTION bulkhead_api.cluster_answer(c bulkhead_control.cluster) RETURNS bulkhead_api.answer
LANGUAGE sql STABLE
BEGIN ATOMIC
	SELECT a.* FROM bulkhead_api.ok(bulkhead_api.cluster_json(c), bulkhead_api.cluster_etag(c)) a;
END;

CREATE FUNCTION bulkhead_api.no_cluster(name text) RETURNS void
LANGUAGE sql STABLE
BEGIN ATOMIC
	SELECT bulkhead_api.refuse_field(404, 'BH-API-NOT-FOUND', 'path.cluster', format('there is no cluster "%s"', name));
END;

CREATE FUNCTION bulkhead_api.cluster_list(request jsonb) RETURNS bulkhead_api.answer
LANGUAGE plpgsql STABLE
AS $$
DECLARE
	size integer := (request #>> '{query,limit}')::integer;
	behind text := bulkhead_api.seek(request, 'name', '^[a-z][a-z0-9_-]{0,62}$');
	items json[];
	keys jsonb[];
BEGIN
	SELECT array_agg(bulkhead_api.cluster_json(p.c) ORDER BY (p.c).name),
		array_agg(jsonb_build_object('name', (p.c).name) ORDER BY (p.c).name)
	INTO items, keys
	FROM (SELECT c FROM bulkhead_control.cluster c WHERE behind IS NULL OR c.name > behind
		  ORDER BY c.name LIMIT size + 1) p;
	RETURN bulkhead_api.page(items, keys, size);
END
$$;

CREATE FUNCTION bulkhead_api.cluster_get(request jsonb) RETURNS bulkhead_api.answer
LANGUAGE plpgsql STABLE
AS $$
DECLARE
	c bulkhead_control.cluster;
BEGIN
	SELECT * INTO c FROM bulkhead_control.cluster o WHERE o.name = request #>> '{path,cluster}';
	IF NOT FOUND THEN
		PERFORM bulkhead_api.no_cluster(request #>> '{path,cluster}');
	END IF;
	RETURN bulkhead_api.cluster_answer(c);
END
$$;

CREATE FUNCTION bulkhead_api.cluster_create(request jsonb) RETURNS bulkhead_api.answer
LANGUAGE plpgsql
AS $$
DECLARE
	body jsonb := request -> 'body';
	c bulkhead_control.cluster;
BEGIN
	INSERT INTO bulkhead_control.cluster (name, region, status)
	VALUES (body ->> 'name', body ->> 'region', coalesce(body ->> 'status', 'active'))
	RETURNING * INTO c;
	RETURN bulkhead_api.created('/v1/clusters/' || c.name, bulkhead_api.cluster_json(c), bulkhead_api.cluster_etag(c));
END
$$;

-- The cluster of a request that changes it, as the request expects it to be.
CREATE FUNCTION bulkhead_api.take_cluster(request jsonb) RETURNS bulkhead_control.cluster
LANGUAGE plpgsql
AS $$
DECLARE
	c bulkhead_control.cluster;
BEGIN
	SELECT * INTO c FROM bulkhead_control.cluster o WHERE o.name = request #>> '{path,cluster}' FOR UPDATE;
	IF NOT FOUND THEN
		PERFORM bulkhead_api.no_cluster(request #>> '{path,cluster}');
	END IF;
	PERFORM bulkhead_api.match(request, bulkhead_api.cluster_etag(c));
	RETURN c;
END
$$;

CREATE FUNCTION bulkhead_api.cluster_update(request jsonb) RETURNS bulkhead_api.answer
LANGUAGE plpgsql
AS $$
DECLARE
	body jsonb := request -> 'body';
	c bulkhead_control.cluster := bulkhead_api.take_cluster(request);
BEGIN
	UPDATE bulkhead_control.cluster o SET
		region = CASE WHEN body ? 'region' THEN body ->> 'region' ELSE o.region END,
		status = coalesce(body ->> 'status', o.status)
	WHERE o.name = c.name
	RETURNING * INTO c;
	RETURN bulkhead_api.cluster_answer(c);
END
$$;

CREATE FUNCTION bulkhead_api.cluster_delete(request jsonb) RETURNS bulkhead_api.answer
LANGUAGE plpgsql
AS $$
DECLARE
	c bulkhead_control.cluster := bulkhead_api.take_cluster(request);
BEGIN
	DELETE FROM bulkhead_control.cluster o WHERE o.name = c.name;
	RETURN bulkhead_api.nothing();
END
$$;
