-- protect() and unprotect(): row security on a table whose rows belong to tenants.
--
-- Both are for the table's owner or a superuser and run with the caller's rights. What protect found is
-- written down by remember(), with the guard's rights and from the catalogues only, so that what unprotect
-- later runs is nothing that a table's owner could have made up.

-- The table, its partitions and its inheritance children, at every level.
CREATE OR REPLACE FUNCTION bulkhead.family(root regclass) RETURNS SETOF regclass
	LANGUAGE sql STABLE
	BEGIN ATOMIC
		WITH RECURSIVE member (relation) AS (
			SELECT family.root::oid
			UNION
			SELECT i.inhrelid FROM pg_inherits AS i JOIN member AS m ON i.inhparent = m.relation
		)
		SELECT m.relation::regclass FROM member AS m ORDER BY m.relation <> family.root, m.relation;
	END;

-- Raises unless the session's login may act for the owner of the table.
CREATE OR REPLACE FUNCTION bulkhead.require_owner(relation regclass) RETURNS void
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $require_owner$
BEGIN
	IF (SELECT pg_has_role(session_user, c.relowner, 'MEMBER') FROM pg_class AS c
	     WHERE c.oid = require_owner.relation) IS NOT TRUE THEN
		RAISE insufficient_privilege USING MESSAGE = format('must be owner of table %s', relation);
	END IF;
END
$require_owner$;

-- The memberships through which a role has another's rights, or may take them by SET ROLE. Since PostgreSQL 16 there are
-- others: who makes a role may manage it, and no more.
CREATE OR REPLACE FUNCTION bulkhead.memberships(OUT roleid oid, OUT member oid) RETURNS SETOF record
	LANGUAGE sql STABLE
	BEGIN ATOMIC
		SELECT m.roleid, m.member FROM pg_auth_members AS m
		 WHERE coalesce((to_jsonb(m) ->> 'inherit_option')::boolean, true)
		    OR coalesce((to_jsonb(m) ->> 'set_option')::boolean, true);
	END;

-- With whose rights tenants' statements run: PUBLIC (0), bulkhead_app and its members, logins of pools and of tenants'
-- own among them, and every role that one of those is a member of.
CREATE OR REPLACE FUNCTION bulkhead.tenant_roles() RETURNS SETOF oid
	LANGUAGE sql STABLE
	BEGIN ATOMIC
		WITH RECURSIVE edge AS MATERIALIZED (SELECT * FROM bulkhead.memberships()),
		speaker (oid) AS (
			SELECT to_regrole('bulkhead_app')::oid
			UNION
			SELECT e.member FROM edge AS e JOIN speaker AS s ON e.roleid = s.oid JOIN pg_roles AS r ON r.oid = s.oid
			 WHERE r.rolname !~ '^t_[0-9a-f]{32}$' -- who administers a tenant's login does not speak for it
		),
		tenant_role (oid) AS (
			SELECT r.oid FROM speaker AS s JOIN pg_roles AS r ON r.oid = s.oid WHERE NOT r.rolsuper
			UNION
			SELECT e.roleid FROM edge AS e JOIN tenant_role AS t ON e.member = t.oid
		)
		SELECT 0::oid UNION ALL SELECT t.oid FROM tenant_role AS t;
	END;

