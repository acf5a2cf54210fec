#include "admin/source.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "admin/answer.h"
#include "admin/store.h"
#include "base/log.h"
#include "router/clusters.h"

#define CHANNEL "bulkhead_directory"

/* How a principal's announcement begins; a tenant's begins with its id. */
#define PRINCIPAL_PREFIX "principal:"

/* And a cluster's. */
#define CLUSTER_PREFIX "cluster:"

/* What `bulkhead init` announces: the schema may be able to say more than before. */
#define SCHEMA_CHANGED "schema"

/* What a control schema can say. Where it lacks a column that is asked for, the next is tried.
 */
enum schema {
	SCHEMA_CURRENT,
	SCHEMA_WITHOUT_LIMITS,      /* of before step 28 */
	SCHEMA_WITHOUT_LOGINS,      /* of before step 14 */
	SCHEMA_WITHOUT_PERMISSIONS, /* of before step 13 */
	SCHEMA_WITHOUT_ROWS,        /* of before step 9: of what has changed, the name alone */
};

struct source {
	struct store *store;
	struct directory *directory; /* NULL until source_feed */
	struct directory_source face;
	struct store_ask listen;
	bool asking_to_listen, listening;
	struct store_ask clusters;
	bool asking_for_clusters, clusters_changed; /* since they were asked for */
	bool refused; /* the server's last answer was an error, which was logged */
	/* What the control schema can say, as far as this connection has shown. */
	enum schema look_up_schema, compare_schema;
	bool told_of_schema; /* that it is older was logged, for this connection */
};

/* libpq's texts have several lines; the first says it. */
static void log_refusal(struct source *source, const PGresult *result)
{
	const char *text = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);

	if (!source->refused)
		log_message(LOG_WARNING, "control.refused", "%s", text ? text : "no answer");
	source->refused = true;
}

/* What each lacks. */
static const char *const schema_lacks[] = {
	[SCHEMA_WITHOUT_LIMITS] =
		"principals have no limit, certificates' names or list of tenants of their own",
	[SCHEMA_WITHOUT_LOGINS] = "no tenant has a login of its own or a region",
	[SCHEMA_WITHOUT_PERMISSIONS] = "tenants have the permissions of their strategies",
	[SCHEMA_WITHOUT_ROWS] = "what has changed is asked for one by one",
};

static void log_older_schema(struct source *source, enum schema schema)
{
	if (!source->told_of_schema)
		log_message(LOG_WARNING, "control.outdated",
					"the control schema is older than this program: %s; run bulkhead init",
					schema_lacks[schema]);
	source->told_of_schema = true;
}

/* Does the answer say that a column is missing, and is there less to ask for? */
static bool take_older_schema(struct source *source, const PGresult *result,
							  enum schema *schema, enum schema oldest)
{
	const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);

	if (*schema >= oldest || !sqlstate || strcmp(sqlstate, "42703") != 0)
		return false;
	++*schema;
	log_older_schema(source, *schema);
	return true;
}

static bool has_rows(const PGresult *result)
{
	return result && PQresultStatus(result) == PGRES_TUPLES_OK;
}

/* ---- look-ups ---- */

struct lookup {
	struct store_ask ask;
	struct source *source;
	enum directory_kind kind;
	enum schema schema;
	struct directory_question *question;
};

static void ask_to_look_up(struct lookup *lookup)
{
	if (lookup->kind == DIRECTORY_PRINCIPAL)
		lookup->ask.sql = lookup->schema == SCHEMA_CURRENT ? answer_principal_sql
														   : answer_principal_older_sql;
	else if (lookup->schema <= SCHEMA_WITHOUT_LIMITS)
		lookup->ask.sql = answer_tenant_sql;
	else if (lookup->schema == SCHEMA_WITHOUT_LOGINS)
		lookup->ask.sql = answer_tenant_13_sql;
	else
		lookup->ask.sql = answer_tenant_older_sql;
	store_ask(lookup->source->store, &lookup->ask);
}

/* An error of the server's: a text that it cannot take names nobody; anything else is no
 * answer. */
