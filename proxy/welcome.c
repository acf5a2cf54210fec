#include "proxy/welcome.h"

#include <stdlib.h>
#include <string.h>

#include "proxy/settings.h"

void welcomes_drop(struct welcomes *welcomes)
{
	struct welcome *welcome, *next;

	HASH_ITER (hh, welcomes->sets, welcome, next) {
		HASH_DEL(welcomes->sets, welcome);
		params_fini(&welcome->params);
		free(welcome->key);
		free(welcome);
	}
}

void welcomes_fini(struct welcomes *welcomes)
{
	welcomes_drop(welcomes);
	params_fini(&welcomes->base);
}

const struct params *welcomes_find(const struct welcomes *welcomes,
								   const struct settings *settings)
{
	struct welcome *welcome;

	if (!settings->name_is_clean)
		return NULL;
	HASH_FIND(hh, welcomes->sets, settings->bytes, settings->base_len, welcome);
	return welcome ? &welcome->params : NULL;
}

void welcomes_add(struct welcomes *welcomes, const struct settings *settings,
				  const struct params *params)
{
	if (!settings->name_is_clean || welcomes_find(welcomes, settings))
		return;
	if (HASH_COUNT(welcomes->sets) >= WELCOMES_MAX)
		welcomes_drop(welcomes);

	struct welcome *welcome = calloc(1, sizeof *welcome);
	char *key = malloc(settings->base_len + 1);
	if (!welcome || !key || !params_copy(&welcome->params, params)) {
		free(welcome);
		free(key);
		return;
	}
	memcpy(key, settings->bytes, settings->base_len);
	welcome->key = key;
	welcome->key_len = settings->base_len;
	HASH_ADD_KEYPTR(hh, welcomes->sets, welcome->key, welcome->key_len, welcome);
	if (!welcome->hh.tbl) {
		params_fini(&welcome->params);
		free(key);
		free(welcome);
	}
}

bool welcomes_note_base(struct welcomes *welcomes, const struct params *params)
{
	if (params_equal(&welcomes->base, params))
		return false;
	welcomes_drop(welcomes);
	params_fini(&welcomes->base);
	if (!params_copy(&welcomes->base, params))
		params_init(&welcomes->base);
	return true;
}
