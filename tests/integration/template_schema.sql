-- A schema with one of everything that is copied, under names that need quotes.
CREATE SCHEMA "Tem plate";
SET search_path = "Tem plate";
SET check_function_bodies = off;

CREATE COLLATION "by number" (provider = icu, locale = 'en-u-kn-true');
CREATE TYPE "select" AS ENUM ('new', 'it''s', '✓ done', '');
CREATE TYPE point3 AS (x double precision, "y y" numeric(10, 2), label text COLLATE "C");
CREATE FUNCTION is_code(text) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$ SELECT $1 ~ '^[A-Z]+$' $$;
CREATE DOMAIN code AS varchar(20) COLLATE "C" DEFAULT 'A' NOT NULL CONSTRAINT "is code" CHECK (is_code(VALUE));
CREATE DOMAIN codes AS code[];
COMMENT ON CONSTRAINT "is code" ON DOMAIN code IS 'letters';
COMMENT ON DOMAIN code IS 'what ''things'' are called';
COMMENT ON TYPE "select" IS 'a reserved word';

CREATE SEQUENCE free_numbers AS integer INCREMENT BY -5 MINVALUE -1000 MAXVALUE -1 START WITH -10 CACHE 3 CYCLE;
COMMENT ON SEQUENCE free_numbers IS 'downwards';
CREATE FUNCTION doubled(n bigint) RETURNS bigint LANGUAGE sql IMMUTABLE RETURN n * 2;
CREATE TABLE customers (
    id bigint GENERATED ALWAYS AS IDENTITY (START WITH 100 INCREMENT BY 10) PRIMARY KEY,
    "Näme 🦆" text COLLATE "by number" NOT NULL DEFAULT 'nobody',
    "t'; drop table x; --" "select" DEFAULT 'it''s'::"select",
    spot point3,
    short code,
    tags text[] DEFAULT '{}',
    twice bigint GENERATED ALWAYS AS (doubled(n)) STORED,
    n bigint DEFAULT nextval('free_numbers'),
    body text COMPRESSION pglz,
    dropped integer,
    CONSTRAINT "n is small" CHECK (n < 1000) NO INHERIT,
    CONSTRAINT unique_name UNIQUE ("Näme 🦆", n) INCLUDE (body) WITH (fillfactor = 70) DEFERRABLE INITIALLY DEFERRED
) WITH (fillfactor = 80, autovacuum_enabled = false, toast.autovacuum_enabled = false);
ALTER TABLE customers DROP COLUMN dropped;
ALTER TABLE customers ALTER COLUMN body SET STORAGE EXTERNAL, ALTER COLUMN n SET STATISTICS 500,
    ALTER COLUMN n SET (n_distinct = -0.5);
COMMENT ON TABLE customers IS 'who buys
on two lines';
COMMENT ON COLUMN customers."t'; drop table x; --" IS 'it''s "quoted"';
COMMENT ON CONSTRAINT "n is small" ON customers IS 'small';

CREATE TABLE orders (
    id serial PRIMARY KEY,
    customer bigint NOT NULL,
    parent integer,
    "from" date NOT NULL,
    during tstzrange,
    EXCLUDE USING gist (during WITH &&) WHERE (id > 0),
    CONSTRAINT "customer of" FOREIGN KEY (customer) REFERENCES customers ON DELETE CASCADE DEFERRABLE,
    CONSTRAINT below FOREIGN KEY (parent) REFERENCES orders
);
ALTER TABLE customers ADD COLUMN last_order integer;
ALTER TABLE customers ADD CONSTRAINT last_one FOREIGN KEY (last_order) REFERENCES orders ON UPDATE CASCADE NOT VALID;
CREATE INDEX ON orders (customer, "from" DESC NULLS LAST) INCLUDE (parent) WITH (fillfactor = 50) WHERE parent IS NOT NULL;
CREATE INDEX "odd index" ON customers USING gin (tags);
CREATE INDEX by_expression ON customers (lower("Näme 🦆") text_pattern_ops, doubled(n));
CREATE UNIQUE INDEX replica ON orders (id, customer);
ALTER TABLE orders REPLICA IDENTITY USING INDEX replica;
ALTER TABLE orders CLUSTER ON orders_pkey;
COMMENT ON INDEX "odd index" IS 'odd';
CREATE STATISTICS "how they go" (dependencies, ndistinct) ON customer, "from" FROM orders;
COMMENT ON STATISTICS "how they go" IS 'together';

