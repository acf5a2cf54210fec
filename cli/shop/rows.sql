-- Rows for the sandbox's tenants, the same in every sandbox but for the tenants' ids. Each tenant has
-- customers at a domain and products of its own, so that a foreign row would be seen at once.

BEGIN;

CREATE TEMPORARY TABLE shop (
	slug      text PRIMARY KEY,
	tenant_id uuid NOT NULL,
	domain    text NOT NULL,
	cities    text[] NOT NULL,
	products  text[] NOT NULL,
	prices    numeric(10,2)[] NOT NULL,
	customers integer NOT NULL,
	orders    integer NOT NULL
) ON COMMIT DROP;

INSERT INTO shop
SELECT slug, tenant.id, domain, cities, products, prices, customers, orders
  FROM (VALUES
	('acme', 'acme.example',
	 ARRAY['Tucson', 'Flagstaff', 'Albuquerque', 'El Paso', 'Yuma'],
	 ARRAY['Anvil, 50 kg', 'Rocket skates', 'Giant magnet', 'Portable tunnel', 'Bird seed, 10 kg'],
	 ARRAY[189.00, 349.50, 79.90, 25.00, 12.40], 24, 60),
	('acme-labs', 'labs.acme.example',
	 ARRAY['Los Alamos', 'Socorro', 'Roswell'],
	 ARRAY['Centrifuge', 'Wind tunnel, hour', 'Oscilloscope', 'Heat shield sample'],
	 ARRAY[2450.00, 310.00, 875.25, 64.80], 12, 30),
	('globex', 'globex.example',
	 ARRAY['Hamburg', 'Rotterdam', 'Antwerp', 'Bremen'],
	 ARRAY['Cargo crane part', 'Ship''s chandler kit', 'Container seal, 100', 'Marine radio', 'Life raft'],
	 ARRAY[1290.00, 149.95, 58.00, 420.00, 2199.00], 30, 75)
       ) AS believable (slug, domain, cities, products, prices, customers, orders)
  JOIN bulkhead_control.tenant USING (slug);

INSERT INTO public.customers (tenant_id, id, name, email, city, created_at)
SELECT tenant_id, n, given || ' ' || family, lower(given) || '.' || lower(family) || '@' || domain,
       cities[1 + n % cardinality(cities)],
       timestamptz '2026-01-05 09:00+00' + n * interval '31 hours'
  FROM shop
 CROSS JOIN generate_series(1, customers) AS n
 CROSS JOIN LATERAL (SELECT
	(ARRAY['Ada', 'Bruno', 'Clara', 'Dmitri', 'Elena', 'Farid', 'Grace', 'Hugo', 'Ines', 'Jonas',
	       'Kira', 'Louis'])[1 + n % 12] AS given,
	(ARRAY['Adler', 'Brandt', 'Castillo', 'Dubois', 'Eriksen', 'Fischer', 'Garcia', 'Hansen', 'Ito',
	       'Jansen', 'Keller'])[1 + n % 11] AS family) AS person;

INSERT INTO public.orders (tenant_id, id, customer_id, status, ordered_at)
SELECT tenant_id, 1000 + n, 1 + n * 7 % customers,
       (ARRAY['delivered', 'delivered', 'shipped', 'paid', 'new', 'delivered', 'cancelled'])[1 + n % 7],
       timestamptz '2026-03-01 08:00+00' + n * interval '19 hours'
  FROM shop
 CROSS JOIN generate_series(1, orders) AS n;

INSERT INTO public.order_items (tenant_id, order_id, line, product, quantity, unit_price)
SELECT tenant_id, 1000 + n, line, products[item], 1 + (n + line) % 4, prices[item]
  FROM shop
 CROSS JOIN generate_series(1, orders) AS n
 CROSS JOIN generate_series(1, 1 + n % 3) AS line
 CROSS JOIN LATERAL (SELECT 1 + (n + line) % cardinality(products)) AS pick (item);

-- What the application inserts is numbered from here on.
ALTER TABLE public.customers ALTER COLUMN id RESTART WITH 5000;
ALTER TABLE public.orders ALTER COLUMN id RESTART WITH 5000;

COMMIT;
