/* Jobs, which make, change and remove what tenants have on clusters; see sql/jobs.sql. */
#include "admin/api/routes.h"

/* As the constraints of bulkhead_control.job have them. */
static const char *const states[] = {"queued", "running", "done", "failed", NULL};

static const struct api_field job_fields[] = {
	{"id", API_INTEGER, API_REQUIRED},
	{"kind", API_TEXT, API_REQUIRED, .doc = "provision, purge or rotate, of a tenant's login"},
	{"tenant_id", API_UUID, API_REQUIRED, .doc = "the tenant may be gone: purged"},
	{"tenant", API_TEXT, API_REQUIRED, .doc = "its slug when the job was queued"},
	{"cluster", API_TEXT, API_REQUIRED},
	{"state", API_TEXT, API_REQUIRED, .choices = states},
	{"step", API_TEXT, API_REQUIRED | API_NULLABLE, .doc = "the one that was begun last"},
	{"attempts", API_INTEGER, API_REQUIRED, .doc = "how often it was taken"},
	{"failures", API_INTEGER, API_REQUIRED,
	 .doc = "in a row, of those that may be over by themselves"},
	{"error", API_TEXT, API_REQUIRED | API_NULLABLE,
	 .doc = "what went wrong last; the words are for API keys of the whole tree"},
	{"runner", API_TEXT, API_REQUIRED | API_NULLABLE,
	 .doc = "who has it, for API keys of the whole tree"},
	{"next_at", API_TIME, API_REQUIRED | API_NULLABLE, .doc = "not before; of queued ones"},
	{"lease_until", API_TIME, API_REQUIRED | API_NULLABLE,
	 .doc = "of running ones: another runner goes on then"},
	{"created_at", API_TIME, API_REQUIRED},
	{"started_at", API_TIME, API_REQUIRED | API_NULLABLE},
	{"finished_at", API_TIME, API_REQUIRED | API_NULLABLE},
	{NULL}};
const struct api_schema api_job_schema = {.name = "Job", .fields = job_fields};

static const struct api_field job_param[] = {
	{"job", API_INTEGER, API_REQUIRED, .min = 1, .max = INT64_C(1) << 53}, {NULL}};
static const struct api_field list_query[] = {
	{"tenant", API_TENANT_WORD},
	{"state", API_TEXT, .choices = states},
	{"kind", API_TEXT, .max = 63},
	{"cluster", API_TEXT, .max = 63},
	{NULL}};

static const struct api_route routes[] = {
	{.id = "job.list",
	 .method = "GET",
	 .path = "/v1/jobs",
	 .role = API_VIEWER,
	 .flags = API_PAGED,
	 .query = list_query,
	 .handler = "job_list",
	 .answer = &api_job_schema,
	 .tag = "jobs",
	 .summary = "Jobs of tenants that the API key may see, the newest first"},
	{.id = "job.get",
	 .method = "GET",
	 .path = "/v1/jobs/{job}",
	 .role = API_VIEWER,
	 .params = job_param,
	 .handler = "job_get",
	 .answer = &api_job_schema,
	 .tag = "jobs",
	 .summary = "One job, and how far it is"},
	{.id = "job.retry",
	 .method = "POST",
	 .path = "/v1/jobs/{job}:retry",
	 .role = API_ADMIN,
	 .params = job_param,
	 .handler = "job_retry",
	 .answer = &api_job_schema,
	 .status = 202,
	 .tag = "jobs",
	 .summary = "Queue a job that failed again, from its first step"},
};

const struct api_topic api_routes_jobs = {routes, sizeof routes / sizeof *routes};
