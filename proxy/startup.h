/*
 * startup.h: reading the first packet of a connection.
 *
 * Source: PostgreSQL documentation, "Frontend/Backend Protocol", Message Formats
 * (StartupMessage, SSLRequest, GSSENCRequest, CancelRequest) and Start-up; the `options` field
 * is read as the server's pg_split_opts and process_postgres_switches do it, for `-c
 * name=value` and `--name=value`. Any other switch is refused.
 */
#ifndef PROXY_STARTUP_H
#define PROXY_STARTUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STARTUP_PACKET_MAX                                                                     \
	10000 /* bytes, length word included: the server's MAX_STARTUP_PACKET_LENGTH */
#define STARTUP_SETTINGS_MAX   128 /* settings in keys and options together */
#define STARTUP_EXTENSIONS_MAX 32  /* _pq_.* keys */

enum startup_kind {
	STARTUP_INCOMPLETE, /* more bytes are needed */
	STARTUP_INVALID,    /* `error` says why; no error message is owed to a peer that speaks no
						   protocol */
	STARTUP_REFUSED,    /* `error` and `sqlstate` go to the client as FATAL */
	STARTUP_SSL,
	STARTUP_GSSENC,
	STARTUP_CANCEL,
	STARTUP_SESSION,
};

struct startup_setting {
	char *name;  /* lower case: PostgreSQL compares setting names without case */
	char *value; /* byte-exact */
};

struct startup {
	uint32_t version; /* as asked: major << 16 | minor */
	char *user;
	char *database; /* as sent; the user's name when none was */
	bool database_given;
	char *tenant; /* bulkhead.tenant from options or a key, or NULL */
	struct startup_setting
		settings[STARTUP_SETTINGS_MAX]; /* later ones of one name have replaced earlier */
	size_t setting_count;
	char *extensions[STARTUP_EXTENSIONS_MAX]; /* _pq_.* names that we do not know: to be
												 negotiated away */
	size_t extension_count;

	/* STARTUP_CANCEL */
	uint32_t cancel_pid;
	uint8_t cancel_key[256];
	size_t cancel_key_len;

	const char *sqlstate; /* of STARTUP_REFUSED */
	char error[256];
};

/*
 * Reads one packet from `len` bytes. On anything but INCOMPLETE and INVALID, *used is the
 * packet's length. What is allocated in *out is freed by startup_fini, which is needed after
 * every call.
 *
 * Refused: no user; a key twice; `replication`; a name over 63 bytes; NULs out of place;
 * options that are not settings; too many settings; a client_encoding that is not safe byte by
 * byte (SJIS, BIG5, GBK, UHC, JOHAB, GB18030, SHIFT_JIS_2004: 0A000). Protocol majors other
 * than 3 are refused with 0A000.
 */
enum startup_kind startup_parse(const uint8_t *data, size_t len, size_t *used,
								struct startup *out);
void startup_fini(struct startup *startup);

#define STARTUP_STRINGS_REFUSED  "standard_conforming_strings is always \"on\" with Bulkhead"
#define STARTUP_ENCODING_REFUSED "this client_encoding is not supported by Bulkhead"

/* Is every byte below 0x80 an ASCII character in this client_encoding? By the names and aliases
 * of those where it is not. */
bool startup_encoding_is_safe(const char *name);

#endif
