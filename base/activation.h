/*
 * activation.h: listening sockets that were opened for this process by whoever started it.
 *
 * The protocol is systemd's (sd_listen_fds(3)): LISTEN_PID names this process, LISTEN_FDS says
 * how many descriptors there are from 3 on, LISTEN_FDNAMES what they are called, separated by
 * colons.
 */
#ifndef BASE_ACTIVATION_H
#define BASE_ACTIVATION_H

#include <stdbool.h>
#include <stddef.h>

struct activation_socket {
	int fd;
	char *name;
	bool is_unix;
};

struct activation {
	struct activation_socket *sockets;
	size_t count;
};

/*
 * Takes the sockets over and the variables out of the environment, so that no child of ours
 * takes them for its own. The sockets do not block, and are closed on exec. False with the
 * reason in *why when what is there is not what the variables say; with none of them nothing is
 * taken.
 */
bool activation_take(struct activation *activation, const char **why);

/* Closes what is left. */
void activation_fini(struct activation *activation);

#endif
