-- The tables that the guard's policy is on, and by which column; the partitions and children that come under them.

-- What the right side of the policy's comparison may be, as pg_get_expr writes it: what protect() makes now, with
-- the calls written out, and what it made before, with the calls.
tenant_text (id, key) AS (
	VALUES ($$COALESCE(NULLIF("left"(current_setting('backtrace_functions'::text), 32), ''::text), bulkhead.no_context())$$,
	        $$COALESCE(NULLIF(convert_from(decode(substr(current_setting('backtrace_functions'::text), 34), 'hex'::text), 'UTF8'::name), ''::text), bulkhead.no_key())$$)
),
expected (written, by) AS MATERIALIZED (
	SELECT format(' = ( SELECT %s AS %s))', e.expression, e.label), e.by
	  FROM tenant_text AS t,
	       LATERAL (VALUES
		(format('(%s)::uuid', t.id), '"coalesce"', 'id'),
		(format('((%s)::uuid)::text', t.id), '"coalesce"', 'id'),
		('bulkhead.tenant_id()', 'tenant_id', 'id'),
		('(bulkhead.tenant_id())::text', 'tenant_id', 'id'),
		(format('bulkhead.canonical_uuid(%s)', t.key), 'canonical_uuid', 'key'),
		(format($$bulkhead.canonical_number(%s, 'bigint'::text, '9223372036854775807'::bigint)$$, t.key), 'canonical_number', 'key'),
		(format($$(bulkhead.canonical_number(%s, 'integer'::text, (2147483647)::bigint))::integer$$, t.key), 'canonical_number', 'key'),
		(format($$(bulkhead.canonical_number(%s, 'smallint'::text, (32767)::bigint))::smallint$$, t.key), 'canonical_number', 'key'),
		('bulkhead.tenant_key()', 'tenant_key', 'key'),
		('bulkhead.tenant_key_uuid()', 'tenant_key_uuid', 'key'),
		('bulkhead.tenant_key_bigint()', 'tenant_key_bigint', 'key'),
		('bulkhead.tenant_key_integer()', 'tenant_key_integer', 'key'),
		('bulkhead.tenant_key_smallint()', 'tenant_key_smallint', 'key')) AS e (expression, label, by)
),
-- The column that the policy hangs on. A policy of that name that hangs on none is still the guard's, altered.
policy AS MATERIALIZED (
	SELECT p.oid, p.polrelid AS relation, c.attnum, a.attname,
	       p.polcmd = '*' AND NOT p.polpermissive AND p.polroles = '{0}' AS for_all,
	       sha256(convert_to(format('%s %s', p.polqual, p.polwithcheck), 'UTF8')) AS digest
	  FROM pg_policy AS p
	 CROSS JOIN LATERAL (SELECT min(d.refobjsubid) FROM pg_depend AS d
	                      WHERE d.classid = 'pg_policy'::regclass AND d.objid = p.oid
	                        AND d.refclassid = 'pg_class'::regclass AND d.refobjid = p.polrelid
	                        AND d.refobjsubid > 0) AS c (attnum)
	  LEFT JOIN pg_attribute AS a ON a.attrelid = p.polrelid AND a.attnum = c.attnum
	 WHERE p.polname = 'bulkhead_tenant'
),
-- Thousands of tables share a few expressions, and writing one out takes long.
written AS MATERIALIZED (
	SELECT sample.attname, sample.digest, quote_ident(sample.attname) AS column_text,
	       pg_get_expr(p.polqual, p.polrelid) AS reading, pg_get_expr(p.polwithcheck, p.polrelid) AS writing
	  FROM (SELECT y.attname, y.digest, min(y.oid) AS oid FROM policy AS y GROUP BY y.attname, y.digest) AS sample
	  JOIN pg_policy AS p ON p.oid = sample.oid
),
understood AS MATERIALIZED (
	SELECT w.attname, w.digest, e.by, w.reading = w.writing AS is_symmetric
	  FROM written AS w
	 CROSS JOIN LATERAL (SELECT max(side.written)
	                       FROM unnest(ARRAY[w.column_text, format('(%s)::text', w.column_text),
	                                         format('(%s)::uuid', w.column_text), format('(%s)::bigint', w.column_text),
	                                         format('(%s)::integer', w.column_text),
	                                         format('(%s)::smallint', w.column_text)]) AS side (written)
	                      WHERE starts_with(w.reading, '(' || side.written || ' = ')) AS side (written)
	  JOIN expected AS e ON e.written = substr(w.reading, 2 + length(side.written))
),
protected AS MATERIALIZED (
	SELECT p.relation, p.attnum, p.attname, coalesce(u.by, 'id') AS by,
	       (p.for_all AND u.is_symmetric) IS NOT TRUE AS is_altered
	  FROM policy AS p
	  LEFT JOIN understood AS u ON u.attname = p.attname AND u.digest = p.digest
),
heir (relation, attname, by) AS (
	SELECT i.inhrelid, p.attname, p.by FROM pg_inherits AS i JOIN protected AS p ON p.relation = i.inhparent
	UNION
	SELECT i.inhrelid, h.attname, h.by FROM pg_inherits AS i JOIN heir AS h ON h.relation = i.inhparent
),
-- Columns that have the guard's default where the policy is gone.
orphan (relation, attname, by) AS MATERIALIZED (
	SELECT DISTINCT ON (d.adrelid) d.adrelid, a.attname, CASE WHEN p.proname ~ 'key' THEN 'key' ELSE 'id' END
	  FROM pg_proc AS p
	  JOIN pg_depend AS x ON x.refclassid = 'pg_proc'::regclass AND x.refobjid = p.oid
	                         AND x.classid = 'pg_attrdef'::regclass
	  JOIN pg_attrdef AS d ON d.oid = x.objid
	  JOIN pg_attribute AS a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
	 WHERE p.pronamespace = to_regnamespace('bulkhead') AND p.proname LIKE 'tenant\_%'
	   AND d.adrelid NOT IN (SELECT p.relation FROM protected AS p)
	   AND d.adrelid NOT IN (SELECT h.relation FROM heir AS h)
	 ORDER BY d.adrelid, d.adnum
),
covered (relation) AS MATERIALIZED (
	SELECT p.relation FROM protected AS p UNION SELECT h.relation FROM heir AS h UNION SELECT o.relation FROM orphan AS o
)
