/* Secret files: what is read, what is refused, how they are written. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/secret.h"

static char directory[] = "/tmp/bulkhead-secret-XXXXXX";

static void enter_directory(void)
{
	cr_assert_not_null(mkdtemp(directory));
	cr_assert_eq(chdir(directory), 0);
}

static void leave_directory(void)
{
	unlink("secret");
	cr_assert_eq(chdir("/"), 0);
	cr_assert_eq(rmdir(directory), 0, "something else was left behind");
}

static void put(const char *content, size_t len, mode_t mode)
{
	int fd = open("secret", O_CREAT | O_TRUNC | O_WRONLY, 0600);

	cr_assert_geq(fd, 0);
	cr_assert_eq(write(fd, content, len), (ssize_t)len);
	cr_assert_eq(fchmod(fd, mode), 0);
	close(fd);
}

static void expect_content(const char *content, size_t len, const char *expected)
{
	const char *why = NULL;
	char *got;

	put(content, len, 0600);
	got = secret_read_file("secret", 64, &why);
	cr_assert_not_null(got, "%s", why);
	cr_expect_str_eq(got, expected);
	secret_free(got);
}

static void expect_refusal(const char *reason)
{
	const char *why = NULL;

	cr_assert_null(secret_read_file("secret", 64, &why));
	cr_expect_str_eq(why, reason);
}

TestSuite(secret, .init = enter_directory, .fini = leave_directory);

Test(secret, cuts_one_end_of_line_only)
{
	expect_content("hunter2", 7, "hunter2");
	expect_content("hunter2\n", 8, "hunter2");
	expect_content("hunter2\r\n", 9, "hunter2");
	expect_content("hunter2\n\n", 9, "hunter2\n");
	expect_content(" a b \n", 6, " a b ");
	expect_content("", 0, "");
}

/* As a Secret in a pod is: root's, for a user who is not root. */
Test(secret, lets_a_group_read_what_root_put_there_for_another_user)
{
	const char *why = NULL;

	if (geteuid() != 0)
		cr_skip_test("only root can write such a file");
	put("x", 1, 0440);
	expect_refusal("group or others have access to it; its mode must be 0600");
	cr_assert_eq(chown("secret", 0, 65534), 0);
	cr_assert_eq(chmod(".", 0755), 0);
	cr_assert_eq(setegid(65534), 0);
	cr_assert_eq(seteuid(65534), 0);

	char *got = secret_read_file("secret", 64, &why);
	cr_expect_not_null(got, "%s", why);
	secret_free(got);

	static const mode_t modes[] = {0460, 0450, 0444, 0442};
	for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
		cr_assert_eq(seteuid(0), 0);
		cr_assert_eq(chmod("secret", modes[i]), 0);
		cr_assert_eq(seteuid(65534), 0);
		expect_refusal("group or others have access to it; its mode must be 0600");
	}
	cr_assert_eq(seteuid(0), 0);
}

Test(secret, refuses_a_file_that_others_may_read)
{
	static const mode_t modes[] = {0640, 0604, 0620, 0601, 0777};

	for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
		put("x", 1, modes[i]);
		expect_refusal("group or others have access to it; its mode must be 0600");
	}
	put("x", 1, 0400);
	const char *why = NULL;
	char *got = secret_read_file("secret", 64, &why);
	cr_assert_str_eq(got, "x", "read-only for the owner is fine");
	secret_free(got);
}

Test(secret, refuses_what_is_no_small_regular_file)
{
	char large[65];

	expect_refusal("No such file or directory");
	memset(large, 'x', sizeof large);
	put(large, sizeof large, 0600);
	expect_refusal("too large for a secret");
	put("a\0b", 3, 0600);
	expect_refusal("it holds a NUL byte");
	unlink("secret");
	cr_assert_eq(mkdir("secret", 0700), 0);
	expect_refusal("not a regular file");
	rmdir("secret");
}

Test(secret, does_not_wait_for_a_fifo, .timeout = 5)
{
	cr_assert_eq(mkfifo("secret", 0600), 0);
	expect_refusal("not a regular file");
}

Test(secret, writes_whole_files_of_mode_0600_and_replaces)
{
	const char *why = NULL;
	struct stat about;
	char *got;

	umask(0);
	put("old and longer", 14, 0644);
	cr_assert(secret_write_file("secret", "new\n", 4, &why));
	cr_assert_eq(stat("secret", &about), 0);
	cr_assert_eq(about.st_mode & 0777, 0600);
	got = secret_read_file("secret", 64, &why);
	cr_assert_str_eq(got, "new");
	secret_free(got);
	cr_assert_not(secret_write_file("missing/secret", "x", 1, &why));
	cr_assert_str_eq(why, "No such file or directory");
}

Test(secret, a_failed_write_leaves_nothing_behind)
{
	const char *why = NULL;

	cr_assert_eq(mkdir("secret", 0700), 0);
	cr_assert_not(secret_write_file("secret", "x", 1, &why), "a directory is in the way");
	cr_assert_eq(rmdir("secret"), 0);
}

Test(secret, compares_and_wipes)
{
	char text[] = "hunter2";
	static const char zeros[sizeof text];

	cr_assert(secret_equal("abc", "abc", 3));
	cr_assert_not(secret_equal("abc", "abd", 3));
	cr_assert(secret_equal("abc", "xyz", 0));
	secret_wipe(text, sizeof text);
	cr_assert_eq(memcmp(text, zeros, sizeof text), 0);
}

Test(secret, draws_different_bytes_each_time)
{
	unsigned char a[32], b[32];

	secret_random(a, sizeof a);
	secret_random(b, sizeof b);
	cr_assert_neq(memcmp(a, b, sizeof a), 0);
}
