#include "cli/audit.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/encode.h"
#include "cli/control_db.h"
#include "cli/print.h"

#define HEX_LEN ((size_t)2 * AUDIT_HASH_SIZE)
#define PART    "1000" /* records that are in memory at a time */

bool audit_saved_parse(const char *text, struct audit_saved *out)
{
	size_t digits = strspn(text, "0123456789");

	if (digits == 0 || digits > 18 || text[digits] != ':')
		return false;
	out->id = strtoll(text, NULL, 10);
	text += digits + 1;
	return out->id > 0 && strlen(text) == HEX_LEN && hex_decode(text, HEX_LEN, out->hash);
}

/* ---- what came of it ---- */

struct verification {
	PGconn *control;
	const struct audit_saved *saved;
	bool json;
	bool is_over;    /* something was said */
	bool met_saved;  /* the record of `saved` was there, and was that one */
	int64_t first;   /* place that was looked at */
	int64_t removed; /* last place that is gone by retention */
	struct audit_place place;
};

static void print_json(bool fits, const struct verification *v, int64_t place, const char *why)
{
	char hex[2 * AUDIT_HASH_SIZE + 1], head[sizeof hex + 24];
	json_t *object = json_object();

	hex_encode(v->place.hash, AUDIT_HASH_SIZE, hex);
	snprintf(head, sizeof head, "%" PRId64 ":%s", v->place.id, hex);
	json_object_set_new(object, "fits", json_boolean(fits));
	json_object_set_new(object, "from", json_integer(v->first));
	json_object_set_new(object, "to", json_integer(v->place.id));
	json_object_set_new(object, "head", json_string(head));
	if (!fits) {
		json_object_set_new(object, "place", json_integer(place));
		json_object_set_new(object, "why", json_string(why));
	}
	json_dumpf(object, stdout, JSON_INDENT(2) | JSON_ENSURE_ASCII);
	putchar('\n');
	json_decref(object);
}

/* Returns false, for `return complain(…)`. */
static bool complain(struct verification *v, int64_t place, const char *why)
{
	v->is_over = true;
	if (v->json)
		print_json(false, v, place, why);
	else
		print_complaint("record %" PRId64 ": %s", place, why);
	return false;
}

static void print_fits(struct verification *v)
{
	char hex[2 * AUDIT_HASH_SIZE + 1];

	hex_encode(v->place.hash, AUDIT_HASH_SIZE, hex);
	if (v->json)
		print_json(true, v, 0, NULL);
	else if (v->place.id < v->first)
		printf("there are no records to look at; head %" PRId64 ":%s\n", v->place.id, hex);
	else
		printf("records %" PRId64 " to %" PRId64 " are as they were written; head %" PRId64
			   ":%s\n",
			   v->first, v->place.id, v->place.id, hex);
}

/* ---- reading ---- */

/* A bytea of 32 bytes, as the server writes it; all zero where it is none. */
static void take_hash(const PGresult *rows, int row, int column,
					  unsigned char out[AUDIT_HASH_SIZE])
{
	const char *text = PQgetvalue(rows, row, column);

	memset(out, 0, AUDIT_HASH_SIZE);
	if (strlen(text) == HEX_LEN)
		hex_decode(text, HEX_LEN, out);
}

static int64_t take_id(const PGresult *rows, int row)
{
	return strtoll(PQgetvalue(rows, row, 0), NULL, 10);
}

/* The one row "place, hash" of a statement with a place as its parameter. False when there is
 * none, or (`is_over`) when it failed. */
static bool read_place(struct verification *v, const char *sql, int64_t id,
					   struct audit_place *out)
{
	char digits[24];
	const char *const values[] = {digits};

	snprintf(digits, sizeof digits, "%" PRId64, id);
	PGresult *row = control_db_query(v->control, sql, 1, values);
	if (!row) {
		v->is_over = true;
		return false;
	}
	bool found = PQntuples(row) == 1;
	if (found) {
		out->id = take_id(row, 0);
		take_hash(row, 0, 1, out->hash);
	}
	PQclear(row);
	return found;
}

#define RECORD_SQL                                                                             \
	"SELECT id, encode(hash, 'hex') FROM bulkhead_control.audit WHERE id = $1::bigint"
#define REMOVED_SQL                                                                            \
	"SELECT id, encode(hash, 'hex') FROM bulkhead_control.audit_checkpoint"                    \
	" WHERE id >= $1::bigint ORDER BY id DESC LIMIT 1"
#define HEAD_SQL                                                                               \
	"SELECT id, encode(hash, 'hex') FROM bulkhead_control.audit_head WHERE id >= $1::bigint"
/* That records were removed is a record itself, which is always younger than what it removed.
 */
#define PRUNED_SQL                                                                             \
	"SELECT id, after ->> 'hash' FROM bulkhead_control.audit"                                  \
	" WHERE action = 'audit.prune' AND kind = 'noted' AND after -> 'to' = "                    \
	"to_jsonb($1::bigint)"                                                                     \
	" ORDER BY id DESC LIMIT 1"

