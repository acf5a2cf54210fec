/* What a reload takes of a file that was loaded anew, and what it leaves as it runs. */
#include "conf_case.h"

#include "conf/settings.h"

static struct conf *running, *fresh;
static struct conf_changes changes;

static void enter(void)
{
	case_enter();
	conf_changes_init(&changes);
}

static void leave(void)
{
	conf_destroy(running);
	conf_destroy(fresh);
	conf_changes_fini(&changes);
	case_leave();
}

TestSuite(conf_merge, .init = enter, .fini = leave);

static struct conf *load(const char *text)
{
	struct conf *conf = case_load(text);

	cr_assert_not_null(conf, "%s", case_errors.count ? case_errors.lines[0] : "no reason");
	return conf;
}

/* Loads both and merges the second into what runs by the first. */
static void merge(const char *before, const char *after)
{
	running = load(before);
	fresh = load(after);
	cr_assert(conf_merge(fresh, running, &changes));
}

static void expect_names(struct buf *names, const char *wanted)
{
	cr_expect(buf_len(names) == strlen(wanted) &&
				  (!*wanted || memcmp(buf_data(names), wanted, strlen(wanted)) == 0),
			  "\"%.*s\" instead of \"%s\"", (int)buf_len(names), (const char *)buf_data(names),
			  wanted);
}

static void expect_changes(const char *taken, const char *deferred)
{
	expect_names(&changes.taken, taken);
	expect_names(&changes.deferred, deferred);
}

#define BASE "[guard]\nkey_file = k\n[control]\n" DSN
#define ONE  "[cluster:default]\ndatabase = app\n"

Test(conf_merge, nothing)
{
	merge(BASE ONE, ONE BASE);
	expect_changes("", "");
}

Test(conf_merge, values_of_every_type)
{
	merge(BASE ONE,
		  BASE ONE "[bulkhead]\nmax_packet_size = 2MB\ntcp_keepalive = no\nadmin_users = boss\n"
				   "[pool]\npool_mode = session\nquery_timeout = 5s\nmin_pool_size = "
				   "3\n[log]\nlevel = debug\n");
	expect_changes("bulkhead.admin_users, bulkhead.max_packet_size, bulkhead.tcp_keepalive, "
				   "pool.pool_mode, pool.min_pool_size, pool.query_timeout, log.level",
				   "");
	cr_expect_eq(fresh->max_packet_size, 2 << 20);
	cr_expect_not(fresh->tcp_keepalive);
	cr_expect_str_eq(fresh->admin_users, "boss");
	cr_expect_eq(fresh->pool_mode, POOL_SESSION);
	cr_expect_eq(fresh->query_timeout_ms, 5000);
	cr_expect_eq(fresh->min_pool_size, 3);
	cr_expect_eq(fresh->log_level, LOG_DEBUG);
}

Test(conf_merge, a_setting_that_went_has_its_default_again)
{
	merge(BASE ONE "[pool]\ndefault_pool_size = 3\n", BASE ONE);
	expect_changes("pool.default_pool_size", "");
	cr_expect_eq(fresh->default_pool_size, 20);
}

static bool needs_restart(const struct conf_setting *setting)
{
	static const char *const names[] = {
		"bulkhead.workers",   "bulkhead.reuse_port",    "probes.listen_addr",
		"probes.listen_port", "probes.unix_socket",     "probes.liveness_timeout",
		"probes.metrics",     "admin.listen_addr",      "admin.listen_port",
		"admin.unix_socket",  "admin.unix_socket_mode", "admin.plaintext",
		"admin.connections",  "admin.max_clients",      "admin.event_streams",
	};
	char name[128];

	snprintf(name, sizeof name, "%s.%s", setting->section, setting->key);
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		if (strcmp(names[i], name) == 0)
			return true;
	}
	return false;
}

Test(conf_merge, settings_without_a_section_name_are_reloadable_but_for_a_few)
{
	for (size_t i = 0; i < conf_setting_count; i++) {
		const struct conf_setting *setting = &conf_settings[i];

		if (conf_find_section(setting->section)->home == HOME_CONF)
			cr_expect_eq(setting->reloadable, !needs_restart(setting), "%s.%s",
						 setting->section, setting->key);
	}
}

Test(conf_merge, a_setting_without_a_section_name_may_need_a_restart)
{
	merge(BASE ONE "[bulkhead]\nworkers = 2\n",
		  BASE ONE "[bulkhead]\nworkers = 3\nmax_client_conn = 50\n");
	expect_changes("bulkhead.max_client_conn", "bulkhead.workers");
	cr_expect_eq(fresh->workers, 2);
	cr_expect_eq(fresh->max_client_conn, 50);
}

