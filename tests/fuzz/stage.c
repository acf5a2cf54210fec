#include "tests/fuzz/stage.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "conf/conf.h"
#include "proxy/console.h"
#include "proxy/crew.h"
#include "proxy/farewell.h"
#include "proxy/settings.h"
#include "proxy/timeouts.h"
#include "proxy/upstream.h"
#include "proxy/wire.h"
#include "router/directory.h"
#include "router/live.h"
#include "router/permissions.h"

#define DATABASE "app"

/* Little memory is kept from being used again: to touch new memory costs more than all else. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "quarantine_size_mb=2:malloc_context_size=6";
}

bool fuzz_traces;

/* ---- settings ---- */

static void load_settings(struct stage *stage)
{
	static const struct conf_override overrides[] = {
		{"guard", "key_file", "/nowhere"},         {"control", "dsn", "host=nowhere"},
		{"control", "directory_cache_size", "16"}, {"control", "directory_ttl", "1d"},
		{"cluster", "database", DATABASE},         {"cluster", "login", "pool"},
		{"pool", "server_login_retry", "0"},       {"bulkhead", "max_packet_size", "1MB"},
		{"bulkhead", "max_login_conn", "4"},
	};
	static char *const environment[] = {NULL};
	struct conf_errors errors = {0};

	stage->conf =
		conf_load(NULL, environment, overrides, sizeof overrides / sizeof *overrides, &errors);
	for (size_t i = 0; i < errors.count; i++)
		fprintf(stderr, "%s\n", errors.lines[i]);
	require(stage->conf != NULL);
	conf_errors_fini(&errors);
	stage->trust = stage->scram = stage->conf->listens[0];
	stage->trust.auth = AUTH_TRUST;
	stage->conf->listen_count = 0; /* clients come through socket pairs */
	log_set_level(fuzz_traces ? LOG_DEBUG : (enum log_level) - 1);
}

/* ---- the directory ---- */

static struct tenant *make_tenant(const char *slug, uint8_t id, const struct tenant *parent)
{
	struct tenant *tenant = calloc(1, sizeof *tenant);

	require(tenant != NULL);
	tenant->references = 1;
	memset(tenant->id.b, id, sizeof tenant->id.b);
	if (parent)
		memcpy(tenant->path, parent->path, sizeof tenant->path);
	tenant->depth = parent ? parent->depth + 1 : 1;
	tenant->path[tenant->depth - 1] = tenant->id;
	tenant->slug = strdup(slug);
	tenant->key = strdup(slug);
	tenant->cluster = strdup("default");
	tenant->seal = guard_seal(&tenant->id, tenant->key);
	tenant->strategy = SHARED_RLS;
	tenant->status = TENANT_ACTIVE;
	tenant->pool_weight = 1;
	permissions_default(&tenant->permissions, tenant->strategy);
	require(tenant->slug && tenant->key && tenant->cluster && tenant->seal);
	return tenant;
}

static const struct principal *make_principal(const struct tenant *home)
{
	struct principal *principal = calloc(1, sizeof *principal);

	require(principal != NULL);
	principal->references = 1;
	principal->name = strdup("app");
	principal->verifier = scram_verifier_create(STAGE_PASSWORD, SCRAM_ITERATIONS_DEFAULT);
	principal->home = home->id;
	principal->reach = REACH_ALL;
	principal->valid_until_ms = INT64_MAX;
	require(principal->name && principal->verifier);
	return principal;
}

static void find(void *self, enum directory_kind kind, const char *token,
				 struct directory_question *question, bool urgent)
{
	struct stage *stage = self;

	(void)urgent;
	if (strcmp(token, "away") == 0) {
		directory_resolved(question, DIRECTORY_UNAVAILABLE, NULL, NULL);
		return;
	}
	if (kind == DIRECTORY_PRINCIPAL && strcmp(token, "app") == 0) {
		directory_resolved(question, DIRECTORY_FOUND, NULL, principal_ref(stage->principal));
		return;
	}
	for (size_t i = 0; kind == DIRECTORY_TENANT && i < STAGE_TENANTS; i++) {
		if (strcmp(token, stage->tenants[i]->slug) == 0) {
			directory_resolved(question, DIRECTORY_FOUND, tenant_ref(stage->tenants[i]), NULL);
			return;
		}
	}
	directory_resolved(question, DIRECTORY_UNKNOWN, NULL, NULL);
}

