-- API keys over HTTP: who may call the API, as what, and for which part of the tree.
--
-- Nobody gives what they do not have themselves: no higher role, no other part of the tree, no `reveal`, no longer
-- validity, no more addresses. Whoever takes over a key's secret, by rotating it, has all that the key has; so that
-- too is for those only who have as much. A key that made others may be revoked or deleted: those stay.

-- Nothing of the secret, and nothing of its hashes.
CREATE FUNCTION bulkhead_api.api_key_json(k bulkhead_control.api_key) RETURNS json
LANGUAGE sql STABLE
BEGIN ATOMIC
	SELECT json_build_object(
		'id', k.id,
		'name', k.name,
		'role', k.role,
		'tenant_id', k.tenant_id,
		'tenant', (SELECT t.slug FROM bulkhead_control.tenant t WHERE t.id = k.tenant_id),
		'reveal', k.reveal,
		'addresses', to_json(k.addresses::text[]),
		'state', CASE WHEN k.revoked_at IS NOT NULL THEN 'revoked' WHEN k.expires_at <= now() THEN 'expired'
				 ELSE 'active' END,
		'expires_at', k.expires_at,
		'revoked_at', k.revoked_at,
		'previous_until', CASE WHEN k.previous_until > now() THEN k.previous_until END,
		'last_used_at', k.last_used_at,
		'created_by', k.created_by,
		'version', k.version,
		'created_at', k.created_at,
		'updated_at', k.updated_at);
END;

CREATE FUNCTION bulkhead_api.api_key_answer(k bulkhead_control.api_key) RETURNS bulkhead_api.answer
LANGUAGE sql STABLE
BEGIN ATOMIC
	SELECT a.* FROM bulkhead_api.ok(bulkhead_api.api_key_json(k), k.version::text) a;
END;

-- ---- how far a key goes ----

-- The first thing in which `other` goes further than `k`, or NULL.
CREATE FUNCTION bulkhead_api.api_key_beyond(k bulkhead_control.api_key, other bulkhead_control.api_key) RETURNS text
LANGUAGE sql STABLE
BEGIN ATOMIC
	SELECT CASE
		WHEN other.rank > k.rank THEN 'role'
		WHEN k.tenant_id IS NOT NULL AND NOT EXISTS (
			SELECT FROM bulkhead_control.tenant above, bulkhead_control.tenant t
			WHERE above.id = k.tenant_id AND t.id = other.tenant_id
			AND bulkhead_control.path_is_within(t.path, above.path)) THEN 'tenant'
		WHEN other.reveal AND NOT k.reveal THEN 'reveal'
		WHEN k.expires_at < coalesce(other.expires_at, 'infinity') THEN 'expires_at'
		WHEN k.addresses IS NOT NULL
			 AND (other.addresses IS NULL
				  OR EXISTS (SELECT FROM unnest(other.addresses) a WHERE NOT EXISTS (
						SELECT FROM unnest(k.addresses) wide WHERE a <<= wide))) THEN 'addresses'
	END;
END;

CREATE FUNCTION bulkhead_api.rank_of(role text) RETURNS integer
LANGUAGE sql IMMUTABLE
RETURN array_position(ARRAY['viewer', 'editor', 'admin', 'operator'], role);

-- Who calls, as it is now and stays until the end: what is given away in its name is still its own then.
CREATE FUNCTION bulkhead_api.lock_caller() RETURNS bulkhead_control.api_key
LANGUAGE plpgsql
AS $$
DECLARE
	me bulkhead_control.api_key;
BEGIN
	SELECT k.* INTO me FROM bulkhead_control.api_key k
	WHERE k.id = current_setting('bulkhead.actor_id', true) FOR SHARE;
	IF me.id IS NULL OR me.revoked_at IS NOT NULL THEN
		PERFORM bulkhead_api.refuse(401, 'BH-API-KEY', 'there is no such API key, or it is no longer valid');
	END IF;
	RETURN me;
