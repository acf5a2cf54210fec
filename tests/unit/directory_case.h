/*
 * directory_case.h: tenants and principals out of nothing, and an asker, for the tests of the
 * directory.
 */
#ifndef UNIT_DIRECTORY_CASE_H
#define UNIT_DIRECTORY_CASE_H

#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "router/directory.h"

static inline struct tenant *tenant_new(const char *slug)
{
	struct tenant *tenant = calloc(1, sizeof *tenant);

	cr_assert_not_null(tenant);
	atomic_init(&tenant->references, 1);
	tenant->slug = strdup(slug);
	memcpy(&tenant->id, slug,
		   strlen(slug) < sizeof tenant->id ? strlen(slug) : sizeof tenant->id);
	tenant->version = 1;
	tenant->cluster = strdup("default");
	tenant->depth = 1;
	return tenant;
}

static inline struct principal *principal_new(const char *name)
{
	struct principal *principal = calloc(1, sizeof *principal);

	cr_assert_not_null(principal);
	atomic_init(&principal->references, 1);
	principal->name = strdup(name);
	return principal;
}

struct answer {
	int count;
	enum directory_result result;
	char name[32];
};

/* A directory_answer; the asker is a struct answer. */
static inline void note(void *asker, enum directory_result result, const struct tenant *tenant,
						const struct principal *principal)
{
	struct answer *answer = asker;

	answer->count++;
	answer->result = result;
	cr_assert((result == DIRECTORY_FOUND) == (tenant || principal));
	if (tenant)
		snprintf(answer->name, sizeof answer->name, "%s", tenant->slug);
	if (principal)
		snprintf(answer->name, sizeof answer->name, "%s", principal->name);
	tenant_unref(tenant);
	principal_unref(principal);
}

#endif
