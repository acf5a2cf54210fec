-- Sessions, backends and orders to them are the data plane's (admin/api/live_run.c). The database says which tenant a
-- request names and which part of the tree is the caller's, and keeps a record of an order before it is given.

-- {"home": the top of the caller's part of the tree, "tenant": the one that is named, "path": its ids, root first,
-- "after": the cursor}, each null where there is none.
CREATE FUNCTION bulkhead_api.live_scope(request jsonb) RETURNS json
LANGUAGE plpgsql STABLE SET search_path = bulkhead_control, pg_catalog, pg_temp
AS $$
DECLARE
	field text := CASE WHEN request -> 'path' ? 'tenant' THEN 'path' WHEN request -> 'query' ? 'tenant' THEN 'query'
				  WHEN request -> 'body' ? 'tenant' THEN 'body' END;
	named bulkhead_control.tenant;
	home uuid[] := bulkhead_control.path_ids(bulkhead_api.home());
BEGIN
	IF field IS NOT NULL THEN
		named := bulkhead_api.tenant(request #>> ARRAY[field, 'tenant'], field || '.tenant');
	END IF;
	RETURN json_build_object('home', home[cardinality(home)], 'tenant', named.id,
							 'path', bulkhead_control.path_ids(named.path), 'after', request #> '{query,cursor}');
END
$$;

CREATE FUNCTION bulkhead_api.find_live(request jsonb) RETURNS bulkhead_api.answer
LANGUAGE sql STABLE
RETURN bulkhead_api.ok(bulkhead_api.live_scope(request));

-- The same for an order, of which a record is kept.
CREATE FUNCTION bulkhead_api.note_live(request jsonb) RETURNS bulkhead_api.answer
LANGUAGE plpgsql SET search_path = bulkhead_control, pg_catalog, pg_temp
AS $$
DECLARE
	scope json := bulkhead_api.live_scope(request);
	pid text := request #>> '{path,pid}';
BEGIN
	-- A tenant that waits does so at the hands of those above it: it does not end that itself.
	IF current_setting('bulkhead.action') IN ('tenant.pause', 'tenant.unpause')
	   AND (scope ->> 'tenant')::uuid = bulkhead_api.home_id() THEN
		PERFORM bulkhead_api.refuse_field(403, 'BH-API-HOME', 'path.tenant',
			'this is decided above the tenant, not by an API key of its own');
	END IF;
	PERFORM bulkhead_control.audit_note(
		current_setting('bulkhead.action'), coalesce(scope ->> 'tenant', scope ->> 'home')::uuid,
		CASE WHEN pid IS NOT NULL THEN 'session/' || pid ELSE 'tenant/' || (scope ->> 'tenant') END,
		jsonb_strip_nulls(jsonb_build_object('pid', pid::bigint, 'subtree', request #> '{body,subtree}')));
	RETURN bulkhead_api.ok(scope);
END
$$;

-- And for a statement that is explained; "gate" is what its tenant's gate goes by. Of the statement nothing is kept.
CREATE FUNCTION bulkhead_api.note_statement(request jsonb) RETURNS bulkhead_api.answer
LANGUAGE plpgsql SET search_path = bulkhead_control, pg_catalog, pg_temp
AS $$
DECLARE
	scope json := bulkhead_api.live_scope(request);
BEGIN
	PERFORM bulkhead_control.audit_note(current_setting('bulkhead.action'), (scope ->> 'tenant')::uuid,
										'tenant/' || (scope ->> 'tenant'), NULL);
	RETURN bulkhead_api.ok(json_build_object(
		'home', scope -> 'home', 'tenant', scope -> 'tenant',
		'gate', (SELECT json_build_object('id', t.id, 'slug', t.slug, 'strategy', t.strategy, 'permissions', t.permissions)
				 FROM bulkhead_control.lookup_tenant(scope ->> 'tenant') t)));
END
$$;
