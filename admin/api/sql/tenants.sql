-- Tenants over HTTP: the tree.
--
-- What makes a claim on rows of shared tables (a chosen id, a key of the application) or on what tenants of different
-- subtrees share (another cluster, a larger share of a pool) is for API keys of the whole tree alone. So is what a
-- tenant becomes at the hands of those above it (suspended, archived, purged, moved): not for API keys at home in that
-- very tenant. Of what lies above a key's tenant nothing is shown.

-- ---- what a tenant looks like ----

-- Those ids of a path that the caller may see: from its own tenant down.
CREATE FUNCTION bulkhead_api.seen_ids(path ltree) RETURNS uuid[]
LANGUAGE sql STABLE
BEGIN ATOMIC
	SELECT (bulkhead_control.path_ids(path))[
		greatest(1, coalesce(cardinality(bulkhead_control.path_ids(bulkhead_api.home())), 1)):];
END;

CREATE FUNCTION bulkhead_api.seen_id(id uuid) RETURNS uuid
LANGUAGE sql STABLE
BEGIN ATOMIC
	SELECT t.id FROM bulkhead_control.tenant t WHERE t.id = seen_id.id AND bulkhead_api.is_mine(t.path);
END;

-- `job` is the one that is making or removing what the tenant has of its own.
CREATE FUNCTION bulkhead_api.tenant_json(t bulkhead_control.tenant) RETURNS json
LANGUAGE sql STABLE
BEGIN ATOMIC
	SELECT json_build_object(
		'id', t.id,
		'slug', t.slug,
		'external_key', t.external_key,
		'name', t.name,
		'parent_id', s.ids[cardinality(s.ids) - 1],
		'path', s.ids,
		'depth', cardinality(bulkhead_control.path_ids(t.path)),
		'position', t.position::text,
		'strategy', t.strategy,
		'cluster', t.cluster,
		'region', t.region,
		'status', t.status,
		'dedicated_login', t.dedicated_login,
		'pool_weight', t.pool_weight,
		'job', CASE WHEN t.status IN ('provisioning', 'purging') THEN (
			SELECT j.id FROM bulkhead_control.job j WHERE j.tenant_id = t.id AND j.state IN ('queued', 'running')) END,
		'version', t.version,
		'created_at', t.created_at,
		'updated_at', t.updated_at)
	FROM (SELECT bulkhead_api.seen_ids(t.path) AS ids) s;
END;

CREATE FUNCTION bulkhead_api.tenant_answer(id uuid) RETURNS bulkhead_api.answer
LANGUAGE sql STABLE
BEGIN ATOMIC
	SELECT a.* FROM bulkhead_control.tenant t, bulkhead_api.ok(bulkhead_api.tenant_json(t), bulkhead_api.tenant_etag(t)) a
	WHERE t.id = tenant_answer.id;
END;

-- ---- who may what ----

CREATE FUNCTION bulkhead_api.sees_all() RETURNS boolean
LANGUAGE sql STABLE
BEGIN ATOMIC
	SELECT bulkhead_api.home() IS NULL;
END;

-- For API keys of the whole tree.
CREATE FUNCTION bulkhead_api.for_whole_tree(field text, detail text) RETURNS void
LANGUAGE plpgsql STABLE
AS $$
BEGIN
	IF NOT bulkhead_api.sees_all() THEN
		PERFORM bulkhead_api.refuse_field(403, 'BH-API-SUBTREE', field, detail);
	END IF;
END
$$;

-- Not for API keys at home in this tenant.
CREATE FUNCTION bulkhead_api.not_own_home(t bulkhead_control.tenant) RETURNS void
LANGUAGE plpgsql STABLE
AS $$
BEGIN
	IF t.path::text = bulkhead_api.home()::text THEN
		PERFORM bulkhead_api.refuse_field(403, 'BH-API-HOME', 'path.tenant',
			'this is decided above the tenant, not by an API key of its own');
	END IF;
END
$$;

-- ---- reading ----

-- What a cursor of this list says under that name; it has come from outside, and must have that form.
CREATE FUNCTION bulkhead_api.seek(request jsonb, name text, form text) RETURNS text
LANGUAGE plpgsql STABLE
AS $$
DECLARE
	cursor jsonb := request #> '{query,cursor}';
	said text := CASE WHEN jsonb_typeof(cursor) = 'object' THEN cursor ->> name END;
