/*
 * The self-check of a new backend. The server's half is bulkhead.self_check() in check.sql.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/embed.h"
#include "base/encode.h"
#include "policy/guard/guard.h"

#define POSTGRES_OLDEST 150000 /* GRANT SET ON PARAMETER came with 15 */

const char guard_probe_sql[] = "SET backtrace_functions = 'bulkhead_probe'";

const char guard_check_sql[] = "SELECT server_version, login, context, row_security, "
							   "guard_version, installation, clock_ms, faults"
							   " FROM bulkhead.self_check()";

enum {
	FIELD_SERVER_VERSION,
	FIELD_LOGIN,
	FIELD_CONTEXT,
	FIELD_ROW_SECURITY,
	FIELD_GUARD_VERSION,
	FIELD_INSTALLATION,
	FIELD_CLOCK_MS,
	FIELD_FAULTS,
};

static bool read_number(const char *text, int64_t *out)
{
	char *end;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	*out = strtoll(text, &end, 10);
	return errno == 0 && *end == '\0';
}

static bool is_id(const char *text)
{
	struct uuid id;

	return strlen(text) == UUID_HEX_SIZE - 1 && uuid_parse(text, UUID_HEX_SIZE - 1, &id);
}

static void complain_of_version(const char *version, struct buf *why)
{
	buf_appendf(why,
				"the database has version %s of the guard, this program needs " GUARD_VERSION
				"; run bulkhead init of this version on it",
				version);
}

static bool judge_server(const char *const fields[], struct buf *why)
{
	int64_t version;

	if (!read_number(fields[FIELD_SERVER_VERSION], &version) || version < POSTGRES_OLDEST) {
		buf_appendf(why,
					"server_version_num is %s; the sealed context needs PostgreSQL 15 or later",
					fields[FIELD_SERVER_VERSION]);
		return false;
	}
	if (strcmp(fields[FIELD_GUARD_VERSION], GUARD_VERSION) != 0) {
		complain_of_version(fields[FIELD_GUARD_VERSION], why);
		return false;
	}
	return true;
}

/* What every session on shared tables must begin with, whose login it is. */
static bool judge_context(const char *context, const char *row_security, struct buf *why)
{
	if (*context) {
		buf_appendf(why, "backtrace_functions is not empty on a new connection; take it out of "
						 "postgresql.conf, ALTER SYSTEM, ALTER DATABASE and ALTER ROLE");
		return false;
	}
	if (strcmp(row_security, "on") != 0) {
		buf_appendf(why, "row_security is %s on a new connection; it must be on", row_security);
		return false;
	}
	return true;
}

static bool judge_login(const char *const fields[], struct buf *why)
{
	if (fields[FIELD_FAULTS][0]) {
		buf_appendf(why, "login %s: %s", fields[FIELD_LOGIN], fields[FIELD_FAULTS]);
		return false;
	}
	return judge_context(fields[FIELD_CONTEXT], fields[FIELD_ROW_SECURITY], why);
}

static bool read_server(const char *const fields[], int64_t now_ms, struct guard_server *server,
						struct buf *why)
{
	int64_t clock_ms;

	if (!is_id(fields[FIELD_INSTALLATION]) || !read_number(fields[FIELD_CLOCK_MS], &clock_ms)) {
		buf_appendf(why,
					"bulkhead.self_check() did not answer in its own form; run bulkhead init");
		return false;
	}
	memcpy(server->id, fields[FIELD_INSTALLATION], UUID_HEX_SIZE);
	server->clock_offset_ms = clock_ms - now_ms;
	return true;
}

bool guard_check_judge(const char *const fields[], size_t count, int64_t now_ms,
					   struct guard_server *server, struct buf *why)
{
	if (count != GUARD_CHECK_COLUMNS) {
		buf_appendf(why, "bulkhead.self_check() gave %zu columns; run bulkhead init", count);
		return false;
	}
	for (size_t i = 0; i < count; i++) {
		if (!fields[i]) {
			buf_appendf(why, "bulkhead.self_check() gave a NULL; run bulkhead init");
			return false;
		}
	}
	return judge_server(fields, why) && judge_login(fields, why) &&
		   read_server(fields, now_ms, server, why);
}

/*
 * A login that owns its database may do there what it likes, so what counts is what it could do
 * elsewhere on the server.
 */
