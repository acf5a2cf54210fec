#include "admin/probes.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "admin/metrics.h"
#include "admin/probe_server.h"
#include "base/clock.h"
#include "base/list.h"
#include "base/log.h"
#include "base/mailbox.h"
#include "router/directory.h"
#include "router/live.h"

#define CONTROL_PATIENCE 6 /* times liveness_timeout */
#define TICK_S           1
#define MEASURE_US       2000000 /* how long workers have to say what they count */

/* A letter that goes to the control thread and tells when it was there. */
struct ping {
	struct letter letter;
	_Atomic int64_t seen_us;
	atomic_bool is_under_way;
};

struct probes {
	struct live *live;
	struct directory *directory;
	struct mailbox *control, *mailbox;
	struct event_base *base;
	struct event *mail, *tick;
	struct letter stop;
	struct probe_server *server;
	atomic_int stage, metrics_tenants;
	int64_t liveness_us;
	bool has_metrics;
	bool measuring;           /* workers were asked */
	int64_t measure_asked_us; /* and since when somebody waits for it */
	struct ping ping;
	pthread_t thread;
};

static void answer(struct probe *probe, int status, const char *text)
{
	struct buf body;

	buf_init(&body);
	if (buf_append(&body, text, strlen(text)))
		probe_answer(probe, status, "text/plain; charset=utf-8", &body);
	else
		probe_close(probe);
	buf_fini(&body);
}

/* ---- life ---- */

static void ping_deliver(struct letter *letter)
{
	struct ping *ping = list_entry(letter, struct ping, letter);

	atomic_store(&ping->seen_us, clock_monotonic_us());
	atomic_store(&ping->is_under_way, false);
}

static void ping_control(struct probes *probes)
{
	if (atomic_exchange(&probes->ping.is_under_way, true))
		return;
	probes->ping.letter.deliver = ping_deliver;
	mailbox_post(probes->control, &probes->ping.letter);
}

static void answer_life(struct probes *probes, struct probe *probe)
{
	int64_t now_us = clock_monotonic_us();

	if (now_us - live_oldest_beat_us(probes->live) > probes->liveness_us)
		answer(probe, 503, "the loop of a worker does not turn\n");
	else if (now_us - atomic_load(&probes->ping.seen_us) >
			 CONTROL_PATIENCE * probes->liveness_us)
		answer(probe, 503, "the loop of the control thread does not turn\n");
	else
		answer(probe, 200, "alive\n");
}

static void answer_readiness(struct probes *probes, struct probe *probe)
{
	struct directory_measures directory;

	switch ((enum probes_stage)atomic_load(&probes->stage)) {
	case PROBES_STARTING:
		answer(probe, 503, "not ready: Bulkhead is starting\n");
		return;
	case PROBES_STOPPING:
		answer(probe, 503, "not ready: Bulkhead is stopping\n");
		return;
	case PROBES_SERVING:
		break;
	}
	directory_measure(probes->directory, &directory);
	if (!directory.may_answer)
		answer(probe, 503,
			   "not ready: the control database cannot be reached, and nobody is known who "
			   "could be served without it\n");
	else if (!directory.is_fed)
		answer(probe, 200,
			   "ready: the control database cannot be reached; who is known is served\n");
	else
		answer(probe, 200, "ready\n");
}

/* ---- metrics ---- */

static void answer_measured(struct probes *probes, const struct metrics_input *input)
{
	bool openmetrics = input->form == METRICS_OPENMETRICS;
	struct buf body;

	if (!probe_server_is_awaited(probes->server, openmetrics))
		return;
	buf_init(&body);
	if (metrics_write(input, &body))
		probe_server_answer_waiting(probes->server, openmetrics, 200,
									metrics_content_types[input->form], &body);
	buf_fini(&body);
}

static void on_measured(void *asker, struct measures *const all[], size_t count)
{
	struct probes *probes = asker;
	struct metrics_input input = {
		.workers = all,
		.worker_count = count,
		.tenants_max = (size_t)atomic_load(&probes->metrics_tenants),
		.is_stopping = atomic_load(&probes->stage) == PROBES_STOPPING,
	};
	probes->measuring = false;
	directory_measure(probes->directory, &input.directory);
	for (int form = 0; form < METRICS_FORMS; form++) {
		input.form = (enum metrics_form)form;
		answer_measured(probes, &input);
	}
	probe_server_close_waiting(probes->server); /* whoever got none, for want of memory */
}

/* One question serves all who wait; a second one is not asked while a worker owes the first. */
static void answer_metrics(struct probes *probes, struct probe *probe)
{
	if (!probes->has_metrics) {
		answer(probe, 404, "metrics are off\n");
		return;
	}
	if (!probes->measuring &&
		!live_measure(probes->live, probes->mailbox, on_measured, probes)) {
		answer(probe, 503, "no worker runs\n");
		return;
	}
	if (!probes->measuring)
		probes->measure_asked_us = clock_monotonic_us();
	probes->measuring = true;
	probe_wait(probe);
}

