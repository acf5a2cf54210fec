/*
 * Any bytes as the first packet of a connection: what startup_parse says must be what it left
 * behind.
 */
#include <stdlib.h>
#include <string.h>

#include "proxy/startup.h"
#include "tests/fuzz/fuzz.h"

static void check_setting(const struct startup *startup, size_t i)
{
	const char *name = startup->settings[i].name;

	require(strlen(name) >= 1 && strlen(name) <= 63);
	require(strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_$.") == strlen(name));
	require(strncmp(name, "bulkhead.", 9) != 0);
	require(strcmp(name, "standard_conforming_strings") != 0);
	require(strcmp(name, "backslash_quote") != 0);
	require(startup->settings[i].value != NULL);
	for (size_t j = 0; j < i; j++)
		require(strcmp(startup->settings[j].name, name) != 0);
}

static void check_session(const struct startup *startup)
{
	require(startup->user && startup->user[0]);
	require(startup->database && startup->database[0]);
	require(startup->version >> 16 == 3);
	require(startup->setting_count <= STARTUP_SETTINGS_MAX);
	for (size_t i = 0; i < startup->setting_count; i++)
		check_setting(startup, i);
	require(startup->extension_count <= STARTUP_EXTENSIONS_MAX);
	for (size_t i = 0; i < startup->extension_count; i++)
		require(strncmp(startup->extensions[i], "_pq_.", 5) == 0);
}

static void check(enum startup_kind kind, const struct startup *startup, size_t size,
				  size_t used)
{
	if (kind != STARTUP_INCOMPLETE && kind != STARTUP_INVALID)
		require(used >= 8 && used <= size && used <= STARTUP_PACKET_MAX);
	switch (kind) {
	case STARTUP_INCOMPLETE:
		require(size < STARTUP_PACKET_MAX);
		break;
	case STARTUP_INVALID:
		require(startup->error[0]);
		break;
	case STARTUP_REFUSED:
		require(startup->error[0] && strlen(startup->sqlstate) == 5);
		break;
	case STARTUP_SSL:
	case STARTUP_GSSENC:
		require(used == 8);
		break;
	case STARTUP_CANCEL:
		require(startup->cancel_key_len >= 4 && startup->cancel_key_len == used - 12);
		break;
	case STARTUP_SESSION:
		check_session(startup);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct startup startup;
	size_t used = 0;
	enum startup_kind kind = startup_parse(data, size, &used, &startup);

	check(kind, &startup, size, used);
	startup_fini(&startup);
	return 0;
}
