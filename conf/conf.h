/*
 * conf.h: what an operator may set.
 *
 * Settings come from the INI file, the environment over it (BULKHEAD_SECTION_KEY), flags over
 * that. Every setting is one row of the table in conf/settings.c: section, name, type, unit,
 * bounds, default, whether a reload can change it, and one line of documentation. The reader,
 * `--dump-config`, the commented sample file and docs/configuration.md are all made from that
 * table.
 *
 * A struct conf is read-only once loaded and shared by all threads. A reload makes another one
 * (conf_merge), which each thread takes in the place of the old.
 */
#ifndef CONF_CONF_H
#define CONF_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/log.h"

enum conf_gate_mode { GATE_MODE_ENFORCE, GATE_MODE_OBSERVE, GATE_MODE_OFF };
enum conf_pool_mode { POOL_TRANSACTION, POOL_SESSION };
enum conf_auth { AUTH_SCRAM_SHA_256, AUTH_TRUST, AUTH_CERT };
enum conf_unset { UNSET_DENY, UNSET_HOME };
enum conf_selector { SELECT_FIXED, SELECT_USER, SELECT_DATABASE, SELECT_STARTUP, SELECT_TLS };

/* By what the guard of shared tables knows whose statement it is: the seal that Bulkhead puts
 * on a connection, or the tenant's own login. */
enum conf_guard_kind { GUARD_SEALED, GUARD_LOGIN };

/* libpq's sslmode, in the order of what they ask for. */
enum conf_sslmode {
	SSLMODE_DISABLE,
	SSLMODE_ALLOW,
	SSLMODE_PREFER,
	SSLMODE_REQUIRE,
	SSLMODE_VERIFY_CA,
	SSLMODE_VERIFY_FULL,
};
enum conf_tls_version { TLS_1_2, TLS_1_3 };

/* libpq's target_session_attrs. */
enum conf_target {
	TARGET_ANY,
	TARGET_READ_WRITE,
	TARGET_READ_ONLY,
	TARGET_PRIMARY,
	TARGET_STANDBY,
	TARGET_PREFER_STANDBY,
};

#define CONF_SELECTORS_MAX 8

/* [listen:NAME] */
struct conf_listen {
	char *name;
	char *listen_addr; /* comma-separated addresses; "" for none, "*" for all */
	int listen_port;
	char *unix_socket_dir; /* "" for none; the socket is DIR/.s.PGSQL.PORT */
	int unix_socket_mode;  /* permission bits, written in octal */
	int listen_backlog;
	enum conf_auth auth; /* AUTH_TRUST is refused unless listen_addr is "" */
	enum conf_sslmode tls_mode;
	char *tls_cert_file, *tls_key_file; /* "" only with SSLMODE_DISABLE */
	char *tls_ca_file, *tls_crl_file;   /* for clients' certificates; "" when not set */
	char *tls_sni_suffix;               /* for the selector `tls`; "" when not set */
	char *tenant;                       /* for the selector `fixed`; "" when not set */
	enum conf_selector selectors[CONF_SELECTORS_MAX];
	size_t selector_count;
	char *user_separator; /* for the selector `user`: one character */
	enum conf_unset unset;
	struct conf_origin *origins; /* private to conf/: where each value came from */
};

/* [cluster:NAME]: a database of a PostgreSQL server, and the login that the backends there use:
 * of all tenants in shared tables, or of the one tenant whose database it is. */
struct conf_cluster {
	char *name;
	char *host, *port; /* lists between commas, as libpq takes them: conf/hosts.h */
	enum conf_target target;
	char *database;
	char *login;
	char *tenant;        /* whose database it is: id, slug or key; "": shared tables */
	char *password_file; /* "" when not set */
	char *password;      /* secret; NULL when none is set */
	char *secret_file;   /* "" when not set */
	char *secret; /* secret: a key file's text, of which the passwords of tenants' own logins
				   * are derived; NULL when none is set */
	enum conf_guard_kind guard;
	/* Who makes what tenants have of their own; "" for nobody. */
	char *admin_login, *admin_password_file;
	char *admin_password;                      /* secret; NULL when none is set */
	char *template_schema, *template_database; /* "" when not set */
	char *shared_schemas;                      /* comma-separated; "" for none */
	char *table_owner;    /* as whom shared tables are migrated; "": they are not */
	bool allow_cleartext; /* may the server ask for the password in clear */
	enum conf_sslmode tls_mode;
	char *tls_ca_file, *tls_crl_file;   /* "" when not set */
	char *tls_cert_file, *tls_key_file; /* Bulkhead's own; "" when not set */
	int max_server_connections; /* to these hosts, over all sections of the same; 0: no limit */
	struct conf_origin *origins; /* private to conf/ */
};

