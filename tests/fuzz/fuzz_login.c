/*
 * An application that may say anything, from its first byte on: nobody who has not proved to
 * know the password may be led further than to that question, and what a client asks for in its
 * startup packet reaches a server as settings and as nothing else.
 */
#include <string.h>
#include <sys/socket.h>

#include "proxy/scram.h"
#include "proxy/wire.h"
#include "tests/fuzz/lines.h"
#include "tests/fuzz/stage.h"

/* ---- packets ---- */

/* Pairs of a startup packet, and other pieces of one; the type is not sent. */
static const struct line pieces[] = {
	LINE(0, "user\0app.a\0"),
	LINE(0, "user\0app.b\0"),
	LINE(0, "user\0app\0"),
	LINE(0, "user\0app.c\0"),
	LINE(0, "user\0nobody.a\0"),
	LINE(0, "user\0away.a\0"),
	LINE(0, "user\0app.away\0"),
	LINE(0, "user\0app.\0"),
	LINE(0, "database\0app\0"),
	LINE(0, "database\0template1\0"),
	LINE(0, "database\0\0"),
	LINE(0, "options\0-c bulkhead.tenant=b\0"),
	LINE(0, "options\0-c bulkhead.tenant=a --search-path=a,\\\\\"B\\\\\"\0"),
	LINE(0, "options\0-c=\0"),
	LINE(0, "options\0-c x.y=it's -c work_mem=\\\\'\0"),
	LINE(0, "application_name\0it's \\' a name\0"),
	LINE(0, "application_name\0\0"),
	LINE(0, "search_path\0\"a\"\"b\", c', 'd\0"),
	LINE(0, "DateStyle\0'; DROP TABLE x; --\0"),
	LINE(0, "replication\0database\0"),
	LINE(0, "_pq_.grease\0on\0"),
	LINE(0, "client_encoding\0UTF8\0"),
	LINE(0, "client_encoding\0SJIS\0"),
	LINE(0, "x.\"y\0z\0"),
	LINE(0, "temp_tablespaces\0a,,b\0"),
	LINE(0, "bulkhead.tenant\0b\0"),
	LINE(0, "\0"),
	LINE(0, "\0\0"),
	LINE(0, "database\0bulkhead\0"),
};
#define PIECES (sizeof pieces / sizeof *pieces)

static const uint32_t codes[] = {0x30000,  0x30002,  0x3270f, 0x20000,
								 80877102, 80877103, 80877104};

/* Messages that have a place in a login, or none. */
static const struct line lines[] = {
	LINE('p', "SCRAM-SHA-256\0\377\377\377\377"),
	LINE('p', "SCRAM-SHA-256\0\0\0\0\23n,,n=,r=abcdefghijkl"),
	LINE('p', "SCRAM-SHA-256\0\0\0\0\23y,,n=,r=abcdefghijkl"),
	LINE('p', "SCRAM-SHA-256-PLUS\0\0\0\0\34p=tls-server-end-point,,n=,r="),
	LINE('p', "c=biws,r=abcdefghijkl,p=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="),
	LINE('p', "pencil\0"),
	LINE('p', ""),
	LINE('Q', "SELECT 1\0"),
	LINE('X', ""),
	LINE('S', ""),
};
#define LINES (sizeof lines / sizeof *lines)

struct play {
	struct stage *stage;
	struct player *player;
	struct scram_client scram;
	bool scram_begun;
	bool proved;     /* it has shown that it knows the password */
	struct buf said; /* by Bulkhead */
};

/* ---- what Bulkhead says ---- */

static void listen_to_bulkhead(struct play *play)
{
	uint8_t bytes[4096];
	ssize_t n;

	while (play->player->fd >= 0 &&
		   (n = recv(play->player->fd, bytes, sizeof bytes, MSG_DONTWAIT)) > 0)
		require(buf_append(&play->said, bytes, (size_t)n));
	require(buf_len(&play->said) < 1 << 16);
}

/* The data of an AuthenticationSASLContinue in what was said, NULL when there is none. */
static const uint8_t *server_first(struct play *play, size_t *len)
{
	static const char start[] = "\0\0\0\13r=";
	const uint8_t *data = buf_data(&play->said);
	size_t size = buf_len(&play->said);

	for (size_t at = 0; at + WIRE_HEADER + 6 <= size; at++) {
		if (data[at] != 'R' || memcmp(data + at + WIRE_HEADER, start, 6) != 0)
			continue;
		*len = wire_u32(data + at + 1) - 8;
		return *len <= size - at - 9 ? data + at + 9 : NULL;
	}
	return NULL;
}

/* ---- what the application says ---- */

static void send_packet(struct play *play)
{
	struct dice *dice = &play->stage->dice;
	uint8_t byte = dice_byte(dice);
	struct buf out;
	size_t mark;

	buf_init(&out);
	require(wire_begin(&out, 0, &mark) && buf_append_u32(&out, codes[byte % 7]));
	while ((byte = dice_byte(dice)) != 0 && byte <= PIECES)
		require(buf_append(&out, pieces[byte - 1].body, pieces[byte - 1].len));
	if (byte)
		require(buf_append_byte(&out, 0));
	require(wire_end(&out, mark));
	player_send(play->stage, play->player, buf_data(&out), buf_len(&out));
	buf_fini(&out);
}

