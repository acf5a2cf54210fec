-- Whole rows for what has changed, so that a sidecar which missed thousands of changes need not ask for each of
-- them: what a look-up would say, or nothing but the id or name of one that is gone. A sidecar asks for a bounded
-- number at a time.
--
-- The first column is what the functions returned before, and older sidecars select it by its name.

-- What a function returns cannot be changed in place. The sidecars' login is given the new ones by access.sql, in
-- the same transaction.
DROP FUNCTION changed_tenants(uuid[], bigint[]);
DROP FUNCTION changed_principals(text[], bigint[]);

CREATE FUNCTION changed_tenants(ids uuid[], versions bigint[])
RETURNS TABLE (id uuid, path uuid[], slug text, external_key text, cluster text,
			   strategy text, status text, version bigint, pool_weight smallint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT held.id, string_to_array(ltree2text(t.path), '.')::uuid[], t.slug, t.external_key, t.cluster,
		t.strategy, t.status, t.version, t.pool_weight
	FROM unnest(ids, versions) AS held (id, version)
	LEFT JOIN tenant t ON t.id = held.id
	WHERE t.version IS DISTINCT FROM held.version;
END;

CREATE FUNCTION changed_principals(names text[], versions bigint[])
RETURNS TABLE (name text, verifier text, home_id uuid, reach text, disabled boolean,
			   valid_until_ms bigint, version bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT held.name, p.verifier, p.home_id, p.reach, p.disabled,
		floor(extract(epoch FROM p.valid_until) * 1000)::bigint, p.version
	FROM unnest(names, versions) AS held (name, version)
	LEFT JOIN principal p ON p.name = held.name
	WHERE p.version IS DISTINCT FROM held.version;
END;

COMMENT ON FUNCTION changed_tenants(uuid[], bigint[]) IS 'of these, those whose version is another now, as they are now, or that are gone: nothing but the id';
COMMENT ON FUNCTION changed_principals(text[], bigint[]) IS 'of these, those whose version is another now, as they are now, or that are gone: nothing but the name';

REVOKE ALL ON FUNCTION changed_tenants(uuid[], bigint[]), changed_principals(text[], bigint[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION changed_tenants(uuid[], bigint[]), changed_principals(text[], bigint[]) TO bulkhead_admin;
