-- The sealed context: how a backend is put into a tenant, and how it stays there.
--
-- The seal is the value of backtrace_functions, a setting that only a superuser or a holder of SET on the
-- parameter may change, and that has no other effect here: `<32 hex digits of the tenant's id>,<hex of the
-- UTF-8 of its external key>`. bulkhead_guard holds that right, and enter and reset_all run with it.

-- Puts the backend into a tenant's context and returns the seal. All parameters are text: the name of the
-- signing key, the tenant's id as 32 hex digits, the hex of the UTF-8 of its external key (empty without one),
-- the end of validity in milliseconds since 1970 by this server's clock, and the mac:
--
--	HMAC-SHA256(K, message) in hex, where K = HMAC-SHA256(signing key, tenant) and message is
--	bulkhead.enter.1:<hex of kid>:<installation>:<hex of database>:<backend pid>:<tenant>:<key>:<expires>
--
-- Every field is hex or decimal, so no two lists of fields make the same message.
--
-- The checks, and what each is for:
-- * The client's whole statement is this call. A function, view, trigger or rule that another tenant
--   planted runs inside a statement of its victim's, and in a deferred trigger there is no statement at
--   all: hence IS DISTINCT FROM.
-- * The login is not a tenant's own, whose name is its context.
-- * The validity is neither over nor further away than a minute, by the clock and not by the transaction's
--   start, which a tenant chooses.
-- * The setting is empty or this tenant's: only DISCARD ALL or RESET ALL leads from one tenant to another.
--
-- Inside a transaction block the context set here ends with a ROLLBACK. That is no way into another tenant:
-- the value that comes back is the one before, which was empty, this tenant's, or, after a RESET ALL in
-- the same block, the tenant's whose block it is. Whoever hands a backend over must read ReadyForQuery `I`
-- behind the answer.
CREATE OR REPLACE FUNCTION bulkhead.enter(kid text, tenant text, key text, expires text, mac text)
	RETURNS text
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $enter$
#variable_conflict error
DECLARE
	longest CONSTANT bigint := 60000;
	seal CONSTANT text := current_setting('backtrace_functions');
	remaining bigint;
	signer_inner bytea;
	signer_outer bytea;
	tenant_key bytea;
	message text;
BEGIN
	IF current_query() IS DISTINCT FROM 'SELECT bulkhead.enter($1,$2,$3,$4,$5)' THEN
		RAISE insufficient_privilege USING MESSAGE = 'enter refused: it is not the whole statement';
	END IF;
	IF session_user ~ '^t_[0-9a-f]{32}$' THEN
		RAISE insufficient_privilege USING MESSAGE = 'enter refused: this login is a tenant''s own';
	END IF;
	IF (enter.kid ~ '^[a-z0-9_-]{1,32}$' AND enter.tenant ~ '^[0-9a-f]{32}$'
	    AND octet_length(enter.key) <= 1024 AND enter.key ~ '^([0-9a-f][0-9a-f])*$'
	    AND enter.expires ~ '^[1-9][0-9]{11,14}$' AND enter.mac ~ '^[0-9a-f]{64}$') IS NOT TRUE THEN
		RAISE insufficient_privilege USING MESSAGE = 'enter refused: malformed parameter';
	END IF;

	SELECT k.inner_block, k.outer_block INTO signer_inner, signer_outer
	  FROM bulkhead.signing_key AS k WHERE k.kid = enter.kid;
	IF NOT FOUND THEN
		RAISE insufficient_privilege USING MESSAGE = 'enter refused: unknown signing key';
	END IF;
	message := 'bulkhead.enter.1:' || encode(convert_to(enter.kid, 'UTF8'), 'hex')
		|| ':' || (SELECT replace(i.id::text, '-', '') FROM bulkhead.installation AS i)
		|| ':' || encode(convert_to(current_database(), getdatabaseencoding()), 'hex')
		|| ':' || pg_backend_pid()::text
		|| ':' || enter.tenant || ':' || enter.key || ':' || enter.expires;
	tenant_key := bulkhead.hmac(signer_inner, signer_outer, convert_to(enter.tenant, 'UTF8'));
	-- Hashed once more, so that the time of the comparison tells nothing about the mac.
	IF (sha256(decode(enter.mac, 'hex'))
	    = sha256(bulkhead.hmac(bulkhead.hmac_block(tenant_key, '36'), bulkhead.hmac_block(tenant_key, '5c'),
	                           convert_to(message, 'UTF8')))) IS NOT TRUE THEN
		RAISE insufficient_privilege USING MESSAGE = 'enter refused: wrong mac';
	END IF;

	remaining := enter.expires::bigint - floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint;
	IF remaining <= 0 THEN
		RAISE insufficient_privilege USING MESSAGE = 'enter refused: expired';
	ELSIF remaining > longest THEN
		RAISE insufficient_privilege USING MESSAGE = 'enter refused: valid for too long';
	END IF;
	IF EXISTS (SELECT FROM bulkhead.revoked_tenant AS r WHERE r.tenant = enter.tenant::uuid) THEN
		RAISE insufficient_privilege USING MESSAGE = 'enter refused: the tenant is revoked';
	END IF;
	IF seal <> '' AND left(seal, 33) <> enter.tenant || ',' THEN
		RAISE insufficient_privilege USING MESSAGE = 'enter refused: another tenant is in this backend';
	END IF;

	-- A key that is no UTF-8, or that this database cannot write, fails here rather than at its use.
	PERFORM convert_from(decode(enter.key, 'hex'), 'UTF8');
	RETURN set_config('backtrace_functions', enter.tenant || ',' || enter.key, false);
END
$enter$;
