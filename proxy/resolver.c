#include "proxy/resolver.h"

#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "proxy/hosts.h"

#define FIRST_WAIT_US 3000000 /* how long a start waits for answers */
#define LOOK_NS       2000000 /* how often it looks whether they are there */
#define PAUSE_MS      1000    /* between two questions at the least */
#define STACK         ((size_t)512 * 1024)

/* One thread. It may outlive what it works for, while a name server is silent: then `stopping`
 * is set, and nothing but this is touched any more. */
struct resolver {
	atomic_int references; /* the thread's and that of struct resolvers */
	pthread_mutex_t lock;
	pthread_cond_t wake;
	bool stopping, wanted, answered;
	int64_t ttl_ms;
	bool is_failing;         /* that was logged */
	struct conf_hosts names; /* copied */
	unsigned literals;       /* bits of those that need no answer */
	struct hosts **hosts;    /* all with these names */
	size_t host_count;
};

struct resolvers {
	struct resolver **list;
	size_t count;
};

static void unref(struct resolver *resolver)
{
	if (atomic_fetch_sub(&resolver->references, 1) > 1)
		return;
	conf_hosts_fini(&resolver->names);
	pthread_cond_destroy(&resolver->wake);
	pthread_mutex_destroy(&resolver->lock);
	free(resolver->hosts);
	free(resolver);
}

/* ---- asking; without the lock ---- */

struct answer {
	struct endpoint list[ENDPOINTS_MAX];
	size_t count;
	unsigned kept;
	char complaint[320]; /* of the last name that has none */
};

static void take(const struct addrinfo *found, size_t host, struct answer *out)
{
	size_t taken = 0;

	for (; found && taken < HOST_ADDRESSES_MAX; found = found->ai_next, taken++) {
		struct endpoint *endpoint = &out->list[out->count++];

		memset(endpoint, 0, sizeof *endpoint);
		memcpy(&endpoint->address, found->ai_addr, found->ai_addrlen);
		endpoint->len = found->ai_addrlen;
		endpoint->host = host;
	}
}

static void ask(const struct resolver *resolver, struct answer *out)
{
	struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};

	out->count = 0;
	out->kept = resolver->literals;
	*out->complaint = '\0';
	for (size_t i = 0; i < resolver->names.count; i++) {
		const struct conf_host *name = &resolver->names.list[i];
		struct addrinfo *found = NULL;
		char port[16];

		if (resolver->literals >> i & 1)
			continue;
		snprintf(port, sizeof port, "%d", name->port);
		int error = getaddrinfo(name->name, port, &hints, &found);
		if (error) {
			out->kept |= 1u << i;
			snprintf(out->complaint, sizeof out->complaint, "%s: %s", name->name,
					 gai_strerror(error));
			continue;
		}
		take(found, i, out);
		freeaddrinfo(found);
	}
}

/* ---- telling; with the lock ---- */

static void tell(struct resolver *resolver, const struct answer *answer)
{
	bool changed = false, is_failing = *answer->complaint != '\0';

	for (size_t i = 0; i < resolver->host_count; i++)
		changed |=
			hosts_resolved(resolver->hosts[i], answer->list, answer->count, answer->kept);
	if (is_failing && !resolver->is_failing)
		log_event(LOG_ERROR, "dns.failed", "error", answer->complaint, NULL);
	if (changed && resolver->answered)
		log_event(LOG_INFO, "dns.changed", "host", resolver->names.list[0].name, NULL);
	resolver->is_failing = is_failing;
	resolver->answered = true;
}

static void sleep_until(struct resolver *resolver, int64_t at_us, bool is_woken)
{
	const struct timespec at = {at_us / 1000000, at_us % 1000000 * 1000};

	while (!resolver->stopping && !(is_woken && resolver->wanted)) {
		if (pthread_cond_timedwait(&resolver->wake, &resolver->lock, &at) == ETIMEDOUT)
			return;
	}
}

static void *run(void *arg)
{
	struct resolver *resolver = arg;
	struct answer *answer = malloc(sizeof *answer);

	pthread_setname_np(pthread_self(), "resolver");
	pthread_mutex_lock(&resolver->lock);
	while (answer && !resolver->stopping) {
		int64_t began_us = clock_monotonic_us();

		resolver->wanted = false;
		pthread_mutex_unlock(&resolver->lock);
		ask(resolver, answer);
		pthread_mutex_lock(&resolver->lock);
		if (resolver->stopping)
			break;
		tell(resolver, answer);
		int64_t ttl_ms = resolver->is_failing ? PAUSE_MS : resolver->ttl_ms;
		sleep_until(resolver, began_us + (int64_t)PAUSE_MS * 1000, false);
		sleep_until(resolver, began_us + ttl_ms * 1000, true);
	}
	pthread_mutex_unlock(&resolver->lock);
	free(answer);
	unref(resolver);
	return NULL;
}

static void want(void *arg)
{
	struct resolver *resolver = arg;

	pthread_mutex_lock(&resolver->lock);
	resolver->wanted = true;
	pthread_cond_signal(&resolver->wake);
	pthread_mutex_unlock(&resolver->lock);
}

/* ---- life ---- */

