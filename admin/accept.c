#include "admin/accept.h"

#include <stddef.h>
#include <string.h>
#include <strings.h>

#define WEIGHT_ONE 1000 /* of three decimals */

/* A piece of the header; not ended by NUL. */
struct span {
	const char *at;
	size_t len;
};

static struct span trim(struct span span)
{
	while (span.len && strchr(" \t", span.at[0])) {
		span.at++;
		span.len--;
	}
	while (span.len && strchr(" \t", span.at[span.len - 1]))
		span.len--;
	return span;
}

/* Cuts off what stands in front of the next `separator`, but for one in a quoted string. */
static struct span cut(struct span *rest, char separator)
{
	struct span piece = *rest;
	bool is_quoted = false;
	size_t len = 0;

	while (len < rest->len && (is_quoted || rest->at[len] != separator)) {
		if (is_quoted && rest->at[len] == '\\' && len + 1 < rest->len)
			len++;
		else if (rest->at[len] == '"')
			is_quoted = !is_quoted;
		len++;
	}
	piece.len = len;
	len += len < rest->len;
	rest->at += len;
	rest->len -= len;
	return trim(piece);
}

static bool is(struct span span, const char *word)
{
	return span.len == strlen(word) && strncasecmp(span.at, word, span.len) == 0;
}

/* `0.75` as 750; -1 when it is none. */
static int read_weight(struct span span)
{
	int weight = 0, unit = WEIGHT_ONE;

	if (!span.len || span.len > 5)
		return -1;
	for (size_t i = 0; i < span.len; i++) {
		if (i == 1 && span.at[i] == '.')
			continue;
		if (i == 1 || span.at[i] < '0' || span.at[i] > '9')
			return -1;
		weight += (span.at[i] - '0') * unit;
		unit /= 10;
	}
	return weight <= WEIGHT_ONE ? weight : -1;
}

/* One element of the list: its weight, or -1 when it is malformed. *version is empty when it
 * has none. */
static int read_element(struct span element, struct span *type, struct span *version)
{
	int weight = WEIGHT_ONE;

	*version = (struct span){"", 0};
	*type = cut(&element, ';');
	while (element.len) {
		struct span value = cut(&element, ';');
		struct span name = cut(&value, '=');

		if (is(name, "q"))
			weight = read_weight(trim(value));
		else if (is(name, "version"))
			*version = trim(value);
	}
	return weight;
}

bool accept_prefers_openmetrics(const char *accept)
{
	struct span rest = {accept, strlen(accept)}, type, version;
	int openmetrics = 0, plain = -1, range = -1;

	while (rest.len) {
		int weight = read_element(cut(&rest, ','), &type, &version);

		if (is(type, "application/openmetrics-text")) {
			if ((!version.len || is(version, "1.0.0")) && weight > openmetrics)
				openmetrics = weight;
		} else if (is(type, "text/plain")) {
			if ((!version.len || is(version, "0.0.4")) && weight > plain)
				plain = weight;
		} else if ((is(type, "text/*") || is(type, "*/*")) && weight > range) {
			range = weight;
		}
	}
	return openmetrics > 0 && openmetrics >= (plain >= 0 ? plain : range);
}
