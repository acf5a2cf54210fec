/*
 * bulkhead serve: the proxy itself, in the foreground.
 *
 * This file joins the rooms: settings, key ring, the control thread with its look-ups, the
 * directory between, and the data workers. The main thread waits for signals and for changes of
 * the files (reload.h).
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/api/api.h"
#include "admin/control.h"
#include "admin/job_thread.h"
#include "admin/probes.h"
#include "base/activation.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/notify.h"
#include "base/secret.h"
#include "cli/cli.h"
#include "cli/key_file.h"
#include "cli/options.h"
#include "cli/reload.h"
#include "cli/supervise.h"
#include "conf/conf.h"
#include "policy/guard/guard.h"
#include "proxy/budget.h"
#include "proxy/crew.h"
#include "proxy/drain.h"
#include "proxy/hosts.h"
#include "proxy/resolver.h"
#include "proxy/tls.h"
#include "proxy/worker.h"
#include "router/directory.h"
#include "router/live.h"
#include "router/sightings.h"
#include "router/snapshot.h"

#define WORKER_STACK (16u << 20) /* bytes; parsing SQL recurses */

/* Everything that runs, in the order in which it is started. */
struct service {
	struct conf *conf;
	struct activation activation; /* sockets that were opened for us */
	struct guard_keyring *keyring;
	struct tls *tls;
	struct worker_address *addresses;
	struct hosts **hosts;   /* one for each address */
	struct budget *budgets; /* one for each different server among the addresses */
	atomic_uint hosts_age;
	struct resolvers *resolvers;
	struct control *control;
	struct directory *directory;
	struct live *live;
	struct sightings *sightings;
	struct probes *probes;
	struct job_thread *jobs;
	struct api *api;
	struct crew *crew;
	struct worker *workers[WORKERS_MAX];
	struct running {
		struct service *service;
		struct worker *worker;
		pthread_t thread;
	} threads[WORKERS_MAX];
	size_t worker_count, running;
	int64_t drain_us;    /* when transactions were asked to end; 0: they were not */
	atomic_size_t ended; /* worker threads that have left their loop */
};

static void usage(FILE *out)
{
	fprintf(
		out,
		"Usage: bulkhead serve [-c FILE] [--set SECTION.KEY=VALUE]...\n"
		"\n"
		"Serves clients until SIGTERM, which lets transactions end, or SIGINT, SIGQUIT or a\n"
		"second SIGTERM, which do not. SIGHUP reads the settings again, SIGUSR1 logs what the\n"
		"workers do. Logs to standard error.\n"
		"\n"
		"%s"
		"  -t, --test                   check the settings as `bulkhead check` does, and exit\n"
		"      --dump-config            print the effective settings without secrets, and "
		"exit\n"
		"  -h, --help                   this text\n",
		options_help);
}

/* ---- starting ---- */

/* Sections that name the same hosts and ports share a budget. */
static void share_budgets(struct service *service)
{
	const struct conf *conf = service->conf;

	for (size_t i = 0; i < conf->cluster_count; i++) {
		size_t same = 0;

		while (!conf_hosts_equal(&service->hosts[same]->names, &service->hosts[i]->names))
			same++;
		service->addresses[i].budget = &service->budgets[same];
	}
	reload_set_budgets(conf, service->addresses);
}

/* A name that cannot be resolved is its own cluster's trouble. */
static bool find_hosts(struct service *service)
{
	const struct conf *conf = service->conf;
	size_t count = conf->cluster_count;

	service->addresses = calloc(count + 1, sizeof *service->addresses);
	service->budgets = calloc(count + 1, sizeof *service->budgets);
	service->hosts = calloc(count + 1, sizeof *service->hosts);
	if (!service->addresses || !service->budgets || !service->hosts)
		return false;
	for (size_t i = 0; i < count; i++) {
		service->hosts[i] = hosts_create(&conf->clusters[i], &service->hosts_age);
		if (!service->hosts[i])
			return false;
		service->addresses[i].hosts = service->hosts[i];
	}
	share_budgets(service);
	service->resolvers = resolvers_start(service->hosts, count, conf->dns_max_ttl_ms);
	return service->resolvers != NULL;
}

static bool load_keys(struct service *service)
{
	const char *why = NULL;

	service->keyring = key_file_load(service->conf, &why);
	if (!service->keyring)
		log_event(LOG_ERROR, "serve.keys", "file", service->conf->guard_key_file, "error", why,
				  NULL);
	return service->keyring != NULL;
}

