/* What the gate would say of a statement. It is read on the API's thread, whose stack is large
 * enough for that. */
#include <stdlib.h>
#include <string.h>

#include "admin/api/api_internal.h"
#include "admin/api/live_json.h"
#include "admin/api/live_run.h"
#include "admin/api/route.h"
#include "admin/explain_statement.h"
#include "router/permissions.h"

static bool read_strategy(const char *name, enum tenant_strategy *out)
{
	for (int i = 0; name && i <= DATABASE_PER_TENANT; i++) {
		if (strcmp(explain_strategies[i], name) == 0) {
			*out = (enum tenant_strategy)i;
			return true;
		}
	}
	return false;
}

/* As far as a gate asks for it: {"id", "slug", "strategy", "permissions"}. NULL when it makes
 * no sense, or memory is out. */
static const struct tenant *read_tenant(const json_t *value)
{
	const char *id = json_string_value(json_object_get(value, "id"));
	const char *slug = json_string_value(json_object_get(value, "slug"));
	struct tenant *tenant = calloc(1, sizeof *tenant);

	if (!tenant)
		return NULL;
	atomic_init(&tenant->references, 1);
	tenant->slug = slug ? strdup(slug) : NULL;
	if (tenant->slug && id && uuid_parse(id, strlen(id), &tenant->id) &&
		read_strategy(json_string_value(json_object_get(value, "strategy")),
					  &tenant->strategy) &&
		permissions_read(json_object_get(value, "permissions"), &tenant->permissions))
		return tenant;
	tenant_unref(tenant);
	return NULL;
}

/* The [gate] of this process. */
static bool read_settings(const struct conf *conf, struct gate_settings *out)
{
	char *unknown = NULL;
	bool done = gate_settings_init(out, (enum gate_mode)conf->gate_mode, conf->gate_exceptions,
								   conf->gate_schemas, conf->gate_protected_settings, &unknown);

	free(unknown);
	return done;
}

/* NULL when memory is out. */
static json_t *explain(const struct conf *conf, const struct tenant *tenant, const json_t *sql)
{
	struct gate_settings settings;
	const struct explain_subject subject = {.tenant = tenant, .settings = &settings};
	json_t *answer = NULL;
	bool is_refused;

	if (!read_settings(conf, &settings))
		return NULL;
	const struct verdict *verdict = sql_read(json_string_value(sql), json_string_length(sql));
	if (verdict)
		answer = explain_verdict(&subject, verdict, &is_refused);
	verdict_unref(verdict);
	gate_settings_fini(&settings);
	return answer;
}

void explain_run(struct api_call *call, json_t *request)
{
	const json_t *scope = json_object_get(json_object_get(request, "more"), "live");
	const json_t *sql = json_object_get(json_object_get(request, "body"), "sql");

	if (json_string_length(sql) > LIVE_SQL_MAX) {
		api_refuse(call, 422, "BH-API-VALUE", "body.sql", "it must not have more than %d bytes",
				   LIVE_SQL_MAX);
		return;
	}
	const struct tenant *tenant = read_tenant(json_object_get(scope, "gate"));
	json_t *answer = tenant ? explain(api_call_api(call)->conf, tenant, sql) : NULL;
	tenant_unref(tenant);
	if (answer)
		api_answer(call, 200, answer);
	else
		api_refuse(call, 500, "BH-API-INTERNAL", NULL, "the statement could not be read");
}
