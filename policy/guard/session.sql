-- What a session holds beyond its transaction, asked by proxies that share its backend among clients.

-- Settings by name and value in turn, byte by byte, for those that SET would write in another way (search_path). The
-- seal is put back last: no setting of the caller's can take its place. Where tenants have logins of their own there is
-- none, and the guard may have no right to set one. It has no search_path of its own, which would
-- come back when it returns, so every name is qualified.
CREATE OR REPLACE PROCEDURE bulkhead.set_all(settings pg_catalog.text[])
	LANGUAGE plpgsql SECURITY DEFINER
AS $set_all$
DECLARE
	seal CONSTANT pg_catalog.text := pg_catalog.current_setting('backtrace_functions');
	place pg_catalog.int4 := 1;
BEGIN
	WHILE place OPERATOR(pg_catalog.<) pg_catalog.cardinality(set_all.settings) LOOP
		PERFORM pg_catalog.set_config(set_all.settings[place], set_all.settings[place OPERATOR(pg_catalog.+) 1], false);
		place := place OPERATOR(pg_catalog.+) 2;
	END LOOP;
	IF pg_catalog.current_setting('backtrace_functions') OPERATOR(pg_catalog.<>) seal THEN
		PERFORM pg_catalog.set_config('backtrace_functions', seal, false);
	END IF;
END
$set_all$;

-- RESET ALL that keeps the seal, then settings as a startup packet has them; proxies put it where a client wrote RESET
-- ALL. It has no search_path of its own either, which RESET ALL would change under its feet.
DROP PROCEDURE IF EXISTS bulkhead.reset_all();

CREATE OR REPLACE PROCEDURE bulkhead.reset_all(settings pg_catalog.text[] DEFAULT '{}')
	LANGUAGE plpgsql SECURITY DEFINER
AS $reset_all$
DECLARE
	seal CONSTANT pg_catalog.text := pg_catalog.current_setting('backtrace_functions');
BEGIN
	RESET ALL;
	IF seal OPERATOR(pg_catalog.<>) '' THEN
		PERFORM pg_catalog.set_config('backtrace_functions', seal, false);
	END IF;
	CALL bulkhead.set_all(reset_all.settings);
END
$reset_all$;

-- Which of these the session has, as a sum of bits; only those in `asked` are looked for:
-- 1 temporary tables, views, sequences, types or functions; 2 LISTEN; 4 a cursor WITH HOLD; 8 statements of PREPARE;
-- 16 advisory locks; 32 another role. To be called outside of a transaction block, where every cursor is one WITH HOLD.
CREATE OR REPLACE FUNCTION bulkhead.session_state(asked integer) RETURNS integer
	LANGUAGE plpgsql VOLATILE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $session_state$
DECLARE
	found integer := 0;
BEGIN
	IF asked & 1 <> 0 AND EXISTS (SELECT FROM pg_depend AS d
	                               WHERE d.refclassid = 'pg_namespace'::regclass AND d.refobjid = pg_my_temp_schema()) THEN
		found := found + 1;
	END IF;
	IF asked & 2 <> 0 AND EXISTS (SELECT FROM pg_listening_channels()) THEN
		found := found + 2;
	END IF;
	IF asked & 4 <> 0 AND EXISTS (SELECT FROM pg_cursor()) THEN
		found := found + 4;
	END IF;
	IF asked & 8 <> 0 AND EXISTS (SELECT FROM pg_prepared_statement() AS p WHERE p.from_sql) THEN
		found := found + 8;
	END IF;
	IF asked & 16 <> 0 AND EXISTS (SELECT FROM pg_lock_status() AS l
	                                WHERE l.locktype = 'advisory' AND l.pid = pg_backend_pid()) THEN
		found := found + 16;
	END IF;
	IF asked & 32 <> 0 AND current_setting('role') <> 'none' THEN
		found := found + 32;
	END IF;
	RETURN found;
END
$session_state$;

-- A setting's value where the session has set it, else NULL; not for custom settings. The unit is the setting's own.
-- It has no search_path of its own, which would be what it finds; its body was read when it was made.
CREATE OR REPLACE FUNCTION bulkhead.session_setting(name text) RETURNS text
	LANGUAGE sql STABLE SECURITY DEFINER
	BEGIN ATOMIC
		SELECT s.setting FROM pg_show_all_settings() AS s
		 WHERE s.source = 'session' AND lower(s.name) = session_setting.name AND s.name <> 'backtrace_functions';
	END;
