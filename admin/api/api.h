/*
 * api.h: the admin API over HTTP, on a thread of its own.
 *
 * It shares nothing with those who serve clients of the database but the letters of
 * router/live.h: a request that takes long, or a control database that does not answer, costs
 * them nothing. Its connections to the control database are [control] admin_dsn's.
 */
#ifndef ADMIN_API_API_H
#define ADMIN_API_API_H

#include <stdbool.h>

#include "conf/conf.h"

struct api;
struct live;

struct api_setup {
	const struct conf *conf; /* only for the call */
	struct live *live;
	/* The settings as they are now, for conf_destroy; NULL when they cannot be read, and those
	 * of before stay in force. Called on the new thread after api_reload. */
	struct conf *(*load)(void *arg);
	void *arg;
};

/*
 * Starts it where the settings say so: *out is NULL where they do not. False, with the reason
 * logged, when it cannot be.
 */
bool api_start(const struct api_setup *setup, struct api **out);

/* The settings have changed. NULL is fine. */
void api_reload(struct api *api);

/*
 * Ends the thread and waits for its end, before the workers end: they are not asked any more.
 * api_destroy frees the memory, when they have ended: until then letters of theirs may come.
 * NULL is fine.
 */
void api_stop(struct api *api);
void api_destroy(struct api *api);

#endif
