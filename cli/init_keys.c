#include "cli/init_keys.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/encode.h"
#include "base/secret.h"
#include "cli/key_file.h"
#include "policy/guard/keyring.h"

#define FIRST_KID         "k1"
#define PASSWORD_BYTES    24   /* drawn for a login; written as hex */
#define PASSWORD_FILE_MAX 1024 /* bytes */

char *init_keys_path(const struct init_keys *keys, const char *file)
{
	char *path = NULL;

	return asprintf(&path, "%s/%s", keys->dir, file) < 0 ? NULL : path;
}

static bool complain(const char *path, const char *why)
{
	fprintf(stderr, "bulkhead init: %s: %s\n", path, why);
	return false;
}

/* The installation's keys in a file that is there; NULL with a line printed. */
static struct guard_keyring *load_keyring(const char *path)
{
	const char *why = NULL;
	struct guard_keyring *keyring = guard_keyring_load(path, &why);

	if (!keyring) {
		complain(path, why);
	} else if (guard_keyring_tenant(keyring)) {
		guard_keyring_destroy(keyring);
		keyring = NULL;
		complain(path, "it holds the keys of one tenant; the installation's are needed");
	}
	return keyring;
}

/* A key for a file that is not there. Of one that is, init itself makes no use: it need only be
 * sound. */
static bool load_secret(unsigned char secret[GUARD_KEY_SIZE], const char *path, bool *is_new)
{
	*is_new = access(path, F_OK) != 0 && errno == ENOENT;
	if (*is_new) {
		secret_random(secret, GUARD_KEY_SIZE);
		return true;
	}

	struct guard_keyring *keyring = load_keyring(path);
	guard_keyring_destroy(keyring);
	return keyring != NULL;
}

static bool load_key(struct init_keys *keys, const char *path)
{
	if (access(path, F_OK) != 0 && errno == ENOENT) {
		memcpy(keys->kid, FIRST_KID, sizeof FIRST_KID);
		secret_random(keys->key, sizeof keys->key);
		return true;
	}

	struct guard_keyring *keyring = load_keyring(path);
	if (!keyring)
		return false;
	memcpy(keys->kid, keyring->keys[0].kid, sizeof keys->kid);
	memcpy(keys->key, keyring->keys[0].bytes, sizeof keys->key);
	guard_keyring_destroy(keyring);
	return true;
}

static char *draw_password(void)
{
	unsigned char bytes[PASSWORD_BYTES];
	char *password = malloc(2 * sizeof bytes + 1);

	if (password) {
		secret_random(bytes, sizeof bytes);
		hex_encode(bytes, sizeof bytes, password);
		secret_wipe(bytes, sizeof bytes);
	}
	return password;
}

static bool load_password(const char *path, char **password, bool *is_new)
{
	const char *why = "out of memory";

	*is_new = access(path, F_OK) != 0 && errno == ENOENT;
	*password = *is_new ? draw_password() : secret_read_file(path, PASSWORD_FILE_MAX, &why);
	if (!*password)
		return complain(path, why);
	if (!**password)
		return complain(path, "it is empty");
	return true;
}

static bool make_dir(struct init_keys *keys)
{
	keys->dir_new = mkdir(keys->dir, 0700) == 0;
	return keys->dir_new || errno == EEXIST || complain(keys->dir, strerror(errno));
}

static bool lock_dir(struct init_keys *keys)
{
	keys->lock = key_folder_lock(keys->dir);
	return keys->lock >= 0 || complain(keys->dir, strerror(errno));
}

