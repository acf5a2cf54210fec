-- What became of grants, and of what tenants keep frozen: a line for each change, in its transaction. It ends with the
-- tenant; what is kept for good is the audit log.

CREATE TABLE permission_history (
	revision bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	tenant_id uuid NOT NULL CONSTRAINT permission_history_tenant REFERENCES tenant (id) ON DELETE CASCADE,
	key text COLLATE "C" NOT NULL CONSTRAINT permission_history_key REFERENCES permission_key (key) ON DELETE CASCADE,
	change text NOT NULL
		CONSTRAINT permission_history_change CHECK (change IN ('granted', 'changed', 'revoked', 'frozen', 'thawed')),
	at timestamptz NOT NULL DEFAULT clock_timestamp(),
	actor text NOT NULL,
	request_id text,
	before jsonb, -- {value, mode, revocation} of a grant, {value, revoked_at} of what is frozen
	after jsonb
);

CREATE INDEX permission_history_of ON permission_history (tenant_id, key, revision);
CREATE INDEX permission_history_of_key ON permission_history (key);

COMMENT ON TABLE permission_history IS 'how grants came to be what they are';

-- Who is acting: what the admin API says for its transaction, else the login.
CREATE FUNCTION acting() RETURNS text
LANGUAGE sql STABLE
RETURN coalesce(nullif(current_setting('bulkhead.actor', true), ''), 'sql:' || session_user);

CREATE FUNCTION permission_remember() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	is_grant boolean := TG_TABLE_NAME = 'permission_grant';
	was jsonb := CASE WHEN TG_OP <> 'INSERT' THEN to_jsonb(OLD) - '{tenant_id,key,created_at,updated_at}'::text[] END;
	is_now jsonb := CASE WHEN TG_OP <> 'DELETE' THEN to_jsonb(NEW) - '{tenant_id,key,created_at,updated_at}'::text[] END;
BEGIN
	IF was IS NOT DISTINCT FROM is_now THEN
		RETURN NULL;
	END IF;
	INSERT INTO bulkhead_control.permission_history (tenant_id, key, change, actor, request_id, before, after)
	SELECT t.id, CASE TG_OP WHEN 'DELETE' THEN OLD.key ELSE NEW.key END,
		CASE WHEN is_grant THEN CASE TG_OP WHEN 'INSERT' THEN 'granted' WHEN 'UPDATE' THEN 'changed' ELSE 'revoked' END
			ELSE CASE TG_OP WHEN 'DELETE' THEN 'thawed' ELSE 'frozen' END END,
		bulkhead_control.acting(), nullif(current_setting('bulkhead.request_id', true), ''), was, is_now
	-- Of a tenant that is gone there is no history.
	FROM bulkhead_control.tenant t WHERE t.id = CASE TG_OP WHEN 'DELETE' THEN OLD.tenant_id ELSE NEW.tenant_id END;
	RETURN NULL;
END
$$;

CREATE TRIGGER permission_grant_remember AFTER INSERT OR UPDATE OR DELETE ON permission_grant
	FOR EACH ROW EXECUTE FUNCTION permission_remember();
CREATE TRIGGER permission_frozen_remember AFTER INSERT OR UPDATE OR DELETE ON permission_frozen
	FOR EACH ROW EXECUTE FUNCTION permission_remember();

GRANT SELECT ON permission_history TO bulkhead_admin;
