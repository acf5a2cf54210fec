-- The audit log: what was changed, by whom, and what it was before; and what sidecars and the admin API saw.
--
-- * A record is written in the transaction of what it tells of, by triggers on the tables themselves: whoever changes
--   a row, there is a record of it. What only follows from a change is none: new paths below a tenant that moved,
--   counts of versions, what goes with a tenant that is deleted.
-- * Records are a chain. Each has a place without gaps, in the order in which transactions were committed, and the
--   SHA-256 of the record before it and its own text (audit_text). Whoever changes, removes or puts in one record has
--   to make all later ones anew; and the last hash may be kept elsewhere.
-- * Nothing is changed or removed, but for the oldest records, by audit_prune, which leaves the hash of the last one
--   that went (audit_checkpoint).
-- * No secrets: where a column holds one, the record says "(secret)".
--
-- A record is drafted when the change is made, and gets its place at the very end of the transaction: the head of the
-- chain is one row, so it is locked last and for the time of a commit only. Nobody who holds it waits for anything.

CREATE TABLE audit (
	id bigint PRIMARY KEY, -- the place in the chain, from 1
	at timestamptz NOT NULL, -- when it got its place; never before that of the record in front
	kind text COLLATE "C" NOT NULL
		CONSTRAINT audit_kind CHECK (kind IN ('created', 'changed', 'deleted', 'noted', 'event')),
	action text COLLATE "C" NOT NULL,
	actor text COLLATE "C" NOT NULL,
	actor_id text COLLATE "C",
	login text COLLATE "C" NOT NULL, -- of the database session, whoever the actor says that it is
	address text,
	request_id text,
	tenant_id uuid,
	tenant_slug text COLLATE "C", -- at that time
	-- The tenant and all above it at that time; of a move those of both places.
	scope uuid[] NOT NULL,
	subject text COLLATE "C" NOT NULL,
	before jsonb, -- what was there; of a change only what differs
	after jsonb,
	prev_hash bytea NOT NULL,
	hash bytea NOT NULL
);

CREATE INDEX audit_tenant_id ON audit (tenant_id, id);
CREATE INDEX audit_scope ON audit USING gin (scope);
CREATE INDEX audit_at ON audit (at);

COMMENT ON TABLE audit IS 'what was changed and seen: a chain that is only ever added to';

CREATE TABLE audit_head (
	singleton boolean PRIMARY KEY DEFAULT true CONSTRAINT audit_head_singleton CHECK (singleton),
	id bigint NOT NULL,
	at timestamptz NOT NULL,
	hash bytea NOT NULL
) WITH (fillfactor = 10);

INSERT INTO audit_head (id, at, hash) VALUES (0, '-infinity', decode(repeat('00', 32), 'hex'));

COMMENT ON TABLE audit_head IS 'the last place of the audit log and its hash';

