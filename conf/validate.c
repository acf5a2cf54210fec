/* What must be set, what must fit together, and the password files. */
#include <stdlib.h>
#include <string.h>

#include <libpq-fe.h>

#include "base/secret.h"
#include "conf/hosts.h"
#include "conf/settings.h"

/* ---- secrets ---- */

static struct conf_place place_of(const struct conf *conf, const char *section, const char *key,
								  const char *name, const struct conf_origin *origins)
{
	return conf_place_of(conf, conf_find_setting(section, key), name, origins);
}

/* Puts the file's content where the setting `password` of this structure is kept. */
static void read_password(const struct conf_place *file, const char *path,
						  const struct conf_setting *password, void *home,
						  struct conf_errors *errors)
{
	const char *why = NULL;
	char *content = secret_read_file(path, (size_t)password->max + 2, &why);
	struct buf reason;

	if (!content) {
		conf_error_at(errors, file, "%s: %s", path, why);
		return;
	}
	buf_init(&reason);
	if (!conf_value_read(password, content, home, &reason))
		conf_error_at(errors, file, "%s: %.*s", path, (int)buf_len(&reason),
					  (const char *)buf_data(&reason));
	buf_fini(&reason);
	secret_free(content);
}

/* A secret and the file that it may stand in, of one section. */
struct secret_of {
	const char *section, *name;
	const char *key, *file_key;
	const char *path, *set;
};

/*
 * The secret in the environment wins over a file that the settings' file names and loses to one
 * given by a flag; both in the environment are one too many.
 */
static void read_secret(const struct conf *conf, const struct secret_of *secret, void *home,
						struct conf_origin *origins, struct conf_errors *errors)
{
	const struct conf_setting *password = conf_find_setting(secret->section, secret->key);
	struct conf_place file =
		place_of(conf, secret->section, secret->file_key, secret->name, origins);
	const char *path = secret->path, *set = secret->set;
	struct conf_origin *origin = &origins[conf_setting_index(password)];

	if (!path || !*path)
		return;
	if (set && file.origin.source == FROM_ENVIRONMENT) {
		conf_error_at(errors, &file, "is set, and the %s itself as well", secret->key);
		return;
	}
	if (set && file.origin.source < FROM_ENVIRONMENT)
		return;
	*origin = file.origin;
	read_password(&file, path, password, home, errors);
}

void conf_read_secrets(struct conf *conf, struct conf_errors *errors)
{
	for (size_t i = 0; i < conf->cluster_count; i++) {
		struct conf_cluster *cluster = &conf->clusters[i];

		const struct secret_of secrets[] = {
			{"cluster", cluster->name, "password", "password_file", cluster->password_file,
			 cluster->password},
			{"cluster", cluster->name, "secret", "secret_file", cluster->secret_file,
			 cluster->secret},
			{"cluster", cluster->name, "admin_password", "admin_password_file",
			 cluster->admin_password_file, cluster->admin_password},
		};

		for (size_t j = 0; j < sizeof secrets / sizeof *secrets; j++)
			read_secret(conf, &secrets[j], cluster, cluster->origins, errors);
	}
	const struct secret_of control[] = {
		{"control", NULL, "password", "password_file", conf->control_password_file,
		 conf->control_password},
		{"control", NULL, "admin_password", "admin_password_file",
		 conf->control_admin_password_file, conf->control_admin_password},
	};

	for (size_t i = 0; i < sizeof control / sizeof *control; i++)
		read_secret(conf, &control[i], conf, conf->origins, errors);
}

/* ---- what must be set ---- */

static void require_all(const struct conf *conf, enum conf_home kind, const char *name,
						const struct conf_origin *origins, struct conf_errors *errors)
{
	for (size_t i = 0; i < conf_setting_count; i++) {
		const struct conf_setting *setting = &conf_settings[i];

		/* Anything but a default was given, and if it was no good, then that was said. */
		if (conf_find_section(setting->section)->home != kind || setting->preset ||
			setting->type == TYPE_SECRET || origins[i].source != FROM_DEFAULT)
			continue;

		struct conf_place place = conf_place_of(conf, setting, name, origins);
		conf_error_at(errors, &place, "must be set");
	}
}

/* ---- listeners ---- */

static bool has_empty_element(const char *list)
{
	for (;;) {
		size_t len = strcspn(list, ",");

		if (strspn(list, " \t") >= len)
			return true;
		list += len;
		if (!*list)
			return false;
		list++;
	}
}

static bool has_selector(const struct conf_listen *listen, enum conf_selector selector)
{
	for (size_t i = 0; i < listen->selector_count; i++) {
		if (listen->selectors[i] == selector)
			return true;
	}
	return false;
}

static void check_listen(const struct conf *conf, const struct conf_listen *listen,
						 struct conf_errors *errors)
{
	struct conf_place place =
		place_of(conf, "listen", "listen_addr", listen->name, listen->origins);

