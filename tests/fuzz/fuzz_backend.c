/*
 * A client waits for a backend, and what is at the other end may be anything: authentication
 * requests, the server's half of SCRAM, parameters, keys, the self-check, the hand-over. None
 * of it may be taken for a backend that has not logged Bulkhead in, proved itself where it
 * asked for a proof, refused the probe and passed the check; and the password goes out in clear
 * to nobody unless that is permitted.
 */
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "policy/guard/guard.h"
#include "proxy/scram.h"
#include "proxy/settings.h"
#include "proxy/wire.h"
#include "tests/fuzz/lines.h"
#include "tests/fuzz/stage.h"

#define HEX32 "00112233445566778899aabbccddeeff"

static const struct line lines[] = {
	LINE('R', "\0\0\0\0"),
	LINE('R', "\0\0\0\3"),
	LINE('R', "\0\0\0\5salt"),
	LINE('R', "\0\0\0\5sal"),
	LINE('R', "\0\0\0\12SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0"),
	LINE('R', "\0\0\0\12PLAIN\0\0"),
	LINE('R', "\0\0\0\12SCRAM-SHA-256"),
	LINE('R', "\0\0\0\14v=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="),
	LINE('R', "\0\0\0\14e=other-error"),
	LINE('R', "\0\0\0\7"),
	LINE('R', "\0\0"),
	LINE('S', "server_version\00015\0"),
	LINE('S', "application_name\0" SETTINGS_MARKER "\0"),
	LINE('S', "no end"),
	LINE('S', "\0\0"),
	LINE('K', "\0\0\3\350\0\0\0\1"),
	LINE('K', "\0\0\3\350"),
	LINE('K', "\0\0\3\350\0"),
	LINE('Z', "I"),
	LINE('Z', "T"),
	LINE('Z', ""),
	LINE('E', "SERROR\0VERROR\0C42501\0Mno\0\0"),
	LINE('E', "SERROR\0Mno code\0\0"),
	LINE('E', "C42501"),
	LINE('E', ""),
	LINE('E', "SFATAL\0VFATAL\0C57P03\0Mstarting up\0\0"),
	LINE('N', "SNOTICE\0Mno\0\0"),
	LINE('A', "\0\0\0\1x\0y\0"),
	LINE('T', "\0\0"),
	LINE('C', "SELECT 1\0"),
	LINE('C', "DISCARD ALL\0"),
	LINE('D', "\0\0"),
	LINE('D', "\0\1\377\377\377\377"),
	LINE('D', "\0\10\0\0"),
	LINE('D', "\0\11\0\0\0\0"),
	LINE('1', ""),
	LINE('2', ""),
	LINE('v', "\0\3\0\0\0\0\0\0"),
	LINE('G', "\0\0\0"),
	LINE('D', "\0\1\0\0\0\x23"
			  "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa,61"), /* the seal of tenant a */
};
#define LINES (sizeof lines / sizeof *lines)

/* Behind the lines: what depends on what Bulkhead said, or is long. */
enum { SAY_SCRAM_FIRST = LINES, SAY_SCRAM_FINAL, SAY_CHECK_ROW, SAY_LONG, SAYINGS };

struct play {
	struct stage *stage;
	struct postgres *postgres;
	struct scram_server scram;
	bool scram_begun, proved;
	bool asked_clear; /* a request for the password in clear went out, perhaps in raw bytes */
	unsigned readies, errors, rows, oks;
	bool raw;        /* what the counts say is not all */
	struct buf said; /* by Bulkhead */
};

/* ---- what Bulkhead says ---- */

static bool holds(const struct buf *buf, const char *what)
{
	return buf_len(buf) &&
		   memmem(buf->memory + buf->start, buf_len(buf), what, strlen(what)) != NULL;
}

static void listen_to_bulkhead(struct play *play)
{
	uint8_t bytes[4096];
	ssize_t n;

	while (play->postgres->fd >= 0 &&
		   (n = recv(play->postgres->fd, bytes, sizeof bytes, MSG_DONTWAIT)) > 0)
		require(buf_append(&play->said, bytes, (size_t)n));
	if (holds(&play->said, STAGE_PASSWORD))
		require(play->stage->conf->clusters[0].allow_cleartext &&
				(play->asked_clear || play->raw));
	require(buf_len(&play->said) < 1 << 16);
}

