/* What a good configuration means: values, their sources, secrets, the dump, the files made
 * from the table. */
#include "conf_case.h"

TestSuite(conf_load, .init = case_enter, .fini = case_leave);

static struct conf *load(const char *text)
{
	struct conf *conf = case_load(text);

	cr_assert_not_null(conf, "%s", case_errors.count ? case_errors.lines[0] : "no reason");
	return conf;
}

static struct conf *load_with(const char *text, char *const *environment,
							  const struct conf_override *overrides, size_t count)
{
	struct conf *conf = case_load_with(text, strlen(text), environment, overrides, count);

	cr_assert_not_null(conf, "%s", case_errors.count ? case_errors.lines[0] : "no reason");
	return conf;
}

static char *dump(const struct conf *conf)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	cr_assert_not_null(out);
	conf_dump(conf, out);
	cr_assert_eq(fclose(out), 0);
	return text;
}

Test(conf_load, defaults)
{
	struct conf *conf = load(REQUIRED DSN);

	cr_expect_eq(conf->max_client_conn, 1000);
	cr_expect_eq(conf->max_packet_size, 1 << 30);
	cr_expect_eq(conf->client_login_timeout_ms, 60000);
	cr_expect_eq(conf->pool_mode, POOL_TRANSACTION);
	cr_expect_eq(conf->default_pool_size, 20);
	cr_expect_eq(conf->query_wait_timeout_ms, 120000);
	cr_expect_eq(conf->server_idle_timeout_ms, 600000);
	cr_expect_eq(conf->server_lifetime_ms, 3600000);
	cr_expect_eq(conf->server_connect_timeout_ms, 15000);
	cr_expect_eq(conf->server_login_retry_ms, 1000);
	cr_expect_str_eq(conf->guard_key_file, "k");
	cr_expect_eq(conf->guard_token_lifetime_ms, 10000);
	cr_expect_str_eq(conf->control_dsn, "host=127.0.0.1 dbname=app");
	cr_expect_str_eq(conf->control_password_file, "");
	cr_expect_null(conf->control_password);
	cr_expect_eq(conf->directory_ttl_ms, 5000);
	cr_expect_eq(conf->directory_timeout_ms, 5000);
	cr_expect_eq(conf->directory_cache_size, 10000);
	cr_expect_eq(conf->log_level, LOG_INFO);
	cr_expect_eq(conf->log_format, LOG_FORMAT_AUTO);
	cr_expect_str_eq(conf->path, "b.ini");
	conf_destroy(conf);
	conf_destroy(NULL);
}

Test(conf_load, defaults_of_listener_and_cluster)
{
	struct conf *conf = load(REQUIRED DSN);
	const struct conf_listen *listen = &conf->listens[0];
	const struct conf_cluster *cluster = conf_find_cluster(conf, "default");

	cr_assert_eq(conf->listen_count, 1);
	cr_expect_str_eq(listen->name, "default");
	cr_expect_str_eq(listen->listen_addr, "127.0.0.1");
	cr_expect_eq(listen->listen_port, 6432);
	cr_expect_str_eq(listen->unix_socket_dir, "");
	cr_expect_eq(listen->unix_socket_mode, 0777);
	cr_expect_eq(listen->listen_backlog, 128);
	cr_expect_eq(listen->auth, AUTH_SCRAM_SHA_256);
	cr_expect_str_eq(listen->tenant, "");
	cr_assert_eq(listen->selector_count, 3);
	cr_expect_eq(listen->selectors[0], SELECT_FIXED);
	cr_expect_eq(listen->selectors[1], SELECT_USER);
	cr_expect_eq(listen->selectors[2], SELECT_STARTUP);
	cr_expect_str_eq(listen->user_separator, ".");
	cr_expect_eq(listen->unset, UNSET_DENY);
	cr_assert_eq(conf->cluster_count, 1);
	cr_assert_not_null(cluster);
	cr_expect_str_eq(cluster->host, "127.0.0.1");
	cr_expect_str_eq(cluster->port, "5432");
	cr_expect_str_eq(cluster->database, "app");
	cr_expect_str_eq(cluster->login, "bulkhead_pool");
	cr_expect_null(cluster->password);
	cr_expect_not(cluster->allow_cleartext);
	cr_expect_null(conf_find_cluster(conf, "other"));
	conf_destroy(conf);
}

