/* What a tenant may do on its way from the control database to the directory and its snapshot.
 */
#include <unistd.h>

#include <jansson.h>

#include "admin/answer.h"
#include "directory_case.h"
#include "router/permissions.h"
#include "router/snapshot.h"

#define PLAIN                                                                                  \
	"{\"held\": [\"sql.read\", \"sql.nosuch\"], \"read_only\": false, \"gate\": null,"         \
	" \"relations\": null, \"functions\": null, \"relations_denied\": [],"                     \
	" \"functions_denied\": []}"
#define FULL                                                                                   \
	"{\"held\": [\"sql.read\", \"sql.ddl\", \"sql.fastpath\"], \"read_only\": true,"           \
	" \"gate\": \"observe\", \"relations\": [\"orders\", \"shop.*\"], \"functions\": [],"      \
	" \"relations_denied\": [\"a\"], \"functions_denied\": [\"b\", \"c\"]}"

static bool read_text(const char *text, struct permissions *out)
{
	json_t *value = json_loads(text, 0, NULL);
	bool ok = permissions_read(value, out);

	json_decref(value);
	return ok;
}

/* ---- JSON ---- */

Test(permissions, are_read)
{
	struct permissions plain = {0}, full = {0};

	cr_assert(read_text(PLAIN, &plain));
	cr_expect_eq(plain.held, PERMISSION_BIT(PERMISSION_READ));
	cr_expect(!plain.is_read_only && plain.gate == GATE_AS_CONFIGURED);
	cr_expect(!plain.relations_are_limited && !plain.functions_are_limited);

	cr_assert(read_text(FULL, &full));
	cr_expect_eq(full.held, PERMISSION_BIT(PERMISSION_READ) | PERMISSION_BIT(PERMISSION_DDL) |
								PERMISSION_BIT(PERMISSION_FASTPATH));
	cr_expect(full.is_read_only && full.gate == GATE_OBSERVE);
	cr_expect(full.relations_are_limited && full.relations.count == 2);
	cr_expect(full.functions_are_limited && full.functions.count == 0);
	cr_expect(permission_names_have(&full.relations, "shop", "items"));
	cr_expect(permission_names_have(&full.denied_functions, NULL, "c"));
	permissions_fini(&plain);
	permissions_fini(&full);
}

Test(permissions, are_read_as_they_were_written)
{
	static const char *const texts[] = {PLAIN, FULL};

	for (size_t i = 0; i < 2; i++) {
		struct permissions before = {0}, after = {0};

		cr_assert(read_text(texts[i], &before));
		json_t *written = permissions_write(&before);
		cr_assert_not_null(written);
		cr_assert(permissions_read(written, &after));
		cr_expect(permissions_equal(&before, &after));
		json_decref(written);
		permissions_fini(&before);
		permissions_fini(&after);
	}
}

/* Takes the text with one word in it replaced. */
static bool read_replaced(const char *what, const char *with)
{
	char text[1024];
	const char *at = strstr(FULL, what);
	struct permissions out = {0};

	cr_assert_not_null(at, "%s", what);
	snprintf(text, sizeof text, "%.*s%s%s", (int)(at - FULL), FULL, with, at + strlen(what));
	bool ok = read_text(text, &out);
	permissions_fini(&out);
	return ok;
}

Test(permissions, that_make_no_sense_are_refused)
{
	static const char *const replaced[][2] = {
		{"\"held\"", "\"holds\""},
		{"\"sql.ddl\"", "1"},
		{"true", "1"},
		{"true", "null"},
		{"\"observe\"", "\"look\""},
		{"\"observe\"", "1"},
		{"\"gate\"", "\"gates\""},
		{"\"relations\":", "\"relation\":"},
		{"\"shop.*\"", "null"},
		{"[\"a\"]", "null"},
		{"[\"a\"]", "{}"},
		{"\"functions_denied\"", "\"denied\""},
	};
	struct permissions out = {0};

	for (size_t i = 0; i < sizeof replaced / sizeof *replaced; i++)
		cr_expect(!read_replaced(replaced[i][0], replaced[i][1]), "%s for %s", replaced[i][1],
				  replaced[i][0]);
	cr_expect(read_replaced("\"a\"", "\"b\""));
	cr_expect(!permissions_read(NULL, &out));
	cr_expect(!read_text("[]", &out));
	permissions_fini(&out);
}

Test(permissions, have_at_most_a_thousand_names)
{
	for (int count = PERMISSION_NAMES_MAX; count <= PERMISSION_NAMES_MAX + 1; count++) {
		struct permissions out = {0};
		json_t *value = json_loads(PLAIN, 0, NULL), *names = json_array();

		for (int i = 0; i < count; i++)
			json_array_append_new(names, json_string("x"));
		json_object_set_new(value, "relations_denied", names);
		cr_expect_eq(permissions_read(value, &out), count == PERMISSION_NAMES_MAX);
		json_decref(value);
		permissions_fini(&out);
	}
}

Test(permissions, differ_in_each_part)
{
	static const char *const replaced[][2] = {
		{"\"sql.ddl\", ", ""},
		{"true", "false"},
		{"\"observe\"", "null"},
		{"\"shop.*\"", "\"shop.x\""},
		{"\"functions\": []", "\"functions\": null"},
		{"[\"a\"]", "[]"},
		{"\"c\"", "\"d\""},
	};
	struct permissions full = {0};

	cr_assert(read_text(FULL, &full));
	cr_expect(permissions_equal(&full, &full));
	for (size_t i = 0; i < sizeof replaced / sizeof *replaced; i++) {
		char text[1024];
		const char *at = strstr(FULL, replaced[i][0]);
		struct permissions other = {0};

		cr_assert_not_null(at, "%s", replaced[i][0]);
		snprintf(text, sizeof text, "%.*s%s%s", (int)(at - FULL), FULL, replaced[i][1],
				 at + strlen(replaced[i][0]));
		cr_assert(read_text(text, &other), "%s", text);
		cr_expect(!permissions_equal(&full, &other), "%s", text);
		permissions_fini(&other);
	}
	permissions_fini(&full);
}

