/*
 * job_wait.h: jobs that a command has queued, carried out by the command itself or waited for.
 */
#ifndef CLI_JOB_WAIT_H
#define CLI_JOB_WAIT_H

#include <stdbool.h>

#include <libpq-fe.h>

#include "cli/verbs.h"
#include "conf/conf.h"

/* The settings that --config names; *conf is NULL where it was not given. False, with what is
 * wrong printed, when they cannot be read. */
bool job_wait_load(const struct arguments *arguments, struct conf **conf);

enum job_wait_end {
	JOB_WAIT_DONE,
	JOB_WAIT_QUEUED, /* it will be carried out by somebody else, some time */
	JOB_WAIT_FAILED, /* for good; the reason has been printed */
};

/*
 * Carries out the unfinished job of a tenant, with pauses between attempts, or waits while
 * another runner does. With no settings (NULL), none that have an administrator for the job's
 * cluster, or no_wait, it stays queued, and a line on standard error says so.
 */
enum job_wait_end job_wait_for_tenant(PGconn *control, const struct conf *conf,
									  const char *tenant_id, bool no_wait);

/* The same for a job by its number. */
enum job_wait_end job_wait_for(PGconn *control, const struct conf *conf, const char *job,
							   bool no_wait);

/* Carries out all jobs that are due, on `cluster` or (NULL) on all, until none is; counts those
 * that were done and those that failed. False, with the reason printed, when the control
 * database went away. */
bool job_wait_for_all(PGconn *control, const struct conf *conf, const char *cluster,
					  size_t *done, size_t *failed);

#endif
