/* bulkhead job, over the API. */
#include "cli/api_nouns.h"

static const struct api_verb verbs[] = {
	{"list", "GET /v1/jobs", NULL,
	 "id kind tenant cluster state step attempts error created_at", NULL, NULL, NULL},
	{"show", "GET /v1/jobs/{job}", "job", NULL, NULL, NULL, NULL},
	{"retry", "POST /v1/jobs/{job}:retry", "job", NULL, NULL, NULL, NULL},
};

const struct api_noun api_job = {"job", "What is made and removed for tenants.", verbs,
								 sizeof verbs / sizeof *verbs};
