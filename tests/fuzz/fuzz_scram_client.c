/*
 * Any server against the client's role. A server that does not know the password's keys may not
 * be believed; a client-final is only ever sent for a nonce that continues our own.
 */
#include "tests/fuzz/scram_input.h"

#include "proxy/scram.h"

static void check_final(const struct scram_client *scram, struct buf *out)
{
	static const char start[] = "c=biws,r=";
	size_t nonce_len = strlen(scram->client_nonce);

	require(buf_len(out) > sizeof start + nonce_len && buf_len(out) <= SCRAM_MESSAGE_MAX);
	require(memcmp(buf_data(out), start, sizeof start - 1) == 0);
	require(memcmp(buf_data(out) + sizeof start - 1, scram->client_nonce, nonce_len) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct scram_client scram;
	struct scram_keys cache = {0};
	struct buf first, in, out;
	size_t second, first_len = split(data, size, &second);

	buf_init(&first);
	buf_init(&in);
	buf_init(&out);
	scram_client_init(&scram, "pencil", &cache);
	require(scram_client_first(&scram, &first));
	expand(data, first_len, scram.client_nonce, &in);
	enum scram_result result = scram_client_step(&scram, buf_data(&in), buf_len(&in), &out);
	require(result == SCRAM_CONTINUE || result == SCRAM_INVALID);
	if (result == SCRAM_CONTINUE) {
		require(cache.iterations >= 1 && cache.salt_len >= 1);
		check_final(&scram, &out);
		buf_fini(&out);
		result = scram_client_step(&scram, data + second, size - second, &out);
		require(result == SCRAM_WRONG || result == SCRAM_INVALID);
	}
	require(buf_len(&out) == 0);
	require(scram_client_step(&scram, data, size, &out) == SCRAM_INVALID);
	buf_fini(&first);
	buf_fini(&in);
	buf_fini(&out);
	scram_client_fini(&scram);
	return 0;
}
