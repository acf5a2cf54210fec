#include "admin/migrate_mark.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Everything but the schema is of pg_catalog, which comes before any schema in search_path. */
#define COLUMNS                                                                                \
	" (version bigint PRIMARY KEY, name text NOT NULL, checksum text NOT NULL,"                \
	" applied_at timestamptz)"

/* Takes from everybody but the owner what default privileges may have given; the table's name
 * stands between the two. `a.grantee = 0` is PUBLIC. */
#define REVOKE_SQL                                                                             \
	"DO $do$ DECLARE line text; BEGIN FOR line IN"                                             \
	" SELECT pg_catalog.format('REVOKE ALL ON %s FROM %s', c.oid::regclass,"                   \
	" CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END)"                  \
	" FROM pg_catalog.pg_class c, pg_catalog.aclexplode(c.relacl) a"                           \
	" WHERE a.grantee <> c.relowner AND c.oid = "
#define REVOKE_END_SQL "::regclass LOOP EXECUTE line; END LOOP; END $do$"

/* What must be true of a table that is to be believed for all tenants. */
#define CHECK_SQL                                                                              \
	"SELECT c.relkind = 'r' AND c.relowner = current_user::regrole AND NOT EXISTS ("           \
	"SELECT FROM pg_catalog.aclexplode(c.relacl) a WHERE a.grantee <> c.relowner) AND NOT "    \
	"EXISTS (SELECT FROM pg_catalog.pg_trigger t WHERE t.tgrelid = c.oid)"                     \
	" FROM pg_catalog.pg_class c WHERE c.oid = $1::regclass"

#define READ_SQL                                                                               \
	"SELECT version::pg_catalog.int8,"                                                         \
	" pg_catalog.\"left\"(checksum::pg_catalog.text, 64), applied_at IS NOT NULL FROM "
#define READ_END_SQL " ORDER BY 1 DESC LIMIT 10000"

#define WRITE_SQL                                                                              \
	" AS m (version, name, checksum, applied_at) VALUES ($1, $2, $3, CASE WHEN $4::boolean "   \
	"THEN pg_catalog.clock_timestamp() END)"                                                   \
	" ON CONFLICT (version) DO UPDATE SET applied_at = excluded.applied_at"

#define ERASE_SQL " WHERE version = $1::pg_catalog.int8 AND applied_at IS NULL"

static bool is_operators(const struct migrate_target *target)
{
	return target->kind < MIGRATE_SCHEMA;
}

/* The statement with the table's name between its two parts. */
static char *with_table(struct migrate_session *session, const char *before,
						const struct migrate_target *target, const char *after)
{
	char *schema =
		PQescapeIdentifier(session->connection, target->schema, strlen(target->schema));
	char *sql = NULL;

	if (!schema || asprintf(&sql, "%s%s." MIGRATE_MARK_TABLE "%s", before, schema, after) < 0)
		sql = NULL;
	PQfreemem(schema);
	if (!sql)
		migrate_session_fail(session, NULL, "out of memory");
	return sql;
}

static bool do_with_table(struct migrate_session *session, const char *before,
						  const struct migrate_target *target, const char *after)
{
	char *sql = with_table(session, before, target, after);
	bool done = sql && migrate_session_do(session, sql);

	free(sql);
	return done;
}

/* A statement with parameters and without rows. */
static bool tell_with_table(struct migrate_session *session, const char *before,
							const struct migrate_target *target, const char *after, int count,
							const char *const values[])
{
	char *sql = with_table(session, before, target, after);
	PGresult *result = sql ? migrate_session_ask(session, sql, count, values) : NULL;
	bool done = result != NULL;

	PQclear(result);
	free(sql);
	return done;
}

/* ---- locking ---- */

static bool revoke(struct migrate_session *session, const char *table)
{
	char *literal = PQescapeLiteral(session->connection, table, strlen(table)), *sql = NULL;
	bool done = literal && asprintf(&sql, "%s%s%s", REVOKE_SQL, literal, REVOKE_END_SQL) >= 0;

	done = done ? migrate_session_do(session, sql)
				: migrate_session_fail(session, NULL, "out of memory");
	free(sql);
	PQfreemem(literal);
	return done;
}

static bool check(struct migrate_session *session, const char *table)
{
	PGresult *rows = migrate_session_ask(session, CHECK_SQL, 1, &table);
	bool sound = rows && PQntuples(rows) == 1 && *PQgetvalue(rows, 0, 0) == 't';

	if (rows && !sound)
		migrate_session_fail(session, "42501",
							 "table " MIGRATE_MARK_TABLE
							 " is not the owner's alone, so what it says is not believed");
	PQclear(rows);
	return sound;
}

/* Of shared tables and templates: nobody else may write what all tenants depend on. */
static bool keep_to_owner(struct migrate_session *session, const struct migrate_target *target)
{
	char *table = with_table(session, "", target, "");
	bool done = table && revoke(session, table) && check(session, table);

	free(table);
	return done;
}

bool migrate_mark_lock(struct migrate_session *session, const struct migrate_target *target)
{
	return do_with_table(session, "CREATE TABLE IF NOT EXISTS ", target, COLUMNS) &&
		   do_with_table(session, "LOCK TABLE ", target, " IN EXCLUSIVE MODE") &&
		   (!is_operators(target) || keep_to_owner(session, target));
}

/* ---- rows ---- */

static void take_row(struct migrate_mark *mark, const PGresult *rows, int row)
{
	const char *checksum = PQgetvalue(rows, row, 1);
	bool is_one = strlen(checksum) == MIGRATE_SUM_SIZE - 1;

	mark->version = strtoll(PQgetvalue(rows, row, 0), NULL, 10);
	snprintf(mark->checksum, sizeof mark->checksum, "%s", is_one ? checksum : "");
	mark->is_whole = *PQgetvalue(rows, row, 2) == 't';
}

bool migrate_mark_read(struct migrate_session *session, const struct migrate_target *target,
					   struct migrate_mark **marks, size_t *count)
{
	char *sql = with_table(session, READ_SQL, target, READ_END_SQL);
	PGresult *rows = sql ? migrate_session_ask(session, sql, 0, NULL) : NULL;

	free(sql);
	*marks = NULL;
	*count = 0;
	if (!rows)
		return strcmp(session->sqlstate, "42P01") == 0;
	*count = (size_t)PQntuples(rows);
	*marks = calloc(*count + 1, sizeof **marks);
	for (size_t i = 0; *marks && i < *count; i++)
		take_row(&(*marks)[i], rows, (int)i);
	PQclear(rows);
	return *marks || migrate_session_fail(session, NULL, "out of memory");
}

bool migrate_mark_write(struct migrate_session *session, const struct migrate_target *target,
						const struct migrate_file *file, bool is_whole)
{
	char version[24];
	const char *const values[] = {version, file->name, file->checksum, is_whole ? "t" : "f"};

	snprintf(version, sizeof version, "%" PRId64, file->version);
	return tell_with_table(session, "INSERT INTO ", target, WRITE_SQL, 4, values);
}

bool migrate_mark_erase(struct migrate_session *session, const struct migrate_target *target,
						int64_t version)
{
	char digits[24];
	const char *const values[] = {digits};

	snprintf(digits, sizeof digits, "%" PRId64, version);
	return tell_with_table(session, "DELETE FROM ", target, ERASE_SQL, 1, values);
}
