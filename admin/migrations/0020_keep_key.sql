-- A tenant of shared tables with a login of its own keeps its key: in the tables' database a row of the guard's says
-- which key the login stands for (bulkhead.set_login_key). With that unchanged and the key given to somebody else,
-- the login would see that tenant's rows. Only such tenants of shared tables have ever had a job to make something.
CREATE FUNCTION tenant_keep_key() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF OLD.dedicated_login OR OLD.login_kid IS NOT NULL
	   OR EXISTS (SELECT FROM bulkhead_control.job j WHERE j.tenant_id = OLD.id AND j.kind = 'provision') THEN
		RAISE check_violation USING
			MESSAGE = format('tenant %s keeps its key, which its own login stands for', OLD.slug),
			SCHEMA = 'bulkhead_control', TABLE = 'tenant', CONSTRAINT = 'tenant_keep_key';
	END IF;
	RETURN NEW;
END
$$;

CREATE TRIGGER tenant_keep_key BEFORE UPDATE OF external_key ON tenant
	FOR EACH ROW WHEN (NEW.external_key IS DISTINCT FROM OLD.external_key AND OLD.external_key IS NOT NULL
					   AND OLD.strategy = 'SHARED_RLS')
	EXECUTE FUNCTION tenant_keep_key();
