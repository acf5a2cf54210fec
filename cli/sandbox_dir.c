#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/encode.h"
#include "base/secret.h"
#include "cli/sandbox.h"

/* sun_path holds 107 bytes and "/.s.PGSQL.65535" takes 15; this leaves a margin. */
#define RUN_PATH_MAX   84
#define PASSWORD_BYTES 16
#define STATE_LINE_MAX 4096
#define PASSWORD_LIMIT 1024
#define REACHABLE      0
#define UNREACHABLE    1
#define LEFTOVER_MS    30000
#define POLL_MS        50

char *sandbox_path(const struct sandbox *sandbox, const char *name)
{
	return sandbox_text("%s/%s", sandbox->dir, name);
}

/* ---- the folder and its lock ---- */

/* Makes the folder and those above it; the last one is the sandbox's alone. */
static bool make_folders(const char *path)
{
	char *copy = sandbox_text("%s", path);
	bool made = true;

	for (char *slash = strchr(copy + 1, '/'); slash && made; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		made = mkdir(copy, 0755) == 0 || errno == EEXIST;
		*slash = '/';
	}
	/* PostgreSQL's user must be able to pass through; files in it have modes of their own. */
	made = made && (mkdir(copy, geteuid() == 0 ? 0711 : 0700) == 0 || errno == EEXIST);
	free(copy);
	return made;
}

/* The path goes into an INI file and into PostgreSQL's list of socket folders. */
static bool name_is_plain(const char *path)
{
	for (const char *c = path; *c; c++) {
		if (!isalnum((unsigned char)*c) && !strchr("/._-+@:= ", *c) && (unsigned char)*c < 0x80)
			return false;
	}
	return true;
}

static bool folder_is_empty(const char *path)
{
	DIR *folder = opendir(path);
	bool empty = folder != NULL;

	for (struct dirent *entry; empty && (entry = readdir(folder));)
		empty = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
	if (folder)
		closedir(folder);
	return empty;
}

static bool complain_locked(const struct sandbox *sandbox)
{
	char pid[32] = "";
	ssize_t got = pread(sandbox->lock, pid, sizeof pid - 1, 0);

	pid[got > 0 ? strspn(pid, "0123456789") : 0] = '\0';
	return sandbox_complain("another sandbox (process %s) is running in %s",
							pid[0] ? pid : "unknown", sandbox->dir);
}

/* The lock file is what makes a folder a sandbox, so it is the first thing in it. */
static bool take_lock(struct sandbox *sandbox)
{
	char *path = sandbox_path(sandbox, "lock");
	bool known = access(path, F_OK) == 0;

	if (!known && !folder_is_empty(sandbox->dir)) {
		free(path);
		return sandbox_complain(
			"%s is not empty and no sandbox; name another folder with --dir", sandbox->dir);
	}
	sandbox->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	free(path);
	if (sandbox->lock < 0)
		return sandbox_complain("cannot lock %s: %s", sandbox->dir, strerror(errno));
	if (flock(sandbox->lock, LOCK_EX | LOCK_NB) != 0)
		return complain_locked(sandbox);
	if (ftruncate(sandbox->lock, 0) != 0 || dprintf(sandbox->lock, "%ld\n", (long)getpid()) < 0)
		return sandbox_complain("cannot write in %s: %s", sandbox->dir, strerror(errno));
	return true;
}

/* ---- writing ---- */

/* Root may run a user's sandbox, who must be able to read its files afterwards. */
static bool give_to_owner(const struct sandbox *sandbox, int fd)
{
	struct stat about;

	return geteuid() != 0 ||
		   (stat(sandbox->dir, &about) == 0 && fchown(fd, about.st_uid, about.st_gid) == 0);
}

bool sandbox_write_file(const struct sandbox *sandbox, const char *name, const char *content,
						size_t length)
{
	char *path = sandbox_path(sandbox, name);
	const char *why = NULL;
	bool done = secret_write_file(path, content, length, &why);
	int fd = done ? open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW) : -1;

	if (done && (fd < 0 || !give_to_owner(sandbox, fd))) {
		why = strerror(errno);
		done = false;
	}
	if (fd >= 0)
		close(fd);
	if (!done)
		sandbox_complain("cannot write %s: %s", path, why);
	free(path);
	return done;
}

/* ---- state ---- */

static void read_state_line(struct sandbox *sandbox, char *line)
{
	char *value = strchr(line, '=');

	if (!value)
		return;
	*value++ = '\0';
	value[strcspn(value, "\n")] = '\0';
	if (strcmp(line, "data") == 0 && !sandbox->data)
		sandbox->data = sandbox_text("%s", value);
	else if (strcmp(line, "run") == 0 && !sandbox->run)
		sandbox->run = sandbox_text("%s", value);
	else if (strcmp(line, "postgres_port") == 0)
		sandbox->postgres_port = atoi(value);
	else if (strcmp(line, "complete") == 0)
		sandbox->complete = strcmp(value, "yes") == 0;
}

