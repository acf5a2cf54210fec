/*
 * snapshot.h: what the directory holds, in a file.
 *
 * A sidecar that starts while the control database is away serves the tenants and principals
 * that it knew. The file has mode 0600, since verifiers are in it, and is written whole or not
 * at all. It ends with nothing that was not signed: an HMAC-SHA256 under a key that the caller
 * derives from the guard's goes over all of it, so that whoever can write the file but not read
 * the key can make nobody an operator. An older file of the same key is not told from a newer
 * one; `directory_max_stale` bounds what it can do.
 *
 *	bulkhead-directory-2 <64 hex digits> <one JSON object>
 */
#ifndef ROUTER_SNAPSHOT_H
#define ROUTER_SNAPSHOT_H

#include <stdbool.h>
#include <stdint.h>

#include "router/directory.h"

#define SNAPSHOT_KEY_SIZE 32
#define SNAPSHOT_SIZE_MAX (256u << 20)

/* False with the reason in *why (static, or valid until the next call on this thread). */
bool snapshot_write(struct directory *directory, const char *path,
					const uint8_t key[SNAPSHOT_KEY_SIZE], const char **why);

/*
 * Takes in what the file says, as known but old: the control database is asked first wherever
 * it can be. Before the directory is used by anyone. False with the reason in *why, and nothing
 * taken in, when the file cannot be read, was tampered with, or is not from this program; a
 * file that does not exist is no failure.
 */
bool snapshot_read(struct directory *directory, const char *path,
				   const uint8_t key[SNAPSHOT_KEY_SIZE], const char **why);

/* A number that rises with every change of what is held: is the file older than that? */
uint64_t snapshot_changes(struct directory *directory);

#endif
