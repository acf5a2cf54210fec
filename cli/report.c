#include "cli/report.h"

#include <inttypes.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>

#include "base/log.h"
#include "base/mailbox.h"
#include "router/directory.h"
#include "router/live.h"

struct number {
	char text[24];
};

static struct number number(int64_t value)
{
	struct number number;

	snprintf(number.text, sizeof number.text, "%" PRId64, value);
	return number;
}

/* `worker` is NULL where there is but one. */
static void write_pool(const struct live_pool *pool, const char *worker)
{
	log_event(LOG_INFO, "live.pool", "cluster", pool->cluster, "worker", worker, "sessions",
			  number((int64_t)pool->sessions).text, "waiting",
			  number((int64_t)pool->waiting).text, "backends",
			  number((int64_t)pool->backends).text, "requests",
			  number((int64_t)pool->work.requests).text, "handovers",
			  number((int64_t)pool->handovers).text, "wait_p99_us",
			  number((int64_t)histogram_quantile(&pool->wait, 0.99)).text, NULL);
}

static void write_backend(const struct live_backend *backend)
{
	log_event(LOG_INFO, "live.backend", "pid", number(backend->pid).text, "cluster",
			  backend->cluster, "tenant", backend->tenant ? backend->tenant->slug : NULL,
			  "state", backend_state_names[backend->state], "session",
			  backend->session ? number(backend->session).text : NULL, "age_us",
			  number(backend->age_us).text, NULL);
}

static void write_session(const struct live_session *session)
{
	log_event(LOG_INFO, "live.session", "pid", number(session->pid).text, "tenant",
			  session->tenant ? session->tenant->slug : NULL, "principal",
			  session->principal ? session->principal->name : NULL, "state",
			  session_state_names[session->state], "pin", *session->pin ? session->pin : NULL,
			  "backend", session->backend ? number(session->backend).text : NULL, "waited_us",
			  number(session->waited_us).text, NULL);
}

static void write_views(void *done, struct live_answer *answer)
{
	for (size_t i = 0; answer && i < answer->count; i++) {
		const struct live_view *view = answer->views[i];

		if (!view)
			continue;
		for (size_t at = 0; at < view->pool_count; at++)
			write_pool(&view->pools[at], answer->count > 1 ? number((int64_t)i).text : NULL);
		for (size_t at = 0; at < view->backend_count; at++)
			write_backend(&view->backends[at]);
		for (size_t at = 0; at < view->session_count; at++)
			write_session(&view->sessions[at]);
	}
	if (!answer)
		log_event(LOG_WARNING, "live.failed", "error", "out of memory", NULL);
	live_answer_free(answer);
	*(bool *)done = true;
}

void report_live(struct live *live)
{
	struct mailbox *mailbox = mailbox_create();
	bool done = false;

	if (!mailbox || !live_look(live, LIVE_ALL, NULL, mailbox, write_views, &done)) {
		log_event(LOG_WARNING, "live.failed", "error", "out of memory", NULL);
		mailbox_destroy(mailbox);
		return;
	}
	while (!done) {
		struct pollfd answer = {.fd = mailbox_fd(mailbox), .events = POLLIN};

		poll(&answer, 1, -1);
		mailbox_drain(mailbox);
	}
	mailbox_destroy(mailbox);
}
