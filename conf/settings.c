#include "conf/settings.h"

#include <string.h>

#define SECOND           ((int64_t)1000)
#define MINUTE           (60 * SECOND)
#define HOUR             (60 * MINUTE)
#define DAY              (24 * HOUR)
#define KB               ((int64_t)1024)
#define GB               (KB * KB * KB)
#define NAME_MAX_BYTES   63 /* NAMEDATALEN - 1 */
#define PATH_MAX_BYTES   4095
#define SUN_PATH_DIR_MAX 92 /* of 108: a slash, .s.PGSQL.65535 and the NUL go behind it */

static const char *const auth_words[] = {
	[AUTH_SCRAM_SHA_256] = "scram-sha-256", [AUTH_TRUST] = "trust", NULL};
static const char *const unset_words[] = {[UNSET_DENY] = "deny", [UNSET_HOME] = "home", NULL};
static const char *const pool_mode_words[] = {
	[POOL_TRANSACTION] = "transaction", [POOL_SESSION] = "session", NULL};
static const char *const selector_words[] = {[SELECT_FIXED] = "fixed",
											 [SELECT_USER] = "user",
											 [SELECT_DATABASE] = "database",
											 [SELECT_STARTUP] = "startup",
											 NULL};
static const char *const level_words[] = {[LOG_ERROR] = "error",
										  [LOG_WARNING] = "warning",
										  [LOG_INFO] = "info",
										  [LOG_DEBUG] = "debug",
										  NULL};
static const char *const format_words[] = {
	[LOG_FORMAT_AUTO] = "auto", [LOG_FORMAT_TEXT] = "text", [LOG_FORMAT_JSON] = "json", NULL};

const struct conf_section conf_sections[] = {
	{"bulkhead", HOME_CONF, "Limits of the whole process."},
	{"listen", HOME_LISTEN,
	 "Where clients connect, how they prove who they are and how their tenant is found. "
	 "One section per listener."},
	{"cluster", HOME_CLUSTER,
	 "A PostgreSQL server and the login that Bulkhead uses there. One section per server; the "
	 "tenants' records name it."},
	{"pool", HOME_CONF, "Connections to the servers."},
	{"guard", HOME_CONF, "The half of Bulkhead that lives in the database."},
	{"control", HOME_CONF, "The control database: who the tenants and principals are."},
	{"log", HOME_CONF, "Lines on standard error."},
};
const size_t conf_section_count = sizeof conf_sections / sizeof *conf_sections;

#define IN_CONF(member)    .offset = offsetof(struct conf, member)
#define IN_LISTEN(member)  .offset = offsetof(struct conf_listen, member)
#define IN_CLUSTER(member) .offset = offsetof(struct conf_cluster, member)

