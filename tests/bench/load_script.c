/* What is sent: statements as messages of the chosen protocol, put together to transactions. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>

#include "load.h"

#define RESULT_ROWS 10000
#define RESULT      "SELECT repeat('x', 1000) FROM generate_series(1, 10000)"
#define COPY_CHUNK  8192
#define COPY_BYTES  (10 * 1000 * 1000)

enum statement {
	BEGIN,
	SET_TENANT,
	SELECT,
	UPDATE,
	INSERT,
	COMMIT,
	RESULT_10MB,
	COPY_OUT,
	COPY_IN,
	ORM,
	INLINED,
	STATEMENTS
};

#define ORM_TEXTS 100
#define TEXT_MAX  512

static struct {
	const struct options *options;
	enum statement statements[8]; /* of one transaction, in order */
	int count;
	char texts[STATEMENTS][TEXT_MAX]; /* with $1, $2 */
	unsigned long turn;               /* makes texts differ */
	struct bytes copy;
} script;

void bytes_append(struct bytes *bytes, const void *data, size_t len)
{
	if (bytes->len + len > bytes->size) {
		bytes->size = (bytes->len + len) * 2;
		bytes->data = realloc(bytes->data, bytes->size);
		if (!bytes->data)
			fail("out of memory");
	}
	memcpy(bytes->data + bytes->len, data, len);
	bytes->len += len;
}

/* ---- messages ---- */

/* Appends the head of a message; its length is filled in by `finish`. */
static size_t begin(struct bytes *out, char type)
{
	bytes_append(out, &(char[5]){type}, 5);
	return out->len - 4;
}

static void finish(struct bytes *out, size_t at)
{
	uint32_t len = htonl((uint32_t)(out->len - at));

	memcpy(out->data + at, &len, sizeof len);
}

static void add_string(struct bytes *out, const char *text)
{
	bytes_append(out, text, strlen(text) + 1);
}

static void add_16(struct bytes *out, unsigned value)
{
	uint16_t net = htons((uint16_t)value);

	bytes_append(out, &net, sizeof net);
}

static void add_32(struct bytes *out, uint32_t value)
{
	value = htonl(value);
	bytes_append(out, &value, sizeof value);
}

static void add_parse(struct bytes *out, const char *name, const char *text)
{
	size_t at = begin(out, 'P');

	add_string(out, name);
	add_string(out, text);
	add_16(out, 0);
	finish(out, at);
}

/* Bind with parameters in text form, and results in text form. */
static void add_bind(struct bytes *out, const char *name, const char *const params[], int count)
{
	size_t at = begin(out, 'B');

	add_string(out, "");
	add_string(out, name);
	add_16(out, 0);
	add_16(out, (unsigned)count);
	for (int i = 0; i < count; i++) {
		add_32(out, (uint32_t)strlen(params[i]));
		bytes_append(out, params[i], strlen(params[i]));
	}
	add_16(out, 0);
	finish(out, at);
}

static void add_describe_execute_sync(struct bytes *out)
{
	size_t at = begin(out, 'D');
	bytes_append(out, "P", 2);
	finish(out, at);

	at = begin(out, 'E');
	add_string(out, "");
	add_32(out, 0);
	finish(out, at);

	finish(out, begin(out, 'S'));
}

/* The text with its parameters as literals. None of them holds a quote. */
static void add_query(struct bytes *out, const char *text, const char *const params[])
{
	size_t at = begin(out, 'Q');

	for (const char *p = text; *p; p++) {
		if (*p != '$') {
			bytes_append(out, p, 1);
			continue;
		}
		const char *param = params[*++p - '1'];
		bool quoted = strspn(param, "-0123456789") != strlen(param) || strlen(param) > 20;

		bytes_append(out, "'", quoted);
		bytes_append(out, param, strlen(param));
		bytes_append(out, "'", quoted);
	}
	bytes_append(out, "", 1);
	finish(out, at);
}

/* ---- statements ---- */

