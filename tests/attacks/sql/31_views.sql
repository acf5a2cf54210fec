-- Views, triggers and rules: what is written down here and evaluated there.

-- case: writing-through-a-view
-- area: views, triggers and rules
-- hope: a view's rows are written with its owner's rights
SELECT count(*) FROM order_items;                                                           -- = 20!
INSERT INTO order_items VALUES ('{globex}', 900, 'acme');                                   -- 42501
UPDATE order_items SET tenant_id = '{globex}';                                              -- 42501
UPDATE order_items SET item = 'acme' WHERE tenant_id = '{globex}';                          -- ok
DELETE FROM order_items WHERE tenant_id <> '{acme}';                                        -- ok
SELECT item FROM order_items WHERE tenant_id = '{globex}' FOR UPDATE;                       -- ok
COPY (SELECT * FROM order_items) TO STDOUT;                                                 -- ok
TRUNCATE order_items;                                                                       -- 42809 | 42809 | 42501
SELECT count(*) FROM orders;                                                                -- = 20!

-- case: views-of-the-applications-changed
-- hope: a view of the application's is turned into one that asks with its owner's rights
CREATE OR REPLACE VIEW order_items AS SELECT * FROM orders;                                 -- 42501
ALTER VIEW order_items SET (security_invoker = off);                                        -- 42501
ALTER VIEW order_items RESET (security_invoker);                                            -- 42501
ALTER VIEW order_items OWNER TO CURRENT_USER;                                               -- 42501
ALTER TABLE order_items ALTER tenant_id SET DEFAULT '{globex}';                             -- 42501
CREATE RULE r AS ON SELECT TO order_items DO INSTEAD SELECT * FROM orders;                  -- 42501
CREATE RULE r AS ON INSERT TO order_items DO ALSO DELETE FROM orders;                       -- 42501
CREATE TRIGGER t INSTEAD OF INSERT ON order_items FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger();  -- 42501
DROP VIEW order_items;                                                                      -- 42501
DROP RULE "_RETURN" ON order_items;                                                         -- 42501
SELECT count(*) FROM orders;                                                                -- = 20!

-- case: triggers-on-what-all-share
-- hope: a trigger of acme's fires in globex's statements
CREATE TRIGGER t BEFORE UPDATE ON notices FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger();  -- 42501
CREATE CONSTRAINT TRIGGER t AFTER INSERT ON words DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger();  -- 42501
CREATE TRIGGER t BEFORE INSERT ON papers FOR EACH ROW EXECUTE FUNCTION tsvector_update_trigger(title, 'pg_catalog.simple', title);  -- 42501
CREATE OR REPLACE TRIGGER t AFTER TRUNCATE ON orders EXECUTE FUNCTION suppress_redundant_updates_trigger();  -- 42501
ALTER TABLE payments DISABLE TRIGGER ALL;                                                   -- 42501
ALTER TABLE payments ENABLE REPLICA TRIGGER t;                                              -- 42501
DROP TRIGGER IF EXISTS t ON orders;
ALTER TABLE orders DISABLE RULE "_RETURN";                                                  -- 42501
CREATE RULE r AS ON DELETE TO notices DO INSTEAD NOTHING;                                   -- 42501
SELECT count(*) FROM orders;                                                                -- = 20!

-- case: references-to-what-all-share
-- hope: a key of one's own points to others' rows, tells of them and pins them
-- under: standard
CREATE TEMP TABLE pin (t uuid, id bigint, FOREIGN KEY (t, id) REFERENCES orders);           -- 42P16
CREATE TABLE public.pin (t uuid, id bigint, FOREIGN KEY (t, id) REFERENCES orders);         -- 42501
CREATE TEMP TABLE coupon (code text PRIMARY KEY);
ALTER TABLE slips ADD FOREIGN KEY (code) REFERENCES coupon;                                 -- 42501 | 42501 | 42501
ALTER TABLE coupon ADD FOREIGN KEY (code) REFERENCES coupons (code);                        -- 42P16
SELECT count(*) FROM orders;                                                                -- = 20!

