/*
 * probes.h: /livez, /readyz and /metrics over HTTP, on a thread and listeners of their own.
 *
 * The thread does nothing else, so its answers wait for nobody: a control thread that is held
 *up by a name server does not make Kubernetes restart the pod. It speaks as much of HTTP/1.1
 *(RFC 9112) as probes need: GET and HEAD, one request on a connection, requests of 8 kB at the
 *most, which must be complete within some seconds. When there are too many connections the
 *oldest goes, so nobody holds descriptors that clients of the database need.
 *
 *	/livez    200 while the loop of every worker has turned within liveness_timeout, and that of
 *	          the control thread within six times as long; else 503
 *	/readyz   200 while clients are to be sent here; else 503. The body says why not
 *	/metrics  metrics.h; 503 when a worker does not say in time what it counts
 */
#ifndef ADMIN_PROBES_H
#define ADMIN_PROBES_H

#include "conf/conf.h"

struct directory;
struct live;
struct mailbox;
struct probes;

enum probes_stage { PROBES_STARTING, PROBES_SERVING, PROBES_STOPPING };

/* What is asked for answers. */
struct probes_setup {
	const struct conf *conf; /* only for the call */
	struct live *live;
	struct directory *directory;
	struct mailbox *control;
};

/* NULL, with the reason logged, when a listener cannot be had or memory is out. With no
 * listener in the settings it does nothing, and is no error. */
struct probes *probes_start(const struct probes_setup *setup);

/* From any thread: where the process is in its life. */
void probes_enter(struct probes *probes, enum probes_stage stage);

/* The settings of [probes] that a reload can change are these from now on; from any thread. */
void probes_reload(struct probes *probes, const struct conf *conf);

/*
 * Ends the thread and closes the listeners; after the workers have left struct live, and before
 * the control thread is stopped. probes_destroy frees the memory, after it: a letter may be on
 * its way there until then. NULL is fine.
 */
void probes_stop(struct probes *probes);
void probes_destroy(struct probes *probes);

#endif
