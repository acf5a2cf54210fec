-- One tenant's rows, in place of those that it has: its id, its key, its word and its digits, fourteen of them, that
-- no other tenant knows. Each row says one of the two. Run by a superuser, whom no policy holds.
DELETE FROM orders WHERE tenant_id = %(id)s;
DELETE FROM tickets WHERE account = %(key)s;
DELETE FROM smith_account WHERE tenant_id = %(id)s;
DELETE FROM smith_event WHERE tenant_id = %(id)s;
DELETE FROM smith_paper WHERE tenant_id = %(id)s;
DELETE FROM smith_notice WHERE tenant_id = %(id)s;
DELETE FROM smith_coupon WHERE tenant_id = %(id)s;
DELETE FROM smith_slot WHERE tenant_id = %(id)s;
DELETE FROM smith_invoice WHERE account = %(key)s;
DELETE FROM smith_folder WHERE owner = %(key)s;

INSERT INTO orders SELECT %(id)s, n, %(word)s || ' order ' || n FROM generate_series(1, 20) AS n;
INSERT INTO tickets SELECT %(key)s, n, %(word)s || ' ticket ' || n FROM generate_series(1, 20) AS n;
INSERT INTO smith_account (
    tenant_id, id, name, balance, details, old_details, tags, numbers, secret, place, nick, search)
SELECT %(id)s, n, %(word)s || n, (%(digits)s || n || '.25')::numeric,
       jsonb_build_object('pin', %(word)s || n, n, %(digits)s), json_build_array(%(word)s, n), ARRAY[%(word)s, n::text],
       ARRAY[n, (%(digits)s || n)::bigint], convert_to(%(word)s || n, 'UTF8'), ROW(%(word)s, n)::smith_place,
       %(word)s || ' nick', to_tsvector('simple', %(word)s || n)
  FROM generate_series(1, 10) AS n;
INSERT INTO smith_payment SELECT %(id)s, n, m, %(word)s || ' payment ' || m, (%(digits)s || n || m)::bigint
  FROM generate_series(1, 10) AS n, generate_series(1, 3) AS m;
INSERT INTO smith_event SELECT %(id)s, 20 * n, %(word)s || ' event ' || n FROM generate_series(1, 10) AS n;
INSERT INTO smith_event SELECT %(id)s, 20, %(word)s || ' often' FROM generate_series(1, 20) AS n;
INSERT INTO smith_paper SELECT %(id)s, %(word)s || ' paper ' || n FROM generate_series(1, 3) AS n;
INSERT INTO smith_contract SELECT %(id)s, %(word)s || ' contract ' || n FROM generate_series(1, 3) AS n;
INSERT INTO smith_lease SELECT %(id)s, %(word)s || ' lease ' || n, true, (%(digits)s || n)::bigint
  FROM generate_series(1, 3) AS n;
INSERT INTO smith_notice SELECT %(id)s, %(word)s || ' notice ' || n FROM generate_series(1, 5) AS n;
INSERT INTO smith_coupon SELECT %(id)s, %(word)s || n, (%(digits)s || n)::bigint FROM generate_series(1, 5) AS n;
INSERT INTO smith_slot VALUES (%(id)s, smith_textrange(%(word)s, %(word)s || 'z'),
                               int8range((%(digits)s || 1)::bigint, (%(digits)s || 5)::bigint));
INSERT INTO smith_invoice SELECT %(key)s, n, (%(digits)s || n)::bigint, %(word)s || n FROM generate_series(1, 10) AS n;
INSERT INTO smith_folder SELECT %(key)s, '/' || %(word)s || '/' || n FROM generate_series(1, 10) AS n;
INSERT INTO smith_trail SELECT %(id)s, 'FILL', %(word)s, %(digits)s
 WHERE NOT EXISTS (SELECT FROM smith_trail WHERE tenant_id = %(id)s);