BEGIN
	IF cursor IS NOT NULL AND (said !~ form) IS NOT FALSE THEN
		PERFORM bulkhead_api.refuse_field(400, 'BH-API-CURSOR', 'query.cursor', 'this is no cursor of this list');
	END IF;
	RETURN said;
END
$$;

-- A page of tenants. `which` is a condition on t with $1, the path of the top; `sort` one of the orders below, with `-`
-- in front for the other way round.
CREATE FUNCTION bulkhead_api.tenant_page(request jsonb, which text, top ltree, sort text) RETURNS bulkhead_api.answer
LANGUAGE plpgsql STABLE SET search_path = bulkhead_control, pg_catalog, pg_temp
AS $$
DECLARE
	query jsonb := request -> 'query';
	size integer := (query ->> 'limit')::integer;
	uuid_form constant text := '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$';
	seeks boolean := query ? 'cursor';
	word text;
	id uuid;
	at timestamptz;
	place numeric;
	path bulkhead_control.tenant.path%TYPE;
	down boolean := sort LIKE '-%';
	behind text; -- where to go on
	in_order text;
	key text;
	items json[];
	keys jsonb[];
BEGIN
	CASE ltrim(sort, '-')
		WHEN 'slug' THEN
			word := bulkhead_api.seek(request, 'slug', '^[a-z][a-z0-9_-]{0,62}$');
			behind := CASE WHEN down THEN 't.slug < $5' ELSE 't.slug > $5' END;
			in_order := 't.slug';
			key := '''slug'', t.slug';
		WHEN 'created_at' THEN
			at := bulkhead_api.seek(request, 'at', '^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d{1,6})?[+-]\d\d(:\d\d)?$');
			id := bulkhead_api.seek(request, 'id', uuid_form);
			behind := CASE WHEN down THEN '(t.created_at, t.id) < ($6, $7)' ELSE '(t.created_at, t.id) > ($6, $7)' END;
			in_order := CASE WHEN down THEN 't.created_at DESC, t.id' ELSE 't.created_at, t.id' END;
			key := '''at'', t.created_at::text, ''id'', t.id';
		WHEN 'position' THEN
			place := bulkhead_api.seek(request, 'place', '^-?\d{1,30}(\.\d{1,200})?$');
			id := bulkhead_api.seek(request, 'id', uuid_form);
			behind := '(t.position, t.id) > ($8, $7)';
			in_order := 't.parent_id, t.position, t.id';
			key := '''place'', t.position::text, ''id'', t.id';
		WHEN 'path' THEN
			path := bulkhead_control.path_of(bulkhead_api.seek(request, 'path', '^[0-9a-f]{32}(\.[0-9a-f]{32}){0,19}$'));
			behind := 'bulkhead_control.path_is_behind(t.path, $9)';
			in_order := 't.path';
			key := '''path'', t.path::text';
	END CASE;
	which := concat_ws(' AND ', which,
		CASE WHEN query ? 'status' THEN 't.status = $2' END,
		CASE WHEN query ? 'strategy' THEN 't.strategy = $3' END,
		CASE WHEN query ? 'cluster' THEN 't.cluster = $4' END,
		-- ~ stands behind all that a slug may have.
		CASE WHEN query ? 'q' THEN 't.slug >= $10 AND t.slug < $10 || ''~''' END,
		CASE WHEN seeks THEN behind END);
	EXECUTE format(
		'SELECT array_agg(bulkhead_api.tenant_json(t)), array_agg(jsonb_build_object(%s)) FROM ('
		'SELECT t.* FROM bulkhead_control.tenant t WHERE %s ORDER BY %s %s LIMIT $11) t',
		key, coalesce(nullif(which, ''), 'true'), in_order, CASE WHEN down THEN 'DESC' ELSE 'ASC' END)
	INTO items, keys
	USING top, query ->> 'status', query ->> 'strategy', query ->> 'cluster', word, at, id, place, path, query ->> 'q',
		size + 1;
	RETURN bulkhead_api.page(items, keys, size);
END
$$;

-- All below a tenant, itself too.
CREATE FUNCTION bulkhead_api.subtree_condition() RETURNS text
LANGUAGE sql IMMUTABLE
RETURN 'bulkhead_control.path_is_within(t.path, $1)';

