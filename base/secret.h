/*
 * secret.h: handling of passwords and keys. Nothing here ever writes a secret to the log or
 * into an error text.
 */
#ifndef BASE_SECRET_H
#define BASE_SECRET_H

#include <stdbool.h>
#include <stddef.h>

/* Overwrites memory in a way that the compiler may not leave out. */
void secret_wipe(void *memory, size_t len);

/* Wipes and frees a NUL-terminated secret from malloc; NULL is fine. */
void secret_free(char *secret);

/* Compares without a branch on the content. */
bool secret_equal(const void *a, const void *b, size_t len);

/* Fills `out` from the kernel's generator; ends the process when it cannot, since nothing is
 * safe then. */
void secret_random(void *out, size_t len);

/* Draws a password of 24 letters, digits, + and /: 18 random bytes. From malloc; NULL when
 * memory is out. */
char *secret_draw_password(void);

/*
 * Reads a small secret file (a password: one line, its end of line cut off). Refuses a file
 * that group or others may read or write, is no regular file, or holds more than `limit` bytes;
 * one of root's that another user reads may be readable by a group.
 * Returns a string from malloc, to be given to secret_free, or NULL with the reason in *why (a
 * static text, or one that stays valid until the next call on this thread).
 */
char *secret_read_file(const char *path, size_t limit, const char **why);

/* Creates the file with mode 0600, written whole or not at all (through a temporary name and
 * rename). One that is replaced keeps its owner. */
bool secret_write_file(const char *path, const char *content, size_t len, const char **why);

#endif
