/*
 * cli.h: the subcommands of `bulkhead`.
 *
 * Each is a function of its own file; argv[0] is the subcommand's name, what follows are its
 * own options and words. It prints what it did on standard output, what is wrong on standard
 * error, and returns one of enum cli_exit.
 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

enum cli_exit {
	CLI_DONE = 0,
	CLI_FAILED = 1, /* refused, or it went wrong */
	CLI_USAGE = 2,  /* the command line makes no sense */
};

struct options;

/* What `check` does, for `serve --test` too: prints each fault or "FILE: ok". */
int check_settings(const struct options *options);

int cmd_serve(int argc, char **argv);
int cmd_init(int argc, char **argv);
int cmd_lint(int argc, char **argv);
int cmd_check(int argc, char **argv);
int cmd_healthcheck(int argc, char **argv);
int cmd_sandbox(int argc, char **argv);
int cmd_tenant(int argc, char **argv);
int cmd_cluster(int argc, char **argv);
int cmd_principal(int argc, char **argv);
int cmd_api_key(int argc, char **argv);
int cmd_permission(int argc, char **argv);
int cmd_setting(int argc, char **argv);
int cmd_job(int argc, char **argv);
int cmd_key(int argc, char **argv);
int cmd_audit(int argc, char **argv);
int cmd_migrate(int argc, char **argv);
int cmd_explain_statement(int argc, char **argv);
int cmd_events(int argc, char **argv);
int cmd_api(int argc, char **argv);
int cmd_completion(int argc, char **argv);

/* Not in the list of --help: `bulkhead conf --sample|--docs` writes the files made from the
 * settings' table. */
int cmd_conf(int argc, char **argv);

/* Nor is `bulkhead man [COMMAND]`, which writes the man pages. */
int cmd_man(int argc, char **argv);

#endif
