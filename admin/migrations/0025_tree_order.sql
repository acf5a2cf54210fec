-- The order of siblings, and the orders in which lists of tenants are read.
--
-- `position` says where a tenant stands among those with the same parent: the smaller, the nearer to the front. A new
-- tenant, and one that comes from elsewhere, stands last, without anybody having to look at the others: a sequence
-- gives it a number that is larger than all before. Whoever is put between two gets a number between theirs, the one
-- with the fewest digits; where that would have more than a hundred, the siblings are numbered anew.

CREATE SEQUENCE tenant_position AS bigint;

ALTER TABLE tenant ADD COLUMN position numeric NOT NULL DEFAULT 0;

-- Not the triggers': it is no change that anybody has to hear of.
ALTER TABLE tenant DISABLE TRIGGER USER;
UPDATE tenant t SET position = o.place
FROM (SELECT s.id, row_number() OVER (ORDER BY s.created_at, s.slug) AS place FROM tenant s) o
WHERE o.id = t.id;
ALTER TABLE tenant ENABLE TRIGGER USER;
SELECT setval('tenant_position', max(t.position)::bigint) FROM tenant t HAVING count(*) > 0;

ALTER TABLE tenant
	ALTER COLUMN position SET DEFAULT nextval('tenant_position'),
	ADD CONSTRAINT tenant_position_form CHECK (scale(position) <= 200 AND abs(position) < 1e30);

COMMENT ON COLUMN tenant.position IS 'siblings stand in the order of it';

-- Its name puts it before tenant_stamp.
CREATE FUNCTION tenant_arrive() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	NEW.position := nextval('bulkhead_control.tenant_position');
	RETURN NEW;
END
$$;

CREATE TRIGGER tenant_arrive BEFORE UPDATE OF parent_id ON tenant
	FOR EACH ROW WHEN (OLD.parent_id IS DISTINCT FROM NEW.parent_id AND OLD.position = NEW.position)
	EXECUTE FUNCTION tenant_arrive();

-- ---- orders to read in ----

-- Siblings; this is also what looks for the children of a tenant.
DROP INDEX tenant_parent_id;
CREATE INDEX tenant_siblings ON tenant (parent_id, position, id);

-- A subtree, from the top down: in this order all that is below a tenant stands directly behind it.
CREATE INDEX tenant_path_order ON tenant USING btree (path);

DROP INDEX tenant_cluster;
CREATE INDEX tenant_of_cluster ON tenant (cluster, slug);
CREATE INDEX tenant_of_status ON tenant (status, slug) WHERE status <> 'active';
CREATE INDEX tenant_by_age ON tenant (created_at, id);

-- The first path behind all that is below this one. A label made longer by a character stands behind the label and
-- before all others that do; labels of ids are all of one length.
CREATE FUNCTION path_end(path ltree) RETURNS ltree
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN subpath(path, 0, -1) || (ltree2text(subpath(path, -1)) || '0');

CREATE FUNCTION path_is_before(path ltree, other ltree) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN path < other;

CREATE FUNCTION path_is_behind(path ltree, other ltree) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN path > other;

CREATE FUNCTION path_of(label_path text) RETURNS ltree
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN text2ltree(label_path);

-- ---- reordering ----

-- A number between two, with as few digits as can be; NULL where that would be too many, or there is none.
CREATE FUNCTION position_between(low numeric, high numeric) RETURNS numeric
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $$
DECLARE
	middle numeric := (low + high) * 0.5;
	tried numeric;
BEGIN
	FOR digits IN 0..100 LOOP
		tried := round(middle, digits);
		IF tried > low AND tried < high THEN
			RETURN trim_scale(tried);
		END IF;
	END LOOP;
	RETURN NULL;
END
$$;

-- Puts a tenant in front of a sibling or behind it, or, where that is NULL, in front of all or behind all. False when
-- it stood there already. Whoever is no sibling is refused: tenant_sibling.
CREATE FUNCTION place_tenant(of_tenant uuid, next_to uuid, in_front boolean) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	mine bulkhead_control.tenant%ROWTYPE;
	other bulkhead_control.tenant%ROWTYPE;
	-- Where $1 is a parent, the index finds its children; among roots, what has none.
	siblings text;
	low numeric;
	high numeric;
	place numeric;