struct conf {
	/* [bulkhead] */
	int workers;     /* threads that serve clients */
	char *regions;   /* words: tenants of other regions are refused; "": none are */
	bool reuse_port; /* may another process listen where this one does */
	int max_client_conn;
	int reserved_client_conn;          /* of max_client_conn: for admin_users only */
	char *admin_users;                 /* comma-separated names of principals; "" for none */
	char *stats_users;                 /* the same */
	int max_tenant_client_connections; /* 0: no limit */
	int max_user_client_connections;   /* of one principal; 0: no limit */
	int max_login_conn;                /* connections that have not logged in yet */
	int64_t max_packet_size;           /* bytes of one client message, header included */
	int64_t client_login_timeout_ms;
	int64_t login_failure_delay_ms; /* 0: none */
	int64_t client_idle_timeout_ms; /* 0: never */
	bool tcp_keepalive;
	int tcp_keepcnt;
	int64_t tcp_keepidle_ms, tcp_keepintvl_ms; /* rounded up to seconds */
	int64_t tcp_user_timeout_ms;               /* 0: the system's */
	int64_t file_check_period_ms;              /* 0: never */
	int64_t drain_delay_ms, drain_timeout_ms;  /* both from the signal on */

	/* [pool] */
	enum conf_pool_mode pool_mode;
	bool discard_plans;
	int max_prepared_statements;       /* Bulkhead's on one backend */
	int64_t statement_cache_size;      /* bytes of verdicts on texts, of one worker */
	int64_t max_tenant_statement_size; /* bytes of its clients' prepared statements, of one
										  worker */
	int default_pool_size;             /* backends per route */
	int min_pool_size;                 /* kept open while the route has clients */
	int max_tenant_connections;        /* backends one tenant may hold at a time; 0: no limit */
	int max_tenant_pinned;             /* its clients that may keep theirs; 0: no limit */
	int64_t query_wait_timeout_ms;     /* 0: wait for ever */
	int64_t query_timeout_ms;          /* 0: no limit */
	int64_t transaction_timeout_ms;    /* 0: no limit */
	int64_t idle_transaction_timeout_ms; /* 0: no limit */
	int64_t server_idle_timeout_ms;      /* 0: never */
	int64_t server_lifetime_ms;          /* 0: for ever */
	int64_t server_connect_timeout_ms;   /* connect, authentication and self-check together */
	int64_t server_login_retry_ms;       /* first pause after a failed connection attempt */
	int64_t failover_timeout_ms;         /* where there are several hosts; 0: none */
	int64_t dns_max_ttl_ms;              /* how often names are resolved again */

	/* [gate]; lists are words between commas or blanks */
	enum conf_gate_mode gate_mode;
	char *gate_exceptions; /* rules that are not in force */
	char *gate_schemas;    /* empty: any but those of others */
	char *gate_protected_settings;
	bool gate_scrub_errors;

	/* [guard] */
	char *guard_key_file;
	int64_t guard_token_lifetime_ms;

	/* [control] */
	char *control_dsn;           /* libpq conninfo, without the password */
	char *control_password_file; /* "" when not set */
	char *control_password;      /* secret; NULL when none */
	char *control_admin_dsn, *control_admin_password_file; /* "" when not set */
	char *control_admin_password;                          /* secret; NULL when none */
	bool audit_sessions, audit_refusals;
	int64_t job_lease_ms;
	int64_t directory_ttl_ms;     /* how old a cached answer may be before it is asked again */
	int64_t directory_timeout_ms; /* how long one look-up may take */
	int directory_cache_size;     /* entries of each kind */
	int64_t directory_max_stale_ms; /* 0: no limit */
	char *directory_snapshot_file;  /* empty: none */

	/* [tls] */
	enum conf_tls_version tls_min_protocol;
	char *tls_ciphers, *tls_ciphersuites; /* of 1.2, and of 1.3 */

	/* [admin] */
	char *admin_listen_addr; /* comma-separated; "" for none */
	int admin_listen_port;
	char *admin_unix_socket; /* path; "" for none */
	int admin_unix_socket_mode;
	char *admin_tls_cert_file, *admin_tls_key_file, *admin_tls_client_ca_file; /* or "" */
	bool admin_plaintext;
	char *admin_pepper_file;     /* "": there is no API */
	char *admin_master_key_file; /* "" when not set */
	int admin_connections, admin_max_clients;
	int64_t admin_request_timeout_ms;
	int admin_rate_limit, admin_failure_limit; /* a second, a minute; 0: none */
	int64_t admin_audit_retention_ms;          /* 0: for ever */
	int admin_event_streams;

	/* [probes] */
	char *probes_listen_addr; /* comma-separated; "" for none */
	int probes_listen_port;
	char *probes_unix_socket; /* path; "" for none */
	int64_t liveness_timeout_ms;
	bool metrics;
	int metrics_tenants; /* 0: none */

	/* [log] */
	enum log_level log_level;
	enum log_format log_format;
	bool log_connections, log_disconnections;
	int log_sample;          /* percent of the sessions that these two are for */
	int64_t stats_period_ms; /* 0: never */

	struct conf_listen *listens;
	size_t listen_count;
	struct conf_cluster *clusters;
	size_t cluster_count;

	char *path;                  /* the file all this was loaded from; NULL for none */
	struct conf_origin *origins; /* private to conf/ */
};

/*
 * Collects what is wrong; conf_load goes on after an error so that one run shows all. Starts
 * zeroed, and is given to conf_errors_fini whatever the outcome. No line ever holds a secret.
 */
