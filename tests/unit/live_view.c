/* Who is to be in a view: filters, and the lowest pids of very many. */
#include <criterion/criterion.h>

#include <stdlib.h>
#include <string.h>

#include "router/live.h"

static struct tenant tenant_at(uint8_t id, uint8_t parent)
{
	struct tenant tenant = {.id.b = {id}, .depth = parent ? 2 : 1};

	tenant.path[0].b[0] = parent ? parent : id;
	if (parent)
		tenant.path[1] = tenant.id;
	return tenant;
}

Test(live_view, a_target_fits_when_all_of_it_does)
{
	const struct tenant root = tenant_at(1, 0), child = tenant_at(2, 1);
	struct live_target target = {.pid = 7};

	cr_expect(live_target_fits(&(struct live_target){.pid = 0}, NULL, 7));
	cr_expect(live_target_fits(&target, NULL, 7));
	cr_expect(!live_target_fits(&target, NULL, 8));
	target = (struct live_target){.has_within = true, .within = root.id};
	cr_expect(live_target_fits(&target, &root, 7) && live_target_fits(&target, &child, 7));
	cr_expect(!live_target_fits(&target, NULL, 7));
	target.within = child.id;
	cr_expect(!live_target_fits(&target, &root, 7) && live_target_fits(&target, &child, 7));
	target.has_tenant = true;
	target.tenant = root.id;
	target.below = true;
	cr_expect(live_target_fits(&target, &child, 7), "asked from above, and seen from below");
	cr_expect(!live_target_fits(&target, &root, 7));
	target = (struct live_target){.has_tenant = true, .tenant = root.id};
	cr_expect(!live_target_fits(&target, &child, 7) && live_target_fits(&target, &root, 7));
	cr_expect(!live_target_fits(&target, NULL, 7));
}

Test(live_view, a_filter_looks_at_state_principal_and_pin)
{
	struct principal principal = {.name = (char *)"app"};
	struct live_session session = {
		.pid = 7, .state = SESSION_ACTIVE, .principal = &principal, .pin = "listen"};
	const struct live_filter none = {.max = 1}, other = {.principal = "ap"},
							 same = {.principal = "app"},
							 idle = {.states = (uint32_t)1 << SESSION_IDLE},
							 both = {.states = (uint32_t)1 << SESSION_IDLE |
											   (uint32_t)1 << SESSION_ACTIVE},
							 pinned = {.pins = LIVE_PINNED}, free_ = {.pins = LIVE_NOT_PINNED};

	cr_expect(live_filter_fits(&none, &session) && live_filter_fits(&same, &session) &&
			  live_filter_fits(&both, &session) && live_filter_fits(&pinned, &session));
	cr_expect(!live_filter_fits(&other, &session) && !live_filter_fits(&idle, &session) &&
			  !live_filter_fits(&free_, &session));
	session.principal = NULL;
	session.pin = "";
	cr_expect(!live_filter_fits(&same, &session) && !live_filter_fits(&pinned, &session) &&
			  live_filter_fits(&free_, &session));
}

#define MANY 5000

static int compare(const void *a, const void *b)
{
	uint32_t one = *(const uint32_t *)a, other = *(const uint32_t *)b;

	return one < other ? -1 : one > other;
}

/* In whatever order they come: falling, rising, mixed; and of each room. */
static void expect_lowest(const uint32_t pids[], size_t count, size_t room)
{
	struct live_view *view = live_view_create(0, 0, 0);
	uint32_t *sorted = malloc(count * sizeof *sorted);

	cr_assert(view && sorted && live_view_reserve(view, room));
	memcpy(sorted, pids, count * sizeof *sorted);
	qsort(sorted, count, sizeof *sorted, compare);
	for (size_t i = 0; i < count; i++) {
		struct live_session *session = live_view_place(view, pids[i]);

		if (session)
			session->age_us = (int64_t)pids[i] * 3;
	}
	live_view_sort(view);
	cr_assert_eq(view->session_count, room < count ? room : count);
	for (size_t i = 0; i < view->session_count; i++)
		cr_assert(view->sessions[i].pid == sorted[i] &&
				  view->sessions[i].age_us == (int64_t)sorted[i] * 3);
	free(sorted);
	live_view_free(view);
}

Test(live_view, the_lowest_of_many_stay)
{
	static const size_t rooms[] = {0, 1, 2, 3, 50, 201, MANY, MANY + 10};
	static uint32_t falling[MANY], rising[MANY], mixed[MANY];

	for (uint32_t i = 0; i < MANY; i++) {
		rising[i] = i + 1;
		falling[i] = MANY - i;
		mixed[i] = (i + 1) * 2654435761u >> 1 | 1;
	}
	for (size_t i = 0; i < sizeof rooms / sizeof *rooms; i++) {
		expect_lowest(rising, MANY, rooms[i]);
		expect_lowest(falling, MANY, rooms[i]);
		expect_lowest(mixed, MANY, rooms[i]);
	}
}

Test(live_view, a_pause_from_above_is_found_and_its_own_before_that)
{
	struct live_view *view = live_view_create(0, 0, 2);
	const struct tenant root = tenant_at(1, 0), child = tenant_at(2, 1);

	cr_assert_not_null(view);
	cr_expect_null(live_view_pause_of(view, &child));
	view->paused[view->paused_count++] = (struct live_pause){root.id, false};
	cr_expect_null(live_view_pause_of(view, &child));
	cr_expect_eq(live_view_pause_of(view, &root), &view->paused[0]);
	view->paused[0].below = true;
	cr_expect_eq(live_view_pause_of(view, &child), &view->paused[0]);
	view->paused[view->paused_count++] = (struct live_pause){child.id, false};
	cr_expect_eq(live_view_pause_of(view, &child), &view->paused[1]);
	live_view_free(view);
}