-- Where the oldest records went: the last one that was removed. A chain begins behind the last of these.
CREATE TABLE audit_checkpoint (
	id bigint PRIMARY KEY,
	hash bytea NOT NULL,
	at timestamptz NOT NULL, -- of the record
	made_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- What is not removed, however old it is: records of a tenant and those below it, or all.
CREATE TABLE audit_hold (
	id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	tenant_id uuid, -- NULL: all. No reference: a hold outlives its tenant
	tenant_slug text COLLATE "C",
	reason text NOT NULL
		CONSTRAINT audit_hold_reason CHECK (octet_length(reason) BETWEEN 1 AND 1000 AND reason !~ '[\u0001-\u001f\u007f]'),
	until timestamptz CONSTRAINT audit_hold_until CHECK (isfinite(until)), -- NULL: until it is released
	made_by text NOT NULL,
	made_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	released_by text,
	released_at timestamptz,

	CONSTRAINT audit_hold_released CHECK ((released_by IS NULL) = (released_at IS NULL))
);

-- Records of transactions that are not over. Nobody ever sees one of another transaction, so that they need not
-- survive a crash.
CREATE UNLOGGED TABLE audit_draft (
	transaction xid8 NOT NULL DEFAULT pg_current_xact_id(),
	n bigint GENERATED ALWAYS AS IDENTITY,
	is_first boolean NOT NULL, -- it will see to all of its transaction
	is_due boolean NOT NULL DEFAULT false,
	kind text COLLATE "C" NOT NULL,
	action text COLLATE "C" NOT NULL,
	actor text COLLATE "C" NOT NULL,
	actor_id text COLLATE "C",
	address text,
	request_id text,
	tenant_id uuid,
	tenant_slug text COLLATE "C",
	scope uuid[] NOT NULL,
	subject text COLLATE "C" NOT NULL,
	before jsonb,
	after jsonb,
	PRIMARY KEY (transaction, n)
);

-- ---- the chain ----

-- A value as it is hashed: its bytes in UTF-8 with their number in front, so that no two rows have one text.
CREATE FUNCTION audit_part(value text) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
RETURN coalesce(octet_length(convert_to(value, 'UTF8')) || ':' || value, '-') || ',';

-- What is hashed of a record, behind the 32 bytes of the hash before it. `bulkhead audit verify` makes the same text
-- by itself (admin/audit_chain.c).
CREATE FUNCTION audit_text(a audit) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
RETURN audit_part(a.id::text) || audit_part((extract(epoch FROM a.at) * 1000000)::bigint::text) || audit_part(a.kind)
	|| audit_part(a.action) || audit_part(a.actor) || audit_part(a.actor_id) || audit_part(a.login)
	|| audit_part(a.address) || audit_part(a.request_id) || audit_part(a.tenant_id::text) || audit_part(a.tenant_slug)
	|| audit_part(a.scope::text) || audit_part(a.subject) || audit_part(a.before::text) || audit_part(a.after::text);

CREATE FUNCTION audit_hash(a audit) RETURNS bytea
LANGUAGE sql STABLE PARALLEL SAFE
RETURN sha256(a.prev_hash || convert_to(audit_text(a), 'UTF8'));

-- At the end of a transaction what is deferred is done in rounds: what was deferred before, and then what that
-- deferred. The first round has the foreign keys of the tree, which may wait for rows that others hold. So the draft
-- that is first only says there that it is due, and it is the second round that takes the head.
CREATE FUNCTION audit_draft_due() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	UPDATE bulkhead_control.audit_draft d SET is_due = true WHERE d.transaction = NEW.transaction AND d.n = NEW.n;
	RETURN NULL;
END
$$;

CREATE CONSTRAINT TRIGGER audit_draft_due AFTER INSERT ON audit_draft
	DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.is_first)
	EXECUTE FUNCTION audit_draft_due();

CREATE FUNCTION audit_chain() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	head bulkhead_control.audit_head%ROWTYPE;
	draft bulkhead_control.audit_draft%ROWTYPE;
	a bulkhead_control.audit%ROWTYPE;
BEGIN
	SELECT * INTO STRICT head FROM bulkhead_control.audit_head h FOR UPDATE;
	head.at := greatest(head.at, clock_timestamp());
	FOR draft IN
		SELECT * FROM bulkhead_control.audit_draft d WHERE d.transaction = NEW.transaction ORDER BY d.n
	LOOP
		a := (head.id + 1, head.at, draft.kind, draft.action, draft.actor, draft.actor_id, session_user, draft.address,
			  draft.request_id, draft.tenant_id, draft.tenant_slug, draft.scope, draft.subject, draft.before, draft.after,
			  head.hash, NULL);
		a.hash := bulkhead_control.audit_hash(a);
		INSERT INTO bulkhead_control.audit VALUES (a.*);
		head.id := a.id;
		head.hash := a.hash;
	END LOOP;
	DELETE FROM bulkhead_control.audit_draft d WHERE d.transaction = NEW.transaction;
	UPDATE bulkhead_control.audit_head SET id = head.id, at = head.at, hash = head.hash;
	NOTIFY bulkhead_audit;
	RETURN NULL;