-- Privileges that row security does not reach: TRUNCATE takes all rows, a trigger runs in others' statements, a
-- foreign key tells whether a row exists and keeps it from going. Each is a JSON object: the privilege, its
-- column (null for the whole table), its grantee (null for PUBLIC), and whether the grantee may hand it on.
CREATE OR REPLACE FUNCTION bulkhead.unsafe_privileges(relation regclass) RETURNS SETOF text
	LANGUAGE sql STABLE
	BEGIN ATOMIC
		SELECT DISTINCT jsonb_build_object(
		           'privilege', a.privilege_type, 'column', acl.attname, 'grantable', a.is_grantable,
		           'grantee', CASE WHEN a.grantee <> 0 THEN pg_get_userbyid(a.grantee) END)::text
		  FROM pg_class AS c,
		       LATERAL (SELECT NULL::name, c.relacl UNION ALL
		                SELECT t.attname, t.attacl FROM pg_attribute AS t WHERE t.attrelid = c.oid) AS acl (attname, items),
		       LATERAL aclexplode(acl.items) AS a
		 WHERE c.oid = unsafe_privileges.relation
		   AND a.privilege_type IN ('TRUNCATE', 'TRIGGER', 'REFERENCES')
		   AND a.grantee <> c.relowner
		   AND a.grantee IN (SELECT bulkhead.tenant_roles())
		 ORDER BY 1;
	END;

-- One of those as GRANT and REVOKE name it.
CREATE OR REPLACE FUNCTION bulkhead.privilege_on(relation regclass, item jsonb) RETURNS text
	LANGUAGE sql STABLE
	BEGIN ATOMIC
		SELECT format('%s%s ON TABLE %s', item ->> 'privilege', ' (' || quote_ident(item ->> 'column') || ')', relation);
	END;

CREATE OR REPLACE FUNCTION bulkhead.grantee_of(item jsonb) RETURNS text
	LANGUAGE sql STABLE
	BEGIN ATOMIC
		SELECT coalesce(quote_ident(item ->> 'grantee'), 'PUBLIC');
	END;

-- The default that a column has without us. A partition made under a protected table copied the default of ours;
-- without us it would have copied what its parent had.
CREATE OR REPLACE FUNCTION bulkhead.found_default(relation regclass, column_number smallint) RETURNS text
	LANGUAGE sql STABLE
	BEGIN ATOMIC
		SELECT CASE WHEN parent.relation IS NOT NULL AND e.written LIKE '%bulkhead.tenant\_%'
		            THEN parent.previous_default ELSE e.written END
		  FROM pg_attrdef AS d
		  JOIN pg_attribute AS t ON t.attrelid = d.adrelid AND t.attnum = d.adnum AND t.attgenerated = ''
		  CROSS JOIN LATERAL pg_get_expr(d.adbin, d.adrelid) AS e (written)
		  LEFT JOIN LATERAL (SELECT p.* FROM bulkhead.protection AS p JOIN pg_inherits AS i ON i.inhparent = p.relation
		                      WHERE i.inhrelid = d.adrelid ORDER BY i.inhseqno LIMIT 1) AS parent ON true
		 WHERE d.adrelid = found_default.relation AND d.adnum = found_default.column_number;
	END;

-- Writes down how the table is now, unless that was done when it was first protected; returns the record.
CREATE OR REPLACE FUNCTION bulkhead.remember(relation regclass, tenant_column name)
	RETURNS bulkhead.protection
	LANGUAGE plpgsql SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $remember$
#variable_conflict error
DECLARE
	record bulkhead.protection;
BEGIN
	PERFORM bulkhead.require_owner(remember.relation);
	PERFORM bulkhead.require_protectable(remember.relation); -- tenants own their temporary tables
	DELETE FROM bulkhead.protection AS p
	 WHERE NOT EXISTS (SELECT FROM pg_policy AS y
	                    WHERE y.polrelid = p.relation AND y.polname = 'bulkhead_tenant');
	INSERT INTO bulkhead.protection AS p
	SELECT c.oid, t.attname, c.relrowsecurity, c.relforcerowsecurity,
	       bulkhead.found_default(c.oid, t.attnum), ARRAY(SELECT bulkhead.unsafe_privileges(c.oid))
	  FROM pg_class AS c JOIN pg_attribute AS t ON t.attrelid = c.oid
	 WHERE c.oid = remember.relation AND t.attname = remember.tenant_column AND NOT t.attisdropped
	ON CONFLICT ON CONSTRAINT protection_pkey DO UPDATE
	   SET taken = ARRAY(SELECT unnest(p.taken) UNION SELECT unnest(excluded.taken) ORDER BY 1)
	RETURNING p.* INTO record;
	RETURN record;
