-- Tables: which hold tenants' rows without the guard's policy, and where the policy does not hold.

-- Names of tenant columns: those in use, or, as long as nothing is protected, the usual ones.
(WITH tenant_name (attname, by) AS MATERIALIZED (
	SELECT p.attname, min(p.by) FROM protected AS p WHERE p.attname IS NOT NULL GROUP BY p.attname
	UNION ALL
	SELECT u.attname, 'id' FROM usual_name AS u WHERE NOT EXISTS (SELECT FROM protected)
),
bare AS MATERIALIZED (
	SELECT DISTINCT ON (c.relation) c.relation, c.attname, CASE WHEN c.is_number THEN 'key' ELSE n.by END AS by
	  FROM fit_column AS c JOIN tenant_name AS n USING (attname)
	 WHERE c.relation NOT IN (SELECT k.relation FROM covered AS k)
	 ORDER BY c.relation, c.attname <> 'tenant_id', c.attname
)
SELECT 'unprotected-table', CASE WHEN o.relation IS NULL THEN 'warning' ELSE 'critical' END, r.name,
       format('Column %I seems to say whose each row is, and the guard''s policy is not on the table: %s', b.attname,
              CASE WHEN o.relation IS NULL THEN 'whoever is granted it has the rows of all tenants.'
                   ELSE 'each tenant has the rows of all.' END),
       format('SELECT bulkhead.protect(%L, %L%s);', r.name, b.attname,
              CASE b.by WHEN 'key' THEN ', by => ''key''' END)
  FROM bare AS b JOIN relation AS r ON r.oid = b.relation LEFT JOIN open AS o USING (relation)
 WHERE r.kind IN ('r', 'p')
   AND b.relation NOT IN (SELECT i.inhrelid FROM pg_inherits AS i JOIN bare AS parent ON parent.relation = i.inhparent)
UNION ALL
-- No row security holds on a foreign table, of whatever kind.
SELECT 'foreign-table', CASE WHEN b.relation IS NULL AND h.relation IS NULL THEN 'warning' ELSE 'critical' END, r.name,
       'Tenants reach a foreign table: row security does not work on it, and the other server sees one login.',
       o.revoke
  FROM relation AS r JOIN open AS o ON o.relation = r.oid
  LEFT JOIN bare AS b ON b.relation = r.oid
  LEFT JOIN (SELECT DISTINCT heir.relation FROM heir) AS h ON h.relation = r.oid
 WHERE r.kind = 'f'
UNION ALL
SELECT CASE WHEN o.writable THEN 'shared-table-writable' ELSE 'shared-table' END,
       CASE WHEN o.writable THEN 'warning' ELSE 'notice' END, r.name,
       CASE WHEN o.writable THEN 'No column says whose a row is, and tenants write the table: what one writes, all others '
                                 'read or lose.'
            ELSE 'All tenants read all rows of it. That is right if no row is a tenant''s own.' END,
       coalesce(o.revoke_writing, o.revoke)
  FROM relation AS r JOIN open AS o ON o.relation = r.oid
 WHERE r.kind IN ('r', 'p')
   AND r.oid NOT IN (SELECT b.relation FROM bare AS b) AND r.oid NOT IN (SELECT c.relation FROM covered AS c)
   AND NOT EXISTS (SELECT FROM pg_constraint AS k JOIN protected AS p ON p.relation = k.confrelid
                    WHERE k.conrelid = r.oid AND k.contype = 'f')
UNION ALL
-- Rows that belong to a tenant's row, and say so by a foreign key only. One key is enough to find the tenant by.
(SELECT DISTINCT ON (r.oid) 'unprotected-child', CASE WHEN o.relation IS NULL THEN 'warning' ELSE 'critical' END, r.name,
       format('Its rows belong to rows of the protected table %s, and no column of its own says whose they are: %s',
              k.confrelid::regclass,
              CASE WHEN o.relation IS NULL THEN 'whoever is granted it has the rows of all tenants.'
                   ELSE 'each tenant has the rows of all.' END),
       format(E'ALTER TABLE %s ADD COLUMN %I %s;\nUPDATE %s AS child SET %I = parent.%I FROM %s AS parent WHERE %s;\n'
              'SELECT bulkhead.protect(%L, %L%s);', r.name, p.attname, format_type(a.atttypid, a.atttypmod),
              r.name, p.attname, p.attname, k.confrelid::regclass, pair.condition, r.name, p.attname,
              CASE p.by WHEN 'key' THEN ', by => ''key''' END)
  FROM relation AS r
  JOIN pg_constraint AS k ON k.conrelid = r.oid AND k.contype = 'f'
  JOIN protected AS p ON p.relation = k.confrelid
  JOIN pg_attribute AS a ON a.attrelid = p.relation AND a.attnum = p.attnum
  LEFT JOIN open AS o ON o.relation = r.oid
 CROSS JOIN LATERAL (SELECT string_agg(format('child.%I = parent.%I', mine.attname, theirs.attname), ' AND ' ORDER BY n)
                       FROM unnest(k.conkey, k.confkey) WITH ORDINALITY AS c (mine, theirs, n)
                       JOIN pg_attribute AS mine ON mine.attrelid = k.conrelid AND mine.attnum = c.mine
                       JOIN pg_attribute AS theirs ON theirs.attrelid = k.confrelid AND theirs.attnum = c.theirs)
       AS pair (condition)
 WHERE r.kind IN ('r', 'p')
   AND r.oid NOT IN (SELECT b.relation FROM bare AS b) AND r.oid NOT IN (SELECT c.relation FROM covered AS c)
   AND NOT EXISTS (SELECT FROM pg_inherits AS i WHERE i.inhrelid = r.oid)
 ORDER BY r.oid, k.conname)
)
UNION ALL
-- A parent's policy does not hold for who names the partition or the child itself.
SELECT 'unprotected-partition', CASE WHEN o.relation IS NULL THEN 'warning' ELSE 'critical' END, r.name,
       'It is a partition or child of a protected table and has no policy of its own; the parent''s does not hold for '
       'statements that name it.',
       format('SELECT bulkhead.protect(%L, %L%s);', r.name, min(h.attname), CASE min(h.by) WHEN 'key' THEN ', by => ''key''' END)
  FROM heir AS h JOIN relation AS r ON r.oid = h.relation LEFT JOIN open AS o ON o.relation = r.oid
 WHERE r.kind IN ('r', 'p') AND r.oid NOT IN (SELECT p.relation FROM protected AS p)
 GROUP BY r.name, o.relation
