/*
 * bulkhead healthcheck: asks the probes of the Bulkhead that runs with these settings, for
 * containers and scripts that have no HTTP client.
 */
#include <errno.h>
#include <limits.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/options.h"
#include "conf/conf.h"

#define PATIENCE_S    3 /* for connecting, and for each read */
#define PATIENCE_TEXT "3 s"

static void usage(FILE *out)
{
	fprintf(
		out,
		"Usage: bulkhead healthcheck [-c FILE] [--set SECTION.KEY=VALUE]... [--live]\n"
		"\n"
		"Asks the Bulkhead that runs with these settings, at its [probes] listener, whether "
		"it is\n"
		"ready. Exit code 0: it is; 1: it is not, or does not answer.\n"
		"\n"
		"%s"
		"      --live                   ask whether it lives (/livez) instead of /readyz\n"
		"  -h, --help                   this text\n",
		options_help);
}

/* Whom it asks, and why there is no answer. */
struct inquiry {
	const struct conf *conf;
	const char *path;
	const char *why; /* a static text */
};

static void complain(const struct inquiry *inquiry, const char *what, int len)
{
	const struct conf *conf = inquiry->conf;

	fputs("bulkhead healthcheck: ", stderr);
	if (*conf->probes_unix_socket)
		fprintf(stderr, "%s: ", conf->probes_unix_socket);
	else if (*conf->probes_listen_addr)
		fprintf(stderr, "%.*s port %d: ", (int)strcspn(conf->probes_listen_addr, ", "),
				conf->probes_listen_addr, conf->probes_listen_port);
	fprintf(stderr, "%.*s\n", len, what);
}

/* ---- connecting ---- */

/* The limits of the socket come as EAGAIN, of connect(2) as EINPROGRESS: socket(7). */
static const char *error_text(int error)
{
	return error == EAGAIN || error == EINPROGRESS ? "no answer within " PATIENCE_TEXT
												   : strerror(error);
}

static int connect_to(struct inquiry *inquiry, const struct sockaddr *address, socklen_t len)
{
	const struct timeval patience = {.tv_sec = PATIENCE_S};
	int fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd >= 0) {
		/* Linux takes the limit of sending for connect(2) too: socket(7). */
		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
		setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
		if (connect(fd, address, len) == 0)
			return fd;
	}
	inquiry->why = error_text(errno);
	if (fd >= 0)
		close(fd);
	return -1;
}

static int connect_to_path(struct inquiry *inquiry, const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	if (strlen(path) >= sizeof address.sun_path) {
		inquiry->why = "the path is too long for a unix socket";
		return -1;
	}
	memcpy(address.sun_path, path, strlen(path) + 1);
	return connect_to(inquiry, (const struct sockaddr *)&address, sizeof address);
}

/* The first address of the list; of "*" the loopback. */
static int connect_to_name(struct inquiry *inquiry, const char *list, int port)
{
	const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
	struct addrinfo *found = NULL;
	char service[16], *name = strndup(list, strcspn(list, ", "));
	int fd = -1;

	inquiry->why = strerror(ENOMEM);
	if (!name)
		return -1;
	snprintf(service, sizeof service, "%d", port);
	/* Without a name getaddrinfo gives the loopback. */
	int error = getaddrinfo(strcmp(name, "*") == 0 ? NULL : name, service, &hints, &found);
	if (error)
		inquiry->why = gai_strerror(error);
	for (const struct addrinfo *at = found; at && fd < 0; at = at->ai_next)
		fd = connect_to(inquiry, at->ai_addr, at->ai_addrlen);
	if (found)
		freeaddrinfo(found);
	free(name);
	return fd;
}

static int connect_to_probes(struct inquiry *inquiry)
{
	const struct conf *conf = inquiry->conf;

	if (*conf->probes_unix_socket)
		return connect_to_path(inquiry, conf->probes_unix_socket);
	return connect_to_name(inquiry, conf->probes_listen_addr, conf->probes_listen_port);
}

/* ---- asking ---- */

/* The whole answer, up to the end of the connection, as far as there is room. */
static bool ask(struct inquiry *inquiry, int fd, char *answer, size_t size)
{
	char request[128];
	size_t len = 0;
	ssize_t n;
	int request_len = snprintf(request, sizeof request,
							   "GET %s HTTP/1.1\r\nHost: localhost\r\n"
							   "Connection: close\r\n\r\n",
							   inquiry->path);

	n = send(fd, request, (size_t)request_len, MSG_NOSIGNAL);
	while (n > 0 && (n = recv(fd, answer + len, size - 1 - len, 0)) > 0)
		len += (size_t)n;
	answer[len] = '\0';
	if (n < 0)
		inquiry->why = error_text(errno);
	return n == 0 || len == size - 1;
}

static int report(const struct inquiry *inquiry, const char *answer)
{
	const char *body = strstr(answer, "\r\n\r\n");

	if (body && strncmp(answer, "HTTP/1.1 200 ", 13) == 0) {
		fputs(body + 4, stdout);
		return CLI_DONE;
	}
	body = body ? body + 4 : "no answer";
	complain(inquiry, body, (int)strcspn(body, "\r\n"));
	return CLI_FAILED;
}

static int check(const struct conf *conf, const char *path)
{
	struct inquiry inquiry = {.conf = conf, .path = path};
	char answer[2048];
	int result = CLI_FAILED, fd = -1;

	if (*conf->probes_unix_socket || *conf->probes_listen_addr)
		fd = connect_to_probes(&inquiry);
	else
		inquiry.why = "[probes] listens nowhere";
	if (fd >= 0 && ask(&inquiry, fd, answer, sizeof answer))
		result = report(&inquiry, answer);
	else
		complain(&inquiry, inquiry.why, INT_MAX);
	if (fd >= 0)
		close(fd);
	return result;
}

int cmd_healthcheck(int argc, char **argv)
{
	enum { OPTION_LIVE = OPTION_SET + 1 };
	static const struct option longs[] = {OPTIONS_LONG,
										  {"live", no_argument, NULL, OPTION_LIVE},
										  {"help", no_argument, NULL, 'h'},
										  {NULL, 0, NULL, 0}};
	const char *path = "/readyz";
	struct options options;
	int option, result = CLI_USAGE;

	options_init(&options);
	while ((option = getopt_long(argc, argv, OPTIONS_SHORT "h", longs, NULL)) != -1) {
		if (option == 'h') {
			usage(stdout);
			result = CLI_DONE;
			goto out;
		}
		if (option == OPTION_LIVE) {
			path = "/livez";
		} else if (!options_take(&options, option, optarg)) {
			usage(stderr);
			goto out;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "healthcheck: \"%s\" is one word too many\n", argv[optind]);
	} else {
		struct conf *conf = options_load(&options, stderr);

		result = conf ? check(conf, path) : CLI_FAILED;
		conf_destroy(conf);
	}
out:
	options_fini(&options);
	return result;
}
