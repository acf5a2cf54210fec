/* bulkhead job, over the API. */
#include "cli/api_nouns.h"

static const struct api_verb verbs[] = {
	{.name = "list",
	 .route = "GET /v1/jobs",
	 .columns = "id kind tenant cluster state step attempts error created_at"},
	{.name = "show", .route = "GET /v1/jobs/{job}", .words = "job"},
	{.name = "retry", .route = "POST /v1/jobs/{job}:retry", .words = "job"},
};

const struct api_noun api_job = {"job", "What is made and removed for tenants.", verbs,
								 sizeof verbs / sizeof *verbs};
