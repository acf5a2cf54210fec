/* Which of the passwords that a tenant's own login may have is tried first, and which then. */
#include <string.h>

#include <criterion/criterion.h>

#include "base/secret.h"
#include "proxy/pool.h"

#define HEX "11111111222243338444555555555555"

static char two_keys[] = "k2 AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=\n"
						 "k1 AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\n";

static struct conf_cluster cluster = {.secret = two_keys};
static struct pool pool;

static void set_up(void)
{
	memset(&pool, 0, sizeof pool);
	pool.cluster = &cluster;
	pool.key.kind = ROUTE_SCHEMA;
	cr_assert(uuid_parse(HEX, strlen(HEX), &pool.key.tenant));
	list_init(&pool.servers);
}

TestSuite(pool_password, .init = set_up);

/* The password of the key at that place of the file. */
static bool is_of(const char *password, size_t place)
{
	const char *why;
	char wanted[OWN_PASSWORD_SIZE];
	struct guard_keyring *ring = guard_keyring_parse(two_keys, &why);

	cr_assert(ring && own_password(ring, place, &pool.key.tenant, wanted));
	guard_keyring_destroy(ring);
	return password && strcmp(password, wanted) == 0;
}

static void expect(size_t attempt, size_t *first, size_t place)
{
	char *password = pool_password(&pool, attempt, first);

	cr_expect(is_of(password, place), "attempt %zu", attempt);
	secret_free(password);
}

Test(pool_password, each_is_tried_once_the_records_first)
{
	size_t first = 0;

	pool_note_kid(&pool, "k1");
	expect(0, &first, 1);
	expect(1, &first, 0);
	cr_expect_null(pool_password(&pool, 2, &first));
}

Test(pool_password, what_another_login_finds_out_does_not_turn_the_order_round)
{
	size_t one = 0, other = 0, later = 0;

	expect(0, &one, 0);
	expect(0, &other, 0);
	expect(1, &one, 1);
	pool_note_password(&pool, 1, one);

	expect(1, &other, 1); /* and not the first once more */
	pool_note_password(&pool, 1, other);
	cr_expect_null(pool_password(&pool, 2, &other));
	expect(0, &later, 1);
}

Test(pool_password, keys_that_were_derived_of_another_do_not_outlive_the_record)
{
	struct scram_keys none = {0};

	pool_note_kid(&pool, "k2");
	memset(&pool.scram, 1, sizeof pool.scram); /* kept before the server had its say */
	pool_note_kid(&pool, "k2");
	cr_expect(memcmp(&pool.scram, &none, sizeof none) != 0);
	pool_note_kid(&pool, "k1");
	cr_expect_arr_eq(&pool.scram, &none, sizeof none);
}
