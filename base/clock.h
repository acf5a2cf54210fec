/*
 * clock.h: two clocks. Intervals are measured on the monotonic one, in microseconds; what
 * leaves the process (log lines, the guard's expiry) is wall time since the Unix epoch, in
 * milliseconds.
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

int64_t clock_monotonic_us(void);
int64_t clock_wall_ms(void);

#endif
