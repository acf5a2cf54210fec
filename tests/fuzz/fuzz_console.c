/*
 * An operator's client that may say anything on the console: what is answered are whole
 * messages, no server hears of it, who may only look changes nothing, and nothing stays behind.
 */
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proxy/operate.h"
#include "proxy/wire.h"
#include "tests/fuzz/lines.h"
#include "tests/fuzz/stage.h"

static const struct line lines[] = {
	LINE('Q', "SHOW CLIENTS\0"),
	LINE('Q', "show pools; show servers; show tenants;\0"),
	LINE('Q', "SHOW CONFIG\0"),
	LINE('Q', "PAUSE a; SHOW STATE; RESUME\0"),
	LINE('Q', "PAUSE\0"),
	LINE('Q', "RESUME\0"),
	LINE('Q', "KILL a\0"),
	LINE('Q', "KILL 'away'\0"),
	LINE('Q', "RECONNECT; RELOAD\0"),
	LINE('Q', "BEGIN; SET x = 'y;z'; nonsense; COMMIT\0"),
	LINE('Q', "\0"),
	LINE('Q', "SHOW"),
	LINE('P', "\0SHOW STATS\0\0\0"),
	LINE('P', "s\0SHOW HELP\0\0\1\0\0\0\x19"),
	LINE('P', "\0KILL a\0\0\0"),
	LINE('P', "\0SHOW PINS; SHOW LISTS\0\0\0"),
	LINE('P', "\0\0\0\0"),
	LINE('B', "\0\0\0\0\0\0\0\1\0\1"),
	LINE('B', "p\0s\0\0\0\0\0\0\2\0\1\0\0"),
	LINE('B', "\0s\0\0\1\0\0\0\1\0\0\0\1x\0\0"),
	LINE('D', "S\0"),
	LINE('D', "Pp\0"),
	LINE('D', "P\0"),
	LINE('E', "\0\0\0\0\0"),
	LINE('E', "p\0\0\0\0\2"),
	LINE('E', "\0\377\377\377\377"),
	LINE('C', "Ss\0"),
	LINE('C', "P\0"),
	LINE('S', ""),
	LINE('H', ""),
	LINE('c', ""),
	LINE('F', "\0\0\0\1\0\0\0\0\0\0"),
	LINE('X', ""),
};
#define LINES (sizeof lines / sizeof *lines)

struct play {
	struct stage *stage;
	struct player *player;
	struct buf said;
};

static void send_message(struct play *play, char type, const void *body, size_t len)
{
	struct buf out;

	buf_init(&out);
	require(wire_message(&out, type, body, len));
	player_send(play->stage, play->player, buf_data(&out), buf_len(&out));
	buf_fini(&out);
}

/* A Query of the input's own. */
static void send_query(struct play *play)
{
	size_t got;
	const uint8_t *text = dice_take(&play->stage->dice, dice_byte(&play->stage->dice), &got);
	struct buf body;

	buf_init(&body);
	require(buf_append(&body, text, got) && buf_append_byte(&body, 0));
	send_message(play, 'Q', buf_data(&body), buf_len(&body));
	buf_fini(&body);
}

static void send_raw(struct play *play)
{
	size_t got;
	const uint8_t *bytes = dice_take(&play->stage->dice, dice_byte(&play->stage->dice), &got);

	player_send(play->stage, play->player, bytes, got);
}

static void send_cancel(const struct play *play)
{
	const struct stream_held from = {.fd = dup(play->player->fd)};

	cancel_request(play->stage->worker, from, play->player->pid, play->player->key,
				   sizeof play->player->key);
}

/* What comes is whole messages of the types that a server may send here. */
static void listen_to_console(struct play *play)
{
	uint8_t bytes[16384];
	ssize_t n;

	while (play->player->fd >= 0 && (n = recv(play->player->fd, bytes, sizeof bytes, 0)) > 0)
		require(buf_append(&play->said, bytes, (size_t)n));
	while (buf_len(&play->said) >= WIRE_HEADER) {
		const uint8_t *data = buf_data(&play->said);
		size_t total = 1 + (size_t)wire_u32(data + 1);

		require(memchr("RSKZTDCEI123tns", data[0], 15) != NULL);
		if (buf_len(&play->said) < total)
			break;
		buf_consume(&play->said, total);
	}
}

static void check(const struct play *play, bool admin)
{
	const struct worker *worker = play->stage->worker;

	require(!worker->pools && list_empty(&worker->waiting));
	require(admin || (!worker->all_paused && !worker->paused));
	stage_check(play->stage);
}

static void step(struct play *play)
{
	struct stage *stage = play->stage;
	uint8_t byte = dice_byte(&stage->dice);

	switch (byte & 7) {
	case 0:
	case 1:
	case 2: {
		const struct line *line = &lines[dice_byte(&stage->dice) % LINES];

		send_message(play, line->type, line->body, line->len);
		break;
	}
	case 3:
		send_query(play);
		break;
	case 4:
		send_raw(play);
		break;
	case 5:
		stage->cut = 1 + dice_byte(&stage->dice) % 64;
		return;
	case 6:
		send_cancel(play);
		stage_tick(stage, 0);
		break;
	default:
		if (byte >> 3 == 31)
			player_close(play->player);
		else
			stage_tick(stage, 0);
	}
	for (int i = byte >> 6; i >= 0; i--)
		stage_turn(stage);
	listen_to_console(play);
}

static void log_in(struct play *play)
{
	static const char pairs[] = "user\0app\0database\0bulkhead\0application_name\0fuzz\0";
	struct buf out;
	size_t mark;

	player_connect(play->stage, play->player, &play->stage->trust);
	buf_init(&out);
	require(wire_begin(&out, 0, &mark) && buf_append_u32(&out, WIRE_VERSION_3_0) &&
			buf_append(&out, pairs, sizeof pairs) && wire_end(&out, mark));
	player_send(play->stage, play->player, buf_data(&out), buf_len(&out));
	buf_fini(&out);
	stage_turn(play->stage);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct play play = {.stage = stage_get()};
	struct stage *stage = play.stage;
	static char app[] = "app", nobody[] = "";

	/* RELOAD and SHUTDOWN are the process's business. */
	signal(SIGHUP, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	stage_begin(stage, data, size);
	bool admin = dice_byte(&stage->dice) & 1;
	char *admins = stage->conf->admin_users, *watchers = stage->conf->stats_users;
	stage->conf->admin_users = admin ? app : nobody;
	stage->conf->stats_users = app;
	play.player = &stage->players[0];
	buf_init(&play.said);
	log_in(&play);
	while (dice_are_left(&stage->dice) && play.player->fd >= 0) {
		step(&play);
		check(&play, admin);
	}
	player_close(play.player);
	for (int i = 0; i < 4; i++)
		stage_turn(stage);
	stage->conf->admin_users = admins;
	stage->conf->stats_users = watchers;
	operate_fini(stage->worker); /* who is paused */
	stage_end(stage);
	buf_fini(&play.said);
	return 0;
}
