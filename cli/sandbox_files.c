#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/secret.h"
#include "cli/sandbox.h"

/* ---- bulkhead.ini ---- */

static void print_ini(FILE *file, const struct sandbox *sandbox)
{
	fprintf(file, "; Written by `bulkhead sandbox` at every start: changes are lost.\n\n");
	fprintf(file, "[listen:default]\nlisten_addr = " SANDBOX_HOST "\nlisten_port = %d\n",
			sandbox->port);
	fprintf(file, "unix_socket_dir = %s\n\n", sandbox->run);
	fprintf(file, "[cluster:default]\nhost = %s\nport = %d\ndatabase = " SANDBOX_DATABASE "\n",
			sandbox->run, sandbox->postgres_port);
	fprintf(file, "login = bulkhead_pool\npassword_file = %s/keys/pool.password\n",
			sandbox->dir);
	fprintf(file, "secret_file = %s/keys/cluster.secret\nadmin_login = postgres\n",
			sandbox->dir);
	fprintf(file, "admin_password_file = %s/superuser.password\n", sandbox->dir);
	fprintf(file, "table_owner = " SANDBOX_OWNER "\n");
	fprintf(file, "template_schema = " SANDBOX_TEMPLATE "\n");
	fprintf(file, "template_database = " SANDBOX_TEMPLATE "\n\n");
	fprintf(file, "[guard]\nkey_file = %s/keys/guard.key\n\n", sandbox->dir);
	fprintf(file, "[probes]\nunix_socket = %s/probes\nlisten_addr =\n\n", sandbox->run);
	fprintf(file, "[control]\ndsn = host=" SANDBOX_HOST " port=%d dbname=" SANDBOX_DATABASE,
			sandbox->postgres_port);
	fprintf(file, " user=bulkhead_sidecar\npassword_file = %s/keys/sidecar.password\n",
			sandbox->dir);
	fprintf(file, "admin_dsn = host=" SANDBOX_HOST " port=%d dbname=" SANDBOX_DATABASE,
			sandbox->postgres_port);
	fprintf(file, " user=bulkhead_api\nadmin_password_file = %s/keys/api.password\n\n",
			sandbox->dir);
	fprintf(file, "[admin]\nlisten_port = %d\npepper_file = %s/keys/api.pepper\n",
			sandbox->api_port, sandbox->dir);
	fprintf(file, "master_key_file = %s/keys/master.key\n", sandbox->dir);
}

/* ---- env ---- */

/* The first operator's API key, from malloc; "" when its file is gone. */
static char *operator_key(const struct sandbox *sandbox)
{
	char *path = sandbox_path(sandbox, "keys/operator.key");
	const char *why;
	char *key = secret_read_file(path, 1024, &why);

	free(path);
	return key ? key : sandbox_text("%s", "");
}

char **sandbox_environment(const struct sandbox *sandbox)
{
	char **pairs = calloc(19, sizeof *pairs);
	size_t count = 0;

	if (!pairs)
		return NULL;
	pairs[count++] = sandbox_text("BULKHEAD_HOST");
	pairs[count++] = sandbox_text(SANDBOX_HOST);
	pairs[count++] = sandbox_text("BULKHEAD_PORT");
	pairs[count++] = sandbox_text("%d", sandbox->port);
	pairs[count++] = sandbox_text("BULKHEAD_DATABASE");
	pairs[count++] = sandbox_text(SANDBOX_DATABASE);
	pairs[count++] = sandbox_text("BULKHEAD_USER");
	pairs[count++] = sandbox_text(SANDBOX_PRINCIPAL);
	pairs[count++] = sandbox_text("BULKHEAD_PASSWORD");
	pairs[count++] = sandbox_text("%s", sandbox->password);
	pairs[count++] = sandbox_text("PG_SUPERUSER_DSN");
	pairs[count++] = sandbox_superuser_dsn(sandbox, SANDBOX_DATABASE);
	pairs[count++] = sandbox_text("CONTROL_DSN");
	pairs[count++] = sandbox_superuser_dsn(sandbox, SANDBOX_DATABASE);
	pairs[count++] = sandbox_text("BULKHEAD_API");
	pairs[count++] = sandbox_text("http://" SANDBOX_HOST ":%d", sandbox->api_port);
	pairs[count++] = sandbox_text("BULKHEAD_API_KEY");
	pairs[count++] = operator_key(sandbox);
	return pairs;
}

void sandbox_environment_free(char **pairs)
{
	for (char **text = pairs; text && *text; text++)
		secret_free(*text);
	free(pairs);
}

/* One value in single quotes, as sh(1) reads it. */
static void print_quoted(FILE *file, const char *value)
{
	fputc('\'', file);
	for (; *value; value++) {
		if (*value == '\'')
			fputs("'\\''", file);
		else
			fputc(*value, file);
	}
	fputc('\'', file);
}

static void print_env(FILE *file, char *const *pairs)
{
	fprintf(file, "# The sandbox, for a shell: . this file\n");
	for (; *pairs; pairs += 2) {
		fprintf(file, "export %s=", pairs[0]);
		print_quoted(file, pairs[1]);
		fputc('\n', file);
	}
}

