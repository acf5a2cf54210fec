/* Reading and writing single values, by the type in the settings' table. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/secret.h"
#include "base/utf8.h"
#include "conf/settings.h"

/* No bound in the table is near this, and a hundred days in milliseconds times it fit an
 * int64_t. */
#define NUMBER_MAX ((int64_t)1000000000000)

struct unit {
	const char *name;
	int64_t factor;
};

static const struct unit time_units[] = {{"ms", 1},      {"s", 1000},     {"min", 60000},
										 {"h", 3600000}, {"d", 86400000}, {NULL, 0}};
static const struct unit size_units[] = {
	{"B", 1}, {"kB", 1 << 10}, {"MB", 1 << 20}, {"GB", 1 << 30}, {NULL, 0}};

static void *member(const struct conf_setting *setting, void *home)
{
	return (char *)home + setting->offset;
}

static const void *const_member(const struct conf_setting *setting, const void *home)
{
	return (const char *)home + setting->offset;
}

static char *string_of(const struct conf_setting *setting, const void *home)
{
	char *value;

	memcpy(&value, const_member(setting, home), sizeof value);
	return value;
}

static int int_of(const struct conf_setting *setting, const void *home)
{
	int value;

	memcpy(&value, const_member(setting, home), sizeof value);
	return value;
}

static int64_t int64_of(const struct conf_setting *setting, const void *home)
{
	int64_t value;

	memcpy(&value, const_member(setting, home), sizeof value);
	return value;
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Reads digits; false when there is none or they are more than NUMBER_MAX. */
static bool read_digits(const char **text, int64_t *out)
{
	int64_t value = 0;

	if (!is_digit(**text))
		return false;
	for (; is_digit(**text); (*text)++) {
		value = value * 10 + (**text - '0');
		if (value > NUMBER_MAX)
			return false;
	}
	*out = value;
	return true;
}

static bool write_quantity(struct buf *out, const struct conf_setting *setting, int64_t value)
{
	const struct unit *unit;

	if (setting->type == TYPE_MODE)
		return buf_appendf(out, "%04" PRIo64, (uint64_t)value);
	if (setting->type != TYPE_DURATION && setting->type != TYPE_SIZE)
		return buf_appendf(out, "%" PRId64, value);
	if (value == 0)
		return buf_append_byte(out, '0');
	unit = setting->type == TYPE_DURATION ? time_units : size_units;
	while (unit[1].name && value % unit[1].factor == 0)
		unit++;
	return buf_appendf(out, "%" PRId64 "%s", value / unit->factor, unit->name);
}

static bool is_bounded(const struct conf_setting *setting, int64_t value, struct buf *why)
{
	if (value >= setting->min && value <= setting->max)
		return true;
	write_quantity(why, setting, value);
	buf_appendf(why, " is outside ");
	conf_value_bounds(setting, why);
	return false;
}

static bool read_int(const struct conf_setting *setting, const char *text, void *home,
					 struct buf *why)
{
	const char *at = text + (*text == '-');
	int64_t value;

	if (!read_digits(&at, &value) || *at) {
		buf_appendf(why, "\"%s\" is not a whole number", text);
		return false;
	}
	if (*text == '-')
		value = -value;
	if (!is_bounded(setting, value, why))
		return false;

	int narrow = (int)value;
	memcpy(member(setting, home), &narrow, sizeof narrow);
	return true;
}

static bool read_mode(const struct conf_setting *setting, const char *text, void *home,
					  struct buf *why)
{
	size_t len = strlen(text);
	int value = 0;

	if (!len || len > 5 || strspn(text, "01234567") != len) {
		buf_appendf(why, "\"%s\" is not a mode in octal, as 0770", text);
		return false;
	}
	for (; *text; text++)
		value = value * 8 + (*text - '0');
	if (!is_bounded(setting, value, why))
		return false;
	memcpy(member(setting, home), &value, sizeof value);
	return true;
}

static const struct unit *find_unit(const struct unit *units, const char *name)
{
	for (; units->name; units++) {
		if (strcmp(units->name, name) == 0)
			return units;
	}
	return NULL;
}

/*
 * Number, optional fraction, optional unit, as PostgreSQL takes them. A value between two steps
 * of what is stored is refused rather than rounded: 0.1 ms must not become 0, which often means
 * for ever.
 */
static bool read_quantity(const char *text, const struct unit *units, int64_t factor,
						  int64_t *out)
{
	int64_t whole, fraction = 0, scale = 1;
	const struct unit *unit;

	if (!read_digits(&text, &whole))
		return false;
	if (*text == '.') {
		text++;
		if (!is_digit(*text))
			return false;
		for (; is_digit(*text); text++) {
			if (scale < 1000000000) {
				fraction = fraction * 10 + (*text - '0');
				scale *= 10;
			} else if (*text != '0') {
				return false;
			}
		}
	}
	while (*text == ' ')
		text++;
	if (*text) {
		unit = find_unit(units, text);
		if (!unit)
			return false;
		factor = unit->factor;
	}
	if (whole > INT64_MAX / 2 / factor || fraction * factor % scale)
		return false;
	*out = whole * factor + fraction * factor / scale;
	return true;
}

bool conf_read_time(const char *text, int64_t *ms)
{
	return read_quantity(text, time_units, 1000, ms);
}

static bool read_duration(const struct conf_setting *setting, const char *text, void *home,
						  struct buf *why)
{
	int64_t value;

	if (!read_quantity(text, time_units, setting->unit, &value)) {
		buf_appendf(why,
					"\"%s\" is not a time in whole milliseconds, as 500ms, 10s, 2min, 1h, "
					"1d or a number of %s",
					text, setting->unit == 1 ? "milliseconds" : "seconds");
		return false;
	}
	if (!is_bounded(setting, value, why))
		return false;
	memcpy(member(setting, home), &value, sizeof value);
	return true;
}

static bool read_size(const struct conf_setting *setting, const char *text, void *home,
					  struct buf *why)
{
	int64_t value;

	if (!read_quantity(text, size_units, 1, &value)) {
		buf_appendf(why, "\"%s\" is not a size, as 64kB, 16MB, 1GB or a number of bytes", text);
		return false;
	}
	if (!is_bounded(setting, value, why))
		return false;
	memcpy(member(setting, home), &value, sizeof value);
	return true;
}

static bool read_bool(const struct conf_setting *setting, const char *text, void *home,
					  struct buf *why)
{
	static const char *const words[] = {"no", "yes", "off", "on", "false", "true", "0", "1"};

	for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
		if (strcmp(words[i], text) == 0) {
			bool value = i % 2;

			memcpy(member(setting, home), &value, sizeof value);
			return true;
		}
	}
	buf_appendf(why, "\"%s\" is neither yes nor no", text);
	return false;
}

