/* bulkhead session, pool and statement: what runs in the Bulkhead that is asked. */
#include "cli/api_nouns.h"

#define HERE " Each Bulkhead knows its own alone."

static const struct api_verb session_verbs[] = {
	{"list", "GET /v1/sessions", NULL,
	 "pid tenant principal state application_name address backend_pid pin=pin.cause age_ms",
	 NULL, NULL, NULL},
	{"show", "GET /v1/sessions/{pid}", "pid", NULL, NULL, NULL, NULL},
	{"pins", "GET /v1/pins", NULL, "pid tenant principal state cause held_ms backend_pid", NULL,
	 NULL, NULL},
	{"kill", "POST /v1/sessions/{pid}:kill", "pid", NULL, NULL, NULL, NULL},
	{"cancel", "POST /v1/sessions/{pid}:cancel", "pid", NULL, NULL, NULL, NULL},
};

const struct api_noun api_session = {"session", "Clients that are connected." HERE,
									 session_verbs,
									 sizeof session_verbs / sizeof *session_verbs};

static const struct api_verb pool_verbs[] = {
	{"list", "GET /v1/pools", NULL,
	 "cluster database login sessions waiting longest_wait_ms backends active idle", NULL, NULL,
	 NULL},
	{"backends", "GET /v1/backends", NULL,
	 "pid tenant cluster database login state session_pid age_ms leaving", NULL, NULL, NULL},
};

const struct api_noun api_pool = {"pool", "Connections to servers." HERE, pool_verbs,
								  sizeof pool_verbs / sizeof *pool_verbs};

static const struct api_verb statement_verbs[] = {
	{"explain", "POST /v1/statements:explain", "tenant [sql]", NULL, NULL, NULL, NULL},
};

const struct api_noun api_statement = {"statement", "What the gate makes of statements.",
									   statement_verbs,
									   sizeof statement_verbs / sizeof *statement_verbs};
