/*
 * bulkhead conf: writes the files that are made from the tables of settings, metrics, rules and
 * the admin API's routes.
 */
#include <stdio.h>
#include <string.h>

#include "admin/api/openapi.h"
#include "admin/metrics.h"
#include "cli/cli.h"
#include "conf/conf.h"
#include "policy/rule_docs.h"

int cmd_conf(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "--sample") == 0) {
		conf_write_sample(stdout);
	} else if (argc == 2 && strcmp(argv[1], "--docs") == 0) {
		conf_write_docs(stdout);
	} else if (argc == 2 && strcmp(argv[1], "--metrics") == 0) {
		metrics_write_docs(stdout);
	} else if (argc == 2 && strcmp(argv[1], "--rules") == 0) {
		rule_write_docs(stdout);
	} else if (argc == 2 && strcmp(argv[1], "--openapi") == 0) {
		if (!openapi_write(stdout))
			return CLI_FAILED;
	} else {
		fputs("Usage: bulkhead conf --sample | --docs | --metrics | --rules | --openapi\n",
			  stderr);
		return CLI_USAGE;
	}
	return CLI_DONE;
}
