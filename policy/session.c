#include "policy/session.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

/* ---- statements that begin a transaction ---- */

struct words {
	const char *at, *end;
};

/* What PostgreSQL's lexer takes as white space. */
static bool is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r' && c != '\v');
}

static void skip_space(struct words *words)
{
	while (words->at < words->end && is_space(*words->at))
		words->at++;
}

/* Takes the next word when it is the one asked for. */
static bool take(struct words *words, const char *word)
{
	size_t len = strlen(word);

	skip_space(words);
	if ((size_t)(words->end - words->at) < len || strncasecmp(words->at, word, len) != 0)
		return false;
	if (words->at + len < words->end) {
		unsigned char next = (unsigned char)words->at[len];

		if (isalnum(next) || next == '_' || next == '$' || next >= 0x80)
			return false;
	}
	words->at += len;
	return true;
}

static bool take_comma(struct words *words)
{
	skip_space(words);
	if (words->at == words->end || *words->at != ',')
		return false;
	words->at++;
	return true;
}

static bool take_level(struct words *words)
{
	if (take(words, "SERIALIZABLE"))
		return true;
	if (take(words, "REPEATABLE"))
		return take(words, "READ");
	return take(words, "READ") && (take(words, "COMMITTED") || take(words, "UNCOMMITTED"));
}

static bool take_mode(struct words *words)
{
	if (take(words, "ISOLATION"))
		return take(words, "LEVEL") && take_level(words);
	if (take(words, "READ"))
		return take(words, "ONLY") || take(words, "WRITE");
	if (take(words, "NOT"))
		return take(words, "DEFERRABLE");
	return take(words, "DEFERRABLE");
}

/* Blanks, one semicolon at most, nothing else. */
static bool at_end(struct words *words)
{
	skip_space(words);
	if (words->at < words->end && *words->at == ';')
		words->at++;
	skip_space(words);
	return words->at == words->end;
}

/* Modes up to the end of the statement; PostgreSQL lets commas be left out. */
static bool take_modes(struct words *words, bool at_least_one)
{
	struct words before = *words;
	bool comma = at_least_one;

	if (!at_least_one && at_end(words))
		return true;
	*words = before;
	do {
		if (!take_mode(words))
			return false;
		comma = take_comma(words);
		before = *words;
		if (!comma && at_end(words))
			return true;
		*words = before;
	} while (true);
}

/* Three letters tell nearly every other statement from BEGIN, START and SET. */
static bool may_begin(struct words words)
{
	skip_space(&words);
	if (words.end - words.at < 3)
		return false;
	char second = (char)(words.at[1] | 0x20), third = (char)(words.at[2] | 0x20);

	switch (*words.at) {
	case 'B':
	case 'b':
		return second == 'e';
	case 'S':
	case 's':
		return second == 't' || (second == 'e' && third == 't');
	default:
		return false;
	}
}

enum session_begin session_begin(const char *text, size_t len)
{
	struct words words = {text, text + len};

	if (len > SESSION_BEGIN_MAX || !may_begin(words))
		return NOT_BEGIN;
	if (take(&words, "BEGIN")) {
		if (!take(&words, "WORK"))
			take(&words, "TRANSACTION");
		return take_modes(&words, false) ? BEGIN_TRANSACTION : NOT_BEGIN;
	}
	if (take(&words, "START"))
		return take(&words, "TRANSACTION") && take_modes(&words, false) ? START_TRANSACTION
																		: NOT_BEGIN;
	if (take(&words, "SET"))
		return take(&words, "TRANSACTION") && take_modes(&words, true) ? SET_TRANSACTION
																	   : NOT_BEGIN;
	return NOT_BEGIN;
}

const char *session_begin_tag(enum session_begin kind)
{
	switch (kind) {
	case BEGIN_TRANSACTION:
		return "BEGIN";
	case START_TRANSACTION:
		return "START TRANSACTION";
	case SET_TRANSACTION:
		return "SET";
	case NOT_BEGIN:
		break;
	}
	return "";
}

/* ---- settings as SQL ---- */

/*
 * Settings whose value is a list of identifiers, each quoted by the server when SET is given a
 * literal (GUC_LIST_QUOTE in its guc tables). SET with one literal would make the whole list a
 * single name.
 */
bool session_is_identifier_list(const char *name)
{
	static const char *const lists[] = {"search_path",
										"temp_tablespaces",
										"local_preload_libraries",
										"session_preload_libraries",
										"shared_preload_libraries",
										"unix_socket_directories"};

	for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
		if (strcmp(name, lists[i]) == 0)
			return true;
	}
	return false;
}

/* E'…' reads the same whether or not standard_conforming_strings is on. Without dollars it can
 * stand inside of dollar quotes. */
static bool append_quoted(struct buf *sql, const char *value, size_t len, bool with_dollars)
{
	if (!buf_append(sql, "E'", 2))
		return false;
	for (size_t i = 0; i < len; i++) {
		bool doubles = value[i] == '\'' || value[i] == '\\';
		bool ok = value[i] == '$' && !with_dollars
					  ? buf_append(sql, "\\044", 4)
					  : (!doubles || buf_append_byte(sql, (uint8_t)value[i])) &&
							buf_append_byte(sql, (uint8_t)value[i]);

		if (!ok)
			return false;
	}
	return buf_append_byte(sql, '\'');
}

