#include "admin/migrate_ledger.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/uuid.h"

/* Whoever has it already is told anew what it is now. */
#define UPSERT_SQL                                                                             \
	"INSERT INTO bulkhead_control.migration_target AS m"                                       \
	" (version, kind, cluster, tenant_id, state, found, sqlstate, error, applied_at)"          \
	" VALUES ($1::bigint, $2, $3, $4::uuid, $5, $6::boolean, $7, $8,"                          \
	" CASE $5 WHEN 'done' THEN clock_timestamp() END)"                                         \
	" ON CONFLICT (version, target) DO UPDATE SET state = excluded.state,"                     \
	" cluster = excluded.cluster, found = excluded.found, sqlstate = excluded.sqlstate,"       \
	" error = excluded.error, applied_at = excluded.applied_at,"                               \
	" attempts = m.attempts + (excluded.state = 'running')::integer,"                          \
	" begun_at = CASE excluded.state WHEN 'running' THEN excluded.begun_at ELSE m.begun_at "   \
	"END"

#define FILES_SQL                                                                              \
	"SELECT version, checksum, registered_at >= now() FROM bulkhead_control.migration_file"    \
	" ORDER BY version"
#define FIND_SQL                                                                               \
	"SELECT f.name, f.checksum, (SELECT count(*) FROM bulkhead_control.migration_target m"     \
	"  WHERE m.version = f.version AND m.state IN ('done', 'running'))"                        \
	" FROM bulkhead_control.migration_file f WHERE f.version = $1::bigint"
#define NEWER_SQL                                                                              \
	"SELECT max(version) FROM bulkhead_control.migration_file WHERE version > $1::bigint"
#define INSERT_SQL                                                                             \
	"INSERT INTO bulkhead_control.migration_file (version, name, checksum)"                    \
	" VALUES ($1::bigint, $2, $3)"
#define REPLACE_SQL                                                                            \
	"UPDATE bulkhead_control.migration_file SET name = $2, checksum = $3,"                     \
	" registered_at = clock_timestamp() WHERE version = $1::bigint"

void ledger_open(struct migrate_ledger *ledger, PGconn *control, bool is_silent, FILE *err)
{
	*ledger = (struct migrate_ledger){.control = control, .err = err, .is_silent = is_silent};
	pthread_mutex_init(&ledger->mutex, NULL);
}

void ledger_close(struct migrate_ledger *ledger)
{
	pthread_mutex_destroy(&ledger->mutex);
}

/* ---- statements ---- */

static bool is_missing(const char *sqlstate)
{
	return sqlstate && (strcmp(sqlstate, "42P01") == 0 || strcmp(sqlstate, "3F000") == 0 ||
						strcmp(sqlstate, "42703") == 0);
}

static void complain(const struct migrate_ledger *ledger, const PGresult *result)
{
	const char *text = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
	const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);

	text = text ? text : PQerrorMessage(ledger->control);
	fprintf(ledger->err, "bulkhead migrate: control database: %.*s%s\n",
			(int)strcspn(text, "\n"), text,
			is_missing(state) ? "; bulkhead init brings the control schema up to this version"
							  : "");
}

/* The tenant was purged meanwhile, and takes what was known of it along. */
static bool is_of_nobody(const PGresult *result)
{
	const char *constraint = PQresultErrorField(result, PG_DIAG_CONSTRAINT_NAME);

	return constraint && strcmp(constraint, "migration_target_tenant") == 0;
}

/* With the mutex held. */
static PGresult *ask(struct migrate_ledger *ledger, const char *sql, int count,
					 const char *const values[])
{
	if (ledger->is_broken)
		return NULL;
	PGresult *result = PQexecParams(ledger->control, sql, count, NULL, values, NULL, NULL, 0);
	ExecStatusType status = PQresultStatus(result);
	if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK)
		return result;
	if (is_of_nobody(result)) {
		PQclear(result);
		return PQmakeEmptyPGresult(ledger->control, PGRES_COMMAND_OK);
	}
	complain(ledger, result);
	ledger->is_broken = true;
	PQclear(result);
	return NULL;
}

static bool told(struct migrate_ledger *ledger, const char *sql, int count,
				 const char *const values[])
{
	PGresult *result = ask(ledger, sql, count, values);

	PQclear(result);
	return result != NULL;
}

PGresult *ledger_query(struct migrate_ledger *ledger, const char *sql, int count,
					   const char *const values[])
{
	pthread_mutex_lock(&ledger->mutex);
	PGresult *result = ask(ledger, sql, count, values);
	pthread_mutex_unlock(&ledger->mutex);
	return result;
}

bool ledger_is_broken(struct migrate_ledger *ledger)
{
	pthread_mutex_lock(&ledger->mutex);
	bool is_broken = ledger->is_broken;
	pthread_mutex_unlock(&ledger->mutex);
	return is_broken;
}

/* ---- files ---- */

/* A known number with another text: it may take its place where the old one has run nowhere. */
static bool replace(struct migrate_ledger *ledger, const struct migrate_file *file,
					const PGresult *known, const char *const values[])
{
	const char *places = PQgetvalue(known, 0, 2);

	if (strcmp(places, "0") == 0)
		return told(ledger, REPLACE_SQL, 3, values);
	fprintf(ledger->err,
			"bulkhead migrate: version %" PRId64 " has run with another text (%s, on %s "
			"target%s); put it back, and give what is new a number of its own\n",
			file->version, PQgetvalue(known, 0, 0), places,
			strcmp(places, "1") == 0 ? "" : "s");
	return false;
}

