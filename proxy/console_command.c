#include "proxy/console_command.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- words ---- */

enum token_kind {
	TOKEN_END,
	TOKEN_SEMICOLON,
	TOKEN_WORD,
	TOKEN_QUOTED,
	TOKEN_OTHER,
	TOKEN_OPEN
};

struct token {
	enum token_kind kind;
	const char *text; /* of a quoted one, what is between the quotes, doubled ones included */
	size_t len;
};

static bool is_blank(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Words are names of tenants too, so they are wider than SQL's identifiers. */
static bool is_word(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		   c == '_' || c == '-' || c == '.' || (unsigned char)c >= 0x80;
}

/* Comments nest, as PostgreSQL's do. One that is not closed takes the rest. */
static const char *behind_comment(const char *at)
{
	unsigned depth = 0;

	do {
		if (at[0] == '/' && at[1] == '*') {
			depth++;
			at += 2;
		} else if (at[0] == '*' && at[1] == '/') {
			depth--;
			at += 2;
		} else {
			at++;
		}
	} while (depth && *at);
	return at;
}

static const char *behind_blanks(const char *at)
{
	for (;;) {
		if (is_blank(*at))
			at++;
		else if (at[0] == '-' && at[1] == '-')
			at += strcspn(at, "\r\n");
		else if (at[0] == '/' && at[1] == '*')
			at = behind_comment(at);
		else
			return at;
	}
}

static struct token quoted(const char *at)
{
	char quote = *at++;
	const char *end = at;

	while (*end && (*end != quote || end[1] == quote))
		end += *end == quote ? 2 : 1;
	return (struct token){*end ? TOKEN_QUOTED : TOKEN_OPEN, at, (size_t)(end - at)};
}

/* Moves *at behind the token. */
static struct token next_token(const char *text, size_t *at)
{
	const char *from = behind_blanks(text + *at);
	struct token token = {TOKEN_OTHER, from, 1};
	const char *behind = from + 1;

	if (!*from) {
		token.kind = TOKEN_END;
		behind = from;
	} else if (*from == ';') {
		token.kind = TOKEN_SEMICOLON;
	} else if (*from == '\'' || *from == '"') {
		token = quoted(from);
		behind = token.text + token.len + (token.kind == TOKEN_QUOTED);
	} else if (is_word(*from)) {
		token.kind = TOKEN_WORD;
		while (is_word(*behind))
			behind++;
		token.len = (size_t)(behind - from);
	}
	*at = (size_t)(behind - text);
	return token;
}

static bool is(const struct token *token, const char *word)
{
	return token->kind == TOKEN_WORD && strlen(word) == token->len &&
		   strncasecmp(token->text, word, token->len) == 0;
}

/* The token's text, of a quoted one with each doubled quote once; NULL: memory is out. */
static char *text_of(const struct token *token)
{
	char *text = malloc(token->len + 1), *to = text;

	if (!text)
		return NULL;
	for (size_t i = 0; i < token->len; i++) {
		*to++ = token->text[i];
		if (token->kind == TOKEN_QUOTED && token->text[i] == token->text[-1])
			i++;
	}
	*to = '\0';
	return text;
}

/* ---- commands ---- */

static void is_wrong(struct console_command *out, const char *why)
{
	out->verb = CONSOLE_WRONG;
	out->wrong = why;
}

static void read_end(const char *text, size_t *at, struct console_command *out)
{
	struct token token = next_token(text, at);

	if (token.kind != TOKEN_END && token.kind != TOKEN_SEMICOLON)
		is_wrong(out, "there is a word too many");
}

/* Of these the rest is of no interest, as far as it can be read. */
static void pass_over(const char *text, size_t *at, struct console_command *out)
{
	struct token token;

	do {
		token = next_token(text, at);
	} while (token.kind != TOKEN_END && token.kind != TOKEN_SEMICOLON &&
			 token.kind != TOKEN_OPEN);
	if (token.kind == TOKEN_OPEN)
		is_wrong(out, "a quote is not closed");
}

static void read_show(const char *text, size_t *at, struct console_command *out)
{
	static const struct {
		const char *word;
		enum console_show show;
	} shows[] = {
		{"clients", SHOW_CLIENTS}, {"config", SHOW_CONFIG}, {"databases", SHOW_DATABASES},
		{"help", SHOW_HELP},       {"hosts", SHOW_HOSTS},   {"lists", SHOW_LISTS},
		{"pins", SHOW_PINS},       {"pools", SHOW_POOLS},   {"principals", SHOW_USERS},
		{"servers", SHOW_SERVERS}, {"state", SHOW_STATE},   {"stats", SHOW_STATS},
		{"tenants", SHOW_TENANTS}, {"users", SHOW_USERS},   {"version", SHOW_VERSION},
	};
	struct token token = next_token(text, at);

	for (size_t i = 0; i < sizeof shows / sizeof *shows; i++) {
		if (is(&token, shows[i].word)) {
			out->show = shows[i].show;
			read_end(text, at, out);
			return;
		}
	}
	is_wrong(out, "SHOW has no such table");
}

static void read_tenant(const char *text, size_t *at, bool needed, struct console_command *out)
{
	size_t before = *at;
	struct token token = next_token(text, at);

	if (token.kind == TOKEN_WORD || (token.kind == TOKEN_QUOTED && token.len)) {
		out->tenant = text_of(&token);
		if (!out->tenant)
			is_wrong(out, "out of memory");
		else
			read_end(text, at, out);
		return;
	}
	if (needed || (token.kind != TOKEN_END && token.kind != TOKEN_SEMICOLON)) {
		is_wrong(out, "a tenant's slug, id or key is wanted");
		return;
	}
	*at = before;
	read_end(text, at, out);
}

enum rest { REST_NOTHING, REST_SHOW, REST_TENANT, REST_NEEDS_TENANT, REST_ANYTHING };

static const struct verb {
	const char *word;
	enum console_verb verb;
	enum rest rest;
	const char *tag;
} verbs[] = {
	{"show", CONSOLE_SHOW, REST_SHOW, "SHOW"},
	{"pause", CONSOLE_PAUSE, REST_TENANT, "PAUSE"},
	{"resume", CONSOLE_RESUME, REST_TENANT, "RESUME"},
	{"kill", CONSOLE_KILL, REST_NEEDS_TENANT, "KILL"},
	{"reconnect", CONSOLE_RECONNECT, REST_TENANT, "RECONNECT"},
	{"reload", CONSOLE_RELOAD, REST_NOTHING, "RELOAD"},
	{"shutdown", CONSOLE_SHUTDOWN, REST_NOTHING, "SHUTDOWN"},
	{"begin", CONSOLE_BEGIN, REST_ANYTHING, "BEGIN"},
	{"start", CONSOLE_BEGIN, REST_ANYTHING, "START TRANSACTION"},
	{"commit", CONSOLE_END, REST_ANYTHING, "COMMIT"},
	{"end", CONSOLE_END, REST_ANYTHING, "COMMIT"},
	{"rollback", CONSOLE_END, REST_ANYTHING, "ROLLBACK"},
	{"abort", CONSOLE_END, REST_ANYTHING, "ROLLBACK"},
	{"set", CONSOLE_NOTHING, REST_ANYTHING, "SET"},
	{"reset", CONSOLE_NOTHING, REST_ANYTHING, "RESET"},
	{"discard", CONSOLE_NOTHING, REST_ANYTHING, "DISCARD ALL"},
	{"deallocate", CONSOLE_NOTHING, REST_ANYTHING, "DEALLOCATE ALL"},
};

static const struct verb *find_verb(const struct token *token)
{
	for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++) {
		if (is(token, verbs[i].word))
			return &verbs[i];
	}
	return NULL;
}

static void read_rest(const char *text, size_t *at, enum rest rest, struct console_command *out)
{
	switch (rest) {
	case REST_NOTHING:
		read_end(text, at, out);
		break;
	case REST_SHOW:
		read_show(text, at, out);
		break;
	case REST_TENANT:
		read_tenant(text, at, false, out);
		break;
	case REST_NEEDS_TENANT:
		read_tenant(text, at, true, out);
		break;
	case REST_ANYTHING:
		pass_over(text, at, out);
		break;
	}
}

void console_command_read(const char *text, size_t *at, struct console_command *out)
{
	struct token token;

	*out = (struct console_command){.verb = CONSOLE_NONE};
	do {
		token = next_token(text, at);
	} while (token.kind == TOKEN_SEMICOLON);
	if (token.kind == TOKEN_END)
		return;

	const struct verb *verb = find_verb(&token);
	if (!verb) {
		is_wrong(out, "the first word is none of the console's");
		return;
	}
	out->verb = verb->verb;
	out->tag = verb->tag;
	read_rest(text, at, verb->rest, out);
}

void console_command_fini(struct console_command *command)
{
	free(command->tenant);
	*command = (struct console_command){.verb = CONSOLE_NONE};
}
