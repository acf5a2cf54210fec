-- Sensitive settings: what is stored of them is sealed text alone, {"$enc": "v1.KID.NONCE.DATA"} (admin/vault.h). KID
-- is one of the tenant's data keys, which are here as well, wrapped by a master key that no database has. With a
-- tenant go its data keys, and with them what was sealed by them, wherever a copy of that may still be.
--
-- A data key is superseded by the next. Nothing new is sealed by it then, what was is sealed anew (reseal_settings),
-- and when nothing is left it is gone.

CREATE TABLE tenant_data_key (
	tenant_id uuid NOT NULL CONSTRAINT tenant_data_key_tenant REFERENCES tenant (id) ON DELETE CASCADE,
	kid text COLLATE "C" NOT NULL CONSTRAINT tenant_data_key_kid CHECK (kid ~ '^[0-9a-f]{16}$'),
	wrapped text COLLATE "C" NOT NULL
		CONSTRAINT tenant_data_key_wrapped
			CHECK (wrapped ~ '^v1\.[a-z0-9_-]{1,32}\.[A-Za-z0-9+/]{16}\.[A-Za-z0-9+/]{64}$'),
	master_kid text COLLATE "C" NOT NULL GENERATED ALWAYS AS (split_part(wrapped, '.', 2)) STORED,
	made_by_job bigint, -- a rotation; NULL: made with the first value
	created_at timestamptz NOT NULL DEFAULT now(),
	superseded_at timestamptz,

	PRIMARY KEY (tenant_id, kid)
);

CREATE INDEX tenant_data_key_master ON tenant_data_key (master_kid, tenant_id, kid);

COMMENT ON TABLE tenant_data_key IS 'what sensitive settings of each tenant are sealed with; itself wrapped by the master key';

-- Names of master keys that nothing may be wrapped by any more: a Bulkhead that has not been given the newer file must
-- not go on with a key that is about to be thrown away.
CREATE TABLE retired_master_key (
	kid text COLLATE "C" PRIMARY KEY,
	retired_at timestamptz NOT NULL DEFAULT now()
);

CREATE FUNCTION tenant_data_key_check() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF EXISTS (SELECT FROM bulkhead_control.retired_master_key r WHERE r.kid = split_part(NEW.wrapped, '.', 2)) THEN
		RAISE check_violation USING
			MESSAGE = format('the master key %s was retired', split_part(NEW.wrapped, '.', 2)),
			SCHEMA = 'bulkhead_control', TABLE = 'tenant_data_key', CONSTRAINT = 'tenant_data_key_retired';
	END IF;
	RETURN NEW;
END
$$;

CREATE TRIGGER tenant_data_key_check BEFORE INSERT OR UPDATE OF wrapped ON tenant_data_key
	FOR EACH ROW EXECUTE FUNCTION tenant_data_key_check();

-- How many data keys the master key wraps; where there is none, none will be.
CREATE FUNCTION retire_master_key(of_kid text) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	wrapped bigint;
BEGIN
	LOCK TABLE bulkhead_control.tenant_data_key IN SHARE ROW EXCLUSIVE MODE;
	SELECT count(*) INTO wrapped FROM bulkhead_control.tenant_data_key d WHERE d.master_kid = of_kid;
	IF wrapped = 0 THEN
		INSERT INTO bulkhead_control.retired_master_key (kid) VALUES (of_kid) ON CONFLICT DO NOTHING;
	END IF;
	RETURN wrapped;
END
$$;

-- ---- sealed values ----

-- The data key that a value is sealed by; NULL of a plain one.
CREATE FUNCTION setting_data_kid(value jsonb) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN jsonb_typeof(value) = 'object' AND value ? '$enc'
	THEN coalesce(split_part(value ->> '$enc', '.', 2), '') END;

CREATE FUNCTION setting_is_sealed_well(value jsonb) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN value - '$enc' = '{}'
	AND coalesce(value ->> '$enc' ~ '^v1\.[0-9a-f]{16}\.[A-Za-z0-9+/]{16}\.[A-Za-z0-9+/]{22,}={0,2}$', false);

