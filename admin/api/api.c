#include "admin/api/api_internal.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <event2/thread.h>

#include "admin/api/call.h"
#include "admin/api/events.h"
#include "admin/api/retention.h"
#include "admin/api/server.h"
#include "admin/api/throttle.h"
#include "admin/api_key.h"
#include "base/log.h"
#include "policy/guard/guard.h"

#define CLEANING_S     60
#define API_STACK      (16u << 20) /* bytes; statements are explained: parsing recurses */
#define FAILURES_NAMES 4096
#define RATES_NAMES    4096
#define KNOWN_NAMES    4096

/* ---- the control database ---- */

static void ignore(void *self)
{
	(void)self;
}

static void ignore_notification(void *self, const char *channel, const char *payload)
{
	(void)self, (void)channel, (void)payload;
}

struct store *api_store(struct api *api)
{
	struct store *best = api->stores[0];

	for (int i = 1; i < api->store_count; i++) {
		struct store *store = api->stores[i];

		if (store_is_up(store) > store_is_up(best) ||
			(store_is_up(store) == store_is_up(best) && store_load(store) < store_load(best)))
			best = store;
	}
	return best;
}

static bool open_stores(struct api *api)
{
	const struct store_events events = {.self = api,
										.connected = ignore,
										.lost = ignore,
										.notified = ignore_notification,
										.pulse = ignore,
										.application_name = "bulkhead api"};
	const struct conf *conf = api->conf;

	for (; api->store_count < conf->admin_connections; api->store_count++) {
		struct store *store =
			store_create(api->base, conf->control_admin_dsn, conf->control_admin_password,
						 conf->admin_request_timeout_ms, &events);

		if (!store)
			return false;
		api->stores[api->store_count] = store;
	}
	return true;
}

static void change_stores(struct api *api)
{
	const struct conf *conf = api->conf;

	for (int i = 0; i < api->store_count; i++) {
		char *dsn = strdup(conf->control_admin_dsn);
		char *password =
			conf->control_admin_password ? strdup(conf->control_admin_password) : NULL;

		if (dsn && (password || !conf->control_admin_password))
			store_change(api->stores[i], dsn, password, conf->admin_request_timeout_ms);
	}
}

/* ---- keys ---- */

/* NULL, with the reason logged, when the file is no good. */
static struct guard_keyring *load_keys(const char *path)
{
	const char *why = NULL;
	struct guard_keyring *keyring = api_key_pepper(path, &why);

	if (!keyring)
		log_event(LOG_ERROR, "api.keys", "file", path, "error", why, NULL);
	return keyring;
}

/* What is wrong with a file is logged, and its keys stay as they were. */
static bool reload_keys(const char *path, struct guard_keyring **keyring)
{
	struct guard_keyring *fresh = *path ? load_keys(path) : NULL;

	if (!fresh && *path)
		return false;
	guard_keyring_destroy(*keyring);
	*keyring = fresh;
	return true;
}

/* Is it another file than the one that was read last, or has it been written since? */
static bool has_changed(struct api *api, const char *path)
{
	struct stat now, *seen = &api->master_stat;

	if (stat(path, &now) != 0)
		return false;
	bool same = now.st_dev == seen->st_dev && now.st_ino == seen->st_ino &&
				now.st_size == seen->st_size && now.st_mtim.tv_sec == seen->st_mtim.tv_sec &&
				now.st_mtim.tv_nsec == seen->st_mtim.tv_nsec;
	*seen = now;
	return !same;
}

bool api_read_master(struct api *api)
{
	const char *path = api->conf->admin_master_key_file, *why = NULL;

	if (!*path || !has_changed(api, path))
		return false;
	struct guard_keyring *fresh = api_key_pepper(path, &why);
	if (!fresh || (api->master && guard_keyring_equal(fresh, api->master))) {
		guard_keyring_destroy(fresh);
		return false;
	}
	guard_keyring_destroy(api->master);
	api->master = fresh;
	return true;
}

/* ---- the thread ---- */

static void on_mail(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	mailbox_drain(((struct api *)arg)->mailbox);
}

static void stop_deliver(struct letter *letter)
{
	event_base_loopbreak(list_entry(letter, struct api, stop)->base);
}

static void reload_deliver(struct letter *letter)
{
	struct api *api = list_entry(letter, struct api, reload);

	atomic_store(&api->reloading, false);
	struct conf *conf = api->load(api->arg);
	if (!conf)
		return;
	if (*conf->admin_pepper_file && *conf->control_admin_dsn) {
		conf_destroy(api->conf);
		api->conf = conf;
		reload_keys(conf->admin_pepper_file, &api->pepper);
		reload_keys(conf->admin_master_key_file, &api->master);
		change_stores(api);
		api_server_reload(api->server, conf);
		return;
	}
	log_event(LOG_WARNING, "api.reload", "msg",
			  "the admin API ends only when bulkhead does: its settings stay as they were",
			  NULL);
	conf_destroy(conf);
}

