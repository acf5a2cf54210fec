/*
 * supervise.h: the service manager's watchdog, fed by the main thread.
 *
 * It is fed only while the loops of all workers turn, so that a manager with WatchdogSec=
 * starts a process again that hangs, which it could not notice itself.
 */
#ifndef CLI_SUPERVISE_H
#define CLI_SUPERVISE_H

#include <stdint.h>

struct live;

struct watchdog {
	int64_t period_us; /* between two signs of life; 0: nobody waits for them */
	int64_t fed_us;
};

void watchdog_init(struct watchdog *watchdog);

/* Gives a sign of life when one is due. */
void watchdog_feed(struct watchdog *watchdog, struct live *live);

/* How long the caller may sleep, at the most `wanted_ms` (0: for ever), and be back in time. */
int64_t watchdog_sleep_ms(const struct watchdog *watchdog, int64_t wanted_ms);

#endif