static bool add(struct migrate_ledger *ledger, const struct migrate_file *file,
				const char *const values[])
{
	PGresult *newer = ask(ledger, NEWER_SQL, 1, values);
	bool is_newest = newer && PQgetisnull(newer, 0, 0);

	if (newer && !is_newest)
		fprintf(ledger->err,
				"bulkhead migrate: %s: version %s is known already, and a new one must be "
				"greater\n",
				file->name, PQgetvalue(newer, 0, 0));
	PQclear(newer);
	return is_newest && told(ledger, INSERT_SQL, 3, values);
}

static bool register_file(struct migrate_ledger *ledger, const struct migrate_file *file)
{
	char version[24];
	const char *const values[] = {version, file->name, file->checksum};
	bool done;

	snprintf(version, sizeof version, "%" PRId64, file->version);
	PGresult *known = ask(ledger, FIND_SQL, 1, values);
	if (!known)
		return false;
	if (PQntuples(known) == 0)
		done = add(ledger, file, values);
	else
		done = strcmp(PQgetvalue(known, 0, 1), file->checksum) == 0 ||
			   replace(ledger, file, known, values);
	PQclear(known);
	return done;
}

static const struct migrate_file *find_file(const struct migrate_file *files, size_t count,
											int64_t version)
{
	for (size_t i = 0; i < count; i++)
		if (files[i].version == version)
			return &files[i];
	return NULL;
}

static bool list_versions(struct migrate_ledger *ledger, const struct migrate_file *files,
						  size_t count, struct migrate_version **versions,
						  size_t *version_count)
{
	PGresult *rows = ask(ledger, FILES_SQL, 0, NULL);

	if (!rows)
		return false;
	*version_count = (size_t)PQntuples(rows);
	*versions = calloc(*version_count + 1, sizeof **versions);
	for (size_t i = 0; *versions && i < *version_count; i++) {
		struct migrate_version *version = &(*versions)[i];

		version->version = strtoll(PQgetvalue(rows, (int)i, 0), NULL, 10);
		snprintf(version->checksum, sizeof version->checksum, "%s",
				 PQgetvalue(rows, (int)i, 1));
		version->file = find_file(files, count, version->version);
		version->is_new = *PQgetvalue(rows, (int)i, 2) == 't';
	}
	PQclear(rows);
	if (!*versions)
		fprintf(ledger->err, "bulkhead migrate: out of memory\n");
	return *versions != NULL;
}

static bool register_all(struct migrate_ledger *ledger, const struct migrate_file *files,
						 size_t count, struct migrate_version **versions, size_t *version_count)
{
	for (size_t i = 0; i < count; i++)
		if (!register_file(ledger, &files[i]))
			return false;
	return list_versions(ledger, files, count, versions, version_count);
}

bool ledger_register(struct migrate_ledger *ledger, const struct migrate_file *files,
					 size_t count, struct migrate_version **versions, size_t *version_count)
{
	pthread_mutex_lock(&ledger->mutex);
	bool done = told(ledger, "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE", 0, NULL) &&
				register_all(ledger, files, count, versions, version_count) &&
				told(ledger, ledger->is_silent ? "ROLLBACK" : "COMMIT", 0, NULL);
	if (!done)
		PQclear(PQexec(ledger->control, "ROLLBACK"));
	pthread_mutex_unlock(&ledger->mutex);
	return done;
}

/* ---- targets ---- */

struct happening {
	int64_t version;
	const char *state, *sqlstate, *error;
	bool found;
};

static bool write_down(struct migrate_ledger *ledger, const struct migrate_target *target,
					   const struct happening *happening)
{
	char version[24], tenant[UUID_TEXT_SIZE];
	const char *const values[] = {version,
								  migrate_kind_name(target->kind),
								  target->cluster_name,
								  target->slug ? tenant : NULL,
								  happening->state,
								  happening->found ? "t" : "f",
								  happening->sqlstate,
								  happening->error};
	bool done = true;

	snprintf(version, sizeof version, "%" PRId64, happening->version);
	uuid_text(&target->tenant, tenant);
	pthread_mutex_lock(&ledger->mutex);
	if (!ledger->is_silent)
		done = told(ledger, UPSERT_SQL, 8, values);
	pthread_mutex_unlock(&ledger->mutex);
	return done;
}

bool ledger_begun(struct migrate_ledger *ledger, const struct migrate_target *target,
				  int64_t version)
{
	return write_down(ledger, target,
					  &(struct happening){.version = version, .state = "running"});
}

bool ledger_done(struct migrate_ledger *ledger, const struct migrate_target *target,
				 int64_t version, bool found)
{
	return write_down(ledger, target,
					  &(struct happening){.version = version, .state = "done", .found = found});
}

bool ledger_failed(struct migrate_ledger *ledger, const struct migrate_target *target)
{
	return write_down(
		ledger, target,
		&(struct happening){.version = target->version,
							.state = migrate_state_name(target->state),
							.sqlstate = *target->sqlstate ? target->sqlstate : NULL,
							.error = target->error});
}