END
$$;

CREATE CONSTRAINT TRIGGER audit_chain AFTER UPDATE ON audit_draft
	DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.is_due)
	EXECUTE FUNCTION audit_chain();

-- ---- only ever added to ----

CREATE FUNCTION audit_refuse() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RAISE insufficient_privilege USING MESSAGE = format('%s is only ever added to', TG_TABLE_NAME),
		SCHEMA = 'bulkhead_control', TABLE = TG_TABLE_NAME, CONSTRAINT = 'audit_append_only';
END
$$;

CREATE TRIGGER audit_never_changed BEFORE UPDATE OR TRUNCATE ON audit
	FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER audit_checkpoint_never_changed BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_checkpoint
	FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER audit_hold_never_removed BEFORE DELETE OR TRUNCATE ON audit_hold
	FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse();

-- Removed is only what a checkpoint says is removed.
CREATE FUNCTION audit_removed() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF (SELECT max(r.id) FROM removed r) > (SELECT coalesce(max(c.id), 0) FROM bulkhead_control.audit_checkpoint c) THEN
		RAISE insufficient_privilege USING MESSAGE = 'audit is only ever added to',
			SCHEMA = 'bulkhead_control', TABLE = 'audit', CONSTRAINT = 'audit_append_only';
	END IF;
	RETURN NULL;
END
$$;

CREATE TRIGGER audit_removed AFTER DELETE ON audit
	REFERENCING OLD TABLE AS removed FOR EACH STATEMENT EXECUTE FUNCTION audit_removed();

CREATE FUNCTION audit_is_held(of_scope uuid[]) RETURNS boolean
LANGUAGE sql STABLE
BEGIN ATOMIC
	SELECT EXISTS (SELECT FROM audit_hold h
				   WHERE h.released_at IS NULL AND coalesce(h.until > clock_timestamp(), true)
				   AND (h.tenant_id IS NULL OR h.tenant_id = ANY (of_scope)));
END;

-- And a checkpoint is at a record that there is, with nothing held in front of it.
CREATE FUNCTION audit_checkpoint_check() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF NOT EXISTS (SELECT FROM bulkhead_control.audit a WHERE a.id = NEW.id AND a.hash = NEW.hash AND a.at = NEW.at)
	   OR EXISTS (SELECT FROM bulkhead_control.audit a WHERE a.id <= NEW.id AND bulkhead_control.audit_is_held(a.scope)) THEN
		RAISE insufficient_privilege USING MESSAGE = 'there is no such record, or some of those before it are held',
			SCHEMA = 'bulkhead_control', TABLE = 'audit_checkpoint', CONSTRAINT = 'audit_checkpoint_check';
	END IF;
	RETURN NEW;
END
$$;

CREATE TRIGGER audit_checkpoint_check BEFORE INSERT ON audit_checkpoint
	FOR EACH ROW EXECUTE FUNCTION audit_checkpoint_check();

-- ---- drafts ----

-- Who does it and why are settings of the transaction, which the admin API makes; without them it is the login.
CREATE FUNCTION audit_draft(of_kind text, of_action text, of_tenant uuid, of_slug text, of_scope uuid[], of_subject text,
							was jsonb, is_now jsonb) RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
	is_event boolean := of_kind = 'event';
	of_actor text := CASE WHEN NOT is_event THEN nullif(current_setting('bulkhead.actor', true), '') END;
	has_actor boolean := of_actor IS NOT NULL;
