-- By what a tenant may be called: its id, its slug and its key, in one list.
--
-- A client writes one word and does not say which of the three it means. Were the three looked up one
-- after the other, a tenant could take a key that is another's id or slug and be found in its place, or
-- hide behind it. So they share one primary key: whatever word a client writes, at most one tenant
-- answers to it, and a slug, key or id that another tenant answers to already is refused.
--
-- Words of an id's form are listed and looked up as 32 lower-case digits: both spellings of an id, in
-- any case, are one word, also where an application's key happens to be a uuid.

CREATE TABLE tenant_token (
	token text COLLATE "C" CONSTRAINT tenant_token_taken PRIMARY KEY,
	tenant_id uuid NOT NULL REFERENCES tenant (id) ON DELETE CASCADE
);

CREATE INDEX tenant_token_tenant ON tenant_token (tenant_id);

CREATE FUNCTION token_of(word text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
	WHEN word ~ '^[0-9A-Fa-f]{32}$'
		OR word ~ '^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$'
	THEN lower(replace(word, '-', '') COLLATE "C")
	ELSE word
END;

CREATE FUNCTION tenant_list_tokens() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	DELETE FROM bulkhead_control.tenant_token WHERE tenant_id = NEW.id;
	INSERT INTO bulkhead_control.tenant_token (token, tenant_id)
	SELECT DISTINCT bulkhead_control.token_of(word), NEW.id
	FROM unnest(ARRAY[NEW.id::text, NEW.slug, NEW.external_key]) AS word
	WHERE word IS NOT NULL;
	RETURN NULL;
END
$$;

CREATE TRIGGER tenant_list_tokens_new AFTER INSERT ON tenant
	FOR EACH ROW EXECUTE FUNCTION tenant_list_tokens();
CREATE TRIGGER tenant_list_tokens_changed AFTER UPDATE OF slug, external_key ON tenant
	FOR EACH ROW WHEN (OLD.slug <> NEW.slug OR OLD.external_key IS DISTINCT FROM NEW.external_key)
	EXECUTE FUNCTION tenant_list_tokens();

GRANT SELECT ON tenant_token TO bulkhead_admin;
