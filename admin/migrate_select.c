#include "admin/migrate_select.h"

#include <stdlib.h>
#include <string.h>

#include "policy/guard/own_login.h"

/* ---- selectors ---- */

/* What a tenant must be to be meant: $1 all, $2 ids, $3 roots, $4 strategies, $5 clusters. */
#define IS_MEANT                                                                               \
	"t.strategy IN ('SCHEMA_PER_TENANT', 'DATABASE_PER_TENANT')"                               \
	" AND ($1::boolean OR t.id = ANY ($2::uuid[]) OR t.strategy = ANY ($4::text[])"            \
	"  OR t.cluster = ANY ($5::text[])"                                                        \
	"  OR EXISTS (SELECT FROM bulkhead_control.tenant r WHERE r.id = ANY ($3::uuid[])"         \
	"   AND bulkhead_control.path_is_within(t.path, r.path)))"
#define MEANT_PARAMETERS 5

/* The first registered version that is not recorded as done for what `key` names. */
#define FIRST_MISSING(key)                                                                     \
	"(SELECT min(f.version) FROM bulkhead_control.migration_file f WHERE NOT EXISTS ("         \
	"SELECT FROM bulkhead_control.migration_target m WHERE m.version = f.version"              \
	" AND m.target = " key " AND m.state = 'done'))"

/* Did the last try of anything fail, or was it left unfinished? */
#define HAS_FAILED(key)                                                                        \
	"EXISTS (SELECT FROM bulkhead_control.migration_target m WHERE m.target = " key            \
	" AND m.state IN ('failed', 'running'))"

#define TENANT_KEY                                                                             \
	"(CASE t.strategy WHEN 'SCHEMA_PER_TENANT' THEN 'schema:' ELSE 'database:' END || t.id)"

static bool add_element(struct buf *array, const char *quoted)
{
	return buf_appendf(array, "%s%s", buf_len(array) > 1 ? "," : "", quoted);
}

/* Says why not, and gives false. */
static bool refuse(const struct migrate_ledger *ledger, const char *word, const char *why)
{
	fprintf(ledger->err, "bulkhead migrate: --tenants: %s: %s\n", word, why);
	return false;
}

static bool take_strategy(struct migrate_selection *selection, const char *word,
						  const struct migrate_ledger *ledger)
{
	if (strcmp(word, "schema") == 0)
		return add_element(&selection->strategies, "SCHEMA_PER_TENANT");
	if (strcmp(word, "database") == 0)
		return add_element(&selection->strategies, "DATABASE_PER_TENANT");
	return refuse(ledger, word, "a strategy is schema or database");
}

static bool take_cluster(struct migrate_selection *selection, const char *word,
						 const struct migrate_ledger *ledger)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789_-";

	if (!*word || strspn(word, letters) != strlen(word))
		return refuse(ledger, word, "there is no such cluster");
	return add_element(&selection->clusters, word);
}

/* Takes the end off a word that has it. */
static bool cut_end(char *word, const char *end)
{
	size_t len = strlen(word), end_len = strlen(end);
	bool has = len > end_len && strcmp(word + len - end_len, end) == 0;

	if (has)
		word[len - end_len] = '\0';
	return has;
}

static bool take_tenant(struct migrate_selection *selection, char *word,
						struct migrate_ledger *ledger)
{
	static const char sql[] = "SELECT id, strategy FROM bulkhead_control.lookup_tenant($1)";
	bool subtree = cut_end(word, "/**");
	const char *const values[] = {word};
	PGresult *rows = ledger_query(ledger, sql, 1, values);
	bool done = false;

	if (rows && PQntuples(rows) != 1)
		refuse(ledger, word, "there is no such tenant");
	else if (rows && !subtree && strcmp(PQgetvalue(rows, 0, 1), "SHARED_RLS") == 0)
		refuse(ledger, word, "lives in shared tables, which are migrated for all");
	else if (rows)
		done =
			add_element(subtree ? &selection->roots : &selection->ids, PQgetvalue(rows, 0, 0));
	PQclear(rows);
	return done;
}

