-- Signing keys, and the tenants that no key may enter.

-- The 64-byte block of a 32-byte key: the key, padded with zeros, with every byte XORed with `pad`, given as
-- two hex digits. PostgreSQL XORs bit strings only; bit_send puts four bytes of length before the bits.
CREATE OR REPLACE FUNCTION bulkhead.hmac_block(key bytea, pad text) RETURNS bytea
	LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
	RETURN substr(bit_send(('x' || rpad(encode(key, 'hex'), 128, '0'))::bit(512)
	                       # ('x' || repeat(pad, 64))::bit(512)), 5);

-- HMAC-SHA256 under a key of which the two blocks are given.
CREATE OR REPLACE FUNCTION bulkhead.hmac(inner_block bytea, outer_block bytea, message bytea) RETURNS bytea
	LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
	RETURN sha256(outer_block || sha256(inner_block || message));

-- Registers a signing key, given in base64 as the key file has it. The same key again changes nothing.
CREATE OR REPLACE FUNCTION bulkhead.register_key(kid text, key text) RETURNS void
	LANGUAGE plpgsql
	SET search_path = pg_catalog, pg_temp
AS $register_key$
#variable_conflict error
DECLARE
	bytes CONSTANT bytea := decode(register_key.key, 'base64');
	inner_new CONSTANT bytea := bulkhead.hmac_block(bytes, '36');
	inner_old bytea;
BEGIN
	IF (octet_length(bytes) = 32) IS NOT TRUE THEN
		RAISE EXCEPTION 'a signing key is 32 bytes in base64';
	END IF;
	SELECT k.inner_block INTO inner_old FROM bulkhead.signing_key AS k WHERE k.kid = register_key.kid;
	IF NOT FOUND THEN
		INSERT INTO bulkhead.signing_key (kid, inner_block, outer_block)
		VALUES (register_key.kid, inner_new, bulkhead.hmac_block(bytes, '5c'));
	ELSIF inner_old <> inner_new THEN
		RAISE EXCEPTION 'another key is registered under the name "%"', register_key.kid
			USING HINT = 'Use the key file of the first installation, or give the new key a name of its own.';
	END IF;
END
$register_key$;

-- Takes a signing key away: from here on nothing that it signed is accepted. True when there was such a key. The
-- last one stays, since without any nobody could enter. Two at once wait for each other, or they would take the
-- last two; enter, which only reads, waits for nobody.
CREATE OR REPLACE FUNCTION bulkhead.retire_key(kid text) RETURNS boolean
	LANGUAGE plpgsql
	SET search_path = pg_catalog, pg_temp
AS $retire_key$
#variable_conflict error
BEGIN
	LOCK TABLE bulkhead.signing_key IN SHARE ROW EXCLUSIVE MODE;
	IF NOT EXISTS (SELECT FROM bulkhead.signing_key AS k WHERE k.kid <> retire_key.kid) THEN
		RAISE EXCEPTION 'signing key "%" is the last one here', retire_key.kid
			USING HINT = 'Make another first: bulkhead key rotate guard.';
	END IF;
	DELETE FROM bulkhead.signing_key AS k WHERE k.kid = retire_key.kid;
	RETURN FOUND;
END
$retire_key$;

CREATE OR REPLACE FUNCTION bulkhead.revoke_tenant(tenant uuid) RETURNS void
	LANGUAGE sql
	BEGIN ATOMIC
		INSERT INTO bulkhead.revoked_tenant (tenant) VALUES (revoke_tenant.tenant) ON CONFLICT DO NOTHING;
	END;

CREATE OR REPLACE FUNCTION bulkhead.readmit_tenant(tenant uuid) RETURNS void
	LANGUAGE sql
	BEGIN ATOMIC
		DELETE FROM bulkhead.revoked_tenant AS r WHERE r.tenant = readmit_tenant.tenant;
	END;