ALTER TABLE setting
	DROP CONSTRAINT setting_size,
	ADD COLUMN revision bigint NOT NULL DEFAULT 1,
	ADD COLUMN resealed_at timestamptz,
	ADD COLUMN data_kid text COLLATE "C" GENERATED ALWAYS AS (setting_data_kid(value)) STORED,
	ADD CONSTRAINT setting_size
		CHECK (octet_length(value::text) <= CASE WHEN setting_data_kid(value) IS NULL THEN 65536 ELSE 87600 END),
	-- Not of what is there: until now it was a value like any other.
	ADD CONSTRAINT setting_sealed_form
		CHECK (setting_data_kid(value) IS NULL OR setting_is_sealed_well(value)) NOT VALID,
	ADD CONSTRAINT setting_data_key FOREIGN KEY (tenant_id, data_kid) REFERENCES tenant_data_key (tenant_id, kid);

CREATE INDEX setting_data_key ON setting (tenant_id, data_kid) WHERE data_kid IS NOT NULL;

COMMENT ON COLUMN setting.revision IS 'counts what the key was set to here; filled in by the database';

-- What is never to be read plainly has no plain default.
ALTER TABLE setting_key
	ADD CONSTRAINT setting_key_sensitive_default CHECK (NOT sensitive OR default_value IS NULL) NOT VALID;

-- Every change of a key at a tenant, the newest last: what it is from then on, NULL where it was taken away. What
-- it was before stands one revision earlier. The last two hundred of each are kept.
CREATE TABLE setting_history (
	tenant_id uuid NOT NULL CONSTRAINT setting_history_tenant REFERENCES tenant (id) ON DELETE CASCADE,
	key text COLLATE "C" NOT NULL,
	revision bigint NOT NULL,
	value jsonb,
	locked boolean,
	actor text NOT NULL,
	request_id text,
	at timestamptz NOT NULL DEFAULT clock_timestamp(),
	data_kid text COLLATE "C" GENERATED ALWAYS AS (setting_data_kid(value)) STORED,

	PRIMARY KEY (tenant_id, key, revision),
	CONSTRAINT setting_history_data_key FOREIGN KEY (tenant_id, data_kid) REFERENCES tenant_data_key (tenant_id, kid),
	CONSTRAINT setting_history_locked CHECK ((value IS NULL) = (locked IS NULL))
);

CREATE INDEX setting_history_data_key ON setting_history (tenant_id, data_kid) WHERE data_kid IS NOT NULL;

COMMENT ON TABLE setting_history IS 'what each setting was, and who set it';

INSERT INTO setting_history (tenant_id, key, revision, value, locked, actor, at)
SELECT s.tenant_id, s.key, 1, s.value, s.locked, 'unknown', s.updated_at FROM setting s;

-- ---- what is refused, and why ----

-- Why a tenant may not have this value; NULL where it may. The name is that of a constraint.
CREATE FUNCTION setting_refusal(of_tenant uuid, of_key text, to_value jsonb, OUT refusal text, OUT why text)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	k bulkhead_control.setting_key%ROWTYPE;
	t bulkhead_control.tenant%ROWTYPE;
	above record;
	sealed_by text := bulkhead_control.setting_data_kid(to_value);
