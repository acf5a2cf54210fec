-- Limits of a tenant that proxies keep: settings under `proxy.`, inherited and locked as any others. Each holds for
-- each tenant by itself, also where the value came from above. What a proxy's own file limits stays its ceiling.

INSERT INTO setting_key (key, type, minimum, maximum, builtin, description) VALUES
	('proxy.max_connections', 'integer', -1, 1000000, true,
	 'client connections of the tenant at one time, in each proxy; 0 lets nobody in, -1 is no limit but the proxy''s own'),
	('proxy.pool_size', 'integer', 0, 10000, true,
	 'server connections that the tenant''s clients may hold at one time, in each proxy; 0 is no limit but the proxy''s own'),
	('proxy.statement_timeout', 'integer', 0, 2147483647, true,
	 'milliseconds after which a statement is cancelled, whatever the session has set; 0 is no limit but the proxy''s own'),
	('proxy.idle_in_transaction_timeout', 'integer', 0, 2147483647, true,
	 'milliseconds of silence within a transaction after which the session is ended; 0 is no limit but the proxy''s own'),
	('proxy.query_wait_timeout', 'integer', 0, 2147483647, true,
	 'milliseconds that a statement may wait for a server connection; 0 is no limit but the proxy''s own'),
	('proxy.rate_limit', 'integer', 0, 1000000, true,
	 'statements a second in the long run, in each proxy; those above it are refused; 0 is no limit'),
	('proxy.rate_burst', 'integer', 0, 1000000, true,
	 'statements that may come at once under proxy.rate_limit; 0 is as many as that lets through in a second');

-- One object with what is set of these, without `proxy.`; NULL where nothing is.
CREATE FUNCTION tenant_limits(of_path uuid[]) RETURNS jsonb
LANGUAGE plpgsql STABLE
AS $$
BEGIN
	RETURN (SELECT jsonb_object_agg(substr(k.key, 7), s.value)
			FROM (SELECT DISTINCT o.key FROM bulkhead_control.setting o
				  WHERE o.tenant_id = ANY (of_path)
				  AND o.key IN ('proxy.max_connections', 'proxy.pool_size', 'proxy.statement_timeout',
								'proxy.idle_in_transaction_timeout', 'proxy.query_wait_timeout', 'proxy.rate_limit',
								'proxy.rate_burst')) k
			CROSS JOIN LATERAL bulkhead_control.setting_standing(of_path, k.key) s);
END
$$;

-- As in 0013_policy_lookup.sql, with one more member, `limits`, where there are any. A sidecar that does not know
-- it passes over it.
CREATE OR REPLACE FUNCTION tenant_permissions(of_path uuid[]) RETURNS jsonb
LANGUAGE plpgsql STABLE
AS $$
DECLARE
	strategies text[] := (SELECT array_agg(DISTINCT t.strategy) FROM bulkhead_control.tenant t
						  WHERE t.id = ANY (of_path));
	-- Each of the others is what the defaults come to.
	touched text[] := ARRAY(SELECT g.key FROM bulkhead_control.permission_grant g WHERE g.tenant_id = ANY (of_path)
							UNION
							SELECT f.key FROM bulkhead_control.permission_frozen f WHERE f.tenant_id = ANY (of_path));
	held jsonb := bulkhead_control.default_permissions(strategies);
	limits jsonb := bulkhead_control.tenant_limits(of_path);
BEGIN
	IF touched <> '{}' THEN
		held := held || (SELECT jsonb_object_agg(u.key, bulkhead_control.permission_held(of_path, u.key))
						 FROM unnest(touched) u (key));
	END IF;
	RETURN bulkhead_control.permissions_answer(held,
		(SELECT s.value FROM bulkhead_control.setting_standing(of_path, 'proxy.read_only') s),
		(SELECT s.value FROM bulkhead_control.setting_standing(of_path, 'proxy.gate') s))
		|| CASE WHEN limits IS NULL THEN '{}' ELSE jsonb_build_object('limits', limits) END;
END
$$;
