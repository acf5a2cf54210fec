/*
 * scram_client.c: Bulkhead logs in to a backend (RFC 5802, section 5, the client's side).
 */
#include "proxy/scram_internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/encode.h"
#include "base/secret.h"

enum { SEND_FIRST, EXPECT_FIRST, EXPECT_FINAL, FINISHED };

void scram_client_init(struct scram_client *scram, const char *password,
					   struct scram_keys *cache)
{
	memset(scram, 0, sizeof *scram);
	scram->password = password;
	scram->cache = cache;
	scram->gs2 = SCRAM_GS2_NONE;
	scram->step = SEND_FIRST;
}

void scram_client_bind(struct scram_client *scram, const struct scram_binding *binding,
					   bool offered)
{
	scram->binding = *binding;
	scram->gs2 = offered ? SCRAM_GS2_BOUND : SCRAM_GS2_COULD;
}

void scram_client_fini(struct scram_client *scram)
{
	free(scram->client_nonce);
	free(scram->client_bare);
	secret_wipe(scram, sizeof *scram);
	scram->step = FINISHED;
}

/* The name is empty: PostgreSQL takes the startup packet's and ignores this one. */
bool scram_client_first(struct scram_client *scram, struct buf *out)
{
	if (scram->step != SEND_FIRST)
		return false;
	scram->step = FINISHED;
	scram->client_nonce = scram_make_nonce();
	if (!scram->client_nonce)
		return false;
	scram->client_bare = scram_join("n=,r=", scram->client_nonce);
	if (!scram->client_bare || !buf_append(out, scram->gs2, strlen(scram->gs2)) ||
		!buf_append(out, scram->client_bare, strlen(scram->client_bare)))
		return false;
	scram->step = EXPECT_FIRST;
	return true;
}

struct server_first {
	struct scram_attribute nonce;
	uint8_t salt[SCRAM_SALT_MAX];
	size_t salt_len;
	int iterations;
};

/* The server's nonce begins with ours and adds something to it. */
static bool continues(const struct scram_attribute *nonce, const char *ours)
{
	size_t len = strlen(ours);

	return nonce->len > len && memcmp(nonce->value, ours, len) == 0;
}

static bool read_first(const struct scram_client *scram, const uint8_t *message, size_t len,
					   struct server_first *out)
{
	struct scram_reader reader;
	struct scram_attribute salt, iterations;

	return scram_reader_init(&reader, message, len) && scram_read(&reader, 'r', &out->nonce) &&
		   scram_is_nonce(&out->nonce) && continues(&out->nonce, scram->client_nonce) &&
		   scram_read(&reader, 's', &salt) &&
		   scram_read_salt(salt.value, salt.len, out->salt, &out->salt_len) &&
		   scram_read(&reader, 'i', &iterations) &&
		   scram_read_iterations(iterations.value, iterations.len, &out->iterations) &&
		   scram_reader_done(&reader);
}

static bool is_cached(const struct scram_keys *cache, const struct server_first *first)
{
	return cache && cache->iterations == first->iterations &&
		   cache->salt_len == first->salt_len &&
		   memcmp(cache->salt, first->salt, first->salt_len) == 0;
}

/* The keys for this salt and iteration count, from the cache or into it. */
static bool get_keys(struct scram_client *scram, const struct server_first *first,
					 struct scram_keys *keys)
{
	if (is_cached(scram->cache, first)) {
		*keys = *scram->cache;
		return true;
	}
	if (!scram_derive(scram->password, first->salt, first->salt_len, first->iterations, keys))
		return false;
	if (scram->cache)
		*scram->cache = *keys;
	return true;
}

/*
 * Computes ClientProof over the message without proof in `final`, and remembers the signature
 * that the server must answer with.
 */
static bool prove(struct scram_client *scram, const struct scram_keys *keys,
				  const char *server_first, size_t server_first_len, struct buf *final,
				  uint8_t proof[SCRAM_KEY_SIZE])
{
	const char *text = (const char *)buf_data(final);
	size_t len = buf_len(final);
	uint8_t stored_key[SCRAM_KEY_SIZE];
	bool ok = scram_hash(keys->client_key, stored_key) &&
			  scram_sign(stored_key, scram->client_bare, server_first, server_first_len, text,
						 len, proof) &&
			  scram_sign(keys->server_key, scram->client_bare, server_first, server_first_len,
						 text, len, scram->server_signature);

	for (size_t i = 0; ok && i < SCRAM_KEY_SIZE; i++)
		proof[i] ^= keys->client_key[i];
	secret_wipe(stored_key, sizeof stored_key);
	return ok;
}

static bool append_final(struct scram_client *scram, const struct scram_keys *keys,
						 const struct server_first *first, const uint8_t *message, size_t len,
						 struct buf *out)
{
	uint8_t proof[SCRAM_KEY_SIZE];
	char text[BASE64_SIZE(SCRAM_KEY_SIZE)];
	struct buf final;

	buf_init(&final);
	bool ok = buf_append(&final, "c=", 2) &&
			  scram_append_binding(&final, scram->gs2, &scram->binding) &&
			  buf_append(&final, ",r=", 3) &&
			  buf_append(&final, first->nonce.value, first->nonce.len) &&
			  prove(scram, keys, (const char *)message, len, &final, proof);
	if (ok) {
		base64_encode(proof, sizeof proof, text);
		ok = buf_append(&final, ",p=", 3) && buf_append(&final, text, strlen(text)) &&
			 buf_append(out, buf_data(&final), buf_len(&final));
	}
	secret_wipe(proof, sizeof proof);
	secret_wipe(text, sizeof text);
	buf_wipe(&final);
	return ok;
}

static enum scram_result first_step(struct scram_client *scram, const uint8_t *message,
									size_t len, struct buf *out)
{
	struct server_first first;
	struct scram_keys keys;

	if (!read_first(scram, message, len, &first) || !get_keys(scram, &first, &keys))
		return SCRAM_INVALID;

	bool ok = append_final(scram, &keys, &first, message, len, out);
	secret_wipe(&keys, sizeof keys);
	if (!ok)
		return SCRAM_INVALID;
	scram->step = EXPECT_FINAL;
	return SCRAM_CONTINUE;
}

/* `v=` and the signature, or `e=` and the reason why the server refuses. */
static enum scram_result final_step(struct scram_client *scram, const uint8_t *message,
									size_t len)
{
	struct scram_reader reader;
	struct scram_attribute attribute;
	uint8_t signature[SCRAM_KEY_SIZE];

	if (!scram_reader_init(&reader, message, len) || !scram_read_any(&reader, &attribute) ||
		!scram_reader_done(&reader))
		return SCRAM_INVALID;
	if (attribute.name == 'e')
		return SCRAM_WRONG;
	if (attribute.name != 'v' || !scram_read_key(attribute.value, attribute.len, signature))
		return SCRAM_INVALID;
	return secret_equal(signature, scram->server_signature, sizeof signature) ? SCRAM_DONE
																			  : SCRAM_WRONG;
}

enum scram_result scram_client_step(struct scram_client *scram, const uint8_t *message,
									size_t len, struct buf *out)
{
	enum scram_result result = SCRAM_INVALID;

	if (scram->step == EXPECT_FIRST)
		result = first_step(scram, message, len, out);
	else if (scram->step == EXPECT_FINAL)
		result = final_step(scram, message, len);
	if (result != SCRAM_CONTINUE)
		scram->step = FINISHED;
	return result;
}