END
$$;

-- Refuses a key that goes further than the caller's own. `subject`: where a field of the request is not the reason.
CREATE FUNCTION bulkhead_api.within_mine(k bulkhead_control.api_key, subject text DEFAULT NULL) RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
	what text := bulkhead_api.api_key_beyond(bulkhead_api.lock_caller(), k);
BEGIN
	IF what IS NULL THEN
		RETURN;
	END IF;
	PERFORM bulkhead_api.refuse_field(403, 'BH-API-BEYOND', coalesce(subject, 'body.' || what),
		format('this goes further than your own API key: %s', CASE what
			WHEN 'role' THEN 'the role is higher'
			WHEN 'tenant' THEN 'it is for another part of the tree'
			WHEN 'reveal' THEN 'it may read sensitive settings'
			WHEN 'expires_at' THEN 'it is valid for longer'
			ELSE 'it may be used from more addresses' END));
END
$$;

-- ---- finding ----

-- Of the caller's part of the tree. One of the whole tree is seen by its like alone.
CREATE FUNCTION bulkhead_api.api_key_is_mine(k bulkhead_control.api_key) RETURNS boolean
LANGUAGE sql STABLE
BEGIN ATOMIC
	SELECT bulkhead_api.home() IS NULL
		OR EXISTS (SELECT FROM bulkhead_control.tenant t WHERE t.id = k.tenant_id AND bulkhead_api.is_mine(t.path));
END;

CREATE FUNCTION bulkhead_api.find_api_key(request jsonb) RETURNS bulkhead_control.api_key
LANGUAGE plpgsql STABLE
AS $$
DECLARE
	k bulkhead_control.api_key;
BEGIN
	SELECT o.* INTO k FROM bulkhead_control.api_key o WHERE o.id = request #>> '{path,id}';
	IF k.id IS NULL OR NOT bulkhead_api.api_key_is_mine(k) THEN
		PERFORM bulkhead_api.refuse_field(404, 'BH-API-NOT-FOUND', 'path.id', 'there is no such API key');
	END IF;
	RETURN k;
END
$$;

-- The same for one who changes it: locked, of the caller's rank or below, and as If-Match wants it.
CREATE FUNCTION bulkhead_api.take_api_key(request jsonb) RETURNS bulkhead_control.api_key
LANGUAGE plpgsql
AS $$
DECLARE
	k bulkhead_control.api_key;
	me bulkhead_control.api_key;
BEGIN
	-- No tenant moves meanwhile.
	LOCK TABLE bulkhead_control.tree_lock IN ROW SHARE MODE;
	PERFORM FROM bulkhead_control.api_key o WHERE o.id = request #>> '{path,id}' FOR NO KEY UPDATE;
	k := bulkhead_api.find_api_key(request);
	me := bulkhead_api.lock_caller();
	IF k.rank > me.rank THEN
		PERFORM bulkhead_api.refuse_field(403, 'BH-API-BEYOND', 'path.id', 'the role of this API key is above your own');
	END IF;
	PERFORM bulkhead_api.match(request, k.version::text);
	RETURN k;
END
$$;

-- ---- what a request says ----

-- A network with bits behind its mask is a mistake, and refused as one.
CREATE FUNCTION bulkhead_api.read_addresses(list jsonb) RETURNS cidr[]
LANGUAGE plpgsql IMMUTABLE
AS $$
DECLARE
	networks cidr[] := '{}';
	word text;
BEGIN
	IF jsonb_typeof(list) IS DISTINCT FROM 'array' THEN
		RETURN NULL; -- null: from anywhere
	END IF;
	FOR word IN SELECT a.value FROM jsonb_array_elements_text(list) a LOOP
		BEGIN
			networks := networks || word::cidr;
		EXCEPTION WHEN invalid_text_representation THEN
			PERFORM bulkhead_api.refuse_field(422, 'BH-API-VALUE', format('body.addresses[%s]', cardinality(networks)),
				'this is no IP address and no network as 10.0.0.0/8 or fd00::/8');
		END;
	END LOOP;
	RETURN networks;
