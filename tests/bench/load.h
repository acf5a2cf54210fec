/*
 * The benchmark's load generator: many clients of the wire protocol in one thread.
 *
 * It speaks to whatever listens (PostgreSQL, PgBouncer, HAProxy, Bulkhead) in the same bytes,
 * so that what differs is the peer. Every answer is counted: rows that are missing or too many
 * end the run. It shares no code with the program that it measures.
 */
#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum load_protocol {
	PROTOCOL_SIMPLE,   /* Query */
	PROTOCOL_EXTENDED, /* Parse, Bind, Describe, Execute, Sync with unnamed statement and portal
						*/
	PROTOCOL_PREPARED, /* the statement named and parsed once per connection */
};

enum load_work {
	WORK_SELECT,   /* one row by its key */
	WORK_WRITE,    /* BEGIN, SELECT, UPDATE, INSERT, COMMIT */
	WORK_RESULT,   /* a result of 10 MB */
	WORK_COPY_OUT, /* the same as COPY TO STDOUT */
	WORK_COPY_IN,  /* 10 MB of COPY FROM STDIN, read and thrown away by the server */
	WORK_ORM,      /* one row by its key, in a text as ORMs write them, one of a hundred */
	WORK_INLINED,  /* the same with values in the text, no two alike; simple protocol */
};

/* The application's own way of choosing a tenant: BEGIN; set_config; the work; COMMIT. */
enum load_wrap {
	WRAP_NONE,
	WRAP_SEPARATE, /* each statement waits for the one before, as ORMs do */
	WRAP_BURST,    /* all in one write */
};

enum load_choice {
	CHOICE_STAY,    /* client i speaks for tenant i modulo the number of tenants, always */
	CHOICE_ROTATE,  /* every transaction is the next tenant's */
	CHOICE_UNIFORM, /* every transaction draws its tenant */
	CHOICE_ZIPF,    /* the same; tenant k has the weight 1/(k+1) */
};

struct options {
	const char *host; /* an IPv4 address, or with a leading slash the folder of a unix socket */
	int port;
	const char *database, *user, *password;
	const char *table; /* account_TABLE and history_TABLE */
	enum load_protocol protocol;
	enum load_work work;
	enum load_wrap wrap;
	enum load_choice choice;
	bool user_by_tenant;       /* log in as USER.t0001 */
	bool database_by_tenant;   /* log in to DATABASE_NUMBER */
	bool connection_by_tenant; /* keep connections for every tenant, not one for every client */
	bool churn;                /* a connection for every transaction */
	bool tls;                  /* ask for TLS, and go nowhere without */
	int clients;               /* transactions under way at one time */
	int tenants, first_tenant, rows_per_tenant;
	int pipeline; /* transactions sent in one write */
	double warmup, seconds;
	long warmup_transactions, transactions; /* over the seconds, when not negative */
	uint64_t seed;
};

/* ---- load_hist.c: latencies ---- */

/* Buckets of at most 0.4 % width. */
#define HIST_SUB_BITS 8
#define HIST_BUCKETS  ((64 - HIST_SUB_BITS) << HIST_SUB_BITS)

struct hist {
	uint64_t count, sum, max;
	uint32_t buckets[HIST_BUCKETS];
};

void hist_add(struct hist *hist, uint64_t ns);

/* The latency, in ns, that this part (0 to 1) of all stay at or below. */
uint64_t hist_quantile(const struct hist *hist, double part);

/* ---- load_scram.c: SCRAM-SHA-256, the client's side ---- */

#define SCRAM_MESSAGE_MAX 512

/* One exchange. The salted password is derived once for all connections with the same salt. */
struct scram {
	char nonce[25];
	char server_signature[45];
};

/* Writes the first message; returns its length. */
size_t scram_first(struct scram *scram, char *out);

/* Answers the server's first message; returns the length, or 0 when the message is not
 * understood. */
