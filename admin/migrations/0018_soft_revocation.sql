-- Soft revocation works out what all tenants below hold, before and after: for thousands of them, in seconds. Most
-- have nothing of their own, and hold the same as others in the same place.

-- What everyone below a tenant holds. Of a path only these tenants matter for that: its root, those with a grant or
-- something frozen, and those whose strategy is not their parent's, since a default that binds already binds no
-- more when it is met again. Tenants who share those are looked at once.
CREATE FUNCTION permission_held_below(of_top uuid, of_key text) RETURNS TABLE (id uuid, value jsonb)
LANGUAGE sql STABLE
BEGIN ATOMIC
	WITH top AS (
		SELECT t.id, t.path FROM tenant t WHERE t.id = of_top
	), below AS MATERIALIZED (
		SELECT t.id, t.path, t.parent_id, t.strategy FROM tenant t JOIN top ON path_is_within(t.path, top.path)
	), node AS MATERIALIZED (
		SELECT n.id,
			p.id IS NULL OR p.strategy <> n.strategy
			OR EXISTS (SELECT FROM permission_grant g WHERE g.tenant_id = n.id AND g.key = of_key)
			OR EXISTS (SELECT FROM permission_frozen f WHERE f.tenant_id = n.id AND f.key = of_key) AS matters
		FROM (SELECT b.id, b.parent_id, b.strategy FROM below b
			  UNION
			  SELECT t.id, t.parent_id, t.strategy FROM top JOIN tenant t ON t.id = ANY (path_ids(top.path))) n
		LEFT JOIN tenant p ON p.id = n.parent_id
	), way AS MATERIALIZED (
		SELECT b.id, array_agg(n.id ORDER BY s.place) FILTER (WHERE n.matters) AS stations,
			bool_or(n.matters AND n.id = b.id) AS is_station
		FROM below b CROSS JOIN LATERAL unnest(path_ids(b.path)) WITH ORDINALITY AS s (id, place)
		JOIN node n ON n.id = s.id
		WHERE b.id <> of_top
		GROUP BY b.id
	), place AS MATERIALIZED (
		SELECT w.stations, w.is_station, permission_held(
			CASE WHEN w.is_station THEN w.stations ELSE w.stations || (array_agg(w.id))[1] END, of_key) AS value
		FROM way w GROUP BY w.stations, w.is_station
	)
	SELECT w.id, p.value
	FROM way w JOIN place p ON p.stations = w.stations AND p.is_station = w.is_station;
END;

-- Takes a tenant's grant back, as the grant says; without one, what it holds frozen. Returns whose grants went,
-- and what who keeps frozen; nothing when there was none.
CREATE OR REPLACE FUNCTION revoke_permission(of_tenant uuid, of_key text)
RETURNS TABLE (id uuid, slug text, key text, became text, value jsonb, version bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	k bulkhead_control.permission_key%ROWTYPE;
	top bulkhead_control.tenant%ROWTYPE;
	old bulkhead_control.permission_grant%ROWTYPE;
	of_revoked uuid[];
	revoked jsonb[];
	of_below uuid[];
	before jsonb[];
	of_frozen uuid[];
BEGIN
	LOCK TABLE bulkhead_control.tree_lock IN EXCLUSIVE MODE;
	PERFORM bulkhead_control.find_permission(of_tenant, of_key);
	SELECT * INTO k FROM bulkhead_control.permission_key p WHERE p.key = of_key;
	SELECT * INTO top FROM bulkhead_control.tenant t WHERE t.id = of_tenant;
	SELECT * INTO old FROM bulkhead_control.permission_grant g WHERE g.tenant_id = of_tenant AND g.key = of_key;

	IF old.revocation = 'SOFT' THEN
		SELECT array_agg(h.id), array_agg(h.value) INTO of_below, before
		FROM bulkhead_control.permission_held_below(of_tenant, of_key) h;
	END IF;
	WITH gone AS (
		DELETE FROM bulkhead_control.permission_grant g USING bulkhead_control.tenant t
		WHERE g.key = of_key AND g.tenant_id = t.id AND bulkhead_control.path_is_within(t.path, top.path)
		AND (t.id = top.id OR old.revocation = 'CASCADE' AND g.revocation <> 'PERMANENT')
		RETURNING g.tenant_id, g.value
	)
	SELECT array_agg(gone.tenant_id), array_agg(gone.value) INTO of_revoked, revoked FROM gone;
	WITH thawed AS (
		DELETE FROM bulkhead_control.permission_frozen f USING bulkhead_control.tenant t
		WHERE f.key = of_key AND f.tenant_id = t.id AND bulkhead_control.path_is_within(t.path, top.path)
		AND (t.id = top.id OR old.revocation = 'CASCADE')
		RETURNING f.tenant_id, f.value
	)
	SELECT of_revoked || array_agg(thawed.tenant_id), revoked || array_agg(thawed.value) INTO of_revoked, revoked
	FROM thawed WHERE thawed.tenant_id <> ALL (coalesce(of_revoked, '{}'));
	IF of_revoked IS NULL THEN
		RETURN;
	END IF;
	IF old.tenant_id IS NULL THEN
		PERFORM bulkhead_control.tenant_bump(ARRAY[of_tenant]); -- else the grant's going has told
	END IF;
	IF old.revocation = 'SOFT' THEN
		WITH kept AS (
			INSERT INTO bulkhead_control.permission_frozen AS f (tenant_id, key, value, revoked_at)
			SELECT b.id, of_key, b.held, of_tenant
			FROM unnest(of_below, before) AS b (id, held)
			JOIN bulkhead_control.permission_held_below(of_tenant, of_key) AS now ON now.id = b.id
			WHERE NOT bulkhead_control.permission_covers(k.kind, k.elements, now.value, b.held)
			ON CONFLICT (tenant_id, key) DO UPDATE SET value = EXCLUDED.value, revoked_at = EXCLUDED.revoked_at
			RETURNING f.tenant_id
		)
		SELECT array_agg(kept.tenant_id) INTO of_frozen FROM kept;
	END IF;

	RETURN QUERY
	SELECT t.id, t.slug, of_key, c.became, c.value, t.version
	FROM (SELECT r.id, 'revoked', r.value FROM unnest(of_revoked, revoked) AS r (id, value)
		  UNION ALL
		  SELECT f.tenant_id, 'frozen', f.value FROM bulkhead_control.permission_frozen f
		  WHERE f.tenant_id = ANY (of_frozen) AND f.key = of_key) AS c (id, became, value)
	JOIN bulkhead_control.tenant t ON t.id = c.id
	ORDER BY t.path, c.became DESC;
END
$$;
