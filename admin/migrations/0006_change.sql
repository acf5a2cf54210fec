-- Changes of whole subtrees, for whoever manages tenants: statuses and moves, and paths as people read them.
--
-- Suspending a subtree and resuming it later must not wake a tenant that had been suspended for a reason of
-- its own. So a tenant remembers with whom it was suspended or archived, and what it was before it was archived:
--   * suspended_with, archived_with: the tenant whose suspension or archiving took this one along; NULL when
--     it was meant itself;
--   * archived_from: the status to go back to. NULL (archived before this was kept) goes back to suspended.
-- Both ids are memories and no references: the other tenant may move away or be deleted.

ALTER TABLE tenant
	ADD COLUMN suspended_with uuid,
	ADD COLUMN archived_with uuid,
	ADD COLUMN archived_from text
		CONSTRAINT tenant_archived_from CHECK (archived_from IN ('provisioning', 'active', 'suspended'));

-- Keeps these three true whoever writes the status. Its name puts it before tenant_stamp.
CREATE FUNCTION tenant_remember_status() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF NEW.status = 'archived' THEN
		NEW.archived_from := nullif(OLD.status, 'purging');
	ELSE
		NEW.archived_from := NULL;
		NEW.archived_with := NULL;
	END IF;
	IF NEW.status <> 'suspended' AND NEW.archived_from IS DISTINCT FROM 'suspended' THEN
		NEW.suspended_with := NULL;
	END IF;
	RETURN NEW;
END
$$;

CREATE TRIGGER tenant_remember_status BEFORE UPDATE OF status ON tenant
	FOR EACH ROW WHEN (OLD.status <> NEW.status)
	EXECUTE FUNCTION tenant_remember_status();

-- Slugs from the root to the tenant itself, with slashes between them, which no slug has.
CREATE FUNCTION path_slugs(path ltree) RETURNS text
LANGUAGE sql STABLE
BEGIN ATOMIC
	SELECT string_agg(t.slug, '/' ORDER BY label.place)
	FROM string_to_table(ltree2text(path), '.') WITH ORDINALITY AS label (id, place)
	JOIN tenant t ON t.id = label.id::uuid;
END;

-- What becomes of a status; itself where the verb does not apply.
CREATE FUNCTION status_after(verb text, status text, archived_from text) RETURNS text
LANGUAGE sql IMMUTABLE
RETURN CASE
	WHEN verb = 'suspend' AND status = 'active' THEN 'suspended'
	WHEN verb = 'resume' AND status = 'suspended' THEN 'active'
	WHEN verb = 'archive' AND status IN ('provisioning', 'active', 'suspended') THEN 'archived'
	WHEN verb = 'restore' AND status = 'archived' THEN coalesce(archived_from, 'suspended')
	ELSE status
END;

-- Suspends, resumes, archives or restores a tenant, or the subtree below it as well, and returns what
-- changed; nothing when all was so already. Taken along are:
--   * by suspend, all below that are active; by archive, all below but those that are being purged;
--   * by resume and restore, what went along with this tenant or with one above it, and can go back: what was
--     suspended or archived on its own stays so, and so does what would be active below one that is not.
-- Refusals name one of the constraints tenant_status_from (the tenant's status does not allow it),
-- tenant_status_below (active tenants below, and not the subtree) and tenant_status_above (it would be active
-- below one that is not).
CREATE FUNCTION change_tenant_status(tenant_id uuid, verb text, subtree boolean)
RETURNS TABLE (id uuid, slug text, was text, status text, version bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	top bulkhead_control.tenant%ROWTYPE;
	above bulkhead_control.tenant%ROWTYPE;
	target text;
	active_below bigint;
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

	RETURN QUERY
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
	), changed AS (
		UPDATE bulkhead_control.tenant t SET
			status = c.status,
			suspended_with = CASE WHEN verb = 'suspend' THEN nullif(top.id, t.id) ELSE t.suspended_with END,
			archived_with = CASE WHEN verb = 'archive' THEN nullif(top.id, t.id) ELSE t.archived_with END
		FROM change c
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

-- Puts a tenant, and with it all below it, under another, or among the roots where parent_id is NULL. Returns
-- all that moved; nothing when it was there already.
CREATE FUNCTION move_tenant(tenant_id uuid, parent_id uuid)
RETURNS TABLE (id uuid, slug text, path text, version bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	top bulkhead_control.tenant%ROWTYPE;
BEGIN
	LOCK TABLE bulkhead_control.tree_lock IN EXCLUSIVE MODE;
	UPDATE bulkhead_control.tenant t SET parent_id = move_tenant.parent_id WHERE t.id = tenant_id
		AND t.parent_id IS DISTINCT FROM move_tenant.parent_id;
	IF NOT FOUND THEN
		IF NOT EXISTS (SELECT FROM bulkhead_control.tenant t WHERE t.id = tenant_id) THEN
			RAISE no_data_found USING MESSAGE = 'there is no tenant ' || tenant_id;
		END IF;
		RETURN;
	END IF;
	SELECT * INTO top FROM bulkhead_control.tenant t WHERE t.id = tenant_id;
	RETURN QUERY
	SELECT t.id, t.slug, bulkhead_control.path_slugs(t.path), t.version
	FROM bulkhead_control.tenant t
	WHERE bulkhead_control.path_is_within(t.path, top.path)
	ORDER BY t.path;
END
$$;

COMMENT ON COLUMN tenant.suspended_with IS 'the tenant whose suspension took this one along; NULL: suspended itself';
COMMENT ON COLUMN tenant.archived_with IS 'the tenant whose archiving took this one along; NULL: archived itself';
COMMENT ON COLUMN tenant.archived_from IS 'the status before it was archived; filled in by the database';
COMMENT ON FUNCTION change_tenant_status(uuid, text, boolean)
	IS 'suspend, resume, archive or restore a tenant or a subtree; returns what changed';
COMMENT ON FUNCTION move_tenant(uuid, uuid) IS 'moves a tenant and all below it; returns what moved';

GRANT EXECUTE ON FUNCTION path_slugs(ltree), path_is_within(ltree, ltree), change_tenant_status(uuid, text, boolean),
	move_tenant(uuid, uuid) TO bulkhead_admin;
