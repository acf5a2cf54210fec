/* bulkhead conf: writes the files that are made from the tables of settings, metrics and rules.
 */
#include <stdio.h>
#include <string.h>

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
	} else {
		fputs("Usage: bulkhead conf --sample | --docs | --metrics | --rules\n", stderr);
		return CLI_USAGE;
	}
	return CLI_DONE;
}