Test(conf_load, forms_of_values)
{
	struct conf *conf = load(
		"# hash\r\n; semicolon\r\n  \t\r\n  [bulkhead]\r\n max_packet_size= 1.5 MB\r\n"
		"client_login_timeout =0.5\n[pool]\npool_mode=\"session\"\n"
		"query_wait_timeout = 2min\nserver_idle_timeout = 1.5h\n"
		"server_lifetime = 1d\nserver_connect_timeout = 250ms\n"
		"server_login_retry = 0\n[listen:one]\nselectors = database ,user\n"
		"unix_socket_mode = 700\nunset = home\n"
		"[listen:two]\nlisten_addr =\nunix_socket_dir = /run\nauth = trust\n"
		"user_separator = @\n"
		"tenant = \"  \\\"x\\\\y\\\" ; # = \"\n"
		"[log]\nlevel = debug\nformat = json\n" REQUIRED "dsn = host=/run/p;q#r dbname='a b'");

	cr_expect_eq(conf->max_packet_size, 1536 * 1024);
	cr_expect_eq(conf->client_login_timeout_ms, 500);
	cr_expect_eq(conf->pool_mode, POOL_SESSION);
	cr_expect_eq(conf->query_wait_timeout_ms, 120000);
	cr_expect_eq(conf->server_idle_timeout_ms, 5400000);
	cr_expect_eq(conf->server_lifetime_ms, 86400000);
	cr_expect_eq(conf->server_connect_timeout_ms, 250);
	cr_expect_eq(conf->server_login_retry_ms, 0);
	cr_assert_eq(conf->listen_count, 2);
	cr_expect_eq(conf->listens[0].selector_count, 2);
	cr_expect_eq(conf->listens[0].selectors[0], SELECT_DATABASE);
	cr_expect_eq(conf->listens[0].selectors[1], SELECT_USER);
	cr_expect_eq(conf->listens[0].unix_socket_mode, 0700);
	cr_expect_eq(conf->listens[0].unset, UNSET_HOME);
	cr_expect_eq(conf->listens[1].auth, AUTH_TRUST);
	cr_expect_str_eq(conf->listens[1].user_separator, "@");
	cr_expect_str_eq(conf->listens[1].tenant, "  \"x\\y\" ; # = ");
	cr_expect_eq(conf->log_level, LOG_DEBUG);
	cr_expect_eq(conf->log_format, LOG_FORMAT_JSON);
	cr_expect_str_eq(conf->control_dsn, "host=/run/p;q#r dbname='a b'");
	conf_destroy(conf);
}

Test(conf_load, a_line_may_be_long)
{
	char *text = malloc(9000);
	struct conf *conf;

	memset(text, ' ', 9000);
	memcpy(text, REQUIRED "dsn =", strlen(REQUIRED "dsn ="));
	memcpy(text + 8000, "dbname=x", sizeof "dbname=x");
	conf = load(text);
	cr_expect_str_eq(conf->control_dsn, "dbname=x");
	conf_destroy(conf);
	free(text);
}

Test(conf_load, flags_over_environment_over_file)
{
	static char *const environment[] = {"BULKHEAD_POOL_DEFAULT_POOL_SIZE=2",
										"BULKHEAD_POOL_POOL_MODE=session",
										"BULKHEAD_LISTEN_LISTEN_PORT=7000",
										"BULKHEAD_CLUSTER_HOST=${not expanded}",
										"BULKHEAD_BULKHEAD_MAX_CLIENT_CONN=7",
										"bulkhead_log_level=debug",
										NULL};
	static const struct conf_override flags[] = {{"pool", "default_pool_size", "3"},
												 {"listen", "tenant", "acme"},
												 {"cluster:default", "port", "9"}};
	struct conf *conf =
		load_with(REQUIRED DSN "[pool]\ndefault_pool_size = 1\n", environment, flags, 3);

	cr_expect_eq(conf->default_pool_size, 3);
	cr_expect_eq(conf->pool_mode, POOL_SESSION);
	cr_expect_eq(conf->max_client_conn, 7);
	cr_expect_eq(conf->listens[0].listen_port, 7000);
	cr_expect_str_eq(conf->listens[0].tenant, "acme");
	cr_expect_str_eq(conf->clusters[0].host, "${not expanded}");
	cr_expect_str_eq(conf->clusters[0].port, "9");
	cr_expect_eq(conf->log_level, LOG_INFO, "variables are written in capitals");
	conf_destroy(conf);
}

