-- The rows of one tenant, id and name given by psycopg.
WITH one AS (SELECT %(id)s::uuid AS tenant_id, %(tenant)s::text AS tenant),
items AS (
	INSERT INTO item
	SELECT tenant_id, n, tenant, tenant || ' ' || n, n + 0.25,
		'2026-01-01 00:00+00'::timestamptz + n * interval '1 hour',
		ARRAY[tenant, 'tag ' || mod(n, 7)], jsonb_build_object('tenant', tenant, 'n', n)
	FROM one, generate_series(1, 1000) n),
branches AS (INSERT INTO pgbench_branches SELECT tenant_id, 1, 0 FROM one),
tellers AS (INSERT INTO pgbench_tellers SELECT tenant_id, n, 1, 0 FROM one, generate_series(1, 10) n)
INSERT INTO pgbench_accounts SELECT tenant_id, n, 1, 0 FROM one, generate_series(1, 100000) n