static void set_text(enum statement statement, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void set_text(enum statement statement, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(script.texts[statement], sizeof script.texts[statement], format, args);
	va_end(args);
}

static void set_texts(const char *table)
{
	set_text(BEGIN, "BEGIN");
	set_text(COMMIT, "COMMIT");
	set_text(SET_TENANT, "SELECT set_config('app.tenant', $1, true)");
	set_text(SELECT, "SELECT balance FROM account_%s WHERE id = $1", table);
	set_text(UPDATE, "UPDATE account_%s SET balance = balance + $2 WHERE id = $1", table);
	set_text(INSERT, "INSERT INTO history_%s (account, delta) VALUES ($1, $2)", table);
	set_text(RESULT_10MB, "%s", RESULT);
	set_text(COPY_OUT, "COPY (%s) TO STDOUT", RESULT);
	set_text(COPY_IN, "COPY sink FROM STDIN WHERE false");
	set_text(ORM,
			 "SELECT \"account\".\"id\", \"account\".\"tenant_id\", \"account\".\"balance\", "
			 "\"account\".\"filler\" FROM \"account_%s\" AS \"account\" WHERE "
			 "(\"account\".\"id\" = $1 AND \"account\".\"filler\" LIKE 'row%%') "
			 "ORDER BY \"account\".\"id\" ASC LIMIT ",
			 table);
	set_text(INLINED, "SELECT balance, filler FROM account_%s WHERE id = $1 AND balance > -$2",
			 table);
}

static void add_statement(enum statement statement)
{
	script.statements[script.count++] = statement;
}

static void add_work(enum load_work work)
{
	switch (work) {
	case WORK_SELECT:
		add_statement(SELECT);
		break;
	case WORK_WRITE:
		add_statement(SELECT);
		add_statement(UPDATE);
		add_statement(INSERT);
		break;
	case WORK_RESULT:
		add_statement(RESULT_10MB);
		break;
	case WORK_COPY_OUT:
		add_statement(COPY_OUT);
		break;
	case WORK_COPY_IN:
		add_statement(COPY_IN);
		break;
	case WORK_ORM:
		add_statement(ORM);
		break;
	case WORK_INLINED:
		add_statement(INLINED);
		break;
	}
}

/* 10 MB in rows of 1,000 bytes, cut into CopyData as clients do, and CopyDone. */
static void make_copy(void)
{
	char row[1000];
	struct bytes rows = {0};

	memset(row, 'x', sizeof row - 1);
	row[sizeof row - 1] = '\n';
	while (rows.len < COPY_BYTES)
		bytes_append(&rows, row, sizeof row);
	for (size_t at = 0; at < rows.len; at += COPY_CHUNK) {
		size_t head = begin(&script.copy, 'd');
		size_t left = rows.len - at;

		bytes_append(&script.copy, rows.data + at, left < COPY_CHUNK ? left : COPY_CHUNK);
		finish(&script.copy, head);
	}
	finish(&script.copy, begin(&script.copy, 'c'));
	free(rows.data);
}

void script_init(const struct options *options)
{
	bool block = options->wrap != WRAP_NONE || options->work == WORK_WRITE;

	script.options = options;
	set_texts(options->table);
	if (block)
		add_statement(BEGIN);
	if (options->wrap != WRAP_NONE)
		add_statement(SET_TENANT);
	add_work(options->work);
	if (block)
		add_statement(COMMIT);
	if (options->work == WORK_COPY_IN)
		make_copy();
}

const struct bytes *script_copy_data(void)
{
	return &script.copy;
}

int script_queries(void)
{
	return (script.options->work == WORK_WRITE ? 3 : 1) * script.options->pipeline;
}

/* ---- transactions ---- */

/* Fills in the statement's parameters; returns how many. */
static int find_params(enum statement statement, int tenant, long row, char texts[2][40])
{
	switch (statement) {
	case SET_TENANT:
		snprintf(texts[0], 40, "00000000-0000-4000-8000-%012x", tenant);
		return 1;
	case SELECT:
	case ORM:
		snprintf(texts[0], 40, "%ld", row);
		return 1;
	case INLINED:
		snprintf(texts[0], 40, "%ld", row);
		snprintf(texts[1], 40, "%lu", 1000000 + script.turn++);
		return 2;
	case UPDATE:
	case INSERT:
		snprintf(texts[0], 40, "%ld", row);
		snprintf(texts[1], 40, "%ld", row % 19 - 9);
		return 2;
	case BEGIN:
	case COMMIT:
	case RESULT_10MB:
	case COPY_OUT:
	case COPY_IN:
	case STATEMENTS:
		break;
	}
	return 0;
}

static long rows_of(enum statement statement)
{
	if (statement == RESULT_10MB)
		return RESULT_ROWS;
	return statement == SELECT || statement == SET_TENANT || statement == ORM ||
		   statement == INLINED;
}

static void send_statement(struct script_state *state, enum statement statement, int tenant,
						   long row, struct bytes *out)
{
	char texts[2][40], name[8] = "", text[TEXT_MAX + 16];
	const char *params[2] = {texts[0], texts[1]};
	int count = find_params(statement, tenant, row, texts);

	memcpy(text, script.texts[statement], TEXT_MAX);
	if (statement == ORM)
		snprintf(text + strlen(text), 16, "%lu", 1 + script.turn++ % ORM_TEXTS);

	switch (script.options->protocol) {
	case PROTOCOL_SIMPLE:
		add_query(out, text, params);
		return;
	case PROTOCOL_EXTENDED:
		add_parse(out, "", text);
		break;
	case PROTOCOL_PREPARED:
		snprintf(name, sizeof name, "s%d", (int)statement);
		if (!(state->prepared & 1u << statement))
			add_parse(out, name, text);
		state->prepared |= 1u << statement;
		break;
	}
	add_bind(out, name, params, count);
	add_describe_execute_sync(out);
}

struct expectation script_step(struct script_state *state, int step, int tenant, long row,
							   struct bytes *out)
{
	const struct options *options = script.options;
	bool at_once = options->wrap == WRAP_BURST || options->pipeline > 1;
	struct expectation expected = {0};
	int first = at_once ? 0 : step, behind = at_once ? script.count : step + 1;

	if (step >= (at_once ? 1 : script.count))
		return expected;
	for (int turn = 0; turn < options->pipeline; turn++) {
		for (int i = first; i < behind; i++) {
			send_statement(state, script.statements[i], tenant, row, out);
			expected.ready++;
			expected.rows += rows_of(script.statements[i]);
		}
	}
	return expected;
}
