-- The guard's roles. Three that must never be one: bulkhead_guard owns the guard, the pool's login carries
-- the tenants' statements, and the application's owner owns the tables. bulkhead_app is the group that the
-- application's grants go to.

DO $roles$
DECLARE
	pool text := current_setting('bulkhead.pool_login');
	owner text := current_setting('bulkhead.owner');
	member name;
	grantor name;
	nothing CONSTANT text := 'NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE NOREPLICATION';
BEGIN
	IF to_regrole('bulkhead_guard') IS NULL THEN
		CREATE ROLE bulkhead_guard;
	END IF;
	EXECUTE 'ALTER ROLE bulkhead_guard NOLOGIN INHERIT ' || nothing;

	IF to_regrole('bulkhead_app') IS NULL THEN
		CREATE ROLE bulkhead_app;
	END IF;
	EXECUTE 'ALTER ROLE bulkhead_app NOLOGIN INHERIT ' || nothing;

	IF to_regrole(quote_ident(pool)) IS NULL THEN
		EXECUTE format('CREATE ROLE %I LOGIN INHERIT %s', pool, nothing);
	ELSIF (SELECT rolsuper FROM pg_roles WHERE rolname = pool) THEN
		RAISE EXCEPTION 'role "%" is a superuser and cannot be the pool''s login', pool;
	ELSE
		EXECUTE format('ALTER ROLE %I LOGIN INHERIT %s', pool, nothing);
	END IF;
	IF NOT pg_has_role(pool, 'bulkhead_app', 'USAGE') THEN
		EXECUTE format('GRANT bulkhead_app TO %I', pool);
	END IF;

	-- Under FORCE ROW LEVEL SECURITY an owner without BYPASSRLS sees only one tenant's rows or none, and
	-- its ALTER TABLE … ADD FOREIGN KEY would be marked valid without having seen all of them.
	IF owner <> '' AND NOT (SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = owner) THEN
		EXECUTE format('ALTER ROLE %I BYPASSRLS', owner);
	END IF;

	-- A guard that tenants' own logins did with was an administrator's, who may manage its role since PostgreSQL 16. The
	-- seal is not his.
	IF current_setting('bulkhead.found_guard', true) = 'login' THEN
		FOR member, grantor IN SELECT pg_get_userbyid(m.member), pg_get_userbyid(m.grantor) FROM pg_auth_members AS m
		                        WHERE m.roleid = to_regrole('bulkhead_guard') ORDER BY m.admin_option LOOP
			EXECUTE format('REVOKE bulkhead_guard FROM %I', member)
				|| CASE WHEN current_setting('server_version_num')::integer >= 160000
				        THEN format(' GRANTED BY %I', grantor) ELSE '' END;
		END LOOP;
	END IF;
END
$roles$;

GRANT SET ON PARAMETER backtrace_functions TO bulkhead_guard;
