#include "admin/api/validate.h"

#include <errno.h>
#include <inttypes.h>
#include <regex.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "base/uuid.h"

#define FAULTS_MAX      50
#define PLACE_SIZE      256
#define TEXT_MAX        1000
#define ARRAY_MAX       1000
#define MAP_MAX         100
#define JSON_BYTES_MAX  65536
#define TENANT_WORD_MAX 255
#define INTEGER_MAX     (INT64_C(1) << 53)

static const char time_pattern[] =
	"^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\\.[0-9]{1,9})?"
	"([Zz]|[+-][0-9]{2}:[0-9]{2})$";

void api_find_fault(struct api_findings *findings, const char *field, const char *format, ...)
{
	char detail[256];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(detail, sizeof detail, format, arguments);
	va_end(arguments);
	if (json_array_size(findings->faults) >= FAULTS_MAX)
		return;
	if (json_array_append_new(findings->faults,
							  json_pack("{s:s?, s:s}", "field", field, "detail", detail)) != 0)
		findings->out_of_memory = true;
}

bool api_matches(const char *text, const char *pattern)
{
	regex_t compiled;
	bool matches;

	if (regcomp(&compiled, pattern, REG_EXTENDED | REG_NOSUB) != 0)
		return false;
	matches = regexec(&compiled, text, 0, NULL, 0) == 0;
	regfree(&compiled);
	return matches;
}

/* ---- values ---- */

static size_t count_characters(const char *text, size_t len)
{
	size_t count = 0;

	for (size_t i = 0; i < len; i++)
		count += ((unsigned char)text[i] & 0xc0) != 0x80;
	return count;
}

static bool is_printable(const char *text, size_t len, bool lines)
{
	for (size_t i = 0; i < len; i++) {
		unsigned char byte = (unsigned char)text[i];

		if (byte == 0x7f || (byte < 0x20 && !(lines && strchr("\t\n\r", byte) && byte)))
			return false;
	}
	return true;
}

static bool is_choice(const char *text, const char *const *choices)
{
	for (; *choices; choices++) {
		if (strcmp(text, *choices) == 0)
			return true;
	}
	return false;
}

static bool check_choice(const char *text, const struct api_field *field, const char *place,
						 struct api_findings *findings)
{
	char list[200] = "";
	size_t len = 0;

	if (!field->choices || is_choice(text, field->choices))
		return true;
	for (const char *const *choice = field->choices; *choice && len < sizeof list - 1; choice++)
		len +=
			(size_t)snprintf(list + len, sizeof list - len, "%s%s", len ? ", " : "", *choice);
	api_find_fault(findings, place, "it must be one of %s", list);
	return false;
}

static bool check_text(const json_t *value, const struct api_field *field, const char *place,
					   struct api_findings *findings)
{
	const char *text = json_string_value(value);
	size_t len = json_string_length(value), count;
	int64_t max = field->max ? field->max : TEXT_MAX;

	if (!text) {
		api_find_fault(findings, place, "it must be a text");
		return false;
	}
	count = count_characters(text, len);
	if (count < (size_t)field->min || count > (size_t)max)
		api_find_fault(findings, place, "it must have %" PRId64 " to %" PRId64 " characters",
					   field->min, max);
	else if (!is_printable(text, len, field->flags & API_LINES))
		api_find_fault(findings, place, "it must not hold control characters");
	else if (field->pattern && !api_matches(text, field->pattern))
		api_find_fault(findings, place, "it must match %s", field->pattern);
	else
		return check_choice(text, field, place, findings);
	return false;
}

static bool check_tenant_word(const json_t *value, const char *place,
							  struct api_findings *findings)
{
	const char *text = json_string_value(value);
	size_t len = json_string_length(value);

	if (!text || len < 1 || len > TENANT_WORD_MAX || !is_printable(text, len, false)) {
		api_find_fault(findings, place,
					   "it must be a tenant's id, slug or key, of 1 to %d bytes",
					   TENANT_WORD_MAX);
		return false;
	}
	if (json_object_set_new(findings->tenants, place, json_string(text)) != 0)
		findings->out_of_memory = true;
	return true;
}

static bool check_uuid(const json_t *value, const char *place, struct api_findings *findings)
{
	struct uuid uuid;
	const char *text = json_string_value(value);

	if (text && uuid_parse(text, json_string_length(value), &uuid))
		return true;
	api_find_fault(findings, place, "it must be a uuid");
	return false;
}

