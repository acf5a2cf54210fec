#include "cli/init_operator.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/secret.h"

static bool complain(const char *path, const char *why)
{
	fprintf(stderr, "bulkhead init: %s: %s\n", path, why);
	return false;
}

static bool read_key(const char *path, struct api_key_text *key)
{
	const char *why = NULL;
	char *text = secret_read_file(path, sizeof key->text + 1, &why);
	bool sound = text && api_key_is_text(text, strlen(text));

	if (sound)
		memcpy(key->text, text, sizeof key->text);
	else
		complain(path, text ? "it holds no API key" : why);
	secret_free(text);
	return sound;
}

static bool draw_key(const char *path, struct api_key_text *key)
{
	char line[sizeof key->text + 1];
	const char *why = NULL;

	api_key_draw(key);
	int len = snprintf(line, sizeof line, "%s\n", key->text);
	bool written = secret_write_file(path, line, (size_t)len, &why);
	secret_wipe(line, sizeof line);
	return written || complain(path, why);
}

static bool is_there(const char *path)
{
	return access(path, F_OK) == 0 || errno != ENOENT;
}

bool init_operator_load(const struct init_keys *keys, struct init_operator *operator)
{
	memset(operator, 0, sizeof *operator);
	char *path = init_keys_path(keys, INIT_OPERATOR_KEY);
	bool done = path ? !is_there(path) || read_key(path, &operator->key)
					 : complain(INIT_OPERATOR_KEY, "out of memory");

	free(path);
	return done;
}

static bool have_key(const struct init_keys *keys, struct init_operator *operator)
{
	if (*operator->key.text)
		return true;
	char *path = init_keys_path(keys, INIT_OPERATOR_KEY);
	operator->drawn = path ? draw_key(path, &operator->key)
						   : complain(INIT_OPERATOR_KEY, "out of memory");

	free(path);
	return operator->drawn;
}

/* Under the pepper of the folder. */
static bool hash_key(const struct init_keys *keys, const struct api_key_text *key,
					 char kid[GUARD_KID_MAX + 1], char hash[API_KEY_HASH_SIZE])
{
	char *path = init_keys_path(keys, INIT_PEPPER);
	const char *why = "out of memory", *name = NULL;
	struct guard_keyring *pepper = path ? api_key_pepper(path, &why) : NULL;
	bool done = false;

	if (!pepper)
		complain(path ? path : INIT_PEPPER, why);
	else if (!api_key_hash(pepper, 0, key->text, &name, hash))
		complain(path, "OpenSSL cannot compute a hash");
	else
		done = snprintf(kid, GUARD_KID_MAX + 1, "%s", name) > 0;
	guard_keyring_destroy(pepper);
	free(path);
	return done;
}

static bool run(PGconn *control, const char *sql, int count, const char *const values[],
				int *rows)
{
	PGresult *result = PQexecParams(control, sql, count, NULL, values, NULL, NULL, 0);
	ExecStatusType status = PQresultStatus(result);
	bool done = status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK;

	if (!done)
		fprintf(stderr, "bulkhead init: %s", PQerrorMessage(control));
	*rows = done ? PQntuples(result) : 0;
	PQclear(result);
	return done;
}

#define THERE_SQL                                                                              \
	"SELECT FROM bulkhead_control.api_key WHERE role = 'operator' AND tenant_id IS NULL"

bool init_operator_make(const struct init_keys *keys, PGconn *control,
						struct init_operator *operator)
{
	/* Of two runs at once, one makes it. */
	static const char sql[] = "INSERT INTO bulkhead_control.api_key"
							  " (id, name, role, reveal, hash, hash_kid)"
							  " SELECT $1, 'first operator', 'operator', true,"
							  "  pg_catalog.decode($2, 'hex'), $3"
							  " WHERE NOT EXISTS (" THERE_SQL ")"
							  " ON CONFLICT (id) DO NOTHING RETURNING id";
	char id[API_KEY_ID_LEN + 1], kid[GUARD_KID_MAX + 1], hash[API_KEY_HASH_SIZE];
	const char *const values[] = {id, hash, kid};
	int rows;

	if (!run(control, THERE_SQL " LIMIT 1", 0, NULL, &rows))
		return false;
	if (rows) {
		if (keys->pepper_new)
			fprintf(
				stderr,
				"bulkhead init: there are API keys already, which another pepper fits: they "
				"work with %s/" INIT_PEPPER " only when its lines are in there too\n",
				keys->dir);
		return true;
	}
	if (!have_key(keys, operator) || !hash_key(keys, &operator->key, kid, hash))
		return false;
	api_key_id(operator->key.text, id);
	if (!run(control, sql, 3, values, &rows))
		return false;
	operator->made = rows == 1;
	return true;
}
