/*
 * Sessions of two tenants on few backends, in the real data plane: applications and servers
 * that say what they should, byte by byte or all at once, and hostile ones among them that say
 * anything. Relay, hand-over, local answers, pinning, restoring, cancels and timeouts all run;
 * what must hold is in stage.c (lists and rows) and postgres.c (whose bytes come where).
 */
#include <string.h>

#include "proxy/settings.h"
#include "proxy/wire.h"
#include "tests/fuzz/lines.h"
#include "tests/fuzz/stage.h"

/*
 * ---- what applications say; `@` stands for the client's mark ----
 *
 * What binds a named statement sends a value: the name of the statement and the mark, by which
 * the server knows what it should find there.
 */

#define BIND(name) LINE('B', "\0" name "\0\0\0\0\1\0\0\0\x1c" name "@\0\0")

static const struct line lines[] = {
	LINE('Q', "SELECT 1 /*@*/\0"),
	LINE('Q', "BEGIN\0"),
	LINE('Q', "COMMIT /*@*/\0"),
	LINE('Q', "SET app.x = 'one' /*@*/\0"),
	LINE('Q', "RESET ALL /*@*/\0"),
	LINE('Q', "DISCARD ALL /*@*/\0"),
	LINE('P', "\0SELECT $1 /*@*/\0\0\0"),
	LINE('P', "s1\0SELECT 's1' /*@*/\0\0\0"),
	LINE('P', "\0BEGIN\0\0\0"),
	LINE('P', "s2\0BEGIN\0\0\0"),
	LINE('P', "\0SET app.x = 'it''s' /*@*/\0\0\0"),
	LINE('B', "\0\0\0\0\0\0\0\0"),
	BIND("s1"),
	LINE('B', "\0s2\0\0\0\0\0\0\0"),
	LINE('B', "p\0\0\0\0\0\1\0\0\0\1x\0\0"),
	LINE('D', "S\0"),
	LINE('D', "Ss2\0"),
	LINE('D', "P\0"),
	LINE('E', "\0\0\0\0\0"),
	LINE('E', "p\0\0\0\0\1"),
	LINE('C', "Ss1\0"),
	LINE('C', "Ss2\0"),
	LINE('S', ""),
	LINE('H', ""),
	LINE('F', "\0\0\0\1\0\0\0\0\0\0"),
	LINE('d', "1\n"),
	LINE('c', ""),
	LINE('f', "no\0"),
	LINE('Q', "SET TRANSACTION READ ONLY\0"),
	LINE('Q', "ROLLBACK /*@*/\0"),
	LINE('Q', "START TRANSACTION ISOLATION LEVEL SERIALIZABLE\0"),
	LINE('X', ""),
	LINE('P', "s3\0SELECT 's3'\0\0\0"),
	LINE('P', "s4\0SELECT 's4', 2 /*@*/\0\0\0"),
	LINE('P', "s4\0SELECT 's4', 3 /*@*/\0\0\0"),
	LINE('P', "s5\0SET app.y = 'two' /*'s5' @*/\0\0\0"),
	LINE('P', "s6\0SELECT FROM FROM /*'s6' @*/\0\0\0"),
	BIND("s3"),
	BIND("s4"),
	BIND("s5"),
	BIND("s6"),
	LINE('D', "Ss1\0"),
	LINE('D', "Ss3\0"),
	LINE('C', "Ss3\0"),
	LINE('C', "Ss4\0"),
	LINE('C', "S\0"),
	LINE('Q', "DEALLOCATE s1 /*@*/\0"),
	LINE('Q', "DEALLOCATE ALL /*@*/\0"),
	LINE('P', "\0DEALLOCATE s1 /*@*/\0\0\0"),
	LINE('P', "\0RESET ALL /*@*/\0\0\0"),
	LINE('Q', "SET app.x = 'it''s' /*@*/\0"),
	LINE('Q', "SET app.y = 'two' /*@*/\0"),
	LINE('Q', "SET search_path = \"B\", c /*@*/\0"),
	LINE('Q', "SET work_mem = '65kB' /*@*/\0"),
	LINE('Q', "SET application_name = 'two' /*@*/\0"),
	LINE('Q', "RESET app.x /*@*/\0"),
	LINE('Q', "RESET work_mem /*@*/\0"),
	LINE('Q', "SET LOCAL app.x = 'local' /*@*/\0"),
	LINE('Q', "LISTEN x /*@*/\0"),
	LINE('Q', "UNLISTEN x /*@*/\0"),
	LINE('Q', "CREATE TEMP TABLE t (x int) /*@*/\0"),
	LINE('Q', "DROP TABLE t /*@*/\0"),
	LINE('Q', "PREPARE q AS SELECT 1 /*@*/\0"),
	LINE('Q', "DEALLOCATE q /*@*/\0"),
	LINE('Q', "DO 'BEGIN RESET ALL; END' /*@*/\0"),
	LINE('B', "p\0s1\0\0\0\0\1\0\0\0\x1cs1@\0\0"),
	LINE('C', "Pp\0"),
	LINE('Q', "\0"),
};
#define LINES (sizeof lines / sizeof *lines)

