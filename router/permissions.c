#include "router/permissions.h"

#include <string.h>

/* In the order of enum gate_mode; the last is written as null. */
static const char *const gate_names[] = {"enforce", "observe", "off"};

void permissions_default(struct permissions *out, enum tenant_strategy strategy)
{
	*out = *permissions_of_place(tenant_place(strategy));
}

/* ---- comparing ---- */

static bool names_equal(const struct permission_names *a, const struct permission_names *b)
{
	bool same = a->count == b->count;

	for (size_t i = 0; same && i < a->count; i++)
		same = strcmp(a->names[i], b->names[i]) == 0;
	return same;
}

bool permissions_equal(const struct permissions *a, const struct permissions *b)
{
	return a->held == b->held && a->is_read_only == b->is_read_only && a->gate == b->gate &&
		   a->relations_are_limited == b->relations_are_limited &&
		   a->functions_are_limited == b->functions_are_limited &&
		   names_equal(&a->relations, &b->relations) &&
		   names_equal(&a->functions, &b->functions) &&
		   names_equal(&a->denied_relations, &b->denied_relations) &&
		   names_equal(&a->denied_functions, &b->denied_functions);
}

/* ---- reading ---- */

static bool read_held(const json_t *value, uint32_t *out)
{
	size_t place;
	json_t *element;

	if (!json_is_array(value))
		return false;
	json_array_foreach(value, place, element)
	{
		enum permission permission;

		if (!json_is_string(element))
			return false;
		if (permission_by_key(json_string_value(element), &permission))
			*out |= PERMISSION_BIT(permission);
	}
	return true;
}

static bool read_gate(const json_t *value, enum gate_mode *out)
{
	*out = GATE_AS_CONFIGURED;
	if (json_is_null(value))
		return true;
	for (size_t i = 0; json_is_string(value) && i < sizeof gate_names / sizeof *gate_names;
		 i++) {
		if (strcmp(json_string_value(value), gate_names[i]) == 0) {
			*out = (enum gate_mode)i;
			return true;
		}
	}
	return false;
}

static bool read_names(const json_t *value, struct permission_names *out)
{
	size_t place;
	json_t *element;

	if (!json_is_array(value))
		return false;
	json_array_foreach(value, place, element)
	{
		if (!json_is_string(element) ||
			!permission_names_add(out, json_string_value(element), json_string_length(element)))
			return false;
	}
	return true;
}

/* A list that may be null, and then does not limit. */
static bool read_limit(const json_t *value, bool *is_limited, struct permission_names *out)
{
	*is_limited = !json_is_null(value);
	return !*is_limited || read_names(value, out);
}

bool permissions_read(const json_t *value, struct permissions *out)
{
	const json_t *read_only = json_object_get(value, "read_only");

	out->is_read_only = !json_is_false(read_only);
	return json_is_boolean(read_only) &&
		   read_held(json_object_get(value, "held"), &out->held) &&
		   read_gate(json_object_get(value, "gate"), &out->gate) &&
		   read_limit(json_object_get(value, "relations"), &out->relations_are_limited,
					  &out->relations) &&
		   read_limit(json_object_get(value, "functions"), &out->functions_are_limited,
					  &out->functions) &&
		   read_names(json_object_get(value, "relations_denied"), &out->denied_relations) &&
		   read_names(json_object_get(value, "functions_denied"), &out->denied_functions);
}

/* ---- writing ---- */

/* What is NULL for want of memory makes json_pack fail, which lets go of all the rest. */
static json_t *held_of(uint32_t held)
{
	json_t *keys = json_array();

	for (int i = 0; i < PERMISSION_COUNT; i++) {
		if (held & PERMISSION_BIT(i))
			json_array_append_new(keys, json_string(permission_key((enum permission)i)));
	}
	return keys;
}

static json_t *gate_of(enum gate_mode gate)
{
	return gate == GATE_AS_CONFIGURED ? json_null() : json_string(gate_names[gate]);
}

static json_t *names_of(bool are_limited, const struct permission_names *names)
{
	json_t *list = are_limited ? json_array() : json_null();

	for (size_t i = 0; are_limited && i < names->count; i++)
		json_array_append_new(list, json_string(names->names[i]));
	return list;
}

json_t *permissions_write(const struct permissions *permissions)
{
	return json_pack(
		"{so sb so so so so so}", "held", held_of(permissions->held), "read_only",
		(int)permissions->is_read_only, "gate", gate_of(permissions->gate), "relations",
		names_of(permissions->relations_are_limited, &permissions->relations), "functions",
		names_of(permissions->functions_are_limited, &permissions->functions),
		"relations_denied", names_of(true, &permissions->denied_relations), "functions_denied",
		names_of(true, &permissions->denied_functions));
}
