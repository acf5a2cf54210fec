/*
 * live_json.h: sessions, backends and pools as the admin API shows them.
 *
 * The members are those of the schemas in routes_live.c. No text of a statement is among them.
 * Each function gives a new reference, or NULL when memory is out.
 */
#ifndef ADMIN_API_LIVE_JSON_H
#define ADMIN_API_LIVE_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "conf/conf.h"
#include "router/live.h"

/* For whom it is shown, and when. */
struct live_scene {
	const struct conf *conf; /* whose sections name clusters; of what is NULL nothing is said */
	const char *instance;    /* this process */
	int64_t wall_ms;         /* of the look */
	bool everything;         /* the caller may see where servers are */
};

/* What enum session_state and enum backend_state are called here; each ends with NULL. */
extern const char *const live_json_sessions[SESSION_STATES + 1];
extern const char *const live_json_backends[BACKEND_STATES + 1];

/* A text of a client's or a file's: what is no UTF-8 is replaced by U+FFFD. NULL is null. */
json_t *live_json_text(const char *text);

/* A moment so many microseconds ago, as RFC 3339 has it. */
json_t *live_json_since(const struct live_scene *scene, int64_t ago_us);

/* `worker` counts from 0. */
json_t *live_json_session(const struct live_scene *scene, const struct live_session *session,
						  size_t worker);
json_t *live_json_pin(const struct live_scene *scene, const struct live_session *session,
					  size_t worker);
json_t *live_json_backend(const struct live_scene *scene, const struct live_backend *backend,
						  size_t worker);

/* A sum of live_sum_pools's. */
json_t *live_json_pool(const struct live_scene *scene, const struct live_pool *pool);

/*
 * What there is of a tenant, or of it and those below: what was found through a filter. Of
 * `tenant` only the path is looked at, by which it may be paused.
 */
json_t *live_json_counts(const struct live_scene *scene, const struct live_answer *answer,
						 const struct tenant *tenant);

#endif
