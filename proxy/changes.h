/*
 * changes.h: what a change of a tenant or principal means for the sessions that are open.
 *
 * A session goes on as long as it could be begun now: its tenant is active and lives where it
 * did, its principal may log in with the password that was given and reaches the tenant. One
 * that could not is ended at once, with 57P01 and the reason; a statement that runs is
 * cancelled. The rules are those of the login (login.c).
 */
#ifndef PROXY_CHANGES_H
#define PROXY_CHANGES_H

#include <stdint.h>

struct directory_change;
struct worker;

/* A directory_watcher; `self` is the worker, on its thread. */
void changes_apply(void *self, const struct directory_change *change);

/* Ends the sessions of principals whose time is over, which nobody announces. At each tick. */
void changes_tick(struct worker *worker, int64_t now_us);

#endif
