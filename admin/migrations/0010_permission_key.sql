-- What can be permitted: keys, and what "more" and "less" of each means.
--
-- A key has a kind:
--   * bool: false is less than true;
--   * number: less is less;
--   * set, of texts: a part of it is less. A set that is everything is written ["*"].
-- Sets of relations and functions are sets of *names* ("orders", "shop.orders", "shop.*", "order*": without a
-- schema a name is meant in every schema, and * at the end stands for any rest), and one name may cover another.
-- Of a set of denied names more names are less permitted, so that "less" of two is both together.
--
-- Values are kept in one form: sets without doubles and in order. All functions here are of one value and know
-- no tenant.

-- ---- names ----

CREATE FUNCTION name_schema(name text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN strpos(name, '.') > 0 THEN split_part(name, '.', 1) END;

CREATE FUNCTION name_rest(name text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN substr(name, strpos(name, '.') + 1);

-- The names that both stand for, or NULL where there are none.
CREATE FUNCTION pattern_meet(a text, b text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
	WHEN a = b THEN a
	WHEN right(b, 1) = '*' AND starts_with(a, left(b, -1)) THEN a
	WHEN right(a, 1) = '*' AND starts_with(b, left(a, -1)) THEN b
END;

CREATE FUNCTION name_meet(a text, b text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
	WHEN name_schema(a) <> name_schema(b) THEN NULL
	ELSE coalesce(coalesce(name_schema(a), name_schema(b)) || '.', '') || pattern_meet(name_rest(a), name_rest(b))
END;

-- Those that look through lists are not in SQL alone: a session plans them once then. A list has a thousand names at
-- most, of which a hundred are patterns like "order*": what is compared name by name are those alone.

CREATE FUNCTION name_is_pattern(name text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN right(name, 1) = '*' AND name_rest(name) <> '*';

-- Those names of `less` that are covered by one of `more`.
CREATE FUNCTION names_covered(more jsonb, less jsonb) RETURNS SETOF text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $$
DECLARE
	patterns text[] := ARRAY(SELECT m.name FROM jsonb_array_elements_text(more) m (name)
							 WHERE bulkhead_control.name_is_pattern(m.name));
BEGIN
	RETURN QUERY
	SELECT l.name FROM jsonb_array_elements_text(less) l (name)
	WHERE more ?| ARRAY['*', l.name, bulkhead_control.name_rest(l.name), bulkhead_control.name_schema(l.name) || '.*']
	OR EXISTS (SELECT FROM unnest(patterns) p (name) WHERE bulkhead_control.name_meet(p.name, l.name) = l.name);
END
$$;

CREATE FUNCTION names_cover(more jsonb, less jsonb) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $$
BEGIN
	RETURN more ? '*' OR less <@ more
		OR jsonb_array_length(less) = (SELECT count(*) FROM bulkhead_control.names_covered(more, less));
END
$$;

-- Both together. More than a thousand are all: nothing is permitted then, rather than too much.
CREATE FUNCTION names_union(a jsonb, b jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $$
BEGIN
	IF a @> b THEN
		RETURN a;
	ELSIF b @> a THEN
		RETURN b;
	END IF;
	RETURN (SELECT CASE WHEN count(*) > 1000 OR bool_or(u.name = '*') THEN '["*"]'
						ELSE jsonb_agg(u.name ORDER BY u.name COLLATE "C") END
			FROM (SELECT jsonb_array_elements_text(a) UNION SELECT jsonb_array_elements_text(b)) u (name));
END
$$;

-- What both cover: the names of either that the other covers, and of short lists also what lies between, as
-- "shop.orders" between "shop.*" and "orders". Of more than a thousand the first are taken.
CREATE FUNCTION names_meet(a jsonb, b jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $$
BEGIN
	IF bulkhead_control.names_cover(b, a) THEN
		RETURN a;
	ELSIF bulkhead_control.names_cover(a, b) THEN
		RETURN b;
	END IF;
	RETURN (
		SELECT coalesce(jsonb_agg(n.name ORDER BY n.name), '[]')
		FROM (SELECT c.name COLLATE "C" AS name
			  FROM (SELECT bulkhead_control.names_covered(b, a)
					UNION
					SELECT bulkhead_control.names_covered(a, b)
					UNION
					SELECT bulkhead_control.name_meet(x, y)
					FROM jsonb_array_elements_text(a) x, jsonb_array_elements_text(b) y
					WHERE jsonb_array_length(a) * jsonb_array_length(b) <= 10000) c (name)
			  WHERE c.name IS NOT NULL
			  ORDER BY 1 LIMIT 1000) n);
END
$$;

-- The same of words that mean nothing here.
CREATE FUNCTION words_meet(a jsonb, b jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $$
BEGIN
	IF b ? '*' THEN
		RETURN a;
	ELSIF a ? '*' THEN
		RETURN b;
	END IF;
	RETURN (SELECT coalesce(jsonb_agg(w.word ORDER BY w.word COLLATE "C"), '[]')
			FROM jsonb_array_elements_text(a) w (word) WHERE b ? w.word);
END
$$;

-- ---- values ----

CREATE FUNCTION permission_is_word(elements text, word text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN octet_length(word) BETWEEN 1 AND 255 AND word !~ '[\u0001-\u001f\u007f]'
	AND (elements = 'words' OR word ~ '^([^.*]+\.)?([^*]+\*?|\*)$' AND word !~ '^\.|^[^.]*\.$');

-- Is this a value of such a key? At most 1000 elements, 100 patterns, and 64 KiB as text.
CREATE FUNCTION permission_is_value(kind text, elements text, value jsonb) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE kind
	WHEN 'bool' THEN jsonb_typeof(value) = 'boolean'
	WHEN 'number' THEN jsonb_typeof(value) = 'number'
	WHEN 'set' THEN CASE WHEN jsonb_typeof(value) <> 'array' OR octet_length(value::text) > 65536 THEN false
		WHEN jsonb_array_length(value) > 1000 THEN false
		ELSE NOT EXISTS (
			SELECT FROM jsonb_array_elements(value) e
			WHERE jsonb_typeof(e) <> 'string' OR NOT permission_is_word(elements, e #>> '{}'))
			AND (elements = 'words' OR (SELECT count(*) FROM jsonb_array_elements_text(value) e
										WHERE name_is_pattern(e)) <= 100) END
END;

-- In the form that is kept; of a value only.
CREATE FUNCTION permission_normal(kind text, value jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
	WHEN kind <> 'set' THEN value
	WHEN value ? '*' THEN '["*"]'
	ELSE (SELECT coalesce(jsonb_agg(w.word ORDER BY w.word), '[]')
		  FROM (SELECT DISTINCT jsonb_array_elements_text(value) COLLATE "C") w (word))
END;

-- The most that is not more than either.
CREATE FUNCTION permission_meet(kind text, elements text, a jsonb, b jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
	WHEN kind = 'bool' THEN CASE WHEN a::boolean THEN b ELSE a END
	WHEN kind = 'number' THEN CASE WHEN a::numeric <= b::numeric THEN a ELSE b END
	WHEN elements = 'names' THEN names_meet(a, b)
	WHEN elements = 'denied names' THEN names_union(a, b)
	ELSE words_meet(a, b)
END;

-- Is `more` at least as much as `less`?
CREATE FUNCTION permission_covers(kind text, elements text, more jsonb, less jsonb) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
	WHEN kind = 'bool' THEN more::boolean OR NOT less::boolean
	WHEN kind = 'number' THEN more::numeric >= less::numeric
	WHEN elements = 'names' THEN names_cover(more, less)
	WHEN elements = 'denied names' THEN names_cover(less, more)
	ELSE more ? '*' OR less <@ more
END;

-- ---- the registry ----

CREATE TABLE permission_key (
	key text COLLATE "C" PRIMARY KEY
		CONSTRAINT permission_key_form
			CHECK (key ~ '^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+$' AND octet_length(key) <= 127),
	kind text NOT NULL CONSTRAINT permission_key_kind CHECK (kind IN ('bool', 'number', 'set')),
	elements text NOT NULL DEFAULT 'words'
		CONSTRAINT permission_key_elements CHECK (elements IN ('words', 'names', 'denied names')),
	-- What a root holds without a grant, by its strategy; a tenant below it holds what both defaults allow.
	shared_default jsonb NOT NULL,
	schema_default jsonb NOT NULL,
	database_default jsonb NOT NULL,
	description text NOT NULL
		CONSTRAINT permission_key_description CHECK (octet_length(description) BETWEEN 1 AND 1000),
	builtin boolean NOT NULL DEFAULT false, -- Bulkhead's own

	CONSTRAINT permission_key_reserved CHECK (builtin OR key !~ '^(bulkhead|proxy|settings|sql)\.'),
	CONSTRAINT permission_key_elements_of_sets CHECK (kind = 'set' OR elements = 'words'),
	CONSTRAINT permission_key_default CHECK (
		permission_is_value(kind, elements, shared_default)
		AND permission_is_value(kind, elements, schema_default)
		AND permission_is_value(kind, elements, database_default))
);

COMMENT ON TABLE permission_key IS 'what can be permitted; applications may add keys of their own';

INSERT INTO permission_key (key, kind, elements, shared_default, schema_default, database_default, builtin, description)
VALUES
	('sql.read', 'bool', 'words', 'true', 'true', 'true', true, 'statements that read'),
	('sql.write', 'bool', 'words', 'true', 'true', 'true', true, 'INSERT, UPDATE, DELETE, MERGE'),
	('sql.call', 'bool', 'words', 'true', 'true', 'true', true, 'CALL'),
	('sql.copy', 'bool', 'words', 'true', 'true', 'true', true, 'COPY to and from the client'),
	('sql.ddl', 'bool', 'words', 'false', 'true', 'true', true, 'CREATE, ALTER, DROP and their like'),
	('sql.maintenance', 'bool', 'words', 'false', 'true', 'true', true, 'VACUUM, ANALYZE, REINDEX and their like'),
	('sql.listen', 'bool', 'words', 'false', 'false', 'true', true, 'LISTEN and NOTIFY'),
	('sql.fastpath', 'bool', 'words', 'false', 'false', 'false', true, 'the FunctionCall message of the protocol'),
	('sql.relations', 'set', 'names', '["*"]', '["*"]', '["*"]', true, 'relations that statements may name'),
	('sql.functions', 'set', 'names', '["*"]', '["*"]', '["*"]', true, 'functions that statements may name'),
	('sql.relations_denied', 'set', 'denied names', '[]', '[]', '[]', true, 'relations that statements may not name'),
	('sql.functions_denied', 'set', 'denied names', '[]', '[]', '[]', true, 'functions that statements may not name');

CREATE FUNCTION permission_default(k permission_key, strategy text) RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE strategy
	WHEN 'SHARED_RLS' THEN k.shared_default
	WHEN 'SCHEMA_PER_TENANT' THEN k.schema_default
	ELSE k.database_default
END;

-- What a key means never changes: values of it would mean something else. Bulkhead's own stay whole.
CREATE FUNCTION permission_key_guard() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF OLD.builtin OR (TG_OP = 'UPDATE'
					   AND (NEW.key, NEW.kind, NEW.elements, NEW.shared_default, NEW.schema_default, NEW.database_default,
							NEW.builtin)
						   IS DISTINCT FROM (OLD.key, OLD.kind, OLD.elements, OLD.shared_default, OLD.schema_default,
											 OLD.database_default, OLD.builtin)) THEN
		RAISE check_violation USING
			MESSAGE = format('of the key %s only a description of the application''s own can be changed', OLD.key),
			SCHEMA = 'bulkhead_control', TABLE = 'permission_key', CONSTRAINT = 'permission_key_fixed';
	END IF;
	IF TG_OP = 'DELETE' THEN
		RETURN OLD;
	END IF;
	RETURN NEW;
END
$$;

CREATE TRIGGER permission_key_guard BEFORE UPDATE OR DELETE ON permission_key
	FOR EACH ROW EXECUTE FUNCTION permission_key_guard();

CREATE FUNCTION permission_key_normal() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	-- What is no value is the constraint's to refuse.
	IF bulkhead_control.permission_is_value(NEW.kind, NEW.elements, NEW.shared_default)
	   AND bulkhead_control.permission_is_value(NEW.kind, NEW.elements, NEW.schema_default)
	   AND bulkhead_control.permission_is_value(NEW.kind, NEW.elements, NEW.database_default) THEN
		NEW.shared_default := bulkhead_control.permission_normal(NEW.kind, NEW.shared_default);
		NEW.schema_default := bulkhead_control.permission_normal(NEW.kind, NEW.schema_default);
		NEW.database_default := bulkhead_control.permission_normal(NEW.kind, NEW.database_default);
	END IF;
	RETURN NEW;
END
$$;

CREATE TRIGGER permission_key_normal BEFORE INSERT ON permission_key
	FOR EACH ROW EXECUTE FUNCTION permission_key_normal();

GRANT SELECT, DELETE,
	INSERT (key, kind, elements, shared_default, schema_default, database_default, description),
	UPDATE (description)
	ON permission_key TO bulkhead_admin;
-- What the constraints call, whoever inserts.
GRANT EXECUTE ON FUNCTION permission_is_value(text, text, jsonb), permission_is_word(text, text), name_is_pattern(text),
	name_rest(text) TO bulkhead_admin;