/* TLS, and the secrets of the clusters. */
static bool load_files(struct service *service)
{
	char *complaint = NULL, *line;
	size_t len = 0;
	FILE *err = open_memstream(&complaint, &len);

	if (!err)
		return false;
	service->tls = tls_create(service->conf, err);
	bool done = key_file_check_secrets(service->conf, err) && service->tls;
	fclose(err);
	for (char *rest = complaint; (line = strsep(&rest, "\n")) != NULL;) {
		if (*line)
			log_event(LOG_ERROR, service->tls ? "serve.keys" : "serve.tls", "error", line,
					  NULL);
	}
	free(complaint);
	return done;
}

static void *run_worker(void *arg)
{
	const struct running *running = arg;
	char name[16]; /* as long as the system lets it be */

	snprintf(name, sizeof name, "worker %u", (unsigned)running->worker->number % 1000);
	pthread_setname_np(pthread_self(), name);
	worker_run(running->worker);
	atomic_fetch_add(&running->service->ended, 1);
	return NULL;
}

static bool run_in_thread(struct service *service, struct worker *worker)
{
	struct running *running = &service->threads[service->running];
	pthread_attr_t attributes;

	running->service = service;
	running->worker = worker;
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, WORKER_STACK);
	int error = pthread_create(&running->thread, &attributes, run_worker, running);
	pthread_attr_destroy(&attributes);
	if (error)
		log_event(LOG_ERROR, "serve.thread", "error", strerror(error), NULL);
	else
		service->running++;
	return error == 0;
}

/* All are there before the first one runs. */
static bool start_workers(struct service *service)
{
	struct worker_setup setup = {
		.conf = service->conf,
		.keyring = service->keyring,
		.tls = service->tls,
		.directory = service->directory,
		.live = service->live,
		.sightings = service->sightings,
		.crew = service->crew,
		.addresses = service->addresses,
		.address_count = service->conf->cluster_count,
		.activation = &service->activation,
	};
	size_t count = (size_t)service->conf->workers;

	for (; service->worker_count < count; service->worker_count++) {
		service->workers[service->worker_count] = worker_create(&setup);
		if (!service->workers[service->worker_count])
			return false;
	}
	while (service->running < count) {
		if (!run_in_thread(service, service->workers[service->running]))
			return false;
	}
	return true;
}

/* What was known when the last process wrote it down. One that cannot be believed is not used:
 * whoever it names is asked for. */
static void load_snapshot(const struct service *service)
{
	const char *path = service->conf->directory_snapshot_file, *why = NULL;
	uint8_t key[SNAPSHOT_KEY_SIZE];
	bool done = false;

	for (size_t place = 0; !done && guard_snapshot_key(service->keyring, place, key); place++)
		done = snapshot_read(service->directory, path, key, &why);
	secret_wipe(key, sizeof key);
	if (!done)
		log_event(LOG_ERROR, "serve.snapshot", "file", path, "error", why, NULL);
}

static bool feed_directory(struct service *service)
{
	struct control_snapshot snapshot = {.path = service->conf->directory_snapshot_file};

	if (!guard_snapshot_key(service->keyring, 0, snapshot.key))
		return false;
	if (*snapshot.path)
		load_snapshot(service);
	bool fed = control_feed(service->control, service->directory, &snapshot);
	secret_wipe(snapshot.key, sizeof snapshot.key);
	return fed;
}

/* A socket that no section asks for would be listened on, and never accepted from. */
static bool take_sockets(struct service *service)
{
	const struct conf *conf = service->conf;
	const char *why = NULL;

	if (!activation_take(&service->activation, &why)) {
		log_event(LOG_ERROR, "serve.sockets", "error", why, NULL);
		return false;
	}
	for (size_t i = 0; i < service->activation.count; i++) {
		const char *name = service->activation.sockets[i].name;
		bool is_known = false;

		for (size_t j = 0; j < conf->listen_count; j++)
			is_known = is_known || strcmp(conf->listens[j].name, name) == 0;
		if (!is_known) {
			log_event(LOG_ERROR, "serve.sockets", "name", name, "error",
					  "there is no [listen:NAME] of this name for the socket: see "
					  "FileDescriptorName= in systemd.socket(5)",
					  NULL);
			return false;
		}
	}
	return true;
}