/* ---- the thread ---- */

static void on_request(void *self, struct probe *probe, const char *path)
{
	struct probes *probes = self;

	if (strcmp(path, "/livez") == 0)
		answer_life(probes, probe);
	else if (strcmp(path, "/readyz") == 0)
		answer_readiness(probes, probe);
	else if (strcmp(path, "/metrics") == 0)
		answer_metrics(probes, probe);
	else
		answer(probe, 404, "there are /livez, /readyz and /metrics\n");
}

static void give_up_measuring(struct probes *probes)
{
	static const char why[] = "a worker does not answer\n";
	struct buf body;

	buf_init(&body);
	if (buf_append(&body, why, sizeof why - 1)) {
		for (int openmetrics = 0; openmetrics < METRICS_FORMS; openmetrics++)
			probe_server_answer_waiting(probes->server, openmetrics, 503,
										"text/plain; charset=utf-8", &body);
	}
	buf_fini(&body);
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct probes *probes = arg;
	int64_t now_us = clock_monotonic_us();

	(void)fd, (void)what;
	ping_control(probes);
	if (probes->measuring && now_us - probes->measure_asked_us > MEASURE_US)
		give_up_measuring(probes);
	if (atomic_load(&probes->stage) == PROBES_STOPPING)
		probe_server_retire(probes->server);
	probe_server_tick(probes->server, now_us);
}

static void on_mail(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	mailbox_drain(((struct probes *)arg)->mailbox);
}

static void stop_deliver(struct letter *letter)
{
	event_base_loopbreak(list_entry(letter, struct probes, stop)->base);
}

static void *run(void *arg)
{
	struct probes *probes = arg;

	pthread_setname_np(pthread_self(), "probes");
	if (event_base_dispatch(probes->base) < 0)
		log_event(LOG_ERROR, "probes.loop", "error", "the event loop failed", NULL);
	return NULL;
}

/* ---- starting and stopping ---- */

void probes_destroy(struct probes *probes)
{
	if (!probes)
		return;
	probe_server_destroy(probes->server);
	if (probes->mail)
		event_free(probes->mail);
	if (probes->tick)
		event_free(probes->tick);
	mailbox_destroy(probes->mailbox);
	if (probes->base)
		event_base_free(probes->base);
	free(probes);
}

static bool prepare(struct probes *probes, const struct conf *conf)
{
	const struct timeval second = {.tv_sec = TICK_S};

	probes->base = event_base_new();
	probes->mailbox = mailbox_create();
	if (!probes->base || !probes->mailbox)
		return false;
	probes->mail = event_new(probes->base, mailbox_fd(probes->mailbox), EV_READ | EV_PERSIST,
							 on_mail, probes);
	probes->tick = event_new(probes->base, -1, EV_PERSIST, on_tick, probes);
	if (!probes->mail || !probes->tick || event_add(probes->mail, NULL) != 0 ||
		event_add(probes->tick, &second) != 0)
		return false;
	probes->server = probe_server_open(probes->base, conf, on_request, probes);
	return probes->server != NULL;
}

/* Signals are the main thread's: the new thread is started with all of them blocked. */
static bool start_thread(struct probes *probes)
{
	sigset_t all, before;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int error = pthread_create(&probes->thread, NULL, run, probes);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (error)
		log_event(LOG_ERROR, "probes.thread", "error", strerror(error), NULL);
	return error == 0;
}

struct probes *probes_start(const struct probes_setup *setup)
{
	struct probes *probes = calloc(1, sizeof *probes);

	if (!probes)
		return NULL;
	probes->live = setup->live;
	probes->directory = setup->directory;
	probes->control = setup->control;
	probes->stop.deliver = stop_deliver;
	probes->liveness_us = setup->conf->liveness_timeout_ms * 1000;
	probes->has_metrics = conf_has_metrics(setup->conf);
	atomic_init(&probes->ping.seen_us, clock_monotonic_us());
	atomic_init(&probes->ping.is_under_way, false);
	atomic_init(&probes->stage, PROBES_STARTING);
	probes_reload(probes, setup->conf);
	if (prepare(probes, setup->conf) && start_thread(probes))
		return probes;
	probes_destroy(probes);
	return NULL;
}

void probes_enter(struct probes *probes, enum probes_stage stage)
{
	atomic_store(&probes->stage, stage);
}

void probes_reload(struct probes *probes, const struct conf *conf)
{
	atomic_store(&probes->metrics_tenants, conf->metrics_tenants);
}

void probes_stop(struct probes *probes)
{
	if (!probes)
		return;
	mailbox_post(probes->mailbox, &probes->stop);
	pthread_join(probes->thread, NULL);
	/* A question that is under way comes back here: the workers have left by now. */
	mailbox_drain(probes->mailbox);
	probe_server_destroy(probes->server);
	probes->server = NULL;
}
