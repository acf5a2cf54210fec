/*
 * bulkhead init: puts the guard and the control schema into databases, or writes the SQL that
 * would.
 */
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libpq-fe.h>

#include "admin/migrations.h"
#include "base/secret.h"
#include "cli/cli.h"
#include "cli/dsn.h"
#include "cli/init_keys.h"
#include "cli/init_operator.h"
#include "cli/init_protect.h"
#include "policy/guard/install.h"

struct init {
	const char *dsn, *control_dsn;        /* control_dsn NULL: the same database */
	const char *pool_login, *owner, *dir; /* pool_login NULL: as usual */
	enum guard_mode mode;
	enum guard_hardening hardening;
	bool print, protect, dry_run, help;
	const char *column, *by; /* for --protect */
	struct init_keys keys;
	PGconn *admin, *control; /* the same connection when control_dsn is NULL */
	struct init_operator operator;
};

static void usage(FILE *out)
{
	fputs(
		"Usage: bulkhead init --dsn DSN [OPTION]...\n"
		"       bulkhead init --print [OPTION]...\n"
		"       bulkhead init --dsn DSN --owner ROLE --protect [--column NAME] [--by id|key]\n"
		"                [--dry-run] [OPTION]...\n"
		"\n"
		"Installs Bulkhead's guard and control schema, or brings them up to date; running it "
		"again\n"
		"changes nothing. The administrator of the DSN must be a superuser; sidecars never "
		"are.\n"
		"Without one, --guard login does with a role that may create roles and owns the "
		"database:\n"
		"then every tenant has a login of its own.\n"
		"\n"
		"      --dsn DSN            libpq connection string of the database with the "
		"tenants' tables\n"
		"      --control-dsn DSN    where the control schema goes (default: the same "
		"database)\n"
		"      --guard KIND         sealed (default), or login: no superuser, no login of a "
		"pool\n"
		"      --pool-login NAME    the login that backends use (default: bulkhead_pool)\n"
		"      --owner ROLE         the role that owns the tables; it is given BYPASSRLS\n"
		"      --hardening LEVEL    standard (default), or strict for a database of "
		"Bulkhead's own\n"
		"      --keys DIR           where guard.key, cluster.secret, api.pepper,\n"
		"                           master.key, pool.password,\n"
		"                           sidecar.password, api.password and operator.key are, "
		"or\n"
		"                           are written\n"
		"                           (default: the current folder)\n"
		"      --print              write the SQL, for psql, instead of running it\n"
		"      --protect            then protect the owner's tables: prints the plan first\n"
		"      --column NAME        the column that names the tenant\n"
		"      --by id|key          what it holds (default: what its type says)\n"
		"      --dry-run            with --protect: print the plan, and change nothing at all\n"
		"  -h, --help               this text\n",
		out);
}

/* ---- the command line ---- */

enum {
	OPT_DSN = 1000,
	OPT_CONTROL_DSN,
	OPT_GUARD,
	OPT_POOL_LOGIN,
	OPT_OWNER,
	OPT_HARDENING,
	OPT_KEYS,
	OPT_PRINT,
	OPT_PROTECT,
	OPT_COLUMN,
	OPT_BY,
	OPT_DRY_RUN
};

static bool take_guard(struct init *init, const char *kind)
{
	init->mode = strcmp(kind, "login") == 0 ? GUARD_LOGIN : GUARD_SEALED;
	return init->mode == GUARD_LOGIN || strcmp(kind, "sealed") == 0;
}

static bool take_hardening(struct init *init, const char *level)
{
	if (strcmp(level, "strict") == 0)
		init->hardening = GUARD_STRICT;
	else if (strcmp(level, "standard") == 0)
		init->hardening = GUARD_STANDARD;
	else
		return false;
	return true;
}

static bool take_by(struct init *init, const char *by)
{
	init->by = by;
	return strcmp(by, "id") == 0 || strcmp(by, "key") == 0;
}

