#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/encode.h"
#include "proxy/scram.h"

#define PASSWORD "pencil"

/* ---- the example of RFC 7677, section 3 ---- */

#define RFC_CLIENT_NONCE "rOprNGfwEbeRWgbNEkqO"
#define RFC_NONCE        RFC_CLIENT_NONCE "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
#define RFC_CLIENT_BARE  "n=user,r=" RFC_CLIENT_NONCE
#define RFC_SALT         "W22ZaJ0SNY7soEsUEjb6gQ=="
#define RFC_SERVER_FIRST "r=" RFC_NONCE ",s=" RFC_SALT ",i=4096"
#define RFC_CLIENT_FINAL "c=biws,r=" RFC_NONCE ",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
#define RFC_SERVER_FINAL "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="

static const uint8_t *bytes(const char *text)
{
	return (const uint8_t *)text;
}

static char *take_text(struct buf *buf)
{
	char *text = strndup(buf_len(buf) ? (const char *)buf_data(buf) : "", buf_len(buf));

	buf_fini(buf);
	return text;
}

static void replace(char **string, const char *with)
{
	free(*string);
	*string = strdup(with);
}

static enum scram_result client_step(struct scram_client *client, const char *message,
									 char **answer)
{
	struct buf out;

	buf_init(&out);
	enum scram_result result = scram_client_step(client, bytes(message), strlen(message), &out);
	if (answer)
		*answer = take_text(&out);
	buf_fini(&out);
	return result;
}

static enum scram_result server_step(struct scram_server *server, const char *message,
									 char **answer)
{
	struct buf out;

	buf_init(&out);
	enum scram_result result = scram_server_step(server, bytes(message), strlen(message), &out);
	if (answer)
		*answer = take_text(&out);
	buf_fini(&out);
	return result;
}

/* A client that has sent its first message, with a nonce that is known. */
static void rfc_client(struct scram_client *client, struct scram_keys *cache)
{
	struct buf out;

	buf_init(&out);
	scram_client_init(client, PASSWORD, cache);
	cr_assert(scram_client_first(client, &out));
	buf_fini(&out);
	replace(&client->client_nonce, RFC_CLIENT_NONCE);
	replace(&client->client_bare, RFC_CLIENT_BARE);
}

/* The verifier of the example: its salt, and the keys of the password. */
static void rfc_verifier(struct scram_verifier *verifier)
{
	static struct scram_keys keys; /* derived once */
	struct scram_client client;
	char text[512], stored[BASE64_SIZE(32)], server[BASE64_SIZE(32)];
	uint8_t stored_key[SCRAM_KEY_SIZE];

	rfc_client(&client, &keys);
	cr_assert_eq(client_step(&client, RFC_SERVER_FIRST, NULL), SCRAM_CONTINUE);
	scram_client_fini(&client);

	/* StoredKey, as printed in no RFC; computed with another library from the same inputs. */
	cr_assert_eq(
		base64_decode("WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=", 44, stored_key, 32), 32);
	base64_encode(stored_key, 32, stored);
	base64_encode(keys.server_key, 32, server);
	snprintf(text, sizeof text, "SCRAM-SHA-256$4096:%s$%s:%s", RFC_SALT, stored, server);
	cr_assert(scram_verifier_parse(text, verifier));
}

/* A server that has answered the example's first message with the example's nonce. */
static void rfc_server(struct scram_server *server)
{
	struct scram_verifier verifier;

	rfc_verifier(&verifier);
	scram_server_init(server, &verifier, false);
	cr_assert_eq(server_step(server, "n,," RFC_CLIENT_BARE, NULL), SCRAM_CONTINUE);
	replace(&server->nonce, RFC_NONCE);
	replace(&server->server_first, RFC_SERVER_FIRST);
}

