#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "proxy/startup.h"

#define VERSION_3_0 0x30000u
#define CODE_CANCEL 80877102u
#define CODE_SSL    80877103u
#define CODE_GSSENC 80877104u

/* ---- packets ---- */

static void begin(struct buf *packet, uint32_t code)
{
	buf_init(packet);
	cr_assert(buf_append_u32(packet, 0));
	cr_assert(buf_append_u32(packet, code));
}

static void end(struct buf *packet)
{
	uint32_t len = (uint32_t)buf_len(packet);
	uint8_t *at = buf_data(packet);

	for (int i = 0; i < 4; i++)
		at[i] = (uint8_t)(len >> (24 - 8 * i));
}

static void add(struct buf *packet, const char *name, const char *value)
{
	cr_assert(buf_append_cstr(packet, name));
	cr_assert(buf_append_cstr(packet, value));
}

/* A startup packet of the pairs given, ended by NULL. */
static void session(struct buf *packet, const char *const pairs[])
{
	begin(packet, VERSION_3_0);
	for (size_t i = 0; pairs[i]; i += 2)
		add(packet, pairs[i], pairs[i + 1]);
	cr_assert(buf_append_byte(packet, 0));
	end(packet);
}

/* Parses from a block of exactly the bytes there are, so that a sanitizer sees a read past the
 * end. */
static enum startup_kind parse_bytes(const void *data, size_t len, size_t *used,
									 struct startup *out)
{
	uint8_t *copy = malloc(len ? len : 1);

	memcpy(copy, data, len);
	*used = 0;
	enum startup_kind kind = startup_parse(copy, len, used, out);
	free(copy);
	return kind;
}

static enum startup_kind parse(struct buf *packet, struct startup *out)
{
	size_t used, len = buf_len(packet);
	enum startup_kind kind = parse_bytes(buf_data(packet), len, &used, out);

	cr_expect_eq(used, kind == STARTUP_INVALID || kind == STARTUP_INCOMPLETE ? 0 : len);
	if (kind == STARTUP_REFUSED) {
		cr_expect_not_null(out->sqlstate);
		cr_expect_eq(strlen(out->sqlstate), 5);
		cr_expect(out->error[0]);
	}
	buf_fini(packet);
	return kind;
}

#define PAIRS(...) ((const char *const[]){__VA_ARGS__, NULL})

static enum startup_kind parse_pairs(const char *const pairs[], struct startup *out)
{
	struct buf packet;

	session(&packet, pairs);
	return parse(&packet, out);
}

/* A session of user `u` with these options. */
static enum startup_kind parse_options(const char *options, struct startup *out)
{
	return parse_pairs(PAIRS("user", "u", "options", options), out);
}

static const char *setting(const struct startup *startup, const char *name)
{
	const char *value = NULL;

	for (size_t i = 0; i < startup->setting_count; i++) {
		if (strcmp(startup->settings[i].name, name) == 0) {
			cr_assert_null(value, "%s is there twice", name);
			value = startup->settings[i].value;
		}
	}
	return value;
}

static void expect_refused(const char *const pairs[], const char *sqlstate, const char *error)
{
	struct startup startup;

	cr_expect_eq(parse_pairs(pairs, &startup), STARTUP_REFUSED, "%s", error);
	cr_expect_str_eq(startup.sqlstate ? startup.sqlstate : "none", sqlstate, "%s: %s", error,
					 startup.error);
	cr_expect(strstr(startup.error, error), "\"%s\" is not in \"%s\"", error, startup.error);
	startup_fini(&startup);
}

static void expect_options_refused(const char *options, const char *sqlstate, const char *error)
{
	expect_refused(PAIRS("user", "u", "options", options), sqlstate, error);
}

/* ---- requests in the place of a startup packet ---- */

Test(startup, knows_the_encryption_requests)
{
	struct startup startup;
	struct buf packet;

	begin(&packet, CODE_SSL);
	end(&packet);
	cr_assert_eq(parse(&packet, &startup), STARTUP_SSL);
	startup_fini(&startup);
	begin(&packet, CODE_GSSENC);
	end(&packet);
	cr_assert_eq(parse(&packet, &startup), STARTUP_GSSENC);
	startup_fini(&startup);
	begin(&packet, CODE_SSL);
	buf_append_byte(&packet, 0);
	end(&packet);
	cr_assert_eq(parse(&packet, &startup), STARTUP_INVALID);
	startup_fini(&startup);
}

