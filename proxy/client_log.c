#include "proxy/client_log.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/log.h"
#include "proxy/client.h"
#include "proxy/login_internal.h"
#include "proxy/worker.h"

/* The fields of every line. */
struct fields {
	char session[16], duration[24];
	const char *tenant, *principal;
};

/* Before anybody was found: what a client asked for at a listener that wants certificates. */
static void take_asked(const struct client *client, struct fields *fields)
{
	const struct login *login = client->login;

	if (!login || client->is_local || client->listen->tls_mode < SSLMODE_VERIFY_CA)
		return;
	if (!fields->principal)
		fields->principal =
			login->choice.principal ? login->choice.principal : login->startup.user;
	if (!fields->tenant && login->choice.count)
		fields->tenant = login->choice.tokens[0];
}

static struct fields fields_of(const struct client *client)
{
	struct fields fields = {
		.tenant = client->tenant ? client->tenant->slug : NULL,
		.principal = client->principal ? client->principal->name : NULL,
	};

	snprintf(fields.session, sizeof fields.session, "%" PRIu32, client->pid);
	snprintf(fields.duration, sizeof fields.duration, "%" PRId64,
			 (clock_monotonic_us() - client->since_us) / 1000);
	take_asked(client, &fields);
	return fields;
}

void client_log_ended(const struct client *client, const char *reason, const char *sqlstate,
					  const char *detail)
{
	const struct fields fields = fields_of(client);

	log_event(LOG_INFO, "client.ended", "session", fields.session, "reason", reason, "sqlstate",
			  sqlstate, "tenant", fields.tenant, "principal", fields.principal, "duration_ms",
			  fields.duration, "detail", detail, NULL);
}

void client_log_statement(const struct client *client, const char *event, const char *reason,
						  const char *what, const char *name)
{
	const struct fields fields = fields_of(client);

	log_event(LOG_INFO, event, "session", fields.session, "tenant", fields.tenant, "principal",
			  fields.principal, "reason", reason, "rule", what, "name", name, NULL);
}

/* Is this session among those that are logged? By its number, which is drawn at random: so both
 * of its lines are written, or none. */
static bool is_sampled(const struct client *client)
{
	return client->pid % 100 < (unsigned)client->worker->conf->log_sample;
}

/* "local" for a unix socket. */
static void describe_peer(const struct client *client, char out[INET6_ADDRSTRLEN])
{
	struct sockaddr_storage address = {.ss_family = AF_UNSPEC};
	socklen_t len = sizeof address;
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)&address;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&address;

	snprintf(out, INET6_ADDRSTRLEN, "local");
	if (getpeername(client->stream.fd, (struct sockaddr *)&address, &len) != 0)
		return;
	if (address.ss_family == AF_INET)
		inet_ntop(AF_INET, &v4->sin_addr, out, INET6_ADDRSTRLEN);
	else if (address.ss_family == AF_INET6)
		inet_ntop(AF_INET6, &v6->sin6_addr, out, INET6_ADDRSTRLEN);
}

void client_log_connected(const struct client *client)
{
	char peer[INET6_ADDRSTRLEN];

	if (!client->worker->conf->log_connections || !is_sampled(client))
		return;
	const struct fields fields = fields_of(client);
	describe_peer(client, peer);
	log_event(LOG_INFO, "client.connected", "session", fields.session, "tenant", fields.tenant,
			  "principal", fields.principal, "listener", client->listen->name, "address", peer,
			  "duration_ms", fields.duration, NULL);
}

void client_log_disconnected(const struct client *client)
{
	if (!client->worker->conf->log_disconnections || !is_sampled(client))
		return;
	const struct fields fields = fields_of(client);
	log_event(LOG_INFO, "client.disconnected", "session", fields.session, "tenant",
			  fields.tenant, "principal", fields.principal, "duration_ms", fields.duration,
			  NULL);
}
