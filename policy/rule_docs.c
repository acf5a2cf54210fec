#include "policy/rule_docs.h"

#include "policy/rule.h"

static void write_places(FILE *out, unsigned places)
{
	static const struct {
		unsigned place;
		const char *name;
	} names[] = {{ON_SHARED, "shared tables"},
				 {ON_SCHEMA, "a schema of its own"},
				 {ON_DATABASE, "a database of its own"}};
	const char *before = "";

	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		if (places & names[i].place) {
			fprintf(out, "%s%s", before, names[i].name);
			before = ", ";
		}
	}
}

/* Words as code, so that no character of theirs means anything in Markdown. */
static void write_words(FILE *out, const char *what, const char *words)
{
	if (!words)
		return;
	fprintf(out, "- %s: `", what);
	for (; *words; words++) {
		if (*words == ' ')
			fputs("`, `", out);
		else
			fputc(*words, out);
	}
	fputs("`\n", out);
}

static void write_rule(FILE *out, const struct rule_text *rule)
{
	fprintf(out, "\n## %s\n\n> %s\n\n", rule->name, rule->message);
	if (rule->statements)
		fprintf(out, "- What: %s\n", rule->statements);
	write_words(out, "Functions, in whatever schema", rule->functions);
	write_words(out, "Relations, in whatever schema", rule->relations);
	write_words(out, "Settings", rule->settings);
	fprintf(out, "- Why: %s\n- Instead: %s\n- Where: ", rule->why, rule->instead);
	write_places(out, rule->places);
	fprintf(out, "\n- `%s`, %s\n", reason_code(rule->reason), reason_sqlstate(rule->reason));
}

void rule_write_docs(FILE *out)
{
	fputs("<!-- Made by `bulkhead conf --rules` from policy/rules.inc; change it there. -->\n\n"
		  "# Isolation rules\n\n"
		  "What the gate refuses whatever a tenant is permitted, and why. A rule sees a "
		  "statement "
		  "as it is written; what\nhappens inside of functions, views and triggers is "
		  "PostgreSQL's "
		  "to refuse. `*` stands for any rest of a name.\n\n"
		  "`[gate] exceptions` takes rules out of force by their names. `bulkhead "
		  "explain-statement` says which ones a\nstatement hits. Permissions are asked beside "
		  "them: see [operations](operations.md#the-gate).\n",
		  out);
	for (int i = 0; i < RULE_COUNT; i++)
		write_rule(out, rule_text((enum rule)i));
}
