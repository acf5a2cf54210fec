-- The registry of settings, and the keys that sensitive ones are sealed with.

-- ---- registered keys ----

CREATE FUNCTION bulkhead_api.setting_key_json(k bulkhead_control.setting_key) RETURNS json
LANGUAGE sql STABLE
BEGIN ATOMIC
	SELECT json_build_object(
		'key', k.key,
		'type', k.type,
		'minimum', k.minimum,
		'maximum', k.maximum,
		'choices', k.choices,
		'default_value', CASE WHEN NOT k.sensitive THEN k.default_value END,
		'sensitive', k.sensitive,
		'description', k.description,
		'builtin', k.builtin);
END;

-- Of what can change there is the description alone.
CREATE FUNCTION bulkhead_api.setting_key_etag(k bulkhead_control.setting_key) RETURNS text
LANGUAGE sql STABLE
BEGIN ATOMIC
	SELECT left(encode(sha256(convert_to(k.key || ' ' || k.description, 'UTF8')), 'hex'), 16);
END;

CREATE FUNCTION bulkhead_api.find_setting_key(of_key text) RETURNS bulkhead_control.setting_key
LANGUAGE plpgsql
AS $$
DECLARE
	k bulkhead_control.setting_key;
BEGIN
	SELECT * INTO k FROM bulkhead_control.setting_key o WHERE o.key = of_key;
	IF k.key IS NULL THEN
		PERFORM bulkhead_api.refuse_field(404, 'BH-API-NOT-FOUND', 'path.key', format('there is no setting %s', of_key));
	END IF;
	RETURN k;
END
$$;

