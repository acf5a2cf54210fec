-- Rows for a tenant with a schema or a database of its own; the setting shop.tenant says for which, and the
-- search_path where its tables are.

BEGIN;

CREATE TEMPORARY TABLE shop ON COMMIT DROP AS
SELECT domain, cities, products, prices, customers, orders
  FROM (VALUES
	('initech', 'initech.example',
	 ARRAY['Austin', 'Dallas', 'Houston'],
	 ARRAY['Stapler, red', 'Cover sheet, 500', 'Cubicle wall', 'Printer, broken'],
	 ARRAY[24.90, 9.80, 320.00, 75.00], 18, 45),
	('umbrella', 'umbrella.example',
	 ARRAY['London', 'Basel', 'Raccoon City'],
	 ARRAY['Parasol', 'Umbrella, black', 'Green herb, 100 g', 'Lab coat'],
	 ARRAY[49.50, 18.00, 6.75, 34.00], 15, 36)
       ) AS believable (slug, domain, cities, products, prices, customers, orders)
 WHERE slug = current_setting('shop.tenant');

INSERT INTO customers (id, name, email, city, created_at)
SELECT n, given || ' ' || family, lower(given) || '.' || lower(family) || '@' || domain,
       cities[1 + n % cardinality(cities)], timestamptz '2026-01-07 10:00+00' + n * interval '29 hours'
  FROM shop
 CROSS JOIN generate_series(1, customers) AS n
 CROSS JOIN LATERAL (SELECT
	(ARRAY['Mona', 'Nils', 'Olga', 'Pavel', 'Rosa', 'Samir', 'Tess'])[1 + n % 7] AS given,
	(ARRAY['Keller', 'Lund', 'Moreau', 'Novak', 'Okafor'])[1 + n % 5] AS family) AS person;

INSERT INTO orders (id, customer_id, status, ordered_at)
SELECT 1000 + n, 1 + n * 7 % customers, (ARRAY['delivered', 'shipped', 'paid', 'new', 'delivered'])[1 + n % 5],
       timestamptz '2026-03-02 09:00+00' + n * interval '17 hours'
  FROM shop
 CROSS JOIN generate_series(1, orders) AS n;

INSERT INTO order_items (order_id, line, product, quantity, unit_price)
SELECT 1000 + n, line, products[1 + (n + line) % cardinality(products)], 1 + (n + line) % 4,
       prices[1 + (n + line) % cardinality(products)]
  FROM shop
 CROSS JOIN generate_series(1, orders) AS n
 CROSS JOIN generate_series(1, 1 + n % 3) AS line;

SELECT setval(pg_get_serial_sequence('customers', 'id'), (SELECT max(id) FROM customers)),
       setval(pg_get_serial_sequence('orders', 'id'), (SELECT max(id) FROM orders));

COMMIT;