BEGIN
	LOCK TABLE bulkhead_control.tree_lock IN EXCLUSIVE MODE;
	SELECT * INTO mine FROM bulkhead_control.tenant t WHERE t.id = of_tenant;
	SELECT * INTO other FROM bulkhead_control.tenant t WHERE t.id = next_to;
	IF mine.id IS NULL OR next_to IS NOT NULL AND other.id IS NULL THEN
		RAISE no_data_found USING MESSAGE = format('there is no tenant %s', CASE WHEN mine.id IS NULL THEN of_tenant ELSE next_to END);
	END IF;
	IF next_to IS NOT NULL AND (other.id = mine.id OR other.parent_id IS DISTINCT FROM mine.parent_id) THEN
		RAISE check_violation USING
			MESSAGE = format('tenant %s is no sibling of %s', other.slug, mine.slug),
			SCHEMA = 'bulkhead_control', TABLE = 'tenant', CONSTRAINT = 'tenant_sibling';
	END IF;
	siblings := CASE WHEN mine.parent_id IS NULL THEN 'parent_id IS NULL' ELSE 'parent_id = $1' END || ' AND id <> $2';
	-- Once more where all had to be numbered anew.
	FOR turn IN 1..2 LOOP
		SELECT t.position INTO other.position FROM bulkhead_control.tenant t WHERE t.id = next_to;
		IF in_front THEN
			high := other.position;
			IF next_to IS NULL THEN
				EXECUTE 'SELECT position FROM bulkhead_control.tenant WHERE ' || siblings
					|| ' ORDER BY parent_id, position, id LIMIT 1' INTO high USING mine.parent_id, mine.id;
			ELSE
				EXECUTE 'SELECT position FROM bulkhead_control.tenant WHERE ' || siblings
					|| ' AND (position, id) < ($3, $4) ORDER BY parent_id DESC, position DESC, id DESC LIMIT 1'
				INTO low USING mine.parent_id, mine.id, other.position, other.id;
			END IF;
		ELSE
			low := other.position;
			IF next_to IS NULL THEN
				EXECUTE 'SELECT position FROM bulkhead_control.tenant WHERE ' || siblings
					|| ' ORDER BY parent_id DESC, position DESC, id DESC LIMIT 1' INTO low USING mine.parent_id, mine.id;
			ELSE
				EXECUTE 'SELECT position FROM bulkhead_control.tenant WHERE ' || siblings
					|| ' AND (position, id) > ($3, $4) ORDER BY parent_id, position, id LIMIT 1'
				INTO high USING mine.parent_id, mine.id, other.position, other.id;
			END IF;
		END IF;
		IF coalesce(low < mine.position, true) AND coalesce(mine.position < high, true) THEN
			RETURN false;
		END IF;
		place := CASE
			WHEN high IS NULL THEN nextval('bulkhead_control.tenant_position')
			WHEN low IS NULL THEN floor(high) - 1
			ELSE bulkhead_control.position_between(low, high) END;
		EXIT WHEN place IS NOT NULL;
		EXECUTE 'WITH numbered AS MATERIALIZED (SELECT s.id, nextval(''bulkhead_control.tenant_position'') AS position'
			|| ' FROM (SELECT id FROM bulkhead_control.tenant WHERE ' || siblings || ' ORDER BY position, id OFFSET 0) s)'
			|| ' UPDATE bulkhead_control.tenant t SET position = n.position FROM numbered n WHERE t.id = n.id'
		USING mine.parent_id, mine.id;
	END LOOP;
	UPDATE bulkhead_control.tenant t SET position = place WHERE t.id = of_tenant;
	RETURN true;
END
$$;

COMMENT ON FUNCTION place_tenant(uuid, uuid, boolean) IS 'puts a tenant next to a sibling, or first or last of all';

-- Takes the tree's turn: that of whoever changes what is there, or that of whoever adds to it, which excludes only the
-- others. It comes before the first look at anything.
CREATE FUNCTION take_turn(to_add boolean DEFAULT false) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF to_add THEN
		LOCK TABLE bulkhead_control.tree_lock IN ROW SHARE MODE;
	ELSE
		LOCK TABLE bulkhead_control.tree_lock IN EXCLUSIVE MODE;
	END IF;
END
$$;

-- ---- subtrees ----

-- Two functions as they were, but that what they find is taken from arrays, whose lengths the planner sees. How many
-- tenants are below another it guesses, and read half the index to move a single one.
CREATE OR REPLACE FUNCTION tenant_carry_subtree() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	ids uuid[];
	paths text[];
BEGIN
	WITH RECURSIVE below (id, path, steps) AS (
		SELECT t.id, t.path, 0 FROM bulkhead_control.tenant t WHERE t.id = NEW.id
		UNION ALL
		SELECT t.id, bulkhead_control.path_under(b.path, t.id), b.steps + 1
		FROM bulkhead_control.tenant t JOIN below b ON t.parent_id = b.id
		WHERE b.steps < 20
	)
	SELECT array_agg(b.id), array_agg(b.path::text) INTO ids, paths FROM below b;

	UPDATE bulkhead_control.tenant t SET path = bulkhead_control.path_of(b.path)
	FROM unnest(ids, paths) AS b (id, path)
	WHERE t.id = b.id AND t.path::text <> b.path;
	RETURN NULL;
END
$$;

