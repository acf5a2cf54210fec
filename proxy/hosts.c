#include "proxy/hosts.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "base/clock.h"
#include "base/log.h"
#include "proxy/params.h"

/* ---- endpoints ---- */

static struct endpoints *endpoints_create(const struct endpoint *list, size_t count)
{
	struct endpoints *endpoints =
		malloc(sizeof *endpoints + (count + 1) * sizeof *endpoints->list);

	if (!endpoints)
		return NULL;
	atomic_init(&endpoints->references, 1);
	endpoints->count = count;
	if (count)
		memcpy(endpoints->list, list, count * sizeof *list);
	return endpoints;
}

static void endpoints_unref(struct endpoints *endpoints)
{
	if (endpoints && atomic_fetch_sub(&endpoints->references, 1) == 1)
		free(endpoints);
}

static struct endpoints *take_endpoints(struct hosts *hosts)
{
	pthread_mutex_lock(&hosts->lock);
	struct endpoints *endpoints = hosts->endpoints;
	atomic_fetch_add(&endpoints->references, 1);
	pthread_mutex_unlock(&hosts->lock);
	return endpoints;
}

static bool is_same(const struct endpoint *a, const struct endpoint *b)
{
	return a->host == b->host && a->len == b->len &&
		   memcmp(&a->address, &b->address, a->len) == 0;
}

static bool has(const struct endpoint *list, size_t count, const struct endpoint *wanted)
{
	for (size_t i = 0; i < count; i++) {
		if (is_same(&list[i], wanted))
			return true;
	}
	return false;
}

/* ---- what needs no name server ---- */

static void make_socket(const struct conf_host *host, struct endpoint *out)
{
	struct sockaddr_un *address = (struct sockaddr_un *)&out->address;

	address->sun_family = AF_UNIX;
	/* The settings allow no path that does not fit. */
	snprintf(address->sun_path, sizeof address->sun_path, "%s/.s.PGSQL.%d", host->name,
			 host->port);
	out->len = sizeof *address;
}

static bool make_literal(const struct conf_host *host, struct endpoint *out)
{
	struct addrinfo hints = {
		.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST};
	struct addrinfo *found = NULL;
	char port[16];

	snprintf(port, sizeof port, "%d", host->port);
	if (getaddrinfo(host->name, port, &hints, &found) != 0)
		return false;
	memcpy(&out->address, found->ai_addr, found->ai_addrlen);
	out->len = found->ai_addrlen;
	freeaddrinfo(found);
	return true;
}

/* False: it is a name. */
static bool make_endpoint(const struct hosts *hosts, size_t host, struct endpoint *out)
{
	memset(out, 0, sizeof *out);
	out->host = host;
	if (*hosts->names.list[host].name != '/')
		return make_literal(&hosts->names.list[host], out);
	make_socket(&hosts->names.list[host], out);
	return true;
}

/* ---- life ---- */

struct hosts *hosts_create(const struct conf_cluster *cluster, atomic_uint *age)
{
	struct hosts *hosts = calloc(1, sizeof *hosts);
	struct endpoint list[CONF_HOSTS_MAX];
	size_t count = 0;

	if (!hosts)
		return NULL;
	pthread_mutex_init(&hosts->lock, NULL);
	hosts->age = age;
	if (conf_hosts_read(cluster->host, cluster->port, &hosts->names) != HOSTS_FINE) {
		hosts_destroy(hosts);
		return NULL;
	}
	for (size_t i = 0; i < hosts->names.count; i++) {
		hosts->states[i].is_unresolved = !make_endpoint(hosts, i, &list[count]);
		count += !hosts->states[i].is_unresolved;
	}
	hosts->endpoints = endpoints_create(list, count);
	if (!hosts->endpoints) {
		hosts_destroy(hosts);
		return NULL;
	}
	return hosts;
}

void hosts_destroy(struct hosts *hosts)
{
	if (!hosts)
		return;
	endpoints_unref(hosts->endpoints);
	conf_hosts_fini(&hosts->names);
	pthread_mutex_destroy(&hosts->lock);
	free(hosts);
}