Test(scram, client_follows_the_example_of_the_rfc)
{
	struct scram_client client;
	char *answer;

	rfc_client(&client, NULL);
	cr_assert_eq(client_step(&client, RFC_SERVER_FIRST, &answer), SCRAM_CONTINUE);
	cr_assert_str_eq(answer, RFC_CLIENT_FINAL);
	free(answer);
	cr_assert_eq(client_step(&client, RFC_SERVER_FINAL, &answer), SCRAM_DONE);
	cr_assert_str_eq(answer, "");
	free(answer);
	cr_assert_eq(client_step(&client, RFC_SERVER_FINAL, NULL), SCRAM_INVALID);
	scram_client_fini(&client);
}

Test(scram, server_follows_the_example_of_the_rfc)
{
	struct scram_server server;
	char *answer;

	rfc_server(&server);
	cr_assert_eq(server_step(&server, RFC_CLIENT_FINAL, &answer), SCRAM_DONE);
	cr_assert_str_eq(answer, RFC_SERVER_FINAL);
	free(answer);
	cr_assert_eq(server_step(&server, RFC_CLIENT_FINAL, NULL), SCRAM_INVALID, "no replay");
	scram_server_fini(&server);
}

Test(scram, client_first_is_as_libpq_sends_it)
{
	struct scram_client client, other;
	struct buf out;

	buf_init(&out);
	scram_client_init(&client, PASSWORD, NULL);
	scram_client_init(&other, PASSWORD, NULL);
	cr_assert(scram_client_first(&client, &out));
	char *first = take_text(&out);
	cr_assert_eq(strncmp(first, "n,,n=,r=", 8), 0);
	cr_assert_eq(strlen(first), 8 + 24);
	cr_assert(scram_client_first(&other, &out));
	char *second = take_text(&out);
	cr_assert_str_neq(first, second, "a nonce is used once");
	cr_assert_not(scram_client_first(&client, &out), "only once");
	free(first);
	free(second);
	scram_client_fini(&client);
	scram_client_fini(&other);
}

/* ---- both roles against each other ---- */

static enum scram_result converse(const struct scram_verifier *verifier, bool mock,
								  const char *password, struct scram_keys *cache)
{
	struct scram_client client;
	struct scram_server server;
	struct buf to_server, to_client;
	enum scram_result result;

	buf_init(&to_server);
	buf_init(&to_client);
	scram_client_init(&client, password, cache);
	scram_server_init(&server, verifier, mock);
	cr_assert(scram_client_first(&client, &to_server));
	cr_assert_eq(
		scram_server_step(&server, buf_data(&to_server), buf_len(&to_server), &to_client),
		SCRAM_CONTINUE);
	buf_fini(&to_server);
	cr_assert_eq(
		scram_client_step(&client, buf_data(&to_client), buf_len(&to_client), &to_server),
		SCRAM_CONTINUE);
	buf_fini(&to_client);
	result = scram_server_step(&server, buf_data(&to_server), buf_len(&to_server), &to_client);
	if (result == SCRAM_DONE)
		cr_assert_eq(
			scram_client_step(&client, buf_data(&to_client), buf_len(&to_client), &to_server),
			SCRAM_DONE);
	else
		cr_assert_eq(buf_len(&to_client), 0, "a failed proof gets no signature");
	buf_fini(&to_server);
	buf_fini(&to_client);
	scram_client_fini(&client);
	scram_server_fini(&server);
	return result;
}

static enum scram_result log_in(const char *stored_password, const char *password)
{
	struct scram_verifier verifier;
	char *text = scram_verifier_create(stored_password, 4096);

	cr_assert_not_null(text);
	cr_assert(scram_verifier_parse(text, &verifier));
	free(text);
	return converse(&verifier, false, password, NULL);
}

Test(scram, both_roles_agree)
{
	cr_assert_eq(log_in("secret", "secret"), SCRAM_DONE);
	cr_assert_eq(log_in("secret", "Secret"), SCRAM_WRONG);
	cr_assert_eq(log_in("secret", ""), SCRAM_WRONG);
	cr_assert_eq(log_in("", ""), SCRAM_DONE);
	cr_assert_eq(log_in("I\xc2\xadX", "IX"), SCRAM_DONE, "a soft hyphen is mapped to nothing");
	cr_assert_eq(log_in("\xe2\x85\xa8", "IX"), SCRAM_DONE, "compatibility forms are the same");
	cr_assert_eq(log_in("\xff\xfe", "\xff\xfe"), SCRAM_DONE, "bytes that are no UTF-8");
	cr_assert_eq(log_in("\xff\xfe", "\xff\xff"), SCRAM_WRONG);
}

