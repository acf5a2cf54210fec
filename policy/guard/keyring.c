#include "policy/guard/keyring.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/encode.h"
#include "base/secret.h"

#define KEY_FILE_MAX 65536 /* bytes */
#define KEY_LINE_MAX (GUARD_KID_MAX + 1 + BASE64_SIZE(GUARD_KEY_SIZE) + UUID_TEXT_SIZE + 1)

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

static size_t skip_blanks(const char *line, size_t len, size_t at)
{
	while (at < len && (line[at] == ' ' || line[at] == '\t'))
		at++;
	return at;
}

/*
 * Reads `kid base64`, and the tenant's id where one stands behind it, from exactly `len`
 * characters; NULL when it did, else what is wrong.
 */
static const char *parse_key(const char *line, size_t len, struct guard_key *key, bool *bound,
							 struct uuid *tenant)
{
	size_t kid_len = strcspn(line, " \t\r\n");
	size_t at = kid_len < len ? kid_len : len;

	if (!is_kid(line, at))
		return "a key's name is 1 to 32 of a-z, 0-9, _ and -";
	memcpy(key->kid, line, at);
	key->kid[at] = '\0';

	at = skip_blanks(line, len, at);
	while (len > at && (line[len - 1] == ' ' || line[len - 1] == '\t' || line[len - 1] == '\r'))
		len--;
	size_t end = at;
	while (end < len && line[end] != ' ' && line[end] != '\t')
		end++;
	if (base64_decode(line + at, end - at, key->bytes, sizeof key->bytes) != GUARD_KEY_SIZE)
		return "behind the key's name must stand 32 bytes in base64";
	at = skip_blanks(line, len, end);
	*bound = at < len;
	if (*bound && !uuid_parse(line + at, len - at, tenant))
		return "behind a derived key must stand its tenant's id";
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
	struct uuid tenant = {{0}};
	bool bound = false;
	const char *wrong = parse_key(line, len, key, &bound, &tenant);

	if (wrong)
		return wrong;
	if (find_key(keyring, key->kid))
		return "this key's name stands here twice";
	if (keyring->count == 0) {
		keyring->bound = bound;
		keyring->tenant = tenant;
	} else if (bound != keyring->bound || !uuid_equal(&tenant, &keyring->tenant)) {
		return "the keys of a file are all for one tenant, or all for every tenant";
	}
	keyring->count++;
	return NULL;
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
	struct guard_keyring *keyring = content ? guard_keyring_parse(content, why) : NULL;

	secret_free(content);
	return keyring;
}

struct guard_keyring *guard_keyring_parse(const char *content, const char **why)
{
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

const char *guard_keyring_kid(const struct guard_keyring *keyring, size_t place)
{
	return place < keyring->count ? keyring->keys[place].kid : NULL;
}

const unsigned char *guard_keyring_key(const struct guard_keyring *keyring, size_t place)
{
	return keyring->keys[place].bytes;
}

const struct uuid *guard_keyring_tenant(const struct guard_keyring *keyring)
{
	return keyring->bound ? &keyring->tenant : NULL;
}

bool guard_keyring_signs_for(const struct guard_keyring *keyring, const struct uuid *tenant)
{
	return !keyring->bound || uuid_equal(&keyring->tenant, tenant);
}

static bool is_same_key(const struct guard_key *a, const struct guard_key *b)
{
	return strcmp(a->kid, b->kid) == 0 && secret_equal(a->bytes, b->bytes, sizeof a->bytes);
}

bool guard_keyring_equal(const struct guard_keyring *a, const struct guard_keyring *b)
{
	bool same = a->count == b->count && a->bound == b->bound &&
				(!a->bound || uuid_equal(&a->tenant, &b->tenant));

	for (size_t i = 0; same && i < a->count; i++)
		same = is_same_key(&a->keys[i], &b->keys[i]);
	return same;
}

struct guard_keyring *guard_keyring_derive(const struct guard_keyring *keyring,
										   const struct uuid *tenant)
{
	struct guard_keyring *derived = keyring_create(keyring->count);
	bool done = derived != NULL;

	if (!done)
		return NULL;
	derived->count = keyring->count;
	derived->bound = true;
	derived->tenant = *tenant;
	for (size_t i = 0; done && i < keyring->count; i++) {
		memcpy(derived->keys[i].kid, keyring->keys[i].kid, sizeof keyring->keys[i].kid);
		done = guard_derive_key(keyring, i, tenant, derived->keys[i].bytes);
	}
	if (done)
		return derived;
	guard_keyring_destroy(derived);
	return NULL;
}

static bool write_key(const struct guard_keyring *keyring, const struct guard_key *key,
					  struct buf *out)
{
	char base64[BASE64_SIZE(GUARD_KEY_SIZE)], tenant[UUID_TEXT_SIZE] = "";

	if (keyring->bound)
		uuid_text(&keyring->tenant, tenant);
	base64_encode(key->bytes, sizeof key->bytes, base64);
	bool done =
		buf_appendf(out, "%s %s%s%s\n", key->kid, base64, keyring->bound ? " " : "", tenant);
	secret_wipe(base64, sizeof base64);
	return done;
}

bool guard_keyring_write(const struct guard_keyring *keyring, struct buf *out)
{
	/* Memory that grew would leave what it held behind, not wiped. */
	bool done = buf_reserve(out, keyring->count * KEY_LINE_MAX);

	for (size_t i = 0; done && i < keyring->count; i++)
		done = write_key(keyring, &keyring->keys[i], out);
	return done;
}
