-- For which of the tenants within its reach a principal may speak: these and all below them. NULL: all.
--
-- The ids are kept as they are when a tenant goes: an id is never given again, and what names nobody any more must
-- not come to mean everybody.

ALTER TABLE principal
	ADD COLUMN tenants uuid[]
		CONSTRAINT principal_tenants CHECK (cardinality(tenants) BETWEEN 1 AND 100 AND array_position(tenants, NULL) IS NULL);

-- No list and an empty one are two things.
UPDATE principal SET certificate_names = NULL WHERE cardinality(certificate_names) = 0;

CREATE OR REPLACE FUNCTION principal_are_certificate_names(names text[]) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN names IS NULL OR coalesce(array_ndims(names) = 1 AND cardinality(names) <= 20, false)
	AND NOT EXISTS (SELECT FROM unnest(names) AS n (name)
					WHERE name IS NULL OR octet_length(name) NOT BETWEEN 1 AND 255 OR name ~ '[\u0001-\u001f\u007f]');

DROP FUNCTION lookup_principal(text);
DROP FUNCTION changed_principals(text[], bigint[]);

CREATE FUNCTION lookup_principal(word text)
RETURNS TABLE (name text, verifier text, home_id uuid, reach text, disabled boolean, valid_until_ms bigint,
			   version bigint, max_connections integer, certificate_names text, tenants text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT p.name, p.verifier, p.home_id, p.reach, p.disabled,
		floor(extract(epoch FROM p.valid_until) * 1000)::bigint, p.version, p.max_connections,
		to_json(p.certificate_names)::text, to_json(p.tenants)::text
	FROM principal p
	WHERE p.name = word;
END;

CREATE FUNCTION changed_principals(names text[], versions bigint[])
RETURNS TABLE (name text, verifier text, home_id uuid, reach text, disabled boolean, valid_until_ms bigint,
			   version bigint, max_connections integer, certificate_names text, tenants text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT held.name, p.verifier, p.home_id, p.reach, p.disabled,
		floor(extract(epoch FROM p.valid_until) * 1000)::bigint, p.version, p.max_connections,
		to_json(p.certificate_names)::text, to_json(p.tenants)::text
	FROM unnest(names, versions) AS held (name, version)
	LEFT JOIN principal p ON p.name = held.name
	WHERE p.version IS DISTINCT FROM held.version;
END;

COMMENT ON FUNCTION lookup_principal(text) IS 'the principal of this name; valid_until_ms counts from 1970, NULL never ends';
COMMENT ON FUNCTION changed_principals(text[], bigint[]) IS 'of these, those whose version is another now, as they are now, or that are gone: nothing but the name';

REVOKE ALL ON FUNCTION lookup_principal(text), changed_principals(text[], bigint[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION lookup_principal(text), changed_principals(text[], bigint[]) TO bulkhead_admin;