static bool append_literal(struct buf *sql, const char *value, size_t len)
{
	return append_quoted(sql, value, len, true);
}

/* A custom setting's name has dots between identifiers: each part is quoted by itself. */
static bool append_name(struct buf *sql, const char *name)
{
	for (;;) {
		size_t len = strcspn(name, ".");

		if (!buf_append_byte(sql, '"') || !buf_append(sql, name, len) ||
			!buf_append_byte(sql, '"'))
			return false;
		if (!name[len])
			return true;
		if (!buf_append_byte(sql, '.'))
			return false;
		name += len + 1;
	}
}

/* One element of an identifier list, read as the server's SplitIdentifierString reads it. */
static const char *append_element(struct buf *sql, const char *at, bool *ok)
{
	struct buf element;

	buf_init(&element);
	*ok = true;
	if (*at == '"') {
		for (at++; *at && (*at != '"' || at[1] == '"') && *ok; at++) {
			if (*at == '"')
				at++;
			*ok = buf_append_byte(&element, (uint8_t)*at);
		}
		if (*at == '"')
			at++;
	} else {
		for (; *at && *at != ',' && !isspace((unsigned char)*at) && *ok; at++)
			*ok = buf_append_byte(&element, (uint8_t)tolower((unsigned char)*at));
	}
	if (*ok)
		*ok = append_literal(sql, buf_len(&element) ? (char *)buf_data(&element) : "",
							 buf_len(&element));
	buf_fini(&element);
	return at;
}

static bool append_identifiers(struct buf *sql, const char *value)
{
	bool ok = true, first = true;

	for (;;) {
		while (isspace((unsigned char)*value))
			value++;
		if (!*value && !first)
			return ok;
		if (!first && !buf_append(sql, ", ", 2))
			return false;
		value = append_element(sql, value, &ok);
		if (!ok)
			return false;
		while (isspace((unsigned char)*value))
			value++;
		first = false;
		if (*value == ',') {
			value++;
			continue;
		}
		if (!*value)
			return true;
	}
}

bool session_append_set(struct buf *sql, const char *name, const char *value, bool is_local)
{
	if (!buf_appendf(sql, is_local ? "SET LOCAL " : "SET ") || !append_name(sql, name) ||
		!buf_append(sql, " = ", 3))
		return false;
	if (session_is_identifier_list(name) ? !append_identifiers(sql, value)
										 : !append_literal(sql, value, strlen(value)))
		return false;
	return buf_append_byte(sql, ';');
}

/* SET writes a list of identifiers in its own way, so those are set by function. */
static bool append_list(struct buf *sql, const char *name, const char *value, bool guarded)
{
	return buf_appendf(sql, guarded ? "CALL bulkhead.set_all(ARRAY["
									: "DO $bulkhead$BEGIN PERFORM pg_catalog.set_config(") &&
		   append_literal(sql, name, strlen(name)) && buf_appendf(sql, ", ") &&
		   append_quoted(sql, value, strlen(value), guarded) &&
		   buf_appendf(sql, guarded ? "]);" : ", false);END$bulkhead$;");
}

bool session_append_follow(struct buf *sql, const char *name, const char *value, bool guarded)
{
	if (session_is_identifier_list(name))
		return append_list(sql, name, value, guarded);
	/* What the value does not say is the server's default, and not another client's choice. */
	if (session_setting_kind(name) == SETTING_PARTIAL && !session_append_reset(sql, name))
		return false;
	return session_append_set(sql, name, value, false);
}

bool session_append_reset(struct buf *sql, const char *name)
{
	return buf_append(sql, "RESET ", 6) && append_name(sql, name) && buf_append_byte(sql, ';');
}

/* ---- questions ---- */

enum session_setting session_setting_kind(const char *name)
{
	static const struct {
		const char *name;
		enum session_setting kind;
	} others[] = {
		{"datestyle", SETTING_PARTIAL},
		{"role", SETTING_ROLE},
		{"session_authorization", SETTING_ROLE},
		{"transaction_isolation", SETTING_MOMENTARY},
		{"transaction_read_only", SETTING_MOMENTARY},
		{"transaction_deferrable", SETTING_MOMENTARY},
		/* Reported, but nobody's to set. */
		{"in_hot_standby", SETTING_MOMENTARY},
		{"integer_datetimes", SETTING_MOMENTARY},
		{"is_superuser", SETTING_MOMENTARY},
		{"server_encoding", SETTING_MOMENTARY},
		{"server_version", SETTING_MOMENTARY},
		{"seed", SETTING_ROUNDED},
		{"seq_page_cost", SETTING_ROUNDED},
		{"random_page_cost", SETTING_ROUNDED},
		{"cpu_tuple_cost", SETTING_ROUNDED},
		{"cpu_index_tuple_cost", SETTING_ROUNDED},
		{"cpu_operator_cost", SETTING_ROUNDED},
		{"parallel_tuple_cost", SETTING_ROUNDED},
		{"parallel_setup_cost", SETTING_ROUNDED},
		{"jit_above_cost", SETTING_ROUNDED},
		{"jit_optimize_above_cost", SETTING_ROUNDED},
		{"jit_inline_above_cost", SETTING_ROUNDED},
		{"cursor_tuple_fraction", SETTING_ROUNDED},
		{"recursive_worktable_factor", SETTING_ROUNDED},
		{"geqo_selection_bias", SETTING_ROUNDED},
		{"geqo_seed", SETTING_ROUNDED},
		{"hash_mem_multiplier", SETTING_ROUNDED},
		{"vacuum_cost_delay", SETTING_ROUNDED},
		{"log_statement_sample_rate", SETTING_ROUNDED},
		{"log_transaction_sample_rate", SETTING_ROUNDED},
	};