END
$remember$;

-- Takes the record out and returns it.
CREATE OR REPLACE FUNCTION bulkhead.forget(relation regclass) RETURNS bulkhead.protection
	LANGUAGE plpgsql SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $forget$
#variable_conflict error
DECLARE
	record bulkhead.protection;
BEGIN
	PERFORM bulkhead.require_owner(forget.relation);
	DELETE FROM bulkhead.protection AS p WHERE p.relation = forget.relation RETURNING p.* INTO record;
	RETURN record;
END
$forget$;

-- The expression that a row's tenant column must equal. Columns that no value of the context fits exactly are
-- refused: a cast that shortens or folds would make one tenant of two.
CREATE OR REPLACE FUNCTION bulkhead.tenant_expression(relation regclass, tenant_column name, by text)
	RETURNS text
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $tenant_expression$
DECLARE
	type_oid oid;
	collation_oid oid;
	expression text;
BEGIN
	SELECT atttypid, attcollation INTO type_oid, collation_oid FROM pg_attribute
	 WHERE attrelid = relation AND attname = tenant_column AND attnum > 0 AND NOT attisdropped;
	IF NOT FOUND THEN
		RAISE undefined_column
			USING MESSAGE = format('column "%s" of table %s does not exist', tenant_column, relation);
	END IF;
	WHILE (SELECT typtype = 'd' FROM pg_type WHERE oid = type_oid) LOOP
		SELECT typbasetype INTO type_oid FROM pg_type WHERE oid = type_oid;
	END LOOP;
	IF (SELECT collisdeterministic FROM pg_collation WHERE oid = collation_oid) IS FALSE THEN
		RAISE feature_not_supported
			USING MESSAGE = format('column "%s" of table %s takes different texts as equal', tenant_column, relation),
			      HINT = 'Give it a deterministic collation, "C" for one.';
	END IF;

	expression := CASE by
		WHEN 'id' THEN CASE type_oid
			WHEN 'uuid'::regtype THEN 'bulkhead.tenant_id()'
			WHEN 'text'::regtype THEN 'bulkhead.tenant_id()::text'
			WHEN 'varchar'::regtype THEN 'bulkhead.tenant_id()::text' END
		WHEN 'key' THEN CASE type_oid
			WHEN 'uuid'::regtype THEN 'bulkhead.tenant_key_uuid()'
			WHEN 'bigint'::regtype THEN 'bulkhead.tenant_key_bigint()'
			WHEN 'integer'::regtype THEN 'bulkhead.tenant_key_integer()'
			WHEN 'smallint'::regtype THEN 'bulkhead.tenant_key_smallint()'
			WHEN 'text'::regtype THEN 'bulkhead.tenant_key()'
			WHEN 'varchar'::regtype THEN 'bulkhead.tenant_key()' END
		END;
	IF expression IS NULL AND by IN ('id', 'key') THEN
		RAISE datatype_mismatch
			USING MESSAGE = format('column "%s" of table %s has type %s, which cannot hold a tenant''s %s',
			                       tenant_column, relation, format_type(type_oid, NULL), by),
			      HINT = 'by => ''id'' takes uuid, text and varchar; by => ''key'' takes these, smallint, integer and bigint.';
	ELSIF expression IS NULL THEN
		RAISE invalid_parameter_value USING MESSAGE = 'by is ''id'' or ''key''';
	END IF;
	RETURN expression;
END
$tenant_expression$;

CREATE OR REPLACE FUNCTION bulkhead.drop_policies(relation regclass) RETURNS void
	LANGUAGE plpgsql
	SET search_path = pg_catalog, pg_temp
AS $drop_policies$
DECLARE
	policy name;
