#include "cli/tenant_key.h"

#include <stdlib.h>

#include "cli/control_db.h"

#define TEXTS_MAX 2

static enum cli_exit change(PGconn *control, const struct arguments *arguments, const char *sql,
							int count, const char *values[], const char *state)
{
	struct named_tenant tenant;

	if (!control_db_find_tenant(control, arguments->word, &tenant))
		return CLI_FAILED;
	values[0] = tenant.id;
	values[1] = arguments->key;
	return verbs_end_change(
		control_db_change(control, sql, count, values, arguments->value[ARG_DRY_RUN]),
		arguments, tenant.slug, state);
}

enum cli_exit tenant_key_set(PGconn *control, const struct arguments *arguments,
							 const char *sql, char *value, int more, const char *const texts[])
{
	const char *values[3 + TEXTS_MAX] = {NULL, NULL, value};
	enum cli_exit result = CLI_FAILED;

	for (int i = 0; i < more; i++)
		values[3 + i] = texts[i];
	if (value)
		result = change(control, arguments, sql, 3 + more, values, "so");
	free(value);
	return result;
}

enum cli_exit tenant_key_take(PGconn *control, const struct arguments *arguments,
							  const char *sql, const char *state)
{
	const char *values[2];

	return change(control, arguments, sql, 2, values, state);
}

enum cli_exit tenant_key_show(PGconn *control, const struct arguments *arguments,
							  const char *sql_json, const char *sql)
{
	struct named_tenant tenant;

	if (!control_db_find_tenant(control, arguments->word, &tenant))
		return CLI_FAILED;

	const char *const values[] = {tenant.id};
	return verbs_end(
		control_db_query(control, arguments->value[ARG_JSON] ? sql_json : sql, 1, values),
		arguments);
}
