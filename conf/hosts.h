/*
 * hosts.h: the hosts of a [cluster:NAME], taken apart.
 *
 * `host` and `port` are lists between commas, as libpq has them (its documentation, "Specifying
 * Multiple Hosts"): one port for all hosts, or one for each. Blanks around an element count for
 * nothing; an element that is empty is a mistake here, where libpq would take a default.
 */
#ifndef CONF_HOSTS_H
#define CONF_HOSTS_H

#include <stdbool.h>
#include <stddef.h>

#define CONF_HOSTS_MAX 16

struct conf_host {
	char *name; /* name, address, or a directory (leading '/') for a unix socket */
	int port;
};

struct conf_hosts {
	struct conf_host list[CONF_HOSTS_MAX];
	size_t count;
};

enum conf_hosts_fault {
	HOSTS_FINE,
	HOSTS_NO_MEMORY,
	HOSTS_EMPTY,
	HOSTS_TOO_MANY,
	HOSTS_TOO_LONG,
	HOSTS_PATH_TOO_LONG,
	HOSTS_TWICE,
	/* faults of `port` */
	HOSTS_PORT,
	HOSTS_PORT_COUNT,
};

/* Takes the two settings apart. Whatever is returned, conf_hosts_fini is for what is there. */
enum conf_hosts_fault conf_hosts_read(const char *host, const char *port,
									  struct conf_hosts *out);
void conf_hosts_fini(struct conf_hosts *hosts);

/* What is wrong, for people. */
const char *conf_hosts_complaint(enum conf_hosts_fault fault);

/* Takes the blanks around elements out, in place: as libpq takes the list. */
void conf_hosts_strip(char *list);

/* Is one of the hosts reached over TCP? */
bool conf_hosts_have_tcp(const char *host);

/* Do both name the same hosts and ports, in whatever order: is it the same server? */
bool conf_hosts_equal(const struct conf_hosts *a, const struct conf_hosts *b);

#endif
