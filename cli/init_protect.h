/*
 * init_protect.h: the application's tables inspected, a plan of what to protect, and the plan
 * applied.
 */
#ifndef CLI_INIT_PROTECT_H
#define CLI_INIT_PROTECT_H

#include <stdbool.h>

#include <libpq-fe.h>

struct init_protect {
	const char *owner; /* of the tables */
	const char
		*column; /* that names the tenant; NULL to be guessed, for a plan that is only shown */
	const char *by; /* "id", "key", or NULL for what the column's type says */
};

/*
 * Asks the catalogues, with or without a guard, and prints the plan. With no column named, the
 * only one that has a usual name is taken for the plan; *decided says whether that was
 * necessary. NULL, with the reason printed, when there is no plan.
 */
PGresult *init_protect_plan(PGconn *admin, const struct init_protect *what, bool *decided);

/*
 * Runs the plan's statements in one transaction; a table that someone uses is not waited for.
 * Then prints the findings that are left. False, with the reason printed and nothing changed,
 * when it fails.
 */
bool init_protect_apply(PGconn *admin, const PGresult *plan);

#endif
