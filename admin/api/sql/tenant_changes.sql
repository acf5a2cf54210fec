-- Tenants over HTTP: what becomes of them. Who may do it says tenants.sql.

-- ---- changing ----

-- The tenant of a request that changes it, in the tree's turn, as the request expects it to be.
CREATE FUNCTION bulkhead_api.take_tenant(request jsonb) RETURNS bulkhead_control.tenant
LANGUAGE plpgsql
AS $$
DECLARE
	t bulkhead_control.tenant;
BEGIN
	PERFORM bulkhead_control.take_turn();
	t := bulkhead_api.tenant(request #>> '{path,tenant}');
	PERFORM bulkhead_api.match(request, bulkhead_api.tenant_etag(t));
	RETURN t;
END
$$;

-- What the body does not say stays. An editor changes what people read; the rest is an admin's, and what make_tenant
-- keeps for API keys of the whole tree is so here too.
CREATE FUNCTION bulkhead_api.tenant_update(request jsonb) RETURNS bulkhead_api.answer
LANGUAGE plpgsql SET search_path = bulkhead_control, pg_catalog, pg_temp
AS $$
DECLARE
	body jsonb := request -> 'body';
	t bulkhead_control.tenant := bulkhead_api.tenant(request #>> '{path,tenant}');
	field text;
BEGIN
	-- Its row, not the tree's turn: paths and statuses stay as they are.
	PERFORM FROM bulkhead_control.tenant o WHERE o.id = t.id FOR NO KEY UPDATE;
	t := bulkhead_api.tenant(t.id::text);
	PERFORM bulkhead_api.match(request, bulkhead_api.tenant_etag(t));
	IF (bulkhead_api.caller()).rank < 3 THEN
		FOR field IN SELECT f FROM jsonb_object_keys(body) f WHERE f <> 'name' ORDER BY f LOOP
			PERFORM bulkhead_api.refuse_field(403, 'BH-API-ROLE', 'body.' || field,
											  'of a tenant an editor changes the name');
		END LOOP;
	END IF;
	PERFORM bulkhead_api.not_taken(body ->> 'slug', 'body.slug', t.id),
		bulkhead_api.not_taken(body ->> 'external_key', 'body.external_key', t.id);
	IF body ? 'external_key' AND body ->> 'external_key' IS DISTINCT FROM t.external_key THEN
		PERFORM bulkhead_api.for_whole_tree('body.external_key', 'a key is given by API keys of the whole tree');
	END IF;
	IF body ? 'cluster' AND body ->> 'cluster' <> t.cluster THEN
		PERFORM bulkhead_api.for_whole_tree('body.cluster', 'a cluster is chosen by API keys of the whole tree');
		IF NOT EXISTS (SELECT FROM bulkhead_control.cluster c WHERE c.name = body ->> 'cluster') THEN
			PERFORM bulkhead_api.refuse_field(422, 'BH-API-VALUE', 'body.cluster',
											  format('there is no cluster "%s"', body ->> 'cluster'));
		END IF;
	END IF;
	IF body ? 'pool_weight' AND (body ->> 'pool_weight')::smallint <> t.pool_weight THEN
		PERFORM bulkhead_api.for_whole_tree('body.pool_weight', 'shares are given by API keys of the whole tree');
	END IF;
	UPDATE bulkhead_control.tenant o SET
		slug = coalesce(body ->> 'slug', o.slug),
		name = coalesce(body ->> 'name', o.name),
		external_key = CASE WHEN body ? 'external_key' THEN body ->> 'external_key' ELSE o.external_key END,
		region = CASE WHEN body ? 'region' THEN body ->> 'region' ELSE o.region END,
		cluster = coalesce(body ->> 'cluster', o.cluster),
		pool_weight = coalesce((body ->> 'pool_weight')::smallint, o.pool_weight)
	WHERE o.id = t.id;
	RETURN bulkhead_api.tenant_answer(t.id);
END
$$;

-- Where among its siblings: {"before": T}, {"after": T}, {"to": "first" | "last"}, one of these or none.
CREATE FUNCTION bulkhead_api.put_in_place(t bulkhead_control.tenant, body jsonb) RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
	said text[] := ARRAY(SELECT w FROM unnest(ARRAY['before', 'after', 'to']) w WHERE body ->> w IS NOT NULL);
	sibling bulkhead_control.tenant;
BEGIN
	IF cardinality(said) > 1 THEN
		PERFORM bulkhead_api.refuse_field(422, 'BH-API-VALUE', 'body.' || said[2],
										  format('either this or %s', said[1]));
	ELSIF said[1] = 'to' THEN
		PERFORM bulkhead_control.place_tenant(t.id, NULL, body ->> 'to' = 'first');
	ELSIF said[1] IS NOT NULL THEN
		sibling := bulkhead_api.tenant(body ->> said[1], 'body.' || said[1]);
		IF sibling.id = t.id OR sibling.parent_id IS DISTINCT FROM t.parent_id THEN
			PERFORM bulkhead_api.refuse_field(422, 'BH-API-VALUE', 'body.' || said[1],
											  format('tenant %s is no sibling of %s', sibling.slug, t.slug));
		END IF;
		PERFORM bulkhead_control.place_tenant(t.id, sibling.id, said[1] = 'before');
	END IF;
END
$$;

CREATE FUNCTION bulkhead_api.tenant_reorder(request jsonb) RETURNS bulkhead_api.answer
LANGUAGE plpgsql SET search_path = bulkhead_control, pg_catalog, pg_temp
AS $$
DECLARE
	t bulkhead_control.tenant := bulkhead_api.take_tenant(request);
BEGIN
	PERFORM bulkhead_api.not_own_home(t);
	IF NOT request -> 'body' ?| ARRAY['before', 'after', 'to'] THEN
		PERFORM bulkhead_api.refuse_field(422, 'BH-API-VALUE', 'body.to', 'say before, after or to');
	END IF;
	PERFORM bulkhead_api.put_in_place(t, request -> 'body');
	RETURN bulkhead_api.tenant_answer(t.id);
END
$$;

-- ---- moving ----

-- A value as it is shown among others: a large one is left out.
CREATE FUNCTION bulkhead_api.shown(value jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE
RETURN CASE WHEN octet_length(value::text) > 4096 THEN '"(too large to be shown here)"' ELSE value END;

-- What holds for a tenant of each key: {KEY: {value, source, locked}, …}. Of a sensitive one it is said where it
-- comes from, and never what it is.
CREATE FUNCTION bulkhead_api.held_settings(id uuid) RETURNS jsonb
LANGUAGE sql STABLE
BEGIN ATOMIC
	SELECT coalesce(jsonb_object_agg(r.key, jsonb_build_object(
		'value', CASE WHEN k.sensitive OR jsonb_typeof(r.value) = 'object' AND r.value ? '$enc' THEN NULL ELSE r.value END,
		'source', r.source_id, 'locked', r.locked_by IS NOT NULL)), '{}')
	FROM bulkhead_control.resolve_settings(held_settings.id) r
	LEFT JOIN bulkhead_control.setting_key k ON k.key = r.key;
END;

CREATE FUNCTION bulkhead_api.held_permissions(id uuid) RETURNS jsonb
LANGUAGE sql STABLE
BEGIN ATOMIC
	SELECT jsonb_object_agg(r.key, jsonb_build_object(
		'value', r.value, 'source', r.source_id, 'locked', r.locked_by IS NOT NULL))
	FROM bulkhead_control.resolve_permissions(held_permissions.id) r;
END;

CREATE FUNCTION bulkhead_api.held_side(side jsonb) RETURNS json
LANGUAGE sql STABLE
BEGIN ATOMIC
	SELECT CASE WHEN side IS NOT NULL THEN json_build_object(
		'value', bulkhead_api.shown(side -> 'value'),
		'source_tenant_id', bulkhead_api.seen_id((side ->> 'source')::uuid),
		'locked', side -> 'locked') END;
END;

-- What is another afterwards: {"count": N, "items": [{key, before, after}, …]}, a hundred of them at most.
CREATE FUNCTION bulkhead_api.held_changes(before jsonb, after jsonb) RETURNS json
LANGUAGE sql STABLE
BEGIN ATOMIC
	SELECT json_build_object('count', count(*), 'items', coalesce(json_agg(json_build_object(
		'key', c.key,
		'before', bulkhead_api.held_side(c.before),
		'after', bulkhead_api.held_side(c.after)) ORDER BY c.key) FILTER (WHERE c.place <= 100), '[]'))
	FROM (SELECT key, b.value AS before, a.value AS after, row_number() OVER (ORDER BY key) AS place
		  FROM jsonb_each(before) b FULL JOIN jsonb_each(after) a USING (key)
		  WHERE a.value IS DISTINCT FROM b.value) c;
END;

-- Under another parent, or among the roots, with all below it; and what that changes of what holds for it.
CREATE FUNCTION bulkhead_api.tenant_move(request jsonb) RETURNS bulkhead_api.answer
LANGUAGE plpgsql SET search_path = bulkhead_control, pg_catalog, pg_temp
AS $$
DECLARE
	body jsonb := request -> 'body';
	t bulkhead_control.tenant := bulkhead_api.take_tenant(request);
	parent bulkhead_control.tenant;
	settings jsonb := bulkhead_api.held_settings(t.id);
	permissions jsonb := bulkhead_api.held_permissions(t.id);
	moved bigint := 0;
BEGIN
	PERFORM bulkhead_api.not_own_home(t);
	IF body ->> 'parent' IS NULL THEN
		PERFORM bulkhead_api.for_whole_tree('body.parent', 'a root is made by API keys of the whole tree');
	ELSE
		parent := bulkhead_api.tenant(body ->> 'parent', 'body.parent');
	END IF;
	IF parent.id IS DISTINCT FROM t.parent_id THEN
		IF t.status = 'active' AND parent.status <> 'active' THEN
			PERFORM bulkhead_api.refuse_field(409, 'BH-API-STATUS', 'body.parent',
				format('tenant %s is %s: none below it is active', parent.slug, parent.status));
		END IF;
		UPDATE bulkhead_control.tenant o SET parent_id = parent.id WHERE o.id = t.id;
		SELECT * INTO t FROM bulkhead_control.tenant o WHERE o.id = t.id;
		SELECT count(*) INTO moved FROM bulkhead_control.tenant o WHERE bulkhead_control.path_is_within(o.path, t.path);
	END IF;
	PERFORM bulkhead_api.put_in_place(t, body);
	SELECT * INTO t FROM bulkhead_control.tenant o WHERE o.id = t.id;
	RETURN bulkhead_api.ok(json_build_object(
		'tenant', bulkhead_api.tenant_json(t),
		'moved', moved,
		'settings', bulkhead_api.held_changes(settings, bulkhead_api.held_settings(t.id)),
		'permissions', bulkhead_api.held_changes(permissions, bulkhead_api.held_permissions(t.id))),
		bulkhead_api.tenant_etag(t));
END
$$;

-- ---- statuses ----

CREATE FUNCTION bulkhead_api.change_status(request jsonb, verb text) RETURNS bulkhead_api.answer
LANGUAGE plpgsql SET search_path = bulkhead_control, pg_catalog, pg_temp
AS $$
DECLARE
	t bulkhead_control.tenant := bulkhead_api.take_tenant(request);
	changed bigint;
	items json;
BEGIN
	PERFORM bulkhead_api.not_own_home(t);
	SELECT count(*), coalesce(json_agg(json_build_object('id', c.id, 'slug', c.slug, 'was', c.was, 'status', c.status)
									   ORDER BY c.place) FILTER (WHERE c.place <= 100), '[]')
	INTO changed, items
	FROM bulkhead_control.change_tenant_status(t.id, verb, coalesce((request #>> '{body,subtree}')::boolean, false))
		WITH ORDINALITY AS c (id, slug, was, status, version, place);
	SELECT * INTO t FROM bulkhead_control.tenant o WHERE o.id = t.id;
	RETURN bulkhead_api.ok(
		json_build_object('tenant', bulkhead_api.tenant_json(t),
						  'changed', json_build_object('count', changed, 'items', items)),
		bulkhead_api.tenant_etag(t));
END
$$;

CREATE FUNCTION bulkhead_api.tenant_suspend(request jsonb) RETURNS bulkhead_api.answer
LANGUAGE sql
BEGIN ATOMIC
	SELECT a.* FROM bulkhead_api.change_status(request, 'suspend') a;
END;

CREATE FUNCTION bulkhead_api.tenant_resume(request jsonb) RETURNS bulkhead_api.answer
LANGUAGE sql
BEGIN ATOMIC
	SELECT a.* FROM bulkhead_api.change_status(request, 'resume') a;
END;

CREATE FUNCTION bulkhead_api.tenant_archive(request jsonb) RETURNS bulkhead_api.answer
LANGUAGE sql
BEGIN ATOMIC
	SELECT a.* FROM bulkhead_api.change_status(request, 'archive') a;
END;

CREATE FUNCTION bulkhead_api.tenant_restore(request jsonb) RETURNS bulkhead_api.answer
LANGUAGE sql
BEGIN ATOMIC
	SELECT a.* FROM bulkhead_api.change_status(request, 'restore') a;
END;

-- The end of a tenant begins; what it has is removed by the job that this answers with.
CREATE FUNCTION bulkhead_api.tenant_purge(request jsonb) RETURNS bulkhead_api.answer
LANGUAGE plpgsql SET search_path = bulkhead_control, pg_catalog, pg_temp
AS $$
DECLARE
	t bulkhead_control.tenant := bulkhead_api.take_tenant(request);
	j bulkhead_control.job;
BEGIN
	PERFORM bulkhead_api.not_own_home(t);
	IF request #>> '{body,confirm}' <> t.slug THEN
		PERFORM bulkhead_api.refuse_field(422, 'BH-API-VALUE', 'body.confirm', 'this is not the tenant''s slug');
	END IF;
	PERFORM bulkhead_control.purge_tenant(t.id);
	SELECT * INTO j FROM bulkhead_control.job o WHERE o.tenant_id = t.id AND o.state IN ('queued', 'running');
	RETURN bulkhead_api.accepted('/v1/jobs/' || j.id, bulkhead_api.job_json(j));
END
$$;
