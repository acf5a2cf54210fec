/* Everything that can be wrong with a configuration, by the exact line that says so. */
#include "conf_case.h"

TestSuite(conf_errors, .init = case_enter, .fini = case_leave);

struct wrong {
	const char *text, *line;
};

/* Each text stands behind the required settings, from line 7 on, unless it says otherwise. */
static void expect_each(const struct wrong *cases, size_t count)
{
	char text[4096];

	for (size_t i = 0; i < count; i++) {
		snprintf(text, sizeof text, "%s%s%s", REQUIRED, DSN, cases[i].text);
		case_expect(case_load(text), cases[i].line);
	}
}

#define EXPECT_EACH(cases) expect_each(cases, sizeof(cases) / sizeof *(cases))

Test(conf_errors, form_of_lines)
{
	static const struct wrong cases[] = {
		{"[pool\n", "b.ini:7: a section must end with ]"},
		{"\n\n[pool", "b.ini:9: a section must end with ]"},
		{"[]\n",
		 "b.ini:7: a section is [name] or [kind:name], of letters, digits, _ and - only"},
		{"[listen:]\n",
		 "b.ini:7: a section is [name] or [kind:name], of letters, digits, _ and - only"},
		{"[listen:a b]\n",
		 "b.ini:7: a section is [name] or [kind:name], of letters, digits, _ and - only"},
		{"[listen:a:b]\n",
		 "b.ini:7: a section is [name] or [kind:name], of letters, digits, _ and - only"},
		{"hello\n", "b.ini:7: neither [section] nor key = value"},
		{"= 5\n", "b.ini:7: a key consists of letters, digits, _ and - only"},
		{"a b = 5\n", "b.ini:7: a key consists of letters, digits, _ and - only"},
		{"[log]\nlevel = \"info\n", "b.ini:8: the closing quote is missing"},
		{"[log]\nlevel = \"info\\\"\n", "b.ini:8: the closing quote is missing"},
		{"[log]\nlevel = \"info\" ; why\n",
		 "b.ini:8: there is something behind the closing quote"},
		{"[log]\nlevel = \"in\\fo\"\n",
		 "b.ini:8: between quotes, \\ must stand before \" or \\"},
		{"[log]\nlevel = \"in\\", "b.ini:8: between quotes, \\ must stand before \" or \\"},
		{"; fine\n; \xff\n", "b.ini:8: is not valid UTF-8"},
		{"[log]\nlevel = info ; a comment\n",
		 "b.ini:8: level: \"info ; a comment\" is not one of error, warning, info, debug"},
	};

	EXPECT_EACH(cases);
}

Test(conf_errors, sections_and_keys)
{
	static const struct wrong cases[] = {
		{"[pools]\nx = 1\ny = 2\n", "b.ini:7: there is no section [pools]"},
		{"[Pool]\n", "b.ini:7: there is no section [Pool]"},
		{"[what:ever]\n", "b.ini:7: there is no section [what:ever]"},
		{"[pool:a]\n", "b.ini:7: the section [pool] takes no name"},
		{"[listen]\n", "b.ini:7: the section [listen] needs a name, as in [listen:default]"},
		{"[listen:a123456789a123456789a123456789a123456789a123456789a123456789abcd]\n",
		 "b.ini:7: the section's name is longer than 63 bytes"},
		{"[log]\n[guard]\n", "b.ini:8: the section [guard] was already opened at line 3"},
		{"[listen:a]\n[listen:a]\n",
		 "b.ini:8: the section [listen:a] was already opened at line 7"},
		{"[pool]\npool_size = 3\n", "b.ini:8: the section [pool] has no setting pool_size"},
		{"[pool]\nPOOL_MODE = session\n",
		 "b.ini:8: the section [pool] has no setting POOL_MODE"},
		{"[pool]\ndefault_pool_size = 1\n\ndefault_pool_size = 2\n",
		 "b.ini:10: default_pool_size: was already set at line 8"},
		{"password = x\n", "b.ini:7: password: must not stand in this file; use password_file"},
	};

	EXPECT_EACH(cases);
	case_expect(case_load("a = 1\n" REQUIRED DSN),
				"b.ini:1: a setting must stand in a [section]");
}

