/*
 * console_command.h: what a text means on the console.
 *
 * A text holds commands, separated by semicolons. Words are read without regard to case;
 * comments are SQL's; a tenant is a bare word, taken as it is written, or stands between single
 * or double quotes. What drivers send by themselves when they connect or end a transaction is
 * accepted and does nothing.
 */
#ifndef PROXY_CONSOLE_COMMAND_H
#define PROXY_CONSOLE_COMMAND_H

#include <stddef.h>

enum console_verb {
	CONSOLE_NONE, /* the text is over */
	CONSOLE_SHOW,
	CONSOLE_PAUSE,
	CONSOLE_RESUME,
	CONSOLE_KILL,
	CONSOLE_RECONNECT,
	CONSOLE_RELOAD,
	CONSOLE_SHUTDOWN,
	CONSOLE_BEGIN,   /* `tag` says by which word */
	CONSOLE_END,     /* of a transaction; the same */
	CONSOLE_NOTHING, /* SET and the like: `tag` is the answer */
	CONSOLE_WRONG,   /* none of these; `wrong` says why */
};

enum console_show {
	SHOW_CLIENTS,
	SHOW_CONFIG,
	SHOW_DATABASES,
	SHOW_HELP,
	SHOW_HOSTS,
	SHOW_LISTS,
	SHOW_PINS,
	SHOW_POOLS,
	SHOW_SERVERS,
	SHOW_STATE,
	SHOW_STATS,
	SHOW_TENANTS,
	SHOW_USERS,
	SHOW_VERSION,
};

struct console_command {
	enum console_verb verb;
	enum console_show show; /* CONSOLE_SHOW */
	char *tenant;           /* from malloc; NULL: none was named */
	const char *tag;        /* a constant, for CommandComplete */
	const char *wrong;      /* CONSOLE_WRONG; a constant */
};

/*
 * Reads the next command at text[*at] and moves *at behind it and its semicolon; empty ones are
 * passed over. Behind CONSOLE_WRONG nothing of the text is to be read. What is in *out is freed
 * by console_command_fini.
 */
void console_command_read(const char *text, size_t *at, struct console_command *out);
void console_command_fini(struct console_command *command);

#endif
