#include "proxy/scrub.h"

#include <string.h>

#include "proxy/client.h"
#include "proxy/pool.h"
#include "proxy/wire.h"
#include "proxy/worker.h"

static bool can_tell(const char *sqlstate)
{
	return strcmp(sqlstate, "23505") == 0 || /* unique_violation */
		   strcmp(sqlstate, "23P01") == 0 || /* exclusion_violation */
		   strcmp(sqlstate, "23503") == 0;   /* foreign_key_violation */
}

static bool append_without_detail(const uint8_t *body, size_t len, struct buf *out)
{
	size_t at = 0, mark;

	if (!wire_begin(out, 'E', &mark))
		return false;
	while (at < len && body[at]) {
		uint8_t field = body[at++];
		const char *value = wire_cstr(body, len, &at);

		if (!value)
			return false;
		if (field != 'D' && (!buf_append_byte(out, field) || !buf_append_cstr(out, value)))
			return false;
	}
	return buf_append_byte(out, 0) && wire_end(out, mark);
}

bool scrub_error(const struct client *client, const uint8_t *body, size_t len, struct buf *out)
{
	const char *sqlstate = wire_error_field(body, len, 'C');

	return client->worker->conf->gate_scrub_errors && pool_is_shared(client->pool) &&
		   sqlstate && can_tell(sqlstate) && wire_error_field(body, len, 'D') &&
		   append_without_detail(body, len, out);
}