BEGIN
	SELECT * INTO k FROM bulkhead_control.setting_key r WHERE r.key = of_key;
	SELECT * INTO t FROM bulkhead_control.tenant o WHERE o.id = of_tenant;
	IF t.id IS NULL THEN
		RETURN; -- the foreign key's to refuse
	END IF;
	SELECT o.slug INTO above
	FROM bulkhead_control.setting_standing(array_remove(bulkhead_control.path_ids(t.path), t.id), of_key) s
	JOIN bulkhead_control.tenant o ON o.id = s.source_id
	WHERE s.locked;
	IF FOUND THEN
		refusal := 'setting_locked';
		why := format('%s is locked by %s', of_key, above.slug);
	ELSIF k.key IS NULL AND of_key !~ '^app\.' THEN
		refusal := 'setting_key_registered';
		why := format('there is no setting %s', of_key);
	ELSIF k.key IS NULL AND NOT (of_key ~ '^app(\.[A-Za-z0-9_-]+)+$' AND octet_length(of_key) <= 255) THEN
		refusal := 'setting_app_key';
		why := 'behind app. stand letters, digits, _ and -, in parts with dots between them, 255 in all';
	ELSIF octet_length(to_value::text) > (CASE WHEN sealed_by IS NULL THEN 65536 ELSE 87600 END) THEN
		refusal := 'setting_size';
		why := format('the value of %s is longer than 64 KiB', of_key);
	ELSIF k.sensitive AND sealed_by IS NULL THEN
		refusal := 'setting_sensitive';
		why := format('%s is sensitive: its values are stored sealed, by the admin API', of_key);
	ELSIF sealed_by IS NOT NULL AND k.key IS NOT NULL AND NOT k.sensitive THEN
		refusal := 'setting_not_sensitive';
		why := format('%s is not sensitive: its values are stored as they are', of_key);
	ELSIF sealed_by IS NOT NULL
		  AND NOT EXISTS (SELECT FROM bulkhead_control.tenant_data_key d
						  WHERE d.tenant_id = of_tenant AND d.kid = sealed_by AND d.superseded_at IS NULL) THEN
		refusal := 'setting_data_key';
		why := format('%s was sealed by a data key that is not in use any more', of_key);
	ELSIF sealed_by IS NULL AND k.key IS NOT NULL
		  AND NOT bulkhead_control.setting_is_value(k.type, k.minimum, k.maximum, k.choices, to_value) THEN
		refusal := 'setting_value';
		why := format('a value of %s is %s', of_key, CASE
			WHEN k.choices IS NOT NULL THEN 'one of ' || array_to_string(k.choices, ', ')
			ELSE concat_ws(' ', CASE WHEN k.type IN ('integer', 'array', 'object') THEN 'an' ELSE 'a' END, k.type,
						   'from ' || k.minimum, 'to ' || k.maximum) END);
	END IF;
END
$$;

-- A value that is sealed anew is no change: neither locks nor revisions have to do with it.
CREATE OR REPLACE FUNCTION setting_check() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	found record;
BEGIN
	IF TG_OP = 'UPDATE' AND NEW.resealed_at IS DISTINCT FROM OLD.resealed_at THEN
		RETURN NEW;
	END IF;
	SELECT * INTO found FROM bulkhead_control.setting_refusal(NEW.tenant_id, NEW.key, NEW.value) r;
	IF found.refusal IS NOT NULL THEN
		RAISE check_violation USING
			MESSAGE = found.why, SCHEMA = 'bulkhead_control', TABLE = 'setting', CONSTRAINT = found.refusal;
	END IF;
	NEW.updated_at := clock_timestamp();
	NEW.revision := 1 + coalesce((SELECT max(h.revision) FROM bulkhead_control.setting_history h
								  WHERE h.tenant_id = NEW.tenant_id AND h.key = NEW.key), 0);
	RETURN NEW;
END
$$;

CREATE FUNCTION setting_keep_history() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	changed bulkhead_control.setting%ROWTYPE := CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
	newest bigint;
BEGIN
	IF TG_OP = 'DELETE' THEN
		SELECT max(h.revision) + 1 INTO newest FROM bulkhead_control.setting_history h
		WHERE h.tenant_id = changed.tenant_id AND h.key = changed.key;
		changed.value := NULL;
		changed.locked := NULL;
	ELSE
		newest := changed.revision;
	END IF;
	-- With a tenant goes all.
	INSERT INTO bulkhead_control.setting_history (tenant_id, key, revision, value, locked, actor, request_id)
	SELECT changed.tenant_id, changed.key, newest, changed.value, changed.locked,
		coalesce(nullif(current_setting('bulkhead.actor', true), ''), 'sql:' || session_user),
		nullif(current_setting('bulkhead.request_id', true), '')
	WHERE newest IS NOT NULL AND EXISTS (SELECT FROM bulkhead_control.tenant t WHERE t.id = changed.tenant_id);
	DELETE FROM bulkhead_control.setting_history h
	WHERE h.tenant_id = changed.tenant_id AND h.key = changed.key AND h.revision <= newest - 200;
	RETURN NULL;
END
$$;

CREATE TRIGGER setting_keep_history AFTER INSERT OR DELETE ON setting
	FOR EACH ROW EXECUTE FUNCTION setting_keep_history();
