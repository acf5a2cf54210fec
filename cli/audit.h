/*
 * audit.h: is the audit log as it was written?
 */
#ifndef CLI_AUDIT_H
#define CLI_AUDIT_H

#include <stdbool.h>
#include <stdint.h>

#include <libpq-fe.h>

#include "admin/audit_chain.h"
#include "cli/cli.h"

/* A head of the chain that somebody has kept: id 0 where there is none. */
struct audit_saved {
	int64_t id;
	unsigned char hash[AUDIT_HASH_SIZE];
};

/* "N:HASH", 64 hex digits. */
bool audit_saved_parse(const char *text, struct audit_saved *out);

/*
 * Follows the chain from the place `from` (0: its beginning) to its end, and looks at `saved`
 * in passing; prints what came of it. All of it is one moment of the log, read in parts.
 */
enum cli_exit audit_verify(PGconn *control, int64_t from, const struct audit_saved *saved,
						   bool json);

#endif
