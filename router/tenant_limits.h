/*
 * tenant_limits.h: a tenant's limits, between the control database, the directory and its
 * snapshot.
 *
 * Both write them as one JSON object with the limits that are set, by their keys without
 * `proxy.` (admin/migrations/0029_limits.sql):
 *
 *	{"max_connections": 10, "statement_timeout": 5000}
 *
 * Times are in milliseconds. Keys that this program does not know are passed over, and a number
 * that is out of bounds is taken for the bound.
 */
#ifndef ROUTER_TENANT_LIMITS_H
#define ROUTER_TENANT_LIMITS_H

#include <stdbool.h>

#include <jansson.h>

#include "router/directory.h"

/* Reads the object into *out; NULL has no limits. False when it is no such object. */
bool tenant_limits_read(const json_t *value, struct tenant_limits *out);

/* A new reference, or NULL when memory is out. */
json_t *tenant_limits_write(const struct tenant_limits *limits);

#endif