static bool take_option(struct init *init, int option, const char *value)
{
	switch (option) {
	case OPT_DSN:
		init->dsn = value;
		return true;
	case OPT_CONTROL_DSN:
		init->control_dsn = value;
		return true;
	case OPT_GUARD:
		return take_guard(init, value);
	case OPT_POOL_LOGIN:
		init->pool_login = value;
		return true;
	case OPT_OWNER:
		init->owner = value;
		return true;
	case OPT_HARDENING:
		return take_hardening(init, value);
	case OPT_KEYS:
		init->dir = value;
		return true;
	case OPT_PRINT:
		init->print = true;
		return true;
	case OPT_PROTECT:
		init->protect = true;
		return true;
	case OPT_COLUMN:
		init->column = value;
		return true;
	case OPT_BY:
		return take_by(init, value);
	case OPT_DRY_RUN:
		init->dry_run = true;
		return true;
	case 'h':
		init->help = true;
		return true;
	default:
		return false;
	}
}

/* What is for --protect only must not be taken for something that was done. */
static bool is_coherent(const struct init *init)
{
	if (init->mode == GUARD_LOGIN && init->pool_login)
		return false;
	if (init->protect)
		return init->dsn && init->owner && !init->print;
	return !init->column && !init->by && !init->dry_run && (init->print || init->dsn);
}

static bool parse(struct init *init, int argc, char **argv)
{
	static const struct option options[] = {
		{"dsn", required_argument, NULL, OPT_DSN},
		{"control-dsn", required_argument, NULL, OPT_CONTROL_DSN},
		{"guard", required_argument, NULL, OPT_GUARD},
		{"pool-login", required_argument, NULL, OPT_POOL_LOGIN},
		{"owner", required_argument, NULL, OPT_OWNER},
		{"hardening", required_argument, NULL, OPT_HARDENING},
		{"keys", required_argument, NULL, OPT_KEYS},
		{"print", no_argument, NULL, OPT_PRINT},
		{"protect", no_argument, NULL, OPT_PROTECT},
		{"column", required_argument, NULL, OPT_COLUMN},
		{"by", required_argument, NULL, OPT_BY},
		{"dry-run", no_argument, NULL, OPT_DRY_RUN},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	int option;

	optind = 1;
	while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1)
		if (!take_option(init, option, optarg))
			return false;
	return optind == argc && (init->help || is_coherent(init));
}

/* ---- installing ---- */

static bool is_superuser(PGconn *conn)
{
	const char *is = PQparameterStatus(conn, "is_superuser");

	return is && strcmp(is, "on") == 0;
}

static bool has_sealed_guard(PGconn *conn)
{
	PGresult *result = PQexec(conn, "SELECT WHERE pg_catalog.to_regprocedure("
									"'bulkhead.enter(text,text,text,text,text)') IS NOT NULL");
	bool has = PQntuples(result) > 0;

	PQclear(result);
	return has;
}

/*
 * The guard's own scripts look as well; but the control schema comes before them, and what
 * PostgreSQL 16 and later refuse there to one who may create roles would not say why.
 */
static bool may_install(const struct init *init)
{
	if (init->mode == GUARD_LOGIN) {
		if (!has_sealed_guard(init->admin))
			return true;
		fputs(
			"bulkhead init: the guard of this database is a sealed one, which stays. Tenants' "
			"own logins work with it as it is\n",
			stderr);
		return false;
	}
	if (is_superuser(init->admin))
		return true;
	fprintf(
		stderr,
		"bulkhead init: the administrator must be a superuser; \"%s\" is none. Connect as one, "
		"or have one run the output of bulkhead init --print; where none is to be had, see "
		"--guard login\n",
		PQuser(init->admin));
	return false;
}

/*
 * A new password for a login that others use already would lock their sidecars out. False, with
 * a line printed, when the login has a password and ours was drawn just now. Only a superuser
 * is told whether it has: to others, a login that is there has one.
 */
