/* bulkhead tenant: the tree of tenants, on the control schema. */
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/secret.h"
#include "base/uuid.h"
#include "cli/cli.h"
#include "cli/control_db.h"

struct arguments {
	const char *parent, *id, *key, *name, *cluster, *strategy, *weight, *control_dsn;
	int json, help;
};

static void usage(FILE *out)
{
	fputs("Usage: bulkhead tenant create SLUG [--parent SLUG|ID|KEY] [--id UUID] [--key KEY]\n"
	      "                [--name TEXT] [--cluster NAME] [--strategy shared_rls] [--weight N] [--json]\n"
	      "       bulkhead tenant list [--json]\n"
	      "\n"
	      "  --parent       the tenant above; without it the new one is a root\n"
	      "  --id           its uuid; drawn when not given\n"
	      "  --key          the application's own name for it (bulkhead.tenant_key())\n"
	      "  --weight       its share when tenants wait for backends, 1 to 100; default 1\n"
	      "  --control-dsn  the control database; default CONTROL_DSN of the environment\n",
	      out);
}

static bool parse(int argc, char **argv, struct arguments *arguments)
{
	enum { PARENT = 1, ID, KEY, NAME, CLUSTER, STRATEGY, WEIGHT, DSN, JSON };
	static const struct option longs[] = {{"parent", required_argument, NULL, PARENT},
					      {"id", required_argument, NULL, ID},
					      {"key", required_argument, NULL, KEY},
					      {"name", required_argument, NULL, NAME},
					      {"cluster", required_argument, NULL, CLUSTER},
					      {"strategy", required_argument, NULL, STRATEGY},
					      {"weight", required_argument, NULL, WEIGHT},
					      {"control-dsn", required_argument, NULL, DSN},
					      {"json", no_argument, NULL, JSON},
					      {"help", no_argument, NULL, 'h'},
					      {NULL, 0, NULL, 0}};
	const char **targets[] = {NULL,
				  &arguments->parent,
				  &arguments->id,
				  &arguments->key,
				  &arguments->name,
				  &arguments->cluster,
				  &arguments->strategy,
				  &arguments->weight,
				  &arguments->control_dsn};
	int option;

	while ((option = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
		if (option == 'h')
			arguments->help = 1;
		else if (option == JSON)
			arguments->json = 1;
		else if (option >= PARENT && option <= DSN)
			*targets[option] = optarg;
		else
			return false;
	}
	return true;
}

/* UUID version 7 (RFC 9562): milliseconds since the epoch, then random bits, so that ids sort by age. */
static void draw_id(char out[UUID_TEXT_SIZE])
{
	struct uuid id;
	uint64_t now = (uint64_t)clock_wall_ms();

	secret_random(id.b, sizeof id.b);
	for (int i = 0; i < 6; i++)
		id.b[i] = (uint8_t)(now >> (40 - 8 * i));
	id.b[6] = (uint8_t)(0x70 | (id.b[6] & 0x0f));
	id.b[8] = (uint8_t)(0x80 | (id.b[8] & 0x3f));
	uuid_text(&id, out);
}

static enum cli_exit print_and_close(PGconn *connection, PGresult *result, int json)
{
	if (result)
		control_db_print(result, json);
	PQclear(result);
	PQfinish(connection);
	return result ? CLI_DONE : CLI_FAILED;
}

/* The id of the tenant that a word names, in out; false, with the reason printed, when there is none. */
static bool find_parent(PGconn *connection, const char *word, char out[UUID_TEXT_SIZE])
{
	PGresult *result =
	    control_db_query(connection, "SELECT id FROM bulkhead_control.lookup_tenant($1)", 1, &word);
	bool found = result && PQntuples(result) == 1;
	struct uuid id;

	if (result && !found)
		fprintf(stderr, "bulkhead: there is no tenant \"%s\"\n", word);
	found = found && uuid_parse(PQgetvalue(result, 0, 0), (size_t)PQgetlength(result, 0, 0), &id);
	if (found)
		uuid_text(&id, out);
	PQclear(result);
	return found;
}

static enum cli_exit create(const char *slug, const struct arguments *arguments)
{
	static const char sql[] =
	    "INSERT INTO bulkhead_control.tenant (id, parent_id, slug, external_key, name, cluster,"
	    " pool_weight) "
	    "VALUES ($1::uuid, $2::uuid, $3, $4, coalesce($5, $3), coalesce($6, 'default'),"
	    " coalesce($7::smallint, 1::smallint)) "
	    "RETURNING id, slug, external_key AS key, name, status";
	char drawn[UUID_TEXT_SIZE], parent[UUID_TEXT_SIZE];

	if (arguments->strategy && strcasecmp(arguments->strategy, "shared_rls") != 0) {
		fputs("bulkhead: the only strategy of this version is shared_rls\n", stderr);
		return CLI_FAILED;
	}
	PGconn *connection = control_db_open(arguments->control_dsn);
	if (!connection)
		return CLI_FAILED;
	if (arguments->parent && !find_parent(connection, arguments->parent, parent)) {
		PQfinish(connection);
		return CLI_FAILED;
	}
	draw_id(drawn);
	const char *const values[] = {arguments->id ? arguments->id : drawn,
				      arguments->parent ? parent : NULL,
				      slug,
				      arguments->key,
				      arguments->name,
				      arguments->cluster,
				      arguments->weight};
	return print_and_close(connection, control_db_query(connection, sql, 7, values), arguments->json);
}

static enum cli_exit list(const struct arguments *arguments)
{
	/* Siblings in the order of their slugs, each below its parent. */
	static const char sql[] =
	    "WITH RECURSIVE tree AS ("
	    "  SELECT t.*, 0 AS level, ARRAY[slug] AS place FROM bulkhead_control.tenant t WHERE parent_id IS NULL"
	    "  UNION ALL SELECT t.*, tree.level + 1, tree.place || t.slug"
	    "  FROM bulkhead_control.tenant t JOIN tree ON t.parent_id = tree.id) "
	    "SELECT CASE WHEN $1 THEN slug ELSE repeat('  ', level) || slug END AS slug, id, external_key AS key,"
	    " strategy, cluster, status, name FROM tree ORDER BY place";
	PGconn *connection = control_db_open(arguments->control_dsn);
	const char *const values[] = {arguments->json ? "true" : "false"};

	if (!connection)
		return CLI_FAILED;
	return print_and_close(connection, control_db_query(connection, sql, 1, values), arguments->json);
}

int cmd_tenant(int argc, char **argv)
{
	struct arguments arguments = {0};

	if (!parse(argc, argv, &arguments)) {
		usage(stderr);
		return CLI_USAGE;
	}
	int words = argc - optind;
	char **word = argv + optind;

	if (arguments.help) {
		usage(stdout);
		return CLI_DONE;
	}
	if (words == 2 && strcmp(word[0], "create") == 0)
		return create(word[1], &arguments);
	if (words == 1 && strcmp(word[0], "list") == 0)
		return list(&arguments);
	usage(stderr);
	return CLI_USAGE;
}