/* The index of a word of `len` bytes, or -1. */
static int find_word(const char *const *words, const char *text, size_t len)
{
	for (int i = 0; words[i]; i++) {
		if (strlen(words[i]) == len && memcmp(words[i], text, len) == 0)
			return i;
	}
	return -1;
}

static bool write_words(const char *const *words, struct buf *out)
{
	bool done = true;

	for (size_t i = 0; words[i]; i++)
		done = buf_appendf(out, "%s%s", i ? ", " : "", words[i]) && done;
	return done;
}

static void say_no_such_word(const struct conf_setting *setting, const char *text, size_t len,
							 struct buf *why)
{
	buf_appendf(why, "\"%.*s\" is not one of ", (int)len, text);
	write_words(setting->words, why);
}

static bool read_enum(const struct conf_setting *setting, const char *text, void *home,
					  struct buf *why)
{
	int value = find_word(setting->words, text, strlen(text));

	if (value < 0) {
		say_no_such_word(setting, text, strlen(text), why);
		return false;
	}
	_Static_assert(sizeof(enum conf_auth) == sizeof(int), "enums are stored as int");
	memcpy(member(setting, home), &value, sizeof value);
	return true;
}

/* One word of the list; false with the reason when it is unknown or there already. */
static bool add_selector(const struct conf_setting *setting, struct conf_listen *list,
						 const char *word, size_t len, struct buf *why)
{
	int value = find_word(setting->words, word, len);

	if (value < 0) {
		say_no_such_word(setting, word, len, why);
		return false;
	}
	for (size_t i = 0; i < list->selector_count; i++) {
		if ((int)list->selectors[i] == value) {
			buf_appendf(why, "\"%s\" stands there twice", setting->words[value]);
			return false;
		}
	}
	/* No more than there are words, since none may come twice. */
	_Static_assert(SELECT_TLS < CONF_SELECTORS_MAX, "every selector has a place");
	list->selectors[list->selector_count++] = (enum conf_selector)value;
	return true;
}

