#include "policy/guard/keyring.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/encode.h"
#include "base/secret.h"

#define KEY_FILE_MAX 65536 /* bytes */

/* The reason of the last failure on this thread; secret_read_file keeps its own in the same
 * way. */
static _Thread_local char reason[160];

static const char *complain(size_t line, const char *what)
{
	snprintf(reason, sizeof reason, "line %zu: %s", line, what);
	return reason;
}

static bool is_kid(const char *text, size_t len)
{
	return len >= 1 && len <= GUARD_KID_MAX &&
		   strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_-") >= len;
}

/* Reads `kid base64` from exactly `len` characters; NULL when it did, else what is wrong. */
static const char *parse_key(const char *line, size_t len, struct guard_key *key)
{
	size_t kid_len = strcspn(line, " \t\r\n");
	size_t at = kid_len < len ? kid_len : len;

	if (!is_kid(line, at))
		return "a key's name is 1 to 32 of a-z, 0-9, _ and -";
	memcpy(key->kid, line, at);
	key->kid[at] = '\0';

	while (at < len && (line[at] == ' ' || line[at] == '\t'))
		at++;
	while (len > at && (line[len - 1] == ' ' || line[len - 1] == '\t' || line[len - 1] == '\r'))
		len--;
	if (base64_decode(line + at, len - at, key->bytes, sizeof key->bytes) != GUARD_KEY_SIZE)
		return "behind the key's name must stand 32 bytes in base64";
	return NULL;
}

static const struct guard_key *find_key(const struct guard_keyring *keyring, const char *kid)
{
	for (size_t i = 0; i < keyring->count; i++)
		if (strcmp(keyring->keys[i].kid, kid) == 0)
			return &keyring->keys[i];
	return NULL;
}

static const char *add_key(struct guard_keyring *keyring, const char *line, size_t len)
{
	struct guard_key *key = &keyring->keys[keyring->count];
	const char *wrong = parse_key(line, len, key);

	if (!wrong && find_key(keyring, key->kid))
		wrong = "this key's name stands here twice";
	if (!wrong)
		keyring->count++;
	return wrong;
}

static bool parse_file(struct guard_keyring *keyring, const char *content, const char **why)
{
	size_t number = 0;

	for (const char *line = content; *line;) {
		size_t len = strcspn(line, "\n");
		size_t blank = strspn(line, " \t\r");

		number++;
		if (blank < len && line[blank] != '#') {
			const char *wrong = add_key(keyring, line, len);

			if (wrong) {
				*why = complain(number, wrong);
				return false;
			}
		}
		line += len + (line[len] == '\n');
	}
	if (keyring->count == 0) {
		*why = "there is no key in it";
		return false;
	}
	return true;
}

static size_t count_lines(const char *content)
{
	size_t lines = 1;

	for (; *content; content++)
		lines += *content == '\n';
	return lines;
}

static struct guard_keyring *keyring_create(size_t room)
{
	struct guard_keyring *keyring = calloc(1, sizeof *keyring);

	if (!keyring)
		return NULL;
	keyring->keys = calloc(room, sizeof *keyring->keys);
	if (!keyring->keys) {
		free(keyring);
		return NULL;
	}
	return keyring;
}

struct guard_keyring *guard_keyring_load(const char *path, const char **why)
{
	char *content = secret_read_file(path, KEY_FILE_MAX, why);

	if (!content)
		return NULL;

	/* One key more than there is room for is never read: each takes a line. */
	size_t room = count_lines(content);
	struct guard_keyring *keyring = keyring_create(room);
	if (!keyring) {
		*why = "out of memory";
	} else if (!parse_file(keyring, content, why)) {
		keyring->count = room; /* a refused line may have left its key behind the last one */
		guard_keyring_destroy(keyring);
		keyring = NULL;
	}
	secret_free(content);
	return keyring;
}

void guard_keyring_destroy(struct guard_keyring *keyring)
{
	if (!keyring)
		return;
	secret_wipe(keyring->keys, keyring->count * sizeof *keyring->keys);
	free(keyring->keys);
	free(keyring);
}
