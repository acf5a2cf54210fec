#include "proxy/rewrite.h"

#include <string.h>

#include "policy/session.h"
#include "proxy/client.h"
#include "proxy/pool.h"
#include "proxy/settings.h"
#include "proxy/statements.h"

/* Does `SET name` give it back its default? (A value that is no constant has no text either.)
 */
static bool sets_default(const struct verdict *verdict, uint32_t place)
{
	for (uint32_t i = 0; i < verdict->setting_count; i++) {
		if (verdict->settings[i].statement == place)
			return verdict->settings[i].how == SETTING_RESET;
	}
	return false;
}

/* What the client's startup packet gave the setting that this statement resets, or NULL. */
static const char *startup_value(const struct client *client, const struct verdict *verdict,
								 uint32_t place)
{
	const struct sql_statement *statement = &verdict->statements[place];
	bool resets = statement->action == SQL_RESET ||
				  (statement->action == SQL_SET && sets_default(verdict, place));

	return resets && statement->name ? settings_get(client->startup_settings, statement->name)
									 : NULL;
}

/* Has an earlier statement of the text deallocated what this one would? */
static bool is_gone_by(const struct verdict *verdict, uint32_t place)
{
	for (uint32_t i = 0; i < place; i++) {
		const struct sql_statement *earlier = &verdict->statements[i];

		if (earlier->action == SQL_DEALLOCATE_ALL ||
			(earlier->action == SQL_DEALLOCATE &&
			 strcmp(earlier->name, verdict->statements[place].name) == 0))
			return true;
	}
	return false;
}

/* `resets`: how many RESET ALLs of the text have been replaced so far. */
static bool wants(const struct client *client, const struct verdict *verdict, uint32_t place,
				  uint32_t *resets)
{
	const struct sql_statement *statement = &verdict->statements[place];

	if (statement->action == SQL_RESET_ALL)
		return (*resets)++ < REWRITE_MAX;
	if (place >= REWRITE_MAX)
		return false;
	switch (statement->action) {
	case SQL_RESET:
	case SQL_SET:
		return startup_value(client, verdict, place) != NULL;
	case SQL_DEALLOCATE:
		return !client_is_native(client) && !is_gone_by(verdict, place) &&
			   statements_find(&client->statements, statement->name);
	default:
		return false;
	}
}

bool rewrite_is_wanted(const struct client *client, const struct verdict *verdict)
{
	uint32_t resets = 0;

	for (uint32_t i = 0; i < verdict->statement_count; i++) {
		if (wants(client, verdict, i, &resets))
			return true;
	}
	return false;
}

static bool append_one(const struct client *client, const struct verdict *verdict,
					   uint32_t place, struct buf *out)
{
	const struct sql_statement *statement = &verdict->statements[place];
	const struct settings *startup = client->startup_settings;

	switch (statement->action) {
	case SQL_RESET_ALL:
		return session_append_reset_all(out, pool_is_guarded(client->pool), startup->bytes,
										startup->len);
	case SQL_RESET:
	case SQL_SET:
		return session_append_set(out, statement->name, startup_value(client, verdict, place),
								  statement->is_local);
	default:
		return buf_append(out, session_no_effect_sql, strlen(session_no_effect_sql));
	}
}

bool rewrite_append(const struct client *client, const struct verdict *verdict,
					const char *text, size_t len, struct buf *out)
{
	uint32_t resets = 0;
	size_t at = 0;

	for (uint32_t i = 0; i < verdict->statement_count; i++) {
		const struct sql_statement *statement = &verdict->statements[i];

		if (!wants(client, verdict, i, &resets))
			continue;
		if (!buf_append(out, text + at, statement->start - at) ||
			!append_one(client, verdict, i, out))
			return false;
		at = (size_t)statement->start + statement->len;
	}
	return buf_append(out, text + at, len - at);
}

const char *rewrite_tag(const struct sql_statement *statement)
{
	switch (statement->action) {
	case SQL_RESET_ALL:
	case SQL_RESET:
		return "RESET";
	case SQL_SET:
		return "SET";
	case SQL_DEALLOCATE:
		return "DEALLOCATE";
	default:
		return NULL;
	}
}
