#include "cli/dsn.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/secret.h"

static bool is_readable(const char *dsn)
{
	char *message = NULL;
	PQconninfoOption *options = PQconninfoParse(dsn, &message);

	for (PQconninfoOption *option = options; option && option->keyword; option++) {
		if (option->val && strstr(option->keyword, "password"))
			secret_wipe(option->val, strlen(option->val));
	}
	PQconninfoFree(options);
	if (message)
		secret_wipe(message, strlen(message));
	PQfreemem(message);
	return options != NULL;
}

PGconn *dsn_connect(const char *dsn, const char *command)
{
	const char *const names[] = {"connect_timeout", "fallback_application_name", "dbname",
								 NULL};
	const char *const values[] = {"30", "bulkhead", dsn, NULL};

	if (!is_readable(dsn)) {
		fprintf(stderr,
				"%s: the database is not named by a connection string as libpq reads them: "
				"key=value words or postgresql://\n",
				command);
		return NULL;
	}

	PGconn *connection = PQconnectdbParams(names, values, 1);
	if (PQstatus(connection) == CONNECTION_OK)
		return connection;
	fprintf(stderr, "%s: %s", command, PQerrorMessage(connection));
	PQfinish(connection);
	return NULL;
}