-- The same for who reads in the order of paths, where they stand together.
CREATE FUNCTION bulkhead_api.subtree_range() RETURNS text
LANGUAGE sql IMMUTABLE
RETURN 'NOT bulkhead_control.path_is_before(t.path, $1) AND bulkhead_control.path_is_before(t.path, bulkhead_control.path_end($1))';

CREATE FUNCTION bulkhead_api.tenant_list(request jsonb) RETURNS bulkhead_api.answer
LANGUAGE plpgsql STABLE SET search_path = bulkhead_control, pg_catalog, pg_temp
AS $$
DECLARE
	query jsonb := request -> 'query';
	sort text := query ->> 'sort';
	is_by_place boolean := sort = 'position';
	parent bulkhead_control.tenant;
	home bulkhead_control.tenant.path%TYPE := bulkhead_api.home();
BEGIN
	IF query ? 'parent' AND (query ->> 'roots')::boolean THEN
		PERFORM bulkhead_api.refuse_field(422, 'BH-API-VALUE', 'query.roots', 'a root has no parent');
	ELSIF query ? 'parent' THEN
		parent := bulkhead_api.tenant(query ->> 'parent', 'query.parent');
		RETURN bulkhead_api.tenant_page(request, format('t.parent_id = %L', parent.id), NULL, sort);
	ELSIF (query ->> 'roots')::boolean THEN
		-- The root of what the caller sees is its own tenant.
		RETURN bulkhead_api.tenant_page(request, CASE WHEN home IS NULL THEN 't.parent_id IS NULL'
										ELSE format('t.id = %L', (bulkhead_control.path_ids(home))[
											cardinality(bulkhead_control.path_ids(home))]) END, NULL, sort);
	ELSIF is_by_place THEN
		PERFORM bulkhead_api.refuse_field(422, 'BH-API-VALUE', 'query.sort',
										  'a position is one among siblings: say parent or roots');
	END IF;
	RETURN bulkhead_api.tenant_page(request,
		CASE WHEN home IS NULL THEN NULL
			WHEN sort = 'path' THEN bulkhead_api.subtree_range() ELSE bulkhead_api.subtree_condition() END, home, sort);
END
$$;

