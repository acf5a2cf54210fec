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

#include "admin/job.h"

/*
 * Takes the next such job that is due, or `only` that one (its number; NULL for any), and
 * carries it out with the keys of [admin] master_key_file, which is read for it. JOB_NONE where
 * there is no file.
 */
enum job_outcome key_job_run_next(const struct job_runner *runner, const char *only);

#endif