/* The place in front of the first record that is looked at. */
static bool find_start(struct verification *v, int64_t from)
{
	struct audit_place removed = {0}, pruned;
	bool has_removed = read_place(v, REMOVED_SQL, 1, &removed);

	if (v->is_over)
		return false;
	if (has_removed && (!read_place(v, PRUNED_SQL, removed.id, &pruned) ||
						memcmp(pruned.hash, removed.hash, sizeof pruned.hash) != 0)) {
		if (!v->is_over)
			complain(
				v, removed.id,
				"it is said to have been removed by retention, and no record tells of that");
		return false;
	}
	v->removed = removed.id;
	if (from <= removed.id + 1) {
		v->place = removed;
		if (from && from <= removed.id)
			return complain(v, from, "it was removed by retention");
	} else if (!read_place(v, RECORD_SQL, from - 1, &v->place)) {
		return v->is_over ? false : complain(v, from - 1, audit_fault_text(AUDIT_MISSING));
	}
	v->first = v->place.id + 1;
	return true;
}

/* ---- following ---- */

static void take_record(const PGresult *rows, int row, struct audit_record *out)
{
	out->id = take_id(rows, row);
	take_hash(rows, row, 1, out->prev_hash);
	take_hash(rows, row, 2, out->hash);
	for (int i = 0; i < AUDIT_PARTS; i++)
		out->part[i] = PQgetisnull(rows, row, 3 + i) ? NULL : PQgetvalue(rows, row, 3 + i);
}

/* The record that somebody kept the hash of, where this place is it. */
static bool look_at_saved(struct verification *v)
{
	if (v->place.id != v->saved->id)
		return true;
	if (memcmp(v->place.hash, v->saved->hash, AUDIT_HASH_SIZE) != 0)
		return complain(v, v->place.id, "it is another one than --head says");
	v->met_saved = true;
	return true;
}

static bool follow_rows(struct verification *v, const PGresult *rows)
{
	for (int row = 0; row < PQntuples(rows); row++) {
		struct audit_record record;

		take_record(rows, row, &record);
		enum audit_fault fault = audit_follow(&v->place, &record);
		if (fault != AUDIT_FITS)
			return complain(v, v->place.id + 1, audit_fault_text(fault));
		if (!look_at_saved(v))
			return false;
	}
	return true;
}

static bool follow_all(struct verification *v)
{
	static const char sql[] = "SELECT a.id, encode(a.prev_hash, 'hex'), encode(a.hash, "
							  "'hex'), " AUDIT_PARTS_SQL " FROM bulkhead_control.audit a"
							  " WHERE a.id > $1::bigint ORDER BY a.id LIMIT " PART;
	bool goes_on = true;

	while (goes_on) {
		char digits[24];
		const char *const values[] = {digits};

		snprintf(digits, sizeof digits, "%" PRId64, v->place.id);
		PGresult *rows = control_db_query(v->control, sql, 1, values);
		if (!rows)
			return false;
		int count = PQntuples(rows);
		goes_on = follow_rows(v, rows) && count > 0;
		PQclear(rows);
		if (v->is_over)
			return false;
	}
	return true;
}

/* What must come after the last record: nothing that is known of. */
static bool look_at_end(struct verification *v)
{
	struct audit_place head;

	if (!read_place(v, HEAD_SQL, 0, &head))
		return v->is_over ? false
						  : complain(v, v->place.id, "nothing says that it is the last");
	if (head.id > v->place.id)
		return complain(v, v->place.id + 1, audit_fault_text(AUDIT_MISSING));
	if (head.id < v->place.id || memcmp(head.hash, v->place.hash, sizeof head.hash) != 0)
		return complain(v, v->place.id, "it is not the one that was written last");
	if (v->saved->id > v->place.id)
		return complain(v, v->place.id + 1,
						"there is no record at this place, and --head is behind it");
	if (v->saved->id && !v->met_saved && v->saved->id >= v->first)
		return complain(v, v->saved->id, audit_fault_text(AUDIT_MISSING));
	return true;
}

static bool look_before_start(struct verification *v)
{
	const struct audit_saved *saved = v->saved;
	struct audit_place place;

	if (!saved->id || saved->id >= v->first)
		return true;
	if (saved->id < v->removed)
		return complain(v, saved->id, "it was removed by retention: --head says nothing now");
	if (saved->id == v->place.id)
		return look_at_saved(v);
	if (!read_place(v, RECORD_SQL, saved->id, &place))
		return v->is_over ? false : complain(v, saved->id, audit_fault_text(AUDIT_MISSING));
	if (memcmp(place.hash, saved->hash, sizeof place.hash) != 0)
		return complain(v, saved->id, "it is another one than --head says");
	v->met_saved = true;
	return true;
}

enum cli_exit audit_verify(PGconn *control, int64_t from, const struct audit_saved *saved,
						   bool json)
{
	struct verification v = {.control = control, .saved = saved, .json = json};
	PGresult *begun =
		control_db_query(control, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", 0, NULL);
	bool fits = begun && find_start(&v, from) && look_before_start(&v) && follow_all(&v) &&
				look_at_end(&v);

	PQclear(begun);
	if (fits)
		print_fits(&v);
	return fits ? CLI_DONE : CLI_FAILED;
}