static void send_line(struct play *play, const struct line *line)
{
	struct buf out;

	buf_init(&out);
	require(wire_message(&out, line->type, line->body, line->len));
	player_send(play->stage, play->player, buf_data(&out), buf_len(&out));
	buf_fini(&out);
}

static void begin_scram(struct play *play)
{
	struct buf first, out;
	size_t mark;

	if (play->scram_begun)
		scram_client_fini(&play->scram);
	scram_client_init(&play->scram, STAGE_PASSWORD, NULL);
	play->scram_begun = true;
	buf_init(&first);
	buf_init(&out);
	require(scram_client_first(&play->scram, &first) && wire_begin(&out, 'p', &mark) &&
			buf_append_cstr(&out, SCRAM_MECHANISM) &&
			buf_append_u32(&out, (uint32_t)buf_len(&first)) &&
			buf_append(&out, buf_data(&first), buf_len(&first)) && wire_end(&out, mark));
	player_send(play->stage, play->player, buf_data(&out), buf_len(&out));
	buf_fini(&first);
	buf_fini(&out);
}

static void prove(struct play *play)
{
	size_t len = 0;
	const uint8_t *first = server_first(play, &len);
	struct buf final, out;

	if (!first || !play->scram_begun)
		return;
	buf_init(&final);
	buf_init(&out);
	if (scram_client_step(&play->scram, first, len, &final) == SCRAM_CONTINUE) {
		play->proved = true;
		require(wire_message(&out, 'p', buf_data(&final), buf_len(&final)));
		player_send(play->stage, play->player, buf_data(&out), buf_len(&out));
	}
	buf_fini(&final);
	buf_fini(&out);
}

static void send_raw(struct play *play)
{
	size_t len;
	const uint8_t *data =
		dice_take(&play->stage->dice, dice_byte(&play->stage->dice) % 64, &len);

	player_send(play->stage, play->player, data, len);
}

/* ---- the play ---- */

/* NULL when it is gone. */
static const struct client *find_client(const struct play *play)
{
	list_each (node, next, &play->stage->worker->clients) {
		const struct client *client = list_entry(node, struct client, node);

		if (client->pid == play->player->pid)
			return client;
	}
	return NULL;
}

static void check(const struct play *play)
{
	const struct client *client = find_client(play);

	if (!client)
		return;
	switch (client->state) {
	case CLIENT_STARTUP:
	case CLIENT_PRINCIPAL:
	case CLIENT_AUTH:
	case CLIENT_SLOWED:
		require(!client->tenant && !client->server);
		break;
	case CLIENT_WELCOME:
	case CLIENT_IDLE:
	case CLIENT_WAITING:
	case CLIENT_LINKED:
		require(client->tenant->status == TENANT_ACTIVE);
		require(play->proved || client->trusted);
		break;
	case CLIENT_TENANT:
		require(play->proved || client->trusted);
		break;
	case CLIENT_CONSOLE:
		require(false); /* nobody is one of admin_users or stats_users */
		break;
	case CLIENT_LEAVING:
	case CLIENT_CLOSED:
		break;
	}
}

static bool is_logged_in(const struct play *play)
{
	const struct client *client = find_client(play);

	return client && (client->state == CLIENT_IDLE || client->state == CLIENT_WAITING ||
					  client->state == CLIENT_LINKED);
}

static void step(struct play *play)
{
	struct dice *dice = &play->stage->dice;
	uint8_t byte = dice_byte(dice);

	switch (byte & 7) {
	case 0:
		send_packet(play);
		break;
	case 1:
		begin_scram(play);
		break;
	case 2:
		prove(play);
		break;
	case 3:
		send_line(play, &lines[(byte >> 3) % LINES]);
		break;
	case 4:
		play->stage->cut = 1 + dice_byte(dice) % 64;
		return;
	case 5:
		if (!is_logged_in(play)) /* then it could be SQL, which is none of ours */
			send_raw(play);
		break;
	case 6:
		stage_tick(play->stage, (byte >> 3) * INT64_C(4000000));
		break;
	default:
		if (byte >> 3 == 31)
			player_close(play->player);
	}
	stage_turn(play->stage);
	stage_turn(play->stage);
	listen_to_bulkhead(play);
	check(play);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct play play = {.stage = stage_get()};
	struct stage *stage = play.stage;

	stage_begin(stage, data, size);
	stage->conf->clusters[0].password = NULL;
	stage->conf->default_pool_size = 1;
	stage->world.checks_settings = true;
	play.player = &stage->players[0];
	buf_init(&play.said);
	player_connect(stage, play.player,
				   dice_byte(&stage->dice) & 1 ? &stage->trust : &stage->scram);
	while (dice_are_left(&stage->dice) && play.player->fd >= 0)
		step(&play);
	stage_settle(stage);
	check(&play);
	stage_end(stage);
	if (play.scram_begun)
		scram_client_fini(&play.scram);
	buf_fini(&play.said);
	return 0;
}
