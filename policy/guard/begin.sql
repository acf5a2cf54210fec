-- Runs first, in the installing transaction; what it sets ends with that transaction.
--
-- Four settings tell this and the other files what to do: bulkhead.guard ('sealed', or 'login': by tenants' own logins
-- alone, for servers where no superuser is to be had), bulkhead.pool_login (empty under 'login', which has none),
-- bulkhead.owner (empty when no role owns the application's tables yet) and bulkhead.hardening.

DO $superuser$
BEGIN
	IF (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname OPERATOR(pg_catalog.=) current_user) THEN
		-- Keys and verifiers are about to pass through here: neither the log nor an error text may show them.
		SET LOCAL log_statement = 'none';
		SET LOCAL log_min_duration_statement = -1;
		SET LOCAL log_min_duration_sample = -1;
		SET LOCAL log_transaction_sample_rate = 0;
		SET LOCAL log_min_error_statement = 'panic';
		SET LOCAL log_parameter_max_length = 0;
		SET LOCAL log_parameter_max_length_on_error = 0;
	ELSIF pg_catalog.current_setting('bulkhead.guard') OPERATOR(pg_catalog.<>) 'login' THEN
		RAISE EXCEPTION 'role "%" may not install the guard', current_user
			USING ERRCODE = 'insufficient_privilege',
			      DETAIL = 'The right to set "backtrace_functions" must be granted, and rights of PUBLIC on the '
			               'system''s functions be taken: both take a superuser.',
			      HINT = 'Connect as a superuser, or have one run the output of bulkhead init --print. Where no superuser '
			             'is to be had, --guard login gives every tenant a login of its own instead.';
	ELSIF NOT (SELECT rolcreaterole FROM pg_catalog.pg_roles WHERE rolname OPERATOR(pg_catalog.=) current_user)
	      OR NOT pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CREATE') THEN
		RAISE EXCEPTION 'role "%" may not install the guard', current_user
			USING ERRCODE = 'insufficient_privilege',
			      DETAIL = 'It takes a role with CREATEROLE that owns the database.';
	END IF;
END
$superuser$;

SET LOCAL client_min_messages = 'warning';
SET LOCAL check_function_bodies = on;
SET LOCAL row_security = on;
SET LOCAL search_path = pg_catalog, pg_temp;

DO $begin$
DECLARE
	this_version CONSTANT integer := 3;
	found_version integer;
	pool text := current_setting('bulkhead.pool_login');
	owner text := current_setting('bulkhead.owner');
	mode text := current_setting('bulkhead.guard');
	found_mode text;
	ours CONSTANT text[] := '{bulkhead_guard, bulkhead_app, bulkhead_control, bulkhead_admin, bulkhead_sidecar, bulkhead_api}';
BEGIN
	IF current_setting('server_version_num')::integer < 150000 THEN
		RAISE EXCEPTION 'the guard needs PostgreSQL 15 or later, this is %',
			current_setting('server_version');
	END IF;

	-- One installation at a time, and on the whole server, since roles are shared by its databases and catalogue
	-- rows do not queue for writers by themselves. Nobody who only reads, so no login, waits for this. Who is no
	-- superuser waits for others in this database alone.
	IF (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
		LOCK TABLE pg_authid IN SHARE ROW EXCLUSIVE MODE;
	END IF;
	PERFORM pg_advisory_xact_lock(7094695996560859493);

	IF current_setting('bulkhead.hardening') NOT IN ('standard', 'strict') THEN
		RAISE EXCEPTION 'hardening is standard or strict, not "%"', current_setting('bulkhead.hardening');
	END IF;

	IF mode NOT IN ('sealed', 'login') THEN
		RAISE EXCEPTION 'a guard is sealed or login, not "%"', mode;
	END IF;
	IF mode = 'login' THEN
		IF pool <> '' THEN
			RAISE EXCEPTION 'under tenants'' own logins there is no login of a pool';
		END IF;
	ELSIF pool = '' OR octet_length(pool) > 63 OR pool = ANY (ours) OR pool IN ('public', 'none')
	   OR pool ~ '^pg_' OR pool ~ '^t_[0-9a-f]{32}$' THEN
		RAISE EXCEPTION '"%" cannot be the pool''s login', pool
			USING HINT = 'Names of Bulkhead''s own roles, of PostgreSQL''s and of tenants'' logins are taken.';
	END IF;
	IF pool = owner AND pool <> '' THEN
		RAISE EXCEPTION 'role "%" cannot both own the tables and be the pool''s login', pool
			USING HINT = 'An owner can switch row security off: let another role own the tables.';
	END IF;
	IF owner = ANY (ours) THEN
		RAISE EXCEPTION 'role "%" cannot own the tables', owner
			USING HINT = 'Bulkhead''s own roles own nothing of the application''s.';
	END IF;
	IF owner <> '' AND NOT EXISTS (SELECT FROM pg_roles WHERE rolname = owner) THEN
		RAISE EXCEPTION 'role "%", which is to own the tables, does not exist', owner;
	END IF;

	IF to_regprocedure('bulkhead.guard_version()') IS NOT NULL THEN
		EXECUTE 'SELECT bulkhead.guard_version()' INTO found_version;
		IF found_version > this_version THEN
			RAISE EXCEPTION 'version % of the guard is installed here, this program brings version %',
				found_version, this_version
				USING HINT = 'Use a program that is as new as the guard.';
		END IF;
		-- Before version 3 there was no other.
		IF to_regprocedure('bulkhead.guard_mode()') IS NULL THEN
			found_mode := 'sealed';
		ELSE
			EXECUTE 'SELECT bulkhead.guard_mode()' INTO found_mode;
		END IF;
		IF found_mode = 'sealed' AND mode = 'login' THEN
			RAISE EXCEPTION 'the guard of this database is a sealed one, which stays'
				USING HINT = 'Tenants'' own logins work with it as it is. Without the seal nobody else could reach the '
				             'tables: to be rid of it, move the data to a database without it.';
		END IF;
		PERFORM set_config('bulkhead.found_guard', found_mode, true);
	END IF;
END
$begin$;
