-- Permissions over HTTP: grants, what they come to, and how they came to be; and the registry of keys.
--
-- What a tenant holds and what may be granted is the business of bulkhead_control (0011_permission_grant.sql). Functions
-- that look at it run with its owner's rights: what they call is nobody else's.

-- ---- what a grant looks like ----

CREATE FUNCTION bulkhead_api.grant_etag(g bulkhead_control.permission_grant) RETURNS text
LANGUAGE sql IMMUTABLE
RETURN (extract(epoch FROM g.updated_at) * 1000000)::bigint::text;

CREATE FUNCTION bulkhead_api.grant_json(g bulkhead_control.permission_grant) RETURNS json
LANGUAGE sql STABLE
BEGIN ATOMIC
	SELECT json_build_object(
		'tenant_id', g.tenant_id,
		'key', g.key,
		'value', g.value,
		'mode', g.mode,
		'revocation', g.revocation,
		'created_at', g.created_at,
		'updated_at', g.updated_at);
END;

CREATE FUNCTION bulkhead_api.find_grant(of_tenant uuid, of_key text) RETURNS bulkhead_control.permission_grant
LANGUAGE sql STABLE
BEGIN ATOMIC
	SELECT g.* FROM bulkhead_control.permission_grant g WHERE g.tenant_id = of_tenant AND g.key = of_key;
END;

-- The registered key that a request names.
CREATE FUNCTION bulkhead_api.permission_key(word text, field text DEFAULT 'path.key')
RETURNS bulkhead_control.permission_key
LANGUAGE plpgsql STABLE
AS $$
DECLARE
	k bulkhead_control.permission_key;
BEGIN
	SELECT * INTO k FROM bulkhead_control.permission_key o WHERE o.key = word;
	IF NOT FOUND THEN
		PERFORM bulkhead_api.refuse_field(404, 'BH-API-NOT-FOUND', field, format('there is no permission "%s"', word));
	END IF;
	RETURN k;
END
$$;

-- ---- what a tenant holds ----

-- What holds for a tenant of a key, and from where: `source` is own, inherited, frozen (it keeps what it does not get
-- any more) or default; `mode` is the one that binds those below, and `bound` what the parent passes on (null of a
-- root). Tenants above the caller's are not named.
CREATE FUNCTION bulkhead_api.held_json(t bulkhead_control.tenant, k bulkhead_control.permission_key) RETURNS json
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = bulkhead_control, pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT json_build_object(
		'key', k.key,
		'kind', k.kind,
		'value', s.value,
		'inherited', NOT s.frozen AND s.source_id IS NOT NULL AND s.source_id <> t.id,
		'source', CASE WHEN s.frozen THEN 'frozen' WHEN s.source_id = t.id THEN 'own'
				  WHEN s.source_id IS NOT NULL THEN 'inherited' ELSE 'default' END,
		'source_tenant_id', CASE WHEN NOT s.frozen THEN bulkhead_api.seen_id(s.source_id) END,
		'locked', s.locked_by IS NOT NULL,
		'locked_by', bulkhead_api.seen_id(s.locked_by),
		'mode', s.mode,
		'bound', s.bound,
		'own', (SELECT json_build_object('value', g.value, 'mode', g.mode, 'revocation', g.revocation)
				FROM bulkhead_control.permission_grant g WHERE g.tenant_id = t.id AND g.key = k.key))
	FROM bulkhead_control.permission_standing(bulkhead_control.path_ids(t.path), k.key) s;
END;

-- What a tenant and all below it hold of a key: for comparing before and after.
CREATE FUNCTION bulkhead_api.held_in_subtree(t bulkhead_control.tenant, of_key text, OUT ids uuid[], OUT held jsonb[])
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = bulkhead_control, pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT array_agg(a.id), array_agg(a.value)
	FROM (SELECT t.id, bulkhead_control.permission_held(bulkhead_control.path_ids(t.path), of_key) AS value
		  UNION ALL
		  SELECT b.id, b.value FROM bulkhead_control.permission_held_below(t.id, of_key) b) a;
END;

