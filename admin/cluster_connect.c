#include "admin/cluster_connect.h"

#include <string.h>

#include "base/clock.h"
#include "base/secret.h"
#include "policy/guard/own_login.h"

static const char *const sslmodes[] = {
	[SSLMODE_DISABLE] = "disable",     [SSLMODE_ALLOW] = "allow",
	[SSLMODE_PREFER] = "prefer",       [SSLMODE_REQUIRE] = "require",
	[SSLMODE_VERIFY_CA] = "verify-ca", [SSLMODE_VERIFY_FULL] = "verify-full",
};

/* libpq takes an empty value for one that was not given. */
static const char *or_empty(const char *text)
{
	return text ? text : "";
}

static void drop_notice(void *arg, const PGresult *result)
{
	(void)arg;
	(void)result;
}

/* ---- why a server said no ---- */

#define ANSWERED_US 3000000 /* what took longer ran into connect_timeout */
#define STATE_LEN   5

static bool is_state(const char *text)
{
	for (size_t i = 0; i < STATE_LEN; i++) {
		if (!(text[i] >= '0' && text[i] <= '9') && !(text[i] >= 'A' && text[i] <= 'Z'))
			return false;
	}
	return text[STATE_LEN] == ':';
}

bool cluster_connect_state(const PGconn *connection, char state[CLUSTER_STATE_SIZE])
{
	const char *found = NULL;

	/* `FATAL:  53300: sorry …`, of which the first word and the last are in any language. Of
	 * several hosts, the last that answered has decided. */
	for (const char *at = PQerrorMessage(connection); (at = strstr(at, ":  ")) != NULL; at++) {
		if (is_state(at + 3))
			found = at + 3;
	}
	if (found) {
		memcpy(state, found, STATE_LEN);
		state[STATE_LEN] = '\0';
	}
	return found != NULL;
}

/*
 * libpq has no SQLSTATE of a login that failed, except in the text of PQERRORS_VERBOSE, which
 * cannot be asked for before PQconnectdbParams has failed. So it is done once more; where no
 * server answered there is nothing to learn.
 */
static void ask_why(PGconn *connection, int64_t began_us)
{
	if (!connection || PQstatus(connection) == CONNECTION_OK ||
		clock_monotonic_us() - began_us > ANSWERED_US)
		return;
	PQsetErrorVerbosity(connection, PQERRORS_VERBOSE);
	PQreset(connection);
	PQsetErrorVerbosity(connection, PQERRORS_DEFAULT);
}

/* ---- connecting ---- */

PGconn *cluster_connect(const struct conf_cluster *cluster, const struct cluster_login *login)
{
	static const char *const names[] = {"host",
										"port",
										"dbname",
										"user",
										"password",
										"options",
										"sslmode",
										"sslrootcert",
										"sslcrl",
										"sslcert",
										"sslkey",
										"application_name",
										"client_encoding",
										"connect_timeout",
										"target_session_attrs",
										NULL};
	const char *const values[] = {cluster->host,
								  cluster->port,
								  login->database,
								  login->login,
								  or_empty(login->password),
								  or_empty(login->options),
								  sslmodes[cluster->tls_mode],
								  cluster->tls_ca_file,
								  cluster->tls_crl_file,
								  cluster->tls_cert_file,
								  cluster->tls_key_file,
								  login->name,
								  "UTF8",
								  "10",
								  "primary",
								  NULL};

	_Static_assert(sizeof names == sizeof values, "a value for each name");
	int64_t began_us = clock_monotonic_us();
	PGconn *connection = PQconnectdbParams(names, values, 0);

	ask_why(connection, began_us);
	if (connection)
		PQsetNoticeReceiver(connection, drop_notice, NULL);
	return connection;
}

/* One attempt, with the key at that place. */
static PGconn *connect_with(const struct conf_cluster *cluster, const struct uuid *tenant,
							const struct guard_keyring *secret, size_t place,
							const struct cluster_login *login)
{
	char name[OWN_NAME_SIZE], password[OWN_PASSWORD_SIZE] = "";
	struct cluster_login own = *login;
	bool derived = !secret || own_password(secret, place, tenant, password);

	own_name(tenant, name);
	own.login = name;
	own.password = secret && derived ? password : NULL;
	PGconn *connection = cluster_connect(cluster, &own);
	secret_wipe(password, sizeof password);
	return connection;
}

/* Was it the password that was not the right one? Not where the server is full, say. */
static bool is_refused(const PGconn *connection)
{
	char state[CLUSTER_STATE_SIZE];

	return connection && PQstatus(connection) != CONNECTION_OK &&
		   PQconnectionUsedPassword(connection) &&
		   (!cluster_connect_state(connection, state) || strncmp(state, "28", 2) == 0);
}

PGconn *cluster_connect_as_tenant(const struct conf_cluster *cluster, const struct uuid *tenant,
								  const char *kid, const struct cluster_login *login)
{
	const char *why = NULL;
	struct guard_keyring *secret =
		cluster->secret ? guard_keyring_parse(cluster->secret, &why) : NULL;
	size_t first = secret ? own_password_place(secret, kid) : 0;
	PGconn *connection = connect_with(cluster, tenant, secret, first, login);

	for (size_t i = 0; secret && is_refused(connection) && guard_keyring_kid(secret, i); i++) {
		if (i == first)
			continue;
		PQfinish(connection);
		connection = connect_with(cluster, tenant, secret, i, login);
	}
	guard_keyring_destroy(secret);
	return connection;
}
