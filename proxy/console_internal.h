/*
 * console_internal.h: what the files of the console share. console.c speaks the protocol,
 * console_run.c carries commands out, console_table*.c makes rows of what workers have
 * answered.
 */
#ifndef PROXY_CONSOLE_INTERNAL_H
#define PROXY_CONSOLE_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <event2/event_struct.h>

#include "base/buf.h"
#include "base/list.h"
#include "base/uuid.h"
#include "policy/reason.h"
#include "proxy/console.h"
#include "proxy/console_command.h"
#include "router/live.h"

struct conf;
struct directory_lookup;
struct group;

/* ---- tables ---- */

enum cell_type { CELL_TEXT, CELL_INT8, CELL_FLOAT8 };

struct console_column {
	const char *name;
	enum cell_type type;
};

#define CONSOLE_COLUMNS_MAX 32

/* In which form a column goes out: all text where count is 0. */
struct console_formats {
	uint16_t count;
	bool binary[CONSOLE_COLUMNS_MAX];
};

/* A table that is being sent; all zero is none. */
struct console_rows {
	const struct conf *conf; /* in force: set anew each time before rows are made */
	const struct worker_address *addresses; /* the same */
	const struct console_table *table;
	struct console_formats formats;
	struct live_answer *answer;
	size_t view, at;         /* how far the views have been used */
	struct live_pool *pools; /* of one cluster each, all workers together; cluster borrowed */
	size_t pool_count;
	struct group *groups, *group; /* uthash; the next to be shown */
	struct buf cells;             /* of a table that is made at once */
	bool gathered, failed;        /* memory was out */
	int64_t wall_ms, now_us;
};

const struct console_table *console_table_of(enum console_show show);
enum live_scope console_table_scope(const struct console_table *table, bool *needed);
size_t console_table_width(const struct console_table *table);

/* Appends the RowDescription. False when memory is out. */
bool console_table_describe(const struct console_table *table,
							const struct console_formats *formats, struct buf *out);

/* Begins a table; the answer is taken over, and may be NULL where the table needs none. */
void console_rows_begin(struct console_rows *rows, const struct console_table *table,
						const struct console_formats *formats, struct live_answer *answer,
						const struct conf *conf);

enum console_step {
	CONSOLE_ROW,     /* a DataRow was appended */
	CONSOLE_LATER,   /* none was, but there is more to be done at another turn */
	CONSOLE_THE_END, /* none is left */
	CONSOLE_FAILED,  /* memory is out */
};

enum console_step console_rows_next(struct console_rows *rows, struct buf *out);
void console_rows_fini(struct console_rows *rows);

/* ---- sessions ---- */

/* A question to all workers that may outlive the session which asked. */
struct console_question {
	struct list node;      /* worker->questions */
	struct client *client; /* NULL: it has left */
};

struct console_statement {
	struct list node;
	char *name;
	struct console_command command;
};

struct console {
	struct client *client;
	struct list node; /* worker->consoles */
	char *application_name;
	struct event turn; /* the next slice of rows */

	enum {
		CONSOLE_READY,    /* messages are read */
		CONSOLE_FINDING,  /* the directory is asked for a tenant */
		CONSOLE_ASKING,   /* the workers are asked, or have been given an order */
		CONSOLE_SENDING,  /* rows are on their way */
		CONSOLE_SETTLING, /* until transactions have ended: at each tick workers are asked */
	} phase;
	struct directory_lookup *pending;
	struct console_question *question;
	enum console_verb verb; /* of the command that runs */
	const char *tag;
	bool of_all;
	struct uuid tenant;   /* unless of all */
	uint64_t sent, limit; /* rows; no limit: 0 */
	struct console_rows rows;

	char *script; /* of a Query that is not done, and how far it is */
	size_t script_at;
	bool script_ran;     /* a command of it */
	bool in_transaction; /* as far as the client is concerned */
	bool in_batch;       /* messages came that no ReadyForQuery has followed yet */
	bool failed;         /* the command that ran */
	bool skips;          /* messages up to the next Sync */

	struct list statements;
	size_t statement_count;
	char *portal; /* the name of the one there is; NULL: none */
	struct console_command bound;
	struct console_formats formats;
	bool suspended; /* it has rows left, and goes on with the next Execute */
};

/* Prepares for sending rows. */
void console_init_turn(struct console *console);

/* Runs a command; when the phase is CONSOLE_READY on return it is over. `limit` is of rows. */
void console_run(struct console *console, const struct console_command *command,
				 const struct console_formats *formats, uint64_t limit);

/* Goes on with the rows of a table, up to `limit` more. */
void console_run_on(struct console *console, uint64_t limit);

/* Ends what runs, without an answer. */
void console_stop(struct console *console);

/* The command has failed: appends the error. The hint may be NULL. */
void console_fail(struct console *console, enum reason reason, const char *hint);

/* The same with words of its own. `detail` and `hint` may be NULL. */
void console_fail_text(struct console *console, const char *sqlstate, const char *message,
					   const char *detail, const char *hint);

/* Appends what the command's rows will be: RowDescription, or NoData. */
void console_describe(struct console *console, const struct console_command *command,
					  const struct console_formats *formats);

/* Has the session ended? */
bool console_is_over(const struct console *console);

/* A message of the extended protocol, console_extended.c; false when it is malformed. */
bool console_extended(struct console *console, char type, const uint8_t *body, size_t len);

/* Statements and portal. */
void console_forget_statements(struct console *console);

/* The command is over that was not when console_run returned. */
void console_done(struct console *console);

/* Appends to what the client gets. */
void console_say(struct console *console, bool appended);

#endif
