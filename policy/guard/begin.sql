-- Runs first, in the installing transaction; what it sets ends with that transaction.
--
-- Three settings tell this and the other files what to do: bulkhead.pool_login, bulkhead.owner (empty when
-- no role owns the application's tables yet) and bulkhead.hardening.

-- Keys and verifiers are about to pass through here: neither the log nor an error text may show them.
SET LOCAL log_statement = 'none';
SET LOCAL log_min_duration_statement = -1;
SET LOCAL log_min_duration_sample = -1;
SET LOCAL log_transaction_sample_rate = 0;
SET LOCAL log_min_error_statement = 'panic';
SET LOCAL log_parameter_max_length = 0;
SET LOCAL log_parameter_max_length_on_error = 0;

SET LOCAL client_min_messages = 'warning';
SET LOCAL check_function_bodies = on;
SET LOCAL row_security = on;
SET LOCAL search_path = pg_catalog, pg_temp;

DO $begin$
DECLARE
	this_version CONSTANT integer := 1;
	found_version integer;
	pool text := current_setting('bulkhead.pool_login');
	owner text := current_setting('bulkhead.owner');
BEGIN
	-- One installation at a time: catalogue rows do not queue for writers by themselves.
	PERFORM pg_advisory_xact_lock(hashtextextended('bulkhead.guard', 0));

	IF current_setting('server_version_num')::integer < 150000 THEN
		RAISE EXCEPTION 'the sealed context needs PostgreSQL 15 or later, this is %',
			current_setting('server_version');
	END IF;
	IF NOT has_parameter_privilege(current_user, 'backtrace_functions', 'SET WITH GRANT OPTION') THEN
		RAISE EXCEPTION 'role "%" may not install the guard', current_user
			USING ERRCODE = 'insufficient_privilege',
			      DETAIL = 'The right to set "backtrace_functions" must be granted, which takes a superuser.',
			      HINT = 'Connect as a superuser, or have one run the output of bulkhead init --print.';
	END IF;
	IF current_setting('bulkhead.hardening') NOT IN ('standard', 'strict') THEN
		RAISE EXCEPTION 'hardening is standard or strict, not "%"', current_setting('bulkhead.hardening');
	END IF;

	IF pool = '' OR octet_length(pool) > 63 OR pool IN ('bulkhead_guard', 'bulkhead_app', 'public', 'none')
	   OR pool ~ '^pg_' OR pool ~ '^t_[0-9a-f]{32}$' THEN
		RAISE EXCEPTION '"%" cannot be the pool''s login', pool
			USING HINT = 'Names of the guard''s own roles, of PostgreSQL''s and of tenants'' logins are taken.';
	END IF;
	IF pool = owner THEN
		RAISE EXCEPTION 'role "%" cannot both own the tables and be the pool''s login', pool
			USING HINT = 'An owner can switch row security off: let another role own the tables.';
	END IF;
	IF owner <> '' AND to_regrole(quote_ident(owner)) IS NULL THEN
		RAISE EXCEPTION 'role "%", which is to own the tables, does not exist', owner;
	END IF;

	IF to_regprocedure('bulkhead.guard_version()') IS NOT NULL THEN
		EXECUTE 'SELECT bulkhead.guard_version()' INTO found_version;
		IF found_version > this_version THEN
			RAISE EXCEPTION 'version % of the guard is installed here, this program brings version %',
				found_version, this_version
				USING HINT = 'Use a program that is as new as the guard.';
		END IF;
	END IF;
END
$begin$;
