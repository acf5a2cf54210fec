/*
 * move.h: idle backends that go from one worker's pool to another's.
 *
 * A worker whose clients wait asks the others (crew.h); the one that can spare an idle backend
 * of the same route posts it. The connection and its places in the budgets go along; what the
 * backend keeps of its tenant, its settings and its statements does not: before it is used it
 * is discarded, as when it goes to another tenant.
 */
#ifndef PROXY_MOVE_H
#define PROXY_MOVE_H

#include <stddef.h>

struct server;
struct worker;

/* The backend, which is idle, goes to the worker with that number when this turn is over. */
void move_later(struct server *server, size_t number);

/* At the end of the turn: posts those that are to go. */
void move_all(struct worker *worker);

#endif
