#include "tests/fuzz/message_loop.h"

#include <string.h>

void loop_init(struct loop *loop, const struct loop_host *host)
{
	memset(loop, 0, sizeof *loop);
	loop->host = host;
	loop->status = 'I';
}

static void answer(struct loop *loop, char type, const char *text)
{
	loop->host->answer(loop->host->self, type, text);
}

static void fail(struct loop *loop, const char *sqlstate);

static bool fails(struct loop *loop, const struct message *message)
{
	const char *sqlstate = loop->host->fails(loop->host->self, message);

	if (sqlstate)
		fail(loop, sqlstate);
	return sqlstate != NULL;
}

static void ready(struct loop *loop)
{
	char status[] = {loop->status, '\0'};

	loop->batch = false;
	answer(loop, 'Z', status);
}

static void fail(struct loop *loop, const char *sqlstate)
{
	answer(loop, 'E', sqlstate);
	if (loop->status == 'T')
		loop->status = 'E';
	loop->copying = false;
	if (loop->extended)
		loop->ignoring = true;
	else
		ready(loop);
}

/* ---- statements ---- */

static void change_status(struct loop *loop, enum statement_effect effect)
{
	if (effect == EFFECT_BEGIN && loop->status == 'I')
		loop->status = 'T';
	else if (effect == EFFECT_END)
		loop->status = 'I';
}

static void send_rows(struct loop *loop, const struct outcome *statement)
{
	if (!loop->extended)
		answer(loop, 'T', NULL);
	for (unsigned i = 0; i < statement->rows; i++)
		answer(loop, 'D', NULL);
}

static void copy_out(struct loop *loop, const struct outcome *statement)
{
	answer(loop, 'H', NULL);
	for (unsigned i = 0; i < statement->rows; i++)
		answer(loop, 'd', NULL);
	answer(loop, 'c', NULL);
}

/* False when the statement failed or reads a COPY: what follows is not carried out now. */
static bool carry_out(struct loop *loop, const struct outcome *statement)
{
	if (statement->kind == STATEMENT_FAILS ||
		(loop->status == 'E' && statement->effect != EFFECT_END)) {
		if (statement->kind == STATEMENT_FAILS && statement->rows)
			send_rows(loop, statement);
		fail(loop, loop->status == 'E' ? "25P02" : statement->tag);
		return false;
	}
	switch (statement->kind) {
	case STATEMENT_ROWS:
		send_rows(loop, statement);
		break;
	case STATEMENT_NOTHING:
		answer(loop, 'I', NULL);
		return true;
	case STATEMENT_COPY_OUT:
		copy_out(loop, statement);
		break;
	case STATEMENT_COPY_IN:
		answer(loop, 'G', NULL);
		loop->copying = true;
		loop->statement = *statement;
		return false;
	case STATEMENT_COMMAND:
	case STATEMENT_FAILS:
		break;
	}
	if (statement->suspended && loop->extended) {
		answer(loop, 's', NULL);
		return true;
	}
	change_status(loop, statement->effect);
	answer(loop, 'C', statement->tag);
	return true;
}

static void run_query(struct loop *loop, bool more)
{
	while (more) {
		struct outcome statement = loop->host->run(loop->host->self, &loop->query);

		if (!carry_out(loop, &statement))
			return;
		more = statement.more;
	}
	ready(loop);
}

static void run_execute(struct loop *loop, const struct message *message)
{
	struct outcome statement = loop->host->run(loop->host->self, message);

	carry_out(loop, &statement);
}

/* ---- COPY from the client ---- */

static void end_copy(struct loop *loop)
{
	loop->copying = false;
	answer(loop, 'C', loop->statement.tag);
	if (!loop->extended)
		run_query(loop, loop->statement.more);
}

static void read_copy(struct loop *loop, const struct message *message)
{
	switch (message->type) {
	case 'd':
		fails(loop, message);
		break;
	case 'c':
		if (!fails(loop, message))
			end_copy(loop);
		break;
	case 'f':
		fail(loop, "57014");
		break;
	case 'H':
	case 'S':
		break;
	default:
		if (loop->lenient) {
			fail(loop, "08P01");
			break;
		}
		answer(loop, 'E', "08P01");
		answer(loop, 'E', "08P01"); /* FATAL: protocol synchronization was lost */
		loop->dead = true;
	}
}

/* ---- the loop ---- */

static void describe(struct loop *loop, const struct message *message)
{
	const struct loop_host *host = loop->host;

	if (host->is_statement(host->self, message))
		answer(loop, 't', NULL);
	answer(loop, host->has_rows(host->self, message) ? 'T' : 'n', NULL);
}

static void read_extended(struct loop *loop, const struct message *message)
{
	if (message->type == 'H')
		return; /* begins nothing */
	loop->extended = loop->batch = true;
	if (message->type == 'E') {
		run_execute(loop, message);
	} else if (fails(loop, message)) {
		return;
	} else if (message->type == 'D') {
		describe(loop, message);
	} else {
		answer(loop, message->type == 'P' ? '1' : message->type == 'B' ? '2' : '3', NULL);
	}
}

static void read_alone(struct loop *loop, const struct message *message)
{
	loop->extended = false;
	switch (message->type) {
	case 'Q':
		loop->query = *message;
		run_query(loop, true);
		break;
	case 'F':
		if (fails(loop, message))
			break;
		answer(loop, 'V', NULL);
		ready(loop);
		break;
	case 'S':
		/* A deferred constraint may fail, at the commit. */
		if (!loop->batch || !fails(loop, message))
			ready(loop);
		break;
	default:
		break; /* of a COPY that has ended */
	}
}

void loop_read(struct loop *loop, const struct message *message)
{
	if (loop->dead)
		return;
	if (loop->copying) {
		read_copy(loop, message);
		return;
	}
	if (message->type == 'X') {
		loop->dead = true;
		return;
	}
	if (message->type == 'S')
		loop->ignoring = false;
	if (loop->ignoring)
		return;
	if (strchr("PBCDEH", message->type))
		read_extended(loop, message);
	else
		read_alone(loop, message);
}

bool loop_is_at_rest(const struct loop *loop)
{
	return !loop->copying && !loop->ignoring && !loop->batch;
}

bool loop_owes_for(char type)
{
	return strchr("PBCDESQF", type) != NULL;
}
