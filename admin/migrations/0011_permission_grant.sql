-- Grants: what a tenant, and with it those below, may do.
--
-- What a tenant holds of a key is worked out from the root down:
--   * a root holds what it was granted, or else its strategy's default;
--   * a tenant below holds what its parent passes on; a grant of its own lowers that, and never raises it: what
--     a child holds its parent holds. Without any grant on the way the defaults of all strategies on it bind;
--   * below a grant of mode LOCKED other grants of the key mean nothing. Below one of mode INHERITED a tenant may
--     have grants of that mode alone: it lowers its own value, and with it what it passes on. Below one of mode
--     DELEGATED, or none, any mode may be chosen.
-- Refusals when a grant is set say so early. They are not what it rests on: the tree and the grants above may
-- change later, so it is worked out anew whenever it is asked for, and a grant that is too large then is cut.
--
-- What becomes of a grant that is revoked, its column `revocation` says:
--   * CASCADE: with it go all grants of the key below, and what was frozen there;
--   * SOFT: it alone. Whoever is below and would hold less keeps what it holds now, frozen: for itself, not to
--     be passed on, until the key is set again at or above it to less, revoked, or the tenant is moved;
--   * PERMANENT: it is neither revoked nor changed, and ends with the tenant. (It holds what its parent holds
--     at most, as any other.)

ALTER TABLE tenant ADD COLUMN policy_changes bigint NOT NULL DEFAULT 0;

COMMENT ON COLUMN tenant.policy_changes IS 'counts changes of permissions and settings that may concern it';