Test(startup, says_what_bytes_behind_a_request_are_not_its_own)
{
	struct startup startup;
	struct buf packet;
	size_t used;

	begin(&packet, CODE_SSL);
	end(&packet);
	buf_append(&packet, "injected", 8);
	cr_assert_eq(parse_bytes(buf_data(&packet), buf_len(&packet), &used, &startup),
				 STARTUP_SSL);
	cr_assert_eq(used, 8);
	startup_fini(&startup);
	buf_fini(&packet);
}

static enum startup_kind parse_cancel(size_t key_len, struct startup *out)
{
	struct buf packet;

	begin(&packet, CODE_CANCEL);
	buf_append_u32(&packet, 0x01020304);
	for (size_t i = 0; i < key_len; i++)
		buf_append_byte(&packet, (uint8_t)(i + 1));
	end(&packet);
	return parse(&packet, out);
}

Test(startup, reads_cancel_requests_with_keys_of_any_version)
{
	static const size_t good[] = {4, 5, 32, 255, 256}, bad[] = {0, 1, 3, 257, 4096};
	struct startup startup;

	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		cr_expect_eq(parse_cancel(good[i], &startup), STARTUP_CANCEL, "%zu", good[i]);
		cr_expect_eq(startup.cancel_pid, 0x01020304u);
		cr_expect_eq(startup.cancel_key_len, good[i]);
		for (size_t j = 0; j < good[i]; j++)
			cr_expect_eq(startup.cancel_key[j], (uint8_t)(j + 1));
		startup_fini(&startup);
	}
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		cr_expect_eq(parse_cancel(bad[i], &startup), STARTUP_INVALID, "%zu", bad[i]);
		startup_fini(&startup);
	}
}

Test(startup, bounds_the_length_as_soon_as_it_is_there)
{
	static const uint32_t bad[] = {0,          1,          4,         7, STARTUP_PACKET_MAX + 1,
								   0x7fffffff, 0x80000000, 0xffffffff};
	struct startup startup;
	size_t used;

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		uint8_t word[4] = {(uint8_t)(bad[i] >> 24), (uint8_t)(bad[i] >> 16),
						   (uint8_t)(bad[i] >> 8), (uint8_t)bad[i]};

		cr_expect_eq(parse_bytes(word, 3, &used, &startup), STARTUP_INCOMPLETE);
		startup_fini(&startup);
		cr_expect_eq(parse_bytes(word, 4, &used, &startup), STARTUP_INVALID, "%u", bad[i]);
		cr_expect(startup.error[0]);
		startup_fini(&startup);
	}
	cr_expect_eq(parse_bytes("\0\0\0\x8", 4, &used, &startup), STARTUP_INCOMPLETE);
	startup_fini(&startup);
}

Test(startup, knows_direct_tls_and_http_for_what_they_are)
{
	struct startup startup;
	size_t used;

	cr_expect_eq(parse_bytes("\x16", 1, &used, &startup), STARTUP_INVALID);
	cr_expect(strstr(startup.error, "TLS"));
	startup_fini(&startup);
	cr_expect_eq(parse_bytes("\x16\x03\x01\x02\x00\x01", 6, &used, &startup), STARTUP_INVALID);
	startup_fini(&startup);
	cr_expect_eq(parse_bytes("GET / HTTP/1.1\r\n", 16, &used, &startup), STARTUP_INVALID);
	startup_fini(&startup);
	cr_expect_eq(parse_bytes("", 0, &used, &startup), STARTUP_INCOMPLETE);
	startup_fini(&startup);
}

/* ---- versions ---- */

static enum startup_kind parse_version(uint32_t version, struct startup *out)
{
	struct buf packet;

	begin(&packet, version);
	add(&packet, "user", "u");
	buf_append_byte(&packet, 0);
	end(&packet);
	return parse(&packet, out);
}

