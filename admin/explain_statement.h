/*
 * explain_statement.h: what the gate makes of a statement, and why, for people and programs.
 */
#ifndef ADMIN_EXPLAIN_STATEMENT_H
#define ADMIN_EXPLAIN_STATEMENT_H

#include <stdbool.h>

#include <jansson.h>

#include "policy/gate.h"
#include "policy/statement.h"
#include "router/directory.h"

/* Names of enum tenant_strategy. */
extern const char *const explain_strategies[3];

/* Whose statement it is. */
struct explain_subject {
	const struct tenant *tenant;   /* NULL: any that has the defaults of */
	enum tenant_strategy strategy; /* this one */
	const struct gate_settings *settings;
};

/*
 * What it is, names and needs, which rules it hits, what Bulkhead makes of it, and what is
 * decided and why: an object. Nothing of the text is in it but names. `is_refused`: by this
 * gate, in its mode. NULL when memory is out.
 */
json_t *explain_verdict(const struct explain_subject *subject, const struct verdict *verdict,
						bool *is_refused);

#endif
