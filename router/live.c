#include "router/live.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/list.h"
#include "router/measures.h"

struct member {
	struct list node;
	struct mailbox *mailbox;
	struct live_ops ops;
};

struct live {
	pthread_mutex_t
		lock; /* over the list of members: askers take it, workers do not when asked */
	struct list members;
	size_t count;
};

/* One worker's part of a question: a letter that goes there and comes back. */
struct part {
	struct letter letter;
	struct question *question;
	struct live_ops ops;
	struct live_view *view;
	struct measures *measures;
	size_t concerned;
};

struct question {
	struct mailbox *mailbox; /* the asker's */
	enum { QUESTION_LOOK, QUESTION_ORDER, QUESTION_MEASURE } kind;
	live_answer answered;
	live_measured measured; /* of QUESTION_MEASURE */
	void *asker;
	enum live_verb verb;
	bool of_all;
	struct uuid tenant;
	size_t count, missing;
	struct live_view **views; /* room for the answers of all */
	struct part parts[];
};

/* ---- views ---- */

struct live_view *live_view_create(size_t sessions_max, size_t backends_max, size_t pools_max)
{
	struct live_view *view = calloc(1, sizeof *view);

	if (!view)
		return NULL;
	view->sessions = calloc(sessions_max + 1, sizeof *view->sessions);
	view->backends = calloc(backends_max + 1, sizeof *view->backends);
	view->pools = calloc(pools_max + 1, sizeof *view->pools);
	if (view->sessions && view->backends && view->pools)
		return view;
	live_view_free(view);
	return NULL;
}

void live_view_free(struct live_view *view)
{
	if (!view)
		return;
	for (size_t i = 0; i < view->session_count; i++) {
		free(view->sessions[i].slug);
		free(view->sessions[i].principal);
	}
	for (size_t i = 0; i < view->backend_count; i++) {
		free(view->backends[i].cluster);
		free(view->backends[i].slug);
	}
	for (size_t i = 0; i < view->pool_count; i++)
		free(view->pools[i].cluster);
	free(view->sessions);
	free(view->backends);
	free(view->pools);
	free(view);
}

/* ---- members ---- */

struct live *live_create(void)
{
	struct live *live = calloc(1, sizeof *live);

	if (!live)
		return NULL;
	pthread_mutex_init(&live->lock, NULL);
	list_init(&live->members);
	return live;
}

void live_destroy(struct live *live)
{
	if (!live)
		return;
	list_each (node, next, &live->members)
		free(list_entry(node, struct member, node));
	pthread_mutex_destroy(&live->lock);
	free(live);
}

bool live_join(struct live *live, struct mailbox *mailbox, const struct live_ops *ops)
{
	struct member *member = calloc(1, sizeof *member);

	if (!member)
		return false;
	member->mailbox = mailbox;
	member->ops = *ops;
	pthread_mutex_lock(&live->lock);
	list_append(&live->members, &member->node);
	live->count++;
	pthread_mutex_unlock(&live->lock);
	return true;
}

void live_leave(struct live *live, const struct mailbox *mailbox)
{
	pthread_mutex_lock(&live->lock);
	list_each (node, next, &live->members) {
		struct member *member = list_entry(node, struct member, node);

		if (member->mailbox == mailbox) {
			list_remove(&member->node);
			live->count--;
			free(member);
		}
	}
	pthread_mutex_unlock(&live->lock);
}

/* ---- questions ---- */

static void finish_measuring(struct question *question)
{
	/* The same room: an answer is the one or the other. */
	struct measures **all = (struct measures **)(void *)question->views;

	for (size_t i = 0; i < question->count; i++)
		all[i] = question->parts[i].measures;
	question->measured(question->asker, all, question->count);
	for (size_t i = 0; i < question->count; i++)
		measures_free(all[i]);
	free(question->views);
	free(question);
}

static void finish(struct question *question)
{
	struct live_view **views = question->views;
	size_t concerned = 0;

	for (size_t i = 0; i < question->count; i++) {
		views[i] = question->parts[i].view;
		concerned += question->parts[i].concerned;
	}
	question->answered(question->asker, views, question->count, concerned);
	for (size_t i = 0; i < question->count; i++)
		live_view_free(views[i]);
	free(question->views);
	free(question);
}

/* On the asker's thread. */
static void answer_deliver(struct letter *letter)
{
	struct question *question = list_entry(letter, struct part, letter)->question;

	if (--question->missing > 0)
		return;
	if (question->kind == QUESTION_MEASURE)
		finish_measuring(question);
	else
		finish(question);
}

/* On the worker's thread. */
static void part_deliver(struct letter *letter)
{
	struct part *part = list_entry(letter, struct part, letter);
	const struct question *question = part->question;

	switch (question->kind) {
	case QUESTION_LOOK:
		part->view = part->ops.look(part->ops.self);
		break;
	case QUESTION_ORDER:
		part->concerned = part->ops.obey(part->ops.self, question->verb,
										 question->of_all ? NULL : &question->tenant);
		break;
	case QUESTION_MEASURE:
		part->measures = part->ops.measure(part->ops.self);
		break;
	}
	letter->deliver = answer_deliver;
	mailbox_post(question->mailbox, letter);
}

static bool ask(struct live *live, const struct question *about)
{
	bool done = false;

	pthread_mutex_lock(&live->lock);
	struct question *question =
		calloc(1, sizeof *question + live->count * sizeof *question->parts);
	struct live_view **views = calloc(live->count + 1, sizeof *views);
	if (question && views && live->count) {
		*question = *about;
		question->views = views;
		question->count = question->missing = live->count;
		size_t at = 0;
		list_each (node, next, &live->members) {
			struct member *member = list_entry(node, struct member, node);
			struct part *part = &question->parts[at++];

			part->letter.deliver = part_deliver;
			part->question = question;
			part->ops = member->ops;
		}
		/* Nobody leaves while the lock is held, so each letter finds its mailbox. */
		at = 0;
		list_each (node, next, &live->members)
			mailbox_post(list_entry(node, struct member, node)->mailbox,
						 &question->parts[at++].letter);
		done = true;
	} else {
		free(views);
		free(question);
	}
	pthread_mutex_unlock(&live->lock);
	return done;
}

bool live_look(struct live *live, struct mailbox *mailbox, live_answer answered, void *asker)
{
	const struct question about = {.mailbox = mailbox, .answered = answered, .asker = asker};

	return ask(live, &about);
}

bool live_measure(struct live *live, struct mailbox *mailbox, live_measured measured,
				  void *asker)
{
	const struct question about = {
		.kind = QUESTION_MEASURE, .mailbox = mailbox, .measured = measured, .asker = asker};

	return ask(live, &about);
}

int64_t live_oldest_beat_us(struct live *live)
{
	int64_t oldest = INT64_MAX;

	pthread_mutex_lock(&live->lock);
	list_each (node, next, &live->members) {
		int64_t beat = atomic_load(list_entry(node, struct member, node)->ops.beat_us);

		if (beat < oldest)
			oldest = beat;
	}
	pthread_mutex_unlock(&live->lock);
	return oldest;
}

bool live_order(struct live *live, enum live_verb verb, const struct uuid *tenant,
				struct mailbox *mailbox, live_answer answered, void *asker)
{
	struct question about = {.mailbox = mailbox,
							 .answered = answered,
							 .asker = asker,
							 .kind = QUESTION_ORDER,
							 .verb = verb,
							 .of_all = !tenant};

	if (tenant)
		about.tenant = *tenant;
	return ask(live, &about);
}