Test(conf_load, environment_alone_suffices)
{
	static char *const environment[] = {"BULKHEAD_GUARD_KEY_FILE=k",
										"BULKHEAD_CONTROL_DSN=dbname=x",
										"BULKHEAD_CLUSTER_DATABASE=app", NULL};
	struct conf *conf = conf_load(NULL, environment, NULL, 0, &case_errors);

	cr_assert_not_null(conf);
	cr_expect_null(conf->path);
	cr_expect_str_eq(conf->control_dsn, "dbname=x");
	conf_destroy(conf);
}

Test(conf_load, variables_in_values)
{
	static char *const environment[] = {"A=one", "AB=two", "EMPTY=", "ODD=${A}", NULL};
	static const char *const pairs[][2] = {
		{"${A}", "one"},    {"x${AB}${A}y", "xtwooney"},
		{"${EMPTY}", ""},   {"$A $ $$ $$$", "$A $ $$ $$$"},
		{"$${A}", "${A}"},  {"$$${A}", "$${A}"},
		{"${ODD}", "${A}"}, {"\" ${A} \"", " one "},
	};
	char text[512];

	for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
		struct conf *conf;

		snprintf(text, sizeof text, "%s[listen:a]\ntenant = %s\n", REQUIRED DSN, pairs[i][0]);
		conf = load_with(text, environment, NULL, 0);
		cr_expect_str_eq(conf->listens[0].tenant, pairs[i][1]);
		conf_destroy(conf);
	}
}

/* Many references to a large variable are refused before they fill the memory. */
Test(conf_load, variables_are_bounded)
{
	size_t large = 600 * 1024;
	char *variable = malloc(large);
	char *environment[] = {variable, NULL};
	static const char text[] = REQUIRED DSN "[listen:a]\ntenant = ${A}${A}\n";

	memset(variable, 'x', large - 1);
	memcpy(variable, "A=", 2);
	variable[large - 1] = '\0';
	case_expect(case_load_with(text, strlen(text), environment, NULL, 0),
				"b.ini:8: tenant: is longer than 1 MiB with its variables replaced");
	free(variable);
}

/* ---- secrets ---- */

#define WITH_FILE REQUIRED DSN "[cluster:b]\ndatabase = b\npassword_file = password\n"

Test(conf_load, passwords_from_files)
{
	struct conf *conf;

	case_write("password", "hunter2\n", 8, 0600);
	conf = load(WITH_FILE);
	cr_expect_str_eq(conf_find_cluster(conf, "b")->password, "hunter2");
	cr_expect_null(conf_find_cluster(conf, "default")->password);
	conf_destroy(conf);
	conf = load(REQUIRED DSN "password_file = password");
	cr_expect_str_eq(conf->control_password, "hunter2");
	conf_destroy(conf);
}

Test(conf_load, a_password_of_the_environment_wins_over_the_file_and_loses_to_a_flag)
{
	static char *const environment[] = {"BULKHEAD_CONTROL_PASSWORD=swordfish", NULL};
	static const struct conf_override flag = {"control", "password_file", "password"};
	struct conf *conf;

	conf = load_with(REQUIRED DSN "password_file = missing", environment, NULL, 0);
	cr_expect_str_eq(conf->control_password, "swordfish");
	conf_destroy(conf);
	case_write("password", "hunter2\n", 8, 0600);
	conf = load_with(REQUIRED DSN, environment, &flag, 1);
	cr_expect_str_eq(conf->control_password, "hunter2");
	conf_destroy(conf);
}