static enum directory_result judge_error(struct source *source, const PGresult *result)
{
	const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);

	if (sqlstate && strncmp(sqlstate, "22", 2) == 0)
		return DIRECTORY_UNKNOWN;
	log_refusal(source, result);
	return DIRECTORY_UNAVAILABLE;
}

/* The oldest schema from which there is less to ask for. */
static enum schema oldest_of(enum directory_kind kind)
{
	return kind == DIRECTORY_TENANT ? SCHEMA_WITHOUT_PERMISSIONS : SCHEMA_WITHOUT_LIMITS;
}

static void lookup_answered(struct store_ask *ask, const PGresult *result)
{
	struct lookup *lookup = list_entry(ask, struct lookup, ask);
	const struct tenant *tenant = NULL;
	const struct principal *principal = NULL;
	enum directory_result answer = DIRECTORY_UNAVAILABLE;

	if (has_rows(result)) {
		answer = lookup->kind == DIRECTORY_TENANT ? answer_tenant(result, 0, &tenant)
												  : answer_principal(result, 0, &principal);
		lookup->source->refused = false;
	} else if (result && take_older_schema(lookup->source, result, &lookup->schema,
										   oldest_of(lookup->kind))) {
		lookup->source->look_up_schema = lookup->schema;
		ask_to_look_up(lookup);
		return;
	} else if (result) {
		answer = judge_error(lookup->source, result);
	}
	directory_resolved(lookup->question, answer, tenant, principal);
	free(lookup);
}

static void find(void *self, enum directory_kind kind, const char *token,
				 struct directory_question *question, bool urgent)
{
	struct source *source = self;
	struct lookup *lookup = calloc(1, sizeof *lookup);

	if (!lookup) {
		directory_resolved(question, DIRECTORY_UNAVAILABLE, NULL, NULL);
		return;
	}
	lookup->source = source;
	lookup->kind = kind;
	lookup->question = question;
	lookup->schema = source->look_up_schema;
	lookup->ask.param_count = 1;
	lookup->ask.params[0] = token;
	lookup->ask.urgent = urgent;
	lookup->ask.answered = lookup_answered;
	ask_to_look_up(lookup);
}

/* ---- comparing ---- */

struct comparison {
	struct store_ask ask;
	struct source *source;
	enum directory_kind kind;
	struct directory_comparison *what;
	enum schema schema;
};

static const char changed_tenants_by_name_sql[] =
	"SELECT id FROM bulkhead_control.changed_tenants($1, $2)";
static const char changed_principals_by_name_sql[] =
	"SELECT name FROM bulkhead_control.changed_principals($1, $2)";

/* Hands a row over as it is; one that says nothing, or nothing that makes sense, is announced:
 * so it is asked for by itself. */
static void take_row(const struct comparison *comparison, const PGresult *result, int row)
{
	struct directory *directory = comparison->source->directory;
	enum directory_kind kind = comparison->kind;
	enum directory_result answer = DIRECTORY_UNAVAILABLE;
	const struct tenant *tenant = NULL;
	const struct principal *principal = NULL;
	char key[PRINCIPAL_NAME_MAX + 1];

	if (!answer_key(result, row, kind, key))
		return;
	if (comparison->schema != SCHEMA_WITHOUT_ROWS)
		answer = kind == DIRECTORY_TENANT ? answer_tenant(result, row, &tenant)
										  : answer_principal(result, row, &principal);
	if (answer == DIRECTORY_UNAVAILABLE)
		directory_changed(directory, kind, key);
	else
		directory_differs(directory, kind, key, tenant, principal);
}

static void ask_to_compare(struct comparison *comparison);

static void comparison_answered(struct store_ask *ask, const PGresult *result)
{
	struct comparison *comparison = list_entry(ask, struct comparison, ask);

	if (has_rows(result)) {
		for (int row = 0; row < PQntuples(result); row++)
			take_row(comparison, result, row);
		directory_compared(comparison->what);
	} else if (result && take_older_schema(comparison->source, result, &comparison->schema,
										   SCHEMA_WITHOUT_ROWS)) {
		comparison->source->compare_schema = comparison->schema;
		ask_to_compare(comparison);
		return;
	} else {
		if (result)
			log_refusal(comparison->source, result);
		directory_not_compared(comparison->what);
	}
	free(comparison);
}