-- Who holds something else now than before: {"count": N, "items": [{tenant_id, tenant, before, after}, …]}, from the top
-- down, a hundred at most.
CREATE FUNCTION bulkhead_api.held_differences(ids uuid[], before jsonb[], after_ids uuid[], after jsonb[]) RETURNS json
LANGUAGE sql STABLE
BEGIN ATOMIC
	WITH changed AS MATERIALIZED (
		SELECT b.id, b.value AS before, a.value AS after
		FROM unnest(ids, before) AS b (id, value) JOIN unnest(after_ids, after) AS a (id, value) ON a.id = b.id
		WHERE a.value IS DISTINCT FROM b.value
	), shown AS (
		SELECT c.before, c.after, t.id, t.slug, t.path
		FROM changed c JOIN bulkhead_control.tenant t ON t.id = c.id
		ORDER BY t.path LIMIT 100
	)
	SELECT json_build_object('count', (SELECT count(*) FROM changed), 'items', coalesce(json_agg(json_build_object(
		'tenant_id', s.id,
		'tenant', s.slug,
		'before', bulkhead_api.shown(s.before),
		'after', bulkhead_api.shown(s.after)) ORDER BY s.path), '[]'))
	FROM shown s;
END;

-- ---- reading ----

-- A tenant's own grants.
CREATE FUNCTION bulkhead_api.permission_list(request jsonb) RETURNS bulkhead_api.answer
LANGUAGE plpgsql STABLE
AS $$
DECLARE
	size integer := (request #>> '{query,limit}')::integer;
	behind text := bulkhead_api.seek(request, 'key', '^[a-z0-9_.]{1,127}$');
	t bulkhead_control.tenant := bulkhead_api.tenant(request #>> '{path,tenant}');
	items json[];
	keys jsonb[];
BEGIN
	SELECT array_agg(bulkhead_api.grant_json(p.g) ORDER BY (p.g).key),
		array_agg(jsonb_build_object('key', (p.g).key) ORDER BY (p.g).key)
	INTO items, keys
	FROM (SELECT g FROM bulkhead_control.permission_grant g
		  WHERE g.tenant_id = t.id AND (behind IS NULL OR g.key > behind)
		  ORDER BY g.key LIMIT size + 1) p;
	RETURN bulkhead_api.page(items, keys, size);
END
$$;

-- What a tenant holds, of each key, of one, or of those that begin so.
CREATE FUNCTION bulkhead_api.permission_effective(request jsonb) RETURNS bulkhead_api.answer
LANGUAGE plpgsql STABLE
AS $$
DECLARE
	query jsonb := request -> 'query';
	size integer := (query ->> 'limit')::integer;
	behind text := bulkhead_api.seek(request, 'key', '^[a-z0-9_.]{1,127}$');
	t bulkhead_control.tenant := bulkhead_api.tenant(request #>> '{path,tenant}');
	items json[];
	keys jsonb[];
BEGIN
	IF query ? 'key' THEN
		PERFORM bulkhead_api.permission_key(query ->> 'key', 'query.key');
	END IF;
	SELECT array_agg(bulkhead_api.held_json(t, p.k) ORDER BY (p.k).key),
		array_agg(jsonb_build_object('key', (p.k).key) ORDER BY (p.k).key)
	INTO items, keys
	FROM (SELECT k FROM bulkhead_control.permission_key k
		  WHERE (behind IS NULL OR k.key > behind)
		  AND (NOT query ? 'key' OR k.key = query ->> 'key')
		  AND (NOT query ? 'prefix' OR starts_with(k.key, query ->> 'prefix'))
		  ORDER BY k.key LIMIT size + 1) p;
	RETURN bulkhead_api.page(items, keys, size);
END
$$;

-- One key of a tenant: what it holds, with its own grant, and the grants on the way to it.
CREATE FUNCTION bulkhead_api.permission_get(request jsonb) RETURNS bulkhead_api.answer
LANGUAGE plpgsql STABLE
AS $$
DECLARE
	t bulkhead_control.tenant := bulkhead_api.tenant(request #>> '{path,tenant}');
	k bulkhead_control.permission_key := bulkhead_api.permission_key(request #>> '{path,key}');
	g bulkhead_control.permission_grant := bulkhead_api.find_grant(t.id, k.key);
BEGIN
	RETURN bulkhead_api.ok(json_build_object(
		'effective', bulkhead_api.held_json(t, k),
		'grant', CASE WHEN g.key IS NOT NULL THEN bulkhead_api.grant_json(g) END,
		'way', (SELECT coalesce(json_agg(json_build_object('tenant_id', o.id, 'tenant', o.slug, 'value', w.value,
														   'mode', w.mode, 'revocation', w.revocation)
										 ORDER BY w.place), '[]')
				FROM (SELECT p.*, n.place FROM unnest(bulkhead_api.seen_ids(t.path)) WITH ORDINALITY AS n (id, place)
					  JOIN bulkhead_control.permission_grant p ON p.tenant_id = n.id AND p.key = k.key) w
				JOIN bulkhead_control.tenant o ON o.id = w.tenant_id)),
		bulkhead_api.grant_etag(g));
END
$$;

-- The newest first.
CREATE FUNCTION bulkhead_api.permission_past(request jsonb) RETURNS bulkhead_api.answer
LANGUAGE plpgsql STABLE
AS $$
DECLARE
	size integer := (request #>> '{query,limit}')::integer;
	below bigint := bulkhead_api.seek(request, 'revision', '^\d{1,18}$');
	t bulkhead_control.tenant := bulkhead_api.tenant(request #>> '{path,tenant}');
	k bulkhead_control.permission_key := bulkhead_api.permission_key(request #>> '{path,key}');
	items json[];
	keys jsonb[];
BEGIN
	SELECT array_agg(json_build_object(
			'revision', p.revision, 'change', p.change, 'at', p.at, 'actor', p.actor, 'request_id', p.request_id,
			'before', p.before - 'revoked_at', 'after', p.after - 'revoked_at') ORDER BY p.revision DESC),
		array_agg(jsonb_build_object('revision', p.revision::text) ORDER BY p.revision DESC)
	INTO items, keys
	FROM (SELECT * FROM bulkhead_control.permission_history h
		  WHERE h.tenant_id = t.id AND h.key = k.key AND (below IS NULL OR h.revision < below)
		  ORDER BY h.revision DESC LIMIT size + 1) p;
	RETURN bulkhead_api.page(items, keys, size);
END
$$;

-- ---- changing ----

-- The tenant, the key and the grant of a request that changes it, in the tree's turn, as the request expects it to be.
-- What a tenant is granted is decided above it: not by API keys at home there.
CREATE FUNCTION bulkhead_api.take_grant(request jsonb, OUT t bulkhead_control.tenant,
										OUT k bulkhead_control.permission_key,
										OUT g bulkhead_control.permission_grant)
LANGUAGE plpgsql
AS $$
BEGIN
	PERFORM bulkhead_control.take_turn();
	t := bulkhead_api.tenant(request #>> '{path,tenant}');
	PERFORM bulkhead_api.not_own_home(t);
	k := bulkhead_api.permission_key(request #>> '{path,key}');
	g := bulkhead_api.find_grant(t.id, k.key);
	IF g.key IS NOT NULL AND NOT request ? 'if_match' THEN
		PERFORM bulkhead_api.refuse_field(428, 'BH-API-CONDITION', 'header.If-Match',
			'there is a grant already: say with its ETag which one is meant');
	ELSIF g.key IS NULL AND request ? 'if_match' THEN
		PERFORM bulkhead_api.refuse_field(412, 'BH-API-CHANGED', 'header.If-Match', 'there is no grant of this key any more');
	END IF;
	PERFORM bulkhead_api.match(request, bulkhead_api.grant_etag(g));
END
$$;

-- Who would hold what is worked out for a dry run only: it takes a look at the whole subtree.
CREATE FUNCTION bulkhead_api.permission_set(request jsonb) RETURNS bulkhead_api.answer
LANGUAGE plpgsql
AS $$
DECLARE
	body jsonb := request -> 'body';
	taken record;
	t bulkhead_control.tenant;
	k bulkhead_control.permission_key;
	old bulkhead_control.permission_grant;
	new bulkhead_control.permission_grant;
	previews boolean := (request ->> 'dry_run')::boolean;
	before record;
	after record;
	given json;
BEGIN
	SELECT * INTO taken FROM bulkhead_api.take_grant(request);
	t := taken.t;
	k := taken.k;
	old := taken.g;
	IF (bulkhead_api.caller()).rank < 3
	   AND (old.key IS NULL OR old.mode <> coalesce(body ->> 'mode', old.mode)
			OR old.revocation <> coalesce(body ->> 'revocation', old.revocation)) THEN
		PERFORM bulkhead_api.refuse_field(403, 'BH-API-ROLE',
			CASE WHEN old.key IS NULL THEN 'path.key' WHEN old.mode <> coalesce(body ->> 'mode', old.mode) THEN 'body.mode'
			ELSE 'body.revocation' END, 'an editor changes the value of a grant that is there');
	END IF;
	IF previews THEN
		before := bulkhead_api.held_in_subtree(t, k.key);
	END IF;
	PERFORM bulkhead_control.set_permission(t.id, k.key, body -> 'value', body ->> 'mode', body ->> 'revocation');
	new := bulkhead_api.find_grant(t.id, k.key);
	given := json_build_object(
		'grant', bulkhead_api.grant_json(new),
		'before', CASE WHEN old.key IS NOT NULL THEN bulkhead_api.grant_json(old) END,
		'effective', bulkhead_api.held_json(t, k));
	IF previews THEN
		after := bulkhead_api.held_in_subtree(t, k.key);
		given := json_build_object(
			'grant', given -> 'grant', 'before', given -> 'before', 'effective', given -> 'effective',
			'affected', bulkhead_api.held_differences(before.ids, before.held, after.ids, after.held));
	END IF;
	RETURN bulkhead_api.ok(given, bulkhead_api.grant_etag(new));
END
$$;

-- Which grants went, and who keeps what frozen: a hundred of them at most, from the top down.
CREATE FUNCTION bulkhead_api.permission_revoke(request jsonb) RETURNS bulkhead_api.answer
LANGUAGE plpgsql
AS $$
DECLARE
	taken record;
	t bulkhead_control.tenant;
	k bulkhead_control.permission_key;
	old bulkhead_control.permission_grant;
	previews boolean := (request ->> 'dry_run')::boolean;
	before record;
	after record;
	outcome json;
	given json;
BEGIN
	SELECT * INTO taken FROM bulkhead_api.take_grant(request);
	t := taken.t;
	k := taken.k;
	old := taken.g;
	IF previews THEN
		before := bulkhead_api.held_in_subtree(t, k.key);
	END IF;
	SELECT json_build_object(
		'revoked', json_build_object('count', count(*) FILTER (WHERE r.became = 'revoked'), 'items', coalesce(json_agg(
			json_build_object('tenant_id', r.id, 'tenant', r.slug, 'value', bulkhead_api.shown(r.value)) ORDER BY r.place)
			FILTER (WHERE r.became = 'revoked' AND r.nth <= 100), '[]')),
		'frozen', json_build_object('count', count(*) FILTER (WHERE r.became = 'frozen'), 'items', coalesce(json_agg(
			json_build_object('tenant_id', r.id, 'tenant', r.slug, 'value', bulkhead_api.shown(r.value)) ORDER BY r.place)
			FILTER (WHERE r.became = 'frozen' AND r.nth <= 100), '[]')))
	INTO outcome
	FROM (SELECT o.*, row_number() OVER (PARTITION BY o.became ORDER BY o.place) AS nth
		  FROM bulkhead_control.revoke_permission(t.id, k.key)
			WITH ORDINALITY AS o (id, slug, key, became, value, version, place)) r;
	IF (outcome #>> '{revoked,count}')::bigint = 0 THEN
		PERFORM bulkhead_api.refuse_field(404, 'BH-API-NOT-FOUND', 'path.key',
			format('tenant %s has no grant of %s, and keeps nothing of one', t.slug, k.key));
	END IF;
	given := json_build_object('revoked', outcome -> 'revoked', 'frozen', outcome -> 'frozen',
							   'effective', bulkhead_api.held_json(t, k));
	IF previews THEN
		after := bulkhead_api.held_in_subtree(t, k.key);
		given := json_build_object(
			'revoked', outcome -> 'revoked', 'frozen', outcome -> 'frozen', 'effective', given -> 'effective',
			'affected', bulkhead_api.held_differences(before.ids, before.held, after.ids, after.held));
	END IF;
	RETURN bulkhead_api.ok(given);
END
$$;

-- ---- the registry ----

CREATE FUNCTION bulkhead_api.permission_key_json(k bulkhead_control.permission_key) RETURNS json
LANGUAGE sql STABLE
BEGIN ATOMIC
	SELECT json_build_object(
		'key', k.key,
		'kind', k.kind,
		'elements', k.elements,
		'default', k.shared_default,
		'schema_default', k.schema_default,
		'database_default', k.database_default,
		'description', k.description,
		'builtin', k.builtin);
END;

-- Nothing else of it ever changes.
CREATE FUNCTION bulkhead_api.permission_key_etag(k bulkhead_control.permission_key) RETURNS text
LANGUAGE sql IMMUTABLE
RETURN md5(k.description);

CREATE FUNCTION bulkhead_api.permission_key_answer(k bulkhead_control.permission_key) RETURNS bulkhead_api.answer
LANGUAGE sql STABLE
BEGIN ATOMIC
	SELECT a.* FROM bulkhead_api.ok(bulkhead_api.permission_key_json(k), bulkhead_api.permission_key_etag(k)) a;
END;

CREATE FUNCTION bulkhead_api.permission_key_list(request jsonb) RETURNS bulkhead_api.answer
LANGUAGE plpgsql STABLE
AS $$
DECLARE
	query jsonb := request -> 'query';
	size integer := (query ->> 'limit')::integer;
	behind text := bulkhead_api.seek(request, 'key', '^[a-z0-9_.]{1,127}$');
	items json[];
	keys jsonb[];
BEGIN
	SELECT array_agg(bulkhead_api.permission_key_json(p.k) ORDER BY (p.k).key),
		array_agg(jsonb_build_object('key', (p.k).key) ORDER BY (p.k).key)
	INTO items, keys
	FROM (SELECT k FROM bulkhead_control.permission_key k
		  WHERE (behind IS NULL OR k.key > behind)
		  AND (NOT query ? 'prefix' OR starts_with(k.key, query ->> 'prefix'))
		  ORDER BY k.key LIMIT size + 1) p;
	RETURN bulkhead_api.page(items, keys, size);
END
$$;

CREATE FUNCTION bulkhead_api.permission_key_get(request jsonb) RETURNS bulkhead_api.answer
LANGUAGE sql STABLE
BEGIN ATOMIC
	SELECT a.* FROM bulkhead_api.permission_key_answer(bulkhead_api.permission_key(request #>> '{path,key}')) a;
END;

-- Without defaults, nothing is held: false, 0, none.
CREATE FUNCTION bulkhead_api.permission_key_create(request jsonb) RETURNS bulkhead_api.answer
LANGUAGE plpgsql
AS $$
DECLARE
	body jsonb := request -> 'body';
	unset jsonb := coalesce(body -> 'default', (
		CASE body ->> 'kind' WHEN 'bool' THEN 'false' WHEN 'number' THEN '0' ELSE '[]' END)::jsonb);
	k bulkhead_control.permission_key;
BEGIN
	INSERT INTO bulkhead_control.permission_key (key, kind, shared_default, schema_default, database_default, description)
	VALUES (body ->> 'key', body ->> 'kind', unset, coalesce(body -> 'schema_default', unset),
			coalesce(body -> 'database_default', unset), body ->> 'description')
	RETURNING * INTO k;
	RETURN bulkhead_api.created('/v1/permission-keys/' || k.key, bulkhead_api.permission_key_json(k),
								bulkhead_api.permission_key_etag(k));
END
$$;

CREATE FUNCTION bulkhead_api.take_permission_key(request jsonb) RETURNS bulkhead_control.permission_key
LANGUAGE plpgsql
AS $$
DECLARE
	k bulkhead_control.permission_key := bulkhead_api.permission_key(request #>> '{path,key}');
BEGIN
	PERFORM bulkhead_api.match(request, bulkhead_api.permission_key_etag(k));
	RETURN k;
END
$$;

CREATE FUNCTION bulkhead_api.permission_key_update(request jsonb) RETURNS bulkhead_api.answer
LANGUAGE plpgsql
AS $$
DECLARE
	k bulkhead_control.permission_key := bulkhead_api.take_permission_key(request);
	was text := k.description;
BEGIN
	UPDATE bulkhead_control.permission_key o SET description = request #>> '{body,description}'
	WHERE o.key = k.key AND o.description = was
	RETURNING * INTO k;
	IF NOT FOUND THEN
		PERFORM bulkhead_api.refuse_field(412, 'BH-API-CHANGED', 'header.If-Match',
										  'it has changed since: read it again');
	END IF;
	RETURN bulkhead_api.permission_key_answer(k);
END
$$;

-- Only where there is no grant of it left.
CREATE FUNCTION bulkhead_api.permission_key_delete(request jsonb) RETURNS bulkhead_api.answer
LANGUAGE plpgsql
AS $$
DECLARE
	k bulkhead_control.permission_key := bulkhead_api.take_permission_key(request);
BEGIN
	DELETE FROM bulkhead_control.permission_key o WHERE o.key = k.key;
	RETURN bulkhead_api.nothing();
END
$$;