BEGIN
	FOR policy IN SELECT polname FROM pg_policy
	               WHERE polrelid = relation AND polname IN ('bulkhead_tenant', 'bulkhead_rows') LOOP
		EXECUTE format('DROP POLICY %I ON %s', policy, relation);
	END LOOP;
END
$drop_policies$;

-- The same expression with the bodies of tenant_id() and tenant_key() in place of their calls. The planner would
-- put them there itself, but it took as long for that as for the rest of a short statement.
CREATE OR REPLACE FUNCTION bulkhead.written_out(expression text) RETURNS text
	LANGUAGE plpgsql IMMUTABLE
	SET search_path = pg_catalog, pg_temp
AS $written_out$
DECLARE
	id CONSTANT text := $id$coalesce(nullif("left"(current_setting('backtrace_functions'), 32), ''), bulkhead.no_context())::uuid$id$;
	key CONSTANT text := $key$coalesce(nullif(convert_from(decode(substr(current_setting('backtrace_functions'), 34), 'hex'), 'UTF8'), ''), bulkhead.no_key())$key$;
BEGIN
	RETURN CASE expression
		WHEN 'bulkhead.tenant_id()' THEN id
		WHEN 'bulkhead.tenant_id()::text' THEN id || '::text'
		WHEN 'bulkhead.tenant_key_uuid()' THEN format('bulkhead.canonical_uuid(%s)', key)
		WHEN 'bulkhead.tenant_key_smallint()' THEN format('bulkhead.canonical_number(%s, ''smallint'', 32767)::smallint', key)
		WHEN 'bulkhead.tenant_key_integer()' THEN format('bulkhead.canonical_number(%s, ''integer'', 2147483647)::integer', key)
		WHEN 'bulkhead.tenant_key_bigint()' THEN format('bulkhead.canonical_number(%s, ''bigint'', 9223372036854775807)', key)
		-- Not the key as text: 'UTF8' there is a name, whose collation "C" the comparison would take over, and no
		-- index of another collation could serve it. A call has the collation of its type.
		ELSE expression
		END;
END
$written_out$;

-- Sets both policies. The one on the tenant is restrictive, so that no policy of the application's own can be
-- ORed past it; the permissive one is needed only where nothing else lets rows through.
CREATE OR REPLACE FUNCTION bulkhead.set_policies(relation regclass, tenant_column name, expression text)
	RETURNS void
	LANGUAGE plpgsql
	SET search_path = pg_catalog, pg_temp
AS $set_policies$
DECLARE
	condition CONSTANT text := format('%I = (SELECT %s)', tenant_column, bulkhead.written_out(expression));
BEGIN
	PERFORM bulkhead.drop_policies(relation);
	EXECUTE format('CREATE POLICY bulkhead_tenant ON %s AS RESTRICTIVE FOR ALL TO PUBLIC USING (%s) WITH CHECK (%s)',
	               relation, condition, condition);
	IF NOT EXISTS (SELECT FROM pg_policy WHERE polrelid = relation AND polpermissive) THEN
		EXECUTE format('CREATE POLICY bulkhead_rows ON %s FOR ALL TO PUBLIC USING (true) WITH CHECK (true)', relation);
	END IF;
	EXECUTE format('ALTER TABLE ONLY %s ENABLE ROW LEVEL SECURITY', relation);
	EXECUTE format('ALTER TABLE ONLY %s FORCE ROW LEVEL SECURITY', relation);
END
$set_policies$;

-- Not CASCADE: what a grantee has handed on may be with roles that are no tenants', and would not come back.
CREATE OR REPLACE FUNCTION bulkhead.take_unsafe_privileges(relation regclass) RETURNS void
	LANGUAGE plpgsql
	SET search_path = pg_catalog, pg_temp
AS $take_unsafe_privileges$
DECLARE
	item jsonb;
