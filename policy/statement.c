#include "policy/statement.h"

#include <stdlib.h>
#include <string.h>

#include "policy/bounds.h"
#include "policy/parse.h"
#include "policy/reading.h"

/* Texts up to this are copied to the stack. */
#define SHORT_TEXT 4096

/* `text` is ours, and ends in NUL. */
static void read_text(struct reading *reading, char *text, size_t len)
{
	struct buf segments;

	buf_init(&segments);
	reading->outcome = bounds_look(text, len, &segments, &reading->memory_is_out);
	if (reading->outcome == SQL_READ && !reading->memory_is_out)
		parse_text(reading, text, &segments);
	buf_fini(&segments);
}

static void read_copy(struct reading *reading, const char *text, size_t len)
{
	char short_copy[SHORT_TEXT], *copy = len < SHORT_TEXT ? short_copy : malloc(len + 1);

	if (!copy) {
		reading->memory_is_out = true;
		return;
	}
	if (len)
		memcpy(copy, text, len);
	copy[len] = 0;
	read_text(reading, copy, len);
	if (copy != short_copy)
		free(copy);
}

const struct verdict *sql_read(const char *text, size_t len)
{
	const struct verdict *verdict;
	struct reading reading;

	reading_init(&reading);
	if (len > SQL_TEXT_MAX)
		reading.outcome = SQL_TOO_LONG;
	else if (len && memchr(text, 0, len))
		reading.outcome = SQL_UNREADABLE;
	else
		read_copy(&reading, text, len);
	verdict = reading_verdict(&reading);
	reading_fini(&reading);
	return verdict;
}

const struct verdict *verdict_ref(const struct verdict *verdict)
{
	((struct verdict *)(uintptr_t)verdict)->references++;
	return verdict;
}

void verdict_unref(const struct verdict *verdict)
{
	struct verdict *own = (struct verdict *)(uintptr_t)verdict;

	if (own && --own->references == 0)
		free(own);
}
