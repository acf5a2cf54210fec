/*
 * hash.h: the hash of every table whose keys a stranger chooses.
 *
 * SipHash-1-3 (Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012, with one round
 * for each word and three at the end, as tables of Rust and CPython have it) under a key drawn
 * once per process, so that nobody can prepare keys that collide. Include this before
 * <uthash.h>: it makes uthash use it.
 */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

/* The 64-bit SipHash of `len` bytes under the 16-byte key. */
uint64_t siphash(const uint8_t key[16], const void *data, size_t len);

/* siphash under the process's own key. The key is drawn at the first call; safe from any
 * thread. */
uint64_t hash_bytes(const void *data, size_t len);

#define HASH_FUNCTION(keyptr, keylen, hashv)                                                   \
	((hashv) = (unsigned)hash_bytes((keyptr), (keylen)))

/* uthash calls exit() without this; a failed insert leaves the element out and its hh.tbl NULL.
 */
#define HASH_NONFATAL_OOM 1

#endif
