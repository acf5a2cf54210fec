/* Sensitive settings: data keys wrapped by the master key, values sealed by data keys. */
#include <criterion/criterion.h>

#include <stdlib.h>
#include <string.h>

#include "admin/vault.h"
#include "base/encode.h"
#include "base/secret.h"

#define KEY_A "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
#define KEY_B "//79/Pv6+fj39vX08/Lx8O/u7ezr6uno5+bl5OPi4eA="

static const struct uuid acme = {{0x11, 0x22}};
static const struct uuid globex = {{0x11, 0x23}};

static struct guard_keyring *ring(const char *content)
{
	const char *why = NULL;
	struct guard_keyring *keyring = guard_keyring_parse(content, &why);

	cr_assert_not_null(keyring, "%s", why);
	return keyring;
}

/* A data key of acme's under the ring, and its wrapped form. */
static struct vault_key make(const struct guard_keyring *master, char **wrapped)
{
	struct vault_key key;

	cr_assert_eq(vault_key_make(master, &acme, &key, wrapped), VAULT_DONE);
	cr_assert_eq(strlen(key.kid), VAULT_KID_SIZE - 1);
	return key;
}

static char *seal(const struct vault_key *key, const char *setting, const char *value)
{
	char *sealed = NULL;

	cr_assert_eq(vault_seal(key, &acme, setting, value, strlen(value), &sealed), VAULT_DONE);
	return sealed;
}

static enum vault_result unseal(const struct vault_key *key, const struct uuid *tenant,
								const char *setting, const char *sealed, const char *expected)
{
	char *value = NULL;
	size_t len = 0;
	enum vault_result result = vault_unseal(key, tenant, setting, sealed, &value, &len);

	if (result == VAULT_DONE) {
		cr_expect_eq(len, strlen(expected));
		cr_expect_str_eq(value, expected);
	} else {
		cr_expect_null(value);
	}
	secret_free(value);
	return result;
}

Test(vault, what_is_sealed_opens_again)
{
	struct guard_keyring *master = ring("m1 " KEY_A "\n");
	char *wrapped = NULL, *sealed;
	struct vault_key key = make(master, &wrapped), again;

	sealed = seal(&key, "app.token", "\"hunter2\"");
	cr_expect_eq(vault_key_unwrap(master, &acme, key.kid, wrapped, &again), VAULT_DONE);
	cr_expect_str_eq(again.kid, key.kid);
	cr_expect_eq(memcmp(again.bytes, key.bytes, sizeof key.bytes), 0);
	cr_expect_eq(unseal(&again, &acme, "app.token", sealed, "\"hunter2\""), VAULT_DONE);
	cr_expect_null(strstr(sealed, "hunter2"));
	free(sealed);
	free(wrapped);
	guard_keyring_destroy(master);
}

Test(vault, empty_and_largest_values)
{
	struct guard_keyring *master = ring("m1 " KEY_A "\n");
	char *wrapped = NULL, *large = malloc(VAULT_VALUE_MAX + 2), *sealed;
	struct vault_key key = make(master, &wrapped);

	memset(large, 'x', VAULT_VALUE_MAX + 1);
	large[VAULT_VALUE_MAX] = '\0';
	sealed = seal(&key, "app.x", large);
	cr_expect_eq(unseal(&key, &acme, "app.x", sealed, large), VAULT_DONE);
	free(sealed);
	sealed = seal(&key, "app.x", "");
	cr_expect_eq(unseal(&key, &acme, "app.x", sealed, ""), VAULT_DONE);
	free(sealed);
	cr_expect_eq(vault_seal(&key, &acme, "app.x", large, VAULT_VALUE_MAX + 1, &sealed),
				 VAULT_FAILED);
	cr_expect_null(sealed);
	free(large);
	free(wrapped);
	guard_keyring_destroy(master);
}

Test(vault, the_same_value_is_never_sealed_twice_alike)
{
	struct guard_keyring *master = ring("m1 " KEY_A "\n");
	char *wrapped = NULL;
	struct vault_key key = make(master, &wrapped);
	char *one = seal(&key, "app.x", "1"), *two = seal(&key, "app.x", "1");

	cr_expect_str_neq(one, two);
	free(one);
	free(two);
	free(wrapped);
	guard_keyring_destroy(master);
}

Test(vault, copied_elsewhere_nothing_opens)
{
	struct guard_keyring *master = ring("m1 " KEY_A "\n");
	char *wrapped = NULL, *other_wrapped = NULL;
	struct vault_key key = make(master, &wrapped), other = make(master, &other_wrapped), got;
	char *sealed = seal(&key, "app.a", "1");

	cr_expect_eq(unseal(&key, &globex, "app.a", sealed, ""), VAULT_BROKEN);
	cr_expect_eq(unseal(&key, &acme, "app.b", sealed, ""), VAULT_BROKEN);
	cr_expect_eq(unseal(&other, &acme, "app.a", sealed, ""), VAULT_BROKEN);
	/* Also where the key is the right one, under another's name. */
	memcpy(other.bytes, key.bytes, sizeof key.bytes);
	cr_expect_eq(unseal(&other, &acme, "app.a", sealed, ""), VAULT_BROKEN);

	cr_expect_eq(vault_key_unwrap(master, &globex, key.kid, wrapped, &got), VAULT_BROKEN);
	cr_expect_eq(vault_key_unwrap(master, &acme, other.kid, wrapped, &got), VAULT_BROKEN);
	/* A value is no data key, and a data key is no value. */
	cr_expect_neq(vault_key_unwrap(master, &acme, key.kid, sealed, &got), VAULT_DONE);
	cr_expect_eq(unseal(&key, &acme, "app.a", wrapped, ""), VAULT_BROKEN);
	free(sealed);
	free(wrapped);
	free(other_wrapped);
	guard_keyring_destroy(master);
}