static bool take_word(struct migrate_selection *selection, char *word,
					  struct migrate_ledger *ledger)
{
	word += strspn(word, " ");
	while (cut_end(word, " "))
		;
	if (!*word)
		return refuse(ledger, "(nothing)", "a selector is words with commas between them");
	if (strncmp(word, "strategy:", 9) == 0)
		return take_strategy(selection, word + 9, ledger);
	if (strncmp(word, "cluster:", 8) == 0)
		return take_cluster(selection, word + 8, ledger);
	return take_tenant(selection, word, ledger);
}

static bool take_words(struct migrate_selection *selection, const char *selector,
					   struct migrate_ledger *ledger)
{
	char *words = strdup(selector), *rest = words, *word;
	bool done = words != NULL;

	while (done && (word = strsep(&rest, ",")) != NULL)
		done = take_word(selection, word, ledger);
	free(words);
	return done;
}

bool selection_read(struct migrate_selection *selection, const char *selector,
					struct migrate_ledger *ledger)
{
	struct buf *const arrays[] = {&selection->ids, &selection->roots, &selection->strategies,
								  &selection->clusters};
	bool done = true;

	selection->is_all = selector == NULL;
	for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++) {
		buf_init(arrays[i]);
		done = buf_append_byte(arrays[i], '{') && done;
	}
	done = done && (!selector || take_words(selection, selector, ledger));
	for (size_t i = 0; done && i < sizeof arrays / sizeof *arrays; i++)
		done = buf_append_cstr(arrays[i], "}");
	return done;
}

void selection_fini(struct migrate_selection *selection)
{
	buf_fini(&selection->ids);
	buf_fini(&selection->roots);
	buf_fini(&selection->strategies);
	buf_fini(&selection->clusters);
}

static PGresult *ask_for_meant(const struct migrate_selection *selection,
							   struct migrate_ledger *ledger, const char *sql)
{
	struct migrate_selection words = *selection;
	const char *const values[MEANT_PARAMETERS] = {
		selection->is_all ? "t" : "f", (const char *)buf_data(&words.ids),
		(const char *)buf_data(&words.roots), (const char *)buf_data(&words.strategies),
		(const char *)buf_data(&words.clusters)};

	return ledger_query(ledger, sql, MEANT_PARAMETERS, values);
}

/* ---- targets ---- */

void migrate_target_destroy(struct migrate_target *target)
{
	if (!target)
		return;
	free(target->cluster_name);
	free(target->slug);
	free(target->login_kid);
	free(target->schema);
	free(target->database);
	free(target->error);
	free(target);
}

static bool out_of_memory(const struct migrate_ledger *ledger)
{
	fprintf(ledger->err, "bulkhead migrate: out of memory\n");
	return false;
}

/* Takes the target over, which is NULL or lacks a string when memory is out. */
static bool append(struct migrate *migrate, struct migrate_target *target, bool is_whole,
				   const struct migrate_ledger *ledger)
{
	size_t size = (migrate->target_count + 1) * sizeof *migrate->targets;
	struct migrate_target **targets = is_whole ? realloc(migrate->targets, size) : NULL;

	if (!targets) {
		migrate_target_destroy(target);
		return out_of_memory(ledger);
	}
	migrate->targets = targets;
	targets[migrate->target_count++] = target;
	return true;
}

/* Up to which version everything is recorded: all before the first that is missing. */
static int64_t recorded_before(const struct migrate *migrate, const PGresult *rows, int row,
							   int column)
{
	size_t count = migrate->version_count;

	if (!PQgetisnull(rows, row, column))
		return strtoll(PQgetvalue(rows, row, column), NULL, 10) - 1;
	/* Of a dry run, files that are not written down are the last ones, and run nowhere. */
	while (count > 0 && migrate->versions[count - 1].is_new)
		count--;
	return count > 0 ? migrate->versions[count - 1].version : 0;
}

/* Is there anything for it to get? */
static bool is_wanted(const struct migrate *migrate, int64_t recorded, bool has_failed)
{
	const struct migrate_options *options = migrate->options;
	bool lacks = migrate->version_count > 0 &&
				 recorded < migrate->versions[migrate->version_count - 1].version;

	return options->look || (lacks && (has_failed || !options->retry));
}

/* ---- of operators ---- */