	if (*listen->listen_addr && has_empty_element(listen->listen_addr))
		conf_error_at(errors, &place, "an address between the commas is missing");
	if (!*listen->listen_addr && !*listen->unix_socket_dir)
		conf_error_at(errors, &place,
					  "is empty, and so is unix_socket_dir: nobody could connect");
	if (*listen->unix_socket_dir && *listen->unix_socket_dir != '/') {
		place = place_of(conf, "listen", "unix_socket_dir", listen->name, listen->origins);
		conf_error_at(errors, &place, "\"%s\" does not start with /", listen->unix_socket_dir);
	}
	if (listen->auth == AUTH_TRUST && *listen->listen_addr) {
		place = place_of(conf, "listen", "auth", listen->name, listen->origins);
		conf_error_at(errors, &place,
					  "trust is for unix sockets only: listen_addr must be empty");
	}
	if (*listen->tenant && !has_selector(listen, SELECT_FIXED)) {
		place = place_of(conf, "listen", "tenant", listen->name, listen->origins);
		conf_error_at(errors, &place, "has no effect, since selectors does not name fixed");
	}
}

/* What is given where nothing reads it, and what is missing where it is needed. */
static void check_client_tls(const struct conf *conf, const struct conf_listen *listen,
							 struct conf_errors *errors)
{
	bool verifies = listen->tls_mode >= SSLMODE_VERIFY_CA;
	struct conf_place place =
		place_of(conf, "listen", "client_tls_sslmode", listen->name, listen->origins);

	if (listen->tls_mode != SSLMODE_DISABLE &&
		(!*listen->tls_cert_file || !*listen->tls_key_file))
		conf_error_at(errors, &place, "needs client_tls_cert_file and client_tls_key_file");
	if (verifies && !*listen->tls_ca_file)
		conf_error_at(errors, &place, "needs client_tls_ca_file");
	if (*listen->tls_crl_file && !*listen->tls_ca_file) {
		place = place_of(conf, "listen", "client_tls_crl_file", listen->name, listen->origins);
		conf_error_at(errors, &place, "needs client_tls_ca_file");
	}
	if (listen->auth == AUTH_CERT &&
		(listen->tls_mode != SSLMODE_VERIFY_FULL || *listen->unix_socket_dir)) {
		place = place_of(conf, "listen", "auth", listen->name, listen->origins);
		conf_error_at(
			errors, &place,
			"cert needs client_tls_sslmode = verify-full, and an empty unix_socket_dir");
	}
	if (*listen->tls_sni_suffix == '.') {
		place =
			place_of(conf, "listen", "client_tls_sni_suffix", listen->name, listen->origins);
		conf_error_at(errors, &place, "starts with a dot");
	} else if (*listen->tls_sni_suffix && !has_selector(listen, SELECT_TLS)) {
		place =
			place_of(conf, "listen", "client_tls_sni_suffix", listen->name, listen->origins);
		conf_error_at(errors, &place, "has no effect, since selectors does not name tls");
	}
	if (has_selector(listen, SELECT_TLS) &&
		(!*listen->tls_sni_suffix || listen->tls_mode == SSLMODE_DISABLE)) {
		place = place_of(conf, "listen", "selectors", listen->name, listen->origins);
		conf_error_at(errors, &place,
					  "tls needs client_tls_sni_suffix, and client_tls_sslmode");
	}
}

/* ---- servers ---- */

static void check_server_tls(const struct conf *conf, const struct conf_cluster *cluster,
							 struct conf_errors *errors)
{
	struct conf_place place =
		place_of(conf, "cluster", "server_tls_sslmode", cluster->name, cluster->origins);

	if (cluster->tls_mode >= SSLMODE_VERIFY_CA && !*cluster->tls_ca_file)
		conf_error_at(errors, &place, "needs server_tls_ca_file");
	if (*cluster->tls_crl_file && !*cluster->tls_ca_file) {
		place =
			place_of(conf, "cluster", "server_tls_crl_file", cluster->name, cluster->origins);
		conf_error_at(errors, &place, "needs server_tls_ca_file");
	}
	if (!*cluster->tls_cert_file != !*cluster->tls_key_file) {
		place =
			place_of(conf, "cluster", "server_tls_cert_file", cluster->name, cluster->origins);
		conf_error_at(errors, &place, "goes together with server_tls_key_file");
	}
}

static void check_hosts(const struct conf *conf, const struct conf_cluster *cluster,
						struct conf_errors *errors)
{
	struct conf_hosts hosts;
	enum conf_hosts_fault fault = conf_hosts_read(cluster->host, cluster->port, &hosts);
	struct conf_place place = place_of(conf, "cluster", fault >= HOSTS_PORT ? "port" : "host",
									   cluster->name, cluster->origins);

	conf_hosts_fini(&hosts);
	if (fault)
		conf_error_at(errors, &place, "%s", conf_hosts_complaint(fault));
}

static void check_cluster(const struct conf *conf, const struct conf_cluster *cluster,
						  struct conf_errors *errors)
{
	struct conf_place place;

