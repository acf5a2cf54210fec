-- What hardening takes from PUBLIC: the level, the kind of thing, LIKE patterns of names (of a function with its argument
-- types, as oid::regprocedure writes it), and the roles that keep it. It is a part of two queries: the installer takes
-- these away, findings() looks whether they are.
--
-- `standard`, for a database that has other users than Bulkhead, is only what one tenant could read of another's, or do
-- to it, through the login that they share. `strict`, for a database that is Bulkhead's to shape, comes on top.
-- pg_roles and pg_database stay readable, and pg_advisory_unlock_all callable: psql's \d family and the resets of
-- drivers' pools need them. NOTIFY and LISTEN as statements have no privilege to take.
hardening (level, kind, patterns, keepers) AS (
	VALUES
	-- Statements of other sessions of the same login, with the values in them.
	('standard', 'function', ARRAY['pg\_stat\_get\_activity(%', 'pg\_stat\_get\_backend\_%', 'pg\_stat\_get\_progress\_info(%'],
	 ARRAY['pg_read_all_stats']),
	('standard', 'relation', ARRAY['pg\_stat\_activity', 'pg\_stat\_progress\_%', 'pg\_stat\_ssl', 'pg\_stat\_gssapi',
	                               'pg\_stat\_replication', 'pg\_stat\_statements%'], ARRAY['pg_read_all_stats']),
	('standard', 'extension', ARRAY['pg\_stat\_%'], ARRAY['pg_read_all_stats']),
	-- Ending other sessions of the same login.
	('standard', 'function', ARRAY['pg\_cancel\_backend(%', 'pg\_terminate\_backend(%'], ARRAY['pg_signal_backend']),
	-- A large object belongs to a login, not to a tenant, and has no row security.
	('standard', 'function', ARRAY['lo\_%', 'loread(%', 'lowrite(%'], ARRAY['bulkhead_control', 'bulkhead_admin']),

	-- Settings by function, which is how the context used to be forged where it is an ordinary setting.
	('strict', 'function', ARRAY['set\_config(%'],
	 ARRAY['bulkhead_guard', 'bulkhead_control', 'bulkhead_admin', 'bulkhead_sidecar']),
	-- Functions that run SQL given as text, past whoever reads the statement.
	('strict', 'function', ARRAY['query\_to\_xml%', 'cursor\_to\_xml%', 'table\_to\_xml%', 'schema\_to\_xml%',
	                             'database\_to\_xml%', 'ts\_stat(%', 'ts\_rewrite(tsquery,text)'], ARRAY[]::text[]),
	-- One lock space, one random seed and one pool of backends for all tenants.
	('strict', 'function', ARRAY['pg\_advisory\_lock(%', 'pg\_advisory\_lock\_shared(%', 'pg\_advisory\_xact\_lock%',
	                             'pg\_try\_advisory\_%', 'pg\_advisory\_unlock(%', 'pg\_advisory\_unlock\_shared(%',
	                             'pg\_notify(%', 'pg\_notification\_queue\_usage(%', 'pg\_logical\_emit\_message(%'],
	 ARRAY['bulkhead_guard', 'bulkhead_control', 'bulkhead_admin', 'bulkhead_sidecar']),
	('strict', 'function', ARRAY['pg\_sleep%', 'setseed(%', 'pg\_export\_snapshot(%'],
	 ARRAY['bulkhead_control', 'bulkhead_admin']),
	-- Sequences count for all tenants.
	('strict', 'function', ARRAY['setval(%'], ARRAY['bulkhead_control', 'bulkhead_admin']),
	-- Sizes, counters, locks and prepared transactions of all tenants together.
	('strict', 'function', ARRAY['pg\_relation\_size(%', 'pg\_table\_size(%', 'pg\_indexes\_size(%',
	                             'pg\_total\_relation\_size(%', 'pg\_database\_size(%', 'pg\_tablespace\_size(%',
	                             'pg\_relation\_filepath(%', 'pg\_relation\_filenode(%', 'pg\_stat\_get\_%',
	                             'pg\_blocking\_pids(%', 'pg\_safe\_snapshot\_blocking\_pids(%',
	                             'pg\_isolation\_test\_session\_is\_blocked(%', 'pg\_prepared\_xact(%'],
	 ARRAY['pg_read_all_stats']),
	-- How much all tenants write, to the byte.
	('strict', 'function', ARRAY['pg\_current\_wal\_%', 'pg\_walfile\_name%', 'pg\_last\_wal\_%',
	                             'pg\_last\_committed\_xact(%', 'pg\_last\_xact\_replay\_timestamp(%',
	                             'pg\_control\_checkpoint(%', 'pg\_control\_recovery(%'], ARRAY['pg_read_all_stats']),
	-- The same; bulkhead.session_state tells a session of its own.
	('strict', 'function', ARRAY['pg\_lock\_status(%', 'pg\_prepared\_statement(%'],
	 ARRAY['pg_read_all_stats', 'bulkhead_guard']),
	('strict', 'relation', ARRAY['pg\_stat\_%', 'pg\_statio\_%', 'pg\_locks', 'pg\_prepared\_xacts',
	                             'pg\_prepared\_statements'], ARRAY['pg_read_all_stats']),
	-- Follows a row from version to version by its address, without row security: it tells when a row is changed.
	('strict', 'function', ARRAY['currtid2(%'], ARRAY[]::text[]),
	-- UPDATE on pg_settings sets a parameter; the other tells logins' settings.
	('strict', 'function', ARRAY['pg\_show\_all\_settings(%'], ARRAY['pg_read_all_settings']),
	('strict', 'relation', ARRAY['pg\_settings'], ARRAY['pg_read_all_settings']),
	('strict', 'relation', ARRAY['pg\_db\_role\_setting'], ARRAY['bulkhead_guard'])
)