static void make_directory(struct stage *stage)
{
	const struct directory_source source = {stage, find, NULL};
	const struct directory_limits limits = {.ttl_ms = stage->conf->directory_ttl_ms,
											.cache_size = stage->conf->directory_cache_size};
	struct tenant *suspended = make_tenant("c", 0xcc, NULL), *counted;

	stage->tenants[0] = make_tenant("a", 0xaa, NULL);
	stage->tenants[1] = counted = make_tenant("b", 0xbb, stage->tenants[0]);
	counted->limits.rate_limit = 1000000; /* is never reached, but all is looked at for it */
	suspended->status = TENANT_SUSPENDED;
	stage->tenants[2] = suspended;
	stage->principal = make_principal(stage->tenants[0]);
	stage->control = mailbox_create();
	require(stage->control != NULL);
	stage->directory = directory_create(stage->control, &source, &limits);
	require(stage->directory != NULL);
}

/* ---- where the servers are ---- */

/* A unix socket without a file, whose name the kernel chooses. */
static void listen_somewhere(struct stage *stage)
{
	stage->address.hosts = hosts_create(stage->conf->clusters, &stage->hosts_age);
	require(stage->address.hosts != NULL);
	struct endpoint *endpoint = stage->address.hosts->endpoints->list;
	struct sockaddr_un *address = (struct sockaddr_un *)&endpoint->address;
	socklen_t *len = &endpoint->len;

	stage->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	address->sun_family = AF_UNIX;
	*len = sizeof *address;
	require(stage->listener >= 0 &&
			bind(stage->listener, (struct sockaddr *)address, sizeof address->sun_family) ==
				0 &&
			listen(stage->listener, STAGE_SERVERS) == 0 &&
			getsockname(stage->listener, (struct sockaddr *)address, len) == 0);
	stage->address.budget = &stage->budget;
}

static void accept_server(struct stage *stage)
{
	int fd = accept4(stage->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd < 0)
		return;
	stage->accepted = true;
	for (size_t i = 0; i < STAGE_SERVERS; i++) {
		if (stage->servers[i].fd < 0) {
			postgres_open(&stage->servers[i], &stage->world, fd);
			return;
		}
	}
	close(fd); /* "sorry, too many clients already" */
}

/* ---- the stage ---- */

static void make(struct stage *stage)
{
	struct worker_setup setup = {.addresses = &stage->address, .address_count = 1};

	strcpy(stage->password, STAGE_PASSWORD);
	fuzz_traces = getenv("FUZZ_TRACE") != NULL;
	load_settings(stage);
	make_directory(stage);
	listen_somewhere(stage);
	strcpy(stage->key.kid, "k1");
	memset(stage->key.bytes, 7, sizeof stage->key.bytes);
	stage->keyring = (struct guard_keyring){.count = 1, .keys = &stage->key};
	stage->world = (struct postgres_world){.servers = stage->servers,
										   .server_count = STAGE_SERVERS,
										   .keyring = &stage->keyring,
										   .tenants = stage->tenants,
										   .tenant_count = STAGE_TENANTS,
										   .database = DATABASE,
										   .dice = &stage->dice};
	snprintf(stage->world.secret, sizeof stage->world.secret, "%08x%08x", 0x5ec4e7u,
			 (unsigned)clock_wall_ms());
	setup.conf = stage->conf;
	setup.keyring = &stage->keyring;
	setup.directory = stage->directory;
	stage->live = live_create();
	setup.live = stage->live;
	setup.crew = crew_create(1);
	require(stage->live != NULL && setup.crew != NULL);
	stage->worker = worker_create(&setup);
	require(stage->worker != NULL);
	event_del(&stage->worker->tick); /* time passes when the input says so */
	for (size_t i = 0; i < STAGE_SERVERS; i++)
		stage->servers[i].fd = -1;
	for (size_t i = 0; i < STAGE_PLAYERS; i++)
		stage->players[i].fd = -1;
}

struct stage *stage_get(void)
{
	static struct stage stage;

	if (!stage.conf)
		make(&stage);
	return &stage;
}

void stage_begin(struct stage *stage, const uint8_t *data, size_t size)
{
	stage->dice = (struct dice){data, data + size};
	stage->serials = 0;
	memset(stage->world.clients, 0, sizeof stage->world.clients);
	stage->world.has_lied = false;
	stage->cut = 0;
}

void stage_turn(struct stage *stage)
{
	struct worker *worker = stage->worker;

	if (!list_empty(&worker->logins))
		mailbox_drain(stage->control);
	event_base_loop(worker->base, EVLOOP_NONBLOCK);
	if (!list_empty(&worker->deadlines) || !list_empty(&worker->cancels))
		accept_server(stage);
	stage_check(stage);
}