/* The data of Bulkhead's last SASL message, of which `skip` bytes are something else. */
static const uint8_t *last_sasl(struct play *play, size_t skip, size_t *len)
{
	const uint8_t *data = buf_data(&play->said), *found = NULL;
	size_t at = buf_len(&play->said) >= 4 ? wire_u32(data) : SIZE_MAX; /* the startup packet */

	while (at < buf_len(&play->said) && buf_len(&play->said) - at >= WIRE_HEADER) {
		size_t total = 1 + (size_t)wire_u32(data + at + 1);

		if (data[at] == 'p' && total >= WIRE_HEADER + skip) {
			found = data + at + WIRE_HEADER + skip;
			*len = total - WIRE_HEADER - skip;
		}
		at += total;
	}
	return found;
}

/* ---- what the server says ---- */

static void append_sasl(struct play *play, uint32_t request, size_t skip, struct buf *out)
{
	struct buf answer;
	size_t len = 0;
	const uint8_t *data = last_sasl(play, skip, &len);

	if (!data || !play->scram_begun)
		return;
	buf_init(&answer);
	enum scram_result result = scram_server_step(&play->scram, data, len, &answer);
	if (result == SCRAM_CONTINUE || result == SCRAM_DONE)
		require(wire_authentication(out, request, buf_data(&answer), buf_len(&answer)));
	play->proved |= result == SCRAM_DONE;
	buf_fini(&answer);
}

static void begin_scram(struct play *play)
{
	struct scram_verifier verifier;

	if (play->scram_begun)
		scram_server_fini(&play->scram);
	require(scram_verifier_parse(play->stage->principal->verifier, &verifier));
	scram_server_init(&play->scram, &verifier, false);
	play->scram_begun = true;
}

/* The row of a sound server, or one with a single value changed. */
static void append_check_row(struct play *play, struct buf *out)
{
	const char *values[GUARD_CHECK_COLUMNS] = {"150000",      "pool", "",  "on",
											   GUARD_VERSION, HEX32,  "1", ""};
	static const char *const others[] = {"",  "140000", "off", "x", "999999999999999999999",
										 NULL};
	uint8_t byte = dice_byte(&play->stage->dice);
	size_t mark;

	if (byte)
		values[byte % GUARD_CHECK_COLUMNS] = others[byte / GUARD_CHECK_COLUMNS % 6];
	require(wire_begin(out, 'D', &mark) && buf_append_u16(out, GUARD_CHECK_COLUMNS));
	for (size_t i = 0; i < GUARD_CHECK_COLUMNS; i++) {
		size_t len = values[i] ? strlen(values[i]) : 0;

		require(buf_append_u32(out, values[i] ? (uint32_t)len : UINT32_MAX) &&
				buf_append(out, values[i] ? values[i] : "", len));
	}
	require(wire_end(out, mark));
	play->rows++;
}

/* A parameter with a name of its own and a value of some length, or a message that is too long.
 */
static void append_long(struct play *play, struct buf *out)
{
	uint8_t byte = dice_byte(&play->stage->dice);
	size_t len = (size_t)1 << (byte % 17), mark;

	require(wire_begin(out, byte & 0x80 ? 'N' : 'S', &mark) && buf_append_byte(out, byte) &&
			buf_append_byte(out, 0));
	for (size_t i = 0; i < len; i++)
		require(buf_append_byte(out, 'x'));
	require(buf_append_byte(out, 0) && wire_end(out, mark));
}

static void count(struct play *play, const struct line *line)
{
	play->readies += line->type == 'Z' && line->len == 1 && *line->body == 'I';
	play->errors += line->type == 'E';
	play->oks += line->type == 'R' && line->len == 4 && line->body[3] == 0;
	play->asked_clear |= line->type == 'R' && line->len == 4 && line->body[3] == 3;
}

static void append_saying(struct play *play, unsigned saying, struct buf *out)
{
	switch (saying) {
	case SAY_SCRAM_FIRST:
		begin_scram(play);
		append_sasl(play, AUTH_SASL_CONTINUE, sizeof SCRAM_MECHANISM + 4, out);
		break;
	case SAY_SCRAM_FINAL:
		append_sasl(play, AUTH_SASL_FINAL, 0, out);
		break;
	case SAY_CHECK_ROW:
		append_check_row(play, out);
		break;
	case SAY_LONG:
		append_long(play, out);
		break;
	default:
		count(play, &lines[saying]);
		require(wire_message(out, lines[saying].type, lines[saying].body, lines[saying].len));
	}
}

