-- Copies the template, a schema of the operator's, into the tenant's new and empty schema: all that pg_dump would show
-- of it, and the rows of tables whose comment has the word @bulkhead:rows.
--
-- The template's objects are written as statements with search_path at the template, so that PostgreSQL writes the
-- names in it without a schema; the statements run with search_path at the new schema. They are put in an order in
-- which each comes behind what it depends on (pg_depend). What cannot be copied is refused before anything is made,
-- with its name; and at the end nothing of the copy may depend on the template.
--
-- What everything belongs to in the end is the tenant's login; grants to others go along, but for those to groups
-- that other tenants' logins are in.

DO $clone$
DECLARE
	own CONSTANT text := current_setting('bulkhead.own');
	template CONSTANT text := current_setting('bulkhead.template');
	space CONSTANT oid := to_regnamespace(quote_ident(template));
	space_owner oid;
	fault text;
	statements text[];
	statement text;
BEGIN
	IF template = '' OR current_setting('bulkhead.made')::boolean THEN
		RETURN;
	END IF;
	IF space IS NULL THEN
		RAISE EXCEPTION 'there is no schema "%", which template_schema names', template
			USING ERRCODE = 'invalid_schema_name';
	END IF;
	SELECT n.nspowner INTO space_owner FROM pg_namespace AS n WHERE n.oid = space;
	PERFORM set_config('search_path', quote_ident(template), true);

	-- Neither half of a migration may be seen: it locks its mark first, and so does this. What changes tables without
	-- one is waited for as well, and waits.
	FOR statement IN SELECT format('LOCK TABLE ONLY %s IN %s MODE', c.oid::regclass,
	                               CASE c.relname WHEN 'bulkhead_migration' THEN 'SHARE' ELSE 'ACCESS SHARE' END)
	                   FROM pg_class AS c WHERE c.relnamespace = space AND c.relkind IN ('r', 'p')
	                  ORDER BY c.relname <> 'bulkhead_migration', c.oid LOOP
		EXECUTE statement;
	END LOOP;

	-- ---- what cannot be copied

	WITH shared (name) AS (
		SELECT trim(s) FROM regexp_split_to_table(current_setting('bulkhead.shared_schemas'), ',') AS s
		UNION ALL
		SELECT unnest(ARRAY[template, 'pg_catalog', 'pg_toast', 'information_schema', 'bulkhead'])
	),
	-- The members of the schema, with what they use elsewhere found in one list of dependencies.
	member (class, id) AS (
		SELECT 'pg_class'::regclass::oid, oid FROM pg_class WHERE relnamespace = space
		UNION ALL SELECT 'pg_proc'::regclass, oid FROM pg_proc WHERE pronamespace = space
		UNION ALL SELECT 'pg_type'::regclass, oid FROM pg_type WHERE typnamespace = space
		UNION ALL SELECT 'pg_constraint'::regclass, oid FROM pg_constraint WHERE connamespace = space
		UNION ALL SELECT 'pg_attrdef'::regclass, d.oid FROM pg_attrdef AS d JOIN pg_class AS c ON c.oid = d.adrelid
		           WHERE c.relnamespace = space
		UNION ALL SELECT 'pg_rewrite'::regclass, r.oid FROM pg_rewrite AS r JOIN pg_class AS c ON c.oid = r.ev_class
		           WHERE c.relnamespace = space
		UNION ALL SELECT 'pg_trigger'::regclass, t.oid FROM pg_trigger AS t JOIN pg_class AS c ON c.oid = t.tgrelid
		           WHERE c.relnamespace = space
		UNION ALL SELECT 'pg_policy'::regclass, p.oid FROM pg_policy AS p JOIN pg_class AS c ON c.oid = p.polrelid
		           WHERE c.relnamespace = space
	),
	elsewhere (class, id, schema) AS (
		SELECT 'pg_class'::regclass::oid, c.oid, c.relnamespace FROM pg_class AS c
		UNION ALL SELECT 'pg_proc'::regclass, p.oid, p.pronamespace FROM pg_proc AS p
		UNION ALL SELECT 'pg_type'::regclass, t.oid, t.typnamespace FROM pg_type AS t
		UNION ALL SELECT 'pg_operator'::regclass, o.oid, o.oprnamespace FROM pg_operator AS o
		UNION ALL SELECT 'pg_collation'::regclass, l.oid, l.collnamespace FROM pg_collation AS l
		UNION ALL SELECT 'pg_opclass'::regclass, o.oid, o.opcnamespace FROM pg_opclass AS o
	),
	refusal (what) AS (
		SELECT pg_describe_object('pg_class'::regclass, c.oid, 0) || ': foreign tables are not copied'
		  FROM pg_class AS c WHERE c.relnamespace = space AND c.relkind = 'f'
		UNION ALL
		SELECT pg_describe_object('pg_class'::regclass, c.oid, 0) || ': tables of a type (OF) are not copied'
		  FROM pg_class AS c WHERE c.relnamespace = space AND c.reloftype <> 0
		UNION ALL
		SELECT pg_describe_object('pg_proc'::regclass, p.oid, 0) || ': aggregates are not copied'
		  FROM pg_proc AS p WHERE p.pronamespace = space AND p.prokind = 'a'
		UNION ALL
		SELECT pg_describe_object('pg_type'::regclass, t.oid, 0) || ': range and base types are not copied'
		  FROM pg_type AS t WHERE t.typnamespace = space AND (t.typtype = 'r' OR t.typtype = 'b' AND t.typelem = 0)
		UNION ALL
		SELECT pg_describe_object(o.class, o.id, 0) || ': operators, and what belongs to them, are not copied'
		  FROM (SELECT 'pg_operator'::regclass, oid FROM pg_operator WHERE oprnamespace = space
		        UNION ALL SELECT 'pg_opfamily'::regclass, oid FROM pg_opfamily WHERE opfnamespace = space
		        UNION ALL SELECT 'pg_conversion'::regclass, oid FROM pg_conversion WHERE connamespace = space
		        UNION ALL SELECT 'pg_ts_config'::regclass, oid FROM pg_ts_config WHERE cfgnamespace = space
		        UNION ALL SELECT 'pg_ts_dict'::regclass, oid FROM pg_ts_dict WHERE dictnamespace = space
		       ) AS o (class, id)
		UNION ALL
		SELECT format('extension %I is in the schema: an extension is there once in a database; move it to a schema of '
		              'its own, and share that one', e.extname)
		  FROM pg_extension AS e WHERE e.extnamespace = space
		UNION ALL
		SELECT 'default privileges of the schema are not copied'
		  FROM pg_default_acl AS d WHERE d.defaclnamespace = space
		UNION ALL
		SELECT format('%s depends on %s, of a schema that shared_schemas does not name',
		              pg_describe_object(m.class, m.id, 0), pg_describe_object(e.class, e.id, 0))
		  FROM member AS m
		  JOIN pg_depend AS d ON d.classid = m.class AND d.objid = m.id
		  JOIN elsewhere AS e ON e.class = d.refclassid AND e.id = d.refobjid
		  JOIN pg_namespace AS n ON n.oid = e.schema
		 WHERE n.nspname NOT IN (SELECT s.name FROM shared AS s)
		UNION ALL
		-- Text that is read when it runs: that it names its own schema can only be seen in it.
		SELECT format('%s names its schema in its text; leave "%s." out, search_path will lead to it',
		              pg_describe_object('pg_proc'::regclass, p.oid, 0), template)
		  FROM pg_proc AS p
		 WHERE p.pronamespace = space AND p.prosqlbody IS NULL
		   AND p.prosrc ~* ('(^|[^[:alnum:]_$."])"?' || regexp_replace(template, '([^[:alnum:]_])', '\\\1', 'g') || '"?\s*\.')
	)
	SELECT min(r.what) || CASE WHEN count(*) > 1 THEN format(' (and %s more)', count(*) - 1) ELSE '' END INTO fault
	  FROM refusal AS r HAVING count(*) > 0;
	IF fault IS NOT NULL THEN
		RAISE EXCEPTION 'template "%" cannot be copied: %', template, fault USING ERRCODE = 'feature_not_supported';
	END IF;

	-- ---- statements

	WITH RECURSIVE
	relation AS MATERIALIZED (
		SELECT c.*, c.oid::regclass::text AS name,
		       CASE c.relkind WHEN 'S' THEN 'SEQUENCE' WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW'
		                      WHEN 'c' THEN 'TYPE' WHEN 'i' THEN 'INDEX' WHEN 'I' THEN 'INDEX' ELSE 'TABLE' END AS kind
		  FROM pg_class AS c WHERE c.relnamespace = space AND c.relkind IN ('r', 'p', 'v', 'm', 'c', 'S', 'i', 'I')
	),
	-- Sequences that belong to a column: deptype i those of identity, a those of OWNED BY.
	owned_sequence AS MATERIALIZED (
		SELECT d.objid AS sequence, d.refobjid AS relation, d.refobjsubid AS attnum, d.deptype
		  FROM pg_depend AS d JOIN relation AS s ON s.oid = d.objid AND s.relkind = 'S'
		 WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjsubid > 0
		   AND d.deptype IN ('a', 'i')
	),
	sequence_text AS MATERIALIZED (
		SELECT q.seqrelid, format('INCREMENT BY %s MINVALUE %s MAXVALUE %s START WITH %s CACHE %s%s', q.seqincrement,
		                          q.seqmin, q.seqmax, q.seqstart, q.seqcache, CASE WHEN q.seqcycle THEN ' CYCLE' ELSE '' END) AS options,
		       format_type(q.seqtypid, NULL) AS type
		  FROM pg_sequence AS q JOIN relation AS r ON r.oid = q.seqrelid
	),
	column_of AS MATERIALIZED (
		SELECT a.*, r.relkind, r.name AS relation_name, quote_ident(a.attname) AS name,
		       pg_get_expr(d.adbin, d.adrelid) AS default_text, d.oid AS default_oid, t.typstorage, t.typcollation
		  FROM relation AS r
		  JOIN pg_attribute AS a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
		  JOIN pg_type AS t ON t.oid = a.atttypid
		  LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
		 WHERE r.relkind NOT IN ('S', 'i', 'I')
	),
	columns AS MATERIALIZED (
		SELECT c.attrelid, string_agg(
			format('%s %s%s%s%s%s', c.name, format_type(c.atttypid, c.atttypmod),
			       CASE WHEN c.attcollation <> 0 AND c.attcollation <> c.typcollation
			            THEN ' COLLATE ' || c.attcollation::regcollation ELSE '' END,
			       CASE c.attcompression WHEN 'p' THEN ' COMPRESSION pglz' WHEN 'l' THEN ' COMPRESSION lz4' ELSE '' END,
			       CASE WHEN c.attgenerated = 's' THEN format(' GENERATED ALWAYS AS (%s) STORED', c.default_text)
			            WHEN c.attgenerated <> '' THEN format(' GENERATED ALWAYS AS (%s) VIRTUAL', c.default_text)
			            WHEN c.attidentity <> '' THEN format(' GENERATED %s AS IDENTITY (SEQUENCE NAME %s %s)',
			                 CASE c.attidentity WHEN 'a' THEN 'ALWAYS' ELSE 'BY DEFAULT' END,
			                 s.sequence::regclass, q.options)
			            ELSE '' END,
			       CASE WHEN c.attnotnull THEN ' NOT NULL' ELSE '' END),
			', ' ORDER BY c.attnum) AS list
		  FROM column_of AS c
		  LEFT JOIN owned_sequence AS s ON s.relation = c.attrelid AND s.attnum = c.attnum AND s.deptype = 'i'
		  LEFT JOIN sequence_text AS q ON q.seqrelid = s.sequence
		 WHERE c.attislocal AND c.relkind IN ('r', 'p', 'c')
		 GROUP BY c.attrelid
	),
	parents AS MATERIALIZED (
		SELECT i.inhrelid, string_agg(i.inhparent::regclass::text, ', ' ORDER BY i.inhseqno) AS list
		  FROM pg_inherits AS i JOIN relation AS r ON r.oid = i.inhrelid GROUP BY i.inhrelid
	),
	options AS MATERIALIZED (
		SELECT r.oid, string_agg(format('%s=%L', split_part(o.text, '=', 1), substr(o.text, strpos(o.text, '=') + 1)), ', ') AS list
		  FROM relation AS r
		  LEFT JOIN pg_class AS toast ON toast.oid = r.reltoastrelid
		 CROSS JOIN LATERAL (SELECT unnest(r.reloptions) UNION ALL SELECT 'toast.' || unnest(toast.reloptions)) AS o (text)
		 GROUP BY r.oid
	),
	cons AS MATERIALIZED (
		SELECT k.*, quote_ident(k.conname) AS name, coalesce(r.name, t.oid::regtype::text) AS on_name, r.relkind
		  FROM pg_constraint AS k
		  LEFT JOIN relation AS r ON r.oid = k.conrelid
		  LEFT JOIN pg_type AS t ON t.oid = k.contypid AND t.typnamespace = space
		 WHERE (r.oid IS NOT NULL OR t.oid IS NOT NULL) AND k.contype IN ('p', 'u', 'x', 'c', 'f')
		   AND (k.contype <> 'c' OR k.conislocal OR k.contypid <> 0) AND (k.contype <> 'f' OR k.conparentid = 0)
	),
	-- Every object once: what it is made by, in which part (what others depend on; rows; what rows should not meet),
	-- and in what order among those that nothing else orders.
	node (class, id, part, rank, statement) AS MATERIALIZED (
		SELECT 'pg_type'::regclass::oid, t.oid, 1, 1,
		       CASE t.typtype
		       WHEN 'e' THEN format('CREATE TYPE %I AS ENUM (%s)', t.typname,
		            (SELECT string_agg(quote_literal(e.enumlabel), ', ' ORDER BY e.enumsortorder) FROM pg_enum AS e WHERE e.enumtypid = t.oid))
		       ELSE format('CREATE DOMAIN %I AS %s%s%s%s', t.typname, format_type(t.typbasetype, t.typtypmod),
		            CASE WHEN t.typcollation <> b.typcollation THEN ' COLLATE ' || t.typcollation::regcollation ELSE '' END,
		            ' DEFAULT ' || pg_get_expr(t.typdefaultbin, 0),
		            CASE WHEN t.typnotnull THEN ' NOT NULL' ELSE '' END)
		       END
		  FROM pg_type AS t LEFT JOIN pg_type AS b ON b.oid = t.typbasetype
		 WHERE t.typnamespace = space AND t.typtype IN ('e', 'd')
		UNION ALL
		SELECT 'pg_collation'::regclass, l.oid, 1, 0, format('CREATE COLLATION %I FROM %I.%I', l.collname, template, l.collname)
		  FROM pg_collation AS l WHERE l.collnamespace = space
		UNION ALL
		SELECT 'pg_class'::regclass, r.oid, 1, 3,
		       CASE r.relkind
		       WHEN 'c' THEN format('CREATE TYPE %I AS (%s)', r.relname, c.list)
		       WHEN 'S' THEN format('CREATE %sSEQUENCE %I AS %s %s', CASE r.relpersistence WHEN 'u' THEN 'UNLOGGED ' ELSE '' END,
		            r.relname, q.type, q.options)
		       WHEN 'v' THEN format('CREATE VIEW %I%s AS %s', r.relname, ' WITH (' || o.list || ')', pg_get_viewdef(r.oid))
		       WHEN 'm' THEN format('CREATE MATERIALIZED VIEW %I%s%s AS %s WITH NO DATA', r.relname,
		            CASE WHEN am.amname <> 'heap' THEN format(' USING %I', am.amname) END,
		            ' WITH (' || o.list || ')', rtrim(pg_get_viewdef(r.oid), ';'))
		       ELSE format('CREATE %sTABLE %I %s%s%s%s%s', CASE r.relpersistence WHEN 'u' THEN 'UNLOGGED ' ELSE '' END, r.relname,
		            CASE WHEN r.relispartition THEN format('PARTITION OF %s %s', i.list, pg_get_expr(r.relpartbound, r.oid))
		                 ELSE format('(%s)', c.list) END,
		            CASE WHEN NOT r.relispartition THEN ' INHERITS (' || i.list || ')' END,
		            ' PARTITION BY ' || pg_get_partkeydef(r.oid),
		            CASE WHEN am.amname <> 'heap' THEN format(' USING %I', am.amname) END,
		            ' WITH (' || o.list || ')')
		       END
		  FROM relation AS r
		  LEFT JOIN columns AS c ON c.attrelid = r.oid
		  LEFT JOIN parents AS i ON i.inhrelid = r.oid
		  LEFT JOIN options AS o ON o.oid = r.oid
		  LEFT JOIN sequence_text AS q ON q.seqrelid = r.oid
		  LEFT JOIN pg_am AS am ON am.oid = r.relam
		 WHERE r.relkind NOT IN ('i', 'I')
		   AND r.oid NOT IN (SELECT s.sequence FROM owned_sequence AS s WHERE s.deptype = 'i')
		UNION ALL
		-- pg_get_functiondef always writes the schema, behind words that are known.
		SELECT 'pg_proc'::regclass, p.oid, 1, 2, format('CREATE %s %s', k.word, substr(pg_get_functiondef(p.oid),
		            length(format('CREATE OR REPLACE %s %I.', k.word, template)) + 1))
		  FROM pg_proc AS p,
		       LATERAL (SELECT CASE p.prokind WHEN 'p' THEN 'PROCEDURE' ELSE 'FUNCTION' END) AS k (word)
		 WHERE p.pronamespace = space AND p.prokind IN ('f', 'p', 'w')
		UNION ALL
		SELECT 'pg_attrdef'::regclass, c.default_oid, 1, 5,
		       format('ALTER TABLE ONLY %s ALTER COLUMN %s SET DEFAULT %s', c.relation_name, c.name, c.default_text)
		  FROM column_of AS c WHERE c.default_oid IS NOT NULL AND c.attgenerated = ''
		UNION ALL
		SELECT 'pg_constraint'::regclass, k.oid, CASE k.contype WHEN 'f' THEN 3 ELSE 1 END, CASE k.contype WHEN 'c' THEN 4 WHEN 'f' THEN 2 ELSE 6 END,
		       format('ALTER %s %s ADD CONSTRAINT %s %s', CASE WHEN k.contypid <> 0 THEN 'DOMAIN' WHEN k.contype IN ('p', 'u', 'x')
		              THEN 'TABLE ONLY' ELSE 'TABLE' END, k.on_name, k.name, pg_get_constraintdef(k.oid))
		  FROM cons AS k
		UNION ALL
		-- Written with its columns on one line, and without the table's schema.
		SELECT 'pg_class'::regclass, r.oid, 1, 7, pg_get_indexdef(r.oid, 0, true)
		  FROM relation AS r JOIN pg_index AS x ON x.indexrelid = r.oid
		 WHERE r.relkind IN ('i', 'I') AND NOT EXISTS (SELECT FROM cons AS k WHERE k.conindid = r.oid AND k.contype IN ('p', 'u', 'x'))
		UNION ALL
		SELECT 'pg_statistic_ext'::regclass, x.oid, 1, 8, 'CREATE STATISTICS ' ||
		       substr(pg_get_statisticsobjdef(x.oid), length(format('CREATE STATISTICS %I.', template)) + 1)
		  FROM pg_statistic_ext AS x WHERE x.stxnamespace = space
		UNION ALL
		SELECT 'pg_trigger'::regclass, t.oid, 3, 4, pg_get_triggerdef(t.oid, true)
		  FROM pg_trigger AS t JOIN relation AS r ON r.oid = t.tgrelid WHERE NOT t.tgisinternal AND t.tgparentid = 0
		UNION ALL
		SELECT 'pg_policy'::regclass, p.oid, 3, 5,
		       format('CREATE POLICY %I ON %s AS %s FOR %s TO %s%s%s', p.polname, r.name,
		              CASE WHEN p.polpermissive THEN 'PERMISSIVE' ELSE 'RESTRICTIVE' END,
		              CASE p.polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE' WHEN 'd' THEN 'DELETE' ELSE 'ALL' END,
		              (SELECT string_agg(CASE role WHEN 0 THEN 'PUBLIC' WHEN space_owner THEN quote_ident(own)
		                                 ELSE quote_ident(pg_get_userbyid(role)) END, ', ') FROM unnest(p.polroles) AS role),
		              ' USING (' || pg_get_expr(p.polqual, p.polrelid) || ')',
		              ' WITH CHECK (' || pg_get_expr(p.polwithcheck, p.polrelid) || ')')
		  FROM pg_policy AS p JOIN relation AS r ON r.oid = p.polrelid
		UNION ALL
		SELECT 'pg_rewrite'::regclass, w.oid, 3, 6, pg_get_ruledef(w.oid, true)
		  FROM pg_rewrite AS w JOIN relation AS r ON r.oid = w.ev_class WHERE w.rulename <> '_RETURN'
	),
	-- Objects that come with a node, or are one.
	alias (class, id, node_class, node_id) AS MATERIALIZED (
		SELECT n.class, n.id, n.class, n.id FROM node AS n
		UNION ALL
		SELECT 'pg_type'::regclass, t.oid, 'pg_class'::regclass, t.typrelid FROM pg_type AS t
		 WHERE t.typnamespace = space AND t.typrelid <> 0
		UNION ALL
		SELECT 'pg_type'::regclass, t.oid,
		       CASE WHEN e.typrelid <> 0 THEN 'pg_class'::regclass ELSE 'pg_type'::regclass END,
		       CASE WHEN e.typrelid <> 0 THEN e.typrelid ELSE e.oid END
		  FROM pg_type AS t JOIN pg_type AS e ON e.typarray = t.oid WHERE t.typnamespace = space
		UNION ALL
		SELECT 'pg_rewrite'::regclass, w.oid, 'pg_class'::regclass, w.ev_class
		  FROM pg_rewrite AS w JOIN relation AS r ON r.oid = w.ev_class WHERE w.rulename = '_RETURN'
		UNION ALL
		SELECT 'pg_class'::regclass, k.conindid, 'pg_constraint'::regclass, k.oid
		  FROM cons AS k WHERE k.contype IN ('p', 'u', 'x')
		UNION ALL
		SELECT 'pg_attrdef'::regclass, c.default_oid, 'pg_class'::regclass, c.attrelid
		  FROM column_of AS c WHERE c.attgenerated <> ''
		UNION ALL
		SELECT 'pg_class'::regclass, s.sequence, 'pg_class'::regclass, s.relation
		  FROM owned_sequence AS s WHERE s.deptype = 'i'
	),
	edge (class, id, on_class, on_id) AS MATERIALIZED (
		SELECT DISTINCT a.node_class, a.node_id, b.node_class, b.node_id
		  FROM alias AS a
		  JOIN pg_depend AS d ON d.classid = a.class AND d.objid = a.id
		  JOIN alias AS b ON b.class = d.refclassid AND b.id = d.refobjid
		 WHERE (a.node_class, a.node_id) <> (b.node_class, b.node_id)
	),
	-- How long the longest way to it is; nothing is a thousand steps away from what it needs.
	reached (class, id, level) AS (
		SELECT n.class, n.id, 0 FROM node AS n
		UNION
		SELECT e.class, e.id, r.level + 1 FROM reached AS r JOIN edge AS e ON e.on_class = r.class AND e.on_id = r.id
		 WHERE r.level < 1000
	),
	placed (class, id, part, level, rank, statement) AS MATERIALIZED (
		SELECT n.class, n.id, n.part, max(r.level), n.rank, n.statement
		  FROM node AS n JOIN reached AS r USING (class, id) GROUP BY n.class, n.id, n.part, n.rank, n.statement
	),
	-- How COMMENT, ALTER and GRANT call an object.
	called (class, id, kind, name) AS MATERIALIZED (
		SELECT 'pg_class'::regclass::oid, r.oid, r.kind, r.name FROM relation AS r
		UNION ALL
		SELECT 'pg_type'::regclass, t.oid, CASE t.typtype WHEN 'd' THEN 'DOMAIN' ELSE 'TYPE' END, t.oid::regtype::text
		  FROM pg_type AS t WHERE t.typnamespace = space AND t.typtype IN ('e', 'd')
		UNION ALL
		SELECT 'pg_proc'::regclass, p.oid, CASE p.prokind WHEN 'p' THEN 'PROCEDURE' ELSE 'FUNCTION' END,
		       format('%I(%s)', p.proname, pg_get_function_identity_arguments(p.oid))
		  FROM pg_proc AS p WHERE p.pronamespace = space
		UNION ALL
		SELECT 'pg_collation'::regclass, l.oid, 'COLLATION', quote_ident(l.collname) FROM pg_collation AS l WHERE l.collnamespace = space
		UNION ALL
		SELECT 'pg_statistic_ext'::regclass, x.oid, 'STATISTICS', quote_ident(x.stxname) FROM pg_statistic_ext AS x WHERE x.stxnamespace = space
		UNION ALL
		SELECT 'pg_constraint'::regclass, k.oid, 'CONSTRAINT',
		       format('%s ON %s%s', k.name, CASE WHEN k.contypid <> 0 THEN 'DOMAIN ' ELSE '' END, k.on_name) FROM cons AS k
		UNION ALL
		SELECT 'pg_trigger'::regclass, t.oid, 'TRIGGER', format('%I ON %s', t.tgname, r.name)
		  FROM pg_trigger AS t JOIN relation AS r ON r.oid = t.tgrelid
		UNION ALL
		SELECT 'pg_policy'::regclass, p.oid, 'POLICY', format('%I ON %s', p.polname, r.name)
		  FROM pg_policy AS p JOIN relation AS r ON r.oid = p.polrelid
		UNION ALL
		SELECT 'pg_rewrite'::regclass, w.oid, 'RULE', format('%I ON %s', w.rulename, r.name)
		  FROM pg_rewrite AS w JOIN relation AS r ON r.oid = w.ev_class
		UNION ALL
		SELECT 'pg_namespace'::regclass, space, 'SCHEMA', quote_ident(own)
	),
	with_rows AS MATERIALIZED (
		SELECT r.oid, r.name, r.relname,
		       (SELECT string_agg(c.name, ', ' ORDER BY c.attnum) FROM column_of AS c WHERE c.attrelid = r.oid AND c.attgenerated = '') AS list
		  FROM relation AS r
		 WHERE r.relkind IN ('r', 'p')
		   -- What migrations have run here is said by a table of the template's.
		   AND (obj_description(r.oid, 'pg_class') ~ '@bulkhead:rows\M' OR r.relname = 'bulkhead_migration')
	),
	granted (kind, name, columns, owner, is_default, item) AS MATERIALIZED (
		SELECT CASE r.relkind WHEN 'S' THEN 'SEQUENCE' WHEN 'c' THEN 'TYPE' ELSE 'TABLE' END, r.name, NULL, r.relowner, false, r.relacl
		  FROM relation AS r WHERE r.relacl IS NOT NULL
		UNION ALL
		SELECT 'TABLE', c.relation_name, c.name, r.relowner, false, c.attacl
		  FROM column_of AS c JOIN relation AS r ON r.oid = c.attrelid WHERE c.attacl IS NOT NULL
		UNION ALL
		SELECT 'ROUTINE', n.name, NULL, p.proowner, true, p.proacl
		  FROM pg_proc AS p JOIN called AS n ON n.class = 'pg_proc'::regclass AND n.id = p.oid WHERE p.proacl IS NOT NULL
		UNION ALL
		SELECT 'TYPE', t.oid::regtype::text, NULL, t.typowner, true, t.typacl
		  FROM pg_type AS t WHERE t.typnamespace = space AND t.typacl IS NOT NULL AND (t.typtype IN ('e', 'd') OR t.typrelid IN (
		        SELECT r.oid FROM relation AS r WHERE r.relkind = 'c'))
		UNION ALL
		SELECT 'SCHEMA', quote_ident(own), NULL, n.nspowner, false, n.nspacl FROM pg_namespace AS n WHERE n.oid = space
	),
	every (part, level, rank, id, statement) AS (
		SELECT p.part, p.level, p.rank, p.id, p.statement FROM placed AS p
		UNION ALL
		SELECT 1, p.level, p.rank + 1, p.id, format('ALTER SEQUENCE %s OWNED BY %s.%I', s.sequence::regclass, s.relation::regclass, a.attname)
		  FROM owned_sequence AS s
		  JOIN placed AS p ON p.class = 'pg_class'::regclass AND p.id = s.sequence
		  JOIN pg_attribute AS a ON a.attrelid = s.relation AND a.attnum = s.attnum
		 WHERE s.deptype = 'a'
		UNION ALL
		-- An index of a partition is a part of its parent's.
		SELECT 1, p.level, p.rank + 1, p.id, format('ALTER INDEX %s ATTACH PARTITION %s', i.inhparent::regclass, i.inhrelid::regclass)
		  FROM pg_inherits AS i
		  JOIN relation AS r ON r.oid = i.inhrelid AND r.relkind IN ('i', 'I')
		  JOIN alias AS a ON a.class = 'pg_class'::regclass AND a.id = i.inhrelid
		  JOIN placed AS p ON p.class = a.node_class AND p.id = a.node_id
		UNION ALL
		SELECT 2, 0, 0, w.oid, format('INSERT INTO %s (%s) OVERRIDING SYSTEM VALUE SELECT %2$s FROM %3$I.%4$I', w.name, w.list, template, w.relname)
		  FROM with_rows AS w WHERE w.list IS NOT NULL
		UNION ALL
		SELECT 2, 1, 0, s.sequence, format('SELECT setval(%L, last_value, is_called) FROM %I.%I', r.name, template, r.relname)
		  FROM owned_sequence AS s JOIN with_rows AS w ON w.oid = s.relation JOIN relation AS r ON r.oid = s.sequence
		UNION ALL
		SELECT 4, 0, 0, c.attrelid, format('ALTER TABLE ONLY %s ALTER COLUMN %s SET NOT NULL', c.relation_name, c.name)
		  FROM column_of AS c WHERE c.relkind IN ('r', 'p') AND NOT c.attislocal AND c.attnotnull
		UNION ALL
		SELECT 4, 0, 1, c.attrelid, format('ALTER %s ONLY %s ALTER COLUMN %s SET STORAGE %s',
		       'TABLE', c.relation_name, c.name,
		       CASE c.attstorage WHEN 'p' THEN 'PLAIN' WHEN 'e' THEN 'EXTERNAL' WHEN 'm' THEN 'MAIN' ELSE 'EXTENDED' END)
		  FROM column_of AS c WHERE c.relkind IN ('r', 'p', 'm') AND c.attstorage <> c.typstorage
		UNION ALL
		SELECT 4, 0, 1, c.attrelid, format('ALTER TABLE ONLY %s ALTER COLUMN %s SET STATISTICS %s', c.relation_name, c.name, c.attstattarget)
		  FROM column_of AS c WHERE c.relkind IN ('r', 'p', 'm') AND c.attstattarget >= 0
		UNION ALL
		SELECT 4, 0, 1, c.attrelid, format('ALTER TABLE ONLY %s ALTER COLUMN %s SET (%s)', c.relation_name, c.name, array_to_string(c.attoptions, ', '))
		  FROM column_of AS c WHERE c.relkind IN ('r', 'p', 'm') AND c.attoptions IS NOT NULL
		UNION ALL
		SELECT 4, 0, 2, k.oid, format('ALTER INDEX %s SET (%s)', k.conindid::regclass, o.list)
		  FROM cons AS k JOIN options AS o ON o.oid = k.conindid WHERE k.contype IN ('p', 'u', 'x')
		UNION ALL
		SELECT 4, 0, 3, r.oid, format('ALTER TABLE %s CLUSTER ON %I', r.name, i.relname)
		  FROM relation AS r JOIN pg_index AS x ON x.indrelid = r.oid AND x.indisclustered JOIN pg_class AS i ON i.oid = x.indexrelid
		UNION ALL
		SELECT 4, 0, 3, r.oid, format('ALTER TABLE ONLY %s REPLICA IDENTITY %s', r.name,
		       CASE r.relreplident WHEN 'f' THEN 'FULL' WHEN 'n' THEN 'NOTHING' ELSE 'USING INDEX ' || (
		            SELECT quote_ident(i.relname) FROM pg_index AS x JOIN pg_class AS i ON i.oid = x.indexrelid
		             WHERE x.indrelid = r.oid AND x.indisreplident) END)
		  FROM relation AS r WHERE r.relkind IN ('r', 'p') AND r.relreplident IN ('f', 'n', 'i')
		UNION ALL
		SELECT 4, 0, 4, r.oid, format('ALTER TABLE %s %s ROW LEVEL SECURITY', r.name, v.word)
		  FROM relation AS r,
		       LATERAL (VALUES (r.relrowsecurity, 'ENABLE'), (r.relforcerowsecurity, 'FORCE')) AS v (is_so, word)
		 WHERE v.is_so
		UNION ALL
		SELECT 4, 0, 5, t.oid, format('ALTER TABLE %s %s TRIGGER %I', r.name,
		       CASE t.tgenabled WHEN 'D' THEN 'DISABLE' WHEN 'R' THEN 'ENABLE REPLICA' ELSE 'ENABLE ALWAYS' END, t.tgname)
		  FROM pg_trigger AS t JOIN relation AS r ON r.oid = t.tgrelid WHERE NOT t.tgisinternal AND t.tgenabled <> 'O'
		UNION ALL
		SELECT 4, 0, 5, w.oid, format('ALTER TABLE %s %s RULE %I', r.name,
		       CASE w.ev_enabled WHEN 'D' THEN 'DISABLE' WHEN 'R' THEN 'ENABLE REPLICA' ELSE 'ENABLE ALWAYS' END, w.rulename)
		  FROM pg_rewrite AS w JOIN relation AS r ON r.oid = w.ev_class WHERE w.ev_enabled <> 'O' AND w.rulename <> '_RETURN'
		UNION ALL
		-- A search_path of a function's own that leads to the template leads to the copy.
		SELECT 4, 0, 6, p.oid, format('ALTER ROUTINE %s SET search_path = %s', n.name,
		       (SELECT string_agg(CASE trim(e.name) WHEN quote_ident(template) THEN quote_ident(own) ELSE trim(e.name) END, ', ' ORDER BY e.place)
		          FROM regexp_split_to_table(substr(c.text, length('search_path=') + 1), ',') WITH ORDINALITY AS e (name, place)))
		  FROM pg_proc AS p JOIN called AS n ON n.class = 'pg_proc'::regclass AND n.id = p.oid, unnest(p.proconfig) AS c (text)
		 WHERE p.pronamespace = space AND starts_with(c.text, 'search_path=')
		   AND quote_ident(template) IN (SELECT trim(e) FROM regexp_split_to_table(substr(c.text, length('search_path=') + 1), ',') AS e)
		UNION ALL
		SELECT 5, p.level, 0, p.id, format('REFRESH MATERIALIZED VIEW %s', r.name)
		  FROM relation AS r JOIN placed AS p ON p.class = 'pg_class'::regclass AND p.id = r.oid
		 WHERE r.relkind = 'm' AND r.relispopulated
		UNION ALL
		SELECT 6, 0, 0, d.objoid, format('COMMENT ON %s %s IS %L', n.kind, n.name, d.description)
		  FROM pg_description AS d JOIN called AS n ON n.class = d.classoid AND n.id = d.objoid WHERE d.objsubid = 0
		UNION ALL
		SELECT 6, 0, 1, d.objoid, format('COMMENT ON COLUMN %s.%s IS %L', c.relation_name, c.name, d.description)
		  FROM pg_description AS d JOIN column_of AS c ON c.attrelid = d.objoid AND c.attnum = d.objsubid
		 WHERE d.classoid = 'pg_class'::regclass
		UNION ALL
		SELECT 7, 0, 0, 0, format('REVOKE ALL ON %s %s FROM PUBLIC', g.kind, g.name) FROM granted AS g WHERE g.is_default
		UNION ALL
		SELECT 7, 1, 0, 0, format('GRANT %s%s ON %s %s TO %s%s', a.privilege_type, ' (' || g.columns || ')', g.kind, g.name,
		       CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END,
		       CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
		  FROM granted AS g, aclexplode(g.item) AS a
		 WHERE a.grantee <> g.owner AND NOT (g.kind = 'SCHEMA' AND a.grantee = 0)
		   AND pg_get_userbyid(a.grantee) !~ '^(bulkhead_(app|tenants)|t_[0-9a-f]{32})$'
		UNION ALL
		-- The schema first: who is given something in it must be able to use it.
		SELECT 8, 0, 0, 0, format('ALTER SCHEMA %I OWNER TO %I', own, own)
		UNION ALL
		SELECT 8, 1, 0, n.id, format('ALTER %s %s OWNER TO %I', CASE n.kind WHEN 'FUNCTION' THEN 'ROUTINE' WHEN 'PROCEDURE' THEN 'ROUTINE'
		       ELSE n.kind END, n.name, own)
		  FROM called AS n
		 WHERE n.kind IN ('TABLE', 'VIEW', 'MATERIALIZED VIEW', 'SEQUENCE', 'TYPE', 'DOMAIN', 'FUNCTION', 'PROCEDURE', 'COLLATION', 'STATISTICS')
		   AND n.id NOT IN (SELECT s.sequence FROM owned_sequence AS s)
	)
	SELECT array_agg(e.statement ORDER BY e.part, e.level, e.rank, e.id, e.statement) INTO statements FROM every AS e;

	-- ---- and what they make

	PERFORM set_config('search_path', quote_ident(own), true);
	FOREACH statement IN ARRAY statements LOOP
		EXECUTE statement;
	END LOOP;
	PERFORM set_config('search_path', 'pg_catalog, pg_temp', true);

	WITH old (class, id) AS (
		SELECT 'pg_class'::regclass, c.oid FROM pg_class AS c WHERE c.relnamespace = space
		UNION ALL SELECT 'pg_proc'::regclass, p.oid FROM pg_proc AS p WHERE p.pronamespace = space
		UNION ALL SELECT 'pg_type'::regclass, t.oid FROM pg_type AS t WHERE t.typnamespace = space
		UNION ALL SELECT 'pg_collation'::regclass, l.oid FROM pg_collation AS l WHERE l.collnamespace = space
	), home (oid) AS (SELECT n.oid FROM pg_namespace AS n WHERE n.nspname = own),
	made (class, id) AS (
		SELECT 'pg_class'::regclass, c.oid FROM pg_class AS c, home AS h WHERE c.relnamespace = h.oid
		UNION ALL SELECT 'pg_proc'::regclass, p.oid FROM pg_proc AS p, home AS h WHERE p.pronamespace = h.oid
		UNION ALL SELECT 'pg_type'::regclass, t.oid FROM pg_type AS t, home AS h WHERE t.typnamespace = h.oid
		UNION ALL SELECT 'pg_constraint'::regclass, k.oid FROM pg_constraint AS k, home AS h WHERE k.connamespace = h.oid
		UNION ALL SELECT 'pg_attrdef'::regclass, d.oid FROM home AS h JOIN pg_class AS c ON c.relnamespace = h.oid JOIN pg_attrdef AS d ON d.adrelid = c.oid
		UNION ALL SELECT 'pg_rewrite'::regclass, w.oid FROM home AS h JOIN pg_class AS c ON c.relnamespace = h.oid JOIN pg_rewrite AS w ON w.ev_class = c.oid
		UNION ALL SELECT 'pg_trigger'::regclass, t.oid FROM home AS h JOIN pg_class AS c ON c.relnamespace = h.oid JOIN pg_trigger AS t ON t.tgrelid = c.oid
		UNION ALL SELECT 'pg_policy'::regclass, p.oid FROM home AS h JOIN pg_class AS c ON c.relnamespace = h.oid JOIN pg_policy AS p ON p.polrelid = c.oid
	)
	SELECT format('%s uses %s', pg_describe_object(m.class, m.id, 0), pg_describe_object(o.class, o.id, 0)) INTO fault
	  FROM made AS m
	  JOIN pg_depend AS d ON d.classid = m.class AND d.objid = m.id
	  JOIN old AS o ON o.class = d.refclassid AND o.id = d.refobjid LIMIT 1;
	IF FOUND THEN
		RAISE EXCEPTION 'the copy still depends on template "%": %', template, fault
			USING ERRCODE = 'feature_not_supported',
			      HINT = 'A name of the template''s that is also one of PostgreSQL''s own is in the way: rename it.';
	END IF;
END
$clone$;