/* Before the workers: who asks meanwhile is told that they are not ready. */
static bool start_probes(struct service *service)
{
	const struct probes_setup setup = {
		.conf = service->conf,
		.live = service->live,
		.directory = service->directory,
		.control = control_mailbox(service->control),
	};

	service->probes = probes_start(&setup);
	return service->probes != NULL;
}

/* Once more from the files, for a thread that keeps its own. What is wrong in them is said by
 * the reload. */
static struct conf *load_again(void *arg)
{
	char *complaint = NULL;
	size_t len = 0;
	FILE *err = open_memstream(&complaint, &len);
	struct conf *conf = err ? options_load(arg, err) : NULL;

	if (err)
		fclose(err);
	free(complaint);
	return conf;
}

/* After the workers: it asks them. */
static bool start_api(struct service *service, const struct options *options)
{
	const struct api_setup setup = {.conf = service->conf,
									.live = service->live,
									.load = load_again,
									.arg = (void *)options};

	return api_start(&setup, &service->api);
}

static bool start(struct service *service, const struct options *options)
{
	const struct conf *conf = service->conf;

	if (!take_sockets(service) || !load_keys(service) || !find_hosts(service))
		return false;
	if (!load_files(service))
		return false;
	service->live = live_create();
	service->sightings = sightings_create();
	service->crew = crew_create((size_t)conf->workers);
	if (!service->live || !service->sightings || !service->crew)
		return false;
	service->control = control_start(conf, service->sightings);
	if (!service->control)
		return false;
	const struct directory_limits limits = {.ttl_ms = conf->directory_ttl_ms,
											.max_stale_ms = conf->directory_max_stale_ms,
											.cache_size = conf->directory_cache_size};
	service->directory = directory_create(control_mailbox(service->control),
										  control_source(service->control), &limits);
	if (!service->directory)
		return false;
	return feed_directory(service) && start_probes(service) && start_workers(service) &&
		   start_api(service, options);
}

/* ---- stopping ---- */

#define DRAIN_LOOK_NS 20000000L /* how soon it is noticed that the last worker has ended */

/* Lets transactions end; returns when all workers have left their loops, or when another signal
 * asks for the end at once. */
static void drain(struct service *service, const sigset_t *signals, struct watchdog *watchdog)
{
	const struct timespec period = {.tv_nsec = DRAIN_LOOK_NS};
	const struct conf *conf = service->conf;

	service->drain_us = clock_monotonic_us();
	for (size_t i = 0; i < service->running; i++)
		drain_begin(service->workers[i], conf->drain_delay_ms, conf->drain_timeout_ms);
	while (atomic_load(&service->ended) < service->running) {
		int got = sigtimedwait(signals, NULL, &period);

		watchdog_feed(watchdog, service->live);
		if (got > 0 && got != SIGHUP && got != SIGUSR1)
			return;
	}
}

/* When the workers' threads have ended. */
static void report_drain(const struct service *service)
{
	struct drain_outcome outcome = {.sessions = 0};
	char sessions[24], idle[24], finished[24], cut[24], duration[24];

	for (size_t i = 0; i < service->running; i++)
		drain_add_outcome(service->workers[i], &outcome);
	snprintf(sessions, sizeof sessions, "%zu", outcome.sessions);
	snprintf(idle, sizeof idle, "%zu", outcome.idle);
	snprintf(finished, sizeof finished, "%zu", outcome.finished);
	snprintf(cut, sizeof cut, "%zu", outcome.cut);
	snprintf(duration, sizeof duration, "%" PRId64,
			 (clock_monotonic_us() - service->drain_us) / 1000);
	log_event(outcome.cut ? LOG_WARNING : LOG_INFO, "serve.drained", "sessions", sessions,
			  "idle", idle, "finished", finished, "cut", cut, "duration_ms", duration, NULL);
}

struct stop_letter {
	struct letter letter;
	struct worker *worker;
};

static void deliver_stop(struct letter *letter)
{
	/* `letter` is the first member. */
	worker_stop(((struct stop_letter *)letter)->worker);
}

