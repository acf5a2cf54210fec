/*
 * feed_case.h: a control database in small, for the tests of the feed: what it has under which
 * words, and what is asked of it. Answers come when the test lets them, so that changes can
 * happen in between.
 */
#ifndef UNIT_FEED_CASE_H
#define UNIT_FEED_CASE_H

#include "directory_case.h"

#define ROWS_MAX 16

struct row {
	enum directory_kind kind;
	char id; /* the first byte of a tenant's id; 0: the row is not there */
	const char *slug, *key, *principal;
	int64_t version;
	enum tenant_status status;
};

struct database {
	struct directory_source face;
	struct mailbox *mailbox, *watcher;
	struct directory *directory;
	struct row rows[ROWS_MAX];
	struct directory_question *open[ROWS_MAX]; /* with `hold` set */
	enum directory_kind kinds[ROWS_MAX];
	char tokens[ROWS_MAX][80];
	int open_count, asked, told;
	bool hold, down;
	char *keys, *versions; /* of the last comparison */
	int compared;          /* comparisons that were asked for */
	enum directory_kind compared_kind;
	struct directory_comparison *comparison; /* the last one, when it is open */
	struct {
		char key[80];
		bool gone;
		int64_t version;
		uint64_t moment;
	} last;
};

static inline void row_key(const struct row *row, char key[40])
{
	struct uuid id = {{(uint8_t)row->id}};

	uuid_hex(&id, key);
}

static inline const struct row *database_find(const struct database *database,
											  enum directory_kind kind, const char *token)
{
	for (int i = 0; i < ROWS_MAX; i++) {
		const struct row *row = &database->rows[i];
		char key[40];

		if (kind != row->kind)
			continue;
		if (kind == DIRECTORY_PRINCIPAL) {
			if (row->principal && strcmp(row->principal, token) == 0)
				return row;
			continue;
		}
		row_key(row, key);
		if (row->id && (strcmp(key, token) == 0 || strcmp(row->slug, token) == 0 ||
						(row->key && strcmp(row->key, token) == 0)))
			return row;
	}
	return NULL;
}

static inline const struct tenant *tenant_from(const struct row *row)
{
	struct tenant *tenant = tenant_new(row->slug);

	memset(&tenant->id, 0, sizeof tenant->id);
	tenant->id.b[0] = (uint8_t)row->id;
	tenant->path[0] = tenant->id;
	tenant->key = row->key ? strdup(row->key) : NULL;
	tenant->version = row->version;
	tenant->status = row->status;
	return tenant;
}

static inline const struct principal *principal_from(const struct row *row)
{
	struct principal *principal = principal_new(row->principal);

	principal->version = row->version;
	return principal;
}

static inline void database_answer(const struct database *database, enum directory_kind kind,
								   const char *token, struct directory_question *question)
{
	const struct row *row = database_find(database, kind, token);

	if (database->down)
		directory_resolved(question, DIRECTORY_UNAVAILABLE, NULL, NULL);
	else if (!row)
		directory_resolved(question, DIRECTORY_UNKNOWN, NULL, NULL);
	else if (kind == DIRECTORY_TENANT)
		directory_resolved(question, DIRECTORY_FOUND, tenant_from(row), NULL);
	else
		directory_resolved(question, DIRECTORY_FOUND, NULL, principal_from(row));
}

static inline void on_find(void *self, enum directory_kind kind, const char *token,
						   struct directory_question *question, bool urgent)
{
	struct database *database = self;

	(void)urgent;
	database->asked++;
	if (!database->hold) {
		database_answer(database, kind, token, question);
		return;
	}
	cr_assert_lt(database->open_count, ROWS_MAX);
	database->open[database->open_count] = question;
	database->kinds[database->open_count] = kind;
	snprintf(database->tokens[database->open_count++], sizeof database->tokens[0], "%s", token);
}

/* The oldest open question is answered with what is true now. */
static inline void answer_next(struct database *database)
{
	struct directory_question *question = database->open[0];
	enum directory_kind kind = database->kinds[0];
	char token[80];

	cr_assert_gt(database->open_count, 0);
	strcpy(token, database->tokens[0]);
	database->open_count--;
	memmove(&database->open[0], &database->open[1],
			sizeof database->open[0] * ROWS_MAX - sizeof database->open[0]);
	memmove(&database->kinds[0], &database->kinds[1],
			sizeof database->kinds[0] * (ROWS_MAX - 1));
	memmove(&database->tokens[0], &database->tokens[1],
			sizeof database->tokens[0] * (ROWS_MAX - 1));
	database_answer(database, kind, token, question);
}