size_t scram_final(struct scram *scram, const char *password, const char *server_first,
				   char *out);

/* Did the server prove itself? */
bool scram_verify(const struct scram *scram, const char *server_final);

/* ---- load_script.c: what a transaction sends ---- */

struct bytes {
	uint8_t *data;
	size_t len, size;
};

void bytes_append(struct bytes *bytes, const void *data, size_t len);

/* What the client must see before its next step. */
struct expectation {
	unsigned ready; /* ReadyForQuery; 0: the transaction was over already */
	long rows;      /* DataRow */
};

struct script_state {
	unsigned prepared; /* bit n: statement n is prepared on this connection */
};

/* Names and texts of everything that is sent, from the options; must come first. */
void script_init(const struct options *options);

/* Appends step `step` of a transaction of `tenant` on the row `row`. */
struct expectation script_step(struct script_state *state, int step, int tenant, long row,
							   struct bytes *out);

/* All messages that follow a CopyInResponse. */
const struct bytes *script_copy_data(void);

/* Queries in a transaction, BEGIN, set_config and COMMIT not counted. */
int script_queries(void);

/* ---- load_choice.c: whose turn it is ---- */

void choice_init(const struct options *options);

/* The tenant of this client's next transaction. */
int choice_tenant(int client);

/* How large this tenant's part of all transactions is, 0 to 1. */
double choice_share(int tenant);

/* A row of this tenant. */
long choice_row(int tenant);

/* ---- load_conn.c: one connection ---- */

enum conn_state {
	CONN_CLOSED,
	CONN_CONNECTING,
	CONN_TLS_ASKED, /* SSLRequest is out */
	CONN_LOGIN,
	CONN_IDLE,
	CONN_BUSY,
};

struct ssl_st;

struct conn {
	int fd;
	struct ssl_st *ssl; /* NULL: in the clear */
	bool wants_bytes;   /* what is to be sent waits for the peer's part of the handshake */
	enum conn_state state;
	bool wants_write; /* epoll waits for room, too */
	int tenant;       /* that it logs in for; -1: for none */
	int client;       /* whose transaction it does */
	struct conn *next_idle;

	/* the transaction under way */
	struct script_state script;
	int step, job_tenant;
	long row, rows_left;
	unsigned ready_left;
	uint64_t started;

	/* receiving: the header so far, then the body so far where it matters */
	uint8_t head[5], body[1024];
	unsigned head_len, body_len;
	uint32_t body_left;

	struct bytes out;
	size_t sent;
	const struct bytes *bulk; /* goes behind `out`; shared */
	size_t bulk_sent;

	struct scram scram;
};

struct load {
	struct options options;
	int epoll;
	struct hist hist;
	long transactions, logins;
	uint64_t bytes_in, bytes_out;
	uint8_t *buffer; /* everybody's receive buffer */
};

#define BUFFER_SIZE (256 * 1024)

/* Starts connecting and logging in; conn->tenant says for whom. Its buffer may be left from
 * before. */
void conn_open(struct load *load, struct conn *conn);

/* Says Terminate and closes. */
void conn_close(struct load *load, struct conn *conn);

/* Sends the first step of a transaction. */
void conn_start(struct load *load, struct conn *conn, int tenant, long row);

/* Does what epoll says is possible. True when a login or a transaction has ended with it. */
bool conn_event(struct load *load, struct conn *conn, uint32_t events);

/* ---- load_tls.c ---- */

/* Begins TLS on the connection; no certificate is verified. */
void tls_begin(struct conn *conn);

/* As send and recv, also without TLS. conn->wants_bytes is set where sending waits for them. */
ssize_t tls_send(struct conn *conn, const void *data, size_t len);
ssize_t tls_receive(struct conn *conn, void *data, size_t size);

/* close_notify, and the end of it. */
void tls_end(struct conn *conn);

/* Prints why and ends the run. */
_Noreturn void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

uint64_t now_ns(void);

#endif