Test(scram, a_long_password_is_used_whole)
{
	char a[3001], b[3001];

	memset(a, 'x', sizeof a);
	a[3000] = '\0';
	memcpy(b, a, sizeof a);
	b[2999] = 'y';
	cr_assert_eq(log_in(a, a), SCRAM_DONE);
	cr_assert_eq(log_in(a, b), SCRAM_WRONG);
}

/* Verifiers that PostgreSQL 15 made for these passwords. */
Test(scram, passwords_are_prepared_as_the_server_does)
{
	static const struct {
		const char *password, *verifier;
	} cases[] = {
		{"p\xc3\xa4ss", "SCRAM-SHA-256$4096:6NmRnuTtO2k67MT9e7ICKA==$"
						"ku/fQaNSE1QbK19xkLskVx0ty5MvcaAC0CeOZPVafUw=:"
						"hssUO8uHNlP4S8TrEO1Cxsk68Tu0rYmeWJcd6JNATOs="},
		{"\xe2\x85\xa8", "SCRAM-SHA-256$4096:FWOzj4+Ixw5V52DU9aTgKw==$"
						 "Siq28KbSlRw0MdNm+lIIECAtwyve1Bpz3yQrMK3E8oI=:"
						 "qd7OjJcomE87IHqOw11HcXKIk2WGThnwba6WPYiiJ6M="},
		{"\xcd\x80x", "SCRAM-SHA-256$4096:uNCpzrxS0l7/isXtSKjApw==$"
					  "pSNT/UocdVvoZNMBJ+2SL1bw+i2HnRntGpgHqRnwdXM=:"
					  "6Mpf5QhPFfb2qJJjSpwM+7gk5VpAvtIn+fqyht58d9g="},
		{"\xef\xac\x9d", "SCRAM-SHA-256$4096:UrGbejwPymvJLMVkukYaZw==$"
						 "KtQurEY0lJeynxuo0h4tnt0V+Y0EPr3KVnH1vXsqSZc=:"
						 "gkGsd6YLnzGLziFXp8z8QQptcsRSONhMrhsOvEP5La0="},
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct scram_verifier verifier;

		cr_assert(scram_verifier_parse(cases[i].verifier, &verifier));
		cr_expect_eq(converse(&verifier, false, cases[i].password, NULL), SCRAM_DONE,
					 "case %zu", i);
	}
}

Test(scram, keys_are_kept_for_the_same_salt_only)
{
	struct scram_keys cache = {0}, first;
	struct scram_verifier verifier;
	char *text = scram_verifier_create(PASSWORD, 4096);

	cr_assert(scram_verifier_parse(text, &verifier));
	free(text);
	cr_assert_eq(converse(&verifier, false, PASSWORD, &cache), SCRAM_DONE);
	cr_assert_eq(cache.iterations, 4096);
	first = cache;
	cr_assert_eq(converse(&verifier, false, "the password is not even looked at", &cache),
				 SCRAM_DONE);
	cr_assert_arr_eq(&cache, &first, sizeof cache);

	text = scram_verifier_create(PASSWORD, 5000);
	cr_assert(scram_verifier_parse(text, &verifier));
	free(text);
	cr_assert_eq(converse(&verifier, false, PASSWORD, &cache), SCRAM_DONE);
	cr_assert_eq(cache.iterations, 5000);
	cr_assert_neq(memcmp(cache.client_key, first.client_key, SCRAM_KEY_SIZE), 0);
}

/* ---- verifiers ---- */

