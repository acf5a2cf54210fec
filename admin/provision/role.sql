-- The tenant's own login. Settings of this transaction say for whom: bulkhead.own (the role's name),
-- bulkhead.tenant, bulkhead.verifier (SCRAM; empty for a login without a password), bulkhead.group (what the role
-- belongs to; empty for nothing) and bulkhead.shared_schemas.
--
-- The comment on the role says that it was made here: only who may create roles can change that. A role of this
-- name that somebody else made is left alone.

DO $role$
DECLARE
	own CONSTANT text := current_setting('bulkhead.own');
	verifier CONSTANT text := current_setting('bulkhead.verifier');
	grp CONSTANT text := current_setting('bulkhead.group');
	mark CONSTANT text := 'bulkhead: tenant ' || current_setting('bulkhead.tenant');
	is_superuser CONSTANT boolean := (SELECT r.rolsuper FROM pg_roles AS r WHERE r.rolname = current_user);
BEGIN
	IF to_regrole(quote_ident(own)) IS NULL THEN
		EXECUTE format('CREATE ROLE %I LOGIN INHERIT NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE NOREPLICATION', own);
		EXECUTE format('COMMENT ON ROLE %I IS %L', own, mark);
	ELSIF shobj_description(to_regrole(quote_ident(own)), 'pg_authid') IS DISTINCT FROM mark THEN
		RAISE EXCEPTION 'there is a role "%" that was not made for this tenant', own
			USING ERRCODE = 'duplicate_object',
			      HINT = format('Drop it, or mark it as the tenant''s: COMMENT ON ROLE %I IS %L', own, mark);
	END IF;
	IF EXISTS (SELECT FROM pg_roles AS r WHERE r.rolname = own AND (r.rolsuper OR r.rolbypassrls OR r.rolcreatedb
	           OR r.rolcreaterole OR r.rolreplication OR NOT r.rolinherit OR NOT r.rolcanlogin)) THEN
		RAISE EXCEPTION 'role "%" has attributes that a tenant''s login must not have', own
			USING ERRCODE = 'invalid_role_specification';
	END IF;
	IF verifier <> '' THEN
		EXECUTE format('ALTER ROLE %I PASSWORD %L', own, verifier);
	END IF;

	IF grp = 'bulkhead_tenants' AND to_regrole(grp) IS NULL THEN
		BEGIN
			CREATE ROLE bulkhead_tenants NOLOGIN;
		EXCEPTION
			WHEN duplicate_object OR unique_violation THEN NULL; -- another job was faster
		END;
	END IF;
	IF grp <> '' AND NOT pg_has_role(own, grp, 'MEMBER') THEN
		EXECUTE format('GRANT %I TO %I', grp, own);
	END IF;
	-- What is made for the tenant is given to it, which takes a superuser or a member.
	IF NOT is_superuser AND NOT pg_has_role(current_user, own, 'USAGE') THEN
		EXECUTE format('GRANT %I TO %I', own, current_user);
	END IF;
END
$role$;
