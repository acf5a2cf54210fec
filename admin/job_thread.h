/*
 * job_thread.h: the thread of `bulkhead serve` that carries out jobs (job.h).
 *
 * It looks once a second whether one is due, on a connection of its own to the control database
 * ([control] admin_dsn), and works while [cluster:NAME] has an admin_login, or [admin] a
 * master_key_file. It shares nothing with the threads that serve: a server that is slow to make
 * a database, or does not answer, costs them nothing.
 */
#ifndef ADMIN_JOB_THREAD_H
#define ADMIN_JOB_THREAD_H

#include "conf/conf.h"

struct job_thread;

/*
 * The settings as they are now, for conf_destroy; NULL when they cannot be read, and those of
 * before stay in force. Called on the new thread, at its start and after job_thread_reload.
 */
typedef struct conf *(*job_thread_loader)(void *arg);

/*
 * Reads the settings itself when those in force, `conf`, have work for it. NULL, with a line
 * logged, when memory or threads are out. Stopped with job_thread_stop.
 */
struct job_thread *job_thread_start(const struct conf *conf, job_thread_loader load, void *arg);

/* The settings have changed, to `conf`. NULL is fine. */
void job_thread_reload(struct job_thread *thread, const struct conf *conf);

/* A job that is being carried out is given back, and is taken up again by another runner, or
 * later. Waits for the thread's end, and frees. NULL is fine. */
void job_thread_stop(struct job_thread *thread);

#endif
