/*
 * timeouts.h: everything that takes too long, found out at the worker's tick.
 *
 * Nothing on the path of a statement reads the clock for this: at each tick the linked backends
 * are looked at, and what has not changed since an earlier tick has lasted at least the time
 * between the two. A limit is thus never enforced early, and late by two ticks at most. Where a
 * tenant's statements may take less than a second, backends are looked at ten times as often,
 * while such a tenant has some.
 */
#ifndef PROXY_TIMEOUTS_H
#define PROXY_TIMEOUTS_H

#include <stdint.h>

struct worker;

#define TICK_US   100000
#define CLOSER_US 10000

/* Ends logins, waits, statements, transactions and idle clients that are over their limits. */
void timeouts_tick(struct worker *worker, int64_t now_us);

/* The descriptor that is readable when they are to be looked at in between; -1: there is none.
 */
int timeouts_open_closer(void);
void timeouts_look_closer(struct worker *worker, int64_t now_us);

/* Where there was no client_idle_timeout and is one now: counts those who are idle from now on.
 */
void timeouts_begin_idle(struct worker *worker, int64_t now_us);

#endif
