-- Settings over HTTP: values of a tenant, what holds for it, and what was.
--
-- A sealed value never leaves here in plain text, and never comes here in plain text: who asks for it to be revealed,
-- and may, is given the sealed text and the wrapped data key as a member "sealed", which the API's own thread opens
-- and takes out again (admin/api/secrets.c).
--
-- Of what lies above the tenant of an API key only what holds is shown, not whose it is.

-- ---- what a value looks like ----

-- Whether the request is to have plain text; refused where the caller may not.
CREATE FUNCTION bulkhead_api.may_reveal(request jsonb) RETURNS boolean
LANGUAGE plpgsql STABLE
AS $$
DECLARE
	caller bulkhead_control.api_key := bulkhead_api.caller();
BEGIN
	IF NOT coalesce((request #>> '{query,reveal}')::boolean, false) THEN
		RETURN false;
	END IF;
	IF NOT caller.reveal OR caller.rank < 3 THEN
		PERFORM bulkhead_api.refuse_field(403, 'BH-API-REVEAL', 'query.reveal',
										  'this API key may not read sensitive values in plain text');
	END IF;
	RETURN true;
END
$$;

-- The value as it may be seen; NULL of a sealed one.
CREATE FUNCTION bulkhead_api.setting_plain(stored jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE
RETURN CASE WHEN bulkhead_control.setting_data_kid(stored) IS NULL THEN stored END;

-- What it takes to open a sealed value; NULL where it is not to be opened, or belongs to a tenant that is none of the
-- caller's.
CREATE FUNCTION bulkhead_api.setting_sealed(source uuid, of_key text, stored jsonb, reveal boolean) RETURNS json
LANGUAGE sql STABLE
BEGIN ATOMIC
	SELECT json_build_object('tenant_id', d.tenant_id, 'key', of_key, 'kid', d.kid, 'wrapped', d.wrapped,
							 'text', stored ->> '$enc')
	FROM bulkhead_control.tenant_data_key d JOIN bulkhead_control.tenant t ON t.id = d.tenant_id
	WHERE reveal AND d.tenant_id = source AND d.kid = bulkhead_control.setting_data_kid(stored)
	AND bulkhead_api.is_mine(t.path);
END;

-- The tenant, where it is one of the caller's.
CREATE FUNCTION bulkhead_api.setting_seen_id(source uuid) RETURNS uuid
LANGUAGE sql STABLE
BEGIN ATOMIC
	SELECT t.id FROM bulkhead_control.tenant t WHERE t.id = source AND bulkhead_api.is_mine(t.path);
END;

CREATE FUNCTION bulkhead_api.setting_own(s bulkhead_control.setting, holds boolean, reveal boolean) RETURNS json
LANGUAGE sql STABLE
BEGIN ATOMIC
	SELECT json_build_object(
		'key', s.key,
		'value', bulkhead_api.setting_plain(s.value),
		'sensitive', s.data_kid IS NOT NULL,
		'locked', s.locked,
		'masked', NOT holds,
		'revision', s.revision,
		'created_at', s.created_at,
		'updated_at', s.updated_at,
		'sealed', bulkhead_api.setting_sealed(s.tenant_id, s.key, s.value, reveal));
END;

-- What holds for a tenant of one key. `locked` also where it is not said by whom.
CREATE FUNCTION bulkhead_api.setting_resolved(t bulkhead_control.tenant, of_key text, reveal boolean) RETURNS json
LANGUAGE sql STABLE
BEGIN ATOMIC
	SELECT json_build_object(
		'key', of_key,
		'value', CASE WHEN s.source_id IS NOT NULL THEN bulkhead_api.setting_plain(s.value)
					  WHEN NOT k.sensitive THEN k.default_value END,
		'sensitive', coalesce(k.sensitive, false) OR bulkhead_control.setting_data_kid(s.value) IS NOT NULL,
		'is_default', s.source_id IS NULL,
		'inherited', coalesce(s.source_id <> t.id, false),
		'source_tenant_id', bulkhead_api.setting_seen_id(s.source_id),
		'locked', coalesce(s.locked, false),
		'locked_by', CASE WHEN s.locked THEN bulkhead_api.setting_seen_id(s.source_id) END,
		'masked', coalesce(own.key IS NOT NULL AND s.source_id <> t.id, false),
		'own', CASE WHEN own.key IS NOT NULL THEN bulkhead_api.setting_own(own, s.source_id = t.id, reveal) END,
		'sealed', bulkhead_api.setting_sealed(s.source_id, of_key, s.value, reveal))
	FROM (SELECT) AS one
	LEFT JOIN bulkhead_control.setting_key k ON k.key = of_key
	LEFT JOIN LATERAL bulkhead_control.setting_standing(bulkhead_control.path_ids(t.path), of_key) s ON true
	LEFT JOIN bulkhead_control.setting own ON own.tenant_id = t.id AND own.key = of_key;
END;

-- The keys that may have a value for a tenant: the registered ones, and those that have one on the way to it.
CREATE FUNCTION bulkhead_api.setting_names(t bulkhead_control.tenant) RETURNS SETOF text
LANGUAGE sql STABLE
BEGIN ATOMIC
	SELECT r.key FROM bulkhead_control.setting_key r
	UNION
	SELECT a.key FROM bulkhead_control.setting a WHERE a.tenant_id = ANY (bulkhead_control.path_ids(t.path));
END;

-- ---- common ground ----

-- What a cursor of this list says under that name; it has come from outside, and must have that form.
CREATE FUNCTION bulkhead_api.setting_cursor(request jsonb, name text, form text) RETURNS text
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

-- As page() writes it.
CREATE FUNCTION bulkhead_api.setting_write_cursor(key jsonb) RETURNS text
LANGUAGE sql IMMUTABLE
RETURN translate(encode(convert_to(key::text, 'UTF8'), 'base64'), E'+/=\n', '-_');

-- A key that is none is not found.
CREATE FUNCTION bulkhead_api.setting_known(of_key text) RETURNS void
LANGUAGE plpgsql STABLE
AS $$
BEGIN
	IF of_key !~ '^app\.' AND NOT EXISTS (SELECT FROM bulkhead_control.setting_key k WHERE k.key = of_key) THEN
		PERFORM bulkhead_api.refuse_field(404, 'BH-API-NOT-FOUND', 'path.key', format('there is no setting %s', of_key));
	END IF;
END
$$;

-- What one of the constraints' names (bulkhead_control.setting_refusal) means to a caller; `part` is of the key or
-- of its value.
CREATE FUNCTION bulkhead_api.setting_reason(refusal text, OUT status integer, OUT reason text, OUT part text)
LANGUAGE sql IMMUTABLE
BEGIN ATOMIC
	SELECT coalesce(m.status, 422), coalesce(m.reason, 'BH-API-VALUE'), coalesce(m.part, 'value')
	FROM (SELECT) AS one
	LEFT JOIN (VALUES
		('setting_home', 403, 'BH-API-HOME', 'key'),
		('setting_gate', 403, 'BH-API-SUBTREE', 'key'),
		('setting_locked', 409, 'BH-API-LOCKED', 'key'),
		('setting_key_registered', 404, 'BH-API-NOT-FOUND', 'key'),
		('setting_app_key', 422, 'BH-API-VALUE', 'key'),
		('setting_twice', 422, 'BH-API-VALUE', 'key'),
		('setting_sensitive', 422, 'BH-API-VALUE', 'sensitive'),
		('setting_not_sensitive', 422, 'BH-API-VALUE', 'sensitive'),
		('setting_data_key', 409, 'BH-API-DATA-KEY', 'value'),
		('setting_revision', 412, 'BH-API-CHANGED', 'if_revision')
	) AS m (refusal, status, reason, part) ON m.refusal = setting_reason.refusal;
END;

-- What a proxy does for a tenant is decided above it: not by API keys at home there. And the gate, in which permissions
-- act, is for API keys of the whole tree: others may only have it enforced. `to_value` is NULL where a value goes.
CREATE FUNCTION bulkhead_api.setting_decided_above(of_tenant uuid, of_key text, to_value jsonb, OUT refusal text, OUT why text)
LANGUAGE sql STABLE
BEGIN ATOMIC
	SELECT CASE WHEN h.is_home THEN 'setting_home' ELSE 'setting_gate' END,
		CASE WHEN h.is_home THEN format('%s is decided above the tenant, not by an API key of its own', of_key)
			ELSE 'the gate is opened by API keys of the whole tree' END
	FROM (SELECT bulkhead_api.home_id() = of_tenant AS is_home) h
	WHERE bulkhead_api.home() IS NOT NULL AND of_key ~ '^proxy\.'
	AND (h.is_home OR of_key = 'proxy.gate' AND to_value IS DISTINCT FROM '"enforce"');
END;

CREATE FUNCTION bulkhead_api.setting_may_change(of_tenant uuid, of_key text, to_value jsonb) RETURNS void
LANGUAGE plpgsql STABLE
AS $$
DECLARE
	found record;
BEGIN
	SELECT d.why, m.status, m.reason INTO found
	FROM bulkhead_api.setting_decided_above(of_tenant, of_key, to_value) d, bulkhead_api.setting_reason(d.refusal) m
	WHERE d.refusal IS NOT NULL;
	IF found.reason IS NOT NULL THEN
		PERFORM bulkhead_api.refuse_field(found.status, found.reason, 'path.key', found.why);
	END IF;
END
$$;

-- Why a tenant may not have this value, without a word on who is above the caller's part of the tree.
CREATE FUNCTION bulkhead_api.setting_refusal(of_tenant uuid, of_key text, to_value jsonb, OUT refusal text, OUT why text)
LANGUAGE sql STABLE
BEGIN ATOMIC
	SELECT r.refusal, CASE r.refusal WHEN 'setting_locked' THEN format('%s is locked by a tenant above', of_key)
								   ELSE r.why END
	FROM bulkhead_control.setting_refusal(of_tenant, of_key, to_value) r;
END;

CREATE FUNCTION bulkhead_api.setting_allow(of_tenant uuid, of_key text, to_value jsonb) RETURNS void
LANGUAGE plpgsql STABLE
AS $$
DECLARE
	found record;
BEGIN
	SELECT r.refusal, r.why, m.status, m.reason, CASE m.part WHEN 'key' THEN 'path.key' ELSE 'body.' || m.part END AS field
	INTO found
	FROM bulkhead_api.setting_refusal(of_tenant, of_key, to_value) r, bulkhead_api.setting_reason(r.refusal) m;
	IF found.refusal IS NOT NULL THEN
		PERFORM bulkhead_api.refuse_field(found.status, found.reason, found.field, found.why);
	END IF;
END
$$;

-- Whoever changes a value says which one it means.
CREATE FUNCTION bulkhead_api.setting_match(request jsonb, revision bigint) RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
	IF revision IS NULL AND request ? 'if_match' THEN
		PERFORM bulkhead_api.refuse_field(412, 'BH-API-CHANGED', 'header.If-Match', 'there is no such value any more');
	ELSIF revision IS NOT NULL AND NOT request ? 'if_match' THEN
		PERFORM bulkhead_api.refuse_field(428, 'BH-API-CONDITION', 'header.If-Match',
			'the tenant has a value of this key: say with If-Match which one is to be replaced');
	END IF;
	PERFORM bulkhead_api.match(request, revision::text);
END
$$;

-- What is to be stored: as it is, or sealed by the API's thread. `more` is what that made of the value.
CREATE FUNCTION bulkhead_api.setting_made(more jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE
RETURN CASE WHEN more ? 'sealed' THEN jsonb_build_object('$enc', more -> 'sealed') ELSE more -> 'value' END;

-- The data key that it made for the first sealed value of a tenant. A slug may mean another tenant by now than the one
-- that it was made for: then all of it is made anew.
CREATE FUNCTION bulkhead_api.setting_keep_data_key(of_tenant uuid, more jsonb) RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
	IF more ->> 'tenant_id' <> of_tenant::text THEN
		PERFORM bulkhead_api.refuse(409, 'BH-API-DATA-KEY', 'another tenant is called so meanwhile: try again');
	END IF;
	IF more ? 'data_key' THEN
		PERFORM bulkhead_control.add_data_key(of_tenant, more #>> '{data_key,kid}', more #>> '{data_key,wrapped}');
	END IF;
END
$$;

CREATE FUNCTION bulkhead_api.setting_answer(t bulkhead_control.tenant, of_key text) RETURNS bulkhead_api.answer
LANGUAGE sql STABLE
BEGIN ATOMIC
	SELECT a.* FROM bulkhead_api.ok(
		bulkhead_api.setting_resolved(t, of_key, false),
		(SELECT s.revision::text FROM bulkhead_control.setting s WHERE s.tenant_id = t.id AND s.key = of_key)) a;
END;

-- ---- reading ----

CREATE FUNCTION bulkhead_api.settings_own(request jsonb) RETURNS bulkhead_api.answer
LANGUAGE plpgsql
AS $$
DECLARE
	t bulkhead_control.tenant := bulkhead_api.tenant(request #>> '{path,tenant}');
	size integer := (request #>> '{query,limit}')::integer;
	after text := bulkhead_api.setting_cursor(request, 'key', '^');
	reveal boolean := bulkhead_api.may_reveal(request);
	items json[];
	names text[];
	sealed text[];
BEGIN
	SELECT array_agg(bulkhead_api.setting_own(s, h.source_id = t.id, reveal) ORDER BY s.key),
		array_agg(s.key ORDER BY s.key), array_agg(s.key ORDER BY s.key) FILTER (WHERE s.data_kid IS NOT NULL)
	INTO items, names, sealed
	FROM (SELECT o.* FROM bulkhead_control.setting o
		  WHERE o.tenant_id = t.id AND (after IS NULL OR o.key > after)
		  AND starts_with(o.key, coalesce(request #>> '{query,prefix}', ''))
		  ORDER BY o.key LIMIT size + 1) s
	CROSS JOIN LATERAL bulkhead_control.setting_standing(bulkhead_control.path_ids(t.path), s.key) h;
	PERFORM bulkhead_api.setting_revealed(reveal, t.id, sealed);
	RETURN bulkhead_api.page(items, ARRAY(SELECT jsonb_build_object('key', n) FROM unnest(names) n), size);
END
$$;

CREATE FUNCTION bulkhead_api.settings_resolved(request jsonb) RETURNS bulkhead_api.answer
LANGUAGE plpgsql
AS $$
DECLARE
	t bulkhead_control.tenant := bulkhead_api.tenant(request #>> '{path,tenant}');
	size integer := (request #>> '{query,limit}')::integer;
	after text := bulkhead_api.setting_cursor(request, 'key', '^');
	reveal boolean := bulkhead_api.may_reveal(request);
	items json[];
	names text[];
BEGIN
	SELECT array_agg(bulkhead_api.setting_resolved(t, n.key, reveal) ORDER BY n.key), array_agg(n.key ORDER BY n.key)
	INTO items, names
	FROM (SELECT a.key FROM bulkhead_api.setting_names(t) a (key)
		  WHERE (after IS NULL OR a.key > after) AND starts_with(a.key, coalesce(request #>> '{query,prefix}', ''))
		  ORDER BY a.key LIMIT size + 1) n;
	PERFORM bulkhead_api.setting_revealed(reveal, t.id, ARRAY(
		SELECT i ->> 'key' FROM unnest(items) i WHERE (i ->> 'sensitive')::boolean));
	RETURN bulkhead_api.page(items, ARRAY(SELECT jsonb_build_object('key', n) FROM unnest(names) n), size);
END
$$;

CREATE FUNCTION bulkhead_api.setting_get(request jsonb) RETURNS bulkhead_api.answer
LANGUAGE plpgsql
AS $$
DECLARE
	t bulkhead_control.tenant := bulkhead_api.tenant(request #>> '{path,tenant}');
	of_key text := request #>> '{path,key}';
	reveal boolean := bulkhead_api.may_reveal(request);
	given bulkhead_api.answer := bulkhead_api.setting_answer(t, of_key);
BEGIN
	PERFORM bulkhead_api.setting_known(of_key);
	IF of_key ~ '^app\.' AND (given.body ->> 'is_default')::boolean THEN
		PERFORM bulkhead_api.refuse_field(404, 'BH-API-NOT-FOUND', 'path.key',
										  format('%s has no value here or above', of_key));
	END IF;
	IF reveal THEN
		given.body := bulkhead_api.setting_resolved(t, of_key, true);
		PERFORM bulkhead_api.setting_revealed(true, t.id, CASE WHEN (given.body ->> 'sensitive')::boolean
			OR (given.body #>> '{own,sensitive}')::boolean THEN ARRAY[of_key] END);
	END IF;
	RETURN given;
END
$$;

-- Who has seen which sensitive values of a tenant.
CREATE FUNCTION bulkhead_api.setting_revealed(reveal boolean, of_tenant uuid, keys text[]) RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
	IF reveal AND cardinality(keys) > 0 THEN
		PERFORM bulkhead_control.audit_note('setting.reveal', of_tenant,
			CASE cardinality(keys) WHEN 1 THEN keys[1] ELSE cardinality(keys) || ' settings' END,
			jsonb_build_object('keys', keys));
	END IF;
END
$$;

-- The way down from the root to the tenant, and whose value holds on it.
CREATE FUNCTION bulkhead_api.setting_inheritance(request jsonb) RETURNS bulkhead_api.answer
LANGUAGE plpgsql
AS $$
DECLARE
	t bulkhead_control.tenant := bulkhead_api.tenant(request #>> '{path,tenant}');
	of_key text := request #>> '{path,key}';
	items json;
BEGIN
	PERFORM bulkhead_api.setting_known(of_key);
	SELECT json_agg(json_build_object(
			'tenant_id', CASE WHEN bulkhead_api.is_mine(a.path) THEN a.id END,
			'slug', CASE WHEN bulkhead_api.is_mine(a.path) THEN a.slug END,
			'depth', n.place,
			'set', s.key IS NOT NULL,
			'value', CASE WHEN bulkhead_api.is_mine(a.path) OR h.source_id = a.id THEN bulkhead_api.setting_plain(s.value) END,
			'sensitive', s.data_kid IS NOT NULL,
			'locked', coalesce(s.locked, false),
			'holds', coalesce(h.source_id = a.id, false),
			'masked', coalesce(here.source_id <> a.id, false),
			'revision', CASE WHEN bulkhead_api.is_mine(a.path) THEN s.revision END) ORDER BY n.place)
	INTO items
	FROM unnest(bulkhead_control.path_ids(t.path)) WITH ORDINALITY AS n (id, place)
	JOIN bulkhead_control.tenant a ON a.id = n.id
	LEFT JOIN bulkhead_control.setting s ON s.tenant_id = n.id AND s.key = of_key
	LEFT JOIN LATERAL bulkhead_control.setting_standing(bulkhead_control.path_ids(t.path), of_key) h ON true
	-- Whose value holds for the tenant on the way itself.
	LEFT JOIN LATERAL bulkhead_control.setting_standing(bulkhead_control.path_ids(a.path), of_key) here ON s.key IS NOT NULL;
	RETURN bulkhead_api.ok(json_build_object(
		'key', of_key,
		'default_value', (SELECT k.default_value FROM bulkhead_control.setting_key k WHERE k.key = of_key AND NOT k.sensitive),
		'items', items));
END
$$;

-- ---- changing ----

-- What the API's thread has to know before it seals what has come: nothing of the value is needed for that.
CREATE FUNCTION bulkhead_api.settings_before(request jsonb) RETURNS bulkhead_api.answer
LANGUAGE plpgsql
AS $$
DECLARE
	t bulkhead_control.tenant := bulkhead_api.tenant(request #>> '{path,tenant}');
	names text[] := CASE WHEN request #> '{path,key}' IS NOT NULL THEN ARRAY[request #>> '{path,key}']
						 ELSE ARRAY(SELECT i ->> 'key' FROM jsonb_array_elements(request #> '{body,set}') i) END;
BEGIN
	RETURN bulkhead_api.ok(json_build_object(
		'tenant_id', t.id,
		'keys', (
			SELECT coalesce(json_object_agg(n.key, json_build_object(
				'registered', k.key IS NOT NULL,
				'sensitive', coalesce(k.sensitive, false),
				'is_sealed', s.data_kid IS NOT NULL,
				'type', k.type, 'minimum', k.minimum, 'maximum', k.maximum, 'choices', k.choices)), '{}')
			FROM (SELECT DISTINCT u.key FROM unnest(names) u (key)) n
			LEFT JOIN bulkhead_control.setting_key k ON k.key = n.key
			LEFT JOIN bulkhead_control.setting s ON s.tenant_id = t.id AND s.key = n.key),
		'data_key', (
			SELECT json_build_object('kid', d.kid, 'wrapped', d.wrapped) FROM bulkhead_control.tenant_data_key d
			WHERE d.tenant_id = t.id AND d.superseded_at IS NULL ORDER BY d.created_at DESC, d.kid LIMIT 1)));
END
$$;

CREATE FUNCTION bulkhead_api.setting_put(request jsonb) RETURNS bulkhead_api.answer
LANGUAGE plpgsql
AS $$
DECLARE
	t bulkhead_control.tenant;
	of_key text := request #>> '{path,key}';
	value jsonb := bulkhead_api.setting_made(request -> 'more');
BEGIN
	PERFORM bulkhead_control.take_turn();
	t := bulkhead_api.tenant(request #>> '{path,tenant}');
	PERFORM bulkhead_api.setting_may_change(t.id, of_key, value);
	PERFORM bulkhead_api.setting_match(request, (
		SELECT s.revision FROM bulkhead_control.setting s WHERE s.tenant_id = t.id AND s.key = of_key));
	PERFORM bulkhead_api.setting_keep_data_key(t.id, request -> 'more');
	PERFORM bulkhead_api.setting_allow(t.id, of_key, value);
	PERFORM bulkhead_control.set_setting(t.id, of_key, value, (request #>> '{body,locked}')::boolean);
	RETURN bulkhead_api.setting_answer(t, of_key);
END
$$;

-- Locks or unlocks a value without saying it again, which who may not read it could not.
CREATE FUNCTION bulkhead_api.setting_patch(request jsonb) RETURNS bulkhead_api.answer
LANGUAGE plpgsql
AS $$
DECLARE
	t bulkhead_control.tenant;
	old bulkhead_control.setting;
	of_key text := request #>> '{path,key}';
BEGIN
	PERFORM bulkhead_control.take_turn();
	t := bulkhead_api.tenant(request #>> '{path,tenant}');
	SELECT * INTO old FROM bulkhead_control.setting s WHERE s.tenant_id = t.id AND s.key = of_key;
	IF old.key IS NULL THEN
		PERFORM bulkhead_api.refuse_field(404, 'BH-API-NOT-FOUND', 'path.key',
										  format('the tenant has no value of %s of its own', of_key));
	END IF;
	PERFORM bulkhead_api.setting_may_change(t.id, of_key, old.value);
	PERFORM bulkhead_api.setting_match(request, old.revision);
	PERFORM bulkhead_api.setting_allow(t.id, of_key, old.value);
	PERFORM bulkhead_control.set_setting(t.id, of_key, old.value, (request #>> '{body,locked}')::boolean);
	RETURN bulkhead_api.setting_answer(t, of_key);
END
$$;

-- Also below a lock: what it masks may go.
CREATE FUNCTION bulkhead_api.setting_delete(request jsonb) RETURNS bulkhead_api.answer
LANGUAGE plpgsql
AS $$
DECLARE
	t bulkhead_control.tenant;
	of_key text := request #>> '{path,key}';
	old bigint;
BEGIN
	PERFORM bulkhead_control.take_turn();
	t := bulkhead_api.tenant(request #>> '{path,tenant}');
	SELECT s.revision INTO old FROM bulkhead_control.setting s WHERE s.tenant_id = t.id AND s.key = of_key;
	IF old IS NULL THEN
		PERFORM bulkhead_api.refuse_field(404, 'BH-API-NOT-FOUND', 'path.key',
										  format('the tenant has no value of %s of its own', of_key));
	END IF;
	PERFORM bulkhead_api.setting_may_change(t.id, of_key, NULL);
	PERFORM bulkhead_api.setting_match(request, old);
	PERFORM bulkhead_control.unset_setting(t.id, of_key);
	RETURN bulkhead_api.nothing();
END
$$;

-- Of each change that was asked for: what is to be done, or why it cannot be. `more` has for each of body.set what
-- the API's thread made of its value.
CREATE FUNCTION bulkhead_api.settings_planned(of_tenant uuid, body jsonb, more jsonb)
RETURNS TABLE (place bigint, field text, key text, is_set boolean, value jsonb, locked boolean, refusal text, why text)
LANGUAGE sql STABLE
BEGIN ATOMIC
	WITH asked AS (
		SELECT i.place, 'body.set[' || i.place - 1 || ']' AS field, i.item ->> 'key' AS key, true AS is_set,
			bulkhead_api.setting_made(more #> ARRAY['set', (i.place - 1)::text]) AS value,
			(i.item ->> 'locked')::boolean AS locked, i.item -> 'if_revision' AS if_revision,
			more #> ARRAY['set', (i.place - 1)::text, 'refused'] AS refused
		FROM jsonb_array_elements(body -> 'set') WITH ORDINALITY AS i (item, place)
		UNION ALL
		SELECT 10000 + i.place, 'body.delete[' || i.place - 1 || ']', i.item ->> 'key', false, NULL, NULL,
			i.item -> 'if_revision', NULL
		FROM jsonb_array_elements(body -> 'delete') WITH ORDINALITY AS i (item, place)
	)
	SELECT a.place, a.field, a.key, a.is_set, a.value, a.locked,
		CASE WHEN count(*) OVER (PARTITION BY a.key) > 1 THEN 'setting_twice'
			WHEN d.refusal IS NOT NULL THEN d.refusal
			WHEN a.refused IS NOT NULL THEN a.refused ->> 'refusal'
			WHEN a.if_revision::bigint <> coalesce(s.revision, 0) THEN 'setting_revision'
			ELSE r.refusal END,
		CASE WHEN count(*) OVER (PARTITION BY a.key) > 1 THEN a.key || ' stands here twice'
			WHEN d.refusal IS NOT NULL THEN d.why
			WHEN a.refused IS NOT NULL THEN a.refused ->> 'why'
			WHEN a.if_revision::bigint <> coalesce(s.revision, 0) THEN a.key || ' has changed since: read it again'
			ELSE r.why END
	FROM asked a
	LEFT JOIN LATERAL bulkhead_api.setting_decided_above(of_tenant, a.key, a.value) d ON true
	LEFT JOIN bulkhead_control.setting s ON s.tenant_id = of_tenant AND s.key = a.key
	LEFT JOIN LATERAL bulkhead_api.setting_refusal(of_tenant, a.key, a.value) r ON a.is_set AND a.refused IS NULL;
END;

CREATE FUNCTION bulkhead_api.settings_batch(request jsonb) RETURNS bulkhead_api.answer
LANGUAGE plpgsql
AS $$
DECLARE
	t bulkhead_control.tenant;
	more jsonb := coalesce(request -> 'more', '{}');
	planned jsonb;
	errors jsonb;
	items json;
BEGIN
	PERFORM bulkhead_control.take_turn();
	t := bulkhead_api.tenant(request #>> '{path,tenant}');
	PERFORM bulkhead_api.setting_keep_data_key(t.id, more);
	SELECT jsonb_agg(to_jsonb(p) || jsonb_build_object('value', p.value, 'status', m.status, 'reason', m.reason,
													   'at', p.field || '.' || m.part) ORDER BY p.place),
		jsonb_agg(jsonb_build_object('field', p.field || '.' || m.part, 'detail', p.why)
				  ORDER BY p.place) FILTER (WHERE p.refusal IS NOT NULL)
	INTO planned, errors
	FROM bulkhead_api.settings_planned(t.id, request -> 'body', more) p
	LEFT JOIN LATERAL bulkhead_api.setting_reason(p.refusal) m ON p.refusal IS NOT NULL;

	IF jsonb_path_exists(planned, '$[*] ? (@.refusal == "setting_data_key")') THEN
		PERFORM bulkhead_api.refuse(409, 'BH-API-DATA-KEY', 'the data key of the tenant was rotated meanwhile: try again');
	ELSIF errors IS NOT NULL AND request #>> '{body,mode}' = 'atomic' THEN
		PERFORM bulkhead_api.refuse(422, 'BH-API-BATCH', format('%s of %s changes cannot be made, and none was',
			jsonb_array_length(errors), jsonb_array_length(planned)), errors);
	END IF;

	SELECT json_agg(json_build_object(
			'key', p ->> 'key',
			'done', coalesce(d.done, 'refused'),
			'revision', d.revision,
			'reason', p ->> 'reason',
			'field', p ->> 'at',
			'detail', p ->> 'why') ORDER BY (p ->> 'place')::bigint)
	INTO items
	FROM jsonb_array_elements(planned) p
	LEFT JOIN bulkhead_control.set_settings(t.id,
		(SELECT coalesce(jsonb_agg(c) FILTER (WHERE (c ->> 'is_set')::boolean), '[]') FROM jsonb_array_elements(planned) c
		 WHERE c ->> 'refusal' IS NULL),
		ARRAY(SELECT c ->> 'key' FROM jsonb_array_elements(planned) c
			  WHERE c ->> 'refusal' IS NULL AND NOT (c ->> 'is_set')::boolean)) d
	ON p ->> 'refusal' IS NULL AND d.key = p ->> 'key';
	RETURN bulkhead_api.ok(json_build_object('items', coalesce(items, '[]'), 'refused', coalesce(jsonb_array_length(errors), 0)));
END
$$;

-- ---- what was ----

-- One end of a change; NULL where there was no value.
CREATE FUNCTION bulkhead_api.setting_was(h bulkhead_control.setting_history, reveal boolean) RETURNS json
LANGUAGE sql STABLE
BEGIN ATOMIC
	SELECT json_build_object(
		'value', bulkhead_api.setting_plain(h.value),
		'sensitive', h.data_kid IS NOT NULL,
		'locked', h.locked,
		'sealed', bulkhead_api.setting_sealed(h.tenant_id, h.key, h.value, reveal))
	WHERE h.value IS NOT NULL;
END;

CREATE FUNCTION bulkhead_api.setting_history(request jsonb) RETURNS bulkhead_api.answer
LANGUAGE plpgsql
AS $$
DECLARE
	t bulkhead_control.tenant := bulkhead_api.tenant(request #>> '{path,tenant}');
	of_key text := request #>> '{path,key}';
	size integer := (request #>> '{query,limit}')::integer;
	before bigint := bulkhead_api.setting_cursor(request, 'revision', '^[0-9]{1,18}$');
	reveal boolean := bulkhead_api.may_reveal(request);
	items json[];
	keys jsonb[];
BEGIN
	SELECT array_agg(json_build_object(
			'revision', h.revision,
			'action', CASE WHEN h.value IS NULL THEN 'removed' ELSE 'set' END,
			'actor', h.actor,
			'request_id', h.request_id,
			'at', h.at,
			'before', bulkhead_api.setting_was(b, reveal),
			'after', bulkhead_api.setting_was(h, reveal)) ORDER BY h.revision DESC),
		array_agg(jsonb_build_object('revision', h.revision) ORDER BY h.revision DESC)
	INTO items, keys
	FROM (SELECT n.* FROM bulkhead_control.setting_history n
		  WHERE n.tenant_id = t.id AND n.key = of_key AND (before IS NULL OR n.revision < before)
		  ORDER BY n.revision DESC LIMIT size + 1) h
	LEFT JOIN bulkhead_control.setting_history b
		ON b.tenant_id = t.id AND b.key = of_key AND b.revision = h.revision - 1;
	PERFORM bulkhead_api.setting_revealed(reveal, t.id, CASE WHEN EXISTS (
		SELECT FROM bulkhead_control.setting_history n WHERE n.tenant_id = t.id AND n.key = of_key AND n.data_kid IS NOT NULL)
		THEN ARRAY[of_key] END);
	RETURN bulkhead_api.page(items, keys, size);
END
$$;

-- A value becomes what it was, by the rules of now; where there was none it goes.
CREATE FUNCTION bulkhead_api.setting_rollback(request jsonb) RETURNS bulkhead_api.answer
LANGUAGE plpgsql
AS $$
DECLARE
	t bulkhead_control.tenant;
	of_key text := request #>> '{path,key}';
	was bulkhead_control.setting_history;
	why record;
BEGIN
	PERFORM bulkhead_control.take_turn();
	t := bulkhead_api.tenant(request #>> '{path,tenant}');
	SELECT * INTO was FROM bulkhead_control.setting_history h
	WHERE h.tenant_id = t.id AND h.key = of_key AND h.revision = (request #>> '{body,revision}')::bigint;
	IF was.key IS NULL THEN
		PERFORM bulkhead_api.refuse_field(404, 'BH-API-NOT-FOUND', 'body.revision', 'there is no such revision, or not any more');
	END IF;
	PERFORM bulkhead_api.setting_may_change(t.id, of_key, was.value);
	PERFORM bulkhead_api.setting_match(request, (
		SELECT s.revision FROM bulkhead_control.setting s WHERE s.tenant_id = t.id AND s.key = of_key));
	IF was.value IS NULL THEN
		PERFORM bulkhead_control.unset_setting(t.id, of_key);
		RETURN bulkhead_api.setting_answer(t, of_key);
	END IF;
	SELECT r.refusal, r.why INTO why FROM bulkhead_api.setting_refusal(t.id, of_key, was.value) r;
	IF why.refusal = 'setting_data_key' THEN
		PERFORM bulkhead_api.refuse(503, 'BH-API-BUSY', 'what the tenant has sealed is being sealed anew: try again soon');
	END IF;
	PERFORM bulkhead_api.setting_allow(t.id, of_key, was.value);
	PERFORM bulkhead_control.set_setting(t.id, of_key, was.value, was.locked);
	RETURN bulkhead_api.setting_answer(t, of_key);
END
$$;
