#include "proxy/prepared.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/secret.h"
#include "proxy/settings.h"
#include "proxy/wire.h"

struct prepared_table {
	struct prepared *statements;
	uint64_t last_number;
	char
		prefix[sizeof PREPARED_PREFIX + 16]; /* of all its names: with random bits, and a `_` */
};

size_t prepared_table_count(const struct prepared_table *table)
{
	return HASH_COUNT(table->statements);
}

struct prepared_table *prepared_table_create(void)
{
	struct prepared_table *table = calloc(1, sizeof *table);

	uint64_t nonce;
	char prefix[sizeof table->prefix + 1];

	if (!table)
		return NULL;
	secret_random(&nonce, sizeof nonce);
	snprintf(prefix, sizeof prefix, PREPARED_PREFIX "%016" PRIx64 "_", nonce);
	memcpy(table->prefix, prefix, sizeof table->prefix);
	return table;
}

static void forget(struct prepared *prepared)
{
	HASH_DEL(prepared->table->statements, prepared);
	free(prepared->key);
	free(prepared);
}

void prepared_table_destroy(struct prepared_table *table)
{
	struct prepared *prepared, *next;

	if (!table)
		return;
	HASH_ITER (hh, table->statements, prepared, next)
		forget(prepared);
	free(table);
}

static struct prepared *add(struct prepared_table *table, const uint8_t *key, size_t key_len,
							size_t body_at)
{
	struct prepared *prepared = calloc(1, sizeof *prepared);

	if (!prepared)
		return NULL;
	*prepared = (struct prepared){.table = table,
								  .references = 1,
								  .number = ++table->last_number,
								  .body_at = body_at,
								  .key_len = key_len,
								  .key = malloc(key_len)};
	if (prepared->key) {
		memcpy(prepared->key, key, key_len);
		HASH_ADD_KEYPTR(hh, table->statements, prepared->key, key_len, prepared);
		if (prepared->hh.tbl)
			return prepared;
	}
	free(prepared->key);
	free(prepared);
	return NULL;
}

struct prepared *prepared_intern(struct prepared_table *table, const struct settings *settings,
								 const uint8_t *body, size_t len)
{
	struct prepared *prepared = NULL;
	struct buf key;

	buf_init(&key);
	if (buf_append_u32(&key, (uint32_t)settings->base_len) &&
		buf_append(&key, settings->bytes, settings->base_len) && buf_append(&key, body, len)) {
		HASH_FIND(hh, table->statements, buf_data(&key), buf_len(&key), prepared);
		if (prepared)
			prepared->references++;
		else
			prepared = add(table, buf_data(&key), buf_len(&key), 4 + settings->base_len);
	}
	buf_fini(&key);
	return prepared;
}

struct prepared *prepared_intern_under(const struct prepared *prepared,
									   const struct settings *settings)
{
	return prepared_intern(prepared->table, settings, prepared->key + prepared->body_at,
						   prepared->key_len - prepared->body_at);
}

bool prepared_is_under(const struct prepared *prepared, const struct settings *settings)
{
	return prepared->body_at == 4 + settings->base_len &&
		   memcmp(prepared->key + 4, settings->bytes, settings->base_len) == 0;
}

struct prepared *prepared_ref(struct prepared *prepared)
{
	prepared->references++;
	return prepared;
}

void prepared_unref(struct prepared *prepared)
{
	if (prepared && --prepared->references == 0)
		forget(prepared);
}

size_t prepared_name(const struct prepared *prepared, uint64_t number,
					 char name[PREPARED_NAME_MAX])
{
	static const char digits[] = "0123456789abcdef";
	size_t len = sizeof prepared->table->prefix;
	int shift = 60;

	memcpy(name, prepared->table->prefix, len);
	while (shift && !(number >> shift))
		shift -= 4;
	for (; shift >= 0; shift -= 4)
		name[len++] = digits[number >> shift & 0xf];
	name[len] = '\0';
	return len;
}

void prepared_renew(struct prepared *prepared)
{
	prepared->number = ++prepared->table->last_number;
}

bool prepared_append_parse(const struct prepared *prepared, const char *name, struct buf *out)
{
	size_t mark;

	return wire_begin(out, 'P', &mark) && buf_append_cstr(out, name) &&
		   buf_append(out, prepared->key + prepared->body_at,
					  prepared->key_len - prepared->body_at) &&
		   wire_end(out, mark);
}