static void append_line(const struct stage *stage, const struct player *player,
						const struct line *line, struct buf *out)
{
	char mark[MARK_MAX] = "?";
	size_t at;

	if (player->marked)
		mark_client(&stage->world, player->serial, player->tenant, mark);
	require(wire_begin(out, line->type, &at));
	for (size_t i = 0; i < line->len; i++)
		require(line->body[i] == '@' ? buf_append(out, mark, strlen(mark))
									 : buf_append_byte(out, (uint8_t)line->body[i]));
	require(wire_end(out, at));
}

/* A byte each, up to one that is no line's. */
static void say(struct stage *stage, struct player *player)
{
	struct buf out;
	uint8_t byte;

	buf_init(&out);
	while ((byte = dice_byte(&stage->dice)) != 0 && byte <= LINES)
		append_line(stage, player, &lines[byte - 1], &out);
	player_send(stage, player, buf_data(&out), buf_len(&out));
	buf_fini(&out);
}

/* What it says from now on is nobody's, and so is what it may have set. */
static void player_is_unknown(struct stage *stage, struct player *player)
{
	player->marked = false;
	if (player->serial < CLIENTS_MAX)
		stage->world.clients[player->serial].is_known = false;
}

static void say_anything(struct stage *stage, struct player *player)
{
	size_t len;
	const uint8_t *data = dice_take(&stage->dice, dice_byte(&stage->dice), &len);

	player_is_unknown(stage, player);
	player_send(stage, player, data, len);
}

/* A message of up to 512 kB, or its beginning. */
static void say_much(struct stage *stage, struct player *player)
{
	static uint8_t much[WIRE_HEADER + (1 << 19)];
	uint8_t byte = dice_byte(&stage->dice);
	uint32_t len = 1u << (byte % 20), there = byte & 0x80 ? len : len / 2;
	const uint8_t header[] = {'d', (uint8_t)((len + 4) >> 24), (uint8_t)((len + 4) >> 16),
							  (uint8_t)((len + 4) >> 8), (uint8_t)(len + 4)};

	memcpy(much, header, sizeof header);
	if (byte & 0x40)
		much[0] = 'Q';
	if (!(byte & 0x80))
		player_is_unknown(stage, player); /* what it says next is the rest of this */
	player_send(stage, player, much, WIRE_HEADER + there);
}

/* ---- what servers say that they should not ---- */

