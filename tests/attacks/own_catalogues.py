"""What own_arena.py reads of the catalogues before and after an attack: parts by name, each a query for one value.

%(me)s is the attacker's role, %(home)s the schema that is its own, or an empty text.
"""

# Everything that counts for the whole server, but what a login may do to itself.
SERVER = {
    "roles": "SELECT json_agg(r ORDER BY r.oid) FROM pg_authid AS r WHERE r.oid <> %(me)s",
    "its attributes": """
        SELECT json_agg(json_build_array(r.rolname, r.rolsuper, r.rolinherit, r.rolcreaterole, r.rolcreatedb,
                                         r.rolcanlogin, r.rolreplication, r.rolbypassrls, r.rolconnlimit,
                                         r.rolvaliduntil))
          FROM pg_authid AS r WHERE r.oid = %(me)s""",
    "members": "SELECT json_agg(m ORDER BY m.roleid, m.member) FROM pg_auth_members AS m",
    "role settings": """
        SELECT json_agg(s ORDER BY s.setdatabase, s.setrole) FROM pg_db_role_setting AS s WHERE s.setrole <> %(me)s""",
    "parameter privileges": "SELECT json_agg(p ORDER BY p.oid) FROM pg_parameter_acl AS p",
    "databases": """
        SELECT json_agg(json_build_array(d.datname, d.datdba, d.datallowconn, d.datconnlimit,
                                         coalesce(d.datacl, acldefault('d', d.datdba))) ORDER BY d.oid)
          FROM pg_database AS d""",
    "tablespaces": "SELECT json_agg(t ORDER BY t.oid) FROM pg_tablespace AS t",
    "comments on shared things": "SELECT json_agg(d) FROM pg_shdescription AS d",
    "labels": "SELECT json_agg(l) FROM pg_shseclabel AS l",
    "subscriptions": "SELECT count(*)::text FROM pg_subscription",
    "replication slots": "SELECT count(*)::text FROM pg_replication_slots",
    "prepared transactions": """
        SELECT json_agg(x.gid) FROM pg_prepared_xacts AS x
         WHERE x.owner <> (SELECT r.rolname FROM pg_roles AS r WHERE r.oid = %(me)s)""",
}

# Of one database: what is not the attacker's. Temporary objects go with their sessions.
TEMPORARY = "(SELECT oid FROM pg_namespace WHERE nspname ~ '^pg_(toast_)?temp_')"
LASTING = "c.relpersistence <> 't' AND c.relowner <> %(me)s"
ON_THEIRS = f"JOIN pg_class AS c ON c.oid = {{0}} WHERE {LASTING}"
# By each installation, with other numbers.
REMADE = "(SELECT oid FROM pg_namespace WHERE nspname = 'bulkhead_api')"

