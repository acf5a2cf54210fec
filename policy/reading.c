#include "policy/reading.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "policy/gate.h"

void reading_init(struct reading *reading)
{
	memset(reading, 0, sizeof *reading);
}

void reading_fini(struct reading *reading)
{
	buf_fini(&reading->strings);
	buf_fini(&reading->statements);
	buf_fini(&reading->settings);
	buf_fini(&reading->stored_settings);
	buf_fini(&reading->relations);
	buf_fini(&reading->functions);
	free(reading->error);
	free(reading->relation_set.slots);
	free(reading->function_set.slots);
}

void reading_fail(struct reading *reading)
{
	if (reading->outcome == SQL_READ)
		reading->outcome = SQL_UNREADABLE;
}

void reading_fail_with(struct reading *reading, const char *error, int position)
{
	reading_fail(reading);
	reading->error = strdup(error);
	reading->error_position = position > 0 ? position : 0;
}

static void append(struct reading *reading, struct buf *buf, const void *data, size_t len)
{
	if (!buf_append(buf, data, len))
		reading->memory_is_out = true;
}

/* ---- strings ---- */

static reading_string string_at(size_t place)
{
	return (const char *)(uintptr_t)(place + 1);
}

static size_t place_of(reading_string string)
{
	return (size_t)(uintptr_t)string - 1;
}

reading_string reading_text(struct reading *reading, const char *text, size_t len)
{
	size_t place = buf_len(&reading->strings);

	append(reading, &reading->strings, text, len);
	append(reading, &reading->strings, "", 1);
	return reading->memory_is_out ? NULL : string_at(place);
}

reading_string reading_copy(struct reading *reading, const char *text)
{
	return text ? reading_text(reading, text, strlen(text)) : NULL;
}

reading_string reading_folded(struct reading *reading, const char *text)
{
	reading_string string = reading_copy(reading, text);

	if (!string)
		return NULL;
	for (uint8_t *at = buf_data(&reading->strings) + place_of(string); *at; at++) {
		if (*at >= 'A' && *at <= 'Z')
			*at = (uint8_t)(*at - 'A' + 'a');
	}
	return string;
}

const char *reading_look_up(const struct reading *reading, reading_string string)
{
	return string ? (const char *)reading->strings.memory + place_of(string) : NULL;
}

/* ---- statements and settings ---- */

void reading_begin(struct reading *reading, uint32_t start, uint32_t len)
{
	struct sql_statement statement = {.start = start, .len = len};

	append(reading, &reading->statements, &statement, sizeof statement);
}

struct sql_statement *reading_statement(struct reading *reading)
{
	return (struct sql_statement *)(void *)(reading->statements.memory +
											reading->statements.end) -
		   1;
}

static uint32_t count_of(const struct buf *buf, size_t size)
{
	return (uint32_t)(buf_len(buf) / size);
}

static void add_setting(struct reading *reading, struct buf *settings,
						const struct sql_setting *setting)
{
	struct sql_setting copy = *setting;

	copy.statement = count_of(&reading->statements, sizeof(struct sql_statement)) - 1;
	append(reading, settings, &copy, sizeof copy);
}

void reading_add_setting(struct reading *reading, const struct sql_setting *setting)
{
	add_setting(reading, &reading->settings, setting);
}

void reading_add_stored_setting(struct reading *reading, const struct sql_setting *setting)
{
	add_setting(reading, &reading->stored_settings, setting);
}

/* ---- names ---- */

/* Both kinds of entries begin so. */
struct named {
	const char *schema, *name;
};

struct name_list {
	struct buf *entries;
	size_t entry_size;
	struct name_set *set;
};

static struct named *entry_of(const struct name_list *list, size_t i)
{
	return (struct named *)(void *)(list->entries->memory + i * list->entry_size);
}

static uint64_t hash_name(const char *schema, const char *name)
{
	uint64_t hash = hash_bytes(name, strlen(name));

	return schema ? hash ^ (hash_bytes(schema, strlen(schema)) * 31 + 1) : hash;
}

