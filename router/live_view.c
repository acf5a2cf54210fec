/* What a view holds of a worker, and who is to be in it. */
#include <stdlib.h>
#include <string.h>

#include "router/directory.h"
#include "router/live.h"

/* ---- who ---- */

bool live_target_fits(const struct live_target *target, const struct tenant *tenant,
					  uint32_t pid)
{
	if (target->pid && target->pid != pid)
		return false;
	if (target->has_within && !(tenant && tenant_is_within(tenant, &target->within)))
		return false;
	if (!target->has_tenant)
		return true;
	return tenant && (target->below ? tenant_is_within(tenant, &target->tenant)
									: uuid_equal(&tenant->id, &target->tenant));
}

bool live_filter_fits(const struct live_filter *filter, const struct live_session *session)
{
	bool is_pinned = *session->pin;

	if (!live_target_fits(&filter->whom, session->tenant, session->pid))
		return false;
	if (filter->states && !(filter->states & (uint32_t)1 << session->state))
		return false;
	if (filter->pins != LIVE_ANY && is_pinned != (filter->pins == LIVE_PINNED))
		return false;
	return !*filter->principal ||
		   (session->principal && strcmp(session->principal->name, filter->principal) == 0);
}

/* ---- room ---- */

struct live_view *live_view_create(size_t backends_max, size_t pools_max, size_t paused_max)
{
	struct live_view *view = calloc(1, sizeof *view);

	if (!view)
		return NULL;
	list_init(&view->walk);
	view->backends = calloc(backends_max + 1, sizeof *view->backends);
	view->pools = calloc(pools_max + 1, sizeof *view->pools);
	view->paused = calloc(paused_max + 1, sizeof *view->paused);
	if (view->backends && view->pools && view->paused)
		return view;
	live_view_free(view);
	return NULL;
}

bool live_view_reserve(struct live_view *view, size_t sessions_max)
{
	view->sessions = calloc(sessions_max + 1, sizeof *view->sessions);
	view->session_max = view->sessions ? sessions_max : 0;
	return view->sessions != NULL;
}

/* ---- the lowest ---- */

static void forget_session(const struct live_session *session)
{
	tenant_unref(session->tenant);
	principal_unref(session->principal);
}

/* They are a heap: none is lower than the two below it. The empty place at `at` rises past
 * those that are lower than what is to come there. */
static size_t rise(struct live_session *heap, size_t at, uint32_t pid)
{
	while (at && heap[(at - 1) / 2].pid < pid) {
		heap[at] = heap[(at - 1) / 2];
		at = (at - 1) / 2;
	}
	return at;
}

/* The empty place at the top sinks past those that are higher. */
static size_t sink(struct live_session *heap, size_t count, uint32_t pid)
{
	size_t at = 0, child;

	while ((child = 2 * at + 1) < count) {
		if (child + 1 < count && heap[child + 1].pid > heap[child].pid)
			child++;
		if (heap[child].pid <= pid)
			break;
		heap[at] = heap[child];
		at = child;
	}
	return at;
}

struct live_session *live_view_place(struct live_view *view, uint32_t pid)
{
	struct live_session *heap = view->sessions;
	size_t at;

	if (view->session_count < view->session_max) {
		at = rise(heap, view->session_count++, pid);
	} else if (view->session_count && pid < heap[0].pid) {
		forget_session(&heap[0]);
		at = sink(heap, view->session_count, pid);
	} else {
		return NULL;
	}
	heap[at] = (struct live_session){.pid = pid};
	return &heap[at];
}

static int compare_pids(const void *a, const void *b)
{
	const struct live_session *one = a, *other = b;

	return one->pid < other->pid ? -1 : one->pid > other->pid;
}

void live_view_sort(struct live_view *view)
{
	if (view->session_count)
		qsort(view->sessions, view->session_count, sizeof *view->sessions, compare_pids);
}

/* ---- pauses ---- */

static const struct live_pause *find_pause(const struct live_view *view, const struct uuid *id)
{
	for (size_t i = 0; i < view->paused_count; i++) {
		if (uuid_equal(&view->paused[i].tenant, id))
			return &view->paused[i];
	}
	return NULL;
}

const struct live_pause *live_view_pause_of(const struct live_view *view,
											const struct tenant *tenant)
{
	for (size_t i = tenant->depth; view->paused_count && i--;) {
		const struct live_pause *pause = find_pause(view, &tenant->path[i]);

		if (pause && (i + 1 == tenant->depth || pause->below))
			return pause;
	}
	return NULL;
}

/* ---- the end ---- */

void live_view_free(struct live_view *view)
{
	if (!view)
		return;
	list_remove(&view->walk);
	for (size_t i = 0; i < view->session_count; i++)
		forget_session(&view->sessions[i]);
	for (size_t i = 0; i < view->backend_count; i++) {
		tenant_unref(view->backends[i].tenant);
		free(view->backends[i].cluster);
		free(view->backends[i].host);
	}
	for (size_t i = 0; i < view->pool_count; i++)
		free(view->pools[i].cluster);
	free(view->sessions);
	free(view->backends);
	free(view->pools);
	free(view->paused);
	free(view);
}