Test(startup, takes_every_minor_version_of_3_and_no_other_major)
{
	static const uint32_t good[] = {0x30000, 0x30001, 0x30002, 0x30000 + 9999, 0x3ffff};
	static const uint32_t bad[] = {0, 0x20000, 0x10000, 0x40000, 80877105u, 0xffffffff};
	struct startup startup;

	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		cr_expect_eq(parse_version(good[i], &startup), STARTUP_SESSION, "%x", good[i]);
		cr_expect_eq(startup.version, good[i]);
		startup_fini(&startup);
	}
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		cr_expect_eq(parse_version(bad[i], &startup), STARTUP_REFUSED, "%x", bad[i]);
		cr_expect_str_eq(startup.sqlstate, "0A000");
		startup_fini(&startup);
	}
}

/* ---- keys ---- */

Test(startup, reads_what_psql_sends)
{
	struct startup startup;

	cr_assert_eq(parse_pairs(PAIRS("user", "shop", "database", "app", "application_name",
								   "psql", "client_encoding", "UTF8"),
							 &startup),
				 STARTUP_SESSION);
	cr_expect_str_eq(startup.user, "shop");
	cr_expect_str_eq(startup.database, "app");
	cr_expect(startup.database_given);
	cr_expect_null(startup.tenant);
	cr_expect_eq(startup.setting_count, 2);
	cr_expect_str_eq(setting(&startup, "application_name"), "psql");
	cr_expect_str_eq(setting(&startup, "client_encoding"), "UTF8");
	cr_expect_eq(startup.extension_count, 0);
	startup_fini(&startup);
}

Test(startup, the_database_is_the_users_name_when_none_is_given)
{
	struct startup startup;

	cr_assert_eq(parse_pairs(PAIRS("user", "shop"), &startup), STARTUP_SESSION);
	cr_expect_str_eq(startup.database, "shop");
	cr_expect_not(startup.database_given);
	startup_fini(&startup);
	cr_assert_eq(parse_pairs(PAIRS("user", "shop", "database", ""), &startup), STARTUP_SESSION);
	cr_expect_str_eq(startup.database, "shop");
	cr_expect_not(startup.database_given);
	startup_fini(&startup);
}

Test(startup, names_of_any_length_and_bytes_are_kept)
{
	char user[3001];
	struct startup startup;

	memset(user, 'u', sizeof user);
	user[3000] = '\0';
	cr_assert_eq(parse_pairs(PAIRS("user", user, "database", "d\xc3\xa4 'b\xff"), &startup),
				 STARTUP_SESSION);
	cr_expect_str_eq(startup.user, user);
	cr_expect_str_eq(startup.database, "d\xc3\xa4 'b\xff");
	startup_fini(&startup);
}

Test(startup, refuses_packets_without_a_user)
{
	expect_refused(PAIRS("database", "d"), "28000", "no PostgreSQL user name");
	expect_refused(PAIRS("user", ""), "28000", "no PostgreSQL user name");
}

Test(startup, refuses_keys_that_are_there_twice)
{
	expect_refused(PAIRS("user", "a", "user", "b"), "08P01", "\"user\"");
	expect_refused(PAIRS("user", "a", "user", "a"), "08P01", "\"user\"");
	expect_refused(PAIRS("user", "a", "USER", "b"), "08P01", "\"USER\"");
	expect_refused(PAIRS("user", "a", "database", "x", "database", "y"), "08P01",
				   "\"database\"");
	expect_refused(PAIRS("user", "a", "options", "", "options", ""), "08P01", "\"options\"");
	expect_refused(PAIRS("user", "a", "work_mem", "1MB", "Work_Mem", "2MB"), "08P01",
				   "\"Work_Mem\"");
	expect_refused(PAIRS("user", "a", "_pq_.x", "", "_pq_.x", ""), "08P01", "\"_pq_.x\"");
}

Test(startup, refuses_replication)
{
	expect_refused(PAIRS("user", "a", "replication", "database"), "0A000", "replication");
	expect_refused(PAIRS("replication", "true", "user", "a"), "0A000", "replication");
}

Test(startup, keeps_extensions_apart_from_settings)
{
	struct startup startup;

	cr_assert_eq(
		parse_pairs(PAIRS("user", "u", "_pq_.compress", "1", "_pq_.", "", "work_mem", "1MB"),
					&startup),
		STARTUP_SESSION);
	cr_assert_eq(startup.extension_count, 2);
	cr_expect_str_eq(startup.extensions[0], "_pq_.compress");
	cr_expect_str_eq(startup.extensions[1], "_pq_.");
	cr_expect_eq(startup.setting_count, 1);
	startup_fini(&startup);
}

