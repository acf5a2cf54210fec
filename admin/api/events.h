/*
 * events.h: GET /v1/events, the tail of the audit log as server-sent events (HTML Living
 * Standard, section 9.2).
 *
 * Each stream asks the database again and again, as the caller that it is: whenever the log has
 * grown (NOTIFY bulkhead_audit), a tenth of a second apart at the least, and every two seconds
 * otherwise. So a key that is revoked, or whose tenant is suspended, ends its stream as soon as
 * that is in the log. Where nothing else is sent a comment is, every fifteen seconds.
 *
 * Bounds: so many streams as [admin] event_streams says, half of them of one key; a stream
 * whose reader has not taken what was sent is asked nothing for, and ends after ten seconds of
 * that. They have a connection to the control database of their own.
 */
#ifndef ADMIN_API_EVENTS_H
#define ADMIN_API_EVENTS_H

#include <jansson.h>

struct api;
struct api_call;
struct events;

/* NULL when memory is out. Belongs to the API's thread, as all here. */
struct events *events_create(struct api *api);

/* Ends all streams; before the server is closed. NULL is fine. */
void events_destroy(struct events *events);

/* The route's `run`. */
void events_begin(struct api_call *call, json_t *request);

#endif