static bool is_same(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

/* The slot of this name: the one it is in, or the free one where it belongs. */
static uint32_t *find_slot(const struct reading *reading, const struct name_list *list,
						   const char *schema, const char *name)
{
	size_t mask = list->set->size - 1;

	for (size_t i = (size_t)hash_name(schema, name) & mask;; i = (i + 1) & mask) {
		uint32_t *slot = &list->set->slots[i];

		if (!*slot)
			return slot;
		const struct named *entry = entry_of(list, *slot - 1);
		if (is_same(reading_look_up(reading, entry->name), name) &&
			is_same(reading_look_up(reading, entry->schema), schema))
			return slot;
	}
}

/* Half of the slots are free at least. */
static bool make_room(const struct reading *reading, const struct name_list *list)
{
	size_t count = buf_len(list->entries) / list->entry_size;
	struct name_set *set = list->set, old = *set;

	if (count * 2 < old.size)
		return true;
	set->size = old.size ? old.size * 2 : 32;
	set->slots = calloc(set->size, sizeof *set->slots);
	if (!set->slots) {
		*set = old;
		return false;
	}
	free(old.slots);
	for (size_t i = 0; i < count; i++) {
		const struct named *entry = entry_of(list, i);
		uint32_t *slot = find_slot(reading, list, reading_look_up(reading, entry->schema),
								   reading_look_up(reading, entry->name));
		*slot = (uint32_t)i + 1;
	}
	return true;
}

/* The entry of this name, made if need be; NULL when memory is out. */
static void *add_name(struct reading *reading, const struct name_list *list, const char *schema,
					  const char *name)
{
	uint32_t *slot;
	struct named *entry;

	if (!make_room(reading, list)) {
		reading->memory_is_out = true;
		return NULL;
	}
	slot = find_slot(reading, list, schema, name);
	if (*slot)
		return entry_of(list, *slot - 1);
	if (!buf_reserve(list->entries, list->entry_size)) {
		reading->memory_is_out = true;
		return NULL;
	}
	*slot = (uint32_t)(buf_len(list->entries) / list->entry_size) + 1;
	entry = entry_of(list, *slot - 1);
	list->entries->end += list->entry_size;
	memset(entry, 0, list->entry_size);
	entry->schema = reading_copy(reading, schema);
	entry->name = reading_copy(reading, name);
	return reading->memory_is_out ? NULL : entry;
}

_Static_assert(offsetof(struct sql_relation, schema) == offsetof(struct named, schema) &&
				   offsetof(struct sql_relation, name) == offsetof(struct named, name) &&
				   offsetof(struct sql_function, schema) == offsetof(struct named, schema) &&
				   offsetof(struct sql_function, name) == offsetof(struct named, name),
			   "relations and functions begin with their names");

void reading_add_relation(struct reading *reading, const char *schema, const char *name,
						  bool is_written)
{
	const struct name_list list = {&reading->relations, sizeof(struct sql_relation),
								   &reading->relation_set};
	struct sql_relation *relation = add_name(reading, &list, schema, name);

	if (relation)
		relation->is_written |= is_written;
}

void reading_add_function(struct reading *reading, const char *schema, const char *name,
						  bool is_known)
{
	const struct name_list list = {&reading->functions, sizeof(struct sql_function),
								   &reading->function_set};
	struct sql_function *function = add_name(reading, &list, schema, name);

	if (function)
		function->is_known = is_known;
}

/* ---- the verdict ---- */

/* The whole in one piece of memory: the verdict, its arrays in this order, its strings. */
struct block {
	struct verdict verdict;
	char rest[];
};

static void *place(char **at, const struct buf *buf)
{
	void *start = *at;
	size_t len = buf_len(buf);

	if (len)
		memcpy(start, buf->memory, len);
	*at += len;
	return start;
}

static void settle(const char **string, const char *strings)
{
	if (*string)
		*string = strings + place_of(*string);
}

/* Has such a statement to do with the session, and not with its transaction alone? */
static bool is_of_session(enum sql_action action)
{
	switch (action) {
	case SQL_PLAIN:
	case SQL_BEGIN:
	case SQL_SET_TRANSACTION:
	case SQL_COMMIT:
	case SQL_ROLLBACK:
	case SQL_SAVEPOINT:
	case SQL_RELEASE:
	case SQL_ROLLBACK_TO:
	case SQL_PREPARE_TRANSACTION:
	case SQL_FINISH_PREPARED:
	case SQL_COPY_IN:
		return false;
	case SQL_SET:
	case SQL_RESET:
	case SQL_RESET_ALL:
	case SQL_PREPARE:
	case SQL_EXECUTE:
	case SQL_DEALLOCATE:
	case SQL_DEALLOCATE_ALL:
	case SQL_DISCARD_ALL:
	case SQL_DISCARD:
		break;
	}
	return true;
}

static void settle_statements(struct verdict *verdict, struct sql_statement *statements,
							  const char *strings)
{
	verdict->is_plain = true;
	for (uint32_t i = 0; i < verdict->statement_count; i++) {
		settle(&statements[i].name, strings);
		settle(&statements[i].value, strings);
		verdict->classes |= statements[i].classes;
		verdict->effects |= statements[i].effects;
		if (is_of_session(statements[i].action) || statements[i].effects)
			verdict->is_plain = false;
	}
	verdict->statements = statements;
}

/* How are the bytes of later texts to be read? */
static bool is_of_lexer(const char *name)
{
	return strcmp(name, "standard_conforming_strings") == 0 ||
		   strcmp(name, "client_encoding") == 0;
}

static void settle_settings(struct verdict *verdict, struct sql_setting *settings,
							const char *strings)
{
	for (uint32_t i = 0; i < verdict->setting_count + verdict->stored_setting_count; i++) {
		settle(&settings[i].name, strings);
		settle(&settings[i].value, strings);
		if (is_of_lexer(settings[i].name))
			verdict->is_plain = false; /* for the transaction only, too */
	}
	verdict->settings = settings;
}

static void settle_names(struct verdict *verdict, struct sql_relation *relations,
						 struct sql_function *functions, const char *strings)
{
	for (uint32_t i = 0; i < verdict->relation_count; i++) {
		settle(&relations[i].schema, strings);
		settle(&relations[i].name, strings);
	}
	for (uint32_t i = 0; i < verdict->function_count; i++) {
		settle(&functions[i].schema, strings);
		settle(&functions[i].name, strings);
	}
	verdict->relations = relations;
	verdict->functions = functions;
}

static uint64_t unread_rule(enum sql_reading outcome)
{
	switch (outcome) {
	case SQL_READ:
		break;
	case SQL_UNREADABLE:
		return RULE_BIT(RULE_UNREADABLE);
	case SQL_TOO_LONG:
		return RULE_BIT(RULE_TOO_LONG);
	case SQL_TOO_DEEP:
		return RULE_BIT(RULE_TOO_DEEP);
	}
	return 0;
}

static const struct verdict *unread_verdict(const struct reading *reading)
{
	enum sql_reading outcome = reading->outcome;
	size_t error_len = reading->error ? strlen(reading->error) + 1 : 0;
	struct verdict *verdict = calloc(1, sizeof *verdict + error_len);

	if (!verdict)
		return NULL;
	verdict->references = 1;
	verdict->reading = outcome;
	if (error_len)
		verdict->error = memcpy(verdict + 1, reading->error, error_len);
	verdict->error_position = reading->error_position;
	verdict->classes = SQL_CLASSES_ALL;
	verdict->effects = EFFECTS_ALL;
	verdict->needs = gate_needs(verdict->classes);
	verdict->rules = unread_rule(outcome);
	verdict->size = sizeof *verdict + error_len;
	return verdict;
}

static void settle_gate(struct verdict *verdict, const struct reading *reading)
{
	verdict->needs = gate_needs(verdict->classes);
	if (reading->asks_to_write)
		verdict->needs |= GATE_NEEDS_READ_WRITE;
	if (verdict->setting_count || verdict->stored_setting_count)
		verdict->needs |= GATE_NEEDS_SETTINGS;
	if (verdict->relation_count || verdict->function_count)
		verdict->needs |= GATE_NEEDS_NAMES;
	if (verdict->classes & SQL_CLASS_DDL)
		verdict->rules |= RULE_BIT(RULE_DDL);
	if (verdict->classes & SQL_CLASS_DDL_OR_TEMP)
		verdict->rules |= RULE_BIT(RULE_DDL_OR_TEMPORARY);
	if (verdict->classes & SQL_CLASS_TEMP_FUNCTION)
		verdict->rules |= RULE_BIT(RULE_TEMPORARY_FUNCTIONS);
}

const struct verdict *reading_verdict(const struct reading *reading)
{
	size_t size = sizeof(struct block) + buf_len(&reading->statements) +
				  buf_len(&reading->settings) + buf_len(&reading->stored_settings) +
				  buf_len(&reading->relations) + buf_len(&reading->functions) +
				  buf_len(&reading->strings);
	struct block *block;

	if (reading->memory_is_out)
		return NULL;
	if (reading->outcome != SQL_READ)
		return unread_verdict(reading);
	block = malloc(size);
	if (!block)
		return NULL;

	struct verdict *verdict = &block->verdict;
	char *at = block->rest;
	struct sql_statement *statements = place(&at, &reading->statements);
	struct sql_setting *settings = place(&at, &reading->settings);
	place(&at, &reading->stored_settings);
	struct sql_relation *relations = place(&at, &reading->relations);
	struct sql_function *functions = place(&at, &reading->functions);
	const char *strings = place(&at, &reading->strings);

	*verdict = (struct verdict){
		.references = 1,
		.reading = SQL_READ,
		.statement_count = count_of(&reading->statements, sizeof *statements),
		.setting_count = count_of(&reading->settings, sizeof *settings),
		.stored_setting_count = count_of(&reading->stored_settings, sizeof *settings),
		.relation_count = count_of(&reading->relations, sizeof *relations),
		.function_count = count_of(&reading->functions, sizeof *functions),
		.rules = reading->rules,
		.schemas = reading->schemas,
		.size = size,
	};
	settle_statements(verdict, statements, strings);
	settle_settings(verdict, settings, strings);
	settle_names(verdict, relations, functions, strings);
	settle_gate(verdict, reading);
	verdict->is_of_fold = verdict->is_plain && verdict->statement_count == 1 &&
						  !verdict->setting_count && !verdict->stored_setting_count &&
						  !reading->has_looked_at_values && statements[0].action == SQL_PLAIN &&
						  !(verdict->classes & ~(uint32_t)(SQL_CLASS_READ | SQL_CLASS_WRITE));
	return verdict;
}