static void many(struct buf *packet, const char *prefix, int count)
{
	char name[64];

	begin(packet, VERSION_3_0);
	add(packet, "user", "u");
	for (int i = 0; i < count; i++) {
		snprintf(name, sizeof name, "%s%d", prefix, i);
		add(packet, name, "1");
	}
	buf_append_byte(packet, 0);
	end(packet);
}

Test(startup, bounds_settings_and_extensions)
{
	static const char *const prefixes[] = {"a.s", "_pq_.e"};
	static const int limits[] = {STARTUP_SETTINGS_MAX, STARTUP_EXTENSIONS_MAX};
	struct startup startup;
	struct buf packet;

	for (int i = 0; i < 2; i++) {
		many(&packet, prefixes[i], limits[i]);
		cr_expect_eq(parse(&packet, &startup), STARTUP_SESSION);
		cr_expect_eq(i ? startup.extension_count : startup.setting_count, (size_t)limits[i]);
		startup_fini(&startup);
		many(&packet, prefixes[i], limits[i] + 1);
		cr_expect_eq(parse(&packet, &startup), STARTUP_REFUSED);
		cr_expect_str_eq(startup.sqlstate, "54000");
		startup_fini(&startup);
		many(&packet, prefixes[i], 600);
		cr_expect_eq(parse(&packet, &startup), STARTUP_REFUSED);
		startup_fini(&startup);
	}
}

Test(startup, refuses_nuls_out_of_place)
{
	static const struct {
		const char *body;
		size_t len;
	} cases[] = {
		{"", 0},           {"user", 4},          {"user\0u", 6},
		{"user\0u\0", 7},  {"user\0u\0\0\0", 9}, {"user\0u\0\0database\0d\0\0", 20},
		{"user\0", 5},     {"\0user\0u\0\0", 9}, {"user\0u\0database\0", 16},
		{"user\0u\0x", 8},
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct startup startup;
		struct buf packet;

		begin(&packet, VERSION_3_0);
		buf_append(&packet, cases[i].body, cases[i].len);
		end(&packet);
		cr_expect_eq(parse(&packet, &startup), STARTUP_REFUSED, "case %zu", i);
		cr_expect_str_eq(startup.sqlstate, "08P01", "case %zu: %s", i, startup.error);
		startup_fini(&startup);
	}
}

Test(startup, takes_a_packet_of_exactly_the_greatest_length)
{
	/* length, code, "user" NUL "u" NUL, "a.b" NUL value NUL, NUL */
	const size_t value_len = STARTUP_PACKET_MAX - 8 - 7 - 4 - 1 - 1;
	char *value = calloc(1, value_len + 1);
	struct startup startup;

	memset(value, 'v', value_len);
	cr_assert_eq(parse_pairs(PAIRS("user", "u", "a.b", value), &startup), STARTUP_SESSION);
	cr_expect_str_eq(setting(&startup, "a.b"), value);
	startup_fini(&startup);
	free(value);
}

/* ---- names ---- */

#define NAME_63 "a23456789012345678901234567890123456789012345678901234567890123"

Test(startup, checks_the_names_of_settings)
{
	static const char *const good[] = {"a",    "_a", "A.b", "a$1", "app.current_tenant_id",
									   NAME_63};
	static const char *const bad[] = {"1a",        "$a",  ".a",       "a b", "a-b",
									  "a;b",       "a'b", "a\"b",     "a=b", "\xc3\xa4",
									  "a\xc3\xa4", "a\n", NAME_63 "4"};
	struct startup startup;

	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		cr_expect_eq(parse_pairs(PAIRS("user", "u", good[i], "v"), &startup), STARTUP_SESSION,
					 "%s", good[i]);
		cr_expect_eq(startup.setting_count, 1);
		startup_fini(&startup);
	}
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		expect_refused(PAIRS("user", "u", bad[i], "v"), "42602",
					   "invalid configuration parameter name");
}

