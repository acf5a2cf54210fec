#include "tests/fuzz/postgres_session.h"

#include <stdio.h>
#include <string.h>

#include "policy/guard/guard.h"
#include "proxy/wire.h"

/* ---- what Bulkhead must never do ---- */

static void watch(struct postgres *postgres, const uint8_t *body, size_t len)
{
	const struct postgres_world *world = postgres->world;
	const char *secret = mark_find(world, body, len);
	size_t tenant = 0;

	postgres->asked_by = secret ? mark_client_of(secret, body, &tenant) : 0;
	if (!postgres->asked_by || !postgres->honest)
		return;
	postgres->asked_last = postgres->asked_by;
	require(tenant < world->tenant_count);
	if (postgres->sealed)
		require(postgres->sealed == world->tenants[tenant]);
	else
		require(postgres->emptied_by == postgres->asked_by);
	require(!postgres->left_by || postgres->left_by == postgres->asked_by);
}

/* ---- statements and their texts ---- */

static bool begins(const char *text, const char *with)
{
	return strncmp(text, with, strlen(with)) == 0;
}

static void copy_text(char *to, size_t size, const uint8_t *from, size_t len)
{
	size_t n = 0;

	while (n + 1 < size && n < len && from[n]) {
		to[n] = (char)from[n];
		n++;
	}
	to[n] = '\0';
}

/* The statement of that name; a name that is not known is given a place when `make`. */
static char *text_of(struct postgres *postgres, const char *name, bool make)
{
	int free_place = -1;

	if (!*name)
		return postgres->unnamed.text;
	for (int i = 0; i < STATEMENTS_MAX; i++) {
		if (strncmp(postgres->statements[i].name, name, 15) == 0)
			return postgres->statements[i].text;
		if (!postgres->statements[i].name[0])
			free_place = i;
	}
	if (!make || free_place < 0)
		return NULL;
	copy_text(postgres->statements[free_place].name, 16, (const uint8_t *)name, strlen(name));
	return postgres->statements[free_place].text;
}

static void note_parse(struct postgres *postgres, const struct message *message)
{
	size_t at = 0;
	const char *name = wire_cstr(message->body, message->len, &at);
	char *text = name ? text_of(postgres, name, true) : NULL;

	if (text)
		copy_text(text, TEXT_MAX, message->body + at, message->len - at);
	if (name && *name && postgres->asked_by)
		postgres->left_by = postgres->asked_by;
}

static void note_bind(struct postgres *postgres, const struct message *message)
{
	const uint8_t *body = message->body;
	size_t at = 0, len = message->len;
	const char *portal = wire_cstr(body, len, &at);
	const char *name = portal ? wire_cstr(body, len, &at) : NULL;
	const char *text = name ? text_of(postgres, name, false) : NULL;

	snprintf(postgres->portal.text, TEXT_MAX, "%s", text ? text : "");
	postgres->value_count = 0;
	if (!name || len - at < 4 || wire_u16(body + at) || wire_u16(body + at + 2) > 5)
		return;
	size_t count = wire_u16(body + at + 2);
	at += 4;
	for (size_t i = 0; i < count && len - at >= 4; i++) {
		size_t size = wire_u32(body + at);

		at += 4;
		if (size > len - at)
			return;
		copy_text(postgres->values[i], TEXT_MAX, body + at, size);
		at += size;
		postgres->value_count++;
	}
}

/* ---- the guard ---- */

static const struct tenant *find_tenant(const struct postgres_world *world, const char *id)
{
	char hex[UUID_HEX_SIZE];

	for (size_t i = 0; i < world->tenant_count; i++) {
		uuid_hex(&world->tenants[i]->id, hex);
		if (strcmp(hex, id) == 0)
			return world->tenants[i];
	}
	return NULL;
}

/* As bulkhead.enter: the mac must fit this backend, and the context be empty or already this.
 */