static bool read_selectors(const struct conf_setting *setting, const char *text, void *home,
						   struct buf *why)
{
	struct conf_listen list = {.selector_count = 0}, *listen = home;

	for (;;) {
		size_t len;

		text += strspn(text, " \t");
		len = strcspn(text, ", \t");
		if (!add_selector(setting, &list, text, len, why))
			return false;
		text += len;
		text += strspn(text, " \t");
		if (!*text)
			break;
		if (*text != ',') {
			buf_appendf(why, "words must be separated by commas");
			return false;
		}
		text++;
	}
	memcpy(listen->selectors, list.selectors, sizeof listen->selectors);
	listen->selector_count = list.selector_count;
	return true;
}

static bool keep_string(const struct conf_setting *setting, const char *text, void *home,
						struct buf *why)
{
	char *old = string_of(setting, home), *copy = strdup(text);

	if (!copy) {
		buf_appendf(why, "out of memory");
		return false;
	}
	if (setting->type == TYPE_SECRET)
		secret_free(old);
	else
		free(old);
	memcpy(member(setting, home), &copy, sizeof copy);
	return true;
}

static bool read_string(const struct conf_setting *setting, const char *text, void *home,
						struct buf *why)
{
	int64_t len = (int64_t)strlen(text);

	if (len < setting->min) {
		buf_appendf(why, "must not be empty");
		return false;
	}
	if (len > setting->max) {
		buf_appendf(why, "is longer than %" PRId64 " bytes", setting->max);
		return false;
	}
	return keep_string(setting, text, home, why);
}

/* What a slug, an id or a name may hold cannot separate it from another. */
static bool read_separator(const struct conf_setting *setting, const char *text, void *home,
						   struct buf *why)
{
	if (strlen(text) != 1 || !strchr(".:/@+%#!~|,;=^&*?", *text)) {
		buf_appendf(why,
					"\"%s\" is not one of the characters . : / @ + %% # ! ~ | , ; = "
					"^ & * ?",
					text);
		return false;
	}
	return keep_string(setting, text, home, why);
}

static bool has_control_character(const char *text, bool lines)
{
	for (; *text; text++) {
		if (lines && (*text == '\n' || *text == '\r'))
			continue;
		if (((unsigned char)*text < 0x20 && *text != '\t') || *text == 0x7f)
			return true;
	}
	return false;
}

bool conf_value_read(const struct conf_setting *setting, const char *text, void *home,
					 struct buf *why)
{
	if (!utf8_valid(text, strlen(text))) {
		buf_appendf(why, "is not valid UTF-8");
		return false;
	}
	if (has_control_character(text, setting->lines)) {
		buf_appendf(why, "holds a control character");
		return false;
	}
	switch (setting->type) {
	case TYPE_INT:
		return read_int(setting, text, home, why);
	case TYPE_MODE:
		return read_mode(setting, text, home, why);
	case TYPE_DURATION:
		return read_duration(setting, text, home, why);
	case TYPE_SIZE:
		return read_size(setting, text, home, why);
	case TYPE_BOOL:
		return read_bool(setting, text, home, why);
	case TYPE_ENUM:
		return read_enum(setting, text, home, why);
	case TYPE_STRING:
	case TYPE_SECRET:
		return read_string(setting, text, home, why);
	case TYPE_SEPARATOR:
		return read_separator(setting, text, home, why);
	case TYPE_SELECTORS:
		return read_selectors(setting, text, home, why);
	}
	return false;
}

static bool write_selectors(const struct conf_setting *setting,
							const struct conf_listen *listen, struct buf *out)
{
	bool done = true;

	for (size_t i = 0; i < listen->selector_count; i++)
		done = buf_appendf(out, "%s%s", i ? ", " : "", setting->words[listen->selectors[i]]) &&
			   done;
	return done;
}

