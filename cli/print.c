#include "cli/print.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/utf8.h"

/* ---- text ---- */

/* The character that the `len` bytes of valid UTF-8 encode. */
static uint32_t decode(const char *text, size_t len)
{
	static const unsigned char first_bits[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
	uint32_t character = (unsigned char)text[0] & first_bits[len];

	for (size_t i = 1; i < len; i++)
		character = character << 6 | ((unsigned char)text[i] & 0x3f);
	return character;
}

/* Would a terminal obey it, or write something else than what stands there? */
static bool is_obeyed(uint32_t character)
{
	return character < 0x20 || (character >= 0x7f && character <= 0x9f) ||
		   character == 0x061c || character == 0x200e || character == 0x200f ||
		   (character >= 0x2028 && character <= 0x202e) ||
		   (character >= 0x2066 && character <= 0x2069);
}

int print_text(FILE *out, const char *text)
{
	size_t left = strlen(text), len;
	int shown = 0;

	for (; left > 0; text += len, left -= len) {
		char escape[8] = "";

		len = utf8_character(text, left);
		if (len == 0) {
			len = 1;
			snprintf(escape, sizeof escape, "\\x%02x", (unsigned char)*text);
		} else if (is_obeyed(decode(text, len))) {
			snprintf(escape, sizeof escape, "\\u%04x", decode(text, len) & 0xffff);
		}
		shown += *escape ? (int)strlen(escape) : 1;
		if (out && *escape)
			fputs(escape, out);
		else if (out)
			fwrite(text, 1, len, out);
	}
	return shown;
}

static void show_line(FILE *out, const char *format, va_list arguments)
{
	char *text = NULL;

	if (vasprintf(&text, format, arguments) < 0)
		text = NULL;
	print_text(out, text ? text : "out of memory");
	putc('\n', out);
	free(text);
}

void print_line(FILE *out, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	show_line(out, format, arguments);
	va_end(arguments);
}

void print_complaint(const char *format, ...)
{
	va_list arguments;

	fputs("bulkhead: ", stderr);
	va_start(arguments, format);
	show_line(stderr, format, arguments);
	va_end(arguments);
}

/* ---- JSON ---- */

/* Types of pg_catalog, whose numbers never change. */
enum { TYPE_BOOL = 16, TYPE_INT8 = 20, TYPE_INT2 = 21, TYPE_INT4 = 23, TYPE_JSON = 114 };

static json_t *json_cell(const PGresult *result, int row, int column)
{
	const char *text = PQgetvalue(result, row, column);

	if (PQgetisnull(result, row, column))
		return json_null();
	switch (PQftype(result, column)) {
	case TYPE_BOOL:
		return json_boolean(*text == 't');
	case TYPE_INT2:
	case TYPE_INT4:
	case TYPE_INT8:
		return json_integer(strtoll(text, NULL, 10));
	case TYPE_JSON:
		return json_loads(text, JSON_DECODE_ANY, NULL);
	default:
		return json_string(text);
	}
}

static bool add_row(json_t *rows, const PGresult *result, int row)
{
	json_t *object = json_object();
	bool whole = object != NULL;

	for (int column = 0; whole && column < PQnfields(result); column++)
		whole = json_object_set_new(object, PQfname(result, column),
									json_cell(result, row, column)) == 0;
	return json_array_append_new(rows, object) == 0 && whole;
}

static bool print_json(const PGresult *result)
{
	json_t *rows = json_array();
	bool whole = rows != NULL;

	for (int row = 0; whole && row < PQntuples(result); row++)
		whole = add_row(rows, result, row);
	if (whole && json_dumpf(rows, stdout, JSON_INDENT(2) | JSON_ENSURE_ASCII) != 0)
		whole = ferror(stdout) != 0; /* that is main's to say */
	if (!whole)
		print_complaint("out of memory");
	putchar('\n');
	json_decref(rows);
	return whole;
}

/* ---- tables ---- */

static int show_count(const struct print_table *table, int row, int column)
{
	int shown = table->show(NULL, table->of, row, column);

	return shown < 0 ? 0 : shown;
}

static void pad(int count)
{
	printf("%*s", count, "");
}

static int column_width(const struct print_table *table, int column)
{
	int width = 0;

	for (int row = -1; row < table->rows; row++) {
		int shown = show_count(table, row, column);

		width = shown > width ? shown : width;
	}
	return width;
}

/* The last column is not padded: no line ends in blanks. */
static void print_row(const struct print_table *table, int row, const int widths[])
{
	for (int column = 0; column < table->columns; column++) {
		int shown = table->show(stdout, table->of, row, column);

		if (column + 1 < table->columns)
			pad(widths[column] + 2 - (shown < 0 ? 0 : shown));
	}
	putchar('\n');
}

bool print_table(const struct print_table *table)
{
	int *widths = calloc((size_t)table->columns + 1, sizeof *widths);

	if (!widths) {
		print_complaint("out of memory");
		return false;
	}
	for (int column = 0; column < table->columns; column++)
		widths[column] = column_width(table, column);
	for (int row = -1; row < table->rows; row++)
		print_row(table, row, widths);
	free(widths);
	return true;
}

void print_table_fields(const struct print_table *table)
{
	int width = 0;

	for (int column = 0; column < table->columns; column++) {
		int shown = show_count(table, -1, column);

		width = shown > width ? shown : width;
	}
	for (int row = 0; row < table->rows; row++) {
		for (int column = 0; column < table->columns; column++) {
			if (table->show(NULL, table->of, row, column) < 0)
				continue;
			pad(width - show_count(table, -1, column));
			table->show(stdout, table->of, -1, column);
			fputs(": ", stdout);
			table->show(stdout, table->of, row, column);
			putchar('\n');
		}
	}
}

/* ---- rows of a database ---- */

/* An array's strings with commas between them. */
static int show_list(FILE *out, const json_t *list)
{
	json_t *element;
	size_t nth;
	int shown = 0;

	if (json_array_size(list) == 0)
		return print_text(out, "(none)");
	json_array_foreach(list, nth, element)
	{
		const char *word = json_string_value(element);

		shown += (nth > 0 ? print_text(out, ", ") : 0) + print_text(out, word ? word : "?");
	}
	return shown;
}

static int show_cell(FILE *out, const void *of, int row, int column)
{
	const PGresult *result = of;
	const char *text;
	json_t *list;
	int shown;

	if (row < 0)
		return print_text(out, PQfname(result, column));
	if (PQgetisnull(result, row, column))
		return -1;
	text = PQgetvalue(result, row, column);
	switch (PQftype(result, column)) {
	case TYPE_BOOL:
		return print_text(out, *text == 't' ? "yes" : "no");
	case TYPE_JSON:
		list = json_loads(text, 0, NULL);
		shown = json_is_array(list) ? show_list(out, list) : print_text(out, text);
		json_decref(list);
		return shown;
	default:
		return print_text(out, text);
	}
}

static struct print_table table_of(const PGresult *result)
{
	return (struct print_table){result, PQntuples(result), PQnfields(result), show_cell};
}

bool print_rows(const PGresult *result, bool json)
{
	struct print_table table = table_of(result);

	return json ? print_json(result) : print_table(&table);
}

bool print_fields(const PGresult *result, bool json)
{
	struct print_table table = table_of(result);

	if (json)
		return print_json(result);
	print_table_fields(&table);
	return true;
}
