#include "router/live.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/list.h"
#include "router/directory.h"
#include "router/measures.h"

struct member {
	struct list node;
	struct mailbox *mailbox;
	struct live_ops ops;
};

struct live {
	/* Over the members and the questions under way. */
	pthread_mutex_t lock;
	struct list members, questions;
	size_t count;
};

/* One worker's part of a question: a letter that goes there and comes back. */
struct part {
	struct letter letter;
	struct question *question;
	struct mailbox *mailbox; /* the worker's */
	struct live_ops ops;
	struct live_view *view;
	struct measures *measures;
	size_t concerned;
};

struct question {
	struct list node; /* live->questions */
	struct live *live;
	struct mailbox *mailbox; /* the asker's; NULL: it has left */
	enum { QUESTION_LOOK, QUESTION_ORDER, QUESTION_MEASURE } kind;
	live_answered answered;
	live_measured measured; /* of QUESTION_MEASURE, and what it is given */
	struct measures **all;  /* the same */
	void *asker;
	enum live_scope scope;
	enum live_verb verb;
	bool is_filtered;
	struct live_filter filter;
	struct live_target target;
	size_t count, missing;
	struct part parts[];
};

void live_answer_free(struct live_answer *answer)
{
	if (!answer)
		return;
	for (size_t i = 0; i < answer->count; i++)
		live_view_free(answer->views[i]);
	free(answer->views);
	free(answer);
}

/* ---- members ---- */

struct live *live_create(void)
{
	struct live *live = calloc(1, sizeof *live);

	if (!live)
		return NULL;
	pthread_mutex_init(&live->lock, NULL);
	list_init(&live->members);
	list_init(&live->questions);
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

/* Its own questions stay until the other workers are done with their parts. */
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
	list_each (node, next, &live->questions) {
		struct question *question = list_entry(node, struct question, node);

		if (question->mailbox == mailbox)
			question->mailbox = NULL;
	}
	pthread_mutex_unlock(&live->lock);
}

/* ---- questions ---- */

static void tell_measures(struct question *question)
{
	for (size_t i = 0; i < question->count; i++)
		question->all[i] = question->parts[i].measures;
	question->measured(question->asker, question->all, question->count);
}

/* What has come, or NULL when memory is out. */
static struct live_answer *take_answer(struct question *question)
{
	struct live_answer *answer = calloc(1, sizeof *answer);
	struct live_view **views = calloc(question->count, sizeof *views);

	if (!answer || !views) {
		free(answer);
		free(views);
		return NULL;
	}
	answer->views = views;
	answer->count = question->count;
	for (size_t i = 0; i < question->count; i++) {
		views[i] = question->parts[i].view;
		question->parts[i].view = NULL;
		answer->concerned += question->parts[i].concerned;
	}
	return answer;
}

static void question_free(struct question *question)
{
	if (!question)
		return;
	for (size_t i = 0; i < question->count; i++) {
		live_view_free(question->parts[i].view);
		measures_free(question->parts[i].measures);
	}
	free(question->all);
	free(question);
}

static void finish(struct question *question, bool wanted)
{
	if (wanted && question->kind == QUESTION_MEASURE)
		tell_measures(question);
	else if (wanted)
		question->answered(question->asker, take_answer(question));
	question_free(question);
}

/* One part less; on the asker's thread, or where the asker has left on any. */
static void come_back(struct question *question)
{
	struct live *live = question->live;

	pthread_mutex_lock(&live->lock);
	bool last = --question->missing == 0, wanted = question->mailbox;
	if (last)
		list_remove(&question->node);
	pthread_mutex_unlock(&live->lock);
	if (last)
		finish(question, wanted);
}

static void answer_deliver(struct letter *letter)
{
	come_back(list_entry(letter, struct part, letter)->question);
}

/* The mailbox of an asker that has not left is there as long as the lock is held. */
static void send_back(struct part *part)
{
	struct question *question = part->question;
	struct live *live = question->live;

	part->letter.deliver = answer_deliver;
	pthread_mutex_lock(&live->lock);
	bool wanted = question->mailbox;
	if (wanted)
		mailbox_post(question->mailbox, &part->letter);
	pthread_mutex_unlock(&live->lock);
	if (!wanted)
		come_back(question);
}

/* On the worker's thread. */
static void part_deliver(struct letter *letter)
{
	struct part *part = list_entry(letter, struct part, letter);
	const struct question *question = part->question;
	void *self = part->ops.self;

	switch (question->kind) {
	case QUESTION_LOOK:
		if (!part->ops.look(self, question->scope,
							question->is_filtered ? &question->filter : NULL, &part->view)) {
			mailbox_post(part->mailbox, letter);
			return;
		}
		break;
	case QUESTION_ORDER:
		part->concerned = part->ops.obey(self, question->verb, &question->target);
		break;
	case QUESTION_MEASURE:
		part->measures = part->ops.measure(self);
		break;
	}
	send_back(part);
}

/* Nobody leaves while the lock is held, so each letter finds its mailbox. */
static void post_parts(struct live *live, struct question *question)
{
	size_t at = 0;

	list_each (node, next, &live->members) {
		const struct member *member = list_entry(node, struct member, node);
		struct part *part = &question->parts[at++];

		part->letter.deliver = part_deliver;
		part->question = question;
		part->mailbox = member->mailbox;
		part->ops = member->ops;
	}
	for (at = 0; at < question->count; at++)
		mailbox_post(question->parts[at].mailbox, &question->parts[at].letter);
}

/* With a part for each worker; NULL when memory is out, or there is none. */
static struct question *question_create(struct live *live, const struct question *about)
{
	struct question *question =
		calloc(1, sizeof *question + live->count * sizeof *question->parts);

	if (!question)
		return NULL;
	*question = *about;
	question->live = live;
	question->count = question->missing = live->count;
	if (about->kind == QUESTION_MEASURE)
		question->all = calloc(live->count + 1, sizeof(struct measures *));
	if (live->count && (question->all || about->kind != QUESTION_MEASURE))
		return question;
	question_free(question);
	return NULL;
}

static bool ask(struct live *live, const struct question *about)
{
	pthread_mutex_lock(&live->lock);
	struct question *question = question_create(live, about);
	if (question) {
		list_append(&live->questions, &question->node);
		post_parts(live, question);
	}
	pthread_mutex_unlock(&live->lock);
	return question;
}

bool live_look(struct live *live, enum live_scope scope, const struct live_filter *filter,
			   struct mailbox *mailbox, live_answered answered, void *asker)
{
	struct question about = {.mailbox = mailbox,
							 .answered = answered,
							 .asker = asker,
							 .scope = scope,
							 .is_filtered = filter != NULL};

	if (filter)
		about.filter = *filter;
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

bool live_order(struct live *live, enum live_verb verb, const struct live_target *target,
				struct mailbox *mailbox, live_answered answered, void *asker)
{
	struct question about = {.mailbox = mailbox,
							 .answered = answered,
							 .asker = asker,
							 .kind = QUESTION_ORDER,
							 .verb = verb};

	if (target)
		about.target = *target;
	return ask(live, &about);
}
