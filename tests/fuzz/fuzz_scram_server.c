/*
 * Any client against the server's role. Nobody who does not know the password may get in;
 * whatever is answered is a well-formed message.
 */
#include "tests/fuzz/scram_input.h"

#include "proxy/scram.h"

static const uint8_t secret[SCRAM_KEY_SIZE] = {42};

static void check_first(const struct scram_server *scram, struct buf *out)
{
	require(buf_len(out) > 2 && buf_len(out) <= SCRAM_MESSAGE_MAX);
	require(memcmp(buf_data(out), "r=", 2) == 0);
	require(strlen(scram->nonce) > 24 && strlen(scram->nonce) <= SCRAM_NONCE_MAX + 24);
	require(scram->gs2 == 'n' || scram->gs2 == 'y');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct scram_verifier verifier;
	struct scram_server scram;
	struct buf in, out;
	size_t second, first_len = split(data, size, &second);

	buf_init(&in);
	buf_init(&out);
	scram_verifier_mock("fuzz", secret, &verifier);
	scram_server_init(&scram, &verifier, false);
	enum scram_result result = scram_server_step(&scram, data, first_len, &out);
	require(result == SCRAM_CONTINUE || result == SCRAM_INVALID);
	if (result == SCRAM_CONTINUE) {
		check_first(&scram, &out);
		buf_fini(&out);
		expand(data + second, size - second, scram.nonce, &in);
		result = scram_server_step(&scram, buf_data(&in), buf_len(&in), &out);
		require(result == SCRAM_WRONG || result == SCRAM_INVALID);
	}
	require(buf_len(&out) == 0);
	require(scram_server_step(&scram, data, first_len, &out) == SCRAM_INVALID);
	buf_fini(&in);
	buf_fini(&out);
	scram_server_fini(&scram);
	return 0;
}
