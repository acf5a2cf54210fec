/* What the admin API shows of sessions, backends and pools. */
#include <criterion/criterion.h>

#include <stdlib.h>
#include <string.h>

#include "admin/api/live_json.h"

static char cluster_name[] = "default", host_name[] = "db.internal", slug[] = "acme",
			principal_name[] = "app";
static const struct tenant tenant = {
	.id.b = {1}, .path = {{{1}}}, .depth = 1, .slug = slug, .cluster = cluster_name};
static const struct principal principal = {.name = principal_name};

/* 2026-11-28 17:00:00.250 UTC */
static struct live_scene scene = {
	.instance = "pod-1:42", .wall_ms = 1795885200250, .everything = true};

/* Members and their order are what scripts and the documentation rely on. */
static void expect_json(json_t *value, const char *expected)
{
	char *text = value ? json_dumps(value, JSON_COMPACT) : NULL;

	cr_assert_not_null(text);
	cr_expect_str_eq(text, expected);
	free(text);
	json_decref(value);
}

Test(live_json, a_session)
{
	struct live_session session = {.pid = 7,
								   .tenant = &tenant,
								   .principal = &principal,
								   .state = SESSION_IDLE_IN_TRANSACTION,
								   .pin = "listen",
								   .pinned_us = 1500000,
								   .backend = 99,
								   .age_us = 3600000000,
								   .statements = 3,
								   .tls_version = "TLSv1.3",
								   .tls_cipher = "TLS_AES_256_GCM_SHA384",
								   .application_name = "shop",
								   .address = "10.0.0.1",
								   .port = 40000};

	expect_json(
		live_json_session(&scene, &session, 0),
		"{\"pid\":7,\"tenant_id\":\"01000000-0000-0000-0000-000000000000\",\"tenant\":\"acme\","
		"\"principal\":\"app\",\"cluster\":\"default\",\"state\":\"idle_in_transaction\","
		"\"application_name\":\"shop\",\"address\":\"10.0.0.1\",\"port\":40000,"
		"\"tls\":{\"version\":\"TLSv1.3\",\"cipher\":\"TLS_AES_256_GCM_SHA384\"},"
		"\"connected_at\":\"2026-11-28T16:00:00.250Z\",\"age_ms\":3600000,\"waited_ms\":null,"
		"\"prepared_statements\":3,\"backend_pid\":99,\"pin\":{\"cause\":\"listen\","
		"\"since\":\"2026-11-28T16:59:58.750Z\",\"held_ms\":1500},\"worker\":1,"
		"\"instance\":\"pod-1:42\"}");
	expect_json(
		live_json_pin(&scene, &session, 1),
		"{\"pid\":7,\"tenant_id\":\"01000000-0000-0000-0000-000000000000\",\"tenant\":\"acme\","
		"\"principal\":\"app\",\"state\":\"idle_in_transaction\",\"cause\":\"listen\","
		"\"since\":\"2026-11-28T16:59:58.750Z\",\"held_ms\":1500,\"backend_pid\":99,"
		"\"worker\":2,\"instance\":\"pod-1:42\"}");
}

/* Somebody who logs in, of whom nearly nothing is known. */
Test(live_json, a_session_that_is_nobodys_yet)
{
	struct live_session session = {.pid = 7, .state = SESSION_LOGIN, .pin = ""};

	expect_json(
		live_json_session(&scene, &session, 0),
		"{\"pid\":7,\"tenant_id\":null,\"tenant\":null,\"principal\":null,\"cluster\":null,"
		"\"state\":\"login\",\"application_name\":\"\",\"address\":null,\"port\":null,"
		"\"tls\":null,\"connected_at\":\"2026-11-28T17:00:00.250Z\",\"age_ms\":0,"
		"\"waited_ms\":null,\"prepared_statements\":0,\"backend_pid\":null,\"pin\":null,"
		"\"worker\":1,\"instance\":\"pod-1:42\"}");
}

/* Who waits says for how long, also when that is no millisecond yet. */
Test(live_json, a_session_that_waits)
{
	struct live_session session = {
		.pid = 7, .state = SESSION_WAITING, .pin = "", .waited_us = 900};
	json_t *value = live_json_session(&scene, &session, 0);

	cr_assert_not_null(value);
	cr_expect(json_is_integer(json_object_get(value, "waited_ms")));
	json_decref(value);
}

Test(live_json, names_that_are_no_utf8_are_repaired)
{
	expect_json(json_pack("[o]", live_json_text("caf\xe9 \xc3\xa9\xc3")),
				"[\"caf\xef\xbf\xbd \xc3\xa9\xef\xbf\xbd\"]");
	expect_json(json_pack("[o]", live_json_text("\x01\"\\")), "[\"\\u0001\\\"\\\\\"]");
}

Test(live_json, a_backend_and_where_it_is_for_whom_may_see_that)
{
	struct live_backend backend = {.pid = 99,
								   .cluster = cluster_name,
								   .host = host_name,
								   .own = "t_01",
								   .port = 5432,
								   .tenant = &tenant,
								   .state = BACKEND_ACTIVE,
								   .session = 7,
								   .age_us = 1000,
								   .leaving = true};
	struct live_scene narrow = scene;

	expect_json(
		live_json_backend(&scene, &backend, 0),
		"{\"pid\":99,\"tenant_id\":\"01000000-0000-0000-0000-000000000000\",\"tenant\":"
		"\"acme\","
		"\"cluster\":\"default\",\"host\":\"db.internal\",\"port\":5432,\"database\":null,"
		"\"login\":\"t_01\",\"state\":\"active\",\"session_pid\":7,\"tls\":null,"
		"\"opened_at\":\"2026-11-28T17:00:00.249Z\",\"age_ms\":1,\"leaving\":true,\"worker\":1,"
		"\"instance\":\"pod-1:42\"}");
	narrow.everything = false;
	json_t *value = live_json_backend(&narrow, &backend, 0);
	cr_assert_not_null(value);
	for (const char *const *name =
			 (const char *const[]){"host", "port", "database", "login", NULL};
		 *name; name++)
		cr_expect(json_is_null(json_object_get(value, *name)), "%s", *name);
	json_decref(value);
}

Test(live_json, a_tenants_counts)
{
	struct live_view *view = live_view_create(1, 0, 1);
	struct live_view *views[] = {NULL, view, view};
	const struct live_answer answer = {.views = views, .count = 3};

	cr_assert_not_null(view);
	view->fitting[SESSION_ACTIVE] = 2;
	view->fitting_pinned = 1;
	view->backends[view->backend_count++].state = BACKEND_IDLE;
	expect_json(live_json_counts(&scene, &answer, &tenant),
				"{\"sessions\":{\"login\":0,\"idle\":0,\"waiting\":0,\"active\":4,"
				"\"idle_in_transaction\":0,\"leaving\":0,\"console\":0},\"pinned\":2,"
				"\"backends\":{\"opening\":0,\"idle\":2,\"preparing\":0,\"active\":0,"
				"\"cleaning\":0,\"held\":0},\"paused\":false,\"paused_by\":null,"
				"\"instance\":\"pod-1:42\"}");
	view->paused[view->paused_count++].tenant = tenant.id;
	json_t *value = live_json_counts(&scene, &answer, &tenant);
	cr_assert_not_null(value);
	cr_expect(json_is_true(json_object_get(value, "paused")));
	cr_expect_str_eq(json_string_value(json_object_get(value, "paused_by")),
					 "01000000-0000-0000-0000-000000000000");
	json_decref(value);
	live_view_free(view);
}
