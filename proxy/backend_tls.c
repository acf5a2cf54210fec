/*
 * Whether the connection to a server is encrypted: libpq's modes (its documentation, "SSL
 * Support"), as fe-connect.c takes them. `allow` begins without TLS and `prefer` with it, and
 * each tries the other once when it is refused; the rest does not give way.
 */
#include "conf/conf.h"
#include "proxy/pool.h"
#include "proxy/server.h"
#include "proxy/tls.h"
#include "proxy/worker.h"

/* Unix sockets never carry it. */
static enum conf_sslmode mode_of(const struct server *server)
{
	bool is_socket = server->endpoint.address.ss_family == AF_UNIX;

	return is_socket || !server->worker->tls ? SSLMODE_DISABLE
											 : server->pool->cluster->tls_mode;
}

bool server_wants_tls(const struct server *server)
{
	return mode_of(server) >= SSLMODE_PREFER;
}

bool server_may_be_plain(const struct server *server)
{
	return mode_of(server) <= SSLMODE_PREFER;
}

struct ssl_st *server_make_tls(const struct server *server)
{
	const struct hosts *hosts = server->pool->address->hosts;

	return tls_connect(server->worker->tls, server->pool->key.cluster, mode_of(server),
					   hosts->names.list[server->endpoint.host].name);
}

bool server_try_other(struct server *server)
{
	enum conf_sslmode mode = mode_of(server);

	if (server->tried_other || (mode != SSLMODE_ALLOW && mode != SSLMODE_PREFER) ||
		(mode == SSLMODE_ALLOW) == (server->stream.ssl != NULL))
		return false;
	server->tried_other = true;
	server->wants_tls = mode == SSLMODE_ALLOW;
	server_connect_again(server);
	return true;
}