CREATE TRIGGER setting_keep_history_of_change AFTER UPDATE ON setting
	FOR EACH ROW WHEN (NEW.revision <> OLD.revision)
	EXECUTE FUNCTION setting_keep_history();

-- As before, but that the tenants are looked up one by one: how many a subtree has is not to be guessed, and taken
-- for a tenth of all it has the whole table read for each setting of one tenant. In PL/pgSQL, whose plans see how many
-- tops there are.
CREATE OR REPLACE FUNCTION tenant_bump(tops uuid[]) RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
	ids uuid[];
BEGIN
	SELECT array_agg(DISTINCT below.id) INTO ids
	FROM bulkhead_control.tenant top
	JOIN bulkhead_control.tenant below ON bulkhead_control.path_is_within(below.path, top.path)
	WHERE top.id = ANY (tops);

	UPDATE bulkhead_control.tenant t SET policy_changes = t.policy_changes + 1 WHERE t.id = ANY (ids);
END
$$;

CREATE FUNCTION setting_tell() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM bulkhead_control.tenant_bump(array_agg(DISTINCT c.tenant_id))
	FROM changed c JOIN was w ON w.tenant_id = c.tenant_id AND w.key = c.key
	WHERE c.revision <> w.revision HAVING count(*) > 0;
	RETURN NULL;
END
$$;

DROP TRIGGER setting_changed ON setting;
CREATE TRIGGER setting_changed AFTER UPDATE ON setting
	REFERENCING OLD TABLE AS was NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION setting_tell();

-- What is sealed anew is no change to be recorded; what follows from the value, neither.
DROP TRIGGER audit ON setting;
CREATE TRIGGER audit AFTER INSERT OR DELETE ON setting FOR EACH ROW
	EXECUTE FUNCTION audit_row('setting', 'tenant_id', 'key',
							   '{tenant_id,created_at,updated_at,registered_key,revision,resealed_at,data_kid}', '{}');
CREATE TRIGGER audit_changed AFTER UPDATE ON setting FOR EACH ROW WHEN (NEW.revision <> OLD.revision)
	EXECUTE FUNCTION audit_row('setting', 'tenant_id', 'key',
							   '{tenant_id,created_at,updated_at,registered_key,resealed_at,data_kid}', '{}');

-- ---- several at once ----

