/*
 * reading.h: a verdict while it is being made; private to the reader of SQL.
 *
 * Whoever walks over a statement says here what it found. What is said of a text that then
 * cannot be read is thrown away.
 */
#ifndef POLICY_READING_H
#define POLICY_READING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "policy/statement.h"

/*
 * A string of the verdict to be: its place among them plus one, in a pointer's clothes, so that
 * it can stand where the string itself will. Not to be followed. NULL is none.
 */
typedef const char *reading_string;

/* A set of what has been named, by its schema and name. */
struct name_set {
	uint32_t *slots; /* a power of two; one above the entry's index, 0 when free */
	size_t size;
};

struct reading {
	enum sql_reading outcome;
	bool memory_is_out;
	bool has_looked_at_values;
	uint64_t rules;
	struct rule_schemas schemas;
	bool asks_to_write; /* a transaction, or those to come, are to be able to */
	char *error;        /* the parser's; from malloc, or NULL */
	int error_position;
	struct buf strings;    /* each with its NUL */
	struct buf statements; /* of struct sql_statement, and so on */
	struct buf settings, stored_settings;
	struct buf relations;
	struct buf functions;
	struct name_set relation_set, function_set;
};

void reading_init(struct reading *reading);
void reading_fini(struct reading *reading);

/* Something was found that is not known here, or that no server takes. */
void reading_fail(struct reading *reading);

/* The parser says this of the text, at this character. */
void reading_fail_with(struct reading *reading, const char *error, int position);

/* A copy of `len` bytes, or of a string that may be NULL. */
reading_string reading_text(struct reading *reading, const char *text, size_t len);
reading_string reading_copy(struct reading *reading, const char *text);

/* A copy with A to Z in lower case, which is how settings are compared. */
reading_string reading_folded(struct reading *reading, const char *text);

/* What has been noted, for reading it back; valid until the next string is added. */
const char *reading_look_up(const struct reading *reading, reading_string string);

/* Begins the next statement, SQL_PLAIN and of no class as yet. */
void reading_begin(struct reading *reading, uint32_t start, uint32_t len);

/* The statement begun last; valid until the next one is. */
struct sql_statement *reading_statement(struct reading *reading);

void reading_add_setting(struct reading *reading, const struct sql_setting *setting);

/* One in what is only stored, as in a view. */
void reading_add_stored_setting(struct reading *reading, const struct sql_setting *setting);
void reading_add_relation(struct reading *reading, const char *schema, const char *name,
						  bool is_written);
void reading_add_function(struct reading *reading, const char *schema, const char *name,
						  bool is_known);

/* The verdict, of one reference; NULL when memory is or was out. */
const struct verdict *reading_verdict(const struct reading *reading);

#endif
