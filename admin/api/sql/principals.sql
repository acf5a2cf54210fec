-- Principals over HTTP: who may log in to the data port, and for whom.
--
-- Of a password the verifier is here alone: it is made outside of the database. A principal's home is within the
-- caller's part of the tree. One that reaches all tenants, or that operates the console (`console` of the request,
-- which is of the proxy's settings), is only for those whose key is for everything.

CREATE FUNCTION bulkhead_api.principal_json(p bulkhead_control.principal) RETURNS json
LANGUAGE sql STABLE
BEGIN ATOMIC
	SELECT json_build_object(
		'name', p.name,
		'home_id', p.home_id,
		'home', (SELECT t.slug FROM bulkhead_control.tenant t WHERE t.id = p.home_id),
		'reach', p.reach,
		'state', CASE WHEN p.disabled THEN 'disabled' WHEN p.valid_until <= now() THEN 'expired' ELSE 'active' END,
		'disabled', p.disabled,
		'has_password', p.verifier IS NOT NULL,
		'valid_until', p.valid_until,
		'max_connections', p.max_connections,
		'certificate_names', to_json(p.certificate_names),
		'tenants', to_json(p.tenants),
		'version', p.version,
		'created_at', p.created_at,
		'updated_at', p.updated_at);
END;

CREATE FUNCTION bulkhead_api.principal_answer(p bulkhead_control.principal) RETURNS bulkhead_api.answer
LANGUAGE sql STABLE
BEGIN ATOMIC
	SELECT a.* FROM bulkhead_api.ok(bulkhead_api.principal_json(p), p.version::text) a;
END;

-- A text as a segment of a path (RFC 3986, section 2).
CREATE FUNCTION bulkhead_api.url_part(word text) RETURNS text
LANGUAGE sql IMMUTABLE
RETURN (SELECT string_agg(CASE WHEN chr(b) ~ '[A-Za-z0-9._~-]' THEN chr(b) ELSE '%' || upper(lpad(to_hex(b), 2, '0')) END,
						  '' ORDER BY i)
		FROM generate_series(0, octet_length(word) - 1) i, get_byte(convert_to(word, 'UTF8'), i) b);

-- ---- finding ----

CREATE FUNCTION bulkhead_api.find_principal(request jsonb) RETURNS bulkhead_control.principal
LANGUAGE plpgsql STABLE
AS $$
DECLARE
	p bulkhead_control.principal;
BEGIN
	SELECT o.* INTO p
	FROM bulkhead_control.principal o JOIN bulkhead_control.tenant t ON t.id = o.home_id
	WHERE o.name = request #>> '{path,name}' AND bulkhead_api.is_mine(t.path);
	IF p.name IS NULL THEN
		PERFORM bulkhead_api.refuse_field(404, 'BH-API-NOT-FOUND', 'path.name', 'there is no such principal');
	END IF;
	RETURN p;
END
$$;

