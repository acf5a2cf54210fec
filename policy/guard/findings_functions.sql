-- Functions that run with their owner's rights in tenants' statements, and what calls them.

(WITH routine AS MATERIALIZED (
	SELECT p.oid, p.oid::regprocedure::text AS name, n.nspname, p.prosecdef, p.proleakproof, p.prosqlbody IS NOT NULL AS is_bound,
	       l.lanname, r.rolsuper OR r.rolbypassrls AS bypassed, p.prorettype,
	       (SELECT substr(c.item, strpos(c.item, '=') + 1) FROM unnest(p.proconfig) AS c (item)
	         WHERE starts_with(c.item, 'search_path=')) AS path,
	       CASE WHEN p.prorettype = 'trigger'::regtype
	            -- Nobody calls it; whoever writes the table runs it.
	            THEN EXISTS (SELECT FROM pg_trigger AS t JOIN open AS o ON o.relation = t.tgrelid AND o.writable
	                          WHERE t.tgfoid = p.oid AND t.tgenabled <> 'D')
	            ELSE EXISTS (SELECT FROM aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) AS a
	                           JOIN tenant AS t ON t.oid = a.grantee WHERE a.grantee <> p.proowner) END AS is_reached
	  FROM pg_proc AS p
	  JOIN app_schema AS n ON n.oid = p.pronamespace
	  JOIN pg_language AS l ON l.oid = p.prolang
	  JOIN pg_roles AS r ON r.oid = p.proowner
	 WHERE (p.prosecdef OR p.proleakproof) AND p.prorettype <> 'event_trigger'::regtype
	   AND NOT EXISTS (SELECT FROM pg_depend AS d
	                    WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')
)
-- Names that are looked up in the caller's search_path mean what the caller wants, with the owner's rights. Without
-- pg_temp in it, a path begins with pg_temp.
SELECT 'definer-search-path', CASE WHEN f.is_reached AND f.path IS NULL THEN 'critical' ELSE 'warning' END, f.name,
       CASE WHEN f.path IS NULL THEN 'The SECURITY DEFINER function has no search_path of its own: its caller says which '
                                     'objects its names mean.'
            ELSE 'The search_path of the SECURITY DEFINER function does not put pg_temp last: a temporary table of the '
                 'caller''s stands in for the real one.' END,
       format('ALTER ROUTINE %s SET search_path = %s, pg_temp;', f.name,
              CASE WHEN f.path ~ 'pg_temp|\$user' OR f.path IS NULL THEN quote_ident(f.nspname) ELSE f.path END)
  FROM routine AS f
 WHERE f.prosecdef AND NOT f.is_bound AND f.lanname NOT IN ('c', 'internal')
   AND (f.path IS NULL OR f.path LIKE '%$user%' OR (f.path !~ ', *"?pg_temp"?$' AND f.path NOT IN ('', '""')))
UNION ALL
SELECT 'definer-function', CASE WHEN known.reads THEN 'critical' ELSE 'warning' END, f.name,
       format('Tenants run the SECURITY DEFINER function, and row security does not bind its owner: it %s.',
              CASE WHEN known.reads THEN 'uses a protected table' ELSE 'can reach the rows of all tenants' END),
       format('ALTER ROUTINE %s SECURITY INVOKER;', f.name)
  FROM routine AS f
 CROSS JOIN LATERAL (SELECT EXISTS (SELECT FROM pg_depend AS d JOIN protected AS p ON p.relation = d.refobjid
                                     WHERE d.classid = 'pg_proc'::regclass AND d.objid = f.oid
                                       AND d.refclassid = 'pg_class'::regclass)) AS known (reads)
 WHERE f.prosecdef AND f.bypassed AND f.is_reached
UNION ALL
-- The planner lets such a function see rows before the policy has left out other tenants'.
SELECT 'leakproof-function', CASE WHEN f.is_reached THEN 'warning' ELSE 'notice' END, f.name,
       'The function is marked LEAKPROOF and so sees rows that row security is yet to leave out.',
       format('ALTER ROUTINE %s NOT LEAKPROOF;', f.name)
  FROM routine AS f WHERE f.proleakproof
)
UNION ALL
SELECT 'event-trigger', 'warning', quote_ident(e.evtname),
       format('It runs %s with the rights of that function''s owner in whatever defines objects, temporary tables of '
              'tenants'' among them.', p.oid::regprocedure),
       format('ALTER EVENT TRIGGER %I DISABLE;', e.evtname)
  FROM pg_event_trigger AS e JOIN pg_proc AS p ON p.oid = e.evtfoid WHERE p.prosecdef AND e.evtenabled <> 'D'
