-- More of what principals have: how many connections they may have at one time, and what their certificates are
-- called, where a listener asks for certificates that name the principal (client_tls_sslmode = verify-full).

ALTER TABLE principal
	ADD COLUMN max_connections integer -- NULL: what the proxy's configuration says of all; which is never exceeded
		CONSTRAINT principal_max_connections CHECK (max_connections BETWEEN 1 AND 1000000),
	ADD COLUMN certificate_names text[] COLLATE "C"; -- NULL: the principal's own name

CREATE FUNCTION principal_are_certificate_names(names text[]) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN array_ndims(names) = 1 AND cardinality(names) <= 20
	AND NOT EXISTS (SELECT FROM unnest(names) AS n (name)
					WHERE name IS NULL OR octet_length(name) NOT BETWEEN 1 AND 255 OR name ~ '[\u0001-\u001f\u007f]');

ALTER TABLE principal
	ADD CONSTRAINT principal_certificate_names CHECK (principal_are_certificate_names(certificate_names));

-- What functions return cannot be changed in place. The sidecars' login is given the new ones by access.sql, in the
-- same transaction; older sidecars select the columns that they know.
DROP FUNCTION lookup_principal(text);
DROP FUNCTION changed_principals(text[], bigint[]);

CREATE FUNCTION lookup_principal(word text)
RETURNS TABLE (name text, verifier text, home_id uuid, reach text, disabled boolean,
			   valid_until_ms bigint, version bigint, max_connections integer, certificate_names text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT p.name, p.verifier, p.home_id, p.reach, p.disabled,
		floor(extract(epoch FROM p.valid_until) * 1000)::bigint, p.version, p.max_connections,
		to_json(p.certificate_names)::text
	FROM principal p
	WHERE p.name = word;
END;

CREATE FUNCTION changed_principals(names text[], versions bigint[])
RETURNS TABLE (name text, verifier text, home_id uuid, reach text, disabled boolean,
			   valid_until_ms bigint, version bigint, max_connections integer, certificate_names text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT held.name, p.verifier, p.home_id, p.reach, p.disabled,
		floor(extract(epoch FROM p.valid_until) * 1000)::bigint, p.version, p.max_connections,
		to_json(p.certificate_names)::text
	FROM unnest(names, versions) AS held (name, version)
	LEFT JOIN principal p ON p.name = held.name
	WHERE p.version IS DISTINCT FROM held.version;
END;

COMMENT ON FUNCTION lookup_principal(text) IS 'the principal of this name; valid_until_ms counts from 1970, NULL never ends';
COMMENT ON FUNCTION changed_principals(text[], bigint[]) IS 'of these, those whose version is another now, as they are now, or that are gone: nothing but the name';

REVOKE ALL ON FUNCTION lookup_principal(text), changed_principals(text[], bigint[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION lookup_principal(text), changed_principals(text[], bigint[]),
	principal_are_certificate_names(text[]) TO bulkhead_admin;