/* By schema and kind. */
static const char *const comparisons[][2] = {
	[SCHEMA_CURRENT] = {answer_changed_tenants_sql, answer_changed_principals_sql},
	[SCHEMA_WITHOUT_LIMITS] = {answer_changed_tenants_sql, answer_changed_principals_older_sql},
	[SCHEMA_WITHOUT_LOGINS] = {answer_changed_tenants_13_sql,
							   answer_changed_principals_older_sql},
	[SCHEMA_WITHOUT_PERMISSIONS] = {answer_changed_tenants_older_sql,
									answer_changed_principals_older_sql},
	[SCHEMA_WITHOUT_ROWS] = {changed_tenants_by_name_sql, changed_principals_by_name_sql},
};

static void ask_to_compare(struct comparison *comparison)
{
	comparison->ask.sql = comparisons[comparison->schema][comparison->kind];
	store_ask(comparison->source->store, &comparison->ask);
}

static void compare(void *self, enum directory_kind kind, const char *keys,
					const char *versions, struct directory_comparison *what)
{
	struct source *source = self;
	struct comparison *comparison = calloc(1, sizeof *comparison);

	if (!comparison) {
		directory_not_compared(what);
		return;
	}
	comparison->source = source;
	comparison->kind = kind;
	comparison->what = what;
	comparison->schema = source->compare_schema;
	comparison->ask.param_count = 2;
	comparison->ask.params[0] = keys;
	comparison->ask.params[1] = versions;
	comparison->ask.urgent = true;
	comparison->ask.answered = comparison_answered;
	ask_to_compare(comparison);
}

/* ---- clusters ---- */

static enum cluster_status read_status(const char *text)
{
	if (strcmp(text, "down") == 0)
		return CLUSTER_DOWN;
	return strcmp(text, "draining") == 0 ? CLUSTER_DRAINING : CLUSTER_ACTIVE;
}

/* The texts are the result's. */
static void take_clusters(struct source *source, const PGresult *result)
{
	size_t count = (size_t)PQntuples(result);
	struct cluster_said *list = calloc(count + 1, sizeof *list);

	for (size_t i = 0; list && i < count; i++) {
		list[i].name = PQgetvalue(result, (int)i, 0);
		list[i].status = read_status(PQgetvalue(result, (int)i, 1));
	}
	if (!list || !clusters_replace(directory_clusters(source->directory), list, count))
		log_message(LOG_ERROR, "control.clusters", "out of memory");
	free(list);
}

/* A schema of before step 17 takes no cluster out of service. */
static bool has_no_clusters(const PGresult *result)
{
	const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);

	return sqlstate && strcmp(sqlstate, "42883") == 0;
}

static void ask_for_clusters(struct source *source);

static void clusters_answered(struct store_ask *ask, const PGresult *result)
{
	struct source *source = list_entry(ask, struct source, clusters);

	source->asking_for_clusters = false;
	if (has_rows(result) && source->directory)
		take_clusters(source, result);
	else if (result && !has_no_clusters(result))
		log_refusal(source, result);
	if (result && source->clusters_changed)
		ask_for_clusters(source);
}

static void ask_for_clusters(struct source *source)
{
	source->clusters_changed = true;
	if (source->asking_for_clusters || !source->directory)
		return;
	source->asking_for_clusters = true;
	source->clusters_changed = false;
	source->clusters =
		(struct store_ask){.sql = "SELECT name, status FROM bulkhead_control.lookup_clusters()",
						   .urgent = true,
						   .answered = clusters_answered};
	store_ask(source->store, &source->clusters);
}

/* ---- announcements ---- */

static bool read_version(const char *text, size_t len, int64_t *out)
{
	char *end;

	if (!len || *text < '0' || *text > '9')
		return false;
	errno = 0;
	*out = strtoll(text, &end, 10);
	return !errno && end == text + len;
}

