/*
 * migrate_file.h: a file of SQL that is to run everywhere.
 */
#ifndef ADMIN_MIGRATE_FILE_H
#define ADMIN_MIGRATE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define MIGRATE_FILE_MAX ((size_t)1 << 20) /* bytes */
#define MIGRATE_NAME_MAX 255
#define MIGRATE_SUM_SIZE 65 /* SHA-256 in hex, and the NUL */

struct migrate_file {
	int64_t version; /* the number at the front of its name */
	char *name;      /* without folders */
	char *text;
	size_t len;
	char checksum[MIGRATE_SUM_SIZE];
	/* Its first line is `-- bulkhead: no-transaction`: one statement that cannot stand in a
	 * transaction. */
	bool is_bare;
};

/*
 * Reads it. False, with a line on `err`, when there is no such file, its name has no version,
 * it is empty, too long or no UTF-8, or has a statement that a migration cannot have: one that
 * begins or ends transactions, or COPY FROM STDIN. (A text that PostgreSQL 15's grammar does
 * not know may have one: then the run finds it.)
 */
bool migrate_file_read(struct migrate_file *file, const char *path, FILE *err);
void migrate_file_fini(struct migrate_file *file);

/* Sorts by version. False, with a line on `err`, when two have the same. */
bool migrate_files_sort(struct migrate_file *files, size_t count, FILE *err);

/* The line in which the character at a position (from 1 on) of the text stands. */
int migrate_file_line(const struct migrate_file *file, int position);

#endif