/* Lets those servers and applications go on for which something has come; false: for none. */
static bool let_peers_go_on(struct stage *stage)
{
	struct pollfd polled[STAGE_SERVERS + STAGE_PLAYERS];

	for (size_t i = 0; i < STAGE_SERVERS; i++)
		polled[i] = (struct pollfd){stage->servers[i].fd, POLLIN, 0};
	for (size_t i = 0; i < STAGE_PLAYERS; i++)
		polled[STAGE_SERVERS + i] = (struct pollfd){stage->players[i].fd, POLLIN, 0};
	bool any = poll(polled, STAGE_SERVERS + STAGE_PLAYERS, 0) > 0;
	for (size_t i = 0; i < STAGE_SERVERS; i++) {
		if (polled[i].revents || buf_len(&stage->servers[i].in))
			any |= postgres_serve(&stage->servers[i], 1000);
	}
	for (size_t i = 0; i < STAGE_PLAYERS; i++) {
		if (polled[STAGE_SERVERS + i].revents)
			player_read(stage, &stage->players[i]);
	}
	return any;
}

void stage_settle(struct stage *stage)
{
	bool moves = true;

	for (int i = 0; i < 30 && moves; i++) {
		stage->accepted = false;
		stage_turn(stage);
		moves = let_peers_go_on(stage) || stage->accepted ||
				event_base_get_num_events(stage->worker->base, EVENT_BASE_COUNT_ACTIVE);
	}
}

void stage_tick(struct stage *stage, int64_t later_us)
{
	struct worker *worker = stage->worker;
	int64_t now_us = clock_monotonic_us() + later_us;

	timeouts_tick(worker, now_us);
	pool_expire(worker, now_us);
	list_each (node, next, &worker->restless)
		pool_tick(list_entry(node, struct pool, restless));
	cancel_tick(worker, now_us);
	farewell_tick(worker, now_us);
	console_tick(worker);
	penalty_tick(worker, now_us);
	stage_check(stage);
}

static void destroy_pools(struct worker *worker)
{
	struct pool *pool, *next;

	HASH_ITER (hh, worker->pools, pool, next)
		pool_destroy(pool);
}

static void require_nothing_left(const struct stage *stage)
{
	const struct worker *worker = stage->worker;

	require(!worker->client_count && list_empty(&worker->clients) && !worker->by_pid);
	require(list_empty(&worker->logins) && list_empty(&worker->leaving) &&
			list_empty(&worker->waiting) && list_empty(&worker->idle_clients) &&
			!worker->leaving_count);
	require(list_empty(&worker->idle) && list_empty(&worker->opened) &&
			list_empty(&worker->linked) && list_empty(&worker->deadlines));
	require(list_empty(&worker->cancels) && list_empty(&worker->farewells));
	require(!worker->limits.logging_in && !worker->limits.sessions && !worker->limits.tenants &&
			!worker->limits.principals);
	require(stage->budget.used == 0);
	require(stage->tenants[0]->references <= 3 && stage->principal->references <= 3);
}

void stage_end(struct stage *stage)
{
	struct worker *worker = stage->worker;

	for (size_t i = 0; i < STAGE_PLAYERS; i++)
		player_close(&stage->players[i]);
	/* One that is closed may take others along. */
	for (struct client *client;
		 (client = list_first(&worker->clients, struct client, node)) != NULL;)
		client_close(client);
	destroy_pools(worker);
	cancel_stop(worker);
	farewell_stop(worker);
	for (int i = 0; i < 2; i++)
		stage_turn(stage);
	for (size_t i = 0; i < STAGE_SERVERS; i++)
		postgres_close(&stage->servers[i]);
	require_nothing_left(stage);
}

/* ---- players ---- */

void player_connect(struct stage *stage, struct player *player,
					const struct conf_listen *listen)
{
	int ends[2];

	player_close(player);
	require(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0);
	player->fd = ends[0];
	struct client *client = client_create(stage->worker, listen, ends[1], true);
	require(client != NULL);
	player->pid = client->pid;
	memcpy(player->key, client->secret, sizeof player->key);
	player->serial = ++stage->serials;
	player->marked = true;
	player->tail_len = player->bytes = 0;
}

void player_close(struct player *player)
{
	if (player->fd >= 0)
		close(player->fd);
	player->fd = -1;
}

static void send_all(struct player *player, const uint8_t *data, size_t len)
{
	while (len) {
		ssize_t n = send(player->fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n <= 0)
			return; /* gone, or it does not read: what cannot be sent is lost, as if it had died
					 */
		data += n;
		len -= (size_t)n;
	}
}