Test(scram, verifiers_are_read_in_one_spelling)
{
#define KEY  "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY="
#define KEYS "$" KEY ":" KEY
	static const char *const refused[] = {
		"",
		"SCRAM-SHA-256",
		"SCRAM-SHA-256$",
		"md5c5d0d8b5c2b8d9d8d1b1d3a3ff13a2e9",
		"SCRAM-SHA-1$4096:" RFC_SALT KEYS,
		"scram-sha-256$4096:" RFC_SALT KEYS,
		"SCRAM-SHA-256$0:" RFC_SALT KEYS,
		"SCRAM-SHA-256$04096:" RFC_SALT KEYS,
		"SCRAM-SHA-256$-1:" RFC_SALT KEYS,
		"SCRAM-SHA-256$+1:" RFC_SALT KEYS,
		"SCRAM-SHA-256$ 1:" RFC_SALT KEYS,
		"SCRAM-SHA-256$:" RFC_SALT KEYS,
		"SCRAM-SHA-256$1000001:" RFC_SALT KEYS,
		"SCRAM-SHA-256$99999999999999999999:" RFC_SALT KEYS,
		"SCRAM-SHA-256$4096:" KEYS,
		"SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ=" KEYS,
		"SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gR==" KEYS,
		"SCRAM-SHA-256$4096:" RFC_SALT "$" KEY,
		"SCRAM-SHA-256$4096:" RFC_SALT "$" KEY ":",
		"SCRAM-SHA-256$4096:" RFC_SALT "$:" KEY,
		"SCRAM-SHA-256$4096:" RFC_SALT "$" KEY ":" RFC_SALT,
		"SCRAM-SHA-256$4096:" RFC_SALT KEYS "=",
		"SCRAM-SHA-256$4096:" RFC_SALT KEYS ":",
		"SCRAM-SHA-256$4096:" RFC_SALT KEYS " ",
		"SCRAM-SHA-256$4096$" RFC_SALT ":" KEY ":" KEY,
	};
	struct scram_verifier verifier;

	for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
		cr_expect_not(scram_verifier_parse(refused[i], &verifier), "%s", refused[i]);
	cr_assert(scram_verifier_parse("SCRAM-SHA-256$4096:" RFC_SALT KEYS, &verifier));
	cr_assert_eq(verifier.iterations, 4096);
	cr_assert_eq(verifier.salt_len, 16);
	cr_assert(scram_verifier_parse("SCRAM-SHA-256$1000000:YQ==" KEYS, &verifier));
	cr_assert_eq(verifier.iterations, SCRAM_ITERATIONS_MAX);
	cr_assert_eq(verifier.salt_len, 1);
}

Test(scram, salts_are_bounded)
{
	char text[512], base64[BASE64_SIZE(SCRAM_SALT_MAX + 1)];
	uint8_t salt[SCRAM_SALT_MAX + 1] = {1};
	struct scram_verifier verifier;

	base64_encode(salt, SCRAM_SALT_MAX, base64);
	snprintf(text, sizeof text, "SCRAM-SHA-256$4096:%s%s", base64, KEYS);
	cr_assert(scram_verifier_parse(text, &verifier));
	cr_assert_eq(verifier.salt_len, SCRAM_SALT_MAX);
	base64_encode(salt, SCRAM_SALT_MAX + 1, base64);
	snprintf(text, sizeof text, "SCRAM-SHA-256$4096:%s%s", base64, KEYS);
	cr_assert_not(scram_verifier_parse(text, &verifier));
}

Test(scram, verifiers_are_made_with_fresh_salts_and_within_bounds)
{
	char *a = scram_verifier_create(PASSWORD, 4096), *b = scram_verifier_create(PASSWORD, 4096);

	cr_assert_eq(strncmp(a, "SCRAM-SHA-256$4096:", 19), 0);
	cr_assert_str_neq(a, b);
	free(a);
	free(b);
	cr_assert_null(scram_verifier_create(PASSWORD, 0));
	cr_assert_null(scram_verifier_create(PASSWORD, -1));
	cr_assert_null(scram_verifier_create(PASSWORD, SCRAM_ITERATIONS_MAX + 1));
}

