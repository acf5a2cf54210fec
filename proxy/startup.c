#include "proxy/startup.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/startup_options.h"
#include "proxy/wire.h"

#define PACKET_MIN       8 /* length word and code */
#define TLS_HANDSHAKE    0x16
#define CANCEL_KEY_MIN   4
#define NAME_MAX_BYTES   63 /* NAMEDATALEN - 1 */
#define TENANT_NAME      "bulkhead.tenant"
#define OUR_PREFIX       "bulkhead."
#define EXTENSION_PREFIX "_pq_."

/* Codes in the place of a version, of a major that will never be: 1234 << 16 | n. */
enum { CODE_CANCEL = 80877102, CODE_SSL = 80877103, CODE_GSSENC = 80877104 };

/* Bounds the search for doubles: every key ends up in one of these places. */
#define KEYS_MAX (STARTUP_SETTINGS_MAX + STARTUP_EXTENSIONS_MAX + 4)

/* A startup packet's keys and values, borrowed from the packet in their order. */
struct fields {
	const char *names[KEYS_MAX], *values[KEYS_MAX];
	size_t count;
};

/* ---- outcomes ---- */

static void refuse(struct startup *out, const char *sqlstate, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static void refuse(struct startup *out, const char *sqlstate, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(out->error, sizeof out->error, format, args);
	va_end(args);
	out->sqlstate = sqlstate;
}

static bool refuse_memory(struct startup *out)
{
	refuse(out, "53200", "out of memory");
	return false;
}

/* As refuse, with a name of the client's in the format's one %s: cut, and only printable ASCII
 * of it. */
#define SHOWN_SIZE (NAME_MAX_BYTES + 1)

static const char *shown(const char *name, char copy[SHOWN_SIZE])
{
	size_t i = 0;

	for (; name[i] && i < SHOWN_SIZE - 1; i++)
		copy[i] = name[i] >= 0x20 && name[i] < 0x7f ? name[i] : '?';
	copy[i] = '\0';
	return copy;
}

static enum startup_kind invalid(struct startup *out, const char *why)
{
	snprintf(out->error, sizeof out->error, "%s", why);
	return STARTUP_INVALID;
}

/* ---- names ---- */

static char ascii_lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

static bool is_letter(char c)
{
	return (ascii_lower(c) >= 'a' && ascii_lower(c) <= 'z') || c == '_';
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool same_name(const char *a, const char *b)
{
	while (*a && ascii_lower(*a) == ascii_lower(*b)) {
		a++;
		b++;
	}
	return ascii_lower(*a) == ascii_lower(*b);
}

static bool has_prefix(const char *text, const char *prefix)
{
	return strncmp(text, prefix, strlen(prefix)) == 0;
}

static bool is_setting_name(const char *name)
{
	size_t len = strlen(name);

	if (len > NAME_MAX_BYTES || !is_letter(name[0]))
		return false;
	for (size_t i = 1; i < len; i++)
		if (!is_letter(name[i]) && !is_digit(name[i]) && name[i] != '$' && name[i] != '.')
			return false;
	return true;
}

static char *copy_lower(const char *name)
{
	char *copy = strdup(name);

	for (char *c = copy; c && *c; c++)
		*c = ascii_lower(*c);
	return copy;
}

/* ---- settings ---- */

/* The encoding's name as the server compares it: lower-case letters and digits alone, cut at
 * `size`. */
static void clean_encoding(const char *name, char *out, size_t size)
{
	size_t n = 0;

	for (; *name && n < size - 1; name++) {
		char c = ascii_lower(*name);

		if (is_digit(c) || (c >= 'a' && c <= 'z'))
			out[n++] = c;
	}
	out[n] = '\0';
}

/*
 * Encodings in which a byte of ASCII may be the second half of a character, under all names the
 * server knows them by (PostgreSQL documentation, "Character Set Support"): a quote or a
 * backslash could then be one thing for the server and another for everybody else.
 */
bool startup_encoding_is_safe(const char *name)
{
	static const char *const unsafe[] = {
		"sjis", "mskanji", "shiftjis",   "shiftjis2004", "win932",  "windows932",
		"big5", "win950",  "windows950", "gbk",          "win936",  "windows936",
		"uhc",  "win949",  "windows949", "johab",        "gb18030",
	};
	char clean[NAME_MAX_BYTES + 1];

	clean_encoding(name, clean, sizeof clean);
	for (size_t i = 0; i < sizeof unsafe / sizeof *unsafe; i++)
		if (strcmp(clean, unsafe[i]) == 0)
			return false;
	return true;
}

/* What every backend runs under, so that a text means one thing to all who read it. */
static const char *pinned_value(const char *name)
{
	if (strcmp(name, "standard_conforming_strings") == 0)
		return "on";
	if (strcmp(name, "backslash_quote") == 0)
		return "safe_encoding";
	return NULL;
}

static bool take_tenant(struct startup *out, const char *value)
{
	if (out->tenant) {
		refuse(out, "08P01", "%s was given more than once", TENANT_NAME);
		return false;
	}
	out->tenant = strdup(value);
	return out->tenant || refuse_memory(out);
}

/* Stores a setting; `name`, from malloc, is taken over. */
static bool store_setting(struct startup *out, char *name, const char *value)
{
	char *copy = strdup(value);
	size_t i = 0;

	while (i < out->setting_count && strcmp(out->settings[i].name, name) != 0)
		i++;
	if (!copy || i == STARTUP_SETTINGS_MAX) {
		free(name);
		free(copy);
		if (!copy)
			return refuse_memory(out);
		refuse(out, "54000", "more than %d settings in the startup packet",
			   STARTUP_SETTINGS_MAX);
		return false;
	}
	if (i < out->setting_count) {
		free(out->settings[i].name);
		free(out->settings[i].value);
	} else {
		out->setting_count++;
	}
	out->settings[i] = (struct startup_setting){.name = name, .value = copy};
	return true;
}

/* Takes a setting whose name is sound and in lower case. */
static bool take_setting(struct startup *out, char *name, const char *value)
{
	const char *pinned = pinned_value(name);
	bool keep = false, ok = true;

	if (strcmp(name, TENANT_NAME) == 0) {
		ok = take_tenant(out, value);
	} else if (has_prefix(name, OUR_PREFIX)) {
		refuse(out, "42704", "unrecognized configuration parameter \"%s\"", name);
		ok = false;
	} else if (pinned) {
		ok = same_name(value, pinned);
		if (!ok)
			refuse(out, "0A000", "parameter \"%s\" is always \"%s\" here", name, pinned);
	} else if (strcmp(name, "client_encoding") == 0 && !startup_encoding_is_safe(value)) {
		refuse(out, "0A000",
			   "client encodings that are not safe byte by byte are not supported");
		ok = false;
	} else {
		keep = true;
	}
	if (keep)
		return store_setting(out, name, value);
	free(name);
	return ok;
}

static bool add_setting(struct startup *out, const char *name, const char *value)
{
	char copy[SHOWN_SIZE];

	if (!is_setting_name(name)) {
		refuse(out, "42602", "invalid configuration parameter name \"%s\"", shown(name, copy));
		return false;
	}
	char *lower = copy_lower(name);

	return lower ? take_setting(out, lower, value) : refuse_memory(out);
}

static bool add_options(struct startup *out, const char *text)
{
	struct startup_options options;
	const char *name, *value;
	char copy[SHOWN_SIZE];
	char *words = strdup(text);
	bool ok = words || refuse_memory(out), more = ok;

	if (ok)
		startup_options_init(&options, words);
	while (ok && more) {
		switch (startup_options_next(&options, &name, &value)) {
		case STARTUP_OPTION:
			ok = add_setting(out, name, value);
			break;
		case STARTUP_OPTION_END:
			more = false;
			break;
		case STARTUP_OPTION_SWITCH:
			refuse(out, "42601", "invalid command-line argument for server process: %s",
				   shown(name, copy));
			ok = false;
			break;
		case STARTUP_OPTION_VALUE:
			refuse(out, "42601", "-c %s requires a value", shown(name, copy));
			ok = false;
			break;
		}
	}
	free(words);
	return ok;
}

/* ---- the startup packet ---- */

static bool add_field(struct startup *out, struct fields *fields, const char *name,
					  const char *value)
{
	char copy[SHOWN_SIZE];

	for (size_t i = 0; i < fields->count; i++) {
		if (same_name(fields->names[i], name)) {
			refuse(out, "08P01", "\"%s\" is in the startup packet more than once",
				   shown(name, copy));
			return false;
		}
	}
	if (fields->count == KEYS_MAX) {
		refuse(out, "54000", "more than %d settings in the startup packet",
			   STARTUP_SETTINGS_MAX);
		return false;
	}
	fields->names[fields->count] = name;
	fields->values[fields->count++] = value;
	return true;
}

/* Splits the packet's body: pairs of strings, then one NUL that ends it. */
static bool read_fields(const uint8_t *body, size_t len, struct startup *out,
						struct fields *fields)
{
	size_t at = 0;

	while (at < len && body[at]) {
		const char *name = wire_cstr(body, len, &at);
		const char *value = name ? wire_cstr(body, len, &at) : NULL;

		if (!value) {
			refuse(out, "08P01", "invalid startup packet layout: a string has no end");
			return false;
		}
		if (!add_field(out, fields, name, value))
			return false;
	}
	if (at + 1 != len) {
		refuse(out, "08P01", "invalid startup packet layout: expected terminator as last byte");
		return false;
	}
	return true;
}

static bool add_extension(struct startup *out, const char *name)
{
	if (out->extension_count == STARTUP_EXTENSIONS_MAX) {
		refuse(out, "54000", "more than %d protocol extensions in the startup packet",
			   STARTUP_EXTENSIONS_MAX);
		return false;
	}
	char *copy = strdup(name);
	if (!copy)
		return refuse_memory(out);
	out->extensions[out->extension_count++] = copy;
	return true;
}

static bool copy_into(struct startup *out, char **to, const char *value)
{
	*to = strdup(value);
	return *to || refuse_memory(out);
}

/*
 * Takes one field. Settings wait for the second pass: the server, too, applies `options` first
 * wherever they stand, so that a key overrides them.
 */
static bool take_field(struct startup *out, const char *name, const char *value,
					   bool second_pass)
{
	if (strcmp(name, "user") == 0)
		return second_pass || copy_into(out, &out->user, value);
	if (strcmp(name, "database") == 0)
		return second_pass || !*value || copy_into(out, &out->database, value);
	if (strcmp(name, "options") == 0)
		return second_pass || add_options(out, value);
	if (strcmp(name, "replication") == 0) {
		refuse(out, "0A000", "replication connections are not supported");
		return false;
	}
	if (has_prefix(name, EXTENSION_PREFIX))
		return second_pass || add_extension(out, name);
	return !second_pass || add_setting(out, name, value);
}

static bool take_fields(struct startup *out, const struct fields *fields)
{
	for (int pass = 0; pass < 2; pass++)
		for (size_t i = 0; i < fields->count; i++)
			if (!take_field(out, fields->names[i], fields->values[i], pass == 1))
				return false;
	if (!out->user || !*out->user) {
		refuse(out, "28000", "no PostgreSQL user name specified in startup packet");
		return false;
	}
	out->database_given = out->database != NULL;
	return out->database_given || copy_into(out, &out->database, out->user);
}

static enum startup_kind read_session(const uint8_t *body, size_t len, struct startup *out)
{
	unsigned major = out->version >> 16, minor = out->version & 0xffff;
	struct fields fields = {.count = 0};

	if (major != 3) {
		refuse(out, "0A000", "unsupported frontend protocol %u.%u: server supports 3.0", major,
			   minor);
		return STARTUP_REFUSED;
	}
	if (!read_fields(body, len, out, &fields) || !take_fields(out, &fields))
		return STARTUP_REFUSED;
	return STARTUP_SESSION;
}

static enum startup_kind read_cancel(const uint8_t *body, size_t len, struct startup *out)
{
	if (len < 4 + CANCEL_KEY_MIN || len > 4 + sizeof out->cancel_key)
		return invalid(out, "CancelRequest with a key of the wrong length");
	out->cancel_pid = wire_u32(body);
	out->cancel_key_len = len - 4;
	memcpy(out->cancel_key, body + 4, out->cancel_key_len);
	return STARTUP_CANCEL;
}

static enum startup_kind read_packet(const uint8_t *packet, size_t len, struct startup *out)
{
	const uint8_t *body = packet + PACKET_MIN;
	size_t body_len = len - PACKET_MIN;
	uint32_t code = wire_u32(packet + 4);

	switch (code) {
	case CODE_SSL:
		return body_len ? invalid(out, "SSLRequest of the wrong length") : STARTUP_SSL;
	case CODE_GSSENC:
		return body_len ? invalid(out, "GSSENCRequest of the wrong length") : STARTUP_GSSENC;
	case CODE_CANCEL:
		return read_cancel(body, body_len, out);
	}
	out->version = code;
	return read_session(body, body_len, out);
}

enum startup_kind startup_parse(const uint8_t *data, size_t len, size_t *used,
								struct startup *out)
{
	memset(out, 0, sizeof *out);
	if (len > 0 && data[0] == TLS_HANDSHAKE)
		return invalid(out, "a TLS handshake without SSLRequest: direct TLS is not supported");
	if (len < 4)
		return STARTUP_INCOMPLETE;

	uint32_t packet_len = wire_u32(data);
	if (packet_len < PACKET_MIN || packet_len > STARTUP_PACKET_MAX)
		return invalid(out, "invalid length of startup packet");
	if (len < packet_len)
		return STARTUP_INCOMPLETE;

	enum startup_kind kind = read_packet(data, packet_len, out);
	if (kind != STARTUP_INVALID)
		*used = packet_len;
	return kind;
}

void startup_fini(struct startup *startup)
{
	free(startup->user);
	free(startup->database);
	free(startup->tenant);
	for (size_t i = 0; i < startup->setting_count; i++) {
		free(startup->settings[i].name);
		free(startup->settings[i].value);
	}
	for (size_t i = 0; i < startup->extension_count; i++)
		free(startup->extensions[i]);
	memset(startup, 0, sizeof *startup);
}
