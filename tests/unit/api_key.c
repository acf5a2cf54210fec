/* Keys of the API: their form, and what is stored of them. */
#include <criterion/criterion.h>

#include <stdlib.h>
#include <string.h>

#include <openssl/hmac.h>

#include "admin/api_key.h"
#include "base/encode.h"

#define PEPPER_A "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
#define PEPPER_B "//79/Pv6+fj39vX08/Lx8O/u7ezr6uno5+bl5OPi4eA="

#define ID     "abcdefghijkl2345"
#define SECRET "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmn-_0"
#define KEY    "bhk_" ID "_" SECRET

static struct guard_keyring *pepper_of(const char *content)
{
	const char *why = NULL;
	struct guard_keyring *pepper = guard_keyring_parse(content, &why);

	cr_assert_not_null(pepper, "%s", why);
	return pepper;
}

static bool is_text(const char *text)
{
	return api_key_is_text(text, strlen(text));
}

Test(api_key, has_one_form)
{
	char id[API_KEY_ID_LEN + 1];

	cr_assert(is_text(KEY));
	api_key_id(KEY, id);
	cr_assert_str_eq(id, ID);
}

Test(api_key, nothing_else_is_one)
{
	static const char *const others[] = {
		"",
		"bhk_",
		"bhk_" ID,
		"bhk_" ID "_",
		"bhk_" ID "_" SECRET "x",                                 /* too long */
		"BHK_" ID "_" SECRET,                                     /* another case */
		"bhk-" ID "_" SECRET,                                     /* another prefix */
		"bhk_" ID "-" SECRET,                                     /* another separator */
		" bhk_" ID "_ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmn-_", /* a blank in front */
		"bhk_ABCDEFGHIJKL2345_" SECRET,                           /* upper case */
		"bhk_abcdefghijkl2340_" SECRET, /* digits that look like letters */
		"bhk_abcdefghijkl2341_" SECRET,
		"bhk_abcdefghijkl2348_" SECRET,
		"bhk_abcdefghijkl2349_" SECRET,
		"bhk_" ID "_ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmn+_0", /* plain base64 */
		"bhk_" ID "_ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmn/_0",
		"bhk_" ID "_ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmn-_=",
		"bhk_" ID "_ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmn-_\n",
		"bhk_" ID "_ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmn-\xc3\xa9",
	};
	char with_nul[] = KEY;

	for (size_t i = 0; i < sizeof others / sizeof *others; i++)
		cr_expect_not(is_text(others[i]), "%s", others[i]);
	for (size_t at = 0; at < sizeof with_nul - 1; at++) {
		char was = with_nul[at];

		with_nul[at] = '\0';
		cr_expect_not(api_key_is_text(with_nul, sizeof with_nul - 1), "NUL at %zu", at);
		with_nul[at] = was;
	}
}

Test(api_key, drawn_ones_are_in_form_and_differ)
{
	struct api_key_text a, b;

	for (int i = 0; i < 1000; i++) {
		api_key_draw(&a);
		api_key_draw(&b);
		cr_assert(is_text(a.text), "%s", a.text);
		cr_assert_neq(strncmp(a.text, b.text, 4 + API_KEY_ID_LEN), 0);
		cr_assert_str_neq(a.text + 21, b.text + 21);
	}
}

Test(api_key, another_secret_for_the_same_id)
{
	struct api_key_text a, b;

	api_key_draw_for(ID, &a);
	api_key_draw_for(ID, &b);
	cr_assert(is_text(a.text) && is_text(b.text));
	cr_assert_eq(memcmp(a.text, KEY, 21), 0);
	cr_assert_eq(memcmp(a.text, b.text, 21), 0);
	cr_assert_str_neq(a.text, b.text);
}

Test(api_key, the_hash_is_an_hmac_under_the_pepper_with_its_name)
{
	struct guard_keyring *pepper = pepper_of("p2 " PEPPER_B "\np1 " PEPPER_A "\n");
	static const unsigned char message[] = "bulkhead api key\0" KEY;
	unsigned char key[32], digest[32];
	char hash[API_KEY_HASH_SIZE], wanted[API_KEY_HASH_SIZE];
	const char *kid;

	cr_assert(api_key_hash(pepper, 1, KEY, &kid, hash));
	cr_assert_str_eq(kid, "p1");
	cr_assert_eq(base64_decode(PEPPER_A, strlen(PEPPER_A), key, sizeof key), 32);
	HMAC(EVP_sha256(), key, sizeof key, message, sizeof message - 1, digest, NULL);
	hex_encode(digest, sizeof digest, wanted);
	cr_assert_str_eq(hash, wanted);
	cr_assert(api_key_hash(pepper, 0, KEY, &kid, hash));
	cr_assert_str_eq(kid, "p2");
	cr_assert_str_neq(hash, wanted);
	cr_assert_not(api_key_hash(pepper, 2, KEY, &kid, hash));
	cr_assert_null(kid);
	guard_keyring_destroy(pepper);
}

Test(api_key, the_id_counts_in_the_hash)
{
	struct guard_keyring *pepper = pepper_of("p1 " PEPPER_A "\n");
	char a[API_KEY_HASH_SIZE], b[API_KEY_HASH_SIZE];
	const char *kid;

	cr_assert(api_key_hash(pepper, 0, KEY, &kid, a));
	cr_assert(api_key_hash(pepper, 0, "bhk_abcdefghijkl2346_" SECRET, &kid, b));
	cr_assert_str_neq(a, b);
	guard_keyring_destroy(pepper);
}