/* ---- writing ---- */

static bool finish(const struct sandbox *sandbox, const char *name, FILE *file, char **content,
				   const size_t *length)
{
	bool done = fclose(file) == 0 && sandbox_write_file(sandbox, name, *content, *length);

	secret_free(*content);
	return done;
}

static bool write_ini(const struct sandbox *sandbox)
{
	char *content = NULL;
	size_t length = 0;
	FILE *file = open_memstream(&content, &length);

	if (!file)
		return sandbox_complain("out of memory");
	print_ini(file, sandbox);
	return finish(sandbox, "bulkhead.ini", file, &content, &length);
}

static bool write_env(const struct sandbox *sandbox)
{
	char *content = NULL, **pairs = sandbox_environment(sandbox);
	size_t length = 0;
	FILE *file = pairs ? open_memstream(&content, &length) : NULL;

	if (file)
		print_env(file, pairs);
	sandbox_environment_free(pairs);
	if (!file)
		return sandbox_complain("out of memory");
	return finish(sandbox, "env", file, &content, &length);
}

bool sandbox_files_write(const struct sandbox *sandbox)
{
	return write_ini(sandbox) && write_env(sandbox);
}

/* ---- what to type ---- */

/* A psql line for a tenant, without its last words. */
static void print_psql(const struct sandbox *sandbox, const char *tenant)
{
	printf("    PGPASSWORD=%s psql -h " SANDBOX_HOST " -p %d -U " SANDBOX_PRINCIPAL
		   ".%s " SANDBOX_DATABASE,
		   sandbox->password, sandbox->port, tenant);
}

static char *tenant_id(PGconn *superuser, const char *slug)
{
	PGresult *result =
		PQexecParams(superuser, "SELECT id FROM bulkhead_control.tenant WHERE slug = $1", 1,
					 NULL, &slug, NULL, NULL, 0);
	char *id = PQntuples(result) == 1 ? sandbox_text("%s", PQgetvalue(result, 0, 0)) : NULL;

	PQclear(result);
	return id;
}

static void print_attack(const struct sandbox *sandbox, const char *victim)
{
	printf("\nAn attack: acme asks for globex's rows, writes one, and forges the context.\n");
	print_psql(sandbox, "acme");
	printf(" \\\n      -c \"SELECT count(*) FROM orders WHERE tenant_id = '%s'\"", victim);
	printf(" \\\n      -c \"INSERT INTO customers (tenant_id, name, email, city) "
		   "VALUES ('%s', 'Eve', 'eve@acme.example', 'Yuma')\"",
		   victim);
	printf(" \\\n      -c \"SET backtrace_functions = '");
	for (const char *c = victim; *c; c++) {
		if (*c != '-')
			putchar(*c);
	}
	printf(",'\"\n");
}

/* The admin API: who calls, and three requests. */
static void print_api(const struct sandbox *sandbox)
{
	char *key = operator_key(sandbox);

	printf("\nThe admin API, with the key of an operator of the whole tree:\n");
	printf("    export BULKHEAD_API=http://" SANDBOX_HOST ":%d BULKHEAD_API_KEY=%s\n",
		   sandbox->api_port, key);
	printf("    curl -H \"Authorization: Bearer $BULKHEAD_API_KEY\" "
		   "$BULKHEAD_API/v1/tenants\n");
	printf("    curl -H \"Authorization: Bearer $BULKHEAD_API_KEY\" -X POST "
		   "$BULKHEAD_API/v1/tenants/globex:suspend\n");
	printf("    curl -H \"Authorization: Bearer $BULKHEAD_API_KEY\" -X POST "
		   "$BULKHEAD_API/v1/tenants/globex:resume\n");
	secret_free(key);
}

bool sandbox_announce(const struct sandbox *sandbox, PGconn *superuser)
{
	char *victim = tenant_id(superuser, "globex");

	if (!victim)
		return sandbox_complain("the tenant globex is gone; start over with --reset");
	printf("Bulkhead listens on " SANDBOX_HOST ":%d, in front of a PostgreSQL of its own.\n\n",
		   sandbox->port);
	printf("The same question as two tenants that share tables:\n");
	print_psql(sandbox, "acme");
	printf(" -c \"SELECT name, email FROM customers LIMIT 3\"\n");
	print_psql(sandbox, "globex");
	printf(" -c \"SELECT name, email FROM customers LIMIT 3\"\n");
	printf("And as one that has a schema of its own, and one that has a database:\n");
	print_psql(sandbox, "initech");
	printf(" -c \"SELECT name, email FROM customers LIMIT 3\"\n");
	print_psql(sandbox, "umbrella");
	printf(" -c \"SELECT name, email FROM customers LIMIT 3\"\n");
	print_attack(sandbox, victim);
	print_api(sandbox);
	printf(
		"\nFor programs:  . '%s/env'   (BULKHEAD_HOST, BULKHEAD_PORT, ... PG_SUPERUSER_DSN)\n",
		sandbox->dir);
	printf("Logs:          %s/bulkhead.log, postgres.log\n", sandbox->dir);
	printf("Stop with Ctrl-C; the data stays for the next start.\n");
	fflush(stdout);
	free(victim);
	return true;
}
