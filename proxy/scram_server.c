/*
 * scram_server.c: Bulkhead checks a client (RFC 5802, section 5, the server's side).
 */
#include "proxy/scram_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/encode.h"
#include "base/secret.h"

enum { EXPECT_FIRST, EXPECT_FINAL, FINISHED };

void scram_server_init(struct scram_server *scram, const struct scram_verifier *verifier,
					   bool mock)
{
	memset(scram, 0, sizeof *scram);
	scram->verifier = *verifier;
	scram->mock = mock;
	scram->step = EXPECT_FIRST;
}

void scram_server_offer(struct scram_server *scram, const struct scram_binding *binding)
{
	scram->binding = *binding;
}

bool scram_server_choose(struct scram_server *scram, const char *mechanism)
{
	scram->plus = scram->binding.len && strcmp(mechanism, SCRAM_MECHANISM_PLUS) == 0;
	return scram->plus || strcmp(mechanism, SCRAM_MECHANISM) == 0;
}

void scram_server_fini(struct scram_server *scram)
{
	free(scram->nonce);
	free(scram->client_bare);
	free(scram->server_first);
	secret_wipe(scram, sizeof *scram);
	scram->step = FINISHED;
}

/* The header that a client with this flag sends, or NULL. */
static const char *header_of(char flag)
{
	switch (flag) {
	case 'n':
		return SCRAM_GS2_NONE;
	case 'y':
		return SCRAM_GS2_COULD;
	case 'p':
		return SCRAM_GS2_BOUND;
	default:
		return NULL;
	}
}

/*
 * Reads the GS2 header. With SCRAM_MECHANISM_PLUS its flag must be `p`, and without it must
 * not. `y` says that the client could bind and saw no offer: where there was one, somebody in
 * the middle took it out. An authorization identity is refused as PostgreSQL does.
 */
static enum scram_result read_gs2(struct scram_server *scram, struct scram_reader *reader)
{
	const char *header = header_of(*reader->at);
	size_t len = header ? strlen(header) : 0;

	if (!header || (size_t)(reader->end - reader->at) < len ||
		memcmp(reader->at, header, len) != 0 || (*header == 'p') != scram->plus)
		return SCRAM_INVALID;
	scram->gs2 = *header;
	reader->at += len;
	return *header == 'y' && scram->binding.len ? SCRAM_UNBOUND : SCRAM_CONTINUE;
}

/* Reads client-first-message-bare; the name in it is ignored: the startup packet's counts. */
static bool read_first(struct scram_reader *reader, struct scram_attribute *nonce)
{
	struct scram_attribute attribute;
	uint64_t seen = 0;

	if (!scram_read(reader, 'n', &attribute) || !scram_read(reader, 'r', nonce) ||
		!scram_is_nonce(nonce))
		return false;
	while (!scram_reader_done(reader))
		if (!scram_read_any(reader, &attribute) || !scram_is_extension(&attribute, &seen))
			return false;
	return true;
}

/* Fills nonce and server_first. */
static bool make_server_first(struct scram_server *scram, const struct scram_attribute *nonce)
{
	char salt[BASE64_SIZE(SCRAM_SALT_MAX)];
	char *theirs = scram_copy(nonce->value, nonce->len), *ours = scram_make_nonce();

	scram->nonce = theirs && ours ? scram_join(theirs, ours) : NULL;
	free(theirs);
	free(ours);
	if (!scram->nonce)
		return false;
	base64_encode(scram->verifier.salt, scram->verifier.salt_len, salt);
	if (asprintf(&scram->server_first, "r=%s,s=%s,i=%d", scram->nonce, salt,
				 scram->verifier.iterations) < 0)
		scram->server_first = NULL;
	return scram->server_first != NULL;
}

static enum scram_result first_step(struct scram_server *scram, const uint8_t *message,
									size_t len, struct buf *out)
{
	struct scram_reader reader;
	struct scram_attribute nonce;

	if (!scram_reader_init(&reader, message, len))
		return SCRAM_INVALID;
	enum scram_result result = read_gs2(scram, &reader);
	if (result != SCRAM_CONTINUE)
		return result;
	scram->client_bare = scram_copy(reader.at, (size_t)(reader.end - reader.at));
	if (!scram->client_bare || !read_first(&reader, &nonce) ||
		!make_server_first(scram, &nonce) ||
		!buf_append(out, scram->server_first, strlen(scram->server_first)))
		return SCRAM_INVALID;
	scram->step = EXPECT_FINAL;
	return SCRAM_CONTINUE;
}

