#include "admin/control.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "admin/store.h"
#include "base/list.h"
#include "base/log.h"
#include "base/secret.h"

struct control {
	struct letter stop;
	struct event_base *base;
	struct mailbox *mailbox;
	struct event *mail;
	struct store *store;
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

static void *run(void *arg)
{
	struct control *control = arg;

	if (event_base_dispatch(control->base) < 0)
		log_event(LOG_ERROR, "control.loop", "msg", "the control thread's event loop failed",
				  NULL);
	/* Letters that came behind the one that stopped the loop are answered too. */
	mailbox_drain(control->mailbox);
	store_destroy(control->store);
	return NULL;
}

static void control_free(struct control *control)
{
	if (control->mail)
		event_free(control->mail);
	mailbox_destroy(control->mailbox);
	if (control->base)
		event_base_free(control->base);
	free(control);
}

static bool control_init(struct control *control, const struct conf *conf)
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
	control->store = store_create(control->base, conf->control_dsn, conf->control_password,
								  conf->directory_timeout_ms);
	return control->store != NULL;
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

struct control *control_start(const struct conf *conf)
{
	struct control *control = calloc(1, sizeof *control);

	if (!control)
		return NULL;
	if (control_init(control, conf) && thread_start(control))
		return control;
	store_destroy(control->store);
	control_free(control);
	return NULL;
}

/* ---- other settings ---- */

struct change {
	struct letter letter;
	struct store *store;
	char *dsn, *password;
	int64_t timeout_ms;
};

static void change_deliver(struct letter *letter)
{
	struct change *change = list_entry(letter, struct change, letter);

	store_change(change->store, change->dsn, change->password, change->timeout_ms);
	free(change);
}

bool control_reload(struct control *control, const struct conf *conf)
{
	struct change *change = calloc(1, sizeof *change);

	if (!change)
		return false;
	change->letter.deliver = change_deliver;
	change->store = control->store;
	change->timeout_ms = conf->directory_timeout_ms;
	change->dsn = strdup(conf->control_dsn);
	change->password = conf->control_password ? strdup(conf->control_password) : NULL;
	if (!change->dsn || (conf->control_password && !change->password)) {
		free(change->dsn);
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
	return store_source(control->store);
}

void control_stop(struct control *control)
{
	if (!control)
		return;
	mailbox_post(control->mailbox, &control->stop);
	pthread_join(control->thread, NULL);
	control_free(control);
}