static bool enter(struct postgres *postgres)
{
	const struct tenant *tenant = find_tenant(postgres->world, postgres->values[1]);
	const struct guard_server server = {.id = INSTALLATION};
	struct guard_enter expected;

	if (postgres->value_count != GUARD_ENTER_PARAMS || !tenant ||
		(postgres->sealed && postgres->sealed != tenant))
		return false;
	require(guard_enter_init(&expected, postgres->world->keyring, &server,
							 postgres->world->database, (int)postgres->pid, &tenant->id,
							 tenant->key, strtoll(postgres->values[3], NULL, 10)));
	bool fits = strcmp(expected.values[4], postgres->values[4]) == 0;
	guard_enter_fini(&expected);
	if (fits) {
		postgres->sealed = tenant;
		postgres->emptied_by = 0;
	}
	return fits;
}

static void empty_context(struct postgres *postgres)
{
	postgres->sealed = NULL;
	postgres->emptied_by = postgres->asked_by;
	postgres->marker_shown = true;
}

static void discard(struct postgres *postgres)
{
	empty_context(postgres);
	postgres->left_by = 0;
	memset(postgres->statements, 0, sizeof postgres->statements);
	memset(&postgres->unnamed, 0, sizeof postgres->unnamed);
}

/* ---- the host of the message loop ---- */

static struct outcome failing(const char *sqlstate)
{
	return (struct outcome){.kind = STATEMENT_FAILS, .tag = sqlstate};
}

static struct outcome command(const char *tag, enum statement_effect effect)
{
	return (struct outcome){.kind = STATEMENT_COMMAND, .effect = effect, .tag = tag};
}

static struct outcome any_statement(struct postgres *postgres)
{
	unsigned roll = dice_fate(postgres->world->dice);
	struct outcome statement = {
		.kind = (enum statement_kind)(roll % 6), .tag = "SELECT 1", .rows = roll >> 6};

	statement.more = statement.kind != STATEMENT_NOTHING && (roll & 0x10) != 0;
	statement.suspended = statement.kind == STATEMENT_ROWS && (roll & 0x20) != 0;
	if (statement.kind == STATEMENT_FAILS)
		statement.tag = "22012";
	else if (statement.kind == STATEMENT_COPY_IN || statement.kind == STATEMENT_COPY_OUT)
		statement.tag = "COPY 1";
	if (statement.kind != STATEMENT_COMMAND && !postgres->sealed)
		return failing(GUARD_SQLSTATE_NO_CONTEXT);
	postgres->row = ROW_OWN;
	return statement;
}

static struct outcome discard_all(struct postgres *postgres)
{
	if (postgres->loop.status != 'I' || postgres->loop.batch ||
		dice_fate(postgres->world->dice) % 16 == 15)
		return failing("25001");
	discard(postgres);
	return command("DISCARD ALL", EFFECT_NONE);
}

/* E'...' with quotes and backslashes doubled; the place behind it, or NULL. */
static const char *skip_literal(const char *at)
{
	if (*at++ != 'E' || *at++ != '\'')
		return NULL;
	for (; *at; at++) {
		if (*at == '\\' && *++at != '\\')
			return NULL;
		if (*at == '\'' && *++at != '\'')
			return at;
	}
	return NULL;
}

/* "name" or "name"."name"; the place behind it, or NULL. */
static const char *skip_name(const char *at)
{
	do {
		if (*at == '.')
			at++;
		if (*at++ != '"')
			return NULL;
		at += strspn(at, "abcdefghijklmnopqrstuvwxyz0123456789_$");
		if (*at++ != '"')
			return NULL;
	} while (*at == '.');
	return at;
}

/* SETs of literals and RESETs, each ended by a semicolon, and nothing else. */
static bool is_settings(const char *at)
{
	while (at && *at) {
		bool is_set = begins(at, "SET ");

		at = skip_name(at + (is_set ? 4 : begins(at, "RESET ") ? 6 : strlen(at)));
		if (at && is_set) {
			at = begins(at, " = ") ? at + 1 : NULL;
			do
				at = at ? skip_literal(at + 2) : NULL;
			while (at && begins(at, ", "));
		}
		at = at && *at == ';' ? at + 1 : NULL;
	}
	return at != NULL;
}

