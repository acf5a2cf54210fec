/* bulkhead audit: the audit log of the control schema, and whether anybody changed it. */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/api_nouns.h"
#include "cli/api_where.h"
#include "cli/audit.h"
#include "cli/cli.h"
#include "cli/control_db.h"
#include "cli/print.h"

static const char usage[] =
	"Usage: bulkhead audit list [FILTERS] [--limit N] [--json]\n"
	"       bulkhead audit export [FILTERS] [--format ndjson|csv]\n"
	"       bulkhead audit verify [--from N] [--head N:HASH] [--json]\n"
	"       bulkhead audit head\n"
	"\n"
	"  list    the last records, the newest first\n"
	"  export  all records, the oldest first, on standard output\n"
	"  verify  computes the chain of hashes anew, and says which is the first record that was\n"
	"          changed, removed or put in\n"
	"  head    the last place and its hash: kept elsewhere, it shows later whether the "
	"records\n"
	"          up to it are still those\n"
	"\n"
	"      --tenant TENANT  what happened to this tenant, by slug, id or key\n"
	"      --subtree        and to those below it\n"
	"      --actor ACTOR    what one did, as in api-key:ci\n"
	"      --action PREFIX  what begins with this, as in tenant.\n"
	"      --since TIME     from then on; 2026-11-28T12:00Z\n"
	"      --until TIME     before then\n"
	"      --limit N        how many to list; 50\n"
	"      --from N         begin with this place; those before it are taken for true\n"
	"      --head N:HASH    what `audit head` said before: that record must still be there\n"
	"      --control-dsn    the control database; default CONTROL_DSN of the environment\n"
	"  -h, --help           this text\n";

enum {
	OPT_TENANT = 1000,
	OPT_SUBTREE,
	OPT_ACTOR,
	OPT_ACTION,
	OPT_SINCE,
	OPT_UNTIL,
	OPT_LIMIT,
	OPT_FORMAT,
	OPT_FROM,
	OPT_HEAD,
	OPT_DSN,
	OPT_JSON,
};

static const struct option options[] = {
	{"tenant", required_argument, NULL, OPT_TENANT},
	{"subtree", no_argument, NULL, OPT_SUBTREE},
	{"actor", required_argument, NULL, OPT_ACTOR},
	{"action", required_argument, NULL, OPT_ACTION},
	{"since", required_argument, NULL, OPT_SINCE},
	{"until", required_argument, NULL, OPT_UNTIL},
	{"limit", required_argument, NULL, OPT_LIMIT},
	{"format", required_argument, NULL, OPT_FORMAT},
	{"from", required_argument, NULL, OPT_FROM},
	{"head", required_argument, NULL, OPT_HEAD},
	{"control-dsn", required_argument, NULL, OPT_DSN},
	{"json", no_argument, NULL, OPT_JSON},
	{"help", no_argument, NULL, 'h'},
	{NULL, 0, NULL, 0},
};

struct audit {
	const char *verb, *dsn;
	const char *tenant, *subtree, *actor, *action, *since, *until; /* "true" where subtree */
	const char *limit, *format;
	int64_t from;            /* 0: the beginning */
	struct audit_saved head; /* id 0: none */
	bool json, help;
	unsigned given; /* options, by their place */
};

/* ---- the command line ---- */

static bool take_place(const char *text, int64_t *out)
{
	char *end;

	if (!*text || strlen(text) > 18 || text[strspn(text, "0123456789")])
		return false;
	*out = strtoll(text, &end, 10);
	return *out > 0;
}

static bool take_option(struct audit *audit, int option, const char *value)
{
	int64_t number;

	switch (option) {
	case OPT_TENANT:
		audit->tenant = value;
		return true;
	case OPT_SUBTREE:
		audit->subtree = "true";
		return true;
	case OPT_ACTOR:
		audit->actor = value;
		return true;
	case OPT_ACTION:
		audit->action = value;
		return true;
	case OPT_SINCE:
		audit->since = value;
		return true;
	case OPT_UNTIL:
		audit->until = value;
		return true;
	case OPT_LIMIT:
		audit->limit = value;
		return take_place(value, &number) && number <= 100000;
	case OPT_FORMAT:
		audit->format = value;
		return strcmp(value, "ndjson") == 0 || strcmp(value, "csv") == 0;
	case OPT_FROM:
		return take_place(value, &audit->from);
	case OPT_HEAD:
		return audit_saved_parse(value, &audit->head);
	case OPT_DSN:
		audit->dsn = value;
		return true;
	case OPT_JSON:
		audit->json = true;
		return true;
	case 'h':
		audit->help = true;
		return true;
	default:
		return false;
	}
}

static bool parse(struct audit *audit, int argc, char **argv)
{
	int option, place = -1;

	while ((option = getopt_long(argc, argv, "h", options, &place)) != -1) {
		if (option == '?')
			return false;
		if (!take_option(audit, option, optarg)) {
			print_complaint("audit: --%s cannot be %s", options[place].name, optarg);
			return false;
		}
		if (option != 'h')
			audit->given |= 1u << (option - OPT_TENANT);
	}
	return true;
}

#define GIVEN(name) (1u << (OPT_##name - OPT_TENANT))
#define FILTERS                                                                                \
	(GIVEN(TENANT) | GIVEN(SUBTREE) | GIVEN(ACTOR) | GIVEN(ACTION) | GIVEN(SINCE) |            \
	 GIVEN(UNTIL) | GIVEN(DSN))

/* ---- reading ---- */

/* $1 to $6, for bulkhead_api.audit_rows. */
#define QUERY_SQL                                                                              \
	"jsonb_strip_nulls(jsonb_build_object('tenant', $1::text, 'subtree', $2::boolean,"         \
	" 'actor', $3::text, 'action', $4::text, 'from', $5::timestamptz, 'to', $6::timestamptz))"