BEGIN
	FOR item IN SELECT * FROM bulkhead.unsafe_privileges(relation) LOOP
		EXECUTE format('REVOKE %s FROM %s', bulkhead.privilege_on(relation, item), bulkhead.grantee_of(item));
	END LOOP;
	FOR item IN SELECT * FROM bulkhead.unsafe_privileges(relation) LOOP
		RAISE insufficient_privilege
			USING MESSAGE = format('cannot take %s from %s away on table %s', item ->> 'privilege',
			                       bulkhead.grantee_of(item), relation),
			      HINT = 'Someone other than the owner granted it: let that role, or a superuser, revoke it.';
	END LOOP;
END
$take_unsafe_privileges$;

-- Roles and columns that are gone since are not missed.
CREATE OR REPLACE FUNCTION bulkhead.give_back_privileges(relation regclass, taken text[]) RETURNS void
	LANGUAGE plpgsql
	SET search_path = pg_catalog, pg_temp
AS $give_back_privileges$
DECLARE
	item jsonb;
BEGIN
	FOREACH item IN ARRAY taken LOOP
		IF (item ->> 'grantee' IS NULL OR to_regrole(quote_ident(item ->> 'grantee')) IS NOT NULL)
		   AND (item ->> 'column' IS NULL OR EXISTS (SELECT FROM pg_attribute
		                                              WHERE attrelid = relation AND attname = item ->> 'column'
		                                                AND NOT attisdropped)) THEN
			EXECUTE format('GRANT %s TO %s%s', bulkhead.privilege_on(relation, item), bulkhead.grantee_of(item),
			               CASE WHEN (item ->> 'grantable')::boolean THEN ' WITH GRANT OPTION' END);
		END IF;
	END LOOP;
END
$give_back_privileges$;

CREATE OR REPLACE FUNCTION bulkhead.set_tenant_default(relation regclass, tenant_column name, expression text)
	RETURNS void
	LANGUAGE plpgsql
	SET search_path = pg_catalog, pg_temp
AS $set_tenant_default$
BEGIN
	IF (SELECT attgenerated <> '' OR attidentity <> '' FROM pg_attribute
	     WHERE attrelid = relation AND attname = tenant_column) THEN
		RAISE WARNING 'column "%" of table % is generated: it keeps its own values', tenant_column, relation;
	ELSE
		EXECUTE format('ALTER TABLE ONLY %s ALTER COLUMN %I SET DEFAULT %s', relation, tenant_column, expression);
	END IF;
END
$set_tenant_default$;

-- Raises when row security would not hold on this relation whatever its policies.
CREATE OR REPLACE FUNCTION bulkhead.require_protectable(relation regclass) RETURNS void
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $require_protectable$
DECLARE
	c pg_class;
BEGIN
	SELECT * INTO c FROM pg_class WHERE oid = relation;
	IF NOT FOUND THEN
		RAISE undefined_table USING MESSAGE = format('table %s does not exist', coalesce(relation::text, 'NULL'));
	END IF;
	IF c.relkind NOT IN ('r', 'p') THEN
		RAISE wrong_object_type
			USING MESSAGE = format('%s is no table', relation),
			      HINT = 'Row security works on tables and partitioned tables; a foreign table cannot be a part of one.';
	END IF;
	IF c.relowner IN (SELECT bulkhead.tenant_roles()) THEN
		RAISE insufficient_privilege
			USING MESSAGE = format('table %s belongs to %s, which tenants'' statements run as', relation,
			                       pg_get_userbyid(c.relowner)),
			      HINT = 'An owner can switch row security off: let another role own the table.';
	END IF;
END
$require_protectable$;

CREATE OR REPLACE FUNCTION bulkhead.unprotect_relation(relation regclass) RETURNS void
	LANGUAGE plpgsql
	SET search_path = pg_catalog, pg_temp
AS $unprotect_relation$
DECLARE
	before CONSTANT bulkhead.protection := bulkhead.forget(relation);
