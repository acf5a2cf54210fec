/*
 * validate.h: a request's values against what its route says of them.
 */
#ifndef ADMIN_API_VALIDATE_H
#define ADMIN_API_VALIDATE_H

#include <stdbool.h>

#include <jansson.h>

#include "admin/api/route.h"

/* What is found: up to 50 faults [{field, detail}], and the tenants that the request names,
 * {field: word}. Both belong to whoever made the structure. */
struct api_findings {
	json_t *faults, *tenants;
	bool out_of_memory;
};

void api_find_fault(struct api_findings *findings, const char *field, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/*
 * A JSON object against a list of fields; `place` is the name of the whole ("body"). Presets
 * are filled in. Returns true when no fault was found in it.
 */
bool api_validate(json_t *object, const struct api_field *fields, const char *place,
				  struct api_findings *findings);

/*
 * The same for texts from a path or a query: each is put in the place of its text as a value of
 * its field's type. Arrays are lists with commas there.
 */
bool api_validate_texts(json_t *object, const struct api_field *fields, const char *place,
						struct api_findings *findings);

/* Does the text match the POSIX extended pattern? */
bool api_matches(const char *text, const char *pattern);

#endif