static bool equals(const struct scram_attribute *attribute, const char *text)
{
	return attribute->len == strlen(text) &&
		   memcmp(attribute->value, text, attribute->len) == 0;
}

/* Is it what `c=` must say? */
static bool is_bound(const struct scram_server *scram, const struct scram_attribute *attribute)
{
	struct buf expected;

	buf_init(&expected);
	bool same = scram_append_binding(&expected, header_of(scram->gs2), &scram->binding) &&
				attribute->len == buf_len(&expected) &&
				memcmp(attribute->value, buf_data(&expected), attribute->len) == 0;
	buf_fini(&expected);
	return same;
}

/*
 * Reads client-final-message. *bound: the client says that its TLS ends here. *signed_len is
 * the length of what the proof signs: all in front of the comma before `p=`, which must come
 * last.
 */
static bool read_final(const struct scram_server *scram, const uint8_t *message, size_t len,
					   bool *bound, size_t *signed_len, uint8_t proof[SCRAM_KEY_SIZE])
{
	struct scram_reader reader;
	struct scram_attribute attribute;
	uint64_t seen = 0;

	if (!scram_reader_init(&reader, message, len) || !scram_read(&reader, 'c', &attribute))
		return false;
	*bound = is_bound(scram, &attribute);
	if (!scram_read(&reader, 'r', &attribute) || !equals(&attribute, scram->nonce))
		return false;
	for (;;) {
		if (!scram_read_any(&reader, &attribute))
			return false;
		if (attribute.name == 'p')
			break;
		if (!scram_is_extension(&attribute, &seen))
			return false;
	}
	*signed_len = (size_t)(attribute.value - (const char *)message) - strlen(",p=");
	return scram_reader_done(&reader) && scram_read_key(attribute.value, attribute.len, proof);
}

/* Is H(proof XOR HMAC(StoredKey, AuthMessage)) the StoredKey? *ok is false when OpenSSL or
 * memory fails. */
static bool proof_fits(const struct scram_server *scram, const char *message, size_t signed_len,
					   const uint8_t proof[SCRAM_KEY_SIZE], bool *ok)
{
	uint8_t key[SCRAM_KEY_SIZE], hash[SCRAM_KEY_SIZE];
	const char *first = scram->server_first;

	memset(hash, 0, sizeof hash);
	*ok = scram_sign(scram->verifier.stored_key, scram->client_bare, first, strlen(first),
					 message, signed_len, key);
	if (*ok) {
		for (size_t i = 0; i < sizeof key; i++)
			key[i] ^= proof[i];
		*ok = scram_hash(key, hash);
	}

	bool fits = *ok && secret_equal(hash, scram->verifier.stored_key, sizeof hash);
	secret_wipe(key, sizeof key);
	secret_wipe(hash, sizeof hash);
	return fits && !scram->mock;
}

static enum scram_result final_step(struct scram_server *scram, const uint8_t *message,
									size_t len, struct buf *out)
{
	uint8_t proof[SCRAM_KEY_SIZE], signature[SCRAM_KEY_SIZE];
	char text[BASE64_SIZE(SCRAM_KEY_SIZE)];
	const char *first = scram->server_first;
	size_t signed_len;
	bool ok, bound;

	if (!read_final(scram, message, len, &bound, &signed_len, proof))
		return SCRAM_INVALID;
	if (!bound)
		return scram->plus ? SCRAM_UNBOUND : SCRAM_INVALID;

	bool fits = proof_fits(scram, (const char *)message, signed_len, proof, &ok);
	secret_wipe(proof, sizeof proof);
	if (!ok)
		return SCRAM_INVALID;
	if (!fits)
		return SCRAM_WRONG;
	if (!scram_sign(scram->verifier.server_key, scram->client_bare, first, strlen(first),
					(const char *)message, signed_len, signature))
		return SCRAM_INVALID;
	base64_encode(signature, sizeof signature, text);
	if (!buf_append(out, "v=", 2) || !buf_append(out, text, strlen(text)))
		return SCRAM_INVALID;
	return SCRAM_DONE;
}

enum scram_result scram_server_step(struct scram_server *scram, const uint8_t *message,
									size_t len, struct buf *out)
{
	enum scram_result result = SCRAM_INVALID;

	if (scram->step == EXPECT_FIRST)
		result = first_step(scram, message, len, out);
	else if (scram->step == EXPECT_FINAL)
		result = final_step(scram, message, len, out);
	if (result != SCRAM_CONTINUE)
		scram->step = FINISHED;
	return result;
}
