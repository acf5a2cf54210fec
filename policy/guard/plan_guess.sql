-- By which columns the tables of role $1 could be protected, and how many have each. What is in use there already is
-- better than the usual names.
SELECT c.attname, count(*) FROM fit_column AS c
  JOIN relation AS r ON r.oid = c.relation JOIN pg_roles AS o ON o.oid = r.owner AND o.rolname = $1
 WHERE NOT r.is_partition
   AND CASE WHEN EXISTS (SELECT FROM protected AS p JOIN relation AS s ON s.oid = p.relation AND s.owner = o.oid)
            THEN c.attname IN (SELECT p.attname FROM protected AS p JOIN relation AS s ON s.oid = p.relation AND s.owner = o.oid)
            ELSE c.attname IN (SELECT u.attname FROM usual_name AS u) END
 GROUP BY c.attname ORDER BY count(*) DESC, c.attname
