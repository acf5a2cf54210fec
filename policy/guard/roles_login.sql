-- The guard's roles where tenants have logins of their own: bulkhead_guard owns the guard, bulkhead_app is the group that
-- the application's grants go to and that tenants' logins are members of, and the application's owner owns the tables.
-- What only a superuser may say of a role, NOSUPERUSER for one, is looked up and not said.

DO $roles$
DECLARE
	owner text := current_setting('bulkhead.owner');
	role_name text;
	r pg_roles;
	newer CONSTANT boolean := current_setting('server_version_num')::integer >= 160000;
BEGIN
	FOREACH role_name IN ARRAY '{bulkhead_guard, bulkhead_app}'::text[] LOOP
		IF to_regrole(role_name) IS NULL THEN
			EXECUTE format('CREATE ROLE %I', role_name);
		END IF;
		SELECT * INTO r FROM pg_roles WHERE rolname = role_name;
		IF r.rolsuper OR r.rolbypassrls OR r.rolreplication OR r.rolcreatedb OR r.rolcreaterole THEN
			RAISE EXCEPTION 'role "%" has rights that it must not have', role_name
				USING HINT = format('ALTER ROLE %I NOSUPERUSER NOBYPASSRLS NOCREATEROLE NOCREATEDB NOREPLICATION', role_name);
		END IF;
		IF r.rolcanlogin OR NOT r.rolinherit THEN
			EXECUTE format('ALTER ROLE %I NOLOGIN INHERIT', role_name);
		END IF;
	END LOOP;

	-- To make things that are the guard's, until the end of this transaction. Since PostgreSQL 16 whoever makes a role
	-- may manage it, and must say that he wants to act as it; before, whoever may create roles manages all.
	IF NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
		BEGIN
			EXECUTE format('GRANT bulkhead_guard TO %I', current_user)
				|| CASE WHEN newer THEN ' WITH INHERIT TRUE, SET TRUE' ELSE '' END;
		EXCEPTION WHEN insufficient_privilege THEN
			RAISE EXCEPTION 'role "%" may not act as bulkhead_guard, which another administrator made', current_user
				USING HINT = format('Let that one run this, or say GRANT bulkhead_guard, bulkhead_app TO %I WITH ADMIN OPTION.',
				                    current_user);
		END;
	END IF;

	-- Under FORCE ROW LEVEL SECURITY an owner without BYPASSRLS is bound like anybody else.
	IF owner <> '' AND NOT (SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = owner) THEN
		BEGIN
			EXECUTE format('ALTER ROLE %I BYPASSRLS', owner);
		EXCEPTION WHEN insufficient_privilege THEN
			RAISE WARNING 'role "%" owns the tables and cannot be given BYPASSRLS here. It is no tenant and sees none of their rows: its statements on protected tables end with BH001.', owner
				USING DETAIL = 'Migrations that only define things are not concerned. One that reads or writes rows, or adds a '
				               'foreign key, must see all rows.',
				      HINT = 'Let such a migration say ALTER TABLE … NO FORCE ROW LEVEL SECURITY before, and FORCE ROW LEVEL '
				             'SECURITY after it, in one transaction; or have somebody who may say ALTER ROLE … BYPASSRLS.';
		END;
	END IF;
END
$roles$;
