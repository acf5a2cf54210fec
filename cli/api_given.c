/* What stands on the command line of a verb of the API. */
#include <ctype.h>
#include <string.h>

#include "cli/api_options.h"
#include "cli/print.h"

/* Of the command line while it is read. */
struct reading {
	struct api_given *given;
	const struct api_grammar *grammar;
	int at, argc;
	char **argv;
};

static const struct api_option *find_option(const struct api_grammar *grammar, const char *name,
											size_t len)
{
	for (size_t i = 0; i < grammar->option_count; i++) {
		if (strlen(grammar->options[i].name) == len &&
			strncmp(grammar->options[i].name, name, len) == 0)
			return &grammar->options[i];
	}
	return NULL;
}

static bool note(struct reading *reading, const struct api_option *option, const char *value)
{
	size_t nth = (size_t)(option - reading->grammar->options);

	if (reading->given->values[nth] && *option->metavar) {
		print_complaint("--%s is given twice", option->name);
		return false;
	}
	reading->given->values[nth] = value;
	if (option->place == API_PLACE_OWN)
		reading->given->own[option->own] = value;
	return true;
}

/* One that starts with --; its value may be what comes next. */
static bool read_option(struct reading *reading)
{
	const char *word = reading->argv[reading->at] + 2;
	size_t len = strcspn(word, "=");
	const struct api_option *option = find_option(reading->grammar, word, len);

	if (!option) {
		print_complaint("there is no option --%.*s here", (int)len, word);
		return false;
	}
	if (!*option->metavar) {
		if (word[len])
			print_complaint("--%s takes no value", option->name);
		return !word[len] && note(reading, option, "");
	}
	if (word[len])
		return note(reading, option, word + len + 1);
	if (reading->at + 1 >= reading->argc) {
		print_complaint("--%s wants a value", option->name);
		return false;
	}
	return note(reading, option, reading->argv[++reading->at]);
}

static bool read_word(struct reading *reading)
{
	struct api_given *given = reading->given;

	if (given->word_count == reading->grammar->word_count) {
		/* Not the word itself: it may be a password that was meant for elsewhere. */
		print_complaint("there is a word too many");
		return false;
	}
	given->words[given->word_count++] = reading->argv[reading->at];
	return true;
}

static bool has_all_words(const struct api_given *given, const struct api_grammar *grammar)
{
	for (size_t i = given->word_count; i < grammar->word_count; i++) {
		if (!grammar->words[i].is_optional) {
			print_complaint("the word %s is wanted", grammar->words[i].name);
			return false;
		}
	}
	return true;
}

/* Two options of one field would be two values for it. */
static bool is_unique(const struct api_given *given, const struct api_grammar *grammar)
{
	for (size_t i = 0; i < grammar->option_count; i++) {
		const struct api_option *option = &grammar->options[i];

		for (size_t j = 0; given->values[i] && option->field && j < i; j++) {
			if (given->values[j] && grammar->options[j].field == option->field) {
				print_complaint("--%s and --%s are one too many", grammar->options[j].name,
								option->name);
				return false;
			}
		}
	}
	return true;
}

static bool is_given(const struct api_given *given, const struct api_grammar *grammar,
					 const struct api_field *field)
{
	for (size_t i = 0; i < grammar->option_count; i++) {
		if (given->values[i] && grammar->options[i].field == field)
			return true;
	}
	for (size_t i = 0; i < given->word_count; i++) {
		if (grammar->words[i].field == field)
			return true;
	}
	return given->own[OWN_DATA];
}

/* The first option of a field is what is asked for, or the word that may be left out. */
static void want(const struct api_grammar *grammar, const struct api_option *option)
{
	for (size_t i = 0; i < grammar->word_count; i++) {
		if (grammar->words[i].field == option->field) {
			print_complaint("%s or --%s is wanted", grammar->words[i].name, option->name);
			return;
		}
	}
	print_complaint("--%s is wanted", option->name);
}

static bool has_all_fields(const struct api_given *given, const struct api_grammar *grammar)
{
	for (size_t i = 0; i < grammar->option_count; i++) {
		const struct api_field *field = grammar->options[i].field;

		if (field && field->flags & API_REQUIRED && !field->preset &&
			!is_given(given, grammar, field)) {
			want(grammar, &grammar->options[i]);
			return false;
		}
	}
	return true;
}

bool api_given_read(struct api_given *given, const struct api_grammar *grammar, int argc,
					char **argv)
{
	struct reading reading = {
		.given = given, .grammar = grammar, .at = 1, .argc = argc, .argv = argv};
	bool is_over = false, fits = true;

	*given = (struct api_given){.word_count = 0};
	for (; fits && reading.at < argc; reading.at++) {
		const char *word = argv[reading.at];

		if (is_over || word[0] != '-' || !word[1] || isdigit((unsigned char)word[1]))
			fits = read_word(&reading);
		else if (strcmp(word, "--") == 0)
			is_over = true;
		else if (strcmp(word, "-h") == 0)
			given->own[OWN_HELP] = "";
		else if (strncmp(word, "--", 2) == 0)
			fits = read_option(&reading);
		else {
			print_complaint("there is no option %.2s here", word);
			fits = false;
		}
	}
	return fits && (given->own[OWN_HELP] ||
					(has_all_words(given, grammar) && is_unique(given, grammar) &&
					 has_all_fields(given, grammar)));
}
