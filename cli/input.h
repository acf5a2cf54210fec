/*
 * input.h: what a command reads for a value that shall not stand on its command line, where all
 * users of the machine can read it, or is too long for that.
 */
#ifndef CLI_INPUT_H
#define CLI_INPUT_H

#include <stddef.h>

/*
 * A secret of up to `max` bytes: of a file that nobody else may read (secret_read_file), or,
 * for "-", what a pipe or file on standard input holds; an end of line at its end is cut off.
 * From malloc, to be given to secret_free. NULL with the reason in *why, a static text or one
 * that stays valid until the next call.
 */
char *input_secret(const char *file, size_t max, const char **why);

/* The same of any file, whole. */
char *input_text(const char *file, size_t max, const char **why);

/* What to call it in a message: "-" is standard input. */
const char *input_name(const char *file);

#endif