Test(conf_errors, numbers)
{
	static const struct wrong cases[] = {
		{"[pool]\ndefault_pool_size = many\n",
		 "b.ini:8: default_pool_size: \"many\" is not a whole number"},
		{"[pool]\ndefault_pool_size =\n",
		 "b.ini:8: default_pool_size: \"\" is not a whole number"},
		{"[pool]\ndefault_pool_size = 2.5\n",
		 "b.ini:8: default_pool_size: \"2.5\" is not a whole number"},
		{"[pool]\ndefault_pool_size = 0\n",
		 "b.ini:8: default_pool_size: 0 is outside 1 .. 10000"},
		{"[pool]\ndefault_pool_size = -3\n",
		 "b.ini:8: default_pool_size: -3 is outside 1 .. 10000"},
		{"[pool]\ndefault_pool_size = 4294967297\n",
		 "b.ini:8: default_pool_size: 4294967297 is outside 1 .. 10000"},
		{"[pool]\ndefault_pool_size = 99999999999999999999\n",
		 "b.ini:8: default_pool_size: \"99999999999999999999\" is not a whole number"},
		{"[listen:default]\nlisten_port = 65536\n",
		 "b.ini:8: listen_port: 65536 is outside 1 .. 65535"},
		{"[listen:default]\nunix_socket_mode = 0888\n",
		 "b.ini:8: unix_socket_mode: \"0888\" is not a mode in octal, as 0770"},
		{"[listen:default]\nunix_socket_mode = 1777\n",
		 "b.ini:8: unix_socket_mode: 1777 is outside 0000 .. 0777"},
	};

	EXPECT_EACH(cases);
}

#define NOT_A_TIME                                                                             \
	"is not a time in whole milliseconds, as 500ms, 10s, 2min, 1h, 1d or a number of seconds"

Test(conf_errors, times_and_sizes)
{
	static const struct wrong cases[] = {
		{"[pool]\nserver_lifetime = soon\n", "b.ini:8: server_lifetime: \"soon\" " NOT_A_TIME},
		{"[pool]\nserver_lifetime = 1 week\n",
		 "b.ini:8: server_lifetime: \"1 week\" " NOT_A_TIME},
		{"[pool]\nserver_lifetime = 1m\n", "b.ini:8: server_lifetime: \"1m\" " NOT_A_TIME},
		{"[pool]\nserver_lifetime = 1.s\n", "b.ini:8: server_lifetime: \"1.s\" " NOT_A_TIME},
		{"[pool]\nserver_lifetime = -1s\n", "b.ini:8: server_lifetime: \"-1s\" " NOT_A_TIME},
		/* It must not become 0, which means for ever. */
		{"[pool]\nserver_lifetime = 0.5ms\n",
		 "b.ini:8: server_lifetime: \"0.5ms\" " NOT_A_TIME},
		{"[pool]\nserver_lifetime = 0.0001\n",
		 "b.ini:8: server_lifetime: \"0.0001\" " NOT_A_TIME},
		{"[pool]\nserver_lifetime = 366d\n",
		 "b.ini:8: server_lifetime: 366d is outside 0 .. 365d"},
		{"[pool]\nserver_lifetime = 999999999999d\n",
		 "b.ini:8: server_lifetime: \"999999999999d\" " NOT_A_TIME},
		{"[pool]\nserver_connect_timeout = 99ms\n",
		 "b.ini:8: server_connect_timeout: 99ms is outside 100ms .. 1h"},
		{"[bulkhead]\nmax_packet_size = 15kB\n",
		 "b.ini:8: max_packet_size: 15kB is outside 16kB .. 1GB"},
		{"[bulkhead]\nmax_packet_size = 1073741825\n",
		 "b.ini:8: max_packet_size: 1073741825B is outside 16kB .. 1GB"},
		{"[bulkhead]\nmax_packet_size = 1TB\n",
		 "b.ini:8: max_packet_size: \"1TB\" is not a size, as 64kB, 16MB, 1GB or a number of "
		 "bytes"},
		{"[bulkhead]\nmax_packet_size = 20 KB\n",
		 "b.ini:8: max_packet_size: \"20 KB\" is not a size, as 64kB, 16MB, 1GB or a number of "
		 "bytes"},
	};

	EXPECT_EACH(cases);
	case_expect(case_load("[guard]\nkey_file = k\ntoken_lifetime = 61\n[control]\n" DSN
						  "[cluster:a]\ndatabase = b\n"),
				"b.ini:3: token_lifetime: 61s is outside 1s .. 1min");
}

