/*
 * man_text.h: texts in the language of man pages (groff_man(7)), where a backslash, a dash and
 * a dot at the beginning of a line mean something.
 */
#ifndef CLI_MAN_TEXT_H
#define CLI_MAN_TEXT_H

#include <stddef.h>
#include <stdio.h>

/* Within a line. */
void man_text(FILE *out, const char *text);

/* A line of its own, or several where the text has so many. */
void man_line(FILE *out, const char *text);

/* The same, with the full stop that it lacks. */
void man_sentence(FILE *out, const char *text);

/* One line as it stands, without its end. */
void man_verbatim(FILE *out, const char *line, size_t len);

#endif