static bool add_operator(struct migrate *migrate, struct migrate_ledger *ledger,
						 const struct conf_cluster *cluster, enum migrate_kind kind)
{
	static const char sql[] = "SELECT " FIRST_MISSING("$1") ", " HAS_FAILED("$1");
	char *key = NULL;
	const char *database =
		kind == MIGRATE_TEMPLATE_DATABASE ? cluster->template_database : cluster->database;
	const char *schema = kind == MIGRATE_TEMPLATE_SCHEMA ? cluster->template_schema : "public";

	if (asprintf(&key, "%s:%s", migrate_kind_name(kind), cluster->name) < 0)
		return out_of_memory(ledger);
	const char *const values[] = {key};
	PGresult *rows = ledger_query(ledger, sql, 1, values);
	free(key);
	if (!rows)
		return false;
	int64_t recorded = recorded_before(migrate, rows, 0, 0);
	bool has_failed = *PQgetvalue(rows, 0, 1) == 't';
	PQclear(rows);
	if (!is_wanted(migrate, recorded, has_failed))
		return true;

	struct migrate_target *target = calloc(1, sizeof *target);
	if (target)
		*target = (struct migrate_target){.kind = kind,
										  .cluster = cluster,
										  .cluster_name = strdup(cluster->name),
										  .schema = strdup(schema),
										  .database = strdup(database),
										  .recorded = recorded};
	return append(migrate, target,
				  target && target->cluster_name && target->schema && target->database, ledger);
}

bool migrate_find_operators(struct migrate *migrate, struct migrate_ledger *ledger)
{
	bool done = true;

	for (size_t i = 0; done && i < migrate->conf->cluster_count; i++) {
		const struct conf_cluster *cluster = &migrate->conf->clusters[i];

		/* One tenant's own, and no place for others'. */
		if (*cluster->tenant)
			continue;
		if (*cluster->table_owner)
			done = add_operator(migrate, ledger, cluster, MIGRATE_SHARED);
		if (done && *cluster->template_schema)
			done = add_operator(migrate, ledger, cluster, MIGRATE_TEMPLATE_SCHEMA);
		if (done && *cluster->template_database)
			done = add_operator(migrate, ledger, cluster, MIGRATE_TEMPLATE_DATABASE);
	}
	return done;
}

/* ---- of tenants ---- */

enum {
	COLUMN_ID,
	COLUMN_SLUG,
	COLUMN_KEY,
	COLUMN_STRATEGY,
	COLUMN_CLUSTER,
	COLUMN_KID,
	COLUMN_MISSING,
	COLUMN_FAILED
};

#define TENANTS_SQL                                                                            \
	"SELECT t.id, t.slug, t.external_key, t.strategy, t.cluster, t.login_kid,"                 \
	" CASE WHEN coalesce(d.done, 0)"                                                           \
	"  < (SELECT count(*) FROM bulkhead_control.migration_file)"                               \
	"  THEN " FIRST_MISSING(TENANT_KEY) " END, " HAS_FAILED(                                   \
		TENANT_KEY) " FROM bulkhead_control.tenant t"                                          \
					" LEFT JOIN (SELECT target, count(*) AS done"                              \
					"  FROM bulkhead_control.migration_target WHERE state = 'done'"            \
					"  GROUP BY target) d ON d.target = " TENANT_KEY                           \
					" WHERE t.status IN ('active', 'suspended', 'archived')"                   \
					" AND t.archived_from IS DISTINCT FROM 'provisioning' AND " IS_MEANT       \
					" ORDER BY t.slug"

static char *copy(const PGresult *rows, int row, int column)
{
	return PQgetisnull(rows, row, column) ? NULL : strdup(PQgetvalue(rows, row, column));
}

/* Is the tenant what a section calls the one whose database it is? */
static bool is_called(const struct migrate_target *target, const char *key, const char *word)
{
	struct uuid id;

	return (uuid_parse(word, strlen(word), &id) && uuid_equal(&id, &target->tenant)) ||
		   strcmp(word, target->slug) == 0 || (key && strcmp(word, key) == 0);
}

