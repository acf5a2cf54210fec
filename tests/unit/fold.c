/* Folds: what texts are alike but for their values, and which have none. */
#include <criterion/criterion.h>
#include <string.h>

#include "policy/fold.h"

static const char *folded(const char *text)
{
	static char out[FOLD_MAX + 1];
	size_t len = fold(text, strlen(text), out);

	out[len] = '\0';
	return out;
}

#define assert_fold(text, expected) cr_assert_str_eq(folded(text), expected)
#define assert_none(text)           cr_assert_str_eq(folded(text), "")

Test(fold, values_are_left_out)
{
	assert_fold("SELECT 1", "SELECT 0");
	assert_fold("SELECT 4711, 12.50, .5, 7.", "SELECT 0, 0, .0, 0");
	assert_fold("SELECT 'it''s', ''", "SELECT '', ''");
	assert_fold("SELECT 'a' \n 'b'", "SELECT '' \n ''");
	assert_fold("INSERT INTO t VALUES (1,'a'),(2,'b')", "INSERT INTO t VALUES (0,''),(0,'')");
	assert_fold("SELECT -1 - 2", "SELECT -0 - 0");
	assert_fold("/* trace 1 */ SELECT 'x'/*y*/", "/**/ SELECT ''/**/");
	assert_fold("SELECT x FROM a1 WHERE id=1", "SELECT x FROM a1 WHERE id=0");
	assert_fold("SELECT \"1\", \"a\"\"'\", 1", "SELECT \"1\", \"a\"\"'\", 0");
	assert_fold("SELECT $1, 2", "SELECT $1, 0");
	assert_fold("SELECT 'x'::text, interval '1 day'", "SELECT ''::text, interval ''");
}

Test(fold, a_text_without_values_has_none)
{
	assert_none("");
	assert_none("SELECT x FROM y");
	assert_none("SELECT $1 FROM \"2\" /**/");
}

Test(fold, none_is_made_where_there_is_any_doubt)
{
	static const char *const texts[] = {
		"SELECT E'\\'', 1",
		"SELECT e'x'",
		"SELECT U&'x'",
		"SELECT U&\"x\", 1",
		"SELECT B'01'",
		"SELECT x'1f'",
		"SELECT N'x'",
		"SELECT 'a\\', 1",
		"SELECT $$x$$, 1",
		"SELECT $a$x$a$",
		"SELECT $1a, 1",
		"SELECT 1a",
		"SELECT 1e5",
		"SELECT 1_000",
		"SELECT 1..2",
		"SELECT .1.2",
		"SELECT 0x1f",
		"SELECT 1 -- comment",
		"SELECT 1 /* a /* b */ */",
		"SELECT 1 /* a",
		"SELECT 'a",
		"SELECT \"a, 1",
		"SELECT 1$",
		"SELECT interval'1 day'",
		"SELECT 1\xc3\xa4",
	};

	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		cr_assert_str_eq(folded(texts[i]), "", "%s", texts[i]);
}

Test(fold, long_texts_have_none)
{
	static char text[FOLD_MAX + 2], out[FOLD_MAX + 1];

	memset(text, ' ', sizeof text);
	memcpy(text, "SELECT 1", 8);
	cr_assert_eq(fold(text, FOLD_MAX, out), FOLD_MAX);
	cr_assert_eq(fold(text, FOLD_MAX + 1, out), 0);
}
