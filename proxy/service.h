/*
 * service.h: clusters that the control database takes out of service (status `down`).
 *
 * Logins of their tenants are refused, sessions end with 57P01 and what is under way in them is
 * cancelled, and backends are closed: within a tick of the directory's hearing of it.
 */
#ifndef PROXY_SERVICE_H
#define PROXY_SERVICE_H

#include <stdbool.h>

struct server;
struct tenant;
struct worker;

/* Is the tenant's cluster in service? */
bool service_is_on(struct worker *worker, const struct tenant *tenant);

/* The backend has been on its way meanwhile. */
void service_look(struct server *server);

void service_tick(struct worker *worker);

#endif