void player_send(struct stage *stage, struct player *player, const void *data, size_t len)
{
	size_t first = stage->cut < len ? stage->cut : len;

	if (player->fd < 0 || !len)
		return;
	stage->cut = 0;
	trace("client %u sends %zu bytes, %zu of them first\n", player->serial, len, first);
	if (first) {
		send_all(player, data, first);
		stage_turn(stage);
	}
	send_all(player, (const uint8_t *)data + first, len - first);
}

/* Marks may lie across two reads. */
static void look_for_rows(struct stage *stage, struct player *player, const char *data,
						  size_t len)
{
	const char *end = data + len, *at = data, *secret;

	while ((secret = mark_find(&stage->world, at, (size_t)(end - at))) != NULL) {
		int tenant = mark_row_tenant(secret, data);

		require(tenant < 0 || (size_t)tenant == player->tenant);
		at = secret + 1;
	}
}

void player_read(struct stage *stage, struct player *player)
{
	static char bytes[STAGE_TAIL + (1 << 17)];

	while (player->fd >= 0) {
		memcpy(bytes, player->tail, player->tail_len);
		ssize_t n =
			recv(player->fd, bytes + player->tail_len, sizeof bytes - STAGE_TAIL, MSG_DONTWAIT);

		if (n < 0 && errno == EAGAIN)
			break;
		if (n <= 0) {
			player_close(player);
			break;
		}
		size_t len = player->tail_len + (size_t)n;
		trace("client %u reads %zd bytes\n", player->serial, n);
		look_for_rows(stage, player, bytes, len);
		player->bytes += (size_t)n;
		player->tail_len = len < STAGE_TAIL ? len : STAGE_TAIL;
		memcpy(player->tail, bytes + len - player->tail_len, player->tail_len);
		if ((size_t)n < sizeof bytes - STAGE_TAIL)
			break;
	}
}

/* ---- what must hold at any time ---- */

static void check_client(const struct client *client)
{
	const struct server *server = client->server;

	require(client->state != CLIENT_CLOSED);
	/* One read, or a text that is collected, and what came with its last part. */
	require(buf_len(&client->in) <=
			(client->gathering ? client->gathering : 0) + (size_t)2 * WORKER_READ_SIZE);
	require(buf_len(&client->stream.out) <= (1u << 20));
	require((client->state == CLIENT_LINKED) == (server && server->state == SERVER_LINKED));
	if (server)
		require(server->client == client);
	if (client->state == CLIENT_IDLE)
		require(!client_is_pinned(client) && !pins_are_in_doubt(&client->pins) &&
				!client->portal_count);
	require(client->held_count <= CLIENT_HELD_MAX && client->portal_count <= NAMES_PORTALS_MAX);
}

static bool may_have_client(enum server_state state)
{
	return state == SERVER_LINKED || state == SERVER_PREPARING;
}

static void check_server(const struct stage *stage, const struct server *server)
{
	require(server->state != SERVER_CLOSED);
	require(buf_len(&server->carry) <= WIRE_INSPECT_MAX);
	require(may_have_client(server->state) == (server->client != NULL));
	require((server->login != NULL) ==
			(server->state == SERVER_LOGIN || server->state == SERVER_CHECK));
	if (server->client)
		require(server->client->server == server);
	if (server->state == SERVER_IDLE)
		require(server->status == 'I' && !server->body_left && !server->cancels &&
				!server->uncertain && replies_is_empty(&server->replies) &&
				!list_empty(&server->age_node));
	else
		require(list_empty(&server->age_node) && list_empty(&server->idle_node));
	(void)stage;
}

void stage_check(const struct stage *stage)
{
	const struct worker *worker = stage->worker;
	size_t clients = 0, servers = 0, waiting = 0, gathered = 0;
	struct pool *pool, *next;

	list_each (node, after, &worker->clients) {
		check_client(list_entry(node, struct client, node));
		gathered += list_entry(node, struct client, node)->gathering;
		clients++;
	}
	require(clients == worker->client_count && gathered == worker->gathered);
	list_each (node, after, &worker->waiting)
		waiting++;
	HASH_ITER (hh, worker->pools, pool, next) {
		size_t opening = 0;

		list_each (node, after, &pool->servers) {
			const struct server *server = list_entry(node, struct server, node);

			check_server(stage, server);
			opening += server->opening;
			servers++;
		}
		require(opening == pool->opening && pool->server_count <= STAGE_SERVERS);
		require(pool->waiting == waiting);
	}
	list_each (node, after, &worker->farewells)
		servers++;
	list_each (node, after, &worker->resets)
		servers++;
	require((size_t)stage->budget.used == servers);
}
