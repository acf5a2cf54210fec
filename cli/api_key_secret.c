/* bulkhead api-key create and rotate: what draws a secret. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "admin/api_key.h"
#include "base/secret.h"
#include "cli/api_key.h"
#include "cli/control_db.h"
#include "cli/options.h"
#include "cli/print.h"

#define OVERLAP_MAX_S 604800 /* a week */

/* ---- the pepper ---- */

static struct guard_keyring *load_pepper(const char *path)
{
	const char *why = NULL;
	struct guard_keyring *pepper = api_key_pepper(path, &why);

	if (!pepper)
		print_complaint("%s: %s", path, why);
	return pepper;
}

/* From the file that is named, or that the settings name; NULL with the reason printed. */
static struct guard_keyring *find_pepper(const struct arguments *arguments)
{
	if (arguments->value[ARG_PEPPER_FILE])
		return load_pepper(arguments->value[ARG_PEPPER_FILE]);

	struct options options;
	struct guard_keyring *pepper = NULL;

	options_init(&options);
	options.config = arguments->value[ARG_CONFIG];
	struct conf *conf = options_load(&options, stderr);
	if (conf && !*conf->admin_pepper_file)
		print_complaint("%s: [admin] pepper_file is not set", options.config);
	else if (conf)
		pepper = load_pepper(conf->admin_pepper_file);
	conf_destroy(conf);
	options_fini(&options);
	return pepper;
}

static const char *check_files(const struct arguments *arguments)
{
	const char *path = arguments->value[ARG_KEY_FILE];

	if (!arguments->value[ARG_PEPPER_FILE] == !arguments->value[ARG_CONFIG])
		return "either --pepper-file or --config is wanted";
	if (path && access(path, F_OK) == 0)
		return "the file of --key-file is there already";
	return NULL;
}

/* ---- a drawn key ---- */

struct drawn {
	struct api_key_text key;
	struct guard_keyring *pepper;
	const char *kid; /* the pepper's */
	char hash[API_KEY_HASH_SIZE];
};

/* For this id, or (NULL) a new one. To be given to drop() either way. */
static bool draw(struct drawn *drawn, const struct arguments *arguments, const char *id)
{
	memset(drawn, 0, sizeof *drawn);
	drawn->pepper = find_pepper(arguments);
	if (!drawn->pepper)
		return false;
	if (id)
		api_key_draw_for(id, &drawn->key);
	else
		api_key_draw(&drawn->key);
	if (api_key_hash(drawn->pepper, 0, drawn->key.text, &drawn->kid, drawn->hash))
		return true;
	print_complaint("OpenSSL cannot compute a hash");
	return false;
}

static void drop(struct drawn *drawn)
{
	guard_keyring_destroy(drawn->pepper);
	secret_wipe(drawn, sizeof *drawn);
}

/* To people on standard error, so that what parses the result does not log the key with it. */
static bool hand_over(const struct drawn *drawn, const struct arguments *arguments)
{
	const char *path = arguments->value[ARG_KEY_FILE], *why = NULL;
	char line[sizeof drawn->key.text + 1];

	if (!path) {
		fprintf(stderr, "key (shown once): %s\n", drawn->key.text);
		return true;
	}
	int len = snprintf(line, sizeof line, "%s\n", drawn->key.text);
	bool written = secret_write_file(path, line, (size_t)len, &why);
	secret_wipe(line, sizeof line);
	if (!written)
		print_complaint("%s: %s; the key is lost: rotate it", path, why);
	return written;
}

static enum cli_exit end(PGresult *result, const struct drawn *drawn,
						 const struct arguments *arguments, const char *nothing)
{
	bool stored = result && PQntuples(result) == 1;

	if (result && !stored)
		print_complaint("%s", nothing);
	bool done =
		stored && print_rows(result, arguments->value[ARG_JSON]) && hand_over(drawn, arguments);
	PQclear(result);
	return done ? CLI_DONE : CLI_FAILED;
}

