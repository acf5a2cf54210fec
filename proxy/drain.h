/*
 * drain.h: a worker's way to its end that breaks nothing off.
 *
 * After drain_delay, in which all goes on as before, the listeners are closed: the kernel
 * refuses further connections, and a libpq that knows another host tries that. Who has not
 * logged in yet is told 57P03, which makes libpq do the same. From then on
 *
 *	- a session with nothing under way ends with 57P01 and REASON_DRAINED, at once or as soon as
 *	  its transaction is over, also one that keeps its backend. That reason promises that
 *nothing was carried out of what came after the last ReadyForQuery. A statement that has
 *already arrived when it is to be said is carried out first;
 *	- so does a session on the console, between two commands;
 *	- a transaction, one that only Bulkhead has begun, a batch up to its Sync, and whoever waits
 *	  for a backend go on;
 *	- after drain_timeout, which counts from the beginning, all that is left ends with 57P01 and
 *	  REASON_SHUTDOWN, and its statements are cancelled (worker_stop).
 *
 * Where another process listens on the same addresses (`reuse_port`), it has all those who
 * connect from now on: the listeners are closed after 0.2 seconds, and the rest begins a second
 * later at the earliest, so that whoever was accepted here is served.
 *
 * The workers leave their loops together, when none has a client left, nor can get one: until
 *then probes and the console ask all of them, and backends go from one to another.
 */
#ifndef PROXY_DRAIN_H
#define PROXY_DRAIN_H

#include <stdbool.h>
#include <stdint.h>

#include <event2/event_struct.h>

#include "base/list.h"
#include "base/mailbox.h"

struct client;
struct server;
struct worker;

/* How a drain went. Sessions that are in none of the last three left by themselves. */
struct drain_outcome {
	size_t sessions; /* that there were when the listeners were closed */
	size_t idle;     /* told to go at once */
	size_t finished; /* told when what was under way had ended */
	size_t cut;      /* broken off */
};

struct drain {
	enum {
		DRAIN_OFF,
		DRAIN_DELAY, /* was asked for, and all goes on */
		DRAIN_ON,
	} state;
	struct letter letter;
	int64_t delay_us, timeout_us;
	int64_t retire_us; /* when the listeners are closed, where another process has others */
	int64_t asked_us, closed_us;
	size_t sessions, idle; /* for drain_add_outcome */
	bool done;             /* no client is left, nor can come */
	struct list parting;   /* clients that may have nothing under way, by their `queue` */
	struct event ripe;     /* looks at them when the turn is over */
};

void drain_init(struct worker *worker);
void drain_fini(struct worker *worker);

/* From any thread, once, while the worker runs. */
void drain_begin(struct worker *worker, int64_t delay_ms, int64_t timeout_ms);

/* Is no login to be begun any more? */
bool drain_is_on(const struct worker *worker);

/* The client has come to the end of something: it is looked at when this turn is over. Only
 * when drain_is_on. */
void drain_look_later(struct client *client);

void drain_tick(struct worker *worker, int64_t now_us);

/* Adds what became of the worker's sessions. When its thread has ended. */
void drain_add_outcome(const struct worker *worker, struct drain_outcome *sum);

#endif
