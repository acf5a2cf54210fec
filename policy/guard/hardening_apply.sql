-- Takes away what hardening_list.sql lists for the level that was asked for; that list begins the statement.
SELECT CASE h.kind
	WHEN 'function' THEN pg_temp.take_functions(h.patterns, h.keepers)
	WHEN 'relation' THEN pg_temp.take_relations(h.patterns, h.keepers)
	WHEN 'extension' THEN pg_temp.take_extensions(h.patterns, h.keepers) END
  FROM hardening AS h
 WHERE h.level = 'standard' OR h.level = current_setting('bulkhead.hardening');

DO $apply$
DECLARE
	pool text := current_setting('bulkhead.pool_login');
BEGIN
	-- PostgreSQL's own default since 15; a database that came from an older one still has it.
	IF to_regnamespace('public') IS NOT NULL AND has_schema_privilege('public', 'public', 'CREATE') THEN
		REVOKE CREATE ON SCHEMA public FROM PUBLIC;
	END IF;

	-- Temporary tables, which could stand in for real ones.
	IF current_setting('bulkhead.hardening') = 'strict' THEN
		EXECUTE format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC, bulkhead_app', current_database());
		IF pool <> '' THEN
			EXECUTE format('REVOKE TEMPORARY ON DATABASE %I FROM %I', current_database(), pool);
			EXECUTE format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), pool);
		END IF;
		IF has_database_privilege(coalesce(nullif(pool, ''), 'bulkhead_app'), current_database(), 'TEMPORARY') THEN
			RAISE EXCEPTION 'hardening: % may still make temporary tables', coalesce(nullif(pool, ''), 'bulkhead_app');
		END IF;
	END IF;

	IF current_setting('bulkhead.left_open') <> '' THEN
		SET LOCAL client_min_messages = 'warning';
		RAISE WARNING 'hardening: these stay open to PUBLIC, since only a superuser can take them away'
			USING DETAIL = current_setting('bulkhead.left_open'),
			      HINT = 'Through logins of their own, tenants see and end the sessions of nobody else; what counts for the whole '
			             'server they see. bulkhead lint lists it again.';
	END IF;

	-- For findings(), which looks what of it still holds.
	EXECUTE format('COMMENT ON SCHEMA bulkhead IS %L',
	               CASE current_setting('bulkhead.guard') WHEN 'login' THEN 'The guard of Bulkhead by tenants'' own logins'
	                                                      ELSE 'The guard of Bulkhead' END
	               || ', hardening ' || current_setting('bulkhead.hardening'));
END
$apply$;
