/*
 * statement.h: what a text of SQL is, as far as Bulkhead has to know before it runs.
 *
 * A text is read into a verdict: which classes of statements it holds, what it names, what it
 * does to the transaction, and what it may leave behind in the session when the transaction is
 * over. A verdict says nothing of tenants or permissions; it depends on the text alone, so that
 * equal texts share one.
 *
 * Reading is PostgreSQL 15's own grammar (libpg_query's raw parse), behind bounds on what is
 * quadratic or recursive in it, and a walk of our own over the tree that knows what it allows:
 * a node it does not know, a text it cannot read, and one that is over the bounds all become
 * the verdict that fears everything (EFFECTS_ALL). Functions are known by their names in
 * pg_catalog; what views, triggers, operators and casts do is not to be seen in a text.
 *
 * The text must be in an encoding whose bytes below 0x80 are ASCII wherever they stand, and is
 * read as with standard_conforming_strings on; both are seen to by the proxy.
 */
#ifndef POLICY_STATEMENT_H
#define POLICY_STATEMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/rule.h"

/* Longest text that is read; longer ones pass unread. */
#define SQL_TEXT_MAX ((size_t)16 << 20)

/* And so many tokens, which is any text of a megabyte: a tree takes up to 150 bytes for each.
 */
#define SQL_TOKENS_MAX 1100000

enum sql_reading {
	SQL_READ,       /* every statement of it */
	SQL_UNREADABLE, /* no statement of PostgreSQL 15's, or one with parts unknown here */
	SQL_TOO_LONG,   /* over SQL_TEXT_MAX */
	SQL_TOO_DEEP, /* over the bounds of policy/bounds.h: runs of operators, nested comments … */
};

enum sql_class {
	SQL_CLASS_READ = 1 << 0,
	SQL_CLASS_WRITE = 1 << 1,
	SQL_CLASS_DDL = 1 << 2,
	SQL_CLASS_COPY = 1 << 3,
	SQL_CLASS_CALL = 1 << 4,        /* CALL and DO */
	SQL_CLASS_SESSION = 1 << 5,     /* SET, RESET, DISCARD, PREPARE, DECLARE … */
	SQL_CLASS_TRANSACTION = 1 << 6, /* BEGIN, COMMIT, SAVEPOINT, LOCK … */
	SQL_CLASS_LISTEN = 1 << 7,      /* LISTEN, NOTIFY; not UNLISTEN, which resets */
	SQL_CLASS_MAINTENANCE = 1 << 8, /* VACUUM, ANALYZE, REINDEX, CLUSTER, CHECKPOINT … */
	SQL_CLASS_OTHER = 1 << 9,       /* LOAD, ALTER SYSTEM */
	SQL_CLASS_TEMP = 1 << 10,       /* DDL of what is temporary */
	/* DDL of a relation that is named without a schema and there already, so that it may be
	 * temporary; beside SQL_CLASS_DDL or alone. */
	SQL_CLASS_DDL_OR_TEMP = 1 << 11,
	/* CREATE FUNCTION or PROCEDURE in pg_temp, whose body is a text: to run it is to run any
	   SQL. */
	SQL_CLASS_TEMP_FUNCTION = 1 << 12,
	SQL_CLASSES_ALL = 0x1fff, /* of a text that was not read */
};

/*
 * What may be different in the session afterwards, whether something comes or goes: LISTEN and
 * UNLISTEN have the same effect here, since either way the server is asked what is there. (An
 * effect on what ends with the transaction, as of SET LOCAL, is none.)
 */
