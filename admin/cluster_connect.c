#include "admin/cluster_connect.h"

#include <string.h>

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
	PGconn *connection = PQconnectdbParams(names, values, 0);
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

/* Was it the password that was not the right one? libpq has no SQLSTATE of a failed login. */
static bool is_refused(const PGconn *connection)
{
	return connection && PQstatus(connection) != CONNECTION_OK &&
		   PQconnectionUsedPassword(connection);
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
