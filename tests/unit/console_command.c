/* What texts mean on the console. */
#include <criterion/criterion.h>

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/console_command.h"

/* Reads the only command of a text. */
static struct console_command read_one(const char *text)
{
	struct console_command command, more;
	size_t at = 0;

	console_command_read(text, &at, &command);
	if (command.verb == CONSOLE_WRONG)
		return command;
	console_command_read(text, &at, &more);
	cr_expect_eq(more.verb, CONSOLE_NONE, "%s", text);
	console_command_fini(&more);
	return command;
}

static void expect_tenant(const char *text, enum console_verb verb, const char *tenant)
{
	struct console_command command = read_one(text);

	cr_expect_eq(command.verb, verb, "%s", text);
	if (tenant)
		cr_expect(command.tenant && strcmp(command.tenant, tenant) == 0, "%s names %s", text,
				  command.tenant);
	else
		cr_expect_null(command.tenant, "%s", text);
	console_command_fini(&command);
}

Test(console_command, case_blanks_and_comments_do_not_matter)
{
	static const char *const pools[] = {
		"SHOW POOLS",         "show pools;",
		"  Show\t\nPools ; ", "/* a /* nested */ one */ show -- to the end\n pools",
		";;show pools;;",     "show/**/pools",
	};

	for (size_t i = 0; i < sizeof pools / sizeof *pools; i++) {
		struct console_command command = read_one(pools[i]);

		cr_expect_eq(command.verb, CONSOLE_SHOW, "%s", pools[i]);
		cr_expect_eq(command.show, SHOW_POOLS, "%s", pools[i]);
		cr_expect_str_eq(command.tag, "SHOW");
		console_command_fini(&command);
	}
}

Test(console_command, a_tenant_is_taken_as_it_is_written)
{
	expect_tenant("pause", CONSOLE_PAUSE, NULL);
	expect_tenant("PAUSE acme;", CONSOLE_PAUSE, "acme");
	expect_tenant("kill Acme--1", CONSOLE_KILL, "Acme--1");
	expect_tenant("kill 01a2215f-0902-7fab-aaa0-6c91d707d438", CONSOLE_KILL,
				  "01a2215f-0902-7fab-aaa0-6c91d707d438");
	expect_tenant("resume 'a key; of \"theirs\"''s' -- so", CONSOLE_RESUME,
				  "a key; of \"theirs\"'s");
	expect_tenant("reconnect \"101\"", CONSOLE_RECONNECT, "101");
	expect_tenant("reconnect \xc3\xa4", CONSOLE_RECONNECT, "\xc3\xa4");
}

Test(console_command, what_drivers_send_is_nothing)
{
	static const struct {
		const char *text, *tag;
		enum console_verb verb;
	} all[] = {
		{"SET extra_float_digits = 3", "SET", CONSOLE_NOTHING},
		{"SET application_name = 'x; kill acme'", "SET", CONSOLE_NOTHING},
		{"set datestyle to 'ISO', \"MDY\"", "SET", CONSOLE_NOTHING},
		{"DISCARD ALL", "DISCARD ALL", CONSOLE_NOTHING},
		{"RESET ALL", "RESET", CONSOLE_NOTHING},
		{"DEALLOCATE ALL", "DEALLOCATE ALL", CONSOLE_NOTHING},
		{"BEGIN ISOLATION LEVEL SERIALIZABLE, READ ONLY", "BEGIN", CONSOLE_BEGIN},
		{"START TRANSACTION", "START TRANSACTION", CONSOLE_BEGIN},
		{"COMMIT", "COMMIT", CONSOLE_END},
		{"ROLLBACK WORK", "ROLLBACK", CONSOLE_END},
	};

	for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
		struct console_command command = read_one(all[i].text);

		cr_expect_eq(command.verb, all[i].verb, "%s", all[i].text);
		cr_expect_str_eq(command.tag, all[i].tag);
		console_command_fini(&command);
	}
}

Test(console_command, a_text_may_hold_several)
{
	static const char text[] = "show version; ; pause acme;show /* ; */ state";
	static const enum console_verb verbs[] = {CONSOLE_SHOW, CONSOLE_PAUSE, CONSOLE_SHOW,
											  CONSOLE_NONE, CONSOLE_NONE};
	struct console_command command;
	size_t at = 0;

	for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++) {
		console_command_read(text, &at, &command);
		cr_expect_eq(command.verb, verbs[i], "the command %zu", i);
		console_command_fini(&command);
	}
	cr_expect_eq(at, sizeof text - 1);
}

Test(console_command, everything_else_is_wrong)
{
	static const char *const wrong[] = {
		"SELECT 1",
		"shows pools",
		"show",
		"show all",
		"show pools please",
		"show 'pools'",
		"show \"pools\"",
		"'show' pools",
		"show pools, clients",
		"kill",
		"kill ;",
		"kill ''",
		"kill 'acme",
		"kill \"acme",
		"kill acme globex",
		"kill acme, globex",
		"kill *",
		"kill $1",
		"kill acme' or '1'='1",
		"pause =",
		"reload now",
		"shutdown wait_for_clients",
		"set x = 'never closed",
		"killacme",
		"kill;acme",
		"\x01",
		"COPY orders TO STDOUT",
	};

	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		struct console_command command = read_one(wrong[i]);

		cr_expect_eq(command.verb, CONSOLE_WRONG, "%s", wrong[i]);
		cr_expect_not_null(command.wrong);
		console_command_fini(&command);
	}
}

Test(console_command, an_empty_text_is_none)
{
	static const char *const empty[] = {"", " ", ";", " ;; -- nothing", "/* never closed"};

	for (size_t i = 0; i < sizeof empty / sizeof *empty; i++)
		expect_tenant(empty[i], CONSOLE_NONE, NULL);
}

/* Whatever the bytes, it ends, within the text, and gives back what it takes (ASan looks). */
Test(console_command, any_bytes_are_read_to_an_end)
{
	static const char pieces[] = "kill show pause 'a\"-/*;\n \x80\xff=$.()acme--*/set";
	char text[48];

	srand(20261128);
	for (int round = 0; round < 200000; round++) {
		size_t len = (size_t)rand() % (sizeof text - 1), at = 0;
		struct console_command command = {.verb = CONSOLE_SHOW};

		for (size_t i = 0; i < len; i++)
			text[i] = pieces[(size_t)rand() % (sizeof pieces - 1)];
		text[len] = '\0';
		for (int i = 0; command.verb != CONSOLE_NONE && command.verb != CONSOLE_WRONG; i++) {
			cr_assert(i <= (int)len, "%s", text);
			console_command_read(text, &at, &command);
			cr_assert(at <= len, "%s", text);
			enum console_verb verb = command.verb;
			console_command_fini(&command);
			command.verb = verb;
		}
	}
}