CREATE OR REPLACE FUNCTION change_tenant_status(tenant_id uuid, verb text, subtree boolean)
RETURNS TABLE (id uuid, slug text, was text, status text, version bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	top bulkhead_control.tenant%ROWTYPE;
	above bulkhead_control.tenant%ROWTYPE;
	target text;
	active_below bigint;
	ids uuid[];
	statuses text[];
	targets text[];
BEGIN
	IF verb IS NULL OR verb NOT IN ('suspend', 'resume', 'archive', 'restore') THEN
		RAISE invalid_parameter_value USING MESSAGE = format('there is no change of status called %L', verb);
	END IF;
	-- In turn, and before the first look: each statement below sees what the one before left.
	LOCK TABLE bulkhead_control.tree_lock IN EXCLUSIVE MODE;
	SELECT * INTO top FROM bulkhead_control.tenant t WHERE t.id = tenant_id;
	IF NOT FOUND THEN
		RAISE no_data_found USING MESSAGE = 'there is no tenant ' || tenant_id;
	END IF;

	target := bulkhead_control.status_after(verb, top.status, top.archived_from);
	IF top.status = 'purging'
	   OR verb IN ('suspend', 'resume') AND target NOT IN ('active', 'suspended') THEN
		RAISE check_violation USING
			MESSAGE = format('tenant %s is %s', top.slug, top.status),
			SCHEMA = 'bulkhead_control', TABLE = 'tenant', CONSTRAINT = 'tenant_status_from';
	END IF;
	SELECT * INTO above FROM bulkhead_control.tenant t WHERE t.id = top.parent_id;
	IF target = 'active' AND above.status <> 'active' THEN
		RAISE check_violation USING
			MESSAGE = format('tenant %s cannot be active: %s above it is %s', top.slug, above.slug, above.status),
			SCHEMA = 'bulkhead_control', TABLE = 'tenant', CONSTRAINT = 'tenant_status_above';
	END IF;
	IF verb IN ('suspend', 'archive') AND NOT subtree THEN
		SELECT count(*) INTO active_below FROM bulkhead_control.tenant t
		WHERE bulkhead_control.path_is_within(t.path, top.path) AND t.id <> top.id AND t.status = 'active';
		IF active_below > 0 THEN
			RAISE check_violation USING
				MESSAGE = format('tenant %s has %s active %s below it', top.slug, active_below,
								 CASE active_below WHEN 1 THEN 'tenant' ELSE 'tenants' END),
				SCHEMA = 'bulkhead_control', TABLE = 'tenant', CONSTRAINT = 'tenant_status_below';
		END IF;
	END IF;

	WITH RECURSIVE change (id, was, status) AS (
		SELECT top.id, top.status, target
		UNION ALL
		SELECT t.id, t.status, CASE
			-- What would be active below one that is not, or was not taken along, stays.
			WHEN after.status = 'active' AND above.status <> 'active' THEN t.status
			WHEN verb IN ('resume', 'restore') AND (after.took IS NULL OR EXISTS (
				SELECT FROM bulkhead_control.tenant o
				WHERE o.id = after.took AND o.id <> top.id AND bulkhead_control.path_is_within(o.path, top.path)))
			THEN t.status
			ELSE after.status
		END
		FROM change above
		JOIN bulkhead_control.tenant t ON t.parent_id = above.id
		CROSS JOIN LATERAL (
			SELECT bulkhead_control.status_after(verb, t.status, t.archived_from) AS status,
				CASE verb WHEN 'resume' THEN t.suspended_with WHEN 'restore' THEN t.archived_with END AS took
		) after
		WHERE subtree
	)
	SELECT array_agg(c.id), array_agg(c.was), array_agg(c.status) INTO ids, statuses, targets FROM change c;

	RETURN QUERY
	WITH changed AS (
		UPDATE bulkhead_control.tenant t SET
			status = c.status,
			suspended_with = CASE WHEN verb = 'suspend' THEN nullif(top.id, t.id) ELSE t.suspended_with END,
			archived_with = CASE WHEN verb = 'archive' THEN nullif(top.id, t.id) ELSE t.archived_with END
		FROM unnest(ids, statuses, targets) AS c (id, was, status)
		WHERE t.id = c.id AND (
			c.status <> c.was
			-- It had been taken along, and is meant itself now.
			OR t.id = top.id AND (verb = 'suspend' AND t.suspended_with IS NOT NULL
								  OR verb = 'archive' AND t.archived_with IS NOT NULL))
		RETURNING t.id, t.slug, c.was, t.status, t.version, t.path
	)
	SELECT c.id, c.slug, c.was, c.status, c.version FROM changed c ORDER BY c.path;
END
$$;

GRANT USAGE ON SEQUENCE tenant_position TO bulkhead_admin;
GRANT EXECUTE ON FUNCTION place_tenant(uuid, uuid, boolean), take_turn(boolean), path_ids(ltree), path_end(ltree),
	path_is_before(ltree, ltree), path_is_behind(ltree, ltree), path_of(text), token_of(text) TO bulkhead_admin;
