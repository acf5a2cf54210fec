-- Hardening `strict`, for a database that is Bulkhead's to shape. It comes on top of `standard`.
--
-- pg_roles and pg_database stay readable, and pg_advisory_unlock_all callable: psql's \d family and the
-- resets of drivers' pools need them. NOTIFY and LISTEN as statements have no privilege to take.

-- Settings by function, which is how the context used to be forged where it is an ordinary setting.
SELECT pg_temp.take_functions(
	ARRAY['set\_config(%'], ARRAY['bulkhead_guard', 'bulkhead_control', 'bulkhead_admin', 'bulkhead_sidecar']);

-- Functions that run SQL given as text, past whoever reads the statement.
SELECT pg_temp.take_functions(
	ARRAY['query\_to\_xml%', 'cursor\_to\_xml%', 'table\_to\_xml%', 'schema\_to\_xml%', 'database\_to\_xml%',
	      'ts\_stat(%', 'ts\_rewrite(tsquery,text)'],
	ARRAY[]::text[]);

-- One lock space, one random seed and one pool of backends for all tenants.
SELECT pg_temp.take_functions(
	ARRAY['pg\_advisory\_lock(%', 'pg\_advisory\_lock\_shared(%', 'pg\_advisory\_xact\_lock%',
	      'pg\_try\_advisory\_%', 'pg\_advisory\_unlock(%', 'pg\_advisory\_unlock\_shared(%',
	      'pg\_notify(%', 'pg\_notification\_queue\_usage(%', 'pg\_logical\_emit\_message(%'],
	ARRAY['bulkhead_guard', 'bulkhead_control', 'bulkhead_admin', 'bulkhead_sidecar']);
SELECT pg_temp.take_functions(
	ARRAY['pg\_sleep%', 'setseed(%', 'pg\_export\_snapshot(%'], ARRAY['bulkhead_control', 'bulkhead_admin']);

-- Sequences count for all tenants.
SELECT pg_temp.take_functions(ARRAY['setval(%'], ARRAY['bulkhead_control', 'bulkhead_admin']);

-- Sizes, counters, locks and prepared transactions of all tenants together.
SELECT pg_temp.take_functions(
	ARRAY['pg\_relation\_size(%', 'pg\_table\_size(%', 'pg\_indexes\_size(%', 'pg\_total\_relation\_size(%',
	      'pg\_database\_size(%', 'pg\_tablespace\_size(%', 'pg\_relation\_filepath(%',
	      'pg\_relation\_filenode(%', 'pg\_stat\_get\_%', 'pg\_lock\_status(%', 'pg\_blocking\_pids(%',
	      'pg\_safe\_snapshot\_blocking\_pids(%', 'pg\_isolation\_test\_session\_is\_blocked(%',
	      'pg\_prepared\_xact(%', 'pg\_prepared\_statement(%'],
	ARRAY['pg_read_all_stats']);
SELECT pg_temp.take_relations(
	ARRAY['pg\_stat\_%', 'pg\_statio\_%', 'pg\_locks', 'pg\_prepared\_xacts', 'pg\_prepared\_statements'],
	ARRAY['pg_read_all_stats']);

-- Follows a row from version to version by its address, without row security: it tells when a row is changed.
SELECT pg_temp.take_functions(ARRAY['currtid2(%'], ARRAY[]::text[]);

-- UPDATE on pg_settings sets a parameter; the other tells logins' settings.
SELECT pg_temp.take_functions(ARRAY['pg\_show\_all\_settings(%'], ARRAY['pg_read_all_settings']);
SELECT pg_temp.take_relations(ARRAY['pg\_settings'], ARRAY['pg_read_all_settings']);
SELECT pg_temp.take_relations(ARRAY['pg\_db\_role\_setting'], ARRAY['bulkhead_guard']);

-- Temporary tables, which could stand in for real ones.
DO $strict$
BEGIN
	EXECUTE format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC, bulkhead_app, %I', current_database(),
	               current_setting('bulkhead.pool_login'));
	EXECUTE format('GRANT CONNECT ON DATABASE %I TO %I', current_database(),
	               current_setting('bulkhead.pool_login'));
	IF has_database_privilege(current_setting('bulkhead.pool_login'), current_database(), 'TEMPORARY') THEN
		RAISE EXCEPTION 'hardening: % may still make temporary tables', current_setting('bulkhead.pool_login');
	END IF;
END
$strict$;