/* Places that `state` does not name are under the sandbox's own folder. */
static void default_places(struct sandbox *sandbox)
{
	if (!sandbox->data)
		sandbox->data = sandbox_path(sandbox, "data");
	if (!sandbox->run)
		sandbox->run = sandbox_path(sandbox, "run");
}

static bool read_state(struct sandbox *sandbox)
{
	char *path = sandbox_path(sandbox, "state"), line[STATE_LINE_MAX];
	FILE *file = fopen(path, "re");
	bool known = file || errno == ENOENT;

	if (!known)
		sandbox_complain("cannot read %s: %s", path, strerror(errno));
	while (file && fgets(line, sizeof line, file))
		read_state_line(sandbox, line);
	if (file)
		fclose(file);
	free(path);
	default_places(sandbox);
	return known;
}

/* A folder under the sandbox's own is not named: the sandbox may be moved. */
static void write_place(FILE *file, const struct sandbox *sandbox, const char *name,
						const char *place)
{
	char *own = sandbox_path(sandbox, name);

	if (strcmp(own, place) != 0)
		fprintf(file, "%s=%s\n", name, place);
	free(own);
}

bool sandbox_state_write(const struct sandbox *sandbox)
{
	char *content = NULL;
	size_t length = 0;
	FILE *file = open_memstream(&content, &length);

	if (!file)
		return sandbox_complain("out of memory");
	write_place(file, sandbox, "data", sandbox->data);
	write_place(file, sandbox, "run", sandbox->run);
	fprintf(file, "postgres_port=%d\ncomplete=%s\n", sandbox->postgres_port,
			sandbox->complete ? "yes" : "no");

	bool done = fclose(file) == 0 && sandbox_write_file(sandbox, "state", content, length);
	free(content);
	return done;
}

/* ---- opening and closing ---- */

bool sandbox_dir_open(struct sandbox *sandbox, const char *dir)
{
	sandbox->lock = -1;
	if (!make_folders(dir))
		return sandbox_complain("cannot make %s: %s", dir, strerror(errno));
	sandbox->dir = realpath(dir, NULL);
	if (!sandbox->dir)
		return sandbox_complain("cannot use %s: %s", dir, strerror(errno));
	if (!name_is_plain(sandbox->dir))
		return sandbox_complain("the path %s has a character that cannot stand in "
								"bulkhead.ini; name another folder with --dir",
								sandbox->dir);
	return take_lock(sandbox) && read_state(sandbox);
}

void sandbox_dir_close(struct sandbox *sandbox)
{
	if (sandbox->lock >= 0)
		close(sandbox->lock);
	free(sandbox->dir);
	free(sandbox->data);
	free(sandbox->run);
	free(sandbox->programs);
	secret_free(sandbox->superuser_password);
	secret_free(sandbox->password);
}

/* ---- places ---- */

static bool reachable_as_account(const struct sandbox *sandbox, const char *path)
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		bool ok = setgid(sandbox->account.gid) == 0 && setuid(sandbox->account.uid) == 0 &&
				  access(path, X_OK) == 0;
		_exit(ok ? REACHABLE : UNREACHABLE);
	}
	return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) &&
		   WEXITSTATUS(status) == REACHABLE;
}

static bool give_to_account(const struct sandbox *sandbox, const char *path)
{
	return !sandbox->other_account ||
		   chown(path, sandbox->account.uid, sandbox->account.gid) == 0;
}

/* Makes a folder, or one with a fresh name when `name` ends in XXXXXX, for the account. */
static bool make_place(const struct sandbox *sandbox, char *name, mode_t mode)
{
	size_t length = strlen(name);
	bool fresh = length > 6 && strcmp(name + length - 6, "XXXXXX") == 0;
	bool made = fresh ? mkdtemp(name) != NULL : mkdir(name, mode) == 0 || errno == EEXIST;

	if (made && chmod(name, mode) == 0 && give_to_account(sandbox, name))
		return true;
	return sandbox_complain("cannot make %s: %s", name, strerror(errno));
}

static bool is_folder_of_account(const struct sandbox *sandbox, const char *path)
{
	struct stat about;

	return lstat(path, &about) == 0 && S_ISDIR(about.st_mode) &&
		   about.st_uid == sandbox->account.uid;
}

static bool place_data(struct sandbox *sandbox, bool reachable)
{
	if (is_folder_of_account(sandbox, sandbox->data))
		return true;
	free(sandbox->data);
	if (reachable) {
		sandbox->data = sandbox_path(sandbox, "data");
	} else {
		const struct passwd *user = getpwuid(sandbox->account.uid);

		sandbox->data = sandbox_text("%s/bulkhead-sandbox-XXXXXX", user ? user->pw_dir : "");
	}
	return make_place(sandbox, sandbox->data, 0700);
}

static bool place_run(struct sandbox *sandbox, bool reachable)
{
	if (is_folder_of_account(sandbox, sandbox->run))
		return true;
	free(sandbox->run);
	sandbox->run = sandbox_path(sandbox, "run");
	if (!reachable || strlen(sandbox->run) > RUN_PATH_MAX) {
		free(sandbox->run);
		sandbox->run = sandbox_text("/tmp/bulkhead-XXXXXX");
	}
	return make_place(sandbox, sandbox->run, 0755);
}

