/* bulkhead audit, over the API. */
#include "cli/api_nouns.h"

static const struct api_verb verbs[] = {
	{"list", "GET /v1/audit", NULL, NULL, NULL, NULL, NULL},
	{"export", "GET /v1/audit:export", NULL, NULL, NULL, NULL, NULL},
	{"verify", "GET /v1/audit:verify", NULL, NULL, NULL, NULL, NULL},
	{"head", "GET /v1/audit:head", NULL, NULL, NULL, NULL, NULL},
	{"holds", "GET /v1/audit-holds", NULL, NULL, NULL, NULL, NULL},
	{"hold", "POST /v1/audit-holds", NULL, NULL, NULL, NULL, NULL},
	{"release", "DELETE /v1/audit-holds/{id}", "id", NULL, NULL, NULL, NULL},
};

const struct api_noun api_audit = {
	"audit", "What was changed, and by whom: a chain that nobody can change unseen.", verbs,
	sizeof verbs / sizeof *verbs};