BEGIN
	INSERT INTO bulkhead_control.audit_draft (is_first, kind, action, actor, actor_id, address, request_id, tenant_id,
											  tenant_slug, scope, subject, before, after)
	VALUES (
		-- In order, so that the index gives one of them and not a map of all.
		(SELECT d.n FROM bulkhead_control.audit_draft d WHERE d.transaction = pg_current_xact_id()
		 ORDER BY d.n LIMIT 1) IS NULL,
		of_kind,
		left(of_action, 127),
		left(coalesce(of_actor, CASE WHEN is_event THEN 'sidecar:' ELSE 'sql:' END || session_user), 300),
		left(CASE WHEN has_actor THEN nullif(current_setting('bulkhead.actor_id', true), '') END, 300),
		left(CASE WHEN has_actor THEN nullif(current_setting('bulkhead.address', true), '') END, 300),
		left(CASE WHEN has_actor THEN nullif(current_setting('bulkhead.request_id', true), '') END, 300),
		of_tenant, of_slug, coalesce(of_scope, '{}'), left(of_subject, 400), was, is_now);
END
$$;

-- These two are no plain SQL: a session plans them once then.

-- What is kept of a row: no secrets.
CREATE FUNCTION audit_image(image jsonb, secret text[]) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $$
DECLARE
	name text;
BEGIN
	FOREACH name IN ARRAY secret LOOP
		IF image -> name <> 'null' THEN
			image := jsonb_set(image, ARRAY[name], '"(secret)"');
		END IF;
	END LOOP;
	RETURN image;
END
$$;

