/*
 * key_job.h: jobs that rotate what sensitive settings are sealed with (vault.h).
 *
 * A `rewrap` wraps every data key by the master key that the key file has first, a `rekey`
 * gives one tenant another data key and seals anew what it has, its history included. Both are
 * rows of bulkhead_control.job, and both go on where they were left when their runner ends:
 * what is done is told by the data themselves. Settings are read and set all the while; a value
 * that is set meanwhile is never overwritten.
 */
#ifndef ADMIN_KEY_JOB_H
#define ADMIN_KEY_JOB_H

#include <stdint.h>

#include "admin/job.h"

struct key_job_setup {
	const char *master_file; /* [admin] master_key_file; "" for none */
	int64_t lease_ms;
	const char *only; /* a job's number; NULL for any */
};

/*
 * Takes the next such job that is due and carries it out with the keys of the file, which is
 * read for it. JOB_NONE where there is none, or no file. Of the runner clusters and settings
 * are not looked at.
 */
enum job_outcome key_job_run_next(const struct job_runner *runner,
								  const struct key_job_setup *setup);

#endif
