/*
 * init_operator.h: the first key of the admin API, which `bulkhead init` makes.
 *
 * It is an operator's, for the whole tree, without an end, and may read sensitive settings: all
 * others are made with it or with one that it made. It is in operator.key beside the other
 * keys, mode 0600.
 */
#ifndef CLI_INIT_OPERATOR_H
#define CLI_INIT_OPERATOR_H

#include <stdbool.h>

#include <libpq-fe.h>

#include "admin/api_key.h"
#include "cli/init_keys.h"

#define INIT_OPERATOR_KEY "operator.key"

struct init_operator {
	struct api_key_text key; /* "": there is none; to be wiped */
	bool made;               /* by this run, in the database */
	bool drawn;              /* by this run: it is to be shown */
};

/* Reads operator.key, where it is there. False, with a line on standard error, when it is
 * malformed or cannot be read. */
bool init_operator_load(const struct init_keys *keys, struct init_operator *operator);

/*
 * Makes the key where the control schema has no operator's key for the whole tree yet, whatever
 * its state: one that was revoked does not come back. The file is written first, and one that
 * is there is used, so that a run that was cut short is made good by the next. False, with a
 * line on standard error, when something went wrong.
 */
bool init_operator_make(const struct init_keys *keys, PGconn *control,
						struct init_operator *operator);

#endif
