-- Rows of one tenant: <tenant> is its id, <slug> its name, <marker> a word of its own that no attack knows.
INSERT INTO orders SELECT '<tenant>', n, '<slug> ' || n || ' <marker>' FROM generate_series(1, 20) AS n;
INSERT INTO accounts (tenant_id, id, name, balance, details)
SELECT '<tenant>', n, '<slug> account ' || n || ' <marker>', 100 * n, '{"secret": "<marker>"}' FROM generate_series(1, 10) AS n;
INSERT INTO payments SELECT '<tenant>', n, 1, '<slug> payment <marker>' FROM generate_series(1, 10) AS n;
INSERT INTO events SELECT '<tenant>', 20 * n, '<slug> event <marker>' FROM generate_series(1, 10) AS n;
INSERT INTO papers VALUES ('<tenant>', '<slug> paper <marker>');
INSERT INTO contracts VALUES ('<tenant>', '<slug> contract <marker>');
INSERT INTO notices VALUES ('<tenant>', '<slug> notice <marker>');
INSERT INTO coupons VALUES ('<tenant>', '<slug>-coupon');
INSERT INTO slips VALUES ('<tenant>', '<slug>-coupon');
INSERT INTO slots VALUES ('<tenant>', '[<key>,<key> <marker>]');
INSERT INTO words SELECT '<tenant>', '<slug> word ' || n FROM generate_series(1, 200) AS n;
INSERT INTO words SELECT '<tenant>', '<slug> favourite' FROM generate_series(1, 100) AS n;
INSERT INTO tickets SELECT <key>, n, '<slug> ' || n || ' <marker>' FROM generate_series(1, 20) AS n;
