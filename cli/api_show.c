#include "cli/api_show.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/print.h"

#define COLUMNS_MAX 40

struct column {
	char title[64];
	char member[64]; /* with dots where it is within another */
};

/* Rows that are objects, or one. */
struct view {
	const json_t *rows; /* an array, or the object itself */
	struct column columns[COLUMNS_MAX];
	int count;
};

/* ---- values ---- */

static int show_dump(FILE *out, const json_t *value)
{
	char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
	int shown = print_text(out, text ? text : "?");

	free(text);
	return shown;
}

static bool is_scalar(const json_t *value)
{
	return !json_is_object(value) && !json_is_array(value);
}

static bool is_list_of_scalars(const json_t *value)
{
	const json_t *element;
	size_t nth;

	json_array_foreach(value, nth, element)
	{
		if (!is_scalar(element))
			return false;
	}
	return json_is_array(value);
}

static int show_list(FILE *out, const json_t *list)
{
	const json_t *element;
	size_t nth;
	int shown = 0;

	if (json_array_size(list) == 0)
		return print_text(out, "(none)");
	json_array_foreach(list, nth, element) shown +=
		(nth > 0 ? print_text(out, ", ") : 0) + api_show_value(out, element);
	return shown;
}

int api_show_value(FILE *out, const json_t *value)
{
	if (json_is_string(value))
		return print_text(out, json_string_value(value));
	if (json_is_boolean(value))
		return print_text(out, json_is_true(value) ? "yes" : "no");
	return is_list_of_scalars(value) ? show_list(out, value) : show_dump(out, value);
}

/* ---- columns ---- */

static bool add_column(struct view *view, const char *title, size_t title_len,
					   const char *member, size_t member_len)
{
	struct column *column = &view->columns[view->count];

	if (view->count == COLUMNS_MAX)
		return false;
	snprintf(column->title, sizeof column->title, "%.*s", (int)title_len, title);
	snprintf(column->member, sizeof column->member, "%.*s", (int)member_len, member);
	view->count++;
	return true;
}

/* title=member, or a member that is its own title. */
static void read_columns(struct view *view, const char *columns)
{
	for (const char *at = columns + strspn(columns, " "); *at; at += strspn(at, " ")) {
		size_t len = strcspn(at, " "), title = strcspn(at, "= ");

		if (title < len)
			add_column(view, at, title, at + title + 1, len - title - 1);
		else
			add_column(view, at, len, at, len);
		at += len;
	}
}

static bool has_column(const struct view *view, const char *member)
{
	for (int i = 0; i < view->count; i++) {
		if (strcmp(view->columns[i].member, member) == 0)
			return true;
	}
	return false;
}

/* The members that a line has room for. */
static void find_columns(struct view *view, const json_t *row)
{
	const char *name;
	json_t *member;

	json_object_foreach((json_t *)row, name, member)
	{
		if ((is_scalar(member) || is_list_of_scalars(member)) && !has_column(view, name))
			add_column(view, name, strlen(name), name, strlen(name));
	}
}

static void set_columns(struct view *view, const char *columns)
{
	const json_t *row;
	size_t nth;

	if (columns)
		read_columns(view, columns);
	else if (json_is_object(view->rows))
		find_columns(view, view->rows);
	json_array_foreach(view->rows, nth, row)
	{
		if (!columns)
			find_columns(view, row);
	}
}

static const json_t *member_of(const json_t *row, const char *path)
{
	char name[sizeof((struct column *)0)->member];

	for (const char *at = path; row && *at;) {
		size_t len = strcspn(at, ".");

		snprintf(name, sizeof name, "%.*s", (int)len, at);
		row = json_object_get(row, name);
		at += len + (at[len] == '.');
	}
	return row;
}

static int show_cell(FILE *out, const void *of, int row, int column)
{
	const struct view *view = of;
	const json_t *object =
		json_is_array(view->rows) ? json_array_get(view->rows, (size_t)row) : view->rows;
	const json_t *value;

	if (row < 0)
		return print_text(out, view->columns[column].title);
	value = member_of(object, view->columns[column].member);
	return !value || json_is_null(value) ? -1 : api_show_value(out, value);
}

/* ---- answers ---- */

static bool show_rows(const json_t *rows, const char *columns)
{
	struct view view = {.rows = rows};

	set_columns(&view, columns);
	if (view.count == 0)
		puts("(none)");
	return view.count == 0 || print_table(&(struct print_table){
								  &view, (int)json_array_size(rows), view.count, show_cell});
}

/* A list of which there may be more than it has. */
static bool show_list_of(const json_t *list, const char *columns)
{
	const json_t *items = json_object_get(list, "items");
	json_int_t more =
		json_integer_value(json_object_get(list, "count")) - (json_int_t)json_array_size(items);
	bool whole = show_rows(items, columns);

	if (more > 0)
		printf("and %" JSON_INTEGER_FORMAT " more\n", more);
	return whole;
}

/* What is in an object and no line of it: lists of objects, and objects. */
static bool show_inner(const json_t *object)
{
	const char *name;
	json_t *member;
	bool whole = true;

	json_object_foreach((json_t *)object, name, member)
	{
		if (is_scalar(member) || is_list_of_scalars(member))
			continue;
		putchar('\n');
		print_line(stdout, "%s:", name);
		whole = whole && api_show(member, NULL, false);
	}
	return whole;
}

static bool show_object(const json_t *object, const char *columns)
{
	struct view view = {.rows = object};

	set_columns(&view, columns);
	print_table_fields(&(struct print_table){&view, 1, view.count, show_cell});
	return columns || show_inner(object);
}

static bool dump(const json_t *answer)
{
	bool whole = true;

	if (!answer)
		fputs("null", stdout);
	else if (json_dumpf(answer, stdout, JSON_INDENT(2) | JSON_ENSURE_ASCII | JSON_ENCODE_ANY) !=
			 0)
		whole = ferror(stdout) != 0; /* that is main's to say */
	if (!whole)
		print_complaint("out of memory");
	putchar('\n');
	return whole;
}

bool api_show(const json_t *answer, const char *columns, bool json)
{
	const json_t *items = json_object_get(answer, "items");

	if (json)
		return dump(answer);
	if (!answer)
		return true;
	if (json_is_array(items))
		return show_list_of(answer, columns);
	if (json_is_array(answer) && !is_list_of_scalars(answer))
		return show_rows(answer, columns);
	if (json_is_object(answer))
		return show_object(answer, columns);
	api_show_value(stdout, answer);
	putchar('\n');
	return true;
}
