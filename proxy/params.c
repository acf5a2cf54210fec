#include "proxy/params.h"

#include <stdlib.h>
#include <string.h>

#include "proxy/wire.h"

void params_init(struct params *params)
{
	memset(params, 0, sizeof *params);
}

void params_fini(struct params *params)
{
	for (size_t i = 0; i < params->count; i++) {
		free(params->names[i]);
		free(params->values[i]);
	}
	free(params->names);
	free(params->values);
	params_init(params);
}

static long find(const struct params *params, const char *name)
{
	for (size_t i = 0; i < params->count; i++) {
		if (strcmp(params->names[i], name) == 0)
			return (long)i;
	}
	return -1;
}

static bool grow(struct params *params)
{
	char **names = realloc(params->names, (params->count + 1) * sizeof *names);

	if (!names)
		return false;
	params->names = names;
	char **values = realloc(params->values, (params->count + 1) * sizeof *values);
	if (!values)
		return false;
	params->values = values;
	return true;
}

bool params_set(struct params *params, const char *name, const char *value)
{
	long at = find(params, name);

	if (strlen(name) + strlen(value) > PARAMS_BYTES_MAX ||
		(at < 0 && params->count == PARAMS_MAX))
		return false;
	char *copy = strdup(value);
	if (!copy)
		return false;
	if (at >= 0) {
		free(params->values[at]);
		params->values[at] = copy;
		return true;
	}
	char *name_copy = strdup(name);
	if (!name_copy || !grow(params)) {
		free(name_copy);
		free(copy);
		return false;
	}
	params->names[params->count] = name_copy;
	params->values[params->count] = copy;
	params->count++;
	return true;
}

const char *params_get(const struct params *params, const char *name)
{
	long at = find(params, name);

	return at < 0 ? NULL : params->values[at];
}

bool params_copy(struct params *to, const struct params *from)
{
	params_init(to);
	for (size_t i = 0; i < from->count; i++) {
		if (!params_set(to, from->names[i], from->values[i])) {
			params_fini(to);
			return false;
		}
	}
	return true;
}

bool params_equal(const struct params *a, const struct params *b)
{
	if (a->count != b->count)
		return false;
	for (size_t i = 0; i < a->count; i++) {
		const char *other = params_get(b, a->names[i]);

		if (!other || strcmp(other, a->values[i]) != 0)
			return false;
	}
	return true;
}

bool params_append(const struct params *params, const char *application_name, struct buf *out)
{
	for (size_t i = 0; i < params->count; i++) {
		const char *value = strcmp(params->names[i], "application_name") == 0
								? application_name
								: params->values[i];

		if (!wire_parameter_status(out, params->names[i], value))
			return false;
	}
	return true;
}
