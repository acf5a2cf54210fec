"""What is installed in a database, as text that can be compared: objects, owners, privileges, roles.

    before = catalog_of(connection)
    ...
    assert difference(before, catalog_of(connection)) == []
"""

ACL = "ARRAY(SELECT a::text FROM unnest({}) AS a ORDER BY 1)"

# Each gives rows of text. Names only, no OIDs, so that databases can be compared with each other.
QUERIES = {
    "schema": f"SELECT nspname, nspowner::regrole, {ACL.format('nspacl')} FROM pg_namespace "
              "WHERE nspname !~ '^pg_(toast_)?temp_'",
    "relation": "SELECT c.oid::regclass, c.relkind, c.relowner::regrole, c.relrowsecurity, c.relforcerowsecurity, "
                f"{ACL.format('c.relacl')} FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace "
                "WHERE n.nspname !~ '^(pg_|information_schema)' OR c.relacl IS NOT NULL",
    "column": "SELECT t.attrelid::regclass, t.attname, format_type(t.atttypid, t.atttypmod), t.attnotnull, "
              "t.attstattarget, "
              f"pg_get_expr(d.adbin, d.adrelid), {ACL.format('t.attacl')} FROM pg_attribute AS t "
              "LEFT JOIN pg_attrdef AS d ON d.adrelid = t.attrelid AND d.adnum = t.attnum "
              "JOIN pg_class AS c ON c.oid = t.attrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace "
              "WHERE t.attnum > 0 AND (n.nspname !~ '^(pg_|information_schema)' OR t.attacl IS NOT NULL)",
    "constraint": "SELECT conrelid::regclass, conname, pg_get_constraintdef(oid) FROM pg_constraint "
                  "WHERE conrelid > 16383",
    "policy": "SELECT polrelid::regclass, polname, pg_get_expr(polqual, polrelid) FROM pg_policy",
    "trigger": "SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal",
    "function": f"SELECT p.oid::regprocedure, p.proowner::regrole, p.prosecdef, p.proconfig, {ACL.format('p.proacl')}, "
                "md5(p.prosrc || coalesce(pg_get_function_sqlbody(p.oid), '')) FROM pg_proc AS p "
                "WHERE p.pronamespace <> 'pg_catalog'::regnamespace OR p.proacl IS NOT NULL",
    "extension": "SELECT extname, extversion, extnamespace::regnamespace FROM pg_extension",
    "default privilege": f"SELECT defaclrole::regrole, defaclobjtype, {ACL.format('defaclacl')} FROM pg_default_acl",
    "database": f"SELECT datdba::regrole, {ACL.format('datacl')} FROM pg_database WHERE datname = current_database()",
    "role": "SELECT rolname, rolsuper, rolinherit, rolcreaterole, rolcreatedb, rolcanlogin, rolreplication, rolbypassrls "
            "FROM pg_roles",
    "membership": "SELECT roleid::regrole, member::regrole, admin_option FROM pg_auth_members",
    "parameter": f"SELECT parname, {ACL.format('paracl')} FROM pg_parameter_acl",
    "role setting": "SELECT setrole::regrole, setconfig FROM pg_db_role_setting",
    "signing key": "SELECT kid, inner_block, outer_block FROM bulkhead.signing_key",
    "installation": "SELECT count(*) FROM bulkhead.installation",
    "migration": "SELECT number, name, checksum FROM bulkhead_control.migration",
}
TABLES = {"signing key": "bulkhead.signing_key", "installation": "bulkhead.installation",
          "migration": "bulkhead_control.migration"}


def catalog_of(connection, *kinds):
    """A set of lines, each `kind: values`, of all kinds or of these."""
    lines = set()
    with connection.transaction():
        connection.execute("SET LOCAL search_path = pg_catalog")
        for kind in kinds or QUERIES:
            query = QUERIES[kind]
            if kind in TABLES and connection.execute("SELECT to_regclass(%s)", (TABLES[kind],)).fetchone() == (None,):
                continue
            rows = connection.execute(f"SELECT row(q.*)::text FROM ({query}) AS q").fetchall()
            lines.update(f"{kind}: {row}" for (row,) in rows)
    return lines


def difference(one, other):
    """What is in one of the two only, sorted."""
    return sorted([f"- {line}" for line in one - other] + [f"+ {line}" for line in other - one])
