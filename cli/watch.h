/*
 * watch.h: programs that one command starts, waits for, and never leaves behind.
 *
 * A watch owns the signals SIGINT, SIGTERM, SIGHUP and SIGCHLD of a single-threaded process:
 * they are blocked and taken one at a time by watch_poll. Programs started through a watch die
 * with it: each is sent its signal by the kernel when this process ends for any reason
 * (prctl(2), PR_SET_PDEATHSIG), and what they leave behind becomes a child of this process
 * (PR_SET_CHILD_SUBREAPER) that watch_fini ends.
 */
#ifndef CLI_WATCH_H
#define CLI_WATCH_H

#include <signal.h>
#include <stdbool.h>
#include <sys/types.h>

/* A user that a program runs as. */
struct account {
	uid_t uid;
	gid_t gid;
};

struct process {
	pid_t pid; /* 0: never started */
	bool running;
	int status; /* as waitpid(2) gives it, once it has ended */
};

#define WATCH_PROCESSES_MAX 8

struct watch {
	struct process *processes[WATCH_PROCESSES_MAX]; /* running ones; borrowed */
	sigset_t taken, original;                       /* signal masks: ours, and the children's */
	int stop_signal;      /* the first of SIGINT, SIGTERM, SIGHUP that asked us to stop, or 0 */
	bool keep_interrupts; /* Ctrl-C is a program's own business: it asks nobody to stop */
};

struct process_spec {
	const char *file;        /* what to execute; no PATH is searched */
	const char *const *argv; /* NULL-terminated */
	const char *const
		*set; /* name, value pairs to add to the environment, NULL-terminated; or NULL */
	const struct account *account; /* NULL: this process's own */
	int output;       /* descriptor for standard output and error, or -1 to share ours */
	int death_signal; /* sent by the kernel when this process ends */
	bool foreground;  /* stays in the terminal's process group and keeps standard input */
};

/* False, with errno set, when the kernel refuses. */
bool watch_init(struct watch *watch);

/* Ends every process that is still a child of this one, and gives the signals back. */
void watch_fini(struct watch *watch);

/*
 * Starts a program. False, with errno set, when it cannot be forked; a program that cannot be
 * executed ends with status 127. `process` must live until it has ended.
 */
bool watch_start(struct watch *watch, struct process *process, const struct process_spec *spec);

/* Waits at most `timeout_ms` (-1: for ever) for one signal, and notes what has ended. */
void watch_poll(struct watch *watch, int timeout_ms);

/*
 * Runs a program to its end; true when it exited with 0. When someone asks us to stop
 * meanwhile, the program is ended, and the result is false.
 */
bool watch_run(struct watch *watch, const struct process_spec *spec);

/* Sends `signal` and waits; after grace_ms sends SIGKILL. Nothing happens to a process that is
 * gone. */
void watch_stop(struct watch *watch, struct process *process, int signal, int grace_ms);

/* What a shell would show as $?: the exit status, or 128 + the signal. */
int process_exit_status(const struct process *process);

#endif