/* Sends in two parts, when the input wants it so, with a turn of the loop between them. */
static void send_cut(struct play *play, struct buf *out)
{
	size_t cut = play->stage->cut < buf_len(out) ? play->stage->cut : 0;

	play->stage->cut = 0;
	if (cut) {
		postgres_lie(play->postgres, buf_data(out), cut);
		stage_turn(play->stage);
	}
	if (buf_len(out))
		postgres_lie(play->postgres, buf_data(out) + cut, buf_len(out) - cut);
	buf_fini(out);
}

static void say_raw(struct play *play)
{
	size_t len;
	const uint8_t *data =
		dice_take(&play->stage->dice, dice_byte(&play->stage->dice) % 64, &len);
	struct buf out;

	buf_init(&out);
	play->raw = true;
	require(buf_append(&out, data, len));
	send_cut(play, &out);
}

static void say(struct play *play, unsigned saying, unsigned times)
{
	struct buf out;

	buf_init(&out);
	for (unsigned i = 0; i < times; i++)
		append_saying(play, saying, &out);
	send_cut(play, &out);
}

/* ---- the play ---- */

/* What a backend that is used must have said. */
static void check_usable(struct play *play)
{
	struct pool *pool, *next;

	HASH_ITER (hh, play->stage->worker->pools, pool, next) {
		list_each (node, after, &pool->servers) {
			const struct server *server = list_entry(node, struct server, node);

			require(server->params.count <= PARAMS_MAX);
			if (server->login || server->state == SERVER_CONNECTING)
				continue;
			require(strlen(server->guard.id) == UUID_HEX_SIZE - 1);
			if (play->raw)
				continue;
			require(play->oks && play->readies >= 3 && play->errors && play->rows);
			if (holds(&play->said, SCRAM_MECHANISM))
				require(play->proved);
		}
	}
}

static void step(struct play *play)
{
	struct dice *dice = &play->stage->dice;
	uint8_t byte = dice_byte(dice);

	if (byte < SAYINGS)
		say(play, byte, 1);
	else if (byte < 0x40)
		play->stage->cut = 1 + dice_byte(dice) % 64;
	else if (byte < 0x50)
		say_raw(play);
	else if (byte < 0x58)
		say(play, dice_byte(dice) % SAYINGS, 1 + dice_byte(dice));
	else if (byte < 0x5a)
		postgres_close(play->postgres);
	else if (byte < 0x5c)
		stage_tick(play->stage, 20000000);
	else
		say(play, byte % SAYINGS, 1);
	stage_turn(play->stage);
	listen_to_bulkhead(play);
	check_usable(play);
}

static void connect_client(struct stage *stage)
{
	static const char packet[] = "\0\0\0\x21\0\3\0\0user\0app.a\0database\0app\0";

	player_connect(stage, &stage->players[0], &stage->trust);
	player_send(stage, &stage->players[0], packet, sizeof packet);
	for (int i = 0; i < 4 && stage->servers[0].fd < 0; i++)
		stage_turn(stage);
}

static void choose_settings(struct stage *stage)
{
	struct conf_cluster *cluster = &stage->conf->clusters[0];
	uint8_t byte = dice_byte(&stage->dice);

	cluster->password = byte & 1 ? NULL : stage->password;
	cluster->allow_cleartext = byte & 2;
	stage->conf->default_pool_size = 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct play play = {.stage = stage_get()};

	play.postgres = &play.stage->servers[0];
	stage_begin(play.stage, data, size);
	choose_settings(play.stage);
	connect_client(play.stage);
	buf_init(&play.said);
	require(play.postgres->fd >= 0);
	stage_turn(play.stage);
	listen_to_bulkhead(&play);
	while (dice_are_left(&play.stage->dice) && play.postgres->fd >= 0)
		step(&play);
	stage_end(play.stage);
	if (play.scram_begun)
		scram_server_fini(&play.scram);
	buf_fini(&play.said);
	return 0;
}