static void stop(struct service *service)
{
	struct stop_letter letters[WORKERS_MAX];

	api_stop(service->api); /* it asks the workers */
	for (size_t i = 0; i < service->running; i++) {
		letters[i] = (struct stop_letter){{NULL, deliver_stop}, service->workers[i]};
		mailbox_post(service->workers[i]->mailbox, &letters[i].letter);
	}
	for (size_t i = 0; i < service->running; i++)
		pthread_join(service->threads[i].thread, NULL);
	if (service->drain_us)
		report_drain(service);
	for (size_t i = 0; i < service->worker_count; i++)
		worker_destroy(service->workers[i]);
	api_destroy(service->api);
	job_thread_stop(service->jobs);
	probes_stop(service->probes);
	control_stop(service->control);
	probes_destroy(service->probes);
	directory_destroy(service->directory);
	live_destroy(service->live);
	sightings_destroy(service->sightings);
	crew_destroy(service->crew);
	guard_keyring_destroy(service->keyring);
	tls_destroy(service->tls);
	resolvers_stop(service->resolvers);
	for (size_t i = 0; service->hosts && i < service->conf->cluster_count; i++)
		hosts_destroy(service->hosts[i]);
	free(service->hosts);
	free(service->addresses);
	free(service->budgets);
	activation_fini(&service->activation);
	conf_destroy(service->conf);
}

/* ---- the command ---- */

/* Blocked before any thread starts, so that only sigwait sees them. */
static void block_signals(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGQUIT);
	sigaddset(set, SIGHUP);
	sigaddset(set, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, set, NULL);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGHUP, SIG_DFL); /* nohup(1) leaves it ignored, and it would never be seen */
}

static int serve(const struct options *options, struct conf *conf)
{
	struct service service = {.conf = conf};
	struct reload reload = {.options = options,
							.conf = &service.conf,
							.keyring = &service.keyring,
							.tls = &service.tls};
	sigset_t signals;

	block_signals(&signals);
	reload_begin(&reload);
	bool started = start(&service, options);
	if (started) {
		reload.workers = service.workers;
		reload.worker_count = service.worker_count;
		reload.addresses = service.addresses;
		reload.resolvers = service.resolvers;
		reload.control = service.control;
		reload.directory = service.directory;
		reload.live = service.live;
		reload.probes = service.probes;
		service.jobs = job_thread_start(service.conf, load_again, (void *)options);
		reload.jobs = service.jobs;
		reload.api = service.api;
		probes_enter(service.probes, PROBES_SERVING);
		log_event(LOG_INFO, "serve.ready", "version", BULKHEAD_VERSION, NULL);
		notify_ready();
		int got = reload_until_stopped(&reload, &signals);
		log_event(LOG_INFO, "serve.stopping", "signal", strsignal(got), NULL);
		probes_enter(service.probes, PROBES_STOPPING);
		notify_stopping();
		if (got == SIGTERM)
			drain(&service, &signals, &reload.watchdog);
	}
	reload_end(&reload);
	stop(&service);
	return started ? CLI_DONE : CLI_FAILED;
}

static int run(const struct options *options, bool dump)
{
	struct conf *conf = options_load(options, stderr);

	if (!conf)
		return CLI_FAILED;
	if (!dump)
		return serve(options, conf);
	conf_dump(conf, stdout);
	conf_destroy(conf);
	return CLI_DONE;
}

int cmd_serve(int argc, char **argv)
{
	enum { OPTION_DUMP = OPTION_SET + 1 };
	static const struct option longs[] = {OPTIONS_LONG,
										  {"test", no_argument, NULL, 't'},
										  {"dump-config", no_argument, NULL, OPTION_DUMP},
										  {"help", no_argument, NULL, 'h'},
										  {NULL, 0, NULL, 0}};
	struct options options;
	bool dump = false, test = false;
	int option, result = CLI_USAGE;

	options_init(&options);
	while ((option = getopt_long(argc, argv, OPTIONS_SHORT "th", longs, NULL)) != -1) {
		if (option == 'h') {
			usage(stdout);
			result = CLI_DONE;
			goto out;
		}
		if (option == 't')
			test = true;
		else if (option == OPTION_DUMP)
			dump = true;
		else if (!options_take(&options, option, optarg)) {
			usage(stderr);
			goto out;
		}
	}
	if (optind < argc)
		fprintf(stderr, "serve: \"%s\" is one word too many\n", argv[optind]);
	else if (test)
		result = check_settings(&options);
	else
		result = run(&options, dump);
out:
	options_fini(&options);
	return result;
}
