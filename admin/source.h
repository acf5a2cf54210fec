/*
 * source.h: what the directory asks of the control database, and what that announces.
 *
 * Joins a store (store.h) and a directory (router/directory.h): look-ups, the channel
 * `bulkhead_directory` with its announcements of changes, and the comparison of what is held
 * after announcements may have been missed. Belongs to the control thread.
 */
#ifndef ADMIN_SOURCE_H
#define ADMIN_SOURCE_H

#include <stdint.h>

#include <event2/event.h>

#include "router/directory.h"

struct source;
struct store;

/* As store_create. */
struct source *source_create(struct event_base *base, const char *dsn, const char *password,
							 int64_t timeout_ms);

/* As store_change. */
void source_change(struct source *source, char *dsn, char *password, int64_t timeout_ms);

/* For those who ask something else. */
struct store *source_store(struct source *source);

/* Answers look-ups that are open with DIRECTORY_UNAVAILABLE. NULL is fine. */
void source_destroy(struct source *source);

/* For directory_create; lives as long as the source. */
const struct directory_source *source_face(const struct source *source);

/* The directory is there: it is told of changes from now on. */
void source_feed(struct source *source, struct directory *directory);

#endif
