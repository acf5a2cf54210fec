#include "tests/fuzz/postgres_session.h"

#include <stdio.h>
#include <string.h>

#include "policy/guard/guard.h"
#include "proxy/prepared.h"
#include "proxy/settings.h"
#include "proxy/wire.h"

/* ---- texts ---- */

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

/* Bulkhead's own SQL about settings, in which a client's value may hold its mark. */
static bool is_about_settings(const char *text)
{
	return (begins(text, "SET \"") || begins(text, "RESET \"") ||
			begins(text, "CALL bulkhead.set_all(")) &&
		   !strstr(text, "/*from-");
}

/* The client whose mark stands in the text as a comment; 0: nobody's. */
static unsigned owner_of(const struct postgres *postgres, const char *text)
{
	const char *mark = strstr(text, "/*from-");
	const char *secret = mark ? mark_find(postgres->world, mark, strlen(mark)) : NULL;
	size_t tenant;

	return secret ? mark_client_of(secret, text, &tenant) : 0;
}

/* The text without the comment at its end, with its mark or that of nobody. */
static void without_mark(const char *text, char out[TEXT_MAX])
{
	const char *mark = strstr(text, " /*");

	snprintf(out, TEXT_MAX, "%s", text);
	if (mark && strlen(text) > 2 && strcmp(text + strlen(text) - 2, "*/") == 0)
		out[mark - text] = '\0';
}

/* ---- what Bulkhead must never do ---- */

static const char *text_in(const struct message *message, size_t *len)
{
	size_t at = 0;

	if (message->type == 'P' && !wire_cstr(message->body, message->len, &at))
		at = message->len;
	*len = message->len - at;
	return (const char *)message->body + at;
}

/* Statements without a mark come with others that have one. */
#define LEFT_BY_NEXT (~0u - 1)

/* One that has said anything: what is there may be its own, from then on without its mark. */
static bool is_unknown(const struct postgres_world *world, unsigned client)
{
	return client < CLIENTS_MAX && !world->clients[client].is_known;
}

static void watch(struct postgres *postgres, const struct message *message)
{
	const struct postgres_world *world = postgres->world;
	const char *secret = mark_find(world, message->body, message->len);
	size_t tenant = 0, len;
	const char *text = text_in(message, &len);
	char whole[TEXT_MAX];

	copy_text(whole, sizeof whole, (const uint8_t *)text, len);
	postgres->asked_by = secret ? mark_client_of(secret, message->body, &tenant) : 0;
	if (!postgres->asked_by || !postgres->honest)
		return;
	require(tenant < world->tenant_count);
	if (postgres->sealed)
		require(postgres->sealed == world->tenants[tenant]);
	if (message->type == 'Q' && is_about_settings(whole)) {
		require(postgres->sealed != NULL);
		postgres->asked_by = 0;
		return;
	}
	postgres->asked_last = postgres->asked_by;
	if (is_unknown(world, postgres->asked_by))
		return;
	if (!postgres->sealed)
		require(postgres->emptied_by == postgres->asked_by);
	if (postgres->left_by == LEFT_BY_NEXT)
		postgres->left_by = postgres->asked_by;
	require(!postgres->left_by || postgres->left_by == postgres->asked_by);
}

/* A client's statement is carried out: under its own settings, and no others. */
static void check_settings(const struct postgres *postgres, unsigned owner)
{
	const struct postgres_world *world = postgres->world;

	if (!owner || owner >= CLIENTS_MAX || world->has_lied || !world->clients[owner].is_known ||
		!postgres->sealed || postgres->emptied)
		return;
	if (!state_has_equal_settings(&postgres->committed, &world->clients[owner].now)) {
		state_trace("the backend has", &postgres->committed);
		state_trace("its client asked for", &world->clients[owner].now);
	}
	require(state_has_equal_settings(&postgres->committed, &world->clients[owner].now));
}

/*
 * A client binds a statement under a name of Bulkhead's: it must be there, and be the one that
 * the client means. Its first value begins with what the text has between quotes, and ends with
 * the client's mark; a text with a mark is that client's alone.
 */
static void check_bound(const struct postgres *postgres, const char *name,
						const struct prepared_text *found, const char *value)
{
	if (!begins(name, PREPARED_PREFIX) || !postgres->asked_by || !postgres->honest ||
		postgres->world->has_lied || value[0] != 's')
		return;
	const char tag[] = {'\'', value[0], value[1], '\'', '\0'};
	require(found != NULL);
	unsigned owner = owner_of(postgres, found->text);
	require(!owner || owner == postgres->asked_by);
	require(strstr(found->text, tag) != NULL);
}