static void on_cleaned(struct store_ask *ask, const PGresult *result)
{
	(void)result;
	free(ask);
}

/* Answers that are kept for a day. */
static void on_cleaning(evutil_socket_t fd, short what, void *arg)
{
	static const char sql[] = "DELETE FROM bulkhead_control.idempotency"
							  " WHERE created_at < pg_catalog.now() - interval '1 day'";
	struct store_ask *ask = calloc(1, sizeof *ask);
	struct api *api = arg;

	(void)fd, (void)what;
	retention_tick(api->retention);
	if (!ask)
		return;
	ask->sql = sql;
	ask->answered = on_cleaned;
	store_ask(api_store(api), ask);
}

static void close_all(struct api *api)
{
	api->is_stopping = true;
	events_destroy(api->events);
	api->events = NULL;
	for (int i = 0; i < api->store_count; i++)
		store_destroy(api->stores[i]);
	api->store_count = 0;
	api_server_close(api->server);
	api->server = NULL;
}

static void *run(void *arg)
{
	struct api *api = arg;

	pthread_setname_np(pthread_self(), "api");
	if (event_base_dispatch(api->base) < 0)
		log_event(LOG_ERROR, "api.loop", "msg", "the event loop of the admin API failed", NULL);
	close_all(api);
	return NULL;
}

void api_destroy(struct api *api)
{
	if (!api)
		return;
	close_all(api);
	if (api->mailbox)
		mailbox_drain(api->mailbox);
	api_call_drop_all(api);
	if (api->mail)
		event_free(api->mail);
	if (api->cleaning)
		event_free(api->cleaning);
	mailbox_destroy(api->mailbox);
	throttle_destroy(api->failures);
	throttle_destroy(api->rates);
	throttle_destroy(api->known);
	retention_destroy(api->retention);
	guard_keyring_destroy(api->pepper);
	guard_keyring_destroy(api->master);
	if (api->base)
		event_base_free(api->base);
	conf_destroy(api->conf);
	free(api);
}

static bool init_loop(struct api *api)
{
	const struct timeval period = {.tv_sec = CLEANING_S};

	api->stop.deliver = stop_deliver;
	api->reload.deliver = reload_deliver;
	api->base = event_base_new();
	api->mailbox = mailbox_create();
	api->failures = throttle_create(FAILURES_NAMES);
	api->rates = throttle_create(RATES_NAMES);
	api->known = throttle_create(KNOWN_NAMES);
	api->retention = retention_create(api);
	if (!api->base || !api->mailbox || !api->failures || !api->rates || !api->known ||
		!api->retention)
		return false;
	api->events = events_create(api);
	if (!api->events)
		return false;
	api->mail =
		event_new(api->base, mailbox_fd(api->mailbox), EV_READ | EV_PERSIST, on_mail, api);
	api->cleaning = event_new(api->base, -1, EV_PERSIST, on_cleaning, api);
	return api->mail && event_add(api->mail, NULL) == 0 && api->cleaning &&
		   event_add(api->cleaning, &period) == 0;
}

static bool init(struct api *api)
{
	if (!reload_keys(api->conf->admin_pepper_file, &api->pepper) ||
		!reload_keys(api->conf->admin_master_key_file, &api->master) || !init_loop(api) ||
		!open_stores(api))
		return false;
	api->server = api_server_open(api->base, api->conf, api_call_begin, api);
	return api->server != NULL;
}

bool api_start(const struct api_setup *setup, struct api **out)
{
	struct api *api;
	sigset_t all, before;
	pthread_attr_t attributes;
	int error;

	*out = NULL;
	if (!*setup->conf->admin_pepper_file)
		return true;
	api = calloc(1, sizeof *api);
	if (!api)
		return false;
	list_init(&api->calls);
	atomic_init(&api->reloading, false);
	api->live = setup->live;
	api->load = setup->load;
	api->arg = setup->arg;
	api->conf = setup->load(setup->arg);
	if (!api->conf || !init(api)) {
		api_destroy(api);
		return false;
	}
	/* Signals are the main thread's: this one is started with all of them blocked. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, API_STACK);
	error = pthread_create(&api->thread, &attributes, run, api);
	pthread_attr_destroy(&attributes);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (error) {
		log_event(LOG_ERROR, "api.thread", "error", strerror(error), NULL);
		api_destroy(api);
		return false;
	}
	*out = api;
	return true;
}

void api_reload(struct api *api)
{
	if (api && !atomic_exchange(&api->reloading, true))
		mailbox_post(api->mailbox, &api->reload);
}

void api_stop(struct api *api)
{
	if (!api)
		return;
	mailbox_post(api->mailbox, &api->stop);
	pthread_join(api->thread, NULL);
}
