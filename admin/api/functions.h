/*
 * functions.h: the SQL functions behind the admin API, for the installation of the control
 * schema.
 *
 * They are in admin/api/sql, one file per topic, and are made anew in schema bulkhead_api each
 * time the control schema is installed: unlike its numbered steps they may be changed.
 */
#ifndef ADMIN_API_FUNCTIONS_H
#define ADMIN_API_FUNCTIONS_H

#include <stddef.h>

struct api_functions {
	const char *name; /* of the file, without .sql */
	const char *sql;
};

/* The files, in the order in which they are run: the first, which takes the old functions away,
 * before the numbered steps, the others behind them. */
#define API_FUNCTIONS_MAX 24
size_t api_functions_list(struct api_functions out[API_FUNCTIONS_MAX]);

#endif
