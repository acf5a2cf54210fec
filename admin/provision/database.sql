-- A tenant's own database, copied from a template, becomes the tenant's: every schema of the application's with all in
-- it. The database itself stays the administrator's, since an owner could rename it or let others in; so do
-- extensions, which only a superuser may change.
--
-- One transaction: all of it is the tenant's, or nothing.

DO $database$
DECLARE
	own CONSTANT text := current_setting('bulkhead.own');
	statement text;
BEGIN
	FOR statement IN
		WITH space AS (
			SELECT n.oid, n.nspname FROM pg_namespace AS n
			 WHERE n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'bulkhead')
			   AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.classid = 'pg_namespace'::regclass
			                      AND d.objid = n.oid AND d.deptype = 'e')
		), thing (class, id, kind, name) AS (
			SELECT 'pg_class'::regclass, c.oid,
			       CASE c.relkind WHEN 'S' THEN 'SEQUENCE' WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW'
			                      WHEN 'c' THEN 'TYPE' WHEN 'f' THEN 'FOREIGN TABLE' ELSE 'TABLE' END,
			       c.oid::regclass::text
			  FROM pg_class AS c JOIN space AS s ON s.oid = c.relnamespace
			 WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'c', 'S')
			   -- What belongs to a column goes with its table.
			   AND NOT (c.relkind = 'S' AND EXISTS (SELECT FROM pg_depend AS d WHERE d.classid = 'pg_class'::regclass
			            AND d.objid = c.oid AND d.deptype IN ('a', 'i') AND d.refobjsubid > 0))
			UNION ALL
			SELECT 'pg_proc'::regclass, p.oid, 'ROUTINE', p.oid::regprocedure::text
			  FROM pg_proc AS p JOIN space AS s ON s.oid = p.pronamespace
			UNION ALL
			SELECT 'pg_type'::regclass, t.oid, 'TYPE', t.oid::regtype::text
			  FROM pg_type AS t JOIN space AS s ON s.oid = t.typnamespace
			 WHERE t.typtype IN ('e', 'd', 'r')
			UNION ALL
			SELECT 'pg_collation'::regclass, l.oid, 'COLLATION', format('%I.%I', s.nspname, l.collname)
			  FROM pg_collation AS l JOIN space AS s ON s.oid = l.collnamespace
			UNION ALL
			SELECT 'pg_statistic_ext'::regclass, x.oid, 'STATISTICS', format('%I.%I', s.nspname, x.stxname)
			  FROM pg_statistic_ext AS x JOIN space AS s ON s.oid = x.stxnamespace
		)
		SELECT format('ALTER SCHEMA %I OWNER TO %I', s.nspname, own) FROM space AS s
		UNION ALL
		SELECT format('ALTER %s %s OWNER TO %I', t.kind, t.name, own) FROM thing AS t
		 WHERE NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.classid = t.class AND d.objid = t.id AND d.deptype = 'e')
	LOOP
		EXECUTE statement;
	END LOOP;
END
$database$;