enum sql_effect {
	/* Temporary tables, views, sequences, types, functions. Also CREATE of anything without a
	 * schema's name, since search_path may begin with pg_temp, and DROP of anything. */
	EFFECT_TEMP = 1 << 0,
	EFFECT_LISTEN = 1 << 1,   /* LISTEN, UNLISTEN */
	EFFECT_CURSOR = 1 << 2,   /* DECLARE … WITH HOLD, CLOSE */
	EFFECT_PREPARED = 1 << 3, /* PREPARE, DEALLOCATE */
	EFFECT_LOCK = 1 << 4,     /* advisory locks of the session, taken or released */
	EFFECT_SETTING = 1 << 5,  /* settings that are named in the verdict */
	EFFECT_SETTINGS = 1 << 6, /* settings that are not: RESET ALL, UPDATE pg_settings,
							   * set_config with a name that is no literal */
	EFFECT_ROLE = 1 << 7,     /* SET ROLE, SET SESSION AUTHORIZATION, and their RESETs */
	EFFECT_SEED = 1 << 8,     /* setseed(), SET [LOCAL] SEED: cannot be asked for or put back */
	/* Any of the above: DO, CALL, LOAD, EXECUTE, CREATE EXTENSION, a function that is not built
	 * in, or runs SQL text. */
	EFFECT_UNKNOWN = 1 << 9,

	/* These do not leave anything, but depend on what the session has. */
	EFFECT_SEES_SEQUENCE = 1 << 16, /* lastval(), currval(), DISCARD SEQUENCES */
	EFFECT_SEES_PREPARED = 1 << 17, /* EXECUTE (in EXPLAIN and CREATE TABLE AS too), and the
									 * view pg_prepared_statements */
	EFFECTS_ALL = 0x303ff,
};

/* What a single statement does that the proxy has a part in; everything else is SQL_PLAIN. */
enum sql_action {
	SQL_PLAIN,
	SQL_BEGIN, /* also START TRANSACTION */
	/* Also SET transaction_isolation and its like; SET TRANSACTION SNAPSHOT is SQL_PLAIN. */
	SQL_SET_TRANSACTION,
	SQL_COMMIT, /* also END */
	SQL_ROLLBACK,
	SQL_SAVEPOINT,   /* name */
	SQL_RELEASE,     /* name */
	SQL_ROLLBACK_TO, /* name */
	SQL_PREPARE_TRANSACTION,
	SQL_FINISH_PREPARED, /* COMMIT or ROLLBACK PREPARED */
	SQL_SET,             /* name, value, is_local; SET x TO DEFAULT has no value */
	SQL_RESET,           /* name */
	SQL_RESET_ALL,
	SQL_PREPARE,    /* name */
	SQL_EXECUTE,    /* name */
	SQL_DEALLOCATE, /* name */
	SQL_DEALLOCATE_ALL,
	SQL_DISCARD_ALL,
	SQL_DISCARD, /* PLANS, SEQUENCES or TEMP */
	SQL_COPY_IN, /* COPY … FROM STDIN */
};

struct sql_statement {
	enum sql_action action;
	uint32_t classes, effects; /* of enum sql_class and enum sql_effect */
	uint32_t start, len;       /* in the text: without blanks, comments and semicolons around */
	/*
	 * The action's name, as the server reads it: folded to lower case where it is not quoted,
	 * not cut to 63 bytes. A setting's name is folded always, and SET TIME ZONE is "timezone",
	 * SET NAMES "client_encoding", SESSION CHARACTERISTICS "default_transaction_…" (one
	 * statement may set several of these: the others are in the verdict's settings). NULL
	 * without one.
	 */
	const char *name;
	/*
	 * SQL_SET of constants: what the server would make of them, and set_config and the startup
	 * packet would have to say: joined by ", ", and where the setting is a list of identifiers
	 * (session_is_identifier_list), each quoted if need be. NULL for anything else: DEFAULT,
	 * FROM CURRENT, an interval.
	 */
	const char *value;
	bool is_local; /* SET LOCAL */
};

enum sql_setting_how { SETTING_SET, SETTING_SET_LOCAL, SETTING_RESET };

/*
 * A setting that a statement names: in SET and RESET, or as the first argument of set_config.
 * (A call may be carried out once, never, or many times.) What is only stored, as in a view, is
 * left out, and so is what is the transaction's, as transaction_isolation.
 *
 * SET x TO DEFAULT is a SETTING_RESET, and so is set_config of NULL; under LOCAL both are
 * SETTING_SET_LOCAL without a value. A set_config whose third argument is no literal counts as
 * SETTING_SET.
 */