Test(conf_load, the_dump_shows_that_secrets_are_set_and_no_more)
{
	static char *const environment[] = {"BULKHEAD_CONTROL_PASSWORD=swordfish", NULL};
	struct conf *conf;
	char *text;

	case_write("password", "hunter2\n", 8, 0600);
	conf = load_with(WITH_FILE, environment, NULL, 0);
	text = dump(conf);
	cr_expect_not_null(
		strstr(text, "; environment: BULKHEAD_CONTROL_PASSWORD\n; password = (set)\n"));
	cr_expect_not_null(strstr(text, "; b.ini:9\n; password = (set)\n"));
	cr_expect_null(strstr(text, "swordfish"));
	cr_expect_null(strstr(text, "hunter2"));
	free(text);
	conf_destroy(conf);
}

/* ---- what is made from the table ---- */

Test(conf_load, the_dump_says_where_each_value_came_from)
{
	static char *const environment[] = {"BULKHEAD_POOL_POOL_MODE=session", NULL};
	static const struct conf_override flag = {"listen", "listen_port", "7000"};
	struct conf *conf = load_with(REQUIRED DSN, environment, &flag, 1);
	char *text = dump(conf);

	cr_expect_not_null(strstr(text, "[cluster:default]\n; default\nhost = 127.0.0.1\n"));
	cr_expect_not_null(strstr(text, "; b.ini:2\ndatabase = app\n"));
	cr_expect_not_null(
		strstr(text, "; environment: BULKHEAD_POOL_POOL_MODE\npool_mode = session\n"));
	cr_expect_not_null(strstr(text, "; flag\nlisten_port = 7000\n"));
	cr_expect_not_null(strstr(text, "; default\ntenant =\n"));
	free(text);
	conf_destroy(conf);
}

/* Without the comments, which name lines of different files. */
static char *without_comments(char *text)
{
	char *to = text;

	for (char *line = text, *after; *line; line = after) {
		after = strchr(line, '\n') + 1;
		if (*line != ';') {
			memmove(to, line, (size_t)(after - line));
			to += after - line;
		}
	}
	*to = '\0';
	return text;
}

Test(conf_load, the_dump_is_a_configuration_with_the_same_values)
{
	static char *const environment[] = {"BULKHEAD_LISTEN_TENANT=\" ${x} $${y} \\ \"q\" ", NULL};
	struct conf *first = load_with("[listen:default]\nlisten_addr = *\nunix_socket_dir = /run\n"
								   "[listen:b]\nselectors = startup\nuser_separator = =\n"
								   "[pool]\nserver_lifetime = 1001ms\nquery_wait_timeout = 0\n"
								   "[bulkhead]\nmax_packet_size = 16385\n"
								   "[log]\nlevel = error\n" REQUIRED DSN,
								   environment, NULL, 0);
	char *text = dump(first), *again;
	struct conf *second = load(text);

	cr_expect_str_eq(second->listens[0].tenant, "\" ${x} $${y} \\ \"q\" ");
	again = dump(second);
	cr_expect_str_eq(without_comments(text), without_comments(again));
	cr_expect_not_null(strstr(text, "server_lifetime = 1001ms\n"));
	cr_expect_not_null(strstr(text, "query_wait_timeout = 0\n"));
	cr_expect_not_null(strstr(text, "max_packet_size = 16385B\n"));
	free(text);
	free(again);
	conf_destroy(first);
	conf_destroy(second);
}

Test(conf_load, the_sample_is_a_configuration_of_defaults)
{
	struct conf *sample, *bare;
	char *text = NULL, *sample_dump, *bare_dump;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	conf_write_sample(out);
	cr_assert_eq(fclose(out), 0);
	sample = load(text);
	bare =
		load("[cluster:default]\ndatabase = app\n[guard]\nkey_file = /etc/bulkhead/guard.key\n"
			 "[control]\ndsn = host=127.0.0.1 dbname=app user=bulkhead_sidecar\n");
	sample_dump = without_comments(dump(sample));
	bare_dump = without_comments(dump(bare));
	cr_expect_str_eq(sample_dump, bare_dump);
	free(text);
	free(sample_dump);
	free(bare_dump);
	conf_destroy(sample);
	conf_destroy(bare);
}
