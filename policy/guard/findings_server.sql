-- What else is in the database or the server: extensions, publications, the guard itself.

-- Extensions whose functions lead out of the session, into files, or run SQL that is given as text. They are named
-- here as long as tenants may call any.
SELECT 'extension-function', 'warning', quote_ident(e.extname),
       'Tenants may call functions of the extension, which connect to servers, read files or run SQL that is given as text.',
       string_agg(DISTINCT format('REVOKE EXECUTE ON ROUTINE %s FROM %s;', p.oid::regprocedure, t.name), E'\n')
  FROM pg_extension AS e
  JOIN pg_depend AS d ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid AND d.deptype = 'e'
                         AND d.classid = 'pg_proc'::regclass
  JOIN pg_proc AS p ON p.oid = d.objid AND p.prorettype NOT IN ('trigger'::regtype, 'event_trigger'::regtype)
 CROSS JOIN LATERAL aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) AS a
  JOIN tenant AS t ON t.oid = a.grantee
 WHERE e.extname IN ('dblink', 'postgres_fdw', 'file_fdw', 'adminpack', 'tablefunc', 'xml2', 'http', 'pg_net', 'pg_cron',
                     'pageinspect', 'pg_buffercache', 'pg_visibility', 'pg_freespacemap', 'pgrowlocks', 'pgstattuple',
                     'pg_surgery', 'pg_walinspect', 'lo')
   AND a.grantee <> p.proowner AND t.name !~ '^pg_'
   -- What an administrator alone may make is of no use to others: the handlers of foreign-data wrappers.
   AND p.prorettype <> 'fdw_handler'::regtype
 GROUP BY e.extname
UNION ALL
SELECT 'outside-extension', 'notice', quote_ident(e.extname),
       'The extension reaches files or other servers with the rights of PostgreSQL''s own account. Tenants cannot use it as it '
       'is; keep it so, or drop it.',
       format('DROP EXTENSION %I;', e.extname)
  FROM pg_extension AS e
 WHERE e.extname IN ('dblink', 'postgres_fdw', 'file_fdw', 'adminpack', 'plpython3u', 'plpythonu', 'plpython2u', 'plperlu',
                     'pltclu', 'plsh', 'pg_surgery', 'http', 'pg_net')
UNION ALL
SELECT 'open-publication', 'notice', quote_ident(p.pubname),
       'The publication carries the rows of all tenants to whoever may subscribe.',
       CASE WHEN p.puballtables THEN format('DROP PUBLICATION %I;', p.pubname)
            ELSE string_agg(CASE WHEN t.relation IS NOT NULL THEN format('ALTER PUBLICATION %I DROP TABLE %s;', p.pubname, r.name)
                                 WHEN s.pnnspid IS NOT NULL
                                 THEN format('ALTER PUBLICATION %I DROP TABLES IN SCHEMA %I;', p.pubname, n.nspname) END,
                            E'\n' ORDER BY r.name) END
  FROM pg_publication AS p
  LEFT JOIN (SELECT x.prpubid, x.prrelid AS relation FROM pg_publication_rel AS x
              WHERE x.prrelid IN (SELECT q.relation FROM protected AS q)) AS t ON t.prpubid = p.oid
  LEFT JOIN relation AS r ON r.oid = t.relation
  LEFT JOIN (SELECT DISTINCT x.pnpubid, x.pnnspid FROM pg_publication_namespace AS x
               JOIN pg_class AS c ON c.relnamespace = x.pnnspid
              WHERE c.oid IN (SELECT q.relation FROM protected AS q)) AS s ON s.pnpubid = p.oid AND t.relation IS NULL
  LEFT JOIN pg_namespace AS n ON n.oid = s.pnnspid
 WHERE p.puballtables OR t.relation IS NOT NULL OR s.pnnspid IS NOT NULL
 GROUP BY p.oid, p.pubname, p.puballtables
UNION ALL
SELECT 'guard-missing', 'critical', quote_ident(current_database()),
       'The guard is not installed in this database, so nothing here is bound to a tenant. It is installed by a command, and '
       'not by a statement.',
       '-- bulkhead init --dsn DSN --owner ROLE'
  FROM guard
 WHERE to_regprocedure('bulkhead.enter(text,text,text,text,text)') IS NULL AND NOT guard.is_by_login
