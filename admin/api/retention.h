/*
 * retention.h: removes audit records that are older than [admin] audit_retention, once a day.
 *
 * Which ones may go the database decides (bulkhead_control.audit_prune): from the old end, up
 * to the first that a hold is on, and none that is younger than a day. Several processes may do
 * it.
 */
#ifndef ADMIN_API_RETENTION_H
#define ADMIN_API_RETENTION_H

struct api;
struct retention;

/* NULL when memory is out. Belongs to the API's thread. */
struct retention *retention_create(struct api *api);

/* When the stores are gone. NULL is fine. */
void retention_destroy(struct retention *retention);

/* To be called every minute or so; it knows itself when it is time. */
void retention_tick(struct retention *retention);

#endif
