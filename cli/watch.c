#include "cli/watch.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

#define ORPHAN_GRACE_MS 5000

bool watch_init(struct watch *watch)
{
	*watch = (struct watch){0};
	sigemptyset(&watch->taken);
	sigaddset(&watch->taken, SIGINT);
	sigaddset(&watch->taken, SIGTERM);
	sigaddset(&watch->taken, SIGHUP);
	sigaddset(&watch->taken, SIGCHLD);

	/* An ignored signal would never be delivered; SIGHUP may stay ignored, for nohup(1). */
	signal(SIGINT, SIG_DFL);
	signal(SIGTERM, SIG_DFL);
	signal(SIGCHLD, SIG_DFL);
	signal(SIGPIPE, SIG_IGN);
	return sigprocmask(SIG_BLOCK, &watch->taken, &watch->original) == 0 &&
		   prctl(PR_SET_CHILD_SUBREAPER, 1) == 0;
}

/* ---- starting ---- */

static void become(const struct account *account)
{
	if (!account)
		return;
	if (setgroups(1, &account->gid) != 0 || setgid(account->gid) != 0 ||
		setuid(account->uid) != 0 || chdir("/") != 0) {
		perror("bulkhead: cannot change to another user");
		_exit(127);
	}
}

static void set_environment(const char *const *set)
{
	for (; set && set[0]; set += 2) {
		if (setenv(set[0], set[1], 1) != 0)
			_exit(127);
	}
}

/* In the child, between fork and exec. */
_Noreturn static void execute(const struct watch *watch, const struct process_spec *spec,
							  pid_t parent)
{
	if (!spec->foreground) {
		int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);

		setpgid(0, 0);
		if (nothing >= 0)
			dup2(nothing, STDIN_FILENO);
	}
	if (spec->output >= 0 &&
		(dup2(spec->output, STDOUT_FILENO) < 0 || dup2(spec->output, STDERR_FILENO) < 0))
		_exit(127);
	become(spec->account);
	set_environment(spec->set);

	/* After setuid, which clears it; and the parent may be gone already. */
	prctl(PR_SET_PDEATHSIG, spec->death_signal);
	if (getppid() != parent)
		_exit(127);
	signal(SIGPIPE, SIG_DFL);
	sigprocmask(SIG_SETMASK, &watch->original, NULL);
	execv(spec->file, (char *const *)spec->argv);
	fprintf(stderr, "bulkhead: cannot execute %s: %s\n", spec->file, strerror(errno));
	_exit(127);
}

bool watch_start(struct watch *watch, struct process *process, const struct process_spec *spec)
{
	size_t place = 0;

	while (place < WATCH_PROCESSES_MAX && watch->processes[place])
		place++;
	if (place == WATCH_PROCESSES_MAX) {
		errno = EAGAIN;
		return false;
	}
	fflush(NULL);

	pid_t parent = getpid(), pid = fork();
	if (pid < 0)
		return false;
	if (pid == 0)
		execute(watch, spec, parent);
	*process = (struct process){.pid = pid, .running = true};
	watch->processes[place] = process;
	return true;
}

/* ---- waiting ---- */

static void note_end(struct watch *watch, pid_t pid, int status)
{
	for (size_t i = 0; i < WATCH_PROCESSES_MAX; i++) {
		struct process *process = watch->processes[i];

		if (process && process->pid == pid) {
			process->running = false;
			process->status = status;
			watch->processes[i] = NULL;
		}
	}
}

static void note_signal(struct watch *watch, const siginfo_t *about)
{
	/* The kernel sends what was typed; a person or program sends the rest. */
	bool typed = about->si_signo == SIGINT && about->si_code == SI_KERNEL;

	if (typed && watch->keep_interrupts)
		return;
	if (about->si_signo != SIGCHLD && !watch->stop_signal)
		watch->stop_signal = about->si_signo;
}

void watch_poll(struct watch *watch, int timeout_ms)
{
	const struct timespec time = {timeout_ms / 1000, timeout_ms % 1000 * 1000000L};
	siginfo_t about;
	int status;
	pid_t pid;

	if (sigtimedwait(&watch->taken, &about, timeout_ms < 0 ? NULL : &time) > 0)
		note_signal(watch, &about);
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		note_end(watch, pid, status);
}

static void wait_until_ended(struct watch *watch, const struct process *process,
							 int64_t until_us)
{
	while (process->running && clock_monotonic_us() < until_us)
		watch_poll(watch, 100); /* SIGCHLD cuts it short */
}

void watch_stop(struct watch *watch, struct process *process, int signal, int grace_ms)
{
	if (!process->running)
		return;
	kill(process->pid, signal);
	wait_until_ended(watch, process, clock_monotonic_us() + (int64_t)grace_ms * 1000);
	if (process->running) {
		kill(process->pid, SIGKILL);
		wait_until_ended(watch, process, INT64_MAX);
	}
}

bool watch_run(struct watch *watch, const struct process_spec *spec)
{
	struct process process;

	if (watch->stop_signal || !watch_start(watch, &process, spec))
		return false;
	while (process.running && !watch->stop_signal)
		watch_poll(watch, -1);
	watch_stop(watch, &process, SIGTERM, ORPHAN_GRACE_MS);
	return !watch->stop_signal && WIFEXITED(process.status) && WEXITSTATUS(process.status) == 0;
}

int process_exit_status(const struct process *process)
{
	return WIFSIGNALED(process->status) ? 128 + WTERMSIG(process->status)
										: WEXITSTATUS(process->status);
}

/* ---- ending ---- */

/* Sends a signal to every child; false when there is none. */
static bool signal_children(int signal)
{
	bool any = false;
	char *path = NULL;
	long child;

	if (asprintf(&path, "/proc/self/task/%d/children", (int)getpid()) < 0)
		return false;

	FILE *children = fopen(path, "re");
	free(path);
	if (!children)
		return false;
	while (fscanf(children, "%ld", &child) == 1) {
		kill((pid_t)child, signal);
		any = true;
	}
	fclose(children);
	return any;
}

void watch_fini(struct watch *watch)
{
	int64_t patience = clock_monotonic_us() + (int64_t)ORPHAN_GRACE_MS * 1000;

	/* A child that ends may leave children of its own to us: ask until nobody is there. */
	watch_poll(watch, 0);
	while (signal_children(clock_monotonic_us() < patience ? SIGTERM : SIGKILL))
		watch_poll(watch, 100);
	sigprocmask(SIG_SETMASK, &watch->original, NULL);
}
