/* Tests of admin/migrate_file: versions in names, what a file may hold, lines of positions. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "admin/migrate_file.h"

/* Reads a file of that name and text; what is said goes into `said`. */
static bool read_as(struct migrate_file *file, const char *name, const char *text, char **said)
{
	char folder[] = "/tmp/bulkhead-unit-XXXXXX", path[512];
	size_t len;
	FILE *out, *err = open_memstream(said, &len);

	cr_assert(err && mkdtemp(folder));
	snprintf(path, sizeof path, "%s/%s", folder, name);
	out = fopen(path, "w");
	cr_assert(out);
	fputs(text, out);
	fclose(out);
	bool done = migrate_file_read(file, path, err);
	fclose(err);
	unlink(path);
	rmdir(folder);
	return done;
}

static bool is_taken(const char *name, const char *text, struct migrate_file *file)
{
	char *said = NULL;
	bool done = read_as(file, name, text, &said);

	cr_assert(done == (*said == '\0'), "%s", said);
	free(said);
	return done;
}

static int64_t version_in(const char *name)
{
	struct migrate_file file;
	int64_t version = is_taken(name, "SELECT 1", &file) ? file.version : 0;

	migrate_file_fini(&file);
	return version;
}

Test(migrate_file, version_is_the_number_in_front)
{
	cr_assert_eq(version_in("12_add_notes.sql"), 12);
	cr_assert_eq(version_in("0012-x.SQL"), 12);
	cr_assert_eq(version_in("7.sql"), 7);
	cr_assert_eq(version_in("20261128143000_x.sql"), INT64_C(20261128143000));
	cr_assert_eq(version_in("999999999999999999_x.sql"), INT64_C(999999999999999999));
}

Test(migrate_file, names_without_one_are_refused)
{
	static const char *const names[] = {
		"notes.sql", "0_x.sql",     "-1_x.sql",
		"12x.sql",   "12_x.sql~",   "12_x",
		"_12.sql",   "12_\x01.sql", "9999999999999999999_x.sql"};

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		cr_assert_eq(version_in(names[i]), 0, "%s", names[i]);
}

Test(migrate_file, checksum_is_sha256_of_the_text)
{
	struct migrate_file file;

	cr_assert(is_taken("1_x.sql", "SELECT 1", &file));
	cr_assert_str_eq(file.checksum,
					 "e004ebd5b5532a4b85984a62f8ad48a81aa3460c1ca07701f386135d72cdecf5");
	migrate_file_fini(&file);
}

static bool is_bare(const char *text)
{
	struct migrate_file file;
	bool bare = is_taken("1_x.sql", text, &file) && file.is_bare;

	migrate_file_fini(&file);
	return bare;
}

Test(migrate_file, first_line_takes_it_out_of_a_transaction)
{
	cr_assert(is_bare("-- bulkhead: no-transaction\nVACUUM"));
	cr_assert(is_bare("-- bulkhead: no-transaction \t\r\nVACUUM;\r\n"));
	cr_assert_not(is_bare("-- bulkhead: no-transactions\nVACUUM"));
	cr_assert_not(is_bare("\n-- bulkhead: no-transaction\nVACUUM"));
	cr_assert_not(is_bare(" -- bulkhead: no-transaction\nVACUUM"));
}

Test(migrate_file, statements_of_transactions_are_refused)
{
	static const char *const texts[] = {"BEGIN",
										"START TRANSACTION",
										"SELECT 1; COMMIT",
										"END",
										"ROLLBACK",
										"ABORT",
										"PREPARE TRANSACTION 'x'",
										"COMMIT PREPARED 'x'",
										"COMMIT; x (",
										"COPY t FROM STDIN",
										"",
										";;"};
	struct migrate_file file;

	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		/* What cannot be read is the server's to refuse. */
		bool readable = !strchr(texts[i], '(');

		cr_assert(is_taken("1_x.sql", texts[i], &file) == !readable, "%s", texts[i]);
		migrate_file_fini(&file);
	}
	cr_assert(
		is_taken("1_x.sql", "SAVEPOINT s; SELECT 'COMMIT' -- COMMIT;\n; ROLLBACK TO s", &file));
	migrate_file_fini(&file);
}

Test(migrate_file, lines_of_positions)
{
	struct migrate_file file;

	cr_assert(is_taken("1_x.sql", "SELECT 'é\xf0\x9f\x98\x80';\n\nSELECT x", &file));
	cr_assert_eq(migrate_file_line(&file, 1), 1);
	cr_assert_eq(migrate_file_line(&file, 12), 1);
	cr_assert_eq(migrate_file_line(&file, 14), 2);
	cr_assert_eq(migrate_file_line(&file, 15), 3);
	cr_assert_eq(migrate_file_line(&file, 1000), 3);
	migrate_file_fini(&file);
}

Test(migrate_file, files_are_sorted_and_no_version_is_there_twice)
{
	struct migrate_file files[] = {{.version = 3, .name = (char *)"3"},
								   {.version = 1, .name = (char *)"1"},
								   {.version = 2, .name = (char *)"2"}};
	char *said = NULL;
	size_t len;
	FILE *err = open_memstream(&said, &len);

	cr_assert(migrate_files_sort(files, 3, err));
	cr_assert(files[0].version == 1 && files[1].version == 2 && files[2].version == 3);
	files[2].version = 2;
	cr_assert_not(migrate_files_sort(files, 3, err));
	fclose(err);
	cr_assert_str_eq(said, "bulkhead migrate: 2 and 3 are both version 2\n");
	free(said);
}
