-- Views, materialized views and rules that lead to protected tables. A view reads, and a rule acts, with the rights of
-- its owner, unless the view is a security_invoker's; a materialized view keeps all rows.

(WITH RECURSIVE reads AS MATERIALIZED (
	SELECT DISTINCT w.ev_class AS reader, d.refobjid AS source
	  FROM pg_rewrite AS w
	  JOIN pg_depend AS d ON d.classid = 'pg_rewrite'::regclass AND d.objid = w.oid AND d.refclassid = 'pg_class'::regclass
	 WHERE w.ev_type = '1' AND d.refobjid <> w.ev_class
),
derived (relation) AS (
	SELECT p.relation FROM protected AS p
	UNION
	SELECT e.reader FROM reads AS e JOIN derived AS d ON d.relation = e.source
),
-- What tenants are granted, and what they reach through views that read with their owners' rights.
exposed (relation) AS (
	SELECT o.relation FROM open AS o
	UNION
	SELECT e.source FROM exposed AS x JOIN relation AS r ON r.oid = x.relation AND r.kind = 'v' AND NOT r.invoker
	  JOIN reads AS e ON e.reader = x.relation
),
definer AS (
	SELECT v.oid, v.name, bool_or(v.bypassed OR s.kind = 'm' OR (s.owner = v.owner AND NOT s.forced)) AS sees_all
	  FROM relation AS v JOIN reads AS e ON e.reader = v.oid JOIN relation AS s ON s.oid = e.source
	 WHERE v.kind = 'v' AND NOT v.invoker
	   AND (s.oid IN (SELECT p.relation FROM protected AS p)
	        OR (s.kind = 'm' AND s.oid IN (SELECT d.relation FROM derived AS d)))
	 GROUP BY v.oid, v.name
)
SELECT 'definer-view', CASE WHEN NOT d.sees_all THEN 'notice' WHEN d.oid IN (SELECT x.relation FROM exposed AS x)
                            THEN 'critical' ELSE 'warning' END, d.name,
       CASE WHEN d.sees_all THEN 'The view reads protected tables with its owner''s rights, and row security does not bind '
                                 'those: it shows the rows of all tenants.'
            ELSE 'The view reads protected tables with its owner''s rights. Row security binds those now, and no longer when '
                 'the owner is given more.' END,
       format('ALTER VIEW %s SET (security_invoker = true);', d.name)
  FROM definer AS d
UNION ALL
SELECT 'materialized-view', 'critical', r.name,
       'The materialized view holds rows of protected tables, those of all tenants, and tenants may read it.',
       o.revoke
  FROM relation AS r JOIN open AS o ON o.relation = r.oid
 WHERE r.kind = 'm' AND r.oid IN (SELECT d.relation FROM derived AS d)
)
UNION ALL
SELECT DISTINCT 'definer-rule', CASE WHEN o.writable THEN 'warning' ELSE 'notice' END, format('%I on %s', w.rulename, r.name),
       'The rule reaches a protected table with the rights of the owner, which row security does not bind.',
       format('DROP RULE %I ON %s;', w.rulename, r.name)
  FROM pg_rewrite AS w
  JOIN relation AS r ON r.oid = w.ev_class
  JOIN pg_depend AS d ON d.classid = 'pg_rewrite'::regclass AND d.objid = w.oid AND d.refclassid = 'pg_class'::regclass
  JOIN protected AS p ON p.relation = d.refobjid
  LEFT JOIN open AS o ON o.relation = r.oid
 WHERE w.ev_type <> '1' AND d.refobjid <> w.ev_class AND r.bypassed AND NOT r.invoker