/* ---- prepared statements ---- */

static struct prepared_text *find_text(struct postgres *postgres, const char *name)
{
	if (!*name)
		return postgres->unnamed.name[0] ? &postgres->unnamed : NULL;
	for (int i = 0; i < STATEMENTS_MAX; i++) {
		if (strncmp(postgres->statements[i].name, name, TEXT_NAME_MAX - 1) == 0)
			return &postgres->statements[i];
	}
	return NULL;
}

static struct prepared_text *free_place(struct postgres *postgres)
{
	for (int i = 0; i < STATEMENTS_MAX; i++) {
		if (!postgres->statements[i].name[0])
			return &postgres->statements[i];
	}
	return NULL;
}

static void leave(struct postgres *postgres, unsigned what)
{
	postgres->state.left |= what;
	postgres->committed.left |= what;
	postgres->left_by = postgres->asked_by ? postgres->asked_by : LEFT_BY_NEXT;
}

static bool ends_transaction(const char *text)
{
	return begins(text, "COMMIT") || begins(text, "ROLLBACK");
}

/* What Bulkhead sends in the place of what it refuses, with a number behind: as a text, or a
 * portal's name. */
static const char refused[] = "bulkhead: refused ", refused_text[] = "\"bulkhead: refused ";

static const char *prepare(struct postgres *postgres, const struct message *message, bool fails)
{
	size_t at = 0;
	const char *name = wire_cstr(message->body, message->len, &at);
	struct prepared_text *place;
	char text[TEXT_MAX];

	if (!name)
		return "08P01";
	copy_text(text, TEXT_MAX, message->body + at, message->len - at);
	if (postgres->loop.status == 'E' && !ends_transaction(text))
		return "25P02";
	if (fails || begins(text, refused_text))
		return "42601";
	if (*name && find_text(postgres, name))
		return "42P05";
	place = *name ? free_place(postgres) : &postgres->unnamed;
	if (!place)
		return "53200";
	snprintf(place->name, TEXT_NAME_MAX, "%s", *name ? name : "unnamed");
	snprintf(place->text, TEXT_MAX, "%s", text);
	if (*name && !begins(name, PREPARED_PREFIX))
		leave(postgres, LEFT_NATIVE);
	return NULL;
}