static bool may_set_password(PGconn *conn, const char *login, bool is_new, const char *dir,
							 const char *file)
{
	const char *const values[] = {login};
	bool may = false;

	if (!is_new)
		return true;
	PGresult *result = PQexecParams(
		conn,
		is_superuser(conn) ? "SELECT FROM pg_catalog.pg_authid WHERE rolname = $1 AND "
							 "rolpassword IS NOT NULL"
						   : "SELECT FROM pg_catalog.pg_roles WHERE rolname = $1",
		1, NULL, values, NULL, NULL, 0);
	if (PQresultStatus(result) != PGRES_TUPLES_OK)
		fprintf(stderr, "bulkhead init: %s", PQerrorMessage(conn));
	else if (PQntuples(result) > 0)
		fprintf(stderr,
				"bulkhead init: login \"%s\" %s already, and %s/%s is missing; name the "
				"folder of the first installation with --keys, or put the password into that "
				"file\n",
				login, is_superuser(conn) ? "has a password" : "is there", dir, file);
	else
		may = true;
	PQclear(result);
	return may;
}

static bool check_passwords(const struct init *init)
{
	return (init->mode == GUARD_LOGIN ||
			may_set_password(init->admin, init->pool_login, init->keys.pool_password_new,
							 init->dir, INIT_POOL_PASSWORD)) &&
		   may_set_password(init->control, MIGRATIONS_SIDECAR_LOGIN,
							init->keys.sidecar_password_new, init->dir,
							INIT_SIDECAR_PASSWORD) &&
		   may_set_password(init->control, MIGRATIONS_API_LOGIN, init->keys.api_password_new,
							init->dir, INIT_API_PASSWORD);
}

static bool install_control(const struct init *init, const char *verifier,
							const char *api_verifier)
{
	const struct migrations_options options = {.sidecar_login = MIGRATIONS_SIDECAR_LOGIN,
											   .sidecar_verifier = verifier,
											   .api_verifier = api_verifier};

	return migrations_apply(init->control, &options, stderr);
}

static struct guard_install guard_of(const struct init *init)
{
	return (struct guard_install){
		.mode = init->mode,
		.pool_login = init->pool_login,
		.pool_password = init->keys.pool_password,
		.owner = init->owner,
		.hardening = init->hardening,
		.kid = init->keys.kid,
		.key = init->keys.key,
	};
}

/*
 * The control schema's roles come first, since hardening leaves them what they need; its
 * passwords come last, when nothing can fail any more and leave a running sidecar with the old
 * one.
 */
static bool install(struct init *init)
{
	const struct guard_install guard = guard_of(init);
	char *verifier = PQencryptPasswordConn(init->control, init->keys.sidecar_password,
										   MIGRATIONS_SIDECAR_LOGIN, "scram-sha-256");
	char *api_verifier = PQencryptPasswordConn(init->control, init->keys.api_password,
											   MIGRATIONS_API_LOGIN, "scram-sha-256");
	bool done = false;

	if (!verifier || !api_verifier)
		fprintf(stderr, "bulkhead init: %s", PQerrorMessage(init->control));
	else
		done = check_passwords(init) && init_keys_save(&init->keys) &&
			   install_control(init, NULL, NULL) &&
			   guard_install(init->admin, &guard, stderr) &&
			   init_operator_make(&init->keys, init->control, &init->operator) &&
			   install_control(init, verifier, api_verifier);
	PQfreemem(verifier);
	PQfreemem(api_verifier);
	return done;
}

/* ---- what comes next ---- */

static const char *or_empty(const char *text)
{
	return text ? text : "";
}

static void print_operator(const struct init *init, const char *keys)
{
	printf("[admin]\npepper_file = %s/" INIT_PEPPER "\nmaster_key_file = %s/" INIT_MASTER_KEY
		   "\n\n",
		   keys, keys);
	if (!init->operator.made)
		return;
	printf("The first key of the admin API, an operator's, is in %s/" INIT_OPERATOR_KEY, keys);
	if (init->operator.drawn)
		printf("; it is shown once:\n\n\t%s", init->operator.key.text);
	puts("\n");
}

