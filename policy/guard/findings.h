/*
 * findings.h: what is unsafe in a database, as a query.
 *
 * The query asks the catalogues only and needs no guard: bulkhead.findings() is made of it, and
 * `bulkhead lint` runs it where none is installed, or an older one. Its rows are id, severity,
 * object, why, mend: an id is stable and documented in docs/findings.md, a severity is
 * critical, warning or notice, and mend holds statements, one a line, each with its semicolon.
 */
#ifndef POLICY_GUARD_FINDINGS_H
#define POLICY_GUARD_FINDINGS_H

#include <stdbool.h>

#include "base/buf.h"

/*
 * To be run, in one transaction with the query, before it: it fixes what names in it mean and
 * how the server writes names out, and keeps the planner from compiling a query that runs once
 * and from joining, row by row, what it takes for few rows.
 */
extern const char guard_findings_begin[];

/*
 * Appends the query, without a semicolon, the worst findings first. `with_control`: the
 * database has the control schema, and the one who asks may read the table of tenants; then
 * logins are held against it. False when memory is out.
 */
bool guard_findings_query(struct buf *sql, bool with_control);

/*
 * Appends the query for columns that may name the tenant in the tables of a role ($1): rows of
 * a column and how many tables have it. False when memory is out.
 */
bool guard_plan_guess(struct buf *sql);

/*
 * Appends the query for what `bulkhead init --protect` is to do: $1 the owner of the tables, $2
 * the column, $3 'id', 'key' or NULL. Its rows are step, object, why, statement; a step is
 * protect, done (is protected), skip (with the reason) or later (what will be unsafe or slow
 * afterwards, and the statement that mends it). False when memory is out.
 */
bool guard_plan_query(struct buf *sql);

/* Appends the statement that makes bulkhead.findings(). False when memory is out. */
bool guard_findings_function(struct buf *sql);

#endif
