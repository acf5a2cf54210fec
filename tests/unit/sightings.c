/* What workers saw, counted until it is taken. */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include <criterion/criterion.h>

#include "router/sightings.h"

static struct sighting taken[SIGHTINGS_MAX + 1];

static const struct uuid acme = {{1}}, globex = {{2}};

Test(sightings, counts_what_is_alike_together)
{
	struct sightings *sightings = sightings_create();

	for (int i = 0; i < 3; i++) {
		sightings_add(sightings, SIGHTING_SESSION_OPENED, &acme, "shop", SIGHTING_NO_REASON);
		sightings_add(sightings, SIGHTING_SESSION_REFUSED, &acme, "shop", REASON_PASSWORD);
		sightings_add(sightings, SIGHTING_SESSION_REFUSED, NULL, NULL, REASON_PASSWORD);
	}
	sightings_add(sightings, SIGHTING_SESSION_REFUSED, &globex, "shop", REASON_PASSWORD);
	sightings_add(sightings, SIGHTING_SESSION_REFUSED, &acme, "shop", REASON_REACH);

	cr_assert_eq(sightings_take(sightings, taken), 5);
	for (size_t i = 0; i < 5; i++) {
		cr_assert_eq(taken[i].count, i < 3 ? 3 : 1);
		cr_assert_leq(taken[i].first_ms, taken[i].last_ms);
	}
	cr_assert_eq(taken[0].key.kind, SIGHTING_SESSION_OPENED);
	cr_assert(taken[0].key.has_tenant && uuid_equal(&taken[0].key.tenant, &acme));
	cr_assert_str_eq(taken[1].key.principal, "shop");
	cr_assert(!taken[2].key.has_tenant && !*taken[2].key.principal);
	cr_assert_eq(taken[4].key.reason, REASON_REACH);
	cr_assert_eq(sightings_take(sightings, taken), 0);
	sightings_destroy(sightings);
}

Test(sightings, has_room_for_a_bounded_number_and_says_what_is_missing)
{
	struct sightings *sightings = sightings_create();
	char name[16];

	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < SIGHTINGS_MAX + 100; i++) {
			snprintf(name, sizeof name, "p%d", i);
			sightings_add(sightings, SIGHTING_SESSION_OPENED, &acme, name, SIGHTING_NO_REASON);
		}
		sightings_add(sightings, SIGHTING_SESSION_OPENED, &acme, "p0", SIGHTING_NO_REASON);
		cr_assert_eq(sightings_take(sightings, taken), SIGHTINGS_MAX + 1);
		cr_assert_eq(taken[0].count, 2);
		cr_assert_str_eq(taken[SIGHTINGS_MAX - 1].key.principal, "p511");
		cr_assert_eq(taken[SIGHTINGS_MAX].key.kind, SIGHTING_DROPPED);
		cr_assert_eq(taken[SIGHTINGS_MAX].count, 100);
	}
	sightings_destroy(sightings);
}

Test(sightings, cuts_a_name_between_characters)
{
	struct sightings *sightings = sightings_create();
	char name[80] = "";

	memset(name, 'a', 62);
	strcat(name, "\xc3\xa4"); /* its second byte would be one too many */
	sightings_add(sightings, SIGHTING_SESSION_OPENED, NULL, name, SIGHTING_NO_REASON);
	sightings_take(sightings, taken);
	cr_assert_eq(strlen(taken[0].key.principal), 62);
	sightings_destroy(sightings);
}

#define EACH 20000

static void *add_many(void *arg)
{
	for (int i = 0; i < EACH; i++)
		sightings_add(arg, SIGHTING_STATEMENT_REFUSED, i % 2 ? &acme : &globex, "shop",
					  REASON_REACH);
	return NULL;
}

Test(sightings, loses_nothing_between_threads)
{
	struct sightings *sightings = sightings_create();
	pthread_t threads[4];
	uint64_t sum = 0;

	for (int i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, add_many, sightings);
	for (int i = 0; i < 200; i++) {
		for (size_t left = sightings_take(sightings, taken); left; left--)
			sum += taken[left - 1].count;
	}
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	for (size_t left = sightings_take(sightings, taken); left; left--)
		sum += taken[left - 1].count;
	cr_assert_eq(sum, 4 * EACH);
	sightings_destroy(sightings);
}
