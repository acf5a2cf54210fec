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

/*
 * Rows under their columns' names, or as a JSON array of objects. Integers, booleans and JSON
 * are such in JSON, all else is a string or null; people read yes and no, and an array's
 * elements with commas between them. False, with the reason said, when memory is out.
 */
bool print_rows(const PGresult *result, bool json);

/* The same for few rows with many columns: a line each for what is not NULL. */
bool print_fields(const PGresult *result, bool json);

#endif