static const struct line lies[] = {
	LINE('E', "SERROR\0C42601\0Mno\0"),
	LINE('E', "Mno code\0"),
	LINE('E', ""),
	LINE('E', "SERROR\0VERROR\0CBH001\0Mno\0"),
	LINE('E', "SFATAL\0VFATAL\0C57P01\0Mbye\0"),
	LINE('E', "CBH001"),
	LINE('S', "application_name\0" SETTINGS_MARKER "\0"),
	LINE('S', "application_name\0x\0"),
	LINE('S', "a\0b\0c\0"),
	LINE('S', ""),
	LINE('N', "Mno\0"),
	LINE('A', "\0\0\0\1x\0y\0"),
	LINE('Z', "I"),
	LINE('Z', "T"),
	LINE('Z', "X"),
	LINE('Z', "II"),
	LINE('C', "SELECT 1\0"),
	LINE('C', "DISCARD ALL\0"),
	LINE('C', "SET"),
	LINE('1', ""),
	LINE('2', ""),
	LINE('3', ""),
	LINE('T', "\0\0"),
	LINE('D', "\0\1\0\0\0\1x"),
	LINE('D', "\0\1\0\0\0\x23"
			  "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa,61"), /* the seal of tenant a */
	LINE('G', "\0\0\0"),
	LINE('H', "\0\0\0"),
	LINE('W', "\0\0\0"),
	LINE('R', "\0\0\0\0"),
	LINE('K', "\0\0\0\1\0\0\0\1"),
	LINE('V', "\0\0\0\0"),
	LINE('s', ""),
};
#define LIES (sizeof lies / sizeof *lies)

static void lie(struct stage *stage, struct postgres *postgres)
{
	struct buf out;
	uint8_t byte;

	buf_init(&out);
	while ((byte = dice_byte(&stage->dice)) != 0 && byte <= LIES)
		require(
			wire_message(&out, lies[byte - 1].type, lies[byte - 1].body, lies[byte - 1].len));
	postgres_lie(postgres, buf_data(&out), buf_len(&out));
	buf_fini(&out);
}

static void lie_anything(struct stage *stage, struct postgres *postgres)
{
	size_t len;
	const uint8_t *data = dice_take(&stage->dice, dice_byte(&stage->dice), &len);

	postgres_lie(postgres, data, len);
}

/* A message of up to 512 kB, or its beginning. */
static void lie_much(struct stage *stage, struct postgres *postgres)
{
	static const char types[] = "DDdESNTC";
	static uint8_t much[WIRE_HEADER + (1 << 19)];
	uint8_t byte = dice_byte(&stage->dice), type = dice_byte(&stage->dice);
	uint32_t len = 1u << (byte % 20);

	much[0] = (uint8_t)types[type % 8];
	for (int i = 0; i < 4; i++)
		much[1 + i] = (uint8_t)((len + 4) >> (24 - 8 * i));
	postgres_lie(postgres, much, WIRE_HEADER + (byte & 0x80 ? len : len / 2));
}

/* ---- connections ---- */

/* What its sessions are to be like until it changes them. */
static void expect_settings(struct stage *stage, const struct player *player,
							const char *const pair[2])
{
	struct state startup = {.left = 0};

	if (player->serial >= CLIENTS_MAX)
		return;
	state_set(&startup, "application_name", "");
	if (pair)
		state_set(&startup, pair[0], pair[1]);
	stage->world.clients[player->serial].now = stage->world.clients[player->serial].startup =
		startup;
	stage->world.clients[player->serial].is_known = true;
}

