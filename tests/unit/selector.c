#include <criterion/criterion.h>

#include <stdlib.h>
#include <string.h>

#include "router/directory.h"
#include "router/selector.h"

static struct conf_listen listening(size_t count, const enum conf_selector *selectors)
{
	struct conf_listen listen = {.tenant = (char *)"acme", .user_separator = (char *)"."};

	listen.selector_count = count;
	memcpy(listen.selectors, selectors, count * sizeof *selectors);
	return listen;
}

static struct selector_choice chosen(enum conf_selector selector, struct selector_input input)
{
	struct conf_listen listen = listening(1, &selector);
	struct selector_choice choice;

	cr_assert(selector_choose(&listen, &input, &choice));
	return choice;
}

static void expect_user(const char *user, const char *principal, const char *tenant)
{
	struct selector_choice choice =
		chosen(SELECT_USER, (struct selector_input){.user = user, .database = "shop"});

	cr_expect_str_eq(choice.principal, principal);
	cr_expect_eq(choice.count, tenant ? 1 : 0, "user %s", user);
	if (tenant && choice.count == 1)
		cr_expect_str_eq(choice.tokens[0], tenant);
	cr_expect_not(choice.database_taken);
	selector_choice_fini(&choice);
}

Test(selector, user_is_split_at_the_last_separator)
{
	expect_user("shop.acme", "shop", "acme");
	expect_user("first.last.acme", "first.last", "acme");
	expect_user("shop.0190a5d2-7a3b-7c4d-8e5f-001122334455", "shop",
				"0190a5d2-7a3b-7c4d-8e5f-001122334455");
}

Test(selector, user_without_two_parts_names_no_tenant)
{
	expect_user("shop", "shop", NULL);
	expect_user("shop.", "shop.", NULL);
	expect_user(".acme", ".acme", NULL);
	expect_user(".", ".", NULL);
	expect_user("", "", NULL);
}

Test(selector, user_separator_is_configurable)
{
	enum conf_selector selector = SELECT_USER;
	struct conf_listen listen = listening(1, &selector);
	struct selector_input input = {.user = "shop.eu@acme"};
	struct selector_choice choice;

	listen.user_separator = (char *)"@";
	cr_assert(selector_choose(&listen, &input, &choice));
	cr_expect_str_eq(choice.principal, "shop.eu");
	cr_expect_str_eq(choice.tokens[0], "acme");
	selector_choice_fini(&choice);
}

Test(selector, database_is_used_up)
{
	struct selector_choice choice =
		chosen(SELECT_DATABASE, (struct selector_input){.user = "shop.x", .database = "acme"});

	cr_expect_str_eq(choice.principal, "shop.x");
	cr_expect_str_eq(choice.tokens[0], "acme");
	cr_expect(choice.database_taken);
	selector_choice_fini(&choice);
}

Test(selector, without_a_database_none_is_taken)
{
	struct selector_choice choice =
		chosen(SELECT_DATABASE, (struct selector_input){.user = "shop"});

	cr_expect_eq(choice.count, 0);
	cr_expect_not(choice.database_taken);
	selector_choice_fini(&choice);
}

Test(selector, startup_and_fixed_answer_when_they_are_set)
{
	struct selector_choice choice =
		chosen(SELECT_STARTUP, (struct selector_input){.user = "shop", .startup = "globex"});

	cr_expect_str_eq(choice.tokens[0], "globex");
	selector_choice_fini(&choice);

	choice = chosen(SELECT_STARTUP, (struct selector_input){.user = "shop"});
	cr_expect_eq(choice.count, 0);
	selector_choice_fini(&choice);

	choice = chosen(SELECT_FIXED, (struct selector_input){.user = "shop"});
	cr_expect_str_eq(choice.tokens[0], "acme");
	selector_choice_fini(&choice);
}

Test(selector, fixed_without_a_tenant_does_not_answer)
{
	enum conf_selector selector = SELECT_FIXED;
	struct conf_listen listen = listening(1, &selector);
	struct selector_input input = {.user = "shop"};
	struct selector_choice choice;

	listen.tenant = (char *)"";
	cr_assert(selector_choose(&listen, &input, &choice));
	cr_expect_eq(choice.count, 0);
	selector_choice_fini(&choice);
}

Test(selector, tokens_keep_the_order_of_the_list)
{
	enum conf_selector selectors[] = {SELECT_STARTUP, SELECT_FIXED, SELECT_USER,
									  SELECT_DATABASE};
	struct conf_listen listen = listening(4, selectors);
	struct selector_input input = {.user = "shop.u", .database = "d", .startup = "s"};
	struct selector_choice choice;

	cr_assert(selector_choose(&listen, &input, &choice));
	cr_assert_eq(choice.count, 4);
	cr_expect_str_eq(choice.tokens[0], "s");
	cr_expect_str_eq(choice.tokens[1], "acme");
	cr_expect_str_eq(choice.tokens[2], "u");
	cr_expect_str_eq(choice.tokens[3], "d");
	selector_choice_fini(&choice);
}

Test(selector, a_token_that_is_empty_or_too_long_is_refused)
{
	enum conf_selector selector = SELECT_STARTUP;
	struct conf_listen listen = listening(1, &selector);
	struct selector_choice choice;
	char longest[TENANT_TOKEN_MAX + 2];

	cr_expect_not(selector_choose(
		&listen, &(struct selector_input){.user = "shop", .startup = ""}, &choice));

	memset(longest, 'a', sizeof longest);
	longest[TENANT_TOKEN_MAX + 1] = '\0';
	cr_expect_not(selector_choose(
		&listen, &(struct selector_input){.user = "shop", .startup = longest}, &choice));
	longest[TENANT_TOKEN_MAX] = '\0';
	cr_assert(selector_choose(
		&listen, &(struct selector_input){.user = "shop", .startup = longest}, &choice));
	cr_expect_str_eq(choice.tokens[0], longest);
	selector_choice_fini(&choice);
}