static void fill_filters(const struct audit *audit, const char *values[6])
{
	const char *const filters[] = {audit->tenant, audit->subtree, audit->actor,
								   audit->action, audit->since,   audit->until};

	memcpy(values, filters, sizeof filters);
}

static enum cli_exit list(PGconn *control, const struct audit *audit)
{
	static const char sql[] =
		"SELECT a.id, bulkhead_api.audit_time(a.at) AS at, a.actor, a.action,"
		" a.tenant_slug AS tenant, a.subject, a.before::text, a.after::text"
		" FROM bulkhead_api.audit_rows(" QUERY_SQL ", true, $7::integer) a";
	const char *values[7] = {[6] = audit->limit ? audit->limit : "50"};

	fill_filters(audit, values);
	PGresult *rows = control_db_query(control, sql, 7, values);
	bool shown = rows && print_rows(rows, audit->json);
	PQclear(rows);
	return shown ? CLI_DONE : CLI_FAILED;
}

#define EXPORT_PART 500 /* records that are in memory at a time */

/* Returns how many lines, and puts the last one's place into `cursor`; -1 when it failed. */
static int export_part(PGconn *control, const struct audit *audit, char cursor[24])
{
	static const char sql[] =
		"SELECT a.id, bulkhead_api.audit_line(a, $7)"
		" FROM bulkhead_api.audit_rows(" QUERY_SQL " || jsonb_build_object('cursor',"
		" jsonb_build_object('id', $8::bigint)), false, $9::integer) a";
	char most[16];
	const char *values[9] = {
		[6] = audit->format ? audit->format : "ndjson", [7] = cursor, [8] = most};

	snprintf(most, sizeof most, "%d", EXPORT_PART);
	fill_filters(audit, values);
	PGresult *rows = control_db_query(control, sql, 9, values);
	if (!rows)
		return -1;
	int count = PQntuples(rows);
	for (int row = 0; row < count; row++)
		fputs(PQgetvalue(rows, row, 1), stdout);
	if (count)
		snprintf(cursor, 24, "%s", PQgetvalue(rows, count - 1, 0));
	PQclear(rows);
	return count;
}

static enum cli_exit export_all(PGconn *control, const struct audit *audit)
{
	char cursor[24] = "0";
	int count;

	if (audit->format && strcmp(audit->format, "csv") == 0) {
		PGresult *head =
			control_db_query(control, "SELECT bulkhead_api.audit_csv_head()", 0, NULL);
		if (!head)
			return CLI_FAILED;
		fputs(PQgetvalue(head, 0, 0), stdout);
		PQclear(head);
	}
	do
		count = export_part(control, audit, cursor);
	while (count == EXPORT_PART && !ferror(stdout));
	if (count < 0)
		return CLI_FAILED;
	if (fflush(stdout) == 0 && !ferror(stdout))
		return CLI_DONE;
	print_complaint("the export cannot be written");
	return CLI_FAILED;
}

static enum cli_exit head(PGconn *control, const struct audit *audit)
{
	static const char sql[] = "SELECT id || ':' || encode(hash, 'hex') AS head"
							  " FROM bulkhead_control.audit_head";
	PGresult *row = control_db_query(control, sql, 0, NULL);
	bool shown = row;

	if (row && audit->json)
		shown = print_rows(row, true);
	else if (row)
		puts(PQgetvalue(row, 0, 0));
	PQclear(row);
	return shown ? CLI_DONE : CLI_FAILED;
}

static enum cli_exit verify(PGconn *control, const struct audit *audit)
{
	return audit_verify(control, audit->from, &audit->head, audit->json);
}

static const struct {
	const char *name;
	unsigned takes;
	enum cli_exit (*run)(PGconn *control, const struct audit *audit);
} verbs[] = {
	{"list", FILTERS | GIVEN(LIMIT) | GIVEN(JSON), list},
	{"export", FILTERS | GIVEN(FORMAT), export_all},
	{"verify", GIVEN(FROM) | GIVEN(HEAD) | GIVEN(DSN) | GIVEN(JSON), verify},
	{"head", GIVEN(DSN) | GIVEN(JSON), head},
};

static enum cli_exit run(const struct audit *audit)
{
	for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++) {
		if (strcmp(verbs[i].name, audit->verb) != 0)
			continue;
		if (audit->given & ~verbs[i].takes) {
			print_complaint("audit %s does not take all of these options", audit->verb);
			return CLI_USAGE;
		}
		PGconn *control = control_db_open(audit->dsn);
		enum cli_exit result = control ? verbs[i].run(control, audit) : CLI_FAILED;
		PQfinish(control);
		return result;
	}
	print_complaint("audit has no verb \"%s\"", audit->verb);
	return CLI_USAGE;
}

static int run_directly(int argc, char **argv)
{
	struct audit audit = {0};

	optind = 1;
	if (!parse(&audit, argc, argv))
		return CLI_USAGE;
	if (audit.help) {
		fputs(usage, stdout);
		return CLI_DONE;
	}
	if (optind + 1 != argc) {
		print_complaint("audit wants one of list, export, verify and head");
		return CLI_USAGE;
	}
	audit.verb = argv[optind];
	return run(&audit);
}

int cmd_audit(int argc, char **argv)
{
	static const struct verb names[] = {
		{.name = "list"}, {.name = "export"}, {.name = "verify"}, {.name = "head"}};
	const struct noun noun = {.name = "audit",
							  .usage = usage,
							  .verbs = names,
							  .verb_count = sizeof names / sizeof *names,
							  .run = run_directly};

	return api_where_run(&noun, &api_audit, argc, argv);
}
