-- What every request of the admin API goes through; see admin/api/route.h for the other half. The schema holds
-- functions only and is made anew at every installation.
--
-- A request is one call of bulkhead_api.call(): who calls is checked here, in the transaction of the change itself,
-- and a handler does not run for one who is refused.

CREATE TYPE bulkhead_api.answer AS (status integer, etag text, location text, body json);

-- ---- refusals ----

-- Ends the request with a problem (RFC 9457). `errors` is [{"field": "body.slug", "detail": "…"}, …].
CREATE FUNCTION bulkhead_api.refuse(status integer, reason text, detail text, errors jsonb DEFAULT NULL) RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
	RAISE EXCEPTION USING ERRCODE = 'BHAPI', MESSAGE = detail,
		DETAIL = jsonb_build_object('status', status, 'reason', reason, 'errors', errors)::text;
END
$$;

CREATE FUNCTION bulkhead_api.refuse_field(status integer, reason text, field text, detail text) RETURNS void
LANGUAGE sql
BEGIN ATOMIC
	SELECT bulkhead_api.refuse(status, reason, detail,
							   jsonb_build_array(jsonb_build_object('field', field, 'detail', detail)));
END;

-- ---- answers ----

CREATE FUNCTION bulkhead_api.ok(body json, etag text DEFAULT NULL) RETURNS bulkhead_api.answer
LANGUAGE sql IMMUTABLE
RETURN ROW(200, etag, NULL, body)::bulkhead_api.answer;

CREATE FUNCTION bulkhead_api.created(location text, body json, etag text DEFAULT NULL) RETURNS bulkhead_api.answer
LANGUAGE sql IMMUTABLE
RETURN ROW(201, etag, location, body)::bulkhead_api.answer;

CREATE FUNCTION bulkhead_api.accepted(location text, body json) RETURNS bulkhead_api.answer
LANGUAGE sql IMMUTABLE
RETURN ROW(202, NULL, location, body)::bulkhead_api.answer;

CREATE FUNCTION bulkhead_api.nothing() RETURNS bulkhead_api.answer
LANGUAGE sql IMMUTABLE
RETURN ROW(204, NULL, NULL, NULL)::bulkhead_api.answer;

-- A page of a list: up to `size` of the items, and a cursor where there are more. `keys` says of each item where
-- to go on behind it. Ask for one item more than `size`.
CREATE FUNCTION bulkhead_api.page(items json[], keys jsonb[], size integer) RETURNS bulkhead_api.answer
LANGUAGE sql IMMUTABLE
RETURN bulkhead_api.ok(json_build_object(
	'items', coalesce(to_json(items[1:size]), '[]'::json),
	'next', CASE WHEN cardinality(items) > size
			THEN translate(encode(convert_to((keys[size])::text, 'UTF8'), 'base64'), E'+/=\n', '-_') END));

-- Back from the cursor's text to the key; NULL where there is none.
CREATE FUNCTION bulkhead_api.read_cursor(cursor text) RETURNS jsonb
LANGUAGE plpgsql STABLE
AS $$
BEGIN
	RETURN convert_from(decode(translate(cursor, '-_', '+/')
							   || repeat('=', (4 - length(cursor) % 4) % 4), 'base64'), 'UTF8')::jsonb;
EXCEPTION WHEN OTHERS THEN
	PERFORM bulkhead_api.refuse_field(400, 'BH-API-CURSOR', 'query.cursor', 'this is no cursor of this list');
END
$$;

-- ---- who calls ----

CREATE FUNCTION bulkhead_api.caller() RETURNS bulkhead_control.api_key
LANGUAGE sql STABLE
BEGIN ATOMIC
	SELECT k.* FROM bulkhead_control.api_key k
	WHERE k.id = current_setting('bulkhead.actor_id', true);
END;

-- The path of the top of the caller's part of the tree; NULL: everything.
CREATE FUNCTION bulkhead_api.home() RETURNS ltree
LANGUAGE sql STABLE
BEGIN ATOMIC
	SELECT text2ltree(nullif(current_setting('bulkhead.home', true), ''));
END;

