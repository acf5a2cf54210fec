/*
 * list.h: an intrusive, circular, doubly linked list.
 *
 * The list owns nothing: a node is a member of whatever is linked. A node that is on no list
 * points to itself after list_init, so list_remove may be called on it again.
 */
#ifndef BASE_LIST_H
#define BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list {
	struct list *prev, *next;
};

#define list_entry(node, type, member) ((type *)(void *)((char *)(node)-offsetof(type, member)))

/* The first element, or NULL. */
#define list_first(head, type, member)                                                         \
	(list_empty(head) ? NULL : list_entry((head)->next, type, member))

/* Walks a list whose current element may be removed in the body. */
#define list_each(node, after, head)                                                           \
	for (struct list *node = (head)->next, *after = node->next; node != (head);                \
		 node = after, after = node->next)

static inline void list_init(struct list *list)
{
	list->prev = list->next = list;
}

static inline bool list_empty(const struct list *list)
{
	return list->next == list;
}

static inline void list_append(struct list *list, struct list *node)
{
	node->prev = list->prev;
	node->next = list;
	list->prev->next = node;
	list->prev = node;
}

static inline void list_prepend(struct list *list, struct list *node)
{
	list_append(list->next, node);
}

static inline void list_remove(struct list *node)
{
	node->prev->next = node->next;
	node->next->prev = node->prev;
	list_init(node);
}

#endif