static bool read_files(struct init_keys *keys, bool pooled)
{
	char *key = init_keys_path(keys, INIT_GUARD_KEY);
	char *pool = init_keys_path(keys, INIT_POOL_PASSWORD);
	char *sidecar = init_keys_path(keys, INIT_SIDECAR_PASSWORD);
	char *api = init_keys_path(keys, INIT_API_PASSWORD);
	char *secret = init_keys_path(keys, INIT_CLUSTER_SECRET);
	char *pepper = init_keys_path(keys, INIT_PEPPER);
	char *master = init_keys_path(keys, INIT_MASTER_KEY);
	bool secret_new, master_new;
	bool loaded =
		key && pool && sidecar && api && secret && pepper && master && load_key(keys, key) &&
		load_secret(keys->secret, secret, &secret_new) &&
		load_secret(keys->pepper, pepper, &keys->pepper_new) &&
		load_secret(keys->master, master, &master_new) &&
		(!pooled || load_password(pool, &keys->pool_password, &keys->pool_password_new)) &&
		load_password(sidecar, &keys->sidecar_password, &keys->sidecar_password_new) &&
		load_password(api, &keys->api_password, &keys->api_password_new);

	free(key);
	free(pool);
	free(sidecar);
	free(api);
	free(secret);
	free(pepper);
	free(master);
	return loaded;
}

bool init_keys_load(struct init_keys *keys, const char *dir, bool pooled)
{
	memset(keys, 0, sizeof *keys);
	keys->lock = -1;
	keys->dir = strdup(dir);
	if (!keys->dir)
		return complain(dir, "out of memory");
	return make_dir(keys) && lock_dir(keys) && read_files(keys, pooled);
}

/* Writes one line into a file of the folder, unless the file is there. */
static bool save_line(const struct init_keys *keys, const char *file, const char *line)
{
	char *path = init_keys_path(keys, file);
	char *content = NULL;
	const char *why = "out of memory";
	bool saved = false;

	if (path && access(path, F_OK) == 0) {
		saved = true;
	} else if (path) {
		int len = asprintf(&content, "%s\n", line);

		saved = len >= 0 && secret_write_file(path, content, (size_t)len, &why);
		if (len >= 0)
			secret_free(content);
	}
	if (!saved)
		complain(path ? path : file, why);
	free(path);
	return saved;
}

static bool save_key(const struct init_keys *keys, const char *file, const char *kid,
					 const unsigned char key[GUARD_KEY_SIZE])
{
	char base64[BASE64_SIZE(GUARD_KEY_SIZE)];
	char line[GUARD_KID_MAX + 1 + sizeof base64];

	base64_encode(key, GUARD_KEY_SIZE, base64);
	snprintf(line, sizeof line, "%s %s", kid, base64);
	bool saved = save_line(keys, file, line);
	secret_wipe(base64, sizeof base64);
	secret_wipe(line, sizeof line);
	return saved;
}

bool init_keys_save(const struct init_keys *keys)
{
	return save_key(keys, INIT_GUARD_KEY, keys->kid, keys->key) &&
		   save_key(keys, INIT_CLUSTER_SECRET, FIRST_KID, keys->secret) &&
		   save_key(keys, INIT_PEPPER, FIRST_KID, keys->pepper) &&
		   save_key(keys, INIT_MASTER_KEY, FIRST_KID, keys->master) &&
		   (!keys->pool_password || save_line(keys, INIT_POOL_PASSWORD, keys->pool_password)) &&
		   save_line(keys, INIT_SIDECAR_PASSWORD, keys->sidecar_password) &&
		   save_line(keys, INIT_API_PASSWORD, keys->api_password);
}

void init_keys_fini(struct init_keys *keys)
{
	secret_wipe(keys->key, sizeof keys->key);
	secret_wipe(keys->secret, sizeof keys->secret);
	secret_wipe(keys->pepper, sizeof keys->pepper);
	secret_wipe(keys->master, sizeof keys->master);
	secret_free(keys->pool_password);
	secret_free(keys->sidecar_password);
	secret_free(keys->api_password);
	if (keys->lock >= 0)
		close(keys->lock);
	if (keys->dir_new)
		rmdir(keys->dir); /* fails, as it should, when there is a file in it */
	free(keys->dir);
	keys->pool_password = keys->sidecar_password = keys->api_password = keys->dir = NULL;
}
