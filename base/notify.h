/*
 * notify.h: what a service manager is told: systemd's protocol (sd_notify(3)), a datagram of
 * lines to the unix socket that NOTIFY_SOCKET names. Without that variable nothing happens.
 */
#ifndef BASE_NOTIFY_H
#define BASE_NOTIFY_H

#include <stdint.h>

void notify_ready(void);
void notify_reloading(void); /* to be followed by notify_ready */
void notify_stopping(void);

/* How often it wants to hear that we live, in microseconds (WATCHDOG_USEC, for this process);
 * 0: never. */
int64_t notify_watchdog_us(void);
void notify_alive(void);

#endif
