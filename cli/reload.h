/*
 * reload.h: settings and keys that change under a program that runs.
 *
 * A reload reads everything anew (file, environment, flags, password files, key file,
 * certificates) and takes it as a whole, or, when anything in it is wrong, not at all. It is
 * logged: serve.reloaded with the names of what changed, serve.needs_restart with the names of
 * what waits for a restart, serve.reload_failed with a line for each fault. No value is ever
 * logged.
 *
 * SIGHUP asks for one, and so does a file that changed. The files are looked at every
 * file_check_period instead of being watched with inotify(7): the paths lead through symbolic
 * links that Kubernetes swaps (..data), over mounts that are replaced and over network file
 * systems, where watches must be set on every folder of the way and set again at every swap, or
 * tell nothing; a stat(2) of what a path leads to now is right in all of these, and a few of
 * them a second cost nothing. A file counts as changed when it stays as it is from one look to
 * the next, so that one that is just being written is left alone.
 */
#ifndef CLI_RELOAD_H
#define CLI_RELOAD_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "cli/supervise.h"
#include "conf/conf.h"
#include "policy/guard/guard.h"

struct control;
struct directory;
struct api;
struct job_thread;
struct live;
struct options;
struct probes;
struct resolvers;
struct tls;
struct worker;
struct worker_address;

/* What a reload reads from and gives to; all of it is the caller's. */
struct reload {
	const struct options *options;
	struct conf **conf; /* in force; replaced by a reload, as the next */
	struct guard_keyring **keyring;
	struct tls **tls;
	struct worker *const *workers;
	size_t worker_count;
	const struct worker_address
		*addresses; /* of the clusters; their budgets get other limits */
	struct resolvers *resolvers;
	struct control *control;
	struct directory *directory;
	struct live *live;
	struct probes *probes;
	struct job_thread *jobs;
	struct api *api;

	/* Private: the files as they were when they were last read, and at the last look. */
	char *read, *seen;
	bool failed;       /* what was read was no good */
	char *complaint;   /* what was said about it */
	unsigned patience; /* looks until it is tried again all the same */
	int64_t looked_us; /* when the files were last looked at */
	struct watchdog watchdog;
};

/*
 * Puts in force what of *conf concerns the process itself (the log, how many descriptors it may
 * have), and notes what the files look like. Before anything else is started.
 */
void reload_begin(struct reload *reload);

/*
 * Waits for the signals of the set, which are blocked in all threads: reloads on SIGHUP and
 * when a file has changed, reports on SIGUSR1 (report.h), and returns any other signal.
 */
int reload_until_stopped(struct reload *reload, const sigset_t *signals);

void reload_end(struct reload *reload);

/* The limit of each server's budget: the smallest of the sections that share it. */
void reload_set_budgets(const struct conf *conf, const struct worker_address *addresses);

#endif