bool sandbox_dir_places(struct sandbox *sandbox)
{
	bool reachable = !sandbox->other_account || reachable_as_account(sandbox, sandbox->dir);

	return place_data(sandbox, reachable) && place_run(sandbox, reachable) &&
		   sandbox_state_write(sandbox);
}

/* ---- removing ---- */

static bool remove_tree(struct sandbox *sandbox, const char *path)
{
	const char *const argv[] = {"rm", "-rf", "--one-file-system", "--", path, NULL};
	const struct process_spec spec = {
		.file = "/bin/rm", .argv = argv, .output = -1, .death_signal = SIGTERM};

	return access(path, F_OK) != 0 || watch_run(&sandbox->watch, &spec) ||
		   sandbox_complain("cannot remove %s", path);
}

static bool is_own_place(const struct sandbox *sandbox, const char *name, const char *place)
{
	char *own = sandbox_path(sandbox, name);
	bool same = strcmp(own, place) == 0;

	free(own);
	return same;
}

void sandbox_dir_leave_run(struct sandbox *sandbox)
{
	if (sandbox->run && !is_own_place(sandbox, "run", sandbox->run))
		remove_tree(sandbox, sandbox->run);
}

bool sandbox_dir_reset(struct sandbox *sandbox)
{
	static const char *const made[] = {"data",
									   "run",
									   "keys",
									   "env",
									   "bulkhead.ini",
									   "shop.password",
									   "superuser.password",
									   "setup.log",
									   "postgres.log",
									   "bulkhead.log",
									   "state"};

	/* Whoever is stopped halfway goes on here the next time. */
	sandbox->complete = false;
	if (!sandbox_state_write(sandbox) || !remove_tree(sandbox, sandbox->data) ||
		!remove_tree(sandbox, sandbox->run))
		return false;
	for (size_t i = 0; i < sizeof made / sizeof *made; i++) {
		char *path = sandbox_path(sandbox, made[i]);
		bool removed = remove_tree(sandbox, path);

		free(path);
		if (!removed)
			return false;
	}
	free(sandbox->data);
	free(sandbox->run);
	sandbox->data = sandbox->run = NULL;
	default_places(sandbox);
	sandbox->postgres_port = 0;
	return true;
}

/* ---- files ---- */

static char *draw_password(void)
{
	unsigned char random[PASSWORD_BYTES];
	char digits[2 * PASSWORD_BYTES + 1];

	secret_random(random, sizeof random);
	hex_encode(random, sizeof random, digits);
	char *password = sandbox_text("%s", digits);
	secret_wipe(random, sizeof random);
	secret_wipe(digits, sizeof digits);
	return password;
}

static char *read_password(const char *path)
{
	const char *why = NULL;
	char *password = secret_read_file(path, PASSWORD_LIMIT, &why);

	if (!password)
		sandbox_complain("%s: %s", path, why);
	return password;
}

static char *read_or_draw(const struct sandbox *sandbox, const char *name)
{
	char *path = sandbox_path(sandbox, name);
	bool known = access(path, F_OK) == 0;
	char *password = known ? read_password(path) : draw_password();

	if (!known && !sandbox_write_file(sandbox, name, password, strlen(password))) {
		secret_free(password);
		password = NULL;
	}
	free(path);
	return password;
}

bool sandbox_secrets(struct sandbox *sandbox)
{
	sandbox->superuser_password = read_or_draw(sandbox, "superuser.password");
	sandbox->password = read_or_draw(sandbox, "shop.password");
	return sandbox->superuser_password && sandbox->password;
}

/* ---- logs ---- */

/* Waits until nobody of an earlier run writes into the log any more, and marks it as ours. */
static bool lock_log(struct sandbox *sandbox, int fd)
{
	int64_t until = clock_monotonic_us() + (int64_t)LEFTOVER_MS * 1000;
	bool said = false;

	while (flock(fd, LOCK_EX | LOCK_NB) != 0) {
		if (errno != EWOULDBLOCK || sandbox->watch.stop_signal || clock_monotonic_us() > until)
			return false;
		if (!said)
			fprintf(stderr, "waiting for the programs of an earlier run to end\n");
		said = true;
		watch_poll(&sandbox->watch, POLL_MS);
	}
	return true;
}

int sandbox_log_open(struct sandbox *sandbox, const char *name)
{
	char *path = sandbox_path(sandbox, name);
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0 || !give_to_owner(sandbox, fd)) {
		sandbox_complain("cannot open %s: %s", path, strerror(errno));
	} else if (!lock_log(sandbox, fd)) {
		if (!sandbox->watch.stop_signal)
			sandbox_complain("a program of an earlier run is still writing to %s", path);
	} else {
		free(path);
		return fd;
	}
	if (fd >= 0)
		close(fd);
	free(path);
	return -1;
}

bool sandbox_logs_wait(struct sandbox *sandbox)
{
	static const char *const names[] = {"setup.log", "postgres.log", "bulkhead.log"};

	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		int fd = sandbox_log_open(sandbox, names[i]);

		if (fd < 0)
			return false;
		close(fd);
	}
	return true;
}
