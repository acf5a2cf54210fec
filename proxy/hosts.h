/*
 * hosts.h: the servers that one [cluster:NAME] may find its backends at, and which of them
 * does.
 *
 * A cluster names one host or several. What each name stands for is a list of *endpoints*,
 * resolved by resolver.h and replaced as a whole when that changes; whoever connects holds a
 * reference to the list while it tries one endpoint after the other (struct host_walk). All
 * workers share what was found out on the way: who served last, who failed, what each is.
 *
 * Nothing here is touched while statements run: a lock is taken for each attempt to connect,
 * and by those who look.
 *
 * Source: libpq's documentation, "Parameter Key Words", target_session_attrs. What it asks for
 * is read from what PostgreSQL 14 and later report when a session begins (in_hot_standby,
 * default_transaction_read_only): no query is sent.
 */
#ifndef PROXY_HOSTS_H
#define PROXY_HOSTS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/buf.h"
#include "conf/conf.h"
#include "conf/hosts.h"

struct params;

#define HOST_ADDRESSES_MAX 8 /* of one name */
#define ENDPOINTS_MAX      ((size_t)CONF_HOSTS_MAX * HOST_ADDRESSES_MAX)

struct endpoint {
	struct sockaddr_storage address;
	socklen_t len;
	size_t host; /* its number in the list */
};

struct endpoints {
	atomic_int references;
	size_t count;
	struct endpoint list[];
};

/* What a server said that it is. */
enum host_kind { HOST_UNKNOWN, HOST_READ_WRITE, HOST_READ_ONLY, HOST_STANDBY };

struct host_state {
	atomic_int kind;        /* an enum host_kind, when it was last asked */
	atomic_llong failed_us; /* since when it cannot be reached, monotonic; 0: it can, or nobody
							   tried */
	atomic_bool is_tried;   /* a session has begun there */
	char why[160];          /* it could not; under the lock, as is the next */
	int64_t failed_ms;      /* and when, by the clock on the wall; 0: never */
	bool is_unresolved;     /* its name stands for nothing */
};

struct hosts {
	struct conf_hosts names;
	struct host_state states[CONF_HOSTS_MAX];
	pthread_mutex_t lock;
	struct endpoints *endpoints; /* never NULL */
	atomic_size_t good;          /* the host that served last */
	atomic_llong failing_us;     /* since when none has; 0: one does, or nobody tried */
	atomic_uint *age;            /* of all hosts of the process: counts changes of endpoints */
	void (*resolve)(void *resolver); /* soon, please; or NULL */
	void *resolver;
};

/* With the endpoints of hosts that are addresses or sockets. NULL when memory is out. */
struct hosts *hosts_create(const struct conf_cluster *cluster, atomic_uint *age);
void hosts_destroy(struct hosts *hosts); /* NULL is fine */

/* The bits of those that are no names, so that nobody has to be asked for them; and is that all
 * of them? */
unsigned hosts_literals(const struct hosts *hosts);
bool hosts_have_names(const struct hosts *hosts);

/*
 * What names were found to stand for: `list` replaces what was known, but for the hosts whose
 * bits are in `kept`, of which the old endpoints stay. True when something has changed.
 */
bool hosts_resolved(struct hosts *hosts, const struct endpoint *list, size_t count,
					unsigned kept);

/* Is this still one of the endpoints? */
bool hosts_have_endpoint(struct hosts *hosts, const struct endpoint *endpoint);

/* More than one, or one of a wanted kind: is another server to be expected to take over? */
bool hosts_may_fail_over(const struct hosts *hosts, enum conf_target target);

/* For people. */
struct host_report {
	enum host_kind kind;
	const char *state; /* up, down, unresolved, or unknown: nobody tried */
	bool is_down;      /* or unresolved */
	bool is_in_use;    /* the one that served last, while one does */
	size_t addresses;
	char why[160]; /* of the last failure */
	int64_t failed_ms;
};
void hosts_report(struct hosts *hosts, size_t host, struct host_report *out);

/* For how long has none served, in microseconds? 0: one does. */
int64_t hosts_failing_for(const struct hosts *hosts);

/* ---- connecting ---- */

struct host_walk {
	struct hosts *hosts;
	enum conf_target target;
	struct endpoints *endpoints; /* borrowed by a reference */
	uint8_t order[ENDPOINTS_MAX];
	size_t at;
	bool takes_any;  /* prefer-standby: the second round */
	bool is_unfit;   /* one answered, and was of the wrong kind */
	struct buf said; /* why each of them was not taken */
};

/* To be tried first: who served last, and is not known to be down or of the wrong kind. NULL
 * when memory is out. */
struct host_walk *host_walk_begin(struct hosts *hosts, enum conf_target target);

/* The one to try now; NULL when all have been. */
const struct endpoint *host_walk_at(const struct host_walk *walk);

/* It cannot be reached, or (unfit) is not what is wanted: on to the next. */
void host_walk_failed(struct host_walk *walk, const char *why);
void host_walk_unfit(struct host_walk *walk, const char *why);

/* A session has begun there: NULL when the server is what is wanted, else why it is not. */
const char *host_walk_judge(struct host_walk *walk, const struct params *params);

/* It serves. */
void host_walk_found(struct host_walk *walk);

/* There was none: why, for the log; valid until the walk ends. */
const char *host_walk_give_up(struct host_walk *walk);

void host_walk_end(struct host_walk *walk); /* NULL is fine */

/* ---- kinds ---- */

/* HOST_UNKNOWN for a server before 14. */
enum host_kind host_kind_of(const struct params *params);

/* NULL when a server of that kind fits; else why not. */
const char *host_misfit(enum conf_target target, enum host_kind kind);

const char *host_kind_name(enum host_kind kind);
const char *host_target_name(enum conf_target target);

#endif
