/*
 * listen.h: where the probes and the admin API listen: names of addresses and paths of unix
 * sockets, as settings have them.
 */
#ifndef ADMIN_LISTEN_H
#define ADMIN_LISTEN_H

#include <stdbool.h>
#include <sys/socket.h>

/* Logs the event with address, port (NULL: a unix socket) and reason; always false. */
bool listen_fail(const char *event, const char *where, const char *port, const char *why);

/*
 * The flags of evconnlistener_new_bind for an address; `is_shared`: a process that takes our
 * place listens on it at the same time (reuse_port).
 */
unsigned listen_flags(const struct sockaddr *address, bool is_shared);

/* Called for each address; false, when it has logged why, ends the walk. */
typedef bool (*listen_visitor)(void *self, const char *where, const char *port,
							   const struct sockaddr *address, socklen_t len);

/* Visits the addresses of names between commas or blanks, * for all. False as well, with
 * `event` logged, when one cannot be resolved or memory is out. */
bool listen_each_name(const char *names, int port, const char *event, listen_visitor visit,
					  void *self);

/*
 * Visits the address of a unix socket. A file that was left behind goes first; one that
 * somebody answers on does not, unless it is shared. False as above.
 */
bool listen_at_path(const char *path, bool is_shared, const char *event, listen_visitor visit,
					void *self);

#endif