Test(startup, names_are_lower_case_and_values_are_bytes)
{
	struct startup startup;

	cr_assert_eq(parse_pairs(PAIRS("user", "U", "TimeZone", "Europe/Zurich", "search_path",
								   "\"TenantA\", \xff\\'"),
							 &startup),
				 STARTUP_SESSION);
	cr_expect_str_eq(startup.user, "U");
	cr_expect_str_eq(setting(&startup, "timezone"), "Europe/Zurich");
	cr_expect_str_eq(setting(&startup, "search_path"), "\"TenantA\", \xff\\'");
	startup_fini(&startup);
}

Test(startup, errors_show_printable_characters_only)
{
	struct startup startup;

	cr_assert_eq(parse_pairs(PAIRS("user", "u", "x\n\xff\x1b[0m", "v"), &startup),
				 STARTUP_REFUSED);
	cr_expect_str_eq(startup.error, "invalid configuration parameter name \"x???[0m\"");
	startup_fini(&startup);
}

/* ---- options ---- */

Test(startup, reads_options_as_the_server_does)
{
	static const struct {
		const char *options, *name, *value;
	} cases[] = {
		{"-c work_mem=5MB", "work_mem", "5MB"},
		{"-cwork_mem=5MB", "work_mem", "5MB"},
		{"--work_mem=5MB", "work_mem", "5MB"},
		{"--work-mem=5MB", "work_mem", "5MB"},
		{"-c work-mem=5MB", "work_mem", "5MB"},
		{"  -c \t\n\v\f\r work_mem=5MB  ", "work_mem", "5MB"},
		{"--Work-Mem=5MB", "work_mem", "5MB"},
		{"-c work_mem=1MB -c work_mem=2MB", "work_mem", "2MB"},
		{"-c work_mem=1MB --WORK_MEM=2MB", "work_mem", "2MB"},
		{"-c a.b=", "a.b", ""},
		{"-c a.b==", "a.b", "="},
		{"-c a.b=c-d", "a.b", "c-d"},
		{"-c a.b=one\\ two", "a.b", "one two"},
		{"-c a.b=\\\\", "a.b", "\\"},
		{"-c a.b=x\\", "a.b", "x"},
		{"-c a.b\\=x", "a.b", "x"},
		{"-c a.b=\\x\\'\\\"", "a.b", "x'\""},
		{"\\-c a.b=x", "a.b", "x"},
		{"-c a.b='x", "a.b", "'x"},
		{"-c search_path=\"TenantA\",public", "search_path", "\"TenantA\",public"},
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct startup startup;

		cr_expect_eq(parse_options(cases[i].options, &startup), STARTUP_SESSION, "%s: %s",
					 cases[i].options, startup.error);
		cr_expect_eq(startup.setting_count, 1, "%s", cases[i].options);
		cr_assert_not_null(setting(&startup, cases[i].name), "%s", cases[i].options);
		cr_expect_str_eq(setting(&startup, cases[i].name), cases[i].value, "%s",
						 cases[i].options);
		startup_fini(&startup);
	}
}

Test(startup, empty_options_are_none)
{
	static const char *const empty[] = {"", " ", "\t \n"};
	struct startup startup;

	for (size_t i = 0; i < sizeof empty / sizeof *empty; i++) {
		cr_expect_eq(parse_options(empty[i], &startup), STARTUP_SESSION);
		cr_expect_eq(startup.setting_count, 0);
		startup_fini(&startup);
	}
}

Test(startup, a_key_overrides_an_option_wherever_it_stands)
{
	struct startup startup;

	cr_assert_eq(
		parse_pairs(PAIRS("work_mem", "1MB", "user", "u", "options", "-c work_mem=2MB"),
					&startup),
		STARTUP_SESSION);
	cr_expect_str_eq(setting(&startup, "work_mem"), "1MB");
	cr_expect_eq(startup.setting_count, 1);
	startup_fini(&startup);
}