/* `id:version` */
static void tenant_announced(struct directory *directory, const char *payload)
{
	size_t len = strcspn(payload, ":");
	char key[UUID_HEX_SIZE];
	struct uuid id;
	int64_t version;

	if (!payload[len] || !uuid_parse(payload, len, &id) ||
		!read_version(payload + len + 1, strlen(payload + len + 1), &version))
		return;
	uuid_hex(&id, key);
	directory_changed(directory, DIRECTORY_TENANT, key);
}

/* `version:name`; the name may hold anything */
static void principal_announced(struct directory *directory, const char *payload)
{
	size_t len = strcspn(payload, ":");
	int64_t version;

	if (payload[len] && read_version(payload, len, &version))
		directory_changed(directory, DIRECTORY_PRINCIPAL, payload + len + 1);
}

static void expect_current_schema(struct source *source)
{
	source->look_up_schema = source->compare_schema = SCHEMA_CURRENT;
}

/* Anybody who may connect to the control database can send these: they only make us ask. */
static void on_notified(void *self, const char *channel, const char *payload)
{
	struct source *source = self;
	size_t prefix = sizeof PRINCIPAL_PREFIX - 1;

	if (!source->directory || strcmp(channel, CHANNEL) != 0)
		return;
	if (strcmp(payload, SCHEMA_CHANGED) == 0) {
		expect_current_schema(source);
		ask_for_clusters(source);
	} else if (strncmp(payload, CLUSTER_PREFIX, sizeof CLUSTER_PREFIX - 1) == 0)
		ask_for_clusters(source);
	else if (strncmp(payload, PRINCIPAL_PREFIX, prefix) == 0)
		principal_announced(source->directory, payload + prefix);
	else
		tenant_announced(source->directory, payload);
}

static void begin_feed(struct source *source)
{
	ask_for_clusters(source);
	directory_feed_began(source->directory);
}

static void listen_answered(struct store_ask *ask, const PGresult *result)
{
	struct source *source = list_entry(ask, struct source, listen);

	source->asking_to_listen = false;
	if (!result)
		return;
	if (PQresultStatus(result) != PGRES_COMMAND_OK) {
		log_refusal(source, result);
		return;
	}
	source->listening = true;
	if (source->directory)
		begin_feed(source);
}

/* It may be under way already: then it was when the connection was lost, and is asked again. */
static void ask_to_listen(struct source *source)
{
	if (source->listening || source->asking_to_listen)
		return;
	source->asking_to_listen = true;
	source->listen = (struct store_ask){
		.sql = "LISTEN " CHANNEL, .urgent = true, .answered = listen_answered};
	store_ask(source->store, &source->listen);
}

static void on_connected(void *self)
{
	ask_to_listen(self);
}

static void on_lost(void *self)
{
	struct source *source = self;

	source->listening = false;
	source->told_of_schema = false;
	expect_current_schema(source);
	if (source->directory)
		directory_feed_ended(source->directory);
}

static void on_pulse(void *self)
{
	struct source *source = self;

	ask_to_listen(source); /* the server may have refused */
	if (source->directory)
		directory_feed_pulse(source->directory);
}

void source_feed(struct source *source, struct directory *directory)
{
	source->directory = directory;
	if (source->listening)
		begin_feed(source);
}

/* ---- the whole ---- */

struct store *source_store(struct source *source)
{
	return source->store;
}

struct source *source_create(struct event_base *base, const char *dsn, const char *password,
							 int64_t timeout_ms)
{
	struct source *source = calloc(1, sizeof *source);

	if (!source)
		return NULL;
	const struct store_events events = {source,      on_connected, on_lost,
										on_notified, on_pulse,     NULL};
	source->face = (struct directory_source){source, find, compare};
	source->store = store_create(base, dsn, password, timeout_ms, &events);
	if (!source->store) {
		free(source);
		return NULL;
	}
	return source;
}

void source_change(struct source *source, char *dsn, char *password, int64_t timeout_ms)
{
	store_change(source->store, dsn, password, timeout_ms);
}

void source_destroy(struct source *source)
{
	if (!source)
		return;
	source->directory = NULL; /* what is open is answered; nothing more is announced */
	store_destroy(source->store);
	free(source);
}

const struct directory_source *source_face(const struct source *source)
{
	return &source->face;
}
