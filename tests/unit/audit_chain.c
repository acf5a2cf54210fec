/* The audit log's chain, as it is followed outside of the database. */
#include <string.h>

#include <criterion/criterion.h>

#include "admin/audit_chain.h"
#include "base/encode.h"

static const unsigned char nothing[AUDIT_HASH_SIZE];

static void hash_of(const char *const *part, size_t count, char out[2 * AUDIT_HASH_SIZE + 1])
{
	unsigned char hash[AUDIT_HASH_SIZE];

	cr_assert(audit_hash(nothing, part, count, hash));
	hex_encode(hash, sizeof hash, out);
}

Test(audit_chain, is_the_hash_that_anyone_can_compute)
{
	const char *const part[] = {"1", NULL, "", "a:b,", "\xc3\xa4"};
	char hex[2 * AUDIT_HASH_SIZE + 1];

	/* (head -c 32 /dev/zero; printf '1:1,-,0:,4:a:b,,2:ä,') | sha256sum */
	hash_of(part, 5, hex);
	cr_assert_str_eq(hex, "95421ea688accd4cd39ecb88ca274ae1255b065ca3039556b12ae8c9225bb1ae");
}

Test(audit_chain, tells_apart_what_only_looks_alike)
{
	const char *const pairs[][2] = {{"ab", "c"}, {"a", "bc"},  {"", NULL},   {NULL, ""},
									{"-", ""},   {"-,", NULL}, {"1:a", ","}, {"a", "1:,"}};
	char hex[8][2 * AUDIT_HASH_SIZE + 1];

	for (size_t i = 0; i < 8; i++) {
		hash_of(pairs[i], 2, hex[i]);
		for (size_t k = 0; k < i; k++)
			cr_assert_str_neq(hex[i], hex[k]);
	}
}

static struct audit_record record(int64_t id, const char *subject, const unsigned char *prev)
{
	struct audit_record made = {.id = id, .part = {"x", [12] = subject}};

	memcpy(made.prev_hash, prev, AUDIT_HASH_SIZE);
	cr_assert(audit_hash(prev, made.part, AUDIT_PARTS, made.hash));
	return made;
}

Test(audit_chain, follows_what_fits_and_nothing_else)
{
	struct audit_place place = {0};
	struct audit_record first = record(1, "a", nothing), second = record(2, "b", first.hash);
	struct audit_record third = record(3, "c", second.hash), other = record(2, "x", first.hash);

	cr_assert_eq(audit_follow(&place, &second), AUDIT_MISSING);
	cr_assert_eq(audit_follow(&place, &first), AUDIT_FITS);
	cr_assert_eq(audit_follow(&place, &first), AUDIT_MISSING);
	cr_assert_eq(audit_follow(&place, &third), AUDIT_MISSING);

	struct audit_record changed = second;
	changed.part[13] = "{}";
	cr_assert_eq(audit_follow(&place, &changed), AUDIT_CHANGED);
	changed = second;
	changed.prev_hash[31] ^= 1;
	cr_assert_eq(audit_follow(&place, &changed), AUDIT_CHANGED);
	struct audit_record stray = record(2, "b", nothing);
	cr_assert_eq(audit_follow(&place, &stray), AUDIT_UNLINKED);

	cr_assert_eq(place.id, 1);
	cr_assert_arr_eq(place.hash, first.hash, AUDIT_HASH_SIZE);
	/* One that was made anew with all that belongs to it fits, and what came behind it does
	 * not. */
	cr_assert_eq(audit_follow(&place, &other), AUDIT_FITS);
	cr_assert_eq(audit_follow(&place, &third), AUDIT_UNLINKED);
}
