/*
 * api_internal.h: what the thread of the admin API has, for the files of this folder.
 */
#ifndef ADMIN_API_API_INTERNAL_H
#define ADMIN_API_API_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include <event2/event.h>

#include "admin/api/api.h"
#include "admin/store.h"
#include "base/list.h"
#include "base/mailbox.h"

#define API_STORES_MAX 64

struct api_server;
struct events;
struct retention;
struct guard_keyring;
struct throttle;

struct api {
	struct conf *conf;
	struct live *live;
	struct conf *(*load)(void *arg);
	void *arg;
	struct event_base *base;
	struct mailbox *mailbox;
	struct event *mail, *cleaning;
	struct letter stop, reload;
	atomic_bool reloading; /* the letter is under way */
	struct api_server *server;
	struct store *stores[API_STORES_MAX];
	int store_count;
	struct guard_keyring *pepper, *master; /* master: NULL when there is none */
	struct stat master_stat;               /* of its file, when that was looked at last */
	struct throttle *failures, *rates;
	struct throttle *known; /* keys that were valid when they were used last */
	struct events *events;
	struct retention *retention;
	struct list calls; /* those under way */
	/* The server and the stores are gone: what comes still is only freed. */
	bool is_stopping;
	pthread_t thread;
};

/* The one with the least to do. */
struct store *api_store(struct api *api);

/* Reads the file of master keys again, where it was written since. True when it holds others
 * than before. */
bool api_read_master(struct api *api);

#endif
