#include "cli/key_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/encode.h"
#include "base/secret.h"

#define KEY_FILE_MAX 65536 /* bytes, as policy/guard/keyring.c reads them */

/* ---- for those who serve ---- */

static _Thread_local char reason[256];

/* The tenant may be written as slug or key, which only the directory can tell: then the logins
 * show it (BH-ID-KEY). */
static bool fits(const struct conf_listen *listen, const struct uuid *tenant)
{
	struct uuid named;

	if (!*listen->tenant)
		snprintf(reason, sizeof reason,
				 "it holds the keys of one tenant, and [listen:%s] names no tenant",
				 listen->name);
	else if (uuid_parse(listen->tenant, strlen(listen->tenant), &named) &&
			 !uuid_equal(&named, tenant))
		snprintf(reason, sizeof reason,
				 "it holds the keys of one tenant, and [listen:%s] names another",
				 listen->name);
	else
		return true;
	return false;
}

struct guard_keyring *key_file_load(const struct conf *conf, const char **why)
{
	struct guard_keyring *keyring = guard_keyring_load(conf->guard_key_file, why);
	const struct uuid *tenant = keyring ? guard_keyring_tenant(keyring) : NULL;

	for (size_t i = 0; tenant && i < conf->listen_count; i++) {
		if (!fits(&conf->listens[i], tenant)) {
			guard_keyring_destroy(keyring);
			*why = reason;
			return NULL;
		}
	}
	return keyring;
}

bool key_file_check_secrets(const struct conf *conf, FILE *err)
{
	bool sound = true;

	for (size_t i = 0; i < conf->cluster_count; i++) {
		const struct conf_cluster *cluster = &conf->clusters[i];
		const char *why = NULL;
		struct guard_keyring *secret =
			cluster->secret ? guard_keyring_parse(cluster->secret, &why) : NULL;

		if (cluster->secret && !secret) {
			conf_complain_cluster(err, conf, cluster, "secret_file", "%s", why);
			sound = false;
		}
		guard_keyring_destroy(secret);
	}
	return sound;
}

/* ---- for those who change it ---- */

int key_folder_lock(const char *dir)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), done;

	if (fd < 0)
		return -1;
	do
		done = flock(fd, LOCK_EX);
	while (done != 0 && errno == EINTR);
	if (done == 0)
		return fd;
	close(fd);
	return -1;
}

/* Writes what was put together, and wipes it. */
static bool write_file(const char *path, struct buf *content, bool complete, const char **why)
{
	bool done = false;

	if (!complete)
		*why = "out of memory";
	else
		done = secret_write_file(path, (const char *)buf_data(content), buf_len(content), why);
	buf_wipe(content);
	return done;
}

/* The file's content, with room in `out` for all of it and for one line more, so that it is
 * never moved in memory. */
static char *read_file(const char *path, struct buf *out, const char **why)
{
	char *content = secret_read_file(path, KEY_FILE_MAX, why);

	buf_init(out);
	if (content &&
		!buf_reserve(out, strlen(content) + GUARD_KID_MAX + BASE64_SIZE(GUARD_KEY_SIZE) + 8)) {
		*why = "out of memory";
		secret_free(content);
		content = NULL;
	}
	return content;
}

bool key_file_add(const char *path, const char *kid, const unsigned char key[GUARD_KEY_SIZE],
				  const char **why)
{
	char base64[BASE64_SIZE(GUARD_KEY_SIZE)];
	struct buf out;
	char *content = read_file(path, &out, why);

	if (!content)
		return false;
	base64_encode(key, GUARD_KEY_SIZE, base64);
	bool complete = buf_append(&out, kid, strlen(kid)) && buf_append_byte(&out, ' ') &&
					buf_append(&out, base64, strlen(base64)) && buf_append_byte(&out, '\n') &&
					buf_append(&out, content, strlen(content)) && buf_append_byte(&out, '\n');
	secret_wipe(base64, sizeof base64);
	secret_free(content);
	return write_file(path, &out, complete, why);
}

static bool is_line_of(const char *line, const char *kid)
{
	size_t len = strlen(kid);

	return strncmp(line, kid, len) == 0 && (line[len] == ' ' || line[len] == '\t');
}

bool key_file_remove(const char *path, const char *kid, const char **why)
{
	struct buf out;
	char *content = read_file(path, &out, why);
	bool complete = true;

	if (!content)
		return false;
	for (const char *line = content; *line && complete;) {
		size_t len = strcspn(line, "\n");

		if (!is_line_of(line, kid))
			complete = buf_append(&out, line, len) && buf_append_byte(&out, '\n');
		line += len + (line[len] == '\n');
	}
	secret_free(content);
	return write_file(path, &out, complete, why);
}
