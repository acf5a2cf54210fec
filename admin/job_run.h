/*
 * job_run.h: a job that is being carried out, for admin/job*.c, provision*.c and purge.c.
 *
 * A step is a function that returns true when what it stands for is so, however often it was
 * begun before. One that returns false has said why with job_fail or has let job_ask and job_do
 * say it.
 */
#ifndef ADMIN_JOB_RUN_H
#define ADMIN_JOB_RUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <libpq-fe.h>

#include "admin/job.h"
#include "base/buf.h"
#include "base/uuid.h"
#include "conf/conf.h"
#include "policy/guard/guard.h"
#include "policy/guard/own_login.h"

enum job_kind { JOB_PROVISION, JOB_PURGE, JOB_ROTATE };
enum job_strategy { JOB_SHARED, JOB_SCHEMA, JOB_DATABASE };

enum job_state {
	JOB_RUNNING,
	JOB_HINDERED,  /* by something that may pass */
	JOB_REFUSED,   /* by something that will not */
	JOB_TAKEN,     /* somebody else has the job */
	JOB_CUT,       /* the runner is stopping */
	JOB_UNCONTROL, /* the control database does not answer */
};

struct job_run {
	const struct job_runner *runner;
	const struct conf_cluster *cluster;
	struct guard_keyring *secret; /* NULL: logins have no passwords */

	/* The row, and its tenant's. */
	char id[24], attempt[16];
	enum job_kind kind;
	enum job_strategy strategy;
	bool again;  /* it had failed: what it made is made anew */
	bool is_own; /* the tenant has a login of its own */
	int failures;
	char *slug, *key; /* key NULL: none */
	char *step;       /* NULL: none was begun */
	struct uuid tenant;
	char tenant_text[UUID_TEXT_SIZE], own[OWN_NAME_SIZE];

	PGconn *admin; /* to the cluster's database; holds the tenant's lock */
	int64_t renewed_ms;
	enum job_state state;
	char sqlstate[6]; /* of the last statement that failed */
	struct buf error;
};

/* False; the message replaces what was said before. Where the state is still JOB_RUNNING it
 * becomes JOB_REFUSED, or JOB_HINDERED where it may pass. */
bool job_fail(struct job_run *run, bool may_pass, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Runs one statement with text parameters (NULL for SQL NULL), and waits for it with the lease
 * prolonged. NULL when it failed. */
PGresult *job_ask(struct job_run *run, PGconn *connection, const char *sql, int count,
				  const char *const values[]);

/* The same without rows or parameters, for several statements too. */
bool job_do(struct job_run *run, PGconn *connection, const char *sql);

/* The same for a statement whose `format` has %s where each identifier stands, in order, at
 * most four; NULL ends them. */
bool job_do_named(struct job_run *run, PGconn *connection, const char *format,
				  const char *first, ...) __attribute__((sentinel));

/* Is the one field of the one row true? *answer is set only where true is returned. */
bool job_ask_bool(struct job_run *run, PGconn *connection, const char *sql, int count,
				  const char *const values[], bool *answer);

struct job_setting {
	const char *name, *value; /* bulkhead.NAME, in the transaction */
};

/* Runs scripts one behind the other in one transaction, with settings for them; nothing of it
 * is logged by the server, where the administrator may say so. */
bool job_run_scripts(struct job_run *run, PGconn *connection,
					 const struct job_setting settings[], size_t setting_count,
					 const char *const scripts[], size_t script_count);

/* A connection of the administrator's to another database of the cluster. NULL when it failed.
 */
PGconn *job_connect(struct job_run *run, const char *database);

/*
 * Prolongs the lease, and writes down the step that begins (NULL: none does). False, with the
 * state saying why, when the job is not this run's any more or nobody answers.
 */
bool job_hold(struct job_run *run, const char *step);

/* For tests: the process ends by itself when it comes to a step (JOB_TEST_KILL is `schema`), or
 * behind it (`schema+`: the mark is "+"). */
void job_test_kill(const char *step, const char *mark);

struct job_step {
	const char *name;
	bool (*run)(struct job_run *run);
};

/* Ended by one without a name. */
const struct job_step *provision_steps(const struct job_run *run);
const struct job_step *purge_steps(const struct job_run *run);
const struct job_step *rotate_steps(const struct job_run *run);

/* The role with its password, as the first step of provisioning and all of rotating. */
bool provision_role(struct job_run *run);

/* provision_probe.c: is it as it must be, for the tenant and for strangers? */
bool provision_probe(struct job_run *run);

#endif
