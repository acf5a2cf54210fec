-- What a sidecar may ask: who is this, and where does it live? It sees one answer, never a table.
-- Bodies are bound here; the search_path is pinned as well, for what they call.

CREATE FUNCTION lookup_tenant(word text)
RETURNS TABLE (id uuid, path uuid[], slug text, external_key text, cluster text,
			   strategy text, status text, version bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT t.id, string_to_array(ltree2text(t.path), '.')::uuid[], t.slug, t.external_key, t.cluster,
		t.strategy, t.status, t.version
	FROM tenant_token k
	JOIN tenant t ON t.id = k.tenant_id
	WHERE k.token = token_of(word);
END;

CREATE FUNCTION lookup_principal(word text)
RETURNS TABLE (name text, verifier text, home_id uuid, reach text, disabled boolean,
			   valid_until_ms bigint, version bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT p.name, p.verifier, p.home_id, p.reach, p.disabled,
		floor(extract(epoch FROM p.valid_until) * 1000)::bigint, p.version
	FROM principal p
	WHERE p.name = word;
END;

COMMENT ON FUNCTION lookup_tenant(text) IS 'the tenant with this id, slug or key; at most one row';
COMMENT ON FUNCTION lookup_principal(text) IS 'the principal of this name; valid_until_ms counts from 1970, NULL never ends';

GRANT EXECUTE ON FUNCTION lookup_tenant(text), lookup_principal(text) TO bulkhead_admin;
