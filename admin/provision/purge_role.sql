-- The tenant's login goes, with all that it owns in this database and was granted here; so does what the guard keeps
-- of the tenant. What somebody else made and that holds on to the tenant's own is in the way, and is named.

DO $purge_role$
DECLARE
	own CONSTANT text := current_setting('bulkhead.own');
BEGIN
	-- Only who may set keys may drop them, and a tenant that is not on shared tables was given none.
	IF to_regprocedure('bulkhead.drop_login_key(uuid)') IS NOT NULL
	   AND (current_setting('bulkhead.shared')::boolean
	        OR has_function_privilege(to_regprocedure('bulkhead.drop_login_key(uuid)')::oid, 'EXECUTE')) THEN
		EXECUTE 'SELECT bulkhead.drop_login_key($1::uuid)' USING current_setting('bulkhead.tenant');
	END IF;
	IF to_regclass('bulkhead.revoked_tenant') IS NOT NULL
	   AND (SELECT r.rolsuper FROM pg_roles AS r WHERE r.rolname = current_user) THEN
		EXECUTE 'DELETE FROM bulkhead.revoked_tenant WHERE tenant = $1::uuid' USING current_setting('bulkhead.tenant');
	END IF;
	IF to_regrole(own) IS NOT NULL THEN
		EXECUTE format('DROP OWNED BY %I', own);
		EXECUTE format('DROP ROLE %I', own);
	END IF;
END
$purge_role$;
