#include "base/mailbox.h"

#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct mailbox {
	pthread_mutex_t lock;
	struct letter *first, **last;
	int fd;
};

struct mailbox *mailbox_create(void)
{
	struct mailbox *mailbox = calloc(1, sizeof *mailbox);

	if (!mailbox)
		return NULL;
	mailbox->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (mailbox->fd < 0) {
		free(mailbox);
		return NULL;
	}
	pthread_mutex_init(&mailbox->lock, NULL);
	mailbox->last = &mailbox->first;
	return mailbox;
}

void mailbox_destroy(struct mailbox *mailbox)
{
	if (!mailbox)
		return;
	close(mailbox->fd);
	pthread_mutex_destroy(&mailbox->lock);
	free(mailbox);
}

int mailbox_fd(const struct mailbox *mailbox)
{
	return mailbox->fd;
}

void mailbox_post(struct mailbox *mailbox, struct letter *letter)
{
	uint64_t one = 1;
	bool was_empty;

	letter->next = NULL;
	pthread_mutex_lock(&mailbox->lock);
	was_empty = mailbox->first == NULL;
	*mailbox->last = letter;
	mailbox->last = &letter->next;
	pthread_mutex_unlock(&mailbox->lock);

	/* An eventfd write fails only when its counter is full, and then the owner is awake
	 * already. */
	while (was_empty && write(mailbox->fd, &one, sizeof one) < 0 && errno == EINTR)
		continue;
}

void mailbox_drain(struct mailbox *mailbox)
{
	uint64_t count;
	struct letter *letter;

	while (read(mailbox->fd, &count, sizeof count) < 0 && errno == EINTR)
		continue;
	pthread_mutex_lock(&mailbox->lock);
	letter = mailbox->first;
	mailbox->first = NULL;
	mailbox->last = &mailbox->first;
	pthread_mutex_unlock(&mailbox->lock);

	while (letter) {
		struct letter *next = letter->next;

		letter->deliver(letter);
		letter = next;
	}
}
