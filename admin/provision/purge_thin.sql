-- Drops some hundred of the things that the tenant's login owns in this database, those made last first: DROP OWNED
-- takes a lock for each thing, of a table of locks that is the whole server's, and a tenant can make more than there
-- is room for. What something else holds on to is left for a later turn, or for DROP OWNED to complain of.
-- bulkhead.thinned says how many went.

DO $purge_thin$
DECLARE
	own CONSTANT text := current_setting('bulkhead.own');
	thing record;
	gone integer := 0;
BEGIN
	FOR thing IN
		SELECT o.type, o.identity, s.objid
		  FROM (SELECT d.classid, d.objid FROM pg_shdepend AS d
		         WHERE d.dbid = (SELECT b.oid FROM pg_database AS b WHERE b.datname = current_database())
		           AND d.refclassid = 'pg_authid'::regclass AND d.refobjid = to_regrole(own) AND d.deptype = 'o'
		           AND d.classid IN ('pg_class'::regclass, 'pg_proc'::regclass, 'pg_type'::regclass, 'pg_largeobject'::regclass)
		         ORDER BY d.objid DESC LIMIT 300) AS s
		 CROSS JOIN LATERAL pg_identify_object(s.classid, s.objid, 0) AS o
	LOOP
		BEGIN
			IF thing.type = 'large object' THEN
				PERFORM lo_unlink(thing.objid);
			ELSIF thing.type IN ('table', 'view', 'materialized view', 'foreign table', 'sequence', 'function', 'procedure', 'type') THEN
				EXECUTE format('DROP %s %s', thing.type, thing.identity);
			ELSE
				CONTINUE;
			END IF;
			gone := gone + 1;
		EXCEPTION
			-- It belongs to another, or went with another.
			WHEN dependent_objects_still_exist OR undefined_table OR undefined_function OR undefined_object THEN NULL;
		END;
	END LOOP;
	PERFORM set_config('bulkhead.thinned', gone::text, false);
END
$purge_thin$;
