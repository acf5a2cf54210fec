-- Opens the login of a tenant that is being purged once more, with a password that was drawn for that.

DO $purge_open$
BEGIN
	EXECUTE format('ALTER ROLE %I LOGIN PASSWORD %L', current_setting('bulkhead.own'), current_setting('bulkhead.verifier'));
END
$purge_open$;