END
$$;

-- The key with what the body says of it. `mine`: what is not said of a new one is as with the caller's own.
CREATE FUNCTION bulkhead_api.api_key_with(k bulkhead_control.api_key, body jsonb) RETURNS bulkhead_control.api_key
LANGUAGE plpgsql STABLE
AS $$
BEGIN
	PERFORM bulkhead_api.fits_bytes(body ->> 'name', 255, 'body.name');
	k.name := coalesce(body ->> 'name', k.name);
	k.role := coalesce(body ->> 'role', k.role);
	k.rank := bulkhead_api.rank_of(k.role);
	IF body ? 'tenant' THEN
		k.tenant_id := CASE WHEN body ->> 'tenant' IS NOT NULL
							THEN (bulkhead_api.tenant(body ->> 'tenant', 'body.tenant')).id END;
	END IF;
	k.reveal := coalesce((body ->> 'reveal')::boolean, k.reveal);
	IF body ? 'expires_at' THEN
		k.expires_at := (body ->> 'expires_at')::timestamptz;
		IF k.expires_at <= clock_timestamp() THEN
			PERFORM bulkhead_api.refuse_field(422, 'BH-API-VALUE', 'body.expires_at', 'this is in the past');
		END IF;
	END IF;
	IF body ? 'addresses' THEN
		k.addresses := bulkhead_api.read_addresses(body -> 'addresses');
	END IF;

	IF k.tenant_id IS NULL AND k.role <> 'operator' THEN
		PERFORM bulkhead_api.refuse_field(422, 'BH-API-VALUE', 'body.tenant',
										  'only an operator''s key may be for the whole tree');
	END IF;
	IF k.reveal AND k.rank < bulkhead_api.rank_of('admin') THEN
		PERFORM bulkhead_api.refuse_field(422, 'BH-API-VALUE', 'body.reveal',
										  'only an admin''s or operator''s key may read sensitive settings');
	END IF;
	RETURN k;
END
$$;

-- ---- handlers ----

CREATE FUNCTION bulkhead_api.api_key_create(request jsonb) RETURNS bulkhead_api.answer
LANGUAGE plpgsql SET search_path = bulkhead_control, pg_catalog, pg_temp
AS $$
DECLARE
	me bulkhead_control.api_key;
	k bulkhead_control.api_key;