struct sql_setting {
	const char *name; /* folded to lower case */
	enum sql_setting_how how;
	uint32_t statement;
	bool is_call;      /* set_config */
	const char *value; /* a literal, or NULL */
	int32_t param;     /* $n in place of the value: n; else 0 */
};

/* What a query or command names as a relation, but for the names of WITH. */
struct sql_relation {
	const char *schema, *name; /* schema NULL when it is not said */
	bool is_written;           /* INSERT, UPDATE, DELETE, MERGE, TRUNCATE, COPY FROM; DDL */
};

/* What is called, be it now or by what is stored. `x.f` counts where f is known to do
 * something. */
struct sql_function {
	const char *schema, *name;
	bool is_known; /* of pg_catalog by its name, and of no schema or that one */
};

/* Immutable; the arrays and strings are the verdict's own. Shared by counting. */
struct verdict {
	size_t references;
	enum sql_reading reading;
	uint32_t classes, effects; /* of all its statements together */
	/* What the gate asks first (gate.h): PERMISSION_BIT of what it takes to run it, and
	 * GATE_NEEDS_… where that is not all; RULE_BIT of the rules that it hits. */
	uint32_t needs;
	uint64_t rules;
	struct rule_schemas schemas; /* of RULE_SCHEMA */
	uint32_t statement_count, setting_count, relation_count, function_count;
	const struct sql_statement *statements; /* none of a text that was not read */
	const struct sql_setting
		*settings; /* behind them, those that are only stored, as in a view */
	uint32_t stored_setting_count;
	const struct sql_relation *relations; /* each once */
	const struct sql_function *functions; /* each once */
	/* Of SQL_UNREADABLE: what PostgreSQL's parser says, and where, in characters from 1 on;
	 * NULL and 0 where it is not the parser that does not understand. */
	const char *error;
	int error_position;
	size_t size;     /* bytes of memory, all in all */
	bool is_plain;   /* no statement has effects, or an action that concerns more than its
						transaction */
	bool is_of_fold; /* one plain statement that reads or writes, whose values were not looked
					  * at: the same of all texts with its fold (fold.h) */
};

/*
 * Reads a text of `len` bytes; it need not end in NUL, and a NUL inside makes it unreadable.
 * One reference; NULL when memory is out. Never fails otherwise, and takes time linear in `len`
 * but for what the bounds allow. Of any thread that has a stack of 8 MiB or more.
 */
const struct verdict *sql_read(const char *text, size_t len);

const struct verdict *verdict_ref(const struct verdict *verdict);
void verdict_unref(const struct verdict *verdict); /* NULL is fine */

/*
 * A cache of verdicts by the exact text, and by the fold where nothing depends on the values:
 * keyed hash, full compare, bounded bytes, the least recently used go first. Of one thread.
 */
struct verdict_cache;

struct verdict_cache_stats {
	uint64_t hits, misses, evictions;
	uint64_t folded;  /* of the hits, those that only the fold was known of */
	uint64_t read_ns; /* time spent in sql_read */
	size_t bytes, count;
};

/* Holds `bytes_max` bytes at the most, texts included; NULL when memory is out. */
struct verdict_cache *verdict_cache_create(size_t bytes_max);
void verdict_cache_destroy(struct verdict_cache *cache);

/*
 * The verdict for a text, borrowed until the next call (take a reference to keep it); texts
 * over a sixteenth of the cache are read and not kept. NULL when memory is out.
 */
const struct verdict *verdict_cache_read(struct verdict_cache *cache, const char *text,
										 size_t len);

void verdict_cache_set_max(struct verdict_cache *cache, size_t bytes_max);
void verdict_cache_get_stats(const struct verdict_cache *cache,
							 struct verdict_cache_stats *out);

#endif