/* It stays open, and another that is still open is not answered. */
static inline void on_compare(void *self, enum directory_kind kind, const char *keys,
							  const char *versions, struct directory_comparison *comparison)
{
	struct database *database = self;

	if (database->comparison)
		directory_not_compared(database->comparison);
	free(database->keys);
	free(database->versions);
	database->keys = strdup(keys);
	database->versions = strdup(versions);
	database->compared_kind = kind;
	database->comparison = comparison;
	database->compared++;
}

/* The comparison that is open is answered with what is true now of this tenant alone. */
static inline void answer_comparison(struct database *database, char id)
{
	struct directory_comparison *comparison = database->comparison;
	struct row wanted = {.id = id};
	char key[40];

	row_key(&wanted, key);
	const struct row *row = database_find(database, DIRECTORY_TENANT, key);
	directory_differs(database->directory, DIRECTORY_TENANT, key, row ? tenant_from(row) : NULL,
					  NULL);
	database->comparison = NULL;
	directory_compared(comparison);
	mailbox_drain(database->watcher);
}

static inline void on_change(void *self, const struct directory_change *change)
{
	struct database *database = self;

	database->told++;
	snprintf(database->last.key, sizeof database->last.key, "%s", change->key);
	database->last.moment = change->moment;
	database->last.gone = !change->tenant && !change->principal;
	database->last.version = change->tenant      ? change->tenant->version
							 : change->principal ? change->principal->version
												 : 0;
}

static inline void database_start(struct database *database, int cache_size)
{
	memset(database, 0, sizeof *database);
	database->face = (struct directory_source){database, on_find, on_compare};
	database->mailbox = mailbox_create();
	database->watcher = mailbox_create();
	const struct directory_limits limits = {.ttl_ms = 3600000, .cache_size = cache_size};
	database->directory = directory_create(database->mailbox, &database->face, &limits);
	cr_assert(directory_watch(database->directory, database->watcher, on_change, database));
	directory_feed_began(database->directory);
}

static inline void database_end(struct database *database)
{
	mailbox_drain(database->watcher);
	if (database->comparison)
		directory_not_compared(database->comparison);
	directory_unwatch(database->directory, database->watcher);
	directory_destroy(database->directory);
	mailbox_destroy(database->mailbox);
	mailbox_destroy(database->watcher);
	free(database->keys);
	free(database->versions);
}

static inline void put(struct database *database, int place, char id, const char *slug,
					   const char *key, int64_t version)
{
	database->rows[place] =
		(struct row){DIRECTORY_TENANT, id, slug, key, NULL, version, TENANT_ACTIVE};
}

static inline void put_principal(struct database *database, int place, const char *name,
								 int64_t version)
{
	database->rows[place] =
		(struct row){.kind = DIRECTORY_PRINCIPAL, .principal = name, .version = version};
}

static inline void announce(struct database *database, char id)
{
	struct row row = {.id = id};
	char key[40];

	row_key(&row, key);
	directory_changed(database->directory, DIRECTORY_TENANT, key);
	mailbox_drain(database->watcher);
}

/* What a login would get: the tenant, to be let go, or NULL. */
static inline const struct tenant *get(struct database *database, const char *token)
{
	struct mailbox *mine = mailbox_create();
	struct directory_lookup *pending = NULL;
	const struct tenant *tenant = NULL;
	struct answer answer = {0};

	if (directory_find_tenant(database->directory, token, mine, note, &answer, &tenant,
							  &pending) == DIRECTORY_PENDING) {
		mailbox_drain(database->mailbox);
		mailbox_drain(mine);
		cr_assert_eq(answer.count, 1);
		pending = NULL;
		directory_find_tenant(database->directory, token, mine, note, &answer, &tenant,
							  &pending);
		cr_assert_null(pending);
	}
	mailbox_destroy(mine);
	return tenant;
}

/* Asks for a principal that is there and not held. */
static inline void learn_principal(struct database *database, const char *name)
{
	struct mailbox *mine = mailbox_create();
	struct directory_lookup *pending = NULL;
	const struct principal *principal = NULL;
	struct answer answer = {0};

	cr_assert_eq(directory_find_principal(database->directory, name, mine, note, &answer,
										  &principal, &pending),
				 DIRECTORY_PENDING);
	mailbox_drain(database->mailbox);
	mailbox_drain(mine);
	cr_assert_eq(answer.result, DIRECTORY_FOUND);
	mailbox_destroy(mine);
}

/* Is it found, in this version (0: not found)? */
static inline void expect_version(struct database *database, const char *token, int64_t version)
{
	const struct tenant *tenant = get(database, token);

	cr_expect_eq(tenant ? tenant->version : 0, version, "%s has version %ld", token,
				 tenant ? (long)tenant->version : 0);
	tenant_unref(tenant);
}

#endif
