/*
 * The account of what a backend owes, against a model of PostgreSQL's own message loop.
 * Messages and answers travel as slowly as the input says, so that each side acts on what the
 * other did long ago. The account must take every answer that the model gives, must never be
 * empty while the model owes something, and must be empty when the client has done all that it
 * can for that.
 */
#include <string.h>

#include "base/buf.h"
#include "proxy/replies.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/message_loop.h"

#define OURS 0x80

struct world {
	struct dice dice;
	struct replies replies;
	struct loop server;
	struct buf sent;     /* types of messages on their way, OURS when they are Bulkhead's */
	struct buf answered; /* types of answers on their way back */
	bool ours;           /* the message that is being answered */
};

/* ---- the server's statements, as the input has them ---- */

static struct outcome run(void *self, const struct message *message)
{
	struct dice *dice = &((struct world *)self)->dice;
	unsigned roll = dice_fate(dice);
	struct outcome statement = {.tag = "SELECT 1", .rows = roll >> 6};

	(void)message;
	statement.kind = (enum statement_kind)(roll % 6);
	statement.more = statement.kind != STATEMENT_NOTHING && (roll & 0x10) != 0;
	statement.suspended = statement.kind == STATEMENT_ROWS && (roll & 0x20) != 0;
	if (statement.kind == STATEMENT_COMMAND)
		statement.effect = (enum statement_effect)(statement.rows % 3);
	return statement;
}

/* Never at the end of the input, so that what is left then can be brought to an end. */
static const char *fails(void *self, const struct message *message)
{
	struct dice *dice = &((struct world *)self)->dice;

	(void)message;
	return dice_fate(dice) % 8 == 7 ? "42601" : NULL;
}

static bool flip(void *self, const struct message *message)
{
	(void)message;
	return dice_fate(&((struct world *)self)->dice) & 1;
}

static void answer(void *self, char type, const char *text)
{
	struct world *world = self;
	bool ours = world->ours && type == '1';

	(void)text;
	require(buf_append_byte(&world->answered, (uint8_t)type | (ours ? OURS : 0)));
}

/* ---- what travels ---- */

static uint8_t take(struct buf *buf)
{
	uint8_t byte = *buf_data(buf);

	buf_consume(buf, 1);
	return byte;
}

static void ask(struct world *world, char type)
{
	if (!replies_asked(&world->replies, type)) {
		require(world->replies.count == REPLIES_MAX);
		return;
	}
	require(buf_append_byte(&world->sent, (uint8_t)type));
}

/* A Bind or Describe, with a Parse of Bulkhead's own in front where the relay adds one. */
static void ask_by_name(struct world *world, char type)
{
	if (!world->replies.skipping && !world->replies.lost &&
		replies_push(&world->replies, REPLY_PARSE | REPLY_OURS))
		require(buf_append_byte(&world->sent, 'P' | OURS));
	ask(world, type);
}

static void serve(struct world *world)
{
	if (!buf_len(&world->sent))
		return;
	uint8_t byte = take(&world->sent);
	struct message message = {.type = (char)(byte & ~OURS)};

	world->ours = byte & OURS;
	loop_read(&world->server, &message);
}

static void receive(struct world *world)
{
	bool ours;

	if (!buf_len(&world->answered))
		return;
	uint8_t byte = take(&world->answered);
	require(replies_answered(&world->replies, (char)(byte & ~OURS), &ours));
	if (!world->replies.lost && (byte & ~OURS) != 'E')
		require(ours == ((byte & OURS) != 0));
}

/* ---- what must hold ---- */

static bool is_owed(struct world *world)
{
	if (world->server.dead)
		return false;
	for (size_t i = 0; i < buf_len(&world->sent); i++) {
		if (loop_owes_for((char)(buf_data(&world->sent)[i] & ~OURS)))
			return true;
	}
	return buf_len(&world->answered) || !loop_is_at_rest(&world->server);
}

static void check(struct world *world)
{
	require(!replies_is_empty(&world->replies) || !is_owed(world));
}

static void settle(struct world *world)
{
	while (buf_len(&world->sent) || buf_len(&world->answered)) {
		serve(world);
		receive(world);
		check(world);
	}
}

/* A client that ends its COPY and its batch, and waits, is owed nothing in the end. */
static void finish(struct world *world)
{
	settle(world);
	for (int i = 0; world->server.copying && i < 2; i++) {
		ask(world, 'f');
		settle(world);
	}
	ask(world, 'S');
	settle(world);
	if (!world->server.dead && !world->replies.lost) {
		require(replies_is_empty(&world->replies));
		require(world->replies.count == 0 && !world->replies.copying);
	}
}

static void step(struct world *world)
{
	static const char types[] = "PBDESQCHdcfFSESQ";
	uint8_t byte = dice_byte(&world->dice);

	switch (byte >> 5) {
	case 0:
	case 1:
	case 2:
		ask(world, types[byte & 0xf]);
		break;
	case 3:
		ask_by_name(world, byte & 1 ? 'B' : 'D');
		break;
	case 4:
	case 5:
		serve(world);
		break;
	default:
		receive(world);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct world world = {.dice = {data, data + size}};
	const struct loop_host host = {&world, run, fails, flip, flip, answer};

	replies_init(&world.replies, NULL, NULL);
	loop_init(&world.server, &host);
	buf_init(&world.sent);
	buf_init(&world.answered);
	world.server.lenient = dice_byte(&world.dice) & 1;
	while (dice_are_left(&world.dice)) {
		step(&world);
		check(&world);
	}
	finish(&world);
	replies_fini(&world.replies);
	buf_fini(&world.sent);
	buf_fini(&world.answered);
	return 0;
}
