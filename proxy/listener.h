/*
 * listener.h: the sockets that clients connect to.
 */
#ifndef PROXY_LISTENER_H
#define PROXY_LISTENER_H

#include <stdbool.h>
#include <stdint.h>

#include "conf/conf.h"

struct worker;

/*
 * Opens every address of a [listen:NAME] section on this worker's loop, or takes in their place
 * the sockets of that name that were opened for the process (base/activation.h). False, with
 * the reason logged, when one of them cannot be had.
 */
bool listener_open(struct worker *worker, const struct conf_listen *section);

/*
 * Another process is to have those who connect from now on (`reuse_port`). Returns for how many
 * microseconds those that have begun to connect are still to be accepted and served, before
 * listener_close_all; 0 where nobody else is to have them.
 */
int64_t listener_retire(struct worker *worker);

/* Stops accepting, closes the sockets and removes unix socket files. */
void listener_close_all(struct worker *worker);

/* Takes the connections that the kernel has made for the worker already, before the end. */
void listener_accept_rest(struct worker *worker);

/*
 * The worker's listeners belong to the same sections of other settings from now on: `sections`
 * in the place of `old`. Backlog and the unix socket's mode are set where they differ.
 */
void listener_take_settings(struct worker *worker, const struct conf_listen *old,
							const struct conf_listen *sections);

/* Accepts again after a pause that a lack of descriptors made necessary. */
void listener_tick(struct worker *worker);

#endif
