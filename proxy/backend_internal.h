/*
 * backend_internal.h: what the files of a backend's login share. backend.c has its course up to
 * the last message, backend_check.c the self-check at its end.
 */
#ifndef PROXY_BACKEND_INTERNAL_H
#define PROXY_BACKEND_INTERNAL_H

#include "base/buf.h"
#include "policy/reason.h"
#include "proxy/scram.h"
#include "proxy/server.h"

struct backend_login {
	struct scram_client scram;
	char *password; /* what the server is told: a reload may bring another */
	bool scram_begun, server_proved;
	bool asks_for_tls;  /* SSLRequest was sent and is not answered */
	bool authenticated; /* AuthenticationOk was seen */
	int messages;

	/* The self-check: two queries, each ended by a ReadyForQuery. */
	bool probe_refused, probe_done;
	bool judged;

	enum reason reason; /* of a failure */
	char *failure;
};

/* Closes the backend; `what` is kept for the pool and the log, where nothing was before. */
void backend_fail(struct server *server, enum reason reason, const char *what);

/* Sends what was put together, and wipes it; fails where that is not complete, for want of
 * memory. */
void backend_send(struct server *server, struct buf *out, bool complete);

/* ---- backend_check.c ---- */

/* Asks what its kind of route must be asked, SERVER_CHECK. */
void backend_check_begin(struct server *server);

/* A row of the answer. */
void backend_check_row(struct server *server, const struct server_message *message);

/* A ReadyForQuery: the backend fails, or the next answer is awaited, or it goes to its pool. */
void backend_check_done(struct server *server);

#endif
