#include "admin/api/read_json.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"

/* ---- where a byte is ---- */

/* The way from the top to where the scan is: of an array the number, of an object the last
 * name.
 */
struct step {
	bool is_array;
	const char *name; /* within the text, in quotes */
	size_t name_len;
	size_t number;
};

struct scan {
	struct step steps[API_JSON_DEPTH + 1];
	size_t depth; /* may be more than there is room for */
	bool wants_name;
	bool is_too_deep;
};

static struct step *top(struct scan *scan)
{
	return scan->depth && scan->depth <= API_JSON_DEPTH + 1 ? &scan->steps[scan->depth - 1]
															: NULL;
}

static void enter(struct scan *scan, bool is_array)
{
	scan->depth++;
	if (scan->depth > API_JSON_DEPTH)
		scan->is_too_deep = true;
	if (top(scan))
		*top(scan) = (struct step){.is_array = is_array};
	scan->wants_name = !is_array;
}

static void leave(struct scan *scan)
{
	if (scan->depth)
		scan->depth--;
	scan->wants_name = false;
}

static void separate(struct scan *scan)
{
	struct step *step = top(scan);

	if (step && step->is_array)
		step->number++;
	scan->wants_name = step && !step->is_array;
}

/* The closing quote of the text that begins at `at`, or the end where there is none. */
static size_t skip_text(const char *text, size_t len, size_t at)
{
	for (at++; at < len && text[at] != '"'; at++) {
		if (text[at] == '\\')
			at++;
	}
	return at < len ? at : len;
}

/* Scans up to `offset`, or until it is too deep; returns where it stopped. */
static size_t scan_to(struct scan *scan, const char *text, size_t len, size_t offset)
{
	size_t at = 0;

	for (; at < len && at < offset && !scan->is_too_deep; at++) {
		size_t begin = at;

		switch (text[at]) {
		case '{':
		case '[':
			enter(scan, text[at] == '[');
			break;
		case '}':
		case ']':
			leave(scan);
			break;
		case ',':
			separate(scan);
			break;
		case '"':
			at = skip_text(text, len, at);
			if (scan->wants_name && top(scan)) {
				top(scan)->name = text + begin + 1;
				top(scan)->name_len = at - begin - 1;
			}
			scan->wants_name = false;
			break;
		default:
			break;
		}
	}
	return at;
}

static size_t append(char *out, size_t size, size_t at, const char *text, size_t len)
{
	for (size_t i = 0; i < len && at + 1 < size; i++, at++)
		out[at] = (unsigned char)text[i] < 0x20 || text[i] == 0x7f ? '?' : text[i];
	out[at] = '\0';
	return at;
}

static void write_place(const struct scan *scan, char *out, size_t size)
{
	size_t at = append(out, size, 0, "body", 4);

	for (size_t i = 0; i < scan->depth && i <= API_JSON_DEPTH; i++) {
		const struct step *step = &scan->steps[i];
		char number[32];

		if (step->is_array) {
			int len = snprintf(number, sizeof number, "[%zu]", step->number);
			at = append(out, size, at, number, (size_t)len);
		} else if (step->name) {
			at = append(out, size, at, ".", 1);
			at = append(out, size, at, step->name, step->name_len < 64 ? step->name_len : 64);
		}
	}
	/* A name that was cut, or is no UTF-8, must not spoil the answer. */
	while (at && !utf8_valid(out, at))
		out[--at] = '\0';
}

void api_json_place(const char *text, size_t len, size_t offset, char *out, size_t size)
{
	struct scan scan = {.depth = 0};

	scan_to(&scan, text, len, offset);
	write_place(&scan, out, size);
}

/* ---- reading ---- */

static const char *explain(const json_error_t *error)
{
	switch (json_error_code(error)) {
	case json_error_duplicate_key:
		return "this name occurs twice";
	case json_error_numeric_overflow:
		return "this number is too large";
	case json_error_invalid_utf8:
		return "this is not UTF-8";
	case json_error_null_character:
	case json_error_null_byte_in_key:
		return "NUL is not allowed";
	case json_error_end_of_input_expected:
		return "there is something behind the JSON value";
	case json_error_premature_end_of_input:
		return "the JSON ends too early";
	case json_error_out_of_memory:
		return "there is no memory for it";
	default:
		return "this is not JSON";
	}
}

json_t *api_read_json(const char *text, size_t len, struct api_fault *fault)
{
	struct scan scan = {.depth = 0};
	json_error_t error;

	scan_to(&scan, text, len, len);
	if (scan.is_too_deep) {
		write_place(&scan, fault->field, sizeof fault->field);
		snprintf(fault->detail, sizeof fault->detail, "this is deeper than %d levels",
				 API_JSON_DEPTH);
		return NULL;
	}
	/* Behind a number jansson overlooks it. */
	const char *nul = len ? memchr(text, '\0', len) : NULL;
	if (nul) {
		api_json_place(text, len, (size_t)(nul - text), fault->field, sizeof fault->field);
		snprintf(fault->detail, sizeof fault->detail, "NUL is not allowed");
		return NULL;
	}
	json_t *value = json_loadb(text, len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
	if (value)
		return value;
	/* jansson's position is behind what it complains of. */
	size_t offset = error.position > 0 ? (size_t)error.position : 0;
	api_json_place(text, len, offset, fault->field, sizeof fault->field);
	snprintf(fault->detail, sizeof fault->detail, "%s", explain(&error));
	return NULL;
}

void api_json_compact(char *text)
{
	char *to = text;
	bool quoted = false;

	for (const char *from = text; *from; from++) {
		if (*from == '"')
			quoted = !quoted;
		else if (quoted && *from == '\\')
			*to++ = *from++;
		else if (!quoted && strchr(" \t\n\r", *from))
			continue;
		*to++ = *from;
	}
	*to = '\0';
}
