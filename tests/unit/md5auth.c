#include <criterion/criterion.h>

#include <string.h>

#include "proxy/md5auth.h"

/* Answers computed with Python's hashlib. */
Test(md5auth, answers_as_the_protocol_says)
{
	static const struct {
		const char *user, *password, *answer;
		uint8_t salt[MD5AUTH_SALT_SIZE];
	} cases[] = {
		{"postgres", "secret", "md5bb41a296aab6baccb36ff243a562abff", {1, 2, 3, 4}},
		{"", "", "md591b86670dcd47857d222fa05653500aa", {0, 0, 0, 0}},
		{"u", "p\303\244ss", "md5cb2070956a5866b49633fab65a80c750", {255, 0, 128, 10}},
		{"shop.acme",
		 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
		 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
		 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
		 "md5cc6962ee78bbac2a52d2687a2eb6699d",
		 {0, 0, 0, 1}},
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char out[MD5AUTH_SIZE];

		cr_assert(md5auth_response(cases[i].user, cases[i].password, cases[i].salt, out));
		cr_expect_str_eq(out, cases[i].answer);
		cr_expect_eq(strlen(out), MD5AUTH_SIZE - 1);
	}
}

Test(md5auth, depends_on_every_part)
{
	static const uint8_t salt[MD5AUTH_SALT_SIZE] = {1, 2, 3, 4},
						 other[MD5AUTH_SALT_SIZE] = {1, 2, 3, 5};
	char a[MD5AUTH_SIZE], b[MD5AUTH_SIZE];

	cr_assert(md5auth_response("user", "password", salt, a));
	cr_assert(md5auth_response("user", "password", other, b));
	cr_expect_str_neq(a, b);
	cr_assert(md5auth_response("User", "password", salt, b));
	cr_expect_str_neq(a, b);
	cr_assert(md5auth_response("user", "passwore", salt, b));
	cr_expect_str_neq(a, b);
}