unsigned hosts_literals(const struct hosts *hosts)
{
	struct endpoint ignored;
	unsigned literals = 0;

	for (size_t i = 0; i < hosts->names.count; i++)
		literals |= (unsigned)make_endpoint(hosts, i, &ignored) << i;
	return literals;
}

bool hosts_have_names(const struct hosts *hosts)
{
	return hosts_literals(hosts) != (1u << hosts->names.count) - 1;
}

bool hosts_resolved(struct hosts *hosts, const struct endpoint *list, size_t count,
					unsigned kept)
{
	struct endpoint all[ENDPOINTS_MAX];
	size_t size = 0;
	bool changed = false;

	pthread_mutex_lock(&hosts->lock);
	const struct endpoints *old = hosts->endpoints;
	for (size_t i = 0; i < hosts->names.count; i++) {
		bool keeps = kept >> i & 1;
		const struct endpoint *from = keeps ? old->list : list;
		size_t there = keeps ? old->count : count, before = size;

		for (size_t j = 0; j < there; j++) {
			if (from[j].host == i && size < ENDPOINTS_MAX)
				all[size++] = from[j];
		}
		hosts->states[i].is_unresolved = size == before;
	}
	changed = size != old->count;
	for (size_t i = 0; i < size && !changed; i++)
		changed = !has(old->list, old->count, &all[i]);
	struct endpoints *next = changed ? endpoints_create(all, size) : NULL;
	if (next) {
		endpoints_unref(hosts->endpoints);
		hosts->endpoints = next;
	}
	pthread_mutex_unlock(&hosts->lock);
	if (next)
		atomic_fetch_add(hosts->age, 1);
	return next != NULL;
}

bool hosts_have_endpoint(struct hosts *hosts, const struct endpoint *endpoint)
{
	pthread_mutex_lock(&hosts->lock);
	bool found = has(hosts->endpoints->list, hosts->endpoints->count, endpoint);
	pthread_mutex_unlock(&hosts->lock);
	return found;
}

bool hosts_may_fail_over(const struct hosts *hosts, enum conf_target target)
{
	return hosts->names.count > 1 || target != TARGET_ANY;
}

int64_t hosts_failing_for(const struct hosts *hosts)
{
	int64_t since_us = atomic_load(&hosts->failing_us);

	return since_us ? clock_monotonic_us() - since_us : 0;
}

static const char *state_name(const struct host_state *state, bool is_tried)
{
	if (state->is_unresolved)
		return "unresolved";
	if (atomic_load(&state->failed_us))
		return "down";
	return is_tried ? "up" : "unknown";
}

void hosts_report(struct hosts *hosts, size_t host, struct host_report *out)
{
	struct host_state *state = &hosts->states[host];
	bool is_tried = atomic_load(&state->is_tried);

	*out = (struct host_report){.kind = (enum host_kind)atomic_load(&state->kind),
								.is_in_use = atomic_load(&hosts->good) == host && is_tried &&
											 !hosts_failing_for(hosts)};
	pthread_mutex_lock(&hosts->lock);
	out->state = state_name(state, is_tried);
	out->is_down = state->is_unresolved || atomic_load(&state->failed_us) != 0;
	for (size_t i = 0; i < hosts->endpoints->count; i++)
		out->addresses += hosts->endpoints->list[i].host == host;
	memcpy(out->why, state->why, sizeof out->why);
	out->failed_ms = state->failed_ms;
	pthread_mutex_unlock(&hosts->lock);
}

/* ---- connecting ---- */

/* The less, the sooner it is tried. */
static unsigned rank(const struct host_walk *walk, const struct endpoint *endpoint)
{
	const struct host_state *state = &walk->hosts->states[endpoint->host];
	enum host_kind kind = (enum host_kind)atomic_load(&state->kind);
	bool is_down = atomic_load(&state->failed_us) != 0;
	bool is_unfit = kind && host_misfit(walk->target, kind) != NULL;
	bool is_other = atomic_load(&walk->hosts->good) != endpoint->host;

	return (unsigned)is_down << 2 | (unsigned)is_unfit << 1 | (unsigned)is_other;
}