CREATE TABLE base (a integer NOT NULL DEFAULT 1, b text CONSTRAINT b_set CHECK (b <> ''));
CREATE TABLE heir (b text DEFAULT 'b', c integer) INHERITS (base);
ALTER TABLE heir ALTER COLUMN a SET DEFAULT 2;
CREATE TABLE events (at timestamptz NOT NULL, id bigint NOT NULL, kind text, PRIMARY KEY (at, id)) PARTITION BY RANGE (at);
CREATE TABLE events_2025 PARTITION OF events FOR VALUES FROM ('2025-01-01 00:00Z') TO ('2026-01-01 00:00Z') PARTITION BY HASH (id);
CREATE TABLE events_2025_0 PARTITION OF events_2025 FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE events_2025_1 PARTITION OF events_2025 FOR VALUES WITH (MODULUS 2, REMAINDER 1);
CREATE TABLE events_rest PARTITION OF events DEFAULT;
CREATE INDEX "by kind" ON events (kind);
CREATE UNLOGGED TABLE cache (k text PRIMARY KEY, v jsonb);

CREATE VIEW "open" WITH (security_invoker = true, security_barrier) AS
    SELECT o.id, c."Näme 🦆" AS name, c.short FROM orders AS o JOIN customers AS c ON c.id = o.customer
    WHERE c."t'; drop table x; --" <> 'it''s';
CREATE VIEW per_customer AS SELECT c.id, c."Näme 🦆", count(o.id) AS orders FROM customers AS c
    LEFT JOIN orders AS o ON o.customer = c.id GROUP BY c.id;
CREATE VIEW small_orders AS SELECT * FROM orders WHERE id < 100 WITH LOCAL CHECK OPTION;
ALTER VIEW small_orders ALTER COLUMN "from" SET DEFAULT '2000-01-01';
CREATE MATERIALIZED VIEW totals AS SELECT customer, count(*) AS n FROM orders GROUP BY customer;
CREATE UNIQUE INDEX ON totals (customer);
CREATE MATERIALIZED VIEW not_yet AS SELECT * FROM totals WITH NO DATA;
COMMENT ON VIEW "open" IS 'still';
COMMENT ON COLUMN "open".name IS 'whose';

CREATE FUNCTION orders_of(who customers) RETURNS SETOF orders LANGUAGE sql STABLE
    BEGIN ATOMIC SELECT o.* FROM orders AS o WHERE o.customer = (who).id; END;
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = "Tem plate", pg_temp
    AS $$ BEGIN PERFORM count(*) FROM customers; RETURN NEW; END $$;
CREATE FUNCTION "f ""q"" "(VARIADIC a "select"[] DEFAULT '{}', OUT total integer) LANGUAGE sql AS $$ SELECT cardinality(a) $$;
CREATE PROCEDURE clean(IN days integer DEFAULT 30, INOUT n integer DEFAULT 0) LANGUAGE plpgsql
    AS $$ BEGIN DELETE FROM orders WHERE "from" < current_date - days; END $$;
REVOKE ALL ON FUNCTION touch() FROM PUBLIC;
COMMENT ON FUNCTION touch() IS 'touches';
COMMENT ON PROCEDURE clean(integer, integer) IS 'cleans';

CREATE TRIGGER "touch it" BEFORE INSERT OR UPDATE OF customer ON orders FOR EACH ROW WHEN (NEW.customer > 0) EXECUTE FUNCTION touch();
CREATE TRIGGER off AFTER INSERT ON customers REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION touch();
ALTER TABLE customers DISABLE TRIGGER off;
CREATE TRIGGER on_events BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION touch();
CREATE CONSTRAINT TRIGGER late AFTER INSERT ON orders DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION touch();
COMMENT ON TRIGGER "touch it" ON orders IS 'always';
ALTER TABLE customers ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY "all of them" ON customers USING (true);
CREATE POLICY small ON customers AS RESTRICTIVE FOR UPDATE TO template_reader USING (n < 10) WITH CHECK (doubled(n) < 20);
COMMENT ON POLICY small ON customers IS 'fewer';
CREATE RULE no_delete AS ON DELETE TO cache DO INSTEAD NOTHING;

GRANT USAGE ON SCHEMA "Tem plate" TO template_reader;
GRANT SELECT ON customers, "open" TO template_reader WITH GRANT OPTION;
GRANT UPDATE ("Näme 🦆") ON customers TO template_reader;
GRANT USAGE ON SEQUENCE free_numbers TO template_reader;
GRANT EXECUTE ON FUNCTION touch() TO template_reader;
GRANT USAGE ON TYPE "select" TO template_reader;

CREATE TABLE "group" (id integer PRIMARY KEY, parent integer REFERENCES "group", label text, n integer GENERATED ALWAYS AS (id + 1) STORED,
    counted bigint GENERATED BY DEFAULT AS IDENTITY);
COMMENT ON TABLE "group" IS 'a list that everybody begins with @bulkhead:rows';
INSERT INTO "group" VALUES (1, 2, 'one'), (2, NULL, 'two');

CREATE TABLE "äöü456789_123456789_123456789_123456789_123456789_123456789" (
    "xxxxxxxxx_123456789_123456789_123456789_123456789_123456789_123" serial PRIMARY KEY,
    "user" text UNIQUE, "order" integer REFERENCES "group" ("id"));
