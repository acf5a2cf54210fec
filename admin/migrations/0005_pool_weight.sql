-- How large a tenant's share is when tenants wait for the backends of one pool: its clients are served so
-- many at a time when its turn comes.

ALTER TABLE tenant ADD COLUMN pool_weight smallint NOT NULL DEFAULT 1
	CONSTRAINT tenant_pool_weight CHECK (pool_weight BETWEEN 1 AND 100);

-- What a function returns cannot be changed in place. The sidecars' login is given the new one by
-- access.sql, in the same transaction.
DROP FUNCTION lookup_tenant(text);

CREATE FUNCTION lookup_tenant(word text)
RETURNS TABLE (id uuid, path uuid[], slug text, external_key text, cluster text,
			   strategy text, status text, version bigint, pool_weight smallint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT t.id, string_to_array(ltree2text(t.path), '.')::uuid[], t.slug, t.external_key, t.cluster,
		t.strategy, t.status, t.version, t.pool_weight
	FROM tenant_token k
	JOIN tenant t ON t.id = k.tenant_id
	WHERE k.token = token_of(word);
END;

COMMENT ON FUNCTION lookup_tenant(text) IS 'the tenant with this id, slug or key; at most one row';

REVOKE ALL ON FUNCTION lookup_tenant(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION lookup_tenant(text) TO bulkhead_admin;
