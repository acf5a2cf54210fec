#include "cli/reload.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>

#include "admin/api/api.h"
#include "admin/control.h"
#include "admin/job_thread.h"
#include "admin/probes.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/notify.h"
#include "base/secret.h"
#include "cli/key_file.h"
#include "cli/options.h"
#include "cli/report.h"
#include "proxy/budget.h"
#include "proxy/reload.h"
#include "proxy/resolver.h"
#include "proxy/tls.h"
#include "proxy/worker.h"
#include "router/directory.h"

/* What could not be read is tried again after so many looks without a change: it may name a
 * file that nobody has looked at, and that has come since. */
#define PATIENCE 5

/* ---- what the files look like ---- */

static bool append_file(const char *path, void *arg)
{
	struct buf *out = arg;
	struct stat about;

	if (!path || !*path)
		return true;
	if (stat(path, &about) != 0)
		return buf_appendf(out, "%s: %d\n", path, errno);
	return buf_appendf(
		out, "%s: %" PRIuMAX " %" PRIuMAX " %" PRIdMAX " %" PRIdMAX ".%ld %" PRIdMAX ".%ld\n",
		path, (uintmax_t)about.st_dev, (uintmax_t)about.st_ino, (intmax_t)about.st_size,
		(intmax_t)about.st_mtim.tv_sec, about.st_mtim.tv_nsec, (intmax_t)about.st_ctim.tv_sec,
		about.st_ctim.tv_nsec);
}

/*
 * A text that differs whenever one of the files does. The time of the last change of the inode
 * is in it: a mode that was wrong and is put right counts. NULL when memory is out.
 */
static char *look_at_files(const struct conf *conf)
{
	struct buf out;
	char *text = NULL;

	buf_init(&out);
	bool done = append_file(conf->path, &out) && append_file(conf->guard_key_file, &out) &&
				append_file(conf->control_password_file, &out) &&
				append_file(conf->control_admin_password_file, &out) &&
				tls_each_file(conf, append_file, &out);
	for (size_t i = 0; done && i < conf->cluster_count; i++)
		done = append_file(conf->clusters[i].password_file, &out) &&
			   append_file(conf->clusters[i].secret_file, &out) &&
			   append_file(conf->clusters[i].admin_password_file, &out);
	if (done && buf_append_byte(&out, '\0'))
		text = strdup((const char *)buf_data(&out));
	buf_fini(&out);
	return text;
}

static void replace(char **text, char *by)
{
	free(*text);
	*text = by;
}

/* ---- what concerns the process ---- */

/* For listeners, event loops, the control connection, libraries and cancel requests. */
#define DESCRIPTORS_ASIDE 64

/* Descriptors at the settings' limits: clients, those that log in or linger, backends. */
static unsigned long long descriptors_needed(const struct conf *conf)
{
	return (unsigned long long)conf->max_client_conn + 2ULL * (unsigned)conf->max_login_conn +
		   (unsigned long long)conf->default_pool_size * conf->cluster_count +
		   DESCRIPTORS_ASIDE + 8ULL * (unsigned)conf->workers;
}

/* Asks for as many descriptors as we are allowed, and says so when the settings allow more than
 * those. */
static void raise_descriptor_limit(const struct conf *conf)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return;
	if (limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
	if (limit.rlim_cur < descriptors_needed(conf))
		log_message(LOG_WARNING, "serve.descriptors",
					"the settings allow %llu connections and files, the system %llu: raise "
					"RLIMIT_NOFILE or lower max_client_conn",
					descriptors_needed(conf), (unsigned long long)limit.rlim_cur);
}

static void set_process(const struct conf *conf)
{
	log_set_level(conf->log_level);
	log_set_format(conf->log_format);
	raise_descriptor_limit(conf);
}

void reload_set_budgets(const struct conf *conf, const struct worker_address *addresses)
{
	for (size_t i = 0; i < conf->cluster_count; i++) {
		int smallest = 0;

		for (size_t j = 0; j < conf->cluster_count; j++) {
			int limit = conf->clusters[j].max_server_connections;

			if (addresses[j].budget == addresses[i].budget && limit &&
				(!smallest || limit < smallest))
				smallest = limit;
		}
		atomic_store(&addresses[i].budget->limit, smallest);
	}
}

