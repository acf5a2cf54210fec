/*
 * reason.h: why Bulkhead refused, ended or broke something.
 *
 * One table for proxy, policy and documentation. A client sees the code in the DETAIL of the
 * error, as `reason=BH-…`; codes are stable and never reused. SQLSTATEs are PostgreSQL's
 * (Appendix A of its documentation).
 */
#ifndef POLICY_REASON_H
#define POLICY_REASON_H

/*        name                      code                     SQLSTATE  message */
#define REASONS(X)                                                                             \
	X(REASON_PASSWORD, "BH-ID-PASSWORD", "28P01", "password authentication failed")            \
	X(REASON_NO_TENANT, "BH-ID-NO-TENANT", "28000",                                            \
	  "no tenant was chosen for this connection")                                              \
	X(REASON_UNKNOWN_TENANT, "BH-ID-UNKNOWN-TENANT", "3D000", "there is no such tenant")       \
	X(REASON_REACH, "BH-ID-REACH", "28000", "the tenant is outside the reach of this login")   \
	X(REASON_INACTIVE, "BH-ID-INACTIVE", "28000", "the tenant is not active")                  \
	X(REASON_SUSPENDED, "BH-ID-SUSPENDED", "57P01",                                            \
	  "terminating connection because its tenant is no longer active")                         \
	X(REASON_MOVED, "BH-ID-MOVED", "57P01",                                                    \
	  "terminating connection because its tenant has moved; connect again")                    \
	X(REASON_REACH_LOST, "BH-ID-REACH-LOST", "57P01",                                          \
	  "terminating connection because its tenant is no longer within the reach of this login") \
	X(REASON_REVOKED, "BH-ID-REVOKED", "57P01",                                                \
	  "terminating connection because this login was disabled or its password changed")        \
	X(REASON_CONFLICT, "BH-ID-CONFLICT", "42501",                                              \
	  "this connection is bound to another tenant")                                            \
	X(REASON_DATABASE, "BH-ID-DATABASE", "3D000", "there is no such database")                 \
	X(REASON_STRATEGY, "BH-ID-STRATEGY", "0A000",                                              \
	  "the tenant's isolation strategy does not fit its cluster")                              \
	X(REASON_REGION, "BH-ID-REGION", "28000",                                                  \
	  "the tenant's data may not be reached from this region")                                 \
	X(REASON_CONTROL_DOWN, "BH-ID-CONTROL-DOWN", "57P03",                                      \
	  "the tenant directory cannot be reached and does not know this name")                    \
	X(REASON_KEY, "BH-ID-KEY", "28000", "this Bulkhead holds the key of another tenant only")  \
	X(REASON_CONSOLE, "BH-ID-CONSOLE", "42501",                                                \
	  "the console is for the principals of admin_users and stats_users")                      \
	X(REASON_CONSOLE_ADMIN, "BH-PERM-CONSOLE", "42501",                                        \
	  "this command of the console is for the principals of admin_users")                      \
	X(REASON_CONSOLE_COMMAND, "BH-STMT-CONSOLE", "42601", "this is no command of the console") \
	X(REASON_CERTIFICATE, "BH-ID-CERTIFICATE", "28000",                                        \
	  "the client's certificate does not fit this connection")                                 \
	X(REASON_LOGIN, "BH-ID-LOGIN", "28000", "this login is not known, or may not log in")      \
	X(REASON_CHANNEL_BINDING, "BH-ID-CHANNEL-BINDING", "28000",                                \
	  "SCRAM channel binding failed")                                                          \
	X(REASON_TLS_REQUIRED, "BH-NET-TLS-REQUIRED", "28000",                                     \
	  "connections without TLS are refused here")                                              \
	X(REASON_STARTUP, "BH-NET-STARTUP", "08P01", "invalid startup packet")                     \
	X(REASON_PROTOCOL, "BH-NET-PROTOCOL", "08P01", "protocol violation")                       \
	X(REASON_TOO_LARGE, "BH-LIM-MESSAGE", "54000", "message exceeds max_packet_size")          \
	X(REASON_LOGIN_TIMEOUT, "BH-LIM-LOGIN-TIMEOUT", "57014",                                   \
	  "login took longer than client_login_timeout")                                           \
	X(REASON_CLIENTS, "BH-LIM-CLIENTS", "53300",                                               \
	  "no more client connections are allowed (max_client_conn)")                              \
	X(REASON_LOGINS, "BH-LIM-LOGINS", "53300",                                                 \
	  "too many connections are logging in (max_login_conn)")                                  \
	X(REASON_TENANT_CLIENTS, "BH-LIM-TENANT-CLIENTS", "53300",                                 \
	  "no more connections of this tenant are allowed (max_tenant_client_connections, "        \
	  "proxy.max_connections)")                                                                \
	X(REASON_USER_CLIENTS, "BH-LIM-USER-CLIENTS", "53300",                                     \
	  "no more connections of this login are allowed (max_user_client_connections)")           \
	X(REASON_TENANT_PINS, "BH-LIM-TENANT-PINS", "53300",                                       \
	  "no more sessions of this tenant may keep their backends (max_tenant_pinned)")           \
	X(REASON_STATEMENTS, "BH-LIM-STATEMENTS", "53400",                                         \
	  "too many prepared statements (10000 or 64 MB of one session, "                          \
	  "max_tenant_statement_size)")                                                            \
	X(REASON_RATE, "BH-LIM-RATE", "53400",                                                     \
	  "too many statements of this tenant in a short time (proxy.rate_limit)")                 \
	X(REASON_WAIT_TIMEOUT, "BH-LIM-WAIT-TIMEOUT", "57014",                                     \
	  "no backend became free within query_wait_timeout")                                      \
	X(REASON_QUERY_TIMEOUT, "BH-LIM-QUERY-TIMEOUT", "57014",                                   \
	  "canceling statement due to query_timeout")                                              \
	X(REASON_STATEMENT_TIMEOUT, "BH-LIM-STATEMENT-TIMEOUT", "57014",                           \
	  "canceling statement due to the tenant's statement timeout (proxy.statement_timeout)")   \
	X(REASON_TRANSACTION_TIMEOUT, "BH-LIM-TRANSACTION-TIMEOUT", "25P04",                       \
	  "terminating connection due to transaction_timeout")                                     \
	X(REASON_IDLE_TRANSACTION, "BH-LIM-IDLE-TRANSACTION", "25P03",                             \
	  "terminating connection due to idle_transaction_timeout")                                \
	X(REASON_TENANT_IDLE_TRANSACTION, "BH-LIM-TENANT-IDLE-TRANSACTION", "25P03",               \
	  "terminating connection due to the tenant's idle-in-transaction timeout "                \
	  "(proxy.idle_in_transaction_timeout)")                                                   \
	X(REASON_IDLE_TIMEOUT, "BH-LIM-IDLE-TIMEOUT", "57P05",                                     \
	  "terminating connection due to client_idle_timeout")                                     \
	X(REASON_CANCELLED, "BH-NET-CANCELLED", "57014",                                           \
	  "canceling statement due to user request")                                               \
	X(REASON_BACKEND_DOWN, "BH-NET-BACKEND-DOWN", "08001",                                     \
	  "the database server cannot be reached")                                                 \
	X(REASON_CLUSTER_DOWN, "BH-NET-CLUSTER-DOWN", "08001",                                     \
	  "the tenant's cluster is out of service")                                                \
	X(REASON_CLUSTER_ENDED, "BH-NET-CLUSTER-ENDED", "57P01",                                   \
	  "terminating connection because the tenant's cluster was taken out of service")          \
	X(REASON_BACKEND_UNSAFE, "BH-CTX-UNSAFE", "08001",                                         \
	  "the database server failed the isolation self-check")                                   \
	X(REASON_BACKEND_LOST, "BH-NET-BACKEND-LOST", "08006",                                     \
	  "the connection to the database server was lost")                                        \
	X(REASON_HANDOVER, "BH-CTX-HANDOVER", "08001",                                             \
	  "no backend could be put into the tenant's context")                                     \
	X(REASON_CONTEXT_LOST, "BH-CTX-LOST", "25000",                                             \
	  "the tenant context of this backend had been emptied; it is restored for the next "      \
	  "statement")                                                                             \
	X(REASON_SEQUENCE, "BH-CTX-SEQUENCE", "55000",                                             \
	  "the last value of a sequence is not known here: others have used the backend since; "   \
	  "from now on this session keeps its backend")                                            \
	X(REASON_SHUTDOWN, "BH-NET-SHUTDOWN", "57P01",                                             \
	  "terminating connection because Bulkhead is shutting down")                              \
	X(REASON_DRAINED, "BH-NET-DRAINED", "57P01",                                               \
	  "terminating connection because Bulkhead is shutting down; nothing was under way")       \
	X(REASON_DRAINING, "BH-NET-DRAINING", "57P03", "Bulkhead is shutting down")                \
	X(REASON_KILLED, "BH-NET-KILLED", "57P01",                                                 \
	  "terminating connection due to an operator's command")                                   \
	X(REASON_STMT_UNREADABLE, "BH-STMT-UNREADABLE", "42601",                                   \
	  "the statement is in no syntax that Bulkhead can read")                                  \
	X(REASON_STMT_TOO_DEEP, "BH-STMT-TOO-DEEP", "54000",                                       \
	  "the statement is nested too deeply or has too many parts to be read")                   \
	X(REASON_STMT_TOO_LONG, "BH-STMT-TOO-LONG", "54000",                                       \
	  "the statement is longer than a text that is read (16 MB)")                              \
	X(REASON_STMT_CONTEXT, "BH-STMT-CONTEXT", "42501",                                         \
	  "the tenant's context cannot be set by a statement")                                     \
	X(REASON_STMT_ROLE, "BH-STMT-ROLE", "42501", "another role cannot be taken")               \
	X(REASON_STMT_DYNAMIC, "BH-STMT-DYNAMIC", "42501",                                         \
	  "SQL that is decided when it runs is not allowed here")                                  \
	X(REASON_STMT_SERVER, "BH-STMT-SERVER", "42501",                                           \
	  "the server is not for tenants to change")                                               \
	X(REASON_STMT_FILES, "BH-STMT-FILES", "42501",                                             \
	  "files and programs of the server cannot be reached")                                    \
	X(REASON_STMT_DDL, "BH-STMT-DDL", "42501",                                                 \
	  "what all tenants share cannot be changed by one of them")                               \
	X(REASON_STMT_SHARED, "BH-STMT-SHARED", "42501", "this acts on what all tenants share")    \
	X(REASON_STMT_LISTEN, "BH-STMT-LISTEN", "0A000",                                           \
	  "LISTEN and NOTIFY are not kept apart between tenants")                                  \
	X(REASON_STMT_SCHEMA, "BH-STMT-SCHEMA", "42501", "this schema is not the tenant's")        \
	X(REASON_STMT_CATALOG, "BH-STMT-CATALOG", "42501",                                         \
	  "this view of the catalog shows other tenants")                                          \
	X(REASON_STMT_EXPLAIN, "BH-STMT-EXPLAIN", "42501",                                         \
	  "EXPLAIN ANALYZE counts rows of other tenants")                                          \
	X(REASON_STMT_FASTPATH, "BH-STMT-FASTPATH", "42501",                                       \
	  "the FunctionCall message is not allowed here")                                          \
	X(REASON_PERM_SQL, "BH-PERM-SQL", "42501", "the tenant is not permitted to do this")       \
	X(REASON_PERM_READ_ONLY, "BH-PERM-READ-ONLY", "25006", "the tenant may only read")         \
	X(REASON_PERM_RELATION, "BH-PERM-RELATION", "42501",                                       \
	  "the tenant is not permitted to use this table or view")                                 \
	X(REASON_PERM_FUNCTION, "BH-PERM-FUNCTION", "42501",                                       \
	  "the tenant is not permitted to call this function")                                     \
	X(REASON_PERM_STALE, "BH-PERM-STALE", "42501",                                             \
	  "permissions have changed since the statement was prepared; prepare it again")           \
	X(REASON_MEMORY, "BH-LIM-MEMORY", "53200", "out of memory")

enum reason {
#define REASON_NAME(name, code, sqlstate, message) name,
	REASONS(REASON_NAME)
#undef REASON_NAME
		REASON_COUNT
};

const char *reason_code(enum reason reason);
const char *reason_sqlstate(enum reason reason);
const char *reason_message(enum reason reason);

#endif
