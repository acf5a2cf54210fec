/*
 * answer.h: what the control database's look-up functions return, as the directory wants it.
 *
 * The queries take one text parameter and give at most one row, in text form. The functions are
 * in admin/migrations/0004_lookup.sql.
 */
#ifndef ADMIN_ANSWER_H
#define ADMIN_ANSWER_H

#include <libpq-fe.h>

#include "router/directory.h"

extern const char answer_tenant_sql[];
extern const char answer_principal_sql[];

/*
 * Reads a result of PGRES_TUPLES_OK. FOUND gives a new entry with one reference in *out;
 * UNKNOWN means that there was no row; UNAVAILABLE that memory is out or the row makes no sense
 * to this program.
 */
enum directory_result answer_tenant(const PGresult *result, const struct tenant **out);
enum directory_result answer_principal(const PGresult *result, const struct principal **out);

#endif
