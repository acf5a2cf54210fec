-- What a sidecar asks after it may have missed announcements: of what I hold, what is not so any more?
-- It gives what it holds with the versions, and gets back the names of those that have another version now,
-- or are gone.

CREATE FUNCTION changed_tenants(ids uuid[], versions bigint[]) RETURNS TABLE (id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT held.id
	FROM unnest(ids, versions) AS held (id, version)
	LEFT JOIN tenant t ON t.id = held.id
	WHERE t.version IS DISTINCT FROM held.version;
END;

CREATE FUNCTION changed_principals(names text[], versions bigint[]) RETURNS TABLE (name text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT held.name
	FROM unnest(names, versions) AS held (name, version)
	LEFT JOIN principal p ON p.name = held.name
	WHERE p.version IS DISTINCT FROM held.version;
END;

COMMENT ON FUNCTION changed_tenants(uuid[], bigint[]) IS 'of these, those whose version is another now, or that are gone';
COMMENT ON FUNCTION changed_principals(text[], bigint[]) IS 'of these, those whose version is another now, or that are gone';

GRANT EXECUTE ON FUNCTION changed_tenants(uuid[], bigint[]), changed_principals(text[], bigint[]) TO bulkhead_admin;