static bool has_same_names(const struct conf_hosts *a, const struct conf_hosts *b)
{
	if (a->count != b->count)
		return false;
	for (size_t i = 0; i < a->count; i++) {
		if (a->list[i].port != b->list[i].port || strcmp(a->list[i].name, b->list[i].name) != 0)
			return false;
	}
	return true;
}

static bool copy_names(struct resolver *resolver, const struct hosts *hosts)
{
	resolver->literals = hosts_literals(hosts);
	for (size_t i = 0; i < hosts->names.count; i++) {
		resolver->names.list[i].port = hosts->names.list[i].port;
		resolver->names.list[i].name = strdup(hosts->names.list[i].name);
		if (!resolver->names.list[i].name)
			return false;
		resolver->names.count++;
	}
	return true;
}

static struct resolver *create(const struct hosts *hosts, size_t max, int64_t ttl_ms)
{
	struct resolver *resolver = calloc(1, sizeof *resolver);
	pthread_condattr_t attributes;

	if (!resolver)
		return NULL;
	atomic_init(&resolver->references, 1);
	pthread_mutex_init(&resolver->lock, NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&resolver->wake, &attributes);
	pthread_condattr_destroy(&attributes);
	resolver->ttl_ms = ttl_ms;
	resolver->hosts = calloc(max, sizeof *resolver->hosts);
	if (resolver->hosts && copy_names(resolver, hosts))
		return resolver;
	unref(resolver);
	return NULL;
}

static bool start(struct resolver *resolver)
{
	pthread_attr_t attributes;
	pthread_t thread;

	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, STACK);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	atomic_fetch_add(&resolver->references, 1);
	int error = pthread_create(&thread, &attributes, run, resolver);
	pthread_attr_destroy(&attributes);
	if (!error)
		return true;
	log_event(LOG_ERROR, "serve.thread", "error", strerror(error), NULL);
	unref(resolver);
	return false;
}

/* The resolver of these names, made when it is missing. */
static struct resolver *find(struct resolvers *resolvers, const struct hosts *hosts, size_t max,
							 int64_t ttl_ms)
{
	for (size_t i = 0; i < resolvers->count; i++) {
		if (has_same_names(&resolvers->list[i]->names, &hosts->names))
			return resolvers->list[i];
	}
	struct resolver *resolver = create(hosts, max, ttl_ms);
	if (resolver)
		resolvers->list[resolvers->count++] = resolver;
	return resolver;
}

static bool have_answered(const struct resolvers *resolvers)
{
	bool all = true;

	for (size_t i = 0; i < resolvers->count; i++) {
		struct resolver *resolver = resolvers->list[i];

		pthread_mutex_lock(&resolver->lock);
		all = all && resolver->answered;
		pthread_mutex_unlock(&resolver->lock);
	}
	return all;
}

static void wait_for_first(const struct resolvers *resolvers)
{
	const struct timespec period = {.tv_nsec = LOOK_NS};
	int64_t until_us = clock_monotonic_us() + FIRST_WAIT_US;

	while (!have_answered(resolvers) && clock_monotonic_us() < until_us)
		nanosleep(&period, NULL);
}

struct resolvers *resolvers_start(struct hosts *const *hosts, size_t count, int64_t ttl_ms)
{
	struct resolvers *resolvers = calloc(1, sizeof *resolvers);
	bool ok = resolvers && (resolvers->list = calloc(count + 1, sizeof *resolvers->list));

	for (size_t i = 0; ok && i < count; i++) {
		if (!hosts_have_names(hosts[i]))
			continue;
		struct resolver *resolver = find(resolvers, hosts[i], count, ttl_ms);
		ok = resolver != NULL;
		if (!ok)
			break;
		resolver->hosts[resolver->host_count++] = hosts[i];
		hosts[i]->resolve = want;
		hosts[i]->resolver = resolver;
	}
	for (size_t i = 0; ok && i < resolvers->count; i++)
		ok = start(resolvers->list[i]);
	if (!ok) {
		resolvers_stop(resolvers);
		return NULL;
	}
	wait_for_first(resolvers);
	return resolvers;
}

void resolvers_set_ttl(struct resolvers *resolvers, int64_t ttl_ms)
{
	for (size_t i = 0; i < resolvers->count; i++) {
		struct resolver *resolver = resolvers->list[i];

		pthread_mutex_lock(&resolver->lock);
		resolver->wanted |= ttl_ms < resolver->ttl_ms; /* it is asleep until then */
		resolver->ttl_ms = ttl_ms;
		pthread_cond_signal(&resolver->wake);
		pthread_mutex_unlock(&resolver->lock);
	}
}

void resolvers_stop(struct resolvers *resolvers)
{
	if (!resolvers)
		return;
	for (size_t i = 0; i < resolvers->count; i++) {
		struct resolver *resolver = resolvers->list[i];

		pthread_mutex_lock(&resolver->lock);
		resolver->stopping = true;
		for (size_t j = 0; j < resolver->host_count; j++)
			resolver->hosts[j]->resolve = NULL;
		pthread_cond_signal(&resolver->wake);
		pthread_mutex_unlock(&resolver->lock);
		unref(resolver);
	}
	free(resolvers->list);
	free(resolvers);
}
