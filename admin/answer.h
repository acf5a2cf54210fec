/*
 * answer.h: what the control database's look-up functions return, as the directory wants it.
 *
 * Look-ups take one text parameter and give at most one row; comparisons take what is held and
 * its versions, as arrays, and give a row of the same columns for each that differs, with
 * nothing but its id or name where it is gone. All in text form. The functions are in
 * admin/migrations/0014_own_login.sql and 0028_principal_tenants.sql.
 *
 * A control schema of step 13 says nothing of logins and regions, one of before that nothing
 * of permissions: the statements that end in _13_sql and _older_sql ask them for the rest. A
 * tenant without permissions in the answer has the defaults of its strategy. Limits are a
 * member of the permissions, `limits` (router/tenant_limits.h), where there are any. One of
 * before step 28 says nothing of principals' limits, certificates and lists of tenants: then
 * they have none of their own.
 */
#ifndef ADMIN_ANSWER_H
#define ADMIN_ANSWER_H

#include <libpq-fe.h>

#include "router/directory.h"

extern const char answer_tenant_sql[];
extern const char answer_principal_sql[];
extern const char answer_changed_tenants_sql[];
extern const char answer_changed_principals_sql[];
extern const char answer_principal_older_sql[];
extern const char answer_changed_principals_older_sql[];
extern const char answer_tenant_13_sql[];
extern const char answer_changed_tenants_13_sql[];
extern const char answer_tenant_older_sql[];
extern const char answer_changed_tenants_older_sql[];

/*
 * Reads a row of a result of PGRES_TUPLES_OK. FOUND gives a new entry with one reference in
 * *out; UNKNOWN means that there is no such row, or nothing in it; UNAVAILABLE that memory is
 * out or the row makes no sense to this program.
 */
enum directory_result answer_tenant(const PGresult *result, int row, const struct tenant **out);
enum directory_result answer_principal(const PGresult *result, int row,
									   const struct principal **out);

/*
 * Under which key the directory holds what the row of a comparison is about. False when it is
 * none.
 */
bool answer_key(const PGresult *result, int row, enum directory_kind kind,
				char key[PRINCIPAL_NAME_MAX + 1]);

#endif
