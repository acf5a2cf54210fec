/* Lists of hosts and ports, the order in which they are tried, and which kind of server fits.
 */
#include <criterion/criterion.h>

#include "conf/hosts.h"
#include "proxy/hosts.h"
#include "proxy/params.h"

/* ---- lists ---- */

static enum conf_hosts_fault fault_of(const char *host, const char *port)
{
	struct conf_hosts hosts;
	enum conf_hosts_fault fault = conf_hosts_read(host, port, &hosts);

	conf_hosts_fini(&hosts);
	return fault;
}

static void expect(const char *host, const char *port, const char *const names[],
				   const int ports[], size_t count)
{
	struct conf_hosts hosts;

	cr_assert_eq(conf_hosts_read(host, port, &hosts), HOSTS_FINE, "%s %s", host, port);
	cr_assert_eq(hosts.count, count);
	for (size_t i = 0; i < count; i++) {
		cr_expect_str_eq(hosts.list[i].name, names[i]);
		cr_expect_eq(hosts.list[i].port, ports[i]);
	}
	conf_hosts_fini(&hosts);
}

Test(hosts, one_port_is_for_all_and_several_are_for_one_each)
{
	const char *const names[] = {"a", "::1", "/run/pg"};

	expect("a", "5432", names, (const int[]){5432}, 1);
	expect("a,::1,/run/pg", "1", names, (const int[]){1, 1, 1}, 3);
	expect(" a ,\t::1, /run/pg ", "1, 65535 ,3", names, (const int[]){1, 65535, 3}, 3);
}

Test(hosts, what_is_wrong)
{
	static const struct {
		const char *host, *port;
		enum conf_hosts_fault fault;
	} cases[] = {
		{"", "1", HOSTS_EMPTY},
		{"a,", "1", HOSTS_EMPTY},
		{",a", "1", HOSTS_EMPTY},
		{"a, ,b", "1", HOSTS_EMPTY},
		{"a", "", HOSTS_PORT},
		{"a", "0", HOSTS_PORT},
		{"a", "65536", HOSTS_PORT},
		{"a", "000000001", HOSTS_PORT},
		{"a", "5432x", HOSTS_PORT},
		{"a", "-1", HOSTS_PORT},
		{"a,b", "1,", HOSTS_PORT},
		{"a", "1,2", HOSTS_PORT_COUNT},
		{"a,b,c", "1,2", HOSTS_PORT_COUNT},
		{"a,a", "1", HOSTS_TWICE},
		{"a,b,a", "1,2,1", HOSTS_TWICE},
		{"1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17", "1", HOSTS_TOO_MANY},
		{"/a23456789/a23456789/a23456789/a23456789/a23456789/a23456789/a23456789/a23456789/"
		 "a23456789/93",
		 "1", HOSTS_PATH_TOO_LONG},
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		cr_expect_eq(fault_of(cases[i].host, cases[i].port), cases[i].fault, "%s %s",
					 cases[i].host, cases[i].port);
	cr_expect_eq(fault_of("a,a", "1,2"), HOSTS_FINE);
	cr_expect_eq(fault_of("1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16", "1"), HOSTS_FINE);
}

Test(hosts, the_order_makes_no_other_server)
{
	struct conf_hosts one, other, third;

	conf_hosts_read("a,b", "1,2", &one);
	conf_hosts_read("b,a", "2,1", &other);
	conf_hosts_read("b,a", "1,2", &third);
	cr_expect(conf_hosts_equal(&one, &other));
	cr_expect_not(conf_hosts_equal(&one, &third));
	conf_hosts_fini(&one);
	conf_hosts_fini(&other);
	conf_hosts_fini(&third);
}

Test(hosts, libpq_wants_no_blanks)
{
	static const char *const cases[][2] = {
		{"a", "a"}, {" a ,\tb, c ", "a,b,c"}, {" , ", ","}, {"", ""}, {"a b", "a b"}};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char list[16];

		strcpy(list, cases[i][0]);
		conf_hosts_strip(list);
		cr_expect_str_eq(list, cases[i][1]);
	}
}

Test(hosts, tls_is_for_hosts_that_are_no_sockets)
{
	cr_expect(conf_hosts_have_tcp("/run, db"));
	cr_expect_not(conf_hosts_have_tcp("/run, /tmp"));
}

/* ---- kinds ---- */

static enum host_kind kind(const char *standby, const char *read_only)
{
	struct params params;

	params_init(&params);
	if (standby)
		params_set(&params, "in_hot_standby", standby);
	if (read_only)
		params_set(&params, "default_transaction_read_only", read_only);
	enum host_kind found = host_kind_of(&params);
	params_fini(&params);
	return found;
}

Test(hosts, what_a_server_says_that_it_is)
{
	cr_expect_eq(kind("off", "off"), HOST_READ_WRITE);
	cr_expect_eq(kind("off", "on"), HOST_READ_ONLY);
	cr_expect_eq(kind("on", "off"), HOST_STANDBY);
	cr_expect_eq(kind("on", "on"), HOST_STANDBY);
	cr_expect_eq(kind(NULL, "off"), HOST_UNKNOWN);
	cr_expect_eq(kind("on", NULL), HOST_UNKNOWN);
}

