/* Key files: the installation's, one tenant's, and what a ring signs. */
#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "policy/guard/guard.h"

#define KEY_A "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
#define KEY_B "//79/Pv6+fj39vX08/Lx8O/u7ezr6uno5+bl5OPi4eA="
#define ACME  "11111111-1111-4111-8111-111111111111"

static const struct uuid acme = {{0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x41, 0x11, 0x81, 0x11,
								  0x11, 0x11, 0x11, 0x11, 0x11, 0x11}};
static const struct uuid globex = {{0x22}};

static char path[] = "/tmp/bulkhead-keyring-XXXXXX";
static const char *why;

static void enter(void)
{
	int fd = mkstemp(path);

	cr_assert(fd >= 0);
	close(fd);
}

static void leave(void)
{
	unlink(path);
}

TestSuite(keyring, .init = enter, .fini = leave);

static struct guard_keyring *load(const char *content)
{
	FILE *file = fopen(path, "w");

	cr_assert_not_null(file);
	fputs(content, file);
	fclose(file);
	why = NULL;
	return guard_keyring_load(path, &why);
}

static struct guard_keyring *must(const char *content)
{
	struct guard_keyring *keyring = load(content);

	cr_assert_not_null(keyring, "%s", why);
	return keyring;
}

Test(keyring, the_first_signs_and_others_follow)
{
	struct guard_keyring *keyring = must("# keys\n\nk2 " KEY_B "\r\nk1 \t" KEY_A " \n");

	cr_expect_str_eq(guard_keyring_kid(keyring, 0), "k2");
	cr_expect_str_eq(guard_keyring_kid(keyring, 1), "k1");
	cr_expect_null(guard_keyring_kid(keyring, 2));
	cr_expect_eq(guard_keyring_key(keyring, 1)[31], 31);
	cr_expect_null(guard_keyring_tenant(keyring));
	cr_expect(guard_keyring_signs_for(keyring, &acme) &&
			  guard_keyring_signs_for(keyring, &globex));
	guard_keyring_destroy(keyring);
}

Test(keyring, one_tenants)
{
	struct guard_keyring *keyring = must("k2 " KEY_B " " ACME "\nk1 " KEY_A "\t" ACME " \n");

	cr_assert_not_null(guard_keyring_tenant(keyring));
	cr_expect(uuid_equal(guard_keyring_tenant(keyring), &acme));
	cr_expect(guard_keyring_signs_for(keyring, &acme));
	cr_expect_not(guard_keyring_signs_for(keyring, &globex));
	guard_keyring_destroy(keyring);
}

Test(keyring, what_is_refused)
{
	static const struct {
		const char *content, *why;
	} cases[] = {
		{"", "there is no key in it"},
		{"k1\n", "line 1: behind the key's name must stand 32 bytes in base64"},
		{"k1 AAAA\n", "line 1: behind the key's name must stand 32 bytes in base64"},
		{"# x\nK1 " KEY_A "\n", "line 2: a key's name is 1 to 32 of a-z, 0-9, _ and -"},
		{"k1 " KEY_A "\nk1 " KEY_B "\n", "line 2: this key's name stands here twice"},
		{"k1 " KEY_A " acme\n", "line 1: behind a derived key must stand its tenant's id"},
		{"k1 " KEY_A " " ACME " x\n",
		 "line 1: behind a derived key must stand its tenant's id"},
		{"k2 " KEY_A " " ACME "\nk1 " KEY_B "\n",
		 "line 2: the keys of a file are all for one tenant, or all for every tenant"},
		{"k2 " KEY_A "\nk1 " KEY_B " " ACME "\n",
		 "line 2: the keys of a file are all for one tenant, or all for every tenant"},
		{"k2 " KEY_A " " ACME "\nk1 " KEY_B " 22222222-2222-4222-9222-222222222222\n",
		 "line 2: the keys of a file are all for one tenant, or all for every tenant"},
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct guard_keyring *keyring = load(cases[i].content);

		cr_expect_null(keyring, "%s", cases[i].content);
		cr_expect(why && strcmp(why, cases[i].why) == 0, "\"%s\" instead of \"%s\"", why,
				  cases[i].why);
		guard_keyring_destroy(keyring);
	}
}

Test(keyring, equality)
{
	static const char *const contents[] = {
		"k1 " KEY_A "\n",
		"k2 " KEY_A "\n",
		"k1 " KEY_B "\n",
		"k1 " KEY_A " " ACME "\n",
		"k1 " KEY_A "\nk2 " KEY_B "\n",
		"k2 " KEY_B "\nk1 " KEY_A "\n",
	};

	for (size_t i = 0; i < sizeof contents / sizeof *contents; i++) {
		for (size_t j = 0; j < sizeof contents / sizeof *contents; j++) {
			struct guard_keyring *a = must(contents[i]), *b = must(contents[j]);

			cr_expect_eq(guard_keyring_equal(a, b), i == j, "%zu and %zu", i, j);
			guard_keyring_destroy(a);
			guard_keyring_destroy(b);
		}
	}
}

static void expect_mac(const struct guard_keyring *keyring, const char *wanted)
{
	static const struct guard_server server = {.id = "0123456789abcdef0123456789abcdef"};
	struct guard_enter enter;

	cr_assert(guard_enter_init(&enter, keyring, &server, "app", 7, &acme, "42", 1700000000000));
	cr_expect_str_eq(enter.values[0], guard_keyring_kid(keyring, 0));
	cr_expect_str_eq(enter.values[4], wanted);
	guard_enter_fini(&enter);
}

Test(keyring, a_derived_ring_signs_as_the_whole_one_and_for_nobody_else)
{
	static const struct guard_server server = {.id = "0123456789abcdef0123456789abcdef"};
	struct guard_keyring *keyring = must("k2 " KEY_A "\nk1 " KEY_B "\n");
	struct guard_keyring *derived = guard_keyring_derive(keyring, &acme);
	struct guard_enter whole, none;
	struct buf text;

	cr_assert_not_null(derived);
	cr_assert(guard_enter_init(&whole, keyring, &server, "app", 7, &acme, "42", 1700000000000));
	expect_mac(derived, whole.values[4]);
	cr_expect_not(
		guard_enter_init(&none, derived, &server, "app", 7, &globex, "42", 1700000000000));
	cr_expect_null(guard_keyring_derive(derived, &globex));

	/* Written and read it is the same ring. */
	buf_init(&text);
	cr_assert(guard_keyring_write(derived, &text) && buf_append_byte(&text, '\0'));
	struct guard_keyring *again = must((const char *)buf_data(&text));
	cr_expect(guard_keyring_equal(derived, again));
	expect_mac(again, whole.values[4]);

	buf_wipe(&text);
	guard_enter_fini(&whole);
	guard_keyring_destroy(keyring);
	guard_keyring_destroy(derived);
	guard_keyring_destroy(again);
}
