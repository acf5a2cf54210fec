-- What the control schema must know of, where this database has it and it may be read.
SELECT 'stray-login', 'warning', quote_ident(r.rolname),
       'It is named like a tenant''s own login, and the control schema knows no tenant of that id: whoever has its password '
       'still has that tenant''s rows.',
       format('ALTER ROLE %I NOLOGIN;', r.rolname)
  FROM pg_roles AS r
 WHERE r.rolname ~ '^t_[0-9a-f]{32}$' AND r.rolcanlogin
   AND NOT EXISTS (SELECT FROM bulkhead_control.tenant AS c WHERE c.id = substr(r.rolname, 3)::uuid)
