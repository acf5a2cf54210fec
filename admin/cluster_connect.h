/*
 * cluster_connect.h: libpq connections to the databases of a [cluster:NAME] section, for what
 * is done beside the proxy's own pools: with the section's host, port and TLS, and always at a
 * primary, since something is to be changed. Where a server answers and refuses, it is asked
 * once more, for the SQLSTATE.
 */
#ifndef ADMIN_CLUSTER_CONNECT_H
#define ADMIN_CLUSTER_CONNECT_H

#include <stdbool.h>

#include <libpq-fe.h>

#include "base/uuid.h"
#include "conf/conf.h"

#define CLUSTER_STATE_SIZE 6 /* bytes of a SQLSTATE, and the NUL */

struct cluster_login {
	const char *database, *login;
	const char *password; /* NULL: none, as for peer authentication or a certificate */
	const char *options;  /* settings for the session, as libpq's `options`; NULL for none */
	const char *name;     /* application_name */
};

/*
 * Logs in and waits for it, ten seconds for each host. NULL when memory is out; otherwise to be
 * asked for its status and finished. Texts are UTF-8; notices are dropped.
 */
PGconn *cluster_connect(const struct conf_cluster *cluster, const struct cluster_login *login);

/* The SQLSTATE that a server refused a login with, where one of cluster_connect's failed; false
 * where no server answered, or libpq itself gave up. */
bool cluster_connect_state(const PGconn *connection, char state[CLUSTER_STATE_SIZE]);

/*
 * The same as the tenant's own login, whose password is derived from the cluster's secret: from
 * the key `kid` first (NULL: the file's first), then, when that is refused, from the others.
 * login->login and login->password are not looked at.
 */
PGconn *cluster_connect_as_tenant(const struct conf_cluster *cluster, const struct uuid *tenant,
								  const char *kid, const struct cluster_login *login);

#endif
