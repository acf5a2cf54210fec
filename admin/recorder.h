/*
 * recorder.h: brings what workers saw (router/sightings.h) into the audit log, with the
 * sidecar's login: bulkhead_control.record_events.
 *
 * Once a second all that was seen since is one question. While the control database does not
 * answer, that question is asked again and again, and the next one waits: what is alike goes on
 * being counted together meanwhile. Where the connection is lost behind a question it may be
 * recorded twice. Belongs to the control thread.
 */
#ifndef ADMIN_RECORDER_H
#define ADMIN_RECORDER_H

struct recorder;
struct sightings;
struct store;

/* Both must outlive it. NULL when memory is out. */
struct recorder *recorder_create(struct store *store, struct sightings *sightings);

/* When the store is gone. NULL is fine. */
void recorder_destroy(struct recorder *recorder);

/* To be called every second. NULL is fine. */
void recorder_tick(struct recorder *recorder);

#endif