/* clang-format off */
const struct conf_setting conf_settings[] = {
	{.section = "bulkhead", .key = "max_client_conn", .type = TYPE_INT, IN_CONF(max_client_conn),
	 .min = 1, .max = 1000000, .preset = "1000", .reloadable = true,
	 .doc = "Client connections at one time; more are refused with 53300."},
	{.section = "bulkhead", .key = "reserved_client_conn", .type = TYPE_INT, IN_CONF(reserved_client_conn),
	 .min = 0, .max = 1000000, .preset = "3", .reloadable = true,
	 .doc = "How many of max_client_conn only the principals of admin_users may take."},
	{.section = "bulkhead", .key = "admin_users", .type = TYPE_STRING, IN_CONF(admin_users),
	 .max = 4095, .preset = "", .reloadable = true,
	 .doc = "Principals, separated by commas, that operate Bulkhead: they may use the reserved connections, and all commands of the console (database bulkhead)."},
	{.section = "bulkhead", .key = "stats_users", .type = TYPE_STRING, IN_CONF(stats_users),
	 .max = 4095, .preset = "", .reloadable = true,
	 .doc = "Principals, separated by commas, that may use SHOW on the console and nothing else there."},
	{.section = "bulkhead", .key = "max_tenant_client_connections", .type = TYPE_INT,
	 IN_CONF(max_tenant_client_connections),
	 .min = 0, .max = 1000000, .preset = "0", .reloadable = true,
	 .doc = "Client connections of one tenant at one time; 0 for no limit."},
	{.section = "bulkhead", .key = "max_user_client_connections", .type = TYPE_INT,
	 IN_CONF(max_user_client_connections),
	 .min = 0, .max = 1000000, .preset = "0", .reloadable = true,
	 .doc = "Client connections of one principal at one time; 0 for no limit."},
	{.section = "bulkhead", .key = "max_login_conn", .type = TYPE_INT, IN_CONF(max_login_conn),
	 .min = 1, .max = 1000000, .preset = "200", .reloadable = true,
	 .doc = "Connections that have not logged in yet; when one more comes, the oldest that keeps silent goes."},
	{.section = "bulkhead", .key = "max_packet_size", .type = TYPE_SIZE, IN_CONF(max_packet_size),
	 .min = 16 * KB, .max = GB, .preset = "1GB", .reloadable = true,
	 .doc = "Largest message a client may send, header included."},
	{.section = "bulkhead", .key = "client_login_timeout", .type = TYPE_DURATION, IN_CONF(client_login_timeout_ms),
	 .unit = SECOND, .min = 100, .max = HOUR, .preset = "60s", .reloadable = true,
	 .doc = "Time a client has from connecting to being logged in."},
	{.section = "bulkhead", .key = "login_failure_delay", .type = TYPE_DURATION, IN_CONF(login_failure_delay_ms),
	 .unit = 1, .min = 0, .max = 10 * SECOND, .preset = "100ms", .reloadable = true,
	 .doc = "After a failed login the next one of the same principal from the same address is checked so much later; doubled by each further failure, up to 32 times; 0 for at once."},
	{.section = "bulkhead", .key = "client_idle_timeout", .type = TYPE_DURATION, IN_CONF(client_idle_timeout_ms),
	 .unit = SECOND, .min = 0, .max = 365 * DAY, .preset = "0", .reloadable = true,
	 .doc = "Clients that sent nothing for so long outside a transaction are ended; 0 for never."},
	{.section = "bulkhead", .key = "tcp_keepalive", .type = TYPE_BOOL, IN_CONF(tcp_keepalive),
	 .preset = "yes", .reloadable = true,
	 .doc = "Whether the kernel probes silent TCP connections of clients and servers."},
	{.section = "bulkhead", .key = "tcp_keepidle", .type = TYPE_DURATION, IN_CONF(tcp_keepidle_ms),
	 .unit = SECOND, .min = SECOND, .max = 9 * HOUR, .preset = "60s", .reloadable = true,
	 .doc = "How long a TCP connection is silent before it is probed."},
	{.section = "bulkhead", .key = "tcp_keepintvl", .type = TYPE_DURATION, IN_CONF(tcp_keepintvl_ms),
	 .unit = SECOND, .min = SECOND, .max = 9 * HOUR, .preset = "10s", .reloadable = true,
	 .doc = "Pause between two probes."},
	{.section = "bulkhead", .key = "tcp_keepcnt", .type = TYPE_INT, IN_CONF(tcp_keepcnt),
	 .min = 1, .max = 127, .preset = "6", .reloadable = true,
	 .doc = "Probes without an answer after which the connection is given up."},
	{.section = "bulkhead", .key = "tcp_user_timeout", .type = TYPE_DURATION, IN_CONF(tcp_user_timeout_ms),
	 .unit = 1, .min = 0, .max = HOUR, .preset = "120s", .reloadable = true,
	 .doc = "How long bytes that were sent may stay unacknowledged before the connection is given up; 0 for the system's."},
	{.section = "bulkhead", .key = "file_check_period", .type = TYPE_DURATION, IN_CONF(file_check_period_ms),
	 .unit = SECOND, .min = 0, .max = DAY, .preset = "2s", .reloadable = true,
	 .doc = "How often this file, the key file and the password files are looked at; one that changed is read as on SIGHUP. 0 for never."},

	{.section = "listen", .key = "listen_addr", .type = TYPE_STRING, IN_LISTEN(listen_addr),
	 .max = 4095, .preset = "127.0.0.1",
	 .doc = "Addresses to accept TCP connections on, separated by commas; * for all, empty for none."},
	{.section = "listen", .key = "listen_port", .type = TYPE_INT, IN_LISTEN(listen_port),
	 .min = 1, .max = 65535, .preset = "6432",
	 .doc = "TCP port, and the number in the unix socket's name."},
	{.section = "listen", .key = "unix_socket_dir", .type = TYPE_STRING, IN_LISTEN(unix_socket_dir),
	 .max = SUN_PATH_DIR_MAX, .preset = "",
	 .doc = "Directory for the unix socket .s.PGSQL.PORT, with a leading slash; empty for none."},
	{.section = "listen", .key = "unix_socket_mode", .type = TYPE_MODE, IN_LISTEN(unix_socket_mode),
	 .min = 0, .max = 0777, .preset = "0777", .reloadable = true,
	 .doc = "Permissions of the unix socket, in octal."},
	{.section = "listen", .key = "listen_backlog", .type = TYPE_INT, IN_LISTEN(listen_backlog),
	 .min = 1, .max = 65535, .preset = "128", .reloadable = true,
	 .doc = "Connections the kernel may hold until they are accepted."},
	{.section = "listen", .key = "auth", .type = TYPE_ENUM, IN_LISTEN(auth),
	 .words = auth_words, .preset = "scram-sha-256", .reloadable = true,
	 .doc = "How clients prove who they are; trust, which asks for nothing, needs an empty listen_addr."},
	{.section = "listen", .key = "tenant", .type = TYPE_STRING, IN_LISTEN(tenant),
	 .max = 255, .preset = "", .reloadable = true,
	 .doc = "Id, slug or key of the tenant that all clients of this listener speak for; empty for none."},
	{.section = "listen", .key = "selectors", .type = TYPE_SELECTORS, IN_LISTEN(selectors),
	 .words = selector_words, .preset = "fixed, user, startup", .reloadable = true,
	 .doc = "Where a client's tenant is looked for, in this order; the first that names one wins."},
	{.section = "listen", .key = "user_separator", .type = TYPE_SEPARATOR, IN_LISTEN(user_separator),
	 .preset = ".", .reloadable = true,
	 .doc = "What stands between principal and tenant in the user's name (shop.acme), for the selector user."},
	{.section = "listen", .key = "unset", .type = TYPE_ENUM, IN_LISTEN(unset),
	 .words = unset_words, .preset = "deny", .reloadable = true,
	 .doc = "When no selector names a tenant: deny refuses, home takes the principal's own tenant."},

	{.section = "cluster", .key = "host", .type = TYPE_STRING, IN_CLUSTER(host),
	 .min = 1, .max = 255, .preset = "127.0.0.1",
	 .doc = "Name or address of the server, or the directory of its unix socket."},
	{.section = "cluster", .key = "port", .type = TYPE_INT, IN_CLUSTER(port),
	 .min = 1, .max = 65535, .preset = "5432",
	 .doc = "Port of the server."},
	{.section = "cluster", .key = "database", .type = TYPE_STRING, IN_CLUSTER(database),
	 .min = 1, .max = NAME_MAX_BYTES, .example = "app",
	 .doc = "The database that holds the shared tables, or is one tenant's own."},
	{.section = "cluster", .key = "login", .type = TYPE_STRING, IN_CLUSTER(login),
	 .min = 1, .max = NAME_MAX_BYTES, .preset = "bulkhead_pool",
	 .doc = "The role that Bulkhead logs in as: for all tenants of shared tables, or for the one whose database this is."},
	{.section = "cluster", .key = "tenant", .type = TYPE_STRING, IN_CLUSTER(tenant),
	 .max = 255, .preset = "",
	 .doc = "The tenant, by id, slug or key, whose own database this is (strategy DATABASE_PER_TENANT): nobody else is let in, and it needs no guard. Empty for a database of shared tables."},
	{.section = "cluster", .key = "password_file", .type = TYPE_STRING, IN_CLUSTER(password_file),
	 .max = PATH_MAX_BYTES, .preset = "", .reloadable = true,
	 .doc = "File of mode 0600 with the login's password; empty for none."},
	{.section = "cluster", .key = "password", .type = TYPE_SECRET, IN_CLUSTER(password),
	 .min = 1, .max = 4096, .reloadable = true,
	 .doc = "The login's password itself; in the environment only."},
	{.section = "cluster", .key = "allow_cleartext", .type = TYPE_BOOL, IN_CLUSTER(allow_cleartext),
	 .preset = "no", .reloadable = true,
	 .doc = "Whether the server may ask for the password in clear."},
	{.section = "cluster", .key = "max_server_connections", .type = TYPE_INT, IN_CLUSTER(max_server_connections),
	 .min = 0, .max = 100000, .preset = "0", .reloadable = true,
	 .doc = "Connections to this host and port, counted over all sections that name it, of which the smallest limit holds; 0 for no limit."},

	{.section = "pool", .key = "pool_mode", .type = TYPE_ENUM, IN_CONF(pool_mode),
	 .words = pool_mode_words, .preset = "transaction", .reloadable = true,
	 .doc = "When a server connection goes back to the pool: after each transaction or with the session."},
	{.section = "pool", .key = "discard_plans", .type = TYPE_BOOL, IN_CONF(discard_plans),
	 .preset = "yes", .reloadable = true,
	 .doc = "Forget plans of functions when a backend goes to another tenant; no is faster, and safe where no function is wrongly IMMUTABLE."},
	{.section = "pool", .key = "max_prepared_statements", .type = TYPE_INT, IN_CONF(max_prepared_statements),
	 .min = 1, .max = 10000, .preset = "200", .reloadable = true,
	 .doc = "Prepared statements that are kept on one server connection, under names of Bulkhead's; the least recently used is closed for another."},
	{.section = "pool", .key = "statement_cache_size", .type = TYPE_SIZE, IN_CONF(statement_cache_size),
	 .min = 65536, .max = (int64_t)4 << 30, .preset = "16MB", .reloadable = true,
	 .doc = "Memory for what was found out about texts of SQL that have been read; a text that is not there is read again."},
	{.section = "pool", .key = "max_tenant_statement_size", .type = TYPE_SIZE, IN_CONF(max_tenant_statement_size),
	 .min = 65536, .max = (int64_t)64 << 30, .preset = "256MB", .reloadable = true,
	 .doc = "Texts of the prepared statements with names that all clients of one tenant may have; a text that several share counts for each."},
	{.section = "pool", .key = "default_pool_size", .type = TYPE_INT, IN_CONF(default_pool_size),
	 .min = 1, .max = 10000, .preset = "20", .reloadable = true,
	 .doc = "Server connections per cluster, database and login."},
	{.section = "pool", .key = "min_pool_size", .type = TYPE_INT, IN_CONF(min_pool_size),
	 .min = 0, .max = 10000, .preset = "0", .reloadable = true,
	 .doc = "Server connections that are kept open while there are clients for them."},
	{.section = "pool", .key = "max_tenant_connections", .type = TYPE_INT, IN_CONF(max_tenant_connections),
	 .min = 0, .max = 10000, .preset = "0", .reloadable = true,
	 .doc = "Server connections that one tenant's clients may hold at one time; 0 for no limit."},
	{.section = "pool", .key = "max_tenant_pinned", .type = TYPE_INT, IN_CONF(max_tenant_pinned),
	 .min = 0, .max = 10000, .preset = "0", .reloadable = true,
	 .doc = "Clients of one tenant that may keep their server connections beyond a transaction, for temporary tables, LISTEN and the like; 0 for no limit."},
	{.section = "pool", .key = "query_wait_timeout", .type = TYPE_DURATION, IN_CONF(query_wait_timeout_ms),
	 .unit = SECOND, .min = 0, .max = DAY, .preset = "120s", .reloadable = true,
	 .doc = "How long a client waits for a server connection before it is refused; 0 for ever."},
	{.section = "pool", .key = "query_timeout", .type = TYPE_DURATION, IN_CONF(query_timeout_ms),
	 .unit = SECOND, .min = 0, .max = 365 * DAY, .preset = "0", .reloadable = true,
	 .doc = "Statements that run longer are cancelled (57014), whatever the client set; 0 for no limit."},
	{.section = "pool", .key = "transaction_timeout", .type = TYPE_DURATION, IN_CONF(transaction_timeout_ms),
	 .unit = SECOND, .min = 0, .max = 365 * DAY, .preset = "0", .reloadable = true,
	 .doc = "Clients whose transaction holds a server connection for longer are ended (25P04); 0 for no limit."},
	{.section = "pool", .key = "idle_transaction_timeout", .type = TYPE_DURATION,
	 IN_CONF(idle_transaction_timeout_ms),
	 .unit = SECOND, .min = 0, .max = 365 * DAY, .preset = "0", .reloadable = true,
	 .doc = "Clients that are silent for longer inside a transaction are ended (25P03); 0 for no limit."},
	{.section = "pool", .key = "server_idle_timeout", .type = TYPE_DURATION, IN_CONF(server_idle_timeout_ms),
	 .unit = SECOND, .min = 0, .max = 30 * DAY, .preset = "600s", .reloadable = true,
	 .doc = "Server connections idle for longer are closed; 0 for never."},
	{.section = "pool", .key = "server_lifetime", .type = TYPE_DURATION, IN_CONF(server_lifetime_ms),
	 .unit = SECOND, .min = 0, .max = 365 * DAY, .preset = "3600s", .reloadable = true,
	 .doc = "Server connections older than this are closed once they are idle; 0 for never."},
	{.section = "pool", .key = "server_connect_timeout", .type = TYPE_DURATION, IN_CONF(server_connect_timeout_ms),
	 .unit = SECOND, .min = 100, .max = HOUR, .preset = "15s", .reloadable = true,
	 .doc = "Time for connecting to a server, logging in and the guard's self-check together."},
	{.section = "pool", .key = "server_login_retry", .type = TYPE_DURATION, IN_CONF(server_login_retry_ms),
	 .unit = SECOND, .min = 0, .max = HOUR, .preset = "1s", .reloadable = true,
	 .doc = "Pause after a failed attempt to connect to a server; doubled for each further one, up to eight times."},

	{.section = "guard", .key = "key_file", .type = TYPE_STRING, IN_CONF(guard_key_file),
	 .min = 1, .max = PATH_MAX_BYTES, .example = "/etc/bulkhead/guard.key", .reloadable = true,
	 .doc = "File of mode 0600 with the keys that hand-overs are signed with, as bulkhead init writes it."},
	{.section = "guard", .key = "token_lifetime", .type = TYPE_DURATION, IN_CONF(guard_token_lifetime_ms),
	 .unit = SECOND, .min = SECOND, .max = MINUTE, .preset = "10s", .reloadable = true,
	 .doc = "How long a signed hand-over may be used."},

	{.section = "control", .key = "dsn", .type = TYPE_STRING, IN_CONF(control_dsn),
	 .min = 1, .max = 4096, .example = "host=127.0.0.1 dbname=app user=bulkhead_sidecar", .reloadable = true,
	 .doc = "libpq connection string of the control database, without a password."},
	{.section = "control", .key = "password_file", .type = TYPE_STRING, IN_CONF(control_password_file),
	 .max = PATH_MAX_BYTES, .preset = "", .reloadable = true,
	 .doc = "File of mode 0600 with the password for the control database; empty for none."},
	{.section = "control", .key = "password", .type = TYPE_SECRET, IN_CONF(control_password),
	 .min = 1, .max = 4096, .reloadable = true,
	 .doc = "The password for the control database itself; in the environment only."},
	{.section = "control", .key = "directory_ttl", .type = TYPE_DURATION, IN_CONF(directory_ttl_ms),
	 .unit = SECOND, .min = 0, .max = DAY, .preset = "5s", .reloadable = true,
	 .doc = "How old a remembered tenant or principal may be before the control database is asked again."},
	{.section = "control", .key = "directory_timeout", .type = TYPE_DURATION, IN_CONF(directory_timeout_ms),
	 .unit = SECOND, .min = 100, .max = HOUR, .preset = "5s", .reloadable = true,
	 .doc = "How long one look-up in the control database may take."},
	{.section = "control", .key = "directory_cache_size", .type = TYPE_INT, IN_CONF(directory_cache_size),
	 .min = 1, .max = 10000000, .preset = "10000", .reloadable = true,
	 .doc = "Tenants, and as many principals, that are remembered."},

	{.section = "control", .key = "directory_max_stale", .type = TYPE_DURATION, IN_CONF(directory_max_stale_ms),
	 .unit = SECOND, .min = 0, .max = 365 * DAY, .preset = "0", .reloadable = true,
	 .doc = "How long what is known serves new connections while the control database is away; 0 for ever."},
	{.section = "control", .key = "snapshot_file", .type = TYPE_STRING, IN_CONF(directory_snapshot_file),
	 .max = PATH_MAX_BYTES, .preset = "", .reloadable = true,
	 .doc = "Where what is known is kept for a start without the control database; empty for nowhere."},

	{.section = "log", .key = "level", .type = TYPE_ENUM, IN_CONF(log_level),
	 .words = level_words, .preset = "info", .reloadable = true,
	 .doc = "The least important lines that are written."},
	{.section = "log", .key = "format", .type = TYPE_ENUM, IN_CONF(log_format),
	 .words = format_words, .preset = "auto", .reloadable = true,
	 .doc = "text for people, json for machines; auto is text on a terminal and json elsewhere."},
	{.section = "log", .key = "stats_period", .type = TYPE_DURATION, IN_CONF(stats_period_ms),
	 .unit = SECOND, .min = 0, .max = DAY, .preset = "60s", .reloadable = true,
	 .doc = "How often each pool that was used writes a line with its counts and waiting times; 0 for never."},
};
/* clang-format on */
const size_t conf_setting_count = sizeof conf_settings / sizeof *conf_settings;

const struct conf_section *conf_find_section(const char *name)
{
	for (size_t i = 0; i < conf_section_count; i++) {
		if (strcmp(conf_sections[i].name, name) == 0)
			return &conf_sections[i];
	}
	return NULL;
}

const struct conf_setting *conf_find_setting(const char *section, const char *key)
{
	for (size_t i = 0; i < conf_setting_count; i++) {
		const struct conf_setting *setting = &conf_settings[i];

		if (strcmp(setting->section, section) == 0 && strcmp(setting->key, key) == 0)
			return setting;
	}
	return NULL;
}