Test(scram, mock_verifiers_look_real_and_never_fit)
{
	uint8_t secret[SCRAM_KEY_SIZE] = {7}, other_secret[SCRAM_KEY_SIZE] = {8};
	struct scram_verifier mock, again, other, elsewhere, real;
	char *text = scram_verifier_create(PASSWORD, SCRAM_ITERATIONS_DEFAULT);

	cr_assert(scram_verifier_parse(text, &real));
	free(text);
	scram_verifier_mock("nobody", secret, &mock);
	scram_verifier_mock("nobody", secret, &again);
	scram_verifier_mock("nobody2", secret, &other);
	scram_verifier_mock("nobody", other_secret, &elsewhere);
	cr_assert_eq(mock.iterations, real.iterations);
	cr_assert_eq(mock.salt_len, real.salt_len);
	cr_assert_arr_eq(&mock, &again, sizeof mock);
	cr_assert_neq(memcmp(mock.salt, other.salt, mock.salt_len), 0);
	cr_assert_neq(memcmp(mock.salt, elsewhere.salt, mock.salt_len), 0);
	cr_assert_eq(converse(&mock, true, "", NULL), SCRAM_WRONG);
	cr_assert_eq(converse(&mock, false, "", NULL), SCRAM_WRONG);
	cr_assert_eq(converse(&real, true, PASSWORD, NULL), SCRAM_WRONG,
				 "the flag alone is enough");
	cr_assert_eq(converse(&real, false, PASSWORD, NULL), SCRAM_DONE);
}

/* ---- what the server refuses ---- */

static enum scram_result first_answer(const char *message, size_t len)
{
	struct scram_server server;
	struct scram_verifier verifier;
	uint8_t secret[SCRAM_KEY_SIZE] = {0};
	struct buf out;

	buf_init(&out);
	scram_verifier_mock("x", secret, &verifier);
	scram_server_init(&server, &verifier, true);
	enum scram_result result = scram_server_step(&server, bytes(message), len, &out);
	cr_assert_eq(buf_len(&out) > 0, result == SCRAM_CONTINUE);
	buf_fini(&out);
	scram_server_fini(&server);
	return result;
}

Test(scram, server_takes_these_first_messages)
{
	static const char *const taken[] = {
		"n,,n=,r=abc",
		"y,,n=,r=abc",
		"n,,n=someone,r=a",
		"n,,n=some=2Cone,r=!~+/=",
		"n,,n=,r=abc,x=extension",
		"n,,n=,r=abc,x=,Y=z",
	};

	for (size_t i = 0; i < sizeof taken / sizeof *taken; i++)
		cr_expect_eq(first_answer(taken[i], strlen(taken[i])), SCRAM_CONTINUE, "%s", taken[i]);
}

Test(scram, server_refuses_these_first_messages)
{
	static const char *const refused[] = {
		"",
		"n",
		"n,",
		"n,,",
		"x,,n=,r=abc",
		"N,,n=,r=abc",
		"p=tls-server-end-point,,n=,r=abc",
		"p,,n=,r=abc",
		"n,a=root,n=,r=abc",
		"y,a=root,n=,r=abc",
		"n,x,n=,r=abc",
		"n,,,n=,r=abc",
		"n,,m=x,n=,r=abc",
		"n,,n=,m=x,r=abc",
		"n,,n=,r=abc,m=x",
		"n,,r=abc",
		"n,,r=abc,n=",
		"n,,n=",
		"n,,n=,",
		"n,,n=,r=",
		"n,,n=,r",
		"n,,n=,r=abc,",
		"n,,n=,r=abc,,",
		"n,,n=,r=abc,r=abc",
		"n,,n=,r=abc,n=",
		"n,,n=,n=,r=abc",
		"n,,n=,r=abc,x=1,x=2",
		"n,,n=,r=abc,1=2",
		"n,,n=,r=abc,xyz",
		"n,,n=,r=abc,p=proof",
		"n,,n=,r=a bc",
		"n,,n=,r=a\x7f",
		"n,,n=,r=a\tbc",
		"n,,n=,r=a\xc3\xa4",
	};

	for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
		cr_expect_eq(first_answer(refused[i], strlen(refused[i])), SCRAM_INVALID, "%s",
					 refused[i]);
	cr_expect_eq(first_answer("n,,n=,r=a\0c", 11), SCRAM_INVALID);
	cr_expect_eq(first_answer("n,,n=,r=ac\0", 11), SCRAM_INVALID);
}

