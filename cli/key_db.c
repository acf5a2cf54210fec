#include "cli/key_db.h"

#include <stdio.h>
#include <string.h>

#include "base/encode.h"
#include "base/secret.h"
#include "cli/control_db.h"
#include "cli/dsn.h"

/*
 * A key is about to pass through: neither the server's log nor an error may show it. The rest
 * is done as the guard itself, which owns the keys.
 */
static const char begin_sql[] = "BEGIN;"
								"SET LOCAL log_statement = 'none';"
								"SET LOCAL log_min_duration_statement = -1;"
								"SET LOCAL log_min_duration_sample = -1;"
								"SET LOCAL log_transaction_sample_rate = 0;"
								"SET LOCAL log_min_error_statement = 'panic';"
								"SET LOCAL log_parameter_max_length = 0;"
								"SET LOCAL log_parameter_max_length_on_error = 0;"
								"SET LOCAL row_security = on;"
								"SET LOCAL search_path = pg_catalog, pg_temp;"
								"SET LOCAL ROLE bulkhead_guard";

static bool run(PGconn *connection, const char *sql)
{
	PGresult *result = PQexec(connection, sql);
	ExecStatusType status = PQresultStatus(result);
	bool done = status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK;

	if (!done)
		fprintf(stderr, "bulkhead key: database %s: %s", PQdb(connection),
				PQerrorMessage(connection));
	PQclear(result);
	return done;
}

bool key_dbs_open(struct key_dbs *dbs, const char *const dsns[], size_t count)
{
	*dbs = (struct key_dbs){.count = 0};
	for (size_t i = 0; i < count; i++) {
		PGconn *connection = dsn_connect(dsns[i], "bulkhead key");

		if (!connection)
			return false;
		dbs->connections[dbs->count++] = connection;
		if (!run(connection, begin_sql))
			return false;
	}
	return true;
}

/* A statement about one key; `key` may be NULL. NULL with the reason printed. */
static PGresult *query(PGconn *connection, const char *sql, const char *kid,
					   const unsigned char *key)
{
	char base64[BASE64_SIZE(GUARD_KEY_SIZE)];
	const char *const values[] = {kid, base64};

	if (key)
		base64_encode(key, GUARD_KEY_SIZE, base64);
	PGresult *result = control_db_query(connection, sql, key ? 2 : 1, values);
	secret_wipe(base64, sizeof base64);
	return result;
}

static bool does_hold(PGconn *connection, const char *kid, const unsigned char *key)
{
	PGresult *result =
		query(connection, "SELECT FROM bulkhead.signing_key AS k WHERE k.kid = $1", kid, NULL);
	bool found = result && PQntuples(result) == 1;

	if (result && !found)
		fprintf(stderr,
				"bulkhead key: database %s does not have the key %s, which signs: is it the "
				"database of this key file?\n",
				PQdb(connection), kid);
	PQclear(result);
	if (!found)
		return false;
	/* The same key again changes nothing, and another under its name is refused. */
	result = query(connection, "SELECT bulkhead.register_key($1, $2)", kid, key);
	PQclear(result);
	return result != NULL;
}

bool key_dbs_hold(const struct key_dbs *dbs, const char *kid,
				  const unsigned char key[GUARD_KEY_SIZE])
{
	bool hold = true;

	for (size_t i = 0; hold && i < dbs->count; i++)
		hold = does_hold(dbs->connections[i], kid, key);
	return hold;
}

bool key_dbs_register(const struct key_dbs *dbs, const char *kid,
					  const unsigned char key[GUARD_KEY_SIZE])
{
	PGresult *result = NULL;

	for (size_t i = 0; i < dbs->count; i++) {
		result = query(dbs->connections[i], "SELECT bulkhead.register_key($1, $2)", kid, key);
		PQclear(result);
		if (!result)
			return false;
	}
	return true;
}

bool key_dbs_retire(const struct key_dbs *dbs, const char *kid, bool *found)
{
	for (size_t i = 0; i < dbs->count; i++) {
		PGresult *result =
			query(dbs->connections[i], "SELECT bulkhead.retire_key($1)", kid, NULL);

		if (!result)
			return false;
		if (strcmp(PQgetvalue(result, 0, 0), "t") == 0)
			*found = true;
		PQclear(result);
	}
	return true;
}

PGresult *key_dbs_list(const struct key_dbs *dbs, size_t i)
{
	return control_db_query(dbs->connections[i],
							"SELECT k.kid, to_char(k.created_at AT TIME ZONE 'UTC', "
							"'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')"
							" FROM bulkhead.signing_key AS k ORDER BY k.created_at, k.kid",
							0, NULL);
}

bool key_dbs_commit(const struct key_dbs *dbs)
{
	bool done = true;

	for (size_t i = 0; done && i < dbs->count; i++)
		done = run(dbs->connections[i], "COMMIT");
	return done;
}

void key_dbs_take_back(const struct key_dbs *dbs, const char *kid)
{
	for (size_t i = 0; i < dbs->count; i++) {
		PGconn *connection = dbs->connections[i];
		PGTransactionStatusType status = PQtransactionStatus(connection);
		PGresult *result = NULL;

		if (status == PQTRANS_INTRANS || status == PQTRANS_INERROR)
			continue; /* not committed, and will not be */
		if (run(connection, begin_sql))
			result = query(connection, "SELECT bulkhead.retire_key($1)", kid, NULL);
		bool done = result && run(connection, "COMMIT");
		PQclear(result);
		if (!done)
			fprintf(stderr,
					"bulkhead key: database %s may be left with the key %s, which nobody has: "
					"bulkhead key retire guard %s\n",
					PQdb(connection), kid, kid);
	}
}

void key_dbs_close(struct key_dbs *dbs)
{
	for (size_t i = 0; i < dbs->count; i++)
		PQfinish(dbs->connections[i]);
	dbs->count = 0;
}
