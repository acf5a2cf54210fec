#include "cli/supervise.h"

#include "base/clock.h"
#include "base/notify.h"
#include "router/live.h"

void watchdog_init(struct watchdog *watchdog)
{
	/* Twice in the time, as sd_watchdog_enabled(3) advises. */
	watchdog->period_us = notify_watchdog_us() / 2;
	watchdog->fed_us = 0;
}

void watchdog_feed(struct watchdog *watchdog, struct live *live)
{
	int64_t now_us = clock_monotonic_us();

	if (!watchdog->period_us || now_us - watchdog->fed_us < watchdog->period_us / 2)
		return;
	if (now_us - live_oldest_beat_us(live) > watchdog->period_us)
		return;
	watchdog->fed_us = now_us;
	notify_alive();
}

int64_t watchdog_sleep_ms(const struct watchdog *watchdog, int64_t wanted_ms)
{
	int64_t own_ms = watchdog->period_us / 2000;

	if (!watchdog->period_us)
		return wanted_ms;
	if (own_ms < 1)
		own_ms = 1;
	return wanted_ms && wanted_ms < own_ms ? wanted_ms : own_ms;
}
