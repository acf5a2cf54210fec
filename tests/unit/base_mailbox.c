/* Letters between threads: none lost, none twice, in each sender's order. */
#include <criterion/criterion.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/mailbox.h"

#define SENDERS 4
#define LETTERS 20000

struct note {
	struct letter letter;
	int sender, number;
};

struct sender {
	pthread_t thread;
	struct mailbox *mailbox;
	struct note *notes;
};

/* Touched by the owning thread alone. */
static int expected[SENDERS], delivered;
static pthread_t owner;

static void deliver(struct letter *letter)
{
	struct note *note = (struct note *)letter;

	cr_assert(pthread_equal(pthread_self(), owner));
	cr_assert_eq(note->number, expected[note->sender]++);
	delivered++;
}

static void *send_all(void *argument)
{
	struct sender *sender = argument;

	for (int i = 0; i < LETTERS; i++)
		mailbox_post(sender->mailbox, &sender->notes[i].letter);
	return NULL;
}

static bool is_readable(const struct mailbox *mailbox, int timeout_ms)
{
	struct pollfd wait = {.fd = mailbox_fd(mailbox), .events = POLLIN};

	return poll(&wait, 1, timeout_ms) == 1;
}

Test(mailbox, delivers_all_letters_of_all_threads_in_order, .timeout = 60)
{
	struct mailbox *mailbox = mailbox_create();
	struct sender senders[SENDERS];

	cr_assert_not_null(mailbox);
	owner = pthread_self();
	for (int i = 0; i < SENDERS; i++) {
		senders[i].mailbox = mailbox;
		senders[i].notes = calloc(LETTERS, sizeof(struct note));
		for (int j = 0; j < LETTERS; j++)
			senders[i].notes[j] =
				(struct note){.letter.deliver = deliver, .sender = i, .number = j};
		cr_assert_eq(pthread_create(&senders[i].thread, NULL, send_all, &senders[i]), 0);
	}
	while (delivered < SENDERS * LETTERS) {
		cr_assert(is_readable(mailbox, 10000), "a letter waits and nobody was woken");
		mailbox_drain(mailbox);
	}
	for (int i = 0; i < SENDERS; i++) {
		pthread_join(senders[i].thread, NULL);
		free(senders[i].notes);
	}
	mailbox_drain(mailbox);
	cr_assert_eq(delivered, SENDERS * LETTERS);
	mailbox_destroy(mailbox);
}

static struct mailbox *again;
static int posts_left;

static void post_again(struct letter *letter)
{
	delivered++;
	if (posts_left-- > 0)
		mailbox_post(again, letter);
}

Test(mailbox, a_letter_posted_while_draining_waits_for_the_next_drain)
{
	struct letter letter = {.deliver = post_again};

	again = mailbox_create();
	cr_assert_not_null(again);
	posts_left = 2;
	cr_assert_not(is_readable(again, 0));
	mailbox_post(again, &letter);
	for (int round = 1; round <= 3; round++) {
		cr_assert(is_readable(again, 0));
		mailbox_drain(again);
		cr_assert_eq(delivered, round);
	}
	cr_assert_not(is_readable(again, 0));
	mailbox_destroy(again);
	mailbox_destroy(NULL);
}