PLACE = {
    "schemas": f"""
        SELECT json_agg(json_build_array(n.nspname, n.nspowner, coalesce(n.nspacl, acldefault('n', n.nspowner)))
                        ORDER BY n.nspname)
          FROM pg_namespace AS n WHERE n.oid NOT IN {TEMPORARY} AND n.nspowner <> %(me)s""",
    "relations": f"""
        SELECT json_agg(json_build_array(c.relname, c.relowner, c.relrowsecurity, c.relforcerowsecurity, c.reloptions,
                                         coalesce(c.relacl, acldefault('r', c.relowner))) ORDER BY c.oid)
          FROM pg_class AS c WHERE {LASTING} AND c.relkind NOT IN ('t', 'i')
           AND c.relnamespace NOT IN {REMADE}""",
    "columns": f"""
        SELECT json_agg(json_build_array(a.attrelid, a.attname, a.attacl) ORDER BY a.attrelid, a.attnum)
          FROM pg_attribute AS a {ON_THEIRS.format('a.attrelid')} AND a.attacl IS NOT NULL""",
    "policies": f"SELECT json_agg(p ORDER BY p.oid) FROM pg_policy AS p {ON_THEIRS.format('p.polrelid')}",
    "defaults": f"SELECT json_agg(d ORDER BY d.oid) FROM pg_attrdef AS d {ON_THEIRS.format('d.adrelid')}",
    "triggers": f"SELECT json_agg(t ORDER BY t.oid) FROM pg_trigger AS t {ON_THEIRS.format('t.tgrelid')}",
    "rules": f"SELECT json_agg(r.rulename ORDER BY r.oid) FROM pg_rewrite AS r {ON_THEIRS.format('r.ev_class')}",
    "functions": f"""
        SELECT md5(json_agg(p ORDER BY p.oid)::text) FROM pg_proc AS p
         WHERE p.proowner <> %(me)s AND p.oid >= 16384 AND p.pronamespace NOT IN {TEMPORARY}
           AND p.pronamespace NOT IN {REMADE}""",
    "types": f"""
        SELECT md5(json_agg(t ORDER BY t.oid)::text) FROM pg_type AS t
         WHERE t.typowner <> %(me)s AND t.oid >= 16384 AND t.typnamespace NOT IN {TEMPORARY}
           AND t.typnamespace NOT IN {REMADE}""",
    "operators": """
        SELECT md5(json_agg(o ORDER BY o.oid)::text) FROM pg_operator AS o
         WHERE o.oprowner <> %(me)s AND o.oid >= 16384""",
    "what is built in": """
        SELECT md5(string_agg(concat_ws(' ', p.oid, p.proowner, coalesce(p.proacl, acldefault('f', p.proowner)),
                                        p.proconfig, p.prosrc, p.probin), ',' ORDER BY p.oid))
          FROM pg_proc AS p WHERE p.oid < 16384""",
    "default privileges": "SELECT json_agg(d ORDER BY d.oid) FROM pg_default_acl AS d WHERE d.defaclrole <> %(me)s",
    "large objects": "SELECT json_agg(l ORDER BY l.oid) FROM pg_largeobject_metadata AS l WHERE l.lomowner <> %(me)s",
    "others": """
        SELECT json_build_array(
            (SELECT count(*) FROM pg_event_trigger), (SELECT count(*) FROM pg_extension),
            (SELECT count(*) FROM pg_language), (SELECT count(*) FROM pg_foreign_server),
            (SELECT count(*) FROM pg_foreign_data_wrapper),
            (SELECT count(*) FROM pg_user_mapping), (SELECT count(*) FROM pg_publication),
            (SELECT count(*) FROM pg_opclass), (SELECT count(*) FROM pg_am),
            (SELECT count(*) FROM pg_cast AS c JOIN pg_type AS s ON s.oid = c.castsource
               JOIN pg_type AS t ON t.oid = c.casttarget WHERE s.typowner <> %(me)s AND t.typowner <> %(me)s))""",
    # Whatever is the attacker's, and not where it belongs.
    "what is its own elsewhere": """
        SELECT json_agg(pg_describe_object(s.classid, s.objid, s.objsubid))
          FROM pg_shdepend AS s CROSS JOIN LATERAL pg_identify_object(s.classid, s.objid, s.objsubid) AS i
         WHERE s.refclassid = 'pg_authid'::regclass AND s.refobjid = %(me)s AND s.deptype = 'o'
           AND s.dbid IN (0, (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database()))
           AND i.schema !~ '^pg_(toast_)?temp' AND i.schema <> %(home)s""",
}

GUARD = {
    "guard": """
        SELECT json_build_array(
            (SELECT json_agg(k ORDER BY k.kid) FROM bulkhead.signing_key AS k),
            (SELECT json_agg(i) FROM bulkhead.installation AS i),
            (SELECT json_agg(r) FROM bulkhead.revoked_tenant AS r), (SELECT json_agg(k) FROM bulkhead.login_key AS k),
            (SELECT json_agg(p ORDER BY p.relation)
               FROM bulkhead.protection AS p JOIN pg_class AS c ON c.oid = p.relation WHERE c.relowner <> %(me)s))""",
}

# Has anything been written in a catalogue of this database or of the server? In short, for most scenes write nothing.
CHANGED = "SELECT " + ", ".join(
    f"(SELECT count(*) || ' ' || max(xmin::text::bigint) FROM {name})" for name in (
        "pg_authid", "pg_auth_members", "pg_db_role_setting", "pg_parameter_acl", "pg_database", "pg_shdepend",
        "pg_shdescription", "pg_namespace", "pg_class", "pg_attribute", "pg_proc", "pg_type", "pg_policy", "pg_trigger",
        "pg_rewrite", "pg_cast", "pg_operator", "pg_default_acl", "pg_largeobject_metadata", "pg_extension",
        "pg_event_trigger", "pg_attrdef"))