/* ---- create ---- */

const char *api_key_create_check(const struct arguments *arguments)
{
	return arguments->value[ARG_ROLE] ? check_files(arguments) : "--role is wanted";
}

enum cli_exit api_key_create(PGconn *control, const struct arguments *arguments)
{
	static const char sql[] =
		"INSERT INTO bulkhead_control.api_key AS k"
		" (id, name, role, tenant_id, reveal, addresses, expires_at, hash, hash_kid) "
		"VALUES ($1, $2, $3, $4::uuid, $5::boolean,"
		" pg_catalog.string_to_array($6, ',')::cidr[], $7::timestamptz,"
		" pg_catalog.decode($8, 'hex'), $9) "
		"RETURNING k.id, k.name, k.role, (SELECT t.slug FROM bulkhead_control.tenant t"
		" WHERE t.id = k.tenant_id) AS tenant, " CONTROL_DB_TIME(
			"k.expires_at") " AS expires_at";
	const char *const *value = arguments->value;
	struct named_tenant tenant;
	struct drawn drawn;
	char id[API_KEY_ID_LEN + 1];
	enum cli_exit result = CLI_FAILED;

	if (value[ARG_TENANT] && !control_db_find_tenant(control, value[ARG_TENANT], &tenant))
		return CLI_FAILED;
	if (draw(&drawn, arguments, NULL)) {
		api_key_id(drawn.key.text, id);
		const char *const values[] = {id,
									  arguments->word,
									  value[ARG_ROLE],
									  value[ARG_TENANT] ? tenant.id : NULL,
									  value[ARG_REVEAL] ? "true" : "false",
									  value[ARG_ADDRESSES],
									  value[ARG_VALID_UNTIL],
									  drawn.hash,
									  drawn.kid};

		result = end(control_db_change(control, sql, 9, values, false), &drawn, arguments,
					 "nothing was made");
	}
	drop(&drawn);
	return result;
}

/* ---- rotate ---- */

const char *api_key_rotate_check(const struct arguments *arguments)
{
	const char *overlap = arguments->value[ARG_OVERLAP];

	if (overlap &&
		(!*overlap || strlen(overlap) > 6 || strspn(overlap, "0123456789") != strlen(overlap) ||
		 atoi(overlap) > OVERLAP_MAX_S))
		return "an overlap is 0 to 604800 seconds";
	return check_files(arguments);
}

/* The rules are those of the API: its own function does it. */
enum cli_exit api_key_rotate(PGconn *control, const struct arguments *arguments)
{
	static const char sql[] =
		"WITH k AS MATERIALIZED (SELECT k FROM bulkhead_control.api_key k WHERE k.id = $1"
		" FOR NO KEY UPDATE)"
		"SELECT a.body ->> 'id' AS id, a.body ->> 'name' AS name, a.body ->> 'role' AS role,"
		" a.body ->> 'tenant' AS tenant, a.body ->> 'previous_until' AS previous_until "
		"FROM k, bulkhead_api.rotate_api_key(k.k, pg_catalog.jsonb_build_object("
		" 'body', pg_catalog.jsonb_build_object('overlap_seconds', $2::integer),"
		" 'more', pg_catalog.jsonb_build_object('hash', $3::text, 'kid', $4::text))) a";
	const char *overlap = arguments->value[ARG_OVERLAP], *id = arguments->word;
	struct drawn drawn;
	enum cli_exit result = CLI_FAILED;

	if (strlen(id) != API_KEY_ID_LEN) {
		print_complaint("there is no such API key");
		return CLI_FAILED;
	}
	if (draw(&drawn, arguments, id)) {
		const char *const values[] = {id, overlap ? overlap : "0", drawn.hash, drawn.kid};

		result = end(control_db_change(control, sql, 4, values, false), &drawn, arguments,
					 "there is no such API key");
	}
	drop(&drawn);
	return result;
}
