/*
 * scram_message.c: reading and building what SCRAM messages are made of (RFC 5802, section 7).
 */
#include "proxy/scram_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/encode.h"
#include "base/secret.h"

bool scram_reader_init(struct scram_reader *reader, const uint8_t *message, size_t len)
{
	if (len == 0 || len > SCRAM_MESSAGE_MAX || memchr(message, '\0', len))
		return false;
	reader->at = (const char *)message;
	reader->end = reader->at + len;
	return true;
}

bool scram_read_any(struct scram_reader *reader, struct scram_attribute *out)
{
	size_t left = (size_t)(reader->end - reader->at);

	if (left < 2 || reader->at[1] != '=')
		return false;
	out->name = reader->at[0];
	out->value = reader->at + 2;

	const char *comma = memchr(out->value, ',', left - 2);
	if (!comma) {
		out->len = left - 2;
		reader->at = reader->end;
		return true;
	}
	out->len = (size_t)(comma - out->value);
	reader->at = comma + 1;
	return reader->at < reader->end;
}

bool scram_read(struct scram_reader *reader, char name, struct scram_attribute *out)
{
	return scram_read_any(reader, out) && out->name == name;
}

bool scram_is_extension(const struct scram_attribute *attribute, uint64_t *seen)
{
	static const char reserved[] = "anmrcsipve";
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
	const char *letter = strchr(letters, attribute->name);

	if (!attribute->name || !letter || strchr(reserved, attribute->name))
		return false;

	uint64_t bit = UINT64_C(1) << (letter - letters);
	if (*seen & bit)
		return false;
	*seen |= bit;
	return true;
}

bool scram_is_nonce(const struct scram_attribute *attribute)
{
	if (attribute->len == 0 || attribute->len > SCRAM_NONCE_MAX)
		return false;
	for (size_t i = 0; i < attribute->len; i++)
		if (attribute->value[i] < 0x21 || attribute->value[i] > 0x7e)
			return false;
	return true;
}

char *scram_copy(const char *text, size_t len)
{
	char *copy = malloc(len + 1);

	if (copy) {
		memcpy(copy, text, len);
		copy[len] = '\0';
	}
	return copy;
}

char *scram_join(const char *first, const char *second)
{
	char *joined = NULL;

	if (asprintf(&joined, "%s%s", first, second) < 0)
		return NULL;
	return joined;
}

bool scram_append_binding(struct buf *out, const char *gs2, const struct scram_binding *binding)
{
	uint8_t input[sizeof SCRAM_GS2_BOUND + SCRAM_BINDING_MAX];
	char text[BASE64_SIZE(sizeof input)];
	size_t len = 0;

	for (; gs2[len]; len++)
		input[len] = (uint8_t)gs2[len];
	if (*gs2 == 'p') {
		memcpy(input + len, binding->data, binding->len);
		len += binding->len;
	}
	base64_encode(input, len, text);
	return buf_append(out, text, strlen(text));
}

char *scram_make_nonce(void)
{
	uint8_t random[SCRAM_NONCE_RANDOM];
	char *nonce = malloc(BASE64_SIZE(sizeof random));

	if (nonce) {
		secret_random(random, sizeof random);
		base64_encode(random, sizeof random, nonce);
	}
	return nonce;
}

bool scram_sign(const uint8_t key[SCRAM_KEY_SIZE], const char *client_bare,
				const char *server_first, size_t server_first_len, const char *client_final,
				size_t client_final_len, uint8_t out[SCRAM_KEY_SIZE])
{
	struct buf message;

	buf_init(&message);
	bool ok = buf_append(&message, client_bare, strlen(client_bare)) &&
			  buf_append_byte(&message, ',') &&
			  buf_append(&message, server_first, server_first_len) &&
			  buf_append_byte(&message, ',') &&
			  buf_append(&message, client_final, client_final_len) &&
			  scram_hmac(key, buf_data(&message), buf_len(&message), out);
	buf_fini(&message);
	return ok;
}
