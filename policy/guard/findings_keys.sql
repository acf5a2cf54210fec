-- Keys and indexes of protected tables. A partition's are its parent's.

-- A unique key over all tenants refuses a value because another tenant has it, and so tells of it.
(WITH wide AS MATERIALIZED (
	SELECT i.indexrelid, r.name AS table_name, x.relname AS index_name, p.attname, k.oid AS constraint_oid, k.conname,
	       m.amname, x.relkind = 'I' AS is_partitioned
	  FROM protected AS p
	  JOIN relation AS r ON r.oid = p.relation
	  JOIN pg_index AS i ON i.indrelid = p.relation AND (i.indisunique OR i.indisexclusion)
	  JOIN pg_class AS x ON x.oid = i.indexrelid AND NOT x.relispartition
	  JOIN pg_am AS m ON m.oid = x.relam
	  LEFT JOIN pg_constraint AS k ON k.conindid = i.indexrelid AND k.conrelid = i.indrelid AND k.contype IN ('p', 'u', 'x')
	 WHERE p.attnum <> ALL ((i.indkey::smallint[])[:i.indnkeyatts - 1]) -- behind those come INCLUDE's
)
SELECT 'unique-key', 'warning', format('%s on %s', w.indexrelid::regclass, w.table_name),
       format('The key leaves out column %I: it tells one tenant that another has a value.%s', w.attname,
              CASE WHEN EXISTS (SELECT FROM pg_constraint AS f WHERE f.conindid = w.indexrelid AND f.contype = 'f')
                   THEN ' Mend the foreign keys that refer to it first.' END),
       CASE WHEN w.constraint_oid IS NOT NULL THEN
		-- In a constraint's definition no name comes before the first parenthesis; the column goes behind it.
		format('ALTER TABLE %s DROP CONSTRAINT %I, ADD CONSTRAINT %I %s(%I%s, %s;', w.table_name, w.conname, w.conname,
		       split_part(definition.of_constraint, '(', 1), w.attname,
		       CASE WHEN definition.of_constraint LIKE 'EXCLUDE %' THEN ' WITH =' END,
		       substr(definition.of_constraint, strpos(definition.of_constraint, '(') + 1))
	   ELSE
		format(E'DROP INDEX %s;\nCREATE UNIQUE INDEX %I ON %s USING %I (%I, %s;', w.indexrelid::regclass, w.index_name,
		       w.table_name, w.amname, w.attname, substr(definition.of_index, 1 + length(definition.head)))
	   END
  FROM wide AS w
 CROSS JOIN LATERAL (SELECT pg_get_constraintdef(w.constraint_oid), pg_get_indexdef(w.indexrelid),
                            format('CREATE UNIQUE INDEX %I ON %s%s USING %I (', w.index_name,
                                   CASE WHEN w.is_partitioned THEN 'ONLY ' END, w.table_name, w.amname))
       AS definition (of_constraint, of_index, head)
)
UNION ALL
-- The server checks foreign keys, and carries out their actions, without row security.
(WITH reference AS MATERIALIZED (
	SELECT k.conrelid, k.confrelid, k.conname, k.condeferrable, k.condeferred, k.confupdtype, k.confdeltype,
	       child.name AS child_name, parent.name AS parent_name, p.attname AS child_tenant, q.attname AS parent_tenant,
	       a.atttypid = b.atttypid AS comparable, columns.child AS child_columns, columns.parent AS parent_columns,
	       set_columns.list AS set_columns,
	       EXISTS (SELECT FROM pg_index AS i
	                WHERE i.indrelid = k.confrelid AND i.indisunique AND i.indimmediate AND i.indpred IS NULL
	                  AND i.indnkeyatts = cardinality(k.confkey) + 1
	                  AND (i.indkey::smallint[])[:i.indnkeyatts - 1] @> (k.confkey || q.attnum::smallint)) AS has_key
	  FROM pg_constraint AS k
	  JOIN protected AS p ON p.relation = k.conrelid
	  JOIN protected AS q ON q.relation = k.confrelid
	  JOIN relation AS child ON child.oid = k.conrelid
	  JOIN relation AS parent ON parent.oid = k.confrelid
	  JOIN pg_attribute AS a ON a.attrelid = p.relation AND a.attnum = p.attnum
	  JOIN pg_attribute AS b ON b.attrelid = q.relation AND b.attnum = q.attnum
	 CROSS JOIN LATERAL (SELECT string_agg(quote_ident(mine.attname), ', ' ORDER BY n),
	                            string_agg(quote_ident(theirs.attname), ', ' ORDER BY n)
	                       FROM unnest(k.conkey, k.confkey) WITH ORDINALITY AS c (mine, theirs, n)
	                       JOIN pg_attribute AS mine ON mine.attrelid = k.conrelid AND mine.attnum = c.mine
	                       JOIN pg_attribute AS theirs ON theirs.attrelid = k.confrelid AND theirs.attnum = c.theirs)
	       AS columns (child, parent)
	 CROSS JOIN LATERAL (SELECT string_agg(quote_ident(mine.attname), ', ')
	                       FROM pg_attribute AS mine
	                      WHERE mine.attrelid = k.conrelid AND mine.attnum = ANY (coalesce(k.confdelsetcols, k.conkey)))
	       AS set_columns (list)
	 WHERE k.contype = 'f' AND k.conparentid = 0 AND p.attnum <> ALL (k.conkey)
)
SELECT 'foreign-key', 'warning', format('%I on %s', r.conname, r.child_name),
       format('The key leaves out column %I: a row can point to another tenant''s, and tells whether there is one.',
              r.child_tenant),
       CASE WHEN r.comparable AND NOT r.has_key
            THEN format(E'ALTER TABLE %s ADD UNIQUE (%I, %s);\n', r.parent_name, r.parent_tenant, r.parent_columns)
            ELSE '' END
       || format('ALTER TABLE %s DROP CONSTRAINT %I', r.child_name, r.conname)
       || CASE WHEN r.comparable THEN
			format(', ADD CONSTRAINT %I FOREIGN KEY (%I, %s) REFERENCES %s (%I, %s)%s%s%s', r.conname, r.child_tenant,
			       r.child_columns, r.parent_name, r.parent_tenant, r.parent_columns,
			       CASE r.confupdtype WHEN 'r' THEN ' ON UPDATE RESTRICT' WHEN 'c' THEN ' ON UPDATE CASCADE' END,
			       CASE r.confdeltype WHEN 'r' THEN ' ON DELETE RESTRICT' WHEN 'c' THEN ' ON DELETE CASCADE'
			            WHEN 'n' THEN format(' ON DELETE SET NULL (%s)', r.set_columns)
			            WHEN 'd' THEN format(' ON DELETE SET DEFAULT (%s)', r.set_columns) END,
			       CASE WHEN r.condeferred THEN ' DEFERRABLE INITIALLY DEFERRED' WHEN r.condeferrable THEN ' DEFERRABLE' END)
		  ELSE '' END || ';'
  FROM reference AS r
)
UNION ALL
-- Every statement filters by the tenant.
SELECT 'tenant-index', 'notice', r.name,
       format('No index starts with column %I, by which every statement filters.', p.attname),
       format('CREATE INDEX %sON %s (%I);', CASE r.kind WHEN 'r' THEN 'CONCURRENTLY ' END, r.name, p.attname)
  FROM protected AS p JOIN relation AS r ON r.oid = p.relation
 WHERE p.attname IS NOT NULL AND NOT r.is_partition
   AND NOT EXISTS (SELECT FROM pg_index AS i
                    WHERE i.indrelid = p.relation AND i.indisvalid AND i.indpred IS NULL AND i.indkey[0] = p.attnum)
