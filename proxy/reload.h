/*
 * reload.h: other settings, keys and certificates for a worker that runs.
 *
 * A conf, a key ring and a struct tls never change; a reload gives the worker the next ones, by
 * a letter, and takes the old ones from it. What clients, listeners and pools keep of the old
 * conf is moved to the same place of the new one, so both must have the same listeners and
 * clusters in the same order, as conf_merge makes them.
 *
 * Limits of clients bind those who come next. Timeouts count by the new value, also for what
 * began before. Backends that are too many are closed, idle ones at once and the others when
 * they are free. New connections to a server use the new password. Where the new key ring is
 * bound to one tenant, sessions of all others end.
 */
#ifndef PROXY_RELOAD_H
#define PROXY_RELOAD_H

#include "conf/conf.h"
#include "policy/guard/guard.h"

struct tls;
struct worker;

/*
 * From any other thread than the worker's, while it runs: returns when the worker uses all,
 * and nothing of what it had before, which the caller may then free.
 */
void worker_reload(struct worker *worker, const struct conf *conf,
				   const struct guard_keyring *keyring, const struct tls *tls);

#endif
