/*
 * live_run.h: requests about sessions, backends and pools, and orders to them, answered by the
 * workers of this process. Functions of routes; see routes_live.c.
 *
 * Each asks all workers by router/live and answers when all have. What a caller may not touch
 * is left out by the workers: the target of every look and order says which part of the tree is
 * the caller's.
 */
#ifndef ADMIN_API_LIVE_RUN_H
#define ADMIN_API_LIVE_RUN_H

#include <stdbool.h>

#include <jansson.h>

struct api_call;

/* For `prepare`: keeps what bulkhead_api.find_live or note_live has found, for `run`. */
bool live_prepare(struct api_call *call, json_t *request, json_t *before);

void live_run_sessions(struct api_call *call, json_t *request);
void live_run_session(struct api_call *call, json_t *request);
void live_run_pins(struct api_call *call, json_t *request);
void live_run_backends(struct api_call *call, json_t *request);
void live_run_pools(struct api_call *call, json_t *request);
void live_run_tenant(struct api_call *call, json_t *request);

void live_run_kill(struct api_call *call, json_t *request);
void live_run_cancel(struct api_call *call, json_t *request);
void live_run_kill_all(struct api_call *call, json_t *request);
void live_run_pause(struct api_call *call, json_t *request);
void live_run_unpause(struct api_call *call, json_t *request);
void live_run_reconnect(struct api_call *call, json_t *request);

#define LIVE_SQL_MAX (1 << 20) /* bytes of a text that is explained */

/* explain_run.c: what the gate would say of a statement of this tenant's. */
void explain_run(struct api_call *call, json_t *request);

#endif