Test(conf_merge, a_section_is_taken_as_a_whole)
{
	merge(BASE ONE "[listen:default]\nunset = deny\n",
		  BASE ONE "[listen:default]\nunset = home\ntenant = acme\nselectors = fixed\nauth = "
				   "scram-sha-256\nuser_separator = @\n");
	expect_changes("listen:default.tenant, listen:default.selectors, "
				   "listen:default.user_separator, listen:default.unset",
				   "");
	cr_expect_eq(fresh->listens[0].unset, UNSET_HOME);
	cr_expect_eq(fresh->listens[0].selector_count, 1);
	cr_expect_str_eq(fresh->listens[0].tenant, "acme");
	cr_expect_str_eq(fresh->listens[0].user_separator, "@");
}

Test(conf_merge, or_not_at_all)
{
	case_write("password", "old\n", 4, 0600);
	running = load(BASE ONE "password_file = password\n[listen:default]\nunset = deny\n");
	case_write("password", "new\n", 4, 0600);
	fresh =
		load(BASE ONE
			 "password_file = password\nhost = other\nallow_cleartext = yes\n"
			 "[listen:default]\nunset = home\nlisten_port = 1\n[pool]\nmin_pool_size = 1\n");
	cr_assert(conf_merge(fresh, running, &changes));
	expect_changes("pool.min_pool_size",
				   "listen:default.listen_port, listen:default.unset, cluster:default.host, "
				   "cluster:default.password, cluster:default.allow_cleartext");
	cr_expect_str_eq(fresh->clusters[0].host, "127.0.0.1");
	cr_expect_str_eq(fresh->clusters[0].password, "old");
	cr_expect_neq((void *)fresh->clusters[0].password, (void *)running->clusters[0].password);
	cr_expect_not(fresh->clusters[0].allow_cleartext);
	cr_expect_eq(fresh->listens[0].listen_port, 6432);
	cr_expect_eq(fresh->listens[0].unset, UNSET_DENY);
}

Test(conf_merge, a_password_file_with_other_content)
{
	case_write("password", "old\n", 4, 0600);
	running = load(BASE ONE "password_file = password\n");
	case_write("password", "new\n", 4, 0600);
	fresh = load(BASE ONE "password_file = password\n");
	cr_assert(conf_merge(fresh, running, &changes));
	expect_changes("cluster:default.password", "");
	cr_expect_str_eq(fresh->clusters[0].password, "new");
}

Test(conf_merge, a_password_that_came_or_went)
{
	case_write("password", "old\n", 4, 0600);
	merge(BASE ONE, BASE ONE "password_file = password\n");
	expect_changes("cluster:default.password_file, cluster:default.password", "");

	struct conf *without = load(BASE ONE);
	cr_assert(conf_merge(without, fresh, &changes));
	cr_expect_null(without->clusters[0].password);
	conf_destroy(without);
}

#define TWO   "[cluster:two]\ndatabase = two\n"
#define THREE "[cluster:three]\ndatabase = three\n"
#define LOCAL "[listen:local]\nlisten_addr =\nunix_socket_dir = /run\n"
#define FAR   "[listen:far]\nlisten_addr = *\n"

Test(conf_merge, sections_keep_their_places)
{
	merge(BASE ONE TWO LOCAL FAR,
		  BASE FAR "unset = home\n" TWO "allow_cleartext = yes\n" LOCAL ONE);
	expect_changes("listen:far.unset, cluster:two.allow_cleartext", "");
	cr_assert_eq(fresh->listen_count, 2);
	cr_expect_str_eq(fresh->listens[0].name, "local");
	cr_expect_str_eq(fresh->listens[1].name, "far");
	cr_expect_eq(fresh->listens[1].unset, UNSET_HOME);
	cr_assert_eq(fresh->cluster_count, 2);
	cr_expect_str_eq(fresh->clusters[0].name, "default");
	cr_expect_str_eq(fresh->clusters[1].name, "two");
	cr_expect(fresh->clusters[1].allow_cleartext);
}

Test(conf_merge, sections_that_came_and_went)
{
	merge(BASE ONE TWO LOCAL, BASE ONE THREE FAR);
	expect_changes("", "listen:far, listen:local, cluster:three, cluster:two");
	cr_assert_eq(fresh->listen_count, 1);
	cr_expect_str_eq(fresh->listens[0].name, "local");
	cr_expect_str_eq(fresh->listens[0].unix_socket_dir, "/run");
	cr_assert_eq(fresh->cluster_count, 2);
	cr_expect_str_eq(fresh->clusters[1].name, "two");
	cr_expect_str_eq(fresh->clusters[1].database, "two");
}

/* What was merged is what the next reload starts from. */
Test(conf_merge, again_and_again)
{
	struct conf *conf = load(BASE ONE TWO FAR);

	for (int turn = 0; turn < 3; turn++) {
		struct conf *next = load(turn % 2 ? BASE ONE TWO FAR : BASE ONE THREE LOCAL);

		cr_assert(conf_merge(next, conf, &changes));
		conf_destroy(conf);
		conf = next;
	}
	cr_assert_eq(conf->cluster_count, 2);
	cr_expect_str_eq(conf->clusters[1].name, "two");
	cr_assert_eq(conf->listen_count, 1);
	cr_expect_str_eq(conf->listens[0].name, "far");
	conf_destroy(conf);
}
