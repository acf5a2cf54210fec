#include "policy/parse_walk.h"

static void push(struct walk *walk, const Node *node, uint32_t scope, uint32_t marks)
{
	const struct pending pending = {node, scope, marks};

	if (!buf_append(&walk->pending, &pending, sizeof pending))
		walk->reading->memory_is_out = true;
}

void walk_push(struct walk *walk, const void *node, uint32_t marks)
{
	if (node)
		push(walk, node, walk->scope, walk->marks | marks);
}

void walk_add_classes(struct walk *walk, uint32_t classes)
{
	if (!(walk->marks & CHILD_STORED))
		reading_statement(walk->reading)->classes |= classes;
}

void walk_add_effects(struct walk *walk, uint32_t effects)
{
	if (!(walk->marks & CHILD_STORED))
		reading_statement(walk->reading)->effects |= effects;
}

void walk_add_rule(struct walk *walk, enum rule rule)
{
	walk->reading->rules |= RULE_BIT(rule);
}

static void push_elements(struct walk *walk, const List *list)
{
	for (int i = 0; i < list->length; i++)
		walk_push(walk, list->elements[i].ptr_value, 0);
}

static void push_children(struct walk *walk, const Node *node, const struct shape *shape)
{
	uint32_t marks = walk->marks;

	walk->marks &= ~(uint32_t)CHILD_WRITTEN; /* holds for lists only */
	for (int i = 0; i < SHAPE_CHILDREN && shape->children[i]; i++) {
		uint32_t child = shape->children[i];
		const Node *below =
			*(const Node *const *)(const void *)((const char *)node + (child & CHILD_OFFSET));

		if (!below)
			continue;
		if (child & CHILD_NEW)
			visit_new(walk, below);
		else
			walk_push(walk, below, child & ~(uint32_t)CHILD_OFFSET);
	}
	walk->marks = marks;
}

static void visit(struct walk *walk, const Node *node)
{
	const struct shape *shape = shape_of(nodeTag(node));

	if (!shape) {
		reading_fail(walk->reading);
		return;
	}
	if (nodeTag(node) == T_List) {
		push_elements(walk, (const List *)(const void *)node);
		return;
	}
	if (shape->classes)
		walk_add_classes(walk, shape->classes);
	if (shape->effects)
		walk_add_effects(walk, shape->effects);
	visit_node(walk, node);
	visit_for_rules(walk, node);
	push_children(walk, node, shape);
}

static struct pending *pending_at(struct walk *walk, size_t i)
{
	return (struct pending *)(void *)walk->pending.memory + i;
}

static size_t pending_count(const struct walk *walk)
{
	return buf_len(&walk->pending) / sizeof(struct pending);
}

/* What was pushed first is to be visited first. */
static void reverse_from(struct walk *walk, size_t mark)
{
	size_t end = pending_count(walk);

	while (mark + 1 < end) {
		struct pending *first = pending_at(walk, mark++), *last = pending_at(walk, --end);
		struct pending swap = *first;

		*first = *last;
		*last = swap;
	}
}

void walk_statement(struct walk *walk, const Node *statement)
{
	struct reading *reading = walk->reading;

	walk->scope = walk->marks = 0;
	walk->root = statement;
	walk->pinned = NULL;
	walk_push(walk, statement, 0);
	while (pending_count(walk) && reading->outcome == SQL_READ && !reading->memory_is_out) {
		size_t mark = pending_count(walk) - 1;
		const struct pending next = *pending_at(walk, mark);

		buf_truncate(&walk->pending, mark * sizeof next);
		walk->scope = next.scope;
		walk->marks = next.marks;
		visit(walk, next.node);
		reverse_from(walk, mark);
	}
}
