/*
 * resolver.h: what the names of hosts stand for, asked again and again.
 *
 * getaddrinfo(3) blocks for as long as a name server is silent, so it is called on threads that
 * do nothing else: one for each list of hosts with names in it, so that the names of one
 * cluster wait for no other's. It is asked every dns_max_ttl, and sooner when no host of the
 * list serves or a name could not be resolved, at the most once a second.
 */
#ifndef PROXY_RESOLVER_H
#define PROXY_RESOLVER_H

#include <stddef.h>
#include <stdint.h>

struct hosts;
struct resolvers;

/*
 * Begins, and waits a moment for the first answers: a name that has none by then is asked for
 * further on. The hosts outlive the resolvers. NULL when memory or threads are out.
 */
struct resolvers *resolvers_start(struct hosts *const *hosts, size_t count, int64_t ttl_ms);

/* From now on; from any thread. */
void resolvers_set_ttl(struct resolvers *resolvers, int64_t ttl_ms);

/* No hosts are touched after this, though a thread may still wait for a name server. NULL is
 * fine. */
void resolvers_stop(struct resolvers *resolvers);

#endif