static enum scram_result first_with_nonce(size_t nonce_len, size_t name_len)
{
	char message[2 * SCRAM_MESSAGE_MAX];
	size_t at = 5;

	memcpy(message, "n,,n=", 5);
	memset(message + at, 'u', name_len);
	at += name_len;
	memcpy(message + at, ",r=", 3);
	memset(message + at + 3, 'r', nonce_len);
	return first_answer(message, at + 3 + nonce_len);
}

Test(scram, server_bounds_nonce_and_message)
{
	cr_assert_eq(first_with_nonce(SCRAM_NONCE_MAX, 0), SCRAM_CONTINUE);
	cr_assert_eq(first_with_nonce(SCRAM_NONCE_MAX + 1, 0), SCRAM_INVALID);
	cr_assert_eq(first_with_nonce(1, SCRAM_MESSAGE_MAX - 9), SCRAM_CONTINUE);
	cr_assert_eq(first_with_nonce(1, SCRAM_MESSAGE_MAX - 8), SCRAM_INVALID);
}

Test(scram, server_refuses_these_final_messages)
{
#define PROOF "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
	static const char *const refused[] = {
		"",
		"c=biws",
		"c=biws,r=" RFC_NONCE,
		"c=biws,r=" RFC_NONCE ",",
		"c=biws,r=" RFC_NONCE ",p=",
		"c=biws,r=" RFC_NONCE ",p=AAAA",
		"c=biws,r=" RFC_NONCE ",p=" PROOF ",",
		"c=biws,r=" RFC_NONCE ",p=" PROOF ",x=1",
		"c=biws,r=" RFC_NONCE ",p=" PROOF "=",
		"c=biws,r=" RFC_NONCE ",p=" PROOF ",p=" PROOF,
		"c=biws,r=" RFC_NONCE ",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVR=",
		"c=biws,r=" RFC_NONCE ",r=" RFC_NONCE ",p=" PROOF,
		"c=biws,c=biws,r=" RFC_NONCE ",p=" PROOF,
		"c=biws,r=" RFC_NONCE ",m=x,p=" PROOF,
		"c=biws,m=x,r=" RFC_NONCE ",p=" PROOF,
		"c=biws,r=" RFC_NONCE ",x=1,x=1,p=" PROOF,
		"c=biws,r=" RFC_NONCE "x,p=" PROOF,
		"c=biws,r=" RFC_CLIENT_NONCE ",p=" PROOF,
		"c=biws,r=,p=" PROOF,
		"c=eSws,r=" RFC_NONCE ",p=" PROOF,
		"c=,r=" RFC_NONCE ",p=" PROOF,
		"c=biwsbiws,r=" RFC_NONCE ",p=" PROOF,
		"r=" RFC_NONCE ",c=biws,p=" PROOF,
		"p=" PROOF,
		",c=biws,r=" RFC_NONCE ",p=" PROOF,
	};

	for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
		struct scram_server server;
		char *answer;

		rfc_server(&server);
		cr_expect_eq(server_step(&server, refused[i], &answer), SCRAM_INVALID, "%s",
					 refused[i]);
		cr_expect_str_eq(answer, "");
		free(answer);
		cr_expect_eq(server_step(&server, RFC_CLIENT_FINAL, NULL), SCRAM_INVALID,
					 "no second try");
		scram_server_fini(&server);
	}
}

