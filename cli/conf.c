/* bulkhead conf: writes the files that are made from the table of settings. */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "conf/conf.h"

int cmd_conf(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "--sample") == 0) {
		conf_write_sample(stdout);
	} else if (argc == 2 && strcmp(argv[1], "--docs") == 0) {
		conf_write_docs(stdout);
	} else {
		fputs("Usage: bulkhead conf --sample | --docs\n", stderr);
		return CLI_USAGE;
	}
	return CLI_DONE;
}