Test(startup, refuses_options_that_are_no_settings)
{
	static const char *const switches[] = {"-c",
										   "--",
										   "-",
										   "x",
										   "-e",
										   "-d 5",
										   "-B100",
										   "-ec a=b",
										   "\\",
										   "-- a.b=x",
										   "reference=acme",
										   "-c a.b=x -c",
										   "-c a.b=x y"};

	for (size_t i = 0; i < sizeof switches / sizeof *switches; i++)
		expect_options_refused(switches[i], "42601",
							   "invalid command-line argument for server process");
	expect_options_refused("-c work_mem", "42601", "-c work_mem requires a value");
	expect_options_refused("-c -c", "42601", "-c _c requires a value");
	expect_options_refused("--work-mem", "42601", "work_mem requires a value");
	expect_options_refused("-c =", "42602", "invalid configuration parameter name \"\"");
	expect_options_refused("-c=", "42602", "invalid configuration parameter name \"\"");
	expect_options_refused("--=x", "42602", "invalid configuration parameter name \"\"");
	expect_options_refused("-c 1a=x", "42602", "invalid configuration parameter name \"1a\"");
}

Test(startup, options_are_bounded_with_the_keys)
{
	struct startup startup;
	struct buf options;

	buf_init(&options);
	for (int i = 0; i <= STARTUP_SETTINGS_MAX; i++)
		cr_assert(buf_appendf(&options, "-c a.b%d=x ", i));
	cr_assert(buf_append_byte(&options, 0));
	cr_expect_eq(parse_options((const char *)buf_data(&options), &startup), STARTUP_REFUSED);
	cr_expect_str_eq(startup.sqlstate, "54000");
	startup_fini(&startup);
	buf_fini(&options);
}

/* ---- the tenant ---- */

Test(startup, takes_the_tenant_out_of_the_settings)
{
	struct startup startup;

	cr_assert_eq(parse_options("-c bulkhead.tenant=acme -c work_mem=1MB", &startup),
				 STARTUP_SESSION);
	cr_expect_str_eq(startup.tenant, "acme");
	cr_expect_eq(startup.setting_count, 1);
	startup_fini(&startup);
	cr_assert_eq(parse_pairs(PAIRS("user", "u", "Bulkhead.Tenant", "Ac me"), &startup),
				 STARTUP_SESSION);
	cr_expect_str_eq(startup.tenant, "Ac me");
	cr_expect_eq(startup.setting_count, 0);
	startup_fini(&startup);
}

Test(startup, refuses_two_tenants_and_other_names_of_ours)
{
	expect_options_refused("-c bulkhead.tenant=acme -c bulkhead.tenant=acme", "08P01",
						   "more than once");
	expect_options_refused("-c bulkhead.tenant=acme --BULKHEAD.TENANT=globex", "08P01",
						   "more than once");
	expect_refused(
		PAIRS("user", "u", "bulkhead.tenant", "acme", "options", "-c bulkhead.tenant=globex"),
		"08P01", "more than once");
	expect_refused(
		PAIRS("user", "u", "options", "-c bulkhead.tenant=a", "BULKHEAD.tenant", "a"), "08P01",
		"more than once");
	expect_options_refused("-c bulkhead.tenant_id=x", "42704", "bulkhead.tenant_id");
	expect_refused(PAIRS("user", "u", "Bulkhead.key", "x"), "42704", "bulkhead.key");
}

/* ---- what the backends run under ---- */

Test(startup, pinned_settings_are_dropped_or_refused)
{
	struct startup startup;

	cr_assert_eq(parse_pairs(PAIRS("user", "u", "Standard_Conforming_Strings", "on",
								   "backslash_quote", "safe_encoding"),
							 &startup),
				 STARTUP_SESSION);
	cr_expect_eq(startup.setting_count, 0);
	startup_fini(&startup);
	expect_options_refused("-c standard_conforming_strings=off", "0A000",
						   "standard_conforming_strings");
	expect_options_refused("--standard-conforming-strings=0", "0A000",
						   "standard_conforming_strings");
	expect_options_refused("-c standard_conforming_strings=", "0A000",
						   "standard_conforming_strings");
	expect_refused(PAIRS("user", "u", "backslash_quote", "on"), "0A000", "backslash_quote");
}