Test(conf_errors, words)
{
	static const struct wrong cases[] = {
		{"[pool]\npool_mode = statement\n",
		 "b.ini:8: pool_mode: \"statement\" is not one of transaction, session"},
		{"[log]\nformat = JSON\n", "b.ini:8: format: \"JSON\" is not one of auto, text, json"},
		{"[listen:a]\nauth = md5\n",
		 "b.ini:8: auth: \"md5\" is not one of scram-sha-256, trust, cert"},
		{"[listen:a]\nunset = allow\n", "b.ini:8: unset: \"allow\" is not one of deny, home"},
		{"[listen:a]\nselectors = fixed, sni\n",
		 "b.ini:8: selectors: \"sni\" is not one of fixed, user, database, startup, tls"},
		{"[listen:a]\nselectors =\n",
		 "b.ini:8: selectors: \"\" is not one of fixed, user, database, startup, tls"},
		{"[listen:a]\nselectors = user,\n",
		 "b.ini:8: selectors: \"\" is not one of fixed, user, database, startup, tls"},
		{"[listen:a]\nselectors = user, fixed, user\n",
		 "b.ini:8: selectors: \"user\" stands there twice"},
		{"[listen:a]\nselectors = user fixed\n",
		 "b.ini:8: selectors: words must be separated by commas"},
		{"[listen:a]\nuser_separator = -\n", "b.ini:8: user_separator: \"-\" is not one of the "
											 "characters . : / @ + % # ! ~ | , ; = ^ & * "
											 "?"},
		{"[listen:a]\nuser_separator = ::\n", "b.ini:8: user_separator: \"::\" is not one of "
											  "the characters . : / @ + % # ! ~ | , ; = ^ & "
											  "* ?"},
		{"[cluster:b]\ndatabase = b\nallow_cleartext = perhaps\n",
		 "b.ini:9: allow_cleartext: \"perhaps\" is neither yes nor no"},
	};

	EXPECT_EACH(cases);
}

Test(conf_errors, texts)
{
	static const struct wrong cases[] = {
		{"[cluster:b]\ndatabase =\n", "b.ini:8: database: must not be empty"},
		{"[cluster:b]\ndatabase = "
		 "a123456789a123456789a123456789a123456789a123456789a123456789abcd\n",
		 "b.ini:8: database: is longer than 63 bytes"},
		{"[listen:a]\ntenant = a\tb\x01\n", "b.ini:8: tenant: holds a control character"},
		{"[cluster:b]\ndatabase = ${BH_NOT_SET}\n",
		 "b.ini:8: database: the environment variable BH_NOT_SET is not set"},
		{"[listen:a]\ntenant = ${BH_NOT_SET}\n",
		 "b.ini:8: tenant: the environment variable BH_NOT_SET is not set"},
		{"[listen:a]\ntenant = ${\n",
		 "b.ini:8: tenant: ${ must be followed by a variable's name and }; $${ stands for ${"},
		{"[listen:a]\ntenant = ${}\n",
		 "b.ini:8: tenant: ${ must be followed by a variable's name and }; $${ stands for ${"},
		{"[listen:a]\ntenant = ${1}\n",
		 "b.ini:8: tenant: ${ must be followed by a variable's name and }; $${ stands for ${"},
	};

	EXPECT_EACH(cases);
}