/* The order of the settings and of the name server, among those of the same rank. */
static void sort(struct host_walk *walk)
{
	size_t count = walk->endpoints->count, at = 0;
	unsigned ranks[ENDPOINTS_MAX];

	for (size_t i = 0; i < count; i++)
		ranks[i] = rank(walk, &walk->endpoints->list[i]);
	for (unsigned wanted = 0; wanted < 8; wanted++) {
		for (size_t i = 0; i < count; i++) {
			if (ranks[i] == wanted)
				walk->order[at++] = (uint8_t)i;
		}
	}
}

/* Who stands for nothing is not tried, and said in the end. */
static void say_unresolved(struct host_walk *walk)
{
	struct hosts *hosts = walk->hosts;

	pthread_mutex_lock(&hosts->lock);
	for (size_t i = 0; i < hosts->names.count; i++) {
		if (hosts->states[i].is_unresolved)
			buf_appendf(&walk->said, "%s%s cannot be resolved",
						buf_len(&walk->said) ? "; " : "", hosts->names.list[i].name);
	}
	pthread_mutex_unlock(&hosts->lock);
}

struct host_walk *host_walk_begin(struct hosts *hosts, enum conf_target target)
{
	struct host_walk *walk = calloc(1, sizeof *walk);

	if (!walk)
		return NULL;
	walk->hosts = hosts;
	walk->target = target;
	walk->endpoints = take_endpoints(hosts);
	buf_init(&walk->said);
	sort(walk);
	say_unresolved(walk);
	return walk;
}

const struct endpoint *host_walk_at(const struct host_walk *walk)
{
	if (walk->at >= walk->endpoints->count)
		return NULL;
	return &walk->endpoints->list[walk->order[walk->at]];
}

static const struct conf_host *name_of(const struct host_walk *walk, size_t host)
{
	return &walk->hosts->names.list[host];
}

/* Adds to what is said in the end, and goes on; behind the last, once more where a second round
 * takes what the first did not want. */
static void go_on(struct host_walk *walk, size_t host, const char *why)
{
	const struct conf_host *name = name_of(walk, host);

	if (walk->hosts->names.count > 1 || walk->endpoints->count > 1)
		buf_appendf(&walk->said, "%s%s port %d: %s", buf_len(&walk->said) ? "; " : "",
					name->name, name->port, why);
	else
		buf_appendf(&walk->said, "%s%s", buf_len(&walk->said) ? "; " : "", why);
	walk->at++;
	if (walk->at >= walk->endpoints->count && walk->target == TARGET_PREFER_STANDBY &&
		!walk->takes_any && walk->is_unfit) {
		walk->takes_any = true;
		walk->at = 0;
	}
}

static void log_change(const struct host_walk *walk, size_t host, const char *event,
					   const char *what)
{
	const struct conf_host *name = name_of(walk, host);
	char port[16];

	if (walk->hosts->names.count == 1)
		return; /* backend.refused says it all */
	snprintf(port, sizeof port, "%d", name->port);
	log_event(LOG_WARNING, event, "host", name->name, "port", port, "what", what, NULL);
}

void host_walk_failed(struct host_walk *walk, const char *why)
{
	const struct endpoint *endpoint = host_walk_at(walk);
	struct hosts *hosts = walk->hosts;
	long long never = 0;

	if (!endpoint)
		return;
	struct host_state *state = &hosts->states[endpoint->host];
	pthread_mutex_lock(&hosts->lock);
	snprintf(state->why, sizeof state->why, "%s", why);
	state->failed_ms = clock_wall_ms();
	pthread_mutex_unlock(&hosts->lock);
	if (atomic_compare_exchange_strong(&state->failed_us, &never, clock_monotonic_us()))
		log_change(walk, endpoint->host, "host.down", why);
	go_on(walk, endpoint->host, why);
}

static void note_kind(struct host_walk *walk, size_t host, enum host_kind kind)
{
	struct host_state *state = &walk->hosts->states[host];
	enum host_kind before = (enum host_kind)atomic_exchange(&state->kind, kind);
	bool was_down = atomic_exchange(&state->failed_us, 0) != 0;

	atomic_store(&state->is_tried, true);

	if (was_down || (before && before != kind))
		log_change(walk, host, "host.up", host_kind_name(kind));
}

