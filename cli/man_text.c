#include "cli/man_text.h"

#include <string.h>

#include "base/utf8.h"

static void write_character(FILE *out, const char *at, size_t len)
{
	if (*at == '\\')
		fputs("\\e", out);
	else if (*at == '-')
		fputs("\\-", out);
	else if (*at == '\'')
		fputs("\\(aq", out);
	else if (*at == '`')
		fputs("\\(ga", out);
	else if (*at == '^')
		fputs("\\(ha", out);
	else if (*at == '~')
		fputs("\\(ti", out);
	else if (*at == '"')
		fputs("\\(dq", out);
	else if (len == 3 && memcmp(at, "\xe2\x80\xa6", 3) == 0)
		fputs("...", out);
	else
		fwrite(at, 1, len, out);
}

static void write_characters(FILE *out, const char *text, size_t left)
{
	size_t len;

	for (; left > 0; text += len, left -= len) {
		len = utf8_character(text, left);
		len = len ? len : 1;
		write_character(out, text, len);
	}
}

void man_text(FILE *out, const char *text)
{
	write_characters(out, text, strlen(text));
}

void man_verbatim(FILE *out, const char *line, size_t len)
{
	if (len > 0 && (*line == '.' || *line == '\''))
		fputs("\\&", out);
	write_characters(out, line, len);
}

void man_line(FILE *out, const char *text)
{
	while (*text) {
		size_t len = strcspn(text, "\n");

		if (len > 0)
			man_verbatim(out, text, len);
		putc('\n', out);
		text += len + (text[len] == '\n');
	}
}

void man_sentence(FILE *out, const char *text)
{
	size_t len = strlen(text);

	man_verbatim(out, text, len);
	fputs(len > 0 && text[len - 1] == '.' ? "\n" : ".\n", out);
}