Test(conf_errors, what_does_not_fit_together)
{
	static const struct wrong cases[] = {
		{"[listen:a]\nauth = trust\n",
		 "b.ini:8: auth: trust is for unix sockets only: listen_addr must be empty"},
		{"[listen:a]\nlisten_addr =\n",
		 "b.ini:8: listen_addr: is empty, and so is unix_socket_dir: nobody could connect"},
		{"[listen:a]\nlisten_addr = 127.0.0.1,,::1\n",
		 "b.ini:8: listen_addr: an address between the commas is missing"},
		{"[listen:a]\nlisten_addr = 127.0.0.1, \n",
		 "b.ini:8: listen_addr: an address between the commas is missing"},
		{"[listen:a]\nunix_socket_dir = run\n",
		 "b.ini:8: unix_socket_dir: \"run\" does not start with /"},
		{"[listen:a]\nselectors = user\ntenant = acme\n",
		 "b.ini:9: tenant: has no effect, since selectors does not name fixed"},
		{"[cluster:b]\n", "b.ini:7: [cluster:b] database: must be set"},
		{"[cluster:b]\ndatabase = b\nhost = "
		 "/a23456789/a23456789/a23456789/a23456789/a23456789/a23456789/a23456789/a23456789"
		 "/a23456789/93\n",
		 "b.ini:9: host: is longer than 92 bytes, too long for a unix socket"},
		{"[cluster:b]\ndatabase = b\nhost = one, , two\n",
		 "b.ini:9: host: a host between the commas is missing"},
		{"[cluster:b]\ndatabase = b\nhost = one, one\n",
		 "b.ini:9: host: names a host and port twice"},
		{"[cluster:b]\ndatabase = b\nhost = one, two\nport = 1, 2, 3\n",
		 "b.ini:10: port: must be one port for all hosts, or one for each"},
		{"[cluster:b]\ndatabase = b\nport = 70000\n",
		 "b.ini:9: port: must be 1 .. 65535, or a list of these between commas"},
		{"[cluster:b]\ndatabase = b\ntarget_session_attrs = writable\n",
		 "b.ini:9: target_session_attrs: \"writable\" is not one of any, read-write, "
		 "read-only, "
		 "primary, standby, prefer-standby"},
	};

	EXPECT_EACH(cases);
}

Test(conf_errors, tls)
{
	static const struct wrong cases[] = {
		{"[listen:a]\nclient_tls_sslmode = require\nclient_tls_cert_file = c\n",
		 "b.ini:8: client_tls_sslmode: needs client_tls_cert_file and client_tls_key_file"},
		{"[listen:a]\nclient_tls_sslmode = verify-ca\nclient_tls_cert_file = c\n"
		 "client_tls_key_file = k\n",
		 "b.ini:8: client_tls_sslmode: needs client_tls_ca_file"},
		{"[listen:a]\nclient_tls_crl_file = c\n",
		 "b.ini:8: client_tls_crl_file: needs client_tls_ca_file"},
		{"[listen:a]\nauth = cert\n",
		 "b.ini:8: auth: cert needs client_tls_sslmode = verify-full, and an empty "
		 "unix_socket_dir"},
		{"[listen:a]\nclient_tls_sni_suffix = .x\n",
		 "b.ini:8: client_tls_sni_suffix: starts with a dot"},
		{"[listen:a]\nclient_tls_sni_suffix = x\n",
		 "b.ini:8: client_tls_sni_suffix: has no effect, since selectors does not name tls"},
		{"[listen:a]\nselectors = tls\n",
		 "b.ini:8: selectors: tls needs client_tls_sni_suffix, and client_tls_sslmode"},
		{"[cluster:b]\ndatabase = b\nserver_tls_sslmode = verify-full\n",
		 "b.ini:9: server_tls_sslmode: needs server_tls_ca_file"},
		{"[cluster:b]\ndatabase = b\nserver_tls_crl_file = c\n",
		 "b.ini:9: server_tls_crl_file: needs server_tls_ca_file"},
		{"[cluster:b]\ndatabase = b\nserver_tls_key_file = c\n",
		 "b.ini:7: [cluster:b] server_tls_cert_file: goes together with server_tls_key_file"},
		{"[tls]\nmin_protocol = TLSv1.1\n",
		 "b.ini:8: min_protocol: \"TLSv1.1\" is not one of TLSv1.2, TLSv1.3"},
	};

	EXPECT_EACH(cases);
}