-- case: a-view-of-settings
-- hope: a temporary view over pg_settings carries the rule that sets
-- under: standard
CREATE TEMP VIEW s AS SELECT * FROM pg_settings;
UPDATE s SET setting = '{globex_hex},' WHERE name = '{context}';
UPDATE s SET setting = 'off' WHERE name = 'row_security';
UPDATE s SET setting = 'shop_owner' WHERE name = 'role';
CREATE TEMP VIEW s2 AS SELECT name AS n, setting AS v FROM s WHERE name LIKE '%functions';
UPDATE s2 SET v = '{globex_hex},';
SELECT count(*) FROM orders WHERE tenant_id = '{globex}';
RESET row_security;
SELECT count(*) FROM orders;                                                                -- = 20!

-- case: views-of-what-is-taken-away
-- hope: a view of one's own reads what may not be read by name
-- under: standard
CREATE TEMP VIEW v AS SELECT query FROM pg_stat_activity;
SELECT * FROM v;                                                                            -- 42501
CREATE TEMP VIEW k AS SELECT * FROM bulkhead.signing_key;
SELECT * FROM k;                                                                            -- 42501
CREATE TEMP VIEW t AS TABLE bulkhead_control.tenant;                                        -- 42501
SELECT * FROM t;
CREATE TEMP VIEW a WITH (security_invoker = true) AS SELECT * FROM pg_authid;
SELECT * FROM a;                                                                            -- 42501
CREATE TEMP VIEW e AS SELECT bulkhead.enter('default', '{globex_hex}', '', '1', 'x');
SELECT * FROM e;                                                                            -- 42501
SELECT count(*) FROM orders;                                                                -- = 20!

-- case: rules-with-more-than-one-statement
-- hope: a rule on a table of one's own runs statements that nobody reads
-- under: standard
CREATE TEMP TABLE t (x text);
CREATE RULE a AS ON INSERT TO t DO ALSO (SELECT set_config('{context}', '{globex_hex},', false); SELECT item FROM orders);
INSERT INTO t VALUES ('x');                                                                 -- 42501?
CREATE RULE b AS ON UPDATE TO t DO INSTEAD NOTIFY news;
CREATE RULE c AS ON DELETE TO t DO ALSO UPDATE orders SET tenant_id = '{globex}';
DELETE FROM t;
CREATE TRIGGER d BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger();
INSERT INTO t VALUES ('y');
SELECT count(*) FROM orders;                                                                -- = 20!

-- case: a-view-with-a-check
-- hope: a check option, a barrier or a nested view lets rows through that a table would not
-- under: standard
CREATE TEMP VIEW a AS SELECT * FROM orders WHERE id < 1000;
CREATE TEMP VIEW b AS SELECT * FROM a WITH CASCADED CHECK OPTION;
INSERT INTO b VALUES ('{globex}', 900, 'acme');                                             -- 42501
UPDATE b SET tenant_id = '{globex}' WHERE id = 1;                                           -- 42501
DELETE FROM b WHERE tenant_id = '{globex}';
MERGE INTO orders o USING b ON o.id = b.id AND b.tenant_id <> '{acme}' WHEN MATCHED THEN DELETE;
SELECT count(*) FROM b;                                                                     -- = 20
SELECT count(*) FROM orders;                                                                -- = 20!

-- case: a-materialized-view
-- hope: what is kept in it has no row security
CREATE MATERIALIZED VIEW kept AS SELECT * FROM orders;                                      -- 42501
CREATE MATERIALIZED VIEW public.kept AS SELECT * FROM orders WITH NO DATA;                  -- 42501
REFRESH MATERIALIZED VIEW orders;                                                           -- 42501 | 42501
CREATE UNLOGGED TABLE kept AS SELECT * FROM orders;                                         -- 42501
SELECT * INTO kept FROM orders;                                                             -- 42501
SELECT count(*) FROM orders;                                                                -- = 20!