Test(hosts, which_kind_fits)
{
	/* By target: unknown, read-write, read-only, standby. */
	static const bool fits[][4] = {
		[TARGET_ANY] = {true, true, true, true},
		[TARGET_READ_WRITE] = {false, true, false, false},
		[TARGET_READ_ONLY] = {false, false, true, true},
		[TARGET_PRIMARY] = {false, true, true, false},
		[TARGET_STANDBY] = {false, false, false, true},
		[TARGET_PREFER_STANDBY] = {false, false, false, true},
	};

	for (int target = TARGET_ANY; target <= TARGET_PREFER_STANDBY; target++) {
		for (int i = HOST_UNKNOWN; i <= HOST_STANDBY; i++)
			cr_expect_eq(!host_misfit((enum conf_target)target, (enum host_kind)i),
						 fits[target][i], "%s %s", host_target_name((enum conf_target)target),
						 host_kind_name((enum host_kind)i));
	}
}

/* ---- walks ---- */

static struct hosts *make(const char *host)
{
	static atomic_uint age;
	struct conf_cluster cluster = {.host = (char *)host, .port = (char *)"1"};
	struct hosts *hosts = hosts_create(&cluster, &age);

	cr_assert_not_null(hosts);
	return hosts;
}

static struct host_walk *begin(struct hosts *hosts, enum conf_target target)
{
	struct host_walk *walk = host_walk_begin(hosts, target);

	cr_assert_not_null(walk);
	return walk;
}

static int at(const struct host_walk *walk)
{
	const struct endpoint *endpoint = host_walk_at(walk);

	return endpoint ? (int)endpoint->host : -1;
}

static void say(struct host_walk *walk, const char *standby)
{
	struct params params;

	params_init(&params);
	params_set(&params, "in_hot_standby", standby);
	params_set(&params, "default_transaction_read_only", "off");
	const char *why = host_walk_judge(walk, &params);
	params_fini(&params);
	if (why)
		host_walk_unfit(walk, why);
}

Test(hosts, who_served_last_is_tried_first_and_who_failed_last)
{
	struct hosts *hosts = make("127.0.0.1,127.0.0.2,127.0.0.3");
	struct host_walk *walk = begin(hosts, TARGET_READ_WRITE);

	cr_expect_eq(at(walk), 0);
	host_walk_failed(walk, "refused");
	say(walk, "on");
	cr_expect_eq(at(walk), 2);
	say(walk, "off");
	cr_expect_eq(at(walk), 2);
	host_walk_found(walk);
	host_walk_end(walk);
	cr_expect_eq(hosts_failing_for(hosts), 0);

	walk = begin(hosts, TARGET_READ_WRITE);
	cr_expect_eq(at(walk), 2);
	host_walk_failed(walk, "lost");
	cr_expect_eq(at(walk), 1);
	say(walk, "on");
	cr_expect_eq(at(walk), 0);
	host_walk_failed(walk, "refused");
	cr_expect_eq(at(walk), -1);
	cr_expect_str_eq(host_walk_give_up(walk),
					 "127.0.0.3 port 1: lost; 127.0.0.2 port 1: it is read-only; "
					 "127.0.0.1 port 1: refused");
	host_walk_end(walk);
	hosts_destroy(hosts);
}

Test(hosts, a_standby_is_looked_for_at_all_of_them_first)
{
	struct hosts *hosts = make("127.0.0.1,127.0.0.2");
	struct host_walk *walk = begin(hosts, TARGET_PREFER_STANDBY);

	say(walk, "off");
	cr_expect_eq(at(walk), 1);
	host_walk_failed(walk, "refused");
	cr_expect_eq(at(walk), 0, "the second round");
	say(walk, "off");
	cr_expect_eq(at(walk), 0);
	host_walk_found(walk);
	host_walk_end(walk);

	/* Where none answers there is no second round. */
	walk = begin(hosts, TARGET_PREFER_STANDBY);
	host_walk_failed(walk, "refused");
	host_walk_failed(walk, "refused");
	cr_expect_eq(at(walk), -1);
	host_walk_end(walk);
	hosts_destroy(hosts);
}

Test(hosts, names_come_to_stand_for_something_else)
{
	struct hosts *hosts = make("127.0.0.1,no.such.name");
	struct endpoint found = {.len = 0}, kept;
	struct host_walk *walk = begin(hosts, TARGET_ANY);

	cr_expect_eq(hosts_literals(hosts), 1);
	cr_expect(hosts_have_names(hosts));
	kept = *host_walk_at(walk);
	host_walk_failed(walk, "refused");
	cr_expect_eq(at(walk), -1);
	cr_expect_str_eq(host_walk_give_up(walk),
					 "no.such.name cannot be resolved; 127.0.0.1 port 1: refused");
	host_walk_end(walk);

	found = kept;
	found.host = 1;
	((struct sockaddr *)&found.address)->sa_data[5] = 9;
	cr_expect(hosts_resolved(hosts, &found, 1, 1));
	cr_expect_not(hosts_resolved(hosts, &found, 1, 1));
	cr_expect(hosts_have_endpoint(hosts, &found));
	cr_expect(hosts_have_endpoint(hosts, &kept));
	/* Nobody answered: what was known stays. */
	cr_expect_not(hosts_resolved(hosts, NULL, 0, 3));
	cr_expect(hosts_have_endpoint(hosts, &found));
	cr_expect(hosts_resolved(hosts, NULL, 0, 1));
	cr_expect_not(hosts_have_endpoint(hosts, &found));
	hosts_destroy(hosts);
}
