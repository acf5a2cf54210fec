/* The judges of the self-checks of tenants' own logins. */
#include <string.h>

#include <criterion/criterion.h>

#include "base/buf.h"
#include "base/uuid.h"
#include "policy/guard/guard.h"

#define HEX "11111111222243338444555555555555"

static const char login[] = "t_" HEX;

static struct uuid tenant(void)
{
	struct uuid id;

	cr_assert(uuid_parse(HEX, strlen(HEX), &id));
	return id;
}

typedef bool judge_fn(const char *const fields[], size_t count, const struct uuid *tenant,
					  struct buf *why);

/* What the judge says against these fields; "" when nothing. */
static const char *said(judge_fn *judge, const char *const fields[], size_t count)
{
	static char text[2048];
	struct uuid id = tenant();
	struct buf why;

	buf_init(&why);
	bool fit = judge(fields, count, &id, &why);
	cr_assert_eq(fit, buf_len(&why) == 0);
	cr_assert_lt(buf_len(&why), sizeof text);
	if (!fit)
		memcpy(text, buf_data(&why), buf_len(&why));
	text[buf_len(&why)] = '\0';
	buf_fini(&why);
	return text;
}

#define SAYS(words, judge, ...)                                                                \
	do {                                                                                       \
		const char *const fields[] = {__VA_ARGS__};                                            \
		const char *found = said(judge, fields, sizeof fields / sizeof *fields);               \
		cr_assert(*(words) ? strstr(found, words) != NULL : *found == '\0', "%s", found);      \
	} while (0)

Test(own_login, a_sound_answer_is_fit)
{
	SAYS("", guard_login_check_judge, "150020", login, "", "on", "3", "");
	SAYS("", guard_tenant_check_judge, "180004", login, "");
}

Test(own_login, each_fault_is_said)
{
	SAYS("login t_" HEX ": it owns x", guard_tenant_check_judge, "150020", login, "it owns x");
	SAYS("a fault", guard_login_check_judge, "150020", login, "", "on", "3", "a fault");
	SAYS("backtrace_functions is not empty", guard_login_check_judge, "150020", login, "x",
		 "on", "3", "");
	SAYS("row_security is off", guard_login_check_judge, "150020", login, "", "off", "3", "");
	SAYS("has version 2 of the guard", guard_login_check_judge, "150020", login, "", "on", "2",
		 "");
	SAYS("PostgreSQL 15 is the oldest", guard_login_check_judge, "140009", login, "", "on", "3",
		 "");
	SAYS("PostgreSQL 15 is the oldest", guard_tenant_check_judge, "140009", login, "");
}

Test(own_login, another_login_is_never_the_tenants)
{
	static const char *const others[] = {"t_11111111222243338444555555555556",
										 "t_",
										 "",
										 "bulkhead_pool",
										 HEX,
										 "t_" HEX "0",
										 "T_11111111222243338444555555555555",
										 "t_1111111122224333844455555555555"};

	for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
		SAYS("and not t_" HEX, guard_tenant_check_judge, "150020", others[i], "");
		SAYS("and not t_" HEX, guard_login_check_judge, "150020", others[i], "", "on", "3", "");
	}
}

Test(own_login, an_answer_in_another_form_is_unfit)
{
	SAYS("cannot be read", guard_tenant_check_judge, "150020", login);
	SAYS("cannot be read", guard_tenant_check_judge, "150020", login, "", "");
	SAYS("cannot be read", guard_tenant_check_judge, "150020", login, NULL);
	SAYS("cannot be read", guard_tenant_check_judge, NULL, login, "");
	SAYS("cannot be read", guard_tenant_check_judge, "15.2", login, "");
	SAYS("cannot be read", guard_login_check_judge, "150020", login, "", "on", "3");
	SAYS("cannot be read", guard_login_check_judge, "150020", login, "", NULL, "3", "");
}