const char guard_own_check_sql[] =
	"SELECT pg_catalog.current_setting('server_version_num'), pg_catalog.concat_ws(', ',"
	" CASE WHEN r.rolsuper THEN 'it is a superuser' END,"
	" CASE WHEN r.rolreplication THEN 'it has REPLICATION' END,"
	" CASE WHEN r.rolcreaterole THEN 'it has CREATEROLE' END,"
	" (SELECT 'it is a member of ' OPERATOR(pg_catalog.||) pg_catalog.string_agg(g.rolname, ', "
	"')"
	" FROM pg_catalog.pg_roles AS g"
	" WHERE g.oid OPERATOR(pg_catalog.<>) r.oid AND pg_catalog.pg_has_role(r.oid, g.oid, "
	"'MEMBER')"
	" AND g.rolname OPERATOR(pg_catalog.<>) 'pg_database_owner'"
	" AND (g.rolsuper OR g.rolreplication OR g.rolcreaterole"
	" OR pg_catalog.starts_with(g.rolname::pg_catalog.text, 'pg_')"
	" OR pg_catalog.starts_with(g.rolname::pg_catalog.text, 'bulkhead_'))))"
	" FROM pg_catalog.pg_roles AS r WHERE r.rolname OPERATOR(pg_catalog.=) session_user";

bool guard_own_check_judge(const char *const fields[], size_t count, struct buf *why)
{
	int64_t version;

	if (count != 2 || !fields[0] || !fields[1] || !read_number(fields[0], &version)) {
		buf_appendf(why, "the self-check's answer cannot be read");
		return false;
	}
	if (version < POSTGRES_OLDEST) {
		buf_appendf(why, "server_version_num is %s; PostgreSQL 15 is the oldest supported",
					fields[0]);
		return false;
	}
	if (*fields[1]) {
		buf_appendf(why, "the login of a tenant's own database has too many rights: %s",
					fields[1]);
		return false;
	}
	return true;
}

/* ---- logins of tenants' own ---- */

EMBED_TEXT(tenant_check_sql, "policy/guard/tenant_check.sql");

const char *guard_tenant_check_sql(void)
{
	return tenant_check_sql;
}

const char guard_login_check_sql[] =
	"SELECT server_version, login, context, row_security, guard_version, faults"
	" FROM bulkhead.login_check()";

enum { OWN_SERVER_VERSION, OWN_LOGIN, OWN_CONTEXT, OWN_ROW_SECURITY, OWN_GUARD_VERSION };

#define LOGIN_CHECK_COLUMNS  6
#define TENANT_CHECK_COLUMNS 3

/* Of either check: the version first, the login second, its faults last. */
static bool judge_own_login(const char *const fields[], size_t count, size_t expected,
							const struct uuid *tenant, struct buf *why)
{
	char hex[UUID_HEX_SIZE];
	int64_t version;
	bool readable = count == expected;

	for (size_t i = 0; readable && i < count; i++)
		readable = fields[i] != NULL;
	if (!readable || !read_number(fields[OWN_SERVER_VERSION], &version)) {
		buf_appendf(why, "the self-check's answer cannot be read; run bulkhead init");
		return false;
	}
	if (version < POSTGRES_OLDEST) {
		buf_appendf(why, "server_version_num is %s; PostgreSQL 15 is the oldest supported",
					fields[OWN_SERVER_VERSION]);
		return false;
	}
	uuid_hex(tenant, hex);
	if (strncmp(fields[OWN_LOGIN], "t_", 2) != 0 || strcmp(fields[OWN_LOGIN] + 2, hex) != 0) {
		buf_appendf(why, "the session is %s's, and not t_%s's", fields[OWN_LOGIN], hex);
		return false;
	}
	if (fields[count - 1][0]) {
		buf_appendf(why, "login %s: %s", fields[OWN_LOGIN], fields[count - 1]);
		return false;
	}
	return true;
}

bool guard_login_check_judge(const char *const fields[], size_t count,
							 const struct uuid *tenant, struct buf *why)
{
	if (!judge_own_login(fields, count, LOGIN_CHECK_COLUMNS, tenant, why))
		return false;
	if (strcmp(fields[OWN_GUARD_VERSION], GUARD_VERSION) != 0) {
		complain_of_version(fields[OWN_GUARD_VERSION], why);
		return false;
	}
	return judge_context(fields[OWN_CONTEXT], fields[OWN_ROW_SECURITY], why);
}

bool guard_tenant_check_judge(const char *const fields[], size_t count,
							  const struct uuid *tenant, struct buf *why)
{
	return judge_own_login(fields, count, TENANT_CHECK_COLUMNS, tenant, why);
}