-- Refuses one that is above the caller. `field`: what of the request says so.
CREATE FUNCTION bulkhead_api.principal_within_mine(p bulkhead_control.principal, request jsonb, field text) RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
	IF bulkhead_api.home() IS NULL THEN
		RETURN;
	END IF;
	IF p.reach = 'all' THEN
		PERFORM bulkhead_api.refuse_field(403, 'BH-API-BEYOND', coalesce(field, 'body.reach'),
			'a principal that reaches all tenants is for API keys of the whole tree');
	END IF;
	IF (request #>> '{more,console}')::boolean THEN
		PERFORM bulkhead_api.refuse_field(403, 'BH-API-BEYOND', coalesce(field, 'body.name'),
			'a principal of the console is for API keys of the whole tree');
	END IF;
END
$$;

-- For one who changes it: locked, not above the caller, and as If-Match wants it.
CREATE FUNCTION bulkhead_api.take_principal(request jsonb) RETURNS bulkhead_control.principal
LANGUAGE plpgsql
AS $$
DECLARE
	p bulkhead_control.principal;
BEGIN
	-- No tenant moves meanwhile.
	LOCK TABLE bulkhead_control.tree_lock IN ROW SHARE MODE;
	PERFORM FROM bulkhead_control.principal o WHERE o.name = request #>> '{path,name}' FOR NO KEY UPDATE;
	p := bulkhead_api.find_principal(request);
	PERFORM bulkhead_api.principal_within_mine(p, request, 'path.name');
	PERFORM bulkhead_api.match(request, p.version::text);
	RETURN p;
END
$$;

-- ---- what a request says ----

-- Refuses a text that a CHECK would refuse for its bytes: PostgreSQL writes the row that breaks one into its log, and
-- of a verifier or a hash that would be enough to guess by. What a field has in characters is looked at before.
CREATE FUNCTION bulkhead_api.fits_bytes(word text, most integer, field text) RETURNS void
LANGUAGE plpgsql IMMUTABLE
AS $$
BEGIN
	IF octet_length(word) > most THEN
		PERFORM bulkhead_api.refuse_field(422, 'BH-API-VALUE', field, format('it must not have more than %s bytes', most));
	END IF;
END
$$;

CREATE FUNCTION bulkhead_api.principal_with(p bulkhead_control.principal, request jsonb) RETURNS bulkhead_control.principal
LANGUAGE plpgsql STABLE
AS $$
DECLARE
	body jsonb := request -> 'body';
BEGIN
	IF body ? 'home' THEN
		p.home_id := (bulkhead_api.tenant(body ->> 'home', 'body.home')).id;
	END IF;
	p.reach := coalesce(body ->> 'reach', p.reach);
	p.disabled := coalesce((body ->> 'disabled')::boolean, p.disabled);
	IF body ? 'valid_until' THEN
		p.valid_until := (body ->> 'valid_until')::timestamptz;
	END IF;
	IF body ? 'max_connections' THEN
		p.max_connections := (body ->> 'max_connections')::integer;
	END IF;
	IF body ? 'certificate_names' THEN
		PERFORM bulkhead_api.fits_bytes(n.name, 255, 'body.certificate_names')
		FROM jsonb_array_elements_text(nullif(body -> 'certificate_names', 'null')) n (name);
		p.certificate_names := CASE WHEN jsonb_typeof(body -> 'certificate_names') = 'array'
			THEN ARRAY(SELECT jsonb_array_elements_text(body -> 'certificate_names')) END;
	END IF;
	IF body ? 'tenants' THEN
		p.tenants := CASE WHEN jsonb_typeof(body -> 'tenants') = 'array'
			THEN ARRAY(SELECT (bulkhead_api.tenant(w.word, format('body.tenants[%s]', w.n - 1))).id
					   FROM jsonb_array_elements_text(body -> 'tenants') WITH ORDINALITY AS w (word, n)) END;
	END IF;
	RETURN p;
END
$$;

-- ---- handlers ----

CREATE FUNCTION bulkhead_api.principal_create(request jsonb) RETURNS bulkhead_api.answer
LANGUAGE plpgsql SET search_path = bulkhead_control, pg_catalog, pg_temp
AS $$
DECLARE
	p bulkhead_control.principal;
BEGIN
	LOCK TABLE bulkhead_control.tree_lock IN ROW SHARE MODE;
	PERFORM bulkhead_api.fits_bytes(request #>> '{body,name}', 63, 'body.name');
	p.disabled := false;
	p := bulkhead_api.principal_with(p, request);
	PERFORM bulkhead_api.principal_within_mine(p, request, NULL);
	INSERT INTO bulkhead_control.principal
		(name, verifier, home_id, reach, disabled, valid_until, max_connections, certificate_names, tenants)
	VALUES (request #>> '{body,name}', request #>> '{more,verifier}', p.home_id, p.reach, p.disabled, p.valid_until,
			p.max_connections, p.certificate_names, p.tenants)
	RETURNING * INTO p;
	RETURN bulkhead_api.created('/v1/principals/' || bulkhead_api.url_part(p.name), bulkhead_api.principal_json(p),
								p.version::text);
END
$$;

CREATE FUNCTION bulkhead_api.principal_get(request jsonb) RETURNS bulkhead_api.answer
LANGUAGE sql STABLE SET search_path = bulkhead_control, pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT a.* FROM bulkhead_api.principal_answer(bulkhead_api.find_principal(request)) a;
END;

CREATE FUNCTION bulkhead_api.principal_list(request jsonb) RETURNS bulkhead_api.answer
LANGUAGE plpgsql STABLE SET search_path = bulkhead_control, pg_catalog, pg_temp
AS $$
DECLARE
	query jsonb := request -> 'query';
	size integer := (query ->> 'limit')::integer;
	home bulkhead_control.tenant.path%TYPE := bulkhead_api.home();
	only_id uuid;
	items json[];
	keys jsonb[];
BEGIN
	IF query ? 'home' THEN
		SELECT t.path, t.id INTO home, only_id FROM bulkhead_api.tenant(query ->> 'home', 'query.home') t;
		IF (query ->> 'subtree')::boolean THEN
			only_id := NULL;
		END IF;
	END IF;
	SELECT array_agg(bulkhead_api.principal_json(s.p) ORDER BY (s.p).name),
		array_agg(to_jsonb((s.p).name) ORDER BY (s.p).name)
	INTO items, keys
	FROM (SELECT p FROM bulkhead_control.principal p
		  WHERE (NOT query ? 'cursor' OR p.name > query ->> 'cursor')
		  AND (only_id IS NULL OR p.home_id = only_id)
		  AND (home IS NULL OR EXISTS (SELECT FROM bulkhead_control.tenant t
									   WHERE t.id = p.home_id AND bulkhead_control.path_is_within(t.path, home)))
		  AND (NOT query ? 'q' OR starts_with(p.name, query ->> 'q'))
		  AND (NOT query ? 'reach' OR p.reach = query ->> 'reach')
		  ORDER BY p.name LIMIT size + 1) s;
	RETURN bulkhead_api.page(items, keys, size);
END
$$;

CREATE FUNCTION bulkhead_api.principal_update(request jsonb) RETURNS bulkhead_api.answer
LANGUAGE plpgsql SET search_path = bulkhead_control, pg_catalog, pg_temp
AS $$
DECLARE
	p bulkhead_control.principal := bulkhead_api.take_principal(request);
BEGIN
	p := bulkhead_api.principal_with(p, request);
	PERFORM bulkhead_api.principal_within_mine(p, request, NULL);
	UPDATE bulkhead_control.principal o
	SET home_id = p.home_id, reach = p.reach, disabled = p.disabled, valid_until = p.valid_until,
		max_connections = p.max_connections, certificate_names = p.certificate_names, tenants = p.tenants
	WHERE o.name = p.name
	RETURNING * INTO p;
	RETURN bulkhead_api.principal_answer(p);
END
$$;

-- Without a verifier: then there is no password that fits.
CREATE FUNCTION bulkhead_api.principal_set_password(request jsonb) RETURNS bulkhead_api.answer
LANGUAGE plpgsql SET search_path = bulkhead_control, pg_catalog, pg_temp
AS $$
DECLARE
	p bulkhead_control.principal := bulkhead_api.take_principal(request);
BEGIN
	UPDATE bulkhead_control.principal o SET verifier = request #>> '{more,verifier}'
	WHERE o.name = p.name
	RETURNING * INTO p;
	RETURN bulkhead_api.principal_answer(p);
END
$$;

CREATE FUNCTION bulkhead_api.principal_disable(request jsonb) RETURNS bulkhead_api.answer
LANGUAGE plpgsql SET search_path = bulkhead_control, pg_catalog, pg_temp
AS $$
DECLARE
	p bulkhead_control.principal := bulkhead_api.take_principal(request);
BEGIN
	UPDATE bulkhead_control.principal o SET disabled = true WHERE o.name = p.name RETURNING * INTO p;
	RETURN bulkhead_api.principal_answer(p);
END
$$;

CREATE FUNCTION bulkhead_api.principal_enable(request jsonb) RETURNS bulkhead_api.answer
LANGUAGE plpgsql SET search_path = bulkhead_control, pg_catalog, pg_temp
AS $$
DECLARE
	p bulkhead_control.principal := bulkhead_api.take_principal(request);
BEGIN
	UPDATE bulkhead_control.principal o SET disabled = false WHERE o.name = p.name RETURNING * INTO p;
	RETURN bulkhead_api.principal_answer(p);
END
$$;

CREATE FUNCTION bulkhead_api.principal_delete(request jsonb) RETURNS bulkhead_api.answer
LANGUAGE plpgsql SET search_path = bulkhead_control, pg_catalog, pg_temp
AS $$
DECLARE
	p bulkhead_control.principal := bulkhead_api.take_principal(request);
BEGIN
	DELETE FROM bulkhead_control.principal o WHERE o.name = p.name;
	RETURN bulkhead_api.nothing();
END
$$;