static bool is_day(int year, int month, int day)
{
	static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	bool is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

	return month >= 1 && month <= 12 && day >= 1 &&
		   day <= days[month - 1] + (month == 2 && is_leap);
}

/*
 * Of what has the form of a time, whether it is one that PostgreSQL has too. The last year is
 * left out: in another zone, or rounded, it may be the year 10000, which has no form.
 */
static bool is_moment(const char *text)
{
	int year, month, day, hour, minute, second, zone_hour = 0, zone_minute = 0;
	const char *zone = text + strlen(text) - 6;

	if (sscanf(text, "%4d-%2d-%2d%*c%2d:%2d:%2d", &year, &month, &day, &hour, &minute,
			   &second) != 6)
		return false;
	if (*zone == '+' || *zone == '-')
		sscanf(zone + 1, "%2d:%2d", &zone_hour, &zone_minute);
	return year >= 1 && year < 9999 && is_day(year, month, day) && hour < 24 && minute < 60 &&
		   second <= 60 && zone_hour < 16 && zone_minute < 60;
}

static bool check_time(const json_t *value, const char *place, struct api_findings *findings)
{
	const char *text = json_string_value(value);

	if (text && strlen(text) < 64 && api_matches(text, time_pattern) && is_moment(text))
		return true;
	api_find_fault(findings, place, "it must be a time as in 2026-01-31T23:59:59Z");
	return false;
}

static bool check_integer(const json_t *value, const struct api_field *field, const char *place,
						  struct api_findings *findings)
{
	bool bound = field->min || field->max;
	int64_t min = bound ? field->min : -INTEGER_MAX, max = bound ? field->max : INTEGER_MAX;

	if (json_is_integer(value) && json_integer_value(value) >= min &&
		json_integer_value(value) <= max)
		return true;
	api_find_fault(findings, place, "it must be an integer of %" PRId64 " to %" PRId64, min,
				   max);
	return false;
}

static bool check_number(const json_t *value, const struct api_field *field, const char *place,
						 struct api_findings *findings)
{
	bool bound = field->min || field->max;
	double number = json_number_value(value);

	if (json_is_number(value) &&
		(!bound || (number >= (double)field->min && number <= (double)field->max)))
		return true;
	if (bound)
		api_find_fault(findings, place, "it must be a number of %" PRId64 " to %" PRId64,
					   field->min, field->max);
	else
		api_find_fault(findings, place, "it must be a number");
	return false;
}

static bool check_json(const json_t *value, const struct api_field *field, const char *place,
					   struct api_findings *findings)
{
	size_t max = field->max ? (size_t)field->max : JSON_BYTES_MAX;
	size_t len = json_dumpb(value, NULL, 0, JSON_COMPACT | JSON_ENCODE_ANY);

	if (len && len <= max)
		return true;
	api_find_fault(findings, place, "it must not have more than %zu bytes", max);
	return false;
}

static bool check_value(json_t *value, const struct api_field *field, const char *place,
						struct api_findings *findings);

static bool check_array(json_t *value, const struct api_field *field, const char *place,
						struct api_findings *findings)
{
	size_t max = field->max ? (size_t)field->max : ARRAY_MAX, count = json_array_size(value);
	char within[PLACE_SIZE];
	bool good = true;

	if (!json_is_array(value) || count < (size_t)field->min || count > max) {
		api_find_fault(findings, place, "it must be an array of %" PRId64 " to %zu elements",
					   field->min, max);
		return false;
	}
	for (size_t i = 0; i < count; i++) {
		snprintf(within, sizeof within, "%s[%zu]", place, i);
		good = check_value(json_array_get(value, i), field->fields, within, findings) && good;
	}
	return good;
}

/* What is cut must not lose a part of a character. */
static void name_place(char out[PLACE_SIZE], const char *place, const char *name)
{
	snprintf(out, PLACE_SIZE, "%s.%.64s", place, name);
	while (!utf8_valid(out, strlen(out)))
		out[strlen(out) - 1] = '\0';
}

static bool check_map(json_t *value, const struct api_field *field, const char *place,
					  struct api_findings *findings)
{
	size_t max = field->max ? (size_t)field->max : MAP_MAX, count = json_object_size(value);
	char within[PLACE_SIZE];
	bool good = true;
	const char *name;
	json_t *member;

	if (!json_is_object(value) || count < (size_t)field->min || count > max) {
		api_find_fault(findings, place, "it must be an object of %" PRId64 " to %zu members",
					   field->min, max);
		return false;
	}
	json_object_foreach(value, name, member)
	{
		name_place(within, place, name);
		good = check_value(member, field->fields, within, findings) && good;
	}
	return good;
}

