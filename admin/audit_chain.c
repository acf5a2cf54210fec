#include "admin/audit_chain.h"

#include <stdio.h>
#include <string.h>

#include <openssl/evp.h>

static bool add_part(EVP_MD_CTX *digest, const char *part)
{
	char length[32];

	if (!part)
		return EVP_DigestUpdate(digest, "-,", 2);
	int digits = snprintf(length, sizeof length, "%zu:", strlen(part));
	return EVP_DigestUpdate(digest, length, (size_t)digits) &&
		   EVP_DigestUpdate(digest, part, strlen(part)) && EVP_DigestUpdate(digest, ",", 1);
}

bool audit_hash(const unsigned char prev[AUDIT_HASH_SIZE], const char *const *part,
				size_t count, unsigned char out[AUDIT_HASH_SIZE])
{
	EVP_MD_CTX *digest = EVP_MD_CTX_new();
	bool done = digest && EVP_DigestInit_ex(digest, EVP_sha256(), NULL) &&
				EVP_DigestUpdate(digest, prev, AUDIT_HASH_SIZE);

	for (size_t i = 0; done && i < count; i++)
		done = add_part(digest, part[i]);
	done = done && EVP_DigestFinal_ex(digest, out, NULL);
	EVP_MD_CTX_free(digest);
	return done;
}

enum audit_fault audit_follow(struct audit_place *place, const struct audit_record *record)
{
	unsigned char hash[AUDIT_HASH_SIZE];

	if (record->id != place->id + 1)
		return AUDIT_MISSING;
	if (!audit_hash(record->prev_hash, record->part, AUDIT_PARTS, hash))
		return AUDIT_BROKEN;
	if (memcmp(hash, record->hash, sizeof hash) != 0)
		return AUDIT_CHANGED;
	if (memcmp(record->prev_hash, place->hash, sizeof hash) != 0)
		return AUDIT_UNLINKED;
	place->id = record->id;
	memcpy(place->hash, record->hash, sizeof place->hash);
	return AUDIT_FITS;
}

const char *audit_fault_text(enum audit_fault fault)
{
	switch (fault) {
	case AUDIT_FITS:
		return "it fits";
	case AUDIT_MISSING:
		return "there is no record at this place";
	case AUDIT_UNLINKED:
		return "it does not follow the record before it, as that is now";
	case AUDIT_CHANGED:
		return "its text is not the one that it was written with";
	case AUDIT_BROKEN:
		return "its hash cannot be computed";
	}
	return "";
}