	check_hosts(conf, cluster, errors);
	if (cluster->database && strcmp(cluster->database, CONF_CONSOLE_DATABASE) == 0) {
		place = place_of(conf, "cluster", "database", cluster->name, cluster->origins);
		conf_error_at(errors, &place, "\"%s\" is the name of Bulkhead's own console",
					  CONF_CONSOLE_DATABASE);
	}
	check_server_tls(conf, cluster, errors);
}

/* libpq's own words are not passed on: they can quote a piece of a password. */
static void check_dsn(const struct conf *conf, const char *key, const char *file_key,
					  const char *dsn, struct conf_errors *errors)
{
	struct conf_place place = place_of(conf, "control", key, NULL, conf->origins);
	PQconninfoOption *options;
	char *message = NULL;

	if (!dsn || !*dsn)
		return;
	options = PQconninfoParse(dsn, &message);
	if (!options)
		conf_error_at(errors, &place, "is not a connection string as libpq reads them");
	for (PQconninfoOption *option = options; option && option->keyword; option++) {
		bool secret = strcmp(option->keyword, "password") == 0 ||
					  strcmp(option->keyword, "sslpassword") == 0;

		if (secret && option->val)
			conf_error_at(errors, &place,
						  "must not hold a %s; use %s or passfile=", option->keyword, file_key);
		if (option->val && secret)
			secret_wipe(option->val, strlen(option->val));
	}
	PQconninfoFree(options);
	if (message)
		secret_wipe(message, strlen(message));
	PQfreemem(message);
}

static void check_reserve(const struct conf *conf, struct conf_errors *errors)
{
	struct conf_place place =
		place_of(conf, "bulkhead", "reserved_client_conn", NULL, conf->origins);

	if (conf->reserved_client_conn < conf->max_client_conn)
		return;
	/* Nobody chose the default: with a small max_client_conn it just reserves nothing. */
	if (place.origin.source != FROM_DEFAULT)
		conf_error_at(errors, &place, "leaves nothing of max_client_conn to anybody else");
}

static void check_drain(const struct conf *conf, struct conf_errors *errors)
{
	struct conf_place place = place_of(conf, "bulkhead", "drain_delay", NULL, conf->origins);

	if (conf->drain_delay_ms && conf->drain_delay_ms >= conf->drain_timeout_ms)
		conf_error_at(errors, &place, "leaves nothing of drain_timeout to transactions");
}

static bool is_loopback(const char *address)
{
	return strcmp(address, "localhost") == 0 || strcmp(address, "::1") == 0 ||
		   strncmp(address, "127.", 4) == 0;
}

/* API keys would be read on the way. */
static void check_admin(const struct conf *conf, struct conf_errors *errors)
{
	struct conf_place place = place_of(conf, "admin", "tls_cert_file", NULL, conf->origins);
	char *addresses = strdup(conf->admin_listen_addr), *rest = addresses;

	if (!*conf->admin_tls_cert_file != !*conf->admin_tls_key_file)
		conf_error_at(errors, &place, "goes together with tls_key_file");
	if (*conf->admin_tls_client_ca_file && !*conf->admin_tls_cert_file)
		conf_error_at(errors, &place, "is missing for tls_client_ca_file");
	if (*conf->admin_pepper_file && !*conf->control_admin_dsn) {
		place = place_of(conf, "admin", "pepper_file", NULL, conf->origins);
		conf_error_at(errors, &place, "is for an admin API, which needs control.admin_dsn");
	}
	place = place_of(conf, "admin", "listen_addr", NULL, conf->origins);
	for (char *address; addresses && (address = strsep(&rest, ", ")) != NULL;) {
		if (*address && *conf->admin_pepper_file && !is_loopback(address) &&
			!*conf->admin_tls_cert_file && !conf->admin_plaintext)
			conf_error_at(errors, &place,
						  "%s is not loopback: set tls_cert_file and tls_key_file, or "
						  "plaintext where something in front speaks TLS",
						  address);
	}
	free(addresses);
}

void conf_validate(const struct conf *conf, struct conf_errors *errors)
{
	require_all(conf, HOME_CONF, NULL, conf->origins, errors);
	for (size_t i = 0; i < conf->listen_count; i++) {
		check_listen(conf, &conf->listens[i], errors);
		check_client_tls(conf, &conf->listens[i], errors);
	}
	for (size_t i = 0; i < conf->cluster_count; i++) {
		const struct conf_cluster *cluster = &conf->clusters[i];

		require_all(conf, HOME_CLUSTER, cluster->name, cluster->origins, errors);
		check_cluster(conf, cluster, errors);
	}
	check_reserve(conf, errors);
	check_drain(conf, errors);
	check_admin(conf, errors);
	check_dsn(conf, "dsn", "password_file", conf->control_dsn, errors);
	check_dsn(conf, "admin_dsn", "admin_password_file", conf->control_admin_dsn, errors);
}