/* ---- a reload ---- */

/* What was read, on its way to being in force. */
struct next {
	struct conf *conf;
	struct guard_keyring *keyring;
	struct tls *tls;
	struct conf_changes changes;
	bool changed;
};

static bool merge(struct next *next, const struct reload *reload, FILE *err)
{
	if (conf_merge(next->conf, *reload->conf, &next->changes))
		return true;
	fputs("out of memory\n", err);
	return false;
}

static bool load_keys(struct next *next, FILE *err)
{
	const char *why = NULL;

	next->keyring = key_file_load(next->conf, &why);
	if (!next->keyring)
		conf_complain(err, next->conf, "guard", "key_file", "%s: %s",
					  next->conf->guard_key_file, why);
	return next->keyring != NULL && key_file_check_secrets(next->conf, err);
}

static bool load_tls(struct next *next, FILE *err)
{
	next->tls = tls_create(next->conf, err);
	return next->tls != NULL;
}

/* Names the key file too where the path is as it was and what stands in it is not. */
static bool compare_keys(struct next *next, const struct reload *reload)
{
	struct buf *taken = &next->changes.taken;
	bool same = guard_keyring_equal(next->keyring, *reload->keyring);
	bool done = same ||
				strcmp(next->conf->guard_key_file, (*reload->conf)->guard_key_file) != 0 ||
				buf_appendf(taken, "%sguard.key_file", buf_len(taken) ? ", " : "");

	if (!tls_equal(next->tls, *reload->tls))
		done = done && buf_appendf(taken, "%stls", buf_len(taken) ? ", " : "");
	next->changed = buf_len(taken) > 0 || !same;
	return done && buf_append_byte(taken, '\0') &&
		   buf_append_byte(&next->changes.deferred, '\0');
}

static bool tell_control(const struct next *next, const struct reload *reload)
{
	uint8_t key[GUARD_KEY_SIZE];
	bool ok = guard_snapshot_key(next->keyring, 0, key) &&
			  control_reload(reload->control, next->conf, key);

	secret_wipe(key, sizeof key);
	return ok;
}

/* Reads everything anew; false with a line for each fault. */
static bool read_next(struct next *next, const struct reload *reload, FILE *err)
{
	next->conf = options_load(reload->options, err);
	if (!next->conf || !merge(next, reload, err) || !load_keys(next, err) ||
		!load_tls(next, err))
		return false;
	if (compare_keys(next, reload) && tell_control(next, reload))
		return true;
	fputs("out of memory\n", err);
	return false;
}

/* Nothing here can fail. What was in force before is in *next afterwards. */
static void put_in_force(struct next *next, struct reload *reload)
{
	struct conf *conf = next->conf;
	struct guard_keyring *keyring = next->keyring;

	/* Contexts of which nothing has changed go on: with them would end what clients may
	 * resume. */
	bool same = tls_equal(next->tls, *reload->tls);
	struct tls *tls = same ? *reload->tls : next->tls;

	set_process(conf);
	reload_set_budgets(conf, reload->addresses);
	const struct directory_limits limits = {.ttl_ms = conf->directory_ttl_ms,
											.max_stale_ms = conf->directory_max_stale_ms,
											.cache_size = conf->directory_cache_size};
	directory_limit(reload->directory, &limits);
	for (size_t i = 0; i < reload->worker_count; i++)
		worker_reload(reload->workers[i], conf, keyring, tls);
	resolvers_set_ttl(reload->resolvers, conf->dns_max_ttl_ms);
	probes_reload(reload->probes, conf);
	job_thread_reload(reload->jobs, conf);
	api_reload(reload->api);
	next->conf = *reload->conf;
	next->keyring = *reload->keyring;
	if (!same)
		next->tls = *reload->tls;
	*reload->conf = conf;
	*reload->keyring = keyring;
	*reload->tls = tls;
}

/* What a look at the files found to be nothing new is told only to those who want to know all.
 */
