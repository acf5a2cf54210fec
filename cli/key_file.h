/*
 * key_file.h: the file of guard keys, as a sidecar reads it and as `bulkhead key` changes it.
 *
 * A file is always written whole, through a temporary name, so that whoever reads it meanwhile
 * reads the old one or the new one. What else stands in it, such as comments, stays.
 */
#ifndef CLI_KEY_FILE_H
#define CLI_KEY_FILE_H

#include <stdbool.h>
#include <stdio.h>

#include "conf/conf.h"
#include "policy/guard/guard.h"

/*
 * Reads [guard] key_file and checks that the listeners fit it: where it holds the keys of one
 * tenant, each must name its tenant. NULL with the reason in *why (valid until the next call on
 * this thread).
 */
struct guard_keyring *key_file_load(const struct conf *conf, const char **why);

/*
 * Waits until nobody else changes what is in the folder, and keeps others from it until the
 * descriptor is closed. -1 with errno.
 */
int key_folder_lock(const char *dir);

/* Puts a key before all others: from the next reload on it signs. False with the reason. */
bool key_file_add(const char *path, const char *kid, const unsigned char key[GUARD_KEY_SIZE],
				  const char **why);

/* Is the secret of each cluster the text of a key file? Prints a line for each that is not. */
bool key_file_check_secrets(const struct conf *conf, FILE *err);

/* Takes the line of a key out of the file, if it is there. False with the reason. */
bool key_file_remove(const char *path, const char *kid, const char **why);

#endif
