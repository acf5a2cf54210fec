-- Ends the sessions that hold, or wait for, the lock of a tenant's jobs and are not the administrator's: tenants can
-- take any advisory lock of their database.

DO $unlock$
DECLARE
	wanted CONSTANT bigint := hashtextextended('bulkhead.job:' || current_setting('bulkhead.tenant'), 0);
BEGIN
	PERFORM pg_terminate_backend(a.pid, 5000)
	   FROM pg_locks AS l JOIN pg_stat_get_activity(NULL) AS a ON a.pid = l.pid
	  WHERE l.locktype = 'advisory' AND l.objsubid = 1
	    AND l.database = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database())
	    AND l.classid::bigint << 32 | l.objid::bigint = wanted
	    AND a.usesysid <> (SELECT r.oid FROM pg_roles AS r WHERE r.rolname = session_user);
EXCEPTION
	WHEN insufficient_privilege THEN NULL; -- it stays, and the job is tried again
END
$unlock$;
