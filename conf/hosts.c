#include "conf/hosts.h"

#include <stdlib.h>
#include <string.h>

#define HOST_MAX_BYTES   255
#define SUN_PATH_DIR_MAX 92 /* as for unix_socket_dir */
#define BLANKS           " \t"

/* The next element without the blanks around it; *list is behind its comma afterwards, or NULL
 * when it was the last. */
static const char *next_element(const char **list, size_t *len)
{
	const char *start = *list, *comma = strchr(start, ',');
	const char *end = comma ? comma : start + strlen(start);

	start += strspn(start, BLANKS);
	while (end > start && strchr(BLANKS, end[-1]))
		end--;
	*list = comma ? comma + 1 : NULL;
	*len = end > start ? (size_t)(end - start) : 0;
	return start;
}

static enum conf_hosts_fault read_host(const char *text, size_t len, struct conf_hosts *out)
{
	if (!len)
		return HOSTS_EMPTY;
	if (out->count == CONF_HOSTS_MAX)
		return HOSTS_TOO_MANY;
	if (*text == '/' && len > SUN_PATH_DIR_MAX)
		return HOSTS_PATH_TOO_LONG;
	if (len > HOST_MAX_BYTES)
		return HOSTS_TOO_LONG;
	out->list[out->count].name = strndup(text, len);
	if (!out->list[out->count].name)
		return HOSTS_NO_MEMORY;
	out->count++;
	return HOSTS_FINE;
}

/* 0 when it is none. */
static int read_port(const char *text, size_t len)
{
	int port = 0;

	for (size_t i = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '9' || i >= 5)
			return 0;
		port = 10 * port + (text[i] - '0');
	}
	return port <= 65535 ? port : 0;
}

static enum conf_hosts_fault read_ports(const char *list, struct conf_hosts *out)
{
	size_t count = 0;

	while (list) {
		size_t len;
		const char *text = next_element(&list, &len);
		int port = read_port(text, len);

		if (!port)
			return HOSTS_PORT;
		if (count == out->count)
			return HOSTS_PORT_COUNT;
		out->list[count++].port = port;
	}
	if (count != 1 && count != out->count)
		return HOSTS_PORT_COUNT;
	for (size_t i = count; i < out->count; i++)
		out->list[i].port = out->list[0].port;
	return HOSTS_FINE;
}

static bool is_same(const struct conf_host *a, const struct conf_host *b)
{
	return a->port == b->port && strcmp(a->name, b->name) == 0;
}

static const struct conf_host *find(const struct conf_host *list, size_t count,
									const struct conf_host *wanted)
{
	for (size_t i = 0; i < count; i++) {
		if (is_same(&list[i], wanted))
			return &list[i];
	}
	return NULL;
}

enum conf_hosts_fault conf_hosts_read(const char *host, const char *port,
									  struct conf_hosts *out)
{
	enum conf_hosts_fault fault = HOSTS_FINE;

	memset(out, 0, sizeof *out);
	while (host && !fault) {
		size_t len;
		const char *text = next_element(&host, &len);

		fault = read_host(text, len, out);
	}
	if (!fault)
		fault = read_ports(port, out);
	for (size_t i = 1; i < out->count && !fault; i++) {
		if (find(out->list, i, &out->list[i]))
			fault = HOSTS_TWICE;
	}
	return fault;
}

void conf_hosts_fini(struct conf_hosts *hosts)
{
	for (size_t i = 0; i < hosts->count; i++)
		free(hosts->list[i].name);
	hosts->count = 0;
}

const char *conf_hosts_complaint(enum conf_hosts_fault fault)
{
	switch (fault) {
	case HOSTS_FINE:
		break;
	case HOSTS_NO_MEMORY:
		return "out of memory";
	case HOSTS_EMPTY:
		return "a host between the commas is missing";
	case HOSTS_TOO_MANY:
		return "names more than 16 hosts";
	case HOSTS_TOO_LONG:
		return "has a host that is longer than 255 bytes";
	case HOSTS_PATH_TOO_LONG:
		return "is longer than 92 bytes, too long for a unix socket";
	case HOSTS_TWICE:
		return "names a host and port twice";
	case HOSTS_PORT:
		return "must be 1 .. 65535, or a list of these between commas";
	case HOSTS_PORT_COUNT:
		return "must be one port for all hosts, or one for each";
	}
	return "is fine";
}

void conf_hosts_strip(char *list)
{
	const char *rest = list;
	char *to = list;

	while (rest) {
		size_t len;
		const char *text = next_element(&rest, &len);

		memmove(to, text, len);
		to += len;
		if (rest)
			*to++ = ',';
	}
	if (to)
		*to = '\0';
}

bool conf_hosts_have_tcp(const char *host)
{
	while (host) {
		size_t len;
		const char *text = next_element(&host, &len);

		if (len && *text != '/')
			return true;
	}
	return false;
}

bool conf_hosts_equal(const struct conf_hosts *a, const struct conf_hosts *b)
{
	if (a->count != b->count)
		return false;
	for (size_t i = 0; i < a->count; i++) {
		if (!find(b->list, b->count, &a->list[i]))
			return false;
	}
	return true;
}
