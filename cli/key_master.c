/*
 * bulkhead key list|rotate|rewrap|retire master, and rotate data: what sensitive settings are
 * sealed with.
 *
 * A master key is replaced in three steps, as a signing key is: the new one into the file, the
 * file to every Bulkhead, then all data keys wrapped by it. Only then the old one goes.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "admin/key_job.h"
#include "cli/control_db.h"
#include "cli/dsn.h"
#include "cli/key_command.h"

#define LEASE_MS 60000

/* ---- list ---- */

static json_t *find_key(json_t *keys, const char *kid)
{
	json_t *key = json_object_get(keys, kid);

	if (!key) {
		key = json_pack("{s:s, s:s, s:i}", "kid", kid, "file", "missing", "data_keys", 0);
		json_object_set_new(keys, kid, key);
	}
	return key;
}

static bool count_data_keys(const char *dsn, json_t *keys)
{
	static const char sql[] = "SELECT d.master_kid, pg_catalog.count(*)"
							  " FROM bulkhead_control.tenant_data_key d GROUP BY 1 ORDER BY 1";
	PGconn *control = dsn_connect(dsn, "bulkhead key");
	PGresult *rows = control ? control_db_query(control, sql, 0, NULL) : NULL;

	for (int row = 0; row < PQntuples(rows); row++)
		json_object_set_new(find_key(keys, PQgetvalue(rows, row, 0)), "data_keys",
							json_integer(atoll(PQgetvalue(rows, row, 1))));
	bool done = rows != NULL;
	PQclear(rows);
	PQfinish(control);
	return done;
}

static void print_list(json_t *keys, bool as_json)
{
	json_t *list = json_array(), *key;
	const char *kid;

	if (!as_json)
		printf("%-32s  %-7s  %s\n", "kid", "file", "data keys");
	json_object_foreach(keys, kid, key)
	{
		json_array_append(list, key);
		if (!as_json)
			printf("%-32s  %-7s  %" JSON_INTEGER_FORMAT "\n", kid,
				   json_string_value(json_object_get(key, "file")),
				   json_integer_value(json_object_get(key, "data_keys")));
	}
	if (as_json) {
		json_dumpf(list, stdout, JSON_INDENT(2));
		putchar('\n');
	}
	json_decref(list);
}

enum cli_exit key_list_masters(struct key_command *command)
{
	const char *dsn = key_control_dsn(command, "list"), *kid;
	json_t *keys = json_object();
	bool done = dsn && key_load_file(command);

	for (size_t i = 0; done && (kid = guard_keyring_kid(command->keyring, i)) != NULL; i++)
		json_object_set_new(find_key(keys, kid), "file", json_string(i ? "kept" : "wraps"));
	done = done && count_data_keys(dsn, keys);
	if (done)
		print_list(keys, command->json);
	json_decref(keys);
	return done ? CLI_DONE : CLI_FAILED;
}

/* ---- rotate and retire ---- */

enum cli_exit key_rotate_master(struct key_command *command)
{
	char kid[GUARD_KID_MAX + 1];

	if (!key_add_new(command, kid))
		return CLI_FAILED;
	printf("New data keys are wrapped by the key %s from now on, in %s.\n"
		   "Give the file to every Bulkhead that serves the admin API. Then\n"
		   "\n"
		   "\tbulkhead key rewrap master --file %s\n"
		   "\n"
		   "wraps all others by it, and\n"
		   "\n"
		   "\tbulkhead key retire master %s --file %s\n"
		   "\n"
		   "takes the old key away.\n",
		   kid, command->path, command->path, guard_keyring_kid(command->keyring, 0),
		   command->path);
	return CLI_DONE;
}

enum cli_exit key_retire_master(struct key_command *command, const char *kid)
{
	static const struct key_use use = {
		.first = "new data keys are wrapped by this key; make another first: "
				 "bulkhead key rotate master",
		.count_sql = "SELECT bulkhead_control.retire_master_key($1)",
		.words = "data keys are wrapped by this key; bulkhead key rewrap master wraps them by "
				 "another"};

	return key_retire_unused(command, kid, &use);
}

/* ---- jobs ---- */

static void print_end(void *arg, const char *job, const char *slug, enum job_outcome outcome,
					  const char *error)
{
	(void)arg, (void)slug;
	if (error && outcome != JOB_DONE)
		fprintf(stderr, "bulkhead key: job %s: %s\n", job, error);
}

/* Waits while a Bulkhead that serves has it. */
static bool is_unfinished(PGconn *control, const char *job)
{
	PGresult *row =
		control_db_query(control,
						 "SELECT state FROM bulkhead_control.job"
						 " WHERE id = $1::bigint AND state IN ('queued', 'running')",
						 1, &job);
	bool unfinished = PQntuples(row) == 1;

	PQclear(row);
	return unfinished;
}

static bool is_done(PGconn *control, const char *job)
{
	PGresult *row = control_db_query(control,
									 "SELECT FROM bulkhead_control.job"
									 " WHERE id = $1::bigint AND state = 'failed'",
									 1, &job);
	bool done = row && PQntuples(row) == 0;

	PQclear(row);
	return done;
}

static enum cli_exit carry_out(struct key_command *command, PGconn *control, const char *job)
{
	const struct job_runner runner = {
		.control = control, .name = "bulkhead key", .on_end = print_end};
	const struct key_job_setup setup = {
		.master_file = command->path, .lease_ms = LEASE_MS, .only = job};

	while (is_unfinished(control, job)) {
		switch (key_job_run_next(&runner, &setup)) {
		case JOB_DONE:
			return CLI_DONE;
		case JOB_FAILED:
			return CLI_FAILED;
		case JOB_BROKEN:
			fprintf(stderr, "bulkhead key: %s", PQerrorMessage(control));
			return CLI_FAILED;
		case JOB_NONE:
		case JOB_LATER:
		case JOB_LOST:
		case JOB_STOPPED:
			usleep(200000);
			break;
		}
	}
	return is_done(control, job) ? CLI_DONE : CLI_FAILED;
}

/* Queues by a statement with one parameter, and sees the job through. */
static enum cli_exit run_job(struct key_command *command, const char *sql, const char *value)
{
	const char *dsn = key_control_dsn(command, command->name);
	enum cli_exit result = CLI_FAILED;
	PGresult *row = NULL;
	PGconn *control;

	/* It may take long, and others need the folder meanwhile. */
	if (command->lock >= 0)
		close(command->lock);
	command->lock = -1;
	control = dsn ? dsn_connect(dsn, "bulkhead key") : NULL;
	if (control)
		row = control_db_query(control, sql, 1, &value);
	if (row && PQgetisnull(row, 0, 0))
		key_complain(value, "there is no such tenant");
	else if (row)
		result = carry_out(command, control, PQgetvalue(row, 0, 0));
	PQclear(row);
	PQfinish(control);
	return result;
}

enum cli_exit key_rewrap_master(struct key_command *command)
{
	if (!key_load_file(command))
		return CLI_FAILED;
	return run_job(command, "SELECT bulkhead_control.queue_rewrap($1)",
				   guard_keyring_kid(command->keyring, 0));
}

enum cli_exit key_rotate_data(struct key_command *command)
{
	struct uuid tenant;

	if (!uuid_parse(command->tenant, strlen(command->tenant), &tenant)) {
		key_complain(command->tenant, "a tenant is named by its UUID here");
		return CLI_FAILED;
	}
	if (!key_load_file(command))
		return CLI_FAILED;
	return run_job(command, "SELECT bulkhead_control.queue_rekey($1::uuid)", command->tenant);
}