static struct outcome set(struct postgres *postgres, const char *text)
{
	if (postgres->world->checks_settings && strlen(text) < TEXT_MAX - 1)
		require(is_settings(text));
	if (dice_fate(postgres->world->dice) % 16 == 15)
		return failing("22023");
	if (postgres->asked_by)
		postgres->left_by = postgres->asked_by;
	else if (strstr(text, "application_name"))
		postgres->marker_shown = false;
	return command("SET", EFFECT_NONE);
}

static struct outcome reset_all(struct postgres *postgres)
{
	empty_context(postgres);
	return command("RESET", EFFECT_NONE);
}

static struct outcome check_row(struct postgres *postgres, int row)
{
	postgres->row = row;
	return (struct outcome){.kind = STATEMENT_ROWS, .tag = "SELECT 1", .rows = 1};
}

static struct outcome statement_of(struct postgres *postgres, const char *text)
{
	if (strcmp(text, guard_probe_sql) == 0)
		return failing(GUARD_PROBE_SQLSTATE);
	if (strcmp(text, guard_check_sql) == 0)
		return check_row(postgres, ROW_CHECK);
	if (strcmp(text, guard_enter_sql) == 0)
		return enter(postgres) ? check_row(postgres, ROW_SEAL) : failing("42501");
	if (begins(text, guard_discard_sql))
		return discard_all(postgres);
	if (begins(text, "RESET ALL"))
		return reset_all(postgres);
	if (begins(text, "SET TRANSACTION"))
		return command("SET", EFFECT_NONE);
	if (begins(text, "SET ") || begins(text, "RESET "))
		return set(postgres, text);
	if (begins(text, "BEGIN"))
		return command("BEGIN", EFFECT_BEGIN);
	if (begins(text, "START"))
		return command("START TRANSACTION", EFFECT_BEGIN);
	if (begins(text, "COMMIT"))
		return command("COMMIT", EFFECT_END);
	if (begins(text, "ROLLBACK"))
		return command("ROLLBACK", EFFECT_END);
	return any_statement(postgres);
}

/* A cancel request hits what is done next, which must not be somebody else's. */
static bool is_hit(struct postgres *postgres)
{
	if (!postgres->cancelled)
		return false;
	postgres->cancelled = false;
	if (postgres->asked_by && postgres->cancelled_for && postgres->honest)
		require(postgres->asked_by == postgres->cancelled_for);
	return true;
}

struct outcome session_run(void *self, const struct message *message)
{
	struct postgres *postgres = self;
	const char *text = message->type == 'Q' ? postgres->query.text : postgres->portal.text;

	if (is_hit(postgres))
		return failing("57014");
	if (postgres->loop.status == 'E' && !begins(text, "COMMIT") && !begins(text, "ROLLBACK"))
		return failing("25P02");
	return statement_of(postgres, text);
}

bool session_fails(void *self, const struct message *message)
{
	struct postgres *postgres = self;

	/* What Bulkhead asks for itself fails by its statement alone. */
	if (message->type != 'd' && !postgres->asked_by)
		return false;
	return dice_fate(postgres->world->dice) % 8 == 7;
}

bool session_is_statement(void *self, const struct message *message)
{
	(void)self;
	return message->len && message->body[0] == 'S';
}

bool session_has_rows(void *self, const struct message *message)
{
	(void)message;
	return dice_fate(((struct postgres *)self)->world->dice) & 1;
}

void session_note(struct postgres *postgres, const struct message *message)
{
	watch(postgres, message->body, message->len);
	if (postgres->loop.ignoring || postgres->loop.copying)
		return;
	if (message->type == 'P')
		note_parse(postgres, message);
	else if (message->type == 'B')
		note_bind(postgres, message);
	else if (message->type == 'Q')
		copy_text(postgres->query.text, TEXT_MAX, message->body, message->len);
}