const char *host_walk_judge(struct host_walk *walk, const struct params *params)
{
	const struct endpoint *endpoint = host_walk_at(walk);
	enum host_kind kind = host_kind_of(params);

	if (!endpoint)
		return NULL;
	note_kind(walk, endpoint->host, kind);
	const char *misfit = host_misfit(walk->target, kind);
	return walk->takes_any ? NULL : misfit;
}

void host_walk_unfit(struct host_walk *walk, const char *why)
{
	const struct endpoint *endpoint = host_walk_at(walk);

	walk->is_unfit = true;
	if (endpoint)
		go_on(walk, endpoint->host, why);
}

void host_walk_found(struct host_walk *walk)
{
	const struct endpoint *endpoint = host_walk_at(walk);

	if (!endpoint)
		return;
	if (atomic_exchange(&walk->hosts->good, endpoint->host) != endpoint->host)
		log_change(walk, endpoint->host, "host.chosen",
				   host_kind_name(
					   (enum host_kind)atomic_load(&walk->hosts->states[endpoint->host].kind)));
	atomic_store(&walk->hosts->failing_us, 0);
}

const char *host_walk_give_up(struct host_walk *walk)
{
	struct hosts *hosts = walk->hosts;
	long long never = 0;

	atomic_compare_exchange_strong(&hosts->failing_us, &never, clock_monotonic_us());
	if (hosts->resolve)
		hosts->resolve(hosts->resolver);
	if (!buf_append_byte(&walk->said, '\0'))
		return "no host serves";
	return (const char *)buf_data(&walk->said);
}

void host_walk_end(struct host_walk *walk)
{
	if (!walk)
		return;
	endpoints_unref(walk->endpoints);
	buf_fini(&walk->said);
	free(walk);
}

/* ---- kinds ---- */

static bool is_on(const char *value)
{
	return strcmp(value, "on") == 0;
}

enum host_kind host_kind_of(const struct params *params)
{
	const char *standby = params_get(params, "in_hot_standby");
	const char *read_only = params_get(params, "default_transaction_read_only");

	if (!standby || !read_only)
		return HOST_UNKNOWN;
	if (is_on(standby))
		return HOST_STANDBY;
	return is_on(read_only) ? HOST_READ_ONLY : HOST_READ_WRITE;
}

const char *host_target_name(enum conf_target target)
{
	static const char *const names[] = {[TARGET_ANY] = "any",
										[TARGET_READ_WRITE] = "read-write",
										[TARGET_READ_ONLY] = "read-only",
										[TARGET_PRIMARY] = "primary",
										[TARGET_STANDBY] = "standby",
										[TARGET_PREFER_STANDBY] = "prefer-standby"};

	return names[target];
}

static const char unknown[] = "it does not say what it is: target_session_attrs needs "
							  "PostgreSQL 14";

const char *host_misfit(enum conf_target target, enum host_kind kind)
{
	if (target != TARGET_ANY && kind == HOST_UNKNOWN)
		return unknown;
	switch (target) {
	case TARGET_ANY:
		break;
	case TARGET_READ_WRITE:
		return kind != HOST_READ_WRITE ? "it is read-only" : NULL;
	case TARGET_READ_ONLY:
		return kind == HOST_READ_WRITE ? "it is not read-only" : NULL;
	case TARGET_PRIMARY:
		return kind == HOST_STANDBY ? "it is a standby" : NULL;
	case TARGET_STANDBY:
	case TARGET_PREFER_STANDBY:
		return kind != HOST_STANDBY ? "it is no standby" : NULL;
	}
	return NULL;
}

const char *host_kind_name(enum host_kind kind)
{
	switch (kind) {
	case HOST_UNKNOWN:
		break;
	case HOST_READ_WRITE:
		return "primary";
	case HOST_READ_ONLY:
		return "primary, read-only";
	case HOST_STANDBY:
		return "standby";
	}
	return "unknown";
}
