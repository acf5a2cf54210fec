/* outline_internal.h: how an outline grows; for outline.c and outline_scan.c. */
#ifndef CLI_OUTLINE_INTERNAL_H
#define CLI_OUTLINE_INTERNAL_H

#include "cli/outline.h"

/* The verb of these words, which is made when it is not there. NULL when memory is out. */
struct outline_verb *outline_verb(struct outline *outline, const char *first,
								  const char *second);

/* Adds it, if there is none of this name yet; texts that are there stay. False when memory is
 * out. */
bool outline_add_option(struct outline_verb *verb, const char *name, const char *value,
						const char *doc);

/* Takes what a usage text says of its command. */
bool outline_scan(struct outline *outline, const char *usage);

#endif
