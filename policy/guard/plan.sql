-- What is to be done with each table of role $1, by column $2, which holds what $3 says ('id', 'key' or NULL for what its
-- type says): protect, or nothing, and why. A partition or child goes with its parent.
own AS MATERIALIZED (
	SELECT r.oid, r.name, p.relation IS NOT NULL AS is_protected, p.attname AS attname_now, p.by AS by_now, p.is_altered,
	       c.attnum, t.name AS tenants_owner, c.attname IS NOT NULL AS is_fit,
	       any_column.type, CASE WHEN $3 IS NOT NULL THEN $3 WHEN c.is_number THEN 'key'
	                             WHEN any_column.type = 'uuid' THEN 'id' END AS by,
	       c.is_number AND $3 = 'id' AS is_misread
	  FROM relation AS r
	  JOIN pg_roles AS o ON o.oid = r.owner AND o.rolname = $1
	  LEFT JOIN protected AS p ON p.relation = r.oid
	  LEFT JOIN fit_column AS c ON c.relation = r.oid AND c.attname = $2
	  LEFT JOIN tenant AS t ON t.oid = r.owner
	 CROSS JOIN LATERAL (SELECT min(format_type(a.atttypid, a.atttypmod)) FROM pg_attribute AS a
	                      WHERE a.attrelid = r.oid AND a.attname = $2 AND NOT a.attisdropped) AS any_column (type)
	 WHERE r.kind IN ('r', 'p') AND NOT r.is_partition
	   AND NOT EXISTS (SELECT FROM pg_inherits AS i JOIN pg_attribute AS a ON a.attrelid = i.inhparent
	                    WHERE i.inhrelid = r.oid AND a.attname = $2)
),
below (root, relation) AS (
	SELECT o.oid, o.oid FROM own AS o
	UNION
	SELECT b.root, i.inhrelid FROM below AS b JOIN pg_inherits AS i ON i.inhparent = b.relation
),
family AS MATERIALIZED (
	SELECT b.root, bool_and(p.relation IS NOT NULL AND NOT p.is_altered AND r.secured AND r.forced) AS is_done,
	       min(r.name) FILTER (WHERE r.kind = 'f') AS foreign_table
	  FROM below AS b JOIN relation AS r ON r.oid = b.relation LEFT JOIN protected AS p ON p.relation = b.relation
	 GROUP BY b.root
),
judged AS MATERIALIZED (
	SELECT o.oid, o.name, o.attnum, o.by, family.is_done,
	       CASE WHEN o.tenants_owner IS NOT NULL THEN format('it belongs to %s, which tenants'' statements run as', o.tenants_owner)
	            WHEN o.type IS NULL THEN format('it has no column %I', $2::text)
	            WHEN NOT o.is_fit THEN format('its column %I, of type %s, cannot name a tenant', $2::text, o.type)
	            WHEN o.is_misread THEN format('its column %I, of type %s, cannot hold a tenant''s id', $2::text, o.type)
	            WHEN o.by IS NULL THEN format('its column %I, of type %s, may hold the id or the key: say --by', $2::text, o.type)
	            WHEN o.is_protected AND NOT o.is_altered AND (o.attname_now, o.by_now) IS DISTINCT FROM ($2::name, o.by)
	            THEN format('it is protected by the %s in column %I', o.by_now, o.attname_now)
	            WHEN family.foreign_table IS NOT NULL
	            THEN format('its part %s is a foreign table, on which row security does not work', family.foreign_table)
	       END AS obstacle
	  FROM own AS o JOIN family ON family.root = o.oid
),
planned AS MATERIALIZED (
	SELECT j.oid AS relation, j.attnum, $2::name AS attname, j.by FROM judged AS j WHERE j.obstacle IS NULL AND NOT j.is_done
)