	for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
		if (strcmp(name, others[i].name) == 0)
			return others[i].kind;
	}
	return SETTING_FOLLOWS;
}

/*
 * What bulkhead.session_state looks at (policy/guard/session.sql), for databases without the
 * guard. The order is that of its bits.
 */
static const char *const looks[] = {
	"EXISTS (SELECT FROM pg_catalog.pg_depend AS d WHERE d.refclassid OPERATOR(pg_catalog.=) "
	"2615"
	" AND d.refobjid OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema())",
	"EXISTS (SELECT FROM pg_catalog.pg_listening_channels())",
	"EXISTS (SELECT FROM pg_catalog.pg_cursor())",
	"EXISTS (SELECT FROM pg_catalog.pg_prepared_statement() AS p WHERE p.from_sql)",
	"EXISTS (SELECT FROM pg_catalog.pg_lock_status() AS l WHERE l.locktype "
	"OPERATOR(pg_catalog.=)"
	" 'advisory' AND l.pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid())",
	"pg_catalog.current_setting('role') OPERATOR(pg_catalog.<>) 'none'",
};

static bool append_looks(struct buf *sql, unsigned asked)
{
	bool ok = buf_appendf(sql, "SELECT 0");

	for (unsigned i = 0; ok && i < sizeof looks / sizeof *looks; i++) {
		if (asked & 1u << i)
			ok = buf_appendf(sql, " OPERATOR(pg_catalog.+) CASE WHEN %s THEN %u ELSE 0 END",
							 looks[i], 1u << i);
	}
	return ok;
}

static bool append_setting(struct buf *sql, bool only_set, bool guarded, const char *name)
{
	const char *before = !only_set ? ", pg_catalog.current_setting("
						 : guarded
							 ? ", bulkhead.session_setting("
							 : ", (SELECT s.setting FROM pg_catalog.pg_show_all_settings()"
							   " AS s WHERE s.source OPERATOR(pg_catalog.=) 'session' AND"
							   " pg_catalog.lower(s.name) OPERATOR(pg_catalog.=) ";
	const char *behind = !only_set ? ", true)" : ")";

	return buf_appendf(sql, "%s", before) && append_literal(sql, name, strlen(name)) &&
		   buf_appendf(sql, "%s", behind);
}

bool session_append_question(struct buf *sql, unsigned asked, bool only_set, bool guarded,
							 const char *names, size_t len)
{
	bool ok = guarded && asked ? buf_appendf(sql, "SELECT bulkhead.session_state(%u)", asked)
							   : append_looks(sql, asked);

	for (size_t at = 0; ok && at < len; at += strlen(names + at) + 1)
		/* A custom setting is nobody's but who sets it, and has no source to be asked for. */
		ok = append_setting(sql, only_set && !strchr(names + at, '.'), guarded, names + at);
	return ok;
}

bool session_append_reset_all(struct buf *sql, bool guarded, const char *pairs, size_t len)
{
	bool ok = buf_appendf(sql, guarded ? "CALL bulkhead.reset_all(ARRAY["
									   : "DO $bulkhead$BEGIN RESET ALL;");

	for (size_t at = 0; ok && at < len;) {
		const char *name = pairs + at, *value = name + strlen(name) + 1;

		if (guarded)
			ok = buf_appendf(sql, at ? ", " : "") && append_literal(sql, name, strlen(name)) &&
				 buf_appendf(sql, ", ") && append_literal(sql, value, strlen(value));
		else
			ok = buf_appendf(sql, "PERFORM pg_catalog.set_config(") &&
				 append_quoted(sql, name, strlen(name), false) && buf_appendf(sql, ", ") &&
				 append_quoted(sql, value, strlen(value), false) &&
				 buf_appendf(sql, ", false);");
		at = (size_t)(value - pairs) + strlen(value) + 1;
	}
	return ok && buf_appendf(sql, guarded ? "]::pg_catalog.text[])" : "END$bulkhead$");
}

const char session_no_effect_sql[] = "UNLISTEN \"bulkhead: nothing\"";

bool session_value_is_plain(const char *value)
{
	for (; *value; value++) {
		if (!isalnum((unsigned char)*value) && !strchr(" _.,:;/+-=@()[]#", *value))
			return false;
	}
	return true;
}
