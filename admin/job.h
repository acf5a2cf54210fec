/*
 * job.h: jobs, which make, change and remove what a tenant has of its own on a cluster.
 *
 * A job is a row of bulkhead_control.job (admin/migrations/0015_job.sql), queued in the
 * transaction that creates a tenant, or begins to purge one. Whoever has a connection to the
 * control database as a member of bulkhead_admin, and settings with an admin_login for the
 * job's cluster, may carry it out: the commands of `bulkhead tenant` and `bulkhead job`, and a
 * thread of `bulkhead serve` (job_thread.h).
 *
 * Everything here blocks and uses libpq's own waiting. A job that is taken is held by a lease,
 * which is prolonged while the server works; a runner that is killed is followed by another
 * when its lease has run out, or at once where the job was returned.
 */
#ifndef ADMIN_JOB_H
#define ADMIN_JOB_H

#include <stdbool.h>

#include <libpq-fe.h>

#include "conf/conf.h"

enum job_outcome {
	JOB_NONE,    /* none is due */
	JOB_DONE,    /* one was carried out */
	JOB_LATER,   /* something that may pass was in the way: it is queued for later */
	JOB_FAILED,  /* for good; the row says why */
	JOB_LOST,    /* another runner has it, or it was ended meanwhile */
	JOB_STOPPED, /* the runner is stopping; the job was returned */
	JOB_BROKEN,  /* the control database does not answer: PQerrorMessage of `control` */
};

struct job_runner {
	const struct conf *conf;
	PGconn *control;     /* a member of bulkhead_admin; stays the caller's */
	const char *cluster; /* only this one's jobs; NULL for all that can be run */
	const char *name;    /* who this is, for people: `serve app-7 4711` */
	/* Is the runner to stop? Asked while it waits; NULL for never. */
	bool (*is_stopping)(void *arg);
	/* A step begins; NULL where nobody wants to know. */
	void (*on_step)(void *arg, const char *slug, const char *step);
	/* One that was taken has ended; NULL likewise. `error` is NULL where nothing went wrong. */
	void (*on_end)(void *arg, const char *job, const char *slug, enum job_outcome outcome,
				   const char *error);
	void *arg;
};

/* Takes the next job that is due, or `only` that one (its number; NULL for any), and carries it
 * out. */
enum job_outcome job_run_next(const struct job_runner *runner, const char *only);

/* Can jobs on this cluster be carried out with these settings? */
bool job_can_run(const struct conf *conf, const char *cluster);

/* Does a tenant of this strategy (SHARED_RLS …), with or without a dedicated login, need
 * something of its own to be made on this cluster? */
bool job_is_needed(const struct conf_cluster *cluster, const char *strategy,
				   bool dedicated_login);

#endif
