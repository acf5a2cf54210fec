-- Tenants with a login of their own, and where a tenant's data may be.
--
-- A tenant with a schema or a database of its own always has a login of its own there, called t_ and the 32 digits
-- of its id; one of shared tables where it says so here, or where its cluster's guard knows tenants by their logins.

ALTER TABLE tenant
	ADD COLUMN dedicated_login boolean NOT NULL DEFAULT false,
	-- The key of the cluster's secret file that the login's password is derived from. NULL: not known, or no
	-- password.
	ADD COLUMN login_kid text COLLATE "C"
		CONSTRAINT tenant_login_kid CHECK (login_kid ~ '^[a-z0-9_-]{1,32}$');

COMMENT ON COLUMN tenant.dedicated_login IS 'reaches the shared tables by a login of its own';
COMMENT ON COLUMN tenant.login_kid IS 'which key of the cluster''s secret the login''s password is derived from';

-- Where the tenant's data must be: what the tenant says, else where its cluster is.
CREATE FUNCTION tenant_region(of_tenant text, of_cluster text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN coalesce(of_tenant, of_cluster);

-- What a function returns cannot be changed in place. The sidecars' login is given the new ones by access.sql, in
-- the same transaction.
DROP FUNCTION lookup_tenant(text);
DROP FUNCTION changed_tenants(uuid[], bigint[]);

CREATE FUNCTION lookup_tenant(word text)
RETURNS TABLE (id uuid, path uuid[], slug text, external_key text, cluster text, strategy text, status text,
			   version bigint, pool_weight smallint, permissions jsonb, region text, dedicated_login boolean,
			   login_kid text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT t.id, path_ids(t.path), t.slug, t.external_key, t.cluster, t.strategy, t.status, t.version, t.pool_weight,
		tenant_permissions(path_ids(t.path)), tenant_region(t.region, c.region), t.dedicated_login, t.login_kid
	FROM tenant_token k
	JOIN tenant t ON t.id = k.tenant_id
	JOIN cluster c ON c.name = t.cluster
	WHERE k.token = token_of(word);
END;

-- Most tenants are roots, or below roots, without a grant or a setting: their permissions are worked out once for
-- each strategy, since there may be a thousand of them in an answer.
CREATE FUNCTION changed_tenants(ids uuid[], versions bigint[])
RETURNS TABLE (id uuid, path uuid[], slug text, external_key text, cluster text, strategy text, status text,
			   version bigint, pool_weight smallint, permissions jsonb, region text, dedicated_login boolean,
			   login_kid text)
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
			ELSE (SELECT p.permissions FROM plain p WHERE p.name = d.strategy) END,
		tenant_region(d.region, c.region), d.dedicated_login, d.login_kid
	FROM differing d
	LEFT JOIN cluster c ON c.name = d.cluster;
END;

COMMENT ON FUNCTION lookup_tenant(text) IS 'the tenant with this id, slug or key; at most one row';
COMMENT ON FUNCTION changed_tenants(uuid[], bigint[]) IS 'of these, those whose version is another now, as they are now, or that are gone: nothing but the id';

REVOKE ALL ON FUNCTION lookup_tenant(text), changed_tenants(uuid[], bigint[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION lookup_tenant(text), changed_tenants(uuid[], bigint[]) TO bulkhead_admin;
