/*
 * mailbox.h: how threads hand each other work.
 *
 * A mailbox belongs to one thread, which waits on its descriptor in its event loop and calls
 * mailbox_drain when it is readable. Any thread may post. A letter is a member of the sender's
 * own structure: posting allocates nothing and cannot fail. Letters are delivered in the order
 * of posting, each by a call of its own function on the owner's thread, which from then on owns
 * the structure.
 */
#ifndef BASE_MAILBOX_H
#define BASE_MAILBOX_H

#include <stdbool.h>

struct letter {
	struct letter *next;
	void (*deliver)(struct letter *letter);
};

struct mailbox;

/* NULL when memory or descriptors are out. */
struct mailbox *mailbox_create(void);

/* Letters still inside are not delivered; drain first. */
void mailbox_destroy(struct mailbox *mailbox);

/* The descriptor to wait on for reading; it stays the mailbox's. */
int mailbox_fd(const struct mailbox *mailbox);

void mailbox_post(struct mailbox *mailbox, struct letter *letter);

/* Delivers all letters that were posted before the call. */
void mailbox_drain(struct mailbox *mailbox);

#endif