static void take_values(struct postgres *postgres, const uint8_t *body, size_t at, size_t len)
{
	postgres->value_count = 0;
	if (len - at < 4 || wire_u16(body + at) || wire_u16(body + at + 2) > 5)
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

static const char *bind_portal(struct postgres *postgres, const struct message *message,
							   bool fails)
{
	size_t at = 0;
	const char *portal = wire_cstr(message->body, message->len, &at);
	const char *name = portal ? wire_cstr(message->body, message->len, &at) : NULL;

	if (!name)
		return "08P01";
	const struct prepared_text *found = find_text(postgres, name);
	take_values(postgres, message->body, at, message->len);
	check_bound(postgres, name, found, postgres->value_count ? postgres->values[0] : "");
	if (!found)
		return "26000";
	if (postgres->loop.status == 'E' && !ends_transaction(found->text))
		return "25P02";
	if (fails)
		return "22P02";
	snprintf(postgres->portal.text, TEXT_MAX, "%s", found->text);
	postgres->portal_owner = postgres->asked_by;
	return NULL;
}

static const char *find_described(struct postgres *postgres, const struct message *message,
								  bool fails)
{
	size_t at = 1;
	const char *name = wire_cstr(message->body, message->len, &at);

	if (message->len && message->body[0] == 'S' && (!name || !find_text(postgres, name)))
		return "26000";
	return fails ? "42P18" : NULL;
}

static const char *close_statement(struct postgres *postgres, const struct message *message)
{
	size_t at = 1;
	const char *name = wire_cstr(message->body, message->len, &at);
	struct prepared_text *found =
		message->len && message->body[0] == 'S' && name ? find_text(postgres, name) : NULL;

	if (found)
		found->name[0] = '\0';
	return NULL;
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

/* Whoever comes to another tenant's backend finds no statement of the other's there. */
static void check_statements_of(const struct postgres *postgres, const struct tenant *tenant)
{
	const struct postgres_world *world = postgres->world;

	for (int i = 0; i < STATEMENTS_MAX && postgres->honest; i++) {
		const struct prepared_text *each = &postgres->statements[i];
		const char *secret = mark_find(world, each->text, strlen(each->text));
		size_t owner;

		if (each->name[0] && secret && mark_client_of(secret, each->text, &owner))
			require(world->tenants[owner] == tenant);
	}
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
		check_statements_of(postgres, tenant);
		postgres->sealed = tenant;
		postgres->emptied_by = 0;
		postgres->emptied = postgres->set_since = false;
	}
	return fits;
}

/* RESET ALL: the seal is a setting as well. */
static void reset_settings(struct postgres *postgres)
{
	memset(postgres->state.settings, 0, sizeof postgres->state.settings);
	postgres->sealed = NULL;
	postgres->emptied_by = postgres->asked_by;
	postgres->emptied = true;
}

static void deallocate_all(struct postgres *postgres)
{
	postgres->state.left &= ~(unsigned)(LEFT_PREPARED | LEFT_NATIVE);
	postgres->committed.left &= ~(unsigned)(LEFT_PREPARED | LEFT_NATIVE);
	memset(postgres->statements, 0, sizeof postgres->statements);
}

static void discard(struct postgres *postgres)
{
	reset_settings(postgres);
	deallocate_all(postgres);
	postgres->state.left = 0;
	memset(&postgres->unnamed, 0, sizeof postgres->unnamed);
}

/* ---- transactions ---- */

static void commit(struct postgres *postgres)
{
	struct postgres_world *world = postgres->world;
	unsigned owner = postgres->transaction_of;

	postgres->committed = postgres->state;
	postgres->committed_seal = postgres->sealed;
	if (!postgres->state.left)
		postgres->left_by = 0;
	if (!owner || owner >= CLIENTS_MAX)
		return;
	if (!postgres->emptied) {
		world->clients[owner].now = postgres->state;
	} else if (postgres->set_since) {
		world->clients[owner].is_known = false; /* nobody can tell which came first */
	} else {
		world->clients[owner].now = world->clients[owner].startup;
	}
}

static void roll_back(struct postgres *postgres)
{
	postgres->state = postgres->committed;
	postgres->sealed = postgres->committed_seal;
	if (postgres->sealed)
		postgres->emptied_by = 0;
	postgres->emptied = !postgres->sealed && postgres->emptied;
	postgres->set_since &= postgres->emptied;
	if (!postgres->state.left)
		postgres->left_by = 0;
}

void session_answers(struct postgres *postgres, char type, const char *text)
{
	if (type == 'E')
		roll_back(postgres);
	else if (type == 'Z' && *text == 'I')
		commit(postgres);
}

const char *session_application_name(const struct postgres *postgres)
{
	const struct state *state = &postgres->state;

	return state->settings[STATE_SETTINGS - 1].is_set
			   ? state->settings[STATE_SETTINGS - 1].value
			   : SETTINGS_MARKER;
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

/* ---- statements that the session remembers ---- */

static struct outcome apply_settings(struct postgres *postgres, const char *text)
{
	struct state after = postgres->state;
	bool is_understood = state_apply(&after, text);

	if (strlen(text) < TEXT_MAX - 1)
		require(is_understood);
	if (dice_fate(postgres->world->dice) % 16 == 15)
		return failing("22023");
	postgres->state = after;
	postgres->set_since |= postgres->emptied;
	return command("SET", EFFECT_NONE);
}

/* A client's RESET ALL, as Bulkhead puts it. */
static struct outcome guards_reset_all(struct postgres *postgres, const char *pairs,
									   unsigned owner)
{
	struct state after = postgres->state;
	const char *end;

	memset(after.settings, 0, sizeof after.settings);
	end = state_apply_pairs(&after, pairs);
	require(end && begins(end, "]::pg_catalog.text[])"));
	if (owner && owner < CLIENTS_MAX && postgres->world->clients[owner].is_known)
		require(state_has_equal_settings(&after, &postgres->world->clients[owner].startup));
	postgres->state = after;
	postgres->set_since |= postgres->emptied;
	return command("CALL", EFFECT_NONE);
}

static void set_left(struct postgres *postgres, unsigned what, bool is_there)
{
	if (is_there) {
		postgres->state.left |= what;
		postgres->left_by = postgres->runs ? postgres->runs : ~0u;
	} else {
		postgres->state.left &= ~what;
	}
}

static struct outcome prepare_in_sql(struct postgres *postgres)
{
	struct prepared_text *place = free_place(postgres);

	if (find_text(postgres, "q"))
		return failing("42P05");
	if (!place)
		return failing("53200");
	snprintf(place->name, TEXT_NAME_MAX, "q");
	snprintf(place->text, TEXT_MAX, "SELECT 1");
	leave(postgres, LEFT_PREPARED);
	return command("PREPARE", EFFECT_NONE);
}

static struct outcome deallocate(struct postgres *postgres, const char *name)
{
	struct prepared_text *found = find_text(postgres, name);

	if (!found)
		return failing("26000");
	found->name[0] = '\0';
	if (strcmp(name, "q") == 0) {
		postgres->state.left &= ~(unsigned)LEFT_PREPARED;
		postgres->committed.left &= ~(unsigned)LEFT_PREPARED;
	}
	return command("DEALLOCATE", EFFECT_NONE);
}

/* Those that a client may say, word for word. */
static bool run_known(struct postgres *postgres, const char *text, struct outcome *outcome)
{
	static const struct {
		const char *text, *name, *value, *tag;
	} sets[] = {
		{"SET app.x = 'one'", "app.x", "one", "SET"},
		{"SET app.x = 'it''s'", "app.x", "it's", "SET"},
		{"SET app.y = 'two'", "app.y", "two", "SET"},
		{"SET work_mem = '65kB'", "work_mem", "65kB", "SET"},
		{"SET search_path = \"B\", c", "search_path", "\"B\", c", "SET"},
		{"SET application_name = 'two'", "application_name", "two", "SET"},
		{"RESET app.x", "app.x", NULL, "RESET"},
		{"RESET work_mem", "work_mem", NULL, "RESET"},
	};
	static const struct {
		const char *text;
		unsigned what;
		bool is_there;
		const char *tag;
	} leavings[] = {
		{"LISTEN x", LEFT_LISTEN, true, "LISTEN"},
		{"UNLISTEN x", LEFT_LISTEN, false, "UNLISTEN"},
		{"UNLISTEN \"bulkhead: nothing\"", 0, false, "UNLISTEN"},
		{"CREATE TEMP TABLE t (x int)", LEFT_TEMP, true, "CREATE TABLE"},
		{"DROP TABLE t", LEFT_TEMP, false, "DROP TABLE"},
	};

	for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) {
		if (strcmp(text, sets[i].text) == 0) {
			state_set(&postgres->state, sets[i].name, sets[i].value);
			postgres->set_since |= postgres->emptied;
			*outcome = command(sets[i].tag, EFFECT_NONE);
			return true;
		}
	}
	for (size_t i = 0; i < sizeof leavings / sizeof *leavings; i++) {
		if (strcmp(text, leavings[i].text) == 0) {
			set_left(postgres, leavings[i].what, leavings[i].is_there);
			*outcome = command(leavings[i].tag, EFFECT_NONE);
			return true;
		}
	}
	return false;
}

static struct outcome check_row(struct postgres *postgres, int row)
{
	postgres->row = row;
	return (struct outcome){.kind = STATEMENT_ROWS, .tag = "SELECT 1", .rows = 1};
}

static struct outcome answer_question(struct postgres *postgres, const char *text)
{
	buf_fini(&postgres->answer);
	if (!state_answer(&postgres->state, text, &postgres->answer))
		return any_statement(postgres);
	require(!postgres->honest || postgres->loop.status == 'I');
	return check_row(postgres, ROW_STATE);
}

static struct outcome end_transaction(struct postgres *postgres, const char *tag)
{
	if (*tag == 'C' && postgres->loop.status != 'E')
		commit(postgres);
	else
		roll_back(postgres);
	return command(tag, EFFECT_END);
}

static struct outcome clients_statement(struct postgres *postgres, const char *text)
{
	struct outcome outcome;

	if (strcmp(text, "DEALLOCATE ALL") == 0) {
		deallocate_all(postgres);
		return command("DEALLOCATE ALL", EFFECT_NONE);
	}
	if (strcmp(text, "DEALLOCATE s1") == 0)
		return deallocate(postgres, "s1");
	if (strcmp(text, "DEALLOCATE q") == 0)
		return deallocate(postgres, "q");
	if (strcmp(text, "PREPARE q AS SELECT 1") == 0)
		return prepare_in_sql(postgres);
	if (strcmp(text, "DO 'BEGIN RESET ALL; END'") == 0) {
		reset_settings(postgres);
		return command("DO", EFFECT_NONE);
	}
	return run_known(postgres, text, &outcome) ? outcome : any_statement(postgres);
}

static struct outcome statement_of(struct postgres *postgres, const char *marked)
{
	static const char reset_all[] = "CALL bulkhead.reset_all(ARRAY[";
	char text[TEXT_MAX];

	without_mark(marked, text);
	if (strcmp(text, guard_probe_sql) == 0)
		return failing(GUARD_PROBE_SQLSTATE);
	if (strcmp(text, guard_check_sql) == 0)
		return check_row(postgres, ROW_CHECK);
	if (strcmp(text, guard_enter_sql) == 0)
		return enter(postgres) ? check_row(postgres, ROW_SEAL) : failing("42501");
	if (strcmp(text, guard_discard_sql) == 0)
		return discard_all(postgres);
	if (strcmp(text, guard_clear_sql) == 0 || strcmp(text, guard_clear_but_plans_sql) == 0) {
		discard(postgres);
		return command("DISCARD SEQUENCES", EFFECT_NONE);
	}
	if (begins(text, "SELECT bulkhead.session_state(") ||
		begins(text, "SELECT 0, pg_catalog.") || begins(text, "SELECT 0, bulkhead."))
		return answer_question(postgres, text);
	if (begins(text, reset_all))
		return guards_reset_all(postgres, text + sizeof reset_all - 1, postgres->runs);
	if (begins(text, "SET \"") || begins(text, "RESET \"") ||
		begins(text, "CALL bulkhead.set_all("))
		return apply_settings(postgres, text);
	if (begins(text, "SET TRANSACTION"))
		return command("SET", EFFECT_NONE);
	if (begins(text, "BEGIN"))
		return command("BEGIN", EFFECT_BEGIN);
	if (begins(text, refused_text))
		return failing("42601");
	if (strcmp(text, "ROLLBACK TO SAVEPOINT \"bulkhead: cancelled\"") == 0)
		return failing("3B001");
	if (begins(text, "START"))
		return command("START TRANSACTION", EFFECT_BEGIN);
	if (ends_transaction(text))
		return end_transaction(postgres, begins(text, "COMMIT") ? "COMMIT" : "ROLLBACK");
	return clients_statement(postgres, text);
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
	bool is_query = message->type == 'Q';
	const char *text = is_query ? postgres->query.text : postgres->portal.text;
	unsigned owner = is_query ? postgres->asked_by : postgres->portal_owner;

	postgres->runs = owner ? owner : owner_of(postgres, text);
	if (postgres->runs || postgres->loop.status == 'I')
		postgres->transaction_of = postgres->runs;
	check_settings(postgres, postgres->runs);
	if (is_hit(postgres))
		return failing("57014");
	if (postgres->loop.status == 'E' && !ends_transaction(text))
		return failing("25P02");
	if (!is_query && message->len >= sizeof refused &&
		memcmp(message->body, refused, sizeof refused - 1) == 0)
		return failing("34000");
	return statement_of(postgres, text);
}

const char *session_fails(void *self, const struct message *message)
{
	struct postgres *postgres = self;
	/* What Bulkhead asks for itself fails by its statement alone. */
	bool fails = (message->type == 'd' || postgres->asked_by) &&
				 dice_fate(postgres->world->dice) % 8 == 7;

	switch (message->type) {
	case 'P':
		return prepare(postgres, message, fails);
	case 'B':
		return bind_portal(postgres, message, fails);
	case 'D':
		return find_described(postgres, message, fails);
	case 'C':
		return close_statement(postgres, message);
	default:
		return fails ? "23505" : NULL;
	}
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
	watch(postgres, message);
	/* Portals end with their transaction. */
	if ((message->type == 'S' || message->type == 'Q') && postgres->loop.status == 'I') {
		postgres->portal.text[0] = '\0';
		postgres->portal_owner = 0;
	}
	if (postgres->loop.ignoring || postgres->loop.copying || message->type != 'Q')
		return;
	copy_text(postgres->query.text, TEXT_MAX, message->body, message->len);
	postgres->unnamed.name[0] = '\0';
}
