-- What protect() cannot mend by itself and says as a WARNING.

CREATE OR REPLACE FUNCTION bulkhead.protection_warnings(relation regclass, tenant_column name)
	RETURNS SETOF text
	LANGUAGE sql STABLE
	BEGIN ATOMIC
		WITH tenant AS (
			SELECT t.attnum FROM pg_attribute AS t
			 WHERE t.attrelid = protection_warnings.relation AND t.attname = protection_warnings.tenant_column
		)
		-- Every statement filters by the tenant.
		SELECT format('table %s: no index starts with column "%s"', protection_warnings.relation,
		              protection_warnings.tenant_column)
		  FROM tenant
		 WHERE NOT EXISTS (SELECT FROM pg_index AS i
		                    WHERE i.indrelid = protection_warnings.relation AND i.indisvalid
		                      AND i.indpred IS NULL AND i.indkey[0] = tenant.attnum)
		UNION ALL
		-- A unique index over all tenants refuses a value because another tenant has it, and so tells of it.
		SELECT format('table %s: unique index %s leaves out column "%s": it tells one tenant about another''s values',
		              protection_warnings.relation, i.indexrelid::regclass, protection_warnings.tenant_column)
		  FROM pg_index AS i, tenant
		 WHERE i.indrelid = protection_warnings.relation AND (i.indisunique OR i.indisexclusion)
		   AND tenant.attnum <> ALL ((i.indkey::smallint[])[:i.indnkeyatts - 1]) -- behind those come INCLUDE's
		UNION ALL
		-- The server checks foreign keys and carries out their actions without row security.
		SELECT format('table %s: foreign key "%s" leaves out column "%s": it can point to another tenant''s row',
		              protection_warnings.relation, k.conname, protection_warnings.tenant_column)
		  FROM pg_constraint AS k, tenant
		 WHERE k.conrelid = protection_warnings.relation AND k.contype = 'f'
		   AND tenant.attnum <> ALL (k.conkey)
		UNION ALL
		SELECT format('table %s: its parent %s is not protected and shows its rows',
		              protection_warnings.relation, i.inhparent::regclass)
		  FROM pg_inherits AS i
		 WHERE i.inhrelid = protection_warnings.relation
		   AND NOT EXISTS (SELECT FROM pg_policy AS p
		                    WHERE p.polrelid = i.inhparent AND p.polname = 'bulkhead_tenant')
		UNION ALL
		-- A view reads with its owner's rights unless it says otherwise, a materialized view keeps all rows.
		SELECT DISTINCT CASE v.relkind
		         WHEN 'm' THEN format('table %s: materialized view %s holds the rows of all tenants',
		                              protection_warnings.relation, v.oid::regclass)
		         ELSE format('table %s: view %s reads it with its owner''s rights; ALTER VIEW %s SET (security_invoker = true)',
		                     protection_warnings.relation, v.oid::regclass, v.oid::regclass) END
		  FROM pg_depend AS d
		  JOIN pg_rewrite AS w ON d.classid = 'pg_rewrite'::regclass AND w.oid = d.objid
		  JOIN pg_class AS v ON v.oid = w.ev_class
		 WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = protection_warnings.relation
		   AND (v.relkind = 'm' OR (v.relkind = 'v'
		        AND NOT EXISTS (SELECT FROM pg_options_to_table(v.reloptions) AS o
		                         WHERE o.option_name = 'security_invoker'
		                           AND o.option_value IN ('true', 'on', 'yes', '1'))));
	END;
