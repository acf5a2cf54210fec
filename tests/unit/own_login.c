/* Tests of policy/guard/own_login: names and passwords of tenants' own logins. */
#include <criterion/criterion.h>
#include <string.h>

#include "policy/guard/own_login.h"

#define ONE "one AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\n"
#define TWO "two AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=\n"

static const struct uuid acme = {{0x01, 0x8f, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14}};
static const struct uuid globex = {{0x01, 0x8f, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 15}};

static struct guard_keyring *ring(const char *text)
{
	const char *why = NULL;
	struct guard_keyring *keyring = guard_keyring_parse(text, &why);

	cr_assert(keyring, "%s", why);
	return keyring;
}

Test(own_login, is_called_after_the_id)
{
	char name[OWN_NAME_SIZE];

	own_name(&acme, name);
	cr_assert_str_eq(name, "t_018f0102030405060708090a0b0c0d0e");
}

/* Worked out apart: HMAC-SHA256(HMAC-SHA256(key, the id's digits), "bulkhead.own_login.1"). */
Test(own_login, password_is_the_one_that_others_compute)
{
	struct guard_keyring *keyring = ring(ONE);
	char password[OWN_PASSWORD_SIZE];

	cr_assert(own_password(keyring, 0, &acme, password));
	cr_assert_str_eq(password,
					 "20f5c9f6b042389f4020d2b1fd39119942a05f7df2099749db05e35d16477ae8");
	guard_keyring_destroy(keyring);
}

Test(own_login, differs_by_tenant_and_key)
{
	struct guard_keyring *keyring = ring(ONE TWO);
	char first[OWN_PASSWORD_SIZE], second[OWN_PASSWORD_SIZE], other[OWN_PASSWORD_SIZE];

	cr_assert(own_password(keyring, 0, &acme, first));
	cr_assert(own_password(keyring, 1, &acme, second));
	cr_assert(own_password(keyring, 0, &globex, other));
	cr_assert(strcmp(first, second) != 0 && strcmp(first, other) != 0);
	cr_assert(!own_password(keyring, 2, &acme, first));
	guard_keyring_destroy(keyring);
}

Test(own_login, derived_key_gives_its_tenant_s_password_alone)
{
	struct guard_keyring *whole = ring(ONE TWO), *derived = guard_keyring_derive(whole, &acme);
	char from_whole[OWN_PASSWORD_SIZE], from_derived[OWN_PASSWORD_SIZE];

	for (size_t i = 0; i < 2; i++) {
		cr_assert(own_password(whole, i, &acme, from_whole));
		cr_assert(own_password(derived, i, &acme, from_derived));
		cr_assert_str_eq(from_whole, from_derived);
	}
	cr_assert(!own_password(derived, 0, &globex, from_derived));
	guard_keyring_destroy(derived);
	guard_keyring_destroy(whole);
}

Test(own_login, place_of_a_key_is_found_by_name)
{
	struct guard_keyring *keyring = ring(ONE TWO);

	cr_assert_eq(own_password_place(keyring, "two"), 1);
	cr_assert_eq(own_password_place(keyring, "one"), 0);
	cr_assert_eq(own_password_place(keyring, "gone"), 0);
	cr_assert_eq(own_password_place(keyring, NULL), 0);
	guard_keyring_destroy(keyring);
}