bool conf_value_write(const struct conf_setting *setting, const void *home, struct buf *out)
{
	const char *text;
	bool value;

	switch (setting->type) {
	case TYPE_INT:
	case TYPE_MODE:
		return write_quantity(out, setting, int_of(setting, home));
	case TYPE_DURATION:
	case TYPE_SIZE:
		return write_quantity(out, setting, int64_of(setting, home));
	case TYPE_BOOL:
		memcpy(&value, const_member(setting, home), sizeof value);
		return buf_appendf(out, "%s", value ? "yes" : "no");
	case TYPE_ENUM:
		return buf_appendf(out, "%s", setting->words[int_of(setting, home)]);
	case TYPE_STRING:
	case TYPE_SEPARATOR:
		text = string_of(setting, home);
		return !text || buf_append(out, text, strlen(text));
	case TYPE_SELECTORS:
		return write_selectors(setting, home, out);
	case TYPE_SECRET:
		return !string_of(setting, home) || buf_appendf(out, "(set)");
	}
	return false;
}

bool conf_value_bounds(const struct conf_setting *setting, struct buf *out)
{
	switch (setting->type) {
	case TYPE_INT:
	case TYPE_MODE:
	case TYPE_DURATION:
	case TYPE_SIZE:
		return write_quantity(out, setting, setting->min) && buf_appendf(out, " .. ") &&
			   write_quantity(out, setting, setting->max);
	case TYPE_BOOL:
		return buf_appendf(out, "yes, no");
	case TYPE_ENUM:
	case TYPE_SELECTORS:
		return write_words(setting->words, out);
	case TYPE_SEPARATOR:
		return buf_appendf(out, "one character");
	case TYPE_STRING:
	case TYPE_SECRET:
		return buf_appendf(out, "up to %" PRId64 " bytes", setting->max);
	}
	return false;
}

void conf_values_free(enum conf_home home_kind, void *home)
{
	for (size_t i = 0; i < conf_setting_count; i++) {
		const struct conf_setting *setting = &conf_settings[i];

		if (conf_find_section(setting->section)->home != home_kind)
			continue;
		if (setting->type == TYPE_SECRET)
			secret_free(string_of(setting, home));
		else if (setting->type == TYPE_STRING || setting->type == TYPE_SEPARATOR)
			free(string_of(setting, home));
	}
}

/* The bytes of what is no string. */
static size_t size_of(const struct conf_setting *setting)
{
	switch (setting->type) {
	case TYPE_INT:
	case TYPE_MODE:
	case TYPE_ENUM:
		return sizeof(int);
	case TYPE_DURATION:
	case TYPE_SIZE:
		return sizeof(int64_t);
	case TYPE_BOOL:
		return sizeof(bool);
	case TYPE_SELECTORS:
	case TYPE_STRING:
	case TYPE_SEPARATOR:
	case TYPE_SECRET:
		break;
	}
	return 0;
}

static bool same_selectors(const struct conf_listen *a, const struct conf_listen *b)
{
	return a->selector_count == b->selector_count &&
		   memcmp(a->selectors, b->selectors, a->selector_count * sizeof *a->selectors) == 0;
}

static bool holds_text(const struct conf_setting *setting)
{
	return setting->type == TYPE_STRING || setting->type == TYPE_SEPARATOR ||
		   setting->type == TYPE_SECRET;
}

bool conf_value_equal(const struct conf_setting *setting, const void *a, const void *b)
{
	if (holds_text(setting)) {
		const char *left = string_of(setting, a), *right = string_of(setting, b);

		return left == right || (left && right && strcmp(left, right) == 0);
	}
	if (setting->type == TYPE_SELECTORS)
		return same_selectors(a, b);
	return memcmp(const_member(setting, a), const_member(setting, b), size_of(setting)) == 0;
}

static bool copy_text(const struct conf_setting *setting, const char *text, void *to)
{
	struct buf why;

	if (!text)
		return true;
	buf_init(&why);
	bool done = keep_string(setting, text, to, &why);
	buf_fini(&why);
	return done;
}

bool conf_value_copy(const struct conf_setting *setting, const void *from, void *to)
{
	if (holds_text(setting))
		return copy_text(setting, string_of(setting, from), to);
	if (setting->type == TYPE_SELECTORS) {
		const struct conf_listen *listen = from;
		struct conf_listen *copied = to;

		memcpy(copied->selectors, listen->selectors, sizeof copied->selectors);
		copied->selector_count = listen->selector_count;
	} else {
		memcpy(member(setting, to), const_member(setting, from), size_of(setting));
	}
	return true;
}