-- Those members of `image` that `other` has not, or has otherwise.
CREATE FUNCTION audit_differing(image jsonb, other jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $$
BEGIN
	RETURN (SELECT jsonb_object_agg(i.key, i.value) FROM jsonb_each(image) i
			WHERE other -> i.key IS DISTINCT FROM i.value);
END
$$;

-- What sets the record apart has to be found by what it is of: its members, here in one form.
CREATE FUNCTION audit_change(noun text, op text, of_tenant uuid, of_slug text, of_scope uuid[], of_subject text,
							 was jsonb, is_now jsonb, secret text[]) RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
	of_kind text := CASE op WHEN 'INSERT' THEN 'created' WHEN 'UPDATE' THEN 'changed' ELSE 'deleted' END;
	was_kept jsonb := was;
BEGIN
	IF op = 'UPDATE' THEN
		was := bulkhead_control.audit_differing(was, is_now);
		is_now := bulkhead_control.audit_differing(is_now, was_kept);
		IF was IS NULL AND is_now IS NULL THEN
			RETURN;
		END IF;
	END IF;
	PERFORM bulkhead_control.audit_draft(
		of_kind, coalesce(nullif(current_setting('bulkhead.action', true), ''), noun || '.' || of_kind),
		of_tenant, of_slug, of_scope, noun || ':' || of_subject,
		bulkhead_control.audit_image(was, secret), bulkhead_control.audit_image(is_now, secret));
END
$$;

-- For AFTER triggers of each row: audit_row(noun, column of the tenant or '', column of the name, '{columns that are
-- left out}', '{columns that are secret}').
CREATE FUNCTION audit_row() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	noun text := TG_ARGV[0];
	secret text[] := TG_ARGV[4]::text[];
	was jsonb;
	is_now jsonb;
	either jsonb; -- whole
	of_tenant uuid;
	t record;
BEGIN
	IF TG_OP <> 'INSERT' THEN
		either := to_jsonb(OLD);
		was := either - TG_ARGV[3]::text[];
	END IF;
	IF TG_OP <> 'DELETE' THEN
		either := to_jsonb(NEW);
		is_now := either - TG_ARGV[3]::text[];
	END IF;
	IF was = is_now THEN
		RETURN NULL;
	END IF;
	IF TG_ARGV[1] <> '' THEN
		of_tenant := either ->> TG_ARGV[1];
	END IF;
	SELECT o.slug, bulkhead_control.path_ids(o.path) AS scope INTO t FROM bulkhead_control.tenant o WHERE o.id = of_tenant;
	IF TG_OP = 'DELETE' AND of_tenant IS NOT NULL AND NOT FOUND THEN
		RETURN NULL; -- it goes with its tenant
	END IF;
	-- A value is a secret by its key, or by what it looks like.
	IF noun = 'setting' AND (EXISTS (SELECT FROM bulkhead_control.setting_key k WHERE k.key = either ->> 'key' AND k.sensitive)
							 OR coalesce(was -> 'value' ? '$enc', false) OR coalesce(is_now -> 'value' ? '$enc', false)) THEN
		secret := secret || 'value'::text;
	END IF;
	PERFORM bulkhead_control.audit_change(noun, TG_OP, of_tenant, t.slug, t.scope, either ->> TG_ARGV[2], was, is_now,
										  secret);
	RETURN NULL;
END
$$;

CREATE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE ON setting FOR EACH ROW
	EXECUTE FUNCTION audit_row('setting', 'tenant_id', 'key', '{tenant_id,created_at,updated_at,registered_key}', '{}');
CREATE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE ON permission_grant FOR EACH ROW
	EXECUTE FUNCTION audit_row('permission', 'tenant_id', 'key', '{tenant_id,created_at,updated_at}', '{}');
CREATE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE ON permission_key FOR EACH ROW
	EXECUTE FUNCTION audit_row('permission-key', '', 'key', '{}', '{}');
CREATE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE ON setting_key FOR EACH ROW
	EXECUTE FUNCTION audit_row('setting-key', '', 'key', '{}', '{}');
CREATE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE ON principal FOR EACH ROW
	EXECUTE FUNCTION audit_row('principal', 'home_id', 'name', '{version,created_at,updated_at}', '{verifier}');
CREATE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE ON api_key FOR EACH ROW
	EXECUTE FUNCTION audit_row('api-key', 'tenant_id', 'id', '{rank,version,last_used_at,created_at,updated_at}',
							   '{hash,previous_hash}');
CREATE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE ON cluster FOR EACH ROW
	EXECUTE FUNCTION audit_row('cluster', '', 'name', '{}', '{}');
CREATE TRIGGER audit AFTER INSERT OR UPDATE ON audit_hold FOR EACH ROW
	EXECUTE FUNCTION audit_row('audit-hold', 'tenant_id', 'id', '{}', '{}');

-- Of a job that it is to be done, that it is to be done again, and what became of it; not its way from runner to
-- runner.
CREATE TRIGGER audit_queued AFTER INSERT ON job FOR EACH ROW
	EXECUTE FUNCTION audit_row('job', 'tenant_id', 'id',
							   '{tenant_id,path,again,attempts,failures,next_at,runner,lease_until,created_at,started_at,finished_at}', '{}');
CREATE TRIGGER audit_ended AFTER UPDATE OF state ON job FOR EACH ROW
	WHEN (OLD.state <> NEW.state AND (NEW.state IN ('done', 'failed') OR OLD.state = 'failed'))
	EXECUTE FUNCTION audit_row('job', 'tenant_id', 'id',
							   '{tenant_id,path,again,failures,next_at,runner,lease_until,created_at,started_at,finished_at}', '{}');

-- ---- tenants ----

CREATE FUNCTION audit_tenant_columns() RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN '{path,parent_path,active,parent_active,version,policy_changes,created_at,updated_at}'::text[];

CREATE FUNCTION audit_tenant() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	t bulkhead_control.tenant%ROWTYPE;
	image jsonb;
BEGIN
	IF TG_OP = 'INSERT' THEN
		t := NEW;
	ELSE
		t := OLD;
	END IF;
	image := jsonb_strip_nulls(to_jsonb(t) - bulkhead_control.audit_tenant_columns());
	PERFORM bulkhead_control.audit_change('tenant', TG_OP, t.id, t.slug, bulkhead_control.path_ids(t.path), t.slug,
										  CASE TG_OP WHEN 'DELETE' THEN image END, CASE TG_OP WHEN 'INSERT' THEN image END,
										  '{}');
	RETURN NULL;
END
$$;

CREATE TRIGGER audit AFTER INSERT OR DELETE ON tenant
	FOR EACH ROW EXECUTE FUNCTION audit_tenant();

-- A statement may change ten thousand tenants, where one was meant: of a move, and of a status that a subtree takes
-- along, there is one record, at the top, with the number of the others. (How many there are the planner does not
-- know of such rows: it would look at each for each, or compile for a second what takes a tenth.)
CREATE FUNCTION audit_tenants() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_nestloop = off SET jit = off
SET work_mem = '32MB'
AS $$
DECLARE
	left_out text[] := bulkhead_control.audit_tenant_columns();
	meant uuid[];
	c record;
BEGIN
	-- What follows is most of it, and is known by these two; what comes with them is looked at.
	meant := ARRAY(
		SELECT n.id FROM old_rows o JOIN new_rows n ON n.id = o.id
		WHERE (o.policy_changes = n.policy_changes AND o.path::text = n.path::text)
		OR (o.parent_id, o.slug, o.external_key, o.name, o.strategy, o.cluster, o.region, o.status, o.pool_weight,
			o.dedicated_login, o.login_kid)
			IS DISTINCT FROM (n.parent_id, n.slug, n.external_key, n.name, n.strategy, n.cluster, n.region, n.status,
							  n.pool_weight, n.dedicated_login, n.login_kid));
	IF meant = '{}' THEN
		RETURN NULL;
	END IF;
	FOR c IN
		WITH change AS MATERIALIZED (
			SELECT n.id, n.parent_id, n.path, o.status <> n.status
				AND (o.parent_id, o.slug, o.external_key, o.name, o.strategy, o.cluster, o.region, o.pool_weight,
					 o.dedicated_login, o.login_kid)
					IS NOT DISTINCT FROM (n.parent_id, n.slug, n.external_key, n.name, n.strategy, n.cluster, n.region,
										  n.pool_weight, n.dedicated_login, n.login_kid) AS is_status
			FROM old_rows o JOIN new_rows n ON n.id = o.id
			WHERE n.id = ANY (meant)
		), head AS MATERIALIZED ( -- those that were meant
			SELECT h.id, h.is_status FROM change h
			WHERE NOT EXISTS (SELECT FROM change p WHERE p.id = h.parent_id AND p.is_status AND h.is_status)
		), above AS (
			SELECT s.id, bulkhead_control.path_ids(s.path) AS ids FROM change s WHERE s.is_status
		), taken AS ( -- each by the nearest of those above it
			SELECT DISTINCT ON (a.id) a.id, t.id AS top
			FROM (SELECT s.id, unnest(s.ids) AS of, generate_subscripts(s.ids, 1) AS depth FROM above s) a
			JOIN head t ON t.id = a.of AND t.is_status
			ORDER BY a.id, a.depth DESC
		), along AS (
			SELECT t.top, count(*) AS count, (array_agg(t.id))[1:1000] AS ids FROM taken t WHERE t.id <> t.top GROUP BY t.top
		)
		SELECT n.id, n.slug, o.path AS old_path, n.path, to_jsonb(o) - left_out AS was, to_jsonb(n) - left_out AS is_now,
			o.parent_id IS DISTINCT FROM n.parent_id AS is_moved, a.count, a.ids
		FROM head h
		JOIN old_rows o ON o.id = h.id
		JOIN new_rows n ON n.id = h.id
		LEFT JOIN along a ON a.top = h.id
		ORDER BY n.path
	LOOP
		CONTINUE WHEN c.was = c.is_now;
		IF c.is_moved THEN
			c.was := c.was - 'position'::text; -- it is the last one there
			c.is_now := c.is_now - 'position'::text;
		END IF;
		c.is_now := c.is_now || CASE
			WHEN c.is_moved THEN jsonb_build_object('moved_along', (
				SELECT count(*) - 1 FROM bulkhead_control.tenant t WHERE bulkhead_control.path_is_within(t.path, c.path)))
			WHEN c.count > 0 THEN jsonb_build_object('taken_along', jsonb_build_object('count', c.count, 'ids', c.ids))
			ELSE '{}' END;
		PERFORM bulkhead_control.audit_change(
			'tenant', 'UPDATE', c.id, c.slug, ARRAY(SELECT i.id FROM unnest(bulkhead_control.path_ids(c.path)) i (id)
													UNION
													SELECT i.id FROM unnest(bulkhead_control.path_ids(c.old_path)) i (id)),
			c.slug, c.was, c.is_now, '{}');
	END LOOP;
	RETURN NULL;
END
$$;

CREATE TRIGGER audit_changed AFTER UPDATE ON tenant
	REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION audit_tenants();

-- ---- what is no change of a row ----

-- A sensitive read, an order to a session: what the handlers of the admin API say themselves.
CREATE FUNCTION audit_note(of_action text, of_tenant uuid, of_subject text, data jsonb) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	t record;
BEGIN
	SELECT o.slug, bulkhead_control.path_ids(o.path) AS scope INTO t FROM bulkhead_control.tenant o WHERE o.id = of_tenant;
	IF octet_length(data::text) > 65536 THEN
		data := jsonb_build_object('left_out', octet_length(data::text));
	END IF;
	PERFORM bulkhead_control.audit_draft('noted', coalesce(of_action, 'noted'), of_tenant, t.slug, t.scope,
										 coalesce(of_subject, ''), NULL, data);
END
$$;

-- What sidecars count: [{"kind", "tenant", "principal", "reason", "count", "first_ms", "last_ms", "instance"}, …], a
-- thousand at most. They can write nothing but these kinds, and the record has their login. Returns how many.
CREATE FUNCTION record_events(events jsonb) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	e jsonb;
	t record;
	recorded integer := 0;
BEGIN
	IF jsonb_typeof(events) IS DISTINCT FROM 'array' OR jsonb_array_length(events) > 1000 THEN
		RAISE invalid_parameter_value USING MESSAGE = 'events are an array of a thousand at most';
	END IF;
	FOR e IN SELECT * FROM jsonb_array_elements(events) LOOP
		IF coalesce(e ->> 'kind', '') NOT IN ('session.opened', 'session.refused', 'statement.refused', 'events.dropped')
		   OR coalesce((e ->> 'count')::bigint, 0) <= 0 OR coalesce(e ->> 'reason', '') !~ '^[A-Z0-9-]{0,63}$'
		   OR octet_length(e ->> 'principal') > 255 OR octet_length(e ->> 'instance') > 255 THEN
			RAISE invalid_parameter_value USING MESSAGE = 'this is no event';
		END IF;
		SELECT o.slug, bulkhead_control.path_ids(o.path) AS scope INTO t
		FROM bulkhead_control.tenant o WHERE o.id = (e ->> 'tenant')::uuid;
		PERFORM bulkhead_control.audit_draft(
			'event', e ->> 'kind', (e ->> 'tenant')::uuid, t.slug, t.scope,
			coalesce('principal:' || (e ->> 'principal'), 'sidecar'), NULL,
			jsonb_strip_nulls(jsonb_build_object(
				'reason', nullif(e ->> 'reason', ''), 'count', (e ->> 'count')::bigint,
				'first_at', to_timestamp((e ->> 'first_ms')::bigint / 1000.0),
				'last_at', to_timestamp((e ->> 'last_ms')::bigint / 1000.0),
				'instance', e ->> 'instance')));
		recorded := recorded + 1;
	END LOOP;
	RETURN recorded;
END
$$;

-- ---- holds and retention ----

CREATE FUNCTION audit_actor() RETURNS text
LANGUAGE sql STABLE
RETURN coalesce(nullif(current_setting('bulkhead.actor', true), ''), 'sql:' || session_user);

CREATE FUNCTION make_audit_hold(of_tenant uuid, of_reason text, of_until timestamptz) RETURNS audit_hold
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	INSERT INTO audit_hold (tenant_id, tenant_slug, reason, until, made_by)
	VALUES (of_tenant, (SELECT t.slug FROM tenant t WHERE t.id = of_tenant), of_reason, of_until, audit_actor())
	RETURNING *;
END;

-- Nothing where there is no such hold any more.
CREATE FUNCTION release_audit_hold(of_hold bigint) RETURNS SETOF audit_hold
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	UPDATE audit_hold h SET released_by = audit_actor(), released_at = clock_timestamp()
	WHERE h.id = of_hold AND h.released_at IS NULL
	RETURNING h.*;
END;

-- Removes up to `most` of the oldest records, those from before `older_than`, up to the first that is held: a chain
-- has no holes. The last record always stays. Returns how many went. What is younger than a day is not removed,
-- whoever asks.
CREATE FUNCTION audit_prune(older_than timestamptz, most integer) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	first_id bigint;
	last bulkhead_control.audit%ROWTYPE;
BEGIN
	IF older_than IS NULL OR older_than > clock_timestamp() - interval '1 day' THEN
		RAISE invalid_parameter_value USING MESSAGE = 'records are kept for a day at least';
	END IF;
	IF most IS NULL OR most NOT BETWEEN 1 AND 100000 THEN
		RAISE invalid_parameter_value USING MESSAGE = 'from 1 to 100000 records are removed at once';
	END IF;
	LOCK TABLE bulkhead_control.audit_checkpoint IN EXCLUSIVE MODE; -- one at a time
	LOCK TABLE bulkhead_control.audit_hold IN SHARE MODE;
	SELECT min(a.id) INTO first_id FROM bulkhead_control.audit a;
	SELECT a.* INTO last
	FROM bulkhead_control.audit a
	WHERE a.id < coalesce((SELECT min(k.id) FROM bulkhead_control.audit k
						   WHERE k.id < first_id + most
						   AND (k.at >= older_than OR bulkhead_control.audit_is_held(k.scope))),
						  first_id + most)
	AND a.id < (SELECT h.id FROM bulkhead_control.audit_head h)
	ORDER BY a.id DESC LIMIT 1;
	IF NOT FOUND THEN
		RETURN 0;
	END IF;
	INSERT INTO bulkhead_control.audit_checkpoint (id, hash, at) VALUES (last.id, last.hash, last.at);
	DELETE FROM bulkhead_control.audit a WHERE a.id <= last.id;
	PERFORM bulkhead_control.audit_draft('noted', 'audit.prune', NULL, NULL, NULL, 'audit', NULL, jsonb_build_object(
		'from', first_id, 'to', last.id, 'hash', encode(last.hash, 'hex'), 'older_than', older_than));
	RETURN last.id - first_id + 1;
END
$$;

COMMENT ON FUNCTION audit_note(text, uuid, text, jsonb) IS 'writes a record of something that changes no row';
COMMENT ON FUNCTION record_events(jsonb) IS 'what a sidecar saw, for the audit log';
COMMENT ON FUNCTION audit_prune(timestamptz, integer) IS 'removes the oldest records of the audit log; returns how many';

GRANT SELECT ON audit, audit_head, audit_checkpoint, audit_hold TO bulkhead_admin;
GRANT EXECUTE ON FUNCTION audit_note(text, uuid, text, jsonb), audit_prune(timestamptz, integer),
	make_audit_hold(uuid, text, timestamptz), release_audit_hold(bigint), audit_is_held(uuid[]),
	audit_part(text), audit_text(audit), audit_hash(audit) TO bulkhead_admin;
