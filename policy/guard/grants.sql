-- Who may call what. Everything is taken from everyone first, so that an upgrade leaves nothing behind.

REVOKE ALL ON SCHEMA bulkhead FROM PUBLIC;
REVOKE ALL ON ALL TABLES IN SCHEMA bulkhead FROM PUBLIC;

-- A pool's login of an earlier installation, which nobody may know any more, must not keep the key to the seal. Whoever
-- may create roles keeps what tenants' own logins are managed with.
DO $take$
DECLARE
	held record;
BEGIN
	FOR held IN SELECT p.oid::regprocedure AS routine, a.grantee
	              FROM pg_proc AS p, LATERAL aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) AS a
	             WHERE p.pronamespace = 'bulkhead'::regnamespace AND a.grantee <> p.proowner
	               AND NOT (p.proname IN ('set_login_key', 'drop_login_key', 'findings')
	                        AND a.grantee IN (SELECT r.oid FROM pg_roles AS r WHERE r.rolcreaterole
	                                             AND r.oid NOT IN (SELECT bulkhead.tenant_roles()))) LOOP
		EXECUTE format('REVOKE ALL ON ROUTINE %s FROM %s', held.routine,
		               CASE held.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(held.grantee)) END);
	END LOOP;
END
$take$;

GRANT USAGE ON SCHEMA bulkhead TO PUBLIC;

-- The context, which policies and defaults read for every role.
GRANT EXECUTE ON FUNCTION bulkhead.guard_version(), bulkhead.guard_mode(), bulkhead.no_context(), bulkhead.no_key(),
	bulkhead.tenant_id(), bulkhead.tenant_key(), bulkhead.unfit_key(text, text),
	bulkhead.canonical_number(text, text, bigint), bulkhead.canonical_uuid(text), bulkhead.tenant_key_smallint(),
	bulkhead.tenant_key_integer(), bulkhead.tenant_key_bigint(), bulkhead.tenant_key_uuid() TO PUBLIC;
GRANT EXECUTE ON FUNCTION bulkhead.login_check() TO PUBLIC;
GRANT EXECUTE ON PROCEDURE bulkhead.reset_all(text[]), bulkhead.set_all(text[]) TO PUBLIC;
GRANT EXECUTE ON FUNCTION bulkhead.session_state(integer), bulkhead.session_setting(text) TO PUBLIC;

-- protect and unprotect do what their caller may do to the table, and no more.
GRANT EXECUTE ON FUNCTION bulkhead.protect(regclass, name, text), bulkhead.unprotect(regclass),
	bulkhead.family(regclass), bulkhead.require_owner(regclass), bulkhead.require_protectable(regclass),
	bulkhead.memberships(), bulkhead.tenant_roles(), bulkhead.unsafe_privileges(regclass), bulkhead.privilege_on(regclass, jsonb),
	bulkhead.grantee_of(jsonb), bulkhead.give_back_privileges(regclass, text[]), bulkhead.remember(regclass, name),
	bulkhead.forget(regclass), bulkhead.tenant_expression(regclass, name, text),
	bulkhead.drop_policies(regclass), bulkhead.written_out(text), bulkhead.set_policies(regclass, name, text), bulkhead.take_unsafe_privileges(regclass),
	bulkhead.set_tenant_default(regclass, name, text), bulkhead.protect_relation(regclass, name, text),
	bulkhead.unprotect_relation(regclass), bulkhead.protection_warnings(regclass, name) TO PUBLIC;

DO $grants$
BEGIN
	IF current_setting('bulkhead.guard') = 'sealed' THEN
		EXECUTE format('GRANT EXECUTE ON FUNCTION bulkhead.enter(text, text, text, text, text), bulkhead.self_check() TO %I',
		               current_setting('bulkhead.pool_login'));
	END IF;
	IF NOT (SELECT rolsuper FROM pg_roles WHERE rolname = session_user) THEN
		EXECUTE format('GRANT EXECUTE ON FUNCTION bulkhead.set_login_key(uuid, text), bulkhead.drop_login_key(uuid), '
		               'bulkhead.findings() TO %I', session_user);
	END IF;
END
$grants$;
