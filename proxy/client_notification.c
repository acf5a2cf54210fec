/* NotificationResponse: clients know each other by the pids of their cancel keys. */
#include "proxy/client.h"
#include "proxy/pool.h"
#include "proxy/server.h"
#include "proxy/wire.h"
#include "proxy/worker.h"

/* Who works with the backend of this pid, or did so last: the pid that this client knows as its
 * own; 0 when it is not known here. */
static uint32_t find_sender(const struct client *client, uint32_t backend)
{
	list_each (node, next, &client->pool->servers) {
		const struct server *server = list_entry(node, struct server, node);

		if (server->pid == backend)
			return server->client ? server->client->pid : server->last_client;
	}
	return 0;
}

void client_send_notification(struct client *client, const uint8_t *message, size_t total)
{
	uint8_t start[WIRE_HEADER + 4];
	uint32_t sender =
		total < sizeof start ? 0 : find_sender(client, wire_u32(message + WIRE_HEADER));

	if (!sender) {
		client_send(client, message, total);
		return;
	}
	memcpy(start, message, WIRE_HEADER);
	for (int i = 0; i < 4; i++)
		start[WIRE_HEADER + i] = (uint8_t)(sender >> (24 - 8 * i));
	client_send(client, start, sizeof start);
	client_send(client, message + sizeof start, total - sizeof start);
}
