-- Settings: values that tenants inherit. The nearest tenant on the way up that has one wins, unless one above it
-- locked the key: then the highest lock wins. A value below a lock stays, means nothing, and is back when the
-- lock is gone; while the lock is there none is set.
--
-- A key is registered, with a type and bounds, or begins with `app.`: those are the application's own and take
-- any JSON. 64 KiB is the limit of each value.

CREATE FUNCTION setting_is_value(type text, minimum numeric, maximum numeric, choices text[], value jsonb) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
	WHEN octet_length(value::text) > 65536 THEN false
	WHEN type IN ('integer', 'number') THEN CASE
		WHEN jsonb_typeof(value) <> 'number' THEN false
		ELSE (type = 'number' OR value::numeric = trunc(value::numeric))
			AND value::numeric >= coalesce(minimum, value::numeric)
			AND value::numeric <= coalesce(maximum, value::numeric) END
	WHEN type = 'string' THEN CASE
		WHEN jsonb_typeof(value) <> 'string' THEN false
		ELSE (choices IS NULL OR value #>> '{}' = ANY (choices))
			AND char_length(value #>> '{}') BETWEEN coalesce(minimum, 0) AND coalesce(maximum, 65536) END
	ELSE jsonb_typeof(value) = type
END;

CREATE TABLE setting_key (
	key text COLLATE "C" PRIMARY KEY
		CONSTRAINT setting_key_form
			CHECK (key ~ '^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+$' AND octet_length(key) <= 127),
	type text NOT NULL
		CONSTRAINT setting_key_type CHECK (type IN ('boolean', 'integer', 'number', 'string', 'array', 'object')),
	minimum numeric, -- of a number, or of a string's characters
	maximum numeric,
	choices text[], -- of a string
	default_value jsonb, -- NULL: what Bulkhead or the application does without
	sensitive boolean NOT NULL DEFAULT false, -- never stored as plain text
	description text NOT NULL
		CONSTRAINT setting_key_description CHECK (octet_length(description) BETWEEN 1 AND 1000),
	builtin boolean NOT NULL DEFAULT false,

	CONSTRAINT setting_key_reserved CHECK (builtin OR key !~ '^(app|bulkhead|proxy|settings|sql)\.'),
	CONSTRAINT setting_key_default CHECK (setting_is_value(type, minimum, maximum, choices, default_value))
);

COMMENT ON TABLE setting_key IS 'registered settings: their types, bounds and defaults';

INSERT INTO setting_key (key, type, choices, default_value, builtin, description) VALUES
	('proxy.read_only', 'boolean', NULL, 'false', true, 'statements that write are refused'),
	('proxy.gate', 'string', '{enforce,observe,off}', NULL, true,
	 'what the gate does with what may not be: refuse it, count and log it, or nothing; without it, what the proxy''s configuration says');

CREATE FUNCTION setting_key_guard() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF OLD.builtin OR (TG_OP = 'UPDATE'
					   AND (NEW.key, NEW.type, NEW.minimum, NEW.maximum, NEW.choices, NEW.default_value, NEW.sensitive,
							NEW.builtin)
						   IS DISTINCT FROM (OLD.key, OLD.type, OLD.minimum, OLD.maximum, OLD.choices, OLD.default_value,
											 OLD.sensitive, OLD.builtin)) THEN
		RAISE check_violation USING
			MESSAGE = format('of the key %s only a description of the application''s own can be changed', OLD.key),
			SCHEMA = 'bulkhead_control', TABLE = 'setting_key', CONSTRAINT = 'setting_key_fixed';
	END IF;
	IF TG_OP = 'DELETE' THEN
		RETURN OLD;
	END IF;
	RETURN NEW;
END
$$;

CREATE TRIGGER setting_key_guard BEFORE UPDATE OR DELETE ON setting_key
	FOR EACH ROW EXECUTE FUNCTION setting_key_guard();

CREATE TABLE setting (
	tenant_id uuid NOT NULL CONSTRAINT setting_tenant REFERENCES tenant (id) ON DELETE CASCADE,
	key text COLLATE "C" NOT NULL,
	value jsonb NOT NULL,
	locked boolean NOT NULL DEFAULT false,
	created_at timestamptz NOT NULL DEFAULT now(),
	updated_at timestamptz NOT NULL DEFAULT now(),
	-- What is not the application's own is registered.
	registered_key text COLLATE "C" GENERATED ALWAYS AS (CASE WHEN key !~ '^app\.' THEN key END) STORED
		CONSTRAINT setting_key_registered REFERENCES setting_key (key),

	PRIMARY KEY (tenant_id, key),
	CONSTRAINT setting_app_key CHECK (key !~ '^app\.' OR key ~ '^app(\.[A-Za-z0-9_-]+)+$' AND octet_length(key) <= 255),
	CONSTRAINT setting_size CHECK (octet_length(value::text) <= 65536)
);

CREATE INDEX setting_registered_key ON setting (registered_key);

COMMENT ON TABLE setting IS 'values as they were set; what holds for a tenant, resolve_settings says';

-- Which tenant's value holds for the tenant whose path this is, and which one locked it. No row where there is no
-- value on the way.
CREATE FUNCTION setting_standing(of_path uuid[], of_key text) RETURNS TABLE (source_id uuid, locked boolean, value jsonb)
LANGUAGE sql STABLE
BEGIN ATOMIC
	SELECT s.tenant_id, s.locked, s.value
	FROM setting s
	WHERE s.key = of_key AND s.tenant_id = ANY (of_path)
	ORDER BY s.locked DESC, array_position(of_path, s.tenant_id) * CASE WHEN s.locked THEN 1 ELSE -1 END
	LIMIT 1;
END;

CREATE TRIGGER setting_in_turn BEFORE INSERT OR UPDATE OR DELETE ON setting
	FOR EACH STATEMENT EXECUTE FUNCTION tenant_take_turns();

CREATE FUNCTION setting_check() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	k bulkhead_control.setting_key%ROWTYPE;
	t bulkhead_control.tenant%ROWTYPE;
	above record;
	refusal text;
	why text;
BEGIN
	SELECT * INTO k FROM bulkhead_control.setting_key r WHERE r.key = NEW.key;
	SELECT * INTO t FROM bulkhead_control.tenant o WHERE o.id = NEW.tenant_id;
	IF t.id IS NULL THEN
		RETURN NEW; -- the foreign key's to refuse
	END IF;
	SELECT o.slug INTO above
	FROM bulkhead_control.setting_standing(array_remove(bulkhead_control.path_ids(t.path), t.id), NEW.key) s
	JOIN bulkhead_control.tenant o ON o.id = s.source_id
	WHERE s.locked;
	IF FOUND THEN
		refusal := 'setting_locked';
		why := format('%s is locked by %s', NEW.key, above.slug);
	ELSIF k.sensitive THEN
		refusal := 'setting_sensitive';
		why := format('%s is sensitive, and this version stores nothing sensitive', NEW.key);
	ELSIF k.key IS NOT NULL
		  AND NOT bulkhead_control.setting_is_value(k.type, k.minimum, k.maximum, k.choices, NEW.value) THEN
		refusal := 'setting_value';
		why := format('a value of %s is %s', NEW.key, CASE
			WHEN k.choices IS NOT NULL THEN 'one of ' || array_to_string(k.choices, ', ')
			ELSE concat_ws(' ', CASE WHEN k.type IN ('integer', 'array', 'object') THEN 'an' ELSE 'a' END, k.type,
						   'from ' || k.minimum, 'to ' || k.maximum) END);
	END IF;
	IF refusal IS NOT NULL THEN
		RAISE check_violation USING
			MESSAGE = why, SCHEMA = 'bulkhead_control', TABLE = 'setting', CONSTRAINT = refusal;
	END IF;
	NEW.updated_at := clock_timestamp();
	RETURN NEW;
END
$$;

CREATE TRIGGER setting_check BEFORE INSERT OR UPDATE ON setting
	FOR EACH ROW EXECUTE FUNCTION setting_check();

CREATE TRIGGER setting_made AFTER INSERT ON setting
	REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION policy_changed();
CREATE TRIGGER setting_changed AFTER UPDATE ON setting
	REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION policy_changed();
CREATE TRIGGER setting_gone AFTER DELETE ON setting
	REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION policy_changed();

-- ---- for whoever manages tenants ----

-- Sets a tenant's value, locked for those below it or not. Returns it; nothing when all was so already.
CREATE FUNCTION set_setting(of_tenant uuid, of_key text, to_value jsonb, with_lock boolean)
RETURNS TABLE (id uuid, slug text, key text, value jsonb, locked boolean, version bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
	LOCK TABLE bulkhead_control.tree_lock IN EXCLUSIVE MODE;
	IF NOT EXISTS (SELECT FROM bulkhead_control.tenant t WHERE t.id = of_tenant) THEN
		RAISE no_data_found USING MESSAGE = format('there is no tenant %s', of_tenant);
	END IF;
	IF of_key !~ '^app\.' AND NOT EXISTS (SELECT FROM bulkhead_control.setting_key k WHERE k.key = of_key) THEN
		RAISE no_data_found USING MESSAGE = format('there is no setting %s', of_key);
	END IF;
	IF EXISTS (SELECT FROM bulkhead_control.setting s WHERE s.tenant_id = of_tenant AND s.key = of_key) THEN
		UPDATE bulkhead_control.setting s SET value = to_value, locked = with_lock
		WHERE s.tenant_id = of_tenant AND s.key = of_key
		AND ((s.value, s.locked) IS DISTINCT FROM (to_value, with_lock)
			 -- Below a lock also what is so already is refused: it does not hold.
			 OR of_tenant <> (SELECT b.source_id FROM bulkhead_control.tenant t,
							  LATERAL bulkhead_control.setting_standing(bulkhead_control.path_ids(t.path), of_key) b
							  WHERE t.id = of_tenant));
		IF NOT FOUND THEN
			RETURN;
		END IF;
	ELSE
		INSERT INTO bulkhead_control.setting (tenant_id, key, value, locked)
		VALUES (of_tenant, of_key, to_value, with_lock)
		ON CONFLICT (tenant_id, key) DO UPDATE SET value = EXCLUDED.value; -- as in set_permission
	END IF;
	RETURN QUERY
	SELECT t.id, t.slug, s.key, s.value, s.locked, t.version
	FROM bulkhead_control.setting s JOIN bulkhead_control.tenant t ON t.id = s.tenant_id
	WHERE s.tenant_id = of_tenant AND s.key = of_key;
END
$$;

-- Takes a tenant's own value away. Returns it; nothing when there was none.
CREATE FUNCTION unset_setting(of_tenant uuid, of_key text)
RETURNS TABLE (id uuid, slug text, key text, value jsonb, locked boolean, version bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	old bulkhead_control.setting%ROWTYPE;
BEGIN
	LOCK TABLE bulkhead_control.tree_lock IN EXCLUSIVE MODE;
	DELETE FROM bulkhead_control.setting s WHERE s.tenant_id = of_tenant AND s.key = of_key RETURNING s.* INTO old;
	RETURN QUERY
	SELECT t.id, t.slug, old.key, old.value, old.locked, t.version
	FROM bulkhead_control.tenant t WHERE t.id = old.tenant_id;
END
$$;

-- What holds for a tenant: of each registered key, and of each of the application's that has a value on the way.
-- `source_id` is the tenant that has the value, NULL where it is the default; `own` is the tenant's own, which
-- means nothing where `masked`.
CREATE FUNCTION resolve_settings(of_tenant uuid)
RETURNS TABLE (key text, value jsonb, inherited boolean, source_id uuid, source text, locked_by text, own jsonb,
			   own_locked boolean, masked boolean)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT n.key, CASE WHEN s.source_id IS NULL THEN k.default_value ELSE s.value END,
		s.source_id IS NOT NULL AND s.source_id <> t.id, s.source_id, o.slug,
		CASE WHEN s.locked THEN o.slug END, own.value, own.locked,
		own.tenant_id IS NOT NULL AND s.source_id <> t.id
	FROM tenant t
	CROSS JOIN LATERAL (
		SELECT r.key FROM setting_key r
		UNION
		SELECT a.key FROM setting a WHERE a.tenant_id = ANY (path_ids(t.path))
	) n
	LEFT JOIN setting_key k ON k.key = n.key
	LEFT JOIN LATERAL setting_standing(path_ids(t.path), n.key) s ON true
	LEFT JOIN tenant o ON o.id = s.source_id
	LEFT JOIN setting own ON own.tenant_id = t.id AND own.key = n.key
	WHERE t.id = of_tenant
	ORDER BY n.key;
END;

COMMENT ON FUNCTION set_setting(uuid, text, jsonb, boolean) IS 'sets a tenant''s value of a key; returns it if it is another now';
COMMENT ON FUNCTION unset_setting(uuid, text) IS 'takes a tenant''s own value of a key away; returns it';
COMMENT ON FUNCTION resolve_settings(uuid) IS 'what holds for a tenant of each key, and from where';

GRANT SELECT, DELETE,
	INSERT (key, type, minimum, maximum, choices, default_value, sensitive, description),
	UPDATE (description)
	ON setting_key TO bulkhead_admin;
GRANT SELECT ON setting TO bulkhead_admin;
GRANT EXECUTE ON FUNCTION set_setting(uuid, text, jsonb, boolean), unset_setting(uuid, text), resolve_settings(uuid),
	setting_is_value(text, numeric, numeric, text[], jsonb) -- the constraint of setting_key calls it
	TO bulkhead_admin;
