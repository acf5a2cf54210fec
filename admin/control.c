#include "admin/control.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "admin/recorder.h"
#include "admin/source.h"
#include "base/clock.h"
#include "base/list.h"
#include "base/log.h"
#include "base/secret.h"

struct control {
	struct letter stop, feed;
	struct directory *directory; /* NULL until control_feed */
	char *snapshot_path;         /* empty: none */
	uint8_t snapshot_key[SNAPSHOT_KEY_SIZE];
	uint64_t snapshot_changes; /* what the file has, as snapshot_changes() counts */
	int64_t snapshot_written_us;
	bool snapshot_failed; /* and that was logged */
	struct event_base *base;
	struct mailbox *mailbox;
	struct event *mail, *tick;
	struct source *source;
	struct recorder *recorder; /* NULL: nothing is recorded */
	pthread_t thread;
};

static void on_mail(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	mailbox_drain(((struct control *)arg)->mailbox);
}

static void stop_deliver(struct letter *letter)
{
	event_base_loopbreak(list_entry(letter, struct control, stop)->base);
}

/* ---- the snapshot ---- */

/* How often it is looked whether anything has changed, and how often the file is written though
 * nothing has: its age bounds how long it may serve. */
#define TICK_S           1
#define SNAPSHOT_KEEP_US 60000000

static void write_snapshot(struct control *control)
{
	const char *path = control->snapshot_path, *why = NULL;
	uint64_t changes = snapshot_changes(control->directory);

	if (!*path)
		return;
	control->snapshot_written_us = clock_monotonic_us();
	if (snapshot_write(control->directory, path, control->snapshot_key, &why)) {
		control->snapshot_changes = changes;
		control->snapshot_failed = false;
		return;
	}
	if (!control->snapshot_failed)
		log_event(LOG_WARNING, "control.snapshot", "file", path, "error", why, NULL);
	control->snapshot_failed = true;
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct control *control = arg;

	(void)fd;
	(void)what;
	recorder_tick(control->recorder);
	if (snapshot_changes(control->directory) != control->snapshot_changes ||
		clock_monotonic_us() - control->snapshot_written_us >= SNAPSHOT_KEEP_US)
		write_snapshot(control);
}

static void feed_deliver(struct letter *letter)
{
	struct control *control = list_entry(letter, struct control, feed);
	const struct timeval second = {.tv_sec = TICK_S};

	source_feed(control->source, control->directory);
	control->snapshot_changes = snapshot_changes(control->directory);
	control->snapshot_written_us = clock_monotonic_us();
	control->tick = event_new(control->base, -1, EV_PERSIST, on_tick, control);
	if (!control->tick || event_add(control->tick, &second) != 0)
		log_event(LOG_WARNING, "control.snapshot", "error", "out of memory", NULL);
}

bool control_feed(struct control *control, struct directory *directory,
				  const struct control_snapshot *snapshot)
{
	control->directory = directory;
	control->snapshot_path = strdup(snapshot->path);
	if (!control->snapshot_path)
		return false;
	memcpy(control->snapshot_key, snapshot->key, sizeof control->snapshot_key);
	control->feed.deliver = feed_deliver;
	mailbox_post(control->mailbox, &control->feed);
	return true;
}

static void *run(void *arg)
{
	struct control *control = arg;

	pthread_setname_np(pthread_self(), "control");
	if (event_base_dispatch(control->base) < 0)
		log_event(LOG_ERROR, "control.loop", "msg", "the control thread's event loop failed",
				  NULL);
	/* Letters that came behind the one that stopped the loop are answered too. */
	mailbox_drain(control->mailbox);
	if (control->tick && snapshot_changes(control->directory) != control->snapshot_changes)
		write_snapshot(control);
	source_destroy(control->source);
	recorder_destroy(control->recorder);
	return NULL;
}

static void control_free(struct control *control)
{
	if (control->mail)
		event_free(control->mail);
	if (control->tick)
		event_free(control->tick);
	secret_wipe(control->snapshot_key, sizeof control->snapshot_key);
	free(control->snapshot_path);
	mailbox_destroy(control->mailbox);
	if (control->base)
		event_base_free(control->base);
	free(control);
}

