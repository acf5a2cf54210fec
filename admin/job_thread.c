#include "admin/job_thread.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <libpq-fe.h>

#include "admin/job.h"
#include "admin/key_job.h"
#include "base/log.h"

#define LOOK_S  1 /* how often it is looked whether a job is due */
#define AGAIN_S 5 /* pause after the control database did not answer */

struct job_thread {
	job_thread_loader load;
	void *arg;
	struct conf *conf;
	PGconn *control;
	bool is_away; /* the control database does not answer, and that was logged */
	char name[96];
	atomic_bool stopping, reloading;
	atomic_bool loaded; /* there are settings */
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	pthread_t thread;
};

/* ---- the control database ---- */

static bool has_work(const struct conf *conf)
{
	bool has = conf && *conf->admin_master_key_file;

	for (size_t i = 0; conf && i < conf->cluster_count; i++)
		has = has || *conf->clusters[i].admin_login;
	return has && *conf->control_admin_dsn;
}

static void disconnect(struct job_thread *thread)
{
	PQfinish(thread->control);
	thread->control = NULL;
}

static bool connect_control(struct job_thread *thread)
{
	static const char sql[] = "SET search_path = pg_catalog; SET client_encoding = 'UTF8'";
	const char *password = thread->conf->control_admin_password;
	const char *const names[] = {"connect_timeout", "fallback_application_name", "dbname",
								 password ? "password" : NULL, NULL};
	const char *const values[] = {"10", "bulkhead job", thread->conf->control_admin_dsn,
								  password, NULL};
	PGresult *result;
	bool set;

	thread->control = PQconnectdbParams(names, values, 1);
	result = PQexec(thread->control, sql);
	set = PQresultStatus(result) == PGRES_COMMAND_OK;
	PQclear(result);
	if (!set && !thread->is_away) {
		const char *why = PQerrorMessage(thread->control);

		log_message(LOG_WARNING, "job.control", "%.*s", (int)strcspn(why, "\n"), why);
	}
	thread->is_away = !set;
	if (!set)
		disconnect(thread);
	return set;
}

/* ---- jobs ---- */

static bool is_stopping(void *arg)
{
	return atomic_load(&((struct job_thread *)arg)->stopping);
}

static const char *const outcome_words[] = {
	[JOB_NONE] = "none",     [JOB_DONE] = "done", [JOB_LATER] = "later",
	[JOB_FAILED] = "failed", [JOB_LOST] = "lost", [JOB_STOPPED] = "given back",
	[JOB_BROKEN] = "broken",
};

static void log_end(void *arg, const char *job, const char *slug, enum job_outcome outcome,
					const char *error)
{
	(void)arg;
	log_event(outcome == JOB_FAILED ? LOG_ERROR : LOG_INFO, "job.ended", "job", job, "tenant",
			  slug, "outcome", outcome_words[outcome], "error", error, NULL);
}

static void log_step(void *arg, const char *slug, const char *step)
{
	(void)arg;
	log_event(LOG_DEBUG, "job.step", "tenant", slug, "step", step, NULL);
}

/* The next that is due, of those on clusters and of those that rotate keys. */
static enum job_outcome run_next(const struct job_runner *runner)
{
	const struct key_job_setup keys = {.master_file = runner->conf->admin_master_key_file,
									   .lease_ms = runner->conf->job_lease_ms};
	enum job_outcome outcome = job_run_next(runner, NULL);

	return outcome == JOB_NONE ? key_job_run_next(runner, &keys) : outcome;
}

/* Carries out what is due; returns after how many seconds to look again. */
static int work(struct job_thread *thread)
{
	const struct job_runner runner = {.conf = thread->conf,
									  .control = thread->control,
									  .name = thread->name,
									  .is_stopping = is_stopping,
									  .on_step = log_step,
									  .on_end = log_end,
									  .arg = thread};

	while (!is_stopping(thread) && !atomic_load(&thread->reloading)) {
		switch (run_next(&runner)) {
		case JOB_NONE:
		case JOB_STOPPED:
			return LOOK_S;
		case JOB_BROKEN:
			disconnect(thread);
			return AGAIN_S;
		case JOB_DONE:
		case JOB_LATER:
		case JOB_FAILED:
		case JOB_LOST:
			break;
		}
	}
	return 0;
}

/* ---- the thread ---- */

static void take_settings(struct job_thread *thread)
{
	struct conf *conf = thread->load(thread->arg);

	if (!conf)
		return;
	disconnect(thread);
	conf_destroy(thread->conf);
	thread->conf = conf;
	atomic_store(&thread->loaded, true);
}

/* Until the time is over, or somebody wants something. */
static void rest(struct job_thread *thread, int seconds)
{
	struct timespec end;

	clock_gettime(CLOCK_REALTIME, &end);
	end.tv_sec += seconds;
	pthread_mutex_lock(&thread->mutex);
	while (!atomic_load(&thread->stopping) && !atomic_load(&thread->reloading) &&
		   pthread_cond_timedwait(&thread->changed, &thread->mutex, &end) == 0)
		;
	pthread_mutex_unlock(&thread->mutex);
}

static void *run(void *arg)
{
	struct job_thread *thread = arg;

	pthread_setname_np(pthread_self(), "jobs");
	while (!is_stopping(thread)) {
		int pause = LOOK_S;

		if (atomic_exchange(&thread->reloading, false))
			take_settings(thread);
		if (!has_work(thread->conf))
			pause = AGAIN_S;
		else if (thread->control || connect_control(thread))
			pause = work(thread);
		else
			pause = AGAIN_S;
		if (pause)
			rest(thread, pause);
	}
	disconnect(thread);
	return NULL;
}

static void wake(struct job_thread *thread, atomic_bool *flag)
{
	pthread_mutex_lock(&thread->mutex);
	atomic_store(flag, true);
	pthread_cond_signal(&thread->changed);
	pthread_mutex_unlock(&thread->mutex);
}

static void thread_free(struct job_thread *thread)
{
	conf_destroy(thread->conf);
	pthread_cond_destroy(&thread->changed);
	pthread_mutex_destroy(&thread->mutex);
	free(thread);
}

struct job_thread *job_thread_start(const struct conf *conf, job_thread_loader load, void *arg)
{
	struct job_thread *thread = calloc(1, sizeof *thread);
	char host[64] = "";
	sigset_t all, before;
	int error;

	if (!thread)
		return NULL;
	thread->load = load;
	thread->arg = arg;
	atomic_init(&thread->stopping, false);
	atomic_init(&thread->loaded, false);
	atomic_init(&thread->reloading, has_work(conf));
	pthread_mutex_init(&thread->mutex, NULL);
	pthread_cond_init(&thread->changed, NULL);
	gethostname(host, sizeof host - 1);
	snprintf(thread->name, sizeof thread->name, "serve %s %d", host, (int)getpid());

	/* Signals are the main thread's: this one is started with all of them blocked. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	error = pthread_create(&thread->thread, NULL, run, thread);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (!error)
		return thread;
	log_event(LOG_ERROR, "job.thread", "error", strerror(error), NULL);
	thread_free(thread);
	return NULL;
}

void job_thread_reload(struct job_thread *thread, const struct conf *conf)
{
	if (thread && (has_work(conf) || atomic_load(&thread->loaded)))
		wake(thread, &thread->reloading);
}

void job_thread_stop(struct job_thread *thread)
{
	if (!thread)
		return;
	wake(thread, &thread->stopping);
	pthread_join(thread->thread, NULL);
	thread_free(thread);
}
