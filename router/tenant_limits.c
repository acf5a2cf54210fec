#include "router/tenant_limits.h"

#include <stddef.h>
#include <stdint.h>

#define MAX_CONNECTIONS "max_connections" /* whose 0 is a limit, and -1 is none */
#define CONNECTIONS_MAX 1000000
#define PERIOD_MAX      INT32_MAX

static const struct {
	const char *name;
	size_t at;
	int64_t max;
} rows[] = {
	{"pool_size", offsetof(struct tenant_limits, pool_size), 10000},
	{"statement_timeout", offsetof(struct tenant_limits, statement_timeout_ms), PERIOD_MAX},
	{"idle_in_transaction_timeout",
	 offsetof(struct tenant_limits, idle_in_transaction_timeout_ms), PERIOD_MAX},
	{"query_wait_timeout", offsetof(struct tenant_limits, query_wait_timeout_ms), PERIOD_MAX},
	{"rate_limit", offsetof(struct tenant_limits, rate_limit), 1000000},
	{"rate_burst", offsetof(struct tenant_limits, rate_burst), 1000000},
};

#define ROWS (sizeof rows / sizeof *rows)

/* What is not there leaves *out as it is. */
static bool read_number(const json_t *value, int64_t min, int64_t max, int64_t *out)
{
	double number = json_number_value(value);

	if (!value)
		return true;
	if (!json_is_number(value))
		return false;
	if (number <= (double)min)
		*out = min;
	else
		*out = number >= (double)max ? max : (int64_t)number;
	return true;
}

bool tenant_limits_read(const json_t *value, struct tenant_limits *out)
{
	int64_t connections = -1;

	*out = (struct tenant_limits){0};
	if (!value)
		return true;
	if (!json_is_object(value) || !read_number(json_object_get(value, MAX_CONNECTIONS), -1,
											   CONNECTIONS_MAX, &connections))
		return false;
	out->has_max_connections = connections >= 0;
	if (out->has_max_connections)
		out->max_connections = connections;
	for (size_t i = 0; i < ROWS; i++) {
		int64_t *limit = (int64_t *)(void *)((char *)out + rows[i].at);

		if (!read_number(json_object_get(value, rows[i].name), 0, rows[i].max, limit))
			return false;
	}
	return true;
}

json_t *tenant_limits_write(const struct tenant_limits *limits)
{
	json_t *object = json_object();
	bool ok = object != NULL;

	if (ok && limits->has_max_connections)
		ok = json_object_set_new(object, MAX_CONNECTIONS,
								 json_integer(limits->max_connections)) == 0;
	for (size_t i = 0; ok && i < ROWS; i++) {
		int64_t limit = *(const int64_t *)(const void *)((const char *)limits + rows[i].at);

		ok = !limit || json_object_set_new(object, rows[i].name, json_integer(limit)) == 0;
	}
	if (ok)
		return object;
	json_decref(object);
	return NULL;
}