Test(conf_errors, a_connection_string_holds_no_password_and_none_is_repeated)
{
	static const struct wrong cases[] = {
		{"dsn = host=h password=hunter2\n",
		 "b.ini:6: dsn: must not hold a password; use password_file or passfile="},
		{"dsn = postgresql://u:hunter2@h/db\n",
		 "b.ini:6: dsn: must not hold a password; use password_file or passfile="},
		{"dsn = host=h sslpassword=hunter2\n",
		 "b.ini:6: dsn: must not hold a sslpassword; use password_file or passfile="},
		{"dsn = host=h hunter2\n",
		 "b.ini:6: dsn: is not a connection string as libpq reads them"},
		{"dsn = hots=h\n", "b.ini:6: dsn: is not a connection string as libpq reads them"},
	};
	char text[512];

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		snprintf(text, sizeof text, "%s%s", REQUIRED, cases[i].text);
		case_expect(case_load(text), cases[i].line);
	}
}

Test(conf_errors, password_files)
{
	static const char text[] = REQUIRED DSN "password_file = password\n";

	case_expect(case_load(text), "b.ini:7: password_file: password: No such file or directory");
	case_write("password", "x\n", 2, 0640);
	case_expect(case_load(text),
				"b.ini:7: password_file: password: group or others have access to "
				"it; its mode must be 0600");
	case_write("password", "\n", 1, 0600);
	case_expect(case_load(text), "b.ini:7: password_file: password: must not be empty");
	case_write("password", "two\nlines\n", 10, 0600);
	case_expect(case_load(text), "b.ini:7: password_file: password: holds a control character");
}

Test(conf_errors, all_are_said_in_one_run)
{
	static const char *const lines[] = {
		"b.ini:2: max_client_conn: \"x\" is not a whole number",
		"b.ini:3: there is no section [nonsense]",
		"b.ini:6: level: \"loud\" is not one of error, warning, info, debug",
		"b.ini:1: [guard] key_file: must be set",
		"b.ini:7: [control] dsn: must be set",
		"b.ini:1: [cluster:default] database: must be set",
	};

	cr_assert_null(case_load("[bulkhead]\nmax_client_conn = x\n[nonsense]\nkey = 1\n[log]\n"
							 "level = loud\n[control]\n"));
	for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
		cr_expect(case_said(lines[i]), "not said: %s", lines[i]);
	cr_assert_eq(case_errors.count, sizeof lines / sizeof *lines);
}