BEGIN
	IF before.relation IS NULL THEN
		RAISE object_not_in_prerequisite_state USING MESSAGE = format('table %s is not protected', relation);
	END IF;
	PERFORM bulkhead.drop_policies(relation);
	IF NOT before.force_security THEN
		EXECUTE format('ALTER TABLE ONLY %s NO FORCE ROW LEVEL SECURITY', relation);
	END IF;
	IF NOT before.row_security THEN
		EXECUTE format('ALTER TABLE ONLY %s DISABLE ROW LEVEL SECURITY', relation);
	END IF;
	IF (SELECT pg_get_expr(d.adbin, d.adrelid) LIKE '%bulkhead.tenant\_%'
	      FROM pg_attrdef AS d JOIN pg_attribute AS t ON t.attrelid = d.adrelid AND t.attnum = d.adnum
	     WHERE d.adrelid = relation AND t.attname = before.tenant_column) THEN
		EXECUTE format('ALTER TABLE ONLY %s ALTER COLUMN %I %s', relation, before.tenant_column,
		               coalesce('SET DEFAULT ' || before.previous_default, 'DROP DEFAULT'));
	END IF;
	PERFORM bulkhead.give_back_privileges(relation, before.taken);
END
$unprotect_relation$;

CREATE OR REPLACE FUNCTION bulkhead.protect_relation(relation regclass, tenant_column name, by text)
	RETURNS void
	LANGUAGE plpgsql
	SET search_path = pg_catalog, pg_temp
AS $protect_relation$
DECLARE
	expression text;
	before bulkhead.protection;
BEGIN
	PERFORM bulkhead.require_protectable(relation);
	expression := bulkhead.tenant_expression(relation, tenant_column, by);
	before := bulkhead.remember(relation, tenant_column);
	IF before.tenant_column <> tenant_column THEN
		PERFORM bulkhead.unprotect_relation(relation);
		PERFORM bulkhead.remember(relation, tenant_column);
	END IF;
	PERFORM bulkhead.set_policies(relation, tenant_column, expression);
	PERFORM bulkhead.set_tenant_default(relation, tenant_column, expression);
	PERFORM bulkhead.take_unsafe_privileges(relation);
END
$protect_relation$;

-- Lets every statement on the table, its partitions and its children see and write the tenant's own rows only.
-- `by` says what the column holds: 'id', the tenant's id, or 'key', its external key. Doing it again takes in
-- partitions that have come since.
CREATE OR REPLACE FUNCTION bulkhead.protect("table" regclass, "column" name, by text DEFAULT 'id') RETURNS void
	LANGUAGE plpgsql
	SET search_path = pg_catalog, pg_temp
AS $protect$
DECLARE
	relation regclass;
	warning text;
BEGIN
	PERFORM bulkhead.require_protectable("table");
	EXECUTE format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', "table");
	FOR relation IN SELECT * FROM bulkhead.family("table") LOOP
		PERFORM bulkhead.protect_relation(relation, "column", by);
	END LOOP;
	FOR relation IN SELECT * FROM bulkhead.family("table") LOOP
		FOR warning IN SELECT * FROM bulkhead.protection_warnings(relation, "column") LOOP
			RAISE WARNING '%', warning;
		END LOOP;
	END LOOP;
END
$protect$;

-- Puts back what protect found, on the table, its partitions and its children, and touches nothing else.
CREATE OR REPLACE FUNCTION bulkhead.unprotect("table" regclass) RETURNS void
	LANGUAGE plpgsql
	SET search_path = pg_catalog, pg_temp
AS $unprotect$
DECLARE
	relation regclass;
BEGIN
	EXECUTE format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', "table");
	FOR relation IN SELECT * FROM bulkhead.family("table") LOOP
		IF relation = "table" OR EXISTS (SELECT FROM pg_policy
		                                  WHERE polrelid = relation AND polname = 'bulkhead_tenant') THEN
			PERFORM bulkhead.unprotect_relation(relation);
		END IF;
	END LOOP;
END
$unprotect$;
