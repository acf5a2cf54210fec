#include "policy/guard/findings.h"

#include <string.h>

#include "base/embed.h"

EMBED_TEXT(begin_sql, "policy/guard/findings_begin.sql");
EMBED_TEXT(protected_sql, "policy/guard/findings_protected.sql");
EMBED_TEXT(hardening_sql, "policy/guard/hardening_list.sql");
EMBED_TEXT(tables_sql, "policy/guard/findings_tables.sql");
EMBED_TEXT(keys_sql, "policy/guard/findings_keys.sql");
EMBED_TEXT(views_sql, "policy/guard/findings_views.sql");
EMBED_TEXT(functions_sql, "policy/guard/findings_functions.sql");
EMBED_TEXT(logins_sql, "policy/guard/findings_logins.sql");
EMBED_TEXT(grants_sql, "policy/guard/findings_grants.sql");
EMBED_TEXT(server_sql, "policy/guard/findings_server.sql");
EMBED_TEXT(control_sql, "policy/guard/findings_control.sql");
EMBED_TEXT(hardened_sql, "policy/guard/findings_hardening.sql");
EMBED_TEXT(guess_sql, "policy/guard/plan_guess.sql");
EMBED_TEXT(plan_sql, "policy/guard/plan.sql");
EMBED_TEXT(plan_end_sql, "policy/guard/plan_end.sql");

const char guard_findings_begin[] = "SET LOCAL search_path = pg_catalog, pg_temp;"
									"SET LOCAL standard_conforming_strings = on;"
									"SET LOCAL quote_all_identifiers = off;"
									"SET LOCAL enable_nestloop = off;"
									"SET LOCAL jit = off";

static const char function_head[] =
	"CREATE OR REPLACE FUNCTION bulkhead.findings()\n"
	"\tRETURNS TABLE (id text, severity text, object text, why text, mend text)\n"
	"\tLANGUAGE sql STABLE\n"
	"\tSET search_path = pg_catalog, pg_temp\n"
	"\tSET standard_conforming_strings = on\n"
	"\tSET quote_all_identifiers = off\n"
	"\tSET enable_nestloop = off\n"
	"\tSET jit = off\n"
	"AS $findings$\n";

static bool append(struct buf *sql, const char *text)
{
	return buf_append(sql, text, strlen(text));
}

/* Texts with the same word between each two. */
static bool append_joined(struct buf *sql, const char *const parts[], size_t count,
						  const char *between)
{
	bool fine = true;

	for (size_t i = 0; fine && i < count; i++)
		fine = (i == 0 || append(sql, between)) && append(sql, parts[i]);
	return fine;
}

bool guard_findings_query(struct buf *sql, bool with_control)
{
	const char *const shared[] = {begin_sql, protected_sql, hardening_sql};
	/* The last only where there is a control schema. */
	const char *const subjects[] = {tables_sql,    keys_sql,     views_sql,
									functions_sql, logins_sql,   grants_sql,
									server_sql,    hardened_sql, control_sql};
	size_t count = sizeof subjects / sizeof *subjects - !with_control;

	return append_joined(sql, shared, sizeof shared / sizeof *shared, ",\n") &&
		   append(sql, ",\nfinding (id, severity, object, why, mend) AS (\n") &&
		   append_joined(sql, subjects, count, "\nUNION ALL\n") &&
		   append(sql,
				  ")\nSELECT f.id, f.severity, f.object, f.why, f.mend FROM finding AS f\n"
				  " ORDER BY array_position('{critical, warning, notice}', f.severity), f.id, "
				  "f.object, f.mend");
}

bool guard_findings_function(struct buf *sql)
{
	return append(sql, function_head) && guard_findings_query(sql, false) &&
		   append(sql, "\n$findings$;\n");
}

bool guard_plan_guess(struct buf *sql)
{
	return append(sql, begin_sql) && append(sql, ",\n") && append(sql, protected_sql) &&
		   append(sql, "\n") && append(sql, guess_sql);
}

/* What the findings say of keys and views, they say here of tables that are to be protected. */
bool guard_plan_query(struct buf *sql)
{
	const char *const shared[] = {begin_sql, protected_sql, plan_sql};

	return append_joined(sql, shared, sizeof shared / sizeof *shared, ",\n") &&
		   append(sql, ",\nlater (id, severity, object, why, mend) AS (\n"
					   "WITH protected AS (SELECT * FROM planned)\n") &&
		   append(sql, keys_sql) && append(sql, "\nUNION ALL\n") && append(sql, views_sql) &&
		   append(sql, ")\n") && append(sql, plan_end_sql);
}