struct conf_errors {
	char **lines; /* "file:line: message"; "environment: …" and "flags: …" where there is no
					 line */
	size_t count;
	bool out_of_memory; /* a line is missing for want of memory */
};

void conf_errors_fini(struct conf_errors *errors);

/*
 * One NAME=VALUE flag, as in `--set pool.default_pool_size=5`. The section is written as in the
 * file; `listen` and `cluster` alone stand for their `default`.
 */
struct conf_override {
	const char *section, *key, *value;
};

/*
 * Loads the file (NULL: no file, defaults and environment only), the environment and the
 * overrides, in that order, and checks the whole; password files are read. `environment` is a
 * NULL-terminated array as environ is. Without any section of its kind there is one listener
 * and one cluster named `default`. Returns a new conf, or NULL with at least one line in
 * *errors (none only when memory is out). Warnings (unknown BULKHEAD_* variables) are logged.
 */
struct conf *conf_load(const char *path, char *const *environment,
					   const struct conf_override *overrides, size_t override_count,
					   struct conf_errors *errors);

/*
 * The same for who wants to look further where something is wrong: the conf is returned beside
 * the errors, unless the file cannot be read or memory is out. It is not fit to serve with, and
 * of its strings those that must be set and are not are NULL.
 */
struct conf *conf_load_faulty(const char *path, char *const *environment,
							  const struct conf_override *overrides, size_t override_count,
							  struct conf_errors *errors);

/* Frees a conf; secrets are wiped first. NULL is fine. */
void conf_destroy(struct conf *conf);

/*
 * What a reload found changed: names as `pool.default_pool_size` and
 * `cluster:default.password`, or `cluster:annex` for a whole section, separated by ", ". Never
 * a value.
 */
struct conf_changes {
	struct buf taken;    /* in force with the merged conf */
	struct buf deferred; /* need a restart */
};

void conf_changes_init(struct conf_changes *changes);
void conf_changes_fini(struct conf_changes *changes);

/*
 * Makes of `fresh`, which was just loaded, the settings that may follow on those of `running`:
 * the same listeners and clusters in the same order, so that whoever knows one by its number
 * finds it again. Settings of sections without a name are as in the file, or, where they need a
 * restart, as they run. A section with a name is taken as a whole, or, when one of its changes
 * needs a restart, as a whole not at all: a new password belongs to the new host beside it.
 * `changes` is appended to. False when memory
 * is out; `fresh` is then good for conf_destroy only.
 */
bool conf_merge(struct conf *fresh, const struct conf *running, struct conf_changes *changes);

/*
 * Writes the effective settings in INI form, each with a comment that says where it came from.
 * Secrets appear as "(set)" in a comment or not at all; but for them, conf_load reads the same
 * settings back.
 */
void conf_dump(const struct conf *conf, FILE *out);

/*
 * Prints one line about a setting of a section without a name, in the form of conf_load's
 * errors: for what is found wrong with it only after loading, such as a key file's content.
 */
void conf_complain(FILE *out, const struct conf *conf, const char *section, const char *key,
				   const char *format, ...) __attribute__((format(printf, 5, 6)));

/* The same about a setting of a listener, and of a cluster. */
void conf_complain_listen(FILE *out, const struct conf *conf, const struct conf_listen *listen,
						  const char *key, const char *format, ...)
	__attribute__((format(printf, 5, 6)));
void conf_complain_cluster(FILE *out, const struct conf *conf,
						   const struct conf_cluster *cluster, const char *key,
						   const char *format, ...) __attribute__((format(printf, 5, 6)));
/* Can the metrics be asked for? */
bool conf_has_metrics(const struct conf *conf);

/* Is the principal one of admin_users? */
bool conf_is_admin(const struct conf *conf, const char *principal);

/* May tenants of this region (NULL: of none) be served under [bulkhead] regions? */
bool conf_serves_region(const struct conf *conf, const char *region);

/* Is the principal one of stats_users? */
bool conf_is_watcher(const struct conf *conf, const char *principal);

/* The name of the database that is Bulkhead's own console; no cluster's may be called so. */
#define CONF_CONSOLE_DATABASE "bulkhead"

/*
 * Visits the settings in force one by one: key as `pool.default_pool_size` or
 * `cluster:default.host`, both texts as the file would have them; of a secret nothing but
 * "(set)" or "". `preset` is NULL where there is no default. False when memory is out, or the
 * visit says so.
 */
typedef bool (*conf_visitor)(void *arg, const char *key, const char *value, const char *preset,
							 bool reloadable);
bool conf_each(const struct conf *conf, conf_visitor visit, void *arg);

/* Reads a time as settings have it (500ms, 2min; a bare number counts seconds); false, with *ms
 * untouched, when it is none. */
bool conf_read_time(const char *text, int64_t *ms);

/* The cluster of that name, or NULL. */
const struct conf_cluster *conf_find_cluster(const struct conf *conf, const char *name);

/* Writes the commented sample file, and the Markdown of docs/configuration.md. */
void conf_write_sample(FILE *out);
void conf_write_docs(FILE *out);

#endif
