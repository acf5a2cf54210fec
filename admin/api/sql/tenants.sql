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
RETURN 'NOT bulkhead_control.path_is_before(t.path, $1)'
	' AND bulkhead_control.path_is_before(t.path, bulkhead_control.path_end($1))';

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