Test(conf_errors, files_that_cannot_be_read)
{
	static const char nul[] = "[log]\nlevel\0 = info\n" REQUIRED DSN;
	char *large = malloc(1024 * 1024 + 1);

	cr_assert_null(conf_load("missing.ini", NULL, NULL, 0, &case_errors));
	cr_assert(case_said("missing.ini: No such file or directory"));
	cr_assert_eq(case_errors.count, 1); /* and not what the defaults lack */
	conf_errors_fini(&case_errors);
	cr_assert_null(conf_load("/", NULL, NULL, 0, &case_errors));
	cr_assert(case_said("/: Is a directory"));
	case_expect(case_load_with(nul, sizeof nul - 1, NULL, NULL, 0),
				"b.ini:2: holds a NUL byte");
	memset(large, '\n', 1024 * 1024 + 1);
	cr_assert_null(case_load_with(large, 1024 * 1024 + 1, NULL, NULL, 0));
	cr_assert(case_said("b.ini: larger than 1 MiB"));
	free(large);
}

Test(conf_errors, environment)
{
	static const struct {
		char *variable;
		const char *text, *line;
	} cases[] = {
		{"BULKHEAD_POOL_DEFAULT_POOL_SIZE=x", REQUIRED DSN,
		 "environment: BULKHEAD_POOL_DEFAULT_POOL_SIZE: \"x\" is not a whole number"},
		{"BULKHEAD_LISTEN_TENANT=a\nb", REQUIRED DSN,
		 "environment: BULKHEAD_LISTEN_TENANT: holds a control character"},
		{"BULKHEAD_LISTEN_TENANT=\xff", REQUIRED DSN,
		 "environment: BULKHEAD_LISTEN_TENANT: is not valid UTF-8"},
		{"BULKHEAD_CLUSTER_PASSWORD=", REQUIRED DSN,
		 "environment: BULKHEAD_CLUSTER_PASSWORD: must not be empty"},
		{"BULKHEAD_CLUSTER_PORT=1",
		 "[cluster:a]\ndatabase = b\n[guard]\nkey_file = k\n[control]\n" DSN,
		 "environment: BULKHEAD_CLUSTER_PORT: there is no section [cluster:default] that it "
		 "could "
		 "belong to"},
	};
	char *both[] = {"BULKHEAD_CLUSTER_PASSWORD=x", "BULKHEAD_CLUSTER_PASSWORD_FILE=y", NULL};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char *environment[] = {cases[i].variable, NULL};

		case_expect(case_load_with(cases[i].text, strlen(cases[i].text), environment, NULL, 0),
					cases[i].line);
	}
	case_expect(
		case_load_with(REQUIRED DSN, strlen(REQUIRED DSN), both, NULL, 0),
		"environment: BULKHEAD_CLUSTER_PASSWORD_FILE: is set, and the password itself as well");
}

Test(conf_errors, nothing_but_the_environment)
{
	cr_assert_null(conf_load(NULL, NULL, NULL, 0, &case_errors));
	cr_assert_eq(case_errors.count, 3);
	cr_assert(case_said("environment: BULKHEAD_GUARD_KEY_FILE: must be set"));
	cr_assert(case_said("environment: BULKHEAD_CONTROL_DSN: must be set"));
	cr_assert(case_said("environment: BULKHEAD_CLUSTER_DATABASE: must be set"));
}

Test(conf_errors, flags)
{
	static const struct {
		struct conf_override flag;
		const char *line;
	} cases[] = {
		{{"pools", "x", "1"}, "flags: there is no section [pools]"},
		{{"pool:a", "x", "1"}, "flags: there is no section [pool:a]"},
		{{"listen:a", "listen_port", "1"}, "flags: there is no section [listen:a]"},
		{{"pool", "x", "1"}, "flags: the section [pool] has no setting x"},
		{{"pool", "pool_mode", "x"},
		 "flags: pool.pool_mode: \"x\" is not one of transaction, session"},
		{{"listen", "listen_port", "0"},
		 "flags: listen:default.listen_port: 0 is outside 1 .. 65535"},
		{{"cluster", "password", "hunter2"},
		 "flags: cluster.password: must not stand on a command line; use password_file"},
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		case_expect(case_load_with(REQUIRED DSN, strlen(REQUIRED DSN), NULL, &cases[i].flag, 1),
					cases[i].line);
}