CREATE FUNCTION bulkhead_api.home_id() RETURNS uuid
LANGUAGE sql STABLE
BEGIN ATOMIC
	SELECT p.ids[cardinality(p.ids)]
	FROM (SELECT bulkhead_control.path_ids(bulkhead_api.home()) AS ids) AS p;
END;

CREATE FUNCTION bulkhead_api.is_mine(path ltree) RETURNS boolean
LANGUAGE sql STABLE
BEGIN ATOMIC
	SELECT bulkhead_api.home() IS NULL OR bulkhead_control.path_is_within(path, bulkhead_api.home());
END;

-- The tenant of this id, slug or key. One outside the caller's part of the tree does not exist for it.
CREATE FUNCTION bulkhead_api.tenant(word text, field text DEFAULT 'path.tenant') RETURNS bulkhead_control.tenant
LANGUAGE plpgsql STABLE
AS $$
DECLARE
	found bulkhead_control.tenant;
BEGIN
	SELECT t.* INTO found
	FROM bulkhead_control.tenant_token k JOIN bulkhead_control.tenant t ON t.id = k.tenant_id
	WHERE k.token = bulkhead_control.token_of(word);
	IF found.id IS NULL OR NOT bulkhead_api.is_mine(found.path) THEN
		PERFORM bulkhead_api.refuse_field(404, 'BH-API-TENANT', field, format('there is no tenant "%s"', word));
	END IF;
	RETURN found;
END
$$;

-- ---- conditions ----

CREATE FUNCTION bulkhead_api.tenant_etag(t bulkhead_control.tenant) RETURNS text
LANGUAGE sql IMMUTABLE
RETURN (t.version - t.policy_changes)::text;

-- If-Match, where the request has one (RFC 9110, section 13.1.1). A weak tag matches nothing.
CREATE FUNCTION bulkhead_api.match(request jsonb, etag text) RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
	IF request ? 'if_match' AND NOT request -> 'if_match' ? '*'
	   AND NOT request -> 'if_match' ? ('"' || etag || '"') THEN
		PERFORM bulkhead_api.refuse_field(412, 'BH-API-CHANGED', 'header.If-Match',
										  'it has changed since: read it again');
	END IF;
END
$$;

-- ---- the way in ----

-- Does the caller have the key's secret, or within its overlap the one before?
CREATE FUNCTION bulkhead_api.shows_key(caller jsonb, k bulkhead_control.api_key) RETURNS boolean
LANGUAGE sql VOLATILE
BEGIN ATOMIC
	SELECT coalesce(caller -> 'hashes' ->> k.hash_kid = encode(k.hash, 'hex')
					OR k.previous_until > clock_timestamp()
					   AND caller -> 'hashes' ->> k.previous_kid = encode(k.previous_hash, 'hex'), false);
END;

CREATE FUNCTION bulkhead_api.key_is_over(k bulkhead_control.api_key) RETURNS boolean
LANGUAGE sql VOLATILE
BEGIN ATOMIC
	SELECT k.revoked_at IS NOT NULL OR coalesce(k.expires_at <= clock_timestamp(), false);
END;

