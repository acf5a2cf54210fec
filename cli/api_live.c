/* bulkhead session, pool and statement: what runs in the Bulkhead that is asked. */
#include "cli/api_nouns.h"

#define HERE " Each Bulkhead knows its own alone."

static const struct api_verb session_verbs[] = {
	{.name = "list",
	 .route = "GET /v1/sessions",
	 .columns = "pid tenant principal state application_name address backend_pid pin=pin.cause "
				"age_ms"},
	{.name = "show", .route = "GET /v1/sessions/{pid}", .words = "pid"},
	{.name = "pins",
	 .route = "GET /v1/pins",
	 .columns = "pid tenant principal state cause held_ms backend_pid"},
	{.name = "kill", .route = "POST /v1/sessions/{pid}:kill", .words = "pid"},
	{.name = "cancel", .route = "POST /v1/sessions/{pid}:cancel", .words = "pid"},
};

const struct api_noun api_session = {"session", "Clients that are connected." HERE,
									 session_verbs,
									 sizeof session_verbs / sizeof *session_verbs};

static const struct api_verb pool_verbs[] = {
	{.name = "list",
	 .route = "GET /v1/pools",
	 .columns = "cluster database login sessions waiting longest_wait_ms backends active idle"},
	{.name = "backends",
	 .route = "GET /v1/backends",
	 .columns = "pid tenant cluster database login state session_pid age_ms leaving"},
};

const struct api_noun api_pool = {"pool", "Connections to servers." HERE, pool_verbs,
								  sizeof pool_verbs / sizeof *pool_verbs};

static const struct api_verb statement_verbs[] = {
	{.name = "explain", .route = "POST /v1/statements:explain", .words = "tenant [sql]"},
};

const struct api_noun api_statement = {"statement", "What the gate makes of statements.",
									   statement_verbs,
									   sizeof statement_verbs / sizeof *statement_verbs};
