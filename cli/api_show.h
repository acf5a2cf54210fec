/*
 * api_show.h: what the API answered, for people or for programs.
 */
#ifndef CLI_API_SHOW_H
#define CLI_API_SHOW_H

#include <stdbool.h>

#include <jansson.h>

/*
 * Programs get the JSON, `null` for an answer without any. People get a table of the `items`
 * that a list has, or a line for each member of an object, with tables of what is a list of
 * objects in it behind. `columns` as in struct api_verb. False, with the reason said, when
 * memory is out.
 */
bool api_show(const json_t *answer, const char *columns, bool json);

/* One value in a line, for people: as a cell of a table. Counts as print_text does. */
int api_show_value(FILE *out, const json_t *value);

#endif
