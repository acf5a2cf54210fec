/* The load generator's command line. The password comes from the environment: BENCH_PASSWORD.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "load.h"

void load_options(struct options *options, char **argv);

static const struct option longs[] = {
	{"host", required_argument, NULL, 'h'},
	{"port", required_argument, NULL, 'p'},
	{"database", required_argument, NULL, 'd'},
	{"user", required_argument, NULL, 'u'},
	{"table", required_argument, NULL, 't'},
	{"protocol", required_argument, NULL, 'P'},
	{"work", required_argument, NULL, 'w'},
	{"wrap", required_argument, NULL, 'W'},
	{"choice", required_argument, NULL, 'C'},
	{"user-by-tenant", no_argument, NULL, 'U'},
	{"database-by-tenant", no_argument, NULL, 'D'},
	{"connection-by-tenant", no_argument, NULL, 'B'},
	{"churn", no_argument, NULL, 'x'},
	{"tls", no_argument, NULL, 'L'},
	{"clients", required_argument, NULL, 'c'},
	{"tenants", required_argument, NULL, 'T'},
	{"first-tenant", required_argument, NULL, 'f'},
	{"rows", required_argument, NULL, 'r'},
	{"pipeline", required_argument, NULL, 'l'},
	{"warmup", required_argument, NULL, 'm'},
	{"seconds", required_argument, NULL, 's'},
	{"warmup-transactions", required_argument, NULL, 'M'},
	{"transactions", required_argument, NULL, 'n'},
	{"seed", required_argument, NULL, 'S'},
	{0},
};

/* The value's place in a list of names that ends with NULL. */
static int name_index(const char *value, const char *const names[])
{
	for (int i = 0; names[i]; i++) {
		if (strcmp(value, names[i]) == 0)
			return i;
	}
	fail("unknown value: %s", value);
}

static long number(const char *value, long least)
{
	char *end;
	long found = strtol(value, &end, 10);

	if (*end || end == value || found < least)
		fail("not a number of %ld or more: %s", least, value);
	return found;
}

static double seconds(const char *value)
{
	char *end;
	double found = strtod(value, &end);

	if (*end || end == value || !(found >= 0 && found < 3600))
		fail("not a number of seconds: %s", value);
	return found;
}

static void take_name(struct options *options, int option, const char *value)
{
	static const char *const protocols[] = {"simple", "extended", "prepared", NULL};
	static const char *const works[] = {"select",  "write", "result",  "copy-out",
										"copy-in", "orm",   "inlined", NULL};
	static const char *const wraps[] = {"none", "separate", "burst", NULL};
	static const char *const choices[] = {"stay", "rotate", "uniform", "zipf", NULL};

	if (option == 'P')
		options->protocol = (enum load_protocol)name_index(value, protocols);
	else if (option == 'w')
		options->work = (enum load_work)name_index(value, works);
	else if (option == 'W')
		options->wrap = (enum load_wrap)name_index(value, wraps);
	else
		options->choice = (enum load_choice)name_index(value, choices);
}

static void take_number(struct options *options, int option, const char *value)
{
	if (option == 'p')
		options->port = (int)number(value, 1);
	else if (option == 'c')
		options->clients = (int)number(value, 1);
	else if (option == 'T')
		options->tenants = (int)number(value, 1);
	else if (option == 'f')
		options->first_tenant = (int)number(value, 0);
	else if (option == 'r')
		options->rows_per_tenant = (int)number(value, 1);
	else if (option == 'l')
		options->pipeline = (int)number(value, 1);
	else if (option == 'M')
		options->warmup_transactions = number(value, 0);
	else if (option == 'n')
		options->transactions = number(value, 0);
	else
		options->seed = (uint64_t)number(value, 0);
}

static void take_option(struct options *options, int option, const char *value)
{
	switch (option) {
	case 'h':
		options->host = value;
		break;
	case 'd':
		options->database = value;
		break;
	case 'u':
		options->user = value;
		break;
	case 't':
		options->table = value;
		break;
	case 'P':
	case 'w':
	case 'W':
	case 'C':
		take_name(options, option, value);
		break;
	case 'U':
		options->user_by_tenant = true;
		break;
	case 'D':
		options->database_by_tenant = true;
		break;
	case 'B':
		options->connection_by_tenant = true;
		break;
	case 'x':
		options->churn = true;
		break;
	case 'L':
		options->tls = true;
		break;
	case 'm':
		options->warmup = seconds(value);
		break;
	case 's':
		options->seconds = seconds(value);
		break;
	case '?':
		exit(2);
	default:
		take_number(options, option, value);
	}
}

void load_options(struct options *options, char **argv)
{
	int argc = 0, option;

	*options = (struct options){
		.host = "127.0.0.1",
		.port = 5432,
		.database = "bench",
		.user = "bench",
		.table = "plain",
		.clients = 1,
		.tenants = 1,
		.rows_per_tenant = 100,
		.pipeline = 1,
		.seconds = 1,
		.warmup_transactions = -1,
		.transactions = -1,
	};
	while (argv[argc])
		argc++;
	while ((option = getopt_long(argc, argv, "", longs, NULL)) != -1)
		take_option(options, option, optarg);
	if (optind < argc)
		fail("what is %s?", argv[optind]);
	if (options->churn && options->connection_by_tenant)
		fail("--churn opens connections of its own");
	options->password = getenv("BENCH_PASSWORD");
	if (!options->password)
		options->password = "";
}