CREATE FUNCTION bulkhead_api.tenant_get(request jsonb) RETURNS bulkhead_api.answer
LANGUAGE sql STABLE
BEGIN ATOMIC
	SELECT a.* FROM bulkhead_api.tenant(request #>> '{path,tenant}') t, bulkhead_api.tenant_answer(t.id) a;
END;

CREATE FUNCTION bulkhead_api.tenant_children(request jsonb) RETURNS bulkhead_api.answer
LANGUAGE plpgsql STABLE
AS $$
DECLARE
	parent bulkhead_control.tenant := bulkhead_api.tenant(request #>> '{path,tenant}');
BEGIN
	RETURN bulkhead_api.tenant_page(request, format('t.parent_id = %L', parent.id), NULL, 'position');
END
$$;

-- Down to so many levels, the tenant itself left out.
CREATE FUNCTION bulkhead_api.tenant_descendants(request jsonb) RETURNS bulkhead_api.answer
LANGUAGE plpgsql STABLE
AS $$
DECLARE
	top bulkhead_control.tenant := bulkhead_api.tenant(request #>> '{path,tenant}');
	levels integer := (request #>> '{query,levels}')::integer;
BEGIN
	RETURN bulkhead_api.tenant_page(request, concat_ws(' AND ', bulkhead_api.subtree_range(), format('t.id <> %L', top.id),
		'cardinality(bulkhead_control.path_ids(t.path)) <= ' || cardinality(bulkhead_control.path_ids(top.path)) + levels),
		top.path, 'path');
END
$$;

-- From the root down, the tenant itself left out.
CREATE FUNCTION bulkhead_api.tenant_ancestors(request jsonb) RETURNS bulkhead_api.answer
LANGUAGE plpgsql STABLE
AS $$
DECLARE
	bottom bulkhead_control.tenant := bulkhead_api.tenant(request #>> '{path,tenant}');
	ids uuid[] := trim_array(bulkhead_api.seen_ids(bottom.path), 1);
BEGIN
	RETURN bulkhead_api.tenant_page(request, format('t.id = ANY (%L)', ids), NULL, 'path');
END
$$;

-- ---- making ----

-- A UUID of version 7 (RFC 9562), so that ids sort by age.
CREATE FUNCTION bulkhead_api.draw_id() RETURNS uuid
LANGUAGE sql VOLATILE
RETURN (lpad(to_hex(floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint), 12, '0') || '7'
		|| substr(replace(gen_random_uuid()::text, '-', ''), 14))::uuid;

-- Has something to be made on the cluster first? As job_is_needed (admin/job.h) has it; `cluster` is what the program's
-- own settings say of it, or NULL.
CREATE FUNCTION bulkhead_api.needs_job(cluster jsonb, strategy text, dedicated_login boolean) RETURNS boolean
LANGUAGE sql IMMUTABLE
RETURN coalesce(cluster ->> 'tenant', '') = ''
	AND (strategy <> 'SHARED_RLS' OR dedicated_login OR coalesce(cluster ->> 'guard' = 'login', false));

-- Refused where it is the id, slug or key of another tenant than this already.
CREATE FUNCTION bulkhead_api.not_taken(word text, field text, by uuid DEFAULT NULL) RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
	IF EXISTS (SELECT FROM bulkhead_control.tenant_token k
			   WHERE k.token = bulkhead_control.token_of(word) AND k.tenant_id IS DISTINCT FROM by) THEN
		PERFORM bulkhead_api.refuse_field(409, 'BH-API-EXISTS', field,
										  'another tenant has this as its id, slug or key');
	END IF;
END
$$;

-- Makes a tenant of what a body says; `place` stands before the names of its fields: `body.`
CREATE FUNCTION bulkhead_api.make_tenant(body jsonb, clusters jsonb, place text) RETURNS uuid
LANGUAGE plpgsql
AS $$
DECLARE
	id uuid := coalesce((body ->> 'id')::uuid, bulkhead_api.draw_id());
	parent bulkhead_control.tenant;
	is_provisioned boolean;
	on_cluster text;
	status text := 'active';
BEGIN
	IF body ->> 'parent' IS NULL THEN
		PERFORM bulkhead_api.for_whole_tree(place || 'parent', 'a root is made by API keys of the whole tree');
	ELSE
		parent := bulkhead_api.tenant(body ->> 'parent', place || 'parent');
	END IF;
	on_cluster := coalesce(body ->> 'cluster', parent.cluster, 'default');
	IF body ->> 'id' IS NOT NULL THEN
		PERFORM bulkhead_api.for_whole_tree(place || 'id', 'an id is chosen by API keys of the whole tree');
		PERFORM bulkhead_api.not_taken(body ->> 'id', place || 'id');
	END IF;
	IF body ->> 'external_key' IS NOT NULL THEN
		PERFORM bulkhead_api.for_whole_tree(place || 'external_key', 'a key is given by API keys of the whole tree');
		PERFORM bulkhead_api.not_taken(body ->> 'external_key', place || 'external_key');
	END IF;
	IF on_cluster <> parent.cluster THEN
		PERFORM bulkhead_api.for_whole_tree(place || 'cluster',
			'another cluster than the parent''s is chosen by API keys of the whole tree');
	END IF;
	IF (body ->> 'pool_weight')::integer <> 1 THEN
		PERFORM bulkhead_api.for_whole_tree(place || 'pool_weight', 'shares are given by API keys of the whole tree');
	END IF;
	IF NOT coalesce((body ->> 'provision')::boolean, true) THEN
		PERFORM bulkhead_api.for_whole_tree(place || 'provision',
			'what a tenant has of its own is brought along by API keys of the whole tree');
	END IF;
	PERFORM bulkhead_api.not_taken(body ->> 'slug', place || 'slug');
	IF NOT EXISTS (SELECT FROM bulkhead_control.cluster c WHERE c.name = on_cluster) THEN
		PERFORM bulkhead_api.refuse_field(422, 'BH-API-VALUE', place || 'cluster',
										  format('there is no cluster "%s"', on_cluster));
	END IF;
	IF coalesce((body ->> 'provision')::boolean, true)
	   AND bulkhead_api.needs_job(clusters -> on_cluster, coalesce(body ->> 'strategy', 'SHARED_RLS'),
								  coalesce((body ->> 'dedicated_login')::boolean, false)) THEN
		status := 'provisioning';
	ELSIF parent.status <> 'active' THEN
		PERFORM bulkhead_api.refuse_field(409, 'BH-API-STATUS', place || 'parent',
			format('tenant %s is %s: none below it is active', parent.slug, parent.status));
	END IF;
	INSERT INTO bulkhead_control.tenant (id, parent_id, slug, external_key, name, strategy, cluster, region, status,
										 dedicated_login, pool_weight)
	VALUES (id, parent.id, body ->> 'slug', body ->> 'external_key', coalesce(body ->> 'name', body ->> 'slug'),
			coalesce(body ->> 'strategy', 'SHARED_RLS'), on_cluster, body ->> 'region', status,
			coalesce((body ->> 'dedicated_login')::boolean, false), coalesce((body ->> 'pool_weight')::smallint, 1::smallint));
	RETURN id;
END
$$;

CREATE FUNCTION bulkhead_api.tenant_create(request jsonb) RETURNS bulkhead_api.answer
LANGUAGE plpgsql SET search_path = bulkhead_control, pg_catalog, pg_temp
AS $$
DECLARE
	made uuid;
	given bulkhead_api.answer;
BEGIN
	PERFORM bulkhead_control.take_turn(to_add => true);
	made := bulkhead_api.make_tenant(request -> 'body', request #> '{more,clusters}', 'body.');
	given := bulkhead_api.tenant_answer(made);
	RETURN bulkhead_api.created('/v1/tenants/' || made, given.body, given.etag);
END
$$;

-- All or none. What the tables refuse themselves is told with the tenant's place in the list, as column name: there is
-- no other room in an error for it. See admin/api/refusals.c.
CREATE FUNCTION bulkhead_api.tenant_create_batch(request jsonb) RETURNS bulkhead_api.answer
LANGUAGE plpgsql SET search_path = bulkhead_control, pg_catalog, pg_temp
AS $$
DECLARE
	list jsonb := request #> '{body,tenants}';
	made uuid[] := '{}';
	place text;
	code text;
	why text;
	of_constraint text;
BEGIN
	PERFORM bulkhead_control.take_turn(to_add => true);
	BEGIN
		FOR n IN 0..jsonb_array_length(list) - 1 LOOP
			place := format('body.tenants[%s].', n);
			made := made || bulkhead_api.make_tenant(list -> n, request #> '{more,clusters}', place);
		END LOOP;
	EXCEPTION WHEN integrity_constraint_violation THEN
		GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, why = MESSAGE_TEXT, of_constraint = CONSTRAINT_NAME;
		RAISE EXCEPTION USING ERRCODE = code, MESSAGE = why, SCHEMA = 'bulkhead_control', TABLE = 'tenant',
			CONSTRAINT = of_constraint, COLUMN = place;
	END;
	RETURN bulkhead_api.created('/v1/tenants', (
		SELECT json_build_object('items', coalesce(json_agg(bulkhead_api.tenant_json(t) ORDER BY m.n), '[]'))
		FROM unnest(made) WITH ORDINALITY AS m (id, n) JOIN bulkhead_control.tenant t ON t.id = m.id));
END
$$;

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
	SELECT * INTO t FROM bulkhead_control.tenant o WHERE o.id = t.id FOR NO KEY UPDATE;
	IF NOT FOUND THEN
		t := bulkhead_api.tenant(request #>> '{path,tenant}');
	END IF;
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
		'value', CASE WHEN k.sensitive OR r.value ? '$enc' THEN NULL ELSE r.value END,
		'source', r.source_id, 'locked', r.locked_by IS NOT NULL)), '{}')
	FROM bulkhead_control.resolve_settings(held_settings.id) r
	LEFT JOIN bulkhead_control.setting_key k ON k.key = r.key;
END;

CREATE FUNCTION bulkhead_api.held_permissions(id uuid) RETURNS jsonb
LANGUAGE sql STABLE
BEGIN ATOMIC
	SELECT jsonb_object_agg(r.key, jsonb_build_object('value', r.value, 'source', r.source_id, 'locked', r.locked_by IS NOT NULL))
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
		json_build_object('tenant', bulkhead_api.tenant_json(t), 'changed', json_build_object('count', changed, 'items', items)),
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
