/*
 * parse_memory.h: libpg_query without memory; private to policy/parse*.c.
 *
 * The library ends the process when it gets none at some places, and trusts in it at others.
 * So its malloc is linked to one (the Makefile sees to that) that comes back with memory or not
 * at all: then it jumps to where parse_or_recover was called.
 */
#ifndef POLICY_PARSE_MEMORY_H
#define POLICY_PARSE_MEMORY_H

#include <stdbool.h>

/*
 * Calls `begin`, the library's, once in each thread, and so that it does not stop halfway.
 * False when there is no memory for that yet.
 */
bool parse_begin(void (*begin)(void));

/*
 * Calls work(data). False when memory ran out in it and it was left in the middle: then nothing
 * of the library's is to be used until its memory context has been left.
 */
bool parse_or_recover(void (*work)(void *), void *data);

#endif
