/*
 * takeover.h: listening sockets that one process takes over from another without a connection
 * being refused in between (`reuse_port`).
 *
 * TCP: both processes listen on the same address (SO_REUSEPORT, socket(7)), and the kernel
 * chooses for each connection. A socket that is closed takes the connections of its queue
 * along, and those whose handshake is not complete: they are reset. So the one that leaves
 * first turns new connections away for a while, silently, by a filter on its socket: the client
 * repeats its SYN after a second and finds the other process. Meanwhile it takes those that had
 * begun. (Where the sysctl net.ipv4.tcp_migrate_req is 1 the kernel would hand them over.)
 *
 * Unix sockets: the file is replaced atomically by rename(2). Whoever removes or replaces one
 * holds a lock on its directory, so that nobody removes the other's.
 */
#ifndef PROXY_TAKEOVER_H
#define PROXY_TAKEOVER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/un.h>

/* How long a handshake that has begun may take to be accepted. */
#define TAKEOVER_US 200000

/* Before bind(2). False with errno when the kernel refuses. */
bool takeover_share(int fd);

/* No new TCP connection reaches this listening socket any more; those that are under way do.
 * Nothing happens where the kernel refuses: some connections may be reset then. */
void takeover_turn_away(int fd);

/* Which file of that name a process has made. */
struct takeover_file {
	dev_t device;
	ino_t inode;
};

/* Binds the socket to the path, with these permissions, in the place of what is there, and
 * listens. False with errno. */
bool takeover_listen(int fd, const struct sockaddr_un *address, mode_t mode, int backlog);

/* Notes which file the path leads to. */
void takeover_note(const char *path, struct takeover_file *file);

/* Is it still that file? */
bool takeover_is_ours(const char *path, const struct takeover_file *file);

/* Removes it if it still is. */
void takeover_unlink(const char *path, const struct takeover_file *file);

#endif
