-- Statements that delete the rows of one tenant from the tables that the guard's policy is on, those that refer to
-- others first: `batch` some thousand of one table's, to be repeated until none is left, `whole` those of all
-- tables at once. $1: the tenant's id; $2: its key, or NULL.

WITH RECURSIVE marked AS MATERIALIZED (
	SELECT c.oid, quote_ident(a.attname) AS tenant_column, base.typ AS type,
	       CASE WHEN pg_get_expr(p.polqual, p.polrelid) ~ '(tenant_key|canonical_|no_key)' THEN $2::text ELSE $1::text END AS value
	  FROM pg_policy AS p
	  -- What tenants can make themselves, tables of their own and temporary ones, is not shared whatever policy it has,
	  -- and what lies on it would run as an administrator.
	  JOIN pg_class AS c ON c.oid = p.polrelid AND c.relpersistence <> 't'
	  JOIN pg_roles AS o ON o.oid = c.relowner AND o.rolname !~ '^t_[0-9a-f]{32}$'
	 CROSS JOIN LATERAL (SELECT min(d.refobjsubid) FROM pg_depend AS d
	                      WHERE d.classid = 'pg_policy'::regclass AND d.objid = p.oid
	                        AND d.refclassid = 'pg_class'::regclass AND d.refobjid = p.polrelid
	                        AND d.refobjsubid > 0) AS found (attnum)
	  JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = found.attnum
	 CROSS JOIN LATERAL (
		WITH RECURSIVE based (oid) AS (
			SELECT a.atttypid
			UNION
			SELECT t.typbasetype FROM based JOIN pg_type AS t ON t.oid = based.oid AND t.typtype = 'd')
		SELECT t.oid::regtype FROM based JOIN pg_type AS t ON t.oid = based.oid AND t.typtype <> 'd') AS base (typ)
	 WHERE p.polname = 'bulkhead_tenant'
),
-- Rows that came through a protected parent are also in partitions that have no policy themselves yet.
below AS (
	SELECT m.* FROM marked AS m
	UNION
	SELECT i.inhrelid, b.tenant_column, b.type, b.value FROM below AS b JOIN pg_inherits AS i ON i.inhparent = b.oid
),
protected AS MATERIALIZED (
	SELECT b.oid, b.oid::regclass::text AS name, b.tenant_column, b.type, b.value
	  FROM below AS b JOIN pg_class AS c ON c.oid = b.oid AND c.relkind = 'r'
),
-- A key that is no value of the column's type, as the guard would have it, is in no row.
fitting AS MATERIALIZED (
	SELECT p.*, format('%s = %L::%s', p.tenant_column, p.value, p.type) AS is_tenants
	  FROM protected AS p
	 WHERE p.value IS NOT NULL AND CASE
		WHEN p.type IN ('smallint'::regtype, 'integer'::regtype, 'bigint'::regtype)
		THEN CASE WHEN p.value ~ '^(0|-?[1-9][0-9]{0,18})$'
		          THEN p.value::numeric BETWEEN -(CASE p.type WHEN 'smallint'::regtype THEN 32768 WHEN 'integer'::regtype
		                                                THEN 2147483648 ELSE 9223372036854775808 END)
		                                    AND (CASE p.type WHEN 'smallint'::regtype THEN 32767 WHEN 'integer'::regtype
		                                                THEN 2147483647 ELSE 9223372036854775807 END)
		          ELSE false END
		WHEN p.type = 'uuid'::regtype THEN p.value ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'
		ELSE true END
),
refers AS MATERIALIZED (
	SELECT DISTINCT k.conrelid AS oid, k.confrelid AS on_oid
	  FROM pg_constraint AS k
	 WHERE k.contype = 'f' AND k.conrelid <> k.confrelid
	   AND k.conrelid IN (SELECT f.oid FROM fitting AS f) AND k.confrelid IN (SELECT f.oid FROM fitting AS f)
),
-- How long the longest way from a table that nothing refers to.
reached (oid, level) AS (
	SELECT f.oid, 0 FROM fitting AS f
	UNION
	SELECT r.on_oid, e.level + 1 FROM reached AS e JOIN refers AS r ON r.oid = e.oid WHERE e.level < 100
)
SELECT format('DELETE FROM ONLY %1$s WHERE ctid = ANY (ARRAY(SELECT ctid FROM ONLY %1$s WHERE %2$s LIMIT 5000))', f.name, f.is_tenants) AS batch,
       format('WITH %s SELECT', string_agg(format('d%s AS (DELETE FROM ONLY %s WHERE %s)', f.oid, f.name, f.is_tenants), ', ') OVER ()) AS whole
  FROM fitting AS f
  JOIN (SELECT r.oid, max(r.level) AS level FROM reached AS r GROUP BY r.oid) AS placed ON placed.oid = f.oid
 ORDER BY placed.level, f.oid