CREATE FUNCTION path_ids(path ltree) RETURNS uuid[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN string_to_array(ltree2text(path), '.')::uuid[];

-- These and all below them have changed for whoever holds them: one statement, and each tenant once.
CREATE FUNCTION tenant_bump(tops uuid[]) RETURNS void
LANGUAGE sql
BEGIN ATOMIC
	UPDATE tenant t SET policy_changes = t.policy_changes + 1
	WHERE t.id IN (SELECT below.id FROM tenant top JOIN tenant below ON path_is_within(below.path, top.path)
				   WHERE top.id = ANY (tops));
END;

CREATE TABLE permission_grant (
	tenant_id uuid NOT NULL CONSTRAINT permission_grant_tenant REFERENCES tenant (id) ON DELETE CASCADE,
	key text COLLATE "C" NOT NULL CONSTRAINT permission_grant_key REFERENCES permission_key (key),
	value jsonb NOT NULL,
	mode text NOT NULL
		CONSTRAINT permission_grant_mode CHECK (mode IN ('LOCKED', 'INHERITED', 'DELEGATED')),
	revocation text NOT NULL
		CONSTRAINT permission_grant_revocation CHECK (revocation IN ('CASCADE', 'SOFT', 'PERMANENT')),
	created_at timestamptz NOT NULL DEFAULT now(),
	updated_at timestamptz NOT NULL DEFAULT now(),

	PRIMARY KEY (tenant_id, key)
);

CREATE INDEX permission_grant_of_key ON permission_grant (key);

CREATE TABLE permission_frozen (
	tenant_id uuid NOT NULL REFERENCES tenant (id) ON DELETE CASCADE,
	key text COLLATE "C" NOT NULL REFERENCES permission_key (key),
	value jsonb NOT NULL,
	revoked_at uuid NOT NULL, -- the tenant whose grant it came from; a memory and no reference
	created_at timestamptz NOT NULL DEFAULT now(),

	PRIMARY KEY (tenant_id, key)
);

CREATE INDEX permission_frozen_of_key ON permission_frozen (key);

COMMENT ON TABLE permission_grant IS 'grants as they were made; what a tenant holds, resolve_permissions says';
COMMENT ON TABLE permission_frozen IS 'what tenants keep of a grant above them that was revoked softly';

-- ---- what a tenant holds ----

-- Of the tenant whose path this is:
--   value       what it holds
--   source_id   whose grant that is, or was last cut by; NULL: nobody's, it is by default
--   mode        the mode that binds those below it
--   frozen      it keeps what it does not get from above any more
--   bound       what its parent passes on; NULL of a root
--   bound_mode  the mode that binds it
--   locked_by   the tenant above that locked the key
CREATE FUNCTION permission_standing(of_path uuid[], of_key text, OUT value jsonb, OUT source_id uuid, OUT mode text,
									OUT frozen boolean, OUT bound jsonb, OUT bound_mode text, OUT locked_by uuid)
LANGUAGE plpgsql STABLE
AS $$
DECLARE
	k bulkhead_control.permission_key%ROWTYPE;
	passed jsonb; -- on by the tenant that was looked at last
	node record;
BEGIN
	SELECT * INTO k FROM bulkhead_control.permission_key p WHERE p.key = of_key;
	mode := 'DELEGATED';
	FOR node IN
		SELECT t.id, bulkhead_control.permission_default(k, t.strategy) AS unset, g.value, g.mode, f.value AS kept
		FROM unnest(of_path) WITH ORDINALITY AS n (id, place)
		JOIN bulkhead_control.tenant t ON t.id = n.id
		LEFT JOIN bulkhead_control.permission_grant g ON g.tenant_id = n.id AND g.key = of_key
		LEFT JOIN bulkhead_control.permission_frozen f ON f.tenant_id = n.id AND f.key = of_key
		ORDER BY n.place
	LOOP
		bound := passed;
		bound_mode := mode;
		IF mode = 'LOCKED' THEN
			locked_by := coalesce(locked_by, source_id);
		ELSIF node.value IS NOT NULL THEN
			passed := CASE WHEN bound IS NULL THEN node.value
						   ELSE bulkhead_control.permission_meet(k.kind, k.elements, node.value, bound) END;
			source_id := node.id;
			IF mode = 'DELEGATED' THEN
				mode := node.mode;
			END IF;
		ELSIF source_id IS NULL THEN
			passed := CASE WHEN bound IS NULL THEN node.unset
						   ELSE bulkhead_control.permission_meet(k.kind, k.elements, bound, node.unset) END;
		END IF;
		value := passed;
		frozen := node.kept IS NOT NULL
			AND NOT bulkhead_control.permission_covers(k.kind, k.elements, passed, node.kept);
		IF frozen THEN
			value := node.kept;
			passed := bulkhead_control.permission_meet(k.kind, k.elements, passed, node.kept);
		END IF;
	END LOOP;
END
$$;

CREATE FUNCTION permission_held(of_path uuid[], of_key text) RETURNS jsonb
LANGUAGE plpgsql STABLE
AS $$
BEGIN
	RETURN (SELECT s.value FROM bulkhead_control.permission_standing(of_path, of_key) s);
END
$$;

-- ---- a grant's own rules ----

-- Whoever writes a grant takes the tree's turn: neither paths nor other grants change meanwhile.
CREATE TRIGGER permission_grant_in_turn BEFORE INSERT OR UPDATE OR DELETE ON permission_grant
	FOR EACH STATEMENT EXECUTE FUNCTION tenant_take_turns();

CREATE FUNCTION permission_grant_check() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	k bulkhead_control.permission_key%ROWTYPE;
	t bulkhead_control.tenant%ROWTYPE;
	s record;
	refusal text;
	why text;
BEGIN
	-- With its tenant a grant goes whatever it is.
	IF TG_OP = 'DELETE' AND NOT EXISTS (SELECT FROM bulkhead_control.tenant o WHERE o.id = OLD.tenant_id) THEN
		RETURN OLD;
	END IF;
	IF TG_OP <> 'INSERT' AND OLD.revocation = 'PERMANENT' THEN
		RAISE check_violation USING
			MESSAGE = format('the grant of %s is permanent: it ends with the tenant', OLD.key),
			SCHEMA = 'bulkhead_control', TABLE = 'permission_grant', CONSTRAINT = 'permission_grant_permanent';
	END IF;
	IF TG_OP = 'DELETE' THEN
		RETURN OLD;
	END IF;

	SELECT * INTO k FROM bulkhead_control.permission_key WHERE key = NEW.key;
	SELECT * INTO t FROM bulkhead_control.tenant WHERE id = NEW.tenant_id;
	IF k.key IS NULL OR t.id IS NULL THEN
		RETURN NEW; -- the foreign keys' to refuse
	END IF;
	SELECT * INTO s FROM bulkhead_control.permission_standing(bulkhead_control.path_ids(t.path), NEW.key);
	IF NOT bulkhead_control.permission_is_value(k.kind, k.elements, NEW.value) THEN
		refusal := 'permission_grant_value';
		why := format('a value of %s is %s', k.key, CASE k.kind
			WHEN 'bool' THEN 'true or false'
			WHEN 'number' THEN 'a number'
			ELSE CASE k.elements WHEN 'words' THEN 'an array of at most 1000 words, 64 KiB in all'
				 ELSE 'an array of at most 1000 names, 100 of them like "order*", 64 KiB in all' END END);
	ELSIF s.bound_mode = 'LOCKED' THEN
		refusal := 'permission_grant_locked';
		why := format('%s is locked by %s', k.key,
					  (SELECT slug FROM bulkhead_control.tenant WHERE id = s.locked_by));
	ELSIF s.bound_mode = 'INHERITED' AND NEW.mode <> 'INHERITED' THEN
		refusal := 'permission_grant_passed_on';
		why := format('%s is not delegated to %s: its grants are of mode INHERITED', k.key, t.slug);
	ELSE
		NEW.value := bulkhead_control.permission_normal(k.kind, NEW.value);
		IF s.bound IS NOT NULL AND k.elements <> 'denied names'
		   AND NOT bulkhead_control.permission_covers(k.kind, k.elements, s.bound, NEW.value) THEN
			refusal := 'permission_grant_bound';
			why := format('the parent of %s does not hold so much of %s', t.slug, k.key);
		END IF;
		IF k.elements = 'denied names' AND s.bound IS NOT NULL AND NOT NEW.value ? '*' AND NOT s.bound ? '*'
		   AND bulkhead_control.names_union(s.bound, NEW.value) ? '*' THEN
			refusal := 'permission_grant_value';
			why := format('with those of the tenants above these are more than 1000 names of %s', k.key);
		END IF;
	END IF;
	IF refusal IS NOT NULL THEN
		RAISE check_violation USING
			MESSAGE = why, SCHEMA = 'bulkhead_control', TABLE = 'permission_grant', CONSTRAINT = refusal;
	END IF;
	NEW.updated_at := clock_timestamp();
	RETURN NEW;
END
$$;

CREATE TRIGGER permission_grant_check BEFORE INSERT OR UPDATE OR DELETE ON permission_grant
	FOR EACH ROW EXECUTE FUNCTION permission_grant_check();

-- Tells of all rows that a statement changed; of a tenant that is gone there is nothing to tell.
CREATE FUNCTION policy_changed() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM bulkhead_control.tenant_bump(array_agg(DISTINCT c.tenant_id)) FROM changed c HAVING count(*) > 0;
	RETURN NULL;
END
$$;

CREATE TRIGGER permission_grant_made AFTER INSERT ON permission_grant
	REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION policy_changed();
CREATE TRIGGER permission_grant_changed AFTER UPDATE ON permission_grant
	REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION policy_changed();
CREATE TRIGGER permission_grant_gone AFTER DELETE ON permission_grant
	REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION policy_changed();

-- ---- what changes with the tree ----

-- What was frozen came from tenants that are not above any more.
CREATE FUNCTION tenant_thaw_moved() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	WITH RECURSIVE below (id, steps) AS (
		SELECT NEW.id, 0
		UNION ALL
		SELECT t.id, b.steps + 1 FROM bulkhead_control.tenant t JOIN below b ON t.parent_id = b.id
		WHERE b.steps < 20
	)
	DELETE FROM bulkhead_control.permission_frozen f USING below b WHERE f.tenant_id = b.id;
	RETURN NULL;
END
$$;

CREATE TRIGGER tenant_thaw_moved AFTER UPDATE OF parent_id ON tenant
	FOR EACH ROW WHEN (OLD.parent_id IS DISTINCT FROM NEW.parent_id)
	EXECUTE FUNCTION tenant_thaw_moved();

-- Defaults are the strategies' of all who are above.
CREATE FUNCTION tenant_strategy_changed() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM bulkhead_control.tenant_bump(array_agg(t.id)) FROM bulkhead_control.tenant t WHERE t.parent_id = NEW.id
	HAVING count(*) > 0;
	RETURN NULL;
END
$$;

CREATE TRIGGER tenant_strategy_in_turn BEFORE UPDATE OF strategy ON tenant
	FOR EACH STATEMENT EXECUTE FUNCTION tenant_take_turns();
CREATE TRIGGER tenant_strategy_changed AFTER UPDATE OF strategy ON tenant
	FOR EACH ROW WHEN (OLD.strategy <> NEW.strategy)
	EXECUTE FUNCTION tenant_strategy_changed();

-- ---- for whoever manages tenants ----

CREATE FUNCTION find_permission(of_tenant uuid, of_key text) RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
	IF NOT EXISTS (SELECT FROM bulkhead_control.tenant t WHERE t.id = of_tenant) THEN
		RAISE no_data_found USING MESSAGE = format('there is no tenant %s', of_tenant);
	END IF;
	IF NOT EXISTS (SELECT FROM bulkhead_control.permission_key k WHERE k.key = of_key) THEN
		RAISE no_data_found USING MESSAGE = format('there is no permission %s', of_key);
	END IF;
END
$$;

-- Grants a value, or changes the grant. A mode or revocation that is NULL stays as it is; of a new grant they are
-- INHERITED and CASCADE. Returns the grant; nothing when all was so already.
CREATE FUNCTION set_permission(of_tenant uuid, of_key text, to_value jsonb, with_mode text, with_revocation text)
RETURNS TABLE (id uuid, slug text, key text, value jsonb, mode text, revocation text, version bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	k bulkhead_control.permission_key%ROWTYPE;
	old bulkhead_control.permission_grant%ROWTYPE;
	new bulkhead_control.permission_grant%ROWTYPE;
	thawed bigint;
BEGIN
	LOCK TABLE bulkhead_control.tree_lock IN EXCLUSIVE MODE;
	PERFORM bulkhead_control.find_permission(of_tenant, of_key);
	SELECT * INTO k FROM bulkhead_control.permission_key p WHERE p.key = of_key;
	SELECT * INTO old FROM bulkhead_control.permission_grant g WHERE g.tenant_id = of_tenant AND g.key = of_key;
	new := (of_tenant, of_key, to_value, coalesce(with_mode, old.mode, 'INHERITED'),
			coalesce(with_revocation, old.revocation, 'CASCADE'), coalesce(old.created_at, now()), now());
	IF bulkhead_control.permission_is_value(k.kind, k.elements, new.value) THEN
		new.value := bulkhead_control.permission_normal(k.kind, new.value);
	END IF;

	DELETE FROM bulkhead_control.permission_frozen f WHERE f.tenant_id = of_tenant AND f.key = of_key;
	GET DIAGNOSTICS thawed = ROW_COUNT;
	IF thawed = 0 AND (new.value, new.mode, new.revocation) IS NOT DISTINCT FROM (old.value, old.mode, old.revocation)
	   -- Below a lock also what is so already is refused: it does not hold.
	   AND 'LOCKED' <> (SELECT s.bound_mode FROM bulkhead_control.tenant t,
						LATERAL bulkhead_control.permission_standing(bulkhead_control.path_ids(t.path), of_key) s
						WHERE t.id = of_tenant) THEN
		RETURN;
	END IF;
	IF old.tenant_id IS NULL THEN
		-- There is one only where the snapshot is older than the turn: PostgreSQL then says to try again.
		INSERT INTO bulkhead_control.permission_grant VALUES (new.*)
		ON CONFLICT (tenant_id, key) DO UPDATE SET value = EXCLUDED.value;
	ELSE
		UPDATE bulkhead_control.permission_grant g
		SET value = new.value, mode = new.mode, revocation = new.revocation
		WHERE g.tenant_id = of_tenant AND g.key = of_key;
	END IF;
	-- Nobody below keeps more than this from before.
	UPDATE bulkhead_control.permission_frozen f
	SET value = bulkhead_control.permission_meet(k.kind, k.elements, f.value, new.value)
	FROM bulkhead_control.tenant top, bulkhead_control.tenant below
	WHERE top.id = of_tenant AND bulkhead_control.path_is_within(below.path, top.path)
	AND f.tenant_id = below.id AND f.key = of_key;

	RETURN QUERY
	SELECT t.id, t.slug, g.key, g.value, g.mode, g.revocation, t.version
	FROM bulkhead_control.permission_grant g JOIN bulkhead_control.tenant t ON t.id = g.tenant_id
	WHERE g.tenant_id = of_tenant AND g.key = of_key;
END
$$;

-- Takes a tenant's grant back, as the grant says; without one, what it holds frozen. Returns whose grants went,
-- and what who keeps frozen; nothing when there was none.
CREATE FUNCTION revoke_permission(of_tenant uuid, of_key text)
RETURNS TABLE (id uuid, slug text, key text, became text, value jsonb, version bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	k bulkhead_control.permission_key%ROWTYPE;
	top bulkhead_control.tenant%ROWTYPE;
	old bulkhead_control.permission_grant%ROWTYPE;
	of_revoked uuid[];
	revoked jsonb[];
	of_below uuid[];
	before jsonb[];
	of_frozen uuid[];
BEGIN
	LOCK TABLE bulkhead_control.tree_lock IN EXCLUSIVE MODE;
	PERFORM bulkhead_control.find_permission(of_tenant, of_key);
	SELECT * INTO k FROM bulkhead_control.permission_key p WHERE p.key = of_key;
	SELECT * INTO top FROM bulkhead_control.tenant t WHERE t.id = of_tenant;
	SELECT * INTO old FROM bulkhead_control.permission_grant g WHERE g.tenant_id = of_tenant AND g.key = of_key;

	IF old.revocation = 'SOFT' THEN
		SELECT array_agg(t.id), array_agg(bulkhead_control.permission_held(bulkhead_control.path_ids(t.path), of_key))
		INTO of_below, before
		FROM bulkhead_control.tenant t
		WHERE bulkhead_control.path_is_within(t.path, top.path) AND t.id <> top.id;
	END IF;
	WITH gone AS (
		DELETE FROM bulkhead_control.permission_grant g USING bulkhead_control.tenant t
		WHERE g.key = of_key AND g.tenant_id = t.id AND bulkhead_control.path_is_within(t.path, top.path)
		AND (t.id = top.id OR old.revocation = 'CASCADE' AND g.revocation <> 'PERMANENT')
		RETURNING g.tenant_id, g.value
	)
	SELECT array_agg(gone.tenant_id), array_agg(gone.value) INTO of_revoked, revoked FROM gone;
	WITH thawed AS (
		DELETE FROM bulkhead_control.permission_frozen f USING bulkhead_control.tenant t
		WHERE f.key = of_key AND f.tenant_id = t.id AND bulkhead_control.path_is_within(t.path, top.path)
		AND (t.id = top.id OR old.revocation = 'CASCADE')
		RETURNING f.tenant_id, f.value
	)
	SELECT of_revoked || array_agg(thawed.tenant_id), revoked || array_agg(thawed.value) INTO of_revoked, revoked
	FROM thawed WHERE thawed.tenant_id <> ALL (coalesce(of_revoked, '{}'));
	IF of_revoked IS NULL THEN
		RETURN;
	END IF;
	IF old.tenant_id IS NULL THEN
		PERFORM bulkhead_control.tenant_bump(ARRAY[of_tenant]); -- else the grant's going has told
	END IF;
	IF old.revocation = 'SOFT' THEN
		WITH kept AS (
			INSERT INTO bulkhead_control.permission_frozen AS f (tenant_id, key, value, revoked_at)
			SELECT b.id, of_key, b.held, of_tenant
			FROM unnest(of_below, before) AS b (id, held) JOIN bulkhead_control.tenant t ON t.id = b.id
			WHERE NOT bulkhead_control.permission_covers(k.kind, k.elements,
				bulkhead_control.permission_held(bulkhead_control.path_ids(t.path), of_key), b.held)
			ON CONFLICT (tenant_id, key) DO UPDATE SET value = EXCLUDED.value, revoked_at = EXCLUDED.revoked_at
			RETURNING f.tenant_id
		)
		SELECT array_agg(kept.tenant_id) INTO of_frozen FROM kept;
	END IF;

	RETURN QUERY
	SELECT t.id, t.slug, of_key, c.became, c.value, t.version
	FROM (SELECT r.id, 'revoked', r.value FROM unnest(of_revoked, revoked) AS r (id, value)
		  UNION ALL
		  SELECT f.tenant_id, 'frozen', f.value FROM bulkhead_control.permission_frozen f
		  WHERE f.tenant_id = ANY (of_frozen) AND f.key = of_key) AS c (id, became, value)
	JOIN bulkhead_control.tenant t ON t.id = c.id
	ORDER BY t.path, c.became DESC;
END
$$;

-- What a tenant holds of each key, and from where: `source_id` is the tenant whose grant that is, or was last cut
-- by; NULL where it is a default, or kept frozen from a grant at revoked_at. `own` is its own grant's value, also
-- where a lock above has it mean nothing, or a parent that holds less cuts it.
CREATE FUNCTION resolve_permissions(of_tenant uuid)
RETURNS TABLE (key text, kind text, value jsonb, inherited boolean, source_id uuid, source text, locked_by text,
			   frozen boolean, own jsonb, mode text, revocation text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT k.key, k.kind, s.value,
		s.source_id IS NOT NULL AND s.source_id <> t.id,
		CASE WHEN NOT s.frozen THEN s.source_id END,
		CASE WHEN NOT s.frozen THEN (SELECT o.slug FROM tenant o WHERE o.id = s.source_id) END,
		(SELECT o.slug FROM tenant o WHERE o.id = s.locked_by),
		s.frozen, g.value, g.mode, g.revocation
	FROM tenant t
	CROSS JOIN permission_key k
	CROSS JOIN LATERAL permission_standing(path_ids(t.path), k.key) s
	LEFT JOIN permission_grant g ON g.tenant_id = t.id AND g.key = k.key
	WHERE t.id = of_tenant
	ORDER BY k.key;
END;

COMMENT ON FUNCTION set_permission(uuid, text, jsonb, text, text) IS 'grants a permission, or changes the grant; returns it if it is another now';
COMMENT ON FUNCTION revoke_permission(uuid, text) IS 'takes a grant back, as its revocation says; returns what went and what is kept frozen';
COMMENT ON FUNCTION resolve_permissions(uuid) IS 'what a tenant holds of each key, and from where';

GRANT SELECT ON permission_grant, permission_frozen TO bulkhead_admin;
GRANT EXECUTE ON FUNCTION set_permission(uuid, text, jsonb, text, text), revoke_permission(uuid, text),
	resolve_permissions(uuid) TO bulkhead_admin;