static void print_next(const struct init *init)
{
	char *dir = realpath(init->dir, NULL);
	const char *keys = dir ? dir : init->dir;

	printf("The guard is in database %s, the control schema in database %s.\n"
		   "Settings for the sidecars' file:\n\n",
		   PQdb(init->admin), PQdb(init->control));
	printf("[cluster:default]\nhost = %s\nport = %s\ndatabase = %s\n",
		   or_empty(PQhost(init->admin)), or_empty(PQport(init->admin)), PQdb(init->admin));
	if (init->mode == GUARD_LOGIN)
		puts("guard = login");
	else
		printf("login = %s\npassword_file = %s/" INIT_POOL_PASSWORD "\n", init->pool_login,
			   keys);
	printf("secret_file = %s/" INIT_CLUSTER_SECRET "\n\n", keys);
	printf("[guard]\nkey_file = %s/" INIT_GUARD_KEY "\n\n", keys);
	printf("[control]\ndsn = host=%s port=%s dbname=%s user=" MIGRATIONS_SIDECAR_LOGIN "\n"
		   "password_file = %s/" INIT_SIDECAR_PASSWORD "\n",
		   or_empty(PQhost(init->control)), or_empty(PQport(init->control)),
		   PQdb(init->control), keys);
	printf("admin_dsn = host=%s port=%s dbname=%s user=" MIGRATIONS_API_LOGIN "\n"
		   "admin_password_file = %s/" INIT_API_PASSWORD "\n\n",
		   or_empty(PQhost(init->control)), or_empty(PQport(init->control)),
		   PQdb(init->control), keys);
	print_operator(init, keys);
	puts("Then, as the owner of each table that tenants share:\n\n"
		 "\tSELECT bulkhead.protect('orders', 'tenant_id');\n"
		 "\tGRANT SELECT, INSERT, UPDATE, DELETE ON orders TO bulkhead_app;");
	free(dir);
}

/* Installs on connections that are open. */
static bool install_all(struct init *init)
{
	bool done;

	if (!may_install(init))
		return false;
	done = init_keys_load(&init->keys, init->dir, init->mode == GUARD_SEALED) &&
		   init_operator_load(&init->keys, &init->operator) && install(init);
	if (done)
		print_next(init);
	init_keys_fini(&init->keys);
	secret_wipe(&init->operator.key, sizeof init->operator.key);
	return done;
}

/* The plan comes before anything is changed: without one, nothing is. */
static bool install_and_protect(struct init *init)
{
	const struct init_protect what = {init->owner, init->column, init->by};
	bool decided, done;
	PGresult *plan = init_protect_plan(init->admin, &what, &decided);

	if (init->dry_run)
		done = plan != NULL;
	else
		done = plan && decided && install_all(init) && init_protect_apply(init->admin, plan);
	PQclear(plan);
	return done;
}

static enum cli_exit run_install(struct init *init)
{
	bool done = false;

	init->admin = dsn_connect(init->dsn, "bulkhead init");
	if (init->admin)
		init->control =
			init->control_dsn ? dsn_connect(init->control_dsn, "bulkhead init") : init->admin;
	if (init->control)
		done = init->protect ? install_and_protect(init) : install_all(init);
	if (init->control && init->control != init->admin)
		PQfinish(init->control);
	if (init->admin)
		PQfinish(init->admin);
	return done ? CLI_DONE : CLI_FAILED;
}

/* The control schema's roles first, as in install. */
static enum cli_exit run_print(const struct init *init)
{
	const struct migrations_options options = {.sidecar_login = MIGRATIONS_SIDECAR_LOGIN};
	const struct guard_install guard = guard_of(init);

	if (!migrations_print(&options, stdout))
		return CLI_FAILED;
	guard_print(&guard, stdout);
	return fflush(stdout) == 0 && !ferror(stdout) ? CLI_DONE : CLI_FAILED;
}

int cmd_init(int argc, char **argv)
{
	struct init init = {.dir = "."};

	if (!parse(&init, argc, argv)) {
		usage(stderr);
		return CLI_USAGE;
	}
	if (init.help) {
		usage(stdout);
		return CLI_DONE;
	}
	if (!init.pool_login)
		init.pool_login = "bulkhead_pool";
	return init.print ? run_print(&init) : run_install(&init);
}