Test(startup, refuses_encodings_that_are_not_safe_byte_by_byte)
{
	static const char *const bad[] = {
		"SJIS",   "sjis",        "'sjis'",      "Shift_JIS", "SHIFT_JIS_2004", "Mskanji",
		"WIN932", "Windows-932", "BIG5",        "\"big5\"",  "win950",         "windows950",
		"GBK",    "WIN936",      "windows_936", "uhc",       "WIN949",         "windows949",
		"JOHAB",  "GB18030",     " gb 18030 ",
	};
	static const char *const good[] = {"UTF8",    "'utf-8'",       "unicode",  "LATIN1",
									   "WIN1252", "EUC_JP",        "EUC_KR",   "SQL_ASCII",
									   "koi8r",   "MULE_INTERNAL", "nonsense", ""};
	struct startup startup;

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		expect_refused(PAIRS("user", "u", "Client_Encoding", bad[i]), "0A000",
					   "client encodings");
	}
	expect_options_refused("-c client_encoding=sjis", "0A000", "client encodings");
	expect_options_refused("-c client_encoding=utf8 --client-encoding=s-j-i-s", "0A000",
						   "client encodings");
	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		cr_expect_eq(parse_pairs(PAIRS("user", "u", "client_encoding", good[i]), &startup),
					 STARTUP_SESSION);
		cr_expect_str_eq(setting(&startup, "client_encoding"), good[i]);
		startup_fini(&startup);
	}
}

/* ---- all prefixes, all flipped bits ---- */

static void sample(struct buf *packet)
{
	session(packet, PAIRS("user", "shop.acme", "database", "app", "options",
						  "-c bulkhead.tenant=acme --work-mem=1MB -c a.b=x\\ y",
						  "client_encoding", "'utf-8'", "_pq_.x", "1", "TimeZone", "UTC"));
}

static void expect_all_prefixes_incomplete(struct buf *packet, enum startup_kind whole)
{
	struct startup startup;
	size_t used;

	for (size_t len = 0; len < buf_len(packet); len++) {
		cr_expect_eq(parse_bytes(buf_data(packet), len, &used, &startup), STARTUP_INCOMPLETE,
					 "%zu", len);
		startup_fini(&startup);
	}
	cr_expect_eq(parse_bytes(buf_data(packet), buf_len(packet), &used, &startup), whole);
	startup_fini(&startup);
	buf_fini(packet);
}

Test(startup, every_prefix_is_incomplete)
{
	struct buf packet;

	sample(&packet);
	expect_all_prefixes_incomplete(&packet, STARTUP_SESSION);
	begin(&packet, CODE_SSL);
	end(&packet);
	expect_all_prefixes_incomplete(&packet, STARTUP_SSL);
	begin(&packet, CODE_CANCEL);
	buf_append(&packet, "pid.key.", 8);
	end(&packet);
	expect_all_prefixes_incomplete(&packet, STARTUP_CANCEL);
}

Test(startup, every_packet_cut_short_with_a_true_length_is_refused)
{
	struct startup startup;
	struct buf packet;
	size_t used;

	sample(&packet);
	uint8_t *at = buf_data(&packet);
	for (size_t len = 8; len < buf_len(&packet); len++) {
		at[2] = (uint8_t)(len >> 8);
		at[3] = (uint8_t)len;
		cr_expect_eq(parse_bytes(at, len, &used, &startup), STARTUP_REFUSED, "%zu", len);
		startup_fini(&startup);
	}
	buf_fini(&packet);
}

Test(startup, survives_every_flipped_bit)
{
	struct startup startup;
	struct buf packet;
	size_t used;

	sample(&packet);
	for (size_t bit = 0; bit < 8 * buf_len(&packet); bit++) {
		uint8_t *byte = buf_data(&packet) + bit / 8;

		*byte ^= (uint8_t)(1 << bit % 8);
		enum startup_kind kind =
			parse_bytes(buf_data(&packet), buf_len(&packet), &used, &startup);
		cr_expect(used <= buf_len(&packet));
		if (kind == STARTUP_SESSION)
			cr_expect(startup.user && startup.user[0] && startup.database);
		else
			cr_expect(kind == STARTUP_INCOMPLETE || startup.error[0], "bit %zu", bit);
		startup_fini(&startup);
		*byte ^= (uint8_t)(1 << bit % 8);
	}
	buf_fini(&packet);
}

Test(startup, can_be_finished_twice)
{
	struct startup startup;

	cr_assert_eq(parse_options("-c a.b=x", &startup), STARTUP_SESSION);
	startup_fini(&startup);
	startup_fini(&startup);
	cr_expect_null(startup.user);
}