static void connect_player(struct stage *stage, struct player *player)
{
	static const char *const users[] = {"app.a", "app.b"};
	static const char *const settings[][2] = {{"application_name", "one"},
											  {"application_name", "it's"},
											  {"work_mem", "64kB"},
											  {"search_path", "a, \"B\""}};
	uint8_t byte = dice_byte(&stage->dice);
	struct buf out;
	size_t mark;

	player_connect(stage, player, &stage->trust);
	player->tenant = byte & 1;
	expect_settings(stage, player, byte & 2 ? settings[byte >> 2 & 3] : NULL);
	buf_init(&out);
	require(wire_begin(&out, 0, &mark) && buf_append_u32(&out, WIRE_VERSION_3_0) &&
			buf_append_cstr(&out, "user") && buf_append_cstr(&out, users[player->tenant]) &&
			buf_append_cstr(&out, "database") && buf_append_cstr(&out, "app"));
	if (byte & 2)
		require(buf_append_cstr(&out, settings[byte >> 2 & 3][0]) &&
				buf_append_cstr(&out, settings[byte >> 2 & 3][1]));
	require(buf_append_byte(&out, 0) && wire_end(&out, mark));
	player_send(stage, player, buf_data(&out), buf_len(&out));
	buf_fini(&out);
}

static void cancel(struct stage *stage, const struct player *player)
{
	struct player requester = {.fd = -1};
	struct buf out;
	size_t mark;

	if (player->fd < 0)
		return;
	player_connect(stage, &requester, &stage->trust);
	buf_init(&out);
	require(wire_begin(&out, 0, &mark) && buf_append_u32(&out, 80877102) &&
			buf_append_u32(&out, player->pid) &&
			buf_append(&out, player->key, sizeof player->key) && wire_end(&out, mark));
	player_send(stage, &requester, buf_data(&out), buf_len(&out));
	stage_turn(stage);
	player_close(&requester);
	buf_fini(&out);
}

/* ---- the play ---- */

static void choose_settings(struct stage *stage)
{
	uint8_t byte = dice_byte(&stage->dice);

	stage->conf->default_pool_size = 1 + (byte & 1);
	stage->conf->pool_mode = byte & 2 ? POOL_SESSION : POOL_TRANSACTION;
	stage->conf->max_tenant_connections = byte & 4 ? 1 : 0;
	stage->budget.limit = byte & 8 ? 1 : 0;
	stage->conf->query_timeout_ms = byte & 16 ? 1000 : 0;
	stage->conf->client_idle_timeout_ms = byte & 32 ? 5000 : 0;
	stage->conf->max_prepared_statements = byte & 64 ? 2 : 100;
	stage->conf->discard_plans = !(byte & 128);
}

static void step(struct stage *stage)
{
	uint8_t byte = dice_byte(&stage->dice), who = byte >> 4;
	struct player *player = &stage->players[who % STAGE_PLAYERS];
	struct postgres *postgres = &stage->servers[who % STAGE_SERVERS];

	trace("-- %u %u\n", byte & 0xf, who);
	switch (byte & 0xf) {
	case 0:
		stage_turn(stage);
		break;
	case 1:
	case 2:
		say(stage, player);
		break;
	case 3:
		say_anything(stage, player);
		break;
	case 4:
		say_much(stage, player);
		break;
	case 5:
		connect_player(stage, player);
		break;
	case 6:
		player_close(player);
		break;
	case 7:
		cancel(stage, player);
		break;
	case 8:
		stage->cut = dice_byte(&stage->dice);
		break;
	case 9:
		postgres_serve(postgres, 1 + dice_byte(&stage->dice) % 8);
		stage_turn(stage);
		break;
	case 10:
		lie(stage, postgres);
		stage_turn(stage);
		break;
	case 11:
		lie_anything(stage, postgres);
		stage_turn(stage);
		break;
	case 12:
		lie_much(stage, postgres);
		stage_turn(stage);
		break;
	case 13:
		postgres_close(postgres);
		break;
	case 14:
		stage_tick(stage, (int64_t)(who % 16) * 2000000);
		break;
	default:
		if (who & 1)
			player_read(stage, player);
		else
			stage_settle(stage);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct stage *stage = stage_get();

	stage_begin(stage, data, size);
	choose_settings(stage);
	connect_player(stage, &stage->players[0]);
	stage_settle(stage);
	while (dice_are_left(&stage->dice))
		step(stage);
	stage_settle(stage);
	stage_end(stage);
	return 0;
}
