#include "admin/migrate_file.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <openssl/evp.h>

#include "base/encode.h"
#include "base/utf8.h"
#include "policy/statement.h"

#define VERSION_DIGITS_MAX 18

/* "bulkhead migrate: FILE: why", and false. */
static bool refuse(FILE *err, const char *path, const char *why)
{
	fprintf(err, "bulkhead migrate: %s: %s\n", path, why);
	return false;
}

/* ---- its name ---- */

/* The number at the front, when something else than a letter or digit ends it; 0 when not. */
static int64_t version_of(const char *name)
{
	size_t digits = strspn(name, "0123456789");
	bool ends = digits > 0 && digits <= VERSION_DIGITS_MAX && name[digits] &&
				strchr("_-. ", name[digits]);

	return ends ? strtoll(name, NULL, 10) : 0;
}

static bool is_fit_for_terminals(const char *name)
{
	for (; *name; name++)
		if ((unsigned char)*name < 0x20 || *name == 0x7f)
			return false;
	return true;
}

static bool take_name(struct migrate_file *file, const char *path, FILE *err)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;
	size_t len = strlen(name);

	file->version = version_of(name);
	if (file->version == 0 || len < 5 || strcasecmp(name + len - 4, ".sql") != 0)
		return refuse(err, path,
					  "a file's name is a version and words, as in 12_add_notes.sql");
	if (len > MIGRATE_NAME_MAX || !utf8_valid(name, len) || !is_fit_for_terminals(name))
		return refuse(err, path,
					  "its name is at most 255 bytes of UTF-8 without control characters");
	file->name = strdup(name);
	return file->name || refuse(err, path, "out of memory");
}

/* ---- its text ---- */

static bool read_text(struct migrate_file *file, const char *path, FILE *err)
{
	FILE *in = fopen(path, "rbe");

	if (!in)
		return refuse(err, path, strerror(errno));
	file->text = malloc(MIGRATE_FILE_MAX + 2);
	if (file->text)
		file->len = fread(file->text, 1, MIGRATE_FILE_MAX + 1, in);
	bool failed = ferror(in) != 0;
	int error = errno;
	fclose(in);
	if (!file->text)
		return refuse(err, path, "out of memory");
	if (failed)
		return refuse(err, path, strerror(error));
	file->text[file->len] = '\0';
	if (file->len > MIGRATE_FILE_MAX)
		return refuse(err, path, "it is longer than 1 MiB");
	if (memchr(file->text, '\0', file->len) || !utf8_valid(file->text, file->len))
		return refuse(err, path, "it is no UTF-8 text");
	return true;
}

static bool take_checksum(struct migrate_file *file, const char *path, FILE *err)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned int len;

	if (!EVP_Digest(file->text, file->len, digest, &len, EVP_sha256(), NULL))
		return refuse(err, path, "cannot compute a checksum");
	hex_encode(digest, len, file->checksum);
	return true;
}

/* ---- what stands in it ---- */

/* What a statement does that a migration cannot do; NULL when nothing. */
static const char *fault_of(const struct sql_statement *statement)
{
	switch (statement->action) {
	case SQL_BEGIN:
	case SQL_COMMIT:
	case SQL_ROLLBACK:
	case SQL_PREPARE_TRANSACTION:
	case SQL_FINISH_PREPARED:
		return "the file runs in a transaction of Bulkhead's; take out what begins or ends one";
	case SQL_COPY_IN:
		return "there are no rows to copy from; write an INSERT";
	default:
		return NULL;
	}
}

static int line_at(const char *text, size_t offset)
{
	int line = 1;

	for (size_t i = 0; i < offset && text[i]; i++)
		line += text[i] == '\n';
	return line;
}

static bool has_no_fault(const struct migrate_file *file, const struct verdict *verdict,
						 const char *path, FILE *err)
{
	for (uint32_t i = 0; i < verdict->statement_count; i++) {
		const char *fault = fault_of(&verdict->statements[i]);

		if (fault) {
			fprintf(err, "bulkhead migrate: %s: line %d: %s\n", path,
					line_at(file->text, verdict->statements[i].start), fault);
			return false;
		}
	}
	if (verdict->reading == SQL_READ && verdict->statement_count == 0)
		return refuse(err, path, "there is no statement in it");
	if (file->is_bare && verdict->statement_count > 1)
		return refuse(err, path,
					  "without a transaction there can be one statement; give each a file");
	return true;
}

static bool look_into(struct migrate_file *file, const char *path, FILE *err)
{
	static const char bare[] = "-- bulkhead: no-transaction";
	size_t line = strcspn(file->text, "\r\n");
	const struct verdict *verdict = sql_read(file->text, file->len);

	if (!verdict)
		return refuse(err, path, "out of memory");
	file->is_bare = line >= sizeof bare - 1 && memcmp(file->text, bare, sizeof bare - 1) == 0 &&
					strspn(file->text + sizeof bare - 1, " \t") + sizeof bare - 1 == line;
	bool sound = has_no_fault(file, verdict, path, err);
	verdict_unref(verdict);
	return sound;
}

bool migrate_file_read(struct migrate_file *file, const char *path, FILE *err)
{
	*file = (struct migrate_file){.version = 0};
	return take_name(file, path, err) && read_text(file, path, err) &&
		   take_checksum(file, path, err) && look_into(file, path, err);
}

void migrate_file_fini(struct migrate_file *file)
{
	free(file->name);
	free(file->text);
}

/* ---- several ---- */

static int by_version(const void *a, const void *b)
{
	const struct migrate_file *one = a, *other = b;

	return (one->version > other->version) - (one->version < other->version);
}

bool migrate_files_sort(struct migrate_file *files, size_t count, FILE *err)
{
	if (count == 0)
		return true;
	qsort(files, count, sizeof *files, by_version);
	for (size_t i = 1; i < count; i++) {
		if (files[i].version == files[i - 1].version) {
			fprintf(err, "bulkhead migrate: %s and %s are both version %" PRId64 "\n",
					files[i - 1].name, files[i].name, files[i].version);
			return false;
		}
	}
	return true;
}

int migrate_file_line(const struct migrate_file *file, int position)
{
	size_t offset = 0;

	for (; position > 1 && offset < file->len; position--) {
		size_t len = utf8_character(file->text + offset, file->len - offset);

		offset += len ? len : 1;
	}
	return line_at(file->text, offset);
}
