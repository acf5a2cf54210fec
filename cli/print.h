/*
 * print.h: what subcommands say, and how they show rows, to people or to programs.
 *
 * People read a terminal, and names may hold anything that a database takes: characters that a
 * terminal would obey (control characters, also those above 0x7f, and those that turn the
 * direction of writing) are shown as \u009b, bytes that are no UTF-8 as \x9b. JSON is ASCII
 * alone, with everything else escaped.
 */
#ifndef CLI_PRINT_H
#define CLI_PRINT_H

#include <stdbool.h>
#include <stdio.h>

#include <libpq-fe.h>

/* One line, with such characters shown, also line breaks; `format` as printf's. */
void print_line(FILE *out, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* `bulkhead: ` and such a line, on standard error. */
void print_complaint(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The text with such characters shown, and no end of line; returns how many characters that
 * makes. Without `out` they are only counted. */
int print_text(FILE *out, const char *text);

/* Rows and columns of anything. */
struct print_table {
	const void *of;
	int rows, columns;
	/* Writes a cell and counts it as print_text does; row -1 are the columns' names. -1: there
	 * is nothing in it. */
	int (*show)(FILE *out, const void *of, int row, int column);
};

/* Under their columns' names. False, with the reason said, when memory is out. */
bool print_table(const struct print_table *table);

/* A line each for what is there, with its column's name. */
void print_table_fields(const struct print_table *table);

/*
 * Rows under their columns' names, or as a JSON array of objects. Integers, booleans and JSON
 * are such in JSON, all else is a string or null; people read yes and no, and an array's
 * elements with commas between them. False, with the reason said, when memory is out.
 */
bool print_rows(const PGresult *result, bool json);

/* The same for few rows with many columns: a line each for what is not NULL. */
bool print_fields(const PGresult *result, bool json);

#endif