Test(vault, another_master_key_opens_nothing)
{
	struct guard_keyring *master = ring("m1 " KEY_A "\n"), *lost = ring("m2 " KEY_A "\n"),
						 *other = ring("m1 " KEY_B "\n");
	char *wrapped = NULL;
	struct vault_key key = make(master, &wrapped), got;

	cr_expect_eq(vault_key_unwrap(lost, &acme, key.kid, wrapped, &got), VAULT_KEY_MISSING);
	cr_expect_eq(vault_key_unwrap(other, &acme, key.kid, wrapped, &got), VAULT_BROKEN);
	free(wrapped);
	guard_keyring_destroy(master);
	guard_keyring_destroy(lost);
	guard_keyring_destroy(other);
}

Test(vault, rewrapped_it_is_the_same_key_under_the_new_master)
{
	struct guard_keyring *before = ring("m1 " KEY_A "\n"),
						 *both = ring("m2 " KEY_B "\nm1 " KEY_A "\n"),
						 *after = ring("m2 " KEY_B "\n");
	char *wrapped = NULL, *rewrapped = NULL;
	struct vault_key key = make(before, &wrapped), got;
	char *sealed = seal(&key, "app.a", "1");

	cr_assert_eq(vault_key_rewrap(both, &acme, key.kid, wrapped, &rewrapped), VAULT_DONE);
	char *kid = vault_kid_of(rewrapped);
	cr_expect_str_eq(kid, "m2");
	cr_assert_eq(vault_key_unwrap(after, &acme, key.kid, rewrapped, &got), VAULT_DONE);
	cr_expect_eq(unseal(&got, &acme, "app.a", sealed, "1"), VAULT_DONE);
	cr_expect_eq(vault_key_unwrap(before, &acme, key.kid, rewrapped, &got), VAULT_KEY_MISSING);
	free(kid);
	free(sealed);
	free(wrapped);
	free(rewrapped);
	guard_keyring_destroy(before);
	guard_keyring_destroy(both);
	guard_keyring_destroy(after);
}

/* Any one character of it changed, or any number of them cut off. */
Test(vault, no_changed_text_opens)
{
	struct guard_keyring *master = ring("m1 " KEY_A "\n");
	char *wrapped = NULL;
	struct vault_key key = make(master, &wrapped), got;
	char *sealed = seal(&key, "app.a", "{\"a\":[1,2,3]}");

	for (size_t i = 0; sealed[i]; i++) {
		char was = sealed[i];

		sealed[i] = was == 'A' ? 'B' : 'A';
		cr_expect_eq(unseal(&key, &acme, "app.a", sealed, ""), VAULT_BROKEN, "%zu", i);
		sealed[i] = '\0';
		cr_expect_eq(unseal(&key, &acme, "app.a", sealed, ""), VAULT_BROKEN, "%zu", i);
		sealed[i] = was;
	}
	for (size_t i = 0; wrapped[i]; i++) {
		char was = wrapped[i];

		wrapped[i] = was == 'A' ? 'B' : 'A';
		cr_expect_neq(vault_key_unwrap(master, &acme, key.kid, wrapped, &got), VAULT_DONE);
		wrapped[i] = was;
	}
	free(sealed);
	free(wrapped);
	guard_keyring_destroy(master);
}

Test(vault, texts_of_other_forms)
{
	static const char *const texts[] = {
		"",
		"v1",
		"v1.",
		"v1..",
		"v1...",
		"v2.a.b.c",
		"v1.k.AAAAAAAAAAAAAAAA.",
		"v1.k.AAAA.AAAA",
		"v1.a.b",
		"v1.0123456789abcdef.AAAAAAAAAAAAAAAA.AAAAAAAAAAAAAAAAAAAAAA==",
		"v1.0123456789abcdef0123456789abcdef0.AAAAAAAAAAAAAAAA.AAAA"};
	struct guard_keyring *master = ring("k " KEY_A "\n");
	char *wrapped = NULL;
	struct vault_key key = make(master, &wrapped), got;

	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		cr_expect_eq(unseal(&key, &acme, "app.a", texts[i], ""), VAULT_BROKEN, "%zu", i);
		cr_expect_neq(vault_key_unwrap(master, &acme, key.kid, texts[i], &got), VAULT_DONE);
	}
	cr_expect_null(vault_kid_of("v1."));
	cr_expect_null(vault_kid_of("plain"));
	free(wrapped);
	guard_keyring_destroy(master);
}