Test(scram, what_is_signed_includes_extensions)
{
	struct scram_server server;

	rfc_server(&server);
	cr_assert_eq(server_step(&server, "c=biws,r=" RFC_NONCE ",x=1,p=" PROOF, NULL),
				 SCRAM_WRONG);
	scram_server_fini(&server);
}

/* No flipped bit of the client's last message may be taken for the right proof. */
Test(scram, server_takes_no_flipped_bit)
{
	char message[] = RFC_CLIENT_FINAL;

	for (size_t bit = 0; bit < 8 * (sizeof message - 1); bit++) {
		struct scram_server server;
		struct buf out;

		rfc_server(&server);
		buf_init(&out);
		message[bit / 8] ^= (char)(1 << bit % 8);
		enum scram_result result =
			scram_server_step(&server, bytes(message), sizeof message - 1, &out);
		cr_assert(result == SCRAM_WRONG || result == SCRAM_INVALID, "bit %zu", bit);
		cr_assert_eq(buf_len(&out), 0);
		message[bit / 8] ^= (char)(1 << bit % 8);
		scram_server_fini(&server);
	}
}

/* ---- what the client refuses ---- */

Test(scram, client_refuses_these_first_messages)
{
	static const char *const refused[] = {
		"",
		"r=" RFC_NONCE,
		"r=" RFC_NONCE ",s=" RFC_SALT,
		"r=" RFC_NONCE ",s=" RFC_SALT ",",
		"r=" RFC_NONCE ",i=4096,s=" RFC_SALT,
		"s=" RFC_SALT ",r=" RFC_NONCE ",i=4096",
		"r=" RFC_NONCE ",s=" RFC_SALT ",i=",
		"r=" RFC_NONCE ",s=" RFC_SALT ",i=0",
		"r=" RFC_NONCE ",s=" RFC_SALT ",i=-1",
		"r=" RFC_NONCE ",s=" RFC_SALT ",i=+1",
		"r=" RFC_NONCE ",s=" RFC_SALT ",i= 1",
		"r=" RFC_NONCE ",s=" RFC_SALT ",i=4096x",
		"r=" RFC_NONCE ",s=" RFC_SALT ",i=1000001",
		"r=" RFC_NONCE ",s=" RFC_SALT ",i=4294967297",
		"r=" RFC_NONCE ",s=" RFC_SALT ",i=99999999999999999999999",
		"r=" RFC_NONCE ",s=" RFC_SALT ",i=4096,",
		"r=" RFC_NONCE ",s=" RFC_SALT ",i=4096,x=1",
		"r=" RFC_NONCE ",s=" RFC_SALT ",i=4096,i=4096",
		"r=" RFC_NONCE ",s=,i=4096",
		"r=" RFC_NONCE ",s=W22ZaJ0SNY7soEsUEjb6gQ,i=4096",
		"r=" RFC_NONCE ",s=****,i=4096",
		"r=" RFC_NONCE ",r=" RFC_NONCE ",s=" RFC_SALT ",i=4096",
		"r=" RFC_CLIENT_NONCE ",s=" RFC_SALT ",i=4096",
		"r=other" RFC_NONCE ",s=" RFC_SALT ",i=4096",
		"r=rOprNGfwEbeRWgbNEkqo%hvYD,s=" RFC_SALT ",i=4096",
		"r=,s=" RFC_SALT ",i=4096",
		"r=" RFC_NONCE " ,s=" RFC_SALT ",i=4096",
		"r=" RFC_NONCE "\x80,s=" RFC_SALT ",i=4096",
		"m=x,r=" RFC_NONCE ",s=" RFC_SALT ",i=4096",
		"e=other-error",
		"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
	};

	for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
		struct scram_client client;
		char *answer;

		rfc_client(&client, NULL);
		cr_expect_eq(client_step(&client, refused[i], &answer), SCRAM_INVALID, "%s",
					 refused[i]);
		cr_expect_str_eq(answer, "");
		free(answer);
		cr_expect_eq(client_step(&client, RFC_SERVER_FIRST, NULL), SCRAM_INVALID,
					 "no second try");
		scram_client_fini(&client);
	}
}

