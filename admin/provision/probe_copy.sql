-- What the template has and the tenant's schema lacks, or the other way round: kinds and names of tables, views,
-- sequences and functions. $1: the template; $2: the tenant's schema.

WITH thing (schema, kind, name) AS (
	SELECT n.nspname, c.relkind::text, c.relname::text
	  FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
	UNION ALL
	SELECT n.nspname, 'function', p.proname::text
	  FROM pg_catalog.pg_proc AS p JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
)
SELECT format('%s has no %s (%s)', $2, coalesce(a.name, b.name), coalesce(a.kind, b.kind))
  FROM (SELECT kind, name, count(*) FROM thing WHERE schema = $1 GROUP BY kind, name) AS a
  FULL JOIN (SELECT kind, name, count(*) FROM thing WHERE schema = $2 GROUP BY kind, name) AS b USING (kind, name, count)
 WHERE a.name IS NULL OR b.name IS NULL
 LIMIT 5