static bool control_init(struct control *control, const struct conf *conf,
						 struct sightings *sightings)
{
	control->stop.deliver = stop_deliver;
	control->base = event_base_new();
	control->mailbox = mailbox_create();
	if (!control->base || !control->mailbox)
		return false;
	control->mail = event_new(control->base, mailbox_fd(control->mailbox), EV_READ | EV_PERSIST,
							  on_mail, control);
	if (!control->mail || event_add(control->mail, NULL) != 0)
		return false;
	control->source = source_create(control->base, conf->control_dsn, conf->control_password,
									conf->directory_timeout_ms);
	if (!control->source)
		return false;
	control->recorder =
		sightings ? recorder_create(source_store(control->source), sightings) : NULL;
	return control->recorder || !sightings;
}

/* Signals are the main thread's: the new thread is started with all of them blocked. */
static bool thread_start(struct control *control)
{
	sigset_t all, before;
	bool started;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	started = pthread_create(&control->thread, NULL, run, control) == 0;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return started;
}

struct control *control_start(const struct conf *conf, struct sightings *sightings)
{
	struct control *control = calloc(1, sizeof *control);

	if (!control)
		return NULL;
	if (control_init(control, conf, sightings) && thread_start(control))
		return control;
	source_destroy(control->source);
	recorder_destroy(control->recorder);
	control_free(control);
	return NULL;
}

/* ---- other settings ---- */

struct change {
	struct letter letter;
	struct source *source;
	char *dsn, *password, *snapshot_path;
	int64_t timeout_ms;
	struct control *control;
	uint8_t snapshot_key[SNAPSHOT_KEY_SIZE];
};

/* The file of before is of no use when the key that it was signed with is retired. Takes the
 * path over. */
static void take_snapshot(struct control *control, char *path,
						  const uint8_t key[SNAPSHOT_KEY_SIZE])
{
	bool same = strcmp(control->snapshot_path, path) == 0 &&
				memcmp(control->snapshot_key, key, SNAPSHOT_KEY_SIZE) == 0;

	free(control->snapshot_path);
	control->snapshot_path = path;
	memcpy(control->snapshot_key, key, SNAPSHOT_KEY_SIZE);
	if (!same && control->tick)
		write_snapshot(control);
}

static void change_deliver(struct letter *letter)
{
	struct change *change = list_entry(letter, struct change, letter);

	source_change(change->source, change->dsn, change->password, change->timeout_ms);
	take_snapshot(change->control, change->snapshot_path, change->snapshot_key);
	secret_wipe(change, sizeof *change);
	free(change);
}

bool control_reload(struct control *control, const struct conf *conf,
					const uint8_t snapshot_key[SNAPSHOT_KEY_SIZE])
{
	struct change *change = calloc(1, sizeof *change);

	if (!change)
		return false;
	change->letter.deliver = change_deliver;
	change->source = control->source;
	change->control = control;
	memcpy(change->snapshot_key, snapshot_key, sizeof change->snapshot_key);
	change->timeout_ms = conf->directory_timeout_ms;
	change->dsn = strdup(conf->control_dsn);
	change->password = conf->control_password ? strdup(conf->control_password) : NULL;
	change->snapshot_path = strdup(conf->directory_snapshot_file);
	if (!change->dsn || !change->snapshot_path ||
		(conf->control_password && !change->password)) {
		free(change->dsn);
		free(change->snapshot_path);
		secret_free(change->password);
		free(change);
		return false;
	}
	mailbox_post(control->mailbox, &change->letter);
	return true;
}

struct mailbox *control_mailbox(const struct control *control)
{
	return control->mailbox;
}

const struct directory_source *control_source(const struct control *control)
{
	return source_face(control->source);
}

void control_stop(struct control *control)
{
	if (!control)
		return;
	mailbox_post(control->mailbox, &control->stop);
	pthread_join(control->thread, NULL);
	control_free(control);
}
