#include "policy/guard/install.h"

#include <string.h>

#include "base/buf.h"
#include "base/embed.h"
#include "base/encode.h"
#include "base/secret.h"
#include "policy/guard/findings.h"
#include "policy/guard/guard.h"

EMBED_TEXT(begin_sql, "policy/guard/begin.sql");
EMBED_TEXT(roles_sql, "policy/guard/roles.sql");
EMBED_TEXT(roles_login_sql, "policy/guard/roles_login.sql");
EMBED_TEXT(schema_sql, "policy/guard/schema.sql");
EMBED_TEXT(keys_sql, "policy/guard/keys.sql");
EMBED_TEXT(enter_sql, "policy/guard/enter.sql");
EMBED_TEXT(session_sql, "policy/guard/session.sql");
EMBED_TEXT(context_sql, "policy/guard/context.sql");
EMBED_TEXT(warnings_sql, "policy/guard/warnings.sql");
EMBED_TEXT(protect_sql, "policy/guard/protect.sql");
EMBED_TEXT(login_check_sql, "policy/guard/login_check.sql");
EMBED_TEXT(check_sql, "policy/guard/check.sql");
EMBED_TEXT(grants_sql, "policy/guard/grants.sql");
EMBED_TEXT(hardening_sql, "policy/guard/hardening.sql");
EMBED_TEXT(hardening_list_sql, "policy/guard/hardening_list.sql");
EMBED_TEXT(hardening_apply_sql, "policy/guard/hardening_apply.sql");
EMBED_TEXT(verify_guard_sql, "policy/guard/verify_guard.sql");
EMBED_TEXT(verify_sql, "policy/guard/verify.sql");
EMBED_TEXT(verify_login_sql, "policy/guard/verify_login.sql");

#define REGISTER_KEY "SELECT bulkhead.register_key("

/* A literal of SQL; begin.sql is not yet there to pin how backslashes read, so E'' spells them
 * out. */
static bool append_literal(struct buf *sql, const char *text)
{
	bool fine = buf_append(sql, "E'", 2);

	for (; fine && *text; text++) {
		if (*text == '\'' || *text == '\\')
			fine = buf_append_byte(sql, (uint8_t)*text);
		fine = fine && buf_append_byte(sql, (uint8_t)*text);
	}
	return fine && buf_append_byte(sql, '\'');
}

static bool append_setting(struct buf *sql, const char *name, const char *value)
{
	return buf_appendf(sql, "SET LOCAL bulkhead.%s = ", name) && append_literal(sql, value) &&
		   buf_appendf(sql, ";\n");
}

static bool append_parts(struct buf *sql, const char *const parts[], size_t count)
{
	bool fine = true;

	for (size_t i = 0; fine && i < count; i++)
		fine = buf_append(sql, parts[i], strlen(parts[i])) && buf_append_byte(sql, '\n');
	return fine;
}

static bool append_settings(struct buf *sql, const struct guard_install *what)
{
	bool sealed = what->mode == GUARD_SEALED;

	return append_setting(sql, "guard", sealed ? "sealed" : "login") &&
		   append_setting(sql, "pool_login", sealed ? what->pool_login : "") &&
		   append_setting(sql, "owner", what->owner ? what->owner : "") &&
		   append_setting(sql, "hardening",
						  what->hardening == GUARD_STRICT ? "strict" : "standard");
}

/* Where tenants have logins of their own, there is no enter, no key and no pool's login. */
static bool append_objects(struct buf *sql, enum guard_mode mode)
{
	const char *const sealed[] = {begin_sql,   roles_sql,       schema_sql,  keys_sql,
								  enter_sql,   session_sql,     context_sql, warnings_sql,
								  protect_sql, login_check_sql, check_sql};
	const char *const login[] = {begin_sql,   roles_login_sql, schema_sql,  session_sql,
								 context_sql, warnings_sql,    protect_sql, login_check_sql};

	return mode == GUARD_SEALED ? append_parts(sql, sealed, sizeof sealed / sizeof *sealed)
								: append_parts(sql, login, sizeof login / sizeof *login);
}

/* Everything but the secrets, up to where the signing key is registered. */
static bool write_sql(struct buf *sql, const struct guard_install *what)
{
	const char *const after[] = {grants_sql, hardening_sql, "WITH", hardening_list_sql,
								 hardening_apply_sql};

	return append_settings(sql, what) && append_objects(sql, what->mode) &&
		   guard_findings_function(sql) &&
		   append_parts(sql, after, sizeof after / sizeof *after);
}

static const char *field(const PGresult *result, int code)
{
	return PQresultErrorField(result, code);
}

/*
 * Says why a statement failed. Only the server's own words on it, not the place in our SQL; the
 * DETAIL of a fault list is what the administrator needs most.
 */
static void print_error(FILE *err, PGconn *admin, const PGresult *result)
{
	const char *primary = field(result, PG_DIAG_MESSAGE_PRIMARY);
	const char *detail = field(result, PG_DIAG_MESSAGE_DETAIL);
	const char *hint = field(result, PG_DIAG_MESSAGE_HINT);

	if (!primary) {
		fprintf(err, "guard: %s", PQerrorMessage(admin));
		return;
	}
	fprintf(err, "guard: %s\n", primary);
	if (detail)
		fprintf(err, "%s\n", detail);
	if (hint)
		fprintf(err, "%s\n", hint);
}

static bool finish(PGconn *admin, PGresult *result, FILE *err)
{
	ExecStatusType status = PQresultStatus(result);
	bool done = status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK;

	if (!done)
		print_error(err, admin, result);
	PQclear(result);
	return done;
}

