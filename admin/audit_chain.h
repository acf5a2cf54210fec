/*
 * audit_chain.h: does a record of the audit log fit where it stands?
 *
 * A record's hash is the SHA-256 of the 32 bytes of the hash before it and of its parts: each
 * its length in bytes of UTF-8, a colon and itself, or "-" where it is NULL, and a comma
 * (0022_audit.sql, audit_text). The database does the same when it writes; this does it again,
 * so that whoever can change the database's functions cannot have it say what they like.
 */
#ifndef ADMIN_AUDIT_CHAIN_H
#define ADMIN_AUDIT_CHAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define AUDIT_HASH_SIZE 32
#define AUDIT_PARTS     15

/* The parts, in order, as columns of `bulkhead_control.audit a`. */
#define AUDIT_PARTS_SQL                                                                        \
	"a.id::text, (extract(epoch FROM a.at) * 1000000)::bigint::text, a.kind, a.action, "       \
	"a.actor, a.actor_id, a.login, a.address, a.request_id, a.tenant_id::text, "               \
	"a.tenant_slug, a.scope::text, a.subject, a.before::text, a.after::text"

struct audit_record {
	int64_t id;
	const char *part[AUDIT_PARTS]; /* borrowed; NULL for NULL */
	unsigned char prev_hash[AUDIT_HASH_SIZE], hash[AUDIT_HASH_SIZE];
};

/* Where in the chain one is: the last record that fitted. All zero in front of the first. */
struct audit_place {
	int64_t id;
	unsigned char hash[AUDIT_HASH_SIZE];
};

enum audit_fault {
	AUDIT_FITS,
	AUDIT_MISSING,  /* its place is not the next one */
	AUDIT_UNLINKED, /* it goes on from another record than the one before it */
	AUDIT_CHANGED,  /* its hash is not that of its text */
	AUDIT_BROKEN,   /* the hash could not be computed */
};

/* False when OpenSSL fails. */
bool audit_hash(const unsigned char prev[AUDIT_HASH_SIZE], const char *const *part,
				size_t count, unsigned char out[AUDIT_HASH_SIZE]);

/* Looks at the next record. Where it fits the place becomes the record's, else it stays. */
enum audit_fault audit_follow(struct audit_place *place, const struct audit_record *record);

/* What a fault is, for people. */
const char *audit_fault_text(enum audit_fault fault);

#endif