static const char *find_fault(const struct migrate_target *target, const char *key)
{
	const struct conf_cluster *cluster = target->cluster;

	if (!cluster)
		return "the settings have no section for its cluster";
	if (*cluster->tenant &&
		(target->kind == MIGRATE_SCHEMA || !is_called(target, key, cluster->tenant)))
		return "its cluster's database is another tenant's";
	return NULL;
}

/* Where it lives: in t_<id>, or in the database that its cluster's section says is its own. */
static bool place(struct migrate_target *target, const char *key)
{
	const struct conf_cluster *cluster = target->cluster;
	char name[OWN_NAME_SIZE];

	own_name(&target->tenant, name);
	target->fault = find_fault(target, key);
	bool is_schema = target->kind == MIGRATE_SCHEMA;
	bool is_of_cluster = !target->fault && (is_schema || *cluster->tenant);
	target->schema = strdup(is_schema ? name : "public");
	target->database = strdup(is_of_cluster ? cluster->database : name);
	return target->schema && target->database;
}

static bool is_known(const struct migrate *migrate, const struct uuid *tenant,
					 enum migrate_kind kind)
{
	for (size_t i = 0; i < migrate->target_count; i++)
		if (migrate->targets[i]->kind == kind && migrate->targets[i]->slug &&
			uuid_equal(&migrate->targets[i]->tenant, tenant))
			return true;
	return false;
}

static bool add_tenant(struct migrate *migrate, const struct migrate_ledger *ledger,
					   const PGresult *rows, int row)
{
	bool is_schema = strcmp(PQgetvalue(rows, row, COLUMN_STRATEGY), "SCHEMA_PER_TENANT") == 0;
	enum migrate_kind kind = is_schema ? MIGRATE_SCHEMA : MIGRATE_DATABASE;
	const char *id = PQgetvalue(rows, row, COLUMN_ID);
	int64_t recorded = recorded_before(migrate, rows, row, COLUMN_MISSING);
	bool has_failed = *PQgetvalue(rows, row, COLUMN_FAILED) == 't';
	struct uuid tenant;

	if (!uuid_parse(id, strlen(id), &tenant) || is_known(migrate, &tenant, kind) ||
		!is_wanted(migrate, recorded, has_failed))
		return true;

	struct migrate_target *target = calloc(1, sizeof *target);
	if (!target)
		return out_of_memory(ledger);
	*target = (struct migrate_target){
		.kind = kind,
		.tenant = tenant,
		.cluster = conf_find_cluster(migrate->conf, PQgetvalue(rows, row, COLUMN_CLUSTER)),
		.cluster_name = copy(rows, row, COLUMN_CLUSTER),
		.slug = copy(rows, row, COLUMN_SLUG),
		.login_kid = copy(rows, row, COLUMN_KID),
		.recorded = recorded};
	const char *key =
		PQgetisnull(rows, row, COLUMN_KEY) ? NULL : PQgetvalue(rows, row, COLUMN_KEY);
	return append(migrate, target, target->cluster_name && target->slug && place(target, key),
				  ledger);
}

bool migrate_find_tenants(struct migrate *migrate, const struct migrate_selection *selection,
						  struct migrate_ledger *ledger)
{
	PGresult *rows = ask_for_meant(selection, ledger, TENANTS_SQL);
	bool done = rows != NULL;

	for (int row = 0; done && row < PQntuples(rows); row++)
		done = add_tenant(migrate, ledger, rows, row);
	PQclear(rows);
	return done;
}

bool migrate_count_unborn(const struct migrate_selection *selection,
						  struct migrate_ledger *ledger, size_t *count)
{
	static const char sql[] = "SELECT count(*) FROM bulkhead_control.tenant t"
							  " WHERE t.status = 'provisioning' AND " IS_MEANT
							  " AND EXISTS (SELECT FROM bulkhead_control.job j"
							  "  WHERE j.tenant_id = t.id AND j.kind = 'provision'"
							  "  AND j.state IN ('queued', 'running') AND j.step IS NOT NULL)";
	PGresult *rows = ask_for_meant(selection, ledger, sql);
	bool done = rows != NULL;

	*count = done ? (size_t)strtoull(PQgetvalue(rows, 0, 0), NULL, 10) : 0;
	PQclear(rows);
	return done;
}
