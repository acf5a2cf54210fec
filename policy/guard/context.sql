-- Who is speaking: what policies and column defaults call.
--
-- These bodies are parsed here and now, so nothing in a caller's search_path can change their meaning, and
-- the planner puts them in the place of the call. They return a value or raise, never NULL:
-- BH001 there is no tenant; BH002 the tenant has no external key, or none that fits.
--
-- Call them as (SELECT bulkhead.tenant_id()): once per statement. A bare call costs its price for each row.

-- What speaks where nothing is sealed: a login of a tenant's own (t_ and 32 hex digits) is context enough, and
-- gives the digits; any other raises. Each statement of such a login calls it, so it names all with their schemas: a
-- search_path of its own would cost as much as all the rest of it.
CREATE OR REPLACE FUNCTION bulkhead.no_context() RETURNS text
	LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $no_context$
BEGIN
	IF session_user OPERATOR(pg_catalog.~) '^t_[0-9a-f]{32}$' THEN
		RETURN pg_catalog.substr(session_user::pg_catalog.text, 3);
	END IF;
	RAISE EXCEPTION 'no tenant is set for this session'
		USING ERRCODE = 'BH001', HINT = 'Connect through Bulkhead, as a tenant.';
END
$no_context$;

-- The tenant's id.
CREATE OR REPLACE FUNCTION bulkhead.tenant_id() RETURNS uuid
	LANGUAGE sql STABLE PARALLEL SAFE
	RETURN coalesce(nullif(left(current_setting('backtrace_functions'), 32), ''),
	                bulkhead.no_context())::uuid;

-- The key of the tenant whose own login this is. Where there is a seal, the key is in it, and this is not called. It has
-- no search_path of its own either.
CREATE OR REPLACE FUNCTION bulkhead.no_key() RETURNS text
	LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER
AS $no_key$
#variable_conflict error
DECLARE
	found_key pg_catalog.text;
BEGIN
	IF session_user OPERATOR(pg_catalog.~) '^t_[0-9a-f]{32}$' THEN
		SELECT k.key INTO found_key FROM bulkhead.login_key AS k
		 WHERE k.tenant OPERATOR(pg_catalog.=) pg_catalog.substr(session_user::pg_catalog.text, 3)::pg_catalog.uuid;
	END IF;
	IF found_key IS NULL THEN
		RAISE EXCEPTION 'tenant % has no external key', bulkhead.tenant_id()
			USING ERRCODE = 'BH002', HINT = 'This table names tenants by a key of the application: give the tenant one.';
	END IF;
	RETURN found_key;
END
$no_key$;

-- The tenant's external key, the application's own name for it.
CREATE OR REPLACE FUNCTION bulkhead.tenant_key() RETURNS text
	LANGUAGE sql STABLE PARALLEL SAFE
	RETURN coalesce(nullif(convert_from(decode(substr(current_setting('backtrace_functions'), 34), 'hex'), 'UTF8'), ''),
	                bulkhead.no_key());

-- A key as a column's type has it. Only the one way in which PostgreSQL writes a value will do: '042' must not
-- be tenant '42', who is someone else. The form is asked for before anything is cast, so that every key that
-- does not fit ends in the same error.
CREATE OR REPLACE FUNCTION bulkhead.unfit_key(given text, kind text) RETURNS void
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $unfit_key$
BEGIN
	RAISE EXCEPTION 'the tenant''s external key "%" is not written as a value of type %', given, kind
		USING ERRCODE = 'BH002', HINT = 'Write the key as PostgreSQL writes a value of the column''s type.';
END
$unfit_key$;

CREATE OR REPLACE FUNCTION bulkhead.canonical_number(given text, kind text, most bigint) RETURNS bigint
	LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $canonical_number$
BEGIN
	IF given ~ '^(0|-?[1-9][0-9]{0,18})$' THEN
		IF given::numeric BETWEEN -1 - most::numeric AND most THEN
			RETURN given::bigint;
		END IF;
	END IF;
	PERFORM bulkhead.unfit_key(given, kind);
END
$canonical_number$;

CREATE OR REPLACE FUNCTION bulkhead.canonical_uuid(given text) RETURNS uuid
	LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $canonical_uuid$
BEGIN
	IF given ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN
		RETURN given::uuid;
	END IF;
	PERFORM bulkhead.unfit_key(given, 'uuid');
END
$canonical_uuid$;

CREATE OR REPLACE FUNCTION bulkhead.tenant_key_smallint() RETURNS smallint
	LANGUAGE sql STABLE PARALLEL SAFE
	RETURN bulkhead.canonical_number(bulkhead.tenant_key(), 'smallint', 32767)::smallint;

CREATE OR REPLACE FUNCTION bulkhead.tenant_key_integer() RETURNS integer
	LANGUAGE sql STABLE PARALLEL SAFE
	RETURN bulkhead.canonical_number(bulkhead.tenant_key(), 'integer', 2147483647)::integer;

CREATE OR REPLACE FUNCTION bulkhead.tenant_key_bigint() RETURNS bigint
	LANGUAGE sql STABLE PARALLEL SAFE
	RETURN bulkhead.canonical_number(bulkhead.tenant_key(), 'bigint', 9223372036854775807);

CREATE OR REPLACE FUNCTION bulkhead.tenant_key_uuid() RETURNS uuid
	LANGUAGE sql STABLE PARALLEL SAFE
	RETURN bulkhead.canonical_uuid(bulkhead.tenant_key());

-- Keys of tenants with logins of their own; for the administrator. A key that another tenant has is refused.
CREATE OR REPLACE FUNCTION bulkhead.set_login_key(tenant uuid, key text) RETURNS void
	LANGUAGE plpgsql SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $set_login_key$
#variable_conflict error
BEGIN
	IF set_login_key.tenant IS NULL OR coalesce(set_login_key.key, '') = '' THEN
		RAISE invalid_parameter_value USING MESSAGE = 'a tenant and its key are needed';
	END IF;
	INSERT INTO bulkhead.login_key AS k (tenant, key) VALUES (set_login_key.tenant, set_login_key.key)
	ON CONFLICT ON CONSTRAINT login_key_pkey DO UPDATE SET key = excluded.key WHERE k.key <> excluded.key;
END
$set_login_key$;

-- True when there was one.
CREATE OR REPLACE FUNCTION bulkhead.drop_login_key(tenant uuid) RETURNS boolean
	LANGUAGE plpgsql SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $drop_login_key$
#variable_conflict error
BEGIN
	DELETE FROM bulkhead.login_key AS k WHERE k.tenant = drop_login_key.tenant;
	RETURN FOUND;
END
$drop_login_key$;