static void say_done(struct next *next, const struct reload *reload, bool asked)
{
	enum log_level level = asked || next->changed ? LOG_INFO : LOG_DEBUG;
	const char *deferred = (const char *)buf_data(&next->changes.deferred);

	log_event(level, "serve.reloaded", "changed", (const char *)buf_data(&next->changes.taken),
			  "signing_key", guard_keyring_kid(*reload->keyring, 0), NULL);
	if (*deferred)
		log_event(LOG_WARNING, "serve.needs_restart", "settings", deferred, NULL);
}

/* The same complaint is repeated only to who asked again. */
static void say_failed(struct reload *reload, char *complaint, bool asked)
{
	bool known = reload->complaint && complaint && strcmp(reload->complaint, complaint) == 0;
	char *rest = complaint ? complaint : "out of memory";

	if (known && !asked)
		return;
	replace(&reload->complaint, complaint ? strdup(complaint) : NULL);
	if (!complaint) {
		log_event(LOG_ERROR, "serve.reload_failed", "error", rest, NULL);
		return;
	}
	for (char *line; (line = strsep(&rest, "\n")) != NULL;) {
		if (*line)
			log_event(LOG_ERROR, "serve.reload_failed", "error", line, NULL);
	}
}

static void reload_now(struct reload *reload, bool asked)
{
	struct next next = {.conf = NULL};
	char *complaint = NULL;
	size_t len = 0;
	FILE *err = open_memstream(&complaint, &len);

	notify_reloading();
	/* Before they are read: what changes meanwhile is seen at the next look. */
	replace(&reload->read, look_at_files(*reload->conf));
	replace(&reload->seen, NULL);
	conf_changes_init(&next.changes);
	bool done = err && read_next(&next, reload, err);
	if (err)
		fclose(err);
	if (done) {
		put_in_force(&next, reload);
		say_done(&next, reload, asked);
		replace(&reload->complaint, NULL);
	} else {
		say_failed(reload, complaint, asked);
	}
	reload->failed = !done;
	reload->patience = PATIENCE;
	free(complaint);
	conf_changes_fini(&next.changes);
	guard_keyring_destroy(next.keyring);
	tls_destroy(next.tls);
	conf_destroy(next.conf);
	notify_ready();
}

/* ---- waiting ---- */

static bool is_same(const char *a, const char *b)
{
	return a && b && strcmp(a, b) == 0;
}

static void look(struct reload *reload)
{
	int64_t period_us = (*reload->conf)->file_check_period_ms * 1000;
	int64_t now_us = clock_monotonic_us();

	if (!period_us || now_us - reload->looked_us < period_us)
		return; /* it was the watchdog's turn */
	reload->looked_us = now_us;
	char *now = look_at_files(*reload->conf);
	bool due = false;

	if (is_same(now, reload->read))
		due = reload->failed && --reload->patience == 0;
	else
		due = is_same(now, reload->seen);
	replace(&reload->seen, now);
	if (due)
		reload_now(reload, false);
}

/* The next signal, or 0 when it is time for a look. */
static int wait_for_signal(const sigset_t *signals, int64_t period_ms)
{
	const struct timespec period = {period_ms / 1000, period_ms % 1000 * 1000000};
	int got = period_ms ? sigtimedwait(signals, NULL, &period) : sigwaitinfo(signals, NULL);

	return got > 0 ? got : 0;
}

int reload_until_stopped(struct reload *reload, const sigset_t *signals)
{
	for (;;) {
		int64_t period_ms = (*reload->conf)->file_check_period_ms;
		int got = wait_for_signal(signals, watchdog_sleep_ms(&reload->watchdog, period_ms));

		watchdog_feed(&reload->watchdog, reload->live);
		if (got == SIGHUP)
			reload_now(reload, true);
		else if (got == SIGUSR1)
			report_live(reload->live);
		else if (got)
			return got;
		else
			look(reload);
	}
}

void reload_begin(struct reload *reload)
{
	set_process(*reload->conf);
	watchdog_init(&reload->watchdog);
	reload->looked_us = clock_monotonic_us();
	reload->read = look_at_files(*reload->conf);
}

void reload_end(struct reload *reload)
{
	free(reload->read);
	free(reload->seen);
	free(reload->complaint);
}
