-- What the gate of a sidecar needs of a tenant, worked out, as one more column of the look-ups:
--   {"held": ["sql.read", …], "read_only": false, "gate": null, "relations": null, "functions": null,
--    "relations_denied": [], "functions_denied": []}
-- `gate` is null where the sidecar's own configuration says it. A list of relations or functions that is null lets
-- all names pass that are not denied.

-- Made of what is held of each key and of the two settings, or NULL where there is none.
CREATE FUNCTION permissions_answer(held jsonb, read_only jsonb, gate jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE
AS $$
BEGIN
	RETURN jsonb_build_object(
		'held', (SELECT coalesce(jsonb_agg(h.key ORDER BY h.key COLLATE "C"), '[]') FROM jsonb_each(held) h
				 WHERE h.value = 'true'),
		'read_only', coalesce(read_only, 'false'),
		'gate', gate,
		'relations', nullif(held -> 'sql.relations', '["*"]'),
		'functions', nullif(held -> 'sql.functions', '["*"]'),
		'relations_denied', held -> 'sql.relations_denied',
		'functions_denied', held -> 'sql.functions_denied');
END
$$;

-- What is held of each key below the top, without a grant, where these strategies are on the way.
CREATE FUNCTION default_permissions(strategies text[]) RETURNS jsonb
LANGUAGE plpgsql STABLE
AS $$
BEGIN
	RETURN (SELECT jsonb_object_agg(k.key, CASE
				WHEN k.kind = 'bool' THEN (SELECT to_jsonb(bool_and(bulkhead_control.permission_default(k, s)::boolean))
										   FROM unnest(strategies) s)
				ELSE k.shared_default END)
			FROM bulkhead_control.permission_key k WHERE k.key ~ '^sql\.');
END
$$;

CREATE FUNCTION tenant_permissions(of_path uuid[]) RETURNS jsonb
LANGUAGE plpgsql STABLE
AS $$
DECLARE
	strategies text[] := (SELECT array_agg(DISTINCT t.strategy) FROM bulkhead_control.tenant t
						  WHERE t.id = ANY (of_path));
	-- Each of the others is what the defaults come to.
	touched text[] := ARRAY(SELECT g.key FROM bulkhead_control.permission_grant g WHERE g.tenant_id = ANY (of_path)
							UNION
							SELECT f.key FROM bulkhead_control.permission_frozen f WHERE f.tenant_id = ANY (of_path));
	held jsonb := bulkhead_control.default_permissions(strategies);
BEGIN
	IF touched <> '{}' THEN
		held := held || (SELECT jsonb_object_agg(u.key, bulkhead_control.permission_held(of_path, u.key))
						 FROM unnest(touched) u (key));
	END IF;
	RETURN bulkhead_control.permissions_answer(held,
		(SELECT s.value FROM bulkhead_control.setting_standing(of_path, 'proxy.read_only') s),
		(SELECT s.value FROM bulkhead_control.setting_standing(of_path, 'proxy.gate') s));
END
$$;

-- What a function returns cannot be changed in place. The sidecars' login is given the new ones by access.sql, in
-- the same transaction.
DROP FUNCTION lookup_tenant(text);
DROP FUNCTION changed_tenants(uuid[], bigint[]);

CREATE FUNCTION lookup_tenant(word text)
RETURNS TABLE (id uuid, path uuid[], slug text, external_key text, cluster text, strategy text, status text,
			   version bigint, pool_weight smallint, permissions jsonb)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT t.id, path_ids(t.path), t.slug, t.external_key, t.cluster, t.strategy, t.status, t.version, t.pool_weight,
		tenant_permissions(path_ids(t.path))
	FROM tenant_token k
	JOIN tenant t ON t.id = k.tenant_id
	WHERE k.token = token_of(word);
END;

-- Most tenants are roots, or below roots, without a grant or a setting: their permissions are worked out once for
-- each strategy, since there may be a thousand of them in an answer.
CREATE FUNCTION changed_tenants(ids uuid[], versions bigint[])
RETURNS TABLE (id uuid, path uuid[], slug text, external_key text, cluster text, strategy text, status text,
			   version bigint, pool_weight smallint, permissions jsonb)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	WITH plain AS MATERIALIZED (
		SELECT s.name, permissions_answer(default_permissions(ARRAY[s.name]), NULL, NULL) AS permissions
		FROM unnest(ARRAY['SHARED_RLS', 'SCHEMA_PER_TENANT', 'DATABASE_PER_TENANT']) AS s (name)
	), differing AS MATERIALIZED (
		SELECT held.id AS held_id, t.*, path_ids(t.path) AS ids
		FROM unnest(ids, versions) AS held (id, version)
		LEFT JOIN tenant t ON t.id = held.id
		WHERE t.version IS DISTINCT FROM held.version
	)
	SELECT d.held_id, d.ids, d.slug, d.external_key, d.cluster, d.strategy, d.status, d.version, d.pool_weight,
		CASE WHEN d.id IS NULL THEN NULL
			WHEN EXISTS (SELECT FROM permission_grant g WHERE g.tenant_id = ANY (d.ids))
				OR EXISTS (SELECT FROM permission_frozen f WHERE f.tenant_id = ANY (d.ids))
				OR EXISTS (SELECT FROM setting s WHERE s.tenant_id = ANY (d.ids))
				OR EXISTS (SELECT FROM tenant above WHERE above.id = ANY (d.ids) AND above.strategy <> d.strategy)
			THEN tenant_permissions(d.ids)
			ELSE (SELECT p.permissions FROM plain p WHERE p.name = d.strategy) END
	FROM differing d;
END;

COMMENT ON FUNCTION lookup_tenant(text) IS 'the tenant with this id, slug or key; at most one row';
COMMENT ON FUNCTION changed_tenants(uuid[], bigint[]) IS 'of these, those whose version is another now, as they are now, or that are gone: nothing but the id';

REVOKE ALL ON FUNCTION lookup_tenant(text), changed_tenants(uuid[], bigint[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION lookup_tenant(text), changed_tenants(uuid[], bigint[]) TO bulkhead_admin;

-- A sidecar that found no permissions here before has taken the defaults of each tenant's own strategy. Where those
-- above have others it may have taken too much.
UPDATE tenant t SET policy_changes = 1
WHERE EXISTS (SELECT FROM tenant above WHERE above.id = ANY (path_ids(t.path)) AND above.strategy <> t.strategy);
