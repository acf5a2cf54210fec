-- The audit log over the admin API: 0022_audit.sql has what it is. A caller sees what happened to tenants that were in
-- its part of the tree at that time; what concerns no tenant is for callers of the whole tree.

CREATE FUNCTION bulkhead_api.audit_time(at timestamptz) RETURNS text
LANGUAGE sql STABLE
RETURN (to_json(at AT TIME ZONE 'UTC') #>> '{}') || 'Z';

-- A tenant that is named in a record, as far as the caller may know of it.
CREATE FUNCTION bulkhead_api.audit_known(image jsonb) RETURNS jsonb
LANGUAGE sql STABLE
BEGIN ATOMIC
	SELECT image || coalesce(jsonb_object_agg(n.name, NULL::text), '{}')
	FROM unnest(ARRAY['parent_id', 'suspended_with', 'archived_with', 'home_id']) AS n (name)
	WHERE image ->> n.name IS NOT NULL
	AND NOT EXISTS (SELECT FROM bulkhead_control.tenant t
					WHERE t.id = (image ->> n.name)::uuid AND bulkhead_api.is_mine(t.path));
END;

-- The record as the caller may see it. Of who acted from outside of its part of the tree it learns the name alone.
CREATE FUNCTION bulkhead_api.audit_shown(a bulkhead_control.audit) RETURNS bulkhead_control.audit
LANGUAGE plpgsql STABLE
AS $$
BEGIN
	IF bulkhead_api.home() IS NULL THEN
		RETURN a;
	END IF;
	IF a.subject LIKE 'tenant:%' AND a.kind IN ('created', 'changed', 'deleted') THEN
		a.before := bulkhead_api.audit_known(a.before);
		a.after := bulkhead_api.audit_known(a.after);
	END IF;
	IF a.actor_id IS NOT NULL
	   AND NOT EXISTS (SELECT FROM bulkhead_control.api_key k JOIN bulkhead_control.tenant t ON t.id = k.tenant_id
					   WHERE k.id = a.actor_id AND bulkhead_api.is_mine(t.path)) THEN
		a.actor_id := NULL;
		a.address := NULL;
	END IF;
	IF a.subject LIKE 'principal:%' THEN
		a.before := bulkhead_api.audit_known(a.before);
		a.after := bulkhead_api.audit_known(a.after);
	END IF;
	-- As jobs.sql has it: what a server said is for those who see all.
	IF a.subject LIKE 'job:%' AND (a.before ? 'error' OR a.after ? 'error') THEN
		a.before := a.before - 'error'::text;
		a.after := a.after - 'error'::text;
	END IF;
	IF a.subject LIKE 'api-key:%' AND (a.before ? 'created_by' OR a.after ? 'created_by') THEN
		a.before := a.before - 'created_by'::text;
		a.after := a.after - 'created_by'::text;
	END IF;
	RETURN a;
END
$$;

CREATE FUNCTION bulkhead_api.audit_record(a bulkhead_control.audit) RETURNS json
LANGUAGE sql STABLE
RETURN json_build_object(
	'id', a.id, 'at', bulkhead_api.audit_time(a.at), 'kind', a.kind, 'action', a.action, 'actor', a.actor,
	'actor_id', a.actor_id, 'login', a.login, 'address', a.address, 'request_id', a.request_id, 'tenant_id', a.tenant_id,
	'tenant_slug', a.tenant_slug, 'subject', a.subject, 'before', a.before, 'after', a.after,
	'hash', encode(a.hash, 'hex'));

-- Records that a query asks for: behind the place query.cursor.id, or from the end. The time of a record is never
-- before that of the record in front, so that times are places. Each condition that is there is written out, which
-- leaves the planner nothing to guess.
CREATE FUNCTION bulkhead_api.audit_rows(query jsonb, newest_first boolean, most integer) RETURNS SETOF bulkhead_control.audit
LANGUAGE plpgsql STABLE
AS $$
DECLARE
	home uuid := bulkhead_api.home_id();
	of_tenant uuid := query ->> 'tenant_id';
	conditions text := 'true';
BEGIN
	IF query ? 'tenant' THEN
		of_tenant := (bulkhead_api.tenant(query ->> 'tenant', 'query.tenant')).id;
	END IF;
	IF home IS NOT NULL THEN
		conditions := conditions || ' AND a.scope @> ARRAY[$1]';
	END IF;
	IF of_tenant IS NOT NULL THEN
		conditions := conditions || CASE WHEN (query ->> 'subtree')::boolean THEN ' AND a.scope @> ARRAY[$2]'
										 ELSE ' AND a.tenant_id = $2' END;
	END IF;
	IF query ? 'cursor' THEN
		conditions := conditions || CASE WHEN newest_first THEN ' AND a.id < ' ELSE ' AND a.id > ' END
			|| (query #>> '{cursor,id}')::bigint;
	END IF;
	IF query ? 'from' THEN
		conditions := conditions || ' AND a.id >= ' || coalesce((
			SELECT min(f.id) FROM bulkhead_control.audit f
			WHERE f.at = (SELECT min(m.at) FROM bulkhead_control.audit m WHERE m.at >= (query ->> 'from')::timestamptz)),
			9223372036854775807);
	END IF;
	IF query ? 'to' THEN
		conditions := conditions || ' AND a.id <= ' || coalesce((
			SELECT max(f.id) FROM bulkhead_control.audit f
			WHERE f.at = (SELECT max(m.at) FROM bulkhead_control.audit m WHERE m.at < (query ->> 'to')::timestamptz)), 0);
	END IF;
	conditions := conditions
		|| CASE WHEN query ? 'actor' THEN ' AND a.actor = $3' ELSE '' END
		|| CASE WHEN query ? 'action' THEN ' AND starts_with(a.action, $4)' ELSE '' END
		|| CASE WHEN query ? 'kind' THEN ' AND a.kind = $5' ELSE '' END;
	RETURN QUERY EXECUTE
		'SELECT a.* FROM bulkhead_control.audit a WHERE ' || conditions || ' ORDER BY a.id '
		|| CASE WHEN newest_first THEN 'DESC' ELSE 'ASC' END || ' LIMIT ' || most
		USING home, of_tenant, query ->> 'actor', query ->> 'action', query ->> 'kind';
END
$$;

-- Who reads the log is in the log: once in ten minutes for the same caller and the same question, whatever page of
-- the answer it is.
CREATE FUNCTION bulkhead_api.audit_note_read(query jsonb) RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
	asked jsonb := query - '{cursor,limit}'::text[];
	about uuid := (query ->> 'tenant_id')::uuid;
BEGIN
	IF query ? 'tenant' THEN
		about := (bulkhead_api.tenant(query ->> 'tenant', 'query.tenant')).id;
	END IF;
	-- Nobody writes into the log of a tenant by asking for what it may not see.
	IF bulkhead_api.home() IS NOT NULL THEN
		about := coalesce(bulkhead_api.seen_id(about), bulkhead_api.home_id());
	END IF;
	IF NOT EXISTS (SELECT FROM bulkhead_control.audit a
				   WHERE a.id > (SELECT h.id FROM bulkhead_control.audit_head h) - 1000
				   AND a.at > clock_timestamp() - interval '10 minutes'
				   AND a.action = 'audit.read' AND a.actor_id = current_setting('bulkhead.actor_id', true)
				   AND a.after = asked) THEN
		PERFORM bulkhead_control.audit_note('audit.read', about, 'audit', asked);
	END IF;
END
$$;

CREATE FUNCTION bulkhead_api.audit_list(request jsonb) RETURNS bulkhead_api.answer
LANGUAGE plpgsql
AS $$
DECLARE
	size integer := (request #>> '{query,limit}')::integer;
	items json[];
	keys jsonb[];
BEGIN
	PERFORM bulkhead_api.audit_note_read(request -> 'query');
	SELECT array_agg(bulkhead_api.audit_record(a) ORDER BY a.id DESC), array_agg(jsonb_build_object('id', a.id) ORDER BY a.id DESC)
	INTO items, keys
	FROM bulkhead_api.audit_rows(request -> 'query', true, size + 1) r, bulkhead_api.audit_shown(r) a;
	RETURN bulkhead_api.page(items, keys, size);
END
$$;

CREATE FUNCTION bulkhead_api.audit_get(request jsonb) RETURNS bulkhead_api.answer
LANGUAGE plpgsql
AS $$
DECLARE
	a bulkhead_control.audit;
BEGIN
	SELECT * INTO a FROM bulkhead_control.audit r WHERE r.id = (request #>> '{path,id}')::bigint
	AND (bulkhead_api.home() IS NULL OR r.scope @> ARRAY[bulkhead_api.home_id()]);
	IF NOT FOUND THEN
		PERFORM bulkhead_api.refuse_field(404, 'BH-API-NOT-FOUND', 'path.id', 'there is no such record');
	END IF;
	PERFORM bulkhead_api.audit_note_read(jsonb_build_object('id', a.id));
	RETURN bulkhead_api.ok(bulkhead_api.audit_record(bulkhead_api.audit_shown(a)));
END
$$;

-- A cell of a CSV file. One that a spreadsheet would take for a formula gets an apostrophe in front, as OWASP has it.
CREATE FUNCTION bulkhead_api.csv_cell(value text) RETURNS text
LANGUAGE sql IMMUTABLE
RETURN '"' || replace(CASE WHEN value ~ '^[=+\-@\t\r\n]' THEN '''' || value ELSE coalesce(value, '') END, '"', '""') || '"';

CREATE FUNCTION bulkhead_api.audit_line(a bulkhead_control.audit, format text) RETURNS text
LANGUAGE sql STABLE
RETURN CASE format
	WHEN 'csv' THEN a.id || ',' || (
		SELECT string_agg(bulkhead_api.csv_cell(c.cell), ',' ORDER BY c.place)
		FROM unnest(ARRAY[bulkhead_api.audit_time(a.at), a.kind, a.action, a.actor, a.actor_id, a.login, a.address,
						  a.request_id, a.tenant_id::text, a.tenant_slug, a.subject, a.before::text, a.after::text,
						  encode(a.hash, 'hex')]) WITH ORDINALITY AS c (cell, place)) || E'\r\n'
	ELSE bulkhead_api.audit_record(a)::text || E'\n'
END;

CREATE FUNCTION bulkhead_api.audit_csv_head() RETURNS text
LANGUAGE sql IMMUTABLE
RETURN 'id,at,kind,action,actor,actor_id,login,address,request_id,tenant_id,tenant_slug,subject,before,after,hash'
	|| E'\r\n';

-- A part of the log from the oldest on, as a text in lines: up to `limit` records, and a megabyte or one record. `next`
-- is the cursor of the following part, NULL where there is no more.
CREATE FUNCTION bulkhead_api.audit_export(request jsonb) RETURNS bulkhead_api.answer
LANGUAGE plpgsql
AS $$
DECLARE
	query jsonb := request -> 'query';
	size integer := (query ->> 'limit')::integer;
	format text := coalesce(query ->> 'format', 'ndjson');
	a bulkhead_control.audit;
	text text := '';
	last bigint;
	taken integer := 0;
	is_more boolean := false;
BEGIN
	PERFORM bulkhead_api.audit_note_read(query);
	IF format = 'csv' AND NOT query ? 'cursor' THEN
		text := bulkhead_api.audit_csv_head();
	END IF;
	FOR a IN SELECT * FROM bulkhead_api.audit_rows(query, false, size + 1) LOOP
		is_more := taken = size OR length(text) > 1048576;
		EXIT WHEN is_more;
		text := text || bulkhead_api.audit_line(bulkhead_api.audit_shown(a), format);
		last := a.id;
		taken := taken + 1;
	END LOOP;
	RETURN bulkhead_api.ok(json_build_object('text', text, 'next', CASE WHEN is_more THEN
		translate(encode(convert_to(jsonb_build_object('id', last)::text, 'UTF8'), 'base64'), E'+/=\n', '-_') END));
END
$$;

CREATE FUNCTION bulkhead_api.audit_head(request jsonb) RETURNS bulkhead_api.answer
LANGUAGE sql
BEGIN ATOMIC
	SELECT bulkhead_api.ok(json_build_object(
		'id', h.id, 'hash', encode(h.hash, 'hex'), 'head', h.id || ':' || encode(h.hash, 'hex'),
		'at', CASE WHEN h.id > 0 THEN bulkhead_api.audit_time(h.at) END,
		'first_id', (SELECT min(a.id) FROM bulkhead_control.audit a),
		'removed', (SELECT coalesce(max(c.id), 0) FROM bulkhead_control.audit_checkpoint c)))
	FROM bulkhead_control.audit_head h;
END;

-- The first of these places that does not fit, and why. `behind` is a place that is taken for true.
CREATE FUNCTION bulkhead_api.audit_fault(behind bigint, up_to bigint, OUT id bigint, OUT why text)
LANGUAGE sql STABLE
BEGIN ATOMIC
	WITH place AS (
		SELECT a AS record, a.id, a.prev_hash, a.hash, lag(a.id) OVER w AS before_id, lag(a.hash) OVER w AS before_hash
		FROM bulkhead_control.audit a
		WHERE a.id BETWEEN behind AND up_to
		WINDOW w AS (ORDER BY a.id)
	), start AS (
		SELECT c.hash FROM (
			SELECT a.id, a.hash FROM bulkhead_control.audit a WHERE a.id = behind
			UNION ALL
			SELECT c.id, c.hash FROM bulkhead_control.audit_checkpoint c WHERE c.id = behind
			UNION ALL
			SELECT 0, decode(repeat('00', 32), 'hex') WHERE behind = 0) c
		LIMIT 1
	)
	SELECT f.id, f.why FROM (
		SELECT coalesce(p.before_id, behind) + 1 AS id, 'there is no record at this place' AS why
		FROM place p WHERE p.id > behind AND p.id <> coalesce(p.before_id, behind) + 1
		UNION ALL
		SELECT p.id, 'its text is not the one that it was written with'
		FROM place p WHERE p.id > behind AND bulkhead_control.audit_hash(p.record) <> p.hash
		UNION ALL
		SELECT p.id, 'it does not follow the record before it, as that is now'
		FROM place p
		WHERE p.id > behind AND p.prev_hash IS DISTINCT FROM coalesce(p.before_hash, (SELECT s.hash FROM start s))
		UNION ALL
		SELECT coalesce((SELECT max(p.id) FROM place p), behind) + 1, 'there is no record at this place'
		WHERE coalesce((SELECT max(p.id) FROM place p), behind) < up_to
	) f ORDER BY f.id LIMIT 1;
END;

-- Looks at up to `limit` records behind the cursor, or from query.from on. Whoever does not trust the database has
-- `bulkhead audit verify`, which computes by itself.
CREATE FUNCTION bulkhead_api.audit_verify(request jsonb) RETURNS bulkhead_api.answer
LANGUAGE plpgsql
AS $$
DECLARE
	query jsonb := request -> 'query';
	size bigint := (query ->> 'limit')::bigint;
	head bulkhead_control.audit_head;
	removed bulkhead_control.audit_checkpoint;
	after bigint;
	up_to bigint;
	fault record;
BEGIN
	SELECT * INTO head FROM bulkhead_control.audit_head;
	SELECT * INTO removed FROM bulkhead_control.audit_checkpoint c ORDER BY c.id DESC LIMIT 1;
	after := greatest(coalesce((query #>> '{cursor,id}')::bigint, (query ->> 'from')::bigint - 1, 0),
					  coalesce(removed.id, 0));
	up_to := least(after + size, head.id);
	SELECT * INTO fault FROM bulkhead_api.audit_fault(after, up_to);
	IF fault.id IS NULL AND up_to = head.id AND head.id > coalesce(removed.id, 0)
	   AND NOT EXISTS (SELECT FROM bulkhead_control.audit a WHERE a.id = head.id AND a.hash = head.hash) THEN
		SELECT head.id, 'it is not the one that was written last' AS why INTO fault;
	END IF;
	RETURN bulkhead_api.ok(json_build_object(
		'fits', fault.id IS NULL, 'from', after + 1, 'to', up_to,
		'fault', CASE WHEN fault.id IS NOT NULL THEN json_build_object('id', fault.id, 'detail', fault.why) END,
		'head', head.id || ':' || encode(head.hash, 'hex'),
		'next', CASE WHEN fault.id IS NULL AND up_to < head.id THEN
			translate(encode(convert_to(jsonb_build_object('id', up_to)::text, 'UTF8'), 'base64'), E'+/=\n', '-_') END));
END
$$;

-- ---- holds ----

CREATE FUNCTION bulkhead_api.audit_hold_body(h bulkhead_control.audit_hold) RETURNS json
LANGUAGE sql STABLE
RETURN json_build_object(
	'id', h.id, 'tenant_id', h.tenant_id, 'tenant_slug', h.tenant_slug, 'reason', h.reason,
	'until', bulkhead_api.audit_time(h.until), 'made_by', h.made_by, 'made_at', bulkhead_api.audit_time(h.made_at),
	'released_by', h.released_by, 'released_at', bulkhead_api.audit_time(h.released_at),
	'holds', h.released_at IS NULL AND coalesce(h.until > clock_timestamp(), true));

CREATE FUNCTION bulkhead_api.audit_hold_create(request jsonb) RETURNS bulkhead_api.answer
LANGUAGE plpgsql
AS $$
DECLARE
	of_tenant uuid := request #>> '{body,tenant_id}';
	h bulkhead_control.audit_hold;
BEGIN
	IF request -> 'body' ? 'tenant' AND request #> '{body,tenant}' <> 'null' THEN
		of_tenant := (bulkhead_api.tenant(request #>> '{body,tenant}', 'body.tenant')).id;
	END IF;
	h := bulkhead_control.make_audit_hold(of_tenant, request #>> '{body,reason}',
										  (request #>> '{body,until}')::timestamptz);
	RETURN bulkhead_api.created('/v1/audit-holds/' || h.id, bulkhead_api.audit_hold_body(h));
END
$$;

CREATE FUNCTION bulkhead_api.audit_hold_list(request jsonb) RETURNS bulkhead_api.answer
LANGUAGE plpgsql
AS $$
DECLARE
	size integer := (request #>> '{query,limit}')::integer;
	items json[];
	keys jsonb[];
BEGIN
	SELECT array_agg(bulkhead_api.audit_hold_body(h) ORDER BY h.id DESC),
		array_agg(jsonb_build_object('id', h.id) ORDER BY h.id DESC)
	INTO items, keys
	FROM (SELECT o.* FROM bulkhead_control.audit_hold o
		  WHERE o.id < coalesce((request #>> '{query,cursor,id}')::bigint, 9223372036854775807)
		  ORDER BY o.id DESC LIMIT size + 1) h;
	RETURN bulkhead_api.page(items, keys, size);
END
$$;

CREATE FUNCTION bulkhead_api.audit_hold_get(request jsonb) RETURNS bulkhead_api.answer
LANGUAGE plpgsql
AS $$
DECLARE
	h bulkhead_control.audit_hold;
BEGIN
	SELECT * INTO h FROM bulkhead_control.audit_hold o WHERE o.id = (request #>> '{path,hold}')::bigint;
	IF NOT FOUND THEN
		PERFORM bulkhead_api.refuse_field(404, 'BH-API-NOT-FOUND', 'path.hold', 'there is no such hold');
	END IF;
	RETURN bulkhead_api.ok(bulkhead_api.audit_hold_body(h));
END
$$;

-- It stays in the list, as released.
CREATE FUNCTION bulkhead_api.audit_hold_release(request jsonb) RETURNS bulkhead_api.answer
LANGUAGE plpgsql
AS $$
BEGIN
	PERFORM bulkhead_control.release_audit_hold((request #>> '{path,hold}')::bigint);
	IF NOT FOUND THEN
		PERFORM bulkhead_api.refuse_field(404, 'BH-API-NOT-FOUND', 'path.hold', 'there is no such hold, or it was released');
	END IF;
	RETURN bulkhead_api.nothing();
END
$$;

-- ---- events ----

-- The log's tail behind a place, for GET /v1/events: up to `limit` records, oldest first, and where the next question
-- goes on. Without a place it is the end. Asked again and again, it finds each time whether the caller may still ask.
CREATE FUNCTION bulkhead_api.events_after(request jsonb) RETURNS bulkhead_api.answer
LANGUAGE plpgsql
AS $$
DECLARE
	query jsonb := request -> 'query';
	size integer := (query ->> 'limit')::integer;
	head bigint;
	after bigint := query ->> 'after';
	items json[];
	ids bigint[];
BEGIN
	IF (query ->> 'begin')::boolean THEN
		PERFORM bulkhead_api.audit_note_read((query - '{after,begin}'::text[]) || '{"events": true}');
	END IF;
	SELECT h.id INTO head FROM bulkhead_control.audit_head h;
	IF after IS NULL OR after > head THEN
		after := head;
	END IF;
	-- A place never becomes visible before those in front of it: what is up to the head is all there.
	SELECT array_agg(bulkhead_api.audit_record(bulkhead_api.audit_shown(a)) ORDER BY a.id), array_agg(a.id ORDER BY a.id)
	INTO items, ids
	FROM bulkhead_api.audit_rows((query - '{after,begin,limit}'::text[])
								 || jsonb_build_object('cursor', jsonb_build_object('id', after)), false, size) a
	WHERE a.id <= head;
	RETURN bulkhead_api.ok(json_build_object(
		'events', coalesce(to_json(items), '[]'::json),
		'after', CASE WHEN cardinality(ids) = size THEN ids[size] ELSE head END));
END
$$;