BEGIN
	LOCK TABLE bulkhead_control.tree_lock IN ROW SHARE MODE;
	me := bulkhead_api.lock_caller();
	-- What is not said is as with the caller's own key, but for `reveal`.
	k := me;
	k.reveal := false;
	k := bulkhead_api.api_key_with(k, request -> 'body');
	PERFORM bulkhead_api.within_mine(k);
	INSERT INTO bulkhead_control.api_key
		(id, name, role, tenant_id, reveal, addresses, hash, hash_kid, expires_at, created_by)
	VALUES (request #>> '{more,id}', k.name, k.role, k.tenant_id, k.reveal, k.addresses,
			decode(request #>> '{more,hash}', 'hex'), request #>> '{more,kid}', k.expires_at, me.id)
	RETURNING * INTO k;
	RETURN bulkhead_api.created('/v1/api-keys/' || k.id, bulkhead_api.api_key_json(k), k.version::text);
END
$$;

CREATE FUNCTION bulkhead_api.api_key_get(request jsonb) RETURNS bulkhead_api.answer
LANGUAGE sql STABLE SET search_path = bulkhead_control, pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT a.* FROM bulkhead_api.api_key_answer(bulkhead_api.find_api_key(request)) a;
END;

CREATE FUNCTION bulkhead_api.api_key_list(request jsonb) RETURNS bulkhead_api.answer
LANGUAGE plpgsql STABLE SET search_path = bulkhead_control, pg_catalog, pg_temp
AS $$
DECLARE
	query jsonb := request -> 'query';
	size integer := (query ->> 'limit')::integer;
	home bulkhead_control.tenant.path%TYPE := bulkhead_api.home();
	items json[];
	keys jsonb[];
BEGIN
	IF query ? 'tenant' THEN
		home := (bulkhead_api.tenant(query ->> 'tenant', 'query.tenant')).path;
	END IF;
	SELECT array_agg(bulkhead_api.api_key_json(p.k) ORDER BY (p.k).id), array_agg(to_jsonb((p.k).id) ORDER BY (p.k).id)
	INTO items, keys
	FROM (SELECT k FROM bulkhead_control.api_key k
		  WHERE (NOT query ? 'cursor' OR k.id > query ->> 'cursor')
		  AND (home IS NULL OR k.tenant_id IN (SELECT t.id FROM bulkhead_control.tenant t
											   WHERE bulkhead_control.path_is_within(t.path, home)))
		  AND (NOT query ? 'role' OR k.role = query ->> 'role')
		  AND (NOT query ? 'state' OR query ->> 'state' = CASE
				WHEN k.revoked_at IS NOT NULL THEN 'revoked' WHEN k.expires_at <= now() THEN 'expired'
				ELSE 'active' END)
		  ORDER BY k.id LIMIT size + 1) p;
	RETURN bulkhead_api.page(items, keys, size);
END
$$;

-- Less than before may be left to a key by whoever manages it; what is more must be the caller's own.
CREATE FUNCTION bulkhead_api.api_key_update(request jsonb) RETURNS bulkhead_api.answer
LANGUAGE plpgsql SET search_path = bulkhead_control, pg_catalog, pg_temp
AS $$
DECLARE
	was bulkhead_control.api_key := bulkhead_api.take_api_key(request);
	k bulkhead_control.api_key := bulkhead_api.api_key_with(was, request -> 'body');
BEGIN
	IF was.revoked_at IS NOT NULL THEN
		PERFORM bulkhead_api.refuse_field(409, 'BH-API-STATE', 'path.id', 'this API key is revoked');
	END IF;
	IF bulkhead_api.api_key_beyond(was, k) IS NOT NULL THEN
		PERFORM bulkhead_api.within_mine(k);
	END IF;
	UPDATE bulkhead_control.api_key o
	SET name = k.name, role = k.role, tenant_id = k.tenant_id, reveal = k.reveal, expires_at = k.expires_at,
		addresses = k.addresses
	WHERE o.id = k.id
	RETURNING * INTO k;
	RETURN bulkhead_api.api_key_answer(k);
END
$$;

-- Another secret for the same key, and nothing else of it: all that restricts it stays. The one before works on for
-- the overlap. While that lasts there is no further overlap, which would cut the first one short; an overlap of 0
-- ends every secret but the new one at once, and is always possible.
CREATE FUNCTION bulkhead_api.rotate_api_key(was bulkhead_control.api_key, request jsonb) RETURNS bulkhead_api.answer
LANGUAGE plpgsql
AS $$
DECLARE
	overlap integer := (request #>> '{body,overlap_seconds}')::integer;
	k bulkhead_control.api_key;
BEGIN
	-- Who has found the secret that is about to end must not come to the new one by it.
	IF was.id = current_setting('bulkhead.actor_id', true) AND current_setting('bulkhead.by_previous', true) = 'true' THEN
		PERFORM bulkhead_api.refuse(403, 'BH-API-STATE', 'this secret was rotated: only the one after it rotates the key');
	END IF;
	IF was.revoked_at IS NOT NULL OR was.expires_at <= clock_timestamp() THEN
		PERFORM bulkhead_api.refuse_field(409, 'BH-API-STATE', 'path.id', 'this API key is revoked or expired');
	END IF;
	IF overlap > 0 AND was.previous_until > clock_timestamp() THEN
		PERFORM bulkhead_api.refuse_field(409, 'BH-API-STATE', 'body.overlap_seconds',
			'the secret before the last rotation still works: wait for its end, or end both by an overlap of 0');
	END IF;
	UPDATE bulkhead_control.api_key o
	SET hash = decode(request #>> '{more,hash}', 'hex'),
		hash_kid = request #>> '{more,kid}',
		previous_hash = CASE WHEN overlap > 0 THEN was.hash END,
		previous_kid = CASE WHEN overlap > 0 THEN was.hash_kid END,
		previous_until = CASE WHEN overlap > 0 THEN clock_timestamp() + make_interval(secs => overlap) END
	WHERE o.id = was.id
	RETURNING * INTO k;
	RETURN bulkhead_api.api_key_answer(k);
END
$$;

CREATE FUNCTION bulkhead_api.api_key_rotate(request jsonb) RETURNS bulkhead_api.answer
LANGUAGE plpgsql SET search_path = bulkhead_control, pg_catalog, pg_temp
AS $$
DECLARE
	k bulkhead_control.api_key := bulkhead_api.take_api_key(request);
BEGIN
	PERFORM bulkhead_api.within_mine(k, 'path.id');
	RETURN bulkhead_api.rotate_api_key(k, request);
END
$$;

CREATE FUNCTION bulkhead_api.api_key_revoke(request jsonb) RETURNS bulkhead_api.answer
LANGUAGE plpgsql SET search_path = bulkhead_control, pg_catalog, pg_temp
AS $$
DECLARE
	k bulkhead_control.api_key := bulkhead_api.take_api_key(request);
BEGIN
	UPDATE bulkhead_control.api_key o SET revoked_at = coalesce(o.revoked_at, clock_timestamp())
	WHERE o.id = k.id
	RETURNING * INTO k;
	RETURN bulkhead_api.api_key_answer(k);
END
$$;

-- What may still be used is revoked first, which is a step of its own in the audit log.
CREATE FUNCTION bulkhead_api.api_key_delete(request jsonb) RETURNS bulkhead_api.answer
LANGUAGE plpgsql SET search_path = bulkhead_control, pg_catalog, pg_temp
AS $$
DECLARE
	k bulkhead_control.api_key := bulkhead_api.take_api_key(request);
BEGIN
	IF k.revoked_at IS NULL AND coalesce(k.expires_at, 'infinity') > clock_timestamp() THEN
		PERFORM bulkhead_api.refuse_field(409, 'BH-API-STATE', 'path.id', 'revoke this API key first');
	END IF;
	DELETE FROM bulkhead_control.api_key o WHERE o.id = k.id;
	RETURN bulkhead_api.nothing();
END
$$;

-- ---- of the caller itself ----

CREATE FUNCTION bulkhead_api.whoami(request jsonb) RETURNS bulkhead_api.answer
LANGUAGE sql STABLE SET search_path = bulkhead_control, pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT a.* FROM bulkhead_api.api_key_answer(bulkhead_api.caller()) a;
END;

-- Each key may have another secret for itself, whatever its role.
CREATE FUNCTION bulkhead_api.whoami_rotate(request jsonb) RETURNS bulkhead_api.answer
LANGUAGE plpgsql SET search_path = bulkhead_control, pg_catalog, pg_temp
AS $$
DECLARE
	k bulkhead_control.api_key;
BEGIN
	SELECT o.* INTO k FROM bulkhead_control.api_key o
	WHERE o.id = current_setting('bulkhead.actor_id', true) FOR NO KEY UPDATE;
	IF k.revoked_at IS NOT NULL THEN
		PERFORM bulkhead_api.refuse(401, 'BH-API-KEY', 'there is no such API key, or it is no longer valid');
	END IF;
	RETURN bulkhead_api.rotate_api_key(k, request);
END
$$;