-- Sets and takes away values of one tenant: `changes` are [{"key", "value", "locked"}, …], `gone` keys, and none
-- comes twice. Says of each what was done: set, unchanged, removed or absent, with the revision that it has then.
CREATE FUNCTION set_settings(of_tenant uuid, changes jsonb, gone text[])
RETURNS TABLE (key text, done text, revision bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
	LOCK TABLE bulkhead_control.tree_lock IN EXCLUSIVE MODE;
	RETURN QUERY
	WITH wanted AS MATERIALIZED (
		SELECT c ->> 'key' AS key, c -> 'value' AS value, coalesce((c ->> 'locked')::boolean, false) AS locked
		FROM jsonb_array_elements(changes) c
	), written AS (
		INSERT INTO bulkhead_control.setting AS s (tenant_id, key, value, locked)
		SELECT of_tenant, w.key, w.value, w.locked FROM wanted w
		LEFT JOIN bulkhead_control.setting o ON o.tenant_id = of_tenant AND o.key = w.key
		WHERE (o.value, o.locked) IS DISTINCT FROM (w.value, w.locked)
		ON CONFLICT (tenant_id, key) DO UPDATE SET value = EXCLUDED.value, locked = EXCLUDED.locked
		RETURNING s.key, s.revision
	), removed AS (
		DELETE FROM bulkhead_control.setting s WHERE s.tenant_id = of_tenant AND s.key = ANY (gone)
		RETURNING s.key, s.revision
	)
	SELECT w.key, CASE WHEN n.key IS NULL THEN 'unchanged' ELSE 'set' END,
		coalesce(n.revision, (SELECT o.revision FROM bulkhead_control.setting o
							  WHERE o.tenant_id = of_tenant AND o.key = w.key))
	FROM wanted w LEFT JOIN written n ON n.key = w.key
	UNION ALL
	SELECT g.key, CASE WHEN r.key IS NULL THEN 'absent' ELSE 'removed' END, r.revision + 1
	FROM unnest(gone) g (key) LEFT JOIN removed r ON r.key = g.key;
END
$$;

-- ---- data keys ----

-- A data key for what is about to be sealed. There may be several that are in use.
CREATE FUNCTION add_data_key(of_tenant uuid, of_kid text, with_wrapped text) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	INSERT INTO tenant_data_key (tenant_id, kid, wrapped) VALUES (of_tenant, of_kid, with_wrapped);
END;

-- Data keys, [{"tenant_id", "kid", "was", "now"}, …], wrapped by another master key: only where nobody else has
-- done it meanwhile. Returns how many.
CREATE FUNCTION rewrap_data_keys(items jsonb) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	done bigint;
BEGIN
	UPDATE bulkhead_control.tenant_data_key d SET wrapped = i.now
	FROM jsonb_to_recordset(items) AS i (tenant_id uuid, kid text, was text, now text)
	WHERE d.tenant_id = i.tenant_id AND d.kid = i.kid AND d.wrapped = i.was;
	GET DIAGNOSTICS done = ROW_COUNT;
	RETURN done;
END
$$;

-- Values of a tenant sealed anew, [{"key", "revision", "was", "now"}, …]: `revision` is one of the history, or null
-- for the value itself. Only where nobody has changed it meanwhile, and only from one sealed text to another.
CREATE FUNCTION reseal_settings(of_tenant uuid, items jsonb) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	values_done bigint;
	history_done bigint;
BEGIN
	LOCK TABLE bulkhead_control.tree_lock IN EXCLUSIVE MODE;
	UPDATE bulkhead_control.setting s SET value = jsonb_build_object('$enc', i.now), resealed_at = clock_timestamp()
	FROM jsonb_to_recordset(items) AS i (key text, revision bigint, was text, now text)
	WHERE i.revision IS NULL AND s.tenant_id = of_tenant AND s.key = i.key AND s.data_kid IS NOT NULL
	AND s.value ->> '$enc' = i.was;
	GET DIAGNOSTICS values_done = ROW_COUNT;
	UPDATE bulkhead_control.setting_history h SET value = jsonb_build_object('$enc', i.now)
	FROM jsonb_to_recordset(items) AS i (key text, revision bigint, was text, now text)
	WHERE h.tenant_id = of_tenant AND h.key = i.key AND h.revision = i.revision AND h.data_kid IS NOT NULL
	AND h.value ->> '$enc' = i.was;
	GET DIAGNOSTICS history_done = ROW_COUNT;
	RETURN values_done + history_done;
END
$$;

-- ---- the jobs that rotate ----

-- `rewrap` wraps all data keys by another master key, whose name its step says; it is no tenant's and on no cluster.
-- `rekey` gives a tenant another data key. Neither has a cluster: runners that know only those leave them alone.
ALTER TABLE job
	ALTER COLUMN tenant_id DROP NOT NULL,
	DROP CONSTRAINT job_kind,
	ADD CONSTRAINT job_kind CHECK (kind IN ('provision', 'purge', 'rotate', 'rewrap', 'rekey')),
	ADD CONSTRAINT job_of_tenant CHECK ((tenant_id IS NULL) = (kind = 'rewrap')),
	ADD CONSTRAINT job_of_cluster CHECK ((cluster = '') = (kind IN ('rewrap', 'rekey')));

CREATE UNIQUE INDEX job_rewrap_unfinished ON job (kind) WHERE tenant_id IS NULL AND state IN ('queued', 'running');

-- One that is under way already is returned as it is; another master key is its to wrap by from now on.
CREATE FUNCTION queue_rewrap(by_kid text) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	queued bigint;
BEGIN
	INSERT INTO bulkhead_control.job AS j (kind, slug, cluster, step) VALUES ('rewrap', '', '', by_kid)
	ON CONFLICT (kind) WHERE tenant_id IS NULL AND state IN ('queued', 'running') DO UPDATE SET step = EXCLUDED.step
	RETURNING j.id INTO queued;
	RETURN queued;
END
$$;

-- Refused while another job of the tenant is unfinished (job_unfinished); a rotation of the same kind is returned.
CREATE FUNCTION queue_rekey(of_tenant uuid) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	queued bigint;
BEGIN
	LOCK TABLE bulkhead_control.tree_lock IN EXCLUSIVE MODE;
	SELECT j.id INTO queued FROM bulkhead_control.job j
	WHERE j.tenant_id = of_tenant AND j.kind = 'rekey' AND j.state IN ('queued', 'running');
	IF queued IS NULL THEN
		INSERT INTO bulkhead_control.job AS j (kind, tenant_id, slug, cluster)
		SELECT 'rekey', t.id, t.slug, '' FROM bulkhead_control.tenant t WHERE t.id = of_tenant
		RETURNING j.id INTO queued;
	END IF;
	RETURN queued;
END
$$;

-- As take_job, for a runner whose file has this master key first.
CREATE FUNCTION take_key_job(has_kid text, only_job bigint, by_runner text, lease interval) RETURNS SETOF job
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN QUERY
	UPDATE bulkhead_control.job j
	SET state = 'running', attempts = j.attempts + 1, runner = by_runner, lease_until = clock_timestamp() + lease,
		started_at = coalesce(j.started_at, clock_timestamp())
	WHERE j.id = (SELECT due.id FROM bulkhead_control.job due
				  WHERE due.cluster = '' AND (only_job IS NULL OR due.id = only_job)
				  AND (due.kind = 'rekey' OR due.step = has_kid)
				  AND (due.state = 'queued' AND due.next_at <= clock_timestamp()
					   OR due.state = 'running' AND due.lease_until < clock_timestamp())
				  ORDER BY due.next_at, due.id LIMIT 1 FOR UPDATE SKIP LOCKED)
	RETURNING j.*;
END
$$;

-- The tenant's new data key, unless this job has made one before; what it had is superseded. Returns the name of
-- the one that is made; NULL when the job is another's.
CREATE FUNCTION begin_rekey(of_job bigint, of_attempt integer, of_kid text, with_wrapped text) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	mine bulkhead_control.job%ROWTYPE;
	made text;
BEGIN
	LOCK TABLE bulkhead_control.tree_lock IN EXCLUSIVE MODE;
	SELECT * INTO mine FROM bulkhead_control.job j
	WHERE j.id = of_job AND j.attempts = of_attempt AND j.state = 'running' AND j.kind = 'rekey' FOR UPDATE;
	IF NOT FOUND THEN
		RETURN NULL;
	END IF;
	SELECT d.kid INTO made FROM bulkhead_control.tenant_data_key d
	WHERE d.tenant_id = mine.tenant_id AND d.made_by_job = of_job AND d.superseded_at IS NULL;
	IF made IS NULL THEN
		UPDATE bulkhead_control.tenant_data_key d SET superseded_at = clock_timestamp()
		WHERE d.tenant_id = mine.tenant_id AND d.superseded_at IS NULL;
		INSERT INTO bulkhead_control.tenant_data_key (tenant_id, kid, wrapped, made_by_job)
		VALUES (mine.tenant_id, of_kid, with_wrapped, of_job);
		made := of_kid;
	END IF;
	RETURN made;
END
$$;

-- The job is done when nothing is left to it: no value sealed by a superseded key, no data key wrapped by another
-- master key. Superseded keys go with it. False when something is left, NULL when the job is another's.
CREATE FUNCTION finish_key_job(of_job bigint, of_attempt integer) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	mine bulkhead_control.job%ROWTYPE;
BEGIN
	LOCK TABLE bulkhead_control.tree_lock IN EXCLUSIVE MODE;
	SELECT * INTO mine FROM bulkhead_control.job j
	WHERE j.id = of_job AND j.attempts = of_attempt AND j.state = 'running' FOR UPDATE;
	IF NOT FOUND THEN
		RETURN NULL;
	END IF;
	IF mine.kind = 'rewrap' THEN
		IF EXISTS (SELECT FROM bulkhead_control.tenant_data_key d WHERE d.master_kid <> mine.step) THEN
			RETURN false;
		END IF;
	ELSE
		DELETE FROM bulkhead_control.tenant_data_key d
		WHERE d.tenant_id = mine.tenant_id AND d.superseded_at IS NOT NULL
		AND NOT EXISTS (SELECT FROM bulkhead_control.setting s WHERE s.tenant_id = d.tenant_id AND s.data_kid = d.kid)
		AND NOT EXISTS (SELECT FROM bulkhead_control.setting_history h
						WHERE h.tenant_id = d.tenant_id AND h.data_kid = d.kid);
		IF EXISTS (SELECT FROM bulkhead_control.tenant_data_key d
				   WHERE d.tenant_id = mine.tenant_id AND d.superseded_at IS NOT NULL) THEN
			RETURN false;
		END IF;
	END IF;
	UPDATE bulkhead_control.job j
	SET state = 'done', lease_until = NULL, finished_at = clock_timestamp(), error = NULL
	WHERE j.id = of_job;
	-- Of many rotations the last tells enough.
	DELETE FROM bulkhead_control.job j
	WHERE j.kind = mine.kind AND j.tenant_id IS NOT DISTINCT FROM mine.tenant_id AND j.state = 'done'
	AND j.id <> mine.id;
	RETURN true;
END
$$;

-- As before; of a rewrap its step stays, which says by which master key.
CREATE OR REPLACE FUNCTION retry_job(of_job bigint) RETURNS SETOF job
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	old bulkhead_control.job%ROWTYPE;
	tenant_status text;
BEGIN
	SELECT * INTO old FROM bulkhead_control.job j WHERE j.id = of_job FOR UPDATE;
	IF NOT FOUND THEN
		RAISE no_data_found USING MESSAGE = 'there is no job ' || of_job;
	END IF;
	IF old.state <> 'failed' THEN
		RAISE check_violation USING MESSAGE = format('job %s is %s', of_job, old.state),
			SCHEMA = 'bulkhead_control', TABLE = 'job', CONSTRAINT = 'job_retry';
	END IF;
	SELECT t.status INTO tenant_status FROM bulkhead_control.tenant t WHERE t.id = old.tenant_id FOR KEY SHARE;
	IF old.kind <> 'rewrap'
	   AND (tenant_status IS NULL OR old.kind = 'provision' AND tenant_status <> 'provisioning'
			OR old.kind = 'purge' AND tenant_status <> 'purging') THEN
		RAISE check_violation USING MESSAGE = format('tenant %s is %s', old.slug, coalesce(tenant_status, 'gone')),
			SCHEMA = 'bulkhead_control', TABLE = 'job', CONSTRAINT = 'job_retry';
	END IF;
	RETURN QUERY
	UPDATE bulkhead_control.job j
	SET state = 'queued', step = CASE j.kind WHEN 'rewrap' THEN j.step END, failures = 0,
		-- What has been in use is never made anew.
		again = NOT EXISTS (SELECT FROM bulkhead_control.job o WHERE o.tenant_id = old.tenant_id
							AND o.kind = 'provision' AND o.state = 'done'),
		next_at = clock_timestamp(), error = NULL,
		finished_at = NULL
	WHERE j.id = of_job RETURNING j.*;
END
$$;

COMMENT ON FUNCTION setting_refusal(uuid, text, jsonb) IS 'why a tenant may not have this value of a key; NULL where it may';
COMMENT ON FUNCTION set_settings(uuid, jsonb, text[]) IS 'sets and takes away several values of a tenant at once';

REVOKE ALL ON FUNCTION setting_refusal(uuid, text, jsonb), set_settings(uuid, jsonb, text[]),
	add_data_key(uuid, text, text), rewrap_data_keys(jsonb), reseal_settings(uuid, jsonb), queue_rewrap(text),
	queue_rekey(uuid), take_key_job(text, bigint, text, interval), begin_rekey(bigint, integer, text, text),
	finish_key_job(bigint, integer), retire_master_key(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION setting_refusal(uuid, text, jsonb), set_settings(uuid, jsonb, text[]),
	add_data_key(uuid, text, text), rewrap_data_keys(jsonb), reseal_settings(uuid, jsonb), queue_rewrap(text),
	queue_rekey(uuid), take_key_job(text, bigint, text, interval), begin_rekey(bigint, integer, text, text),
	finish_key_job(bigint, integer), retire_master_key(text), setting_standing(uuid[], text), setting_data_kid(jsonb), path_ids(ltree)
	TO bulkhead_admin;
GRANT SELECT ON tenant_data_key, setting_history, retired_master_key TO bulkhead_admin;
