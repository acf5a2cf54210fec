/*
 * findings.h: what is unsafe in a database, asked and printed; for `lint`, and for `init
 * --protect`.
 */
#ifndef CLI_FINDINGS_H
#define CLI_FINDINGS_H

#include <stdbool.h>

#include <libpq-fe.h>

enum severity { SEVERITY_CRITICAL, SEVERITY_WARNING, SEVERITY_NOTICE };

/* False when no severity has this name. */
bool severity_parse(const char *name, enum severity *out);

/*
 * Runs a query with text parameters in a read-only transaction, under the settings that the
 * texts of policy/guard/findings.h ask for. NULL, with the reason on standard error after
 * `command`, on failure.
 */
PGresult *findings_query(PGconn *admin, const char *command, const char *sql, int count,
						 const char *const values[]);

/* The findings of the connection's database: rows of id, severity, object, why, mend. NULL as
 * above. */
PGresult *findings_ask(PGconn *admin, const char *command);

/* How many of them are as bad as `bound` or worse. */
int findings_count(const PGresult *findings, enum severity bound);

/* Prints them for people, grouped by severity, with a line that sums up. */
void findings_print(const PGresult *findings);

/* Prints the lines of a text that may hold names from the database, each indented by `indent`
 * blanks. */
void findings_print_text(const char *text, int indent);

#endif