CREATE FUNCTION bulkhead_api.setting_keys_list(request jsonb) RETURNS bulkhead_api.answer
LANGUAGE plpgsql
AS $$
DECLARE
	size integer := (request #>> '{query,limit}')::integer;
	after text := bulkhead_api.setting_cursor(request, 'key', '^');
	items json[];
	keys jsonb[];
BEGIN
	SELECT array_agg(bulkhead_api.setting_key_json(k) ORDER BY k.key),
		array_agg(jsonb_build_object('key', k.key) ORDER BY k.key)
	INTO items, keys
	FROM (SELECT o.* FROM bulkhead_control.setting_key o
		  WHERE (after IS NULL OR o.key > after) AND starts_with(o.key, coalesce(request #>> '{query,prefix}', ''))
		  ORDER BY o.key LIMIT size + 1) k;
	RETURN bulkhead_api.page(items, keys, size);
END
$$;

CREATE FUNCTION bulkhead_api.setting_key_get(request jsonb) RETURNS bulkhead_api.answer
LANGUAGE plpgsql
AS $$
DECLARE
	k bulkhead_control.setting_key := bulkhead_api.find_setting_key(request #>> '{path,key}');
BEGIN
	RETURN bulkhead_api.ok(bulkhead_api.setting_key_json(k), bulkhead_api.setting_key_etag(k));
END
$$;

CREATE FUNCTION bulkhead_api.setting_key_create(request jsonb) RETURNS bulkhead_api.answer
LANGUAGE plpgsql
AS $$
DECLARE
	body jsonb := request -> 'body';
	k bulkhead_control.setting_key;
BEGIN
	-- Null is no value of any type: a key without a default does not have it.
	INSERT INTO bulkhead_control.setting_key (key, type, minimum, maximum, choices, default_value, sensitive, description)
	VALUES (body ->> 'key', body ->> 'type', (body ->> 'minimum')::numeric, (body ->> 'maximum')::numeric,
			CASE WHEN jsonb_typeof(body -> 'choices') = 'array'
				 THEN ARRAY(SELECT jsonb_array_elements_text(body -> 'choices')) END,
			nullif(body -> 'default_value', 'null'), coalesce((body ->> 'sensitive')::boolean, false),
			body ->> 'description')
	RETURNING * INTO k;
	RETURN bulkhead_api.created('/v1/setting-keys/' || k.key, bulkhead_api.setting_key_json(k),
								bulkhead_api.setting_key_etag(k));
END
$$;

CREATE FUNCTION bulkhead_api.setting_key_patch(request jsonb) RETURNS bulkhead_api.answer
LANGUAGE plpgsql
AS $$
DECLARE
	k bulkhead_control.setting_key;
BEGIN
	PERFORM FROM bulkhead_control.setting_key o WHERE o.key = request #>> '{path,key}' FOR NO KEY UPDATE;
	k := bulkhead_api.find_setting_key(request #>> '{path,key}');
	PERFORM bulkhead_api.match(request, bulkhead_api.setting_key_etag(k));
	UPDATE bulkhead_control.setting_key o SET description = coalesce(request #>> '{body,description}', o.description)
	WHERE o.key = k.key RETURNING * INTO k;
	RETURN bulkhead_api.ok(bulkhead_api.setting_key_json(k), bulkhead_api.setting_key_etag(k));
END
$$;

CREATE FUNCTION bulkhead_api.setting_key_delete(request jsonb) RETURNS bulkhead_api.answer
LANGUAGE plpgsql
AS $$
DECLARE
	k bulkhead_control.setting_key;
	users bigint;
BEGIN
	PERFORM FROM bulkhead_control.setting_key o WHERE o.key = request #>> '{path,key}' FOR UPDATE;
	k := bulkhead_api.find_setting_key(request #>> '{path,key}');
	PERFORM bulkhead_api.match(request, bulkhead_api.setting_key_etag(k));
	SELECT count(*) INTO users FROM bulkhead_control.setting s WHERE s.registered_key = k.key;
	IF users > 0 AND NOT k.builtin THEN -- those stay whoever uses them
		PERFORM bulkhead_api.refuse_field(409, 'BH-API-IN-USE', 'path.key',
			format('%s %s a value of it', users, CASE users WHEN 1 THEN 'tenant has' ELSE 'tenants have' END));
	END IF;
	DELETE FROM bulkhead_control.setting_key o WHERE o.key = k.key;
	RETURN bulkhead_api.nothing();
END
$$;

-- ---- data keys and master keys ----

CREATE FUNCTION bulkhead_api.data_keys_list(request jsonb) RETURNS bulkhead_api.answer
LANGUAGE plpgsql
AS $$
DECLARE
	t bulkhead_control.tenant := bulkhead_api.tenant(request #>> '{path,tenant}');
BEGIN
	RETURN bulkhead_api.ok(json_build_object(
		'items', (SELECT coalesce(json_agg(json_build_object(
					'kid', d.kid,
					'master_kid', d.master_kid,
					'created_at', d.created_at,
					'superseded_at', d.superseded_at,
					'values', (SELECT count(*) FROM bulkhead_control.setting s
							   WHERE s.tenant_id = d.tenant_id AND s.data_kid = d.kid),
					'revisions', (SELECT count(*) FROM bulkhead_control.setting_history h
								  WHERE h.tenant_id = d.tenant_id AND h.data_kid = d.kid))
					ORDER BY d.created_at, d.kid), '[]')
				  FROM bulkhead_control.tenant_data_key d WHERE d.tenant_id = t.id),
		'job', (SELECT j.id FROM bulkhead_control.job j
				WHERE j.tenant_id = t.id AND j.kind = 'rekey' AND j.state IN ('queued', 'running'))));
END
$$;

-- Volatile, so that it sees the job that was queued in the same breath.
CREATE FUNCTION bulkhead_api.key_job_answer(of_job bigint) RETURNS bulkhead_api.answer
LANGUAGE sql
BEGIN ATOMIC
	SELECT a.* FROM bulkhead_control.job j, bulkhead_api.accepted('/v1/jobs/' || j.id, json_build_object(
		'job', j.id, 'kind', j.kind, 'state', j.state)) a
	WHERE j.id = of_job;
END;

CREATE FUNCTION bulkhead_api.data_key_rotate(request jsonb) RETURNS bulkhead_api.answer
LANGUAGE plpgsql
AS $$
DECLARE
	t bulkhead_control.tenant;
	queued bigint;
BEGIN
	PERFORM bulkhead_control.take_turn();
	t := bulkhead_api.tenant(request #>> '{path,tenant}');
	IF t.status IN ('archived', 'purging') THEN
		PERFORM bulkhead_api.refuse(409, 'BH-API-STATUS', format('the tenant is %s', t.status));
	END IF;
	queued := bulkhead_control.queue_rekey(t.id);
	RETURN bulkhead_api.key_job_answer(queued);
END
$$;

-- By which master keys the data keys of all tenants are wrapped.
CREATE FUNCTION bulkhead_api.master_keys_list(request jsonb) RETURNS bulkhead_api.answer
LANGUAGE sql
BEGIN ATOMIC
	SELECT bulkhead_api.ok(json_build_object(
		'items', (SELECT coalesce(json_agg(json_build_object('kid', m.master_kid, 'data_keys', m.count) ORDER BY m.master_kid),
								  '[]')
				  FROM (SELECT d.master_kid, count(*) FROM bulkhead_control.tenant_data_key d GROUP BY d.master_kid) m),
		'job', (SELECT j.id FROM bulkhead_control.job j WHERE j.kind = 'rewrap' AND j.state IN ('queued', 'running'))));
END;

-- `more` says which master key is the first of the file.
CREATE FUNCTION bulkhead_api.master_key_rewrap(request jsonb) RETURNS bulkhead_api.answer
LANGUAGE plpgsql
AS $$
DECLARE
	queued bigint := bulkhead_control.queue_rewrap(request #>> '{more,master_kid}');
BEGIN
	RETURN bulkhead_api.key_job_answer(queued);
END
$$;
