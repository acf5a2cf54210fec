/*
 * accept.h: which form of the metrics a client wants.
 */
#ifndef ADMIN_ACCEPT_H
#define ADMIN_ACCEPT_H

#include <stdbool.h>

/*
 * Does this value of Accept (RFC 9110, section 12.5.1) ask for OpenMetrics 1.0 rather than for
 * Prometheus' text format 0.0.4? Only where it names it, with a weight that is no smaller. What
 * is malformed is passed over.
 */
bool accept_prefers_openmetrics(const char *accept);

#endif