-- Notes that somebody still uses a key that is over, once a minute at most. In a transaction of its own, behind the
-- one that refused: the answer does not say which it was.
CREATE FUNCTION bulkhead_api.note_over(caller jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = bulkhead_control, pg_catalog, pg_temp
AS $$
DECLARE
	k bulkhead_control.api_key;
BEGIN
	SELECT * INTO k FROM bulkhead_control.api_key o
	WHERE o.id = caller ->> 'id' AND o.last_used_at IS DISTINCT FROM date_trunc('minute', clock_timestamp())
	FOR NO KEY UPDATE SKIP LOCKED;
	IF NOT FOUND OR NOT bulkhead_api.shows_key(caller, k) OR NOT bulkhead_api.key_is_over(k) THEN
		RETURN;
	END IF;
	UPDATE bulkhead_control.api_key o SET last_used_at = date_trunc('minute', clock_timestamp()) WHERE o.id = k.id;
	PERFORM set_config('bulkhead.actor', 'api-key:' || k.name, true),
		set_config('bulkhead.actor_id', k.id, true),
		set_config('bulkhead.address', coalesce(caller ->> 'address', ''), true),
		set_config('bulkhead.request_id', coalesce(caller ->> 'request_id', ''), true);
	PERFORM bulkhead_control.audit_note('api_key.refused', k.tenant_id, 'api-key:' || k.id, jsonb_build_object(
		'because', CASE WHEN k.revoked_at IS NOT NULL THEN 'revoked' ELSE 'expired' END,
		'action', caller ->> 'action'));
END
$$;

-- Checks who calls and what the route asks of that: `caller` is
--   {"id", "hashes": {KID: HEX, …}, "rank", "everywhere", "tenants": {FIELD: WORD, …}, "address", "request_id",
--    "action"}.
-- What does not hold is refused in an order that tells a stranger nothing.
CREATE FUNCTION bulkhead_api.enter(caller jsonb) RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
	k bulkhead_control.api_key;
	home bulkhead_control.tenant.path%TYPE;
	field text;
	word text;
BEGIN
	SELECT * INTO k FROM bulkhead_control.api_key o WHERE o.id = caller ->> 'id';
	IF NOT bulkhead_api.shows_key(caller, k) OR bulkhead_api.key_is_over(k) THEN
		-- Whoever has the secret is no stranger: `over` is for the audit log (note_over).
		RAISE EXCEPTION USING ERRCODE = 'BHAPI', MESSAGE = 'there is no such API key, or it is no longer valid',
			DETAIL = jsonb_build_object('status', 401, 'reason', 'BH-API-KEY',
										'over', bulkhead_api.shows_key(caller, k))::text;
	END IF;
	IF k.addresses IS NOT NULL
	   AND NOT coalesce((caller ->> 'address')::inet <<= ANY (k.addresses), false) THEN
		PERFORM bulkhead_api.refuse(403, 'BH-API-ADDRESS', 'this API key may not be used from here');
	END IF;
	IF k.tenant_id IS NOT NULL THEN
		SELECT t.path INTO home FROM bulkhead_control.tenant t WHERE t.id = k.tenant_id;
		IF home IS NULL THEN -- it is gone since the key was read, and so is the key: none of its is everything
			PERFORM bulkhead_api.refuse(401, 'BH-API-KEY', 'there is no such API key, or it is no longer valid');
		END IF;
		IF EXISTS (SELECT FROM bulkhead_control.tenant a WHERE a.id = ANY (bulkhead_control.path_ids(home))
				   AND a.status IN ('suspended', 'archived', 'purging')) THEN
			PERFORM bulkhead_api.refuse(403, 'BH-API-SUSPENDED', 'the tenant of this API key is not active');
		END IF;
	END IF;
	IF k.rank < (caller ->> 'rank')::integer THEN
		PERFORM bulkhead_api.refuse(403, 'BH-API-ROLE', format('the role %s may not do this', k.role));
	END IF;
	IF (caller ->> 'everywhere')::boolean AND k.tenant_id IS NOT NULL THEN
		PERFORM bulkhead_api.refuse(403, 'BH-API-SUBTREE', 'this is for keys of the whole tree');
	END IF;

	PERFORM set_config('bulkhead.actor', 'api-key:' || k.name, true),
		set_config('bulkhead.actor_id', k.id, true),
		set_config('bulkhead.by_previous',
				   (caller -> 'hashes' ->> k.hash_kid IS DISTINCT FROM encode(k.hash, 'hex'))::text, true),
		set_config('bulkhead.home', coalesce(home::text, ''), true),
		set_config('bulkhead.address', coalesce(caller ->> 'address', ''), true),
		set_config('bulkhead.request_id', coalesce(caller ->> 'request_id', ''), true),
		set_config('bulkhead.action', coalesce(caller ->> 'action', ''), true);
	FOR field, word IN SELECT * FROM jsonb_each_text(caller -> 'tenants') LOOP
		PERFORM bulkhead_api.tenant(word, field);
	END LOOP;

	-- Whoever else is at it notes the same minute.
	UPDATE bulkhead_control.api_key o SET last_used_at = date_trunc('minute', clock_timestamp())
	WHERE o.id = (SELECT u.id FROM bulkhead_control.api_key u
				  WHERE u.id = k.id AND u.last_used_at IS DISTINCT FROM date_trunc('minute', clock_timestamp())
				  FOR NO KEY UPDATE SKIP LOCKED);
END
$$;

-- Nothing but the check, for requests that are refused for what they ask or answered outside of the database.
CREATE FUNCTION bulkhead_api.check(request jsonb) RETURNS bulkhead_api.answer
LANGUAGE sql
RETURN bulkhead_api.ok(json_build_object(
	'caller', (SELECT json_build_object('id', c.id, 'name', c.name, 'role', c.role, 'tenant_id', c.tenant_id)
			   FROM bulkhead_api.caller() c),
	'home', bulkhead_api.home()::text));

-- A request: checked, handled, and its answer kept where it has an Idempotency-Key.
CREATE FUNCTION bulkhead_api.call(handler text, caller jsonb, request jsonb,
								  OUT status integer, OUT etag text, OUT location text, OUT body json, OUT replayed boolean)
LANGUAGE plpgsql SET search_path = bulkhead_control, pg_catalog, pg_temp
AS $$
DECLARE
	of_key text := caller ->> 'id';
	repeat_key text := caller ->> 'idempotency_key';
	kept bulkhead_control.idempotency;
	given bulkhead_api.answer;
BEGIN
	replayed := false;
	PERFORM bulkhead_api.enter(caller);
	IF request -> 'query' ? 'cursor' THEN
		request := jsonb_set(request, '{query,cursor}', bulkhead_api.read_cursor(request #>> '{query,cursor}'));
	END IF;

	IF repeat_key IS NOT NULL THEN
		DELETE FROM bulkhead_control.idempotency i
		WHERE i.api_key = of_key AND i.key = repeat_key AND i.created_at < now() - interval '1 day';
		-- Waits for one that is under way.
		INSERT INTO bulkhead_control.idempotency (api_key, key, fingerprint)
		VALUES (of_key, repeat_key, caller ->> 'fingerprint') ON CONFLICT DO NOTHING;
		IF NOT FOUND THEN
			SELECT * INTO kept FROM bulkhead_control.idempotency i WHERE i.api_key = of_key AND i.key = repeat_key;
			IF kept.fingerprint IS DISTINCT FROM caller ->> 'fingerprint' THEN
				PERFORM bulkhead_api.refuse_field(422, 'BH-API-IDEMPOTENCY', 'header.Idempotency-Key',
												  'this key was used for another request');
			END IF;
			status := kept.status;
			etag := kept.etag;
			location := kept.location;
			body := kept.body;
			replayed := true;
			RETURN;
		END IF;
	END IF;

	-- A dry run is the whole, but for its end: what it set stands in variables, which stay.
	BEGIN
		EXECUTE format('SELECT * FROM bulkhead_api.%I($1)', handler) INTO given USING request;
		-- What is checked at the end of a transaction is checked now, while its answer can still be a problem. The
		-- audit log's head is taken last: nobody waits for anything who has it.
		SET CONSTRAINTS bulkhead_control.tenant_parent, bulkhead_control.tenant_parent_active IMMEDIATE;
		SET CONSTRAINTS ALL IMMEDIATE;
		IF given.status IS NULL THEN
			RAISE EXCEPTION 'bulkhead_api.% gave no answer', handler;
		END IF;
		IF (caller ->> 'dry_run')::boolean THEN
			RAISE EXCEPTION USING ERRCODE = 'BHDRY';
		END IF;
	EXCEPTION
		WHEN SQLSTATE 'BHDRY' THEN NULL;
	END;
	status := given.status;
	etag := given.etag;
	location := given.location;
	body := given.body;
	IF repeat_key IS NOT NULL THEN
		UPDATE bulkhead_control.idempotency i
		SET status = given.status, etag = given.etag, location = given.location, body = given.body
		WHERE i.api_key = of_key AND i.key = repeat_key;
	END IF;
END
$$;
