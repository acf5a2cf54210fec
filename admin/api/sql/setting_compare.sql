-- Settings of several tenants beside each other: two that differ, and a subtree that has drifted.

-- What differs between two tenants. Of sensitive values it is not known, unless both have them from the same tenant.
CREATE FUNCTION bulkhead_api.settings_diff(request jsonb) RETURNS bulkhead_api.answer
LANGUAGE plpgsql
AS $$
DECLARE
	here bulkhead_control.tenant := bulkhead_api.tenant(request #>> '{path,tenant}');
	there bulkhead_control.tenant := bulkhead_api.tenant(request #>> '{query,with}', 'query.with');
	size integer := (request #>> '{query,limit}')::integer;
	after text := bulkhead_api.setting_cursor(request, 'key', '^');
	items json[];
	names text[];
BEGIN
	SELECT array_agg(json_build_object(
			'key', d.key,
			'same', CASE WHEN d.is_sealed THEN NULL ELSE false END,
			'here', bulkhead_api.setting_resolved(here, d.key, false),
			'there', bulkhead_api.setting_resolved(there, d.key, false)) ORDER BY d.key),
		array_agg(d.key ORDER BY d.key)
	INTO items, names
	FROM (SELECT n.key, coalesce(bulkhead_control.setting_data_kid(a.value), bulkhead_control.setting_data_kid(b.value))
				IS NOT NULL AS is_sealed
		  FROM (SELECT x.key FROM bulkhead_api.setting_names(here) x (key)
				UNION SELECT y.key FROM bulkhead_api.setting_names(there) y (key)) n
		  LEFT JOIN bulkhead_control.setting_key k ON k.key = n.key
		  LEFT JOIN LATERAL bulkhead_control.setting_standing(bulkhead_control.path_ids(here.path), n.key) a ON true
		  LEFT JOIN LATERAL bulkhead_control.setting_standing(bulkhead_control.path_ids(there.path), n.key) b ON true
		  WHERE (after IS NULL OR n.key > after)
		  AND a.source_id IS DISTINCT FROM b.source_id
		  AND (coalesce(a.value, k.default_value), coalesce(a.locked, false))
			  IS DISTINCT FROM (coalesce(b.value, k.default_value), coalesce(b.locked, false))
		  ORDER BY n.key LIMIT size + 1) d;
	RETURN bulkhead_api.page(items, ARRAY(SELECT jsonb_build_object('key', n) FROM unnest(names) n), size);
END
$$;

-- Tenants below this one in the order of the tree, from one path on: so many are looked at for a page of what follows.
CREATE FUNCTION bulkhead_api.setting_tenants(top ltree, from_path text, chunk integer) RETURNS SETOF bulkhead_control.tenant
LANGUAGE sql STABLE
BEGIN ATOMIC
	SELECT t.* FROM bulkhead_control.tenant t
	WHERE t.path >= coalesce(text2ltree(from_path), top) AND t.path < bulkhead_control.path_end(top)
	ORDER BY t.path LIMIT chunk;
END;

-- Values of theirs that differ from what they would inherit.
CREATE FUNCTION bulkhead_api.setting_drifts(top ltree, after_path text, after_key text, prefix text, chunk integer,
											size integer)
RETURNS TABLE (path text, key text, item json)
LANGUAGE sql STABLE
BEGIN ATOMIC
	SELECT t.path::text, s.key, json_build_object(
		'tenant_id', t.id,
		'slug', t.slug,
		'key', s.key,
		'value', bulkhead_api.setting_plain(s.value),
		'sensitive', s.data_kid IS NOT NULL,
		'locked', s.locked,
		'masked', coalesce(above.locked, false),
		'same', CASE WHEN coalesce(s.data_kid, bulkhead_control.setting_data_kid(above.value)) IS NULL THEN false END,
		'would_inherit', json_build_object(
			'value', CASE WHEN above.source_id IS NULL THEN k.default_value ELSE bulkhead_api.setting_plain(above.value) END,
			'sensitive', bulkhead_control.setting_data_kid(above.value) IS NOT NULL,
			'is_default', above.source_id IS NULL,
			'source_tenant_id', bulkhead_api.setting_seen_id(above.source_id)))
	FROM bulkhead_api.setting_tenants(top, after_path, chunk) t
	JOIN bulkhead_control.setting s ON s.tenant_id = t.id
	LEFT JOIN bulkhead_control.setting_key k ON k.key = s.key
	LEFT JOIN LATERAL bulkhead_control.setting_standing(
		array_remove(bulkhead_control.path_ids(t.path), t.id), s.key) above ON true
	WHERE t.path > top AND (after_path IS NULL OR t.path > text2ltree(after_path) OR s.key > after_key)
	AND starts_with(s.key, coalesce(prefix, ''))
	AND s.value IS DISTINCT FROM coalesce(above.value, k.default_value)
	ORDER BY t.path, s.key LIMIT size;
END;

-- A page may have fewer items than were asked for, or none, and yet a next: of a large tree a part is looked at each time.
CREATE FUNCTION bulkhead_api.settings_drift(request jsonb) RETURNS bulkhead_api.answer
LANGUAGE plpgsql
AS $$
DECLARE
	chunk constant integer := 2000;
	t bulkhead_control.tenant := bulkhead_api.tenant(request #>> '{path,tenant}');
	size integer := (request #>> '{query,limit}')::integer;
	after_path text := bulkhead_api.setting_cursor(request, 'path', '^[0-9a-f]{32}(\.[0-9a-f]{32}){0,19}$');
	last_path text;
	items json[];
	keys jsonb[];
BEGIN
	SELECT array_agg(d.item ORDER BY d.place), array_agg(jsonb_build_object('path', d.path, 'key', d.key) ORDER BY d.place)
	INTO items, keys
	FROM bulkhead_api.setting_drifts(t.path, after_path, bulkhead_api.setting_cursor(request, 'key', '^'),
									 request #>> '{query,prefix}', chunk, size + 1)
		WITH ORDINALITY AS d (path, key, item, place);
	IF coalesce(cardinality(items), 0) <= size THEN
		SELECT o.path::text INTO last_path
		FROM bulkhead_api.setting_tenants(t.path, after_path, chunk) WITH ORDINALITY AS o
		WHERE o.ordinality = chunk;
		IF FOUND THEN
			-- Behind all that this tenant could have.
			RETURN bulkhead_api.ok(json_build_object('items', coalesce(to_json(items), '[]'),
				'next', bulkhead_api.setting_write_cursor(jsonb_build_object('path', last_path, 'key', '~'))));
		END IF;
	END IF;
	RETURN bulkhead_api.page(items, keys, size);
END
$$;
