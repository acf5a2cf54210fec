#include "policy/permission.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char *const keys[] = {
#define PERMISSION_KEY(name, key) [name] = (key),
	PERMISSIONS(PERMISSION_KEY)
#undef PERMISSION_KEY
};

const char *permission_key(enum permission permission)
{
	return keys[permission];
}

bool permission_by_key(const char *key, enum permission *out)
{
	for (int i = 0; i < PERMISSION_COUNT; i++) {
		if (strcmp(keys[i], key) == 0) {
			*out = (enum permission)i;
			return true;
		}
	}
	return false;
}

#define EVERYBODY_S                                                                            \
	(PERMISSION_BIT(PERMISSION_READ) | PERMISSION_BIT(PERMISSION_WRITE) |                      \
	 PERMISSION_BIT(PERMISSION_CALL) | PERMISSION_BIT(PERMISSION_COPY))
#define OF_OWN (PERMISSION_BIT(PERMISSION_DDL) | PERMISSION_BIT(PERMISSION_MAINTENANCE))

const struct permissions *permissions_of_place(enum rule_place place)
{
	static const struct permissions on_shared = {.held = EVERYBODY_S,
												 .gate = GATE_AS_CONFIGURED};
	static const struct permissions on_schema = {.held = EVERYBODY_S | OF_OWN,
												 .gate = GATE_AS_CONFIGURED};
	static const struct permissions on_database = {.held = EVERYBODY_S | OF_OWN |
														   PERMISSION_BIT(PERMISSION_LISTEN),
												   .gate = GATE_AS_CONFIGURED};

	switch (place) {
	case ON_SHARED:
	case EVERYWHERE:
		break;
	case ON_SCHEMA:
		return &on_schema;
	case ON_DATABASE:
		return &on_database;
	}
	return &on_shared;
}

static void names_fini(struct permission_names *names)
{
	for (size_t i = 0; i < names->count; i++)
		free(names->names[i]);
	free(names->names);
	*names = (struct permission_names){0};
}

void permissions_fini(struct permissions *permissions)
{
	names_fini(&permissions->relations);
	names_fini(&permissions->functions);
	names_fini(&permissions->denied_relations);
	names_fini(&permissions->denied_functions);
}

bool permission_names_add(struct permission_names *names, const char *name, size_t len)
{
	char **grown;

	if (names->count == PERMISSION_NAMES_MAX)
		return false;
	grown = realloc(names->names, (names->count + 1) * sizeof *grown);
	if (!grown)
		return false;
	names->names = grown;
	grown[names->count] = strndup(name, len);
	if (!grown[names->count])
		return false;
	names->count++;
	return true;
}

static bool fits(const char *pattern, const char *name)
{
	size_t len = strlen(pattern);

	if (len && pattern[len - 1] == '*')
		return strncmp(pattern, name, len - 1) == 0;
	return strcmp(pattern, name) == 0;
}

static bool is_schema(const char *pattern, size_t len, const char *schema)
{
	return strlen(schema) == len && memcmp(pattern, schema, len) == 0;
}

static bool is_of_word(char c)
{
	return isalnum((unsigned char)c) || c == '_' || c == '$' || (unsigned char)c >= 0x80;
}

/* The server cuts names at so many bytes: what follows then is no other name. */
#define NAME_LEN_MAX 63

static bool is_in_path(const char *path, const char *schema, size_t len)
{
	for (const char *at = path; *at; at++) {
		if (strncasecmp(at, schema, len) == 0 && (at == path || !is_of_word(at[-1])) &&
			(len >= NAME_LEN_MAX || !is_of_word(at[len])))
			return true;
	}
	return false;
}

bool permission_names_meet_path(const struct permission_names *names, const char *path)
{
	for (size_t i = 0; i < names->count; i++) {
		const char *pattern = names->names[i], *dot = strchr(pattern, '.');

		if (dot && strcmp(dot, ".*") == 0 &&
			(!path || is_in_path(path, pattern, (size_t)(dot - pattern))))
			return true;
	}
	return false;
}

bool permission_names_have(const struct permission_names *names, const char *schema,
						   const char *name)
{
	for (size_t i = 0; i < names->count; i++) {
		const char *pattern = names->names[i], *dot = strchr(pattern, '.');

		if (dot && (schema ? !is_schema(pattern, (size_t)(dot - pattern), schema)
						   : strcmp(dot, ".*") == 0))
			continue;
		if (fits(dot ? dot + 1 : pattern, name))
			return true;
	}
	return false;
}