Test(scram, client_bounds_nonce_and_salt)
{
	char message[2048], nonce[SCRAM_NONCE_MAX + 2], salt[BASE64_SIZE(SCRAM_SALT_MAX + 1)];
	uint8_t raw[SCRAM_SALT_MAX + 1] = {3};

	for (int extra = 0; extra < 2; extra++) {
		struct scram_client client;
		enum scram_result expected = extra ? SCRAM_INVALID : SCRAM_CONTINUE;

		memset(nonce, 'n', sizeof nonce);
		memcpy(nonce, RFC_CLIENT_NONCE, strlen(RFC_CLIENT_NONCE));
		nonce[SCRAM_NONCE_MAX + extra] = '\0';
		snprintf(message, sizeof message, "r=%s,s=%s,i=1", nonce, RFC_SALT);
		rfc_client(&client, NULL);
		cr_expect_eq(client_step(&client, message, NULL), expected);
		scram_client_fini(&client);

		base64_encode(raw, (size_t)SCRAM_SALT_MAX + (size_t)extra, salt);
		snprintf(message, sizeof message, "r=%s,s=%s,i=1", RFC_NONCE, salt);
		rfc_client(&client, NULL);
		cr_expect_eq(client_step(&client, message, NULL), expected);
		scram_client_fini(&client);
	}
}

Test(scram, client_trusts_only_the_servers_signature)
{
	static const struct {
		const char *message;
		enum scram_result result;
	} cases[] = {
		{RFC_SERVER_FINAL, SCRAM_DONE},
		{"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G5=", SCRAM_INVALID}, /* not canonical */
		{"v=7rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=", SCRAM_WRONG},
		{"v=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", SCRAM_WRONG},
		{"e=invalid-proof", SCRAM_WRONG},
		{"v=", SCRAM_INVALID},
		{"v", SCRAM_INVALID},
		{"", SCRAM_INVALID},
		{"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4", SCRAM_INVALID},
		{RFC_SERVER_FINAL ",", SCRAM_INVALID},
		{RFC_SERVER_FINAL ",x=1", SCRAM_INVALID},
		{RFC_SERVER_FINAL "=", SCRAM_INVALID},
		{"x=1," RFC_SERVER_FINAL, SCRAM_INVALID},
		{"e=a,e=b", SCRAM_INVALID},
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct scram_client client;

		rfc_client(&client, NULL);
		cr_assert_eq(client_step(&client, RFC_SERVER_FIRST, NULL), SCRAM_CONTINUE);
		cr_expect_eq(client_step(&client, cases[i].message, NULL), cases[i].result, "%s",
					 cases[i].message);
		cr_expect_eq(client_step(&client, RFC_SERVER_FINAL, NULL), SCRAM_INVALID,
					 "no second try");
		scram_client_fini(&client);
	}
}

/* Every prefix from a block of exactly its length, so that a sanitizer sees a read past the
 * end. */
Test(scram, no_prefix_is_taken_for_the_whole)
{
	const char *final = RFC_CLIENT_FINAL, *first = RFC_SERVER_FIRST;

	for (size_t len = 1; len < strlen(final); len++) {
		struct scram_server server;
		struct buf out;
		uint8_t *copy = malloc(len);

		buf_init(&out);
		memcpy(copy, final, len);
		rfc_server(&server);
		cr_expect_eq(scram_server_step(&server, copy, len, &out), SCRAM_INVALID, "%zu", len);
		scram_server_fini(&server);
		free(copy);
	}
	for (size_t len = 1; len < strlen(first) - 3; len++) { /* `i=4` is whole */
		struct scram_client client;
		struct buf out;
		uint8_t *copy = malloc(len);

		buf_init(&out);
		memcpy(copy, first, len);
		rfc_client(&client, NULL);
		cr_expect_eq(scram_client_step(&client, copy, len, &out), SCRAM_INVALID, "%zu", len);
		scram_client_fini(&client);
		free(copy);
	}
}