/* ---- the control database's answer ---- */

#define ID "0f0e0d0c-0b0a-4908-8706-050403020100"

static const char *const columns[] = {"id",          "path",       "slug",   "external_key",
									  "cluster",     "strategy",   "status", "version",
									  "pool_weight", "permissions"};
static const char *const fields[] = {ID,   "{" ID "}", "acme", NULL, "default",
									 NULL, "active",   "7",    "1",  NULL};

static const struct tenant *answer(const char *strategy, const char *permissions, int count)
{
	PGresult *result = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);
	PGresAttDesc attributes[10] = {0};
	const struct tenant *tenant = NULL;

	for (int i = 0; i < count; i++)
		attributes[i].name = (char *)columns[i];
	cr_assert(PQsetResultAttrs(result, count, attributes));
	for (int i = 0; i < count; i++) {
		const char *text = i == 5 ? strategy : i == 9 ? permissions : fields[i];

		cr_assert(PQsetvalue(result, 0, i, (char *)text, text ? (int)strlen(text) : -1));
	}
	enum directory_result outcome = answer_tenant(result, 0, &tenant);
	cr_expect_eq(outcome, tenant ? DIRECTORY_FOUND : DIRECTORY_UNAVAILABLE);
	PQclear(result);
	return tenant;
}

Test(answer, brings_permissions)
{
	struct permissions full = {0};
	const struct tenant *tenant = answer("SHARED_RLS", FULL, 10);

	cr_assert_not_null(tenant);
	cr_assert(read_text(FULL, &full));
	cr_expect(permissions_equal(&tenant->permissions, &full));
	permissions_fini(&full);
	tenant_unref(tenant);
}

Test(answer, of_an_older_schema_brings_the_defaults)
{
	static const struct {
		const char *strategy;
		uint32_t lacks;
	} cases[] = {
		{"SHARED_RLS", PERMISSION_BIT(PERMISSION_DDL) | PERMISSION_BIT(PERMISSION_MAINTENANCE) |
						   PERMISSION_BIT(PERMISSION_LISTEN)},
		{"SCHEMA_PER_TENANT", PERMISSION_BIT(PERMISSION_LISTEN)},
		{"DATABASE_PER_TENANT", 0},
	};

	for (size_t i = 0; i < 3; i++) {
		const struct tenant *tenant = answer(cases[i].strategy, NULL, 9);

		cr_assert_not_null(tenant);
		cr_expect_eq(tenant->permissions.held,
					 PERMISSIONS_ALL & ~cases[i].lacks & ~PERMISSION_BIT(PERMISSION_FASTPATH));
		cr_expect_eq(tenant->permissions.gate, GATE_AS_CONFIGURED);
		cr_expect(!tenant->permissions.is_read_only);
		tenant_unref(tenant);
	}
}

Test(answer, that_makes_no_sense_is_none)
{
	cr_expect_null(answer("SHARED_RLS", NULL, 10));
	cr_expect_null(answer("SHARED_RLS", "", 10));
	cr_expect_null(answer("SHARED_RLS", "{}", 10));
	cr_expect_null(answer("SHARED_RLS", "{\"held\": []", 10));
}

/* ---- the snapshot ---- */

static void find_acme(void *self, enum directory_kind kind, const char *token,
					  struct directory_question *question, bool urgent)
{
	const struct tenant *tenant = self ? answer("SHARED_RLS", self, 10) : NULL;

	(void)kind;
	(void)token;
	(void)urgent;
	directory_resolved(question, tenant ? DIRECTORY_FOUND : DIRECTORY_UNAVAILABLE, tenant,
					   NULL);
}

/* What a directory says of acme that asks a source which knows these permissions (NULL: which
 * is away), and may have read a file, and is written into one. */
static const struct tenant *ask(const char *permissions, const char *from, const char *to)
{
	static const uint8_t key[SNAPSHOT_KEY_SIZE] = {7};
	struct mailbox *control = mailbox_create(), *mine = mailbox_create();
	const struct directory_source source = {(void *)permissions, find_acme, NULL};
	const struct directory_limits limits = {.ttl_ms = 60000, .cache_size = 10};
	struct directory *directory = directory_create(control, &source, &limits);
	struct directory_lookup *pending;
	const struct tenant *tenant = NULL;
	struct answer answered = {0};
	const char *why;

	cr_assert(!from || snapshot_read(directory, from, key, &why));
	for (int i = 0; i < 2 && !tenant; i++) {
		directory_find_tenant(directory, "acme", mine, note, &answered, &tenant, &pending);
		mailbox_drain(control);
		mailbox_drain(mine);
	}
	cr_assert_not_null(tenant);
	cr_assert(!to || snapshot_write(directory, to, key, &why));
	directory_destroy(directory);
	mailbox_destroy(control);
	mailbox_destroy(mine);
	return tenant;
}

Test(snapshot, keeps_permissions)
{
	static const char *const texts[] = {PLAIN, FULL};
	char path[] = "/tmp/bulkhead-permissions-XXXXXX";

	close(mkstemp(path));
	for (size_t i = 0; i < 2; i++) {
		const struct tenant *before = ask(texts[i], NULL, path);
		const struct tenant *after = ask(NULL, path, NULL);

		cr_expect(permissions_equal(&before->permissions, &after->permissions));
		tenant_unref(before);
		tenant_unref(after);
	}
	unlink(path);
}
