#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/sandbox.h"

char *sandbox_text(const char *format, ...)
{
	char *text = NULL;
	va_list arguments;

	va_start(arguments, format);
	int length = vasprintf(&text, format, arguments);
	va_end(arguments);
	if (length < 0) {
		fputs("bulkhead sandbox: out of memory\n", stderr);
		exit(EXIT_FAILURE);
	}
	return text;
}

bool sandbox_complain(const char *format, ...)
{
	va_list arguments;

	fputs("bulkhead sandbox: ", stderr);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
	return false;
}

char *sandbox_superuser_dsn(const struct sandbox *sandbox, const char *database)
{
	return sandbox_text("host=" SANDBOX_HOST " port=%d dbname=%s user=postgres password=%s",
						sandbox->postgres_port, database, sandbox->superuser_password);
}