static bool check_value(json_t *value, const struct api_field *field, const char *place,
						struct api_findings *findings)
{
	if (json_is_null(value) && (field->flags & API_NULLABLE))
		return true;
	switch (field->type) {
	case API_TEXT:
		return check_text(value, field, place, findings);
	case API_TENANT_WORD:
		return check_tenant_word(value, place, findings);
	case API_UUID:
		return check_uuid(value, place, findings);
	case API_INTEGER:
		return check_integer(value, field, place, findings);
	case API_NUMBER:
		return check_number(value, field, place, findings);
	case API_BOOLEAN:
		if (!json_is_boolean(value))
			api_find_fault(findings, place, "it must be true or false");
		return json_is_boolean(value);
	case API_TIME:
		return check_time(value, place, findings);
	case API_JSON:
		return check_json(value, field, place, findings);
	case API_OBJECT:
		return api_validate(value, field->fields, place, findings);
	case API_ARRAY:
		return check_array(value, field, place, findings);
	case API_MAP:
		return check_map(value, field, place, findings);
	}
	return false;
}

/* ---- objects ---- */

static const struct api_field *find_field(const struct api_field *fields, const char *name)
{
	for (; fields && fields->name; fields++) {
		if (strcmp(fields->name, name) == 0)
			return fields;
	}
	return NULL;
}

static void preset(json_t *object, const struct api_field *field, struct api_findings *findings)
{
	json_t *value = json_loads(field->preset, JSON_DECODE_ANY, NULL);

	if (json_object_set_new(object, field->name, value) != 0)
		findings->out_of_memory = true;
}

bool api_validate(json_t *object, const struct api_field *fields, const char *place,
				  struct api_findings *findings)
{
	char within[PLACE_SIZE];
	const char *name;
	json_t *value;
	bool good = true;

	if (!json_is_object(object)) {
		api_find_fault(findings, place, "it must be an object");
		return false;
	}
	json_object_foreach(object, name, value)
	{
		const struct api_field *field = find_field(fields, name);

		name_place(within, place, name);
		if (!field)
			api_find_fault(findings, within, "there is no such field");
		good = field && check_value(value, field, within, findings) && good;
	}
	for (const struct api_field *field = fields; field && field->name; field++) {
		if (json_object_get(object, field->name))
			continue;
		name_place(within, place, field->name);
		if (field->flags & API_REQUIRED) {
			api_find_fault(findings, within, "it is missing");
			good = false;
		} else if (field->preset) {
			preset(object, field, findings);
		}
	}
	return good;
}

/* ---- texts ---- */

static json_t *read_integer(const char *text)
{
	char *end = NULL;

	errno = 0;
	long long number = strtoll(text, &end, 10);
	bool plain = *text && strspn(text, "-0123456789") == strlen(text);
	return plain && !errno && !*end ? json_integer(number) : json_string(text);
}

static json_t *read_list(const char *text, const struct api_field *element);

/* What cannot be read stays a text, and is no value of its type. */
static json_t *read_text(const char *text, const struct api_field *field)
{
	switch (field->type) {
	case API_INTEGER:
	case API_NUMBER:
		return read_integer(text);
	case API_BOOLEAN:
		if (strcmp(text, "true") == 0 || strcmp(text, "false") == 0)
			return json_boolean(*text == 't');
		return json_string(text);
	case API_ARRAY:
		return read_list(text, field->fields);
	case API_TEXT:
	case API_TENANT_WORD:
	case API_UUID:
	case API_TIME:
	case API_JSON:
	case API_OBJECT:
	case API_MAP:
		break;
	}
	return json_string(text);
}

static json_t *read_list(const char *text, const struct api_field *element)
{
	json_t *list = json_array();
	char *copy = strdup(text), *rest = copy, *item;

	while (copy && (item = strsep(&rest, ",")) != NULL)
		json_array_append_new(list, read_text(item, element));
	free(copy);
	return list;
}

bool api_validate_texts(json_t *object, const struct api_field *fields, const char *place,
						struct api_findings *findings)
{
	for (const struct api_field *field = fields; field && field->name; field++) {
		const char *text = json_string_value(json_object_get(object, field->name));

		if (text && json_object_set_new(object, field->name, read_text(text, field)) != 0)
			findings->out_of_memory = true;
	}
	return api_validate(object, fields, place, findings);
}