UNION ALL
SELECT 'policy-missing', CASE WHEN o.relation IS NULL THEN 'warning' ELSE 'critical' END, r.name,
       format('Column %I takes its default from the guard, and the policy is gone: whoever reaches the table has the rows '
              'of all tenants.', x.attname),
       format('SELECT bulkhead.protect(%L, %L%s);', r.name, x.attname, CASE x.by WHEN 'key' THEN ', by => ''key''' END)
  FROM orphan AS x JOIN relation AS r ON r.oid = x.relation LEFT JOIN open AS o USING (relation)
UNION ALL
SELECT 'policy-altered', 'critical', r.name,
       'The policy bulkhead_tenant is not the one that protect makes, so it may let other tenants'' rows through.',
       format('SELECT bulkhead.protect(%L, %L%s);', r.name, coalesce(x.attname, p.attname, 'tenant_id'),
              CASE WHEN p.by = 'key' OR f.is_number THEN ', by => ''key''' END)
  FROM protected AS p JOIN relation AS r ON r.oid = p.relation
  LEFT JOIN LATERAL (SELECT a.attname FROM pg_attrdef AS d JOIN pg_attribute AS a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
                      WHERE d.adrelid = p.relation AND pg_get_expr(d.adbin, d.adrelid) LIKE '%bulkhead.tenant\_%'
                      LIMIT 1) AS x ON true
  LEFT JOIN fit_column AS f ON f.relation = p.relation AND f.attname = coalesce(x.attname, p.attname)
 WHERE p.is_altered
UNION ALL
SELECT 'row-security-off', 'critical', r.name,
       'Row security is switched off on the table, so its policies mean nothing.',
       format('ALTER TABLE ONLY %s ENABLE ROW LEVEL SECURITY;', r.name)
  FROM protected AS p JOIN relation AS r ON r.oid = p.relation WHERE NOT r.secured
UNION ALL
SELECT 'row-security-not-forced', 'warning', r.name,
       'Row security is not forced: what runs with the owner''s rights, as views and SECURITY DEFINER functions do, has '
       'the rows of all tenants.',
       format('ALTER TABLE ONLY %s FORCE ROW LEVEL SECURITY;', r.name)
  FROM protected AS p JOIN relation AS r ON r.oid = p.relation WHERE NOT r.forced
UNION ALL
-- Silently empty, which is never right.
SELECT 'no-permissive-policy', 'warning', r.name,
       'Only restrictive policies are left on the table: it looks empty to every tenant.',
       format('CREATE POLICY bulkhead_rows ON %s FOR ALL TO PUBLIC USING (true) WITH CHECK (true);', r.name)
  FROM protected AS p JOIN relation AS r ON r.oid = p.relation
 WHERE NOT EXISTS (SELECT FROM pg_policy AS y WHERE y.polrelid = p.relation AND y.polpermissive)