static bool run(PGconn *admin, const char *sql, FILE *err)
{
	return finish(admin, PQexec(admin, sql), err);
}

static bool run_parts(PGconn *admin, const struct guard_install *what, FILE *err)
{
	struct buf sql;
	bool done = false;

	buf_init(&sql);
	if (write_sql(&sql, what) && buf_append_byte(&sql, '\0'))
		done = run(admin, (const char *)buf_data(&sql), err);
	else
		fputs("guard: out of memory\n", err);
	buf_fini(&sql);
	return done;
}

static bool register_key(PGconn *admin, const struct guard_install *what, FILE *err)
{
	char key[BASE64_SIZE(GUARD_KEY_SIZE)];
	const char *values[] = {what->kid, key};

	base64_encode(what->key, GUARD_KEY_SIZE, key);
	bool done = finish(
		admin, PQexecParams(admin, REGISTER_KEY "$1, $2)", 2, NULL, values, NULL, NULL, 0),
		err);
	secret_wipe(key, sizeof key);
	return done;
}

/* The server is told a SCRAM verifier, never the password. */
static bool set_password(PGconn *admin, const struct guard_install *what, FILE *err)
{
	struct buf sql;
	bool done = false;
	char *verifier =
		PQencryptPasswordConn(admin, what->pool_password, what->pool_login, "scram-sha-256");
	char *login = PQescapeIdentifier(admin, what->pool_login, strlen(what->pool_login));

	buf_init(&sql);
	if (!verifier || !login)
		fprintf(err, "guard: %s", PQerrorMessage(admin));
	else if (!buf_appendf(&sql, "ALTER ROLE %s PASSWORD ", login) ||
			 !append_literal(&sql, verifier) || !buf_append_byte(&sql, '\0'))
		fputs("guard: out of memory\n", err);
	else
		done = run(admin, (const char *)buf_data(&sql), err);
	buf_wipe(&sql);
	if (verifier)
		secret_wipe(verifier, strlen(verifier));
	PQfreemem(verifier);
	PQfreemem(login);
	return done;
}

static bool run_all(PGconn *admin, const struct guard_install *what, FILE *err)
{
	if (what->mode == GUARD_LOGIN)
		return run_parts(admin, what, err) && run(admin, verify_guard_sql, err) &&
			   run(admin, verify_login_sql, err);
	return run_parts(admin, what, err) && register_key(admin, what, err) &&
		   (!what->pool_password || set_password(admin, what, err)) &&
		   run(admin, verify_guard_sql, err) && run(admin, verify_sql, err);
}

bool guard_install(PGconn *admin, const struct guard_install *what, FILE *err)
{
	bool done =
		run(admin, "BEGIN", err) && run_all(admin, what, err) && run(admin, "COMMIT", err);

	if (!done && PQtransactionStatus(admin) != PQTRANS_IDLE)
		PQclear(PQexec(admin, "ROLLBACK"));
	return done;
}

static const char print_head[] =
	"-- The guard of Bulkhead. Run it as a superuser, with psql 14 or later:\n"
	"--\n"
	"--\tGUARD_KEY='<a line of guard.key: name, space, base64>' psql -X -d DATABASE -f "
	"THIS_FILE\n"
	"--\n"
	"-- The pool's login gets its password by \\password afterwards, or here, when the psql "
	"variable\n"
	"-- pool_verifier holds a SCRAM-SHA-256 verifier.\n"
	"\\set ON_ERROR_STOP on\n"
	"\\getenv guard_key GUARD_KEY\n"
	"\\if :{?guard_key}\n"
	"\\else\n"
	"DO $$ BEGIN RAISE EXCEPTION 'the environment must hold GUARD_KEY'; END $$;\n"
	"\\endif\n"
	"\\o /dev/null\n"
	"BEGIN;\n";

static const char print_login_head[] = "-- The guard of Bulkhead by tenants' own logins. Run "
									   "it as a role with CREATEROLE that owns "
									   "the\n"
									   "-- database:\n"
									   "--\n"
									   "--\tpsql -X -d DATABASE -f THIS_FILE\n"
									   "\\set ON_ERROR_STOP on\n"
									   "\\o /dev/null\n"
									   "BEGIN;\n";

static const char print_key[] = REGISTER_KEY "split_part(:'guard_key', ' ', 1), "
											 "split_part(:'guard_key', ' ', 2));\n"
											 "\\unset guard_key\n";

/* The key, which psql has from the environment, and the pool's password, which it may have. */
static bool append_print_secrets(struct buf *sql, const struct guard_install *what)
{
	bool fine = buf_appendf(sql, "%s\\if :{?pool_verifier}\nALTER ROLE \"", print_key);

	for (const char *c = what->pool_login; fine && *c; c++)
		fine = buf_appendf(sql, *c == '"' ? "\"%c" : "%c", *c);
	return fine && buf_appendf(sql, "\" PASSWORD :'pool_verifier';\n\\endif\n");
}

void guard_print(const struct guard_install *what, FILE *out)
{
	bool sealed = what->mode == GUARD_SEALED;
	struct buf sql;

	buf_init(&sql);
	if (buf_appendf(&sql, "%s", sealed ? print_head : print_login_head) &&
		write_sql(&sql, what) && (!sealed || append_print_secrets(&sql, what)) &&
		buf_appendf(&sql, "%s\n%s\nCOMMIT;\n\\o\n", verify_guard_sql,
					sealed ? verify_sql : verify_login_sql))
		fwrite(buf_data(&sql), 1, buf_len(&sql), out);
	buf_fini(&sql);
}
